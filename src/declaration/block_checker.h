// What a declarator asks of a Bitcoin node, however it is reached: whether a declared block would be valid, and for
// transactions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bitcoin/hash.h"

namespace adit::declaration {

enum class BlockCheck : std::uint8_t {
  kValid,    ///< But for its proof of work, it could be the next block.
  kInvalid,  ///< No tip would take it.
  kStale,    ///< It is not on the node's tip, or what it says of that is wrong: another one may take it.
  kFailed,   ///< The node gave no answer.
};

struct CheckAnswer {
  BlockCheck verdict = BlockCheck::kFailed;
  std::string reason;  ///< As the node words it ("bad-cb-amount"), or why there is no answer; empty if valid.
};

/// What a node's word on a block that it does not take means: every checker's verdicts are the same.
constexpr BlockCheck judge_reason(std::string_view reason) {
  // A block on another tip, and what is computed from the tip: the target, and the bounds of the time.
  for (const std::string_view stale : {"inconclusive-not-best-prevblk", "bad-diffbits", "time-too-old", "time-too-new"}) {
    if (reason == stale) return BlockCheck::kStale;
  }
  return BlockCheck::kInvalid;
}

/// One node. Its connections are its own, so that checks delay neither templates nor found blocks.
class BlockChecker {
 public:
  virtual ~BlockChecker() = default;

  /// How many checks may be under way at once; more are the caller's to keep back.
  [[nodiscard]] virtual unsigned max_under_way() const = 0;

  /// Called once with the answer, unless stop() comes first. On any thread; must not block.
  using Done = std::function<void(CheckAnswer)>;

  /// A whole block, serialized, with its merkle root; its nonce proves nothing. Any thread; returns at once.
  virtual void check(std::vector<std::uint8_t> block, Done done) = 0;

  /// Called once with the transactions that the node has in its mempool, serialized with witness, in the order of what was
  /// asked for; empty where it has none; nothing at all if it gave no answer. On any thread; must not block.
  using Found = std::function<void(std::vector<std::vector<std::uint8_t>>)>;
  /// Looks transactions up by their wtxids. Any thread; returns at once. A node that cannot has none.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): who overrides it keeps both
  virtual void find(std::vector<bitcoin::Hash256> /*wtxids*/, Found found) { found({}); }
  /// Whether it is worth asking.
  [[nodiscard]] virtual bool can_find() const { return false; }

  /// Once, before all else. Returns without waiting for the node.
  virtual void start() = 0;
  /// Cuts off what is under way. Idempotent.
  virtual void stop() = 0;
};

}  // namespace adit::declaration
