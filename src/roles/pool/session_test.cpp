#include "roles/pool/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <cmath>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "roles/pool/session_model.h"
#include "roles/pool/session_testing.h"

namespace adit::pool {
namespace {

// Setup.

TEST_F(SessionTest, AnythingBeforeSetupConnectionIsAProtocolError) {
  Peer peer(shard_, now_);
  const auto result = peer.send(open_standard());
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kProtocol));
  EXPECT_TRUE(peer.out.empty());
}

TEST_F(SessionTest, ASecondSetupConnectionIsAProtocolError) {
  Peer peer(shard_, now_);
  peer.set_up();
  const auto result = peer.send(Peer::setup());
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kProtocol));
}

TEST_F(SessionTest, OnlyTheMiningProtocolIsServed) {
  Peer peer(shard_, now_);
  auto setup = Peer::setup();
  setup.protocol = wire::kJobDeclarationProtocol;
  const auto result = peer.send(setup);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kRefused));
  EXPECT_EQ(peer.answer<wire::SetupConnectionError>().error_code, "unsupported-protocol");
  EXPECT_EQ(peer.answer<wire::SetupConnectionError>().flags, 0u);
}

TEST_F(SessionTest, OnlyVersion2IsSpoken) {
  for (const auto& [min, max, ok] : {std::tuple{2, 2, true}, {1, 2, true}, {2, 9, true}, {3, 9, false}, {0, 1, false}}) {
    Peer peer(shard_, now_);
    auto setup = Peer::setup();
    setup.min_version = static_cast<std::uint16_t>(min);
    setup.max_version = static_cast<std::uint16_t>(max);
    EXPECT_EQ(peer.send(setup).has_value(), ok);
    if (!ok) EXPECT_EQ(peer.answer<wire::SetupConnectionError>().error_code, "protocol-version-mismatch");
  }
}

TEST_F(SessionTest, AllUnsupportedFlagsAreListed) {
  Peer peer(shard_, now_);
  const auto result = peer.send(Peer::setup(wire::kRequiresStandardJobs | wire::kRequiresWorkSelection | 1u << 9));
  ASSERT_FALSE(result);
  EXPECT_EQ(peer.answer<wire::SetupConnectionError>().flags, wire::kRequiresWorkSelection | 1u << 9);
  EXPECT_EQ(peer.answer<wire::SetupConnectionError>().error_code, "unsupported-feature-flags");
  EXPECT_EQ(shard_.counters().setups_refused, 1u);
}

TEST_F(SessionTest, APayloadThatDoesNotDecodeEndsTheSession) {
  Peer peer(shard_, now_);
  peer.set_up();
  wire::FrameBuffer in;
  const std::array<std::uint8_t, 3> garbage = {1, 2, 3};
  ASSERT_TRUE(in.push_raw({.message_type = wire::SubmitSharesStandard::kType}, garbage));
  EXPECT_FALSE(peer.deliver(in));
}

TEST_F(SessionTest, AServersMessageFromAClientEndsTheSessionAnUnknownOneIsIgnored) {
  Peer peer(shard_, now_);
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
  Peer peer(shard_, now_);
  now_.instant += policy_.setup_timeout - seconds(1);
  EXPECT_TRUE(peer.tick());
  now_.instant += seconds(1);
  const auto result = peer.tick();
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kIdle));
}

