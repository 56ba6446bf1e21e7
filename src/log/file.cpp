#include "log/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace adit::log {
namespace {

constexpr std::size_t kMostWaiting = 64 * 1024;
constexpr mode_t kMode = 0640;
constexpr Duration kTellEvery = std::chrono::seconds(10);

FileResult<Fd> open_for_appending(const std::string& path) {
  // Without O_NONBLOCK a pipe that nobody reads would hold up the start.
  Fd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, kMode));
  if (!file.ok()) return std::unexpected(errno);
  if (::fcntl(file.get(), F_SETFL, O_APPEND) != 0) return std::unexpected(errno);
  return file;
}

}  // namespace

FileResult<std::unique_ptr<LogFile>> LogFile::open(std::string path, Tell tell) {
  auto file = open_for_appending(path);
  if (!file) return std::unexpected(file.error());
  return std::unique_ptr<LogFile>(new LogFile(std::move(path), std::move(tell), std::move(*file)));
}

FileResult<> LogFile::reopen() {
  const std::lock_guard lock(mutex_);
  flush_locked(now_from_system().instant);
  auto file = open_for_appending(path_);
  if (!file) return std::unexpected(file.error());
  file_ = std::move(*file);
  torn_ = false;
  return {};
}

void LogFile::append(std::string_view line, Instant now) {
  const std::lock_guard lock(mutex_);
  waiting_ += line;
  waiting_ += '\n';
  ++waiting_lines_;
  if (waiting_.size() >= kMostWaiting) flush_locked(now);
}

void LogFile::flush(Instant now) {
  const std::lock_guard lock(mutex_);
  flush_locked(now);
}

void LogFile::flush_locked(Instant now) {
  if (waiting_.empty()) return;
  if (torn_) waiting_.insert(waiting_.begin(), '\n');
  std::string_view left = waiting_;
  int error = 0;
  while (!left.empty() && error == 0) {
    const ssize_t written = ::write(file_.get(), left.data(), left.size());
    if (written >= 0) {
      left.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (const std::size_t written = waiting_.size() - left.size(); written != 0) torn_ = waiting_[written - 1] != '\n';
  if (error != 0) {
    lost_ += waiting_lines_;
    lost_untold_ += waiting_lines_;
    if (!failed_at_ || now - *failed_at_ >= kTellEvery) {
      failed_at_ = now;
      tell_(describe_file_error(path_, "written", error), lost_untold_);
    }
  } else if (failed_at_) {
    failed_at_.reset();
    tell_("", std::exchange(lost_untold_, 0));
  }
  waiting_.clear();
  waiting_lines_ = 0;
}

std::uint64_t LogFile::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

}  // namespace adit::log
