// Found blocks on disk until the chain has answered: what lets a block outlive a crash of ours or of the node.
//
// The folder holds one file a block, `HEIGHT-HASH.block` (HASH as explorers print it): the serialized block in lower-case
// hexadecimal and a line feed, so that `bitcoin-cli submitblock "$(cat FILE)"` does by hand what this program does. A file is
// written under another name
// (`.new`), synced and renamed, then the folder is synced: a file ending in `.block` is whole. When the node has answered the
// file is removed; one that it called invalid is renamed to `.rejected`, the newest 16 being kept.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "template/source.h"

namespace adit::templates {

/// One folder, one process. Not thread-safe; its calls block for as long as the disk takes.
class BlockJournal {
 public:
  static constexpr std::size_t kMaxPending = 1000;
  static constexpr std::size_t kKeptRejected = 16;

  /// Makes the folder if it is not there, and reads what an earlier run left. Errors: kJournal.
  static Result<BlockJournal> open(std::filesystem::path folder, std::size_t max_pending = kMaxPending);

  /// On disk and synced when this returns without error. It is pending even after an error (then only in memory), except beyond
  /// max_pending. A block that is pending already is left as it is. Errors: kJournal.
  Result<> add(FoundBlock block);

  /// The chain has answered: the block is no longer pending. Not synced: a file that a crash brings back is submitted once
  /// more, and answered as a duplicate. Errors: kJournal.
  Result<> answered(const Hash256& hash, BlockVerdict verdict);

  /// Those of an earlier run first, lowest first; then in the order found. template_id is 0 for those of an earlier run.
  [[nodiscard]] const std::vector<FoundBlock>& pending() const { return pending_; }

  /// Files that were found but hold no block, left as they are.
  [[nodiscard]] const std::vector<std::string>& unreadable() const { return unreadable_; }

 private:
  BlockJournal(std::filesystem::path folder, std::size_t max_pending) : folder_(std::move(folder)), max_pending_(max_pending) {}

  [[nodiscard]] Result<> sync_folder() const;
  void forget_old_rejections() const;

  std::filesystem::path folder_;
  std::size_t max_pending_;
  std::vector<FoundBlock> pending_;
  std::vector<std::string> unreadable_;
};

}  // namespace adit::templates
