// The miner against pools of ours over loopback: which one it mines on, and how it leaves.
#include "roles/miner/miner.h"

#include <array>
#include <atomic>
#include <functional>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "base/eventually_testing.h"
#include "net/framed.h"
#include "net/handshake.h"
#include "net/tcp.h"
#include "noise/certificate.h"
#include "roles/pool/server.h"
#include "template/embedded.h"
#include "wire/messages.h"

namespace adit::miner {
namespace {

using namespace std::chrono_literals;

noise::Secret authority_secret(std::uint8_t seed = 7) {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(seed);
  return noise::Secret(bytes);
}
noise::PublicKey authority(std::uint8_t seed = 7) {
  return noise::AuthorityKeyPair::from_secret(authority_secret(seed))->public_key();
}

/// One pool, on a port of the system's choice or where one was before.
struct Pool {
  explicit Pool(std::uint16_t port = 0) : source(chain()) {
    shards.start();
    pool::ServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", port};
    options.authority_secret = authority_secret();
    options.jobs = {.payout_script = {0x51}, .pool_signature = "test"};
    options.session.channel.min_hash_rate_hps = 0.001;
    options.session.channel.share_batch_size = 10;
    server.emplace(shards, source, std::move(options));
    const auto started = server->start();
    EXPECT_TRUE(started) << started.error().message();
  }
  ~Pool() {
    server->stop(10s);
    server.reset();
    shards.stop(5s);
  }
  static templates::EmbeddedSource::Options chain() {
    templates::EmbeddedSource::Options options;
    options.chain.nbits = 0x1d00ffff;  // No share is a block.
    return options;
  }
  [[nodiscard]] std::uint64_t shares() const { return server->stats().miners.shares_accepted; }
  [[nodiscard]] net::Peer upstream(std::uint8_t seed = 7) const {
    return {.transport = net::TcpConfig{"127.0.0.1", server->tcp_port()}, .authority = authority(seed)};
  }

  net::Shards shards{1};
  templates::EmbeddedSource source;
  std::optional<pool::PoolServer> server;
};

class MinerTest : public testing::Test {
 protected:
  void mine(std::vector<net::Peer> pools, bool goodbye = true) {
    shards_.start();
    MinerConfig config{.pools = std::move(pools), .user = "m", .nominal_hash_rate_hps = 200, .longest_retry = 100ms};
    config.goodbye = goodbye;
    config.selection.race_after = 1min;  // A pool that a busy machine holds up is waited for, not raced.
    config.selection.first_probe = 200ms;
    config.selection.longest_probe = 400ms;
    miner_.emplace(std::move(config), shards_[0]);
    miner_->start();
  }
  void stop(session::ShutdownBehavior behavior = {}) {
    miner_->stop(behavior);
    shards_.stop(20s);
  }
  void TearDown() override {
    if (miner_) stop();
  }

  net::Shards shards_{1};
  std::optional<Miner> miner_;
};

TEST_F(MinerTest, AGoodbyeLeavesNoShareUnanswered) {
  Pool pool;
  mine({pool.upstream()});
  ASSERT_TRUE(eventually([&] { return pool.shares() >= 25; }));
  stop();
  EXPECT_EQ(pool.server->stats().over(net::Transport::kTcp).goodbyes, 1u);
  EXPECT_EQ(miner_->stats().shares_accepted, pool.shares());
  EXPECT_EQ(miner_->last_error(), "");
}

TEST_F(MinerTest, WithoutTheExtensionTheChannelIsClosedAndTheConnectionFinished) {
  Pool pool;
  mine({pool.upstream()}, false);
  ASSERT_TRUE(eventually([&] { return pool.shares() >= 10; }));
  stop();
  EXPECT_TRUE(eventually([&] { return pool.server->stats().miners.sessions == 0; }));
  const auto stats = pool.server->stats().over(net::Transport::kTcp);
  EXPECT_EQ(stats.goodbyes, 0u);
  EXPECT_EQ(stats.protocol_errors, 0u);
  EXPECT_LE(miner_->stats().shares_accepted, pool.shares());
}

TEST_F(MinerTest, ItFallsBackToTheNextPoolAndReturnsToTheBetterOne) {
  std::optional<Pool> first;
  first.emplace();
  Pool second;
  const auto port = first->server->tcp_port();
  mine({first->upstream(), second.upstream()});
  ASSERT_TRUE(eventually([&] { return first->shares() > 0; }));
  first.reset();
  ASSERT_TRUE(eventually([&] { return second.shares() > 0; })) << "the other takes over";
  first.emplace(port);
  ASSERT_TRUE(eventually([&] { return first->shares() > 0; })) << "the better one is used again";
  EXPECT_TRUE(eventually([&] { return second.server->stats().miners.sessions == 0; })) << "and the other is left";
  EXPECT_EQ(second.server->stats().over(net::Transport::kTcp).goodbyes, 1u);
}

TEST_F(MinerTest, APoolUnderAnotherAuthorityIsPassedOver) {
  Pool impostor;
  Pool honest;
  mine({impostor.upstream(9), honest.upstream()});
  ASSERT_TRUE(eventually([&] { return honest.shares() > 0; }));
  EXPECT_EQ(impostor.server->stats().miners.standard_channels, 0u);
  EXPECT_EQ(impostor.shares(), 0u);
}

/// A pool as a test wants it.
class ScriptedPool {
 public:
  /// Says what a frame is answered by; true: and hang up.
  using Script = std::function<bool(const wire::FrameView&, wire::FrameBuffer&)>;

