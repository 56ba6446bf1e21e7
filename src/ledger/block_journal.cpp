#include "ledger/block_journal.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "base/hex.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/merkle.h"
#include "bitcoin/tx.h"

namespace adit::ledger {
namespace {

constexpr std::size_t kMaxFileSize = 2 * 4'000'000 + 1;  // Two digits a byte of the largest block, and a line feed.
constexpr std::string_view kBlock = ".block";
constexpr std::string_view kUnfinished = ".new";
constexpr std::string_view kRejected = ".rejected";

std::string name_of(std::uint32_t height, const Hash256& hash, std::string_view ending) {
  return std::to_string(height) + "-" + to_hex_reversed(hash) + std::string(ending);
}

std::unexpected<Error> failed(const std::string& path, std::string_view verb, int error) {
  return fail(Errc::kJournal, "the journal of found blocks: " + describe_file_error(path, verb, error));
}

/// What a name begins with; nullopt if that is no number.
std::optional<std::uint32_t> height_in(std::string_view name) {
  std::uint32_t height = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), height);
  if (error != std::errc{} || end == name.data() + name.size() || *end != '-') return std::nullopt;
  return height;
}

bool commits_to_its_transactions(const bitcoin::BlockView& block) {
  std::vector<Hash256> ids;
  ids.reserve(block.transactions.size());
  for (const Bytes transaction : block.transactions) {
    const auto id = bitcoin::transaction_ids(transaction);
    if (!id) return false;
    ids.push_back(id->txid);
  }
  return bitcoin::merkle_root(ids) == block.header.merkle_root;
}

}  // namespace

std::optional<FoundBlock> parse_journal_file(std::string_view name, std::string_view content) {
  if (content.ends_with('\n')) content.remove_suffix(1);
  auto bytes = from_hex(content);
  if (!bytes) return std::nullopt;
  const auto view = bitcoin::parse_block(*bytes);
  if (!view || !commits_to_its_transactions(*view)) return std::nullopt;
  FoundBlock block;
  block.hash = view->header.hash();
  // A `.new` may still have the name of a spare file.
  auto height = height_in(name);
  if (!height && name.ends_with(kUnfinished)) height = bitcoin::height_of_coinbase(view->transactions[0]);
  if (!height) return std::nullopt;
  block.height = *height;
  const std::string expected = name_of(block.height, block.hash, "");
  if (height_in(name) && name.substr(0, name.find('.')) != expected) return std::nullopt;
  block.bytes = std::move(*bytes);
  return block;
}

Result<BlockJournal> BlockJournal::open(FileSystem& files, std::string folder, std::size_t max_pending) {
  if (const auto made = make_folders(files, folder); !made) return failed(folder, "made", made.error());
  auto open_folder = files.open_folder(folder);
  if (!open_folder) return failed(folder, "opened", open_folder.error());
  if (const auto locked = (*open_folder)->lock(); !locked) {
    if (locked.error() != EWOULDBLOCK) return failed(folder, "locked", locked.error());
    return fail(Errc::kInUse,
                "another process keeps its found blocks in " + folder + ": stop it, or give each pool a `data_dir` of its own");
  }
  BlockJournal journal(files, std::move(folder), std::move(*open_folder), max_pending);
  ADIT_CHECK(journal.read_folder());
  // Whether the folder can be written is better known before a block is found.
  const std::string probe = journal.path_of("probe.new");
  auto file = AtomicFile::create(files, probe);
  if (!file) return failed(probe, "written", file.error());
  const std::string probed = journal.path_of("probe");
  if (const auto written = file->commit("\n", probed, *journal.open_folder_, AtomicFile::Replace::kYes); !written)
    return failed(probe, "written", written.error());
  files.discard(probed);
  journal.refill_spares();
  return journal;
}

Result<> BlockJournal::read_folder() {
  const auto names = files_->list(folder_);
  if (!names) return failed(folder_, "read", names.error());
  for (const std::string& name : *names) {
    if (!name.ends_with(kBlock)) continue;
    const auto content = files_->read(path_of(name), kMaxFileSize);
    const auto block = content ? parse_journal_file(name, *content) : std::nullopt;
    if (block) {
      pending_.push_back({block->hash, block->height});
    } else {
      unreadable_.push_back(path_of(name));
    }
  }
  for (const std::string& name : *names) {
    if (name.ends_with(kUnfinished)) ADIT_CHECK(keep_unfinished(name));
  }
  std::ranges::sort(pending_,
                    [](const Entry& a, const Entry& b) { return std::pair(a.height, a.hash) < std::pair(b.height, b.hash); });
  return {};
}

