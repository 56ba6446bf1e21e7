// The translator's engine: what it takes from its miners, what it sends up, how that is answered.
#include "roles/translator/translator.h"

#include <functional>
#include <map>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "roles/translator/translator_testing.h"

namespace adit::translator {
namespace {

TEST_F(TranslatorTest, AShareGoesUpAsTheHeaderThatTheMinerHashed) {
  upstream_up();
  auto& test = mining(2);
  EXPECT_EQ(submit(test, 0xdeadbeef, 0x00402000), 0);
  const auto share = next<wire::SubmitSharesExtended>();
  EXPECT_EQ(share.channel_id, 2u);
  EXPECT_EQ(share.job_id, 102u);
  EXPECT_EQ(share.sequence_number, 1u);
  EXPECT_EQ(share.nonce, 0xdeadbeefu);
  EXPECT_EQ(share.version, 0x20402000u);
  EXPECT_EQ(share.extranonce.size(), 16u);

  // The miner's view: coinbase1 + extranonce1 + extranonce2 + coinbase2 under its own merkle path.
  const auto& work = *test.works[0];
  std::vector<std::uint8_t> of_miner = work.job.coinbase1;
  of_miner.insert(of_miner.end(), work.extranonce1.bytes().begin(), work.extranonce1.bytes().end());
  of_miner.insert(of_miner.end(), {1, 2, 3, 4});
  of_miner.insert(of_miner.end(), work.job.coinbase2.begin(), work.job.coinbase2.end());
  // The upstream's view.
  std::vector<std::uint8_t> of_pool = coinbase1;
  of_pool.insert(of_pool.end(), {0xaa, 0xbb, 0, 0, 0, 2});
  of_pool.insert(of_pool.end(), share.extranonce.begin(), share.extranonce.end());
  of_pool.insert(of_pool.end(), coinbase2.begin(), coinbase2.end());
  EXPECT_EQ(to_hex(of_miner), to_hex(of_pool));

  EXPECT_EQ(submit(test, 0xdeadbef0), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().sequence_number, 2u);
  EXPECT_EQ(translator->counters().shares_submitted, 2u);
}

TEST_F(TranslatorTest, ASubmitWithoutVersionBitsUsesTheJobsVersion) {
  upstream_up();
  auto& test = connect({.user = "w", .version_rolling = false});
  open_success(2);
  first_job(2, 5);
  EXPECT_EQ(submit(test, 1), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().version, 0x20000000u);
}

TEST_F(TranslatorTest, OurOwnChecksAnswerWithTheirSv1Codes) {
  upstream_up();
  auto& test = mining(2);
  EXPECT_EQ(submit(test, 1), 0);
  EXPECT_EQ(submit(test, 1), 22) << "the same share";
  EXPECT_TRUE(upstream(wire::SetTarget{.channel_id = 2, .maximum_target = bitcoin::U256(1).to_le()}));
  EXPECT_TRUE(job(2, 200, 1'700'000'000));
  EXPECT_EQ(submit(test, 2, 0, 0), 0) << "the target of a job is fixed when it is given";
  EXPECT_TRUE(job(2, 300));
  EXPECT_TRUE(tip(2, 300, 9));
  EXPECT_EQ(submit(test, 3, 0, 0), 21) << "a job of the tip before";
  auto copy = std::make_shared<sv1::Work>(*test.works.back());
  copy->job.job_id = "ffff";
  test.works.push_back(copy);
  EXPECT_EQ(submit(test, 4), 21) << "a job that never was";
  copy->job.job_id = "no hex";
  EXPECT_EQ(submit(test, 4), 21);
  const auto counters = translator->counters();
  EXPECT_EQ(counters.shares_submitted, 2u);
  EXPECT_EQ(counters.rejected_local.at(21), 3u);
  EXPECT_EQ(counters.rejected_local.at(22), 1u);
}

TEST_F(TranslatorTest, ADuplicateInOtherSpellingIsADuplicate) {
  upstream_up();
  auto& test = mining(2);
  const auto id = test.works[0]->job.job_id;
  const auto say = [&](std::string_view params) {
    const std::string line = "{\"id\":77,\"method\":\"mining.submit\",\"params\":[\"w\"," + std::string(params) + "]}\n";
    test.miner->on_bytes(as_bytes(line), now);
    return std::exchange(test.miner->output(), {});
  };
  EXPECT_NE(say("\"" + id + "\",\"abcdef01\",\"6553f164\",\"deadbeef\",\"00000000\"").find("true"), std::string::npos);
  EXPECT_NE(say("\"" + id + "\",\"ABCDEF01\",\"6553f164\",\"deadbeef\",\"00000000\"").find("[22,"), std::string::npos);
  EXPECT_NE(say("\"" + id + "\",\"abcdef01\",\"6553F164\",\"DEADBEEF\"").find("[22,"), std::string::npos);
  EXPECT_NE(say("\"0" + id + "\",\"abcdef01\",\"6553f164\",\"deadbeef\"").find("[22,"), std::string::npos);
}

TEST_F(TranslatorTest, AShareEasierThanTheUpstreamAsksIsTakenCountedAndNotSent) {
  // A miner of 1 hash/s at a share a second is told to send any hash.
  make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1, .shares_per_minute = 60}});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(1e6));
  int accepted = 0;
  std::uint32_t nonce = 0;
  for (; nonce < 40 && accepted == 0; ++nonce) accepted += submit(test, nonce) == 0;
  EXPECT_EQ(accepted, 1);
  EXPECT_EQ(submit(test, nonce - 1), 22);
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(translator->counters().shares_local, 1u);
  EXPECT_EQ(translator->counters().shares_submitted, 0u);
  EXPECT_EQ(test.miner->shares_local(), 1u) << "shown beside those that went up";
  EXPECT_EQ(test.miner->shares_submitted(), 0u);
}

