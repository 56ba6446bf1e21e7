// What a place that takes whole blocks is to the submitter: a Bitcoin node, however it is reached.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "bitcoin/hash.h"
#include "ledger/block.h"

namespace adit::ledger {

/// What a node says of a block.
struct NodeAnswer {
  BlockVerdict verdict = BlockVerdict::kRejected;
  std::string reason;  ///< As the node words it; empty when accepted.
};

/// One node. It makes single attempts, each beside the others; what is tried again, and when, is its owner's matter.
class BlockNode {
 public:
  virtual ~BlockNode() = default;

  /// How logs and metrics call it: "127.0.0.1:8332". The same for the node's whole life.
  [[nodiscard]] virtual const std::string& name() const = 0;

  /// Whether templates come from it. Only there is one of our own blocks preferred (BlockNode::prefer).
  [[nodiscard]] virtual bool gives_templates() const = 0;

  /// Called with the node's answer, or with the error if it gave none: the block has to be submitted again then. On any thread;
  /// it must not block.
  using Done = std::function<void(Result<NodeAnswer>)>;

  /// Submits one block: one attempt, with a deadline. Any thread; returns at once. `done` is called once, unless stop() comes
  /// first. A node that takes blocks without a word (SV2 template distribution) knows its answer by the tip that it reports
  /// next.
  virtual void submit(BlockPtr block, Done done) = 0;

  /// Asks the node to prefer this block, which it has, to others of the same work that it heard of first. Any thread; returns
  /// at once; nothing comes of it if that fails.
  virtual void prefer(const Hash256& hash) = 0;

  /// Takes what it keeps in reserve (a connection, descriptors). Once, before all else.
  virtual void start() = 0;

  /// Cuts off what is under way; no `done` is called any more once it has returned. Idempotent.
  virtual void stop() = 0;
};

}  // namespace adit::ledger
