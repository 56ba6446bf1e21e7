// Every found block, from the share that is one until the chain has answered: to disk and to all nodes at the same time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "ledger/block.h"
#include "ledger/block_node.h"
#include "ledger/error.h"
#include "ledger/submissions.h"

namespace adit::ledger {

/// Owns the journal of found blocks and the nodes that they go to.
///
/// A block that is handed over is written to the journal by one thread and submitted to every node from another; neither waits
/// for the other, and no attempt for another's answer (submissions.h has the rules). What an earlier run left in the journal is
/// submitted as well. The block is *kept*, and its share may be answered, once it is on disk or a node has answered: from then
/// on no crash of this process loses it.
///
/// Every function may be called from any thread, but start() and stop() not from a callback.
class BlockSubmitter {
 public:
  struct Options {
    std::string journal_folder;  ///< Made if it is not there. Empty: no journal, a block is kept by its first answer.
    FileSystem* files = &FileSystem::real();  ///< Must outlive the submitter.
    Submissions::Policy policy;
    Duration rewrite_first =
        std::chrono::milliseconds(250);               ///< Until a block that could not be written is written again: first
    Duration rewrite_cap = std::chrono::seconds(10);  ///< and largest wait.
    /// How long stop() waits at most until every block is kept.
    Duration stop_deadline = std::chrono::seconds(10);
    /// How long it waits then for nodes that have a block and have not answered it yet.
    Duration answer_grace = std::chrono::seconds(2);
  };

  /// Called on a thread of the submitter's, one at a time; must not block. None is called after stop() has returned.
  struct Events {
    /// The block is kept; once for each that was handed over in this run, and again if it is handed over again. May be empty.
    std::function<void(const Hash256& hash)> on_kept;
    /// What the chain says of a block of this run or an earlier one, once: the best of what the nodes said. May be empty.
    std::function<void(const BlockResult& result)> on_result;
  };

  struct Counts {
    std::uint64_t accepted = 0;    ///< Duplicates included.
    std::uint64_t rejected = 0;    ///< Stale ones and those given up included.
    std::uint64_t unanswered = 0;  ///< Handed over or left by an earlier run, and not decided yet.
  };

  BlockSubmitter(std::vector<std::unique_ptr<BlockNode>> nodes, Options options);
  ~BlockSubmitter();  ///< As stop().
  BlockSubmitter(const BlockSubmitter&) = delete;
  BlockSubmitter& operator=(const BlockSubmitter&) = delete;

  /// Once. Errors: those of BlockJournal::open; nothing runs then.
  Result<> start(Events events);

  /// Makes the whole block, on a thread of the submitter's.
  using Assemble = std::function<Result<FoundBlock>()>;

  /// Hands a block over; returns at once. Errors: kFull if too many blocks wait for an answer; kStopped. What goes wrong later
  /// is logged, and the block never kept.
  Result<> submit(const Hash256& hash, std::uint32_t height, Assemble assemble);

  /// The same for one that is whole already.
  Result<> submit(FoundBlock block);

  /// The block being worked on has this height: nodes that did not know the parent of a block may know it now, and what the
  /// chain has left far behind is given up.
  void on_tip(std::uint32_t next_height);

  /// A node answers again: what waits for it is submitted at once. `node` is its place in the list.
  void on_node_ready(std::size_t node);

  [[nodiscard]] Counts counts() const;
  /// What the chain has said of blocks since start(), newest first; at most kMostAnswered of them.
  [[nodiscard]] std::vector<AnsweredBlock> answered() const;

  /// Takes no more blocks, and waits until all are kept and the nodes have answered first attempts, as long as `options` say.
  /// What is not kept by then is logged. Idempotent.
  void stop();

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace adit::ledger
