// One pool, both carriers, under a load on each at once: nobody starves, and one set of books holds for all.
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/dial.h"
#include "net/iroh/test_support.h"
#include "roles/load/load.h"
#include "roles/pool/server.h"
#include "template/embedded.h"
#include "wire/messages.h"

namespace adit::load {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kConnections = 12;  // Over TCP, over lanes, over single streams of iroh.
constexpr std::uint64_t kEnough = 3000;   // Shares of each connection, while all others flood.

noise::Secret authority_secret() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(7);
  return noise::Secret(bytes);
}

class Mixed : public testing::Test {
 protected:
  void SetUp() override {
    pool_shards_.start();
    load_shards_.start();
    auto node = net::IrohNodeManager::start(pool_shards_, net::test::loopback(1));
    ASSERT_TRUE(node) << node.error().message();
    pool_node_ = std::move(*node);
    node = net::IrohNodeManager::start(load_shards_, net::test::loopback(2));
    ASSERT_TRUE(node) << node.error().message();
    load_node_ = std::move(*node);
    templates::EmbeddedSource::Options chain;
    chain.new_tip_every = 500ms;  // Jobs go to everybody meanwhile.
    source_.emplace(std::move(chain));
  }
  void TearDown() override {
    if (server_) server_->stop(5s);
    server_.reset();
    load_node_.reset();
    pool_node_.reset();
    load_shards_.stop(5s);
    pool_shards_.stop(5s);
  }

  void start_pool(net::AdmissionLimits admission = {}, bool tcp = true, net::HealthPolicy health = {}) {
    pool::ServerOptions options;
    if (tcp) options.listen = net::TcpConfig{"127.0.0.1", 0};
    options.iroh = pool_node_.get();
    options.admission = admission;
    options.health = health;
    options.tick = 100ms;
    options.authority_secret = authority_secret();
    options.jobs = {.payout_script = {0x51}, .pool_signature = "mixed"};
    options.session.channel.shares_per_minute = 120;  // With a hash rate near 0: the easiest target there is.
    server_.emplace(pool_shards_, *source_, std::move(options));
    const auto started = server_->start();
    ASSERT_TRUE(started) << started.error().message();
  }

  /// `alpn`: of one stream on a connection of its own; empty: sessions over lanes, which share a connection.
  LoadOptions over(net::Transport transport, std::size_t connections = kConnections, std::string alpn = {}) {
    LoadOptions load;
    load.pool.authority = noise::AuthorityKeyPair::from_secret(authority_secret())->public_key();
    if (transport == net::Transport::kTcp) {
      load.pool.transport = net::TcpConfig{"127.0.0.1", server_->tcp_port()};
    } else {
      auto to = net::test::address_of(*pool_node_);
      to.alpn = std::move(alpn);
      load.pool.transport = std::move(to);
    }
    load.iroh = load_node_.get();
    load.connections = connections;
    load.session.user = std::string("load.") + std::string(net::to_string(transport));
    load.flood = true;
    return load;
  }

  /// The fewest shares that any connection has had accepted so far, by transport; and how many connections there are.
  std::map<net::Transport, std::pair<std::size_t, std::uint64_t>> least() {
    std::map<net::Transport, std::pair<std::size_t, std::uint64_t>> all;
    for (const auto& connection : server_->connections().listed) {
      std::uint64_t accepted = 0;
      for (const auto& channel : connection.channels) accepted += channel.stats.accepted;
      auto& [count, fewest] = all[connection.metadata.transport];
      fewest = count++ == 0 ? accepted : std::min(fewest, accepted);
    }
    return all;
  }

  net::Shards pool_shards_{2};
  net::Shards load_shards_{2};
  std::unique_ptr<net::IrohNodeManager> pool_node_;
  std::unique_ptr<net::IrohNodeManager> load_node_;
  std::optional<templates::EmbeddedSource> source_;
  std::optional<pool::PoolServer> server_;
};

