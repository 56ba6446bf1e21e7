#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

namespace adit {

std::expected<FileLock, int> FileLock::take(const std::string& path) {
  return take(Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)));
}

std::expected<FileLock, int> FileLock::take(Fd open_file) {
  if (!open_file.ok() || ::flock(open_file.get(), LOCK_EX | LOCK_NB) != 0) return std::unexpected(errno);
  return FileLock(std::move(open_file));
}

}  // namespace adit
