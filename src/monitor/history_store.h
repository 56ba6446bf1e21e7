// The file in which a history outlives its process: SQLite. The one place that includes it.
//
// A write-ahead log (WAL): a transaction every few seconds costs no wait for the disk and few bytes, which an SD card is
// thankful for; what a loss of power takes is the last minutes, never the file. The file is held locked for as long as it is
// open, so a second process is refused, and no shared memory is needed beside it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "monitor/history.h"

struct sqlite3;

namespace adit::monitor {

enum class StoreErrc {
  kInUse,     ///< Another process, or another store of this one, has the file open.
  kUnusable,  ///< The file is damaged, or of another version: move_aside() cures that.
  kFile,      ///< It cannot be made, read or written, or there is no room.
};
constexpr std::string_view error_layer(StoreErrc) { return "history"; }
constexpr std::string_view error_name(StoreErrc code) {
  return code == StoreErrc::kInUse ? "in-use" : code == StoreErrc::kUnusable ? "unusable" : "file";
}

/// Bounded in rows by the spans of a History. Every call may wait for the disk, and none for another process. Not thread-safe,
/// and may move from thread to thread. The messages of its errors name the file and what to do.
class HistoryStore {
 public:
  /// Pages of 4 KiB that the file may grow to.
  static constexpr std::uint32_t kMaxPages = 4096;

  /// Opens the file, or makes it with mode 0640, and its folder. Errors: any of StoreErrc.
  static Result<std::unique_ptr<HistoryStore>> open(const std::string& path, std::uint32_t max_pages = kMaxPages);

  /// Renames the file to `path` + ".old", in place of an earlier one. Error: kFile.
  static Result<> move_aside(const std::string& path);

  /// All that is in it. Marks of a kind that this version does not know are left out. Errors: kUnusable, kFile.
  Result<History::Part> load();

  /// Writes `part` in one transaction: a point takes the place of the one of its step, and what is older than its span, or lies
  /// in the future of the newest point, is removed. After an error the file is as it was. Errors: kUnusable, kFile.
  Result<> save(const History::Part& part);

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  class Statement;
  explicit HistoryStore(std::string path) : path_(std::move(path)) {}
  Result<> prepare(std::uint32_t max_pages);
  Result<> make_tables();
  Result<> write(const History::Part& part);
  Result<> run(const std::string& sql);
  Result<std::int64_t> number(const std::string& sql);
  /// What SQLite's `code` means, of the call before.
  [[nodiscard]] Error error_of(int code) const;

  std::string path_;
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace adit::monitor
