// What a pool shows, and that whoever embeds one needs nothing of the command line: configuration, options, server, metrics.
#include "roles/pool/metrics.h"

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/eventually_testing.h"
#include "base/temporary_folder_testing.h"
#include "monitor/exposition_testing.h"
#include "net/dial.h"
#include "net/shard_testing.h"
#include "roles/pool/config.h"
#include "roles/pool/from_config.h"
#include "template/bitcoin_nodes.h"
#include "template/embedded.h"
#include "template/test_node.h"

namespace adit::pool {
namespace {

using namespace std::chrono_literals;
using monitor::Readiness;
using monitor::test::PrometheusText;
using monitor::test::text_of;
using testing::AllOf;
using testing::HasSubstr;
using State = templates::SourceStatus::State;

TEST(PoolFromConfig, AnEmbedderHasAPoolAndItsMetricsFromATextAlone) {
  auto loaded = parse_config(R"t(
listen_address = "127.0.0.1:0"
monitoring_address = "127.0.0.1:0"
monitoring_hosts = ["Pool.Example"]
authority_secret_key = "mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n"
coinbase_reward_script = "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)"
server_id = 7
shares_per_minute = 12.5
share_batch_size = 3
[template_provider_type.Embedded]
[health]
dead_after_secs = 5
[admission]
max_connections = 9
)t",
                             "pool.toml", {});
  ASSERT_TRUE(loaded.may_start());
  EXPECT_THAT(loaded.config.monitoring.hosts, testing::ElementsAre("pool.example"));
  const auto authority = load_authority(loaded.config);
  ASSERT_TRUE(authority);
  net::Shards shards(1);
  shards.start();
  const auto source = make_source(loaded.config, shards[0], nullptr);
  ASSERT_TRUE(source);
  ServerOptions options = server_options(loaded.config, *authority, *source);
  EXPECT_EQ(options.server_id, 7);
  EXPECT_EQ(options.session.channel.share_batch_size, 3u);
  EXPECT_EQ(options.health.dead_after, 5s);
  EXPECT_EQ(options.admission.max_connections, 9u);
  {
    PoolServer server(shards, *source->source, std::move(options));
    ASSERT_TRUE(server.start());
    Metrics metrics(server, nullptr, loaded.config.network);
    ASSERT_TRUE(eventually([&] { return metrics.health().ready(); }));
    const auto work = metrics.snapshot().work;
    ASSERT_TRUE(work && work->coinbase);
    EXPECT_EQ(work->reward_sat, 5'000'000'000u);
    EXPECT_EQ(work->fees_sat, 0u) << "the embedded chain has no transactions";
    EXPECT_EQ(*work->coinbase,
              (std::vector<bitcoin::TxOutput>{{.value_sat = 5'000'000'000, .script = loaded.config.payout_script}}));
    EXPECT_GT(work->difficulty, 0);
    const PrometheusText text = text_of(metrics.snapshot());
    EXPECT_EQ(text.value("sv2_clients_total"), 0);
    EXPECT_EQ(text.value("adit_template_height"), 1);
    EXPECT_EQ(text.type("adit_connections_opened_total"), "counter");
    EXPECT_EQ(text.type("adit_blocks_unanswered"), "gauge");
    EXPECT_EQ(text.value("adit_client_hashrate_measured"), 0);
    EXPECT_EQ(text.value(R"(adit_channels_refused_total{error_code="channel-capacity-exhausted"})"), 0);
    EXPECT_EQ(text.value("adit_sessions_cut_off_total"), 0);
    EXPECT_EQ(text.value("adit_payouts"), 0);
  }
  shards.stop(1s);
}

TEST(PoolFromConfig, APasswordThatCannotBeReadIsToldBeforeTheStart) {
  PoolConfig config;
  BitcoinRpcSource rpc;
  rpc.node = {"127.0.0.1", 1};
  rpc.user = "u";
  rpc.password_file = "/none";
  config.source = std::move(rpc);
  net::Shards shards(1);
  const auto source = make_source(config, shards[0], nullptr);
  ASSERT_FALSE(source);
  EXPECT_TRUE(source.error().is_usage());
  EXPECT_THAT(source.error().message(), HasSubstr("/none"));
}

TEST(PoolHealth, IsTheSourcesWithItsSentence) {
  const Instant now{1h};
  const auto health = [&](State state, std::string message, std::optional<Duration> age) {
    templates::SourceStatus status;
    status.state = state;
    status.message = std::move(message);
    if (age) status.template_at = now - *age;
    return health_of(status, now);
  };
  EXPECT_EQ(health(State::kReady, "", 5s).readiness, Readiness::kReady);
  EXPECT_EQ(health(State::kReady, "", 5s).message, "");
  EXPECT_EQ(health(State::kReady, "", 5s).work_age, 5s);
  EXPECT_EQ(health(State::kReady, "templates come from b; a is away", 5s).readiness, Readiness::kReady);
  EXPECT_EQ(health(State::kReady, "templates come from b; a is away", 5s).message, "templates come from b; a is away");
  EXPECT_EQ(health(State::kStarting, "", std::nullopt).readiness, Readiness::kStarting);
  EXPECT_EQ(health(State::kStarting, "", std::nullopt).message, "no template has come yet");
  EXPECT_EQ(health(State::kReady, "", std::nullopt).readiness, Readiness::kStarting) << "ready, and no template is here yet";
  EXPECT_EQ(health(State::kWaiting, "the node warms up", std::nullopt).readiness, Readiness::kNodeAway);
  EXPECT_EQ(health(State::kWaiting, "the node warms up", std::nullopt).message, "the node warms up");
  const auto away = health(State::kWaiting, "nothing listens at 127.0.0.1:1", 90s);
  EXPECT_EQ(away.readiness, Readiness::kNodeAway);
  EXPECT_EQ(away.work_age, 90s);
  EXPECT_EQ(away.message, "nothing listens at 127.0.0.1:1; miners go on with the last template");
  EXPECT_EQ(health(State::kWaiting, "nothing listens at 127.0.0.1:1", 91s).message, away.message)
      << "a sentence that changes with time would be an event each second";
  EXPECT_EQ(health(State::kMisconfigured, "wrong password", 1s).readiness, Readiness::kMisconfigured);
  templates::SourceStatus gone;
  gone.state = State::kWaiting;
  gone.message = "nothing listens";
  gone.template_at = now - 1h;
  EXPECT_EQ(health_of(gone, now, true).readiness, Readiness::kNodeAway);
  EXPECT_EQ(health_of(gone, now, true).message,
            "nothing listens; no channel is opened and those that are open are closed, so that miners turn to their next pool");
}

// audit.md M3: three seconds after the node was killed the pool said "ok".
TEST(PoolHealth, ANodeThatGoesAwayMakesThePoolNotReadyAndSaysSo) {
  TemporaryFolder folder;
  auto node = std::make_unique<templates::test::TestNode>();
  const std::string of_node = "{node=\"127.0.0.1:" + std::to_string(node->port()) + "\"}";
  templates::RpcConfig rpc;
  rpc.port = node->port();
  rpc.auth = templates::RpcPassword{"user", "secret"};
  rpc.network = bitcoin::Network::kRegtest;
  rpc.refresh_every = 20ms;
  rpc.retry_first = 1ms;
  rpc.retry_cap = 20ms;
  templates::BitcoinNodes::Options nodes;
  nodes.nodes.push_back({.at = std::move(rpc)});
  nodes.blocks.journal_folder = folder.path();
  templates::BitcoinNodes source(nodes);
  net::Shards shards(1);
  shards.start();
  {
    ServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", 0};
    options.authority_secret = noise::AuthorityKeyPair::generate(noise::system_random()).secret().copy();
    options.jobs.payout_script = {0x51};
    PoolServer server(shards, source, std::move(options));
    ASSERT_TRUE(server.start());
    Metrics metrics(server);
    ASSERT_TRUE(eventually([&] { return metrics.health().ready(); }));
    const PrometheusText before = text_of(metrics.snapshot());
    EXPECT_EQ(before.value("adit_node_ready" + of_node), 1);
    EXPECT_EQ(before.value("adit_node_in_use" + of_node), 1);
    EXPECT_EQ(before.value("adit_node_height" + of_node), before.value("adit_template_height"));
    EXPECT_TRUE(before.value("adit_node_clock_ahead_seconds" + of_node));
    node.reset();
    ASSERT_TRUE(eventually([&] { return !metrics.health().ready(); }));
    const auto health = metrics.health();
    EXPECT_EQ(health.readiness, Readiness::kNodeAway);
    EXPECT_THAT(health.message, HasSubstr("; miners go on with the last template"));
    EXPECT_TRUE(health.work_age);
    EXPECT_EQ(text_of(metrics.snapshot()).value("adit_node_ready" + of_node), 0);
  }
  shards.stop(1s);
}

/// Blocks a shard from its construction until the end of its life.
class HungShard {
 public:
  explicit HungShard(net::Shard& shard) {
    std::promise<void> begun;
    shard.post([released = released_, &begun] {
      begun.set_value();
      released.wait();
    });
    begun.get_future().wait();
  }
  HungShard(const HungShard&) = delete;
  HungShard& operator=(const HungShard&) = delete;
  ~HungShard() { release_.set_value(); }

 private:
  std::promise<void> release_;
  std::shared_future<void> released_ = release_.get_future().share();
};

// The counts of a shard that hangs were missing, so counters fell and rose again, which Prometheus takes for a restart.
TEST(PoolMetrics, WhileAShardHangsThePoolSaysSoAndNoCounterFalls) {
  net::Shards shards(2);
  shards.start();
  {
    templates::EmbeddedSource source({});
    ServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", 0};
    const auto authority = noise::AuthorityKeyPair::generate(noise::system_random());
    options.authority_secret = authority.secret().copy();
    options.jobs.payout_script = {0x51};
    PoolServer server(shards, source, std::move(options));
    ASSERT_TRUE(server.start());
    Metrics metrics(server);
    // Connections go to the shards by turns.
    std::vector<std::unique_ptr<net::NetworkConnection>> clients;
    const net::Peer pool{.transport = net::TcpConfig{"127.0.0.1", server.tcp_port()}, .authority = authority.public_key()};
    net::Shards own(1);
    own.start();
    for (int i = 0; i < 4; ++i) {
      auto client = net::on(own[0], [&] { return net::dial(own[0], pool, wire::Protocol::kMining, {}); });
      ASSERT_TRUE(client) << client.error().message();
      clients.push_back(std::move(*client));
    }
    const std::string opened = "adit_connections_opened_total{transport=\"tcp\"}";
    ASSERT_TRUE(eventually([&] { return text_of(metrics.snapshot()).value(opened) == 4 && metrics.health().ready(); }));
    {
      const HungShard hung(shards[1]);
      const auto health = metrics.health();
      EXPECT_EQ(health.readiness, Readiness::kSilent);
      EXPECT_THAT(health.message, HasSubstr("shards that do not answer: 1;"));
      const PrometheusText text = text_of(metrics.snapshot());
      EXPECT_EQ(text.value(opened), 4);
      EXPECT_EQ(text.value("adit_shards_silent"), 1);
    }
    EXPECT_TRUE(eventually([&] { return metrics.health().ready(); }));
    EXPECT_EQ(text_of(metrics.snapshot()).value("adit_shards_silent"), 0);
    net::on(own[0], [&]() -> net::asio::awaitable<bool> {
      clients.clear();
      co_return true;
    });
    own.stop(1s);
  }
  shards.stop(1s);
}

}  // namespace
}  // namespace adit::pool
