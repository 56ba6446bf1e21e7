#include "mining/server_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <tuple>

#include "mining/server_session_testing.h"

namespace adit::mining {
namespace {

// Setup.

TEST_F(SessionTest, AnythingBeforeSetupConnectionIsAProtocolError) {
  Peer peer(options(), shard_, now_);
  const auto result = peer.send(open_standard());
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(session::Errc::kProtocol));
  EXPECT_TRUE(peer.out.empty());
}

TEST_F(SessionTest, ASecondSetupConnectionIsAProtocolError) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const auto result = peer.send(Peer::setup());
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(session::Errc::kProtocol));
}

TEST_F(SessionTest, OnlyTheMiningProtocolIsServed) {
  Peer peer(options(), shard_, now_);
  auto setup = Peer::setup();
  setup.protocol = std::to_underlying(wire::Protocol::kJobDeclaration);
  const auto result = peer.send(setup);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(session::Errc::kRefused));
  EXPECT_EQ(peer.answer<wire::SetupConnectionError>().error_code, "unsupported-protocol");
  EXPECT_EQ(peer.answer<wire::SetupConnectionError>().flags, 0u);
}

TEST_F(SessionTest, OnlyVersion2IsSpoken) {
  for (const auto& [min, max, ok] : {std::tuple{2, 2, true}, {1, 2, true}, {2, 9, true}, {3, 9, false}, {0, 1, false}}) {
    Peer peer(options(), shard_, now_);
    auto setup = Peer::setup();
    setup.min_version = static_cast<std::uint16_t>(min);
    setup.max_version = static_cast<std::uint16_t>(max);
    EXPECT_EQ(peer.send(setup).has_value(), ok);
    if (!ok) EXPECT_EQ(peer.answer<wire::SetupConnectionError>().error_code, "protocol-version-mismatch");
  }
}

TEST_F(SessionTest, AllUnsupportedFlagsAreListed) {
  Peer peer(options(), shard_, now_);
  const auto result = peer.send(Peer::setup(wire::kRequiresStandardJobs | 1u << 8 | 1u << 9));
  ASSERT_FALSE(result);
  EXPECT_EQ(peer.answer<wire::SetupConnectionError>().flags, 1u << 8 | 1u << 9);
  EXPECT_EQ(peer.answer<wire::SetupConnectionError>().error_code, "unsupported-feature-flags");
}

TEST_F(SessionTest, APayloadThatDoesNotDecodeEndsTheSession) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  wire::FrameBuffer in;
  const std::array<std::uint8_t, 3> garbage = {1, 2, 3};
  ASSERT_TRUE(in.push_raw({.message_type = wire::SubmitSharesStandard::kType}, garbage));
  const auto result = peer.deliver(in);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(session::Errc::kProtocol));
}

TEST_F(SessionTest, AServersMessageFromAClientEndsTheSessionAnUnknownOneIsIgnored) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  wire::FrameBuffer unknown;
  ASSERT_TRUE(unknown.push_raw({.extension_type = 0x4321, .message_type = 0}, {}));
  ASSERT_TRUE(unknown.push_raw({.extension_type = wire::kCore, .message_type = 0xee}, {}));
  EXPECT_TRUE(peer.deliver(unknown));
  EXPECT_TRUE(peer.out.empty());
  EXPECT_FALSE(peer.send(wire::SetTarget{.channel_id = 2}));
}

// Deadlines.

TEST_F(SessionTest, ASilentConnectionEndsAtTheSetupDeadline) {
  Peer peer(options(), shard_, now_);
  now_.instant += session::ServerOptions().setup_timeout - seconds(1);
  EXPECT_TRUE(peer.tick());
  now_.instant += seconds(1);
  const auto result = peer.tick();
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(session::Errc::kIdle));
}

TEST_F(SessionTest, AConnectionWithoutChannelsEndsAtItsDeadline) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const std::uint32_t id = open_standard_on(peer);
  now_.instant += policy_.channel_timeout * 3;
  EXPECT_TRUE(peer.tick()) << "it has a channel";
  ASSERT_TRUE(peer.send(wire::CloseChannel{.channel_id = id, .reason_code = std::string_view("bye")}));
  now_.instant += policy_.channel_timeout - seconds(1);
  EXPECT_TRUE(peer.tick());
  now_.instant += seconds(1);
  EXPECT_FALSE(peer.tick());
}

