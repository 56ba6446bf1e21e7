#include "log/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/text.h"
#include "log/file.h"
#include "log/format.h"
#include "log/limited.h"
#include "log/log_testing.h"
#include "log/warnings.h"

namespace adit::log {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

std::string json(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string logfmt(std::string_view text) {
  std::string out;
  append_logfmt_value(out, text);
  return out;
}

std::string line(Format format, Fields fields) {
  std::string out;
  append_line(out, format, std::chrono::system_clock::time_point{std::chrono::milliseconds{1'700'000'000'042}}, Level::kWarn,
              "share.refused", fields);
  return out;
}

TEST(Escaping, JsonStringsAreQuotedAndEscaped) {
  EXPECT_EQ(json(""), "\"\"");
  EXPECT_EQ(json("plain text"), "\"plain text\"");
  EXPECT_EQ(json("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(json("line\nfeed\r\t"), R"("line\nfeed\r\t")");
  EXPECT_EQ(json(std::string_view("\0\x1b[31m\x7f", 7)), R"("\u0000\u001b[31m\u007f")");
}

TEST(Escaping, C1ControlsAndLineSeparatorsDoNotReachTheTerminal) {
  EXPECT_EQ(json("\xc2\x9b"
                 "31m"),
            R"("\u009b31m")");
  EXPECT_EQ(json("a\xe2\x80\xa8"
                 "b"),
            R"("a\u2028b")");
  EXPECT_EQ(logfmt("a\xe2\x80\xa9"
                   "b"),
            R"("a\u2029b")");
}

TEST(Escaping, ValidUtf8PassesUnchanged) {
  EXPECT_EQ(json("grün €𝄞"), "\"grün €𝄞\"");
  EXPECT_EQ(logfmt("grün€𝄞"), "grün€𝄞");
}

TEST(Escaping, InvalidUtf8IsReplacedInJsonAndShownInLogfmt) {
  EXPECT_EQ(json("a\xff"
                 "b"),
            R"("a\ufffdb")");
  EXPECT_EQ(logfmt("a\xff"
                   "b"),
            R"("a\xffb")");
  EXPECT_EQ(json("\xc0\xaf"), R"("\ufffd\ufffd")") << "overlong '/'";
  EXPECT_EQ(json("\xed\xa0\x80"), R"("\ufffd\ufffd\ufffd")") << "a surrogate";
  EXPECT_EQ(json("\xf4\x90\x80\x80"), R"("\ufffd\ufffd\ufffd\ufffd")") << "beyond U+10FFFF";
  EXPECT_EQ(json("\xe2\x82"), R"("\ufffd\ufffd")") << "cut short";
}

TEST(Escaping, LogfmtQuotesOnlyWhatNeedsIt) {
  EXPECT_EQ(logfmt("127.0.0.1:3333"), "127.0.0.1:3333");
  EXPECT_EQ(logfmt(""), "\"\"");
  EXPECT_EQ(logfmt("two words"), "\"two words\"");
  EXPECT_EQ(logfmt("a=b"), "\"a=b\"");
  EXPECT_EQ(logfmt("x\nlevel=error"), R"("x\nlevel=error")");
  EXPECT_EQ(logfmt("\""), R"("\"")");
}

TEST(Line, LogfmtCarriesTimeLevelEventAndFieldsInOrder) {
  EXPECT_EQ(
      line(Format::kLogfmt, {{"peer", "10.0.0.1:4444"}, {"channel", 7u}, {"why", "too low"}, {"stale", true}, {"delta", -3}}),
      "ts=2023-11-14T22:13:20.042Z level=warn event=share.refused peer=10.0.0.1:4444 channel=7 why=\"too low\" stale=true "
      "delta=-3");
}

TEST(Line, JsonCarriesTheSame) {
  EXPECT_EQ(
      line(Format::kJson, {{"why", "too low"}, {"channel", 7u}, {"stale", false}, {"rate", 1.5}}),
      R"({"ts":"2023-11-14T22:13:20.042Z","level":"warn","event":"share.refused","why":"too low","channel":7,"stale":false,"rate":1.5})");
}

TEST(Line, NumbersKeepTheirWholeRange) {
  EXPECT_THAT(line(Format::kJson, {{"n", std::numeric_limits<std::uint64_t>::max()}}), EndsWith(":18446744073709551615}"));
  EXPECT_THAT(line(Format::kJson, {{"n", std::numeric_limits<std::int64_t>::min()}}), EndsWith(":-9223372036854775808}"));
}

TEST(Line, NumbersThatJsonLacksBecomeStrings) {
  EXPECT_THAT(line(Format::kJson, {{"n", std::nan("")}}), EndsWith(R"(:"nan"})"));
  EXPECT_THAT(line(Format::kJson, {{"n", -std::numeric_limits<double>::infinity()}}), EndsWith(R"(:"-inf"})"));
}

class LogFile : public testing::Test {
 protected:
  void SetUp() override { path_ = testing::TempDir() + "adit-log-" + std::to_string(::getpid()) + ".log"; }
  void TearDown() override {
    shutdown();
    ASSERT_TRUE(configure({}).has_value());
    shutdown();
    std::filesystem::remove(path_);
  }
  std::string contents() const {
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  std::string path_;
};

TEST_F(LogFile, EventsBelowTheLevelAreNotWritten) {
  ASSERT_TRUE(configure({.level = Level::kWarn, .file = path_}).has_value());
  EXPECT_FALSE(enabled(Level::kInfo));
  EXPECT_TRUE(enabled(Level::kError));
  info("test.hidden");
  warn("test.shown", {{"n", 1}});
  shutdown();
  EXPECT_THAT(contents(), EndsWith(" level=warn event=test.shown n=1\n"));
  EXPECT_THAT(contents(), testing::Not(HasSubstr("hidden")));
}

TEST_F(LogFile, OffSilencesErrorsToo) {
  ASSERT_TRUE(configure({.level = Level::kOff, .file = path_}).has_value());
  error("test.hidden");
  shutdown();
  EXPECT_EQ(contents(), "");
}

TEST_F(LogFile, JsonLinesAndAppending) {
  for (int run = 0; run < 2; ++run) {
    ASSERT_TRUE(configure({.format = Format::kJson, .file = path_}).has_value());
    info("test.run", {{"run", run}});
    shutdown();
  }
  const std::string text = contents();
  EXPECT_THAT(text, StartsWith("{\"ts\":\""));
  EXPECT_THAT(text, HasSubstr("\"run\":0}\n"));
  EXPECT_THAT(text, EndsWith("\"run\":1}\n"));
}

TEST_F(LogFile, ThreadsMayLogWhileTheLogIsShutDownAndConfiguredAgain) {
  testing::internal::CaptureStderr();
  std::atomic<bool> stop = false;
  const std::uint64_t lost_before = lost();
  std::uint64_t written = 0;
  {
    std::vector<std::jthread> threads;
    std::atomic<std::uint64_t> logged = 0;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        while (!stop) {
          info("test.thread", {{"n", logged++}});
          std::this_thread::yield();
        }
      });
    }
    for (int run = 0; run < 50; ++run) {
      ASSERT_TRUE(configure({.file = path_}).has_value());
      const auto before = logged.load();
      while (logged < before + 10) std::this_thread::yield();
      shutdown();
    }
    stop = true;
    for (auto& thread : threads) thread.join();
    written = logged;
  }
  const std::string direct = testing::internal::GetCapturedStderr();
  std::set<std::string> numbers;  // What the file has, standard error has too, and what was written directly it alone has.
  for (std::size_t at = 0; (at = direct.find(" n=", at)) != std::string::npos; ++at) {
    EXPECT_TRUE(numbers.insert(direct.substr(at, direct.find('\n', at) - at)).second);
  }
  EXPECT_EQ(numbers.size() + lost() - lost_before, written);
}

TEST_F(LogFile, NoLineIsTornWhenThreadsLogAtOnce) {
  ASSERT_TRUE(configure({.file = path_}).has_value());
  testing::internal::CaptureStderr();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < 100; ++i) info("test.thread", {{"t", t}, {"i", i}, {"end", "here"}});
      });
    }
  }
  shutdown();
  testing::internal::GetCapturedStderr();
  std::ifstream file(path_);
  int lines = 0;
  for (std::string text; std::getline(file, text); ++lines) {
    EXPECT_THAT(text, StartsWith("ts="));
    EXPECT_THAT(text, EndsWith(" end=here"));
  }
  EXPECT_EQ(lines, 400);
  EXPECT_EQ(lost(), 0u);
}

