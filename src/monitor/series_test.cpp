#include "monitor/series.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace adit::monitor {
namespace {

using namespace std::chrono_literals;
using Candidate = SeriesBudget::Candidate;

std::set<std::string> chosen(SeriesBudget& budget, const std::vector<Candidate>& candidates, Instant now) {
  std::set<std::string> keys;
  const auto which = budget.choose(candidates, now);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (which[i]) keys.insert(candidates[i].key);
  }
  return keys;
}

TEST(SeriesBudget, HasRoomForAllWhereThereAreFew) {
  SeriesBudget budget({});
  EXPECT_EQ(chosen(budget, {{.key = "a", .weight = 1}, {.key = "b"}, {.key = "b"}}, Instant{}),
            (std::set<std::string>{"a", "b"}));
  EXPECT_TRUE(budget.remembers("a"));
  EXPECT_FALSE(budget.remembers("c"));
}

TEST(SeriesBudget, NamesThatComeAndGoForADayMakeNoMoreThanTheirAllowance) {
  const SeriesBudget::Limits limits{.at_once = 100, .new_per_hour = 50};
  SeriesBudget budget(limits);
  std::set<std::string> ever;
  Instant now{};
  std::uint64_t number = 0;
  for (int scrape = 0; scrape < 24 * 60 * 4; ++scrape, now += 15s) {
    std::vector<Candidate> candidates;
    // Each with some work, so that none is kept out for having none.
    for (int i = 0; i < 200; ++i) candidates.push_back({.key = std::to_string(++number), .group = number, .weight = 1});
    const auto now_chosen = chosen(budget, candidates, now);
    EXPECT_LE(now_chosen.size(), limits.at_once);
    ever.insert(now_chosen.begin(), now_chosen.end());
  }
  EXPECT_LE(ever.size(), limits.at_once + 24 * limits.new_per_hour + 1);
  EXPECT_GE(ever.size(), 24 * limits.new_per_hour);
}

TEST(SeriesBudget, OneThatComesBackWithinTheTimeRememberedIsNotNew) {
  SeriesBudget budget({.at_once = 1, .new_per_hour = 0, .remembered = 1h});
  Instant now{};
  const std::vector<Candidate> rig = {{.key = "rig", .weight = 1}};
  EXPECT_EQ(chosen(budget, rig, now).size(), 1u);
  chosen(budget, {}, now += 59min);
  EXPECT_EQ(chosen(budget, rig, now += 1min).size(), 1u);
  chosen(budget, {}, now += 61min);
  EXPECT_EQ(chosen(budget, rig, now).size(), 0u) << "and nothing new is allowed here";
}

TEST(SeriesBudget, WorkComesBeforeNamesAndEveryClientHasItsFirstBeforeAnotherHasItsSecond) {
  SeriesBudget budget({.at_once = 4, .new_per_hour = 1000});
  std::vector<Candidate> candidates;
  for (int i = 0; i < 50; ++i)
    candidates.push_back({.key = "idle" + std::to_string(i), .group = static_cast<std::uint64_t>(100 + i)});
  for (int i = 0; i < 50; ++i) candidates.push_back({.key = "farm" + std::to_string(i), .group = 1, .weight = 1000.0 + i});
  candidates.push_back({.key = "home", .group = 2, .weight = 1});
  candidates.push_back({.key = "rig", .group = 3, .weight = 2});
  EXPECT_EQ(chosen(budget, candidates, Instant{}), (std::set<std::string>{"farm49", "rig", "home", "farm48"}));
}

TEST(SeriesBudget, ThoseWithoutWorkLeaveHalfOfWhatIsNewToOthers) {
  SeriesBudget budget({.at_once = 100, .new_per_hour = 0});
  Instant now{};
  std::uint64_t number = 0;
  for (int i = 0; i < 100; ++i) {
    std::vector<Candidate> idle;
    for (int j = 0; j < 100; ++j) idle.push_back({.key = std::to_string(++number), .group = number});
    chosen(budget, idle, now += 1s);
  }
  std::vector<Candidate> miners;
  for (int j = 0; j < 50; ++j) miners.push_back({.key = "m" + std::to_string(j), .group = 1, .weight = 1});
  EXPECT_EQ(chosen(budget, miners, now).size(), 50u);
}

TEST(SeriesBudget, WhatIsShownStaysUnlessAnotherDidTwiceAsMuch) {
  SeriesBudget budget({.at_once = 1, .new_per_hour = 1000});
  Instant now{};
  EXPECT_EQ(chosen(budget, {{.key = "a", .group = 1, .weight = 10}, {.key = "b", .group = 2, .weight = 9}}, now),
            std::set<std::string>{"a"});
  EXPECT_EQ(chosen(budget, {{.key = "a", .group = 1, .weight = 10}, {.key = "b", .group = 2, .weight = 19}}, now += 1h),
            std::set<std::string>{"a"});
  EXPECT_EQ(chosen(budget, {{.key = "a", .group = 1, .weight = 10}, {.key = "b", .group = 2, .weight = 21}}, now += 1s),
            std::set<std::string>{"b"});
  EXPECT_EQ(chosen(budget, {{.key = "a", .group = 1, .weight = 22}, {.key = "b", .group = 2, .weight = 21}}, now += 1s),
            std::set<std::string>{"b"});
}

TEST(SeriesBudget, BytesOfOneScrapeAreBounded) {
  SeriesBudget budget({.at_once = 100, .bytes = 1000});
  std::vector<Candidate> candidates = {{.key = "huge", .weight = 9, .bytes = 1001}};
  for (int i = 0; i < 20; ++i) candidates.push_back({.key = std::to_string(i), .group = 1, .weight = 1, .bytes = 100});
  const auto keys = chosen(budget, candidates, Instant{});
  EXPECT_EQ(keys.size(), 10u);
  EXPECT_FALSE(keys.contains("huge"));
}

}  // namespace
}  // namespace adit::monitor
