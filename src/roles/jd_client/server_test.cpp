// The job declarator client over real sockets: miners of ours on it, and the embedded chain beside it.
#include "roles/jd_client/server.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/parse.hpp>

#include "base/eventually_testing.h"
#include "bitcoin/coinbase.h"
#include "channels/extranonce.h"
#include "monitor/client_testing.h"
#include "monitor/health.h"
#include "monitor/prometheus_testing.h"
#include "monitor/server.h"
#include "noise/certificate.h"
#include "roles/jd_client/metrics.h"
#include "roles/miner/miner.h"
#include "roles/pool/server.h"
#include "template/embedded.h"

namespace adit::jd_client {
namespace {

using namespace std::chrono_literals;

const std::vector<std::uint8_t> kSoloScript = {0x00, 0x14, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9};

noise::Secret authority_secret() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(7);
  return noise::Secret(bytes);
}

class JdClientServerTest : public testing::Test {
 protected:
  ServerOptions options() {
    ServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", 0};
    options.authority_secret = authority_secret();
    options.session.channel.min_hash_rate_hps = 0.001;
    options.engine.mode = Mode::kSolo;
    options.engine.solo_script = kSoloScript;
    options.engine.signature = "test";
    options.engine.least_hash_rate_hps = 1000;
    return options;
  }
  Result<void> start(ServerOptions options, const templates::EmbeddedSource::Options& chain = {}) {
    shards_.start();
    source_.emplace(chain);
    server_.emplace(shards_, *source_, std::move(options));
    return server_->start();
  }
  void mine(bool extended) {
    miner_shards_.start();
    miner::MinerConfig config{
        .user = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", .nominal_hash_rate_hps = 200, .longest_retry = 100ms};
    config.pools.push_back({.transport = net::TcpConfig{"127.0.0.1", server_->tcp_port()},
                            .authority = noise::AuthorityKeyPair::from_secret(authority_secret())->public_key()});
    config.extended = extended;
    miner_.emplace(std::move(config), miner_shards_[0]);
    miner_->start();
  }
  void TearDown() override {
    if (miner_) {
      miner_->stop();
      miner_shards_.stop(20s);
    }
    if (server_) server_->stop(10s);
    server_.reset();
    shards_.stop(5s);
  }
  /// Blocks of the chain that pay us.
  std::size_t ours() {
    std::size_t count = 0;
    for (const auto& block : source_->blocks()) {
      const auto& outputs = block.coinbase_outputs;
      if (!outputs.empty() && outputs.front().script == kSoloScript) ++count;
    }
    return count;
  }

  net::Shards shards_{1};
  net::Shards miner_shards_{1};
  std::optional<templates::EmbeddedSource> source_;
  std::optional<JdClientServer> server_;
  std::optional<miner::Miner> miner_;
};

TEST_F(JdClientServerTest, SoloBlocksOfStandardChannelsReachTheChain) {
  ASSERT_TRUE(start(options()));
  mine(false);
  EXPECT_TRUE(eventually([&] { return ours() >= 3; }));
  const auto stats = server_->stats();
  EXPECT_GE(stats.counters.blocks_found, 3u);
  EXPECT_EQ(stats.miners.standard_channels, 1u);
  EXPECT_FALSE(stats.pool);
  EXPECT_FALSE(stats.status.mining_for_pool);
}

TEST_F(JdClientServerTest, SoloBlocksOfExtendedChannelsReachTheChain) {
  ASSERT_TRUE(start(options()));
  mine(true);
  EXPECT_TRUE(eventually([&] { return ours() >= 3; }));
  EXPECT_EQ(server_->stats().miners.extended_channels, 1u);
  // A miner may call itself by an address: nobody here is paid by it.
  const auto connections = server_->connections();
  ASSERT_EQ(connections.listed.size(), 1u);
  EXPECT_EQ(connections.listed[0].channels[0].user_identity, "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq");
  Metrics metrics(*server_);
  EXPECT_TRUE(metrics.health().ready());
  const auto shown = metrics.snapshot();
  ASSERT_EQ(shown.clients->extended_channels, 1u);
  EXPECT_GE(shown.clients->shares_accepted, 3u);
  EXPECT_GE(shown.clients->blocks_found, 3u);
  ASSERT_EQ(shown.clients->channels.size(), 1u);
  EXPECT_EQ(shown.clients->channels[0].target_hex.size(), 64u);
  EXPECT_GT(shown.clients->channels[0].best_difficulty, 0);
  ASSERT_EQ(shown.connections.size(), 1u) << "there is no server above";
  EXPECT_EQ(shown.connections[0].extended_channels, 1u);
  EXPECT_GT(shown.connections[0].hashrate_hps, 0);
  ASSERT_TRUE(shown.work) << "solo work";
  EXPECT_GE(shown.work->blocks_accepted, 3u);
  EXPECT_GE(shown.work->height, 4u);
  EXPECT_TRUE(shown.upstreams.empty());
  ASSERT_TRUE(shown.server);
  EXPECT_EQ(shown.server->blocks_found, 0u) << "none was on a pool's job";
  EXPECT_TRUE(shown.server->channels.empty());
}

/// A chain that can be told of a block which nobody else knows.
class AheadSource final : public templates::TemplateSource {
 public:
  explicit AheadSource(const templates::EmbeddedSource::Options& chain) : inner_(chain) {}