TEST_F(LogFile, AFileThatCannotBeOpenedIsNamed) {
  const auto result = configure({.file = "/dev/null/adit.log"});
  ASSERT_FALSE(result.has_value());
  EXPECT_TRUE(result.error().is(Errc::kFile));
  EXPECT_THAT(result.error().message(), HasSubstr("/dev/null/adit.log"));
  const auto no_folder = configure({.file = path_ + ".d/adit.log"});
  ASSERT_FALSE(no_folder.has_value());
  EXPECT_THAT(no_folder.error().message(), HasSubstr("does not exist"));
  EXPECT_FALSE(has_file());
}

TEST_F(LogFile, ANewFileIsForItsOwnerAndGroup) {
  const mode_t before = ::umask(0);
  ASSERT_TRUE(configure({.file = path_}));
  ::umask(before);
  shutdown();
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640u);
}

TEST_F(LogFile, IsOpenedAnewWhenItWasMovedAway) {
  ASSERT_TRUE(configure({.file = path_}));
  EXPECT_TRUE(has_file());
  info("test.before");
  const std::string moved = path_ + ".1";
  std::filesystem::rename(path_, moved);
  info("test.between");
  reopen();
  info("test.after");
  shutdown();
  EXPECT_THAT(contents(), HasSubstr("event=test.after"));
  EXPECT_THAT(contents(), HasSubstr("event=log.reopened file=" + path_ + "\n"));
  std::ifstream old(moved);
  const std::string rest((std::istreambuf_iterator<char>(old)), {});
  EXPECT_THAT(rest, testing::Not(HasSubstr("test.after")));
  // Each event is in one of the two.
  EXPECT_THAT(rest + contents(), testing::AllOf(HasSubstr("test.before"), HasSubstr("test.between")));
  std::filesystem::remove(moved);
  reopen();  // Without a file: nothing.
}