TEST_F(SessionTest, AConnectionWithoutChannelsEndsAtItsDeadline) {
  Peer peer(shard_, now_);
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

// Opening channels.

TEST_F(SessionTest, AStandardChannelGetsItsFutureJobThenSetNewPrevHash) {
  Peer peer(shard_, now_);
  peer.set_up();
  ASSERT_TRUE(peer.send(open_standard()));
  const auto opened = peer.answer<wire::OpenStandardMiningChannelSuccess>(0);
  EXPECT_EQ(opened.request_id, 7u);
  EXPECT_EQ(opened.channel_id, 2u);
  EXPECT_EQ(opened.group_channel_id, 1u);
  EXPECT_EQ(opened.extranonce_prefix.size(), channels::kFullExtranonceSize);
  EXPECT_EQ(bitcoin::U256::from_le(opened.target), bitcoin::target_from_hash_rate(1, 6));
  const auto job = peer.answer<wire::NewMiningJob>(1);
  EXPECT_EQ(job.channel_id, 2u);
  EXPECT_FALSE(job.min_ntime);
  EXPECT_EQ(job.merkle_root, shard_.jobs().current()->merkle_root(opened.extranonce_prefix));
  EXPECT_EQ(peer.answer<wire::SetNewPrevHash>(2).job_id, job.job_id);
  EXPECT_EQ(shard_.counters().standard_channels, 1u);
  EXPECT_THAT(events_.opened, ::testing::ElementsAre(2));
}

TEST_F(SessionTest, AnExtendedChannelGetsItsFutureJobThenSetNewPrevHash) {
  Peer peer(shard_, now_);
  peer.set_up();
  ASSERT_TRUE(peer.send(open_extended()));
  const auto opened = peer.answer<wire::OpenExtendedMiningChannelSuccess>(0);
  EXPECT_EQ(opened.extranonce_size, channels::kRollableExtranonceSize);
  EXPECT_EQ(opened.extranonce_prefix.size() + opened.extranonce_size, channels::kFullExtranonceSize);
  EXPECT_EQ(peer.answer<wire::NewExtendedMiningJob>(1).channel_id, opened.channel_id);
  EXPECT_EQ(peer.answer<wire::SetNewPrevHash>(2).channel_id, opened.channel_id);
  EXPECT_EQ(shard_.counters().extended_channels, 1u);
}

TEST_F(SessionTest, AChannelOpenedBeforeTheFirstTemplateGetsItsJobWhenItComes) {
  PoolShard empty(policy_, {.server_id = 2}, events_);
  Peer peer(empty, now_);
  peer.set_up();
  ASSERT_TRUE(peer.send(open_standard()));
  EXPECT_EQ(peer.answers().size(), 1u);
  channels::JobFactory factory = channels::testing::make_factory();
  empty.set_job(*factory.make(make_template(1, 1)));
  peer.job();
  EXPECT_EQ(peer.answer<wire::NewMiningJob>(0).channel_id, 2u);
  EXPECT_TRUE(peer.answers()[1].is<wire::SetNewPrevHash>());
}

TEST_F(SessionTest, ExtranoncePrefixesOfAllChannelsDiffer) {
  std::set<std::vector<std::uint8_t>> prefixes;
  Peer first(shard_, now_);
  Peer second(shard_, now_);
  for (Peer* peer : {&first, &second}) {
    peer->set_up();
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(peer->send(open_extended()));
      const Bytes prefix = peer->answer<wire::OpenExtendedMiningChannelSuccess>().extranonce_prefix;
      EXPECT_TRUE(prefixes.insert({prefix.begin(), prefix.end()}).second);
      ASSERT_TRUE(peer->send(open_standard()));
      const Bytes full = peer->answer<wire::OpenStandardMiningChannelSuccess>().extranonce_prefix;
      EXPECT_TRUE(prefixes.insert({full.begin(), full.begin() + channels::kExtranoncePrefixSize}).second);
    }
  }
}

TEST_F(SessionTest, MembersOfAGroupHaveFullExtranoncesOfOneSizeOfAtMost32Bytes) {
  Peer peer(shard_, now_);
  peer.set_up();
  ASSERT_TRUE(peer.send(open_standard()));
  const auto standard = peer.answer<wire::OpenStandardMiningChannelSuccess>();
  ASSERT_TRUE(peer.send(open_extended()));
  const auto extended = peer.answer<wire::OpenExtendedMiningChannelSuccess>();
  ASSERT_EQ(standard.group_channel_id, extended.group_channel_id);
  EXPECT_EQ(standard.extranonce_prefix.size(), extended.extranonce_prefix.size() + extended.extranonce_size);
  EXPECT_LE(standard.extranonce_prefix.size(), 32u);
}

