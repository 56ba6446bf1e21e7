#include "template/constraint_classes.h"

#include <gtest/gtest.h>

#include "session/error.h"
#include "template/sv2_template.h"

namespace adit::templates {
namespace {

TEST(ConstraintClasses, ClientsWithinTheLeastRoomAreOneClassThatIsAlwaysThere) {
  ConstraintClasses classes({});
  for (const std::uint32_t size : {0u, 34u, 208u}) {
    const auto joined = classes.join({size, 4});
    ASSERT_TRUE(joined);
    EXPECT_EQ(joined->id, 0u);
    EXPECT_FALSE(joined->is_new);
    EXPECT_EQ(reserved_weight(joined->constraints), 2000u);
  }
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(classes.leave(0));
  EXPECT_EQ(classes.join({1, 1})->id, 0u);
}

TEST(ConstraintClasses, EqualConstraintsAreOneClassUntilItsLastClientLeaves) {
  ConstraintClasses classes({});
  const auto first = classes.join({1000, 100});
  const auto second = classes.join({1000, 3});
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(first->is_new);
  EXPECT_FALSE(second->is_new);
  EXPECT_EQ(first->id, second->id);
  EXPECT_EQ(first->constraints, (CoinbaseConstraints{1000, 100}));
  EXPECT_FALSE(classes.leave(first->id));
  EXPECT_TRUE(classes.leave(first->id));
  EXPECT_FALSE(classes.leave(first->id));
  const auto later = classes.join({1000, 100});
  EXPECT_TRUE(later->is_new);
  EXPECT_NE(later->id, first->id);  // A number is not used twice.
}

TEST(ConstraintClasses, WithoutRoomForAnotherClassTheSmallestThatIsLargeEnoughIsJoined) {
  ConstraintClasses classes({.max_classes = 3});
  const auto large = classes.join({50'000, 100});
  const auto middle = classes.join({2'000, 100});
  ASSERT_TRUE(large->is_new && middle->is_new);
  const auto small = classes.join({1'000, 1});
  EXPECT_EQ(small->id, middle->id);
  EXPECT_FALSE(small->is_new);
  const auto beyond = classes.join({60'000, 1});
  ASSERT_FALSE(beyond);
  EXPECT_TRUE(beyond.error().is(session::Errc::kOverloaded));
  EXPECT_EQ(classes.size(), 3u);
}

TEST(ConstraintClasses, ACoinbaseThatNoBlockHasRoomForIsRefused) {
  ConstraintClasses classes({});
  EXPECT_TRUE(classes.join({999'708, 20'000}));  // 1168 + 4 x 999,708 = 4,000,000.
  for (const CoinbaseConstraints asked : {CoinbaseConstraints{999'709, 0}, {0xffffffff, 0}, {0, 20'001}}) {
    const auto refused = classes.join(asked);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().is(session::Errc::kRefused)) << refused.error().message();
  }
}

}  // namespace
}  // namespace adit::templates