TEST_F(LogFile, WhenItCannotBeOpenedAnewTheOldOneStaysInUse) {
  ASSERT_TRUE(configure({.file = path_}));
  const std::string moved = path_ + ".1";
  std::filesystem::rename(path_, moved);
  std::filesystem::create_directory(path_);
  testing::internal::CaptureStderr();
  reopen();
  info("test.after");
  shutdown();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("event=log.reopen_failed"));
  std::filesystem::remove(path_);
  std::filesystem::rename(moved, path_);
  EXPECT_THAT(contents(), testing::AllOf(HasSubstr("log.reopen_failed"), HasSubstr("test.after")));
}

// A disk that is full: the log fell silent without a word.
TEST(LogFileEngine, SaysWhenItCannotBeWrittenAndHowManyLinesAreMissing) {
  const std::string path = testing::TempDir() + "adit-full-" + std::to_string(::getpid());
  std::vector<std::pair<std::string, std::uint64_t>> told;
  auto file =
      log::LogFile::open(path, [&](const std::string& message, std::uint64_t lost) { told.emplace_back(message, lost); });
  ASSERT_TRUE(file);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  const Instant begin{std::chrono::hours(1)};
  rlimit few{.rlim_cur = 10, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &few), 0);
  for (int i = 0; i < 30; ++i) {
    (*file)->append("0123456789abcdef", begin + std::chrono::seconds(i));
    (*file)->flush(begin + std::chrono::seconds(i));
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, ignored);
  EXPECT_EQ((*file)->lost(), 30u);
  ASSERT_EQ(told.size(), 3u) << "once in ten seconds";
  EXPECT_THAT(told[0].first, testing::AllOf(HasSubstr(path), HasSubstr("cannot be written")));
  EXPECT_EQ(told[2].second, 21u);
  (*file)->append("again", begin + std::chrono::minutes(1));
  (*file)->flush(begin + std::chrono::minutes(1));
  ASSERT_EQ(told.size(), 4u);
  EXPECT_EQ(told[3], std::pair(std::string(), std::uint64_t{30}));
  std::ifstream in(path);
  EXPECT_EQ(std::string((std::istreambuf_iterator<char>(in)), {}), "0123456789\nagain\n") << "a torn line stays one";
  std::filesystem::remove(path);
}

