// One SV1 miner downstream: its connection, the jobs that it was sent, its shares. A role that gives it work is its owner. No
// I/O, time is an argument.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "channels/client.h"
#include "channels/seen_shares.h"
#include "channels/vardiff.h"
#include "mining/upstream_account.h"
#include "mining/verdict_window.h"
#include "mining/work_meter.h"
#include "session/line_session.h"
#include "sv1/parse.h"
#include "sv1/server.h"
#include "wire/tlv.h"

namespace adit::mining {

class Sv1Miner;

/// Bytes of an SV1 miner's extranonce1. They are its owner's own, so that they are known before there is a channel and stay the
/// same whatever happens upstream.
inline constexpr std::size_t kExtranonce1Size = 2;

struct Sv1Policy;
/// The easiest target that is asked of an upstream: that of the least miner (as SRI); any where miners have no vardiff.
bitcoin::U256 max_target(const Sv1Policy& policy);

/// What applies to every SV1 miner of a role.
struct Sv1Policy {
  std::uint8_t extranonce2_size = 4;              ///< Bytes that a miner rolls.
  double min_hash_rate_hps = 1e6;                 ///< Of the weakest miner: what it is taken to have at first.
  double shares_per_minute = 6;                   ///< Of one miner.
  bool vardiff = true;                            ///< False: difficulty is that of the channel.
  Duration keepalive = std::chrono::seconds(60);  ///< A miner without news for so long gets its job anew; 0: never.
  /// From a miner's connection until it is subscribed and authorized: cgminer gives up after 60 s itself.
  Duration handshake_timeout = std::chrono::seconds(90);
  /// A miner that mines and has had no job for so long is sent away, so that its firmware turns to its next pool.
  Duration work_timeout = std::chrono::minutes(3);
};

/// What the miners of one owner have done since the start.
struct Sv1Counters {
  std::uint64_t shares_submitted = 0;           ///< Handed to the owner.
  std::uint64_t shares_local = 0;               ///< Accepted from a miner but easier than the channel's target: not handed on.
  std::uint64_t blocks_found = 0;               ///< Shares handed on that met the network's target.
  std::map<int, std::uint64_t> rejected_local;  ///< By SV1 code.
  std::uint64_t shares_orphaned = 0;            ///< Of these: for jobs of a channel that had been left by then; code 21.
};

/// What the miners of one owner share. `now` is the time of the call that is under way.
struct Sv1Shared {
  explicit Sv1Shared(Sv1Policy miners) : policy(miners) {}

  const Sv1Policy policy;
  sv1::Parser parser;
  Now now{};
  Sv1Counters counters;
  std::uint32_t version_mask = sv1::kVersionRollingMask;  ///< Bits that miners may roll at most (BIP310); 0: none.
};

/// An extended channel upstream, or the open of one that has no answer yet, and the miners whose shares go to it. Owned by the
/// miners' owner.
///
/// The extranonce of a share, as the upstream sees it (SV2 05 §5.2.3):
///
///     upstream's prefix | zeros | extranonce1 | extranonce2
///                       \____ the rollable extranonce ____/
///
/// extranonce1 tells the owner's miners apart, extranonce2 is what a miner rolls, zeros fill what the upstream gave beyond.
/// What stands before extranonce1 is the end of what the miner knows as the first part of its coinbase, so the upstream may
/// change it with every job.
struct Sv1Channel {
  std::uint32_t request_id = 0;  ///< Of its open.
  std::string user_identity;     ///< That it was opened with.
  Instant open_sent{};
  std::vector<Sv1Miner*> members;                  ///< None: it is kept for the next miner.
  std::optional<channels::ClientChannel> channel;  ///< Once the open is answered.
  Instant job_since{};                             ///< When the channel's current job became active.
  bool bounded = false;                            ///< It was opened for shares no easier than those of the least miner.
  double declared_hps = 0;                         ///< What the upstream was told last of its hash rate,
  Instant declared_at{};                           ///< and when.
  Instant kept_since{};                            ///< If there are no members.
  bool usable = true;                              ///< False: not for another miner.
  UpstreamAccount account{};

