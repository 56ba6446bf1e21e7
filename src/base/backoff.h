// Exponential backoff with full jitter: the wait before try n is uniform in [0, min(cap, first * 2^n)].
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace adit {

/// Randomness is an argument, so that a test's run repeats. Not thread-safe.
class Backoff {
 public:
  /// `first` bounds the wait after the first failure, `cap` that of any.
  constexpr Backoff(Duration first, Duration cap) : first_(first), cap_(cap), bound_(first) {}

  /// The wait before the next try. `random` is uniform over all of uint64.
  [[nodiscard]] Duration next(std::uint64_t random) {
    const auto range = static_cast<std::uint64_t>(bound_.count()) + 1;
    bound_ = std::min(cap_, bound_ * 2);
    return Duration{static_cast<Duration::rep>(random % range)};
  }

  /// After a period that counts as stable the next failure is a first one again.
  void reset() { bound_ = first_; }

 private:
  Duration first_;
  Duration cap_;
  Duration bound_;
};

}  // namespace adit
