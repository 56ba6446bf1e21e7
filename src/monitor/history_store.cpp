#include "monitor/history_store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "base/fd.h"
#include "base/file.h"

namespace adit::monitor {
namespace {

/// Of the tables, and of History::kSpans: another one is not read.
constexpr std::int64_t kVersion = 1;

// `span` is the seconds of one step. A rate that is no number is NULL.
constexpr const char* kTables = R"sql(
CREATE TABLE points (
  span INTEGER NOT NULL, step INTEGER NOT NULL, at INTEGER NOT NULL, measured_hps REAL, declared_hps REAL,
  accepted INTEGER NOT NULL, rejected INTEGER NOT NULL, miners INTEGER NOT NULL, rtt_ms REAL, looks INTEGER NOT NULL,
  PRIMARY KEY (span, step)) WITHOUT ROWID;
CREATE TABLE marks (number INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL);
)sql";

std::int64_t unix_seconds(UnixTime time) { return time.time_since_epoch().count(); }

}  // namespace

void HistoryStore::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

/// One prepared statement. `?` are bound in their order, columns are read in theirs.
class HistoryStore::Statement {
 public:
  static Result<Statement> prepare(const HistoryStore& store, const std::string& sql) {
    sqlite3_stmt* made = nullptr;
    const int code = sqlite3_prepare_v2(store.database_.get(), sql.c_str(), -1, &made, nullptr);
    Statement statement(store, made);
    if (code != SQLITE_OK) return fail(store.error_of(code));
    return statement;
  }

  Statement& bind(std::int64_t value) {
    sqlite3_bind_int64(statement_.get(), ++bound_, value);
    return *this;
  }
  Statement& bind(std::uint64_t value) { return bind(static_cast<std::int64_t>(value)); }
  Statement& bind(double value) {
    sqlite3_bind_double(statement_.get(), ++bound_, value);
    return *this;
  }
  Statement& bind(const std::optional<double>& value) {
    if (value) return bind(*value);
    sqlite3_bind_null(statement_.get(), ++bound_);
    return *this;
  }
  Statement& bind(std::string_view value) {
    sqlite3_bind_text64(statement_.get(), ++bound_, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
    return *this;
  }

  /// False: there is no further row.
  Result<bool> next() {
    const int code = sqlite3_step(statement_.get());
    column_ = 0;
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return fail(store_->error_of(code));
  }
  /// For a statement without rows, which can be bound anew then.
  Result<> run() {
    ADIT_CHECK(next());
    sqlite3_reset(statement_.get());
    bound_ = 0;
    return {};
  }

  std::int64_t integer() { return sqlite3_column_int64(statement_.get(), column_++); }
  std::optional<double> real() {
    const int column = column_++;
    if (sqlite3_column_type(statement_.get(), column) == SQLITE_NULL) return std::nullopt;
    return sqlite3_column_double(statement_.get(), column);
  }
  std::string text() {
    const int column = column_++;
    const auto* const bytes = sqlite3_column_text(statement_.get(), column);
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
    return bytes == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(bytes), size);
  }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  Statement(const HistoryStore& store, sqlite3_stmt* statement) : store_(&store), statement_(statement) {}

  const HistoryStore* store_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int bound_ = 0;
  int column_ = 0;
};

Error HistoryStore::error_of(int code) const {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {StoreErrc::kInUse, "another process has " + path_ + " open: stop it, or give each role a `data_dir` of its own"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_SCHEMA:
    case SQLITE_ERROR:  // Another's tables.
      return {StoreErrc::kUnusable, path_ + " is damaged: " + sqlite3_errmsg(database_.get())};
    case SQLITE_FULL:
      return {StoreErrc::kFile, path_ + " cannot be written: there is no room: make some on its disk"};
    default:
      if (const int reason = sqlite3_system_errno(database_.get()); reason != 0)
        return {StoreErrc::kFile, describe_file_error(path_, "written", reason)};
      return {StoreErrc::kFile,
              path_ + " cannot be written: " + sqlite3_errmsg(database_.get()) + ": let this user write it and its folder"};
  }
}

Result<> HistoryStore::run(const std::string& sql) {
  const int code = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return fail(error_of(code));
  return {};
}

Result<std::int64_t> HistoryStore::number(const std::string& sql) {
  ADIT_TRY(auto statement, Statement::prepare(*this, sql));
  ADIT_TRY(const bool there, statement.next());
  return there ? statement.integer() : 0;
}

Result<std::unique_ptr<HistoryStore>> HistoryStore::open(const std::string& path, std::uint32_t max_pages) {
  if (const auto made = make_folders(FileSystem::real(), folder_of(path)); !made)
    return fail(StoreErrc::kFile, describe_file_error(folder_of(path), "made", made.error()));
  // Only a new file is opened here: to close one that another store of this process has open would take its lock away.
  if (const Fd made(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640)); !made.ok() && errno != EEXIST)
    return fail(StoreErrc::kFile, describe_file_error(path, "made", errno));
  std::unique_ptr<HistoryStore> store(new HistoryStore(path));
  sqlite3* database = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  store->database_.reset(database);
  if (code != SQLITE_OK) return fail(store->error_of(code));
  if (sqlite3_db_readonly(database, "main") == 1) return fail(StoreErrc::kFile, describe_file_error(path, "written", EACCES));
  ADIT_CHECK(store->prepare(max_pages));
  return store;
}

Result<> HistoryStore::move_aside(const std::string& path) {
  auto& files = FileSystem::real();
  if (const auto moved = files.rename(path, path + ".old"); !moved)
    return fail(StoreErrc::kFile, describe_file_error(path, "renamed", moved.error()));
  // It belongs to that file, and would be read into the new one.
  files.discard(path + "-wal");
  return {};
}

