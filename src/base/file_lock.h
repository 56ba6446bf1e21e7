// A file or folder that one process at a time may hold.
#pragma once

#include <expected>
#include <string>
#include <utility>

#include "base/fd.h"

namespace adit {

/// Holds flock(2)'s exclusive lock on a file or a folder. The system gives it back when the process ends, however it ends; a
/// second holder in the same process is refused as well.
class FileLock {
 public:
  FileLock() = default;  ///< Holds nothing.

  /// Never waits. The file must be there; its content stays as it is. Errors, as errno has them: EWOULDBLOCK: another holder
  /// has it; those of open(2) and flock(2).
  static std::expected<FileLock, int> take(const std::string& path);

  /// The same for a file or folder that is open already; the lock is given back when its last descriptor is closed.
  static std::expected<FileLock, int> take(Fd open_file);

  [[nodiscard]] const Fd& file() const { return file_; }  ///< What the lock is on.

 private:
  explicit FileLock(Fd file) : file_(std::move(file)) {}

  Fd file_;
};

}  // namespace adit