  void go_ahead() {
    auto next = std::make_shared<bitcoin::Template>();
    std::function<void(templates::TemplatePtr, bool)> publish;
    {
      const std::lock_guard lock(mutex_);
      *next = *last_;
      publish = publish_;
    }
    next->id += 1000;
    next->height += 1;
    next->prev_hash.fill(0x42);
    next->coinbase_script_prefix = bitcoin::height_push(next->height);
    publish(std::move(next), true);
  }

  Result<> start(templates::SourceEvents events) override {
    {
      const std::lock_guard lock(mutex_);
      publish_ = events.on_template;
    }
    events.on_template = [this](templates::TemplatePtr block_template, bool new_tip) {
      const std::lock_guard lock(mutex_);
      last_ = block_template;
      publish_(std::move(block_template), new_tip);
    };
    return inner_.start(std::move(events));
  }
  Result<> submit(templates::TemplateId id, templates::BlockSolution solution) override {
    return inner_.submit(id, std::move(solution));
  }
  void constrain(templates::CoinbaseConstraints constraints) override { inner_.constrain(constraints); }
  void transactions(templates::TemplateId id, std::function<void(Result<Transactions>)> done) override {
    inner_.transactions(id, std::move(done));
  }
  [[nodiscard]] templates::SourceStatus status() const override { return inner_.status(); }
  void stop() override { inner_.stop(); }

 private:
  std::mutex mutex_;
  templates::TemplatePtr last_;
  std::function<void(templates::TemplatePtr, bool)> publish_;
  templates::EmbeddedSource inner_;
};

/// A pool and its declarator, which take the job of a client that keeps its transactions to itself.
class PoolBeside {
 public:
  explicit PoolBeside(const templates::EmbeddedSource::Options& chain) : source_(chain) {
    shards_.start();
    pool::ServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", 0};
    options.authority_secret = authority_secret();
    options.jobs = {.payout_script = {0x51}, .pool_signature = "pool"};
    options.session.channel.share_batch_size = 1;
    options.session.channel.min_hash_rate_hps = 0.001;
    pool::DeclaratorOptions declarator;
    declarator.listen = net::TcpConfig{"127.0.0.1", 0};
    declarator.session.allow_coinbase_only = true;
    declarator.submit_block = [](const bitcoin::Hash256&, std::uint32_t, const ledger::BlockSubmitter::Assemble&) {
      return Result<>();
    };
    options.declarator = std::move(declarator);
    server_.emplace(shards_, source_, std::move(options));
  }
  ~PoolBeside() {
    server_.reset();
    shards_.stop(5s);
  }
  PoolBeside(const PoolBeside&) = delete;
  PoolBeside& operator=(const PoolBeside&) = delete;

  Result<void> start() { return server_->start(); }
  void go_ahead() { source_.go_ahead(); }
  [[nodiscard]] UpstreamTarget target() const {
    const auto authority = noise::AuthorityKeyPair::from_secret(authority_secret())->public_key();
    return {.pool = {.transport = net::TcpConfig{"127.0.0.1", server_->tcp_port()}, .authority = authority},
            .declarator = {.transport = net::TcpConfig{"127.0.0.1", server_->declarator_tcp_port()}, .authority = authority},
            .user_identity = "farm"};
  }

