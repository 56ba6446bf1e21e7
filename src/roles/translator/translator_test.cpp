#include "roles/translator/translator.h"

#include <gtest/gtest.h>

#include "roles/translator/translator_testing.h"

namespace adit::translator {
namespace {

TEST_F(TranslatorTest, AMinerBecomesAnExtendedChannel) {
  auto& test = connect();
  EXPECT_TRUE(sent.empty()) << "no upstream yet";
  EXPECT_EQ(test.heard.find("\"id\":2"), std::string::npos) << "subscribe waits for the extranonce";
  upstream_connected("id");
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
  EXPECT_EQ(share.sequence_number, 1u);
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

TEST_F(TranslatorTest, ABrokenUpstreamIsGivenUpWithAReason) {
  upstream_connected("id");
  EXPECT_EQ(code_of(upstream(wire::NewExtendedMiningJob{})), "protocol") << "before SetupConnection was answered";
  EXPECT_EQ(code_of(upstream(wire::SetupConnectionSuccess{.used_version = 3})), "protocol");
  EXPECT_EQ(code_of(upstream(wire::SetupConnectionError{.flags = 4, .error_code = "unsupported-feature-flags"})), "refused");
  translator->on_upstream_lost(now);
  upstream_connected("id");
  EXPECT_EQ(code_of(tick(seconds(11))), "timed_out");
  translator->on_upstream_lost(now);
  sent.clear();
  upstream_up();
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
    abusive.on_bytes(as_bytes(line), now);
    EXPECT_NE(abusive.ended(), "");
    abusive.on_bytes(as_bytes(line), now);
    translator->remove_miner(abusive, now);
  }
  EXPECT_EQ(submit(healthy, 1), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().channel_id, 2u);
  EXPECT_TRUE(sent.empty());
}

}  // namespace
}  // namespace adit::translator
