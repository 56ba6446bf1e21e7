// Where the shares of a load come from: each is hashed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "bitcoin/hash.h"
#include "bitcoin/u256.h"

namespace adit::load {

/// The shares of one header, nonce after nonce: each meets the target and is no block, where the network's target leaves room
/// for that, so that a load on a test network moves no tip.
class ShareSearch {
 public:
  /// Hashes tried for one share before giving up.
  static constexpr std::uint32_t kMaxTries = 1 << 16;

  ShareSearch(std::span<const std::uint8_t, bitcoin::kHeaderSize> header, const bitcoin::U256& target,
              const bitcoin::U256& network_target)
      : midstate_(header.first<64>()), target_(target), network_target_(network_target) {
    std::ranges::copy(header.last<16>(), tail_.begin());
  }

  /// The next share's nonce; nullopt if kMaxTries hashes held none.
  std::optional<std::uint32_t> next();

 private:
  bitcoin::HeaderMidstate midstate_;
  std::array<std::uint8_t, 16> tail_{};  ///< The header's last bytes, the nonce being the last four.
  bitcoin::U256 target_;
  bitcoin::U256 network_target_;
  std::uint32_t next_nonce_ = 0;
};

}  // namespace adit::load
