// Found blocks on their way to the chain, and what the chain says of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hex.h"
#include "base/time.h"
#include "bitcoin/block.h"

namespace adit::ledger {

using bitcoin::FoundBlock;
using bitcoin::Hash256;

/// The chain's answer to a found block. All are final.
enum class BlockVerdict : std::uint8_t {
  kAccepted,   ///< It is the tip, or was when the answer came.
  kDuplicate,  ///< The chain had it already: an earlier submission arrived, though its answer did not.
  kStale,      ///< Valid, but beside the best chain: another block came first.
  kRejected,   ///< Invalid, or given up; the reason says why.
};

/// "accepted", "duplicate", "stale", "rejected".
constexpr std::string_view verdict_name(BlockVerdict verdict) {
  switch (verdict) {
    case BlockVerdict::kAccepted:
      return "accepted";
    case BlockVerdict::kDuplicate:
      return "duplicate";
    case BlockVerdict::kStale:
      return "stale";
    case BlockVerdict::kRejected:
      return "rejected";
  }
  return "unknown";
}

struct BlockResult {
  Hash256 hash{};
  std::uint32_t height = 0;
  BlockVerdict verdict = BlockVerdict::kRejected;
  std::string reason;  ///< As the node words it ("high-hash", "bad-cb-amount"); empty when accepted.
  std::string node;    ///< The name of the node that said so; empty where there is only one chain.
};

/// A result, and when it came.
struct AnsweredBlock {
  BlockResult result;
  UnixTime at{};
};
/// Of so many blocks the results are remembered.
inline constexpr std::size_t kMostAnswered = 20;
/// Puts one in front of the others, of which the oldest may go.
inline void remember(std::vector<AnsweredBlock>& newest_first, BlockResult result, UnixTime at) {
  newest_first.insert(newest_first.begin(), {std::move(result), at});
  if (newest_first.size() > kMostAnswered) newest_first.pop_back();
}

/// A found block with its serialization in lower-case hexadecimal, which the journal and every node by JSON-RPC use.
class HexBlock {
 public:
  explicit HexBlock(FoundBlock block) : block_(std::move(block)), line_(to_hex(block_.bytes)) { line_ += '\n'; }

  [[nodiscard]] const FoundBlock& block() const { return block_; }
  [[nodiscard]] const Hash256& hash() const { return block_.hash; }
  [[nodiscard]] std::uint32_t height() const { return block_.height; }
  [[nodiscard]] std::string_view hex() const { return std::string_view(line_).substr(0, line_.size() - 1); }
  [[nodiscard]] std::string_view line() const { return line_; }  ///< hex() and a line feed: the file of the journal.

 private:
  FoundBlock block_;
  std::string line_;
};

/// Shared by the journal and the nodes, each on its thread.
using BlockPtr = std::shared_ptr<const HexBlock>;

}  // namespace adit::ledger
