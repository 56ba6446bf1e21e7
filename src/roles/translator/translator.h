// The translator's engine: SV1 miners on one side, one SV2 upstream on the other. No socket, no clock, no thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "channels/client.h"
#include "mining/example_key.h"
#include "mining/sv1_miner.h"
#include "roles/translator/options.h"
#include "session/client_setup.h"
#include "session/error.h"
#include "session/shares.h"
#include "wire/frame.h"
#include "wire/mining_messages.h"

namespace adit::translator {

using mining::Sv1Channel;
using Miner = mining::Sv1Miner;

/// What the driver hears, for its log. Called from inside the translator's calls, into which it must not call back.
class TranslatorEvents {
 public:
  virtual ~TranslatorEvents() = default;
  virtual void on_upstream_ready() {}
  /// The miner has subscribed and authorized.
  virtual void on_miner_ready(const Miner&) {}
  virtual void on_channel_opened(const Miner&) {}
  virtual void on_channel_refused(const Miner&, std::string_view /*error_code*/) {}
  virtual void on_job(std::uint32_t /*job_id*/, bool /*new_tip*/) {}
  virtual void on_share_submitted(const Miner&, bool /*block*/) {}
  /// The upstream refused a share that we took for good.
  virtual void on_share_rejected(const Miner&, std::string_view /*error_code*/) {}
  /// A worker that did not authorize was refused.
  virtual void on_worker_refused(const Miner&, std::string_view /*worker*/) {}
};

/// All miners of one shard and their one upstream connection: one extended channel per miner, or one for all of them. A miner
/// has its extranonce when it subscribes, and gets a channel when it has authorized. Miners stay connected while no upstream is
/// there and get new jobs when one is back.
///
/// Messages of extensions that we do not know are ignored. With the channel bit they would be for whoever stands behind the
/// channel (SV2 03 §3.4.1), but an SV1 miner has no SV2 messages: the channel ends here, so we are whom they are for.
///
/// Not thread-safe. Each call takes the time; after each call the driver sends upstream_output() and the outputs of
/// take_touched().
class Translator final : public mining::Sv1Owner {
 public:
  /// `events` must outlive the translator.
  Translator(const Options& options, TranslatorEvents& events)
      : options_(options), events_(events), shared_(options.miners), indices_(kIndices), next_number_(options.first_number) {}
  Translator(const Translator&) = delete;
  Translator& operator=(const Translator&) = delete;

  // ---- Miners.
  /// The miner lives until remove_miner. `peer` names it in logs; `source` is who it is counted to, the peer if it is empty.
  Miner& add_miner(std::string peer, const Now& now, std::string source = {});
  /// The connection is gone: its channel is kept for the next miner.
  void remove_miner(Miner& miner, const Now& now);
  /// Miners that have output, or ended, since the last call; valid until the next one, or until a miner is removed.
  std::span<Miner* const> take_touched();
  [[nodiscard]] const std::map<std::uint64_t, std::unique_ptr<Miner>>& miners() const { return miners_; }

  // ---- The upstream.
  /// A session with an upstream is set up. Channels are opened for `user_identity`, as SRI names them: one of a payout's
  /// pattern
  /// ("sri/...") stays as it is; else ".minerN" is put behind it where each miner has a channel of its own, and for the channel
  /// of all miners ".translator-proxy" replaces what stands from its first dot on. `agreement` is valid until on_upstream_lost.
  /// `regtest_only`: the upstream's authority key is one whose secret everybody has, so it is believed on a chain that is worth
  /// nothing alone (mining/example_key.h; kConfiguration elsewhere, before any miner gets its work).
  void on_upstream_ready(std::string user_identity, const session::Agreement& agreement, const Now& now,
                         bool regtest_only = false);
  /// Errors (session::Errc kProtocol, kRefused, kConfiguration): send what is queued, close the connection, call
  /// on_upstream_lost, try another.
  Result<void> on_upstream_frames(std::span<const wire::FrameView> frames, const Now& now);
  /// The session is over. Hands over the shares whose answers may still come to whoever goes on reading.
  session::StratumV2StreamHandler on_upstream_lost(const Now& now);
  [[nodiscard]] bool upstream_ready() const { return agreement_ != nullptr; }
  [[nodiscard]] wire::FrameBuffer& upstream_output() { return output_; }

  /// About once a second: vardiff, keepalive, deadlines. Errors: session::Errc::kTimedOut, as on_upstream_frames.
  Result<void> on_tick(const Now& now);

  /// Closes the channels that are kept for miners to come, if an acknowledgement of shares is due.
  void close_kept(const Now& now);

  /// Whether a channel with that id is open, for a miner or kept for one.
  [[nodiscard]] bool has_channel(std::uint32_t channel_id) const { return by_channel_.contains(channel_id); }

  [[nodiscard]] Counters counters() const;
  /// Those that are open, or being opened, for miners or kept for one.
  [[nodiscard]] const std::vector<std::unique_ptr<Sv1Channel>>& channels() const { return links_; }

 private:
  /// The miners of one source that have a channel.
  struct Source {
    std::size_t unproven = 0;
    std::size_t proven = 0;
  };
  /// A future job that was sent to a group: a channel that joined the group after it must know it too when its SetNewPrevHash
  /// comes.
  struct GroupJob {
    std::uint32_t group_id = 0;
    std::uint32_t job_id = 0;
    std::uint32_t version = 0;
    bool version_rolling_allowed = false;
    std::shared_ptr<const channels::ExtendedWork> work;
  };
  static constexpr std::size_t kMaxGroupJobs = 16;
  static constexpr std::size_t kIndices = 1U << (8 * mining::kExtranonce1Size);

