// Variable difficulty: keeps a channel near the share rate that the pool wants, by the rules that SRI uses (channels_sv2
// vardiff/classic.rs).
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace adit::channels {

/// Adds up the work of shares since the last change and says when the channel's hash rate must be corrected. A value.
///
/// Each share counts what its own job asked for, not what the channel's target is by now: jobs given before a change keep their
/// target, and taken at the new one their shares would drive the rate on in the same direction.
///
/// Judged once a minute, as SRI does, because a rate looked at every second is found wrong by chance; but within the minute
/// once kEnoughShares have come, which are few only in error.
///
/// Never within 15 s of the last change. By how far the rate estimated from the shares is from the assumed one:
/// at once from 100 %, after 60 s from 60 %, 120 s: 50 %, 180 s: 45 %, 240 s: 30 %, 300 s: 15 %. No share at all: the rate is
/// divided by 3; more than 1000 % off: multiplied by 10 (up to 30 s), 5 (under 60 s) or 3.
class Vardiff {
 public:
  /// Their number is within 15 % of what was to be expected nearly always.
  static constexpr std::uint32_t kEnoughShares = 50;
  /// Longer than it takes to be judged.
  static constexpr Duration kRestartEvery = std::chrono::minutes(2);

  explicit Vardiff(Instant now) : since_(now), judged_at_(now) {}

  /// `difficulty` of the target that the share was held against.
  void on_share(double difficulty) {
    work_ += difficulty;
    ++shares_;
  }

  /// The corrected hash rate, never below `min_hash_rate_hps`; nullopt while the present one will do. `hash_rate_hps` is what
  /// the channel is assumed to have. `rarer`: how often the wanted share rate was halved, by which all times are longer
  /// while there are few shares.
  std::optional<double> update(Instant now, double hash_rate_hps, double min_hash_rate_hps, unsigned rarer = 0);

  /// The client declared another hash rate: starts counting anew, unless it did so within kRestartEvery. A client that changes
  /// its mind every second is judged all the same.
  void restart(Instant now) {
    if (restarted_at_ && now - *restarted_at_ < kRestartEvery) return;
    restarted_at_ = now;
    reset(now);
  }

  /// Starts counting anew.
  void reset(Instant now) {
    since_ = judged_at_ = now;
    work_ = 0;
    shares_ = 0;
  }

 private:
  Instant since_;
  Instant judged_at_;
  std::optional<Instant> restarted_at_;
  std::uint32_t shares_ = 0;
  double work_ = 0;  ///< Difficulty of the shares since then.
};

}  // namespace adit::channels
