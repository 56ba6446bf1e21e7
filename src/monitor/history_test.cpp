#include "monitor/history.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <gtest/gtest.h>
#include <boost/json/serialize.hpp>

namespace adit::monitor {
namespace {

using namespace std::chrono_literals;

constexpr UnixTime kBegin{1'800'000'000s};

Point point(std::uint64_t id, std::chrono::seconds at, double rate = 1, std::uint64_t accepted = 1) {
  return {.id = id, .at = kBegin + at, .measured_hps = rate, .declared_hps = 2 * rate, .accepted = accepted, .miners = id};
}

const json::array& column(const json::object& columns, std::string_view name) { return columns.at(name).as_array(); }

TEST(History, KeepsOnePointForEachStepOfASpan) {
  History history;
  for (int second = 0; second < 100; ++second)
    history.add(point(static_cast<std::uint64_t>(second) + 1, std::chrono::seconds(second)));
  EXPECT_EQ(column(*history.columns("10m"), "at").size(), 100u);
  EXPECT_EQ(column(*history.columns("6h"), "at").size(), 10u);
  EXPECT_EQ(column(*history.columns("7d"), "at").size(), 2u);
  EXPECT_EQ(history.columns("1y"), std::nullopt);
}

TEST(History, AveragesRatesAndAddsUpCounts) {
  History history;
  for (int second = 0; second < 10; ++second)
    history.add(point(static_cast<std::uint64_t>(second) + 1, std::chrono::seconds(second), second, 3));
  const auto columns = *history.columns("6h");
  ASSERT_EQ(column(columns, "at").size(), 1u);
  EXPECT_DOUBLE_EQ(column(columns, "measured_hps")[0].to_number<double>(), 4.5);
  EXPECT_DOUBLE_EQ(column(columns, "declared_hps")[0].to_number<double>(), 9);
  EXPECT_EQ(column(columns, "accepted")[0].to_number<int>(), 30);
  EXPECT_EQ(column(columns, "miners")[0].to_number<int>(), 10);
  EXPECT_TRUE(column(columns, "rtt_ms")[0].is_null());
}

TEST(History, IsBoundedInPointsAndInBytesHoweverLongItGoesOn) {
  History history;
  std::uint64_t shares = 0;
  for (std::uint64_t minute = 0; minute < 9 * 24 * 60; ++minute) {
    Point now = point(minute + 1, std::chrono::minutes(minute), 1.23456789e15, 5);
    now.rtt_ms = 12.3456789;
    history.add(now);
    shares += 5;
  }
  for (const auto& span : History::kSpans) {
    const auto columns = *history.columns(span.name);
    EXPECT_LE(column(columns, "at").size(), History::kMaxAnswered) << span.name;
    EXPECT_LT(boost::json::serialize(columns).size(), 64u * 1024) << span.name;
  }
  // Seven days of nine, put together without losing a share.
  std::uint64_t answered = 0;
  for (const auto& value : column(*history.columns("7d"), "accepted")) answered += value.to_number<std::uint64_t>();
  EXPECT_EQ(answered, 5u * 7 * 24 * 60);
  EXPECT_LT(answered, shares);
}

TEST(History, SaysWhatCameAfterAnId) {
  History history;
  for (std::uint64_t id = 1; id <= 700; ++id) history.add(point(2 * id, std::chrono::seconds(id)));
  const auto some = history.since(2 * 690);
  EXPECT_EQ(column(some, "at").size(), 10u);
  EXPECT_TRUE(some.at("complete").as_bool());
  EXPECT_EQ(column(history.since(2 * 700), "at").size(), 0u);
  // The first 100 are forgotten: who asks for those must load the span anew.
  EXPECT_FALSE(history.since(2).at("complete").as_bool());
  EXPECT_TRUE(history.since(2 * 100).at("complete").as_bool());
  EXPECT_LT(boost::json::serialize(history.since(0)).size(), 60u * 1024);
}

TEST(History, FiguresThatAreNoneAreNull) {
  History history;
  history.add(point(1, 0s, HUGE_VAL));
  history.add(point(2, 1s, std::nan("")));
  const auto columns = *history.columns("10m");
  EXPECT_TRUE(column(columns, "measured_hps")[0].is_null());
  EXPECT_TRUE(column(columns, "measured_hps")[1].is_null());
}

TEST(History, LooksOfOneSecondAreOnePoint) {
  History history;
  history.add(point(1, 0s, 10));
  history.add(point(2, 0s, 20));
  const auto columns = *history.columns("10m");
  ASSERT_EQ(column(columns, "at").size(), 1u);
  EXPECT_DOUBLE_EQ(column(columns, "measured_hps")[0].to_number<double>(), 15);
  EXPECT_EQ(column(columns, "accepted")[0].to_number<int>(), 2);
  EXPECT_EQ(column(history.since(1), "at").size(), 1u);
}

TEST(History, TimesAscendAndNoShareIsLostWhenTheClockIsSetBack) {
  for (const auto back : {1s, 100s, 1000s}) {
    History history;
    std::uint64_t id = 0;
    for (int second = 0; second < 500; ++second) history.add(point(++id, std::chrono::seconds(second)));
    for (int second = 0; second < 3; ++second) history.add(point(++id, 499s - back + std::chrono::seconds(second)));
    for (const auto& span : History::kSpans) {
      const auto columns = *history.columns(span.name);
      const auto& at = column(columns, "at");
      std::uint64_t accepted = 0;
      for (std::size_t i = 0; i < at.size(); ++i) {
        accepted += column(columns, "accepted")[i].to_number<std::uint64_t>();
        if (i > 0) {
          EXPECT_LT(span.step_of(UnixTime{std::chrono::seconds(at[i - 1].to_number<std::int64_t>())}),
                    span.step_of(UnixTime{std::chrono::seconds(at[i].to_number<std::int64_t>())}));
        }
      }
      EXPECT_EQ(accepted, id) << span.name << " " << back.count();
    }
    EXPECT_EQ(history.columns("10m")->at("id").to_number<std::uint64_t>(), id);
  }
}

TEST(History, APointStandsForNoGap) {
  History history;
  std::uint64_t id = 0;
  for (std::int64_t minute = 5; minute < 7 * 24 * 60; ++minute) {
    // Two days without a point, at whose ends the rates differ.
    if (minute / (24 * 60) == 2 || minute / (24 * 60) == 3) continue;
    history.add(point(++id, std::chrono::minutes(minute), minute < 3 * 24 * 60 ? 1 : 9));
  }
  const auto columns = *history.columns("7d");
  EXPECT_LE(column(columns, "at").size(), History::kMaxAnswered);
  EXPECT_GT(column(columns, "at").size(), History::kMaxAnswered / 2);
  for (const auto& rate : column(columns, "measured_hps")) {
    EXPECT_TRUE(rate.to_number<double>() == 1 || rate.to_number<double>() == 9) << rate;
  }
}

TEST(History, KeepsTheNewestMarks) {
  History history;
  history.add(point(1, 0s));
  for (int i = 0; i < 300; ++i) history.add(Mark{.at = kBegin, .kind = "tip", .text = std::to_string(i)});
  EXPECT_EQ(history.marks().size(), History::kMaxMarks);
  EXPECT_EQ(history.marks().back().text, "299");
  EXPECT_EQ(column(*history.columns("10m"), "marks").size(), History::kMaxMarks);
  history.add(point(2, 1h));
  EXPECT_EQ(column(*history.columns("10m"), "marks").size(), 0u);
  EXPECT_EQ(column(*history.columns("6h"), "marks").size(), History::kMaxMarks);
}

/// What a process that is started at `now` has of `before`.
History restarted(const History& before, UnixTime now) {
  History after;
  after.restore(before.after({}), now);
  return after;
}

TEST(History, ARestartShowsThePast) {
  History before;
  for (std::uint64_t id = 1; id <= 5000; ++id) before.add(point(id, std::chrono::seconds(id), static_cast<double>(id)));
  before.add(Mark{.at = kBegin + 4999s, .kind = "block", .text = "block found"});
  const History after = restarted(before, kBegin + 5000s);
  for (const auto& span : History::kSpans) {
    auto expected = *before.columns(span.name);
    auto shown = *after.columns(span.name);
    // Numbers are of a process.
    expected["id"] = shown["id"] = 0;
    EXPECT_EQ(shown, expected) << span.name;
  }
}

TEST(History, NumbersOfPointsAreThoseOfThisProcessAlone) {
  History before;
  for (std::uint64_t id = 1; id <= 100; ++id) before.add(point(id, std::chrono::seconds(id)));
  History after = restarted(before, kBegin + 110s);
  EXPECT_EQ(after.columns("10m")->at("id"), 0);
  EXPECT_EQ(column(after.since(0), "at").size(), 0u);
  after.add(point(3, 111s));
  EXPECT_EQ(column(after.since(0), "at").size(), 1u);
  EXPECT_EQ(column(after.since(3), "at").size(), 0u);
  EXPECT_TRUE(after.since(0).at("complete").as_bool());
  EXPECT_EQ(column(*after.columns("10m"), "at").size(), 101u);
  // The minute in which both were is one point of both, and the gap between them is none.
  std::uint64_t accepted = 0;
  for (const auto& count : column(*after.columns("7d"), "accepted")) accepted += count.to_number<std::uint64_t>();
  EXPECT_EQ(accepted, 101u);
}

TEST(History, OfThePastTheFutureAndWhatIsTooOldAreLeftOut) {
  History before;
  before.add(Mark{.at = kBegin, .kind = "tip", .text = "old"});
  for (std::uint64_t id = 1; id <= 1000; ++id) before.add(point(id, std::chrono::seconds(id)));
  before.add(Mark{.at = kBegin + 1000s, .kind = "tip", .text = "new"});
  // The clock was set back by 300 s.
  History after = restarted(before, kBegin + 700s);
  EXPECT_EQ(column(*after.columns("10m"), "at").size(), 300u);
  EXPECT_EQ(after.marks().size(), 1u);
  after.add(point(1, 701s));
  const auto columns = *after.columns("10m");
  EXPECT_TRUE(std::ranges::is_sorted(column(columns, "at"), {}, [](const json::value& at) { return at.to_number<int>(); }));
  const History late = restarted(before, kBegin + 8 * 24h);
  for (const auto& span : History::kSpans) EXPECT_EQ(column(*late.columns(span.name), "at").size(), 0u);
  EXPECT_TRUE(late.marks().empty());
}

TEST(History, AfterAPositionComesWhatIsNewOrChanged) {
  History history;
  for (std::uint64_t id = 1; id <= 100; ++id) history.add(point(id, std::chrono::seconds(id)));
  history.add(Mark{.at = kBegin, .kind = "tip", .text = "1"});
  const History::Position position = history.after({}).until;
  EXPECT_TRUE(history.after(position).marks.empty());
  history.add(point(101, 101s));
  for (int i = 0; i < 300; ++i) history.add(Mark{.at = kBegin, .kind = "tip", .text = "2"});
  const History::Part part = history.after(position);
  for (const auto& points : part.points) EXPECT_EQ(points.size(), 1u);
  EXPECT_EQ(part.points.back().front().looks, 42u);
  EXPECT_EQ(part.marks.size(), History::kMaxMarks);
  EXPECT_TRUE(history.after(part.until).points.front().empty());
}

TEST(History, ThePastCanComeLate) {
  History before;
  for (std::uint64_t id = 1; id <= 200; ++id) before.add(point(id, std::chrono::seconds(id)));
  before.add(Mark{.at = kBegin + 60s, .kind = "tip", .text = "before"});
  History after;
  after.add(point(1, 150s));
  after.add(Mark{.at = kBegin + 150s, .kind = "tip", .text = "now"});
  after.restore(before.after({}), kBegin + 201s);
  EXPECT_EQ(column(*after.columns("10m"), "at").size(), 150u);
  ASSERT_EQ(after.marks().size(), 2u);
  EXPECT_EQ(after.marks().front().text, "before");
}

}  // namespace
}  // namespace adit::monitor
