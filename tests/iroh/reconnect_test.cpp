// A pool over lanes that sends its clients elsewhere: a translator follows to the same authority over iroh, and nowhere else;
// its miner stays connected and loses nothing.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/hex.h"
#include "net/establish.h"
#include "net/iroh/test_support.h"
#include "roles/translator/server.h"
#include "roles/translator/test_support.h"
#include "wire/messages.h"

namespace adit::translator {
namespace {

using namespace test;

/// What a test's nodes and servers live in: started first, stopped last.
struct RunningShards : net::Shards {
  RunningShards() : net::Shards(1) { start(); }
  ~RunningShards() { stop(1s); }
  RunningShards(const RunningShards&) = delete;
  RunningShards& operator=(const RunningShards&) = delete;
};

net::Credentials credentials_of(const net::IrohNodeManager& node) {
  std::array<std::uint8_t, 32> id{};
  EXPECT_TRUE(from_hex(node.endpoint_id(), id));
  return {authority().secret(), 3600s, id};
}

class ReconnectOverIroh : public testing::Test {
 protected:
  void SetUp() override {
    restless_ = std::move(*net::IrohNodeManager::start(pool_shards_, net::test::loopback(1)));
    elsewhere_ = std::move(*net::IrohNodeManager::start(pool_shards_, net::test::loopback(2)));
    ours_ = std::move(*net::IrohNodeManager::start(our_shards_, net::test::loopback(3)));
    credentials_.emplace(credentials_of(*restless_));
  }
  void TearDown() override {
    if (server_) server_->stop(1s);
    server_.reset();
    if (other_) other_->stop(1s);
    other_.reset();
    ours_.reset();
    restless_.reset();
    elsewhere_.reset();
  }

  /// The pool elsewhere.
  void start_other(const noise::AuthorityKeyPair& key) {
    pool::ServerOptions options;
    options.iroh = elsewhere_.get();
    options.authority_secret = key.secret().copy();
    options.jobs = {.payout_script = {0x51}, .pool_signature = "elsewhere"};
    other_.emplace(pool_shards_, chain_, std::move(options));
    ASSERT_TRUE(other_->start());
  }
  [[nodiscard]] std::string elsewhere() const {
    return elsewhere_->endpoint_id() + "?addr=" + elsewhere_->local_addresses().front();
  }

  /// A translator that prefers the restless pool, which asks for a connection to `host` and `port`; the honest one is its
  /// second.
  void start_translator(std::string host, std::uint16_t port) {
    ASSERT_TRUE(restless_->listen({session::kAlpnLanes}, net::Admission({}),
                                  [this, host, port](net::Shard& shard, net::Link link, net::IrohCarrier::Place) {
                                    ++sent_away_;
                                    shard.spawn(send_away(shard, std::move(link), *credentials_, host, port));
                                  }));
    auto preferred = honest_.target();
    preferred.peer.transport = net::test::address_of(*restless_);
    ServerOptions options;
    options.listen = {"127.0.0.1", 0};
    options.upstreams = {preferred, honest_.target()};
    options.iroh = ours_.get();
    options.selection = {.race_after = 10s, .first_retry = 50ms, .longest_retry = 200ms};
    server_.emplace(our_shards_, std::move(options));
    ASSERT_TRUE(server_->start());
  }

  static net::asio::awaitable<void> send_away(net::Shard& shard, net::Link given, net::Credentials& credentials,
                                              std::string host, std::uint16_t port) {
    auto link = std::move(given);
    auto accepted = co_await net::accept_session(shard, link, credentials, {});
    if (!accepted) co_return;
    const auto connection = std::move(*accepted);
    if (!co_await connection->receive()) co_return;
    wire::FrameBuffer out;
    out.push(wire::SetupConnectionSuccess{.used_version = 2});
    out.push(wire::Reconnect{.new_host = std::string_view(host), .new_port = port});
    connection->send(out);
    while (co_await connection->receive()) {
    }
  }

  void expect_the_honest_pool_mined_on() {
    TestMiner miner(server_->port());
    ASSERT_TRUE(miner.has_work());
    EXPECT_EQ(miner.find_block(), 0);
    EXPECT_TRUE(eventually([&] { return honest_.height() == 1; }));
    EXPECT_FALSE(miner.ended());
  }

  RunningShards pool_shards_;
  RunningShards our_shards_;
  std::unique_ptr<net::IrohNodeManager> restless_;
  std::unique_ptr<net::IrohNodeManager> elsewhere_;
  std::unique_ptr<net::IrohNodeManager> ours_;
  std::optional<net::Credentials> credentials_;
  std::atomic<int> sent_away_ = 0;
  templates::EmbeddedSource chain_{{}};
  std::optional<pool::PoolServer> other_;
  Pool honest_{1};
  std::optional<TranslatorServer> server_;
};

TEST_F(ReconnectOverIroh, ToAnotherEndpointOfTheSameAuthorityIsFollowed) {
  start_other(authority());
  start_translator(elsewhere(), 0);
  TestMiner miner(server_->port());
  ASSERT_TRUE(miner.has_work());
  EXPECT_EQ(miner.find_block(), 0);
  EXPECT_TRUE(eventually([&] { return chain_.blocks().back().height == 1; }));
  EXPECT_FALSE(miner.ended());
}

TEST_F(ReconnectOverIroh, ToAnEndpointUnderAnotherAuthorityIsNotBelieved) {
  start_other(noise::AuthorityKeyPair::generate(noise::system_random()));
  start_translator(elsewhere(), 0);
  expect_the_honest_pool_mined_on();
  // What had begun there before its certificate was read is soon over.
  EXPECT_TRUE(eventually([&] { return other_->stats().miners.sessions == 0; }));
  EXPECT_EQ(other_->stats().miners.shares_accepted, 0u);
}

TEST_F(ReconnectOverIroh, ToAnotherCarrierIsRefused) {
  start_translator("127.0.0.1", honest_.port());
  expect_the_honest_pool_mined_on();
  EXPECT_EQ(sent_away_, 1) << "it was left, and the other used as the second upstream that it is";
}

TEST_F(ReconnectOverIroh, AgainAndAgainIsFollowedThreeTimesAndLeft) {
  start_translator("", 0);
  expect_the_honest_pool_mined_on();
  EXPECT_EQ(sent_away_, 4) << "the first session, and three that it asked for";
}

}  // namespace
}  // namespace adit::translator