TEST_F(TranslatorTest, AShareBelowWhatTheMinerWasToldIsLowDifficulty) {
  make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1e15, .shares_per_minute = 6}});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(1e6));
  EXPECT_EQ(submit(test, 1), 23);
  EXPECT_TRUE(sent.empty());
}

// stratum-proxy#12: a farm's proxy.
TEST_F(TranslatorTest, AllWorkersOfOneConnectionMineAndOneThatIsRefusedIsTold) {
  upstream_up();
  auto& test = mining(2);
  const auto& work = *test.works[0];
  const auto say = [&](const std::string& method, const std::string& params) {
    const std::string line = "{\"id\":77,\"method\":\"mining." + method + "\",\"params\":[" + params + "]}\n";
    test.miner->on_bytes(as_bytes(line), now);
    return std::exchange(test.miner->output(), {});
  };
  const auto share_of = [&](const std::string& worker, int nonce) {
    return say("submit", "\"" + worker + "\",\"" + work.job.job_id + "\",\"abcdef01\",\"6553f164\",\"" +
                             std::to_string(10000000 + nonce) + "\"");
  };
  for (int i = 0; i < 60; ++i) {
    EXPECT_NE(say("authorize", "\"farm.w" + std::to_string(i) + "\",\"x\"").find("true"), std::string::npos);
  }
  for (int i = 0; i < 60; ++i) EXPECT_NE(share_of("farm.w" + std::to_string(i), i).find("true"), std::string::npos) << i;
  EXPECT_EQ(test.miner->shares_submitted(), 60u);
  EXPECT_NE(share_of("stranger", 99).find("[24,"), std::string::npos);
  EXPECT_EQ(workers_refused, std::vector<std::string>{"stranger"});
}

TEST_F(TranslatorTest, TheUpstreamsVerdictsAreCountedByCode) {
  upstream_up();
  auto& test = mining(2);
  for (std::uint32_t nonce = 0; nonce < 12; ++nonce) EXPECT_EQ(submit(test, nonce), 0);
  EXPECT_TRUE(upstream(wire::SubmitSharesSuccess{
      .channel_id = 2, .last_sequence_number = 10, .new_submits_accepted_count = 10, .new_shares_sum = 30}));
  EXPECT_TRUE(upstream(wire::SubmitSharesError{.channel_id = 2, .sequence_number = 11, .error_code = "stale-share"}));
  EXPECT_TRUE(upstream(wire::SubmitSharesError{.channel_id = 2, .sequence_number = 12, .error_code = "stale-share"}));
  auto counters = translator->counters();
  EXPECT_EQ(counters.shares_accepted, 10u);
  EXPECT_EQ(counters.work_sum, 30u);
  EXPECT_EQ(counters.rejected_upstream.at("stale-share"), 2u);
  EXPECT_EQ(rejected, (std::vector<std::string>{"stale-share", "stale-share"}));
  EXPECT_EQ(test.miner->shares_accepted(), 10u);
  for (int i = 0; i < 100; ++i) {
    const auto code = "made-up-" + std::to_string(i);
    EXPECT_TRUE(upstream(wire::SubmitSharesError{.channel_id = 2, .error_code = code}));
  }
  counters = translator->counters();
  EXPECT_LE(counters.rejected_upstream.size(), 33u) << "codes are the upstream's words: bounded";
  EXPECT_GE(counters.rejected_upstream.at("other"), 60u);
}

