#include "base/text.h"

#include <array>

#include "base/hex.h"
#include "base/utf8.h"

namespace adit {

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower_case(c);
  return out;
}

std::string in_quotes(std::string_view text, char mark) {
  constexpr std::size_t kShown = 100;
  std::string out(1, mark);
  for (const char c : text.substr(0, kShown)) {
    c >= 0x20 && c < 0x7f ? void(out += c) : append_escaped_byte(out, c);
  }
  if (text.size() > kShown) out += "...";
  return out + mark;
}

void append_escaped_byte(std::string& out, char byte) {
  out += "\\x";
  append_hex(out, as_bytes({&byte, 1}));
}

bool breaks_line(std::uint32_t code_point) { return is_control(code_point) || code_point == 0x2028 || code_point == 0x2029; }

void append_json_string(std::string& out, std::string_view text, InvalidByte invalid) {
  out += '"';
  while (!text.empty()) {
    const CodePoint code = first_code_point(text);
    if (code.size == 0) {
      invalid == InvalidByte::kReplace ? void(out += "\\ufffd") : append_escaped_byte(out, text[0]);
      text.remove_prefix(1);
      continue;
    }
    switch (code.value) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (breaks_line(code.value)) {
          std::array<std::uint8_t, 2> unit{};
          store_be(unit.data(), static_cast<std::uint16_t>(code.value));
          out += "\\u";
          append_hex(out, unit);
        } else {
          out += text.substr(0, code.size);
        }
    }
    text.remove_prefix(code.size);
  }
  out += '"';
}

}  // namespace adit
