// The translator's engine: SV1 miners on one side, one SV2 upstream on the other. No socket, no clock, no thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "channels/client.h"
#include "channels/seen_shares.h"
#include "channels/vardiff.h"
#include "sv1/server.h"
#include "wire/common_messages.h"
#include "wire/frame.h"
#include "wire/mining_messages.h"

namespace adit::translator {

/// Why an upstream is to be given up for now.
enum class Errc {
  kProtocol,   ///< It broke the protocol; the sentence says how.
  kRefused,    ///< It refused SetupConnection, or the first channel.
  kTimedOut,   ///< It did not answer SetupConnection or an open in time.
  kReconnect,  ///< It asked to be dialled again.
};
constexpr std::string_view error_layer(Errc) { return "translator"; }
std::string_view error_name(Errc code);

struct Options {
  std::uint8_t extranonce2_size = 4;                  ///< Bytes that a miner rolls.
  double min_hash_rate_hps = 1e6;                     ///< Of the weakest miner: what a channel is opened with.
  double shares_per_minute = 6;                       ///< Of one miner.
  std::uint64_t first_number = 1;                     ///< The N of the first miner's `minerN`, and
  std::uint64_t number_step = 1;                      ///< what lies between two: shards count in turns.
  bool vardiff = true;                                ///< False: difficulty is the upstream's.
  Duration keepalive = std::chrono::seconds(60);      ///< A miner without news for so long gets its job anew; 0: never.
  Duration setup_timeout = std::chrono::seconds(10);  ///< For the answer to SetupConnection.
  Duration open_timeout = std::chrono::seconds(20);   ///< For the answer to an open.
  Duration handshake_timeout = std::chrono::seconds(
      90);  ///< From a miner's connection to its first job's being due: cgminer gives up after 60 s itself.
};

/// Totals since the start, and what is open now.
struct Counters {
  std::size_t miners = 0;              ///< Connected now.
  std::size_t ready_miners = 0;        ///< Subscribed and authorized now.
  std::size_t channels = 0;            ///< Open upstream now.
  double hash_rate_hps = 0;            ///< Of all ready miners now, as estimated.
  std::uint64_t shares_submitted = 0;  ///< Sent upstream.
  std::uint64_t shares_accepted = 0;   ///< Acknowledged by SubmitShares.Success.
  std::uint64_t shares_local = 0;      ///< Accepted from a miner but easier than the upstream's target: not sent.
  std::uint64_t blocks_found = 0;      ///< Shares sent that met the network's target.
  std::uint64_t work_sum = 0;          ///< Sum of SubmitShares.Success.new_shares_sum.
  std::map<std::string, std::uint64_t, std::less<>>
      rejected_upstream;                        ///< By error code of SubmitShares.Error; at most 32 codes, then "other".
  std::map<int, std::uint64_t> rejected_local;  ///< By SV1 code.
  std::uint64_t unknown_channel_messages = 0;   ///< Upstream messages for channels that are not (or no longer) ours.
  std::uint64_t jobs = 0;                       ///< NewExtendedMiningJob received.
};

class Translator;

/// One SV1 connection and its upstream channel. Owned by its Translator.
class Miner final : private sv1::ServerHandler {
 public:
  Miner(Translator& owner, std::uint64_t number, std::string peer, const Now& now);
  Miner(const Miner&) = delete;
  Miner& operator=(const Miner&) = delete;

  [[nodiscard]] std::uint64_t number() const { return number_; }  ///< Counts up over the translator's life; the N of `minerN`.
  [[nodiscard]] const std::string& peer() const { return peer_; }
  [[nodiscard]] const sv1::Server& server() const { return server_; }
  [[nodiscard]] const channels::ClientChannel* channel() const { return channel_ ? &*channel_ : nullptr; }
  [[nodiscard]] double hash_rate_hps() const { return hash_rate_; }
  [[nodiscard]] std::uint64_t shares_accepted() const { return shares_accepted_; }
  [[nodiscard]] std::uint64_t shares_rejected() const { return shares_rejected_; }