TEST_F(TranslatorTest, AChannelAndAMinerHaveAnAccountOfTheirShares) {
  upstream_up();
  auto& test = mining(2);
  const auto account = [&]() -> const mining::UpstreamAccount& { return translator->channels().front()->account; };
  EXPECT_EQ(test.miner->last_share_at(), std::nullopt);
  for (std::uint32_t nonce = 0; nonce < 4; ++nonce) EXPECT_EQ(submit(test, nonce), 0);
  EXPECT_EQ(submit(test, 0), 22) << "a duplicate is ours to refuse: the channel hears nothing of it";
  EXPECT_EQ(account().submitted, 4u);
  EXPECT_EQ(account().acknowledged, 0u);
  EXPECT_GT(account().validated_work, 0);
  EXPECT_GT(account().best_difficulty, 0);
  EXPECT_EQ(test.miner->best_difficulty(), account().best_difficulty);
  EXPECT_EQ(test.miner->last_share_at(), now.instant);
  EXPECT_TRUE(upstream(wire::SubmitSharesSuccess{
      .channel_id = 2, .last_sequence_number = 2, .new_submits_accepted_count = 2, .new_shares_sum = 7}));
  EXPECT_TRUE(upstream(wire::SubmitSharesError{.channel_id = 2, .sequence_number = 3, .error_code = "stale-share"}));
  EXPECT_TRUE(upstream(wire::SubmitSharesError{.channel_id = 2, .sequence_number = 4, .error_code = "made-up"}));
  EXPECT_EQ(account().acknowledged, 2u);
  EXPECT_EQ(account().acknowledged_work, 7u);
  const std::map<std::string, std::uint64_t, std::less<>> of_channel = {{"stale-share", 1}, {"unknown", 1}};
  EXPECT_EQ(account().rejected, of_channel) << "words of the upstream's own have one name";
  const std::map<std::string, std::uint64_t, std::less<>> of_miner = {
      {"duplicate-share", 1}, {"stale-share", 1}, {"unknown", 1}};
  EXPECT_EQ(test.miner->rejected(), of_miner);
}

TEST_F(TranslatorTest, ABlockIsSentWhateverTheTargetIs) {
  upstream_up();
  auto& test = connect();
  open_success(2, bitcoin::U256(1));
  EXPECT_TRUE(job(2, 5));
  EXPECT_TRUE(tip(2, 5, 7, 0x207fffff));
  for (std::uint32_t nonce = 0; nonce < 40 && translator->counters().blocks_found == 0; ++nonce) submit(test, nonce);
  EXPECT_EQ(translator->counters().blocks_found, 1u);
  next<wire::SubmitSharesExtended>();
}

TEST_F(TranslatorTest, AFixedVersionReachesTheMiner) {
  auto& early = connect();
  EXPECT_NE(early.heard.find("1fffe000"), std::string::npos);
  upstream_up(wire::kRequiresFixedVersion);
  open_success(2);
  first_job(2, 1);
  EXPECT_EQ(early.works.back()->version_mask, 0u);
  EXPECT_EQ(submit(early, 1, 0x2000), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().version, 0x20000000u);
}

TEST_F(TranslatorTest, AJobThatForbidsRollingTellsTheMinerBeforeIt) {
  upstream_up();
  auto& test = mining(2);
  EXPECT_EQ(test.works.back()->version_mask, sv1::kVersionRollingMask);
  EXPECT_TRUE(job(2, 200, 1'700'000'000, false));
  EXPECT_EQ(test.works.back()->version_mask, 0u);
  EXPECT_TRUE(job(2, 201, 1'700'000'000, true));
  EXPECT_EQ(test.works.back()->version_mask, sv1::kVersionRollingMask);
}

// frstrtr/c2pool#1393: ESP-Miner's chips can set bits of the version and not clear them; NerdQAxePlus submits the difference.
TEST_F(TranslatorTest, TheBitsThatMayBeRolledStartAtZero) {
  upstream_up();
  auto& test = connect();
  open_success(2);
  const auto versioned = [&](std::uint32_t job_id, bool rolling) {
    EXPECT_TRUE(upstream(wire::NewExtendedMiningJob{.channel_id = 2,
                                                    .job_id = job_id,
                                                    .version = 0x32ef0004,
                                                    .version_rolling_allowed = rolling,
                                                    .merkle_path = path,
                                                    .coinbase_tx_prefix = coinbase1,
                                                    .coinbase_tx_suffix = coinbase2}));
    EXPECT_TRUE(tip(2, job_id, static_cast<std::uint8_t>(job_id)));
  };
  versioned(5, true);
  EXPECT_EQ(test.works.back()->job.version, 0x20000004u);
  EXPECT_EQ(submit(test, 1, 0x01660000), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().version, 0x21660004u);
  versioned(6, false);
  EXPECT_EQ(test.works.back()->job.version, 0x32ef0004u) << "not to be changed";
  EXPECT_EQ(submit(test, 1), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().version, 0x32ef0004u);
}

TEST_F(TranslatorTest, ALateShareMayRollWhatItsOwnJobAllowed) {
  upstream_up();
  auto& test = mining(2);
  EXPECT_TRUE(job(2, 200, 1'700'000'000, false));
  EXPECT_EQ(submit(test, 1, 0x2000, 0), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().version, 0x20002000u);
}

// OCEAN-xyz/datum_gateway#214.
TEST_F(TranslatorTest, BitsRolledByAMinerThatNeverConfiguredCount) {
  upstream_up();
  auto& test = connect({.user = "w", .version_rolling = false});
  open_success(2);
  first_job(2, 5);
  const std::string share = "{\"id\":77,\"method\":\"mining.submit\",\"params\":[\"w\",\"" + test.works[0]->job.job_id +
                            "\",\"abcdef01\",\"6553f164\",\"deadbeef\",\"00c00000\"]}\n";
  test.miner->on_bytes(as_bytes(share), now);
  pump();
  EXPECT_EQ(next<wire::SubmitSharesExtended>().version, 0x20c00000u);
}

}  // namespace
}  // namespace adit::translator
