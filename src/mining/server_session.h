// The mining protocol's server on one downstream connection: what a pool, and a job declarator client towards its miners,
// answer after the session is set up. No socket, no clock, no thread.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/block.h"
#include "channels/channel.h"
#include "channels/extranonce.h"
#include "channels/job.h"
#include "channels/memory_budget.h"
#include "channels/payout.h"
#include "channels/share_record.h"
#include "channels/workers.h"
#include "mining/channel_table.h"
#include "mining/payees.h"
#include "mining/sources.h"
#include "session/error.h"
#include "session/server_side.h"
#include "wire/frame.h"
#include "wire/mining_messages.h"
#include "wire/tlv.h"

namespace adit::mining {

class ServerSession;

/// Decides which custom jobs are paid for: a job declaration server's part. Called on each shard, inside a session's call: it
/// answers at once from what that shard was told, and touches no session.
class CustomJobValidator {
 public:
  struct Verdict {
    std::string_view error_code;          ///< For SetCustomMiningJob.Error; empty: the pool commits itself to pay for the job.
    bitcoin::TemplatePtr block_template;  ///< As declared, with its transactions; null where only the client has them.
  };
  virtual ~CustomJobValidator() = default;
  /// The message is about this tip and otherwise sound. A token that was good once is not asked about again by the session.
  virtual Verdict check(const ServerSession& session, const wire::SetCustomMiningJob& message, const Now& now) = 0;
};

/// What applies to every session of a role.
struct ServerPolicy {
  channels::ChannelPolicy channel;
  channels::PayoutPolicy payouts;  ///< Whom blocks pay; its pool_script is that of the jobs.
  /// How long a connection may be without any channel. Long, because a translator connects before its first miner does and
  /// stays when the last one leaves (SRI's gives its upstream up for good when it is cut off); admission bounds how many idle
  /// ones a source has.
  Duration channel_timeout = std::chrono::hours(1);
  Duration max_ack_delay =
      std::chrono::seconds(2);  ///< An accepted share is acknowledged after this long even if its batch is not full.
  std::size_t max_channels =
      4096;  ///< Per session. Twice as many may be opened between two tips, since prefixes rest that long.
  std::size_t max_channels_per_shard = 1 << 18;  ///< Of all its sessions: bounds the memory that strangers can take.
  std::size_t max_bytes_per_shard = 512 << 20;   ///< What its sources may take together: see SourcePolicy::max_bytes.
  SourcePolicy source;
  std::size_t max_workers = 4096;             ///< Names that one session's shares are counted by (extension 0x0002).
  CustomJobValidator* custom_jobs = nullptr;  ///< Outlives the sessions. nullptr: there are no custom jobs.
  std::size_t max_custom_jobs = 64;           ///< Valid at once, per session: each may take 70 kB.
};

/// Why a channel was not opened.
enum class OpenRefusal : std::uint8_t {
  kNoExtendedChannels,  ///< The connection requires standard jobs.
  kNoStandardChannels,  ///< The connection selects its own work.
  kCapacity,            ///< A bound of the connection, its source, or the shard.
  kMinExtranonce,       ///< It wants more bytes of extranonce than there are.
  kMaxTarget,           ///< No hash meets the target that it accepts.
  kUserIdentity,        ///< It asks for a payout that the pool does not grant, or in a form that is not valid.
  kHashRate,            ///< It is not a finite number of at least 0.
  kNoWork,              ///< ServerShard::refuse_opens: the role has no work that is worth mining on.
};
inline constexpr std::size_t kOpenRefusals = 8;
/// The error code of OpenMiningChannel.Error.
std::string_view open_error_code(OpenRefusal refusal);

/// Totals of one shard since it started; read on the shard's thread.
struct ServerCounters {
  std::uint64_t shares_accepted = 0;
  std::array<std::uint64_t, channels::kShareVerdicts>
      shares_rejected{};                                     ///< By channels::ShareVerdict; share_error_code() names them.
  std::array<std::uint64_t, kOpenRefusals> opens_refused{};  ///< By OpenRefusal.
  std::uint64_t sessions_cut_off = 0;                        ///< Whose peer only cost.
  std::uint64_t channels_closed = 0;                         ///< By ServerShard::close_channels.
  std::uint64_t blocks_found = 0;
  channels::Work work_sum;            ///< Of all accepted shares.
  std::size_t sessions = 0;           ///< Now.
  std::size_t standard_channels = 0;  ///< Now.
  std::size_t extended_channels = 0;  ///< Now.
  std::size_t payouts = 0;            ///< Now: different ones of its channels, beside the pool's own.

