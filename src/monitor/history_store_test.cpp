#include "monitor/history_store.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temporary_folder_testing.h"

namespace adit::monitor {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr UnixTime kBegin{1'800'000'000s};

/// Folders are writable to root whatever their mode, so root becomes another user for a while.
class NotRoot {
 public:
  NotRoot() {
    if (::geteuid() == 0) was_root_ = ::seteuid(65534) == 0;
  }
  ~NotRoot() {
    if (was_root_) (void)!::seteuid(0);
  }
  NotRoot(const NotRoot&) = delete;
  NotRoot& operator=(const NotRoot&) = delete;

 private:
  bool was_root_ = false;
};

class HistoryStoreTest : public testing::Test {
 protected:
  [[nodiscard]] std::string path() const { return (folder_.path() / "history.sqlite").string(); }
  std::unique_ptr<HistoryStore> open(std::uint32_t max_pages = HistoryStore::kMaxPages) {
    auto opened = HistoryStore::open(path(), max_pages);
    if (!opened) ADD_FAILURE() << opened.error().message();
    return opened ? std::move(*opened) : nullptr;
  }
  /// One number of the file, which no store has open.
  std::int64_t ask(const std::string& sql) {
    std::int64_t number = -1;
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open(path().c_str(), &database), SQLITE_OK);
    const auto take = [](void* out, int, char** values, char**) {
      *static_cast<std::int64_t*>(out) = values[0] == nullptr ? 0 : std::stoll(values[0]);
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), take, &number, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    sqlite3_close(database);
    return number;
  }
  void write(const std::string& text) const { std::ofstream(path(), std::ios::binary) << text; }

