// A file system in memory that fails when a test says so, and that knows what a crash may leave of it.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"

namespace adit {

/// What a crash keeps of that which was not synced, as a row of choices. for_each_crash goes through them.
class CrashChoices {
 public:
  CrashChoices() = default;                                     ///< The first choice at each place.
  explicit CrashChoices(std::uint64_t seed) : random_(seed) {}  ///< Any.

  /// A number below `count`; the same one each time until next().
  std::size_t pick(std::size_t count) {
    if (random_) return static_cast<std::size_t>((*random_)() % count);
    if (at_ == taken_.size()) taken_.push_back({0, count});
    return taken_[at_++].first;
  }

  /// Goes on to the next combination; false after the last one.
  bool next() {
    at_ = 0;
    while (!taken_.empty() && ++taken_.back().first == taken_.back().second) taken_.pop_back();
    return !taken_.empty();
  }

 private:
  std::optional<std::mt19937_64> random_;
  std::vector<std::pair<std::size_t, std::size_t>> taken_;  ///< Chosen, and of how many.
  std::size_t at_ = 0;
};

/// What a program asks of the file system, one call each.
enum class FileOp {
  kCreate,
  kWrite,
  kSync,
  kRead,
  kRename,
  kLink,
  kRemove,
  kList,
  kMakeFolder,
  kOpenFolder,
  kSyncFolder,
  kLock
};

/// Thread-safe, so that a program with threads can run on it. Paths are taken as they are written: one path, one file.
class MemoryFileSystem final : public FileSystem {
 public:
  struct Step {
    std::size_t number = 0;  ///< Counts all calls, from 0.
    FileOp op{};
    std::string path;
  };
  /// What happens at a step instead of what should: the error, as errno has it. A write that fails has written half.
  using Fault = std::function<std::optional<int>(const Step&)>;

  MemoryFileSystem() { state_->folders.emplace(".", Folder{}); }

  /// Called at each step, with the file system locked. Empty: nothing fails.
  void set_fault(Fault fault) {
    const std::lock_guard lock(state_->mutex);
    state_->fault = std::move(fault);
  }

  /// From that step on nothing works any more, as if the process had ended before it.
  void crash_at(std::size_t step) {
    set_fault([step](const Step& now) { return now.number >= step ? std::optional(EIO) : std::nullopt; });
  }

  /// That one step fails.
  void fail_at(std::size_t step, int error) {
    set_fault([step, error](const Step& now) { return now.number == step ? std::optional(error) : std::nullopt; });
  }

  /// Every call of that kind fails.
  void fail_every(FileOp op, int error) {
    set_fault([op, error](const Step& now) { return now.op == op ? std::optional(error) : std::nullopt; });
  }

  /// Calls so far.
  [[nodiscard]] std::size_t steps() const {
    const std::lock_guard lock(state_->mutex);
    return state_->steps;
  }

  /// What is there after a crash now: all that was synced, and of the rest what `choices` picks: each change of a folder
  /// happened or did not, the unsynced content of a file is what it was, is there, is half there, or is zeros.
  [[nodiscard]] std::unique_ptr<MemoryFileSystem> after_crash(CrashChoices& choices) const {
    const std::lock_guard lock(state_->mutex);
    auto left = std::make_unique<MemoryFileSystem>();
    for (const auto& [path, folder] : state_->folders) {
      if (path != "." && !folder.durable && choices.pick(2) == 0) continue;
      // A folder without the one above it is not there.
      if (path != "." && !left->state_->folders.contains(folder_of(path))) continue;
      Entries entries = folder.synced;
      for (const auto& change : folder.unsynced) {
        if (choices.pick(2) == 1) change(entries);
      }
      Folder kept{.durable = true};
      std::map<const File*, std::shared_ptr<File>> copies;  // A file of two names is one file.
      for (const auto& [name, file] : entries) {
        auto& copy = copies[file.get()];
        if (copy == nullptr) {
          copy = std::make_shared<File>();
          copy->content = copy->synced = content_after_crash(*file, choices);
        }
        kept.entries.emplace(name, copy);
      }
      kept.synced = kept.entries;
      left->state_->folders.insert_or_assign(path, std::move(kept));
    }
    return left;
  }

  /// The content of a file as a program sees it now; nullopt if there is none.
  [[nodiscard]] std::optional<std::string> content(const std::string& path) const {
    const std::lock_guard lock(state_->mutex);
    const auto folder = state_->folders.find(folder_of(path));
    if (folder == state_->folders.end()) return std::nullopt;
    const auto file = folder->second.entries.find(name_of(path));
    return file == folder->second.entries.end() ? std::nullopt : std::optional(file->second->content);
  }

