#include "base/clock_agreement.h"

#include <gtest/gtest.h>

namespace adit {
namespace {

using namespace std::chrono_literals;

TEST(ClockAgreement, ADifferenceIsNewsWhenItBeginsAndWhenItIsOver) {
  ClockAgreement clock;
  EXPECT_FALSE(clock.note(0s));
  EXPECT_FALSE(clock.note(20s)) << "within the tolerance";
  EXPECT_TRUE(clock.note(-21s));
  EXPECT_TRUE(clock.differs());
  EXPECT_FALSE(clock.note(3h)) << "it was told";
  EXPECT_FALSE(clock.note(15s)) << "not to and fro at the bound";
  EXPECT_TRUE(clock.differs());
  EXPECT_TRUE(clock.note(10s));
  EXPECT_FALSE(clock.differs());
}

TEST(ClockAgreement, TheSentenceSaysWhoseClockAndByHowManySeconds) {
  EXPECT_EQ(describe_clock("10.0.0.1:3333", 90s),
            "the clock of 10.0.0.1:3333 is 90 s ahead of this machine's: set whichever is wrong");
  EXPECT_EQ(describe_clock("the node at x", -2h),
            "the clock of the node at x is 7200 s behind this machine's: set whichever is wrong");
}

}  // namespace
}  // namespace adit
