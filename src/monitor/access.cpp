#include "monitor/access.h"

#include <sodium.h>

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "base/text.h"

namespace adit::monitor {
namespace {

/// Whether `given` is the token. What is too long is no token, so that nobody makes us hash more than the right one takes.
bool is_token(const Sha256Digest& token, std::string_view given) {
  if (given.size() > kMaxTokenSize) return false;
  const Sha256Digest digest = sha256(as_bytes(given));
  return sodium_memcmp(digest.data(), token.data(), token.size()) == 0;
}

/// Whether `given`, base64, is that of a user and the token.
bool is_token_of_anybody(const Sha256Digest& token, std::string_view given) {
  std::array<char, 4 * kMaxTokenSize> pair{};
  std::size_t size = 0;
  const bool decoded = sodium_base642bin(reinterpret_cast<unsigned char*>(pair.data()), pair.size(), given.data(), given.size(),
                                         nullptr, &size, nullptr, sodium_base64_VARIANT_ORIGINAL) == 0;
  bool good = false;
  if (decoded) {
    const std::string_view text(pair.data(), size);
    const auto colon = text.find(':');
    good = colon != std::string_view::npos && is_token(token, text.substr(colon + 1));
  }
  sodium_memzero(pair.data(), pair.size());
  return good;
}

}  // namespace

bool Access::admits(std::string_view authorization) const {
  if (!token_) return true;
  const auto space = authorization.find(' ');
  if (space == std::string_view::npos) return false;
  const std::string scheme = lower_case(authorization.substr(0, space));
  const auto begin = authorization.find_first_not_of(' ', space);
  const std::string_view given = begin == std::string_view::npos ? std::string_view() : authorization.substr(begin);
  if (scheme == "bearer") return is_token(*token_, given);
  return scheme == "basic" && is_token_of_anybody(*token_, given);
}

}  // namespace adit::monitor
