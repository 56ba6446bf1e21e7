#include "base/file.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <random>
#include <system_error>
#include <utility>

#include "base/fd.h"
#include "base/file_lock.h"

namespace adit {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kReadPiece = 64 * 1024;

std::unexpected<int> failed() { return std::unexpected(errno); }

FileResult<> done(int result) {
  if (result != 0) return failed();
  return {};
}

class RealFile final : public WritableFile {
 public:
  explicit RealFile(Fd file) : file_(std::move(file)) {}

  FileResult<> write(std::string_view text) override {
    while (!text.empty()) {
      const ssize_t written = ::write(file_.get(), text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return failed();
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }

  FileResult<> sync() override { return done(::fsync(file_.get())); }

 private:
  Fd file_;
};

class RealFolder final : public OpenFolder {
 public:
  explicit RealFolder(Fd folder) : folder_(std::move(folder)) {}

  FileResult<> sync() override { return done(::fsync(descriptor())); }

  FileResult<> lock() override {
    // flock(2) holds for every descriptor of one open file, this object's alone here.
    auto lock = FileLock::take(Fd(::fcntl(descriptor(), F_DUPFD_CLOEXEC, 0)));
    if (!lock) return std::unexpected(lock.error());
    lock_ = std::move(*lock);
    folder_.reset();
    return {};
  }

 private:
  [[nodiscard]] int descriptor() const { return folder_.ok() ? folder_.get() : lock_.file().get(); }

  Fd folder_;
  FileLock lock_;
};

class RealFileSystem final : public FileSystem {
 public:
  FileResult<std::unique_ptr<WritableFile>> create(const std::string& path) override {
    Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file.ok()) return failed();
    return std::make_unique<RealFile>(std::move(file));
  }

  FileResult<std::string> read(const std::string& path, std::size_t max_size) override {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.ok()) return failed();
    std::string text;
    for (;;) {
      const std::size_t size = text.size();
      if (size > max_size) return std::unexpected(EFBIG);
      text.resize(size + kReadPiece);
      const ssize_t got = ::read(file.get(), text.data() + size, kReadPiece);
      const int error = errno;
      text.resize(size + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
      if (got < 0 && error != EINTR) return std::unexpected(error);
      if (got == 0) return text;
    }
  }

  FileResult<> rename(const std::string& from, const std::string& to) override {
    return done(::rename(from.c_str(), to.c_str()));
  }
  FileResult<> link(const std::string& from, const std::string& to) override { return done(::link(from.c_str(), to.c_str())); }
  FileResult<> remove(const std::string& path) override { return done(::unlink(path.c_str())); }

  FileResult<std::vector<std::string>> list(const std::string& folder) override {
    std::error_code error;
    std::vector<std::string> names;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
      std::error_code ignored;
      if (entry->is_regular_file(ignored)) names.push_back(entry->path().filename().string());
    }
    if (error) return std::unexpected(error.value());
    std::ranges::sort(names);
    return names;
  }

  FileResult<> make_folder(const std::string& path) override { return done(::mkdir(path.c_str(), 0700)); }

  FileResult<std::unique_ptr<OpenFolder>> open_folder(const std::string& path) override {
    Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.ok()) return failed();
    return std::make_unique<RealFolder>(std::move(folder));
  }
};

std::string user_name(uid_t user) {
  std::array<char, 4096> room;
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(user, &entry, room.data(), room.size(), &found) == 0 && found != nullptr) return found->pw_name;
  return "user " + std::to_string(user);
}

/// Who owns `path` and its mode; nullopt if this process cannot see it.
std::optional<std::string> ownership(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  std::array<char, 8> mode;
  std::snprintf(mode.data(), mode.size(), "%04o", static_cast<unsigned>(info.st_mode & 07777));
  return user_name(info.st_uid) + " (mode " + mode.data() + ")";
}

