// Variable difficulty: keeps a channel near the share rate that the pool wants, by the rules that SRI uses (channels_sv2
// vardiff/classic.rs).
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "bitcoin/u256.h"

namespace adit::channels {

/// Counts shares since the last change and says when the channel's hash rate must be corrected. A value.
///
/// Never within 15 s of the last change. Then by how far the rate estimated from the shares is from the assumed one:
/// at once from 100 %, after 60 s from 60 %, 120 s: 50 %, 180 s: 45 %, 240 s: 30 %, 300 s: 15 %. No share at all: the rate is
/// divided by 1.5 (up to 30 s), 2 (under 60 s) or 3; more than 1000 % off: multiplied by 10, 5 or 3 in the same spans.
class Vardiff {
 public:
  explicit Vardiff(Instant now) : since_(now) {}

  void on_share() { ++shares_; }

  /// The corrected hash rate, never below `min_hash_rate_hps`; nullopt while the present one will do. `hash_rate_hps` is what
  /// the channel is assumed to have, `target` what its shares are held against.
  std::optional<double> update(Instant now, double hash_rate_hps, const bitcoin::U256& target, double min_hash_rate_hps);

  /// Starts counting anew: the hash rate was changed for another reason.
  void reset(Instant now) {
    since_ = now;
    shares_ = 0;
  }

 private:
  Instant since_;
  std::uint32_t shares_ = 0;
};

}  // namespace adit::channels
