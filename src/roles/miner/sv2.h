// What the miner is to its uplink: one session of one channel at a time, whose work goes to the threads.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "roles/miner/session.h"
#include "upstream/mining_role.h"

namespace adit::miner {

/// What the miner hears beside work and answers. Calls come from inside the role's functions; none may destroy it.
class Sv2Handler : public SessionHandler {
 public:
  /// That pool is used from now on; its work comes by on_work.
  virtual void on_connected(const net::Peer& peer) = 0;
  /// An attempt failed, or (`used`) the one in use is lost: no work until the next on_connected. The next try is on its way.
  virtual void on_disconnected(const Error& why, bool used) = 0;
  /// Nothing is left that may be dialled before somebody changes the configuration. The last call.
  virtual void on_unusable(const Error& why) = 0;
};

class Sv2Role final : public upstream::MiningRole, private SessionHandler {
 public:
  /// `regtest_only`: ChannelClientOptions::regtest_only by pool. `handler` outlives it.
  Sv2Role(mining::ChannelClientOptions options, std::vector<bool> regtest_only, Sv2Handler& handler)
      : options_(std::move(options)), regtest_only_(std::move(regtest_only)), handler_(handler) {}

  /// A thread found something for the work that came last; output() has the share.
  void submit(const Solution& solution, const Now& now);

  /// Error: session::Errc::kTimedOut, the session has had no work for too long.
  Result<void> on_tick(const Now& now) override;
  wire::FrameBuffer& output() override { return output_; }
  void on_lost(const net::Peer& peer, const Error& why) override;
  void on_attempt_failed(const net::Peer& peer, const Error& why) override;
  void on_unusable(const Error& why) override { handler_.on_unusable(why); }

 private:
  /// From a session's begin to its first work.
  static constexpr Duration kWorkDeadline = std::chrono::seconds(30);

  Result<void> begin_mining(std::size_t candidate, const net::Peer& peer, const session::Agreement& agreement,
                            const Now& now) override;
  Result<void> on_mining_frames(std::span<const wire::FrameView> frames, const Now& now) override;
  session::StratumV2StreamHandler end_mining(const Now& now, wire::FrameBuffer& last_message) override;
  void on_late_answer(const wire::SubmitSharesSuccess& message) override {
    handler_.on_accepted(message.new_submits_accepted_count);
  }
  void on_late_answer(const wire::SubmitSharesError& message) override { handler_.on_rejected(message.error_code.view()); }

  void on_work(const HashWork& work) override;
  void on_accepted(std::uint64_t shares) override { handler_.on_accepted(shares); }
  void on_rejected(std::string_view code) override { handler_.on_rejected(code); }

  mining::ChannelClientOptions options_;
  const std::vector<bool> regtest_only_;
  Sv2Handler& handler_;
  std::optional<Sv2Session> session_;
  Instant since_{};
  bool has_work_ = false;
  wire::FrameBuffer output_;
};

}  // namespace adit::miner
