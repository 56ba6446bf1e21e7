#include "channels/extranonce.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace adit::channels {
namespace {

TEST(Extranonce, PrefixIsServerIdThenShardThenIndex) {
  ExtranonceAllocator allocator({.server_id = 0x0102, .shard = 3, .first_index = 0x040506});
  auto lease = allocator.allocate();
  ASSERT_TRUE(lease);
  EXPECT_THAT(lease->prefix(), ::testing::ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(Extranonce, TwoShardsOrServersNeverShareAPrefix) {
  std::set<ExtranoncePrefix> seen;
  std::vector<ExtranonceLease> leases;
  for (const std::uint16_t server : std::array<std::uint16_t, 2>{0, 1}) {
    for (const std::uint8_t shard : std::array<std::uint8_t, 3>{0, 1, 255}) {
      ExtranonceAllocator allocator({.server_id = server, .shard = shard, .first_index = 7, .capacity = 50});
      for (int i = 0; i < 50; ++i) {
        const auto lease = allocator.allocate();
        ASSERT_TRUE(lease);
        EXPECT_TRUE(seen.insert(lease->prefix()).second);
      }
    }
  }
}

TEST(Extranonce, AFreedPrefixRestsUntilTheTipMovedTwice) {
  ExtranonceAllocator allocator({.capacity = 1});
  ExtranoncePrefix first{};
  {
    const auto lease = allocator.allocate();
    ASSERT_TRUE(lease);
    first = lease->prefix();
  }
  EXPECT_EQ(allocator.live(), 0u);
  EXPECT_FALSE(allocator.allocate());
  allocator.on_new_tip();
  EXPECT_FALSE(allocator.allocate());
  allocator.on_new_tip();
  const auto again = allocator.allocate();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->prefix(), first);
}

TEST(Extranonce, ExhaustionIsAnErrorThatSaysSo) {
  ExtranonceAllocator allocator({.shard = 2, .capacity = 2});
  const auto one = allocator.allocate();
  const auto two = allocator.allocate();
  const auto three = allocator.allocate();
  ASSERT_TRUE(one && two);
  ASSERT_FALSE(three);
  EXPECT_TRUE(three.error().is(Errc::kExtranonceExhausted));
  EXPECT_THAT(three.error().message(), ::testing::HasSubstr("all 2 extranonce prefixes of shard 2"));
}

TEST(Extranonce, AMovedLeaseGivesItsPrefixBackOnce) {
  ExtranonceAllocator allocator({.capacity = 4});
  {
    auto first = allocator.allocate();
    auto second = allocator.allocate();
    ASSERT_TRUE(first && second);
    ExtranonceLease taken = std::move(*first);
    taken = std::move(*second);
    EXPECT_EQ(allocator.live(), 2u);
  }
  EXPECT_EQ(allocator.live(), 0u);
}

// Against a slow model: thousands of random opens, closes and tips never hand out a prefix that is live or still resting.
TEST(Extranonce, RandomOpensClosesAndTipsNeverOverlap) {
  std::mt19937 random(20261122);
  for (const std::uint32_t capacity : {3u, 40u, 1000u}) {
    ExtranonceAllocator allocator({.first_index = 0xfffff0, .capacity = capacity});
    std::vector<ExtranonceLease> live;
    std::set<ExtranoncePrefix> live_prefixes;
    std::map<ExtranoncePrefix, unsigned> freed_at_tip;
    unsigned tip = 0;
    for (int step = 0; step < 20'000; ++step) {
      switch (random() % 8) {
        case 0:
          allocator.on_new_tip();
          ++tip;
          break;
        case 1:
        case 2:
        case 3: {
          if (live.empty()) break;
          const std::size_t at = random() % live.size();
          std::swap(live[at], live.back());
          live_prefixes.erase(live.back().prefix());
          freed_at_tip[live.back().prefix()] = tip;
          live.pop_back();
          break;
        }
        default: {
          auto lease = allocator.allocate();
          if (!lease) {
            // Exhausted only if every prefix is live or resting.
            std::size_t resting = 0;
            for (const auto& [prefix, at] : freed_at_tip) resting += tip - at < 2 ? 1 : 0;
            ASSERT_EQ(live.size() + resting, capacity);
            break;
          }
          ASSERT_TRUE(live_prefixes.insert(lease->prefix()).second);
          if (const auto freed = freed_at_tip.find(lease->prefix()); freed != freed_at_tip.end()) {
            ASSERT_GE(tip - freed->second, 2u);
            freed_at_tip.erase(freed);
          }
          live.push_back(std::move(*lease));
        }
      }
      ASSERT_EQ(allocator.live(), live.size());
    }
  }
}

}  // namespace
}  // namespace adit::channels
