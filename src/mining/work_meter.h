// The hash rate that shares prove. No I/O, time is an argument.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/time.h"

namespace adit::mining {

/// Adds up the work of one miner's shares, older ones by less: what is older than a few minutes no longer counts. It counts no
/// time in which the miner had no work. A value; allocates nothing.
class WorkMeter {
 public:
  /// Shares lose two thirds of their weight in so long.
  static constexpr std::chrono::seconds kSpan{120};
  /// The first share is taken to be the work of so long at least: one that comes at once proves no huge rate.
  static constexpr std::chrono::seconds kLeast{15};

  /// The miner has work from now on. Nothing happens if it had before.
  void start(Instant now) {
    if (std::exchange(running_, true)) return;
    at_ = now;
  }
  /// The miner has no work from now on: the rate stays what it is.
  void pause(Instant now) {
    advance(now);
    running_ = false;
  }
  /// A share that was held against that difficulty.
  void on_share(Instant now, double difficulty) {
    advance(now);
    sum_ += difficulty;
  }
  /// Hashes per second; 0 before the first share.
  [[nodiscard]] double hash_rate_hps(Instant now) const {
    WorkMeter copy = *this;
    copy.advance(now);
    const double counted = std::max(seconds_of(copy.counted_), seconds_of(kLeast));
    return copy.sum_ * kHashesPerDifficulty / (seconds_of(kSpan) * -std::expm1(-counted / seconds_of(kSpan)));
  }

 private:
  /// 2^256 over the target of difficulty 1.
  static constexpr double kHashesPerDifficulty = 4295032833.0;
  static double seconds_of(Duration duration) { return std::chrono::duration<double>(duration).count(); }

  void advance(Instant now) {
    if (!running_ || now <= at_) return;
    sum_ *= std::exp(-seconds_of(now - at_) / seconds_of(kSpan));
    counted_ += now - at_;
    at_ = now;
  }

  bool running_ = false;
  Instant at_{};        ///< Of `sum_`.
  Duration counted_{};  ///< Time with work up to then.
  double sum_ = 0;      ///< Difficulty of the shares, each weighed by its age.
};

}  // namespace adit::mining