  [[nodiscard]] std::uint64_t shares_rejected_total() const;
};

/// A share that is a block; bitcoin::assemble_block(*block_template, solution) makes it one.
struct BlockFound {
  bitcoin::TemplatePtr block_template;
  bitcoin::BlockSolution solution;
  bitcoin::Hash256 hash{};
  std::uint32_t channel_id = 0;
  std::string_view user_identity;            ///< Valid during the call.
  const channels::Payout* payout = nullptr;  ///< Its miner's; nullptr: it pays the pool, or is a custom job's. Valid likewise.
  bool is_custom = false;                    ///< On a custom job: the template is the one that CustomJobValidator::check gave.
};

/// What the driver hears while a session handles frames, on the shard's thread, inside the session's call: it must not touch
/// sessions from there.
class ServerEvents {
 public:
  virtual ~ServerEvents() = default;
  /// A share was accepted. Returns where the ledger has it: it is acknowledged once ServerShard::on_durable has told that
  /// position or a later one. 0: at once, which is what a role without a ledger says.
  virtual channels::LedgerPosition on_share(const ServerSession&, const channels::ShareRecord&) { return 0; }
  /// To be made durable and submitted at once. True: the share is acknowledged only once ServerShard::on_block_kept is called.
  virtual bool on_block_found(const ServerSession& session, const BlockFound& block) = 0;
  /// A block on a custom job whose transactions only the client has: it submits the block itself, the template here has none.
  virtual void on_custom_block_found(const ServerSession&, const BlockFound&) {}
  virtual void on_channel_opened(const ServerSession&, const channels::Channel&) {}
  /// `user_identity` is the client's text, at most 255 bytes of any kind. `reason` says more than the refusal where there is
  /// more to say; else it is empty. Both are valid during the call.
  virtual void on_channel_refused(const ServerSession&, OpenRefusal, std::string_view /*user_identity*/,
                                  std::string_view /*reason*/) {}
  /// A share was refused for its ntime, which is so many seconds ahead of our clock (negative: behind): the miner's clock is
  /// wrong, or ours. `user_identity` as above.
  virtual void on_time_refused(const ServerSession&, std::chrono::seconds /*ahead*/, std::string_view /*user_identity*/) {}
  /// The current job, or a part of it, is to be sent to the session's client: `frames`, valid during the call. Comes from
  /// inside ServerShard::give_jobs.
  virtual void on_job(ServerSession&, const wire::FrameBuffer& /*frames*/) {}
  /// What waited for the ledger or for a block, or says that channels are closed, is to be sent to the session's client:
  /// `frames`, valid during the call. Comes from inside ServerShard's on_durable, on_block_kept and close_channels.
  virtual void on_answers(ServerSession&, const wire::FrameBuffer& /*frames*/) {}
};

/// What the sessions of one shard share. No locks: one thread. Outlives its sessions.
class ServerShard {
 public:
  /// `policy` and `events` must outlive the shard.
  ServerShard(const ServerPolicy& policy, const channels::ExtranonceAllocator::Config& extranonce, ServerEvents& events,
              std::size_t max_past_jobs = channels::kMaxPastJobs)
      : policy_(policy),
        events_(events),
        extranonces_(extranonce),
        memory_(policy.max_bytes_per_shard),
        sources_(policy.source, memory_),
        payees_(policy.payouts, counters_.payouts),
        jobs_(max_past_jobs) {}
  ~ServerShard();
  ServerShard(const ServerShard&) = delete;
  ServerShard& operator=(const ServerShard&) = delete;

  /// Makes `job` the current one. The caller then calls give_jobs, at once and again as long as that returns true.
  void set_job(channels::JobPtr job);

  /// Gives the current job to sessions that do not have it yet (ServerEvents::on_job): the first call after set_job to the
  /// first ServerSession::kGroupsAtOnce groups of every session, which costs one message each; each call to at most
  /// kJobsPerSlice of those further groups, and of the channels that need a job for each, source by source and kJobsPerTurn at
  /// a time, so that a source with thousands of channels delays no other. Channels that do not know of the tip come before
  /// those that only lack its latest job. True: there are more, for which the caller calls again once it has done what else
  /// there is to do.
  bool give_jobs();
  static constexpr std::size_t kJobsPerSlice = 256;
  static constexpr std::size_t kJobsPerTurn = 32;

  /// All shares up to that position are in the ledger for good: tells the answers that waited for it
  /// (ServerEvents::on_answers). Lower than before: nothing.
  void on_durable(channels::LedgerPosition position);

