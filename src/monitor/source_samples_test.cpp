#include "monitor/source_samples.h"

#include <optional>

#include <gtest/gtest.h>

namespace adit::monitor {
namespace {

templates::SourceStatus source(std::uint32_t height, std::uint64_t value_sat) {
  return {.template_at = Instant{}, .height = height, .nbits = 0x1d00ffff, .coinbase_value_sat = value_sat};
}

TEST(SourceSamples, FeesAreWhatTheRewardHasBesideTheSubsidyOfTheNetwork) {
  EXPECT_EQ(work_sample(source(209'999, 5'000'000'123), bitcoin::Network::kMainnet).fees_sat, 123u);
  EXPECT_EQ(work_sample(source(210'000, 2'500'000'000), bitcoin::Network::kSignet).fees_sat, 0u);
  EXPECT_EQ(work_sample(source(150, 2'500'000'007), bitcoin::Network::kRegtest).fees_sat, 7u);
  EXPECT_EQ(work_sample(source(150, 2'500'000'007), bitcoin::Network::kMainnet).fees_sat, std::nullopt)
      << "it is of another network";
}

TEST(SourceSamples, WithoutANetworkOrATemplateTheFeesAreNotKnown) {
  const WorkSample nowhere = work_sample(source(1, 5'000'000'000), std::nullopt);
  EXPECT_EQ(nowhere.reward_sat, 5'000'000'000u);
  EXPECT_EQ(nowhere.fees_sat, std::nullopt);
  const WorkSample nothing = work_sample({}, bitcoin::Network::kMainnet);
  EXPECT_EQ(nothing.reward_sat, std::nullopt);
  EXPECT_EQ(nothing.difficulty, 0);
}

TEST(SourceSamples, TheDifficultyIsThatOfTheTemplatesTarget) {
  EXPECT_EQ(work_sample(source(1, 0), std::nullopt).difficulty, 1);
  EXPECT_EQ(difficulty_of(0), 0);
  EXPECT_EQ(difficulty_of(0x1dff0000), 0) << "a negative target is none";
}

}  // namespace
}  // namespace adit::monitor
