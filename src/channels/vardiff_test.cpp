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

TEST(Vardiff, TheSmallerTheDeviationTheLongerItMustLast) {
  // 6 shares a minute are expected; a deviation of p % over t seconds is (1 + p/100) * t/10 shares.
  struct Case {
    int elapsed, shares;
    bool corrects;
  };
  for (const Case& c : {Case{60, 10, true},
                        {60, 9, false},  // 60 % from 60 s
                        {120, 19, true},
                        {110, 17, false},  // 50 % from 120 s
                        {180, 27, true},
                        {170, 25, false},  // 45 % from 180 s
                        {240, 32, true},
                        {230, 30, false},  // 30 % from 240 s
                        {300, 35, true},
                        {290, 34, false},  // 15 % from 300 s
                        {300, 33, false},
                        {300, 25, true},
                        {300, 27, false}}) {
    EXPECT_EQ(correction(c.elapsed, c.shares).has_value(), c.corrects) << c.elapsed << " s, " << c.shares << " shares";
  }
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

TEST(Vardiff, AFloodRaisesTheRateByFixedSteps) {
  EXPECT_DOUBLE_EQ(*correction(30, 5000), 10'000);
  EXPECT_DOUBLE_EQ(*correction(59, 5000), 5000);
  EXPECT_DOUBLE_EQ(*correction(60, 5000), 3000);
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
