#include "roles/miner/sv2.h"

namespace adit::miner {

void Sv2Role::begin(std::size_t candidate, const net::Upstream& peer, const Now& now) {
  auto options = options_;
  options.regtest_only = regtest_only_[candidate];
  session_.emplace(std::move(options), static_cast<SessionHandler&>(*this));
  since_ = now.instant;
  has_work_ = false;
  handler_.on_connected(peer);
}

Result<void> Sv2Role::on_frames(std::span<const wire::FrameView> frames, const Now& now) {
  for (const auto& frame : frames) ADIT_CHECK(session_->on_frame(frame, now, output_));
  return {};
}

net::StratumV2StreamHandler Sv2Role::end(const Now&, wire::FrameBuffer& last_words) {
  auto shares = session_->stop(last_words);
  session_.reset();
  return shares;
}

void Sv2Role::submit(const Solution& solution, const Now& now) {
  if (session_) session_->on_solution(solution, now, output_);
}

Result<void> Sv2Role::on_tick(const Now& now) const {
  if (!session_ || has_work_ || now.instant - since_ < kWorkDeadline) return {};
  return fail(net::Errc::kTimedOut, "the pool gave no work in time");
}

void Sv2Role::on_work(const HashWork& work) {
  has_work_ = true;
  handler_.on_work(work);
}

void Sv2Role::on_lost(const net::Upstream&, const Error& why) { handler_.on_disconnected(why, true); }

void Sv2Role::on_attempt_failed(const net::Upstream&, const Error& why) {
  if (!session_) handler_.on_disconnected(why, false);
}

net::Severity Sv2Role::severity_of(const Error& error) const {
  if (error.is(Errc::kProtocol)) return net::Severity::kMisbehaved;
  if (error.is(Errc::kRefused)) return net::Severity::kRefused;
  if (error.is(Errc::kConfiguration)) return net::Severity::kUnusable;
  return net::severity_of(error);
}

}  // namespace adit::miner
