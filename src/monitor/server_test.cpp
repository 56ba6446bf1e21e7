#include "monitor/server.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include "base/bytes.h"
#include "base/eventually_testing.h"
#include "base/no_descriptors_testing.h"
#include "base/sha256.h"
#include "base/temporary_folder_testing.h"
#include "log/log_testing.h"
#include "monitor/client_testing.h"
#include "monitor/webhook_testing.h"

namespace adit::monitor {
namespace {

using namespace std::chrono_literals;
using test::Client;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// A role that says what a test tells it to.
class FakeRole final : public Role {
 public:
  Snapshot snapshot() override {
    ++snapshots;
    std::unique_lock lock(mutex);
    released.wait(lock, [&] { return !stuck; });
    Snapshot out;
    out.clients =
        SideSample{.connections = 2,
                   .channels = {},
                   .workers = 1,
                   .worker_list = {{.client_id = 1, .worker = "a\"},{\"\n", .hashrate_hps = HUGE_VAL, .shares_accepted = 2}}};
    out.connections = {{.client_id = 1, .transport = "tcp", .peer = "a\"b\n", .path = "direct", .channels = 2},
                       {.client_id = 2, .transport = "iroh", .peer = "\xff", .rtt_seconds = 0.5}};
    return out;
  }
  Health health() override {
    std::unique_lock lock(mutex);
    released.wait(lock, [&] { return !stuck; });
    return verdict;
  }
  void say(Health health) {
    const std::scoped_lock lock(mutex);
    verdict = std::move(health);
  }
  void be_stuck(bool now) {
    const std::scoped_lock lock(mutex);
    stuck = now;
    released.notify_all();
  }

  std::atomic<int> snapshots = 0;
  std::mutex mutex;
  std::condition_variable released;
  bool stuck = false;
  Health verdict{.readiness = Readiness::kReady};
};

class MonitorServer : public testing::Test {
 protected:
  void start(Server::Options options = {}) {
    options.address = {"127.0.0.1", 0};
    auto started = Server::start(options, role_);
    ASSERT_TRUE(started.has_value()) << started.error().message();
    server_ = std::move(*started);
  }
  void TearDown() override { role_.be_stuck(false); }

  [[nodiscard]] std::string get(std::string_view target, std::string_view method = "GET",
                                std::string_view host = "127.0.0.1:9090") const {
    return test::ask(server_->port(), target, method, host);
  }

