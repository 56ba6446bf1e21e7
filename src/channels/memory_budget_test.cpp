#include "channels/memory_budget.h"

#include <gtest/gtest.h>

#include <optional>

namespace adit::channels {
namespace {

TEST(MemoryBudget, ASourceHasRoomWithinItsOwnLimitAndTheShards) {
  MemoryBudget shard(1000);
  MemoryBudget first(600, &shard);
  MemoryBudget second(600, &shard);
  MemoryBudget::Held held(&first);
  held.set(600);
  EXPECT_FALSE(held.may_add(1)) << "its own limit";
  MemoryBudget::Held other(&second);
  EXPECT_TRUE(other.may_add(400));
  EXPECT_FALSE(other.may_add(401)) << "the shard's";
  held.set(100);
  EXPECT_TRUE(other.may_add(600));
  EXPECT_EQ(shard.used(), 100u);
}

TEST(MemoryBudget, AFullShardLeavesEachSourceWhatItMayAlwaysHave) {
  MemoryBudget shard(1000);
  MemoryBudget hog(5000, &shard, 50);
  MemoryBudget newcomer(5000, &shard, 50);
  MemoryBudget::Held all(&hog);
  all.set(1000);
  MemoryBudget::Held held(&newcomer);
  EXPECT_TRUE(held.may_add(50));
  EXPECT_FALSE(held.may_add(51));
  held.set(50);
  EXPECT_EQ(held.crowding(), 0u) << "and its shares are not made rarer for it";
  EXPECT_EQ(all.crowding(), MemoryBudget::kMaxCrowding);
}

TEST(MemoryBudget, EachHalvingOfWhatIsFreeIsOneStep) {
  MemoryBudget budget(1024);
  MemoryBudget::Held held(&budget);
  for (const auto& [bytes, steps] : {std::pair{0u, 0u}, {512u, 0u}, {513u, 1u}, {768u, 1u}, {769u, 2u}, {897u, 3u}}) {
    held.set(bytes);
    EXPECT_EQ(held.crowding(), steps) << bytes;
  }
  held.set(5000);
  EXPECT_EQ(held.crowding(), MemoryBudget::kMaxCrowding);
}

TEST(MemoryBudget, WhatDiesOrMovesIsCountedOnce) {
  MemoryBudget budget(1000);
  {
    std::optional<MemoryBudget::Held> first(std::in_place, &budget);
    first->set(300);
    MemoryBudget::Held second(std::move(*first));
    first.reset();
    EXPECT_EQ(budget.used(), 300u);
    MemoryBudget::Held third(&budget);
    third.set(40);
    third = std::move(second);
    EXPECT_EQ(third.bytes(), 300u);
    EXPECT_EQ(budget.used(), 340u) << "until the other one dies";
  }
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace adit::channels
