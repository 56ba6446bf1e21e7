// A file that one process at a time may hold.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace adit {

/// Holds flock(2)'s exclusive lock on a file. The system gives it back when the process ends, however it ends; a second holder
/// in the same process is refused as well.
class FileLock {
 public:
  FileLock() = default;  ///< Holds nothing.
  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

  /// Never waits. The file must be there; its content stays as it is. Errors, as errno has them: EWOULDBLOCK: somebody else
  /// holds it; those of open(2) and flock(2).
  static std::expected<FileLock, int> take(const std::string& path);

 private:
  explicit FileLock(int fd) : fd_(fd) {}

  int fd_ = -1;
};

}  // namespace adit
