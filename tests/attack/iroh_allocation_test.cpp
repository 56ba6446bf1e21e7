// Holds that the pool's share path allocates nothing in C++ over iroh either, by one stream and by lanes: what the bridge's
// Rust allocates for packets is its own.
#include <future>
#include <thread>

#include <gtest/gtest.h>

#include "attack/peer.h"
#include "attack/pool.h"
#include "base/allocations_testing.h"
#include "net/iroh/test_support.h"
#include "roles/load/load.h"

namespace adit::attack {
namespace {

using namespace std::chrono_literals;

class IrohAllocations : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    for (auto* shards : {&pool_shards_, &load_shards_}) shards->start();
    pool_node_ = start_node(pool_shards_, 1);
    load_node_ = start_node(load_shards_, 2);
    pool::ServerOptions options;
    options.iroh = pool_node_.get();
    options.authority_secret = authority_secret();
    options.jobs = {.payout_script = {0x51}, .pool_signature = "test"};
    options.session.channel.share_batch_size = 4;
    options.session.channel.min_hash_rate_hps = 0.001;
    server_.emplace(pool_shards_, source_, std::move(options));
    ASSERT_TRUE(server_->start());
  }
  void TearDown() override {
    server_.reset();
    load_node_.reset();
    pool_node_.reset();
    load_shards_.stop(5s);
    pool_shards_.stop(5s);
  }

  static std::unique_ptr<net::IrohNodeManager> start_node(net::Shards& shards, std::uint8_t key) {
    auto node = net::IrohNodeManager::start(shards, net::test::loopback(key));
    if (!node) std::abort();
    return std::move(*node);
  }

  /// Whether the pool's thread counts, from now on.
  void count(bool value) {
    std::promise<void> done;
    pool_shards_[0].post([&] {
      allocations::count_this_thread = value;
      done.set_value();
    });
    done.get_future().wait();
  }

  /// Shares that were accepted in turns of a little while, until they are enough. The pool itself is not asked: that allocates.
  static std::uint64_t mine(load::Load& load, std::uint64_t enough) {
    std::uint64_t accepted = 0;
    for (const auto until = std::chrono::steady_clock::now() + kPatience;
         accepted < enough && std::chrono::steady_clock::now() < until;) {
      EXPECT_TRUE(load.begin());
      std::this_thread::sleep_for(100ms);
      const auto measured = load.finish();
      EXPECT_TRUE(measured && measured->lost == 0);
      accepted += measured ? measured->meter.accepted : 0;
    }
    return accepted;
  }

  [[nodiscard]] load::LoadOptions load_options() const {
    auto to = net::test::address_of(*pool_node_);
    to.alpn = GetParam();
    load::LoadOptions options{.pool = {.transport = std::move(to), .authority = authority()}, .iroh = load_node_.get()};
    options.connections = 2;
    options.session = {.user = "m", .in_flight = 16};
    options.rate = 1000;
    return options;
  }

  net::Shards pool_shards_{1};
  net::Shards load_shards_{1};
  std::unique_ptr<net::IrohNodeManager> pool_node_;
  std::unique_ptr<net::IrohNodeManager> load_node_;
  ScriptedSource source_;
  std::optional<pool::PoolServer> server_;
};

INSTANTIATE_TEST_SUITE_P(Carriers, IrohAllocations, ::testing::Values(session::kAlpnLanes, session::kAlpnMining),
                         [](const auto& info) {
                           return info.param == std::string_view(session::kAlpnLanes) ? "Lanes" : "OneStream";
                         });

TEST_P(IrohAllocations, AWarmConnectionsSharesAllocateNothingFromBytesInToAnswerOut) {
  // As over TCP: what each of the two channels has seen has grown to 4096 slots with the first, and not beyond by the last,
  // even with those that are answered between two turns.
  constexpr std::uint64_t kWarm = 2 * 1100;
  constexpr std::uint64_t kCounted = 2 * 300;
  load::Load load(load_shards_, load_options());
  ASSERT_TRUE(load.open());
  ASSERT_GE(mine(load, kWarm), kWarm);
  allocations::made = 0;
  count(true);
  // Once the pool is held up, so that all that may be unanswered comes at once: more than any batch before.
  pool_shards_[0].post([] { std::this_thread::sleep_for(150ms); });
  const auto counted = mine(load, kCounted);
  count(false);
  EXPECT_GE(counted, kCounted);
  EXPECT_EQ(allocations::made, 0) << allocations::first_of_them();

  count(true);
  load::Load another(load_shards_, load_options());
  ASSERT_TRUE(another.open());
  count(false);
  EXPECT_GT(allocations::made, 0) << "a new connection allocates: the count counts";
}

}  // namespace
}  // namespace adit::attack