  /// Puts a file there, durable.
  void put(const std::string& path, std::string content) {
    const std::lock_guard lock(state_->mutex);
    auto file = std::make_shared<File>(File{.content = content, .synced = content});
    Folder& folder = state_->folders.at(folder_of(path));
    folder.entries.insert_or_assign(name_of(path), file);
    folder.synced.insert_or_assign(name_of(path), file);
  }

  FileResult<std::unique_ptr<WritableFile>> create(const std::string& path) override {
    const std::lock_guard lock(state_->mutex);
    if (const auto error = state_->step(FileOp::kCreate, path)) return std::unexpected(*error);
    Folder* folder = find_folder(folder_of(path));
    if (folder == nullptr) return std::unexpected(ENOENT);
    const std::string name = name_of(path);
    if (folder->entries.contains(name)) return std::unexpected(EEXIST);
    auto file = std::make_shared<File>();
    folder->change([name, file](Entries& entries) { entries.insert_or_assign(name, file); });
    return std::make_unique<OpenFile>(state_, path, file);
  }

  FileResult<std::string> read(const std::string& path, std::size_t max_size) override {
    const std::lock_guard lock(state_->mutex);
    if (const auto error = state_->step(FileOp::kRead, path)) return std::unexpected(*error);
    const Folder* folder = find_folder(folder_of(path));
    if (folder == nullptr || !folder->entries.contains(name_of(path))) return std::unexpected(ENOENT);
    const std::string& content = folder->entries.at(name_of(path))->content;
    if (content.size() > max_size) return std::unexpected(EFBIG);
    return content;
  }

  FileResult<> rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(state_->mutex);
    if (const auto error = state_->step(FileOp::kRename, from)) return std::unexpected(*error);
    Folder* folder = find_folder(folder_of(from));
    if (folder_of(to) != folder_of(from)) return std::unexpected(EXDEV);
    if (folder == nullptr || !folder->entries.contains(name_of(from))) return std::unexpected(ENOENT);
    // One step also for a crash: both names change or neither does.
    folder->change([a = name_of(from), b = name_of(to), file = folder->entries.at(name_of(from))](Entries& entries) {
      entries.erase(a);
      entries.insert_or_assign(b, file);
    });
    return {};
  }

  FileResult<> link(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(state_->mutex);
    if (const auto error = state_->step(FileOp::kLink, from)) return std::unexpected(*error);
    Folder* folder = find_folder(folder_of(from));
    if (folder_of(to) != folder_of(from)) return std::unexpected(EXDEV);
    if (folder == nullptr || !folder->entries.contains(name_of(from))) return std::unexpected(ENOENT);
    if (folder->entries.contains(name_of(to))) return std::unexpected(EEXIST);
    folder->change(
        [b = name_of(to), file = folder->entries.at(name_of(from))](Entries& entries) { entries.insert_or_assign(b, file); });
    return {};
  }

  FileResult<> remove(const std::string& path) override {
    const std::lock_guard lock(state_->mutex);
    if (const auto error = state_->step(FileOp::kRemove, path)) return std::unexpected(*error);
    Folder* folder = find_folder(folder_of(path));
    if (folder == nullptr || !folder->entries.contains(name_of(path))) return std::unexpected(ENOENT);
    folder->change([name = name_of(path)](Entries& entries) { entries.erase(name); });
    return {};
  }

  FileResult<std::vector<std::string>> list(const std::string& path) override {
    const std::lock_guard lock(state_->mutex);
    if (const auto error = state_->step(FileOp::kList, path)) return std::unexpected(*error);
    const Folder* folder = find_folder(path);
    if (folder == nullptr) return std::unexpected(ENOENT);
    std::vector<std::string> names;
    for (const auto& [name, file] : folder->entries) names.push_back(name);
    return names;
  }

  FileResult<> make_folder(const std::string& path) override {
    const std::lock_guard lock(state_->mutex);
    if (const auto error = state_->step(FileOp::kMakeFolder, path)) return std::unexpected(*error);
    if (state_->folders.contains(path)) return std::unexpected(EEXIST);
    const Folder* above = find_folder(folder_of(path));
    if (above == nullptr) return std::unexpected(ENOENT);
    if (above->entries.contains(name_of(path))) return std::unexpected(EEXIST);
    state_->folders.emplace(path, Folder{});
    return {};
  }

