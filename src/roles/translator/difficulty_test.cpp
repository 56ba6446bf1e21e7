// The translator's engine: what its miners are told to search, and how hard.
#include "roles/translator/translator.h"

#include <gtest/gtest.h>

#include <cmath>

#include "roles/translator/translator_testing.h"

namespace adit::translator {
namespace {

TEST_F(TranslatorTest, TheMinerGetsAPowerOfTwoNotHarderThanTheUpstreamAsks) {
  make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1e12, .shares_per_minute = 6}});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(1000));
  EXPECT_EQ(test.works[0]->difficulty, 512);
  EXPECT_NE(test.heard.find("\"params\":[512]}"), std::string::npos);
}

TEST_F(TranslatorTest, ANewTargetCountsFromTheNextJobOn) {
  make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1e12, .shares_per_minute = 6}});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(64));
  const auto heard = test.heard.size();
  EXPECT_TRUE(upstream(wire::SetTarget{.channel_id = kGroup, .maximum_target = bitcoin::target_from_difficulty(256).to_le()}));
  EXPECT_EQ(test.heard.size(), heard);
  EXPECT_TRUE(job(2, 200, 1'700'000'000));
  EXPECT_EQ(test.works.back()->difficulty, 256);
}

TEST_F(TranslatorTest, ATargetThatNothingMeetsIsSaidInNumbers) {  // found by the fuzzer: the difficulty of 0 is infinite
  make({.miners = {.extranonce2_size = 4, .vardiff = false}});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(64));
  EXPECT_TRUE(upstream(wire::SetTarget{.channel_id = kGroup}));
  EXPECT_TRUE(job(2, 200, 1'700'000'000));
  ASSERT_EQ(test.works.size(), 2u) << "what cannot be parsed is no work";
  EXPECT_GT(test.works.back()->difficulty, 1e60);
}

TEST_F(TranslatorTest, AQuietMinerGetsItsJobAgainWithALaterTime) {
  make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1e6, .vardiff = false, .keepalive = seconds(60)}});
  upstream_up();
  auto& quiet = mining(2);
  EXPECT_TRUE(tick(seconds(59)));
  EXPECT_EQ(quiet.works.size(), 1u);
  EXPECT_TRUE(tick(seconds(1)));
  ASSERT_EQ(quiet.works.size(), 2u);
  EXPECT_FALSE(quiet.works[1]->job.clean_jobs);
  EXPECT_EQ(quiet.works[1]->job.ntime, quiet.works[0]->job.ntime + 60);
  EXPECT_NE(quiet.works[1]->job.job_id, quiet.works[0]->job.job_id);
  EXPECT_EQ(submit(quiet, 1), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().job_id, 102u);
  EXPECT_EQ(submit(quiet, 1, 0, 0), 0) << "the first one is still good";
}

TEST_F(TranslatorTest, AJobGivenAgainWithinASecondStillHasANewTime) {
  upstream_up();
  auto& test = mining(2);
  const std::string suggest = "{\"id\":50,\"method\":\"mining.suggest_difficulty\",\"params\":[0.0001]}\n";
  // The upstream asks for any hash; what the miner suggests is harder, so nothing changes for it.
  test.miner->on_bytes(as_bytes(suggest), now);
  pump();
  EXPECT_EQ(test.works.size(), 1u);
  const std::string configure =
      "{\"id\":51,\"method\":\"mining.configure\",\"params\":[[\"minimum-difficulty\"],{\"minimum-difficulty.value\":16}]}\n";
  test.miner->on_bytes(as_bytes(configure), now);
  pump();
  ASSERT_EQ(test.works.size(), 2u);
  EXPECT_EQ(test.works[1]->difficulty, 16);
  EXPECT_EQ(test.works[1]->job.ntime, test.works[0]->job.ntime + 1);
}

