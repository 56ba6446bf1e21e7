#include "noise/hash.h"

#include <algorithm>

#include <sodium.h>

namespace adit::noise {

Secret hmac_sha256(Bytes key, Bytes data, Bytes more) {
  std::array<std::uint8_t, 64> pad{};
  std::ranges::copy(key.first(std::min(key.size(), pad.size())), pad.begin());
  for (auto& byte : pad) byte ^= 0x36;
  Sha256 inner;
  Sha256Digest digest = inner.update(pad).update(data).update(more).finish();
  for (auto& byte : pad) byte ^= 0x36 ^ 0x5c;
  Sha256 outer;
  Sha256Digest result = outer.update(pad).update(digest).finish();
  Secret secret{result};
  sodium_memzero(pad.data(), pad.size());
  sodium_memzero(digest.data(), digest.size());
  sodium_memzero(result.data(), result.size());
  static_assert(std::is_trivially_copyable_v<Sha256>);
  sodium_memzero(&inner, sizeof inner);
  sodium_memzero(&outer, sizeof outer);
  return secret;
}

std::pair<Secret, Secret> hkdf2(Bytes salt, Bytes input) {
  constexpr std::array<std::uint8_t, 1> kOne{1};
  constexpr std::array<std::uint8_t, 1> kTwo{2};
  const Secret extracted = hmac_sha256(salt, input);
  Secret first = hmac_sha256(extracted.bytes(), kOne);
  Secret second = hmac_sha256(extracted.bytes(), first.bytes(), kTwo);
  return {std::move(first), std::move(second)};
}

}  // namespace adit::noise
