#include "channels/work.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace adit::channels {
namespace {

using bitcoin::U256;

const U256 kDifficultyOne = U256(0xffff) << 208;

TEST(Work, OfWholeDifficultiesIsThatDifficultyExactly) {
  EXPECT_EQ(Work::of(kDifficultyOne).whole(), 1u);
  EXPECT_EQ(Work::of(kDifficultyOne).difficulty(), 1.0);
  for (unsigned bits = 1; bits <= 63; ++bits) {
    EXPECT_EQ(Work::of(kDifficultyOne >> bits).whole(), std::uint64_t{1} << bits) << bits;
    EXPECT_EQ(Work::of(kDifficultyOne >> bits).difficulty(), std::ldexp(1.0, static_cast<int>(bits)));
  }
  EXPECT_EQ(Work::of(kDifficultyOne / U256(1000)).whole(), 1000u);
}

TEST(Work, AgreesWithTheDifficultyOfAnyTarget) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const U256 target = U256::from_limbs({random(), random(), random(), random()}) >> (random() % 90);
    const double difficulty = bitcoin::difficulty_from_target(target);
    EXPECT_NEAR(Work::of(target).difficulty(), std::min(difficulty, 0x1p64), std::ldexp(1.0, -48) + difficulty * 1e-14)
        << target.to_hex();
  }
}

TEST(Work, ShareOfASingleHashIsWorthSomething) {
  EXPECT_GT(Work::of(U256::max()), Work());
  EXPECT_NEAR(Work::of(U256::max()).difficulty(), std::ldexp(1.0, -32), std::ldexp(1.0, -47));
}

TEST(Work, SumsAreTheSameInAnyOrder) {
  std::mt19937_64 random(8);
  std::vector<Work> shares;
  for (int i = 0; i < 1000; ++i) shares.push_back(Work::of(U256::max() >> (random() % 90)));
  Work forwards;
  Work backwards;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    forwards += shares[i];
    backwards += shares[shares.size() - 1 - i];
  }
  EXPECT_EQ(forwards, backwards);
}

TEST(Work, SmallSharesAreNotLostBesideALargeSum) {
  const Work large = Work::of(kDifficultyOne >> 47);  // The network's difficulty of 2026.
  const Work small = Work::of(kDifficultyOne << 20);  // A millionth.
  Work sum;
  for (int i = 0; i < 1000; ++i) sum += large;
  for (int i = 0; i < 1 << 20; ++i) sum += small;
  EXPECT_EQ(sum.whole(), 1000 * (std::uint64_t{1} << 47) + 1);
}

TEST(Work, SaturatesInsteadOfWrapping) {
  const Work most = Work::of(U256(1));
  EXPECT_EQ(Work::of(U256()), most) << "target 0";
  Work sum;
  for (int i = 0; i < 70'000; ++i) sum += most;
  EXPECT_EQ(sum.whole(), ~std::uint64_t{0});
  const Work before = sum;
  sum += most;
  EXPECT_EQ(sum, before);
}

}  // namespace
}  // namespace adit::channels