 private:
  net::Shards shards_{1};
  AheadSource source_;
  std::optional<pool::PoolServer> server_;
};

std::int64_t number(const boost::json::value& of, std::string_view key) { return of.at(key).to_number<std::int64_t>(); }

TEST_F(JdClientServerTest, ItsMonitorShowsAMinerAndTheChannelWithThePool) {
  // No miner here finds a block of it, so the two chains stay the same.
  templates::EmbeddedSource::Options chain;
  chain.chain.nbits = 0x1d00ffff;
  PoolBeside pool(chain);
  ASSERT_TRUE(pool.start());
  auto with_pool = options();
  with_pool.engine.mode = Mode::kCoinbaseOnly;
  with_pool.engine.least_hash_rate_hps = 1;
  with_pool.session.channel.share_batch_size = 1;
  with_pool.upstreams.push_back(pool.target());
  ASSERT_TRUE(start(std::move(with_pool), chain));
  mine(true);
  ASSERT_TRUE(eventually([&] { return server_->stats().counters.shares_accepted >= 3; }));

  Metrics metrics(*server_);
  const auto monitor = monitor::Server::start({.address = {"127.0.0.1", 0}}, metrics);
  ASSERT_TRUE(monitor) << monitor.error().message();
  const auto get = [&](std::string_view path) {
    boost::system::error_code error;
    auto read = boost::json::parse(monitor::test::body_of((*monitor)->port(), path), error);
    EXPECT_FALSE(error) << path;
    return read;
  };
  const auto clients = get("/api/v1/clients");
  ASSERT_EQ(number(clients, "total"), 1);
  const auto& client = clients.at("items").at(0);
  EXPECT_EQ(number(client, "extended_channels_count"), 1);
  EXPECT_EQ(number(client, "standard_channels_count"), 0);
  EXPECT_EQ(client.at("client_kind").as_string(), "miner");
  EXPECT_EQ(client.at("vendor").as_string(), "adit");
  EXPECT_EQ(client.at("hardware_version").as_string(), "cpu");
  EXPECT_FALSE(client.at("firmware").as_string().empty());
  EXPECT_GT(client.at("total_hashrate").to_number<double>(), 0);
  const std::string client_id = std::to_string(number(client, "client_id"));

  const auto of_client = get("/api/v1/clients/" + client_id + "/channels");
  ASSERT_EQ(number(of_client, "total_extended"), 1);
  const auto& mined = of_client.at("extended_channels").at(0);
  EXPECT_GE(number(mined, "shares_accepted"), 3);
  EXPECT_EQ(mined.at("target_hex").as_string().size(), 64u);
  EXPECT_EQ(mined.at("extranonce_prefix_hex").as_string().size(), 2 * channels::kExtranoncePrefixSize);
  EXPECT_GT(mined.at("best_diff").to_number<double>(), 0);
  EXPECT_GT(mined.at("share_work_sum").to_number<double>(), 0);

  EXPECT_EQ(number(get("/api/v1/server"), "extended_channels_count"), 1);
  const auto of_server = get("/api/v1/server/channels");
  ASSERT_EQ(number(of_server, "total_extended"), 1);
  const auto& above = of_server.at("extended_channels").at(0);
  EXPECT_EQ(above.at("user_identity").as_string(), "farm");
  EXPECT_GE(number(above, "shares_acknowledged"), 3);
  EXPECT_GE(number(above, "shares_submitted"), 3);
  EXPECT_EQ(number(above, "shares_rejected"), 0);
  EXPECT_EQ(above.at("target_hex").as_string().size(), 64u);
  EXPECT_FALSE(above.at("extranonce_prefix_hex").as_string().empty());
  EXPECT_GT(above.at("best_diff").to_number<double>(), 0);
  EXPECT_GT(above.at("validated_work_sum").to_number<double>(), 0);
  EXPECT_TRUE(above.at("version_rolling").as_bool());

  const auto status = get("/api/v1/status");
  EXPECT_EQ(number(status.at("work"), "height"), 1);
  const auto& coinbase = status.at("work").at("coinbase");
  ASSERT_EQ(number(coinbase, "total"), 1);
  EXPECT_EQ(number(coinbase.at("outputs").at(0), "value_sat"), number(status.at("work"), "reward_sat"));
  EXPECT_TRUE(status.at("upstreams").at(0).at("ready").as_bool());
  EXPECT_GE(number(status.at("clients"), "shares_accepted"), 3);
  EXPECT_GE(number(status.at("server"), "shares_accepted"), 3);

  const monitor::test::PrometheusText text(monitor::test::body_of((*monitor)->port(), "/metrics"));
  EXPECT_EQ(text.problem(), "");
  EXPECT_EQ(text.value("sv2_clients_total"), 1);
  EXPECT_GE(text.value("sv2_client_shares_accepted_total{client_id=\"" + client_id + "\",channel_id=\"" +
                       std::to_string(number(mined, "channel_id")) +
                       "\",user_identity=\"bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq\"}"),
            3);
  EXPECT_GE(text.value("sv2_server_shares_accepted_total{channel_id=\"" + std::to_string(number(above, "channel_id")) +
                       "\",user_identity=\"farm\"}"),
            3);
  EXPECT_EQ(text.value("adit_upstreams_ready"), 1);
  EXPECT_EQ(text.value(R"(adit_upstream_connects_total{shard="0"})"), 1);
  EXPECT_EQ(text.value(R"(adit_upstream_health{shard="0",transport="tcp",reason="none"})"), 0);
  EXPECT_EQ(text.count("adit_upstream_rtt_seconds"), 1u);
  EXPECT_EQ(text.type("adit_unread_bytes"), "gauge");
  EXPECT_EQ(text.value("adit_unread_cut_total"), 0);
  EXPECT_EQ(text.type("adit_client_hashrate_measured"), "gauge");
  EXPECT_EQ(text.type("adit_upstream_hashrate_measured"), "gauge");
}

TEST_F(JdClientServerTest, ANewerTipOfThePoolIsFollowedOverTcp) {
  templates::EmbeddedSource::Options chain;
  chain.refresh_every = 1h;  // Another template of its own would take the pool back.
  chain.chain.nbits = 0x1d00ffff;
  PoolBeside pool(chain);
  ASSERT_TRUE(pool.start());
  auto with_pool = options();
  with_pool.engine.mode = Mode::kCoinbaseOnly;
  with_pool.engine.least_hash_rate_hps = 1;
  with_pool.engine.follow_pool_tip = true;
  with_pool.engine.follow_limit = 1h;
  with_pool.upstreams.push_back(pool.target());
  ASSERT_TRUE(start(std::move(with_pool), chain));
  mine(true);
  ASSERT_TRUE(eventually([&] { return server_->stats().counters.shares_accepted >= 1; }));
  EXPECT_EQ(server_->stats().counters.pool_tips_followed, 0u);
  pool.go_ahead();
  ASSERT_TRUE(eventually([&] { return server_->stats().counters.pool_tips_followed == 1; }));
  const auto before = server_->stats().counters.shares_accepted;
  EXPECT_TRUE(eventually([&] { return server_->stats().counters.shares_accepted >= before + 3; }));
  EXPECT_TRUE(eventually([&] { return server_->stats().pool->goodbye; })) << "the extension was asked for";
  EXPECT_TRUE(server_->stats().status.mining_for_pool);
}

TEST_F(JdClientServerTest, WithoutAPoolInReachTheMinersMineSoloAndReadinessSaysSo) {
  auto with_pool = options();
  with_pool.engine.mode = Mode::kFullTemplate;
  const net::Peer nobody{.transport = net::TcpConfig{"127.0.0.1", 9}, .authority = std::nullopt};
  with_pool.upstreams.push_back({.pool = nobody, .declarator = nobody, .user_identity = "farm"});
  ASSERT_TRUE(start(std::move(with_pool)));
  mine(true);
  EXPECT_TRUE(eventually([&] { return ours() >= 1; }));
  Metrics metrics(*server_);
  EXPECT_TRUE(eventually([&] { return metrics.health().message.find("solo") != std::string::npos; }));
  EXPECT_TRUE(metrics.health().ready());
}

TEST_F(JdClientServerTest, AModeThatNeedsAPoolDoesNotStartWithoutOne) {
  auto without = options();
  without.engine.mode = Mode::kFullTemplate;
  const auto started = start(std::move(without));
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().is_usage());
}

}  // namespace
}  // namespace adit::jd_client