Result<> HistoryStore::prepare(std::uint32_t max_pages) {
  // In this order: a log that begins in exclusive mode needs no shared memory.
  ADIT_CHECK(run("PRAGMA locking_mode = EXCLUSIVE"));
  ADIT_CHECK(run("PRAGMA journal_mode = WAL"));
  ADIT_CHECK(run("PRAGMA synchronous = NORMAL"));
  ADIT_CHECK(run("PRAGMA max_page_count = " + std::to_string(max_pages)));
  ADIT_TRY(const auto version, number("PRAGMA user_version"));
  if (version == kVersion) return {};
  ADIT_TRY(const auto tables, number("SELECT count(*) FROM sqlite_master"));
  if (version == 0 && tables == 0) return make_tables();
  return fail(StoreErrc::kUnusable,
              path_ + " is of version " + std::to_string(version) + ", and this program reads " + std::to_string(kVersion));
}

Result<> HistoryStore::make_tables() {
  return run("BEGIN IMMEDIATE;" + std::string(kTables) + "PRAGMA user_version = " + std::to_string(kVersion) + "; COMMIT");
}

Result<History::Part> HistoryStore::load() {
  History::Part part;
  for (std::size_t i = 0; i < History::kSpans.size(); ++i) {
    ADIT_TRY(auto rows, Statement::prepare(*this,
                                           "SELECT at, measured_hps, declared_hps, accepted, rejected, miners, rtt_ms, looks "
                                           "FROM points WHERE span = ? ORDER BY step DESC LIMIT ?"));
    rows.bind(std::int64_t{History::kSpans[i].step.count()}).bind(std::uint64_t{History::kSpans[i].most()});
    while (true) {
      ADIT_TRY(const bool there, rows.next());
      if (!there) break;
      Point point;
      point.at = UnixTime{std::chrono::seconds{rows.integer()}};
      point.measured_hps = rows.real().value_or(std::numeric_limits<double>::quiet_NaN());
      point.declared_hps = rows.real().value_or(std::numeric_limits<double>::quiet_NaN());
      point.accepted = static_cast<std::uint64_t>(rows.integer());
      point.rejected = static_cast<std::uint64_t>(rows.integer());
      point.miners = static_cast<std::uint64_t>(rows.integer());
      point.rtt_ms = rows.real();
      point.looks = static_cast<unsigned>(std::clamp<std::int64_t>(rows.integer(), 1, std::numeric_limits<int>::max()));
      part.points[i].push_back(point);
    }
    std::ranges::reverse(part.points[i]);
  }
  ADIT_TRY(auto rows, Statement::prepare(*this, "SELECT at, kind, text FROM marks ORDER BY number DESC LIMIT ?"));
  rows.bind(std::uint64_t{History::kMaxMarks});
  while (true) {
    ADIT_TRY(const bool there, rows.next());
    if (!there) break;
    const UnixTime at{std::chrono::seconds{rows.integer()}};
    const auto* const kind = std::ranges::find(kMarkKinds, rows.text());
    std::string text = rows.text();
    if (kind != kMarkKinds.end()) part.marks.push_back({.at = at, .kind = *kind, .text = std::move(text)});
  }
  std::ranges::reverse(part.marks);
  return part;
}

Result<> HistoryStore::save(const History::Part& part) {
  ADIT_CHECK(run("BEGIN IMMEDIATE"));
  Result<> written = write(part);
  if (written) written = run("COMMIT");
  // Some errors have done it already.
  if (!written && sqlite3_get_autocommit(database_.get()) == 0)
    sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  return written;
}

Result<> HistoryStore::write(const History::Part& part) {
  ADIT_TRY(auto put, Statement::prepare(*this, "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  ADIT_TRY(auto prune, Statement::prepare(*this, "DELETE FROM points WHERE span = ? AND (step <= ? OR step > ?)"));
  for (std::size_t i = 0; i < History::kSpans.size(); ++i) {
    const History::Span& span = History::kSpans[i];
    const std::int64_t name = span.step.count();
    for (const Point& point : part.points[i]) {
      put.bind(name)
          .bind(span.step_of(point.at))
          .bind(unix_seconds(point.at))
          .bind(point.measured_hps)
          .bind(point.declared_hps);
      put.bind(point.accepted).bind(point.rejected).bind(point.miners).bind(point.rtt_ms).bind(std::uint64_t{point.looks});
      ADIT_CHECK(put.run());
    }
    if (part.points[i].empty()) continue;
    const std::int64_t newest = span.step_of(part.points[i].back().at);
    ADIT_CHECK(prune.bind(name).bind(newest - static_cast<std::int64_t>(span.most())).bind(newest).run());
  }
  if (!part.points.front().empty()) {
    ADIT_TRY(auto ahead, Statement::prepare(*this, "DELETE FROM marks WHERE at > ?"));
    ADIT_CHECK(ahead.bind(unix_seconds(part.points.front().back().at)).run());
  }
  if (part.marks.empty()) return {};
  ADIT_TRY(auto add, Statement::prepare(*this, "INSERT INTO marks (at, kind, text) VALUES (?, ?, ?)"));
  for (const Mark& mark : part.marks) ADIT_CHECK(add.bind(unix_seconds(mark.at)).bind(mark.kind).bind(mark.text).run());
  ADIT_TRY(auto forget, Statement::prepare(*this, "DELETE FROM marks WHERE number <= (SELECT max(number) FROM marks) - ?"));
  return forget.bind(std::uint64_t{History::kMaxMarks}).run();
}

}  // namespace adit::monitor
