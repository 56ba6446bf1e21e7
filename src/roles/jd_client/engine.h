// The job declarator client's engine: templates of our own node become work for our miners, and that work is declared to a
// pool. No socket, no clock, no thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/block.h"
#include "bitcoin/template.h"
#include "bitcoin/u256.h"
#include "channels/extranonce.h"
#include "channels/job.h"
#include "channels/share_record.h"
#include "declaration/client_session.h"
#include "mining/upstream_account.h"
#include "session/client_setup.h"
#include "session/error.h"
#include "session/shares.h"
#include "wire/frame.h"
#include "wire/mining_messages.h"

namespace adit::jd_client {

/// How the miner's work becomes the pool's (SV2 06 §6.3).
enum class Mode : std::uint8_t {
  kFullTemplate,  ///< The declarator is told of every transaction.
  kCoinbaseOnly,  ///< It is told of none: the pool sees the coinbase alone.
  kSolo,          ///< There is no pool.
};

struct EngineOptions {
  Mode mode = Mode::kFullTemplate;
  std::vector<std::uint8_t> solo_script;     ///< Whom blocks pay that are no pool's.
  std::string signature;                     ///< In every coinbase, as channels::JobFactory has it.
  std::uint64_t salt = 0;                    ///< As channels::JobFactory.
  std::size_t rollable_extranonce_size = 8;  ///< Bytes that a miner rolls, at most channels::kRollableExtranonceSize.
  double least_hash_rate_hps = 1e12;         ///< What a pool is told before any miner is there; an easy target floods it.
  std::size_t max_past_jobs = channels::kMaxPastJobs;  ///< Of a tip, of which the miners' channels still take shares.
  std::size_t max_waiting_shares = 4096;  ///< Shares that wait for their jobs' acknowledgement; beyond, the least work goes.
  declaration::ClientPolicy declarator;
  Duration open_deadline = std::chrono::seconds(20);        ///< For the answer to OpenExtendedMiningChannel.
  Duration custom_job_deadline = std::chrono::seconds(20);  ///< For the answer to SetCustomMiningJob.
  Duration declarator_patience = std::chrono::seconds(20);  ///< How long a pool may be in use without its declarator.
  /// A refusal so soon after a tip may be a matter of who knows of it (SV2 06 §6.2 asks to leave a pool for a refusal).
  Duration tip_race = std::chrono::seconds(10);
  /// How long a pool may leave a job undecided that is tried again and again.
  Duration decision_patience = std::chrono::minutes(2);
  /// Where the pool speaks extension 0x4AD1 it is asked for its own jobs, and the miners are given them while its tip is newer
  /// than our node's.
  bool follow_pool_tip = false;
  /// So long after the first of these our node is believed, until it has another tip.
  Duration follow_limit = std::chrono::seconds(10);
};

/// What one job has come to. In this order for a job of a pool.
enum class WorkState : std::uint8_t {
  kSolo,          ///< No pool's.
  kWaiting,       ///< For a token, its transactions, or another try.
  kDeclaring,     ///< DeclareMiningJob is sent.
  kSetting,       ///< SetCustomMiningJob is sent.
  kAcknowledged,  ///< The pool pays for it.
  kLost,          ///< Refused, too late, or its pool is gone.
};

/// Why shares were not handed on.
enum class LostShares : std::uint8_t {
  kRefusedJob,  ///< The declarator or the pool refused their job.
  kStaleJob,    ///< Their job was of a tip that is gone before it was acknowledged.
  kPoolGone,    ///< They were of a pool's job that is not in use any more.
  kNoRoom,      ///< More waited than may; these had the least work.
};
inline constexpr std::size_t kLostShares = 4;
/// "refused-job", "stale-job", "pool-gone", "no-room".
std::string_view lost_name(LostShares why);

/// Totals since the start.
struct Counters {
  std::uint64_t jobs = 0;                ///< Given to the miners.
  std::uint64_t jobs_declared = 0;       ///< DeclareMiningJob was sent; again for one that was tried again.
  std::uint64_t jobs_acknowledged = 0;   ///< By SetCustomMiningJob.Success.
  std::uint64_t jobs_refused = 0;        ///< By either, for whatever reason.
  std::uint64_t jobs_refused_stale = 0;  ///< Of these: for a tip that only one side knew.
  std::uint64_t transactions_sent = 0;   ///< That declarators asked for.
  std::uint64_t shares_submitted = 0;    ///< To pools.
  std::uint64_t shares_accepted = 0;     ///< By pools.
  std::uint64_t work_sum = 0;            ///< What they are worth, as the pools say.
  std::map<std::string, std::uint64_t, std::less<>> shares_rejected;  ///< By pools, by error code; at most kMostCodes of them.
  std::uint64_t shares_local = 0;                                     ///< Easier than the pool asks for: not sent.
  std::uint64_t shares_solo = 0;                                      ///< Of no pool's job.
  std::array<std::uint64_t, kLostShares> shares_lost{};               ///< By LostShares.
  std::uint64_t blocks_found = 0;
  std::uint64_t blocks_of_pools = 0;     ///< Of these: found on a pool's job.
  std::uint64_t solutions_pushed = 0;    ///< PushSolution.
  std::uint64_t falls_to_solo = 0;       ///< Times that the miners' work stopped being a pool's.
  std::uint64_t pool_tips_followed = 0;  ///< Times that the miners were given a pool's own job, as its tip was newer.

