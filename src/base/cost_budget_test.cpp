#include "base/cost_budget.h"

#include <gtest/gtest.h>

namespace adit {
namespace {

using std::chrono::seconds;

constexpr Instant kStart{std::chrono::hours(1)};
constexpr CostAllowance kTwenty{.amount = 20, .period = seconds(10)};

TEST(CostBudget, WhatIsSpentComesBackWithinItsPeriodAndNoMoreOfIt) {
  CostBudget budget(kTwenty, kStart);
  for (int i = 0; i < 19; ++i) EXPECT_TRUE(budget.charge(1, kStart)) << i;
  EXPECT_FALSE(budget.charge(1, kStart));
  EXPECT_FALSE(budget.has_left(kStart));
  EXPECT_TRUE(budget.has_left(kStart + seconds(1)));
  EXPECT_FALSE(budget.owes_nothing(kStart + seconds(9)));
  EXPECT_TRUE(budget.owes_nothing(kStart + seconds(10)));
  int spent = 0;
  while (budget.charge(1, kStart + seconds(1000))) ++spent;
  EXPECT_EQ(spent, 19) << "time alone saves nothing up";
}

TEST(CostBudget, WhatIsEarnedIsSavedUpToTenAllowances) {
  CostBudget budget(kTwenty, kStart);
  for (int i = 0; i < 1000; ++i) budget.earn(10);
  int spent = 0;
  while (budget.charge(1, kStart)) ++spent;
  EXPECT_EQ(spent, 199);
}

TEST(CostBudget, WhatIsOwedIsForgivenWithinAPeriod) {
  CostBudget budget(kTwenty, kStart);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(budget.charge(100, kStart));
  EXPECT_FALSE(budget.has_left(kStart + seconds(10)));
  EXPECT_TRUE(budget.has_left(kStart + seconds(11)));
}

}  // namespace
}  // namespace adit
