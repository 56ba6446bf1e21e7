// Whether a pool still has work that is worth mining on.
#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <optional>
#include <utility>

#include "base/time.h"

namespace adit::pool {

/// When a pool that gets no templates stops taking miners, and how fast it lets go of those that it has.
struct StaleWorkPolicy {
  /// The pool has had no templates for so long: it opens no channel and closes those that are open. Zero: never. A node that
  /// restarts, or verifies its blocks first, is away for minutes.
  Duration after = std::chrono::minutes(5);
  /// In this time the open channels are closed, evenly, so that the miners do not come to their next pool all at once.
  Duration spread = std::chrono::minutes(1);
};

/// Knows since when there are no templates. No clock, one thread.
class WorkWatch {
 public:
  explicit WorkWatch(StaleWorkPolicy policy) : policy_(policy) {}

  /// There have been no templates since `since`. Told again before they are back: nothing.
  void lost(Instant since) {
    if (!lost_since_) lost_since_ = since;
  }

  /// Templates come again. Returns for how long there were none, if that was told as stale.
  std::optional<Duration> back(Instant now) {
    const auto since = std::exchange(lost_since_, std::nullopt);
    if (!since || !std::exchange(told_, false)) return std::nullopt;
    return now - *since;
  }

  struct Verdict {
    std::optional<Instant> stale_since;  ///< Absent: the work is good, or its source is not away for long enough.
    bool just_now = false;               ///< This call is the first one that says so: it is to be told.
  };
  Verdict look(Instant now) {
    if (policy_.after == Duration::zero() || !lost_since_ || now - *lost_since_ < policy_.after) return {};
    return {.stale_since = *lost_since_ + policy_.after, .just_now = !std::exchange(told_, true)};
  }

  /// How many of `open` channels are to be closed now, if it is asked every `period`.
  [[nodiscard]] std::size_t to_close(std::size_t open, Instant stale_since, Instant now, Duration period) const {
    const Duration left = policy_.spread - (now - stale_since);
    if (left <= period) return open;
    // Rounded up, so that the last one does not wait for ever.
    const double share = static_cast<double>(period.count()) / static_cast<double>(left.count());
    return static_cast<std::size_t>(std::ceil(static_cast<double>(open) * share));
  }

 private:
  const StaleWorkPolicy policy_;
  std::optional<Instant> lost_since_;
  bool told_ = false;
};

}  // namespace adit::pool
