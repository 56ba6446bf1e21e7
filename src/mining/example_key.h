// On which chains work is given or mined under SRI's published example authority key: the one place that says so.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/u256.h"
#include "session/error.h"

namespace adit::mining {

/// Whether a block with that nbits at that height, if it is known, is of a chain that is worth nothing: regtest, or a signet of
/// somebody's own, which is as easy as its first block or still shorter than any public chain. There nobody gains by posing as
/// a pool: on a public chain no block with such bits or of such a height is valid (BIP34).
inline bool is_worthless_chain(std::uint32_t nbits, std::optional<std::uint32_t> height) {
  constexpr std::uint32_t kEasiestSignet = 0x1e0377ae;
  constexpr std::uint32_t kShorterThanAnyPublic = 1U << 15U;
  const auto target = bitcoin::target_from_compact(nbits);
  return (height && *height < kShorterThanAnyPublic) || (target && *target >= *bitcoin::target_from_compact(kEasiestSignet));
}

/// Whether work with that nbits (SetNewPrevHash) may be mined for an upstream whose authority key is one whose secret everybody
/// has. `height`: of the block, where the work tells it. Error: kConfiguration.
inline Result<void> check_example_key(std::uint32_t nbits, std::optional<std::uint32_t> height) {
  if (is_worthless_chain(nbits, height)) return {};
  return fail(session::Errc::kConfiguration,
              "this upstream mines on a network that is neither regtest nor a signet of its own under SRI's published example "
              "authority key, whose secret "
              "everybody has, so anybody can pose as it: nothing is mined for it; ask the pool for its own key and put that "
              "into authority_pubkey (or the URL), then start again");
}

/// The same for an upstream whose work comes as extended jobs and previous hashes, in any order.
class ExampleKeyGuard {
 public:
  /// `coinbase_prefix`: of NewExtendedMiningJob. Error: kConfiguration.
  Result<void> on_job(Bytes coinbase_prefix) {
    const auto height = bitcoin::height_of_coinbase(coinbase_prefix);
    // What one job is told of is not known of another: the tallest counts, and one that does not tell it is taller.
    height_ = !height || !height_ ? std::nullopt : std::max(height_, height);
    return check();
  }

  /// Error: kConfiguration.
  Result<void> on_tip(std::uint32_t nbits) {
    nbits_ = nbits;
    return check();
  }

 private:
  [[nodiscard]] Result<void> check() const { return nbits_ ? check_example_key(*nbits_, height_) : Result<void>{}; }

  std::optional<std::uint32_t> nbits_;
  std::optional<std::uint32_t> height_ = 0;
};

}  // namespace adit::mining