TEST_F(SessionTest, OpensThatCannotBeServedAreRefusedWithTheirReason) {
  policy_.max_channels = 1;
  Peer peer(shard_, now_);
  peer.set_up();
  const auto code = [&](const auto& message) -> std::string {
    EXPECT_TRUE(peer.send(message));
    return std::string(peer.answer<wire::OpenMiningChannelError>().error_code.view());
  };
  EXPECT_EQ(code(open_standard(std::nanf(""))), "invalid-nominal-hashrate");
  EXPECT_EQ(code(open_standard(INFINITY)), "invalid-nominal-hashrate");
  EXPECT_EQ(code(open_standard(-1)), "invalid-nominal-hashrate");
  EXPECT_EQ(code(open_extended(17)), "min-extranonce-size-too-large");
  auto no_target = open_standard();
  no_target.max_target = {};
  EXPECT_EQ(code(no_target), "max-target-out-of-range");
  auto solo = open_standard();
  solo.user_identity = std::string_view("sri/solo/bcrt1qxyz/worker");
  EXPECT_EQ(code(solo), "invalid-user-identity");
  solo.user_identity = std::string_view("sri/donate/50/bcrt1qxyz");
  EXPECT_EQ(code(solo), "invalid-user-identity");
  solo.user_identity = std::string_view("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080.worker");
  EXPECT_EQ(code(solo), "invalid-user-identity") << "SRI would pay the address itself";
  ASSERT_TRUE(peer.send(open_standard()));
  EXPECT_EQ(peer.answer<wire::OpenStandardMiningChannelSuccess>().channel_id, 2u) << "a refused open uses no id";
  EXPECT_EQ(code(open_standard()), "channel-capacity-exhausted");
}

TEST_F(SessionTest, OpeningAndClosingInALoopIsBoundedUntilTheNextTip) {
  policy_.max_channels = 2;
  Peer peer(shard_, now_);
  peer.set_up();
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(peer.send(open_standard()));
    const auto opened = peer.answer<wire::OpenStandardMiningChannelSuccess>();
    ASSERT_TRUE(peer.send(wire::CloseChannel{.channel_id = opened.channel_id, .reason_code = {}}));
  }
  ASSERT_TRUE(peer.send(open_standard()));
  EXPECT_EQ(peer.answer<wire::OpenMiningChannelError>().error_code.view(), "channel-capacity-exhausted");
}

TEST_F(SessionTest, AShardTakesOnlySoManyChannelsOfAllItsSessions) {
  policy_.max_channels_per_shard = 1;
  Peer first(shard_, now_);
  Peer second(shard_, now_);
  first.set_up();
  second.set_up();
  ASSERT_TRUE(first.send(open_standard()));
  first.answer<wire::OpenStandardMiningChannelSuccess>();
  ASSERT_TRUE(second.send(open_standard()));
  EXPECT_EQ(second.answer<wire::OpenMiningChannelError>().error_code.view(), "channel-capacity-exhausted");
}

TEST_F(SessionTest, ExhaustedExtranonceSpaceRefusesTheOpen) {
  PoolShard small(policy_, {.server_id = 1, .capacity = 1}, events_);
  Peer first(small, now_);
  Peer second(small, now_);
  first.set_up();
  second.set_up();
  ASSERT_TRUE(first.send(open_standard()));
  ASSERT_TRUE(second.send(open_standard()));
  EXPECT_EQ(second.answer<wire::OpenMiningChannelError>().error_code, "channel-capacity-exhausted");
}

TEST_F(SessionTest, RequireStandardJobsRejectsExtendedChannels) {
  Peer peer(shard_, now_);
  peer.set_up(wire::kRequiresStandardJobs);
  ASSERT_TRUE(peer.send(open_extended()));
  EXPECT_EQ(peer.answer<wire::OpenMiningChannelError>().error_code, "extended-channels-not-supported-for-standard-jobs");
}

TEST_F(SessionTest, ChannelIdsAreNotReused) {
  Peer peer(shard_, now_);
  peer.set_up();
  EXPECT_EQ(open_standard_on(peer), 2u);
  EXPECT_EQ(open_standard_on(peer), 3u);
  ASSERT_TRUE(peer.send(wire::CloseChannel{.channel_id = 3, .reason_code = {}}));
  EXPECT_EQ(open_standard_on(peer), 4u);
  EXPECT_EQ(shard_.counters().standard_channels, 2u);
}

// Jobs.

