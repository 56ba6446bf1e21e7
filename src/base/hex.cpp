#include "base/hex.h"

#include <array>

namespace adit {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

/// As kDigits, by arithmetic that compilers do for many at once: a found block is eight million digits, and waits for them.
constexpr char digit(unsigned value) { return static_cast<char>(value + '0' + (value > 9 ? 'a' - '0' - 10 : 0)); }

/// What each character stands for; -1: it is no digit.
constexpr auto kValues = [] {
  std::array<int, 256> values{};
  values.fill(-1);
  for (int value = 0; value < 16; ++value) {
    const char c = kDigits[value];
    values[static_cast<unsigned char>(c)] = value;
    if (value >= 10) values[static_cast<unsigned char>(c - 'a' + 'A')] = value;
  }
  return values;
}();

}  // namespace

void append_hex(std::string& out, Bytes bytes) {
  const std::size_t before = out.size();
  // The size that libstdc++ 12 hands over may be the capacity.
  out.resize_and_overwrite(before + bytes.size() * 2, [bytes, before](char* text, std::size_t) {
    char* const to = text + before;
    const std::uint8_t* const from = bytes.data();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      to[2 * i] = digit(from[i] >> 4);
      to[2 * i + 1] = digit(from[i] & 15u);
    }
    return before + bytes.size() * 2;
  });
}

std::string to_hex(Bytes bytes) {
  std::string text;
  append_hex(text, bytes);
  return text;
}

std::string to_hex_reversed(Bytes bytes) {
  std::vector<std::uint8_t> reversed(bytes.rbegin(), bytes.rend());
  return to_hex(reversed);
}

bool from_hex(std::string_view text, MutableBytes out) {
  if (text.size() != out.size() * 2) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = kValues[static_cast<unsigned char>(text[2 * i])];
    const int low = kValues[static_cast<unsigned char>(text[2 * i + 1])];
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

std::optional<std::vector<std::uint8_t>> from_hex(std::string_view text) {
  std::vector<std::uint8_t> bytes(text.size() / 2);
  if (!from_hex(text, MutableBytes(bytes))) return std::nullopt;
  return bytes;
}

}  // namespace adit
