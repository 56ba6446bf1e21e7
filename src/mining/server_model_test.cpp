// The session against a slow, obvious model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "mining/server_model_testing.h"

namespace adit::mining {
namespace {

// Opens, closes, jobs, tips, shares, ticks, new prefixes, targets, groups, custom jobs and garbage in random order: the session
// agrees with the model on every share and every message.
TEST(SessionAgainstItsModel, RandomSequencesGetTheVerdictsOfTheRules) {
  std::mt19937 random(20261122);
  std::uint64_t accepted = 0;
  std::uint64_t rejected = 0;
  std::map<std::string, std::uint64_t> reached;
  for (int run = 0; run < 3000; ++run) {
    std::vector<std::uint8_t> script = {0, static_cast<std::uint8_t>(random())};  // Most runs begin with SetupConnection.
    if (run % 50 == 0) script.clear();
    for (int i = 0; i < 600; ++i) script.push_back(static_cast<std::uint8_t>(random()));
    testing::SessionModel model(script);
    model.run();
    accepted += model.accepted();
    rejected += model.rejected();
    for (const auto& [what, count] : model.reached()) reached[what] += count;
  }
  EXPECT_GT(accepted, 1000u) << "the sequences must reach what they are to test";
  EXPECT_GT(rejected, 1000u);
  for (const auto* what :
       {"invalid-channel-id", "stale-share", "invalid-job-id", "bad-extranonce-size", "invalid-share",
        "invalid-non-rollable-version-bit", "difficulty-too-low", "duplicate-share", "SetExtranoncePrefix", "SetGroupChannel",
        "SetCustomMiningJob", "too-many-custom-jobs", "stale-chain-tip", "invalid-mining-job-token", "the ledger lags",
        "a job in slices", "a job again", "a group for another payout", "FollowPoolTip"}) {
    EXPECT_GT(reached[what], 20u) << what;
  }
}

}  // namespace
}  // namespace adit::mining
