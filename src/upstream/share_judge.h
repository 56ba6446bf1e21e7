// What the rejections of our shares say about an upstream. An engine: no I/O, time is an argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "base/time.h"

namespace adit::upstream {

/// Whether the rejections of our shares speak against the upstream. A share that was on its way when a tip, a target or a
/// prefix changed is rejected by nobody's fault, and the change itself may be under way when the rejection comes: each is
/// held against the upstream only if nothing changed within a round trip before or after it.
class ShareJudge {
 public:
  struct Limits {
    unsigned least = 20;  ///< So many held within a window, and more than were accepted: at fault.
    Duration window = std::chrono::minutes(1);
  };
  ShareJudge() : ShareJudge(Limits()) {}
  explicit ShareJudge(Limits limits) : limits_(limits) {}

  void on_change(Instant now);  ///< SetNewPrevHash, SetTarget, SetExtranoncePrefix, or a new job.
  void on_accepted(std::uint64_t shares, Instant now);
  void on_rejected(Instant now, Duration round_trip);
  /// To be asked about once a second.
  [[nodiscard]] bool at_fault(Instant now);
  [[nodiscard]] std::uint64_t held() const { return held_; }  ///< Within this window.

 private:
  static constexpr std::size_t kMaxPending = 1024;  ///< More at once wait for nothing.
  void roll(Instant now);

  struct Pending {
    Instant judged_at;  ///< If nothing changed by then, it is held.
  };
  Limits limits_;
  std::deque<Pending> pending_;
  Instant changed_at_ = Instant::min();
  Instant window_since_{};
  std::uint64_t accepted_ = 0;
  std::uint64_t held_ = 0;
};

}  // namespace adit::upstream
