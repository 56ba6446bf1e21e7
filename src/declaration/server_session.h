// Job declaration as a server (SV2 06): the conversation with each client, and what the clients of one shard share. An engine:
// no I/O, time is an argument. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cost_budget.h"
#include "base/result.h"
#include "base/time.h"
#include "bitcoin/block.h"
#include "bitcoin/template.h"
#include "channels/payout.h"
#include "declaration/block_checker.h"
#include "declaration/coinbase_parts.h"
#include "declaration/declared_job.h"
#include "declaration/known_transactions.h"
#include "declaration/sealed_token.h"
#include "declaration/token.h"
#include "session/server_side.h"
#include "wire/frame.h"
#include "wire/job_declaration_messages.h"

namespace adit::declaration {

/// What a declared job's coinbase has to pay the pool, or the miner that the pool lets have the block.
struct RevenuePolicy {
  /// The required output's least part of the revenue, in percent. The revenue is what all outputs are worth, but never less
  /// than the block's subsidy.
  unsigned percent = 100;
  /// Blocks until the subsidy halves: 210,000, regtest's 150; 0: the network is not known, and the subsidy not looked at.
  std::uint32_t halving_interval = 0;

  /// Whether an output with `script` is worth enough in the coinbase of a block of that height.
  [[nodiscard]] bool is_met(std::span<const bitcoin::TxOutput> outputs, Bytes script, std::uint32_t height) const;
};

/// What the output has to pay that a declared job of that user needs. Error: session::Errc::kRefused: an identity with a payout
/// that no declared job can have, or none at all.
Result<std::vector<std::uint8_t>> script_to_pay(const channels::PayoutPolicy& payouts, std::string_view user);

struct ServerPolicy {
  bool allow_coinbase_only = false;  ///< Clients that keep their transactions to themselves are served too (06 §6.3.1).
  channels::PayoutPolicy payouts;    ///< The pool's. Whom a job has to pay.
  RevenuePolicy revenue;
  /// Set: the pool is another process, to which tokens speak for themselves; nobody has to be told of jobs.
  std::shared_ptr<const TokenSeal> seal;
  /// From Allocate to Declare: long, because a client keeps a spare one, and falls back when that is refused (SRI: the same).
  Duration token_life = std::chrono::hours(24);
  /// From Declare.Success to SetCustomMiningJob (SRI: 10 to 20 s).
  Duration job_life = std::chrono::seconds(60);
  Duration missing_deadline = std::chrono::seconds(30);  ///< For ProvideMissingTransactions.Success.
  /// How long a declaration on a tip that is one ahead of ours waits for ours to come.
  Duration tip_patience = std::chrono::seconds(5);
  std::size_t max_tokens = 64;                 ///< Of one client, allocated and not used.
  std::size_t max_tokens_per_shard = 1 << 16;  ///< Of all clients of a shard.
  std::size_t max_declarations = 4;            ///< Of one client, under way.
  std::size_t max_active = 16;  ///< Jobs of one client that wait for SetCustomMiningJob; beyond, the oldest goes.
  std::size_t max_recent = 8;   ///< Jobs of one client that PushSolution may be about.
  bool asks_mempool = false;    ///< A node can be asked for transactions that are not known, before the client is.
  Duration mempool_patience = std::chrono::milliseconds(1500);  ///< How long its answer is waited for.
  std::size_t max_known_bytes = 128 << 20;                      ///< What known transactions may take, on each shard.
  CostAllowance declarations{120, std::chrono::minutes(2)};     ///< Of one client: each costs the node a check.
  CostAllowance faults{64, std::chrono::minutes(10)};           ///< Of one client, before it is cut off.
};

/// Why a declaration was refused.
enum class DeclareRefusal : std::uint8_t {
  kToken,            ///< No token, not this connection's, used or expired, or one whose client keeps its transactions.
  kCoinbase,         ///< Prefix and suffix are not around a coinbase.
  kCoinbaseInput,    ///< It has not one input that spends nothing.
  kCoinbaseOutputs,  ///< Too little goes where it has to.
  kMissing,          ///< Transactions were asked for and not given.
  kStaleTip,         ///< It is not about the present tip.
  kInvalid,          ///< The block would not be valid.
  kInternal,         ///< No node answered.
  kTooMany,          ///< This client has as many under way as it may have, or declares too often.
  kRequestId,        ///< A declaration with that request id is under way.
};
inline constexpr std::size_t kDeclareRefusals = 10;
/// The error code of DeclareMiningJob.Error; SRI's where it has one.
std::string_view declare_error_code(DeclareRefusal refusal);

/// What one shard has counted.
struct ServerCounters {
  std::uint64_t tokens_allocated = 0;
  std::uint64_t jobs_declared = 0;                             ///< Answered by DeclareMiningJob.Success.
  Duration jobs_time{};                                        ///< From their DeclareMiningJob to that, all added up.
  std::array<std::uint64_t, kDeclareRefusals> jobs_refused{};  ///< By DeclareRefusal.
  std::uint64_t transactions_declared = 0;                     ///< In all lists whose transactions were looked up.
  std::uint64_t transactions_missing = 0;                      ///< Of these, asked of their client.
  std::uint64_t solutions = 0;                                 ///< PushSolution: handed on.
  std::uint64_t solutions_refused = 0;                         ///< Of no job that is known, or without their work.
  std::size_t clients = 0;                                     ///< Now.
  std::size_t known_bytes = 0;                                 ///< Now: see KnownTransactions::bytes.
};
void add(ServerCounters& sum, const ServerCounters& part);

class ServerSession;

/// What the engine asks of its driver. Calls come from inside the shard's and the sessions' functions; none may call back into
/// them.
class ServerEvents {
 public:
  /// 128 bits that nobody guesses.
  virtual Token next_token() = 0;
  /// Asks a node. To be answered by ServerShard::on_checked with the session's and the declaration's numbers, once.
  virtual void check(const ServerSession& session, std::uint64_t declaration, const DeclaredJobPtr& job) = 0;
  /// Looks for transactions in a node's mempool. To be answered by ServerShard::on_found with the same numbers, once.
  virtual void find(std::uint64_t session, std::uint64_t declaration, std::vector<Hash256> wtxids) = 0;
  /// The job counts from now on, and its transactions are known: every shard is to be told (DeclaredJobs::add,
  /// ServerShard::on_transactions). Once all were, ServerShard::on_told follows with the same numbers: then the client hears
  /// it.
  virtual void tell(std::uint64_t session, std::uint64_t declaration, const DeclaredJobPtr& job,
                    std::vector<TransactionPtr> transactions) = 0;
  /// A client has found a block on a declared job: to be submitted at once.
  virtual void submit(const ServerSession& session, const DeclaredJobPtr& job, const bitcoin::Hash256& hash,
                      bitcoin::BlockSolution solution) = 0;
  /// Sends frames to a client outside of a call of its session.
  virtual void send(ServerSession& session, const wire::FrameBuffer& frames) = 0;
  /// Every declaration of the client is answered now, and the answer was sent.
  virtual void settled(ServerSession& session) = 0;
  /// A job was accepted, for which the client was asked for so many transactions, so long after its DeclareMiningJob.
  virtual void on_declared(const ServerSession&, const DeclaredJob&, std::size_t /*asked_for*/, Duration /*took*/) {}
  /// `reason` says more than the refusal where there is more to say; valid during the call.
  virtual void on_refused(const ServerSession&, DeclareRefusal, std::string_view /*reason*/) {}
  virtual void on_solution_refused(const ServerSession&, std::string_view /*reason*/) {}