// Jobs.

TEST_F(SessionTest, LaterJobsGoOnceToTheGroup) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  ASSERT_TRUE(peer.send(open_extended()));
  ASSERT_TRUE(peer.send(open_standard()));
  publish(1);
  peer.job();
  ASSERT_EQ(peer.answers().size(), 1u);
  EXPECT_EQ(peer.answer<wire::NewExtendedMiningJob>().channel_id, 1u);
  EXPECT_TRUE(peer.answer<wire::NewExtendedMiningJob>().min_ntime);
  publish(2);
  peer.job();
  ASSERT_EQ(peer.answers().size(), 2u);
  EXPECT_FALSE(peer.answer<wire::NewExtendedMiningJob>().min_ntime);
  EXPECT_EQ(peer.answer<wire::SetNewPrevHash>(1).channel_id, 1u);
}

TEST_F(SessionTest, RequireStandardJobsGivesEveryChannelItsOwnJob) {
  Peer peer(options(), shard_, now_);
  peer.set_up(wire::kRequiresStandardJobs);
  const std::uint32_t first = open_standard_on(peer);
  const std::uint32_t second = open_standard_on(peer);
  publish(2);
  peer.job();
  ASSERT_EQ(peer.answers().size(), 4u);
  EXPECT_EQ(peer.answer<wire::NewMiningJob>(0).channel_id, first);
  EXPECT_EQ(peer.answer<wire::NewMiningJob>(1).channel_id, second);
  EXPECT_EQ(peer.answer<wire::SetNewPrevHash>(2).channel_id, first);
  EXPECT_EQ(peer.answer<wire::SetNewPrevHash>(3).channel_id, second);
  EXPECT_NE(peer.answer<wire::NewMiningJob>(0).merkle_root, peer.answer<wire::NewMiningJob>(1).merkle_root);
}

TEST_F(SessionTest, WhoRequiresVersionRollingGetsJobsThatAllowIt) {
  Peer peer(options(), shard_, now_);
  peer.set_up(wire::kRequiresVersionRolling);
  ASSERT_TRUE(peer.send(open_extended()));
  EXPECT_TRUE(peer.answer<wire::NewExtendedMiningJob>(1).version_rolling_allowed);
  publish(2);
  peer.job();
  EXPECT_TRUE(peer.answer<wire::NewExtendedMiningJob>(0).version_rolling_allowed);
}

TEST_F(SessionTest, ASessionWithoutChannelsIsToldNoJobs) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  publish(2);
  peer.job();
  EXPECT_TRUE(peer.out.empty());
}

// Shares.

TEST_F(SessionTest, AcceptedSharesAreAcknowledgedInBatches) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const std::uint32_t id = open_standard_on(peer);
  ASSERT_TRUE(peer.send(standard_share(peer, id, 1)));
  EXPECT_TRUE(peer.out.empty());
  ASSERT_TRUE(peer.send(standard_share(peer, id, 2)));
  const auto success = peer.answer<wire::SubmitSharesSuccess>();
  EXPECT_EQ(success.channel_id, id);
  EXPECT_EQ(success.last_sequence_number, 2u);
  EXPECT_EQ(success.new_submits_accepted_count, 2u);
  EXPECT_EQ(shard_.counters().shares_accepted, 2u);
  EXPECT_GT(shard_.counters().work_sum, channels::Work());
}

TEST_F(SessionTest, AnUnfilledBatchIsAcknowledgedAfterTheDelay) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const std::uint32_t id = open_standard_on(peer);
  ASSERT_TRUE(peer.send(standard_share(peer, id, 1)));
  now_.instant += policy_.max_ack_delay;
  ASSERT_TRUE(peer.tick());
  EXPECT_EQ(peer.answer<wire::SubmitSharesSuccess>().new_submits_accepted_count, 1u);
  now_.instant += policy_.max_ack_delay;
  ASSERT_TRUE(peer.tick());
  EXPECT_TRUE(peer.out.empty());
}

