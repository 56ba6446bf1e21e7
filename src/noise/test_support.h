// What this layer's tests share: a generator that repeats, and a handshake between two ends.
#pragma once

#include <gtest/gtest.h>

#include <string_view>
#include <utility>
#include <vector>

#include "base/hex.h"
#include "noise/handshake.h"

namespace adit::noise::test {

inline std::vector<std::uint8_t> bytes(std::string_view hex) { return *from_hex(hex); }

template <std::size_t kSize>
std::array<std::uint8_t, kSize> array(std::string_view hex) {
  std::array<std::uint8_t, kSize> out{};
  EXPECT_TRUE(from_hex(hex, out)) << hex;
  return out;
}

/// Hands out `first`, `first + 1`, ... and so on round the clock: fit for tests only.
inline RandomSource counting(std::uint8_t first) {
  return [next = first](MutableBytes out) mutable {
    for (auto& byte : out) byte = next++;
  };
}

inline constexpr UnixTime kNow{std::chrono::seconds{1'700'000'000}};

/// Two ends of one connection, after a handshake.
inline std::pair<Session, Session> connected_pair(std::uint32_t max_payload = wire::kMaxPayload) {
  const auto authority = AuthorityKeyPair::generate(counting(1));
  const auto key = CertifiedKey::make(authority, kNow, std::chrono::hours{1}, counting(2));
  Initiator initiator(authority.public_key(), counting(3));
  auto answer = Responder::answer(initiator.act1(), key, counting(4), max_payload);
  EXPECT_TRUE(answer);
  auto session = initiator.read_act2(answer->act2, kNow, max_payload);
  EXPECT_TRUE(session) << session.error().message();
  return {std::move(*session), std::move(answer->session)};
}

}  // namespace adit::noise::test