TEST_F(SessionTest, LaterJobsGoOnceToTheGroup) {
  Peer peer(shard_, now_);
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
  Peer peer(shard_, now_);
  peer.set_up(wire::kRequiresStandardJobs);
  const std::uint32_t first = open_standard_on(peer);
  const std::uint32_t second = open_standard_on(peer);
  publish(2);
  peer.job();
  ASSERT_EQ(peer.answers().size(), 4u);
  EXPECT_EQ(peer.answer<wire::NewMiningJob>(0).channel_id, first);
  EXPECT_EQ(peer.answer<wire::SetNewPrevHash>(1).channel_id, first);
  EXPECT_EQ(peer.answer<wire::NewMiningJob>(2).channel_id, second);
  EXPECT_EQ(peer.answer<wire::SetNewPrevHash>(3).channel_id, second);
  EXPECT_NE(peer.answer<wire::NewMiningJob>(0).merkle_root, peer.answer<wire::NewMiningJob>(2).merkle_root);
}

TEST_F(SessionTest, ASessionWithoutChannelsIsToldNoJobs) {
  Peer peer(shard_, now_);
  peer.set_up();
  publish(2);
  peer.job();
  EXPECT_TRUE(peer.out.empty());
}

// Shares.

TEST_F(SessionTest, AcceptedSharesAreAcknowledgedInBatches) {
  Peer peer(shard_, now_);
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
  Peer peer(shard_, now_);
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
  Peer peer(shard_, now_);
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
  Peer peer(shard_, now_);
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
  EXPECT_FALSE(peer.deliver(in));
  EXPECT_EQ(peer.answer<wire::SubmitSharesError>().error_code, "duplicate-share");
}

