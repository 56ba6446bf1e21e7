#include "roles/load/meter.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

namespace adit::load {
namespace {

using namespace std::chrono_literals;

TEST(Histogram, AQuantileIsTheDurationItselfUpToASixteenth) {
  for (const std::int64_t value :
       {0LL, 1LL, 15LL, 16LL, 17LL, 31LL, 32LL, 1'000LL, 123'456'789LL, 9'000'000'000'000'000'000LL}) {
    Histogram histogram;
    histogram.add(Duration(value));
    EXPECT_GE(histogram.quantile(0.5).count(), value);
    EXPECT_LE(histogram.quantile(0.5).count() - value, value / 16);
  }
}

TEST(Histogram, QuantilesAreCountedFromTheSmallest) {
  Histogram low;
  Histogram high;
  for (int i = 0; i < 98; ++i) low.add(1ms);
  high.add(10ms);
  high.add(100ms);
  low.add(high);
  EXPECT_EQ(low.count(), 100U);
  EXPECT_LT(low.quantile(0.5), 2ms);
  EXPECT_LT(low.quantile(0.98), 2ms);
  EXPECT_GE(low.quantile(0.99), 10ms);
  EXPECT_LT(low.quantile(0.99), 11ms);
  EXPECT_GE(low.quantile(1), 100ms);
}

TEST(Histogram, WithoutDurationsEveryQuantileIsZero) { EXPECT_EQ(Histogram().quantile(0.99), Duration::zero()); }

TEST(Meter, PartsAddUpAndTipsAreMatchedByTheirPreviousHash) {
  bitcoin::Hash256 first{};
  bitcoin::Hash256 second{};
  second[0] = 1;
  const Instant at{};
  Meter one;
  one.submitted = 3;
  one.on_rejected("stale-share");
  one.on_tip(first, {0, at + 5ms});
  one.on_tip(second, {0, at + 9ms});
  Meter other;
  other.submitted = 4;
  other.on_rejected("stale-share");
  other.on_rejected("duplicate-share");
  other.on_tip(second, {1, at + 8ms});
  other.on_tip(first, {1, at + 4ms});
  one.add(other);
  EXPECT_EQ(one.submitted, 7U);
  EXPECT_EQ(one.rejected.at("stale-share"), 2U);
  EXPECT_EQ(one.rejected.at("duplicate-share"), 1U);
  ASSERT_EQ(one.tips.size(), 2U);
  EXPECT_EQ(one.tips[0].heard, (std::vector<Tip::Hearing>{{0, at + 5ms}, {1, at + 4ms}}));
  EXPECT_EQ(one.tips[1].heard, (std::vector<Tip::Hearing>{{0, at + 9ms}, {1, at + 8ms}}));
}

TEST(ProcessMeter, AProcessThatWorksUsesTimeAndHasMemory) {
  const auto self = ProcessMeter::of(::getpid());
  ASSERT_TRUE(self);
  const auto before = self->cpu();
  ASSERT_TRUE(before);
  volatile std::uint64_t sum = 0;
  while (*self->cpu() - *before < 5ms) sum = sum + 1;
  EXPECT_GT(*self->resident(), 100'000U);
}

TEST(ProcessMeter, AProcessThatIsNotThereIsNamed) {
  const auto none = ProcessMeter::of(0x7ffffff0);
  ASSERT_FALSE(none);
  EXPECT_TRUE(none.error().is(Errc::kProcess));
  EXPECT_NE(none.error().message().find("2147483632"), std::string::npos);
}

}  // namespace
}  // namespace adit::load