TEST_F(SessionTest, RefusedSharesAreAnsweredAtOnceWithTheirSequenceNumberAndCode) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const std::uint32_t id = open_standard_on(peer);
  const auto share = standard_share(peer, id, 1);
  ASSERT_TRUE(peer.send(share));
  const auto refused = [&](const auto& message) -> std::string {
    EXPECT_TRUE(peer.send(message));
    const auto error = peer.answer<wire::SubmitSharesError>();
    EXPECT_EQ(error.sequence_number, message.sequence_number);
    EXPECT_EQ(error.channel_id, message.channel_id);
    return std::string(error.error_code.view());
  };
  auto wrong = share;
  wrong.sequence_number = 99;
  EXPECT_EQ(refused(wrong), "duplicate-share");
  wrong.job_id = 1234;
  EXPECT_EQ(refused(wrong), "invalid-job-id");
  wrong.channel_id = 55;
  EXPECT_EQ(refused(wrong), "invalid-channel-id");
  const std::array<std::uint8_t, 16> extranonce{};
  EXPECT_EQ(refused(wire::SubmitSharesExtended{.channel_id = id, .sequence_number = 3, .extranonce = extranonce}),
            "invalid-channel-id")
      << "a standard channel takes no extended shares";
  publish(2);
  peer.job();
  EXPECT_EQ(refused(share), "stale-share");
  EXPECT_EQ(shard_.counters().shares_rejected_total(), 5u);
  EXPECT_EQ(shard_.counters().shares_rejected[static_cast<std::size_t>(ShareVerdict::kInvalidChannel)], 2u);
}

TEST_F(SessionTest, SharesThatArriveTogetherAreJudgedAsIfOneByOne) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const std::uint32_t first = open_standard_on(peer);
  const std::uint32_t second = open_standard_on(peer);
  const auto good = standard_share(peer, first, 1);
  auto again = good;
  again.sequence_number = 2;
  auto unknown = good;
  unknown.sequence_number = 3;
  unknown.channel_id = 77;
  const auto other = standard_share(peer, second, 4);
  wire::FrameBuffer in;
  for (const auto& share : {good, again, unknown, other}) ASSERT_TRUE(in.push(share));
  ASSERT_TRUE(peer.deliver(in));
  EXPECT_EQ(shard_.counters().shares_accepted, 2u);
  ASSERT_EQ(peer.answers().size(), 2u);
  EXPECT_EQ(peer.answer<wire::SubmitSharesError>(0).error_code, "duplicate-share");
  EXPECT_EQ(peer.answer<wire::SubmitSharesError>(1).error_code, "invalid-channel-id");

  // What stands before one that does not decode is answered.
  in.clear();
  ASSERT_TRUE(in.push(again));
  const std::array<std::uint8_t, 3> garbage{};
  ASSERT_TRUE(in.push_raw({.message_type = wire::SubmitSharesStandard::kType}, garbage));
  const auto result = peer.deliver(in);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(session::Errc::kProtocol));
  EXPECT_EQ(peer.answer<wire::SubmitSharesError>().error_code, "duplicate-share");
}

TEST_F(SessionTest, ExtendedSharesFromAClientThatFollowsTheMessagesAreAccepted) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  ASSERT_TRUE(peer.send(open_extended()));
  ClientChannel client(peer.answer<wire::OpenExtendedMiningChannelSuccess>(0));
  std::uint32_t sequence = 0;
  const auto follow = [&] {
    for (const wire::FrameView& frame : peer.answers()) {
      if (const auto job = frame.as<wire::NewExtendedMiningJob>()) {
        ASSERT_TRUE(client.addressed_by(job->channel_id));
        ASSERT_TRUE(client.on_new_extended_mining_job(*job, channels::copy_work(*job)));
      } else if (const auto tip = frame.as<wire::SetNewPrevHash>()) {
        ASSERT_TRUE(client.addressed_by(tip->channel_id));
        ASSERT_TRUE(client.on_set_new_prev_hash(*tip));
      }
    }
  };
  const auto mine_and_submit = [&] {
    const std::array<std::uint8_t, 16> extranonce = {9, static_cast<std::uint8_t>(sequence)};
    channels::Share share{.job_id = client.current()->id,
                          .sequence_number = ++sequence,
                          .ntime = client.current()->ntime,
                          .version = client.current()->rules.version,
                          .extranonce = extranonce};
    while (client.check(share, now_.unix_time).verdict != ShareVerdict::kAccepted) ++share.nonce;
    const std::uint64_t before = shard_.counters().shares_accepted;
    ASSERT_TRUE(peer.send(wire::SubmitSharesExtended{.channel_id = client.id(),
                                                     .sequence_number = share.sequence_number,
                                                     .job_id = share.job_id,
                                                     .nonce = share.nonce,
                                                     .ntime = share.ntime,
                                                     .version = share.version,
                                                     .extranonce = extranonce}));
    EXPECT_EQ(shard_.counters().shares_accepted, before + 1) << "job " << share.job_id;
  };
  follow();
  mine_and_submit();
  publish(1);  // A group's job on the same tip.
  peer.job();
  follow();
  mine_and_submit();
  publish(2);  // And on a new one.
  peer.job();
  follow();
  mine_and_submit();
}

