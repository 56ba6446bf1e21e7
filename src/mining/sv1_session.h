// An SV1 miner at a server of the mining protocol, with no hop between them: the miner's lines on one side, on the other the
// session of a client that has one extended channel. No I/O, time is an argument.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "channels/client.h"
#include "channels/payout.h"
#include "mining/server_session.h"
#include "mining/sv1_miner.h"
#include "session/line_session.h"
#include "wire/frame.h"
#include "wire/mining_messages.h"

namespace adit::mining {

/// What the SV1 sessions of one shard share. No locks: one thread. Outlives them.
struct Sv1Clients {
  explicit Sv1Clients(Sv1Policy policy) : miners(policy) {}

  /// What a server's policy for SV1 miners is: their difficulty is that of their channel, so that every share that a miner
  /// hears `true` for is counted by the server.
  static Sv1Policy policy();

  /// copy_work(message), or the one before if it says the same, as it does for all miners that are paid alike.
  std::shared_ptr<const channels::ExtendedWork> work_of(const wire::NewExtendedMiningJob& message);

  Sv1Shared miners;
  std::uint64_t last_number = 0;  ///< Of the miners so far.

 private:
  std::shared_ptr<const channels::ExtendedWork> last_work_;
};

/// The miner's lines, and what the server's session is told and tells. The channel is opened when the miner authorizes, for the
/// user that it names, so who may not mine here hears `false`. Owned by its role.
class Sv1Session final : public session::LineSession, private Sv1Owner {
 public:
  /// `server` is the session of this miner alone, made without set-up flags; it, `clients` and `payouts`, the policy by which
  /// the server pays, outlive this. `peer` and `source`: as Sv1Miner.
  Sv1Session(ServerSession& server, Sv1Clients& clients, const channels::PayoutPolicy& payouts, std::string peer,
             std::string source);
  Sv1Session(const Sv1Session&) = delete;
  Sv1Session& operator=(const Sv1Session&) = delete;

  // ---- The miner's connection.
  void on_bytes(Bytes bytes, const Now& now) override;
  /// Held back while the server holds answers back, because a block or a share is not kept yet: what a miner was told is true.
  [[nodiscard]] std::string& output() override;
  [[nodiscard]] const std::string& ended() const override { return miner_.ended(); }
  [[nodiscard]] bool established() const override { return miner_.established(); }
  [[nodiscard]] std::uint64_t good_shares() const override { return server_.good_shares(); }

  // ---- The server's side.
  /// What the server sends of its own accord (ServerEvents::on_job, on_answers).
  void on_server_frames(const wire::FrameBuffer& frames, const Now& now);
  /// About once a second, in the place of the server session's on_tick.
  void on_tick(const Now& now);

  [[nodiscard]] const Sv1Miner& miner() const { return miner_; }

 private:
  // Sv1Owner
  Result<std::uint16_t> on_subscribe(Sv1Miner& miner) override;
  bool on_authorize(Sv1Miner& miner, std::string_view user) override;
  void on_ready(Sv1Miner& miner) override;
  std::optional<sv1::Reject> on_share(Sv1Miner& miner, const channels::Share& share, std::string_view worker,
                                      bool block) override;
  void on_proven(Sv1Miner&) override {}
  void on_worker_refused(Sv1Miner&, std::string_view) override {}
  void on_suggest_hash_rate(Sv1Miner& miner, double hash_rate_hps) override;
  void on_touched(Sv1Miner&) override {}

  /// Opens the channel for that user. False: refused.
  bool open(std::string_view user);
  /// Hands `to_server_` over and handles the answers.
  void exchange();
  void receive(const wire::FrameBuffer& frames);
  Result<void> on(const wire::OpenExtendedMiningChannelSuccess& message);
  Result<void> on(const wire::OpenMiningChannelError& message);
  Result<void> on(const wire::NewExtendedMiningJob& message);
  Result<void> on(const wire::SetNewPrevHash& message);
  Result<void> on(const wire::SetTarget& message);
  Result<void> on(const wire::SetExtranoncePrefix& message);
  Result<void> on(const wire::SetGroupChannel& message);
  Result<void> on(const wire::SubmitSharesError& message);
  Result<void> on(const wire::CloseChannel& message);
  [[nodiscard]] bool is_ours(std::uint32_t channel_id) const {
    return link_.channel && link_.channel->addressed_by(channel_id);
  }

  ServerSession& server_;
  Sv1Clients& clients_;
  const channels::PayoutPolicy& payouts_;
  Sv1Channel link_;
  Sv1Miner miner_;
  std::string output_;
  wire::FrameBuffer to_server_;
  wire::FrameBuffer answers_;
  double suggested_hps_ = 0;  ///< 0: the miner has said nothing.
  std::string refusal_;       ///< Why the open was refused last; empty: it was not.
  std::string rejection_;     ///< Why the last share was refused; empty: it was not.
  std::uint32_t last_sequence_ = 0;
};

}  // namespace adit::mining