  static constexpr std::size_t kMostCodes = 32;
};

/// The channel with a pool.
struct PoolChannel {
  std::uint32_t id = 0;
  std::string user_identity;  ///< That it was opened with.
  double declared_hps = 0;    ///< That the pool was told of last.
  bitcoin::U256 target{};
  std::vector<std::uint8_t> extranonce_prefix{};
  std::size_t extranonce_size = 0;  ///< Rollable bytes that the pool granted.
  mining::UpstreamAccount account{};
};

/// What stands now.
struct EngineStatus {
  std::optional<PoolChannel> channel;  ///< Open with a pool; absent: none.
  bool declarator_ready = false;       ///< A session with its declarator stands.
  bool mining_for_pool = false;        ///< What the miners have is that pool's.
  std::size_t waiting_shares = 0;
  std::size_t spare_tokens = 0;
  std::uint32_t height = 0;  ///< Of the newest template; 0 before the first.
  std::vector<bitcoin::TxOutput>
      coinbase{};  ///< The outputs of the miners' newest job that pay; empty before the first, and on a pool's own job.
  std::optional<Duration> acknowledge;  ///< What the last job took from its template to its acknowledgement.
};

/// All transactions of a template but the coinbase, and their ids.
struct TransactionSet {
  std::shared_ptr<const std::vector<std::vector<std::uint8_t>>> transactions;
  std::shared_ptr<const std::vector<bitcoin::Hash256>> wtxids;
};
/// Computes the ids. Error: bitcoin's kMalformed.
Result<TransactionSet> with_ids(std::shared_ptr<const std::vector<std::vector<std::uint8_t>>> transactions);

/// How much a coinbase may add to a template: serialized bytes of outputs, and legacy signature operations in them.
struct Constraints {
  std::uint32_t outputs_size = 0;
  std::uint32_t sigops = 0;
  bool operator==(const Constraints&) const = default;
};
/// What templates leave room for before any declarator has said what it wants.
Constraints first_constraints(const EngineOptions& options);

/// What the engine asks of its driver, and what is worth a line in its log. No function may call into the engine.
class EngineEvents {
 public:
  virtual ~EngineEvents() = default;
  /// From now on the miners mine on this.
  virtual void on_job(channels::JobPtr job) = 0;
  /// Ends by Engine::on_transactions, later or never.
  virtual void fetch_transactions(const bitcoin::TemplatePtr& block_template) = 0;
  /// Templates are to leave room for that from now on.
  virtual void constrain(Constraints constraints) = 0;
  /// No miner needs a harder target than this, which is the pool's; zero: there is no pool.
  virtual void on_upstream_target(const bitcoin::U256& target) = 0;