/// The last part of `path`, from the root on, that this process can see.
std::string visible_part(fs::path path) {
  std::error_code error;
  while (path.has_relative_path() && !fs::exists(path, error)) path = path.parent_path();
  return path.empty() ? "." : path.string();
}

}  // namespace

FileSystem& FileSystem::real() {
  static RealFileSystem files;
  return files;
}

std::string folder_of(const std::string& path) {
  const fs::path whole(path);
  return whole.has_parent_path() ? whole.parent_path().string() : ".";
}

FileResult<> make_folders(FileSystem& files, const std::string& path) {
  fs::path wanted = fs::path(path).lexically_normal();
  if (!wanted.has_filename() && wanted.has_relative_path()) wanted = wanted.parent_path();  // "a/b/" means a/b.
  auto made = files.make_folder(wanted.string());
  if (!made && made.error() == ENOENT && wanted.has_parent_path() && wanted.parent_path() != wanted) {
    if (auto above = make_folders(files, wanted.parent_path().string()); !above) return above;
    made = files.make_folder(wanted.string());
  }
  if (!made && made.error() != EEXIST) return made;
  auto opened = files.open_folder(made ? folder_of(wanted.string()) : wanted.string());
  if (!opened) return std::unexpected(opened.error());
  // What was there already is not ours to sync.
  return made ? (*opened)->sync() : FileResult<>{};
}

FileResult<AtomicFile> AtomicFile::create(FileSystem& files, std::string temporary) {
  auto file = files.create(temporary);
  if (!file) return std::unexpected(file.error());
  return AtomicFile(files, std::move(temporary), std::move(*file));
}

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  discard();
  files_ = other.files_;
  temporary_ = std::exchange(other.temporary_, {});
  file_ = std::move(other.file_);
  return *this;
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() {
  file_.reset();
  if (!temporary_.empty()) files_->discard(temporary_);
  temporary_.clear();
}

FileResult<> AtomicFile::rename_temporary(std::string temporary) {
  if (auto renamed = files_->rename(temporary_, temporary); !renamed) return renamed;
  temporary_ = std::move(temporary);
  return {};
}

FileResult<> AtomicFile::commit(std::string_view text, const std::string& path, OpenFolder& folder, Replace replace) {
  if (auto written = file_->write(text); !written) return written;
  if (auto synced = file_->sync(); !synced) return synced;
  if (replace == Replace::kYes) {
    if (auto renamed = files_->rename(temporary_, path); !renamed) return renamed;
    temporary_.clear();
  } else {
    // Unlike rename, link never replaces.
    if (auto linked = files_->link(temporary_, path); !linked) return linked;
    if (auto removed = files_->remove(std::exchange(temporary_, {})); !removed) return removed;
  }
  return folder.sync();
}

FileResult<> write_atomically(FileSystem& files, const std::string& path, std::string_view text, AtomicFile::Replace replace) {
  auto folder = files.open_folder(folder_of(path));
  if (!folder) return std::unexpected(folder.error());
  auto file = AtomicFile::create(files, path + "." + std::to_string(std::random_device{}()) + ".new");
  if (!file) return std::unexpected(file.error());
  return file->commit(text, path, **folder, replace);
}

std::string describe_file_error(const std::string& path, std::string_view verb, int error) {
  const std::string visible = visible_part(path);
  const bool hidden = visible != path;
  if (error == ENOENT) {
    // A name that is missing is told apart from the folder that it was to be in.
    const fs::path folder = folder_of(path);
    if (!hidden || fs::path(visible) == folder) return path + " does not exist";
    return path + " does not exist: there is no folder beyond " + visible;
  }
  std::string text = path + " cannot be " + std::string(verb) + ": " + std::generic_category().message(error);
  if (error != EACCES && error != EPERM) return text;
  if (const auto owner = ownership(visible)) {
    text += "; " + (hidden ? "the folder " + visible + " belongs to " : std::string("it belongs to ")) + *owner +
            ", and this program runs as " + user_name(::geteuid());
  }
  return text;
}

}  // namespace adit
