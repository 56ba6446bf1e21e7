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

}  // namespace
}  // namespace adit::mining