  /// The miners' work is that pool's from now on.
  virtual void on_pool_work(std::size_t /*candidate*/) {}
  /// The miners' work is no pool's from now on.
  virtual void on_solo_work(std::string_view /*why*/) {}
  /// The miners' work is the pool's own job from now on, whose block has that height.
  virtual void on_pool_tip(std::uint32_t /*height*/) {}
  /// Their work is ours again, after so long. `at_limit`: our node has not caught up.
  virtual void on_own_tip(Duration /*followed*/, bool /*at_limit*/) {}
  virtual void on_acknowledged(std::uint32_t /*job_id*/, Duration /*since_template*/, std::size_t /*waiting_shares*/) {}
  /// `by`: "declarator" or "pool". `stale`: it says nothing against either.
  virtual void on_refused(std::uint32_t /*job_id*/, std::string_view /*by*/, std::string_view /*error_code*/, bool /*stale*/) {}
  virtual void on_shares_lost(std::size_t /*count*/, LostShares /*why*/) {}
  virtual void on_share_rejected(std::string_view /*error_code*/) {}
  /// A template of which no job could be made.
  virtual void on_unusable(const Error&) {}
};

/// Miners below, one pool and its declarator above, one source of templates beside. Each template is a job for the miners at
/// once; their shares wait until the pool has acknowledged the job, and go up in the order in which they were found.
///
/// A pool whose session has just begun has to acknowledge a job before the miners are given its work: until then they mine
/// solo, as they do while there is no pool. After that every template's job is given to the miners before it is acknowledged. A
/// template that only brings fees waits until the job before it is decided, so that miners are never at more than one
/// job of a tip that may come to nothing.
///
/// A pool that is asked for its own jobs (EngineOptions::follow_pool_tip) may know of a tip before our node does: one that our
/// node has never named, at a greater height. Then the miners are given the pool's job, whose shares go up at once, until our
/// node has caught up or the limit has passed.
///
/// A miner's extranonce is the same whatever stands above: `prefix of the channel (8) | rollable`. The pool's prefix, and zeros
/// up to what the pool granted, are the end of coinbase_tx_prefix.
///
/// Not thread-safe. After each call the driver sends pool_output() and declarator_output().
class Engine final : private declaration::ClientHandler {
 public:
  /// `events` outlives the engine.
  Engine(EngineOptions options, EngineEvents& events);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine() override;

  // ---- The source of templates.
  void on_template(bitcoin::TemplatePtr block_template, const Now& now);
  /// What fetch_transactions asked for.
  void on_transactions(std::uint64_t template_id, const Result<TransactionSet>& set, const Now& now);

  // ---- The pool.
  /// A session with the mining server of that upstream is set up. `user_identity`, at most 255 bytes, is for it and its
  /// declarator. `regtest_only`: its authority key is one whose secret everybody has.
  void on_pool_ready(std::size_t candidate, std::string user_identity, bool regtest_only, const Now& now);
  /// The pool speaks extension 0x4AD1; once at most in a session.
  void on_adit_extension();
  /// Errors (session::Errc kProtocol, kRefused, kClosed): as upstream::UplinkRole::on_frames.
  Result<void> on_pool_frames(std::span<const wire::FrameView> frames, const Now& now);
  /// The session is over: the miners have solo work from now on. Hands over the shares whose answers may still come.
  session::StratumV2StreamHandler on_pool_lost(std::string_view why, const Now& now);
  /// About once a second, with a pool or without. `hash_rate_hps`: of all miners. Error: kTimedOut.
  Result<void> on_tick(double hash_rate_hps, const Now& now);
  /// Some time has passed: does what waited for it. To be called some times a second.
  void on_time(const Now& now);
  /// Why the pool is to be left although it keeps the protocol (SV2 06 §6.2).
  [[nodiscard]] std::optional<Error> fault() const;
  [[nodiscard]] wire::FrameBuffer& pool_output() { return pool_output_; }
  /// Answers to shares of a session that is over.
  void on_late_answer(const wire::SubmitSharesSuccess& message);
  void on_late_answer(const wire::SubmitSharesError& message);

