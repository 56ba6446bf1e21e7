// Hash rates that shares prove.
#pragma once

#include <chrono>
#include <deque>
#include <utility>

#include "base/time.h"

namespace adit::monitor {

/// The hash rate of the last ten minutes, from a sum of accepted difficulty that only grows. Not thread-safe.
class MeasuredRate {
 public:
  /// `work`: the sum as of `now`, in units of difficulty 1. Returns hashes per second; 0 until two looks are a second apart.
  double look(double work, Instant now) {
    if (!looks_.empty() && work < looks_.back().second) looks_.clear();  // It began anew.
    // One look a second is enough to measure by, however often it is asked for.
    if (looks_.empty() || now - looks_.back().first >= std::chrono::seconds(1)) looks_.emplace_back(now, work);
    while (looks_.size() > 2 && now - looks_[1].first >= kSpan) looks_.pop_front();
    const std::chrono::duration<double> span = now - looks_.front().first;
    return span.count() < 1 ? 0 : (work - looks_.front().second) * kHashesPerDifficulty / span.count();
  }

 private:
  static constexpr auto kSpan = std::chrono::minutes(10);
  static constexpr double kHashesPerDifficulty = 4294967296.0;  ///< 2^32, within 2^-16 of it.
  std::deque<std::pair<Instant, double>> looks_;
};

}  // namespace adit::monitor
