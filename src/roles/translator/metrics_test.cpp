// What a translator shows, and that whoever embeds one needs nothing of the command line.
#include "roles/translator/metrics.h"

#include <future>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "monitor/exposition_testing.h"
#include "roles/translator/config.h"
#include "roles/translator/from_config.h"
#include "roles/translator/test_support.h"

namespace adit::translator {
namespace {

using namespace std::chrono_literals;
using namespace test;
using monitor::Readiness;
using monitor::test::PrometheusText;
using monitor::test::text_of;
using testing::HasSubstr;

config::Loaded<TranslatorConfig> config_for(const net::Peer& pool, std::string_view more) {
  return parse_config(R"t(
downstream_address = "127.0.0.1"
downstream_port = 0
downstream_extranonce2_size = 4
monitoring_address = "127.0.0.1:0"
)t" + std::string(more) +
                          R"t(
[downstream_difficulty_config]
min_individual_miner_hashrate = 500.0
shares_per_minute = 60.0
enable_vardiff = false
[[upstreams]]
url = ")t" + upstream::to_url(pool) +
                          R"t("
user_identity = "farm"
)t",
                      "tproxy.toml", {});
}

class TranslatorMetrics : public testing::Test {
 protected:
  void start(const net::Peer& pool, std::string_view more = "") {
    const auto loaded = config_for(pool, more);
    ASSERT_TRUE(loaded.may_start());
    shards.start();
    server.emplace(shards, server_options(loaded.config));
    ASSERT_TRUE(server->start());
    metrics.emplace(*server);
  }
  ~TranslatorMetrics() override {
    metrics.reset();
    if (server) server->stop(1s);
    server.reset();
    shards.stop(1s);
  }

  net::Shards shards{2};
  std::optional<TranslatorServer> server;
  std::optional<Metrics> metrics;
};

TEST_F(TranslatorMetrics, AnEmbedderHasATranslatorAndItsMetricsFromATextAlone) {
  Pool pool(1);
  start(pool.target().peer);
  TestMiner miner(server->port());
  ASSERT_TRUE(miner.has_work());
  EXPECT_EQ(miner.find_block(), 0);
  ASSERT_TRUE(eventually([&] { return metrics->health().ready() && server->stats().counters.shares_accepted >= 1; }));
  const PrometheusText text = text_of(metrics->snapshot());
  EXPECT_EQ(text.value("sv1_clients_total"), 1);
  EXPECT_EQ(text.count("sv2_server_channel_hashrate"), 0u) << "vardiff is off: what we would say is no measure";
  EXPECT_EQ(text.count("sv2_server_shares_accepted_total{channel_id=\"2\",user_identity=\"farm.miner1\"}"), 1u)
      << "as the pool knows it, and SRI's translator shows it";
  EXPECT_EQ(text.value("adit_upstream_shares_submitted_total"), 1);
  EXPECT_EQ(text.type("adit_upstream_shares_submitted_total"), "counter");
  EXPECT_EQ(text.value("adit_miner_shares_local_total"), 0);
  EXPECT_EQ(text.value("adit_miners_ready"), 1);
  EXPECT_EQ(text.value("adit_miners_waiting"), 0);
  EXPECT_EQ(text.value("adit_upstream_channels_kept"), 0);
  EXPECT_GT(text.value("adit_upstream_hashrate_declared"), 0);
  double sent = 0;
  for (const auto& [name, value] : text.samples()) {
    if (name.starts_with("adit_sv1_miner_shares_submitted_total{miner=\"")) sent += value;
  }
  EXPECT_EQ(sent, 1);
  EXPECT_EQ(text.count("adit_sv1_miner_shares_local_total"), 1u);
  EXPECT_EQ(text.value("adit_unread_bytes"), 0);
  EXPECT_EQ(text.count("adit_upstream_round_trip_seconds_count"), 4u) << "two shards, two transports";
  EXPECT_EQ(text.value("adit_upstream_health{shard=\"0\",transport=\"tcp\",reason=\"none\"}"), 0);
}

// audit.md L4: four miners on one channel, two distinct series.
TEST_F(TranslatorMetrics, AChannelOfSeveralMinersIsOneSeriesWhateverTheyCallThemselves) {
  Pool pool(1);
  start(pool.target().peer, "aggregate_channels = true\n");
  std::vector<std::unique_ptr<TestMiner>> miners;
  for (int i = 0; i < 4; ++i) {
    miners.push_back(std::make_unique<TestMiner>(server->port()));
    ASSERT_TRUE(miners.back()->has_work());
  }
  ASSERT_TRUE(eventually([&] { return server->stats().counters.miners == 4; }));
  const PrometheusText text = text_of(metrics->snapshot());
  EXPECT_EQ(text.value("sv1_clients_total"), 4);
  EXPECT_LE(text.count("sv2_server_channel_hashrate"), 2u) << "one for each shard";
  EXPECT_LE(text.value("sv2_server_channels{channel_type=\"extended\"}"), 2);
}