  TemporaryFolder folder_;
};

History some(std::uint64_t looks, std::chrono::seconds begin = 0s) {
  History history;
  for (std::uint64_t id = 1; id <= looks; ++id) {
    history.add(
        {.id = id, .at = kBegin + begin + std::chrono::seconds(id), .measured_hps = 1e15 / 3, .accepted = 2, .miners = 3});
  }
  return history;
}

TEST_F(HistoryStoreTest, WhatWasSavedIsLoaded) {
  History history = some(100);
  history.add({.id = 101,
               .at = kBegin + 101s,
               .measured_hps = std::nan(""),
               .declared_hps = HUGE_VAL,
               .accepted = 1ULL << 60,
               .rejected = 7,
               .miners = 8,
               .rtt_ms = 0.25});
  for (const auto kind : kMarkKinds) history.add(Mark{.at = kBegin + 101s, .kind = kind, .text = "it's \"\xc3\xa4\""});
  const History::Part saved = history.after({});
  ASSERT_TRUE(open()->save(saved).has_value());
  const auto loaded = open()->load();
  ASSERT_TRUE(loaded.has_value());
  for (std::size_t i = 0; i < History::kSpans.size(); ++i) {
    ASSERT_EQ(loaded->points[i].size(), saved.points[i].size());
    for (std::size_t j = 0; j < saved.points[i].size(); ++j) {
      const Point& before = saved.points[i][j];
      const Point& after = loaded->points[i][j];
      EXPECT_EQ(after.id, 0u);
      EXPECT_EQ(after.at, before.at);
      EXPECT_TRUE(after.measured_hps == before.measured_hps ||
                  (std::isnan(after.measured_hps) && std::isnan(before.measured_hps)));
      EXPECT_EQ(after.declared_hps, before.declared_hps);
      EXPECT_EQ(after.accepted, before.accepted);
      EXPECT_EQ(after.rejected, before.rejected);
      EXPECT_EQ(after.miners, before.miners);
      EXPECT_EQ(after.rtt_ms, before.rtt_ms);
      EXPECT_EQ(after.looks, before.looks);
    }
  }
  ASSERT_EQ(loaded->marks.size(), kMarkKinds.size());
  for (std::size_t i = 0; i < kMarkKinds.size(); ++i) {
    EXPECT_EQ(loaded->marks[i].kind, kMarkKinds[i]);
    EXPECT_EQ(loaded->marks[i].text, "it's \"\xc3\xa4\"");
    EXPECT_EQ(loaded->marks[i].at, kBegin + 101s);
  }
}

TEST_F(HistoryStoreTest, TheFileIsForItsUserAndGroupAndItsFolderIsMade) {
  const std::string deep = (folder_.path() / "a" / "b" / "history.sqlite").string();
  const auto store = HistoryStore::open(deep);
  ASSERT_TRUE(store.has_value()) << store.error().message();
  struct stat status{};
  ASSERT_EQ(::stat(deep.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07137, 0u);
}

TEST_F(HistoryStoreTest, IsBoundedHoweverLongItGoesOn) {
  auto store = open();
  History history;
  History::Position saved;
  std::uint64_t id = 0;
  for (int day = 0; day < 8; ++day) {
    for (int look = 0; look < 24 * 360; ++look) {
      const UnixTime at = kBegin + day * 24h + std::chrono::seconds(look * 10);
      history.add({.id = ++id, .at = at, .measured_hps = 1e15 / 3, .accepted = 1, .rtt_ms = 1.0 / 3});
      if (look % 100 == 0) history.add(Mark{.at = at, .kind = "tip", .text = "work for block 900000"});
    }
    const History::Part part = history.after(saved);
    ASSERT_TRUE(store->save(part).has_value());
    saved = part.until;
  }
  const auto loaded = store->load();
  ASSERT_TRUE(loaded.has_value());
  store.reset();
  EXPECT_EQ(ask("SELECT count(*) FROM points WHERE span = 1"), 60);
  EXPECT_EQ(ask("SELECT count(*) FROM points WHERE span = 10"), 2160);
  EXPECT_EQ(ask("SELECT count(*) FROM points WHERE span = 60"), 7 * 24 * 60);
  EXPECT_EQ(ask("SELECT count(*) FROM marks"), static_cast<std::int64_t>(History::kMaxMarks));
  EXPECT_LT(std::filesystem::file_size(path()), 4u * 1024 * 1024);
  EXPECT_EQ(loaded->points.back().size(), 7u * 24 * 60);
  EXPECT_EQ(loaded->points.back().back().at, kBegin + 8 * 24h - 10s);
}

TEST_F(HistoryStoreTest, APointTakesThePlaceOfTheOneOfItsStep) {
  auto store = open();
  History history = some(30);
  const History::Part first = history.after({});
  ASSERT_TRUE(store->save(first).has_value());
  history.add({.id = 31, .at = kBegin + 31s, .accepted = 2});
  ASSERT_TRUE(store->save(history.after(first.until)).has_value());
  const auto loaded = store->load();
  ASSERT_EQ(loaded->points.back().size(), 1u);
  EXPECT_EQ(loaded->points.back().front().accepted, 62u);
  EXPECT_EQ(loaded->points.back().front().looks, 31u);
}

TEST_F(HistoryStoreTest, WhatLiesInTheFutureIsForgotten) {
  auto store = open();
  History ahead = some(10, 1h);
  ahead.add(Mark{.at = kBegin + 1h, .kind = "tip", .text = "ahead"});
  ASSERT_TRUE(store->save(ahead.after({})).has_value());
  ASSERT_TRUE(store->save(some(10).after({})).has_value());
  const auto loaded = store->load();
  EXPECT_EQ(loaded->points.front().size(), 10u);
  EXPECT_EQ(loaded->points.back().size(), 1u);
  EXPECT_TRUE(loaded->marks.empty());
}

TEST_F(HistoryStoreTest, ADamagedFileIsSaidSoAndMovedAside) {
  write("this is no database, and longer than the sixteen bytes of SQLite's magic by far");
  auto opened = HistoryStore::open(path());
  ASSERT_FALSE(opened.has_value());
  EXPECT_TRUE(opened.error().is(StoreErrc::kUnusable)) << opened.error().message();
  EXPECT_THAT(opened.error().message(), HasSubstr(path() + " is damaged"));
  ASSERT_TRUE(HistoryStore::move_aside(path()).has_value());
  EXPECT_TRUE(std::filesystem::exists(path() + ".old"));
  EXPECT_TRUE(open()->save(some(3).after({})).has_value());
}

TEST_F(HistoryStoreTest, AFileThatIsDamagedWithinIsSaidSo) {
  ASSERT_TRUE(open()->save(some(3000).after({})).has_value());
  {
    std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(4096);
    for (int i = 0; i < 20'000; ++i) file.put('\x5a');
  }
  auto store = HistoryStore::open(path());
  const auto error = store ? (*store)->load().error() : store.error();
  EXPECT_TRUE(error.is(StoreErrc::kUnusable)) << error.message();
}

TEST_F(HistoryStoreTest, AnotherVersionAndAnothersTablesAreNotRead) {
  open();
  ask("PRAGMA user_version = 7");
  auto opened = HistoryStore::open(path());
  ASSERT_FALSE(opened.has_value());
  EXPECT_TRUE(opened.error().is(StoreErrc::kUnusable));
  EXPECT_THAT(opened.error().message(), HasSubstr("is of version 7"));
  ask("PRAGMA user_version = 0");
  EXPECT_TRUE(HistoryStore::open(path()).error().is(StoreErrc::kUnusable));
  ask("DROP TABLE points; PRAGMA user_version = 1");
  EXPECT_TRUE(open()->load().error().is(StoreErrc::kUnusable));
}

TEST_F(HistoryStoreTest, ASecondProcessIsRefusedAtOnceAndLeavesTheFirstItsFile) {
  // The other process comes first, so that SQLite has no memory of it here, and the lock alone can tell.
  int ready[2];
  int leave[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(leave), 0);
  const pid_t other = ::fork();
  ASSERT_NE(other, -1);
  if (other == 0) {
    ::close(leave[1]);
    char byte = 0;
    auto store = HistoryStore::open(path());
    bool good = store && (*store)->save(some(10).after({})) && ::write(ready[1], &byte, 1) == 1;
    good = good && ::read(leave[0], &byte, 1) == 1 && (*store)->save(some(20).after({}));
    ::_exit(good ? 0 : 1);  // As a crash: nothing is closed.
  }
  ::close(ready[1]);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  for (int i = 0; i < 2; ++i) {
    const auto second = HistoryStore::open(path());
    ASSERT_FALSE(second.has_value());
    EXPECT_TRUE(second.error().is(StoreErrc::kInUse)) << second.error().message();
  }
  ASSERT_EQ(::write(leave[1], &byte, 1), 1);
  int status = -1;
  ASSERT_EQ(::waitpid(other, &status, 0), other);
  EXPECT_EQ(status, 0);
  for (const int end : {ready[0], leave[0], leave[1]}) ::close(end);
  EXPECT_EQ(open()->load()->points.front().size(), 20u);
}

TEST_F(HistoryStoreTest, ASecondStoreOfOneProcessIsRefusedToo) {
  auto first = open();
  EXPECT_TRUE(HistoryStore::open(path()).error().is(StoreErrc::kInUse));
  EXPECT_TRUE(first->save(some(20).after({})).has_value());
  EXPECT_TRUE(HistoryStore::open(path()).error().is(StoreErrc::kInUse));
  first.reset();
  EXPECT_EQ(open()->load()->points.front().size(), 20u);
}

TEST_F(HistoryStoreTest, WithoutRoomTheFileStaysAsItWas) {
  auto store = open(10);
  ASSERT_TRUE(store->save(some(100).after({})).has_value());
  const auto saved = store->save(some(3000).after({}));
  ASSERT_FALSE(saved.has_value());
  EXPECT_TRUE(saved.error().is(StoreErrc::kFile));
  EXPECT_THAT(saved.error().message(), HasSubstr("there is no room"));
  EXPECT_EQ(store->load()->points.front().size(), 100u);
  EXPECT_TRUE(store->save(some(110).after({})).has_value());
}

TEST_F(HistoryStoreTest, AFolderThatCannotBeWrittenIsSaidSo) {
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0555), 0);
  {
    const NotRoot not_root;
    const auto opened = HistoryStore::open(path());
    ASSERT_FALSE(opened.has_value());
    EXPECT_TRUE(opened.error().is(StoreErrc::kFile));
    EXPECT_THAT(opened.error().message(), HasSubstr(path() + " cannot be made: Permission denied"));
  }
  ::chmod(folder_.path().c_str(), 0755);
  ASSERT_TRUE(open()->save(some(10).after({})).has_value());
  for (const mode_t mode : {0444, 0666}) {
    ::chmod(path().c_str(), mode);
    ::chmod(folder_.path().c_str(), 0555);
    const NotRoot not_root;
    const auto opened = HistoryStore::open(path());
    ASSERT_FALSE(opened.has_value());
    EXPECT_TRUE(opened.error().is(StoreErrc::kFile)) << opened.error().message();
    EXPECT_THAT(opened.error().message(), HasSubstr(path() + " cannot be written"));
  }
}

}  // namespace
}  // namespace adit::monitor
