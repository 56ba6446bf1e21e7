#include "channels/seen_shares.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_set>

namespace adit::channels {
namespace {

using Outcome = SeenShares::Outcome;

TEST(SeenShares, RemembersExactlyWhatItWasGiven) {
  std::mt19937_64 random(1);
  SeenShares seen;
  std::unordered_set<std::uint64_t> model;
  for (int i = 0; i < 50'000; ++i) {
    const std::uint64_t digest = random() % 30'000;  // Many repetitions, and 0.
    ASSERT_EQ(seen.insert(digest), model.insert(digest).second ? Outcome::kNew : Outcome::kSeen);
  }
}

TEST(SeenShares, ClearForgetsAll) {
  SeenShares seen;
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_EQ(seen.insert(i), Outcome::kNew);
  seen.clear();
  EXPECT_EQ(seen.size(), 0u);
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_EQ(seen.insert(i), Outcome::kNew);
}

TEST(SeenShares, AtItsBoundItStillKnowsWhatItSawAndHasRoomForBlocks) {
  SeenShares seen;
  for (std::uint64_t i = 1; i <= SeenShares::kMaxSize; ++i) ASSERT_EQ(seen.insert(i * 0x9e3779b97f4a7c15), Outcome::kNew);
  EXPECT_EQ(seen.insert(5), Outcome::kFull);
  EXPECT_EQ(seen.insert(7 * 0x9e3779b97f4a7c15), Outcome::kSeen);
  EXPECT_EQ(seen.insert(5, /*block=*/true), Outcome::kNew);
  EXPECT_EQ(seen.insert(5, /*block=*/true), Outcome::kSeen);
}

TEST(SeenShares, ATableThatMayNotGrowIsFilledAndForgetsNothing) {
  SeenShares seen;
  std::uint64_t last = 1;
  while (seen.insert(last, false, SeenShares::kMaxSize, last < 100) != Outcome::kFull) ASSERT_LT(++last, 1000u);
  EXPECT_EQ(seen.size(), seen.capacity());
  EXPECT_EQ(seen.insert(1, false, SeenShares::kMaxSize, false), Outcome::kSeen);
  const std::size_t bytes = seen.bytes();
  EXPECT_EQ(seen.insert(last, /*block=*/true, SeenShares::kMaxSize, false), Outcome::kNew) << "there is room for blocks";
  for (std::uint64_t block = last + 1; seen.insert(block, true, SeenShares::kMaxSize, false) == Outcome::kNew;) ++block;
  EXPECT_EQ(seen.bytes(), bytes);
  EXPECT_LT(seen.size(), bytes / 8) << "a free slot ends each search";
  EXPECT_EQ(seen.insert(1u << 20), Outcome::kNew) << "it grows again once it may";
  seen.clear(/*release=*/true);
  EXPECT_EQ(seen.bytes(), 0u);
}

}  // namespace
}  // namespace adit::channels
