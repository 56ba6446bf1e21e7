#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "monitor/metrics.h"
#include "monitor/server.h"

namespace adit::monitor {
namespace {

using boost::asio::ip::tcp;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Snapshot pool_snapshot() {
  Snapshot snapshot;
  snapshot.clients = SideSample{
      .connections = 2,
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
                    .shares_rejected = {{"stale-share", 1}, {"duplicate-share", 2}}},
                   {.client_id = 2, .channel_id = 2, .user_identity = "b", .hashrate_hps = 1, .shares_rejected = {}}}};
  return snapshot;
}

TEST(Metrics, HaveSrisNamesAndLabels) {
  const std::string text = metrics_text(pool_snapshot(), 12.5);
  for (const char* line : {
           "# TYPE sv2_uptime_seconds gauge\nsv2_uptime_seconds 12.5\n",
           "sv2_clients_total 2\n",
           "sv2_client_channels{channel_type=\"standard\"} 1\n",
           "sv2_client_channels{channel_type=\"extended\"} 1\n",
           "sv2_client_hashrate_total 1000000000001\n",
           "sv2_client_blocks_found_total 3\n",
           "sv2_client_shares_accepted_total{client_id=\"2\",channel_id=\"2\",user_identity=\"b\"} 0\n",
           "# TYPE sv2_client_shares_rejected_total gauge\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, Not(HasSubstr("sv2_server")));
  EXPECT_THAT(text, Not(HasSubstr("sv1_")));
}

TEST(Metrics, AHistogramIsCumulative) {
  Snapshot snapshot;
  snapshot.histograms.push_back({.name = "adit_rtt_seconds",
                                 .help = "h",
                                 .labels = {{"transport", "iroh"}},
                                 .bounds = {0.1, 1},
                                 .counts = {2, 3, 4},
                                 .sum = 50});
  const std::string text = metrics_text(snapshot, 0);
  EXPECT_THAT(text, HasSubstr("# TYPE adit_rtt_seconds histogram\n"));
  EXPECT_THAT(text, HasSubstr("adit_rtt_seconds_bucket{transport=\"iroh\",le=\"1\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("adit_rtt_seconds_count{transport=\"iroh\"} 9\n"));
}

TEST(Connections, AreListedAsJsonThatAPeerCannotForge) {
  Snapshot snapshot;
  EXPECT_EQ(connections_json(snapshot), "{\"connections\":[]}");
  snapshot.connections.push_back({.client_id = 1, .transport = "tcp", .peer = "a\"b\n", .path = "direct", .channels = 2});
  snapshot.connections.push_back({.client_id = 2, .transport = "iroh", .rtt_seconds = 0.5});
  const std::string json = connections_json(snapshot);
  EXPECT_THAT(json, HasSubstr("\"peer\":\"a\\\"b\\n\""));
  EXPECT_THAT(json, HasSubstr("\"channels\":2},{\"client_id\":2"));
  EXPECT_THAT(json, HasSubstr("\"rtt_seconds\":0.5"));
}

TEST(Workers, AreListedAsJsonThatAPeerCannotForge) {
  Snapshot snapshot;
  EXPECT_EQ(workers_json(snapshot), "{\"total\":0,\"workers\":[]}");
  snapshot.clients = SideSample{.workers = 7,
                                .worker_list = {{.client_id = 1, .worker = "a\"},{\"\n", .shares_accepted = 2},
                                                {.client_id = 3, .worker = "", .hashrate_hps = 0.5, .shares_rejected = 4}}};
  const std::string json = workers_json(snapshot);
  EXPECT_THAT(json, StartsWith("{\"total\":7,\"workers\":[{\"client_id\":1,\"worker\":\"a\\\"},{\\\"\\n\","));
  EXPECT_THAT(json, HasSubstr("\"shares_accepted\":2,"));
  EXPECT_THAT(json, HasSubstr("{\"client_id\":3,\"worker\":\"\",\"hashrate_hps\":0.5"));
  EXPECT_THAT(json, HasSubstr("\"shares_rejected\":4,"));
}

TEST(Workers, HaveMetricsOfTheirOwnUpToABoundThatOneClientCannotFillAlone) {
  Snapshot snapshot;
  auto& side = snapshot.clients.emplace();
  for (int i = 0; i < 500; ++i) side.worker_list.push_back({.client_id = 1, .worker = "many-" + std::to_string(i)});
  side.worker_list.push_back({.client_id = 2, .worker = "rig\"}\n", .hashrate_hps = 1e9, .shares_accepted = 3});
  side.workers = side.worker_list.size();
  const std::string text = metrics_text(snapshot, 0);
  EXPECT_THAT(text, HasSubstr("\nadit_workers 501\n"));
  EXPECT_THAT(text, HasSubstr("\nadit_worker_hashrate{client_id=\"2\",worker=\"rig\\\"}\xef\xbf\xbd\"} 1000000000\n"));
  EXPECT_THAT(text, HasSubstr("\nadit_worker_shares_accepted_total{client_id=\"2\",worker=\"rig\\\"}\xef\xbf\xbd\"} 3\n"));
  std::size_t series = 0;
  for (auto at = text.find("\nadit_worker_shares_accepted_total{"); at != std::string::npos;
       at = text.find("\nadit_worker_shares_accepted_total{", at + 1)) {
    ++series;
  }
  EXPECT_EQ(series, kMaxWorkersInMetrics);
}

TEST(Metrics, APeersNameCannotForgeALine) {
  const std::string text = metrics_text(pool_snapshot(), 0);
  EXPECT_THAT(
      text,
      HasSubstr(
          "sv2_client_shares_rejected_total{client_id=\"1\",channel_id=\"2\",user_identity=\"farm.\\\"a\\\"\xef\xbf\xbd\","
          "error_code=\"stale-share\"} 1\n"));
  EXPECT_EQ(label_value("a\xff\x01z"), "a\xef\xbf\xbd\xef\xbf\xbdz");
}

TEST(Metrics, ATranslatorHasAServerSideAndStratumV1) {
  Snapshot snapshot;
  snapshot.server = SideSample{
      .channels = {{.channel_id = 5, .extended = true, .user_identity = "me", .shares_accepted = 7, .shares_rejected = {}}}};
  snapshot.sv1 = Sv1Sample{.clients = 4, .hashrate_hps = 8};
  const std::string text = metrics_text(snapshot, 0);
  EXPECT_THAT(text, HasSubstr("sv2_server_shares_accepted_total{channel_id=\"5\",user_identity=\"me\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("sv1_clients_total 4\n"));
  EXPECT_THAT(text, HasSubstr("sv1_hashrate_total 8\n"));
  EXPECT_THAT(text, Not(HasSubstr("sv2_client")));
}

TEST(Metrics, GaugesOfOneNameShareOneHeader) {
  Snapshot snapshot;
  snapshot.gauges = {{"adit_connections", "Open connections", {{"transport", "tcp"}}, 1},
                     {"adit_connections", "", {{"transport", "iroh"}}, 2}};
  EXPECT_THAT(metrics_text(snapshot, 0),
              EndsWith("# HELP adit_connections Open connections\n# TYPE adit_connections gauge\n"
                       "adit_connections{transport=\"tcp\"} 1\nadit_connections{transport=\"iroh\"} 2\n"));
}

Server::Options on_loopback() {
  Server::Options options;
  options.address = {"127.0.0.1", 0};
  return options;
}

Pull counting(std::atomic<int>& pulls) {
  return [&pulls](const Deliver& deliver) {
    ++pulls;
    deliver(pool_snapshot());
  };
}

// A connection of its own, so that tests can misbehave on it.
class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(context_) {
    socket_.connect({boost::asio::ip::make_address("127.0.0.1"), port});
  }
  void send(std::string_view text) {
    boost::system::error_code ignored;
    boost::asio::write(socket_, boost::asio::buffer(text), ignored);
  }
  // Until the server closes.
  std::string rest() {
    std::string text;
    boost::system::error_code ignored;
    boost::asio::read(socket_, boost::asio::dynamic_buffer(text), ignored);
    return text;
  }

 private:
  boost::asio::io_context context_;
  tcp::socket socket_;
};

std::string get(std::uint16_t port, std::string_view target, std::string_view method = "GET") {
  Client client(port);
  client.send(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  return client.rest();
}

TEST(Server, ServesMetricsAndHealth) {
  std::atomic<int> pulls = 0;
  const auto server = Server::start(on_loopback(), counting(pulls));
  ASSERT_TRUE(server.has_value()) << server.error().message();
  const std::uint16_t port = (*server)->port();
  EXPECT_EQ((*server)->address(), "127.0.0.1:" + std::to_string(port));
  const std::string metrics = get(port, "/metrics");
  EXPECT_THAT(metrics, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(metrics, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(metrics, HasSubstr("\nsv2_clients_total 2\n"));
  const std::string health = get(port, "/api/v1/health?x=1");
  EXPECT_THAT(health, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(health, HasSubstr("{\"status\":\"ok\",\"timestamp\":"));
}

TEST(Server, AnythingElseIs404WithAJsonError) {
  std::atomic<int> pulls = 0;
  const auto server = Server::start(on_loopback(), counting(pulls));
  ASSERT_TRUE(server.has_value());
  for (const char* target : {"/", "/metrics/x", "/api/v1/clients", "*"}) {
    const std::string answer = get((*server)->port(), target);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 404 Not Found\r\n")) << target;
    EXPECT_THAT(answer, HasSubstr("{\"error\":\"")) << target;
  }
  EXPECT_THAT(get((*server)->port(), "/metrics", "DELETE"), StartsWith("HTTP/1.1 405 "));
}

TEST(Server, AsksTheRoleOnceForAllRequestsWithinTheRefresh) {
  std::atomic<int> pulls = 0;
  const auto server = Server::start(on_loopback(), counting(pulls));
  ASSERT_TRUE(server.has_value());
  for (int i = 0; i < 3; ++i) EXPECT_THAT(get((*server)->port(), "/metrics"), HasSubstr(" 200 OK"));
  EXPECT_EQ(pulls, 1);
}

TEST(Server, SeveralRequestsGoOverOneConnection) {
  std::atomic<int> pulls = 0;
  const auto server = Server::start(on_loopback(), counting(pulls));
  ASSERT_TRUE(server.has_value());
  Client client((*server)->port());
  client.send("GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string both = client.rest();
  EXPECT_THAT(both, HasSubstr("200 OK"));
  EXPECT_THAT(both, HasSubstr("404 Not Found"));
}

TEST(Server, ARoleThatDoesNotAnswerIs503AndHealthGoesOn) {
  auto options = on_loopback();
  options.pull_deadline = std::chrono::milliseconds(20);
  const auto server = Server::start(options, [](const Deliver&) {});
  ASSERT_TRUE(server.has_value());
  EXPECT_THAT(get((*server)->port(), "/metrics"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(get((*server)->port(), "/metrics"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(get((*server)->port(), "/api/v1/health"), HasSubstr("200 OK"));
}

TEST(Server, ARequestTooLargeOrNoHttpIsRefused) {
  std::atomic<int> pulls = 0;
  const auto server = Server::start(on_loopback(), counting(pulls));
  ASSERT_TRUE(server.has_value());
  Client large((*server)->port());
  large.send("GET /metrics HTTP/1.1\r\nX: " + std::string(9000, 'x'));
  EXPECT_THAT(large.rest(), StartsWith("HTTP/1.1 431 "));
  Client body((*server)->port());
  body.send("GET /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_THAT(body.rest(), StartsWith("HTTP/1.1 413 "));
  Client garbage((*server)->port());
  garbage.send("\x01\x02garbage\r\n\r\n");
  EXPECT_THAT(garbage.rest(), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(get((*server)->port(), "/api/v1/health"), HasSubstr("200 OK"));
}

TEST(Server, ASilentClientIsCutOffAtTheDeadlineAndHoldsNobodyUp) {
  auto options = on_loopback();
  options.request_deadline = std::chrono::milliseconds(50);
  std::atomic<int> pulls = 0;
  const auto server = Server::start(options, counting(pulls));
  ASSERT_TRUE(server.has_value());
  Client silent((*server)->port());
  Client slow((*server)->port());
  slow.send("GET /met");
  EXPECT_EQ(silent.rest(), "");
  EXPECT_EQ(slow.rest(), "");
}

TEST(Server, OneConnectionTooManyIsClosedAndTheOthersAreServed) {
  auto options = on_loopback();
  options.max_connections = 1;
  std::atomic<int> pulls = 0;
  const auto server = Server::start(options, counting(pulls));
  ASSERT_TRUE(server.has_value());
  Client first((*server)->port());
  first.send("GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n");
  Client second((*server)->port());
  EXPECT_EQ(second.rest(), "");
  first.send("GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(first.rest(), HasSubstr("404 Not Found"));
}

TEST(Server, APortInUseIsSaidSo) {
  std::atomic<int> pulls = 0;
  const auto first = Server::start(on_loopback(), counting(pulls));
  ASSERT_TRUE(first.has_value());
  auto options = on_loopback();
  options.address.port = (*first)->port();
  const auto second = Server::start(options, counting(pulls));
  ASSERT_FALSE(second.has_value());
  EXPECT_TRUE(second.error().is(net::Errc::kAddressInUse));
  EXPECT_THAT(second.error().message(), HasSubstr("127.0.0.1:" + std::to_string((*first)->port()) + " is in use"));
}

TEST(Server, AnAddressThatIsNotOursIsAConfigurationError) {
  std::atomic<int> pulls = 0;
  auto options = on_loopback();
  options.address.host = "localhost";
  EXPECT_TRUE(Server::start(options, counting(pulls)).error().is(net::Errc::kConfiguration));
  options.address.host = "192.0.2.1";
  EXPECT_TRUE(Server::start(options, counting(pulls)).error().is(net::Errc::kConfiguration));
}

TEST(Server, ASnapshotThatComesAfterTheEndIsHarmless) {
  Deliver late;
  auto options = on_loopback();
  options.pull_deadline = std::chrono::milliseconds(20);
  {
    const auto server = Server::start(options, [&late](Deliver deliver) { late = std::move(deliver); });
    ASSERT_TRUE(server.has_value());
    EXPECT_THAT(get((*server)->port(), "/metrics"), StartsWith("HTTP/1.1 503 "));
  }
  late(pool_snapshot());
}

}  // namespace
}  // namespace adit::monitor
