#include "monitor/exposition.h"

#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "monitor/prometheus_testing.h"

namespace adit::monitor {
namespace {

using namespace std::chrono_literals;
using test::PrometheusText;
using testing::HasSubstr;
using testing::Not;

PrometheusText read(const Exposition& exposition) {
  const std::string text = exposition.text(12.5, {});
  EXPECT_LE(text.size(), Exposition::kMaxBytes);
  PrometheusText out(text);
  EXPECT_EQ(out.problem(), "");
  return out;
}

PrometheusText read(const Snapshot& snapshot) {
  Exposition exposition;
  exposition.update(snapshot, Instant{});
  return read(exposition);
}

SideSample two_clients() {
  return {.connections = 2,
          .blocks_found = 3,
          .standard_channels = 1,
          .extended_channels = 1,
          .hashrate_hps = 1e12 + 1,
          .channels = {{.client_id = 1,
                        .channel_id = 2,
                        .extended = true,
                        .user_identity = "farm.\"a\"\n",
                        .hashrate_hps = 1e12,
                        .shares_accepted = 10,
                        .share_work = 40,
                        .shares_rejected = {{"stale-share", 1}, {"duplicate-share", 2}, {"a\"new\nword", 3}}},
                       {.client_id = 2, .channel_id = 2, .user_identity = "b", .hashrate_hps = 1, .shares_rejected = {}}},
          .worker_list = {}};
}

TEST(Exposition, APoolHasSrisNamesAndLabelsAndNothingOfAServerAboveIt) {
  Snapshot snapshot;
  snapshot.clients = two_clients();
  const auto metrics = read(snapshot);
  EXPECT_EQ(metrics.value("sv2_uptime_seconds"), 12.5);
  EXPECT_EQ(metrics.value("sv2_clients_total"), 2);
  EXPECT_EQ(metrics.value("sv2_client_channels{channel_type=\"standard\"}"), 1);
  EXPECT_EQ(metrics.value("sv2_client_channels{channel_type=\"extended\"}"), 1);
  EXPECT_EQ(metrics.value("sv2_client_hashrate_total"), 1e12 + 1);
  EXPECT_EQ(metrics.value("sv2_client_blocks_found_total"), 3);
  const std::string first = "client_id=\"1\",channel_id=\"2\",user_identity=\"farm.\\\"a\\\"\xef\xbf\xbd\"";
  EXPECT_EQ(metrics.value("sv2_client_shares_accepted_total{" + first + "}"), 10);
  EXPECT_EQ(metrics.value("sv2_client_channel_share_work_total{" + first + "}"), 40);
  EXPECT_EQ(metrics.value("sv2_client_shares_rejected_total{" + first + ",error_code=\"stale-share\"}"), 1);
  EXPECT_EQ(metrics.value("sv2_client_shares_rejected_total{" + first + ",error_code=\"a\\\"new\xef\xbf\xbdword\"}"), 3);
  EXPECT_EQ(metrics.value("sv2_client_shares_accepted_total{client_id=\"2\",channel_id=\"2\",user_identity=\"b\"}"), 0);
  for (const auto& [series, value] : metrics.samples()) {
    EXPECT_THAT(series, Not(HasSubstr("sv2_server")));
    EXPECT_THAT(series, Not(HasSubstr("sv1_")));
  }
  // As SRI has them, whatever their names end in.
  for (const auto& [family, type] : metrics.types()) {
    if (family.starts_with("sv")) EXPECT_EQ(type, "gauge") << family;
  }
}

TEST(Exposition, TheEightRejectionsOfSriAreThereFromTheStart) {
  Snapshot snapshot;
  snapshot.clients = two_clients();
  const auto metrics = read(snapshot);
  for (const std::string code : {"invalid-channel-id", "invalid-share", "stale-share", "invalid-job-id", "difficulty-too-low",
                                 "duplicate-share", "bad-extranonce-size", "invalid-non-rollable-version-bit"}) {
    EXPECT_EQ(
        metrics.value("sv2_client_shares_rejected_total{client_id=\"2\",channel_id=\"2\",user_identity=\"b\",error_code=\"" +
                      code + "\"}"),
        0);
  }
}

TEST(Exposition, ATranslatorHasAServerSideAndStratumV1) {
  Snapshot snapshot;
  snapshot.server = SideSample{
      .channels = {{.channel_id = 5, .extended = true, .user_identity = "me", .shares_accepted = 7, .shares_rejected = {}}},
      .worker_list = {}};
  snapshot.sv1 = Sv1Sample{.clients = 4, .hashrate_hps = 8};
  const auto metrics = read(snapshot);
  EXPECT_EQ(metrics.value("sv2_server_shares_accepted_total{channel_id=\"5\",user_identity=\"me\"}"), 7);
  EXPECT_EQ(metrics.value("sv1_clients_total"), 4);
  EXPECT_EQ(metrics.value("sv1_hashrate_total"), 8);
  for (const auto& [series, value] : metrics.samples()) EXPECT_THAT(series, Not(HasSubstr("sv2_client")));
}

TEST(Exposition, ChannelsThatLookTheSameAreOneSeries) {
  Snapshot snapshot;
  auto& side = snapshot.server.emplace();
  for (const char* name : {"rig", "rig", "rig\xff", "rig\xfe"}) {
    side.channels.push_back(
        {.channel_id = 1, .user_identity = name, .hashrate_hps = 10, .shares_accepted = 1, .shares_rejected = {}});
  }
  const auto metrics = read(snapshot);
  EXPECT_EQ(metrics.value("sv2_server_shares_accepted_total{channel_id=\"1\",user_identity=\"rig\"}"), 2);
  EXPECT_EQ(metrics.value("sv2_server_channel_hashrate{channel_id=\"1\",user_identity=\"rig\"}"), 20);
  EXPECT_EQ(metrics.value("sv2_server_shares_accepted_total{channel_id=\"1\",user_identity=\"rig\xef\xbf\xbd\"}"), 2);
}

TEST(Exposition, LanesAndPathsAreCountedByTransport) {
  Snapshot snapshot;
  snapshot.connections = {{.client_id = 1, .transport = "iroh", .path = "relayed", .lanes = 4},
                          {.client_id = 2, .transport = "iroh", .path = "direct", .lanes = 2},
                          {.client_id = 3, .transport = "tcp", .path = "direct"}};
  const auto metrics = read(snapshot);
  EXPECT_EQ(metrics.value(R"(adit_connection_lanes{transport="iroh"})"), 6);
  EXPECT_EQ(metrics.value(R"(adit_connection_lanes{transport="tcp"})"), 1);
  EXPECT_EQ(metrics.value(R"(adit_connection_paths{transport="iroh",path="relayed"})"), 1);
  EXPECT_EQ(metrics.value(R"(adit_connection_paths{transport="iroh",path="direct"})"), 1);
  EXPECT_EQ(metrics.value(R"(adit_connection_paths{transport="iroh",path="unknown"})"), 0);
  EXPECT_EQ(metrics.value(R"(adit_connection_paths{transport="tcp",path="direct"})"), 1);
}

TEST(Exposition, HealthIsAGaugeAndAStateOfAClosedList) {
  Exposition exposition;
  const std::string text = exposition.text(1, {.readiness = Readiness::kNodeAway, .message = "no node", .work_age = 90s});
  const PrometheusText metrics(text);
  EXPECT_EQ(metrics.problem(), "");
  EXPECT_EQ(metrics.value("adit_ready"), 0);
  EXPECT_EQ(metrics.value("adit_readiness{state=\"node-away\"}"), 1);
  EXPECT_EQ(metrics.value("adit_readiness{state=\"ready\"}"), 0);
  EXPECT_EQ(metrics.value("adit_work_age_seconds"), 90);
  const PrometheusText ready(exposition.text(1, {.readiness = Readiness::kReady}));
  EXPECT_EQ(ready.value("adit_ready"), 1);
  EXPECT_EQ(ready.count("adit_readiness"), kAllReadiness.size());
}

TEST(Exposition, WorkersLiveAsLongAsTheWorkerAndNotAsItsConnection) {
  Exposition exposition;
  Instant now{};
  const auto update = [&](std::vector<WorkerSample> workers) {
    Snapshot snapshot;
    auto& side = snapshot.clients.emplace();
    side.workers = workers.size();
    side.worker_list = std::move(workers);
    exposition.update(snapshot, now += 15s);
    return read(exposition);
  };
  const std::string accepted = "adit_worker_shares_accepted_total{worker=\"rig\"}";
  const auto sample = [](std::uint32_t client, std::uint64_t count) {
    return WorkerSample{.client_id = client,
                        .worker = "rig",
                        .hashrate_hps = 5,
                        .shares_accepted = count,
                        .shares_rejected = count / 10,
                        .share_work = static_cast<double>(count) / 4};
  };
  auto metrics = update({sample(1, 1000), sample(2, 50)});
  EXPECT_EQ(metrics.value(accepted), 1050) << "two connections of one name";
  EXPECT_EQ(metrics.type("adit_worker_shares_accepted_total"), "counter");
  EXPECT_EQ(metrics.value("adit_worker_hashrate{worker=\"rig\"}"), 10);
  EXPECT_EQ(update({sample(2, 60)}).value(accepted), 1060) << "one ended: a counter never falls";
  EXPECT_EQ(update({}).value(accepted), std::nullopt) << "not here now";
  metrics = update({sample(7, 3)});
  EXPECT_EQ(metrics.value(accepted), 1063) << "here again, on a new connection";
  EXPECT_EQ(metrics.value("adit_worker_shares_rejected_total{worker=\"rig\"}"), 106);
  EXPECT_EQ(metrics.value("adit_worker_share_work_total{worker=\"rig\"}"), 1063 / 4.0);
  now += 2h;
  update({});
  EXPECT_EQ(update({sample(8, 3)}).value(accepted), 3) << "forgotten after an hour";
}

TEST(Exposition, AWorkerThatWasLeftOutOfAListIsNotCountedTwice) {
  Exposition exposition;
  Instant now{};
  const auto update = [&](std::vector<WorkerSample> workers, std::uint64_t all) {
    Snapshot snapshot;
    auto& side = snapshot.clients.emplace();
    side.workers = all;
    side.worker_list = std::move(workers);
    exposition.update(snapshot, now += 15s);
    return read(exposition).value("adit_worker_shares_accepted_total{worker=\"rig\"}");
  };
  EXPECT_EQ(update({{.client_id = 1, .worker = "rig", .shares_accepted = 100},
                    {.client_id = 2, .worker = "rig", .shares_accepted = 7}},
                   2),
            107);
  EXPECT_EQ(update({{.client_id = 2, .worker = "rig", .shares_accepted = 8}}, 2000), 108) << "the list has no room for all";
  EXPECT_EQ(update({{.client_id = 1, .worker = "rig", .shares_accepted = 105},
                    {.client_id = 2, .worker = "rig", .shares_accepted = 8}},
                   2000),
            108);
  EXPECT_EQ(update({{.client_id = 1, .worker = "rig", .shares_accepted = 106},
                    {.client_id = 2, .worker = "rig", .shares_accepted = 8}},
                   2000),
            109);
}

TEST(Exposition, WorkersHaveSeriesUpToABoundThatOneClientCannotFillAlone) {
  Snapshot snapshot;
  auto& side = snapshot.clients.emplace();
  for (int i = 0; i < 500; ++i)
    side.worker_list.push_back({.client_id = 1, .worker = "many-" + std::to_string(i), .share_work = 1});
  side.worker_list.push_back(
      {.client_id = 2, .worker = "rig\"}\n", .hashrate_hps = 1e9, .shares_accepted = 3, .share_work = 1});
  side.workers = side.worker_list.size();
  const auto metrics = read(snapshot);
  EXPECT_EQ(metrics.value("adit_workers"), 501);
  EXPECT_EQ(metrics.value("adit_worker_hashrate{worker=\"rig\\\"}\xef\xbf\xbd\"}"), 1000000000);
  EXPECT_EQ(metrics.count("adit_worker_shares_accepted_total"), Exposition::Limits().workers.at_once);
  EXPECT_EQ(metrics.value("adit_monitor_left_out{of=\"workers\"}"), 301);
}

// audit.md M8: 24 MB and 28,112 lines from one client.
TEST(Exposition, FourThousandChannelsWithTheLongestNamesAreNoLongScrape) {
  Snapshot snapshot;
  for (auto* side : {&snapshot.clients.emplace(), &snapshot.server.emplace()}) {
    side->standard_channels = 4096;
    for (std::uint32_t i = 0; i < 4096; ++i) {
      // Each byte becomes three.
      ChannelSample channel{.client_id = 1, .channel_id = i, .user_identity = std::string(251, '\xff') + std::to_string(i)};
      channel.shares_accepted = 1;
      for (const char* code : {"stale-share", "duplicate-share", "invalid-job-id", "difficulty-too-low"})
        channel.shares_rejected[code] = 1;
      side->channels.push_back(std::move(channel));
    }
  }
  auto& clients = *snapshot.clients;
  for (int i = 0; i < 4000; ++i)
    clients.worker_list.push_back({.client_id = 1, .worker = std::string(28, '"') + std::to_string(i)});
  clients.workers = clients.worker_list.size();
  for (int shard = 0; shard < 256; ++shard) {
    for (int i = 0; i < 40; ++i)
      snapshot.families.gauge("adit_of_shards_" + std::to_string(i), "as many as shards")
          .add(i, {{"shard", std::to_string(shard)}});
  }
  Exposition exposition;
  exposition.update(snapshot, Instant{});
  const auto metrics = read(exposition);
  EXPECT_EQ(metrics.value("adit_monitor_samples_left_out"), 0) << "each kind keeps to its own bound";
  EXPECT_EQ(metrics.value("adit_of_shards_39{shard=\"255\"}"), 39);
  EXPECT_GE(metrics.count("sv2_client_channel_hashrate"), 50u);
  EXPECT_LE(metrics.count("sv2_client_channel_hashrate"), 256u);
  EXPECT_EQ(metrics.value("adit_monitor_left_out{of=\"client-channels\"}"),
            4096.0 - static_cast<double>(metrics.count("sv2_client_channel_hashrate")));
  EXPECT_EQ(metrics.value("sv2_client_channels{channel_type=\"standard\"}"), 4096);
}

TEST(Exposition, AClientThatComesAndGoesForADayMakesNoSeriesWithoutEnd) {
  Exposition exposition;
  std::set<std::string> ever;
  Instant now{};
  for (std::uint32_t client = 1; client < 4 * 60 * 24; ++client) {
    Snapshot snapshot;
    auto& side = snapshot.clients.emplace();
    for (std::uint32_t i = 0; i < 20; ++i) {
      side.channels.push_back(
          {.client_id = client, .channel_id = i, .user_identity = "x", .share_work = 1, .shares_rejected = {}});
      side.worker_list.push_back({.client_id = client, .worker = std::to_string(client * 100 + i), .share_work = 1});
    }
    side.workers = side.worker_list.size();
    exposition.update(snapshot, now += 15s);
    if (client % 60 != 0) continue;
    for (const auto& [series, value] : read(exposition).samples()) ever.insert(series);
  }
  // Looked at once in fifteen minutes: no more than what is new in all of a day.
  EXPECT_LE(ever.size(), 11u * (256 + 24 * 256) + 4u * (200 + 24 * 200) + 100u);
}

TEST(Exposition, WhateverIsInASnapshotAScraperTakesIt) {
  std::mt19937 random(1);
  const auto any_text = [&] {
    std::string out(random() % 40, '\0');
    for (char& c : out) c = static_cast<char>(random() % 3 == 0 ? random() : "\"\\\n{}=, a#\xc3\xa9"[random() % 13]);
    return out;
  };
  const auto any_number = [&]() -> double {
    constexpr double kSome[] = {0, 1, -1, 1e308, -1e308, 5e-324, HUGE_VAL, -HUGE_VAL, NAN, 3.4e38};
    return kSome[random() % std::size(kSome)];
  };
  Exposition exposition;
  for (int i = 0; i < 300; ++i) {
    Snapshot snapshot;
    snapshot.sv1 = Sv1Sample{.clients = random(), .hashrate_hps = any_number()};
    for (auto* side : {&snapshot.clients.emplace(), &snapshot.server.emplace()}) {
      side->hashrate_hps = any_number();
      side->workers = random() % 8;
      for (unsigned n = random() % 8; n > 0; --n) {
        ChannelSample channel{.client_id = static_cast<std::uint32_t>(random() % 3),
                              .channel_id = static_cast<std::uint32_t>(random() % 2)};
        channel.user_identity = any_text();
        channel.hashrate_hps = any_number();
        channel.share_work = any_number();
        for (unsigned m = random() % 4; m > 0; --m) channel.shares_rejected[any_text()] = random();
        side->channels.push_back(std::move(channel));
        side->worker_list.push_back({.client_id = static_cast<std::uint32_t>(random() % 4),
                                     .worker = any_text(),
                                     .hashrate_hps = any_number(),
                                     .shares_accepted = random(),
                                     .share_work = std::abs(any_number())});
      }
    }
    exposition.update(snapshot, Instant{} + std::chrono::seconds(i));
    (void)read(exposition);
  }
}

}  // namespace
}  // namespace adit::monitor
