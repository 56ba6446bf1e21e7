// What strangers may take: the least difficulty, opens, memory, and how long peers that only cost are kept (audit H1, H5, M6,
// M7, L1).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mining/server_session_testing.h"
#include "wire/tlv.h"

namespace adit::mining {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr double kHashesPerDifficulty = 4295032833.0;

class Hold : public SessionTest {
 protected:
  std::string refusal(Peer& peer, const auto& message) {
    EXPECT_TRUE(peer.send(message));
    for (const wire::FrameView& frame : peer.answers()) {
      if (const auto error = frame.as<wire::OpenMiningChannelError>()) return std::string(error->error_code.view());
    }
    return "";
  }
  wire::SubmitSharesExtended extended_share(Peer& peer, std::uint32_t id, std::uint32_t sequence) {
    store_le(extranonce_.data(), sequence);
    const auto& channel = channel_of(peer, id);
    const auto share = mine(channel.full_extranonce(extranonce_), channel.target(), 0);
    return {.channel_id = id,
            .sequence_number = sequence,
            .job_id = share.job_id,
            .nonce = share.nonce,
            .ntime = share.ntime,
            .version = share.version,
            .extranonce = extranonce_};
  }
  /// A share with a worker's name behind it.
  static wire::FrameBuffer named(const wire::SubmitSharesExtended& share, std::string_view name) {
    wire::ByteBuffer fields;
    EXPECT_TRUE(wire::append_tlv(fields, wire::kWorkerTracking, wire::kUserIdentityField,
                                 Bytes(reinterpret_cast<const std::uint8_t*>(name.data()), name.size())));
    wire::FrameBuffer out;
    EXPECT_TRUE(out.push(share, fields.bytes()));
    return out;
  }
  std::array<std::uint8_t, channels::kRollableExtranonceSize> extranonce_{};
};

// Work that is not worth mining on.

TEST_F(Hold, WithoutWorkNoChannelIsOpenedAndNobodyIsChargedForIt) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const auto id = open_standard_on(peer);
  shard_.refuse_opens(true);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(refusal(peer, open_extended()), "no-work");
  EXPECT_EQ(shard_.counters().opens_refused[static_cast<std::size_t>(OpenRefusal::kNoWork)], 1000u);
  EXPECT_EQ(shard_.counters().sessions_cut_off, 0u);
  ASSERT_TRUE(peer.send(standard_share(peer, id, 1)));
  EXPECT_EQ(shard_.counters().shares_accepted, 1u) << "the channel that is open goes on";
  shard_.refuse_opens(false);
  EXPECT_EQ(refusal(peer, open_extended()), "");
}

TEST_F(Hold, WithoutWorkSessionsLoseTheirChannelsOneSessionAfterTheOtherAndNoShare) {
  Peer first(options(), shard_, now_);
  Peer idle(options(), shard_, now_);
  Peer second(options(), shard_, now_);
  for (Peer* peer : {&first, &idle, &second}) peer->set_up();
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(open_standard_on(first));
  (void)open_standard_on(second);
  ASSERT_TRUE(first.send(standard_share(first, ids[1], 1)));
  EXPECT_TRUE(first.answers().empty()) << "its batch of two is not full";

  EXPECT_EQ(shard_.close_channels(0, "no-work", now_), 0u);
  EXPECT_EQ(shard_.close_channels(1, "no-work", now_), 3u) << "a session as a whole";
  ASSERT_EQ(events_.answers.size(), 1u);
  std::vector<std::uint32_t> closed;
  std::uint32_t acknowledged = 0;
  for (const wire::FrameView& frame : events_.answers[&first.session()]) {
    if (const auto success = frame.as<wire::SubmitSharesSuccess>()) {
      EXPECT_EQ(success->channel_id, ids[1]);
      EXPECT_TRUE(closed.size() < 2) << "a share is acknowledged before its channel is closed";
      acknowledged += success->new_submits_accepted_count;
    }
    if (const auto close = frame.as<wire::CloseChannel>()) {
      EXPECT_EQ(close->reason_code.view(), "no-work");
      closed.push_back(close->channel_id);
    }
  }
  EXPECT_EQ(closed, ids);
  EXPECT_EQ(acknowledged, 1u);
  EXPECT_TRUE(first.session().channels().empty());
  EXPECT_EQ(shard_.counters().standard_channels, 1u);
  EXPECT_EQ(shard_.close_channels(100, "no-work", now_), 1u);
  EXPECT_EQ(shard_.close_channels(100, "no-work", now_), 0u);
  EXPECT_EQ(shard_.counters().channels_closed, 4u);
  // Whoever stays may open again when there is work.
  ASSERT_TRUE(first.send(open_standard()));
  EXPECT_GT(first.answer<wire::OpenStandardMiningChannelSuccess>().channel_id, ids[2]);
}

