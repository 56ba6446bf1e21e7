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
  EXPECT_EQ(quiet.works[1]->job.job_id, quiet.works[0]->job.job_id + "#2") << "as SRI names it";
  EXPECT_EQ(submit(quiet, 1), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().job_id, 102u);
  EXPECT_EQ(submit(quiet, 1, 0, 0), 0) << "the first one is still good";
}

TEST_F(TranslatorTest, AJobGivenAgainWithinASecondStillHasANewTime) {
  upstream_up();
  auto& test = mining(2);
  // The upstream asks for any hash; what the miner suggests is harder, so nothing changes for it.
  suggest(test, "0.0001");
  EXPECT_EQ(test.works.size(), 1u);
  const std::string configure =
      "{\"id\":51,\"method\":\"mining.configure\",\"params\":[[\"minimum-difficulty\"],{\"minimum-difficulty.value\":16}]}\n";
  test.miner->on_bytes(as_bytes(configure), now);
  pump();
  ASSERT_EQ(test.works.size(), 2u);
  EXPECT_EQ(test.works[1]->difficulty, 16);
  EXPECT_EQ(test.works[1]->job.ntime, test.works[0]->job.ntime + 1);
}

TEST_F(TranslatorTest, AMinerWithoutSharesIsMadeEasier) {
  make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1e9, .shares_per_minute = 6, .keepalive = Duration::zero()}});
  upstream_up();
  auto& test = connect({.user = "w", .suggest_difficulty = 512});
  open_success(2, bitcoin::target_from_difficulty(1e9));
  first_job(2, 5);
  const double before = test.works.back()->difficulty;
  EXPECT_EQ(before, 512) << "what it suggested before it authorized";
  for (int second = 0; second < 120; ++second) EXPECT_TRUE(tick());
  EXPECT_LT(test.works.back()->difficulty, before);
  EXPECT_EQ(test.works.back()->job.nbits, kHardNbits);
  EXPECT_TRUE(sent.empty()) << "no share, nothing to tell the upstream";
}

TEST_F(TranslatorTest, AFastMinerIsMadeHarderAndTheUpstreamIsTold) {
  make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1, .shares_per_minute = 60, .keepalive = Duration::zero()}});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(1e6));
  const double before = test.works.back()->difficulty;
  int accepted = 0;
  for (std::uint32_t nonce = 0; accepted < 300; ++nonce) accepted += submit(test, nonce) == 0;
  EXPECT_TRUE(tick(seconds(16)));
  EXPECT_EQ(next<wire::UpdateChannel>().nominal_hash_rate, 4.0f) << "four times as much, in one step";
  EXPECT_GT(test.works.back()->difficulty, 4 * before);
  EXPECT_FALSE(test.works.back()->job.clean_jobs);
  EXPECT_TRUE(sent.empty());
}

TEST_F(TranslatorTest, HoweverFastNoMinerIsMadeHarderThanTheUpstreamAsks) {
  make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1e9, .shares_per_minute = 1}});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(0.5));
  EXPECT_EQ(test.works.back()->difficulty, 0.5) << "28 times as easy as is wanted";
}

// The suite of SRI's has upstreams that take every hash, whatever they were asked for.
TEST_F(TranslatorTest, AnUpstreamThatTakesFarEasierSharesThanItWasAskedToIsNotFlooded) {
  make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1e12, .shares_per_minute = 6}});
  upstream_up();
  auto& test = mining(2, kAnyHash);
  EXPECT_EQ(test.works.back()->difficulty, 32) << "2,328 are wanted; a 64th of that is 36";
}

TEST_F(TranslatorTest, AnOpenAsksForNoEasierSharesThanThoseOfTheLeastMiner) {
  upstream_up();
  connect();
  EXPECT_EQ(next<wire::OpenExtendedMiningChannel>().max_target, bitcoin::target_from_hash_rate(1e6, 6).to_le());
  make({.miners = {.min_hash_rate_hps = 0.5, .shares_per_minute = 6}});
  upstream_up();
  connect();
  EXPECT_EQ(next<wire::OpenExtendedMiningChannel>().max_target, bitcoin::target_from_hash_rate(0.5, 6).to_le());
  make({.miners = {.vardiff = false}});
  upstream_up();
  connect();
  EXPECT_EQ(next<wire::OpenExtendedMiningChannel>().max_target, kAnyHash.to_le()) << "what the pool likes";
}

TEST_F(TranslatorTest, AChannelWhoseMinerFindsNothingAsksForEasierShares) {
  upstream_up();
  mining(2, bitcoin::target_from_hash_rate(1e6, 6));
  for (int second = 0; second < 178; ++second) EXPECT_TRUE(tick());
  EXPECT_TRUE(sent.empty());
  for (int second = 0; second < 4; ++second) EXPECT_TRUE(tick());
  const auto update = next<wire::UpdateChannel>();
  EXPECT_EQ(update.maximum_target, kAnyHash.to_le());
  EXPECT_EQ(update.nominal_hash_rate, 1e6f);
  for (int second = 0; second < 60; ++second) EXPECT_TRUE(tick());
  EXPECT_TRUE(sent.empty()) << "once";
}

// Audit H1: each suggestion went up as the hash rate of all miners.
TEST_F(TranslatorTest, ASuggestionMovesTheMinersOwnDifficultyAlone) {
  make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1e9, .shares_per_minute = 6, .keepalive = Duration::zero()}});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(1e9));
  auto& other = mining(3, bitcoin::target_from_difficulty(1e9));
  const double before = other.works.back()->difficulty;
  suggest(test, "1e10");
  EXPECT_EQ(test.works.back()->difficulty, 2048) << "within a factor of what the weakest miner has";
  suggest(test, "0.5");
  EXPECT_EQ(test.works.back()->difficulty, before) << "and not below it";
  EXPECT_EQ(other.works.back()->difficulty, before);
  for (int second = 0; second < 30; ++second) {
    suggest(test, second % 2 == 0 ? "1e10" : "2e10");
    EXPECT_TRUE(tick());
  }
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(translator->counters().hash_rate_hps, 0);
  EXPECT_EQ(translator->counters().declared_hps, 2e9) << "what the two channels were opened with";
}

TEST_F(TranslatorTest, AMinerThatSuggestsEverySecondIsJudgedByItsSharesAllTheSame) {
  make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1e9, .shares_per_minute = 6, .keepalive = Duration::zero()}});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(1e9));
  double least = 1e9;
  for (int second = 0; second < 100; ++second) {
    if (second % 50 == 0) suggest(test, "1024");
    if (second > 60) least = std::min(least, test.works.back()->difficulty);
    EXPECT_TRUE(tick());
  }
  EXPECT_LT(least, 1024);
}

TEST_F(TranslatorTest, AbsurdSuggestionsStayFinite) {
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(1e9));
  for (const auto* value : {"1e300", "1e-300", "0.0000000001"}) {
    suggest(test, value);
    EXPECT_TRUE(std::isfinite(test.works.back()->difficulty)) << value;
    EXPECT_GT(test.works.back()->difficulty, 1e-3) << value;
  }
}

// shufps/qaxe#33: a difficulty counts from the next notify on, so one must follow.
TEST_F(TranslatorTest, ANewDifficultyIsFollowedByANotify) {
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(1e9));
  const auto works = test.works.size();
  suggest(test, "4096");
  ASSERT_EQ(test.works.size(), works + 1);
  EXPECT_EQ(test.works.back()->difficulty, 2);
}

}  // namespace
}  // namespace adit::translator
