// Custom jobs: those that a client makes itself and a validator takes (SetCustomMiningJob).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <cmath>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "mining/server_session_testing.h"

namespace adit::mining {
namespace {

/// Takes every token but "bad"; knows the transactions behind "full".
struct Validator final : CustomJobValidator {
  Verdict check(const ServerSession&, const wire::SetCustomMiningJob& message, const Now&) override {
    ++asked;
    const std::string_view token(reinterpret_cast<const char*>(message.mining_job_token.data()),
                                 message.mining_job_token.size());
    if (token == "bad") return {.error_code = "invalid-mining-job-token"};
    return {.error_code = {}, .block_template = token == "full" ? declared : nullptr};
  }
  bitcoin::TemplatePtr declared;
  int asked = 0;
};

class CustomJobs : public SessionTest {
 protected:
  CustomJobs() {
    policy_.custom_jobs = &validator_;
    outputs_ = {1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x51};
  }
  [[nodiscard]] wire::SetCustomMiningJob custom(std::uint32_t channel_id, std::string_view token = "good") {
    const channels::Job& tip = *shard_.jobs().current();
    prefix_ = tip.block_template->coinbase_script_prefix;
    return {.channel_id = channel_id,
            .request_id = 4,
            .mining_job_token = Bytes(reinterpret_cast<const std::uint8_t*>(token.data()), token.size()),
            .version = 0x20000000,
            .prev_hash = tip.rules.prev_hash,
            .min_ntime = kNtime,
            .nbits = tip.rules.nbits,
            .coinbase_tx_version = 2,
            .coinbase_prefix = Bytes(prefix_),
            .coinbase_tx_outputs = Bytes(outputs_)};
  }
  std::uint32_t open_extended_on(Peer& peer) {
    EXPECT_TRUE(peer.send(open_extended()));
    return peer.answer<wire::OpenExtendedMiningChannelSuccess>().channel_id;
  }
  std::string refused(Peer& peer, const wire::SetCustomMiningJob& message) {
    EXPECT_TRUE(peer.send(message));
    const auto error = peer.answer<wire::SetCustomMiningJobError>();
    EXPECT_EQ(error.request_id, message.request_id);
    EXPECT_EQ(error.channel_id, message.channel_id);
    return std::string(error.error_code.view());
  }
  /// A share of the custom job of that id, as the client of `custom()` mines it; a block if `nbits` are the network's easiest.
  wire::SubmitSharesExtended share_of(const Peer& peer, std::uint32_t channel_id, std::uint32_t job_id, bool block = false) {
    const auto& channel = channel_of(peer, channel_id);
    const auto job = channels::make_custom_job(custom(channel_id), job_id, *shard_.jobs().current(), nullptr, now_.unix_time);
    EXPECT_TRUE(job);
    channels::Share share{.job_id = job_id, .ntime = kNtime, .version = 0x20000000, .extranonce = {}};
    const auto full = channel.full_extranonce(extranonce_);
    const auto& network = (*job)->rules.network_target;
    share = block ? channels::testing::mine(**job, share, full, network)
                  : channels::testing::mine(**job, share, full, channel.target(), network);
    return {.channel_id = channel_id,
            .sequence_number = 1,
            .job_id = job_id,
            .nonce = share.nonce,
            .ntime = share.ntime,
            .version = share.version,
            .extranonce = Bytes(extranonce_)};
  }

