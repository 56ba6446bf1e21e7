#include "roles/translator/translator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "roles/translator/translator_testing.h"

namespace adit::translator {
namespace {

TEST_F(TranslatorTest, AMinerBecomesAnExtendedChannel) {
  auto& test = connect();
  EXPECT_TRUE(sent.empty()) << "no upstream yet";
  EXPECT_EQ(test.heard.find("\"id\":2"), std::string::npos) << "subscribe waits for the extranonce";
  translator->on_upstream_connected("id", "pool.example", 34254, now);
  pump();
  const auto setup = next<wire::SetupConnection>();
  EXPECT_EQ(setup.protocol, wire::kMiningProtocol);
  EXPECT_EQ(setup.min_version, 2);
  EXPECT_EQ(setup.max_version, 2);
  EXPECT_EQ(setup.endpoint_host, "pool.example");
  EXPECT_EQ(setup.endpoint_port, 34254);
  EXPECT_TRUE(upstream(wire::SetupConnectionSuccess{.used_version = 2}));
  const auto open = next<wire::OpenExtendedMiningChannel>();
  EXPECT_EQ(open.user_identity, "id.miner1");
  EXPECT_EQ(open.nominal_hash_rate, 1e6f);
  EXPECT_EQ(open.min_extranonce_size, 4);
  EXPECT_TRUE(upstream(wire::OpenExtendedMiningChannelSuccess{.request_id = open.request_id,
                                                              .channel_id = 2,
                                                              .target = kAnyHash.to_le(),
                                                              .extranonce_size = 6,
                                                              .extranonce_prefix = Bytes(coinbase1),
                                                              .group_channel_id = 1}));
  EXPECT_TRUE(test.ready);
  first_job(2, 5);
  ASSERT_EQ(test.works.size(), 1u);
  const auto& work = *test.works[0];
  EXPECT_TRUE(work.job.clean_jobs);
  EXPECT_EQ(to_hex(work.extranonce1.bytes()), "01000000110000")
      << "prefix, then zeros for what the upstream gave beyond 4 bytes";
  EXPECT_EQ(work.extranonce2_size, 4u);
  EXPECT_EQ(work.job.nbits, kHardNbits);
  EXPECT_EQ(work.job.prev_hash[0], 7);
  EXPECT_EQ(work.job.merkle_path, path);
  EXPECT_EQ(work.version_mask, sv1::kVersionRollingMask);
}

TEST_F(TranslatorTest, AShareGoesUpAsTheHeaderThatTheMinerHashed) {
  upstream_up();
  auto& test = mining(2);
  EXPECT_EQ(submit(test, 0xdeadbeef, 0x00402000), 0);
  const auto share = next<wire::SubmitSharesExtended>();
  EXPECT_EQ(share.channel_id, 2u);
  EXPECT_EQ(share.job_id, 102u);
  EXPECT_EQ(share.sequence_number, 0u);
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
  EXPECT_EQ(next<wire::SubmitSharesExtended>().sequence_number, 1u);
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
    translator->on_miner_bytes(*test.miner, as_bytes(line), now);
    return std::exchange(test.miner->output(), {});
  };
  EXPECT_NE(say("\"" + id + "\",\"abcdef01\",\"6553f164\",\"deadbeef\",\"00000000\"").find("true"), std::string::npos);
  EXPECT_NE(say("\"" + id + "\",\"ABCDEF01\",\"6553f164\",\"deadbeef\",\"00000000\"").find("[22,"), std::string::npos);
  EXPECT_NE(say("\"" + id + "\",\"abcdef01\",\"6553F164\",\"DEADBEEF\"").find("[22,"), std::string::npos);
  EXPECT_NE(say("\"0" + id + "\",\"abcdef01\",\"6553f164\",\"deadbeef\"").find("[22,"), std::string::npos);
}

TEST_F(TranslatorTest, TheMinerGetsAPowerOfTwoNotHarderThanTheUpstreamAsks) {
  make({.extranonce2_size = 4, .min_hash_rate_hps = 1e12, .shares_per_minute = 6});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(1000));
  EXPECT_EQ(test.works[0]->difficulty, 512);
  EXPECT_NE(test.heard.find("\"params\":[512]}"), std::string::npos);
}

