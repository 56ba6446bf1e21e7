#include "channels/vardiff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bitcoin/u256.h"

namespace adit::channels {
namespace {

using std::chrono::seconds;

constexpr double kSharesPerMinute = 6;
constexpr Instant kStart{};

double difficulty_for(double hash_rate) {
  return bitcoin::difficulty_from_target(bitcoin::target_from_hash_rate(hash_rate, kSharesPerMinute));
}

/// The correction after `elapsed`, given `shares` by then, for an assumed 1000 H/s.
std::optional<double> correction(int elapsed, int shares, double assumed = 1000, double min = 1) {
  Vardiff vardiff(kStart);
  for (int i = 0; i < shares; ++i) vardiff.on_share(difficulty_for(assumed));
  return vardiff.update(kStart + seconds(elapsed), assumed, min);
}

TEST(Vardiff, NeverWithin15Seconds) {
  EXPECT_FALSE(correction(15, 0));
  EXPECT_FALSE(correction(15, 1000));
  EXPECT_TRUE(correction(16, 1000));
}

TEST(Vardiff, FewSharesAreJudgedOnceAMinute) {
  EXPECT_FALSE(correction(59, 0));
  EXPECT_TRUE(correction(60, 0));
  EXPECT_FALSE(correction(20, Vardiff::kEnoughShares - 1));
  EXPECT_TRUE(correction(20, Vardiff::kEnoughShares));
  // A deviation that comes and goes between two looks is chance.
  Vardiff vardiff(kStart);
  for (int second = 1; second < 60; ++second) EXPECT_FALSE(vardiff.update(kStart + seconds(second), 1000, 1)) << second;
  for (int i = 0; i < 6; ++i) vardiff.on_share(difficulty_for(1000));
  EXPECT_FALSE(vardiff.update(kStart + seconds(60), 1000, 1));
  EXPECT_FALSE(vardiff.update(kStart + seconds(119), 1000, 1)) << "looked at a minute ago, less one second";
}

TEST(Vardiff, ADeviationCountsOnceItIsMoreThanChance) {
  // 6 shares a minute are expected, give or take the root of their number.
  struct Case {
    int elapsed, shares;
    bool corrects;
  };
  for (const Case& c : {Case{60, 9, true},
                        {60, 8, false},
                        {60, 3, true},
                        {60, 4, false},
                        {120, 16, true},
                        {120, 15, false},
                        {300, 36, true},
                        {300, 35, false},
                        {300, 24, true},
                        {300, 25, false},
                        {1200, 139, true},  // Never for less than 15 %.
                        {1200, 137, false}}) {
    EXPECT_EQ(correction(c.elapsed, c.shares).has_value(), c.corrects) << c.elapsed << " s, " << c.shares << " shares";
  }
}

/// A miner that is looked at each minute, at an assumed rate that is corrected.
struct Minutes {
  /// `shares` of the difficulty that is wanted come within the next minute.
  bool pass(int shares) {
    for (int i = 0; i < shares; ++i) vardiff.on_share(difficulty_for(assumed));
    now += seconds(60);
    const auto corrected = vardiff.update(now, assumed, 1);
    if (corrected) assumed = *corrected;
    return corrected.has_value();
  }
  Vardiff vardiff{kStart};
  Instant now = kStart;
  double assumed = 1000;
};

TEST(Vardiff, WhatIsKnownOfAMinerGrowsOverItsCorrections) {
  Minutes miner;
  EXPECT_TRUE(miner.pass(9));
  EXPECT_NEAR(miner.assumed, 1500, 5);
  // 1 in 3 fewer, and then as expected: taken together it is less than 15 % off.
  EXPECT_FALSE(miner.pass(4));
  EXPECT_FALSE(miner.pass(6));
  // By itself half of what was expected would be a surprise, beside an hour as expected it is none.
  for (int minute = 0; minute < 60; ++minute) EXPECT_FALSE(miner.pass(6));
  EXPECT_FALSE(miner.pass(3));
  EXPECT_FALSE(miner.pass(9));
}

TEST(Vardiff, AMinerThatChangesIsFoundByItsRecentSharesHoweverLongItWasTheSame) {
  for (const int change : {-1, 1}) {
    Minutes miner;
    for (int minute = 0; minute < 600; ++minute) EXPECT_FALSE(miner.pass(6));
    int minutes = 1;
    while (!miner.pass(change < 0 ? 1 : 24)) ++minutes;
    EXPECT_LE(minutes, change < 0 ? 4 : 1);
    // What came before is forgotten: a second look is not drawn back by it.
    const double first = miner.assumed;
    for (int minute = 0; minute < 5; ++minute) miner.pass(change < 0 ? 2 : 12);
    if (change < 0) {
      EXPECT_LT(miner.assumed, first);
    } else {
      EXPECT_GT(miner.assumed, first);
    }
  }
}

TEST(Vardiff, AMinuteOfSilenceOfAMinerThatWorksIsChanceAndTwoAreNot) {
  Minutes miner;
  for (int minute = 0; minute < 60; ++minute) EXPECT_FALSE(miner.pass(6));
  EXPECT_FALSE(miner.pass(0));
  EXPECT_TRUE(miner.pass(0));
  EXPECT_NEAR(miner.assumed, 1000.0 / 3, 1);
}

TEST(Vardiff, ASlowChangeIsFoundThoughNoMinuteIsASurprise) {
  Minutes miner;
  for (int minute = 0; minute < 24 * 60; ++minute) EXPECT_FALSE(miner.pass(6));
  int minutes = 1;
  while (!miner.pass(8)) ++minutes;
  EXPECT_LE(minutes, 45) << "half of what is remembered";
}

TEST(Vardiff, CorrectsToTheMeasuredRate) {
  const auto corrected = correction(60, 18);
  ASSERT_TRUE(corrected);
  EXPECT_NEAR(*corrected, 3000, 10);
}

TEST(Vardiff, SilenceLowersTheRateToAThird) {
  EXPECT_DOUBLE_EQ(*correction(60, 0), 1000.0 / 3);
  EXPECT_DOUBLE_EQ(*correction(200, 0), 1000.0 / 3);
}

TEST(Vardiff, AFewGreatSharesRaiseTheRateByFixedSteps) {
  const auto great = [](int elapsed, unsigned rarer = 0) {
    Vardiff vardiff(kStart);
    for (int i = 0; i < 10; ++i) vardiff.on_share(difficulty_for(1000) * 100);
    return vardiff.update(kStart + seconds(elapsed), 1000, 1, rarer);
  };
  EXPECT_DOUBLE_EQ(*great(60), 3000);
  EXPECT_FALSE(great(60, 1)) << "too early where few shares are wanted";
}

TEST(Vardiff, EnoughSharesAreBelievedHoweverFarOffTheyAre) {
  EXPECT_NEAR(*correction(30, 5000), 1000 * 5000 / 3.0, 10'000);
  EXPECT_NEAR(*correction(60, 5000), 1000 * 5000 / 6.0, 5'000);
}

// A NerdMiner, a USB stick, a Bitaxe and an S21 that all begin with the difficulty of the weakest. Firmware sends no more
// shares than so many, however easy they are.
TEST(Vardiff, TheFirstSharesTellTheRateOfAnyMiner) {
  constexpr double kMostSharesPerSecond = 50;
  for (const double real : {5e4, 1e9, 1.2e12, 2e14}) {
    double assumed = 1e4;
    double owed = 0;
    int first = 0;
    Vardiff vardiff(kStart);
    for (int second = 1; second <= 120; ++second) {
      const double difficulty = difficulty_for(assumed);
      owed += std::min(real / (difficulty * 4295032833.0), kMostSharesPerSecond);
      const double shares = std::floor(owed);
      owed -= shares;
      if (shares > 0 && first == 0) first = second;
      for (int i = 0; i < static_cast<int>(shares); ++i) vardiff.on_share(difficulty);
      if (const auto corrected = vardiff.update(kStart + seconds(second), assumed, 1)) assumed = *corrected;
    }
    EXPECT_LE(first, 5) << real;
    EXPECT_NEAR(assumed / real, 1, 0.3) << real;
  }
}

TEST(Vardiff, NeverBelowTheLeastRateAndSoundForAnyAssumedOne) {
  EXPECT_DOUBLE_EQ(*correction(60, 0, 10, 9), 9);
  Vardiff vardiff(kStart);
  const auto corrected = vardiff.update(kStart + seconds(60), std::nan(""), 1);
  ASSERT_TRUE(corrected);
  EXPECT_DOUBLE_EQ(*corrected, 1);
}

// A new target is only for jobs to come: with jobs this far apart, shares on the old one go on coming for as long.
TEST(Vardiff, SteadyMinersEndNearTheWantedShareRateHoweverRareJobsAre) {
  for (const double real : {50.0, 5e6, 2e9}) {
    for (const int job_interval : {1, 30, 120}) {
      double assumed = 1e4;
      double difficulty = difficulty_for(assumed);
      double highest = 0;
      Vardiff vardiff(kStart);
      double owed = 0;
      for (int second = 1; second <= 2 * 3600; ++second) {
        if (second % job_interval == 0) difficulty = difficulty_for(assumed);
        owed += real / (difficulty * 4295032833.0);
        const double shares = std::floor(owed);
        owed -= shares;
        if (shares > 0) vardiff.on_share(shares * difficulty);
        if (const auto corrected = vardiff.update(kStart + seconds(second), assumed, 1)) assumed = *corrected;
        highest = std::max(highest, assumed);
      }
      EXPECT_NEAR(assumed / real, 1, 0.2) << real << ", a job every " << job_interval << " s";
      EXPECT_LE(highest, std::max(1e4, real) * 1.5) << real << ", a job every " << job_interval << " s";
    }
  }
}

}  // namespace
}  // namespace adit::channels