  Validator validator_;
  std::vector<std::uint8_t> prefix_;
  std::vector<std::uint8_t> outputs_;
  std::array<std::uint8_t, 16> extranonce_{5, 6};
};

TEST_F(CustomJobs, WithoutAValidatorOrTheFlagTheyAreNotSupported) {
  Peer without_flag(options(), shard_, now_);
  without_flag.set_up();
  const auto id = open_extended_on(without_flag);
  EXPECT_EQ(refused(without_flag, custom(id)), "invalid-mining-job-token") << "no token is good there";
  policy_.custom_jobs = nullptr;
  // As SRI: that nobody is paid for it is heard when a job is set.
  Peer peer(options(), shard_, now_);
  peer.set_up(wire::kRequiresWorkSelection);
  EXPECT_EQ(refused(peer, custom(open_extended_on(peer))), "jd-not-supported");
}

TEST_F(CustomJobs, AConnectionThatSelectsItsWorkIsSentNone) {
  Peer peer(options(), shard_, now_);
  peer.set_up(wire::kRequiresWorkSelection);
  open_extended_on(peer);
  EXPECT_EQ(peer.answers().size(), 1u) << "as SRI: no job, no SetNewPrevHash";
  publish(2);
  peer.job();
  EXPECT_TRUE(peer.out.empty());
  ASSERT_TRUE(peer.send(open_standard()));
  EXPECT_EQ(peer.answer<wire::OpenMiningChannelError>().error_code, "standard-channels-not-supported-for-custom-work");
}

TEST_F(CustomJobs, AJobThatIsPaidForTakesSharesUntilTheTipMoves) {
  Peer peer(options(), shard_, now_);
  peer.set_up(wire::kRequiresWorkSelection);
  const auto id = open_extended_on(peer);
  ASSERT_TRUE(peer.send(custom(id)));
  const auto success = peer.answer<wire::SetCustomMiningJobSuccess>();
  EXPECT_EQ(success.request_id, 4u);
  EXPECT_EQ(success.job_id, channels::kFirstCustomJobId);
  const auto share = share_of(peer, id, success.job_id);
  ASSERT_TRUE(peer.send(share));
  EXPECT_EQ(shard_.counters().shares_accepted, 1u);
  ASSERT_TRUE(peer.send(share));
  EXPECT_EQ(peer.answer<wire::SubmitSharesError>().error_code, "duplicate-share");
  auto unknown = share;
  unknown.job_id = success.job_id + 1;
  ASSERT_TRUE(peer.send(unknown));
  EXPECT_EQ(peer.answer<wire::SubmitSharesError>().error_code, "invalid-job-id");
  ASSERT_TRUE(peer.send(custom(id)));
  EXPECT_EQ(peer.answer<wire::SetCustomMiningJobSuccess>().job_id, success.job_id + 1) << "another id";
  publish(2);
  peer.job();
  ASSERT_TRUE(peer.send(share));
  EXPECT_EQ(peer.answer<wire::SubmitSharesError>().error_code, "stale-share");
}

TEST_F(CustomJobs, WhatCannotBeABlockOfThisTipIsRefusedBeforeAnybodyIsAskedToPay) {
  Peer peer(options(), shard_, now_);
  peer.set_up(wire::kRequiresWorkSelection);
  const auto id = open_extended_on(peer);
  auto wrong = custom(id);
  wrong.prev_hash = channels::testing::hash_of(std::uint8_t{99});
  EXPECT_EQ(refused(peer, wrong), "stale-chain-tip");
  EXPECT_EQ(refused(peer, custom(77)), "invalid-channel-id");
  EXPECT_EQ(validator_.asked, 0);
  EXPECT_EQ(refused(peer, custom(id, "bad")), "invalid-mining-job-token");
  EXPECT_EQ(validator_.asked, 1);
}

TEST_F(CustomJobs, AGroupsJobIsEveryExtendedMembersUnderOneId) {
  Peer peer(options(), shard_, now_);
  peer.set_up(wire::kRequiresWorkSelection);
  const auto first = open_extended_on(peer);
  const auto second = open_extended_on(peer);
  ASSERT_TRUE(peer.send(custom(second)));
  ASSERT_TRUE(peer.send(custom(channels::kGroupChannelId)));
  const auto success = peer.answer<wire::SetCustomMiningJobSuccess>();
  EXPECT_EQ(success.channel_id, channels::kGroupChannelId);
  EXPECT_EQ(success.job_id, channels::kFirstCustomJobId + 1) << "above that of every member";
  for (const auto id : {first, second}) {
    ASSERT_TRUE(peer.send(share_of(peer, id, success.job_id)));
  }
  EXPECT_EQ(shard_.counters().shares_accepted, 2u);
}

TEST_F(CustomJobs, TheirNumberIsBounded) {
  policy_.max_custom_jobs = 3;
  Peer peer(options(), shard_, now_);
  peer.set_up(wire::kRequiresWorkSelection);
  const auto first = open_extended_on(peer);
  const auto second = open_extended_on(peer);
  ASSERT_TRUE(peer.send(custom(channels::kGroupChannelId)));
  ASSERT_TRUE(peer.send(custom(first)));
  EXPECT_EQ(refused(peer, custom(second)), "too-many-custom-jobs");
  publish(2);
  peer.job();
  ASSERT_TRUE(peer.send(custom(second)));
  peer.answer<wire::SetCustomMiningJobSuccess>();
}

TEST_F(CustomJobs, ABlockIsHandedOnIfItsTransactionsAreKnown) {
  Peer peer(options(), shard_, now_);
  peer.set_up(wire::kRequiresWorkSelection);
  const auto id = open_extended_on(peer);
  publish(2, kRegtestBits);
  peer.job();
  auto declared = std::make_shared<bitcoin::Template>(*shard_.jobs().current()->block_template);
  declared->merkle_path.clear();
  validator_.declared = declared;
  ASSERT_TRUE(peer.send(custom(id, "full")));
  ASSERT_TRUE(peer.send(share_of(peer, id, peer.answer<wire::SetCustomMiningJobSuccess>().job_id, true)));
  ASSERT_EQ(events_.blocks.size(), 1u);
  const auto block = bitcoin::assemble_block(*events_.blocks[0].block_template, events_.blocks[0].solution);
  ASSERT_TRUE(block);
  EXPECT_EQ(block->hash, events_.blocks[0].hash);
  // Coinbase-only: the client alone has the rest of the block.
  extranonce_[0] = 9;
  ASSERT_TRUE(peer.send(custom(id)));
  ASSERT_TRUE(peer.send(share_of(peer, id, peer.answer<wire::SetCustomMiningJobSuccess>().job_id, true)));
  EXPECT_EQ(events_.blocks.size(), 1u);
  EXPECT_EQ(events_.custom_blocks, 1);
  EXPECT_EQ(shard_.counters().blocks_found, 2u);
}

/// A client that brings its own work and asks for the pool's too.
class FollowedJobs : public CustomJobs {
 protected:
  void ask(Peer& peer) {
    const std::vector<std::uint16_t> adit = {wire::kAditExtension};
    ASSERT_TRUE(peer.send(wire::RequestExtensions{.request_id = 1, .requested_extensions = adit}));
    ASSERT_TRUE(peer.send(wire::FollowPoolTip{}));
  }
  /// A share of the pool's current job.
  wire::SubmitSharesExtended share_of_pools(const Peer& peer, std::uint32_t channel_id, bool block = false) {
    const auto& channel = channel_of(peer, channel_id);
    const channels::Job& job = *shard_.jobs().current();
    const auto full = channel.full_extranonce(extranonce_);
    channels::Share share{.job_id = job.id, .ntime = kNtime, .version = job.rules.version, .extranonce = {}};
    share = block ? channels::testing::mine(job, share, full, job.rules.network_target)
                  : channels::testing::mine(job, share, full, channel.target(), job.rules.network_target);
    return {.channel_id = channel_id,
            .sequence_number = 2,
            .job_id = share.job_id,
            .nonce = share.nonce,
            .ntime = share.ntime,
            .version = share.version,
            .extranonce = Bytes(extranonce_)};
  }
};

TEST_F(FollowedJobs, WhoAsksIsGivenThePoolsJobsBesideItsOwn) {
  Peer peer(options(), shard_, now_);
  peer.set_up(wire::kRequiresWorkSelection);
  const auto id = open_extended_on(peer);
  ASSERT_TRUE(peer.send(custom(id)));
  const auto own = peer.answer<wire::SetCustomMiningJobSuccess>().job_id;
  ask(peer);
  EXPECT_EQ(peer.answer<wire::NewExtendedMiningJob>().channel_id, id) << "the current one comes at once";
  EXPECT_EQ(peer.answer<wire::SetNewPrevHash>(1).prev_hash, shard_.jobs().current()->rules.prev_hash);
  ASSERT_TRUE(peer.send(share_of(peer, id, own)));
  ASSERT_TRUE(peer.send(share_of_pools(peer, id)));
  EXPECT_EQ(shard_.counters().shares_accepted, 2u);

  publish(2);
  peer.job();
  EXPECT_EQ(peer.answer<wire::NewExtendedMiningJob>().channel_id, channels::kGroupChannelId);
  EXPECT_EQ(peer.answer<wire::SetNewPrevHash>(1).job_id, shard_.jobs().current()->id);
  ASSERT_TRUE(peer.send(share_of_pools(peer, id)));
  ASSERT_TRUE(peer.send(custom(id)));
  ASSERT_TRUE(peer.send(share_of(peer, id, peer.answer<wire::SetCustomMiningJobSuccess>().job_id)));
  EXPECT_EQ(shard_.counters().shares_accepted, 4u);

  const auto later = open_extended_on(peer);
  EXPECT_EQ(peer.answer<wire::NewExtendedMiningJob>(1).channel_id, later);
  ASSERT_TRUE(peer.send(share_of_pools(peer, later)));
  EXPECT_EQ(shard_.counters().shares_accepted, 5u);
  ASSERT_TRUE(peer.send(wire::FollowPoolTip{}));
  EXPECT_TRUE(peer.out.empty()) << "asked twice";
  ASSERT_TRUE(peer.send(wire::CloseChannel{.channel_id = id}));
  ASSERT_TRUE(peer.send(wire::CloseChannel{.channel_id = later}));
}

TEST_F(FollowedJobs, AreThePoolsOwnBlocksWhereTheyAreBlocks) {
  Peer peer(options(), shard_, now_);
  peer.set_up(wire::kRequiresWorkSelection);
  ask(peer);
  EXPECT_TRUE(peer.out.empty()) << "there is no channel yet";
  const auto id = open_extended_on(peer);
  EXPECT_EQ(peer.answer<wire::NewExtendedMiningJob>(1).channel_id, id);
  publish(2, kRegtestBits);
  peer.job();
  ASSERT_TRUE(peer.send(share_of_pools(peer, id, true)));
  ASSERT_EQ(events_.blocks.size(), 1u);
  EXPECT_FALSE(events_.blocks[0].is_custom);
  extranonce_[0] = 9;
  ASSERT_TRUE(peer.send(custom(id)));
  ASSERT_TRUE(peer.send(share_of(peer, id, peer.answer<wire::SetCustomMiningJobSuccess>().job_id, true)));
  EXPECT_EQ(events_.custom_blocks, 1);
}

TEST_F(FollowedJobs, WithoutTheExtensionThereAreNone) {
  Peer peer(options(), shard_, now_);
  peer.set_up(wire::kRequiresWorkSelection);
  open_extended_on(peer);
  ASSERT_TRUE(peer.send(wire::FollowPoolTip{}));
  EXPECT_TRUE(peer.out.empty());
  publish(2);
  peer.job();
  EXPECT_TRUE(peer.out.empty());

  Peer usual(options(), shard_, now_);
  usual.set_up();
  open_extended_on(usual);
  ask(usual);
  EXPECT_TRUE(usual.out.empty()) << "it is given all jobs anyhow";
}

TEST_F(FollowedJobs, WaitForTheFirstThereIs) {
  ServerShard empty(policy_, {.server_id = 1}, events_);
  Peer peer(options(), empty, now_);
  peer.set_up(wire::kRequiresWorkSelection);
  const auto id = open_extended_on(peer);
  ask(peer);
  EXPECT_TRUE(peer.out.empty());
  empty.set_job(*factory_.make(make_template(++templates_, 2, kHardBits, 2)));
  peer.job();
  EXPECT_EQ(peer.answer<wire::NewExtendedMiningJob>().channel_id, id);
  EXPECT_EQ(peer.answer<wire::SetNewPrevHash>(1).channel_id, id);
}

}  // namespace
}  // namespace adit::mining