  // ---- Its declarator; only while the pool's session stands.
  void on_declarator_ready(const Now& now);
  /// Errors: those of declaration::ClientSession::on_frames.
  Result<void> on_declarator_frames(std::span<const wire::FrameView> frames, const Now& now);
  /// Error: kTimedOut.
  Result<void> on_declarator_tick(const Now& now);
  /// For a while its jobs are waited for: another session may begin.
  void on_declarator_lost(const Now& now);
  [[nodiscard]] wire::FrameBuffer& declarator_output() { return declarator_output_; }

  // ---- The miners.
  /// A share that a miner's channel accepted: handed on, kept, or counted. A block's solution is pushed to the declarator too;
  /// handing it to the node is the driver's part.
  void on_share(const channels::ShareRecord& share, const Now& now);

  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] EngineStatus status() const;
  /// Bytes of extranonce that a pool has to grant.
  [[nodiscard]] std::size_t extranonce_size() const {
    return channels::kExtranoncePrefixSize + options_.rollable_extranonce_size;
  }

 private:
  struct Share {
    bitcoin::U256 hash;
    std::array<std::uint8_t, channels::kFullExtranonceSize> extranonce{};
    std::uint32_t nonce = 0;
    std::uint32_t ntime = 0;
    std::uint32_t version = 0;
    bool block = false;
  };
  struct Work {
    channels::JobPtr job;
    std::uint64_t session = 0;  ///< Of the pool; 0: solo.
    std::uint64_t tip = 0;      ///< The number of its tip; 0: it is the pool's own job, on a tip of the pool's.
    WorkState state = WorkState::kSolo;
    bool given = false;    ///< To the miners.
    bool renewed = false;  ///< Its token was not known, and another one was taken.
    unsigned tries = 0;    ///< That ended as stale.
    Instant made_at{};
    Instant not_before{};                                           ///< The next try.
    Instant deadline{};                                             ///< Of SetCustomMiningJob's answer.
    std::shared_ptr<const std::vector<bitcoin::TxOutput>> outputs;  ///< That the declarator wants.
    std::optional<TransactionSet> transactions;                     ///< Once they are here.
    std::vector<std::uint8_t> script;                               ///< Before the pool's prefix.
    std::vector<std::uint8_t> front;                                ///< The pool's prefix, and zeros before the miner's part.
    std::vector<std::uint8_t> custom_token;
    std::uint32_t request_id = 0;    ///< Of a SetCustomMiningJob that is not answered; 0: there is none.
    std::uint32_t upstream_job = 0;  ///< The pool's number.
    bitcoin::U256 target;            ///< The pool's for it.
    std::vector<Share> waiting;
  };
  struct Pool;

  // declaration::ClientHandler
  void on_token() override;
  void on_declared(std::uint64_t job, Bytes token) override;
  void on_declare_refused(std::uint64_t job, std::string_view error_code) override;
  void on_transactions_sent(std::uint64_t job, std::size_t count, std::size_t bytes) override;

  Result<void> on(const wire::OpenExtendedMiningChannelSuccess& message);
  Result<void> on(const wire::OpenMiningChannelError& message);
  Result<void> on(const wire::SetCustomMiningJobSuccess& message);
  Result<void> on(const wire::SetCustomMiningJobError& message);
  Result<void> on(const wire::SubmitSharesSuccess& message);
  Result<void> on(const wire::SubmitSharesError& message);
  Result<void> on(const wire::NewExtendedMiningJob& message);
  Result<void> on(const wire::SetNewPrevHash& message);
  Result<void> on(const wire::SetTarget& message);
  Result<void> on(const wire::SetExtranoncePrefix& message);
  Result<void> on(const wire::SetGroupChannel& message);
  Result<void> on(const wire::CloseChannel& message);