TEST_F(TranslatorTest, AMinerWithoutSharesIsMadeEasierAndTheUpstreamIsTold) {
  make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1e6, .shares_per_minute = 6, .keepalive = Duration::zero()}});
  upstream_up();
  sv1::Client::Options options{.user = "w", .suggest_difficulty = 4096};
  auto& test = connect(options);
  const auto open = next<wire::OpenExtendedMiningChannel>();
  const std::vector<std::uint8_t> prefix = {1};
  EXPECT_TRUE(upstream(wire::OpenExtendedMiningChannelSuccess{.request_id = open.request_id,
                                                              .channel_id = 2,
                                                              .target = bitcoin::target_from_difficulty(1e9).to_le(),
                                                              .extranonce_size = 8,
                                                              .extranonce_prefix = prefix,
                                                              .group_channel_id = 1}));
  first_job(2, 5);
  const double before = test.works.back()->difficulty;
  EXPECT_EQ(before, 4096) << "what it suggested before it authorized";
  double nominal = std::numeric_limits<double>::infinity();
  std::size_t updates = 0;
  for (int second = 0; second < 120; ++second) {
    EXPECT_TRUE(tick(seconds(1)));
    std::size_t in_this_second = 0;
    while (!sent.empty()) {
      const auto update = next<wire::UpdateChannel>();
      EXPECT_EQ(update.channel_id, 2u);
      EXPECT_LT(update.nominal_hash_rate, nominal);
      nominal = update.nominal_hash_rate;
      ++in_this_second;
      ++updates;
    }
    EXPECT_LE(in_this_second, 1u);
  }
  EXPECT_GE(updates, 2u);
  EXPECT_LT(test.works.back()->difficulty, before);
  EXPECT_EQ(test.works.back()->job.nbits, kHardNbits);
}

TEST_F(TranslatorTest, AFastMinerIsMadeHarderAndTheUpstreamIsTold) {
  make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1, .shares_per_minute = 60, .keepalive = Duration::zero()}});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(1e6));
  const double before = test.works.back()->difficulty;
  int accepted = 0;
  for (std::uint32_t nonce = 0; accepted < 300; ++nonce) accepted += submit(test, nonce) == 0;
  EXPECT_TRUE(tick(seconds(16)));
  EXPECT_GT(next<wire::UpdateChannel>().nominal_hash_rate, 5.0f);
  EXPECT_GT(test.works.back()->difficulty, 4 * before);
  EXPECT_FALSE(test.works.back()->job.clean_jobs);
  EXPECT_TRUE(sent.empty());
}

TEST_F(TranslatorTest, HoweverFastNoMinerIsMadeHarderThanTheUpstreamAsks) {
  make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1e18, .shares_per_minute = 1}});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(0.5));
  EXPECT_EQ(test.works.back()->difficulty, 0.5);
}

TEST_F(TranslatorTest, SuggestionsInASecondGiveOneUpdate) {
  upstream_up();
  auto& test = mining(2);
  for (int i = 1; i <= 20; ++i) {
    const std::string suggest = "{\"id\":50,\"method\":\"mining.suggest_difficulty\",\"params\":[" + std::to_string(i) + "]}\n";
    test.miner->on_bytes(as_bytes(suggest), now);
  }
  EXPECT_TRUE(tick(seconds(1)));
  next<wire::UpdateChannel>();
  EXPECT_TRUE(sent.empty());
}

TEST_F(TranslatorTest, AbsurdSuggestionsStayFinite) {
  upstream_up();
  auto& test = connect();
  for (const auto* value : {"1e300", "1e-300", "0.0000000001"}) {
    const std::string suggest =
        "{\"id\":50,\"method\":\"mining.suggest_difficulty\",\"params\":[" + std::string(value) + "]}\n";
    test.miner->on_bytes(as_bytes(suggest), now);
    EXPECT_TRUE(std::isfinite(static_cast<float>(test.miner->hash_rate_hps()))) << value;
    EXPECT_GE(test.miner->hash_rate_hps(), 1e6);
  }
}

// shufps/qaxe#33: a difficulty counts from the next notify on, so one must follow.
TEST_F(TranslatorTest, ANewDifficultyIsFollowedByANotify) {
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(1e9));
  const auto works = test.works.size();
  const std::string suggest = "{\"id\":50,\"method\":\"mining.suggest_difficulty\",\"params\":[4096]}\n";
  test.miner->on_bytes(as_bytes(suggest), now);
  pump();
  ASSERT_EQ(test.works.size(), works + 1);
  EXPECT_EQ(test.works.back()->difficulty, 4096);
}

}  // namespace
}  // namespace adit::translator
