#include "net/health.h"

namespace adit::net {

std::string_view to_words(HealthReason reason) {
  switch (reason) {
    case HealthReason::kNone:
      break;
    case HealthReason::kSlow:
      return "answers slowly";
    case HealthReason::kLossy:
      return "is reached with many packets lost";
    case HealthReason::kLate:
      return "leaves a Ping unanswered";
    case HealthReason::kSilent:
      return "is not heard from: it, or the way to it, is down";
    case HealthReason::kHung:
      return "does not answer, and its host is not to blame: the program hangs";
  }
  return "is well";
}

void HealthMonitor::on_ping(Instant now) {
  measured_at_ = now;
  if (!pinged_at_) pinged_at_ = now;
}

void HealthMonitor::on_round_trip(Duration round_trip) {
  pinged_at_.reset();
  slow_ = round_trip > policy_.slow_after ? slow_ + 1 : 0;
}

bool HealthMonitor::ping_due(Instant now) const {
  if (pinged_at_) return false;
  return now - frames_at_ >= policy_.dead_after / 4 || now - measured_at_ >= kMeasureEvery;
}

void HealthMonitor::count(const CarrierFigures& figures) {
  last_ = figures;
  // Counters that fell have begun anew.
  if (!window_ || figures.packets_sent < window_->packets_sent || figures.packets_lost < window_->packets_lost) {
    window_ = figures;
    return;
  }
  const auto sent = figures.packets_sent - window_->packets_sent;
  if (sent < kLossWindow) return;
  const double lost = static_cast<double>(figures.packets_lost - window_->packets_lost) / static_cast<double>(sent);
  lossy_ = lossy_ ? lost > policy_.lossy / 2 : lost >= policy_.lossy;
  window_ = figures;
}

Health HealthMonitor::judge(Instant now) const {
  const auto silent = now - heard_at_;
  // The next look comes as much later, and a count that has changed did so at some moment since the look before.
  const auto margin = last_ && last_->heard_ago ? since_last_look_ : 2 * since_last_look_;
  if (last_ && silent + margin >= policy_.dead_after) return {HealthState::kDead, HealthReason::kSilent};
  const auto waiting = pinged_at_ ? now - *pinged_at_ : Duration::zero();
  if (waiting >= policy_.dead_after / 2 && now - frames_at_ + since_last_look_ >= policy_.dead_after) {
    // A host that lives is heard several times as often (keep-alives).
    return {HealthState::kDead, last_ && silent >= policy_.dead_after / 2 ? HealthReason::kSilent : HealthReason::kHung};
  }
  if (last_ && silent >= policy_.dead_after / 2) return {HealthState::kDegraded, HealthReason::kSilent};
  if (waiting >= policy_.dead_after / 2) return {HealthState::kDegraded, HealthReason::kLate};
  if (lossy_) return {HealthState::kDegraded, HealthReason::kLossy};
  if (slow_ >= kSlowInARow) return {HealthState::kDegraded, HealthReason::kSlow};
  return {};
}

bool HealthMonitor::begin_look(Instant now) {
  since_last_look_ = now - looked_at_;
  looked_at_ = now;
  if (since_last_look_ < policy_.dead_after / 3) return false;
  heard_at_ = frames_at_ = now;
  if (pinged_at_) pinged_at_ = now;
  since_last_look_ = Duration::zero();
  return true;
}

bool HealthMonitor::needs_figures(Instant now) const {
  if (!last_ || !last_->heard_ago || health_.state != HealthState::kHealthy) return true;
  return now - heard_at_ >= policy_.dead_after / 2;
}

Health HealthMonitor::look(Instant now, const std::optional<CarrierFigures>& figures) {
  const bool anew = begin_look(now);
  if (figures) {
    if (figures->heard_ago && !anew)
      heard_at_ = now - *figures->heard_ago;
    else if (!last_ || last_->heard != figures->heard)
      heard_at_ = now;
    count(*figures);
  } else {
    last_.reset();
  }
  return conclude(now);
}

Health HealthMonitor::look(Instant now) {
  begin_look(now);
  return conclude(now);
}

Health HealthMonitor::conclude(Instant now) {
  const auto wrong = judge(now);
  if (wrong.state != HealthState::kHealthy) {
    health_ = wrong;
    calm_at_ = now + kCalm * policy_.dead_after;
  } else if (health_.state != HealthState::kHealthy && now >= calm_at_) {
    health_ = {};
  } else if (health_.state == HealthState::kDead) {
    health_.state = HealthState::kDegraded;
  }
  return health_;
}

}  // namespace adit::net