  /// Takes the pool's prefix, if a coinbase has room for it. Error: kRefused.
  Result<void> take_prefix(Bytes prefix, std::size_t granted);
  [[nodiscard]] bool can_work_for_pool() const;
  /// A solo job of the newest template, for the miners.
  void make_solo_work();
  /// A job of the newest template for the pool; given to the miners at once if the pool is known to acknowledge. False: none
  /// could be made, which is the pool's fault.
  bool make_pool_work();
  /// Whatever the newest template is to become now.
  void make_work();
  /// The same, without waiting for a job before it.
  void make_work_now();
  /// Gives the miners the pool's own job, if it is to be followed now. False: it is not, or not any more.
  bool follow_pool();
  /// The pool's own job or the time may have changed what is to be mined.
  void look_at_pool_tip();
  /// The height of the pool's job, if its tip is newer than our node's.
  [[nodiscard]] std::optional<std::uint32_t> newer_height(const channels::ClientJob& job) const;
  /// The pool may be able to do its part now: declares the newest template for it, unless one is on its way.
  void try_pool();
  /// The newest from now on; lets go of the oldest.
  Work& add(Work work);
  void give(Work& work);
  /// The node does not give the transactions of that template: jobs that wait for them never become the pool's.
  void lose_undeclared(std::uint64_t template_id, bool newest);
  /// The job may have been lost just now: then a newer template need not wait for it.
  void go_on_after(const Work& work);
  /// The pool, or its declarator, was asked for a decision.
  void wait_for_decision();
  /// The job whose SetCustomMiningJob is answered by that; nullptr: there is none.
  Work* answered(std::uint32_t request_id);
  /// What a job that waits may do now.
  void advance(Work& work);
  void advance_all();
  void send_custom_job(Work& work);
  void acknowledged(Work& work, std::uint32_t upstream_job);
  void refused(Work& work, std::string_view by, std::string_view error_code);
  void lose(Work& work, LostShares why);
  void count_lost(std::size_t count, LostShares why);
  void submit(const Work& work, const Share& share);
  void keep(Work& work, Share share);
  void drop_least_work();
  void push_solution(const Work& work, const channels::ShareRecord& share);
  void count_rejected(std::string_view code);
  void constrain();
  [[nodiscard]] bool on_newest_tip(const Work& work) const;
  [[nodiscard]] Work* find(std::uint64_t job_id);
  /// The pool's newest job, if it is of the newest template's tip; nullptr: none.
  [[nodiscard]] Work* newest_of_pool();

  const EngineOptions options_;
  EngineEvents& events_;
  channels::JobFactory factory_;
  Now now_{};  ///< Of the call that is under way.
  bitcoin::TemplatePtr template_;
  std::uint64_t tip_ = 0;  ///< Tips so far.
  Instant tip_at_{};
  std::deque<bitcoin::Hash256> past_tips_;      ///< The newest ones that our node has named, the one of now included.
  bool template_waits_ = false;                 ///< No pool's job was made of it yet, as the one before is not decided.
  std::optional<TransactionSet> transactions_;  ///< Of the newest template, once they are here.
  bool no_transactions_ = false;                ///< They will not come.
  std::deque<Work> works_;                      ///< Oldest first.
  std::size_t waiting_ = 0;                     ///< Shares of all of them.
  std::uint32_t last_given_ = 0;                ///< The job that the miners have; 0: none.
  bool pool_work_given_ = false;                ///< It is a pool's.
  std::uint64_t followed_tip_ = 0;              ///< Our newest tip on which a pool's own job was given to them; 0: none.
  Instant followed_since_{};                    ///< The first of these.
  std::uint64_t last_session_ = 0;
  std::unique_ptr<Pool> pool_;
  wire::FrameBuffer pool_output_;
  wire::FrameBuffer declarator_output_;
  double hash_rate_hps_ = 0;
  Constraints constraints_;
  std::optional<Duration> last_acknowledge_;
  std::string lost_because_;  ///< Why the miners' work may not be a pool's: its session ended, or our node fails.
  Counters counters_;
};

}  // namespace adit::jd_client
