// Which found block goes to which node when: the engine of BlockSubmitter. No I/O, no clock, no thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "base/backoff.h"
#include "base/time.h"
#include "ledger/block.h"
#include "ledger/block_node.h"

namespace adit::ledger {

/// Every pair of a block and a node is an errand of its own, with its own next attempt and backoff, so that no answer of one
/// holds up another. Of those that are due the newest block's goes first; a block's first attempt at each node waits for no
/// other block's retries. Not thread-safe.
class Submissions {
 public:
  struct Policy {
    Duration retry_first =
        std::chrono::milliseconds(250);  ///< Backoff after an attempt without an answer: first and largest wait.
    Duration retry_cap = std::chrono::seconds(10);
    std::size_t max_under_way = 16;         ///< Attempts at one node at the same time.
    std::size_t max_retries_under_way = 4;  ///< Of these, attempts that are not their block's first there in this run.
    /// Blocks without an answer are given up once the chain is this much higher than they are.
    std::uint32_t hopeless_depth = 6;
    /// For so long after one node has accepted a block the others are still offered it.
    Duration offer_to_others = std::chrono::minutes(2);
    /// After a submission that did not fail, a node that gives templates is asked to prefer the block: not at once, because
    /// that holds the lock under which the node makes its next template.
    Duration prefer_after = std::chrono::milliseconds(400);
    /// Blocks on disk whose bytes are held all the same, the newest ones, so that another attempt needs no descriptor.
    std::size_t max_held = 8;
    std::size_t max_blocks = 1000;  ///< Beyond, those that are decided are no longer offered to other nodes.
  };

  /// `preferring`: of each node, whether it is asked to prefer our blocks.
  Submissions(std::vector<bool> preferring, Policy policy);

  /// A block is to be submitted. Without `bytes` it is one of an earlier run, which lies on disk: its attempts all count as
  /// retries. False, and nothing is changed, if it is there already or if max_blocks wait for their answer.
  bool add(const Hash256& hash, std::uint32_t height, BlockPtr bytes, Instant now);

  struct Attempt {
    Hash256 hash{};
    std::size_t node = 0;
    BlockPtr bytes;  ///< Null if they have to be read from disk.
  };
  /// The next attempt that is due, which is under way from now on: on_answer or on_failure must follow.
  std::optional<Attempt> next_attempt(Instant now);

  /// The block lies on disk: beyond max_held its bytes are held only while an attempt is under way, or a node has taken it.
  void release_bytes(const Hash256& hash);

  /// The next request to prefer a block that is due; it is not told again.
  std::optional<Attempt> next_preference(Instant now);

  /// When one of these may have something again without another call; Instant::max() if never.
  [[nodiscard]] Instant next_due() const;

  /// What follows from a call below for one block.
  struct Outcome {
    Hash256 hash{};
    bool first_answer = false;           ///< A node has answered, and none had before.
    std::optional<BlockResult> decided;  ///< What the chain says of it, once: the best of what its nodes said.
  };

  /// A node answered an attempt. `node_name` goes into the result.
  Outcome on_answer(const Attempt& attempt, const NodeAnswer& answer, const std::string& node_name, Instant now);

  /// An attempt got no answer and is made again after a while. `random` is uniform over all of uint64.
  Outcome on_failure(const Attempt& attempt, std::uint64_t random, Instant now);

  /// The block being worked on has this height: what waits is tried at once, what is hopeless given up.
  std::vector<Outcome> on_tip(std::uint32_t next_height, Instant now);

  /// The node is there again: what waits for it is tried at once.
  void on_node_ready(std::size_t node, Instant now);

  /// Forgets what there is nothing left to do for. To be called after the calls above, and when next_due() has come.
  void tidy(Instant now);

  [[nodiscard]] std::size_t unanswered() const;         ///< Blocks that are not decided.
  [[nodiscard]] bool first_attempts_made() const;       ///< Every block of this run was submitted to every node once.
  [[nodiscard]] bool knows(const Hash256& hash) const;  ///< It is not forgotten yet.

 private:
  struct Errand {
    explicit Errand(const Policy& policy, bool retry, Instant now)
        : backoff(policy.retry_first, policy.retry_cap), tried(retry), due(now) {}
    Backoff backoff;
    bool tried;
    bool under_way = false;
    Instant due;
    Instant begun{};
    Instant prefer_at = Instant::max();
    std::optional<NodeAnswer> answer;
  };
  struct Block {
    Hash256 hash{};
    std::uint32_t height = 0;
    BlockPtr bytes;
    std::vector<Errand> errands;  ///< By node.
    bool answered = false;
    bool decided = false;
    bool on_disk = false;     ///< release_bytes() was called.
    Instant offered_until{};  ///< Once it is decided.
  };
  struct Load {
    std::size_t under_way = 0;
    std::size_t retries = 0;
  };

  [[nodiscard]] Block* find(const Hash256& hash);
  [[nodiscard]] bool has_room(std::size_t node, bool retry) const;
  void end_attempt(Block& block, std::size_t node);
  void drop_bytes();
  void decide(Block& block, bool no_more_to_come, Instant now, std::optional<BlockResult>& result);
  void give_up_if_hopeless(Block& block, Instant now, std::optional<BlockResult>& result);
  static bool is_done(const Block& block, Instant now);
  static bool is_under_way(const Block& block);

  std::vector<bool> preferring_;
  Policy policy_;
  std::list<Block> blocks_;  ///< Newest first.
  std::vector<Load> load_;   ///< By node.
  std::vector<std::string> names_;
  std::uint32_t next_height_ = 0;
};

}  // namespace adit::ledger
