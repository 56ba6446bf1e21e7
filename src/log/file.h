// The file that events are appended to.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/fd.h"
#include "base/file.h"
#include "base/time.h"

namespace adit::log {

/// Appends lines to a file that another program may move away (log rotation). Any thread.
class LogFile {
 public:
  /// What is told when a line could not be written, at most once in ten seconds, and when one could again: `message` is a
  /// sentence, empty when it works again; `lost` lines are missing since the last time that it worked. Called by whoever
  /// writes.
  using Tell = std::function<void(const std::string& message, std::uint64_t lost)>;

  /// Opens the file for appending; a new one has mode 0640, less what the umask takes away. Error: any of open(2).
  static FileResult<std::unique_ptr<LogFile>> open(std::string path, Tell tell);

  /// The same path anew; what comes from now on goes there. On an error the file that was open stays in use.
  FileResult<> reopen();

  /// Takes one line, without its end.
  void append(std::string_view line, Instant now);
  /// Writes what was taken.
  void flush(Instant now);

  /// Lines that could not be written.
  [[nodiscard]] std::uint64_t lost() const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  LogFile(std::string path, Tell tell, Fd file) : path_(std::move(path)), tell_(std::move(tell)), file_(std::move(file)) {}
  void flush_locked(Instant now);

  const std::string path_;
  const Tell tell_;
  mutable std::mutex mutex_;
  Fd file_;
  std::string waiting_;
  std::uint64_t waiting_lines_ = 0;
  bool torn_ = false;  ///< The last line in the file has no end.
  std::uint64_t lost_ = 0;
  std::uint64_t lost_untold_ = 0;     ///< Since it worked.
  std::optional<Instant> failed_at_;  ///< When that was told; absent while it works.
};

}  // namespace adit::log