  FakeRole role_;
  std::unique_ptr<Server> server_;
};

TEST_F(MonitorServer, ServesMetricsHealthAndLists) {
  Server::Options options;
  options.identity = {.role = "pool", .version = "1.2.3"};
  start(std::move(options));
  EXPECT_EQ(server_->address(), "127.0.0.1:" + std::to_string(server_->port()));
  const std::string metrics = get("/metrics");
  EXPECT_THAT(metrics, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(metrics, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(metrics, HasSubstr("\nsv2_clients_total 2\n"));
  EXPECT_THAT(metrics, HasSubstr("\nadit_ready 1\n"));
  EXPECT_THAT(metrics, HasSubstr("\nadit_build_info{version=\"1.2.3\",role=\"pool\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("\nprocess_resident_memory_bytes "));
  const std::string health = get("/api/v1/health?x=1");
  EXPECT_THAT(health, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(health, HasSubstr("{\"status\":\"ok\",\"timestamp\":"));
}

TEST_F(MonitorServer, ListsAreJsonThatAPeerCannotForgeAndThatNoFigureBreaks) {
  start();
  const std::string connections = get("/api/v1/connections");
  EXPECT_THAT(connections, HasSubstr("{\"connections\":[{\"client_id\":1,\"transport\":\"tcp\",\"peer\":\"a\\\"b\\n\","));
  EXPECT_THAT(connections, HasSubstr("\"channels\":2},{\"client_id\":2,\"transport\":\"iroh\",\"peer\":\"\xef\xbf\xbd\""));
  EXPECT_THAT(connections, HasSubstr("\"rtt_seconds\":5E-1"));
  const std::string workers = get("/api/v1/workers");
  EXPECT_THAT(workers,
              EndsWith("{\"total\":1,\"workers\":[{\"client_id\":1,\"worker\":\"a\\\"},{\\\"\\n\",\"hashrate_hps\":null,"
                       "\"shares_accepted\":2,\"shares_rejected\":0,\"share_work\":0}]}"));
}

TEST_F(MonitorServer, TellsAWebhookWhatIsWrongAndThatItIsOver) {
  test::Receiver receiver({200});
  AlertRules rules;
  rules.patience = Duration::zero();
  Server::Options options;
  options.refresh = 5ms;
  options.alerts = rules;
  options.webhook = {.url = receiver.url(), .name = "pool on farm"};
  options.data_dir = "/";
  start(std::move(options));
  role_.say({.readiness = Readiness::kNodeAway, .message = "the node does not answer"});
  ASSERT_TRUE(receiver.wait_for(1));
  EXPECT_THAT(receiver.requests()[0], AllOf(HasSubstr("\"kind\":\"node\""), HasSubstr("the node does not answer"),
                                            HasSubstr("pool on farm"), HasSubstr("\"over\":false")));
  EXPECT_TRUE(eventually([&] { return get("/api/v1/alerts").find("the node does not answer") != std::string::npos; }));
  role_.say({.readiness = Readiness::kReady});
  ASSERT_TRUE(receiver.wait_for(2));
  EXPECT_THAT(receiver.requests()[1], HasSubstr("\"over\":true"));
  EXPECT_TRUE(eventually([&] { return get("/api/v1/alerts").find("{\"alerts\":[],\"told\":true,") != std::string::npos; }));
}

TEST_F(MonitorServer, TheRoleIsCheckedByItsSnapshotAndNoOftenerThanItShould) {
  std::atomic<int> looks = 0;
  Server::Options options;
  options.refresh = 1ms;
  options.first_checks = Duration::zero();
  options.checks_every = std::chrono::hours(24);
  options.checks = [&](const Snapshot& snapshot) {
    ++looks;
    return json::object{{"connections", snapshot.clients->connections}};
  };
  start(options);
  EXPECT_TRUE(eventually([&] { return get("/api/v1/doctor").find("\"connections\":2,\"at\":") != std::string::npos; }));
  EXPECT_TRUE(eventually([&] { return role_.snapshots > 20; }));
  server_->stop();
  EXPECT_EQ(looks, 1);
}

TEST_F(MonitorServer, AWebhookThatIsNoUrlStopsTheStart) {
  Server::Options options;
  options.address = {"127.0.0.1", 0};
  options.webhook = {.url = "example.com"};
  const auto started = Server::start(options, role_);
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message(), HasSubstr("https://"));
}

TEST_F(MonitorServer, AnythingElseIs404WithAJsonErrorAndOtherMethodsAre405) {
  start();
  for (const char* target : {"/metrics/x", "/api/v1/nothing", "*"}) {
    const std::string answer = get(target);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 404 Not Found\r\n")) << target;
    EXPECT_THAT(answer, HasSubstr("{\"error\":\"")) << target;
  }
  EXPECT_THAT(get("/metrics", "DELETE"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(get("/metrics", "DELETE"), HasSubstr("\r\nAllow: GET, HEAD\r\n"));
}

TEST_F(MonitorServer, HeadIsGetWithoutTheBody) {
  start();
  const std::string head = get("/api/v1/workers", "HEAD");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, EndsWith("\r\n\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("Content-Length: 0\r\n")));
  EXPECT_THAT(get("/api/v1/events", "HEAD"), EndsWith("\r\n\r\n"));
}

TEST_F(MonitorServer, AsksTheRoleByItselfAndNotForEachRequest) {
  start();
  for (int i = 0; i < 5; ++i) EXPECT_THAT(get("/metrics"), HasSubstr(" 200 OK"));
  EXPECT_EQ(role_.snapshots, 1);
  start({.refresh = 5ms});
  EXPECT_TRUE(eventually([&] { return role_.snapshots > 5; })) << "without any request";
}

TEST_F(MonitorServer, SeveralRequestsGoOverOneConnection) {
  start();
  Client client(server_->port());
  client.send(
      "GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /none HTTP/1.1\r\nHost: localhost\r\nConnection: "
      "close\r\n\r\n");
  const std::string both = client.rest();
  EXPECT_THAT(both, HasSubstr("200 OK"));
  EXPECT_THAT(both, HasSubstr("404 Not Found"));
}

TEST_F(MonitorServer, ReadySaysWhyNotAndHealthSaysThatTheProcessAnswers) {
  role_.say({.readiness = Readiness::kNodeAway, .message = "the node is away: \"start\" it", .work_age = 90s});
  start({.refresh = 5ms});
  EXPECT_TRUE(eventually([&] { return get("/api/v1/ready").find("node-away") != std::string::npos; }));
  const std::string ready = get("/api/v1/ready");
  EXPECT_THAT(ready, StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_THAT(ready, HasSubstr("\"ready\":false,\"state\":\"node-away\",\"message\":\"the node is away: \\\"start\\\" it\""));
  EXPECT_THAT(ready, HasSubstr("\"work_age_seconds\":90}"));
  EXPECT_THAT(get("/api/v1/health"), StartsWith("HTTP/1.1 200 OK\r\n")) << "SRI's says nothing about node or upstream";
  EXPECT_THAT(get("/api/v1/health"), HasSubstr("\"status\":\"ok\""));
  EXPECT_THAT(get("/api/v1/health"), HasSubstr("\"ready\":false"));
  EXPECT_THAT(get("/metrics"), HasSubstr("\nadit_ready 0\n"));
  role_.say({.readiness = Readiness::kReady});
  EXPECT_TRUE(eventually([&] { return get("/api/v1/ready").starts_with("HTTP/1.1 200 OK\r\n"); }));
  EXPECT_THAT(get("/api/v1/ready"), HasSubstr("\"ready\":true,\"state\":\"ready\",\"message\":null,"));
}

TEST_F(MonitorServer, ARoleThatHangsIsSaidSoAndHoldsNobodyUp) {
  role_.be_stuck(true);
  start({.first_deadline = 20ms, .silent_after = 50ms});
  EXPECT_THAT(get("/metrics"), StartsWith("HTTP/1.1 503 "));
  EXPECT_TRUE(eventually([&] { return get("/api/v1/health").starts_with("HTTP/1.1 503 "); }));
  EXPECT_THAT(get("/api/v1/health"), HasSubstr("\"status\":\"silent\""));
  EXPECT_THAT(get("/api/v1/ready"), HasSubstr("the role has not answered its monitor for "));
  role_.be_stuck(false);
  EXPECT_TRUE(eventually([&] { return get("/api/v1/ready").starts_with("HTTP/1.1 200 "); }));
  EXPECT_TRUE(eventually([&] { return get("/metrics").starts_with("HTTP/1.1 200 "); }));
}

TEST_F(MonitorServer, ASnapshotThatIsTooOldIsNotShownAsIfItWereNew) {
  start({.refresh = 5ms, .silent_after = 50ms});
  EXPECT_THAT(get("/metrics"), StartsWith("HTTP/1.1 200 "));
  role_.be_stuck(true);
  EXPECT_TRUE(eventually([&] { return get("/metrics").starts_with("HTTP/1.1 503 "); }));
}

TEST_F(MonitorServer, ARequestTooLargeOrNoHttpIsRefused) {
  start();
  Client large(server_->port());
  large.send("GET /metrics HTTP/1.1\r\nX: " + std::string(9000, 'x'));
  EXPECT_THAT(large.rest(), StartsWith("HTTP/1.1 431 "));
  Client body(server_->port());
  body.send("GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_THAT(body.rest(), StartsWith("HTTP/1.1 413 "));
  Client garbage(server_->port());
  garbage.send("\x01\x02garbage\r\n\r\n");
  EXPECT_THAT(garbage.rest(), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(get("/api/v1/health"), HasSubstr("200 OK"));
}

TEST_F(MonitorServer, ASilentClientIsCutOffAtTheDeadlineAndADrippingOneTo) {
  start({.request_deadline = 50ms});
  Client silent(server_->port());
  Client slow(server_->port());
  slow.send("GET /met");
  EXPECT_EQ(silent.rest(), "");
  EXPECT_EQ(slow.rest(), "");
  Client dripping(server_->port());
  const auto begun = std::chrono::steady_clock::now();
  while (dripping.send("x") && std::chrono::steady_clock::now() - begun < 60s) std::this_thread::sleep_for(5ms);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 60s);
}

TEST_F(MonitorServer, AnIdleConnectionIsKeptForAWhileAndThenClosed) {
  start({.request_deadline = 50ms, .idle_deadline = 200ms});
  Client client(server_->port());
  client.send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.until("}"), StartsWith("HTTP/1.1 404 "));
  std::this_thread::sleep_for(100ms);
  client.send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.until("}"), StartsWith("HTTP/1.1 404 ")) << "later than a request may take";
  EXPECT_EQ(client.rest(), "");
}

// audit.md L2: 32 connections that ask once in nine seconds left 0 of 12 scrapes served.
TEST_F(MonitorServer, ConnectionsThatAreHeldForNothingShutNobodyOut) {
  start();
  std::vector<std::unique_ptr<Client>> abusers;
  for (int source = 2; source < 12; ++source) {
    const std::string from = "127.0.0." + std::to_string(source);
    for (int i = 0; i < 20; ++i) {
      abusers.push_back(std::make_unique<Client>(server_->port(), from.c_str()));
      // By turns idle behind an answer, in the middle of a request, silent.
      if (i % 3 == 0) abusers.back()->send("GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n");
      if (i % 3 == 1) abusers.back()->send("GET /api/v1/he");
    }
  }
  for (int i = 0; i < 12; ++i) EXPECT_THAT(get("/metrics"), HasSubstr(" 200 OK"));
}

TEST_F(MonitorServer, ThoseWhoAreDisplacedAreClosed) {
  start({.places = {.connections = 2, .per_source = 2, .reserve = 0}});
  Client first(server_->port());
  first.send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(first.until("}"), StartsWith("HTTP/1.1 404 "));
  Client second(server_->port());
  Client third(server_->port());
  third.send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(third.until("}"), StartsWith("HTTP/1.1 404 "));
  EXPECT_EQ(first.rest(), "");
}

// DNS rebinding: a page of somebody else's whose name is made to point here.
TEST_F(MonitorServer, PagesAreServedUnderAddressesLocalhostAndConfiguredNamesAndMetricsUnderAny) {
  start({.hosts = {"farm.example"}});
  for (const char* host : {"127.0.0.1", "192.0.2.7:9090", "[::1]:9090", "[2001:db8::1]", "localhost:9090", "LocalHost",
                           "adit.localhost", "farm.example", "FARM.example.:9090"}) {
    EXPECT_THAT(get("/api/v1/health", "GET", host), StartsWith("HTTP/1.1 200 ")) << host;
  }
  for (const char* host :
       {"evil.example", "farm.example.evil", "127.0.0.1.evil.example", "localhost.evil", "", "[::1", "1.2.3", "x@127.0.0.1"}) {
    for (const char* page : {"/api/v1/health", "/api/v1/ready", "/api/v1/connections", "/api/v1/workers", "/api/v1/events"}) {
      const std::string answer = get(page, "GET", host);
      EXPECT_THAT(answer, StartsWith("HTTP/1.1 421 Misdirected Request\r\n")) << host << page;
      EXPECT_THAT(answer, HasSubstr("`monitoring_hosts`"));
    }
    EXPECT_THAT(get("/metrics", "GET", host), StartsWith("HTTP/1.1 200 ")) << host;
  }
  Client old(server_->port());
  old.send("GET /api/v1/health HTTP/1.0\r\n\r\n");
  EXPECT_THAT(old.rest(), StartsWith("HTTP/1.1 200 ")) << "no browser leaves Host out";
}

TEST_F(MonitorServer, ATokenIsAskedForAndAConnectionGoesOnAfterARefusal) {
  start({.access = Access(sha256(as_bytes("0123456789abcdef")))});
  Client client(server_->port());
  client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const std::string head = client.until("\r\n\r\n");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 401 Unauthorized\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nWWW-Authenticate: Basic realm=\"adit\", charset=\"UTF-8\"\r\n"));
  (void)client.until("}");
  client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer 0123456789abcdef\r\n\r\n");
  EXPECT_THAT(client.until("\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
  Client page(server_->port());  // As a browser that its user has told the token.
  page.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic OjAxMjM0NTY3ODlhYmNkZWY=\r\n\r\n");
  EXPECT_THAT(page.until("\n\n"), HasSubstr("event: health\n"));
  Client large(server_->port());
  large.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + std::string(9000, 'x'));
  EXPECT_THAT(large.rest(), StartsWith("HTTP/1.1 431 "));
}

TEST_F(MonitorServer, WrongTokensAreLoggedFiveASecondAndNeverShown) {
  log::test::Captured log;
  start({.access = Access(sha256(as_bytes("0123456789abcdef")))});
  EXPECT_THAT(get("/metrics"), StartsWith("HTTP/1.1 401 "));
  Client client(server_->port());
  constexpr std::size_t kTries = 200;
  for (std::size_t i = 0; i < kTries; ++i) {
    client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer not-the-token\r\n\r\n");
    EXPECT_THAT(client.until("}"), StartsWith("HTTP/1.1 401 "));
  }
  server_->stop();
  const auto lines = log.lines("monitor.token_refused");
  EXPECT_GE(lines.size(), 1u) << "and none for the first, which gave no token";
  EXPECT_LT(lines.size(), kTries);
  for (const std::string& line : lines) {
    EXPECT_THAT(line, HasSubstr("peer=127.0.0.1:"));
    EXPECT_THAT(line, Not(HasSubstr("not-the-token")));
  }
}

TEST_F(MonitorServer, EventsSayWhatHealthIsAndEachChangeOfIt) {
  start({.refresh = 5ms});
  Client client(server_->port());
  client.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const std::string head = client.until("\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Type: text/event-stream\r\n"));
  EXPECT_THAT(head, HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(client.until("\n\n"), HasSubstr("event: health\ndata: {\"status\":\"ok\","));
  role_.say({.readiness = Readiness::kUpstreamLost, .message = "no pool"});
  EXPECT_THAT(client.until("\"state\":\"upstream-lost\",\"message\":\"no pool\""), HasSubstr("\nid: "));
  role_.say({.readiness = Readiness::kReady});
  EXPECT_THAT(client.until("\"ready\":true,\"state\":\"ready\",\"message\":null"), HasSubstr("event: health\n"));
}

TEST_F(MonitorServer, StreamsOfEventsAreBoundedAndEndWithTheServer) {
  start({.places = {.streams = 3, .streams_per_source = 2}});
  const auto open = [&](const char* from) {
    auto client = std::make_unique<Client>(server_->port(), from);
    client->send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return client;
  };
  const auto a = open("127.0.0.2");
  EXPECT_THAT(a->until("\n\n"), StartsWith("HTTP/1.1 200 "));
  const auto b = open("127.0.0.2");
  EXPECT_THAT(b->until("\n\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(open("127.0.0.2")->until("}"), StartsWith("HTTP/1.1 503 "));
  const auto c = open("127.0.0.3");
  EXPECT_THAT(c->until("\n\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(open("127.0.0.4")->until("}"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(get("/metrics"), HasSubstr(" 200 OK"));
  server_->stop();
  a->rest();
}

// audit.md H4: the monitor did not answer either.
TEST_F(MonitorServer, ItAnswersWhenTheProcessHasNoDescriptorsLeft) {
  ADIT_TAKES_EVERY_DESCRIPTOR();
  start();
  EXPECT_THAT(get("/metrics"), HasSubstr(" 200 OK"));
  std::vector<Client> clients(20);  // Theirs are taken before there are none.
  std::optional<FewDescriptors> few(std::in_place, 256);
  std::vector<int> taken;
  const auto take_all = [&taken] {
    for (int one = ::open("/dev/null", O_RDONLY); one != -1; one = ::open("/dev/null", O_RDONLY)) taken.push_back(one);
  };
  for (Client& client : clients) {
    take_all();
    client.connect(server_->port());
    client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(client.rest(), HasSubstr("HTTP/1.1 200 OK\r\n"));
  }
  for (const int one : taken) ::close(one);
  few.reset();
  EXPECT_THAT(get("/metrics"), HasSubstr(" 200 OK"));
}

TEST_F(MonitorServer, APortInUseIsSaidSo) {
  start();
  Server::Options options;
  options.address = {"127.0.0.1", server_->port()};
  const auto second = Server::start(options, role_);
  ASSERT_FALSE(second.has_value());
  EXPECT_TRUE(second.error().is(net::Errc::kAddressInUse));
  EXPECT_THAT(second.error().message(), HasSubstr("127.0.0.1:" + std::to_string(server_->port()) + " is in use"));
}

TEST_F(MonitorServer, AnAddressThatIsNotOursIsAConfigurationError) {
  Server::Options options;
  options.address = {"localhost", 0};
  EXPECT_TRUE(Server::start(options, role_).error().is(net::Errc::kConfiguration));
  options.address.host = "192.0.2.1";
  EXPECT_TRUE(Server::start(options, role_).error().is(net::Errc::kConfiguration));
}

TEST_F(MonitorServer, ARestartShowsThePast) {
  const TemporaryFolder folder;
  const Server::Options options = {.refresh = 5ms, .history_file = (folder.path() / "history.sqlite").string()};
  start(options);
  const auto points = [&] {
    const std::string answer = get("/api/v1/history?span=6h");
    return boost::json::parse(std::string_view(answer).substr(answer.find("\r\n\r\n") + 4)).as_object();
  };
  ASSERT_TRUE(eventually([&] { return !points().at("at").as_array().empty() && !points().at("marks").as_array().empty(); }));
  const auto before = points();
  server_.reset();
  // Nothing new comes.
  role_.be_stuck(true);
  start(options);
  const auto after = points();
  EXPECT_EQ(after.at("at").at(0).as_int64() / 10, before.at("at").at(0).as_int64() / 10);
  EXPECT_EQ(after.at("marks").at(0), before.at("marks").at(0));
  EXPECT_EQ(after.at("id"), 0);
  role_.be_stuck(false);
  EXPECT_TRUE(eventually([&] { return points().at("id") != 0; }));
  EXPECT_EQ(points().at("at").at(0).as_int64() / 10, before.at("at").at(0).as_int64() / 10);
}

TEST_F(MonitorServer, StoppingWaitsForWhatTheRoleIsAsked) {
  role_.be_stuck(true);
  start();
  std::thread release([&] {
    std::this_thread::sleep_for(50ms);
    role_.be_stuck(false);
  });
  server_->stop();
  server_->stop();
  release.join();
}

}  // namespace
}  // namespace adit::monitor
