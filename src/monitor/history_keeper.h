// The driver of monitor/history_store: keeps a history in its file, on a thread of its own, so that a disk that stalls delays
// neither who serves nor who asks the role.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"
#include "base/time.h"
#include "monitor/history.h"
#include "monitor/history_store.h"

namespace adit::monitor {

/// Never fails: while the file cannot be used the history lives in memory alone, which the log says once with what to do, and
/// all that memory still has is written once the file can be used.
class HistoryKeeper {
 public:
  struct Options {
    std::string path;
    Duration every = std::chrono::seconds(10);  ///< Between two transactions.
    Duration retry = std::chrono::minutes(1);   ///< After one that failed.
    std::uint32_t max_pages = HistoryStore::kMaxPages;
  };
  /// `restore` is given what the file has, once: by start(), or on the keeper's thread where that could not read it.
  HistoryKeeper(Options options, std::function<void(History::Part)> restore);
  ~HistoryKeeper();
  HistoryKeeper(const HistoryKeeper&) = delete;
  HistoryKeeper& operator=(const HistoryKeeper&) = delete;

  /// Reads the file and starts the thread. Once.
  void start();

  /// Takes what is new in `history`, if it is time for that. Waits for no disk. One thread at a time.
  void offer(const History& history, Instant now);

  /// Writes what is new in `history`, unless the file cannot be used, and ends the thread. After it no other call.
  void close(const History& history);

 private:
  void run(const std::stop_token& stop);
  /// Makes store_ usable; false, and logged: it cannot be.
  bool open();
  Result<> try_open();
  /// Up to where the file has the history now. Absent: it could not be written.
  std::optional<History::Position> write(const History::Part& part);
  void complain(const Error& error);
  /// False: the damaged file, or the one of another version, is in the way.
  bool begin_anew(const Error& why);

  Options options_;
  std::function<void(History::Part)> restore_;

  // The thread's; start()'s before there is one and close()'s after it.
  std::unique_ptr<HistoryStore> store_;
  bool restored_ = false;
  std::string complaint_;  ///< That was logged last; empty: the file can be used.

  std::mutex mutex_;
  std::condition_variable_any given_;
  std::optional<History::Part> part_;  ///< To be written.
  bool writing_ = false;
  History::Position written_;
  Instant due_{};

  std::jthread thread_;
};

}  // namespace adit::monitor