  /// A block that ServerEvents::on_block_found answered true for is on disk, or a node has answered, or it is lost for good and
  /// its finder is paid all the same: tells the answers that waited for it. A block of another shard: nothing.
  void on_block_kept(const bitcoin::Hash256& hash);

  /// While it is true no channel is opened (OpenRefusal::kNoWork); those that are open stay.
  void refuse_opens(bool refuse) { refuses_opens_ = refuse; }

  /// Closes the channels of one session after another, all of a session's together so that its client can turn elsewhere as a
  /// whole, until `at_least` are closed or none is left. Their shares are acknowledged as CloseChannel has it, and their
  /// clients hear `reason`, at most 255 bytes of plain text (ServerEvents::on_answers). Returns how many were closed.
  std::size_t close_channels(std::size_t at_least, std::string_view reason, const Now& now);

  [[nodiscard]] const ServerCounters& counters() const { return counters_; }
  [[nodiscard]] const channels::JobSet& jobs() const { return jobs_; }
  /// What all sources have taken.
  [[nodiscard]] const channels::MemoryBudget& memory() const { return memory_; }

 private:
  friend class ServerSession;
  void wait_for_job(ServerSession& session);

  const ServerPolicy& policy_;
  ServerEvents& events_;
  channels::ExtranonceAllocator extranonces_;
  channels::MemoryBudget memory_;
  Sources sources_;
  ServerCounters counters_;
  Payees payees_;
  std::vector<ServerSession*> sessions_;
  bool job_is_new_ = false;
  bool refuses_opens_ = false;
  std::deque<std::shared_ptr<Source>> round_;  ///< With sessions that wait for a job, in the order of their turns.
  /// Tells what is due of every session that waits.
  void release();

  channels::JobSet jobs_;
  channels::LedgerPosition durable_ = 0;
  std::vector<ServerSession*> waiting_;  ///< With answers that wait for the ledger or for a block.
  wire::FrameBuffer out_;
  wire::FrameBuffer tips_;  ///< Of one slice: each SetNewPrevHash of it.
};

/// One downstream connection. Lives on its shard's thread. A role derives from it what it has to know of the connection.
class ServerSession : public session::ProtocolServer {
 public:
  /// What servers of the mining protocol offer, without extensions.
  static session::ProtocolOffer offer();

  /// `setup_flags`: those of the client's SetupConnection, which offer() has. `source`: what its budgets count by; empty: it is
  /// a source of its own.
  ServerSession(ServerShard& shard, std::uint32_t setup_flags, Instant now, std::string_view source = {});
  ServerSession(const ServerSession&) = delete;
  ServerSession& operator=(const ServerSession&) = delete;
  ~ServerSession() override;

  /// Its client is an SV1 miner (mining/sv1_session.h): channels opened from now on have a difficulty that its firmware takes
  /// as it is, and the current job comes again behind every other target, because a miner applies a difficulty to the jobs that
  /// come after it.
  void serve_sv1() { sv1_ = true; }

  /// Extension 0x0002 makes it count shares by worker.
  void on_extensions(std::span<const std::uint16_t> granted) override;

  /// Handles the frames in order and appends the answers to `out`. On an error the connection is to be closed after `out` is
  /// sent; no further call but the destructor. Errors: session::Errc::kProtocol; kOverloaded: the peer only costs, and its
  /// source has nothing left (SourcePolicy::allowance). Allocates nothing for shares, once warm.
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out) override;

  /// Appends what the client was not given of the current job: the jobs of the first kGroupsAtOnce groups, then those of at
  /// most `max_channels` further groups, or of channels which need one each; reduces `max_channels` by those. True: there are
  /// more.
  bool give_job(wire::FrameBuffer& out, std::size_t& max_channels);
  /// The same for all channels.
  void on_job(wire::FrameBuffer& out) {
    for (std::size_t all = SIZE_MAX; give_job(out, all);) {
    }
  }

  /// Acknowledges every accepted share now, without waiting for a batch to fill: the session is about to end. What waits for
  /// the ledger or for a block is acknowledged as soon as it may be.
  void finish(wire::FrameBuffer& out) override;
  /// False while accepted shares wait for the ledger or for a block.
  [[nodiscard]] bool settled() const override { return waiting_.empty(); }
  [[nodiscard]] std::uint64_t good_shares() const override { return accepted_; }

  /// To be called about once a second: vardiff, late acknowledgements, deadlines. Error: session::Errc::kIdle.
  Result<void> on_tick(const Now& now, wire::FrameBuffer& out) override;

