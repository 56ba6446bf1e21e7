// Holds that the pool's share path allocates nothing, from bytes in to the answer out, over TCP and through its real driver. An
// executable of its own, as it replaces the allocator of its process.
#include <future>

#include <gtest/gtest.h>

#include "attack/peer.h"
#include "attack/pool.h"
#include "base/allocations_testing.h"

namespace adit::attack {
namespace {

using namespace std::chrono_literals;

class Allocations : public ::testing::TestWithParam<bool> {};

INSTANTIATE_TEST_SUITE_P(Channels, Allocations, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Extended" : "Standard"; });

TEST_P(Allocations, AWarmConnectionsSharesAllocateNothingFromBytesInToAnswerOut) {
  constexpr int kWarm = 1100;  // What the channel has seen has grown to 4096 slots by then.
  constexpr int kCounted = 900;
  Pool pool([](pool::ServerOptions& options) { options.supported_extensions = {wire::kWorkerTracking}; }, 1);
  Miner miner(pool.server->tcp_port(), authority());
  miner.worker = "rig-1";
  ASSERT_EQ(miner.start("m", GetParam(), 4), "");
  const auto on_shard = [&](bool value) {
    std::promise<void> done;
    pool.shards[0].post([&] {
      allocations::count_this_thread = value;
      done.set_value();
    });
    done.get_future().wait();
  };
  const auto mine = [&](int shares) {
    int accepted = 0;
    for (int i = 0; i < shares; ++i) accepted += miner.submit(miner.mine()) == "accepted" ? 1 : 0;
    return accepted;
  };
  ASSERT_EQ(mine(kWarm), kWarm);
  // Refused ones too.
  auto stale = miner.mine();
  stale.job_id += 5;
  ASSERT_EQ(miner.submit(stale), "invalid-job-id");
  allocations::made = 0;
  on_shard(true);
  const int accepted = mine(kCounted);
  const auto refused = miner.submit(stale);
  on_shard(false);
  EXPECT_EQ(accepted, kCounted);
  EXPECT_EQ(refused, "invalid-job-id");
  EXPECT_EQ(allocations::made, 0) << allocations::first_of_them();

  on_shard(true);
  Miner another(pool.server->tcp_port(), authority());
  ASSERT_EQ(another.start("m", GetParam(), 4), "");
  on_shard(false);
  EXPECT_GT(allocations::made, 0) << "a new connection allocates: the count counts";
  another.peer.close();
  miner.peer.close();
}

}  // namespace
}  // namespace adit::attack
