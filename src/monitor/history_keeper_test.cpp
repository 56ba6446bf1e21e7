#include "monitor/history_keeper.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "base/eventually_testing.h"
#include "base/temporary_folder_testing.h"

namespace adit::monitor {
namespace {

using namespace std::chrono_literals;

constexpr UnixTime kBegin{1'800'000'000s};

class HistoryKeeperTest : public testing::Test {
 protected:
  void SetUp() override { testing::internal::CaptureStderr(); }
  void TearDown() override {
    if (!log_) (void)log();
  }
  /// All that was logged. Once the keeper is closed.
  const std::string& log() {
    if (!log_) log_ = testing::internal::GetCapturedStderr();
    return *log_;
  }
  std::size_t logged(std::string_view event) {
    std::size_t count = 0;
    for (std::size_t at = log().find(event); at != std::string::npos; at = log().find(event, at + 1)) ++count;
    return count;
  }
  [[nodiscard]] std::string path() const { return (folder_.path() / "data" / "history.sqlite").string(); }
  void start() {
    keeper_.emplace(HistoryKeeper::Options{.path = path(), .every = 0s, .retry = 0s}, [this](const History::Part& part) {
      restored_points_ = part.points.front().size();
      ++restores_;
    });
    keeper_->start();
  }
  /// One look, a second after the last.
  void look() {
    ++looks_;
    history_.add({.id = looks_, .at = kBegin + std::chrono::seconds(looks_), .accepted = 1});
    keeper_->offer(history_, now_from_system().instant);
  }
  void close() {
    keeper_->close(history_);
    keeper_.reset();
  }
  std::size_t kept() {
    const auto store = HistoryStore::open(path());
    if (!store) return 0;
    const auto part = (*store)->load();
    return part ? part->points.front().size() : 0;
  }

  TemporaryFolder folder_;
  std::optional<std::string> log_;
  History history_;
  std::uint64_t looks_ = 0;
  std::optional<HistoryKeeper> keeper_;
  std::atomic<std::size_t> restored_points_ = 0;
  std::atomic<int> restores_ = 0;
};

TEST_F(HistoryKeeperTest, EverythingIsKeptOverARestart) {
  start();
  EXPECT_EQ(restores_, 1);
  for (int i = 0; i < 50; ++i) look();
  close();
  EXPECT_EQ(kept(), 50u);
  start();
  EXPECT_EQ(restored_points_, 50u);
  close();
  // A file that is closed is one file.
  EXPECT_FALSE(std::filesystem::exists(path() + "-wal"));
  EXPECT_EQ(log(), "");
}

TEST_F(HistoryKeeperTest, AFileOfAnotherProcessIsTakenOnceItIsFree) {
  auto other = HistoryStore::open(path());
  ASSERT_TRUE(other.has_value());
  History past;
  past.add({.id = 1, .at = kBegin - 1h});
  ASSERT_TRUE((*other)->save(past.after({})).has_value());
  start();
  EXPECT_EQ(restores_, 0);
  for (int i = 0; i < 100; ++i) {
    look();
    std::this_thread::sleep_for(1ms);
  }
  other->reset();
  EXPECT_TRUE(eventually([&] {
    look();
    return restores_ == 1;
  }));
  EXPECT_EQ(restored_points_, 1u);
  close();
  EXPECT_EQ(logged("monitor.history_not_kept"), 1u) << log();
  EXPECT_EQ(logged("monitor.history_kept_again"), 1u) << log();
  // The hour before is older than ten minutes.
  EXPECT_EQ(kept(), std::min<std::uint64_t>(looks_, 600));
}

TEST_F(HistoryKeeperTest, WithoutAFolderItGoesOnAndWritesAllOnceThereIsOne) {
  std::ofstream(folder_.path() / "data") << "no folder";
  start();
  for (int i = 0; i < 100; ++i) {
    look();
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(restores_, 0);
  std::filesystem::remove(folder_.path() / "data");
  EXPECT_TRUE(eventually([&] {
    look();
    return restores_ == 1;
  }));
  close();
  EXPECT_EQ(logged("monitor.history_not_kept"), 1u) << log();
  EXPECT_EQ(logged("monitor.history_kept_again"), 1u) << log();
  EXPECT_EQ(kept(), std::min<std::uint64_t>(looks_, 600));
}

TEST_F(HistoryKeeperTest, ClosingWithoutAFileEndsAtOnce) {
  std::ofstream(folder_.path() / "data") << "no folder";
  start();
  look();
  close();
  EXPECT_EQ(logged("monitor.history_not_kept"), 1u);
}

TEST_F(HistoryKeeperTest, AnUnusableFileIsMovedAsideAndANewOneBegun) {
  std::filesystem::create_directory(folder_.path() / "data");
  std::ofstream(path()) << "this is no database, and longer than the sixteen bytes of SQLite's magic by far";
  start();
  EXPECT_EQ(restores_, 1);
  EXPECT_EQ(restored_points_, 0u);
  look();
  close();
  EXPECT_EQ(kept(), 1u);
  EXPECT_TRUE(std::filesystem::exists(path() + ".old"));
  EXPECT_EQ(logged("monitor.history_begun_anew"), 1u) << log();
}

}  // namespace
}  // namespace adit::monitor