// Clocks.

TEST_F(Hold, AMinersClockThatDiffersIsNamedByItsSeconds) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const auto id = open_standard_on(peer);
  const auto ours = static_cast<std::int64_t>(to_u32(now_.unix_time));
  for (const std::int64_t ahead : {3 * 3600, -50 * 3600}) {
    auto share = standard_share(peer, id, 1);
    share.ntime = static_cast<std::uint32_t>(ours + ahead);
    ASSERT_TRUE(peer.send(share));
    EXPECT_EQ(peer.answer<wire::SubmitSharesError>().error_code.view(), "invalid-share");
    ASSERT_FALSE(events_.times_refused.empty());
    EXPECT_EQ(events_.times_refused.back().count(), ahead);
  }
  ASSERT_TRUE(peer.send(standard_share(peer, id, 2)));
  EXPECT_EQ(events_.times_refused.size(), 2u);
}

// Least difficulty.

TEST_F(Hold, ANerdMinerAndAProxyWithoutMinersHaveTheirFirstShareWithinSeconds) {
  policy_.channel.min_difficulty = channels::kDefaultMinDifficulty;
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const auto hashes_for = [&](float declared) {
    EXPECT_TRUE(peer.send(open_standard(declared)));
    const auto target = bitcoin::U256::from_le(peer.answer<wire::OpenStandardMiningChannelSuccess>().target);
    return bitcoin::difficulty_from_target(target) * kHashesPerDifficulty;
  };
  constexpr double kNerdMiner = 50'000;
  for (const float declared : {0.0F, 1e-30F, 1.0F, 5000.0F}) {
    EXPECT_GE(hashes_for(declared), 1 << 16) << declared;
    EXPECT_LE(hashes_for(declared), 1 << 18) << declared;
    EXPECT_LE(hashes_for(declared) / kNerdMiner, 4) << declared << ": seconds to the first share";
  }
  EXPECT_LE(hashes_for(kNerdMiner) / kNerdMiner, 11) << "who declares its rate has the share rate that the pool wants";
  // And it is found, and counts.
  const auto id = open_standard_on(peer);
  ASSERT_TRUE(peer.send(standard_share(peer, id, 1)));
  EXPECT_EQ(shard_.counters().shares_accepted, 1u);
}

TEST_F(Hold, AClientThatDeclaresLittleByTurnsGetsNoEasierShares) {
  policy_.channel.min_difficulty = channels::kDefaultMinDifficulty;
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const auto id = open_standard_on(peer);
  const auto least = bitcoin::target_from_difficulty(channels::kDefaultMinDifficulty);
  for (int fifth = 0; fifth < 500; ++fifth) {
    now_.instant += std::chrono::milliseconds(200);
    const float declared = std::array{1.0F, 1.01F, 0.0F, 1e-38F}[static_cast<std::size_t>(fifth % 4)];
    ASSERT_TRUE(peer.send(wire::UpdateChannel{.channel_id = id, .nominal_hash_rate = declared, .maximum_target = kAnyTarget}));
    for (const auto& frame : peer.answers()) {
      if (const auto set = frame.as<wire::SetTarget>()) EXPECT_LE(bitcoin::U256::from_le(set->maximum_target), least);
    }
    if (fifth % 5 == 0) ASSERT_TRUE(peer.tick());
    EXPECT_LE(channel_of(peer, id).target(), least);
  }
}

// Opens.

TEST_F(Hold, OpensOfASourceAreRationedWhateverConnectionTheyComeFrom) {
  policy_.source.max_opens = 4;
  Peer first(options(), shard_, now_, "a");
  Peer second(options(), shard_, now_, "a");
  Peer other(options(), shard_, now_, "b");
  for (Peer* peer : {&first, &second, &other}) peer->set_up();
  // Connections come and go, channels too.
  for (int i = 0; i < 2; ++i) {
    Peer passing(options(), shard_, now_, "a");
    passing.set_up();
    EXPECT_EQ(refusal(passing, open_standard()), "");
  }
  EXPECT_EQ(refusal(first, open_standard()), "");
  const auto id = first.answer<wire::OpenStandardMiningChannelSuccess>().channel_id;
  EXPECT_EQ(refusal(second, open_standard()), "");
  EXPECT_EQ(refusal(first, open_standard()), "channel-capacity-exhausted");
  EXPECT_EQ(refusal(second, open_standard()), "channel-capacity-exhausted");
  EXPECT_EQ(refusal(other, open_standard()), "") << "another source is not concerned";
  ASSERT_TRUE(first.send(standard_share(first, id, 1)));
  EXPECT_EQ(refusal(second, open_standard()), "") << "work allows one more";
  EXPECT_EQ(refusal(second, open_standard()), "channel-capacity-exhausted");
  publish(2);
  EXPECT_EQ(refusal(second, open_standard()), "") << "until the next tip";
}