  /// What the shares of its members prove.
  [[nodiscard]] double hash_rate_hps() const;
};

/// What a miner asks of its owner. Calls come from inside the miner's functions; none may destroy it.
class Sv1Owner {
 public:
  virtual ~Sv1Owner() = default;
  /// The miner subscribes: the number that stands in its extranonce1, big-endian, and that no other miner of the owner has as
  /// long as this one lives. An error's message is answered, and ends the miner.
  virtual Result<std::uint16_t> on_subscribe(Sv1Miner& miner) = 0;
  /// Whether `user` may mine on the miner's connection.
  virtual bool on_authorize(Sv1Miner&, std::string_view /*user*/) { return true; }
  /// The miner has subscribed and authorized: it is to be attached to a channel, now or once there is one.
  virtual void on_ready(Sv1Miner& miner) = 0;
  /// A share of the miner's channel that meets the channel's target. `worker` is the user that it was submitted for. Returns
  /// why it is refused, where that is known at once.
  virtual std::optional<sv1::Reject> on_share(Sv1Miner& miner, const channels::Share& share, std::string_view worker,
                                              bool block) = 0;
  /// The miner's first share that met what it was told: it has shown work.
  virtual void on_proven(Sv1Miner& miner) = 0;
  /// A share, or an authorize, of that worker was refused, as it may not mine here.
  virtual void on_worker_refused(Sv1Miner& miner, std::string_view worker) = 0;
  /// The miner suggests a hash rate, by the difficulty that it would like. Called only where the role's miners have no vardiff
  /// of their own (Sv1Policy::vardiff).
  virtual void on_suggest_hash_rate(Sv1Miner&, double /*hash_rate_hps*/) {}
  /// The miner has output, or has ended.
  virtual void on_touched(Sv1Miner& miner) = 0;
};

/// One SV1 connection. Owned by its owner.
class Sv1Miner final : public session::LineSession, private sv1::ServerHandler {
 public:
  /// `owner` and `shared` must outlive the miner. `number` tells it apart in logs and names, and is part of its SV1 session id.
  /// `source`: who it is counted to, such as the peer's address without its port.
  Sv1Miner(Sv1Owner& owner, Sv1Shared& shared, std::uint64_t number, std::string peer, std::string source);
  Sv1Miner(const Sv1Miner&) = delete;
  Sv1Miner& operator=(const Sv1Miner&) = delete;

  // ---- The connection.
  void on_bytes(Bytes bytes, const Now& now) override;
  [[nodiscard]] std::string& output() override { return server_.output(); }
  [[nodiscard]] const std::string& ended() const override { return ended_; }
  [[nodiscard]] bool established() const override { return server_.ready(); }
  [[nodiscard]] std::uint64_t good_shares() const override { return shares_submitted_ + shares_local_; }

  // ---- What the owner does.
  /// Its shares go to `channel` from now on; gives it the channel's current job, if there is one.
  void attach(Sv1Channel& channel);
  /// It has no channel any more; the connection stays.
  void detach();
  /// Sends `job`, of its channel, with the difficulty that goes with it.
  void notify(const channels::ClientJob& job, bool clean);
  /// BIP310's mask has changed (Sv1Shared::version_mask).
  void renew_version_mask();
  /// The connection is to be closed for that reason.
  void end(std::string reason);
  /// About once a second: vardiff, keepalive, deadlines.
  void on_tick();
  /// For the owner's list of miners with output: true if it was marked before.
  bool mark() { return std::exchange(marked_, true); }
  void unmark() { marked_ = false; }
  /// The upstream has accepted a share of it.
  void count_accepted() {
    ++shares_accepted_;
    verdicts_.on_accepted();
  }
  /// The upstream has refused a share of it; `stale`: as one that came too late for its tip.
  void count_rejected(bool stale, std::string_view error_code = {}) {
    ++shares_rejected_;
    count_reason(error_code);
    if (!stale) verdicts_.on_refused();
  }

  // ---- What is known of it.
  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] const std::string& peer() const { return peer_; }
  [[nodiscard]] const std::string& source() const { return source_; }
  [[nodiscard]] const sv1::Server& server() const { return server_; }
  /// It has subscribed and authorized, and is not sent away.
  [[nodiscard]] bool wants_channel() const { return server_.ready() && ended_.empty(); }
  /// What it is attached to; null: nothing.
  [[nodiscard]] Sv1Channel* link() const { return link_; }
  /// The channel that takes its shares; null while there is none.
  [[nodiscard]] const channels::ClientChannel* channel() const { return link_ && link_->channel ? &*link_->channel : nullptr; }
  /// The number in its extranonce1; unset before it has subscribed.
  [[nodiscard]] std::optional<std::uint16_t> index() const { return index_; }
  /// What its shares prove; 0 before the first one.
  [[nodiscard]] double hash_rate_hps() const { return work_.hash_rate_hps(shared_.now.instant); }
  /// The least difficulty that it asked for; 0: any.
  [[nodiscard]] double minimum_difficulty() const { return minimum_difficulty_; }
  /// It has sent a share that met what it was told.
  [[nodiscard]] bool proven() const { return proven_; }
  [[nodiscard]] Instant attached_at() const { return attached_at_; }
  [[nodiscard]] std::uint64_t shares_submitted() const { return shares_submitted_; }
  [[nodiscard]] std::uint64_t shares_local() const { return shares_local_; }
  [[nodiscard]] std::uint64_t shares_accepted() const { return shares_accepted_; }
  [[nodiscard]] std::uint64_t shares_rejected() const { return shares_rejected_; }
  /// Of the upstream that it is attached to now.
  [[nodiscard]] const VerdictWindow& verdicts() const { return verdicts_; }
  /// That of the difficulty that it was sent last; 0 before the first job.
  [[nodiscard]] const bitcoin::U256& told_target() const { return told_target_; }
  /// Whether vardiff's last look left its difficulty as it was; false before the first.
  [[nodiscard]] bool steady() const { return steady_; }
  /// Difficulty of the best share that met its target; 0 before the first.
  [[nodiscard]] double best_difficulty() const { return best_difficulty_; }
  /// Why its shares were refused, by us or by the upstream.
  [[nodiscard]] const Rejections& rejected() const { return rejected_; }
  /// When its last good share came; absent before the first.
  [[nodiscard]] std::optional<Instant> last_share_at() const { return last_share_at_; }