  // Sv1Owner
  Result<std::uint16_t> on_subscribe(Miner& miner) override;
  void on_ready(Miner& miner) override;
  std::optional<sv1::Reject> on_share(Miner& miner, const channels::Share& share, std::string_view worker, bool block) override;
  void on_worker_refused(Miner& miner, std::string_view worker) override { events_.on_worker_refused(miner, worker); }
  void on_proven(Miner& miner) override;
  void on_touched(Miner& miner) override;

  Result<void> on_frame(const wire::FrameView& frame);
  Result<void> handle(const wire::OpenExtendedMiningChannelSuccess& message);
  Result<void> handle(const wire::OpenMiningChannelError& message);
  Result<void> handle(const wire::NewExtendedMiningJob& message);
  Result<void> handle(const wire::NewMiningJob& message);
  /// Where payouts are verified: whether the job pays the miner whom our user_identity names.
  Result<void> check_payout(const channels::ExtendedWork& work, const channels::ClientChannel& channel) const;
  Result<void> handle(const wire::SetNewPrevHash& message);
  Result<void> handle(const wire::SetTarget& message);
  Result<void> handle(const wire::SetExtranoncePrefix& message);
  Result<void> handle(const wire::SetGroupChannel& message);
  Result<void> handle(const wire::CloseChannel& message);
  Result<void> handle(const wire::SubmitSharesSuccess& message);
  Result<void> handle(const wire::SubmitSharesError& message);

  /// Gives `miner` a channel, or its place in the one that all share, if it wants one and there is one for it.
  void join(Miner& miner);
  void open_for(Miner& miner);
  /// The identity of a channel that is opened for that miner.
  [[nodiscard]] std::string upstream_identity(const Miner& miner) const;
  /// Takes it back; a channel without miners is kept for the next.
  void leave(Miner& miner);
  void attach(Miner& miner, Sv1Channel& link);
  void detach(Miner& miner);
  void count(const Miner& miner, int by);
  /// Whether the ration of its source has a channel for it.
  [[nodiscard]] bool has_ration(const Miner& miner) const;
  /// Whether the upstream is believed to have another channel.
  [[nodiscard]] bool has_capacity() const { return by_channel_.size() + by_request_.size() < capacity_; }
  void keep(Sv1Channel& link);
  void close_and_drop(Sv1Channel& link, std::string_view reason);
  void give_waiting_miners_channels();
  /// What is to be done about an upstream that refuses nearly every share of `miner`. Error: kRefused, if it takes none of the
  /// other miners' either.
  Result<void> on_refusing(Miner& miner, std::string_view code);
  void close(std::uint32_t channel_id, std::string_view reason);
  void drop(Sv1Channel& link);
  void update(Sv1Channel& link);
  /// The channels that a message with that channel_id addresses, itself or its group; counts it if there is none.
  std::vector<Sv1Channel*> addressed_by(std::uint32_t channel_id);
  Sv1Channel* by_channel(std::uint32_t channel_id);
  Miner* by_number(std::uint64_t number);
  /// Makes the group's future job that `message` names known to a channel that joined later. False if there is none.
  /// Errors: as check_payout.
  Result<bool> give_group_job(Sv1Channel& link, const wire::SetNewPrevHash& message);

  const Options options_;
  TranslatorEvents& events_;
  mining::Sv1Shared shared_;
  wire::FrameBuffer output_;
  wire::ByteBuffer fields_;  ///< The TLV fields of one share.

  const session::Agreement* agreement_ = nullptr;  ///< With the upstream; null: there is none.
  session::StratumV2StreamHandler shares_;         ///< Tagged with their miners' numbers.
  std::string user_identity_;
  std::optional<mining::ExampleKeyGuard> example_key_;  ///< Where the upstream's key is one whose secret everybody has.
  std::uint32_t next_request_id_ = 1;
  std::vector<GroupJob> group_jobs_;  ///< Oldest first.
  std::vector<std::unique_ptr<Sv1Channel>> links_;
  std::unordered_map<std::uint32_t, Sv1Channel*> by_channel_;
  std::unordered_map<std::uint32_t, Sv1Channel*> by_request_;
  Sv1Channel* common_ = nullptr;   ///< The one of all miners, where they share one.
  std::vector<Sv1Channel*> kept_;  ///< Without miners, for the next ones; the newest last. Their opens may be under way.

  std::unordered_map<std::string, Source> sources_;  ///< Those with a miner that has a channel.
  std::size_t unproven_ = 0;                         ///< Of all of them.
  std::size_t capacity_ = SIZE_MAX;                  ///< Channels that the upstream is believed to have for us.
  std::size_t capacity_step_ = 1;
  Instant capacity_at_{};

  std::vector<bool> indices_;  ///< Of extranonce1: those that miners have.
  std::size_t indices_taken_ = 0;
  std::uint16_t last_index_ = 0;

  std::uint64_t next_number_;
  std::map<std::uint64_t, std::unique_ptr<Miner>> miners_;
  std::vector<Miner*> touched_;
  std::vector<Miner*> handed_out_;  ///< By the last take_touched().
  Counters totals_;
};

}  // namespace adit::translator