TEST_F(Hold, ARefusedChannelIsCountedByItsCodeAndToldWithItsIdentity) {
  policy_.max_channels = 1;
  Peer peer(options(), shard_, now_);
  peer.set_up();
  EXPECT_EQ(refusal(peer, open_standard(-1)), "invalid-nominal-hashrate");
  auto solo = open_standard();
  solo.user_identity = std::string_view("sri/solo/x");
  EXPECT_EQ(refusal(peer, solo), "invalid-user-identity");
  EXPECT_EQ(refusal(peer, open_standard()), "");
  EXPECT_EQ(refusal(peer, open_extended()), "channel-capacity-exhausted");
  EXPECT_EQ(refusal(peer, open_extended()), "channel-capacity-exhausted");
  EXPECT_THAT(events_.refused,
              ElementsAre(Pair(OpenRefusal::kHashRate, "miner.1"), Pair(OpenRefusal::kUserIdentity, "sri/solo/x"),
                          Pair(OpenRefusal::kCapacity, "miner.2"), Pair(OpenRefusal::kCapacity, "miner.2")));
  EXPECT_THAT(shard_.counters().opens_refused, ElementsAre(0, 0, 2, 0, 0, 1, 1, 0));
}

// Memory.

TEST_F(Hold, WhatASourcesPeersMakeUsKeepIsCountedAndGivenBack) {
  Peer first(options(), shard_, now_, "a");
  first.set_up();
  const auto id = open_standard_on(first);
  EXPECT_EQ(shard_.memory().used(), 0u);
  ASSERT_TRUE(first.send(standard_share(first, id, 1)));
  const std::size_t one = shard_.memory().used();
  EXPECT_GE(one, 8u);
  events_.last_position = 0;  // A ledger that lags: the answer waits, and is counted.
  {
    Peer second(options(), shard_, now_, "a");
    second.set_up();
    const auto other = open_standard_on(second);
    for (std::uint32_t i = 1; i <= policy_.channel.share_batch_size; ++i) {
      ASSERT_TRUE(second.send(standard_share(second, other, i)));
    }
    EXPECT_FALSE(second.session().settled());
    EXPECT_GT(shard_.memory().used(), 2 * one);
    shard_.on_durable(*events_.last_position);
    EXPECT_EQ(shard_.memory().used(), 2 * one);
  }
  EXPECT_EQ(shard_.memory().used(), one);
  ASSERT_TRUE(first.send(wire::CloseChannel{.channel_id = id, .reason_code = {}}));
  EXPECT_EQ(shard_.memory().used(), 0u);
}

TEST_F(Hold, WorkerNamesWithoutAnAcceptedShareTakeNothing) {
  supported_extensions_ = {wire::kWorkerTracking};
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const std::array<std::uint16_t, 1> wanted = {wire::kWorkerTracking};
  ASSERT_TRUE(peer.send(wire::RequestExtensions{.request_id = 1, .requested_extensions = wanted}));
  ASSERT_NE(peer.session().workers(), nullptr);
  ASSERT_TRUE(peer.send(open_extended()));
  const auto id = peer.answer<wire::OpenExtendedMiningChannelSuccess>().channel_id;
  const auto good = extended_share(peer, id, 1);
  // On a channel that is not there, on a job that is not there, and twice the same.
  auto nowhere = good;
  nowhere.channel_id = 77;
  auto jobless = good;
  jobless.job_id = 999;
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(peer.deliver(named(nowhere, "n" + std::to_string(i))));
    ASSERT_TRUE(peer.deliver(named(jobless, "j" + std::to_string(i))));
  }
  EXPECT_EQ(peer.session().workers()->all().size(), 1u);
  EXPECT_EQ(peer.session().workers()->all()[0].rejected, 100u);
  ASSERT_TRUE(peer.deliver(named(good, "alice")));
  ASSERT_EQ(peer.session().workers()->all().size(), 2u);
  ASSERT_TRUE(peer.deliver(named(good, "alice")));
  ASSERT_TRUE(peer.deliver(named(good, "bob")));
  ASSERT_EQ(peer.session().workers()->all().size(), 2u);
  EXPECT_EQ(peer.session().workers()->all()[1].accepted, 1u);
  EXPECT_EQ(peer.session().workers()->all()[1].rejected, 1u) << "who is known is counted";
}