TEST_F(Mixed, UnderALoadOverBothCarriersNobodyStarves) {
  start_pool();
  Load tcp(load_shards_, over(net::Transport::kTcp));
  Load iroh(load_shards_, over(net::Transport::kIroh));
  Load single(load_shards_, over(net::Transport::kIroh, kConnections, session::kAlpnMining));
  for (Load* load : {&tcp, &iroh, &single}) {
    const auto opened = load->open();
    ASSERT_TRUE(opened) << opened.error().message();
  }
  for (Load* load : {&tcp, &iroh, &single}) ASSERT_TRUE(load->begin());
  // Every single connection gets on while all the others send as fast as they can.
  const auto all_have_enough = [&] {
    const auto now = least();
    return std::ranges::all_of(now, [](const auto& each) { return each.second.second >= kEnough; });
  };
  for (int tries = 0; tries < 2400 && !all_have_enough(); ++tries) std::this_thread::sleep_for(50ms);
  for (const auto& [transport, counted] : least()) {
    EXPECT_EQ(counted.first, transport == net::Transport::kTcp ? kConnections : 2 * kConnections) << net::to_string(transport);
    EXPECT_GE(counted.second, kEnough) << net::to_string(transport) << ": the one that got least";
  }
  for (Load* load : {&tcp, &iroh, &single}) {
    const auto measured = load->finish();
    ASSERT_TRUE(measured);
    EXPECT_EQ(measured->lost, 0u) << measured->last_loss;
    EXPECT_GT(measured->meter.accepted, kConnections * kEnough / 2);
  }
  // One set of books.
  const auto stats = server_->stats();
  EXPECT_EQ(stats.admission.connections, 3 * kConnections);
  EXPECT_EQ(stats.over(net::Transport::kTcp).open, kConnections);
  EXPECT_EQ(stats.over(net::Transport::kIroh).open, 2 * kConnections);
  EXPECT_EQ(stats.miners.standard_channels, 3 * kConnections);
}

TEST_F(Mixed, OneBoundHoldsForBothAndWhatOneCarrierGivesBackTheOtherTakes) {
  start_pool({.max_connections = 6, .max_unproven_per_source = 6});
  Load iroh(load_shards_, over(net::Transport::kIroh, 2, session::kAlpnMining));
  Load lanes(load_shards_, over(net::Transport::kIroh, 2));
  ASSERT_TRUE(iroh.open());
  ASSERT_TRUE(lanes.open());
  {
    Load tcp(load_shards_, over(net::Transport::kTcp, 2));
    ASSERT_TRUE(tcp.open());
    EXPECT_EQ(server_->stats().admission.connections, 6u);
    Load more(load_shards_, over(net::Transport::kIroh, 1, session::kAlpnMining));
    EXPECT_FALSE(more.open()) << "its six places are taken";
    EXPECT_GE(pool_node_->counts().refused, 1u) << "at the first packet";
    Load more_lanes(load_shards_, over(net::Transport::kIroh, 1));
    EXPECT_FALSE(more_lanes.open()) << "a session counts as a connection does";
    Load more_tcp(load_shards_, over(net::Transport::kTcp, 1));
    EXPECT_FALSE(more_tcp.open());
    EXPECT_GE(server_->stats().admission.refused, 3u);
  }
  for (int tries = 0; tries < 1200 && server_->stats().admission.connections > 4; ++tries) std::this_thread::sleep_for(50ms);
  Load again(load_shards_, over(net::Transport::kIroh, 2));
  const auto opened = again.open();
  EXPECT_TRUE(opened) << opened.error().message();
}

/// The first that a client hears which has said nothing for a while; over lanes Pings need no negotiation.
net::asio::awaitable<std::string> set_up_late(net::Shard& shard, net::Peer to, net::IrohCarrier& iroh) {
  const auto connection = co_await net::dial(shard, to, wire::Protocol::kMining, {.connect_deadline = 10s, .iroh = &iroh});
  if (!connection) co_return connection.error().message();
  co_await net::sleep_for(3500ms);  // Past a quarter of dead_after, when a Ping is due.
  wire::FrameBuffer setup;
  setup.push(
      wire::SetupConnection{.protocol = std::to_underlying(wire::Protocol::kMining), .min_version = 2, .max_version = 2});
  (*connection)->send(setup);
  const auto batch = co_await (*connection)->receive();
  co_return batch ? wire::to_string(batch->front()) : batch.error().message();
}

TEST_F(Mixed, WhoTakesTimeBeforeSetupConnectionIsNotAskedForWhatWouldEndItsSession) {
  start_pool({}, false, {.dead_after = 12s});
  const net::Peer to{.transport = net::test::address_of(*pool_node_),
                     .authority = noise::AuthorityKeyPair::from_secret(authority_secret())->public_key()};
  EXPECT_THAT(net::test::run_on(load_shards_[0], set_up_late(load_shards_[0], to, *load_node_)),
              testing::StartsWith("SetupConnection.Success"));
}

TEST_F(Mixed, APoolWithoutTcpServesOverIrohAlone) {
  start_pool({}, false);
  EXPECT_EQ(server_->tcp_port(), 0);
  Load iroh(load_shards_, over(net::Transport::kIroh, 3));
  ASSERT_TRUE(iroh.open());
  ASSERT_TRUE(iroh.begin());
  for (int tries = 0; tries < 1200 && least()[net::Transport::kIroh].second < 10; ++tries) std::this_thread::sleep_for(50ms);
  EXPECT_GE(least()[net::Transport::kIroh].second, 10u);
  EXPECT_EQ(server_->stats().over(net::Transport::kTcp).opened, 0u);
}

}  // namespace
}  // namespace adit::load
