// Variable difficulty: keeps a channel near the share rate that is wanted. One rule for whoever gives a channel or a miner its
// difficulty.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace adit::channels {

/// Adds up the work of shares and says when the channel's hash rate must be corrected. A value.
///
/// Each share counts what its own job asked for, not what the channel's target is by now: jobs given before a change keep their
/// target, and taken at the new one their shares would drive the rate on in the same direction.
///
/// Judged once a minute, as SRI does (channels_sv2 vardiff/classic.rs), because a rate looked at every second is found wrong by
/// chance; but within the minute, 15 s after the last look, once kEnoughShares have come, which are few only in error.
///
/// The number of shares has a standard deviation of the root of what is expected. In this order:
/// - No share since counting began: the rate is divided by 3, as SRI does.
/// - The recent shares, kRecent or a few more, are kSurprising standard deviations from what was to be expected: the miner has
///   changed. The rate is what they say; more than 1000 % off by less than kEnoughShares it is multiplied by 10 (up to 30 s), 5
///   (under 60 s) or 3, as SRI does, and without one it is divided by 3. Counting begins anew, for what came before is of
///   another rate.
/// - All shares since counting began are more than one standard deviation off, and 15 %: the rate is what they say, and
/// counting
///   goes on, so that what is known grows, and corrections become rare. SRI forgets all at each, and so corrects for chance
///   again and again. Of more than kRemembered shares, half an hour old, half are forgotten.
class Vardiff {
 public:
  /// Their number is within 15 % of what was to be expected nearly always.
  static constexpr std::uint32_t kEnoughShares = 50;
  static constexpr std::uint32_t kRecent = 12;
  static constexpr double kSurprising = 3;
  static constexpr std::uint32_t kRemembered = 256;
  /// Longer than it takes to be judged.
  static constexpr Duration kRestartEvery = std::chrono::minutes(2);

  explicit Vardiff(Instant now) : all_{now}, recent_{now}, judged_at_(now) {}

  /// `difficulty` of the target that the share was held against.
  void on_share(double difficulty) {
    for (Window* window : {&all_, &recent_}) {
      window->work += static_cast<float>(difficulty);
      ++window->shares;
    }
  }

  /// The corrected hash rate, never below `min_hash_rate_hps`; nullopt while the present one will do. `hash_rate_hps` is what
  /// the channel is assumed to have. `rarer`: how often the wanted share rate was halved, by which all times are longer
  /// while there are few shares.
  std::optional<double> update(Instant now, double hash_rate_hps, double min_hash_rate_hps, unsigned rarer = 0);

  /// The client declared another hash rate: starts counting anew, unless it did so within kRestartEvery. A client that changes
  /// its mind every second is judged all the same.
  void restart(Instant now) {
    if (restarted_at_ != Instant::min() && now - restarted_at_ < kRestartEvery) return;
    restarted_at_ = now;
    reset(now);
  }

  /// Starts counting anew.
  void reset(Instant now) {
    all_ = recent_ = {now};
    judged_at_ = now;
  }

 private:
  struct Window {
    Instant since;
    float work = 0;  ///< Difficulty of its shares; of fewer than the 2^24 from which one more would be lost.
    std::uint32_t shares = 0;
  };

  Window all_;     ///< Since the miner has changed.
  Window recent_;  ///< The end of that.
  Instant judged_at_;
  Instant restarted_at_ = Instant::min();  ///< Until the first time.
};

}  // namespace adit::channels