TEST_F(TranslatorTest, AShareEasierThanTheUpstreamAsksIsTakenCountedAndNotSent) {
  // A miner of 1 hash/s at a share a second is told to send any hash.
  make({.extranonce2_size = 4, .min_hash_rate_hps = 1, .shares_per_minute = 60});
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
}

TEST_F(TranslatorTest, AShareBelowWhatTheMinerWasToldIsLowDifficulty) {
  make({.extranonce2_size = 4, .min_hash_rate_hps = 1e15, .shares_per_minute = 6});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(1e6));
  EXPECT_EQ(submit(test, 1), 23);
  EXPECT_TRUE(sent.empty());
}

TEST_F(TranslatorTest, JobsForTheGroupReachItsMembersOnly) {
  upstream_up();
  auto& one = mining(2);
  auto& two = mining(3);
  auto& lone = connect();
  const auto open = next<wire::OpenExtendedMiningChannel>();
  const std::vector<std::uint8_t> prefix = {9};
  EXPECT_TRUE(upstream(wire::OpenExtendedMiningChannelSuccess{.request_id = open.request_id,
                                                              .channel_id = 4,
                                                              .target = kAnyHash.to_le(),
                                                              .extranonce_size = 8,
                                                              .extranonce_prefix = prefix,
                                                              .group_channel_id = 50}));
  first_job(4, 400);
  EXPECT_TRUE(job(kGroup, 500, 1'700'000'050));
  EXPECT_EQ(one.works.size(), 2u);
  EXPECT_EQ(two.works.size(), 2u);
  EXPECT_EQ(lone.works.size(), 1u);
  EXPECT_FALSE(one.works[1]->job.clean_jobs);
  EXPECT_TRUE(job(kGroup, 501));
  EXPECT_EQ(one.works.size(), 2u) << "a future job waits for its previous hash";
  EXPECT_TRUE(tip(kGroup, 501, 20));
  EXPECT_EQ(one.works.size(), 3u);
  EXPECT_TRUE(two.works[2]->job.clean_jobs);
  EXPECT_EQ(submit(two, 5), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().channel_id, 3u);
  EXPECT_EQ(lone.works.size(), 1u);
  const std::vector<std::uint32_t> ids = {4, 99};
  EXPECT_TRUE(upstream(wire::SetGroupChannel{.group_channel_id = kGroup, .channel_ids = ids}));
  EXPECT_TRUE(job(kGroup, 502, 1'700'000'060));
  EXPECT_EQ(lone.works.size(), 2u);
}

// sv2-apps#157.
TEST_F(TranslatorTest, AMinerThatJoinsDuringAFutureJobMinesItWhenItsTipComes) {
  upstream_up();
  auto& old = mining(2);
  EXPECT_TRUE(job(kGroup, 600));
  auto& late = mining(3);
  EXPECT_TRUE(tip(kGroup, 600, 30));
  EXPECT_EQ(old.works.back()->job.prev_hash[0], 30);
  EXPECT_EQ(late.works.back()->job.prev_hash[0], 30);
  EXPECT_EQ(late.miner->ended(), "");
  EXPECT_EQ(submit(late, 1), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().job_id, 600u);
}

// sv2-apps#216.
TEST_F(TranslatorTest, MessagesForUnknownChannelsHarmNobody) {
  upstream_up();
  auto& test = mining(2);
  EXPECT_TRUE(job(77, 1, 1'700'000'000));
  EXPECT_TRUE(tip(77, 1));
  EXPECT_TRUE(upstream(wire::SetTarget{.channel_id = 77}));
  EXPECT_TRUE(upstream(wire::SetExtranoncePrefix{.channel_id = 77}));
  EXPECT_TRUE(upstream(wire::CloseChannel{.channel_id = 77}));
  EXPECT_TRUE(upstream(wire::SubmitSharesError{.channel_id = 77, .error_code = "stale-share"}));
  EXPECT_EQ(submit(test, 1), 0);
  EXPECT_GE(translator->counters().unknown_channel_messages, 5u);
}

TEST_F(TranslatorTest, ATipForAJobThatWasNeverSentEndsTheUpstream) {
  upstream_up();
  mining(2);
  EXPECT_EQ(code_of(tip(2, 999)), "protocol");
  EXPECT_EQ(code_of(tip(kGroup, 999)), "protocol");
}

TEST_F(TranslatorTest, ANewTargetCountsFromTheNextJobOn) {
  make({.extranonce2_size = 4, .min_hash_rate_hps = 1e12, .shares_per_minute = 6});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(64));
  const auto heard = test.heard.size();
  EXPECT_TRUE(upstream(wire::SetTarget{.channel_id = kGroup, .maximum_target = bitcoin::target_from_difficulty(256).to_le()}));
  EXPECT_EQ(test.heard.size(), heard);
  EXPECT_TRUE(job(2, 200, 1'700'000'000));
  EXPECT_EQ(test.works.back()->difficulty, 256);
}

TEST_F(TranslatorTest, ATargetThatNothingMeetsIsSaidInNumbers) {  // found by the fuzzer: the difficulty of 0 is infinite
  make({.extranonce2_size = 4, .vardiff = false});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(64));
  EXPECT_TRUE(upstream(wire::SetTarget{.channel_id = kGroup}));
  EXPECT_TRUE(job(2, 200, 1'700'000'000));
  ASSERT_EQ(test.works.size(), 2u) << "what cannot be parsed is no work";
  EXPECT_GT(test.works.back()->difficulty, 1e60);
}

TEST_F(TranslatorTest, ANewExtranoncePrefixReachesTheMinerWithItsNextJob) {
  upstream_up();
  auto& test = mining(2);
  const std::vector<std::uint8_t> prefix = {0xcc, 0xdd, 0, 0, 0, 1};
  EXPECT_TRUE(upstream(wire::SetExtranoncePrefix{.channel_id = 2, .extranonce_prefix = prefix}));
  EXPECT_EQ(test.works.size(), 1u);
  EXPECT_EQ(submit(test, 1), 0) << "the old job keeps the old prefix";
  next<wire::SubmitSharesExtended>();
  EXPECT_TRUE(job(2, 200, 1'700'000'000));
  ASSERT_EQ(test.works.size(), 2u);
  EXPECT_EQ(to_hex(test.works[1]->extranonce1.bytes()).substr(0, 12), "ccdd00000001");
  EXPECT_EQ(submit(test, 2), 0);
}

TEST_F(TranslatorTest, AMinerThatCannotTakeANewExtranonceIsSentAway) {
  upstream_up();
  auto& test = mining(2, kAnyHash, false);
  const std::vector<std::uint8_t> prefix = {0xcc, 0xdd, 0, 0, 0, 1};
  EXPECT_TRUE(upstream(wire::SetExtranoncePrefix{.channel_id = 2, .extranonce_prefix = prefix}));
  EXPECT_EQ(test.miner->ended(), "");
  EXPECT_TRUE(job(2, 200, 1'700'000'000));
  EXPECT_NE(test.miner->ended(), "");
  leave(test);
  EXPECT_EQ(next<wire::CloseChannel>().channel_id, 2u);
}

TEST_F(TranslatorTest, AClosedChannelEndsItsMinerAndAClosedGroupItsMembers) {
  upstream_up();
  auto& one = mining(2);
  auto& two = mining(3);
  auto& three = mining(4);
  EXPECT_TRUE(upstream(wire::CloseChannel{.channel_id = 3, .reason_code = "bye"}));
  EXPECT_EQ(one.miner->ended(), "");
  EXPECT_EQ(two.miner->ended(), "the upstream closed its channel: bye");
  leave(two);
  EXPECT_TRUE(sent.empty()) << "the channel is closed already";
  EXPECT_TRUE(upstream(wire::CloseChannel{.channel_id = kGroup}));
  EXPECT_NE(one.miner->ended(), "");
  EXPECT_NE(three.miner->ended(), "");
  EXPECT_EQ(translator->counters().channels, 0u);
}

TEST_F(TranslatorTest, AMinerThatLeavesClosesItsChannel) {
  upstream_up();
  auto& test = mining(2);
  leave(test);
  EXPECT_EQ(next<wire::CloseChannel>().channel_id, 2u);
  EXPECT_TRUE(job(2, 200, 1'700'000'000)) << "a job under way harms nobody";
  EXPECT_EQ(translator->counters().miners, 0u);
}

TEST_F(TranslatorTest, AMinerThatLeavesDuringItsOpenHasItsChannelClosedOnArrival) {
  upstream_up();
  auto& test = connect();
  const auto open = next<wire::OpenExtendedMiningChannel>();
  leave(test);
  EXPECT_TRUE(
      upstream(wire::OpenExtendedMiningChannelSuccess{.request_id = open.request_id, .channel_id = 2, .extranonce_size = 16}));
  EXPECT_EQ(next<wire::CloseChannel>().channel_id, 2u);
}

TEST_F(TranslatorTest, AnUpstreamThatTakesNoChannelIsGivenUpOneThatTakesSomeIsNot) {
  upstream_up();
  connect();
  const auto first = next<wire::OpenExtendedMiningChannel>();
  EXPECT_EQ(code_of(upstream(wire::OpenMiningChannelError{.request_id = first.request_id, .error_code = "unknown-user"})),
            "refused");
  translator->on_upstream_lost(now);
  upstream_up();
  open_success(2);
  auto& second = connect();
  const auto open = next<wire::OpenExtendedMiningChannel>();
  EXPECT_TRUE(upstream(wire::OpenMiningChannelError{.request_id = open.request_id, .error_code = "max-channels"}));
  EXPECT_NE(second.miner->ended().find("max-channels"), std::string::npos);
  EXPECT_NE(second.heard.find("max-channels"), std::string::npos) << "the miner's subscribe is answered";
}

TEST_F(TranslatorTest, MinersOutliveTheUpstreamAndGetCleanJobsFromTheNext) {
  upstream_up();
  auto& test = mining(2);
  submit(test, 1);
  sent.clear();
  translator->on_upstream_lost(now);
  pump();
  EXPECT_EQ(test.miner->ended(), "");
  EXPECT_EQ(submit(test, 2), 21) << "nobody to send it to";
  upstream_up();
  open_success(9, kAnyHash, {0xaa, 0xbb, 0, 0, 0, 2});
  first_job(9, 102, 7);
  EXPECT_EQ(test.works.size(), 2u);
  EXPECT_TRUE(test.works[1]->job.clean_jobs);
  EXPECT_NE(test.works[1]->job.job_id, test.works[0]->job.job_id);
  EXPECT_EQ(submit(test, 3, 0, 0), 21) << "a job of the connection before, though the upstream used its id again";
  EXPECT_EQ(translator->counters().shares_orphaned, 2u);
  EXPECT_EQ(translator->counters().rejected_local.at(21), 2u);
  EXPECT_EQ(submit(test, 3), 0);
  const auto share = next<wire::SubmitSharesExtended>();
  EXPECT_EQ(share.channel_id, 9u);
  EXPECT_EQ(share.sequence_number, 0u);
  EXPECT_EQ(test.heard.find("set_extranonce"), std::string::npos);
}

TEST_F(TranslatorTest, AReconnectWithAnotherPrefixIsToldOrEndsTheMiner) {
  upstream_up();
  auto& plain = mining(2, kAnyHash, false);
  auto& able = mining(3);
  translator->on_upstream_lost(now);
  upstream_up();
  open_success(12, kAnyHash, {1, 2, 3, 4, 5, 6});
  open_success(13, kAnyHash, {1, 2, 3, 4, 5, 7});
  first_job(12, 1);
  first_job(13, 2);
  EXPECT_NE(plain.miner->ended(), "");
  EXPECT_EQ(able.miner->ended(), "");
  EXPECT_EQ(to_hex(able.works.back()->extranonce1.bytes()).substr(0, 12), "010203040507");
  EXPECT_EQ(submit(able, 1), 0);
}

TEST_F(TranslatorTest, AnUpstreamThatIsLostDuringAnOpenLeavesTheMinerWaitingForTheNext) {
  auto& test = connect();
  upstream_up();
  next<wire::OpenExtendedMiningChannel>();
  translator->on_upstream_lost(now);
  upstream_up();
  open_success(2);
  first_job(2, 1);
  EXPECT_TRUE(test.ready);
  EXPECT_EQ(test.works.size(), 1u);
}

TEST_F(TranslatorTest, AQuietMinerGetsItsJobAgainWithALaterTime) {
  make({.extranonce2_size = 4, .min_hash_rate_hps = 1e6, .vardiff = false, .keepalive = seconds(60)});
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
  translator->on_miner_bytes(*test.miner, as_bytes(suggest), now);
  pump();
  EXPECT_EQ(test.works.size(), 1u);
  const std::string configure =
      "{\"id\":51,\"method\":\"mining.configure\",\"params\":[[\"minimum-difficulty\"],{\"minimum-difficulty.value\":16}]}\n";
  translator->on_miner_bytes(*test.miner, as_bytes(configure), now);
  pump();
  ASSERT_EQ(test.works.size(), 2u);
  EXPECT_EQ(test.works[1]->difficulty, 16);
  EXPECT_EQ(test.works[1]->job.ntime, test.works[0]->job.ntime + 1);
}

TEST_F(TranslatorTest, AMinerWithoutSharesIsMadeEasierAndTheUpstreamIsTold) {
  make({.extranonce2_size = 4, .min_hash_rate_hps = 1e6, .shares_per_minute = 6, .keepalive = Duration::zero()});
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
  make({.extranonce2_size = 4, .min_hash_rate_hps = 1, .shares_per_minute = 60, .keepalive = Duration::zero()});
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
  make({.extranonce2_size = 4, .min_hash_rate_hps = 1e18, .shares_per_minute = 1});
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(0.5));
  EXPECT_EQ(test.works.back()->difficulty, 0.5);
}

TEST_F(TranslatorTest, SuggestionsInASecondGiveOneUpdate) {
  upstream_up();
  auto& test = mining(2);
  for (int i = 1; i <= 20; ++i) {
    const std::string suggest = "{\"id\":50,\"method\":\"mining.suggest_difficulty\",\"params\":[" + std::to_string(i) + "]}\n";
    translator->on_miner_bytes(*test.miner, as_bytes(suggest), now);
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
    translator->on_miner_bytes(*test.miner, as_bytes(suggest), now);
    EXPECT_TRUE(std::isfinite(static_cast<float>(test.miner->hash_rate_hps()))) << value;
    EXPECT_GE(test.miner->hash_rate_hps(), 1e6);
  }
}

TEST_F(TranslatorTest, TheUpstreamsVerdictsAreCountedByCode) {
  upstream_up();
  auto& test = mining(2);
  EXPECT_TRUE(upstream(wire::SubmitSharesSuccess{
      .channel_id = 2, .last_sequence_number = 9, .new_submits_accepted_count = 10, .new_shares_sum = 30}));
  EXPECT_TRUE(upstream(wire::SubmitSharesError{.channel_id = 2, .sequence_number = 10, .error_code = "stale-share"}));
  EXPECT_TRUE(upstream(wire::SubmitSharesError{.channel_id = 2, .sequence_number = 11, .error_code = "stale-share"}));
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

TEST_F(TranslatorTest, ABrokenUpstreamIsGivenUpWithAReason) {
  translator->on_upstream_connected("id", "pool.example", 1, now);
  EXPECT_EQ(code_of(upstream(wire::NewExtendedMiningJob{})), "protocol") << "before SetupConnection was answered";
  EXPECT_EQ(code_of(upstream(wire::SetupConnectionSuccess{.used_version = 3})), "protocol");
  EXPECT_EQ(code_of(upstream(wire::SetupConnectionError{.flags = 4, .error_code = "unsupported-feature-flags"})), "refused");
  translator->on_upstream_lost(now);
  translator->on_upstream_connected("id", "pool.example", 1, now);
  EXPECT_EQ(code_of(tick(seconds(11))), "timed_out");
  translator->on_upstream_lost(now);
  sent.clear();
  upstream_up();
  EXPECT_EQ(code_of(upstream(wire::Reconnect{.new_host = "elsewhere.example", .new_port = 1})), "reconnect");
  wire::FrameBuffer raw;
  raw.push_raw({.message_type = wire::SetTarget::kType}, std::vector<std::uint8_t>{1, 2, 3});
  const std::vector<wire::FrameView> frames(raw.begin(), raw.end());
  EXPECT_EQ(code_of(translator->on_upstream_frames(frames, now)), "protocol");
}

TEST_F(TranslatorTest, AnUnansweredOpenGivesTheUpstreamUp) {
  upstream_up();
  connect();
  EXPECT_TRUE(tick(seconds(19)));
  EXPECT_EQ(code_of(tick(seconds(1))), "timed_out");
}

TEST_F(TranslatorTest, AnUpstreamThatGivesTooLittleOrTooMuchExtranonceIsGivenUp) {
  for (const auto& [prefix, size] : {std::pair<std::size_t, std::uint16_t>{6, 3}, {20, 13}, {2, 40}}) {
    SetUp();
    miners.clear();
    sent.clear();
    upstream_up();
    connect();
    const auto open = next<wire::OpenExtendedMiningChannel>();
    const std::vector<std::uint8_t> bytes(prefix, 1);
    EXPECT_EQ(code_of(upstream(wire::OpenExtendedMiningChannelSuccess{
                  .request_id = open.request_id, .channel_id = 2, .extranonce_size = size, .extranonce_prefix = bytes})),
              "protocol")
        << prefix << " " << size;
  }
}

TEST_F(TranslatorTest, AChannelIdGivenTwiceEndsTheUpstream) {
  upstream_up();
  mining(2);
  auto& gone = connect();
  const std::uint32_t request_id = next<wire::OpenExtendedMiningChannel>().request_id;
  leave(gone);
  EXPECT_EQ(code_of(upstream(
                wire::OpenExtendedMiningChannelSuccess{.request_id = request_id, .channel_id = 2, .extranonce_size = 16})),
            "protocol")
      << "also to one that left: the channel in use is not closed for it";
  EXPECT_TRUE(sent.empty());
  connect();
  const auto open = next<wire::OpenExtendedMiningChannel>();
  EXPECT_EQ(code_of(upstream(
                wire::OpenExtendedMiningChannelSuccess{.request_id = open.request_id, .channel_id = 2, .extranonce_size = 16})),
            "protocol");
}

TEST_F(TranslatorTest, AMinerThatStaysSilentOrFindsNoPoolIsSentAway) {
  auto& silent = translator->add_miner("192.0.2.9:1", now);
  auto& waiting = connect();
  EXPECT_TRUE(tick(seconds(89)));
  EXPECT_EQ(silent.ended(), "");
  EXPECT_TRUE(tick(seconds(1)));
  EXPECT_EQ(silent.ended(), "it did not subscribe and authorize in time");
  EXPECT_EQ(waiting.miner->ended(), "no pool to work for");
  EXPECT_NE(waiting.heard.find("[20,\"no pool to work for\",null]"), std::string::npos);
}

TEST_F(TranslatorTest, OneAbusiveMinerCostsTheOthersNothing) {
  upstream_up();
  auto& healthy = mining(2);
  for (const auto& line : {std::string(1 << 20, 'x'), std::string(20000, '['),
                           "nonsense\n" + std::string(100, '\n') + "{}\n{}\n{}\n{}\n{}\n{}\n{}\n"}) {
    auto& abusive = translator->add_miner("192.0.2.66:1", now);
    translator->on_miner_bytes(abusive, as_bytes(line), now);
    EXPECT_NE(abusive.ended(), "");
    translator->on_miner_bytes(abusive, as_bytes(line), now);
    translator->remove_miner(abusive, now);
  }
  EXPECT_EQ(submit(healthy, 1), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().channel_id, 2u);
  EXPECT_TRUE(sent.empty());
}

// SV2 03 §3.4.1: with the channel bit a message of an unknown extension is for whoever stands behind the channel. Behind ours
// stand SV1 miners, who have no such messages, so the channel ends here; without the bit it is for us anyhow. Ignored both.
TEST_F(TranslatorTest, MessagesOfUnknownExtensionsAreIgnoredWithAndWithoutTheChannelBit) {
  upstream_up();
  auto& test = mining(2);
  const auto heard = test.heard.size();
  for (const bool for_channel : {true, false}) {
    for (const std::vector<std::uint8_t>& payload : {std::vector<std::uint8_t>{2, 0, 0, 0, 9, 9}, {77, 0, 0, 0}, {1}, {}}) {
      EXPECT_TRUE(upstream_raw({.extension_type = 0x4ad1, .channel_message = for_channel, .message_type = 0x1f}, payload));
    }
  }
  EXPECT_EQ(test.heard.size(), heard) << "no SV2 byte reaches an SV1 miner";
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(translator->counters().unknown_extension_messages, 8u);
  EXPECT_EQ(submit(test, 1), 0);
}

// ---- Extension negotiation (ext 0x0001).

TEST_F(TranslatorTest, ExtensionsAreRequestedBeforeAnythingElse) {
  make({.extensions = {0x0002}});
  auto& test = connect();
  upstream_up();
  const auto request = next<wire::RequestExtensions>();
  ASSERT_EQ(request.requested_extensions.size(), 1u);
  EXPECT_EQ(request.requested_extensions[0], 0x0002);
  const std::uint16_t request_id = request.request_id;
  EXPECT_TRUE(sent.empty()) << "no open before the answer";
  EXPECT_FALSE(translator->upstream_ready());
  const std::vector<std::uint16_t> granted = {0x0002, 0x0777};
  EXPECT_TRUE(upstream(wire::RequestExtensionsSuccess{.request_id = static_cast<std::uint16_t>(request_id + 1)}));
  EXPECT_FALSE(translator->upstream_ready()) << "that answers another request";
  EXPECT_TRUE(upstream(wire::RequestExtensionsSuccess{.request_id = request_id, .supported_extensions = granted}));
  EXPECT_TRUE(translator->upstream_ready());
  open_success(2);
  first_job(2, 5);
  EXPECT_EQ(submit(test, 1), 0);
  EXPECT_EQ(to_hex(next_share_fields()),
            "020001"
            "0100"
            "77")
      << "little-endian: extension, field, length, 'w'";
}

TEST_F(TranslatorTest, AServerThatIgnoresNegotiationIsUsedWithoutExtensions) {
  make({.extensions = {0x0002}, .negotiation_timeout = seconds(3)});
  auto& test = connect();
  upstream_up();
  const std::uint16_t request_id = next<wire::RequestExtensions>().request_id;
  EXPECT_TRUE(tick(seconds(2)));
  EXPECT_TRUE(sent.empty());
  EXPECT_TRUE(tick(seconds(1)));
  open_success(2);
  first_job(2, 5);
  EXPECT_EQ(submit(test, 1), 0);
  EXPECT_TRUE(next_share_fields().empty());
  const std::vector<std::uint16_t> granted = {0x0002};
  EXPECT_TRUE(upstream(wire::RequestExtensionsSuccess{.request_id = request_id, .supported_extensions = granted}));
  EXPECT_EQ(submit(test, 2), 0);
  EXPECT_FALSE(next_share_fields().empty()) << "a late answer counts from then on";
}

TEST_F(TranslatorTest, ARequiredExtensionThatIsNotThereRefusesTheUpstream) {
  make({.required_extensions = {0x0002}, .negotiation_timeout = seconds(3)});
  upstream_up();
  const std::uint16_t request_id = next<wire::RequestExtensions>().request_id;
  const std::vector<std::uint16_t> unsupported = {0x0002};
  const auto refused = upstream(wire::RequestExtensionsError{.request_id = request_id, .unsupported_extensions = unsupported});
  EXPECT_EQ(code_of(refused), "refused");
  EXPECT_NE(refused.error().message().find("0x0002"), std::string::npos);
  translator->on_upstream_lost(now);
  sent.clear();
  upstream_up();
  EXPECT_EQ(code_of(tick(seconds(3))), "refused") << "silence is no support";
}

TEST_F(TranslatorTest, AnErrorWithoutRequirementsIsGoneOnFromAndOneWithThemIsNot) {
  make({.extensions = {0x0002}});
  upstream_up();
  const std::vector<std::uint16_t> list = {0x0002};
  EXPECT_TRUE(upstream(
      wire::RequestExtensionsError{.request_id = next<wire::RequestExtensions>().request_id, .unsupported_extensions = list}));
  EXPECT_TRUE(translator->upstream_ready());
  translator->on_upstream_lost(now);
  upstream_up();
  const std::vector<std::uint16_t> other = {0x0005};
  const auto refused = upstream(
      wire::RequestExtensionsError{.request_id = next<wire::RequestExtensions>().request_id, .required_extensions = other});
  EXPECT_EQ(code_of(refused), "refused");
  EXPECT_NE(refused.error().message().find("0x0005"), std::string::npos);
}

TEST_F(TranslatorTest, NoExtensionIsAskedForByDefault) {
  connect();
  upstream_up();
  next<wire::OpenExtendedMiningChannel>();
}

// SV2 03 §3.6.4.
TEST_F(TranslatorTest, AChangedEndpointIsAskedForItsExtensionsAnew) {
  make({.extensions = {0x0002}});
  auto& test = connect();
  upstream_up();
  const std::vector<std::uint16_t> granted = {0x0002};
  EXPECT_TRUE(upstream(wire::RequestExtensionsSuccess{.request_id = next<wire::RequestExtensions>().request_id,
                                                      .supported_extensions = granted}));
  open_success(2);
  first_job(2, 5);
  EXPECT_TRUE(upstream(wire::ChannelEndpointChanged{.channel_id = 2}));
  const std::uint16_t request_id = next<wire::RequestExtensions>().request_id;
  EXPECT_EQ(submit(test, 1), 0);
  EXPECT_TRUE(next_share_fields().empty());
  EXPECT_TRUE(upstream(wire::RequestExtensionsSuccess{.request_id = request_id, .supported_extensions = granted}));
  EXPECT_EQ(submit(test, 2), 0);
  EXPECT_FALSE(next_share_fields().empty());
}

// ext 0x0002 §1.1: at most 32 bytes of UTF-8, not padded.
TEST(WorkerIdentity, IsCutBetweenCharactersAndIsAlwaysUtf8) {
  EXPECT_EQ(worker_identity("Worker_001", "miner1"), "Worker_001");
  EXPECT_EQ(worker_identity("", "miner1"), "miner1");
  EXPECT_EQ(worker_identity(std::string(40, 'a'), ""), std::string(32, 'a'));
  EXPECT_EQ(worker_identity(std::string(31, 'a') + "\u00e9", ""), std::string(31, 'a')) << "half a character is none";
  EXPECT_EQ(worker_identity(std::string(30, 'a') + "\u00e9", ""), std::string(30, 'a') + "\u00e9");
  EXPECT_EQ(worker_identity("\xe9t\xe9", ""), "?t?") << "Latin-1";
  EXPECT_EQ(worker_identity("a\nb\x7f\xc2\x85", ""), "a?b???") << "control characters";
  EXPECT_EQ(worker_identity("\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80", ""), "?????????") << "overlong, surrogate, too large";
}

// ---- The published example key (docs/design.md §7).

TEST_F(TranslatorTest, AnExampleKeyIsMinedUnderOnRegtestAlone) {
  upstream_up(0, true);
  auto& test = connect();
  open_success(2);
  EXPECT_TRUE(job(2, 5));
  const auto refused = tip(2, 5, 7, kHardNbits);
  EXPECT_EQ(code_of(refused), "configuration");
  EXPECT_NE(refused.error().message().find("authority_pubkey"), std::string::npos) << "says what to do";
  EXPECT_TRUE(test.works.empty()) << "nothing is mined under it";
  translator->on_upstream_lost(now);
  sent.clear();
  upstream_up(0, true);
  open_success(2);
  EXPECT_TRUE(job(2, 5));
  EXPECT_TRUE(tip(2, 5, 7, 0x207fffff));
  EXPECT_EQ(test.works.size(), 1u);
  EXPECT_TRUE(job(2, 6));
  EXPECT_EQ(code_of(tip(2, 6, 8, 0x1e0377ae)), "configuration") << "signet, at a later tip";
  EXPECT_EQ(test.works.size(), 1u);
}

TEST_F(TranslatorTest, AReconnectIsHandedToTheDriver) {
  upstream_up();
  EXPECT_EQ(code_of(upstream(wire::Reconnect{.new_host = "elsewhere.example", .new_port = 444})), "reconnect");
  EXPECT_EQ(translator->reconnect().host, "elsewhere.example");
  EXPECT_EQ(translator->reconnect().port, 444);
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
  translator->on_miner_bytes(*test.miner, as_bytes(share), now);
  pump();
  EXPECT_EQ(next<wire::SubmitSharesExtended>().version, 0x20c00000u);
}

// shufps/qaxe#33: a difficulty counts from the next notify on, so one must follow.
TEST_F(TranslatorTest, ANewDifficultyIsFollowedByANotify) {
  upstream_up();
  auto& test = mining(2, bitcoin::target_from_difficulty(1e9));
  const auto works = test.works.size();
  const std::string suggest = "{\"id\":50,\"method\":\"mining.suggest_difficulty\",\"params\":[4096]}\n";
  translator->on_miner_bytes(*test.miner, as_bytes(suggest), now);
  pump();
  ASSERT_EQ(test.works.size(), works + 1);
  EXPECT_EQ(test.works.back()->difficulty, 4096);
}

}  // namespace
}  // namespace adit::translator