 protected:
  ~ServerEvents() = default;
};

/// Job declaration on one shard. Its sessions must be gone before it is.
class ServerShard {
 public:
  /// Both must outlive the shard.
  ServerShard(const ServerPolicy& policy, ServerEvents& events)
      : policy_(policy), events_(events), known_(policy.max_known_bytes) {}
  ~ServerShard();
  ServerShard(const ServerShard&) = delete;
  ServerShard& operator=(const ServerShard&) = delete;

  /// The pool's newest template. Declarations that waited for its tip go on.
  void set_template(bitcoin::TemplatePtr made, const Now& now);
  /// Transactions that a template or a declared job has.
  void on_transactions(std::span<const TransactionPtr> transactions);
  /// The answer to ServerEvents::find: those that the node has, in any order.
  void on_found(std::uint64_t session, std::uint64_t declaration, std::span<const TransactionPtr> found, const Now& now);
  /// The answer to ServerEvents::check.
  void on_checked(std::uint64_t session, std::uint64_t declaration, const CheckAnswer& answer, const Now& now);
  /// The answer to ServerEvents::tell.
  void on_told(std::uint64_t session, std::uint64_t declaration, const Now& now);

  [[nodiscard]] ServerCounters counters() const;

 private:
  friend class ServerSession;

  [[nodiscard]] ServerSession* find(std::uint64_t session) const;

  const ServerPolicy& policy_;
  ServerEvents& events_;
  KnownTransactions known_;
  bitcoin::TemplatePtr tip_;  ///< Null before the first.
  std::map<std::uint64_t, ServerSession*> sessions_;
  std::uint64_t last_number_ = 0;  ///< Of sessions and declarations.
  std::size_t tokens_ = 0;         ///< Of all sessions.
  ServerCounters counters_;
};

/// One client.
class ServerSession : public session::ProtocolServer {
 public:
  /// `setup_flags`: those of the client's SetupConnection, which offer() has.
  ServerSession(ServerShard& shard, std::uint32_t setup_flags, const Now& now);
  ~ServerSession() override;
  ServerSession(const ServerSession&) = delete;
  ServerSession& operator=(const ServerSession&) = delete;

  /// The offer of this protocol, for session::ServerOptions, without extensions.
  static session::ProtocolOffer offer(const ServerPolicy& policy);

  /// Errors: session::Errc::kProtocol; kRefused: an identity with a payout that no declared job can have; kOverloaded: the
  /// client wants more tokens than it may have, or only costs.
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out) override;
  Result<void> on_tick(const Now& now, wire::FrameBuffer& out) override;
  [[nodiscard]] bool settled() const override { return declarations_.empty(); }
  /// Its jobs that were good.
  [[nodiscard]] std::uint64_t good_shares() const override { return good_; }

