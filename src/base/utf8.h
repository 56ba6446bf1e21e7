// UTF-8, as RFC 3629 defines it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace adit {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t size = 0;  ///< Bytes that it takes. 0: the text does not begin with valid UTF-8.
};

/// Decodes the code point that `text` begins with. Only the shortest form counts, no surrogates, nothing above U+10FFFF. An
/// empty text gives size 0.
CodePoint first_code_point(std::string_view text);

/// Whether the code point is a control character of ASCII or of Latin-1 (C0, DEL, C1).
constexpr bool is_control(std::uint32_t code_point) { return code_point < 0x20 || (code_point >= 0x7f && code_point <= 0x9f); }

}  // namespace adit