  // What a role may do to a session of its own accord. Error of each: session::Errc::kCannot, with nothing changed.

  /// Gives a channel another extranonce prefix, for jobs from the next one on, and says so (SV2 05 §5.3.10). No such channel,
  /// or no prefix is left.
  Result<void> change_prefix(std::uint32_t channel_id, wire::FrameBuffer& out);
  /// Makes those channels a group of their own, which later jobs address by the id returned, and says so (SV2 05 §5.3.22). No
  /// such channel, no channel, channels that are not paid alike, a connection that requires standard jobs, or kMaxGroups - 1
  /// were made so already.
  Result<std::uint32_t> regroup(std::span<const std::uint32_t> channel_ids, wire::FrameBuffer& out);
  /// Closes a channel, or a group's, after acknowledging its shares. No such channel; `reason` over 255 bytes or with control
  /// characters.
  Result<void> close(std::uint32_t channel_id, std::string_view reason, const Now& now, wire::FrameBuffer& out);
  /// Asks the client to come back, elsewhere if `host` is not empty or `port` not 0: to a server under the same authority,
  /// which is all that a client accepts (SV2 03 §3.6.5). `host` over 255 bytes or with control characters.
  static Result<void> reconnect(std::string_view host, std::uint16_t port, wire::FrameBuffer& out);

  static constexpr std::size_t kMaxGroups = 16;
  /// Groups of one session that have a new job before anything else is done on the shard.
  static constexpr std::size_t kGroupsAtOnce = 4;

  /// A range of `const Channel&`, ascending by id.
  [[nodiscard]] auto channels() const { return channels_.all(); }
  /// The channel of that id; nullptr: there is none.
  [[nodiscard]] const channels::Channel* channel(std::uint32_t id) const { return channels_.find(id); }
  /// By worker, if the client tells them (extension 0x0002); else nullptr.
  [[nodiscard]] const channels::WorkerAccounts* workers() const { return workers_.get(); }

