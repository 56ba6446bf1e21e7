// What every source of work is to a pool: it publishes templates and takes found blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/block.h"
#include "bitcoin/template.h"
#include "template/error.h"

namespace adit::templates {

using bitcoin::FoundBlock;
using bitcoin::Hash256;
using bitcoin::Template;
using bitcoin::TemplatePtr;

/// The chain's answer to a found block. All are final.
enum class BlockVerdict : std::uint8_t {
  kAccepted,   ///< It is the tip, or was when the answer came.
  kDuplicate,  ///< The chain had it already: an earlier submission arrived, though its answer did not.
  kStale,      ///< Valid, but beside the best chain: another block came first.
  kRejected,   ///< Invalid; the reason is the chain's word for why.
};

std::string_view verdict_name(BlockVerdict verdict);  ///< "accepted", "duplicate", "stale", "rejected".

struct BlockResult {
  Hash256 hash{};
  std::uint32_t height = 0;
  BlockVerdict verdict = BlockVerdict::kRejected;
  std::string reason;  ///< As the node words it ("high-hash", "bad-cb-amount"); empty when accepted.
};

struct SourceStatus {
  enum class State : std::uint8_t {
    kStarting,       ///< Nothing heard yet.
    kReady,          ///< Templates come.
    kWaiting,        ///< None now, but it passes by itself: the node is away, warming up or catching up.
    kMisconfigured,  ///< None until somebody acts: wrong password, wrong network. Still tried again, slowly.
  };
  State state = State::kStarting;
  std::string message;                  ///< One sentence for a person; empty when ready.
  std::uint32_t height = 0;             ///< Of the block that the newest template is for; 0 before the first.
  std::uint64_t templates = 0;          ///< Published so far.
  std::uint64_t blocks_accepted = 0;    ///< Duplicates of our own included.
  std::uint64_t blocks_rejected = 0;    ///< Stale ones included.
  std::uint64_t blocks_unanswered = 0;  ///< Submitted or waiting to be; the chain has not answered yet.
};

std::string_view state_name(SourceStatus::State state);  ///< "starting", "ready", "waiting", "misconfigured".

/// Where a source reports to. Every function is called on the source's own thread, one at a time, and must not block: an owner
/// posts to its shards. None is called after stop() has returned.
struct SourceEvents {
  /// `new_tip`: the previous hash differs from that of the template before, so all earlier work is stale. Required.
  std::function<void(TemplatePtr block_template, bool new_tip)> on_template;
  /// The chain's answer to a block that was submitted, in this run or in an earlier one of which the journal kept it. May be
  /// empty.
  std::function<void(const BlockResult& result)> on_block_result;
  /// State or message changed. May be empty.
  std::function<void(const SourceStatus& status)> on_status;
};

/// A source of templates with a thread of its own. Owned by the role's driver; the functions of SourceEvents may be called
/// until stop() has returned, so what they use must outlive that.
class TemplateSource {
 public:
  virtual ~TemplateSource() = default;

  /// Once. Returns without waiting for a node: what fails later is told by on_status. Errors: kConfiguration, kJournal.
  virtual Result<> start(SourceEvents events) = 0;

  /// Any thread, any time after start(); does not block. A source that talks to a node writes the block to disk first and
  /// submits it until the node has answered.
  virtual void submit_block(FoundBlock block) = 0;

  /// Any thread.
  [[nodiscard]] virtual SourceStatus status() const = 0;

  /// Ends the thread; idempotent; not from a callback. The destructor does it too. Bounded: calls under way are cut off.
  virtual void stop() = 0;
};

}  // namespace adit::templates