TEST(LevelName, RoundTripsAndUnknownOnesListTheChoices) {
  for (const Level level : {Level::kTrace, Level::kDebug, Level::kInfo, Level::kWarn, Level::kError, Level::kOff}) {
    EXPECT_EQ(*parse_level(to_string(level)), level);
  }
  const auto wrong = parse_level("verbose");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_THAT(wrong.error().message(), HasSubstr("`verbose`"));
  EXPECT_THAT(wrong.error().message(), HasSubstr("trace, debug, info"));
}

TEST(Warnings, AreTheLastOfEachEventNewestFirst) {
  const std::string forged = "a\nb \xff";
  info("test.quiet");
  warn("test.first", {{"message", "it is\nso"}, {"peer", forged}, {"n", 1}});
  error("test.second", {{"n", 2}});
  warn("test.first", {{"message", std::string(1000, 'm')}, {"peer", std::string(1000, 'p')}});
  const auto all = warnings();
  ASSERT_GE(all.size(), 2u);
  EXPECT_EQ(all[0].event, "test.first");
  EXPECT_EQ(all[0].count, 2u);
  EXPECT_EQ(all[0].message.size(), kMostWarningText);
  EXPECT_EQ(all[0].fields.size(), kMostWarningText);
  EXPECT_EQ(all[1].event, "test.second");
  EXPECT_EQ(all[1].level, Level::kError);
  EXPECT_EQ(all[1].message, "");
  EXPECT_EQ(all[1].fields, "n=2");
  warn("test.first", {{"message", "it is\nso"}, {"peer", forged}, {"n", 1}});
  EXPECT_EQ(warnings()[0].message, "it is\nso");
  EXPECT_EQ(warnings()[0].fields, "peer=\"a\\nb \\xff\" n=1");
}

TEST(Warnings, KeepNoMoreMemoryThanTheirBound) {
  const std::string long_text(1'000'000, '\n');
  const auto kept = detail::warning_texts({{"message", long_text}, {"peer", long_text}, {"another", long_text}, {"n", 1}});
  EXPECT_EQ(kept.message.size(), kMostWarningText);
  EXPECT_EQ(kept.fields.size(), kMostWarningText);
  EXPECT_LE(kept.message.capacity(), 10 * kMostWarningText);
  EXPECT_LE(kept.fields.capacity(), 10 * kMostWarningText);
}

TEST(Warnings, OneThatComesAgainAndAgainTakesThePlaceOfNone) {
  static const std::vector<std::string> events = [] {
    std::vector<std::string> names;
    for (std::size_t i = 0; i <= kMostWarnings; ++i) names.push_back("test.event" + std::to_string(i));
    return names;
  }();
  for (std::size_t i = 0; i < kMostWarnings; ++i) warn(events[i]);
  for (int i = 0; i < 1000; ++i) warn(events[0]);
  const auto names = [] {
    std::set<std::string> out;
    for (const Warning& warning : warnings()) out.insert(warning.event);
    return out;
  };
  EXPECT_EQ(names(), std::set<std::string>(events.begin(), events.end() - 1));
  warn(events.back());  // Another event takes the place of what is oldest.
  EXPECT_EQ(names().size(), kMostWarnings);
  EXPECT_EQ(names().count(events[1]), 0u);
}

TEST(Limited, HasRoomAgainASecondLaterWhereNothingTicksAndCountsWhatItLeftOut) {
  test::Captured captured;
  Limited limited("log.more");
  const Instant begin{std::chrono::hours(1)};
  for (int i = 0; i < 100; ++i)
    limited.write_at(begin + std::chrono::milliseconds(9 * i), Level::kInfo, "log.crowd", {{"i", i}});
  limited.write_at(begin + std::chrono::seconds(1), Level::kInfo, "log.crowd", {{"i", 100}});
  const auto crowd = captured.lines("log.crowd");
  ASSERT_EQ(crowd.size(), 6u);
  EXPECT_THAT(crowd[4], EndsWith(" i=4"));
  EXPECT_THAT(crowd[5], EndsWith(" i=100"));
  const auto more = captured.lines("log.more");
  ASSERT_EQ(more.size(), 1u);
  EXPECT_THAT(more[0], EndsWith(" count=95"));
}

}  // namespace
}  // namespace adit::log
