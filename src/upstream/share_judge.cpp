#include "upstream/share_judge.h"

namespace adit::upstream {

void ShareJudge::roll(Instant now) {
  if (now - window_since_ < limits_.window) return;
  window_since_ = now;
  accepted_ = 0;
  held_ = 0;
}

void ShareJudge::on_change(Instant now) {
  roll(now);
  // What was due before the change is judged already; for the rest the change may be the cause.
  while (!pending_.empty() && pending_.front().judged_at < now) {
    ++held_;
    pending_.pop_front();
  }
  pending_.clear();
  changed_at_ = now;
}

void ShareJudge::on_accepted(std::uint64_t shares, Instant now) {
  roll(now);
  accepted_ += shares;
}

void ShareJudge::on_rejected(Instant now, Duration round_trip) {
  roll(now);
  if (changed_at_ != Instant::min() && now - changed_at_ <= round_trip) return;
  if (pending_.size() == kMaxPending) {
    ++held_;
    pending_.pop_front();
  }
  pending_.push_back({now + round_trip});
}

bool ShareJudge::at_fault(Instant now) {
  roll(now);
  while (!pending_.empty() && pending_.front().judged_at <= now) {
    ++held_;
    pending_.pop_front();
  }
  return held_ >= limits_.least && held_ > accepted_;
}

}  // namespace adit::upstream
