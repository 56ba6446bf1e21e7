// Text from outside as it is shown in a message.
#pragma once

#include <string>
#include <string_view>

namespace adit {

/// Returns `text` between two `mark`s, for an error message or a log line. The text may come from anyone: of a text longer than
/// 100 bytes the first 100 are shown, followed by "...", and each byte that is not printable ASCII is shown as \xNN.
///
/// The name is not `quoted`: a call with a std::string would then be ambiguous with std::quoted, which argument-dependent
/// lookup finds where a header of the library includes <iomanip> (libstdc++ 14 does).
std::string in_quotes(std::string_view text, char mark = '\'');

}  // namespace adit
