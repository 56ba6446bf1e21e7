#include "channels/workers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace adit::channels {
namespace {

Bytes bytes_of(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

TEST(Workers, CountsByName) {
  WorkerAccounts workers(1000);
  std::map<std::string, std::uint64_t> model;
  std::mt19937 random(5);
  for (int i = 0; i < 20'000; ++i) {
    const std::string name = "rig-" + std::to_string(random() % 900);
    ++workers.of(bytes_of(name)).accepted;
    ++model[name];
  }
  ASSERT_EQ(workers.all().size(), model.size() + 1);
  for (const auto& account : workers.all()) {
    if (account.name_size != 0) EXPECT_EQ(account.accepted, model.at(std::string(account.name())));
  }
}

TEST(Workers, OnlyOfMakesAnAccountAndOnlyWithinItsBudget) {
  MemoryBudget budget(10 * sizeof(WorkerAccounts::Account));
  WorkerAccounts workers(1000, &budget);
  EXPECT_EQ(&workers.find(bytes_of("a")), &workers.all()[0]) << "nobody's: it is not there";
  EXPECT_EQ(workers.all().size(), 1u);
  auto& known = workers.of(bytes_of("a"));
  EXPECT_EQ(&workers.find(bytes_of("a")), &known);
  for (int i = 0; i < 100; ++i) workers.of(bytes_of("b" + std::to_string(i)));
  EXPECT_GT(workers.all().size(), 4u);
  EXPECT_LT(workers.all().size(), 11u);
  EXPECT_LE(budget.used(), 10 * sizeof(WorkerAccounts::Account));
  EXPECT_EQ(&workers.of(bytes_of("a")), &known) << "who is known stays known";
  EXPECT_EQ(workers.of(bytes_of("c")).name(), "") << "beyond it: counted together";
}

TEST(Workers, NamesBeyondTheBoundAreCountedTogether) {
  WorkerAccounts workers(2);
  ++workers.of(bytes_of("a")).accepted;
  ++workers.of(bytes_of("b")).accepted;
  for (int i = 0; i < 100; ++i) ++workers.of(bytes_of("c" + std::to_string(i))).accepted;
  ++workers.of(bytes_of("a")).accepted;
  ASSERT_EQ(workers.all().size(), 3u);
  EXPECT_EQ(workers.all()[0].accepted, 100u);
  EXPECT_EQ(workers.all()[0].name(), "");
  EXPECT_EQ(workers.all()[1].accepted, 2u);
}

TEST(MeasuredHashRate, FollowsWhatSharesProveAndForgetsWhoStops) {
  const Work one = Work::of(bitcoin::U256(0xffff) << 208);
  ASSERT_EQ(one.whole(), 1u);
  MeasuredHashRate rate;
  Instant now{};
  EXPECT_EQ(rate.hps(now), 0);
  const auto mine = [&](int minutes, int shares_per_minute) {
    for (int i = 0; i < minutes * shares_per_minute; ++i) {
      now += std::chrono::milliseconds(60'000 / shares_per_minute);
      rate.add(one, now);
    }
  };
  constexpr double kDifficulty1PerMinute = 4294967296.0 / 60;
  mine(5, 60);
  EXPECT_NEAR(rate.hps(now) / kDifficulty1PerMinute, 60, 1);
  mine(60, 6);
  EXPECT_NEAR(rate.hps(now) / kDifficulty1PerMinute, 6, 0.5);
  EXPECT_LT(rate.hps(now + std::chrono::hours(1)), kDifficulty1PerMinute / 10);
}

TEST(Workers, ANameIsOneTo32BytesOfUtf8WithoutControlCharacters) {
  for (const std::string_view good : {"a", "Worker_001", "12345678901234567890123456789012",
                                      "Gr\xc3\xbc\xc3\x9f"
                                      "e",
                                      "\xe0\xa0\x80", "\xed\x9f\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_worker_name(bytes_of(good))) << good;
  }
  for (const std::string_view bad :
       {"", "123456789012345678901234567890123", "a\n", "\x7f", "\xc2\x85", "\xc3", "\xc0\xaf", "\xff", "\xe0\x9f\x80",
        "\xed\xa0\x80", "\xf0\x8f\x80\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80", "\xe2\x28\xa1"}) {
    EXPECT_FALSE(is_worker_name(bytes_of(bad))) << bad;
    WorkerAccounts workers(10);
    ++workers.of(bytes_of(bad)).accepted;
    EXPECT_EQ(workers.all()[0].accepted, 1u) << "counted as nobody's";
  }
}

}  // namespace
}  // namespace adit::channels
