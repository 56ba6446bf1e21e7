// Text from outside: as it is compared, shown in a message, or written as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace adit {

/// Returns `c` in lower case if it is an ASCII letter, whatever the locale is.
constexpr char lower_case(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Likewise, of each byte.
std::string lower_case(std::string_view text);

/// Returns `text` between two `mark`s, for an error message or a log line. The text may come from anyone: of a text longer than
/// 100 bytes the first 100 are shown, followed by "...", and each byte that is not printable ASCII is shown as \xNN.
///
/// The name is not `quoted`: a call with a std::string would then be ambiguous with std::quoted, which argument-dependent
/// lookup finds where a header of the library includes <iomanip> (libstdc++ 14 does).
std::string in_quotes(std::string_view text, char mark = '\'');

/// Appends `\xNN` to `out`: how a byte is shown that cannot be printed as it is.
void append_escaped_byte(std::string& out, char byte);

/// Whether a code point would break a line, or a terminal: control characters (C0, DEL, C1), U+2028 and U+2029.
bool breaks_line(std::uint32_t code_point);

/// How a byte that is not part of valid UTF-8 is written.
enum class InvalidByte {
  kReplace,  ///< As `\ufffd`, which JSON has.
  kShow,     ///< As `\xNN`, so that nothing is lost; JSON has no such escape.
};

/// Appends `text` to `out` as a JSON string with its quotation marks. What breaks a line is escaped.
void append_json_string(std::string& out, std::string_view text, InvalidByte invalid = InvalidByte::kReplace);

}  // namespace adit
