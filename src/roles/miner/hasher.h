// The CPU miner's search: block headers hashed one nonce after the other.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/sha256.h"

namespace adit::miner {

/// A header to search, and what counts as found.
struct HashWork {
  std::uint64_t id = 0;                      ///< The driver's name for this work; comes back with each solution.
  std::array<std::uint8_t, 80> header{};     ///< As on the wire; the nonce in it is ignored.
  std::array<std::uint8_t, 32> target_le{};  ///< A hash, read as a little-endian number, must not exceed this one.
};

/// One header being searched by one thread. A value; no allocation.
class Hasher {
 public:
  explicit Hasher(const HashWork& work);

  /// Tries `count` nonces from `first` on (wrapping at 2^32) and returns the first whose hash meets the target.
  [[nodiscard]] std::optional<std::uint32_t> search(std::uint32_t first, std::uint32_t count);

 private:
  Sha256Compress compress_;
  Sha256State midstate_;                         ///< After the header's first 64 bytes.
  std::array<std::uint8_t, 64> tail_{};          ///< The header's last 16 bytes, padded: nonce at 12.
  std::array<std::uint8_t, 64> digest_block_{};  ///< The first digest, padded, as input of the second hash.
  std::array<std::uint8_t, 32> target_le_;
  std::uint32_t target_top_;
};

}  // namespace adit::miner
