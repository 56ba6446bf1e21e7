#include "bitcoin/bech32.h"

#include <algorithm>

#include "base/text.h"

namespace adit::bitcoin {
namespace {

constexpr std::string_view kCharset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
constexpr std::size_t kChecksumSize = 6;
constexpr std::uint32_t kBech32Constant = 1;
constexpr std::uint32_t kBech32mConstant = 0x2bc830a3;

constexpr std::uint32_t kGenerator[5] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};

void absorb(std::uint32_t& checksum, std::uint8_t value) {
  const std::uint32_t top = checksum >> 25;
  checksum = (checksum & 0x1ffffff) << 5 ^ value;
  for (unsigned i = 0; i < 5; ++i) {
    if ((top >> i & 1) != 0) checksum ^= kGenerator[i];
  }
}

void absorb_hrp(std::uint32_t& checksum, std::string_view hrp) {
  for (char c : hrp) absorb(checksum, static_cast<std::uint8_t>(c >> 5));
  absorb(checksum, 0);
  for (char c : hrp) absorb(checksum, static_cast<std::uint8_t>(c & 31));
}

}  // namespace

std::optional<Bech32> bech32_decode(std::string_view text) {
  if (text.size() > 90) return std::nullopt;
  bool lower = false;
  bool upper = false;
  std::string folded;
  for (char c : text) {
    if (c < 33 || c > 126) return std::nullopt;
    lower = lower || (c >= 'a' && c <= 'z');
    upper = upper || (c >= 'A' && c <= 'Z');
    folded.push_back(lower_case(c));
  }
  const std::size_t separator = folded.rfind('1');
  if ((lower && upper) || separator == std::string::npos || separator == 0 || separator + 1 + kChecksumSize > folded.size()) {
    return std::nullopt;
  }
  Bech32 decoded;
  decoded.hrp = folded.substr(0, separator);
  std::uint32_t checksum = 1;
  absorb_hrp(checksum, decoded.hrp);
  for (char c : std::string_view(folded).substr(separator + 1)) {
    const std::size_t value = kCharset.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    decoded.data.push_back(static_cast<std::uint8_t>(value));
    absorb(checksum, decoded.data.back());
  }
  if (checksum != kBech32Constant && checksum != kBech32mConstant) return std::nullopt;
  decoded.is_bech32m = checksum == kBech32mConstant;
  decoded.data.resize(decoded.data.size() - kChecksumSize);
  return decoded;
}

std::string bech32_encode(const Bech32& decoded) {
  std::uint32_t checksum = 1;
  absorb_hrp(checksum, decoded.hrp);
  std::string text = decoded.hrp + '1';
  for (std::uint8_t value : decoded.data) {
    absorb(checksum, value);
    text.push_back(kCharset[value]);
  }
  for (std::size_t i = 0; i < kChecksumSize; ++i) absorb(checksum, 0);
  checksum ^= decoded.is_bech32m ? kBech32mConstant : kBech32Constant;
  for (std::size_t i = 0; i < kChecksumSize; ++i) text.push_back(kCharset[checksum >> (5 * (kChecksumSize - 1 - i)) & 31]);
  return text;
}

std::optional<std::vector<std::uint8_t>> bytes_from_groups_of_five(const std::vector<std::uint8_t>& groups, std::size_t from) {
  std::vector<std::uint8_t> bytes;
  std::uint32_t buffer = 0;
  unsigned bits = 0;
  for (std::size_t i = from; i < groups.size(); ++i) {
    buffer = (buffer << 5 | groups[i]) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push_back(static_cast<std::uint8_t>(buffer >> bits));
    }
  }
  if (bits > 4 || (buffer & ((1u << bits) - 1)) != 0) return std::nullopt;
  return bytes;
}

void append_groups_of_five(std::vector<std::uint8_t>& groups, Bytes bytes) {
  std::uint32_t buffer = 0;
  unsigned bits = 0;
  for (std::uint8_t byte : bytes) {
    buffer = (buffer << 8 | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) groups.push_back(static_cast<std::uint8_t>(buffer >> (bits - 5) & 31));
  }
  if (bits != 0) groups.push_back(static_cast<std::uint8_t>(buffer << (5 - bits) & 31));
}

}  // namespace adit::bitcoin