  /// A number of this client alone on its shard.
  [[nodiscard]] std::uint64_t number() const { return number_; }
  /// It keeps its transactions to itself (06 §6.3.1).
  [[nodiscard]] bool is_coinbase_only() const { return coinbase_only_; }

 private:
  friend class ServerShard;

  /// One on its way: held for transactions from a mempool and from the client, then for a tip, then for a node, then for the
  /// other shards. A coinbase-only client's token goes the last step alone.
  struct Declaration {
    enum class State : std::uint8_t { kForMempool, kForTransactions, kForTip, kForNode, kForShards };
    State state = State::kForMempool;
    std::uint64_t number = 0;
    std::uint32_t request_id = 0;
    Instant since;
    Instant until = Instant::max();
    Token token{};
    std::uint32_t version = 0;
    DeclaredCoinbase coinbase;
    std::vector<Hash256> wtxids;
    std::vector<TransactionPtr> transactions;  ///< By place in `wtxids`; null: not known.
    std::vector<std::uint16_t> unknown;        ///< Places that were not known.
    std::vector<std::uint16_t> missing;        ///< Of these, those that the client is asked for.
    bitcoin::TemplatePtr tip;                  ///< That it is declared on; null: ours is not as far yet.
    std::shared_ptr<DeclaredJob> job;
  };
  using Declarations = std::list<Declaration>;

  Result<void> on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::AllocateMiningJobToken& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::DeclareMiningJob& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::ProvideMissingTransactionsSuccess& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::PushSolution& message, const Now& now, wire::FrameBuffer& out);

  // Each takes a declaration a step further, as far as it gets.
  void start(Declarations::iterator declaration, const Now& now, wire::FrameBuffer& out);
  /// Finds the tip that it is declared on, unless ours is not as far yet. False: it was refused.
  bool settle_tip(Declarations::iterator declaration, const Now& now, wire::FrameBuffer& out);
  void look_up(Declarations::iterator declaration, const Now& now, wire::FrameBuffer& out);
  void ask_client(Declarations::iterator declaration, const Now& now, wire::FrameBuffer& out);
  /// All its transactions are here.
  void on_complete(Declarations::iterator declaration, const Now& now, wire::FrameBuffer& out);
  void ask_node(Declarations::iterator declaration, const Now& now, wire::FrameBuffer& out);
  void on_found(std::uint64_t declaration, std::span<const TransactionPtr> found, const Now& now);
  void on_checked(std::uint64_t declaration, const CheckAnswer& answer, const Now& now);
  void on_told(std::uint64_t declaration, const Now& now);
  void on_template(const Now& now);

  [[nodiscard]] Declarations::iterator find(std::uint64_t declaration);
  /// Whether the pool still works on the tip that it is declared on.
  [[nodiscard]] bool is_current(const Declaration& declaration) const;
  /// Whether the pool has left the tip that it is declared on.
  [[nodiscard]] bool has_moved(const Declaration& declaration) const;
  /// The answer of DeclareMiningJob.Error, and the end of the declaration.
  void refuse(Declarations::iterator declaration, DeclareRefusal refusal, std::string_view reason, const Now& now,
              wire::FrameBuffer& out);
  /// The bytes by which the client shows that job.
  [[nodiscard]] std::vector<std::uint8_t> shown_token(const DeclaredJob& job, const Now& now) const;
  void answer_token(std::uint32_t request_id, Bytes token, Bytes script, wire::FrameBuffer& out);
  void answer_refusal(std::uint32_t request_id, DeclareRefusal refusal, std::string_view reason, const Now& now,
                      wire::FrameBuffer& out);
  [[nodiscard]] std::shared_ptr<DeclaredJob> make_job(std::string user, std::vector<std::uint8_t> payout_script,
                                                      Instant expires);
  /// Sends what an answer that came from outside has led to.
  void send_answers(const wire::FrameBuffer& out);
  /// The client did what only costs: with nothing left it is cut off after the call.
  void charge(Instant now);
  [[nodiscard]] Result<void> check_cost() const;
  /// Lets go of tokens that have expired, and of the jobs that nobody can set any more.
  void prune(Instant now);
  [[nodiscard]] std::size_t tokens() const { return tokens_.size() + (coinbase_only_ ? active_.size() : 0); }

  ServerShard& shard_;
  const std::uint64_t number_;
  const bool coinbase_only_;
  AllocatedTokens tokens_;
  Declarations declarations_;
  std::deque<DeclaredJobPtr> active_;  ///< Newest last: those that wait for SetCustomMiningJob.
  std::deque<DeclaredJobPtr> recent_;  ///< Newest first: those that PushSolution may be about.
  CostBudget declares_left_;
  CostBudget faults_left_;
  std::uint64_t good_ = 0;
  bool only_costs_ = false;  ///< Nothing is left of what its faults may cost.
};

}  // namespace adit::declaration
