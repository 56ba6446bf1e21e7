#include "base/base58.h"

#include <algorithm>
#include <array>

#include "base/sha256.h"
#include "base/wiping.h"

namespace adit {
namespace {

constexpr std::string_view kAlphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr std::size_t kChecksumSize = 4;

constexpr std::array<std::int16_t, 256> kDigitValues = [] {
  std::array<std::int16_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int16_t>(i);
  }
  return values;
}();

}  // namespace

std::string base58_encode(Bytes bytes) {
  const auto zeros = static_cast<std::size_t>(
      std::find_if(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte != 0; }) - bytes.begin());
  WipedBytes digits;  // Least significant first.
  for (std::uint8_t byte : bytes.subspan(zeros)) {
    unsigned carry = byte;
    for (std::uint8_t& digit : digits) {
      carry += static_cast<unsigned>(digit) << 8;
      digit = static_cast<std::uint8_t>(carry % 58);
      carry /= 58;
    }
    for (; carry != 0; carry /= 58) digits.push_back(static_cast<std::uint8_t>(carry % 58));
  }
  std::string text;
  text.reserve(zeros + digits.size());  // The text may be a secret: growing would leave copies of it.
  text.append(zeros, kAlphabet[0]);
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit) text.push_back(kAlphabet[*digit]);
  return text;
}

std::optional<std::vector<std::uint8_t>> base58_decode(std::string_view text, std::size_t max_size) {
  const std::size_t zeros = std::min(text.find_first_not_of(kAlphabet[0]), text.size());
  if (zeros > max_size) return std::nullopt;
  std::vector<std::uint8_t> bytes;                 // Least significant first.
  bytes.reserve(std::min(text.size(), max_size));  // They may be a secret: growing would leave copies of them.
  for (char c : text.substr(zeros)) {
    const int value = kDigitValues[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    auto carry = static_cast<unsigned>(value);
    for (std::uint8_t& byte : bytes) {
      carry += static_cast<unsigned>(byte) * 58;
      byte = static_cast<std::uint8_t>(carry & 0xff);
      carry >>= 8;
    }
    if (carry != 0) {
      if (bytes.size() + zeros == max_size) return std::nullopt;
      bytes.push_back(static_cast<std::uint8_t>(carry));
    }
  }
  bytes.resize(bytes.size() + zeros);
  std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

std::string base58check_encode(Bytes payload) {
  WipedBytes bytes(payload.begin(), payload.end());
  const Sha256Digest digest = sha256d(payload);
  bytes.insert(bytes.end(), digest.begin(), digest.begin() + kChecksumSize);
  return base58_encode(bytes);
}

std::optional<std::vector<std::uint8_t>> base58check_decode(std::string_view text, std::size_t max_payload) {
  auto bytes = base58_decode(text, max_payload + kChecksumSize);
  if (!bytes || bytes->size() < kChecksumSize) return std::nullopt;
  const Bytes payload = Bytes(*bytes).first(bytes->size() - kChecksumSize);
  const Sha256Digest digest = sha256d(payload);
  if (!std::equal(digest.begin(), digest.begin() + kChecksumSize, bytes->end() - kChecksumSize)) {
    ::explicit_bzero(bytes->data(), bytes->size());  // A secret with a slip is nearly the secret.
    return std::nullopt;
  }
  bytes->resize(payload.size());
  return bytes;
}

}  // namespace adit