TEST_F(SessionTest, ExtendedSharesFromAClientThatFollowsTheMessagesAreAccepted) {
  Peer peer(shard_, now_);
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
  Peer peer(shard_, now_);
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

// Targets, vardiff, closing.

TEST_F(SessionTest, UpdateChannelIsAnsweredBySetTargetOrItsError) {
  Peer peer(shard_, now_);
  peer.set_up();
  const std::uint32_t id = open_standard_on(peer);
  ASSERT_TRUE(peer.send(wire::UpdateChannel{.channel_id = id, .nominal_hash_rate = 1e6F, .maximum_target = kAnyTarget}));
  const auto set = peer.answer<wire::SetTarget>();
  EXPECT_EQ(set.channel_id, id);
  EXPECT_EQ(bitcoin::U256::from_le(set.maximum_target), bitcoin::target_from_hash_rate(1e6, 6));
  ASSERT_TRUE(
      peer.send(wire::UpdateChannel{.channel_id = id, .nominal_hash_rate = 1e6F, .maximum_target = bitcoin::U256(9).to_le()}));
  EXPECT_EQ(bitcoin::U256::from_le(peer.answer<wire::SetTarget>().maximum_target), bitcoin::U256(9));
  ASSERT_TRUE(
      peer.send(wire::UpdateChannel{.channel_id = id, .nominal_hash_rate = std::nanf(""), .maximum_target = kAnyTarget}));
  EXPECT_EQ(peer.answer<wire::UpdateChannelError>().error_code, "invalid-nominal-hashrate");
  ASSERT_TRUE(peer.send(wire::UpdateChannel{.channel_id = 77, .nominal_hash_rate = 1, .maximum_target = kAnyTarget}));
  EXPECT_EQ(peer.answer<wire::UpdateChannelError>().error_code, "invalid-channel-id");
}

TEST_F(SessionTest, VardiffSendsSetTarget) {
  Peer peer(shard_, now_);
  peer.set_up();
  ASSERT_TRUE(peer.send(open_standard(1e9F)));
  now_.instant += seconds(61);
  ASSERT_TRUE(peer.tick());
  const auto set = peer.answer<wire::SetTarget>();
  EXPECT_GT(bitcoin::U256::from_le(set.maximum_target), bitcoin::target_from_hash_rate(1e9, 6)) << "no share came: easier";
}

TEST_F(SessionTest, CloseChannelOfTheGroupClosesAllItsMembers) {
  Peer peer(shard_, now_);
  peer.set_up();
  open_standard_on(peer);
  ASSERT_TRUE(peer.send(open_extended()));
  ASSERT_TRUE(peer.send(wire::CloseChannel{.channel_id = 1, .reason_code = {}}));
  EXPECT_TRUE(peer.session.channels().empty());
  EXPECT_EQ(shard_.counters().standard_channels + shard_.counters().extended_channels, 0u);
}

TEST_F(SessionTest, ClosingOneChannelLeavesTheOthersWorking) {
  Peer peer(shard_, now_);
  peer.set_up();
  const std::uint32_t first = open_standard_on(peer);
  const std::uint32_t second = open_standard_on(peer);
  const std::uint32_t third = open_standard_on(peer);
  const auto share = standard_share(peer, third, 1);
  ASSERT_TRUE(peer.send(wire::CloseChannel{.channel_id = second, .reason_code = {}}));
  ASSERT_TRUE(peer.send(share));
  EXPECT_EQ(channel_of(peer, third).stats().accepted, 1u);
  EXPECT_EQ(channel_of(peer, first).stats().accepted, 0u);
}

TEST_F(SessionTest, ASharesChannelClosedIsAnInvalidChannel) {
  Peer peer(shard_, now_);
  peer.set_up();
  const std::uint32_t id = open_standard_on(peer);
  const auto share = standard_share(peer, id, 1);
  ASSERT_TRUE(peer.send(wire::CloseChannel{.channel_id = id, .reason_code = {}}));
  ASSERT_TRUE(peer.send(share));
  EXPECT_EQ(peer.answer<wire::SubmitSharesError>().error_code, "invalid-channel-id");
}

TEST_F(SessionTest, AShareOfAClosedChannelIsWorthNothingOnAnother) {
  std::optional<Peer> thief(std::in_place, shard_, now_);
  thief->set_up();
  const std::uint32_t id = open_standard_on(*thief);
  auto share = standard_share(*thief, id, 1);
  ASSERT_TRUE(thief->send(share));
  EXPECT_EQ(shard_.counters().shares_accepted, 1u);
  thief.emplace(shard_, now_);
  thief->set_up();
  share.channel_id = open_standard_on(*thief);
  ASSERT_TRUE(thief->send(share));
  EXPECT_EQ(shard_.counters().shares_accepted, 1u) << "the prefix rests, so the hash is another one";
}

TEST_F(SessionTest, SetCustomMiningJobIsAnsweredJobDeclarationNotSupported) {
  Peer peer(shard_, now_);
  peer.set_up();
  ASSERT_TRUE(peer.send(wire::SetCustomMiningJob{.channel_id = 2, .request_id = 4}));
  EXPECT_EQ(peer.answer<wire::SetCustomMiningJobError>().error_code, "jd-not-supported");
  EXPECT_EQ(peer.answer<wire::SetCustomMiningJobError>().request_id, 4u);
}

// What the pool does of its own accord.

TEST_F(SessionTest, ANewPrefixIsToldAndIsForLaterJobsOnly) {
  Peer peer(shard_, now_);
  peer.set_up();
  ASSERT_TRUE(peer.send(open_extended()));
  ClientChannel client(peer.answer<wire::OpenExtendedMiningChannelSuccess>(0));
  const std::vector<std::uint8_t> before(client.extranonce_prefix().begin(), client.extranonce_prefix().end());
  peer.out.clear();
  ASSERT_TRUE(peer.session.change_prefix(client.id(), peer.out));
  const auto set = peer.answer<wire::SetExtranoncePrefix>();
  EXPECT_EQ(set.channel_id, client.id());
  EXPECT_EQ(set.extranonce_prefix.size(), before.size());
  EXPECT_FALSE(std::ranges::equal(set.extranonce_prefix, before));
  const auto unknown = peer.session.change_prefix(77, peer.out);
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error().is(Errc::kCannot));
  EXPECT_FALSE(peer.session.change_prefix(channels::kGroupChannelId, peer.out)) << "not for groups";
}

TEST_F(SessionTest, NoPrefixLeftChangesNothing) {
  PoolShard small(policy_, {.server_id = 1, .capacity = 1}, events_);
  Peer peer(small, now_);
  peer.set_up();
  ASSERT_TRUE(peer.send(open_standard()));
  const auto id = peer.answer<wire::OpenStandardMiningChannelSuccess>().channel_id;
  peer.out.clear();
  const auto changed = peer.session.change_prefix(id, peer.out);
  ASSERT_FALSE(changed);
  EXPECT_THAT(changed.error().message(), ::testing::HasSubstr("extranonce prefixes"));
  EXPECT_TRUE(peer.out.empty());
}

