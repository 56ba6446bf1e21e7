#include "monitor/mining_samples.h"

#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "monitor/exposition_testing.h"

namespace adit::monitor {
namespace {

using channels::ShareVerdict;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(MiningSamples, SharesAreRefusedByTheCodesThatOccurred) {
  std::array<std::uint32_t, channels::kShareVerdicts> counts{};
  EXPECT_THAT(by_error_code(counts), IsEmpty());
  counts[std::to_underlying(ShareVerdict::kStale)] = 2;
  counts[std::to_underlying(ShareVerdict::kDuplicate)] = 1;
  EXPECT_THAT(by_error_code(counts), ElementsAre(Pair("duplicate-share", 1), Pair("stale-share", 2)));
}

TEST(MiningSamples, AClientIsATranslatorAMinerOrUnknownByWhatItCallsItself) {
  EXPECT_EQ(client_kind("SRI", "Translator Proxy"), "translator_proxy");
  EXPECT_EQ(client_kind("adit", "translator"), "translator_proxy");
  EXPECT_EQ(client_kind("SRI", ""), "miner");
  EXPECT_EQ(client_kind("", "Translator Proxy"), "miner");
  EXPECT_EQ(client_kind("adit", "miner"), "miner");
  EXPECT_EQ(client_kind("", ""), "unknown");
}

TEST(MiningSamples, AClientIsShownWithItsChannelsAndWorkers) {
  mining::ServerCounters counters;
  counters.shares_accepted = 5;
  counters.shares_rejected[std::to_underlying(ShareVerdict::kTooEasy)] = 4;
  counters.sessions_cut_off = 3;
  counters.blocks_found = 1;
  counters.extended_channels = 1;
  MiningConnections of_shard{.listed = {}, .hash_rate_hps = 1e12, .workers = 1};
  MiningConnection& session = of_shard.listed.emplace_back();
  session.id = 6;
  session.kind = kMinerClient;
  session.names = names_of({.vendor = "v", .hardware_version = "h", .firmware = "f", .device_id = "d"});
  session.metadata.peer = "192.0.2.1:1000";
  session.channels_total = session.extended_channels = 1;
  session.hash_rate_hps = 1e12;
  auto& open = session.channels.emplace_back();
  open.id = 2;
  open.kind = channels::ChannelKind::kExtended;
  open.user_identity = "farm";
  open.hash_rate_hps = 1e12;
  open.stats.accepted = 5;
  open.proven_hps = 2e12;
  open.steady = true;
  open.extranonce_prefix = {0xab, 0xcd};
  open.extranonce_size = 8;
  open.last_sequence_number = 7;
  open.best_difficulty = 9;
  auto& worker = session.workers.emplace_back();
  worker.name = "rig";
  worker.shares_accepted = 5;
  worker.shares_rejected = 4;
  MiningConnections connections;
  connections.add(std::move(of_shard));

  Snapshot out;
  MeasuredRate measured;
  add_clients(out, counters, connections, 2, measured);
  ASSERT_TRUE(out.clients);
  EXPECT_EQ(out.clients->connections, 2u);
  EXPECT_EQ(out.clients->blocks_found, 1u);
  EXPECT_EQ(out.clients->shares_accepted, 5u);
  EXPECT_THAT(out.clients->shares_rejected, ElementsAre(Pair("difficulty-too-low", 4)));
  EXPECT_EQ(out.clients->hashrate_hps, 1e12);
  ASSERT_EQ(out.connections.size(), 1u);
  EXPECT_EQ(out.connections[0].client_id, 6u);
  EXPECT_EQ(out.connections[0].client_kind, "miner");
  EXPECT_EQ(out.connections[0].peer, "192.0.2.1:1000");
  EXPECT_EQ(out.connections[0].extended_channels, 1u);
  EXPECT_EQ(out.connections[0].hashrate_hps, 1e12);
  ASSERT_EQ(out.clients->channels.size(), 1u);
  const ChannelSample& channel = out.clients->channels[0];
  EXPECT_EQ(channel.client_id, 6u);
  EXPECT_TRUE(channel.extended);
  EXPECT_EQ(channel.shares_accepted, 5u);
  EXPECT_EQ(channel.proven_hps, 2e12);
  EXPECT_TRUE(channel.steady);
  EXPECT_EQ(channel.target_hex, std::string(64, '0'));
  EXPECT_EQ(channel.extranonce_prefix_hex, "abcd");
  EXPECT_EQ(channel.extranonce_size, 8u);
  EXPECT_EQ(channel.best_difficulty, 9);
  EXPECT_EQ(channel.last_sequence_number, 7u);
  ASSERT_EQ(out.clients->worker_list.size(), 1u);
  EXPECT_EQ(out.clients->worker_list[0].client_id, 6u);
  EXPECT_EQ(out.clients->worker_list[0].shares_rejected, 4u);

  const test::PrometheusText text = test::text_of(out);
  EXPECT_EQ(text.value("adit_sessions_cut_off_total"), 3);
  EXPECT_EQ(text.value(R"(adit_channels_refused_total{error_code="channel-capacity-exhausted"})"), 0);
  EXPECT_EQ(text.value("adit_client_hashrate_measured"), 0);
  EXPECT_EQ(text.value(R"(sv2_client_shares_accepted_total{client_id="6",channel_id="2",user_identity="farm"})"), 5);
}

TEST(MiningSamples, AChannelWithTheServerAboveIsShownAsItsAccountHasIt) {
  mining::UpstreamAccount account{.submitted = 5,
                                  .acknowledged = 3,
                                  .acknowledged_work = 12,
                                  .validated_work = 20.5,
                                  .best_difficulty = 9,
                                  .blocks_found = 1,
                                  .rejected = {{"stale-share", 2}}};
  ChannelSample sample;
  add_account(sample, account);
  EXPECT_EQ(sample.shares_submitted, 5u);
  EXPECT_EQ(sample.shares_accepted, 3u);
  EXPECT_EQ(sample.acknowledged_work, 12u);
  EXPECT_EQ(sample.share_work, 20.5);
  EXPECT_EQ(sample.best_difficulty, 9);
  EXPECT_EQ(sample.blocks_found, 1u);
  EXPECT_THAT(sample.shares_rejected, ElementsAre(Pair("stale-share", 2)));
}

}  // namespace
}  // namespace adit::monitor