TEST_F(SessionTest, AFoundBlockIsReportedWholeAndAcknowledgedAtOnce) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  ASSERT_TRUE(peer.send(open_extended()));
  const auto opened = peer.answer<wire::OpenExtendedMiningChannelSuccess>(0);
  const std::uint32_t id = opened.channel_id;
  publish(2, kRegtestBits);
  peer.job();
  const channels::Job& job = *shard_.jobs().current();
  const std::array<std::uint8_t, 16> extranonce = {1, 2, 3, 4};
  const auto share =
      channels::testing::mine(job, {.job_id = job.id, .ntime = kNtime, .version = job.rules.version, .extranonce = {}},
                              channel_of(peer, id).full_extranonce(extranonce), job.rules.network_target);
  ASSERT_TRUE(peer.send(wire::SubmitSharesExtended{.channel_id = id,
                                                   .sequence_number = 5,
                                                   .job_id = job.id,
                                                   .nonce = share.nonce,
                                                   .ntime = share.ntime,
                                                   .version = share.version,
                                                   .extranonce = extranonce}));
  EXPECT_EQ(peer.answer<wire::SubmitSharesSuccess>().new_submits_accepted_count, 1u);
  ASSERT_EQ(events_.blocks.size(), 1u);
  EXPECT_EQ(events_.users[0], "miner.2");
  const auto block = bitcoin::assemble_block(*events_.blocks[0].block_template, events_.blocks[0].solution);
  ASSERT_TRUE(block);
  EXPECT_EQ(block->hash, events_.blocks[0].hash);
  EXPECT_TRUE(bitcoin::meets_target(block->hash, job.rules.network_target));
  EXPECT_EQ(shard_.counters().blocks_found, 1u);
}

// The ledger.

/// The counts of those acknowledgements, by channel.
std::map<std::uint32_t, std::uint32_t> acknowledged(const wire::FrameBuffer& frames) {
  std::map<std::uint32_t, std::uint32_t> counts;
  for (const wire::FrameView& frame : frames) {
    const auto success = frame.as<wire::SubmitSharesSuccess>();
    EXPECT_TRUE(success) << wire::to_string(frame);
    if (success) counts[success->channel_id] += success->new_submits_accepted_count;
  }
  return counts;
}
using Counts = std::map<std::uint32_t, std::uint32_t>;

TEST_F(SessionTest, ABatchIsAcknowledgedOnceTheLedgerHasItsLastShare) {
  events_.last_position = 0;
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const std::uint32_t one = open_standard_on(peer);
  const std::uint32_t two = open_standard_on(peer);
  for (const std::uint32_t sequence : {1, 2, 3, 4, 5}) {
    ASSERT_TRUE(peer.send(standard_share(peer, one, sequence)));
    EXPECT_TRUE(peer.out.empty());
  }
  EXPECT_EQ(events_.shares.back().sequence_number, 5u);
  EXPECT_EQ(events_.shares.back().channel_id, one);
  ASSERT_TRUE(peer.send(standard_share(peer, two, 6)));
  ASSERT_TRUE(peer.send(standard_share(peer, two, 7)));
  EXPECT_FALSE(peer.session().settled());
  shard_.on_durable(1);
  EXPECT_TRUE(events_.answers.empty()) << "the batch has a second share";
  shard_.on_durable(5);
  EXPECT_EQ(acknowledged(events_.answers[&peer.session()]), (Counts{{one, 5}})) << "what came meanwhile follows at once";
  shard_.on_durable(7);
  EXPECT_EQ(acknowledged(events_.answers[&peer.session()]), (Counts{{one, 5}, {two, 2}}));
  EXPECT_TRUE(peer.session().settled());
  now_.instant += policy_.max_ack_delay;
  ASSERT_TRUE(peer.tick());
  EXPECT_TRUE(peer.out.empty());
}

