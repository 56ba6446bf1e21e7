#include "channels/vardiff.h"

#include <gtest/gtest.h>

#include <cmath>

namespace adit::channels {
namespace {

using bitcoin::target_from_hash_rate;
using std::chrono::seconds;

constexpr double kSharesPerMinute = 6;
constexpr Instant kStart{};

/// The correction after `elapsed`, given `shares` by then, for an assumed 1000 H/s.
std::optional<double> correction(int elapsed, int shares, double assumed = 1000, double min = 1) {
  Vardiff vardiff(kStart);
  for (int i = 0; i < shares; ++i) vardiff.on_share();
  return vardiff.update(kStart + seconds(elapsed), assumed, target_from_hash_rate(assumed, kSharesPerMinute), min);
}

TEST(Vardiff, NeverWithin15Seconds) {
  EXPECT_FALSE(correction(15, 0));
  EXPECT_FALSE(correction(15, 1000));
  EXPECT_TRUE(correction(16, 0));
}

TEST(Vardiff, TheSmallerTheDeviationTheLongerItMustLast) {
  // 6 shares a minute are expected; a deviation of p % over t seconds is (1 + p/100) * t/10 shares.
  struct Case {
    int elapsed, shares;
    bool corrects;
  };
  for (const Case& c : {Case{20, 4, true},
                        {20, 3, false},  // 100 % at once
                        {60, 10, true},
                        {50, 8, false},  // 60 % from 60 s
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

TEST(Vardiff, SilenceLowersTheRateByFixedSteps) {
  EXPECT_DOUBLE_EQ(*correction(30, 0), 1000 / 1.5);
  EXPECT_DOUBLE_EQ(*correction(59, 0), 500);
  EXPECT_DOUBLE_EQ(*correction(60, 0), 1000.0 / 3);
}

TEST(Vardiff, AFloodRaisesTheRateByFixedSteps) {
  EXPECT_DOUBLE_EQ(*correction(30, 5000), 10'000);
  EXPECT_DOUBLE_EQ(*correction(59, 5000), 5000);
  EXPECT_DOUBLE_EQ(*correction(60, 5000), 3000);
}

TEST(Vardiff, NeverBelowTheLeastRateAndSoundForAnyAssumedOne) {
  EXPECT_DOUBLE_EQ(*correction(60, 0, 10, 9), 9);
  Vardiff vardiff(kStart);
  const auto corrected = vardiff.update(kStart + seconds(60), std::nan(""), target_from_hash_rate(1, 6), 1);
  ASSERT_TRUE(corrected);
  EXPECT_DOUBLE_EQ(*corrected, 1);
}

TEST(Vardiff, SteadyMinersEndNearTheWantedShareRate) {
  for (const double real : {50.0, 5e6, 2e9}) {
    double assumed = 1e4;
    auto target = target_from_hash_rate(assumed, kSharesPerMinute);
    Vardiff vardiff(kStart);
    double owed = 0;
    for (int second = 1; second <= 3600; ++second) {
      owed += real / bitcoin::expected_hashes(target);
      for (; owed >= 1; owed -= 1) vardiff.on_share();
      if (const auto corrected = vardiff.update(kStart + seconds(second), assumed, target, 1)) {
        assumed = *corrected;
        target = target_from_hash_rate(assumed, kSharesPerMinute);
        owed = 0;
      }
    }
    EXPECT_NEAR(assumed / real, 1, 0.16) << real;
  }
}

}  // namespace
}  // namespace adit::channels
