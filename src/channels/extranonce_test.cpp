#include "channels/extranonce.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace adit::channels {
namespace {

TEST(Extranonce, PrefixIsServerIdThenShardThenIndex) {
  ExtranonceAllocator allocator({.server_id = 0x0102, .shard = 0x0304, .first_index = 0x05060708});
  auto lease = allocator.allocate();
  ASSERT_TRUE(lease);
  EXPECT_THAT(lease->prefix(), ::testing::ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

TEST(Extranonce, TwoShardsOrServersNeverShareAPrefix) {
  std::set<ExtranoncePrefix> seen;
  std::vector<ExtranonceLease> leases;
  for (const std::uint16_t server : std::array<std::uint16_t, 2>{0, 1}) {
    for (const std::uint16_t shard : std::array<std::uint16_t, 6>{0, 1, 255, 256, 511, 65535}) {
      ExtranonceAllocator allocator({.server_id = server, .shard = shard, .first_index = 7, .capacity = 50});
      for (int i = 0; i < 50; ++i) {
        const auto lease = allocator.allocate();
        ASSERT_TRUE(lease);
        EXPECT_TRUE(seen.insert(lease->prefix()).second);
      }
    }
  }
}

// An attacker that opens channels for two minutes on one core used 2^24 up.
TEST(Extranonce, TheSpaceOfAShardGoesOnBeyondWhat24BitsHold) {
  ExtranonceAllocator allocator({.first_index = 0xffffffff});
  const auto first = allocator.allocate();
  ASSERT_TRUE(first);
  EXPECT_THAT(first->prefix(), ::testing::ElementsAre(0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff));
  ExtranoncePrefix last{};
  for (std::uint32_t i = 0; i <= 1u << 24; ++i) {
    const auto next = allocator.allocate();
    ASSERT_TRUE(next) << i;
    last = next->prefix();
  }
  EXPECT_THAT(last, ::testing::ElementsAre(0, 0, 0, 0, 1, 0, 0, 0)) << "the index wraps around and goes on";
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
    ExtranonceAllocator allocator({.first_index = 0xfffffff0, .capacity = capacity});
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

// Connections of two servers with two shards each open channels, close them, get other prefixes and come back, in random order
// and while tips come: no prefix is ever two channels' while a job is valid that either was given under it.
TEST(Extranonce, RandomOpensClosesNewPrefixesAndReconnectsOfAllShardsNeverOverlap) {
  std::mt19937 random(20261124);
  struct Shard {
    explicit Shard(const ExtranonceAllocator::Config& config) : allocator(config) {}
    ExtranonceAllocator allocator;
    std::vector<std::vector<ExtranonceLease>> connections{4};  ///< The channels of each.
    unsigned tip = 0;
  };
  std::vector<std::unique_ptr<Shard>> shards;
  for (const std::uint16_t server : std::array<std::uint16_t, 2>{7, 8}) {
    for (const std::uint16_t number : std::array<std::uint16_t, 2>{0, 256}) {
      shards.push_back(std::make_unique<Shard>(ExtranonceAllocator::Config{
          .server_id = server, .shard = number, .first_index = static_cast<std::uint32_t>(random()), .capacity = 24}));
    }
  }
  // For each prefix: since when nobody holds it, counted in its shard's tips; nullopt: somebody does.
  std::map<ExtranoncePrefix, std::optional<unsigned>> free_since;
  std::size_t exhausted = 0;
  std::size_t again = 0;
  const auto take = [&](Shard& shard) -> std::optional<ExtranonceLease> {
    auto lease = shard.allocator.allocate();
    if (!lease) {
      EXPECT_TRUE(lease.error().is(Errc::kExtranonceExhausted));
      ++exhausted;
      return std::nullopt;
    }
    const auto [entry, is_new] = free_since.try_emplace(lease->prefix(), std::nullopt);
    if (!is_new) {
      // Jobs given under it before ended with the tip on which it was given back.
      EXPECT_TRUE(entry->second.has_value() && shard.tip > *entry->second);
      entry->second.reset();
      ++again;
    }
    return std::move(*lease);
  };
  const auto give_back = [&](Shard& shard, ExtranonceLease lease) { free_since[lease.prefix()] = shard.tip; };
  for (int step = 0; step < 40'000; ++step) {
    Shard& shard = *shards[random() % shards.size()];
    auto& channels = shard.connections[random() % shard.connections.size()];
    switch (random() % 10) {
      case 0:
        shard.allocator.on_new_tip();
        ++shard.tip;
        break;
      case 1:  // The connection is lost.
        while (!channels.empty()) {
          give_back(shard, std::move(channels.back()));
          channels.pop_back();
        }
        break;
      case 2:
      case 3:
        if (channels.empty()) break;
        give_back(shard, std::move(channels.back()));
        channels.pop_back();
        break;
      case 4:
      case 5: {
        if (channels.empty()) break;
        auto lease = take(shard);
        if (!lease) break;
        give_back(shard, std::exchange(channels[random() % channels.size()], std::move(*lease)));
        break;
      }
      default:
        if (auto lease = take(shard)) channels.push_back(std::move(*lease));
    }
  }
  EXPECT_GT(exhausted, 100u) << "the steps must reach the end of the space";
  EXPECT_GT(again, 1000u) << "and use it again";
}

}  // namespace
}  // namespace adit::channels
