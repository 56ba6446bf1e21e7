#include "roles/pool/work_watch.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace adit::pool {
namespace {

using namespace std::chrono_literals;

constexpr Instant kBegin{1h};
constexpr StaleWorkPolicy kPolicy{.after = 300s, .spread = 60s};

TEST(WorkWatch, WorkIsStaleAfterTheTimeWithoutTemplatesAndToldOnce) {
  WorkWatch watch(kPolicy);
  EXPECT_FALSE(watch.look(kBegin + 1h).stale_since) << "nothing was lost";
  watch.lost(kBegin);
  watch.lost(kBegin + 200s);  // Another sentence about the same loss.
  EXPECT_FALSE(watch.look(kBegin + 299s).stale_since);
  const auto first = watch.look(kBegin + 301s);
  EXPECT_EQ(first.stale_since, kBegin + 300s);
  EXPECT_TRUE(first.just_now);
  EXPECT_FALSE(watch.look(kBegin + 301s).just_now) << "another shard";
  EXPECT_EQ(watch.back(kBegin + 400s), 400s);
  EXPECT_FALSE(watch.look(kBegin + 500s).stale_since);
  EXPECT_FALSE(watch.back(kBegin + 500s));
}

TEST(WorkWatch, AShortLossIsNotTold) {
  WorkWatch watch(kPolicy);
  watch.lost(kBegin);
  EXPECT_FALSE(watch.look(kBegin + 100s).stale_since);
  EXPECT_FALSE(watch.back(kBegin + 120s));
  watch.lost(kBegin + 200s);
  EXPECT_FALSE(watch.look(kBegin + 310s).stale_since) << "counted from the second loss";
  EXPECT_TRUE(watch.look(kBegin + 500s).just_now);
}

TEST(WorkWatch, WithoutATimeMinersAreNeverSentAway) {
  WorkWatch watch({.after = 0s});
  watch.lost(kBegin);
  EXPECT_FALSE(watch.look(kBegin + 1000h).stale_since);
}

TEST(WorkWatch, ChannelsAreClosedEvenlyAndAllOfThemInTheTime) {
  const WorkWatch watch(kPolicy);
  for (const std::size_t all : {1u, 7u, 60u, 10'000u}) {
    std::size_t open = all;
    std::size_t most = 0;
    for (Duration passed = 0s; passed < 60s; passed += 1s) {
      const std::size_t due = watch.to_close(open, kBegin, kBegin + passed, 1s);
      most = std::max(most, due);
      open -= std::min(open, due);
    }
    EXPECT_EQ(open, 0u) << all;
    EXPECT_LE(most, all / 60 + 1) << all;
  }
  EXPECT_EQ(watch.to_close(500, kBegin, kBegin + 2h, 1s), 500u) << "whoever is still there when the time is over";
  EXPECT_EQ(watch.to_close(0, kBegin, kBegin + 2h, 1s), 0u);
}

}  // namespace
}  // namespace adit::pool