 private:
  Result<void> on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);
  Result<void> handle(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out);
  /// Why a channel may not be opened.
  [[nodiscard]] std::optional<OpenRefusal> refuse_open(channels::ChannelKind kind, const wire::U256& max_target,
                                                       std::size_t min_extranonce_size, const Now& now);
  Result<void> on(const wire::OpenStandardMiningChannel& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::OpenExtendedMiningChannel& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::UpdateChannel& message, const Now& now, wire::FrameBuffer& out);
  /// Appends SetTarget; and where it is easier than `before`, the current job again.
  void push_target(channels::Channel& channel, const bitcoin::U256& before, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::CloseChannel& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::SetCustomMiningJob& message, const Now& now, wire::FrameBuffer& out);
  template <class Open>
  Result<void> on_open(const Open& message, const Now& now, wire::FrameBuffer& out);
  /// A submitted share on its way: decoded and prepared, then hashed, then judged and answered.
  struct Submission;
  template <class Submit>
  Result<void> begin_submit(const wire::FrameView& frame, const Now& now, Submission& submission);
  Result<void> end_submit(Submission& submission, wire::FrameBuffer& out);
  /// The peer had something refused. Error: kOverloaded.
  Result<void> charge(const Now& now);
  template <class Submit>
  Result<void> on_submit(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);
  /// Two shares behind one another, hashed together.
  template <class Submit>
  Result<void> on_submits(const wire::FrameView& first, const wire::FrameView& second, const Now& now, wire::FrameBuffer& out);

  void report_block(const channels::Channel& channel, const Submission& submission, channels::LedgerPosition position);
  /// Sends what is due of the channel, or lets it wait.
  void acknowledge(channels::Channel& channel, bool flush, wire::FrameBuffer& out);
  /// False: it waits.
  bool push_or_wait(std::uint32_t channel_id, const channels::Acknowledgement& batch, wire::FrameBuffer& out);
  [[nodiscard]] bool may_acknowledge(std::uint32_t channel_id, channels::LedgerPosition position) const;
  /// Appends what waited and may be sent by now.
  void release(wire::FrameBuffer& out);
  /// An invariant: the channels are in order of their ids, and what waits is known where it must be.
  [[nodiscard]] bool consistent() const;
  [[nodiscard]] bool groups_consistent() const;
  /// Whether a message about `channel_id` is about that channel: itself, or its group.
  [[nodiscard]] bool addresses(std::uint32_t channel_id, const channels::Channel& channel) const;
  /// False: there is neither such a channel nor such a group with members.
  bool close_channels(std::uint32_t channel_id, const Now& now, wire::FrameBuffer& out);
  void close_channel(channels::Channel& channel, wire::FrameBuffer& out);
  /// Closes every channel and says so; returns how many there were.
  std::size_t close_all(std::string_view reason, const Now& now, wire::FrameBuffer& out);
  void count_channel(const channels::Channel& channel, int by);
  /// Counts what waits as memory.
  void hold_answers();
  [[nodiscard]] bool grouped() const { return !standard_jobs_; }
  /// Whether the client is sent the shard's jobs.
  [[nodiscard]] bool is_given_jobs() const { return !work_selection_ || follows_pool_; }
  /// FollowPoolTip: a client that brings its own work is sent the shard's jobs too, all of its channels the current one now.
  void begin_to_give_jobs(wire::FrameBuffer& out);

  /// Channels that are paid alike, and that later jobs address together.
  struct Group {
    std::uint32_t id = 0;
    std::size_t members = 0;
    channels::Payee* payee = nullptr;  ///< Whom its members' blocks pay; nullptr: the pool, or nobody while it is empty.
    std::uint32_t given_job_id = 0;    ///< The job that its members know; 0: none.
    bool by_role = false;              ///< Made by regroup(): no channel joins it by itself.

    static std::uint32_t id_of(const std::unique_ptr<Group>& group) { return group->id; }
  };
  /// nullptr: there is no such group.
  [[nodiscard]] Group* find_group(std::uint32_t id) const;
  /// The group that a new channel which is paid so joins. Appends the current job if it has members who do not know it.
  Group& group_for(channels::Payee* payee, wire::FrameBuffer& out);
  Group& add_group(channels::Payee* payee, bool by_role);
  /// Appends the job for that group, if it has members who do not know it.
  void give_group(Group& group, const channels::Job& job, wire::FrameBuffer& out);
  /// The part of give_job() for groups behind the first kGroupsAtOnce.
  bool give_groups(const channels::Job& job, wire::FrameBuffer& out, std::size_t& max_groups);
  static void join(channels::Channel& channel, Group& group);
  void leave_group(std::uint32_t id);

  friend class ServerShard;
  /// A batch that is not sent yet: of a channel one, and one more if the channel was closed.
  struct Waiting {
    std::uint32_t channel_id = 0;
    channels::Acknowledgement batch;
  };
  /// A block that is not kept yet. No share of its channel from this one on is acknowledged.
  struct UnkeptBlock {
    bitcoin::Hash256 hash{};
    std::uint32_t channel_id = 0;
    channels::LedgerPosition position = 0;
  };

  ServerShard& shard_;
  std::shared_ptr<Source> source_;
  std::size_t place_;  ///< In the shard's list.
  Instant without_channel_since_;
  Instant last_flush_;
  std::uint32_t next_channel_id_ = channels::kFirstChannelId;
  std::uint32_t opened_on_tip_ = 0;
  std::uint32_t opens_tip_ = 0;     ///< The tip that opened_on_tip_ is of, by its first job.
  std::uint32_t given_job_id_;      ///< The job that give_job() has begun with; 0: none.
  std::uint32_t next_to_give_ = 0;  ///< The group, or the channel, from which to go on, by its id.
  std::size_t left_to_give_ = 0;    ///< Those to look at from there on, round and round.
  std::size_t unstarted_ = 0;       ///< Channels that were opened before there was a job.
  bool waits_for_job_ = false;      ///< In its source's list.
  std::uint64_t accepted_ = 0;      ///< Shares.
  std::uint64_t refused_ = 0;       ///< Shares and opens that count as a cost.
  bool standard_jobs_;              ///< The client asked for REQUIRES_STANDARD_JOBS: no group, no extended channels.
  bool sv1_ = false;                ///< serve_sv1() was called.
  bool work_selection_;             ///< REQUIRES_WORK_SELECTION: it brings its own jobs and is sent none (as SRI),
  bool follows_pool_ = false;       ///< unless it asked for them by FollowPoolTip.
  ChannelTable channels_;
  std::vector<std::unique_ptr<Group>> groups_;         ///< Ascending by id; none where the client asked for standard jobs.
  std::unique_ptr<channels::WorkerAccounts> workers_;  ///< If extension 0x0002 was agreed upon.
  std::vector<Waiting> waiting_;                       ///< In the order of their shares. While there are any, the shard knows.
  std::vector<UnkeptBlock> unkept_;                    ///< Mostly none.
  channels::MemoryBudget::Held answers_;               ///< What the two take.
  bool finishing_ = false;
};

}  // namespace adit::mining