  FileResult<std::unique_ptr<OpenFolder>> open_folder(const std::string& path) override {
    const std::lock_guard lock(state_->mutex);
    if (const auto error = state_->step(FileOp::kOpenFolder, path)) return std::unexpected(*error);
    if (find_folder(path) == nullptr) {
      const Folder* above = find_folder(folder_of(path));
      return std::unexpected(above != nullptr && above->entries.contains(name_of(path)) ? ENOTDIR : ENOENT);
    }
    return std::make_unique<FolderHandle>(state_, path);
  }

 private:
  struct File {
    std::string content;
    std::string synced;  ///< Of the content, what a crash keeps for certain.
  };
  using Entries = std::map<std::string, std::shared_ptr<File>>;
  struct Folder {
    bool durable = false;  ///< Its own entry in the folder above was synced.
    Entries entries{};
    Entries synced{};
    std::vector<std::function<void(Entries&)>> unsynced{};  ///< Since then, in order.

    void change(std::function<void(Entries&)> how) {
      how(entries);
      unsynced.push_back(std::move(how));
    }
  };
  struct State {
    mutable std::mutex mutex;
    std::map<std::string, Folder> folders;  ///< By path: a folder stands before those in it.
    std::set<std::string> locked;
    Fault fault;
    std::size_t steps = 0;

    std::optional<int> step(FileOp op, const std::string& path) {
      const Step now{steps++, op, path};
      return fault ? fault(now) : std::nullopt;
    }
  };

  class OpenFile final : public WritableFile {
   public:
    OpenFile(std::shared_ptr<State> state, std::string path, std::shared_ptr<File> file)
        : state_(std::move(state)), path_(std::move(path)), file_(std::move(file)) {}

    FileResult<> write(std::string_view text) override {
      const std::lock_guard lock(state_->mutex);
      if (const auto error = state_->step(FileOp::kWrite, path_)) {
        file_->content += text.substr(0, text.size() / 2);
        return std::unexpected(*error);
      }
      file_->content += text;
      return {};
    }
    FileResult<> sync() override {
      const std::lock_guard lock(state_->mutex);
      if (const auto error = state_->step(FileOp::kSync, path_)) return std::unexpected(*error);
      file_->synced = file_->content;
      return {};
    }

   private:
    std::shared_ptr<State> state_;
    std::string path_;
    std::shared_ptr<File> file_;
  };

  class FolderHandle final : public OpenFolder {
   public:
    FolderHandle(std::shared_ptr<State> state, std::string path) : state_(std::move(state)), path_(std::move(path)) {}
    ~FolderHandle() override {
      const std::lock_guard lock(state_->mutex);
      if (locked_) state_->locked.erase(path_);
    }

    FileResult<> sync() override {
      const std::lock_guard lock(state_->mutex);
      if (const auto error = state_->step(FileOp::kSyncFolder, path_)) return std::unexpected(*error);
      Folder& folder = state_->folders.at(path_);
      folder.synced = folder.entries;
      folder.unsynced.clear();
      for (auto& [path, below] : state_->folders) {
        if (path != "." && folder_of(path) == path_) below.durable = true;
      }
      return {};
    }
    FileResult<> lock() override {
      const std::lock_guard guard(state_->mutex);
      if (const auto error = state_->step(FileOp::kLock, path_)) return std::unexpected(*error);
      if (!state_->locked.insert(path_).second) return std::unexpected(EWOULDBLOCK);
      locked_ = true;
      return {};
    }

   private:
    std::shared_ptr<State> state_;
    std::string path_;
    bool locked_ = false;
  };

  static std::string name_of(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

  static std::string content_after_crash(const File& file, CrashChoices& choices) {
    if (file.content == file.synced) return file.content;
    switch (choices.pick(4)) {
      case 0:
        return file.synced;
      case 1:
        return file.content;
      case 2:
        return file.content.substr(0, file.content.size() / 2);
      default:
        return std::string(file.content.size(), '\0');
    }
  }

  Folder* find_folder(const std::string& path) const {
    const auto found = state_->folders.find(path);
    return found == state_->folders.end() ? nullptr : &found->second;
  }

  std::shared_ptr<State> state_ = std::make_shared<State>();
};

/// Calls `check` with everything that a crash now can leave of `files`; of more than `most` with the first so many and as many
/// others at random. Returns how often.
template <class Check>
std::size_t for_each_crash(const MemoryFileSystem& files, std::size_t most, Check check) {
  CrashChoices choices;
  std::size_t count = 0;
  do {
    check(*files.after_crash(choices));
    ++count;
  } while (choices.next() && count < most);
  if (count < most) return count;
  for (std::size_t seed = 0; seed < most; ++seed) {
    CrashChoices any(seed);
    check(*files.after_crash(any));
    ++count;
  }
  return count;
}

}  // namespace adit
