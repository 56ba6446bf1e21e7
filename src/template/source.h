// What every source of work is to a pool: it publishes templates and takes their solutions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/block.h"
#include "bitcoin/template.h"
#include "ledger/block.h"
#include "template/error.h"

namespace adit::templates {

using bitcoin::BlockSolution;
using bitcoin::FoundBlock;
using bitcoin::Hash256;
using bitcoin::Template;
using bitcoin::TemplatePtr;
using ledger::BlockResult;
using ledger::BlockVerdict;

/// Template::id.
using TemplateId = std::uint64_t;

/// What the pool adds to the coinbase beside what a template asks for: blocks leave room for it (SV2 07 §7.1,
/// CoinbaseOutputConstraints).
struct CoinbaseConstraints {
  std::uint32_t max_additional_size = 0;    ///< Serialized bytes of the outputs that pay.
  std::uint32_t max_additional_sigops = 0;  ///< Signature operations in their scripts, as legacy ones are counted.
  bool operator==(const CoinbaseConstraints&) const = default;
};

enum class SourceState : std::uint8_t {
  kStarting,       ///< Nothing heard yet.
  kReady,          ///< Templates come.
  kWaiting,        ///< None now, but it passes by itself: the node is away, warming up or catching up.
  kMisconfigured,  ///< None until somebody acts: wrong password, wrong network. Still tried again, slowly.
};

/// "starting", "ready", "waiting", "misconfigured".
std::string_view state_name(SourceState state);

/// One node of a source that has several, as far as templates go.
struct NodeStatus {
  std::string name;  ///< "127.0.0.1:8332".
  SourceState state = SourceState::kStarting;
  std::string message;                              ///< As SourceStatus::message.
  bool in_use = false;                              ///< The templates that are mined on come from it.
  std::uint32_t height = 0;                         ///< Of the block that its newest template is for; 0 before the first.
  std::optional<std::chrono::seconds> clock_ahead;  ///< As SourceStatus::clock_ahead.
};

struct SourceStatus {
  using State = SourceState;
  State state = State::kStarting;
  /// Why there are no templates, and what to do; while ready a caution (the node takes no transactions), mostly empty.
  std::string message;
  std::optional<Instant> not_ready_since = std::nullopt;  ///< When it was ready last, or started; absent while it is ready.
  std::optional<Instant> template_at = std::nullopt;      ///< When the newest template came; absent before the first.
  /// By how much the node's clock is ahead of this machine's (negative: behind), as its newest template shows it; absent where
  /// that is not known.
  std::optional<std::chrono::seconds> clock_ahead = std::nullopt;
  std::string node{};                    ///< The name of the node that the newest template came from; empty if there is none.
  std::uint32_t height = 0;              ///< Of the block that the newest template is for; 0 before the first.
  std::uint32_t nbits = 0;               ///< Of the same.
  std::uint64_t coinbase_value_sat = 0;  ///< Template::coinbase_value_sat of the same.
  std::uint64_t templates = 0;           ///< Published so far.
  std::uint64_t blocks_accepted = 0;     ///< Duplicates of our own included.
  std::uint64_t blocks_rejected = 0;     ///< Stale ones and those given up included.
  std::uint64_t blocks_unanswered = 0;   ///< Submitted or waiting to be; the chain has not answered yet.
  std::vector<ledger::AnsweredBlock> answered{};  ///< What the chain said of blocks since the start, newest first; bounded.
  std::vector<NodeStatus> nodes{};                ///< Of a source with several nodes: all that give templates, best first.
};

/// Where a source reports to. No function may block: an owner posts to its shards. on_template and on_status are called on one
/// thread at a time, on_block_kept and on_block_result likewise, but the two pairs may be called at the same time. None is
/// called after stop() has returned.
struct SourceEvents {
  /// `new_tip`: the previous hash or nbits differ from those of the template before, so all earlier work is stale. Required.
  std::function<void(TemplatePtr block_template, bool new_tip)> on_template;
  /// State or message changed. May be empty.
  std::function<void(const SourceStatus& status)> on_status{};
  /// A block that was submitted is on disk, or a node has answered: from now on no crash of this process loses it, and its
  /// share may be answered. Once for each. `hash` is that of its header. May be empty.
  std::function<void(const Hash256& hash)> on_block_kept{};
  /// The chain's answer to a block that was submitted, in this run or in an earlier one of which the journal kept it. May be
  /// empty.
  std::function<void(const BlockResult& result)> on_block_result{};
  /// Gives the next template its id, so that several sources under one owner have no id in common. Empty: 1, 2, ...
  std::function<TemplateId()> next_template_id{};
};

/// Logs the answer under that event name, as an error where the chain refused the block.
void log_result(std::string_view event, const BlockResult& result);
/// Logs state, message and height under that event name, as an error where the operator has to change something.
void log_status(std::string_view event, const SourceStatus& status);

/// A source of templates with threads of its own. Owned by the role's driver; the functions of SourceEvents may be called until
/// stop() has returned, so what they use must outlive that.
///
/// A source knows the templates that it gave out by their ids: as long as somebody holds the TemplatePtr, and beyond that the
/// newest ones for a while (template_store.h). So whoever submits a solution of a job that holds its template never comes too
/// late, whatever the source does in between.
class TemplateSource {
 public:
  virtual ~TemplateSource() = default;

  /// Once. Returns without waiting for a node: what fails later is told by on_status. Errors: kConfiguration; of a source with
  /// a journal those of ledger::BlockSubmitter::start.
  virtual Result<> start(SourceEvents events) = 0;

  /// A solution that meets the network's target, which is the caller's to know: the source makes a block of it (or tells
  /// whoever can) and submits it, to all nodes that it has, until the chain has answered. The block's hash is that of
  /// bitcoin::solved_header. Any thread, any time between start() and stop(); does not block. Errors: kUnknownTemplate,
  /// kStaleTemplate; bitcoin's kMalformed for a coinbase that is no transaction; ledger's kFull and kStopped.
  virtual Result<> submit(TemplateId id, BlockSolution solution) = 0;

  /// How much the pool puts into coinbases: templates that come after it leave room for that. Any thread, also before start().
  virtual void constrain(CoinbaseConstraints constraints) = 0;

  /// All transactions of a template but the coinbase, as Template::transactions.
  using Transactions = std::shared_ptr<const std::vector<std::vector<std::uint8_t>>>;
  /// Looks them up and calls `done` once with them or an error: kUnknownTemplate or kStaleTemplate. Any thread; `done` may be
  /// called before this returns, or later on a thread of the source's, and never after stop().
  virtual void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) = 0;

  /// Any thread.
  [[nodiscard]] virtual SourceStatus status() const = 0;

  /// Ends the threads; idempotent; not from a callback. The destructor does it too. Bounded: calls under way are cut off.
  /// Blocks that were handed over are on disk or answered first, within a bound (ledger::BlockSubmitter::stop).
  virtual void stop() = 0;
};

}  // namespace adit::templates
