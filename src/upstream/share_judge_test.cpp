#include "upstream/share_judge.h"

#include <gtest/gtest.h>

namespace adit::upstream {
namespace {

using namespace std::chrono_literals;

TEST(ShareJudge, ARejectionIsHeldOnlyIfNothingChangedWithinARoundTripOfIt) {
  ShareJudge judge({.least = 1, .window = 1h});
  Instant now(1h);
  judge.on_change(now);
  judge.on_rejected(now + 80ms, 100ms);  // It was on its way when the tip changed.
  EXPECT_FALSE(judge.at_fault(now + 1s));
  judge.on_rejected(now + 2s, 100ms);
  judge.on_change(now + 2s + 90ms);  // The cause was under way.
  EXPECT_FALSE(judge.at_fault(now + 3s));
  judge.on_rejected(now + 4s, 100ms);
  EXPECT_FALSE(judge.at_fault(now + 4s + 99ms));
  EXPECT_TRUE(judge.at_fault(now + 4s + 100ms));
  // A change that comes later than that excuses nothing.
  ShareJudge other({.least = 1, .window = 1h});
  other.on_rejected(now, 100ms);
  other.on_change(now + 200ms);
  EXPECT_TRUE(other.at_fault(now + 201ms));
}

TEST(ShareJudge, AFewRejectionsAmongManySharesAreNobodysFault) {
  ShareJudge judge;
  Instant now(1h);
  for (int i = 0; i < 1000; ++i) {
    now += 10ms;
    judge.on_accepted(2, now);
    judge.on_rejected(now, 1ms);
  }
  EXPECT_FALSE(judge.at_fault(now + 1s));
  now += 2min;
  for (int i = 0; i < 30; ++i) judge.on_rejected(now += 10ms, 1ms);
  EXPECT_TRUE(judge.at_fault(now + 1s)) << "nothing but rejections in this window";
  EXPECT_FALSE(judge.at_fault(now + 2min)) << "each window by itself";
}

TEST(ShareJudge, AFloodOfRejectionsTakesNoMemoryAndIsHeld) {
  ShareJudge judge;
  Instant now(1h);
  for (int i = 0; i < 100'000; ++i) judge.on_rejected(now, 10s);
  EXPECT_TRUE(judge.at_fault(now));
}

}  // namespace
}  // namespace adit::upstream
