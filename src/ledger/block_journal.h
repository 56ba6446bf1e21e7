// Found blocks on disk until the chain has answered: what lets a block outlive a crash of ours or of the node.
//
// The folder holds one file a block, `HEIGHT-HASH.block` (HASH as explorers print it): the serialized block in lower-case
// hexadecimal and a line feed, so that `bitcoin-cli submitblock "$(cat FILE)"` does by hand what this program does. A file is
// written under another name (`.new`), synced and renamed, then the folder is synced: a file ending in `.block` is whole. After
// a crash in between a `.new` that holds a whole block counts as well; any other is removed. When the chain has answered the
// file is removed; one that it called invalid is renamed to `.rejected`, those of the 16 greatest heights being kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "ledger/block.h"
#include "ledger/error.h"

namespace adit::ledger {

/// One folder, which one journal of one process holds at a time. Not thread-safe; its calls block for as long as the disk
/// takes.
///
/// It has exactly those blocks of which it says so: has() and pending() count nothing that a crash could lose.
class BlockJournal {
 public:
  static constexpr std::size_t kMaxPending = 1000;
  static constexpr std::size_t kKeptRejected = 16;
  /// Files that are open before a block needs them, so that a block can be written while this process has no descriptor left.
  static constexpr std::size_t kSpareFiles = 4;

  /// A block that waits for the chain's answer.
  struct Entry {
    Hash256 hash{};
    std::uint32_t height = 0;
  };

  /// Makes the folder if it is not there, takes its lock, reads what an earlier run left, and opens the spare files. `files`
  /// must outlive the journal. Errors: kInUse if another journal holds the folder; kJournal.
  static Result<BlockJournal> open(FileSystem& files, std::string folder, std::size_t max_pending = kMaxPending);

  BlockJournal(BlockJournal&&) noexcept = default;
  BlockJournal& operator=(BlockJournal&&) noexcept = default;
  ~BlockJournal() = default;

  /// The block is on disk, whatever may crash, when this returns without error. After an error it is not pending; another try
  /// is in order. A block that is pending already is left as it is. Errors: kFull beyond max_pending; kJournal.
  Result<> add(const HexBlock& block);

  /// Opens the spare files that were used. To be called after add(), when there is time. False while some are missing.
  bool refill_spares();

  /// The chain has answered: the block is no longer pending. That is not synced: a file that a crash brings back is submitted
  /// once more, and answered as a duplicate. An unknown block is none of its business. Errors: kJournal, the file is still
  /// there and will be submitted again after the next start.
  Result<> answered(const Hash256& hash, BlockVerdict verdict);

  /// What is pending, read back from disk. Errors: kJournal.
  [[nodiscard]] Result<FoundBlock> read(const Hash256& hash) const;

  /// Those of an earlier run first, lowest first; then in the order added.
  [[nodiscard]] const std::vector<Entry>& pending() const { return pending_; }
  [[nodiscard]] bool has(const Hash256& hash) const;

  /// Paths of files that hold no block though their name says so; they are left as they are.
  [[nodiscard]] const std::vector<std::string>& unreadable() const { return unreadable_; }

 private:
  BlockJournal(FileSystem& files, std::string folder, std::unique_ptr<OpenFolder> open_folder, std::size_t max_pending)
      : files_(&files), folder_(std::move(folder)), open_folder_(std::move(open_folder)), max_pending_(max_pending) {}

  [[nodiscard]] std::string path_of(std::string_view name) const { return folder_ + "/" + std::string(name); }
  Result<> read_folder();
  Result<> keep_unfinished(const std::string& name);
  FileResult<AtomicFile> take_spare(const std::string& temporary);
  void forget_old_rejections();

  FileSystem* files_;
  std::string folder_;
  std::unique_ptr<OpenFolder> open_folder_;  ///< With the lock.
  std::size_t max_pending_;
  std::vector<Entry> pending_;
  std::vector<std::string> unreadable_;
  std::vector<AtomicFile> spares_;
  std::uint64_t spares_made_ = 0;
};

/// The block in a file of the journal. `name` is the file's, with its ending. nullopt unless the content is a whole block whose
/// transactions are those that its header commits to; and, but for a `.new`, of the height and hash that the name says.
std::optional<FoundBlock> parse_journal_file(std::string_view name, std::string_view content);

}  // namespace adit::ledger
