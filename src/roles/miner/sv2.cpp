#include "roles/miner/sv2.h"

namespace adit::miner {

Result<void> Sv2Role::begin_mining(std::size_t candidate, const net::Peer& peer, const session::Agreement& agreement,
                                   const Now& now) {
  options_.regtest_only = regtest_only_[candidate];
  session_.emplace(options_, static_cast<SessionHandler&>(*this));
  since_ = now.instant;
  has_work_ = false;
  handler_.on_connected(peer);
  return session_->open(agreement, output_);
}

Result<void> Sv2Role::on_mining_frames(std::span<const wire::FrameView> frames, const Now& now) {
  for (const auto& frame : frames) ADIT_CHECK(session_->on_frame(frame, now));
  return {};
}

session::StratumV2StreamHandler Sv2Role::end_mining(const Now&, wire::FrameBuffer& last_message) {
  auto shares = session_->stop(last_message);
  session_.reset();
  return shares;
}

void Sv2Role::submit(const Solution& solution, const Now& now) {
  if (session_) session_->on_solution(solution, now, output_);
}

Result<void> Sv2Role::on_tick(const Now& now) {
  if (!session_ || has_work_ || now.instant - since_ < kWorkDeadline) return {};
  return fail(session::Errc::kTimedOut, "the pool gave no work in time");
}

void Sv2Role::on_work(const HashWork& work) {
  has_work_ = true;
  handler_.on_work(work);
}

void Sv2Role::on_lost(const net::Peer&, const Error& why) { handler_.on_disconnected(why, true); }

void Sv2Role::on_attempt_failed(const net::Peer&, const Error& why) {
  if (!session_) handler_.on_disconnected(why, false);
}

}  // namespace adit::miner