TEST_F(Hold, AFullBudgetCountsWorkersTogetherAndTakesTheirShares) {
  policy_.source.max_bytes = 600;
  policy_.source.bytes_always = 0;
  supported_extensions_ = {wire::kWorkerTracking};
  Peer peer(options(), shard_, now_, "a");
  peer.set_up();
  const std::array<std::uint16_t, 1> wanted = {wire::kWorkerTracking};
  ASSERT_TRUE(peer.send(wire::RequestExtensions{.request_id = 1, .requested_extensions = wanted}));
  ASSERT_TRUE(peer.send(open_extended()));
  const auto id = peer.answer<wire::OpenExtendedMiningChannelSuccess>().channel_id;
  for (std::uint32_t i = 1; i <= 8; ++i) {
    ASSERT_TRUE(peer.deliver(named(extended_share(peer, id, i), "w" + std::to_string(i))));
  }
  EXPECT_EQ(shard_.counters().shares_accepted, 8u);
  EXPECT_LT(peer.session().workers()->all().size(), 5u);
  EXPECT_GT(peer.session().workers()->all()[0].accepted, 3u);
}

// Peers that only cost.

TEST_F(Hold, APeerThatOnlyCostsIsCutOffOnceItsSourceHasNothingLeft) {
  policy_.source.allowance = 30;
  Peer peer(options(), shard_, now_, "a");
  peer.set_up();
  int sent = 0;
  Result<void> result;
  while (result && sent < 100) {
    result = peer.send(wire::SubmitSharesStandard{.channel_id = 2, .sequence_number = static_cast<std::uint32_t>(++sent)});
  }
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(session::Errc::kOverloaded));
  EXPECT_THAT(result.error().message(), HasSubstr("only costs"));
  EXPECT_EQ(sent, 30);
  EXPECT_EQ(peer.answer<wire::SubmitSharesError>().sequence_number, 30u) << "answered all the same";
  EXPECT_EQ(shard_.counters().sessions_cut_off, 1u);
  // It comes back: its source still has nothing.
  Peer again(options(), shard_, now_, "a");
  again.set_up();
  sent = 0;
  for (result = {}; result && sent < 100; ++sent) result = again.send(open_standard(-1));
  EXPECT_LE(sent, 11);
  Peer other(options(), shard_, now_, "b");
  other.set_up();
  EXPECT_TRUE(other.send(open_standard(-1)));
}

TEST_F(Hold, WhoWorksIsNotCutOffForItsNeighboursNorForWhatIsLate) {
  policy_.source.allowance = 30;
  Peer works(options(), shard_, now_, "a");
  works.set_up();
  const auto id = open_standard_on(works);
  for (std::uint32_t i = 1; i <= 5; ++i) ASSERT_TRUE(works.send(standard_share(works, id, i)));
  auto late = standard_share(works, id, 100);
  // Somebody else behind the same address uses all of it up.
  Peer costs(options(), shard_, now_, "a");
  costs.set_up();
  while (costs.send(wire::SubmitSharesStandard{.channel_id = 2})) {
  }
  for (std::uint32_t i = 1; i <= 12; ++i) {
    ASSERT_TRUE(works.send(wire::SubmitSharesStandard{.channel_id = 77})) << i;
  }
  publish(2);
  for (int i = 0; i < 1000; ++i) {
    late.nonce += 1;
    ASSERT_TRUE(works.send(late)) << "stale shares cost nothing";
  }
  EXPECT_EQ(works.answer<wire::SubmitSharesError>().error_code, "stale-share");
}

TEST_F(Hold, ABadPayloadCostsItsSourceMuch) {
  policy_.source.allowance = 150;
  for (int i = 0; i < 2; ++i) {
    Peer bad(options(), shard_, now_, "a");
    bad.set_up();
    wire::FrameBuffer in;
    const std::array<std::uint8_t, 3> garbage = {1, 2, 3};
    ASSERT_TRUE(in.push_raw({.message_type = wire::SubmitSharesStandard::kType}, garbage));
    const auto result = bad.deliver(in);
    ASSERT_FALSE(result);
    EXPECT_TRUE(result.error().is(session::Errc::kProtocol));
  }
  Peer next(options(), shard_, now_, "a");
  next.set_up();
  int sent = 0;
  while (sent < 100 && next.send(wire::SubmitSharesStandard{.channel_id = 2})) ++sent;
  EXPECT_EQ(sent, 10) << "no more than any peer may";
}

}  // namespace
}  // namespace adit::mining
