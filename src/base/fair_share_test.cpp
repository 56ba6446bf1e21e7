#include "base/fair_share.h"

#include <gtest/gtest.h>

#include <vector>

namespace adit {
namespace {

std::size_t share(std::vector<std::size_t> wanted, std::size_t room) { return fair_share(wanted, room); }

TEST(FairShare, IsAllThatAnybodyWantsWhereThereIsRoom) {
  EXPECT_EQ(share({}, 10), 0u);
  EXPECT_EQ(share({3, 7}, 10), 7u);
  EXPECT_EQ(share({3, 7}, 1000), 7u);
}

TEST(FairShare, WhoWantsMuchTakesNothingFromWhoWantsLittle) {
  EXPECT_EQ(share({4096, 2, 1}, 100), 97u);
  EXPECT_EQ(share({4096, 4096, 2}, 100), 49u);
}

TEST(FairShare, IsNothingWhereThereIsNotRoomForOneEach) { EXPECT_EQ(share({1, 1, 1}, 2), 0u); }

}  // namespace
}  // namespace adit