TEST_F(SessionTest, ARegroupedChannelHearsItsJobsAtItsNewGroup) {
  Peer peer(shard_, now_);
  peer.set_up();
  const auto first = open_standard_on(peer);
  const auto second = open_standard_on(peer);
  peer.out.clear();
  const std::vector<std::uint32_t> members = {second};
  const auto group = peer.session.regroup(members, peer.out);
  ASSERT_TRUE(group);
  const auto set = peer.answer<wire::SetGroupChannel>();
  EXPECT_EQ(set.group_channel_id, *group);
  ASSERT_EQ(set.channel_ids.size(), 1u);
  EXPECT_EQ(set.channel_ids[0], second);
  publish(2);
  peer.job();
  ASSERT_EQ(peer.answers().size(), 4u) << "a future job and its SetNewPrevHash for each group";
  EXPECT_EQ(peer.answer<wire::NewExtendedMiningJob>(0).channel_id, channels::kGroupChannelId);
  EXPECT_EQ(peer.answer<wire::SetNewPrevHash>(1).channel_id, channels::kGroupChannelId);
  EXPECT_EQ(peer.answer<wire::NewExtendedMiningJob>(2).channel_id, *group);
  EXPECT_EQ(peer.answer<wire::SetNewPrevHash>(3).channel_id, *group);
  EXPECT_EQ(peer.answer<wire::SetNewPrevHash>(3).job_id, peer.answer<wire::NewExtendedMiningJob>(2).job_id);
  ASSERT_TRUE(peer.send(standard_share(peer, second, 1)));
  EXPECT_EQ(shard_.counters().shares_accepted, 1u);
  EXPECT_GT(open_standard_on(peer), *group) << "groups and channels share their ids";
  ASSERT_TRUE(peer.send(wire::CloseChannel{.channel_id = *group, .reason_code = {}}));
  EXPECT_EQ(peer.session.channels().size(), 2u);
  EXPECT_EQ(peer.session.channels()[0].id(), first);
  publish(3);
  peer.job();
  EXPECT_EQ(peer.answers().size(), 2u) << "the emptied group is gone";
}

TEST_F(SessionTest, WhatCannotBeRegroupedStays) {
  Peer peer(shard_, now_);
  peer.set_up();
  const std::vector<std::uint32_t> one = {open_standard_on(peer)};
  const std::vector<std::uint32_t> unknown = {one[0], 77};
  peer.out.clear();
  EXPECT_FALSE(peer.session.regroup({}, peer.out));
  EXPECT_FALSE(peer.session.regroup(unknown, peer.out));
  for (std::size_t groups = 1; groups < PoolSession::kMaxGroups; ++groups) {
    peer.out.clear();
    ASSERT_TRUE(peer.session.regroup(one, peer.out));
  }
  peer.out.clear();
  EXPECT_FALSE(peer.session.regroup(one, peer.out)) << "bounded";
  Peer standard(shard_, now_);
  standard.set_up(wire::kRequiresStandardJobs);
  const std::vector<std::uint32_t> alone = {open_standard_on(standard)};
  standard.out.clear();
  EXPECT_FALSE(standard.session.regroup(alone, standard.out)) << "SetGroupChannel may not be sent there";
  EXPECT_TRUE(standard.out.empty() && peer.out.empty());
}

TEST_F(SessionTest, ThePoolClosesAChannelAfterAcknowledgingItsShares) {
  Peer peer(shard_, now_);
  peer.set_up();
  const auto id = open_standard_on(peer);
  ASSERT_TRUE(peer.send(standard_share(peer, id, 1)));
  peer.out.clear();
  EXPECT_FALSE(peer.session.close(id, "a\nb", now_, peer.out));
  EXPECT_FALSE(peer.session.close(77, "", now_, peer.out));
  EXPECT_TRUE(peer.out.empty());
  ASSERT_TRUE(peer.session.close(id, "maintenance", now_, peer.out));
  EXPECT_EQ(peer.answer<wire::SubmitSharesSuccess>(0).new_submits_accepted_count, 1u);
  EXPECT_EQ(peer.answer<wire::CloseChannel>(1).channel_id, id);
  EXPECT_EQ(peer.answer<wire::CloseChannel>(1).reason_code, "maintenance");
  EXPECT_TRUE(peer.session.channels().empty());
}