TEST_F(TranslatorMetrics, TheSnapshotHasEachMinerAndEachChannelWithItsAccount) {
  Pool pool(1);
  start(pool.target().peer);
  TestMiner miner(server->port());
  ASSERT_TRUE(miner.has_work());
  EXPECT_EQ(miner.find_block(), 0);
  ASSERT_TRUE(eventually([&] { return server->stats().counters.shares_accepted >= 1; }));
  const monitor::Snapshot snapshot = metrics->snapshot();
  ASSERT_TRUE(snapshot.server && snapshot.sv1);
  ASSERT_EQ(snapshot.server->channels.size(), 1u);
  const monitor::ChannelSample& channel = snapshot.server->channels[0];
  EXPECT_EQ(channel.user_identity, "farm.miner1");
  EXPECT_EQ(channel.shares_submitted, 1u);
  EXPECT_EQ(channel.shares_accepted, 1u);
  EXPECT_EQ(channel.blocks_found, 1u);
  EXPECT_GT(channel.share_work, 0);
  EXPECT_GT(channel.best_difficulty, 0);
  EXPECT_EQ(channel.target_hex.size(), 64u);
  EXPECT_EQ(channel.extranonce_prefix_hex.size(), 2 * channel.extranonce_prefix_size);
  EXPECT_GT(channel.extranonce_size, 0u);
  EXPECT_TRUE(channel.version_rolling);
  EXPECT_FALSE(channel.hashrate_known) << "vardiff is off: the pool knows better";
  ASSERT_EQ(snapshot.sv1->list.size(), 1u);
  const monitor::Sv1ClientSample& sample = snapshot.sv1->list[0];
  EXPECT_EQ(sample.client_id, 1u);
  EXPECT_EQ(sample.channel_id, channel.channel_id);
  EXPECT_THAT(sample.peer, testing::StartsWith("127.0.0.1:"));
  EXPECT_EQ(sample.extranonce1_hex.size(), 4u);
  EXPECT_EQ(sample.extranonce2_size, 4u);
  EXPECT_EQ(sample.target_hex.size(), 64u);
  EXPECT_EQ(sample.shares_accepted, 1u);
  EXPECT_TRUE(sample.last_share_seconds);
  ASSERT_TRUE(snapshot.work);
  EXPECT_GT(snapshot.work->difficulty, 0);
  EXPECT_EQ(snapshot.work->coinbase, std::nullopt) << "a translator is not told";
  ASSERT_EQ(snapshot.upstreams.size(), 2u) << "one for each shard";
  EXPECT_TRUE(snapshot.upstreams[0].ready || snapshot.upstreams[1].ready);
}

std::vector<MinerInfo> crowd(std::uint64_t first, std::size_t count, std::uint64_t accepted) {
  std::vector<MinerInfo> miners(count);
  for (std::size_t i = 0; i < count; ++i) {
    miners[i].number = first + i;
    miners[i].user = std::string(300, '"');
    miners[i].ready = true;
    miners[i].shares_submitted = miners[i].shares_accepted = accepted;
    miners[i].shares_local = 2 * accepted;
  }
  return miners;
}