TEST_F(SessionTest, WhatALedgerNeverHasIsNeverAcknowledgedNotEvenAtTheEnd) {
  events_.last_position = 0;
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const std::uint32_t id = open_standard_on(peer);
  ASSERT_TRUE(peer.send(standard_share(peer, id, 1)));
  wire::FrameBuffer out;
  peer.session().finish(out);
  EXPECT_TRUE(out.empty());
  now_.instant += policy_.max_ack_delay * 10;
  ASSERT_TRUE(peer.tick());
  EXPECT_TRUE(peer.out.empty());
  EXPECT_FALSE(peer.session().settled());
}

TEST_F(SessionTest, SharesOfAClosedChannelAreAcknowledgedWhenTheLedgerHasThem) {
  events_.last_position = 0;
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const std::uint32_t id = open_standard_on(peer);
  for (const std::uint32_t sequence : {1, 2, 3}) ASSERT_TRUE(peer.send(standard_share(peer, id, sequence)));
  ASSERT_TRUE(peer.send(wire::CloseChannel{.channel_id = id, .reason_code = {}}));
  EXPECT_TRUE(peer.out.empty());
  shard_.on_durable(2);
  EXPECT_EQ(acknowledged(events_.answers[&peer.session()]), (Counts{{id, 2}}));
  shard_.on_durable(3);
  EXPECT_EQ(acknowledged(events_.answers[&peer.session()]), (Counts{{id, 3}}));
  EXPECT_TRUE(peer.session().settled());
}

TEST_F(SessionTest, ASessionThatEndsWhileItWaitsIsToldNothing) {
  events_.last_position = 0;
  {
    Peer peer(options(), shard_, now_);
    peer.set_up();
    const std::uint32_t id = open_standard_on(peer);
    for (const std::uint32_t sequence : {1, 2}) ASSERT_TRUE(peer.send(standard_share(peer, id, sequence)));
  }
  shard_.on_durable(2);
  EXPECT_TRUE(events_.answers.empty());
}

TEST_F(SessionTest, ABlocksShareWaitsUntilTheBlockIsKeptAndSoDoWhatCameWithIt) {
  events_.keeps_blocks = true;
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const std::uint32_t finder = open_standard_on(peer);
  const std::uint32_t other = open_standard_on(peer);
  publish(2, kRegtestBits);
  peer.job();
  const auto block_share = [&](std::uint32_t sequence) {
    const channels::Job& job = *shard_.jobs().current();
    const auto share = channels::testing::mine(
        job, {.job_id = job.id, .nonce = sequence << 24, .ntime = kNtime, .version = job.rules.version, .extranonce = {}},
        channel_of(peer, finder).full_extranonce({}), job.rules.network_target);
    return wire::SubmitSharesStandard{.channel_id = finder,
                                      .sequence_number = sequence,
                                      .job_id = job.id,
                                      .nonce = share.nonce,
                                      .ntime = share.ntime,
                                      .version = share.version};
  };
  ASSERT_TRUE(peer.send(block_share(1)));
  ASSERT_TRUE(peer.send(block_share(2)));
  ASSERT_EQ(events_.blocks.size(), 2u);
  EXPECT_TRUE(peer.out.empty());
  publish(3);
  peer.job();
  for (const std::uint32_t sequence : {3, 4}) ASSERT_TRUE(peer.send(standard_share(peer, other, sequence)));
  EXPECT_EQ(acknowledged(peer.out), (Counts{{other, 2}})) << "another channel found nothing";
  shard_.on_block_kept(events_.blocks[1].hash);
  EXPECT_TRUE(events_.answers.empty()) << "the first is not kept yet";
  shard_.on_block_kept(channels::testing::hash_of(std::uint8_t{9}));
  EXPECT_TRUE(events_.answers.empty()) << "nobody's here";
  shard_.on_block_kept(events_.blocks[0].hash);
  EXPECT_EQ(acknowledged(events_.answers[&peer.session()]), (Counts{{finder, 2}}));
  EXPECT_TRUE(peer.session().settled());
}

TEST_F(SessionTest, AnIdleSessionWithOneStandardChannelTakesLittleMemory) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  open_standard_on(peer);
  EXPECT_LE(sizeof(ServerSession) + sizeof(channels::Channel), 1104u);
}

}  // namespace
}  // namespace adit::mining
