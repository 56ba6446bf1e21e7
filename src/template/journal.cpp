#include "template/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>

#include "base/hex.h"

namespace adit::templates {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMaxFileSize = 2 * 4'000'000 + 1;  // Two digits a byte of the largest block, and a line feed.

std::string file_name(const FoundBlock& block) { return std::to_string(block.height) + "-" + to_hex_reversed(block.hash); }

std::unexpected<Error> failed(const std::string& what, const fs::path& path, int error) {
  return fail(Errc::kJournal, "cannot " + what + " " + path.string() +
                                  " in the journal of found blocks: " + std::generic_category().message(error));
}

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : value_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return value_; }

 private:
  int value_;
};

Result<> write_synced(const fs::path& path, std::string_view text) {
  const Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (file.get() < 0) return failed("write", path, errno);
  while (!text.empty()) {
    const ssize_t written = ::write(file.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("write", path, errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(file.get()) != 0) return failed("sync", path, errno);
  return {};
}

/// nullopt unless the file is a whole block of the height and hash that its name says.
std::optional<FoundBlock> read_block(const fs::path& path) {
  std::error_code error;
  if (fs::file_size(path, error) > kMaxFileSize || error) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  std::string hex((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!hex.empty() && hex.back() == '\n') hex.pop_back();
  auto bytes = from_hex(hex);
  if (!bytes || !bitcoin::parse_block(*bytes)) return std::nullopt;
  FoundBlock block;
  const std::string stem = path.stem().string();
  const auto [end, bad] = std::from_chars(stem.data(), stem.data() + stem.size(), block.height);
  block.hash = sha256d(Bytes(*bytes).first(bitcoin::kHeaderSize));
  block.bytes = std::move(*bytes);
  if (bad != std::errc{} || stem != file_name(block)) return std::nullopt;
  return block;
}

}  // namespace

Result<BlockJournal> BlockJournal::open(fs::path folder, std::size_t max_pending) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return failed("make the folder", folder, error.value());
  BlockJournal journal(std::move(folder), max_pending);
  fs::directory_iterator entries(journal.folder_, error);
  if (error) return failed("read the folder", journal.folder_, error.value());
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : entries) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& path : files) {
    if (path.extension() == ".new") fs::remove(path, error);  // Of a run that ended before the block was whole.
    if (path.extension() != ".block") continue;
    if (auto block = read_block(path)) {
      journal.pending_.push_back(std::move(*block));
    } else {
      journal.unreadable_.push_back(path.string());
    }
  }
  std::sort(journal.pending_.begin(), journal.pending_.end(),
            [](const FoundBlock& a, const FoundBlock& b) { return std::pair(a.height, a.hash) < std::pair(b.height, b.hash); });
  // Whether the folder can be written is better known before a block is found.
  const fs::path probe = journal.folder_ / "probe.new";
  ADIT_CHECK(write_synced(probe, "\n"));
  fs::remove(probe, error);
  return journal;
}

Result<> BlockJournal::add(FoundBlock block) {
  const bool is_pending =
      std::any_of(pending_.begin(), pending_.end(), [&](const FoundBlock& one) { return one.hash == block.hash; });
  if (is_pending) return {};
  if (pending_.size() >= max_pending_) {
    return fail(Errc::kJournal, "block " + to_hex_reversed(block.hash) + " is given up: " + std::to_string(max_pending_) +
                                    " found blocks are waiting for the node's answer already");
  }
  pending_.push_back(std::move(block));
  const FoundBlock& added = pending_.back();
  const fs::path path = folder_ / (file_name(added) + ".block");
  const fs::path unfinished = folder_ / (file_name(added) + ".new");
  ADIT_CHECK(write_synced(unfinished, to_hex(added.bytes) + "\n"));
  std::error_code error;
  fs::rename(unfinished, path, error);
  if (error) return failed("rename", unfinished, error.value());
  return sync_folder();
}

Result<> BlockJournal::answered(const Hash256& hash, BlockVerdict verdict) {
  const auto found = std::find_if(pending_.begin(), pending_.end(), [&](const FoundBlock& one) { return one.hash == hash; });
  if (found == pending_.end()) return {};
  const fs::path path = folder_ / (file_name(*found) + ".block");
  pending_.erase(found);
  std::error_code error;
  if (verdict == BlockVerdict::kRejected) {
    fs::path rejected = path;
    fs::rename(path, rejected.replace_extension(".rejected"), error);
    forget_old_rejections();
  } else {
    fs::remove(path, error);
  }
  if (error && error != std::errc::no_such_file_or_directory) return failed("remove", path, error.value());
  return {};
}

Result<> BlockJournal::sync_folder() const {
  const Descriptor folder(folder_, O_RDONLY | O_DIRECTORY);
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) return failed("sync the folder", folder_, errno);
  return {};
}

void BlockJournal::forget_old_rejections() const {
  std::error_code error;
  std::vector<std::pair<fs::file_time_type, fs::path>> rejected;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, error)) {
    if (entry.path().extension() == ".rejected") rejected.emplace_back(entry.last_write_time(error), entry.path());
  }
  std::sort(rejected.begin(), rejected.end());
  for (std::size_t i = 0; i + kKeptRejected < rejected.size(); ++i) fs::remove(rejected[i].second, error);
}

}  // namespace adit::templates
