#include "roles/translator/translator.h"

#include <gtest/gtest.h>

#include "roles/translator/translator_testing.h"

namespace adit::translator {
namespace {

TEST_F(TranslatorTest, AMinerBecomesAnExtendedChannel) {
  auto& test = connect();
  EXPECT_TRUE(sent.empty()) << "no upstream yet";
  EXPECT_TRUE(test.ready) << "subscribe and authorize need no upstream";
  EXPECT_TRUE(test.works.empty());
  upstream_connected("id");
  EXPECT_TRUE(upstream(wire::SetupConnectionSuccess{.used_version = 2}));
  const auto open = next<wire::OpenExtendedMiningChannel>();
  EXPECT_EQ(open.user_identity, "id.miner1");
  EXPECT_EQ(open.nominal_hash_rate, 1e6f);
  EXPECT_EQ(open.min_extranonce_size, 6) << "two bytes tell the miners apart";
  EXPECT_TRUE(upstream(wire::OpenExtendedMiningChannelSuccess{.request_id = open.request_id,
                                                              .channel_id = 2,
                                                              .target = kAnyHash.to_le(),
                                                              .extranonce_size = 8,
                                                              .extranonce_prefix = std::vector<std::uint8_t>{0xaa, 0xbb},
                                                              .group_channel_id = 1}));
  first_job(2, 5);
  ASSERT_EQ(test.works.size(), 1u);
  const auto& work = *test.works[0];
  EXPECT_TRUE(work.job.clean_jobs);
  EXPECT_EQ(to_hex(work.job.coinbase1), to_hex(coinbase1) + "aabb0000")
      << "the upstream's prefix, then zeros for what it gave beyond 6 bytes";
  EXPECT_EQ(work.extranonce1.size(), 2u);
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

// bitcoin/bitcoin#34420: on testnet4 the bits change after twenty minutes, and back, on the same tip.
TEST_F(TranslatorTest, BitsThatChangeWithoutANewTipReachTheMinersAsCleanJobs) {
  upstream_up();
  auto& test = mining(2);
  const auto before = test.works.back();
  EXPECT_TRUE(job(kGroup, 600));
  EXPECT_TRUE(tip(kGroup, 600, 7, 0x1a0fffff));
  const auto& work = *test.works.back();
  EXPECT_EQ(work.job.nbits, 0x1a0fffffU);
  EXPECT_EQ(work.job.prev_hash, before->job.prev_hash);
  EXPECT_TRUE(work.job.clean_jobs);
  EXPECT_EQ(submit(test, 1), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().job_id, 600u);
}

// As our pool does it behind a SetTarget that is easier (NerdQAxe++).
TEST_F(TranslatorTest, AJobThatComesAgainForOneMemberOfAGroupReachesItsMinerAlone) {
  upstream_up();
  auto& test = mining(2);
  auto& other = mining(3);
  const auto works = test.works.size();
  const auto of_other = other.works.size();
  constexpr std::uint32_t kTwin = 1U << 31;
  EXPECT_TRUE(upstream(wire::SetTarget{.channel_id = 2, .maximum_target = (kAnyHash >> 1).to_le()}));
  EXPECT_TRUE(job(2, kTwin, 1'700'000'000));
  ASSERT_EQ(test.works.size(), works + 1);
  EXPECT_FALSE(test.works.back()->job.clean_jobs);
  EXPECT_EQ(other.works.size(), of_other);
  EXPECT_EQ(submit(test, 1), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().job_id, kTwin);
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
  EXPECT_EQ(to_hex(test.works[1]->job.coinbase1), to_hex(coinbase1) + "ccdd00000001" + std::string(20, '0'));
  EXPECT_EQ(test.works[1]->extranonce1, test.works[0]->extranonce1);
  EXPECT_EQ(submit(test, 2), 0);
}

// Whatever happens upstream, a miner that knows no mining.set_extranonce mines on.
TEST_F(TranslatorTest, TheExtranonceOfAMinerNeverChanges) {
  auto& test = connect();
  auto& other = connect();
  for (std::uint8_t round = 1; round < 4; ++round) {
    upstream_up();
    for (const std::uint8_t channel : {std::uint8_t{2}, std::uint8_t{3}}) {
      const std::vector<std::uint8_t> prefix(round, channel);
      open_success(channel, kAnyHash, prefix, static_cast<std::uint16_t>(8 + round));
      first_job(channel, channel, round);
    }
    EXPECT_EQ(submit(test, round), 0);
    const auto share = next<wire::SubmitSharesExtended>();
    EXPECT_EQ(share.extranonce.size(), 8u + round);
    const auto& work = *test.works.back();
    EXPECT_EQ(to_hex(work.job.coinbase1) + to_hex(work.extranonce1.bytes()) + "01020304",
              to_hex(coinbase1) + to_hex(std::vector<std::uint8_t>(round, 2)) + to_hex(share.extranonce));
    EXPECT_EQ(work.extranonce1, test.works.front()->extranonce1);
    EXPECT_NE(work.extranonce1, other.works.back()->extranonce1) << "and no two miners have the same";
    translator->on_upstream_lost(now);
    sent.clear();
  }
  EXPECT_EQ(test.miner->ended(), "");
  EXPECT_EQ(test.heard.find("set_extranonce"), std::string::npos);
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
  for (const auto& [prefix, size] : {std::pair<std::size_t, std::uint16_t>{6, 5}, {20, 13}, {2, 40}}) {
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
}

TEST_F(TranslatorTest, AMinerThatStaysSilentIsSentAway) {
  auto& silent = translator->add_miner("192.0.2.9:1", now);
  EXPECT_TRUE(tick(seconds(89)));
  EXPECT_EQ(silent.ended(), "");
  EXPECT_TRUE(tick(seconds(1)));
  EXPECT_EQ(silent.ended(), "it did not subscribe and authorize in time");
}

// So that its firmware turns to its next pool.
TEST_F(TranslatorTest, AMinerWithoutWorkForThreeMinutesIsSentAway) {
  auto& waiting = connect();
  EXPECT_TRUE(tick(seconds(179)));
  EXPECT_EQ(waiting.miner->ended(), "");
  EXPECT_TRUE(tick(seconds(1)));
  EXPECT_EQ(waiting.miner->ended(), "no pool to work for");
  leave(waiting);

  upstream_up();
  auto& mined = mining(2);
  EXPECT_TRUE(tick(seconds(400)));
  EXPECT_EQ(mined.miner->ended(), "");
  translator->on_upstream_lost(now);
  sent.clear();
  EXPECT_TRUE(tick(seconds(179)));
  EXPECT_EQ(mined.miner->ended(), "") << "a short loss costs no connection";
  upstream_up();
  open_success(3);
  EXPECT_TRUE(tick(seconds(1)));
  EXPECT_EQ(mined.miner->ended(), "no pool to work for") << "a channel without a job is no work";
}

TEST_F(TranslatorTest, AnotherProtocolAtTheSv1PortIsToldByItsFirstBytesOrBySilence) {
  using namespace std::string_view_literals;
  const auto says = [&](std::string_view bytes) {
    Miner& miner = translator->add_miner("192.0.2.9:1", now);
    miner.on_bytes(as_bytes(bytes), now);
    const auto ended = miner.ended();
    EXPECT_TRUE(ended.empty() || miner.output().empty()) << "it would not understand an answer";
    translator->remove_miner(miner, now);
    return ended;
  };
  EXPECT_NE(says("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03"sv).find("TLS"), std::string::npos);
  EXPECT_NE(says("GET / HTTP/1.1\r\n"sv).find("HTTP"), std::string::npos);
  EXPECT_NE(says("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"sv).find("PROXY protocol header (v1)"), std::string::npos);
  EXPECT_NE(says("\r\n\r\n\0\r\nQUIT\n"sv).find("PROXY protocol header (v2)"), std::string::npos);
  const auto noise = says("\xd7\x01\x02\x03\x04\x05\x06\x07"sv);
  EXPECT_NE(noise.find("Stratum V2 miner"), std::string::npos) << noise;
  EXPECT_NE(noise.find("the pool's port"), std::string::npos) << "says which port it wants";
  EXPECT_EQ(says("{\"id\":1"), "");

  // One byte tells nothing: a handshake may begin with a brace. What is silent behind a few bytes is told by these.
  Miner& brace = translator->add_miner("192.0.2.9:1", now);
  Miner& other = translator->add_miner("192.0.2.9:2", now);
  brace.on_bytes(as_bytes("{"), now);
  other.on_bytes(as_bytes("\xd7{"), now);
  EXPECT_TRUE(tick(seconds(1)));
  EXPECT_EQ(other.ended(), "");
  EXPECT_TRUE(tick(seconds(1)));
  EXPECT_NE(other.ended().find("bytes of another protocol"), std::string::npos);
  EXPECT_EQ(brace.ended(), "");
  brace.on_bytes(as_bytes("\"id\":1,\"method\":\"mining.ping\"}\n"), now);
  EXPECT_NE(brace.output().find("pong"), std::string::npos) << "a slow miner's line is whole";
}

TEST_F(TranslatorTest, ALineInSmallPiecesIsWhole) {
  Miner& miner = translator->add_miner("192.0.2.9:1", now);
  for (const char byte : std::string_view("\n{\"id\":1,\"method\":\"mining.ping\"}\n{\"id\":2,\"method\":\"mining.ping\"}\n"))
    miner.on_bytes(as_bytes(std::string_view(&byte, 1)), now);
  EXPECT_NE(miner.output().find("{\"id\":1,\"result\":\"pong\""), std::string::npos) << miner.output();
  EXPECT_NE(miner.output().find("{\"id\":2,\"result\":\"pong\""), std::string::npos);
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