 private:
  /// A job as the miner knows it.
  struct SentJob {
    std::uint32_t id = 0;  ///< Of the notify, in hex, behind a '#' if there is one; never used twice on a connection.
    std::uint32_t upstream_id = 0;
    std::uint32_t ntime = 0;
    std::uint32_t version = 0;       ///< Without the bits that may be rolled.
    std::uint32_t version_mask = 0;  ///< The bits that may be rolled.
    double difficulty = 0;           ///< That the miner was sent.
    bitcoin::U256 target;            ///< Of that difficulty: a share is accepted from it.
  };
  static constexpr std::size_t kMaxSentJobs = 64;

  Result<sv1::Subscription> on_subscribe(std::string_view user_agent) override;
  bool on_authorize(std::string_view user, std::string_view password) override;
  void on_worker_refused(std::string_view user) override { owner_.on_worker_refused(*this, user); }
  void on_suggest_difficulty(double difficulty) override;
  void on_minimum_difficulty(double difficulty) override;
  void on_ready() override;
  std::optional<sv1::Reject> on_submit(const sv1::Submit& submit) override;
  std::optional<sv1::Reject> judge(const sv1::Submit& submit);
  /// Whether the first bytes are Stratum V1, or something near enough to be answered in it; if another protocol, ends it.
  /// `silent`: it has sent nothing more for a while.
  bool recognize(bool silent);
  void receive(Bytes bytes);
  void renew_job();
  void assume(double hash_rate_hps);
  /// A share met `difficulty`, which the miner was told.
  void credit(double difficulty);
  void count_reason(std::string_view error_code);
  /// Its hash met what it was asked for.
  void count_good(const bitcoin::U256& hash);
  [[nodiscard]] double difficulty_for(const bitcoin::U256& channel_target) const;
  /// Bytes of the channel's extranonce before extranonce1.
  [[nodiscard]] std::size_t filled() const;

  Sv1Owner& owner_;
  Sv1Shared& shared_;
  std::uint64_t number_;
  std::string peer_;
  std::string source_;
  sv1::Server server_;
  Instant connected_at_;
  std::string ended_;
  std::string first_;        ///< What it sent before its protocol was told: fewer than session::kFirstBytes bytes.
  Instant first_at_{};       ///< When the last of these came.
  bool speaks_sv1_ = false;  ///< It was told.

  bool marked_ = false;  ///< By the owner.
  std::optional<std::uint16_t> index_;
  Sv1Channel* link_ = nullptr;

  double assumed_hash_rate_;       ///< What its difficulty is made for: by its shares, or as it suggested.
  double minimum_difficulty_ = 0;  ///< Asked for by the miner (mining.configure).
  channels::Vardiff vardiff_;
  WorkMeter work_;
  bool proven_ = false;
  Instant attached_at_{};
  VerdictWindow verdicts_;

  std::vector<SentJob> sent_jobs_;  ///< Oldest first.
  std::uint32_t last_job_id_ = 0;
  std::uint32_t left_job_id_ = 0;  ///< Up to this one they are of channels that were left.
  bitcoin::U256 told_target_;      ///< Of the last difficulty sent.
  Instant notified_at_{};
  Instant workless_since_{};  ///< Ready, or detached from its last channel, since then; if there is no job.
  channels::SeenShares local_seen_;
  bool steady_ = false;
  double best_difficulty_ = 0;
  std::optional<Instant> last_share_at_;
  Rejections rejected_;

  std::uint64_t shares_submitted_ = 0;
  std::uint64_t shares_local_ = 0;
  std::uint64_t shares_accepted_ = 0;
  std::uint64_t shares_rejected_ = 0;
};

/// The worker's part of an SV1 user name: what stands behind its first dot; the whole name where nothing does (as SRI).
std::string_view worker_part(std::string_view user);

/// The worker's name that field 0x01 of extension 0x0002 carries: the first 32 bytes of what the miner calls its worker, cut
/// between characters; a byte that is not UTF-8, and a byte of a control character, becomes '?'. A miner that gives no name is
/// "miner" and its number. Allocates nothing.
class WorkerIdentity {
 public:
  WorkerIdentity(std::string_view worker, std::uint64_t number);
  [[nodiscard]] std::string_view view() const { return {text_.data(), size_}; }

 private:
  void append(std::string_view more);

  std::array<char, wire::kMaxUserIdentity> text_{};
  std::uint8_t size_ = 0;
};

}  // namespace adit::mining