  explicit ScriptedPool(Script script)
      : script_(std::move(script)),
        certificates_(std::move(*noise::AuthorityKeyPair::from_secret(authority_secret())), 3600s, noise::system_random()) {
    shards_.start();
    listener_ = std::move(*net::TcpListener::bind(shards_[0], {"127.0.0.1", 0}));
    listener_->start(shards_, [this](net::Shard& shard, std::unique_ptr<net::ByteStream> stream) {
      shard.spawn(serve(shard, std::move(stream)));
    });
  }
  ~ScriptedPool() {
    listener_->stop();
    shards_.stop(5s);
  }
  [[nodiscard]] net::Peer upstream() const {
    return {.transport = net::TcpConfig{"127.0.0.1", listener_->port()}, .authority = authority()};
  }

  std::atomic<int> hung_up{0};

 private:
  net::asio::awaitable<void> serve(net::Shard& shard, std::unique_ptr<net::ByteStream> stream) {
    auto codec = co_await net::respond(shard, *stream, certificates_, {});
    if (!codec) co_return;
    net::FramedConnection connection(shard, std::move(stream), std::move(*codec), {});
    for (;;) {
      const auto batch = co_await connection.receive();
      if (!batch) co_return;
      wire::FrameBuffer out;
      bool over = false;
      for (const auto& frame : *batch) {
        if (frame.is<wire::SetupConnection>()) out.push(wire::SetupConnectionSuccess{.used_version = 2});
        over = script_(frame, out) || over;
      }
      connection.send(out);
      if (!over) continue;
      ++hung_up;
      co_return co_await connection.drain(1s);
    }
  }

  const Script script_;
  net::Shards shards_{1};
  noise::CertificateSource certificates_;
  std::unique_ptr<net::TcpListener> listener_;
};

TEST_F(MinerTest, APoolThatDoesNotAnswerRequestExtensionsIsNotAskedAgain) {
  std::atomic<int> asked{0};
  ScriptedPool pool([&](const wire::FrameView& frame, wire::FrameBuffer&) {
    if (frame.is<wire::RequestExtensions>()) ++asked;
    return frame.is<wire::OpenStandardMiningChannel>();
  });
  mine({pool.upstream()});
  ASSERT_TRUE(eventually([&] { return pool.hung_up >= 4; })) << "it comes back each time";
  EXPECT_EQ(asked, 1);
}

TEST_F(MinerTest, AReconnectIsFollowed) {
  Pool other;
  const auto port = other.server->tcp_port();
  ScriptedPool pool([port](const wire::FrameView& frame, wire::FrameBuffer& out) {
    if (frame.is<wire::OpenStandardMiningChannel>()) out.push(wire::Reconnect{.new_host = "127.0.0.1", .new_port = port});
    return false;
  });
  mine({pool.upstream()});
  EXPECT_TRUE(eventually([&] { return other.shares() > 0; }));
}

TEST_F(MinerTest, APoolThatRejectsEveryShareIsLeftForTheNext) {
  std::atomic<int> rejected{0};
  ScriptedPool unfair([&](const wire::FrameView& frame, wire::FrameBuffer& out) {
    if (const auto open = frame.as<wire::OpenStandardMiningChannel>()) {
      wire::OpenStandardMiningChannelSuccess opened{.request_id = open->request_id, .channel_id = 1, .group_channel_id = 2};
      opened.target.fill(0xff);
      opened.target[31] = 0;  // One hash in 4096 is a share.
      opened.target[30] = 0x0f;
      out.push(opened);
      out.push(wire::NewMiningJob{.channel_id = 1, .job_id = 1, .version = 0x20000000});
      out.push(wire::SetNewPrevHash{.channel_id = 1, .job_id = 1, .min_ntime = 1, .nbits = 0x1d00ffff});
    } else if (const auto share = frame.as<wire::SubmitSharesStandard>()) {
      ++rejected;
      out.push(wire::SubmitSharesError{
          .channel_id = 1, .sequence_number = share->sequence_number, .error_code = std::string_view("low-difficulty-share")});
    }
    return false;
  });
  Pool fair;
  mine({unfair.upstream(), fair.upstream()});
  EXPECT_TRUE(eventually([&] { return fair.shares() > 0; }));
  EXPECT_GE(rejected, 20);
}

TEST_F(MinerTest, WhatOnlyTheConfigurationCanMendIsNotTriedAgain) {
  mine({{.transport = net::IrohConfig{.endpoint_id = std::string(64, 'a'), .addrs = {"127.0.0.1:1"}},
         .authority = authority()}});
  ASSERT_TRUE(eventually([&] { return miner_->unusable(); })) << "there is no iroh here";
  stop();
  EXPECT_NE(miner_->last_error().find("iroh"), std::string::npos) << miner_->last_error();
}

}  // namespace
}  // namespace adit::miner
