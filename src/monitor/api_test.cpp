// What each route answers: SRI's contract, our own routes, the page, and the stream of events.
#include "monitor/api.h"

#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/bytes.h"
#include "base/sha256.h"
#include "monitor/exposition_testing.h"
#include "monitor/net_samples.h"
#include "monitor/prometheus_testing.h"
#include "monitor/schema_testing.h"

namespace adit::monitor {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr UnixTime kStart{1'800'000'000s};
const std::string kTarget(64, 'f');

ChannelSample client_channel(std::uint32_t client_id, std::uint32_t channel_id, bool extended) {
  ChannelSample channel;
  channel.client_id = client_id;
  channel.channel_id = channel_id;
  channel.extended = extended;
  channel.user_identity = "farm.\"<b>\xff";
  channel.hashrate_hps = 1.5e12;
  channel.proven_hps = 1.25e12;
  channel.shares_accepted = 5'000'000'000;  // More than SRI's readers have bits for.
  channel.share_work = 12.5;
  channel.shares_rejected = {{"stale-share", 2}, {"too-many-shares", 1}};
  channel.steady = true;
  channel.target_hex = kTarget;
  channel.max_target_hex = kTarget;
  channel.extranonce_prefix_hex = extended ? "00010203" : "000102030405060708090a0b";
  channel.extranonce_prefix_size = extended ? 4 : 12;
  channel.extranonce_size = extended ? 8 : 0;
  channel.best_difficulty = 99.5;
  channel.blocks_found = 1;
  channel.shares_per_minute = 6;
  channel.share_batch_size = 10;
  channel.last_sequence_number = 77;
  channel.last_batch_accepted = 10;
  channel.last_batch_work = 1'000'000'000'000'000'000;
  return channel;
}

/// A pool with so many clients, each of which has an extended and a standard channel.
Snapshot pool(std::uint32_t clients = 3) {
  Snapshot out;
  auto& side = out.clients.emplace();
  for (std::uint32_t id = 1; id <= clients; ++id) {
    ConnectionSample connection{.client_id = id, .transport = "tcp", .peer = "10.0.0." + std::to_string(id) + ":4000"};
    connection.path = "direct";
    connection.health = "healthy";
    connection.health_reason = "none";
    connection.channels = 2;
    connection.extended_channels = 1;
    connection.hashrate_hps = 3e12;
    connection.client_kind = "miner";
    connection.names = {.vendor = "<b>Vendor\n", .hardware_version = "S\xff", .firmware = "1.2"};
    out.connections.insert(out.connections.begin(), connection);  // In no order.
    side.channels.push_back(client_channel(id, 2, true));
    side.channels.push_back(client_channel(id, 3, false));
  }
  side.connections = clients;
  side.extended_channels = side.standard_channels = clients;
  side.hashrate_hps = clients * 3e12;
  side.measured_hps = clients * 2.5e12;
  side.shares_accepted = 10;
  side.shares_rejected = {{"stale-share", 6}};
  side.blocks_found = 1;
  auto& work = out.work.emplace();
  work.height = 900'001;
  work.difficulty = 1e14;
  work.network = bitcoin::Network::kRegtest;
  work.reward_sat = 312'700'000;
  work.fees_sat = 200'000;
  work.coinbase = {{.value_sat = 312'600'000,
                    .script = *bitcoin::script_from_address("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", *work.network)},
                   {.value_sat = 100'000, .script = {0x51}}};
  work.own_payouts = 2;
  work.nodes = {{.name = "127.0.0.1:8332",
                 .state = "ready",
                 .message = "",
                 .in_use = true,
                 .height = 900'001,
                 .clock_ahead_seconds = -3}};
  return out;
}

Sv1ClientSample miner(std::uint32_t id) {
  Sv1ClientSample sample;
  sample.client_id = id;
  sample.channel_id = 2;
  sample.peer = "[::1]:5000";
  sample.user = "farm.rig" + std::to_string(id);
  sample.names.user_agent = "cgminer/4.12 \xff";
  sample.hashrate_hps = 1e12 * id;
  sample.target_hex = kTarget;
  sample.extranonce1_hex = "0001";
  sample.extranonce2_size = 4;
  sample.version_mask = 0x1fffe000;
  sample.shares_accepted = 10 * id;
  sample.best_difficulty = id;
  sample.last_share_seconds = 1.5;
  return sample;
}

Snapshot translator(std::uint32_t miners = 2) {
  Snapshot out;
  auto& side = out.server.emplace();
  side.connections = 1;
  ChannelSample channel = client_channel(0, 2, true);
  channel.shares_submitted = 9;
  channel.acknowledged_work = 123;
  channel.version_rolling = true;
  channel.hashrate_known = false;
  side.channels = {channel};
  side.extended_channels = 1;
  side.hashrate_hps = 3e12;
  side.measured_hps = 2e12;
  auto& sv1 = out.sv1.emplace();
  for (std::uint32_t id = 1; id <= miners; ++id) sv1.list.push_back(miner(id));
  sv1.clients = miners;
  sv1.hashrate_hps = 3e12;
  ConnectionSample upstream{.client_id = 0, .transport = "iroh", .peer = "abcdef", .rtt_seconds = 0.023};
  upstream.path = "direct";
  upstream.health = "healthy";
  upstream.health_reason = "none";
  out.connections = {upstream};
  out.upstreams = {{.url = "stratum2+iroh://abcdef", .ready = true}};
  out.work.emplace().pieces = 3;
  return out;
}

class ApiTest : public testing::Test {
 protected:
  void take(const Snapshot& snapshot) { api_.on_snapshot(std::make_shared<const Snapshot>(snapshot), 1s, now_); }
  void pass(std::chrono::seconds time) {
    now_.instant += time;
    now_.unix_time += time;
  }
  Response ask(std::string_view target, Request request = {}) {
    request.method = "GET";
    request.path = std::string(target.substr(0, target.find('?')));
    request.query = target.find('?') == std::string_view::npos ? "" : std::string(target.substr(target.find('?') + 1));
    request.host = "localhost";
    return api_.answer(request, now_);
  }
  json::object get(std::string_view target) {
    const Response response = ask(target);
    EXPECT_EQ(response.status, 200u) << target << " " << response.content();
    return boost::json::parse(response.content()).as_object();
  }
  std::string error(std::string_view target, unsigned status) {
    const Response response = ask(target);
    EXPECT_EQ(response.status, status) << target;
    return std::string(boost::json::parse(response.content()).at("error").as_string());
  }
  /// Holds each route's answer against the description.
  void expect_as_described(std::initializer_list<std::pair<std::string_view, std::string_view>> routes) {
    for (const auto& [target, path] : routes) {
      const Response response = ask(target);
      EXPECT_THAT(described_.defects(path, response.status, response.content()), IsEmpty()) << target << "\n"
                                                                                            << response.content();
    }
  }
  static std::string header(const Response& response, std::string_view name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) return value;
    }
    return "";
  }

  Now now_{.instant = Instant(1000s), .unix_time = kStart};
  Api api_{{.identity = {.role = "pool", .version = "1.2.3", .host_name = "box"}}, now_};
  test::OpenApi described_;
};

// ---- SRI's contract.

TEST_F(ApiTest, EveryAnswerOfAPoolIsAsDescribed) {
  api_.on_health({.readiness = Readiness::kReady, .message = "", .work_age = 3s}, now_);
  take(pool());
  expect_as_described({{"/", "/"},
                       {"/api/v1/health", "/api/v1/health"},
                       {"/api/v1/ready", "/api/v1/ready"},
                       {"/api/v1/global", "/api/v1/global"},
                       {"/api/v1/server", "/api/v1/server"},
                       {"/api/v1/server/channels", "/api/v1/server/channels"},
                       {"/api/v1/clients", "/api/v1/clients"},
                       {"/api/v1/clients?limit=x", "/api/v1/clients"},
                       {"/api/v1/clients/1", "/api/v1/clients/{client_id}"},
                       {"/api/v1/clients/9", "/api/v1/clients/{client_id}"},
                       {"/api/v1/clients/1/channels", "/api/v1/clients/{client_id}/channels"},
                       {"/api/v1/sv1/clients", "/api/v1/sv1/clients"},
                       {"/api/v1/status", "/api/v1/status"},
                       {"/api/v1/history", "/api/v1/history"},
                       {"/api/v1/connections", "/api/v1/connections"},
                       {"/api/v1/workers", "/api/v1/workers"},
                       {"/api/v1/miners", "/api/v1/miners"},
                       {"/api/v1/entrances", "/api/v1/entrances"},
                       {"/api/v1/alerts", "/api/v1/alerts"},
                       {"/api/v1/doctor", "/api/v1/doctor"},
                       {"/api/v1/warnings", "/api/v1/warnings"}});
}

TEST_F(ApiTest, EveryAnswerOfATranslatorIsAsDescribed) {
  take(translator());
  expect_as_described({{"/api/v1/health", "/api/v1/health"},
                       {"/api/v1/ready", "/api/v1/ready"},
                       {"/api/v1/global", "/api/v1/global"},
                       {"/api/v1/server", "/api/v1/server"},
                       {"/api/v1/server/channels", "/api/v1/server/channels"},
                       {"/api/v1/clients", "/api/v1/clients"},
                       {"/api/v1/clients/1", "/api/v1/clients/{client_id}"},
                       {"/api/v1/clients/1/channels", "/api/v1/clients/{client_id}/channels"},
                       {"/api/v1/sv1/clients", "/api/v1/sv1/clients"},
                       {"/api/v1/sv1/clients/1", "/api/v1/sv1/clients/{client_id}"},
                       {"/api/v1/sv1/clients/9", "/api/v1/sv1/clients/{client_id}"},
                       {"/api/v1/status", "/api/v1/status"},
                       {"/api/v1/connections?limit=1", "/api/v1/connections"},
                       {"/api/v1/miners", "/api/v1/miners"}});
}

TEST_F(ApiTest, EveryRouteIsDescribedAndEveryDescribedRouteIsThere) {
  take(pool());
  const json::object endpoints = get("/").at("endpoints").as_object();
  for (const auto& [path, route] : described_.paths()) EXPECT_TRUE(endpoints.contains(path)) << path;
  for (const auto& [path, description] : endpoints) {
    if (path != "/api-docs/openapi.json" && path != "/swagger-ui") EXPECT_TRUE(described_.paths().contains(path)) << path;
  }
}

TEST_F(ApiTest, TheRootSaysWhatSrisToolsLookFor) {
  const json::object root = get("/");
  EXPECT_EQ(root.at("service"), "SRI Monitoring API");
  EXPECT_EQ(root.at("version"), "0.1.0");
}

TEST_F(ApiTest, ASideThatTheRoleLacksIsNullAndNotFoundWithSrisSentence) {
  take(pool());
  EXPECT_TRUE(get("/api/v1/global").at("server").is_null());
  EXPECT_TRUE(get("/api/v1/global").at("sv1_clients").is_null());
  EXPECT_EQ(error("/api/v1/server", 404), "Server monitoring not available");
  EXPECT_EQ(error("/api/v1/server/channels", 404), "Server monitoring not available");
  EXPECT_EQ(error("/api/v1/sv1/clients", 404), "Sv1 client monitoring not available");
  EXPECT_EQ(error("/api/v1/sv1/clients/1", 404), "Sv1 client monitoring not available");
  EXPECT_EQ(error("/api/v1/clients/99", 404), "Sv2 client 99 not found");
  EXPECT_EQ(error("/api/v1/clients/99/channels", 404), "Sv2 client 99 not found");
  take(translator());
  EXPECT_TRUE(get("/api/v1/global").at("sv2_clients").is_null());
  EXPECT_EQ(error("/api/v1/clients", 404), "Sv2 clients monitoring not available");
  EXPECT_EQ(error("/api/v1/clients/1", 404), "Sv2 clients monitoring not available");
  EXPECT_EQ(error("/api/v1/sv1/clients/99", 404), "Sv1 client 99 not found");
}

TEST_F(ApiTest, WhatCannotBeReadIsABadRequest) {
  take(pool());
  for (const char* const target :
       {"/api/v1/clients/x", "/api/v1/clients/-1", "/api/v1/clients?offset=-1", "/api/v1/clients/1/channels?limit=a",
        "/api/v1/history?span=1y", "/api/v1/miners?sort=nothing", "/api/v1/connections?limit=-5"})
    EXPECT_THAT(error(target, 400), Not(IsEmpty())) << target;
}

TEST_F(ApiTest, ClientsComeInPagesInTheOrderOfTheirNumbers) {
  take(pool(130));
  const auto ids = [](const json::object& answer) {
    std::vector<std::int64_t> out;
    for (const auto& item : answer.at("items").as_array()) out.push_back(item.at("client_id").as_int64());
    return out;
  };
  json::object page = get("/api/v1/clients");
  EXPECT_EQ(page.at("items").as_array().size(), 25u);
  EXPECT_EQ(page.at("total"), 130);
  EXPECT_EQ(page.at("limit"), 25);
  EXPECT_THAT(ids(get("/api/v1/clients?offset=10&limit=2")), ElementsAre(11, 12));
  EXPECT_EQ(get("/api/v1/clients?limit=1000").at("limit"), 100);
  EXPECT_EQ(get("/api/v1/clients?limit=1000").at("items").as_array().size(), 100u);
  EXPECT_EQ(get("/api/v1/clients?limit=0").at("items").as_array().size(), 0u);
  // Beyond the end nothing is there, and the offset is echoed as it was given.
  page = get("/api/v1/clients?offset=1000");
  EXPECT_EQ(page.at("offset"), 1000);
  EXPECT_THAT(ids(page), IsEmpty());
}

TEST_F(ApiTest, AChannelPageCountsForEachKindByItself) {
  Snapshot snapshot = pool(1);
  for (std::uint32_t id = 4; id < 10; ++id) snapshot.clients->channels.push_back(client_channel(1, id, id % 2 == 0));
  take(snapshot);
  const json::object page = get("/api/v1/clients/1/channels?offset=1&limit=2");
  EXPECT_EQ(page.at("client_id"), 1);
  EXPECT_EQ(page.at("total_extended"), 4);
  EXPECT_EQ(page.at("total_standard"), 4);
  EXPECT_EQ(page.at("extended_channels").as_array().size(), 2u);
  EXPECT_EQ(page.at("standard_channels").as_array().size(), 2u);
  EXPECT_EQ(page.at("extended_channels").at(0).at("channel_id"), 4);
}

TEST_F(ApiTest, CountersSaturateWhereSrisReadersHave32Bits) {
  take(pool(1));
  const json::object channel = get("/api/v1/clients/1/channels").at("extended_channels").at(0).as_object();
  EXPECT_EQ(channel.at("shares_accepted"), 4'294'967'295);
  EXPECT_EQ(channel.at("last_batch_work_sum"), 1'000'000'000'000'000'000);
  EXPECT_EQ(channel.at("shares_rejected"), 3);
  EXPECT_EQ(channel.at("shares_rejected_by_reason").at("stale-share"), 2);
  EXPECT_EQ(channel.at("shares_rejected_by_reason").at("invalid-channel-id"), 0);
  EXPECT_EQ(channel.at("full_extranonce_size"), 12);
  EXPECT_EQ(channel.at("rollable_extranonce_size"), 8);
}

TEST_F(ApiTest, AHashRateIsNullWithoutVardiff) {
  take(translator());
  const json::object channel = get("/api/v1/server/channels").at("extended_channels").at(0).as_object();
  EXPECT_TRUE(channel.at("nominal_hashrate").is_null());
  EXPECT_EQ(channel.at("acknowledged_work_sum"), 123);
  EXPECT_EQ(test::text_of(*std::make_shared<Snapshot>(translator())).count("sv2_server_channel_hashrate"), 0u);
}

TEST_F(ApiTest, AnSv1MinerIsShownAsSriHasIt) {
  Snapshot snapshot = translator(1);
  Sv1ClientSample& sample = snapshot.sv1->list[0];
  take(snapshot);
  json::object shown = get("/api/v1/sv1/clients/1");
  EXPECT_EQ(shown.at("connection_ip"), "::1");
  EXPECT_EQ(shown.at("sv1_username"), "farm.rig1");
  EXPECT_EQ(shown.at("sv1_worker_name"), "rig1");
  EXPECT_EQ(shown.at("version_rolling_mask"), "1fffe000");
  EXPECT_EQ(shown.at("version_rolling_min_bit"), "00002000");
  for (const char* const key : {"management_ip", "miner_telemetry", "miner_telemetry_status"})
    EXPECT_TRUE(shown.at(key).is_null());
  sample.user = "solo.";
  sample.channel_id = {};
  sample.hashrate_hps = 0;
  sample.version_mask = 0;
  take(snapshot);
  shown = get("/api/v1/sv1/clients/1");
  EXPECT_EQ(shown.at("sv1_worker_name"), "solo.");
  for (const char* const key : {"channel_id", "hashrate", "version_rolling_mask", "version_rolling_min_bit"})
    EXPECT_TRUE(shown.at(key).is_null()) << key;
}

TEST_F(ApiTest, JsonAndMetricsAgree) {
  const Snapshot snapshot = pool(2);
  take(snapshot);
  const auto metrics = test::PrometheusText(std::string(ask("/metrics").content()));
  const json::object global = get("/api/v1/global").at("sv2_clients").as_object();
  EXPECT_EQ(metrics.value("sv2_clients_total"), global.at("total_clients").to_number<double>());
  EXPECT_EQ(metrics.value("sv2_client_hashrate_total"), global.at("total_hashrate").to_number<double>());
  EXPECT_EQ(metrics.value("sv2_client_channels{channel_type=\"extended\"}"),
            global.at("extended_channels").to_number<double>());
}

TEST_F(ApiTest, WhatPeersCallThemselvesIsValidJsonEverywhere) {
  take(pool(1));
  EXPECT_EQ(get("/api/v1/miners").at("items").at(0).at("name"), "farm.\"<b>\xef\xbf\xbd");
  EXPECT_EQ(get("/api/v1/status").at("best_share").at("name"), "farm.\"<b>\xef\xbf\xbd");
}

// ---- Our own routes.

TEST_F(ApiTest, MinersAreFoundAndSorted) {
  take(translator(30));
  EXPECT_EQ(get("/api/v1/miners").at("total"), 30);
  EXPECT_EQ(get("/api/v1/miners?sort=-hashrate&limit=1").at("items").at(0).at("name"), "farm.rig30");
  EXPECT_EQ(get("/api/v1/miners?sort=hashrate&limit=1").at("items").at(0).at("name"), "farm.rig1");
  const json::object found = get("/api/v1/miners?search=RIG2&sort=name");
  EXPECT_EQ(found.at("total"), 11);
  EXPECT_EQ(found.at("listed"), 30);
  EXPECT_EQ(get("/api/v1/miners?search=cgMiner").at("total"), 30);
  EXPECT_EQ(get("/api/v1/miners?search=nothing").at("total"), 0);
  for (const char* const by : {"name", "accepted", "-rejected", "-best", "last_share"})
    EXPECT_EQ(get("/api/v1/miners?sort=" + std::string(by)).at("items").as_array().size(), 25u) << by;
}

TEST_F(ApiTest, ConnectionsComeInPagesOfOneOrder) {
  take(pool(30));
  EXPECT_EQ(get("/api/v1/connections").at("connections").as_array().size(), 30u);
  EXPECT_EQ(get("/api/v1/connections?unknown=1").at("connections").as_array().size(), 30u) << "no page was asked for";
  const json::object page = get("/api/v1/connections?offset=10&limit=2");
  EXPECT_EQ(page.at("total"), 30);
  ASSERT_EQ(page.at("connections").as_array().size(), 2u);
  EXPECT_EQ(page.at("connections").at(0).at("client_id"), 11);
}

TEST_F(ApiTest, AClientThatNamesItsWorkersIsShownByThem) {
  Snapshot snapshot = pool(2);
  snapshot.clients->workers = 2;
  snapshot.clients->worker_list = {{.client_id = 1, .worker = "a", .hashrate_hps = 5}, {.client_id = 1, .worker = "b"}};
  take(snapshot);
  EXPECT_EQ(get("/api/v1/status").at("miners"), 4);
  const json::object miners = get("/api/v1/miners?sort=name");
  ASSERT_EQ(miners.at("total"), 4);  // Two workers of the first, two channels of the second.
  EXPECT_EQ(miners.at("items").at(0).at("kind"), "worker");
  EXPECT_EQ(miners.at("items").at(0).at("address"), "10.0.0.1:4000");
  EXPECT_EQ(miners.at("items").at(2).at("kind"), "channel");
  EXPECT_EQ(miners.at("items").at(2).at("client_id"), 2);
}

TEST_F(ApiTest, WhatAClientCallsItselfIsShownWithItsMinersAndFound) {
  Snapshot snapshot = pool(2);
  snapshot.clients->worker_list = {{.client_id = 1, .worker = "a"}};
  take(snapshot);
  for (const auto& shown : {get("/api/v1/clients").at("items").at(0), get("/api/v1/miners?sort=name").at("items").at(0),
                            get("/api/v1/miners?sort=name").at("items").at(1)}) {
    EXPECT_EQ(shown.at("client_kind"), "miner");
    EXPECT_EQ(shown.at("vendor"), "<b>Vendor\n");
    EXPECT_EQ(shown.at("hardware_version"), "S\xef\xbf\xbd");
    EXPECT_EQ(shown.at("firmware"), "1.2");
    EXPECT_TRUE(shown.at("user_agent").is_null()) << "that is of Stratum V1";
  }
  EXPECT_EQ(get("/api/v1/miners?search=vendor").at("total"), 3);
  take(translator(1));
  EXPECT_EQ(get("/api/v1/sv1/clients/1").at("user_agent"), "cgminer/4.12 \xef\xbf\xbd");
  const json::object miner = get("/api/v1/miners").at("items").at(0).as_object();
  EXPECT_EQ(miner.at("user_agent"), "cgminer/4.12 \xef\xbf\xbd");
  EXPECT_TRUE(miner.at("vendor").is_null());
}

TEST_F(ApiTest, WorkSaysWhatTheBlockPaysAndToWhom) {
  take(pool(1));
  json::object work = get("/api/v1/status").at("work").as_object();
  EXPECT_EQ(work.at("reward_sat"), 312'700'000);
  EXPECT_EQ(work.at("fees_sat"), 200'000);
  EXPECT_EQ(work.at("difficulty"), 100'000'000'000'000);
  EXPECT_EQ(work.at("network"), "regtest");
  const json::object coinbase = work.at("coinbase").as_object();
  EXPECT_EQ(coinbase.at("own_payouts"), 2);
  ASSERT_EQ(coinbase.at("outputs").as_array().size(), 2u);
  EXPECT_EQ(coinbase.at("outputs").at(0).at("address"), "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080");
  EXPECT_EQ(coinbase.at("outputs").at(0).at("value_sat"), 312'600'000);
  EXPECT_TRUE(coinbase.at("outputs").at(1).at("address").is_null());
  EXPECT_EQ(coinbase.at("outputs").at(1).at("script_hex"), "51");
  take(translator());
  work = get("/api/v1/status").at("work").as_object();
  for (const char* const key : {"network", "difficulty", "reward_sat", "fees_sat", "coinbase"})
    EXPECT_TRUE(work.at(key).is_null()) << key << ": a translator is not told";
}

TEST_F(ApiTest, OutputsThatADeclaratorWantsAreShownAsFarAsThereIsRoom) {
  Snapshot snapshot = pool(1);
  snapshot.work->network.reset();
  snapshot.work->coinbase =
      std::vector<bitcoin::TxOutput>(100, {.value_sat = 1, .script = std::vector<std::uint8_t>(9999, 0xab)});
  take(snapshot);
  const json::object coinbase = get("/api/v1/status").at("work").at("coinbase").as_object();
  EXPECT_EQ(coinbase.at("total"), 100);
  ASSERT_EQ(coinbase.at("outputs").as_array().size(), 16u);
  EXPECT_EQ(coinbase.at("outputs").at(0).at("script_hex").as_string().size(), 256u);
  EXPECT_EQ(coinbase.at("outputs").at(0).at("script_size"), 9999);
  expect_as_described({{"/api/v1/status", "/api/v1/status"}});
}

TEST_F(ApiTest, AlertsAreShownWithSinceWhenAndWhetherSomebodyIsTold) {
  EXPECT_EQ(get("/api/v1/alerts").at("told"), false);
  Api api({.tells_alerts = true, .muted_alerts = {AlertKind::kBlock, AlertKind::kClock}}, now_);
  api.on_alerts({{.kind = AlertKind::kClock, .about = "node\xff", .text = "it is ahead", .since = kStart},
                 {.kind = AlertKind::kDisk, .text = "it is full", .since = kStart}});
  const Response response = api.answer({.method = "GET", .path = "/api/v1/alerts"}, now_);
  EXPECT_THAT(described_.defects("/api/v1/alerts", 200, response.content()), IsEmpty());
  const auto shown = boost::json::parse(response.content());
  EXPECT_EQ(shown.at("told"), true);
  EXPECT_EQ(shown.at("muted"), (json::array{"clock", "block"}));
  EXPECT_EQ(shown.at("alerts").at(0).at("since"), to_u32(kStart));
  EXPECT_EQ(shown.at("alerts").at(0).at("muted"), true);
  EXPECT_EQ(shown.at("alerts").at(1).at("muted"), false);
  EXPECT_EQ(shown.at("alerts").at(0).at("about"), "node\xef\xbf\xbd");
}

TEST_F(ApiTest, ChecksAreThoseThatTheRoleMadeLast) {
  const json::object before = get("/api/v1/doctor");
  EXPECT_TRUE(before.at("at").is_null());
  EXPECT_TRUE(before.at("status").is_null());
  EXPECT_TRUE(before.at("checks").as_array().empty());
  const json::array findings{{{"status", "failure"}, {"message", "it is full"}, {"cure", "free some space"}}};
  api_.on_checks({{"status", "failure"},
                  {"checks", json::array{{{"number", 3}, {"name", "files"}, {"status", "failure"}, {"findings", findings}}}}},
                 now_);
  expect_as_described({{"/api/v1/doctor", "/api/v1/doctor"}});
  const json::object shown = get("/api/v1/doctor");
  EXPECT_EQ(shown.at("at"), to_u32(now_.unix_time));
  EXPECT_EQ(shown.at("checks").at(0).at("findings").at(0).at("cure"), "free some space");
}

TEST_F(ApiTest, AConnectionHasTheNewestChangesOfItsPath) {
  net::ConnectionMetadata metadata{.transport = net::Transport::kIroh, .path_changes = 9};
  metadata.path_history.add({kStart, net::Path::kRelayed, net::Path::kDirect, "192.0.2.1:4433"});
  Snapshot snapshot = pool();
  snapshot.connections = {connection_sample(metadata, 1, 0)};
  take(snapshot);
  const json::object shown = get("/api/v1/connections").at("connections").at(0).as_object();
  EXPECT_EQ(shown.at("path_changes"), 9);
  EXPECT_EQ(shown.at("path_history"),
            (json::array{{{"at", to_u32(kStart)}, {"from", "relayed"}, {"to", "direct"}, {"address", "192.0.2.1:4433"}}}));
  expect_as_described({{"/api/v1/connections", "/api/v1/connections"}});
}

TEST_F(ApiTest, WarningsAreThoseOfTheLog) {
  Api api({.warnings =
               [] {
                 return std::vector<log::Warning>{{.event = "pool.x",
                                                   .level = log::Level::kError,
                                                   .at = std::chrono::system_clock::time_point(kStart.time_since_epoch()),
                                                   .count = 3,
                                                   .message = "<b>\xff",
                                                   .fields = "n=1"},
                                                  {.event = "pool.y"}};
               }},
          now_);
  const Response response = api.answer({.method = "GET", .path = "/api/v1/warnings"}, now_);
  EXPECT_THAT(described_.defects("/api/v1/warnings", 200, response.content()), IsEmpty());
  const auto first = boost::json::parse(response.content()).at("warnings").at(0);
  EXPECT_EQ(first.at("at"), to_u32(kStart));
  EXPECT_EQ(first.at("level"), "error");
  EXPECT_EQ(first.at("count"), 3);
  EXPECT_EQ(first.at("message"), "<b>\xef\xbf\xbd");
}

TEST_F(ApiTest, EntrancesAreShownOnceTheyAreKnown) {
  EXPECT_TRUE(get("/api/v1/entrances").at("entrances").as_array().empty());
  api_.on_entrances({{.transport = "tcp", .url = "stratum2+tcp://h:1/k", .host = "h", .port = 1, .authority = "k"},
                     {.transport = "iroh", .url = "stratum2+iroh://e/k", .host = "e"}});
  expect_as_described({{"/api/v1/entrances", "/api/v1/entrances"}});
  const json::object shown = get("/api/v1/entrances");
  EXPECT_EQ(shown.at("host_name"), "box");
  EXPECT_EQ(shown.at("entrances").at(0).at("port"), 1);
  EXPECT_TRUE(shown.at("entrances").at(1).at("port").is_null());
}

TEST_F(ApiTest, TheHistoryHasWhatHappenedBetweenSnapshots) {
  Snapshot snapshot = pool(1);
  take(snapshot);
  pass(1s);
  snapshot.clients->shares_accepted += 7;
  snapshot.clients->shares_rejected["stale-share"] += 2;
  snapshot.clients->blocks_found += 1;
  snapshot.work->height += 1;
  take(snapshot);
  const json::object history = get("/api/v1/history?span=10m");
  ASSERT_EQ(history.at("at").as_array().size(), 2u);
  // What was there before the first look is no event of that second.
  EXPECT_EQ(history.at("accepted").at(0), 0);
  EXPECT_EQ(history.at("accepted").at(1), 7);
  EXPECT_EQ(history.at("rejected").at(1), 2);
  ASSERT_EQ(history.at("marks").as_array().size(), 2u);
  EXPECT_EQ(history.at("marks").at(0).at("text"), "work for block 900002");
  EXPECT_EQ(history.at("marks").at(1).at("text"), "block found");
}

TEST_F(ApiTest, WhereThePoolCountsWholeDifficultiesAloneTheHistoryHasWhatMinersProve) {
  Snapshot snapshot = translator();
  take(snapshot);
  snapshot.server->measured_hps = 0;
  pass(1s);
  take(snapshot);
  snapshot.server->shares_rejected = {{"invalid-share", 5}};
  pass(1s);
  take(snapshot);
  const json::array rates = get("/api/v1/history").at("measured_hps").as_array();
  ASSERT_EQ(rates.size(), 3u);
  EXPECT_EQ(rates[0].to_number<double>(), 2e12);
  EXPECT_EQ(rates[1].to_number<double>(), 3e12);
  EXPECT_EQ(rates[2].to_number<double>(), 0) << "it takes none";
}

TEST_F(ApiTest, ASwitchOfTheUpstreamAndOfThePathIsMarkedOnce) {
  Snapshot snapshot = translator();
  take(snapshot);
  snapshot.upstreams[0].ready = false;
  const auto connections = std::exchange(snapshot.connections, {});
  take(snapshot);
  snapshot.upstreams[0].ready = true;
  snapshot.connections = connections;
  take(snapshot);
  EXPECT_EQ(get("/api/v1/history").at("marks").as_array().size(), 0u);  // The same as before.
  snapshot.upstreams[0].url = "stratum2+tcp://other:1/k";
  snapshot.connections[0].path = "relayed";
  take(snapshot);
  take(snapshot);
  const json::array marks = get("/api/v1/history").at("marks").as_array();
  ASSERT_EQ(marks.size(), 2u);
  EXPECT_EQ(marks[0].at("text"), "now with stratum2+tcp://other:1/k");
  EXPECT_EQ(marks[1].at("text"), "the path to the upstream is relayed now");
}

TEST_F(ApiTest, TheBestShareOutlivesItsChannel) {
  take(pool(1));
  take(pool(0));
  EXPECT_EQ(get("/api/v1/status").at("best_share").at("difficulty").to_number<double>(), 99.5);
}

// ---- The page.

TEST_F(ApiTest, ABrowserGetsThePageAndAProgramTheList) {
  const std::string browser = "text/html,application/xhtml+xml,*/*;q=0.8";
  const Response page = ask("/", {.accept = browser, .accept_encoding = "gzip, br"});
  EXPECT_EQ(page.status, 200u);
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_EQ(header(page, "Content-Encoding"), "gzip");
  EXPECT_EQ(header(page, "Cache-Control"), "no-cache");
  EXPECT_THAT(header(page, "Vary"), HasSubstr("Accept"));
  EXPECT_THAT(header(page, "Content-Security-Policy"), StartsWith("default-src 'none'"));
  EXPECT_THAT(header(page, "Content-Security-Policy"), Not(HasSubstr("unsafe")));
  EXPECT_EQ(ask("/", {.accept = "*/*"}).content_type, "application/json");
  // One that has it already.
  const Response again = ask("/", {.accept = browser, .accept_encoding = "gzip", .if_none_match = header(page, "ETag")});
  EXPECT_EQ(again.status, 304u);
  EXPECT_TRUE(again.content().empty());
  // One that takes no gzip.
  EXPECT_EQ(ask("/", {.accept = browser}).status, 406u);
}

TEST_F(ApiTest, EveryFileOfThePageIsServed) {
  int scripts = 0;
  for (const Asset& asset : assets()) {
    if (!asset.path.starts_with("/assets/")) continue;
    const Response response = ask(asset.path, {.accept_encoding = "gzip"});
    EXPECT_EQ(response.status, 200u) << asset.path;
    EXPECT_EQ(response.content(), asset.content);
    EXPECT_THAT(header(response, "Cache-Control"), HasSubstr("immutable"));
    if (response.content_type.starts_with("text/javascript")) ++scripts;
  }
  EXPECT_EQ(scripts, 1);
  std::size_t compressed = 0;
  for (const Asset& asset : assets()) compressed += asset.gzip ? asset.content.size() : 0;
  EXPECT_LT(compressed, 120'000u);
}

TEST_F(ApiTest, ThePageIsNotServedUnderAForeignName) {
  Request request{.method = "GET", .path = "/", .host = "evil.example", .accept = "text/html"};
  EXPECT_EQ(api_.answer(request, now_).status, 421u);
}

// ---- The token.

class ApiToken : public ApiTest {
 protected:
  ApiToken() : guarded_({.access = Access(sha256(as_bytes("0123456789abcdef")))}, now_) {}
  Response ask(std::string path, std::string authorization, std::string host = "localhost") {
    return guarded_.answer(
        {.method = "GET", .path = std::move(path), .host = std::move(host), .authorization = std::move(authorization)}, now_);
  }

  Api guarded_;
};

TEST_F(ApiToken, WithoutItNothingIsToldNotEvenWhichPagesThereAre) {
  guarded_.on_snapshot(std::make_shared<const Snapshot>(pool()), 1s, now_);
  for (const char* path : {"/", "/metrics", "/api/v1/health", "/api/v1/ready", "/api/v1/events", "/api/v1/miners",
                           "/api-docs/openapi.json", "/swagger-ui", "/nothing"}) {
    for (const char* given : {"", "Bearer 0123456789abcdeF", "Basic ####"}) {
      const Response refused = ask(path, given);
      EXPECT_EQ(refused.status, 401u) << path << given;
      EXPECT_EQ(header(refused, "WWW-Authenticate"), "Basic realm=\"adit\", charset=\"UTF-8\"");
      EXPECT_THAT(refused.body, HasSubstr("`monitoring_token_file`"));
      EXPECT_EQ(refused.stream, nullptr);
      if (described_.paths().contains(path)) EXPECT_THAT(described_.defects(path, 401, refused.body), IsEmpty()) << path;
    }
    EXPECT_NE(ask(path, "Bearer 0123456789abcdef").status, 401u) << path;
  }
  EXPECT_EQ(guarded_.listeners(), 1u) << "of all these one was admitted";
  EXPECT_EQ(ask("/nothing", "Bearer 0123456789abcdef").status, 404u);
  EXPECT_EQ(ask("/api/v1/miners", "Basic YWRpdDowMTIzNDU2Nzg5YWJjZGVm").status, 200u) << "adit:0123456789abcdef";
}

// The prompt's answer would go wherever that name points next.
TEST_F(ApiToken, BrowsersAreNotMadeToAskForItUnderAForeignName) {
  EXPECT_EQ(ask("/", "", "evil.example").status, 421u);
  for (const char* path : {"/metrics", "/nothing"}) {
    const Response refused = ask(path, "", "evil.example");
    EXPECT_EQ(refused.status, 401u);
    EXPECT_EQ(header(refused, "WWW-Authenticate"), "Bearer realm=\"adit\"");
  }
}

TEST_F(ApiToken, OnlyThoseWhoHaveItWaitForTheFirstSnapshot) {
  const auto waits = [&](std::string authorization) {
    return guarded_.must_wait(
        {.method = "GET", .path = "/metrics", .host = "localhost", .authorization = std::move(authorization)});
  };
  EXPECT_FALSE(waits(""));
  EXPECT_TRUE(waits("Bearer 0123456789abcdef"));
}

TEST_F(ApiTest, TheListOfRoutesHasNoFiles) {
  EXPECT_THAT(error("/nothing", 404), Not(HasSubstr("/assets/")));
  for (const auto& [path, description] : get("/").at("endpoints").as_object())
    EXPECT_FALSE(std::string_view(path).starts_with("/assets/"));
}

TEST_F(ApiTest, SwaggersPathLeadsToThePageOfTheApi) {
  const Response response = ask("/swagger-ui");
  EXPECT_EQ(response.status, 302u);
  EXPECT_EQ(header(response, "Location"), "/#/api");
}

// ---- Events.

class ApiEvents : public ApiTest {
 protected:
  struct Event {
    std::string type;
    std::string id;
    json::value data;
  };
  std::shared_ptr<BodyStream> listen(std::string last_event_id = {}) {
    const Response response = ask("/api/v1/events", {.last_event_id = std::move(last_event_id)});
    EXPECT_EQ(response.content_type, "text/event-stream");
    return response.stream;
  }
  /// What a browser makes of what has come.
  std::vector<Event> read(BodyStream& stream) {
    std::vector<Event> out;
    const auto text = stream.next(now_.instant);
    if (!text) return out;
    bytes_ = text->size();
    Event event;
    std::string_view rest = *text;
    while (!rest.empty()) {
      const auto line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      if (line.starts_with("event: ")) event.type = line.substr(7);
      if (line.starts_with("id: ")) event.id = line.substr(4);
      if (line.starts_with("data: ")) event.data = boost::json::parse(line.substr(6));
      if (line.empty() && !event.type.empty()) out.push_back(std::exchange(event, {}));
    }
    return out;
  }
  static std::vector<std::string> types(const std::vector<Event>& events) {
    std::vector<std::string> out;
    for (const Event& event : events) out.push_back(event.type);
    return out;
  }
  std::size_t bytes_ = 0;
};

TEST_F(ApiEvents, BeginWithHowItIsNowAndGoOnWithEachSnapshot) {
  take(pool(1));
  const auto stream = listen();
  EXPECT_THAT(types(read(*stream)), ElementsAre("health", "status"));
  pass(1s);
  take(pool(1));
  const auto events = read(*stream);
  EXPECT_THAT(types(events), ElementsAre("points", "status"));
  EXPECT_EQ(events[0].data.at("at").as_array().size(), 1u);
  EXPECT_EQ(events[1].data.at("role"), "pool");
}

TEST_F(ApiEvents, SayWhenTheStateChanges) {
  const auto stream = listen();
  read(*stream);
  api_.on_health({.readiness = Readiness::kReady}, now_);
  const auto events = read(*stream);
  EXPECT_THAT(types(events), ElementsAre("mark", "health"));
  EXPECT_EQ(events[0].data.at("text"), "ready");
  EXPECT_EQ(events[1].data.at("ready"), true);
  api_.on_health({.readiness = Readiness::kReady}, now_);
  EXPECT_THAT(read(*stream), IsEmpty());
}

TEST_F(ApiEvents, SayOnceThatTheRoleIsSilentAndSinceWhen) {
  api_.on_health({.readiness = Readiness::kReady}, now_);
  const auto stream = listen();
  read(*stream);
  pass(10s);
  api_.tick(now_);
  EXPECT_THAT(read(*stream), IsEmpty());
  pass(1s);
  const auto turned = now_.unix_time;
  for (int i = 0; i < 3; ++i) {
    api_.tick(now_);
    pass(1s);
  }
  auto events = read(*stream);
  ASSERT_THAT(types(events), ElementsAre("mark", "health"));
  EXPECT_EQ(events[1].data.at("state"), "silent");
  EXPECT_EQ(events[1].data.at("since"), to_u32(turned));
  EXPECT_EQ(boost::json::parse(ask("/api/v1/health").content()).at("since"), to_u32(turned));
  api_.on_health({.readiness = Readiness::kReady}, now_);
  events = read(*stream);
  ASSERT_THAT(types(events), ElementsAre("mark", "health"));
  EXPECT_EQ(events[1].data.at("since"), to_u32(now_.unix_time));
}

TEST_F(ApiEvents, AClientThatComesBackGetsWhatItMissed) {
  take(pool(1));
  auto stream = listen();
  const std::string last = read(*stream).back().id;
  stream.reset();
  for (int i = 0; i < 5; ++i) {
    pass(1s);
    take(pool(1));
  }
  const auto again = listen(last);
  const auto events = read(*again);
  ASSERT_THAT(types(events), ElementsAre("health", "status", "points"));
  EXPECT_EQ(events[2].data.at("at").as_array().size(), 5u);
  EXPECT_EQ(events[2].data.at("complete"), true);
  // Nothing twice.
  EXPECT_EQ(read(*listen(events[2].id))[2].data.at("at").as_array().size(), 0u);
}

TEST_F(ApiEvents, IdsOfAnotherProcessAndNonsenseAreNoIds) {
  take(pool(1));
  for (const char* const id : {"1-5", "x", "1800000000-", "1800000000-x", "1800000000--1"})
    EXPECT_THAT(types(read(*listen(id))), ElementsAre("health", "status")) << id;
  EXPECT_THAT(types(read(*listen("1800000000-18446744073709551615"))), ElementsAre("health", "status", "points"));
}

TEST_F(ApiEvents, AreSmallHoweverMuchThereIs) {
  Snapshot snapshot = pool(1000);
  snapshot.clients->workers = 10'000;
  for (std::uint32_t i = 0; i < 10'000; ++i)
    snapshot.clients->worker_list.push_back({.client_id = i % 1000 + 1, .worker = std::string(200, 'w') + std::to_string(i)});
  for (std::uint32_t i = 0; i < 100; ++i)
    snapshot.upstreams.push_back({.url = std::string(1000, 'u'), .error = std::string(1000, 'e')});
  snapshot.work->coinbase =
      std::vector<bitcoin::TxOutput>(1000, {.value_sat = 1, .script = std::vector<std::uint8_t>(1000, 1)});
  take(snapshot);
  // The past fills up to its bound; what is connected meanwhile is not in it.
  Snapshot before = pool(1);
  for (int i = 0; i < 700; ++i) {
    pass(1s);
    before.work->height += 1;
    take(before);
  }
  take(snapshot);
  const auto stream = listen("1800000000-0");
  EXPECT_THAT(types(read(*stream)), ElementsAre("health", "status", "points"));
  EXPECT_LT(bytes_, 64u * 1024);
  EXPECT_EQ(boost::json::parse(ask("/api/v1/status").content()).at("miners"), 10'000);
}

TEST_F(ApiEvents, ARequestWhoseStreamNobodyTakesLeavesNothing) {
  const auto kept = listen();
  for (int i = 0; i < 10; ++i) ask("/api/v1/events");
  EXPECT_LE(api_.listeners(), 2u) << "the one that reads, and the one that came last";
}

TEST_F(ApiEvents, WhoDoesNotReadIsCutOff) {
  take(pool(1));
  const auto stream = listen();
  for (int i = 0; i < 200; ++i) take(pool(1));
  EXPECT_EQ(stream->next(now_.instant), std::nullopt);
}

}  // namespace
}  // namespace adit::monitor