/// Of a run that ended while the file was written. If the block in it is whole it is pending from now on.
Result<> BlockJournal::keep_unfinished(const std::string& name) {
  const auto content = files_->read(path_of(name), kMaxFileSize);
  if (!content && content.error() == ENOENT) return {};  // A copy of another one, removed with that.
  if (!content && content.error() != EFBIG) {
    unreadable_.push_back(path_of(name));  // There may be a block in it.
    return {};
  }
  const auto block = content ? parse_journal_file(name, *content) : std::nullopt;
  if (!block || has(block->hash)) {
    files_->discard(path_of(name));
    return {};
  }
  // That it can be read does not say that it was synced: it is written once more, beside the one that is there.
  const HexBlock whole(*block);
  const std::string copy = path_of(name) + std::string(kUnfinished);
  const std::string path = path_of(name_of(block->height, block->hash, kBlock));
  files_->discard(copy);
  auto file = AtomicFile::create(*files_, copy);
  if (!file) return failed(copy, "written", file.error());
  if (const auto written = file->commit(whole.line(), path, *open_folder_, AtomicFile::Replace::kYes); !written)
    return failed(path, "written", written.error());
  files_->discard(path_of(name));
  pending_.push_back({block->hash, block->height});
  return {};
}

bool BlockJournal::refill_spares() {
  while (spares_.size() < kSpareFiles) {
    auto spare = AtomicFile::create(*files_, path_of("spare-" + std::to_string(++spares_made_) + std::string(kUnfinished)));
    if (!spare) return false;
    spares_.push_back(std::move(*spare));
  }
  return true;
}

FileResult<AtomicFile> BlockJournal::take_spare(const std::string& temporary) {
  while (!spares_.empty()) {
    AtomicFile spare = std::move(spares_.back());
    spares_.pop_back();
    if (spare.rename_temporary(temporary)) return spare;
  }
  files_->discard(temporary);  // Of an earlier try that failed.
  return AtomicFile::create(*files_, temporary);
}

Result<> BlockJournal::add(const HexBlock& block) {
  if (has(block.hash())) return {};
  if (pending_.size() >= max_pending_) {
    return fail(Errc::kFull, "block " + to_hex_reversed(block.hash()) + " is not written down: " +
                                 std::to_string(max_pending_) + " found blocks are waiting for a node's answer already");
  }
  const std::string temporary = path_of(name_of(block.height(), block.hash(), kUnfinished));
  const std::string path = path_of(name_of(block.height(), block.hash(), kBlock));
  auto file = take_spare(temporary);
  if (!file) return failed(temporary, "written", file.error());
  if (const auto written = file->commit(block.line(), path, *open_folder_, AtomicFile::Replace::kYes); !written)
    return failed(path, "written", written.error());
  pending_.push_back({block.hash(), block.height()});
  return {};
}

bool BlockJournal::has(const Hash256& hash) const { return std::ranges::find(pending_, hash, &Entry::hash) != pending_.end(); }

Result<FoundBlock> BlockJournal::read(const Hash256& hash) const {
  const auto entry = std::ranges::find(pending_, hash, &Entry::hash);
  if (entry == pending_.end()) return fail(Errc::kJournal, "block " + to_hex_reversed(hash) + " is not in the journal");
  const std::string name = name_of(entry->height, hash, kBlock);
  const auto content = files_->read(path_of(name), kMaxFileSize);
  if (!content) return failed(path_of(name), "read", content.error());
  auto block = parse_journal_file(name, *content);
  if (!block) return fail(Errc::kJournal, "the journal of found blocks: " + path_of(name) + " no longer holds its block");
  return std::move(*block);
}

Result<> BlockJournal::answered(const Hash256& hash, BlockVerdict verdict) {
  const auto entry = std::ranges::find(pending_, hash, &Entry::hash);
  if (entry == pending_.end()) return {};
  const std::string path = path_of(name_of(entry->height, hash, kBlock));
  const bool rejected = verdict == BlockVerdict::kRejected;
  const auto gone = rejected ? files_->rename(path, path_of(name_of(entry->height, hash, kRejected))) : files_->remove(path);
  pending_.erase(entry);
  if (rejected) forget_old_rejections();
  if (!gone && gone.error() != ENOENT) return failed(path, "removed", gone.error());
  return {};
}

void BlockJournal::forget_old_rejections() {
  auto names = files_->list(folder_);
  if (!names) return;
  std::erase_if(*names, [](const std::string& name) { return !name.ends_with(kRejected); });
  std::ranges::sort(*names, {}, [](const std::string& name) { return height_in(name).value_or(0); });
  for (std::size_t i = 0; i + kKeptRejected < names->size(); ++i) files_->discard(path_of((*names)[i]));
}

}  // namespace adit::ledger