TEST_F(SessionTest, ReconnectNamesAHostAndAPortOrNeither) {
  wire::FrameBuffer out;
  EXPECT_FALSE(PoolSession::reconnect(std::string(256, 'a'), 1, out));
  EXPECT_FALSE(PoolSession::reconnect("a\rb", 1, out));
  EXPECT_TRUE(out.empty());
  ASSERT_TRUE(PoolSession::reconnect("pool.example", 3333, out));
  ASSERT_TRUE(PoolSession::reconnect("", 0, out));
  const std::vector<wire::FrameView> frames(out.begin(), out.end());
  EXPECT_EQ(frames[0].as<wire::Reconnect>()->new_host, "pool.example");
  EXPECT_EQ(frames[0].as<wire::Reconnect>()->new_port, 3333);
  EXPECT_TRUE(frames[1].as<wire::Reconnect>()->new_host.empty());
}

// Extensions.

class Workers : public SessionTest {
 protected:
  Workers() { policy_.supported_extensions = {wire::kWorkerTracking}; }
  static void agree(Peer& peer) {
    const std::vector<std::uint16_t> wanted = {wire::kWorkerTracking};
    ASSERT_TRUE(peer.send(wire::RequestExtensions{.request_id = 5, .requested_extensions = wanted}));
    EXPECT_EQ(peer.answer<wire::RequestExtensionsSuccess>().supported_extensions[0], wire::kWorkerTracking);
  }
  std::uint32_t open_extended_on(Peer& peer) {
    EXPECT_TRUE(peer.send(open_extended()));
    return peer.answer<wire::OpenExtendedMiningChannelSuccess>().channel_id;
  }
  /// A good share (of another channel, `to`, a bad one) that names `worker`, if given, behind a field of an extension that
  /// nobody agreed upon.
  Result<void> submit(Peer& peer, std::uint32_t id, std::optional<std::string_view> worker, std::uint32_t to = 0) {
    const std::array<std::uint8_t, 16> extranonce{1, static_cast<std::uint8_t>(++sequence_)};
    const auto share = mine(channel_of(peer, id).full_extranonce(extranonce), channel_of(peer, id).target(), 0);
    wire::ByteBuffer tlvs;
    EXPECT_TRUE(wire::append_tlv(tlvs, 0x4321, 7, Bytes(extranonce)));
    if (worker) {
      const Bytes name(reinterpret_cast<const std::uint8_t*>(worker->data()), worker->size());
      EXPECT_TRUE(wire::append_tlv(tlvs, wire::kWorkerTracking, wire::kUserIdentityField, name));
    }
    wire::FrameBuffer in;
    EXPECT_TRUE(in.push(wire::SubmitSharesExtended{.channel_id = to == 0 ? id : to,
                                                   .sequence_number = sequence_,
                                                   .job_id = share.job_id,
                                                   .nonce = share.nonce,
                                                   .ntime = share.ntime,
                                                   .version = share.version,
                                                   .extranonce = extranonce},
                        tlvs.bytes()));
    return peer.deliver(in);
  }
  std::uint32_t sequence_ = 0;
};

TEST_F(Workers, SharesAreCountedByTheWorkerThatTheyName) {
  Peer peer(shard_, now_);
  peer.set_up();
  agree(peer);
  const auto id = open_extended_on(peer);
  for (const auto* worker : {"Worker_001", "Worker_002", "Worker_001"}) ASSERT_TRUE(submit(peer, id, worker));
  ASSERT_TRUE(submit(peer, id, std::nullopt));
  ASSERT_TRUE(submit(peer, id, std::string(33, 'x')));
  ASSERT_TRUE(submit(peer, id, "Worker_002", 77)) << "refused, and counted as refused";
  EXPECT_EQ(shard_.counters().shares_accepted, 5u) << "a bad name costs nobody a share";
  ASSERT_NE(peer.session.workers(), nullptr);
  const auto& all = peer.session.workers()->all();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].accepted, 2u) << "named nobody, or nobody that could be";
  EXPECT_EQ(all[1].name(), "Worker_001");
  EXPECT_EQ(all[1].accepted, 2u);
  EXPECT_EQ(all[2].accepted, 1u);
  EXPECT_EQ(all[2].rejected, 1u);
  channels::Work sum;
  for (const auto& worker : all) sum += worker.work;
  EXPECT_EQ(sum, shard_.counters().work_sum);
}