  /// Bytes for the miner; the driver takes them.
  [[nodiscard]] std::string& output() { return server_.output(); }

  /// Not empty: close the connection after the output is written. Why, in one sentence.
  [[nodiscard]] const std::string& ended() const { return ended_; }

 private:
  friend class Translator;

  /// A job as the miner knows it.
  struct SentJob {
    std::uint32_t id = 0;  ///< Of the notify, in hex; never used twice on a connection.
    std::uint32_t upstream_id = 0;
    std::uint32_t ntime = 0;
    std::uint32_t version = 0;
    double difficulty = 0;  ///< That the miner was told, and
    bitcoin::U256 target;   ///< its target: a share is accepted from it.
  };
  static constexpr std::size_t kMaxSentJobs = 64;

  void on_subscribe(std::string_view user_agent) override;
  bool on_authorize(std::string_view user, std::string_view password) override;
  void on_suggest_difficulty(double difficulty) override;
  void on_minimum_difficulty(double difficulty) override;
  void on_ready() override;
  std::optional<sv1::Reject> on_submit(const sv1::Submit& submit) override;
  std::optional<sv1::Reject> judge(const sv1::Submit& submit);

  /// Sends `job` (of channel_) with the difficulty and extranonce that go with it.
  void notify(const channels::ClientJob& job, bool clean);
  void renew_job();
  void close_channel(std::string_view reason);
  void forget_channel();
  void end(std::string reason);
  void set_hash_rate(double hash_rate_hps);
  void on_tick();
  [[nodiscard]] double difficulty_for(const bitcoin::U256& upstream_target) const;

  Translator& owner_;
  std::uint64_t number_;
  std::string peer_;
  sv1::Server server_;
  Instant connected_at_;
  std::string ended_;
  bool touched_ = false;

  bool wants_channel_ = false;
  std::optional<std::uint32_t> open_request_;  ///< Its request_id, while the open has no answer.
  Instant open_sent_{};
  std::optional<channels::ClientChannel> channel_;
  std::uint32_t sequence_number_ = 0;

  double hash_rate_;
  double minimum_difficulty_ = 0;  ///< Asked for by the miner (mining.configure).
  channels::Vardiff vardiff_;
  bool update_due_ = false;
  Instant updated_at_{};

  std::vector<SentJob> sent_jobs_;  ///< Oldest first.
  std::uint32_t last_job_id_ = 0;
  bitcoin::U256 told_target_;  ///< Of the last difficulty sent.
  Instant notified_at_{};
  Instant job_since_{};  ///< When the channel's current job became active.
  channels::SeenShares local_seen_;

  std::uint64_t shares_accepted_ = 0;
  std::uint64_t shares_rejected_ = 0;
};

/// What the driver hears, for its log. Called from inside the translator's calls, into which it must not call back.
class TranslatorEvents {
 public:
  virtual ~TranslatorEvents() = default;
  virtual void on_upstream_ready() {}
  virtual void on_channel_opened(const Miner&) {}
  virtual void on_channel_refused(const Miner&, std::string_view /*error_code*/) {}
  virtual void on_job(std::uint32_t /*job_id*/, bool /*new_tip*/) {}
  virtual void on_share_submitted(const Miner&, bool /*block*/) {}
  /// The upstream refused a share that we took for good.
  virtual void on_share_rejected(const Miner&, std::string_view /*error_code*/) {}
};

/// All miners of one shard and their one upstream connection: one extended channel per miner. Miners stay connected while no
/// upstream is there and get new jobs when one is back.
///
/// Not thread-safe. Each call takes the time; after each call the driver sends upstream_output() and the outputs of
/// take_touched().
class Translator {
 public:
  /// `events` must outlive the translator.
  Translator(const Options& options, TranslatorEvents& events)
      : options_(options), events_(events), next_number_(options.first_number) {}
  Translator(const Translator&) = delete;
  Translator& operator=(const Translator&) = delete;

