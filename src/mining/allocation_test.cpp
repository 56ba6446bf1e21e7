// Shares allocate nothing, also where a ledger takes its time.
#include "base/allocations_testing.h"
#include "mining/server_session_testing.h"

namespace adit::mining {
namespace {

TEST_F(SessionTest, SharesThatWaitForALedgerAllocateNothingOnceWarm) {
  constexpr std::uint32_t kShares = 200;
  constexpr std::uint32_t kLag = 7;  // Shares that the ledger is behind by.
  events_.last_position = 0;
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const std::uint32_t id = open_standard_on(peer);
  auto& answers = events_.answers[&peer.session()];
  const auto run = [&](std::uint32_t first, bool counted) {
    std::vector<wire::FrameBuffer> shares(kShares);
    for (std::uint32_t i = 0; i < kShares; ++i) EXPECT_TRUE(shares[i].push(standard_share(peer, id, first + i)));
    events_.shares.clear();
    answers.clear();
    peer.out.clear();
    allocations::count_this_thread = counted;
    for (const auto& share : shares) {
      const auto frame = *share.begin();
      EXPECT_TRUE(peer.side.on_frames(std::span(&frame, 1), now_, peer.out));
      if (*events_.last_position > kLag) shard_.on_durable(*events_.last_position - kLag);
    }
    allocations::count_this_thread = false;
    EXPECT_TRUE(peer.out.empty());
  };
  run(1, false);
  publish(2);  // What one tip's shares needed is kept.
  peer.job();
  allocations::made = 0;
  run(1 + kShares, true);
  EXPECT_EQ(allocations::made, 0) << allocations::first_of_them();
  EXPECT_EQ(events_.shares.size(), kShares);
  std::uint32_t acknowledged = 0;
  for (const wire::FrameView& frame : answers)
    acknowledged += frame.as<wire::SubmitSharesSuccess>()->new_submits_accepted_count;
  EXPECT_GE(acknowledged, kShares - kLag - policy_.channel.share_batch_size);
}

TEST_F(SessionTest, SharesOfAMinersOwnPayoutAllocateNothingOnceWarmHoweverLateTheyAre) {
  constexpr std::uint32_t kShares = 100;
  policy_.payouts = {.pool_script = {0x51}, .solo = true};
  Peer peer(options(), shard_, now_);
  peer.set_up();
  auto open = open_extended();
  open.user_identity = std::string_view("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080");
  ASSERT_TRUE(peer.send(open));
  const std::uint32_t id = peer.answer<wire::OpenExtendedMiningChannelSuccess>().channel_id;
  const auto run = [&](bool counted) {
    std::vector<channels::JobPtr> jobs;
    for (int i = 0; i < 4; ++i) {
      jobs.push_back(*factory_.make(make_template(++templates_, 2, kHardBits, 2)));
      shard_.set_job(jobs.back());
      peer.job();
    }
    const auto& channel = channel_of(peer, id);
    std::vector<wire::FrameBuffer> shares(kShares);
    std::array<std::uint8_t, channels::kRollableExtranonceSize> rolled{};
    for (std::uint32_t i = 0; i < kShares; ++i) {
      rolled[0] = static_cast<std::uint8_t>(i);
      const channels::Job& its = channel.payee()->job_of(*jobs[i % jobs.size()]);
      const auto share =
          channels::testing::mine(its, {.job_id = its.id, .ntime = kNtime, .version = its.rules.version, .extranonce = {}},
                                  channel.full_extranonce(rolled), channel.target(), its.rules.network_target);
      EXPECT_TRUE(shares[i].push(wire::SubmitSharesExtended{.channel_id = id,
                                                            .sequence_number = i,
                                                            .job_id = share.job_id,
                                                            .nonce = share.nonce,
                                                            .ntime = share.ntime,
                                                            .version = share.version,
                                                            .extranonce = rolled}));
    }
    events_.shares.clear();
    peer.out.clear();
    allocations::count_this_thread = counted;
    for (const auto& share : shares) {
      const auto frame = *share.begin();
      EXPECT_TRUE(peer.side.on_frames(std::span(&frame, 1), now_, peer.out));
    }
    allocations::count_this_thread = false;
    EXPECT_EQ(events_.shares.size(), kShares);
  };
  run(false);
  publish(2);  // What one tip's shares needed is kept.
  peer.job();
  publish(3);
  peer.job();
  allocations::made = 0;
  run(true);
  EXPECT_EQ(allocations::made, 0) << allocations::first_of_them();
}

}  // namespace
}  // namespace adit::mining
