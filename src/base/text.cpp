#include "base/text.h"

namespace adit {

std::string in_quotes(std::string_view text, char mark) {
  constexpr std::size_t kShown = 100;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out(1, mark);
  for (const char c : text.substr(0, kShown)) {
    if (c >= 0x20 && c < 0x7f) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  if (text.size() > kShown) out += "...";
  return out + mark;
}

}  // namespace adit