  // ---- Miners.
  /// The miner lives until remove_miner. `peer` names it in logs.
  Miner& add_miner(std::string peer, const Now& now);
  /// Takes any chunk of what `miner` sent. What is wrong with it ends the miner (Miner::ended).
  void on_miner_bytes(Miner& miner, Bytes bytes, const Now& now);
  /// The connection is gone: closes its channel.
  void remove_miner(Miner& miner, const Now& now);
  /// Miners that have output, or ended, since the last call.
  std::vector<Miner*> take_touched();
  [[nodiscard]] const std::map<std::uint64_t, std::unique_ptr<Miner>>& miners() const { return miners_; }

  // ---- The upstream.
  /// A connection to an upstream stands. Channels will be opened for `user_identity` + ".minerN". `host` and `port` are what
  /// was dialled.
  void on_upstream_connected(std::string user_identity, std::string_view host, std::uint16_t port, const Now& now);
  /// Errors (see Errc): send what is queued, close the connection, call on_upstream_lost, try another.
  Result<void> on_upstream_frames(std::span<const wire::FrameView> frames, const Now& now);
  void on_upstream_lost(const Now& now);
  [[nodiscard]] bool upstream_ready() const { return upstream_ == UpstreamState::kReady; }
  [[nodiscard]] wire::FrameBuffer& upstream_output() { return output_; }

  /// About once a second: vardiff, keepalive, deadlines. Errors: kTimedOut, as on_upstream_frames.
  Result<void> on_tick(const Now& now);

  [[nodiscard]] Counters counters() const;

 private:
  friend class Miner;
  enum class UpstreamState { kNone, kSettingUp, kReady };

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

  Result<void> on_frame(const wire::FrameView& frame);
  Result<void> handle(const wire::SetupConnectionSuccess& message);
  Result<void> handle(const wire::SetupConnectionError& message);
  Result<void> handle(const wire::OpenExtendedMiningChannelSuccess& message);
  Result<void> handle(const wire::OpenMiningChannelError& message);
  Result<void> handle(const wire::NewExtendedMiningJob& message);
  Result<void> handle(const wire::SetNewPrevHash& message);
  Result<void> handle(const wire::SetTarget& message);
  Result<void> handle(const wire::SetExtranoncePrefix& message);
  Result<void> handle(const wire::SetGroupChannel& message);
  Result<void> handle(const wire::CloseChannel& message);
  Result<void> handle(const wire::SubmitSharesSuccess& message);
  Result<void> handle(const wire::SubmitSharesError& message);
  Result<void> handle(const wire::UpdateChannelError& message);
  Result<void> handle(const wire::Reconnect& message);
  template <class M>
  Result<void> decode_and_handle(const wire::FrameView& frame);

  /// The miners whose channel a message with that channel_id addresses; counts it if there is none.
  std::vector<Miner*> addressed_by(std::uint32_t channel_id);
  Miner* by_channel(std::uint32_t channel_id);
  /// Makes the group's future job that `message` names known to a channel that joined later. False if there is none.
  bool give_group_job(Miner& miner, const wire::SetNewPrevHash& message);
  void open_channel(Miner& miner);
  void touch(Miner& miner);

  Options options_;
  TranslatorEvents& events_;
  sv1::Parser parser_;
  Now now_{};
  wire::FrameBuffer output_;

  UpstreamState upstream_ = UpstreamState::kNone;
  Instant upstream_since_{};
  std::string user_identity_;
  std::uint32_t version_mask_ = sv1::kVersionRollingMask;  ///< 0 if the upstream requires a fixed version.
  std::uint32_t next_request_id_ = 1;
  std::vector<GroupJob> group_jobs_;  ///< Oldest first.
  std::unordered_map<std::uint32_t, Miner*> by_channel_;
  std::unordered_map<std::uint32_t, Miner*> by_request_;

  std::uint64_t next_number_;
  std::map<std::uint64_t, std::unique_ptr<Miner>> miners_;
  std::vector<Miner*> touched_;
  Counters totals_;
};

}  // namespace adit::translator