TEST_F(Workers, WithoutAgreementTheFieldIsIgnored) {
  Peer peer(shard_, now_);
  peer.set_up();
  const auto id = open_extended_on(peer);
  ASSERT_TRUE(submit(peer, id, "Worker_001"));
  EXPECT_EQ(shard_.counters().shares_accepted, 1u);
  EXPECT_EQ(peer.session.workers(), nullptr);
}

TEST_F(Workers, TheirNumberIsBounded) {
  policy_.max_workers = 3;
  Peer peer(shard_, now_);
  peer.set_up();
  agree(peer);
  const auto id = open_extended_on(peer);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(submit(peer, id, "w" + std::to_string(i)));
  EXPECT_EQ(peer.session.workers()->all().size(), 4u);
  EXPECT_EQ(peer.session.workers()->all()[0].accepted, 7u);
}

TEST_F(SessionTest, ExtensionsThatAreNotHereAreListedAsUnsupported) {
  Peer peer(shard_, now_);
  peer.set_up();
  const std::vector<std::uint16_t> wanted = {2, 3};
  ASSERT_TRUE(peer.send(wire::RequestExtensions{.request_id = 5, .requested_extensions = wanted}));
  const auto error = peer.answer<wire::RequestExtensionsError>();
  EXPECT_EQ(error.request_id, 5);
  EXPECT_EQ(std::vector<std::uint16_t>(error.unsupported_extensions.begin(), error.unsupported_extensions.end()), wanted);
  EXPECT_TRUE(error.required_extensions.empty());
  ASSERT_TRUE(peer.send(open_standard())) << "the client may go on without";
}

TEST_F(SessionTest, ARequestThatIsPartlySupportedSucceedsWithThatPart) {
  Peer peer(shard_, now_);
  peer.set_up();
  const std::vector<std::uint16_t> wanted = {1, 2};
  ASSERT_TRUE(peer.send(wire::RequestExtensions{.request_id = 5, .requested_extensions = wanted}));
  const auto success = peer.answer<wire::RequestExtensionsSuccess>();
  ASSERT_EQ(success.supported_extensions.size(), 1u);
  EXPECT_EQ(success.supported_extensions[0], 1);
}

TEST_F(SessionTest, AChannelWithoutTheRequiredExtensionsIsAProtocolError) {
  policy_.required_extensions = {1};
  Peer peer(shard_, now_);
  peer.set_up();
  ASSERT_TRUE(peer.send(wire::RequestExtensions{.request_id = 5, .requested_extensions = {}}));
  EXPECT_EQ(peer.answer<wire::RequestExtensionsError>().required_extensions[0], 1);
  EXPECT_FALSE(peer.send(open_standard()));
  Peer agreed(shard_, now_);
  agreed.set_up();
  const std::vector<std::uint16_t> wanted = {1};
  ASSERT_TRUE(agreed.send(wire::RequestExtensions{.request_id = 5, .requested_extensions = wanted}));
  EXPECT_TRUE(agreed.send(open_standard()));
}

TEST_F(SessionTest, AnIdleSessionWithOneStandardChannelTakesLittleMemory) {
  Peer peer(shard_, now_);
  peer.set_up();
  open_standard_on(peer);
  EXPECT_LE(sizeof(PoolSession) + peer.session.channels().size_bytes(), 1024u);
}

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
        "SetCustomMiningJob", "too-many-custom-jobs", "stale-chain-tip", "invalid-mining-job-token", "jd-not-supported"}) {
    EXPECT_GT(reached[what], 20u) << what;
  }
}

}  // namespace
}  // namespace adit::pool