TEST(TranslatorMinerSeries, AreBoundedInNumberAndOverTimeAndGoToThoseWhoWork) {
  MinerSeries series;
  Instant now{};
  auto miners = crowd(2'000'000, 900, 0);
  for (const auto& worker : crowd(10'000, 50, 7)) miners.push_back(worker);
  const auto scrape = [&](const std::vector<MinerInfo>& listed, std::size_t connected) {
    monitor::Families families;
    series.add(families, listed, connected, now);
    EXPECT_THAT(families.defects(), testing::IsEmpty());
    std::size_t left_out = 0;
    const std::string written = families.text(1 << 20, left_out);
    EXPECT_LE(written.size(), 256u * 1024);
    return PrometheusText(written);
  };
  const auto text = scrape(miners, 5000);
  EXPECT_EQ(text.problem(), "");
  const auto shown = text.count("adit_sv1_miner_shares_local_total");
  EXPECT_GT(shown, 50u);
  EXPECT_LE(shown, MinerSeries::kAtOnce);
  EXPECT_EQ(text.value("adit_sv1_miners_left_out"), 5000 - static_cast<double>(shown));
  std::size_t workers = 0;
  for (const auto& [name, value] : text.samples()) workers += name.starts_with("adit_sv1_miner_hashrate{miner=\"100") ? 1 : 0;
  EXPECT_EQ(workers, 50u) << "each that works";
  // A day of miners that come anew every quarter of a minute.
  std::set<std::string> names;
  for (std::uint64_t round = 0; round < 24 * 60 * 4; ++round) {
    now += 15s;
    for (const auto& [name, value] : scrape(crowd(20'000 + (round * 100), 100, 1), 100).samples()) {
      if (name.starts_with("adit_sv1_miner_hashrate")) names.insert(name);
    }
  }
  EXPECT_LE(names.size(), MinerSeries::kAtOnce * 26) << "of 576,000";
  EXPECT_GE(names.size(), MinerSeries::kAtOnce);
}

TEST(TranslatorHealth, SaysWhichUpstreamIsLostAndWhy) {
  ServerStats stats;
  stats.upstreams.resize(2);
  stats.counters.jobs = 1;
  EXPECT_EQ(health_of(stats, std::nullopt).readiness, Readiness::kStarting);
  EXPECT_EQ(health_of(stats, std::nullopt).message, "no upstream is connected yet");
  stats.upstreams[1].ready = true;
  stats.upstreams[1].connects = 1;
  EXPECT_EQ(health_of(stats, std::nullopt).readiness, Readiness::kReady) << "it waits for miners";
  stats.counters.channels = 1;
  EXPECT_EQ(health_of(stats, std::nullopt).readiness, Readiness::kStarting) << "no job yet";
  EXPECT_EQ(health_of(stats, 3s).readiness, Readiness::kReady) << "one of the shards is enough";
  EXPECT_EQ(health_of(stats, 3s).work_age, 3s);
  stats.upstreams[1].ready = false;
  stats.upstreams[1].url = "stratum2+tcp://pool.example:3333";
  stats.upstreams[1].last_error = "connection refused";
  EXPECT_EQ(health_of(stats, 3s).readiness, Readiness::kUpstreamLost);
  EXPECT_EQ(health_of(stats, 3s).message,
            "no upstream is connected any more; the last that was tried, stratum2+tcp://pool.example:3333: connection refused");
  stats.upstreams[0].unusable = Error(net::Errc::kConfiguration, "wrong key");
  EXPECT_EQ(health_of(stats, 3s).readiness, Readiness::kMisconfigured);
  EXPECT_THAT(health_of(stats, 3s).message, HasSubstr("wrong key"));
}

// The upstreams of the other shards had the label of the one that hangs, and counters fell.
TEST_F(TranslatorMetrics, WhileAShardHangsItSaysSoAndWhatItShowsOfEachShardStays) {
  Pool pool(1);
  start(pool.target().peer);
  ASSERT_TRUE(eventually([&] { return metrics->health().ready(); })) << "also without a miner";
  ASSERT_TRUE(eventually([&] {
    const PrometheusText text = text_of(metrics->snapshot());
    return text.value("adit_upstream_connects_total{shard=\"0\"}") == 1 &&
           text.value("adit_upstream_connects_total{shard=\"1\"}") == 1;
  }));
  std::promise<void> release;
  std::promise<void> hangs;
  shards[0].post([&hangs, released = release.get_future().share()] {
    hangs.set_value();
    released.wait();
  });
  hangs.get_future().wait();
  EXPECT_EQ(metrics->health().readiness, Readiness::kSilent);
  const PrometheusText text = text_of(metrics->snapshot());
  EXPECT_EQ(text.value("adit_shards_silent"), 1);
  EXPECT_EQ(text.value("adit_upstream_connects_total{shard=\"0\"}"), 1);
  EXPECT_EQ(text.value("adit_upstream_connects_total{shard=\"1\"}"), 1);
  release.set_value();
  EXPECT_TRUE(eventually([&] { return metrics->health().ready(); }));
}

TEST_F(TranslatorMetrics, AnUpstreamThatIsNotThereMakesItNotReady) {
  start({.dialect = net::Dialect::kStratumV2, .transport = net::TcpConfig{"127.0.0.1", 1}, .authority = {}});
  EXPECT_TRUE(eventually([&] { return metrics->health().message.find("127.0.0.1:1") != std::string::npos; }));
  EXPECT_EQ(metrics->health().readiness, Readiness::kStarting);
  EXPECT_EQ(text_of(metrics->snapshot()).value("adit_upstreams_ready"), 0);
}

}  // namespace
}  // namespace adit::translator
