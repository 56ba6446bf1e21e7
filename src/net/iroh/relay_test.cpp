// A relay of our own between endpoints that have no other way.
#include "net/iroh/relay_server.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/eventually_testing.h"
#include "base/temporary_folder_testing.h"
#include "net/iroh/node.h"
#include "net/iroh/node_testing.h"

namespace adit::net {
namespace {

using namespace std::chrono_literals;
using namespace test;
using testing::HasSubstr;
using testing::StartsWith;

class RelayTest : public IrohNodes {
 protected:
  static std::unique_ptr<RelayServer> relay(RelayServerConfig config = {.http = "127.0.0.1:0"}) {
    auto started = RelayServer::start(config);
    EXPECT_TRUE(started) << started.error().message();
    return started ? std::move(*started) : nullptr;
  }

  static IrohNodeConfig relayed(std::uint8_t seed, const std::string& url, const std::string& token = {}) {
    auto config = loopback(seed);
    config.bind.clear();
    config.relay_only = true;
    config.relay_mode = IrohRelays::kList;
    config.relays = {{.url = url, .quic_port = 0, .auth_token = token}};
    return config;
  }

  static bool connected(const IrohNodeManager& node) {
    for (int i = 0; i < 1000 && node.home_relay().empty(); ++i) std::this_thread::sleep_for(20ms);
    return !node.home_relay().empty();
  }

  Result<std::string> say_through(IrohNodeManager& client, const IrohNodeManager& server, const std::string& url) {
    return dial_and_say(client, shards_[0], IrohConfig{.endpoint_id = server.endpoint_id(), .relay_url = url}, "hello");
  }
};

TEST_F(RelayTest, TwoEndpointsThatBindNoAddressTalkThroughIt) {
  const auto server = relay();
  const auto url = "http://" + server->http();
  const auto pool = node(relayed(1, url));
  const auto miner = node(relayed(2, url));
  EXPECT_TRUE(pool->local_addresses().empty());
  serve_echo(*pool);
  ASSERT_TRUE(connected(*pool));
  ASSERT_TRUE(connected(*miner));
  EXPECT_EQ(server->clients(), 2u);
  const auto known =
      run_on(shards_[0], [](IrohNodeManager& from, Shard& shard, IrohConfig to) -> asio::awaitable<Result<ConnectionMetadata>> {
        ADIT_CO_TRY(const auto stream, co_await dial_stream(from, shard, to, 20s));
        ConnectionMetadata metadata;
        for (int i = 0; i < 1000 && metadata.path == Path::kUnknown; ++i) {
          ADIT_CO_TRY(const auto heard, co_await say(*stream, "hello"));
          metadata = stream->metadata();
        }
        co_return metadata;
      }(*miner, shards_[0], IrohConfig{.endpoint_id = pool->endpoint_id(), .relay_url = url}));
  ASSERT_TRUE(known) << known.error().message();
  EXPECT_EQ(known->path, Path::kRelayed);
  EXPECT_THAT(known->source, StartsWith(url)) << "quotas count relayed peers by their relay";
}

TEST_F(RelayTest, AConnectionThatGoesDirectLosesNothingAndSaysSoOnce) {
  const auto server = relay();
  const auto url = "http://" + server->http();
  const auto with_relay = [&](std::uint8_t seed) {
    auto config = loopback(seed);
    config.relay_mode = IrohRelays::kList;
    config.relays = {{.url = url}};
    return node(std::move(config));
  };
  const auto pool = with_relay(1), miner = with_relay(2);
  serve_echo(*pool);
  ASSERT_TRUE(connected(*pool));
  ASSERT_TRUE(connected(*miner));
  const UnixTime begun = now_from_system().unix_time;
  // Dialled by the relay alone, so the handshake goes through it: a change is told even where the direct path was there before
  // anyone looked.
  const auto known =
      run_on(shards_[0], [](IrohNodeManager& from, Shard& shard, IrohConfig to) -> asio::awaitable<Result<ConnectionMetadata>> {
        ADIT_CO_TRY(const auto stream, co_await dial_stream(from, shard, to, 20s));
        for (int i = 0; i < 3000 && stream->metadata().path_changes == 0; ++i) {
          ADIT_CO_TRY(const auto heard, co_await say(*stream, "word " + std::to_string(i)));
          if (heard != "word " + std::to_string(i)) co_return fail(Errc::kInternal, heard);
          co_await sleep_for(10ms);
        }
        ADIT_CO_TRY(const auto heard, co_await say(*stream, "still there"));
        co_return stream->metadata();
      }(*miner, shards_[0], IrohConfig{.endpoint_id = pool->endpoint_id(), .relay_url = url}));
  ASSERT_TRUE(known) << known.error().message();
  EXPECT_GE(known->path_changes, 1u);
  EXPECT_EQ(known->path, Path::kDirect);
  EXPECT_THAT(known->source, StartsWith("127.0.0.1:"));
  const auto& changes = known->path_history.changes();
  ASSERT_FALSE(changes.empty());
  EXPECT_EQ(changes.front().from, Path::kRelayed);
  EXPECT_EQ(changes.back().to, Path::kDirect);
  EXPECT_EQ(changes.back().address, known->source);
  EXPECT_GE(changes.back().at, begun);
  ASSERT_TRUE(known->figures);
  EXPECT_GT(known->figures->packets_sent, 0u);
  EXPECT_GE(known->figures->mtu, 1200u);
  EXPECT_GT(known->figures->congestion_window, 0u);
  EXPECT_GE(miner->counts().path_changes, 1u);
}

/// Says "in" to a session that was let in, and has its place until the peer ends it.
asio::awaitable<void> let_in(Link given, IrohCarrier::Place held) {
  const auto place = std::move(held);
  const auto link = std::move(given);
  if (!co_await write_all(*link.stream, as_bytes("in"))) co_return;
  (void)co_await read_some(*link.stream);
}

TEST_F(RelayTest, EverySessionOfAnAllowListedEndpointCountsByItsIdAndNotByTheRelay) {
  const auto server = relay();
  const auto url = "http://" + server->http();
  const auto first = node(relayed(2, url)), second = node(relayed(3, url));
  auto config = relayed(1, url);
  config.accept.allowed = {first->endpoint_id(), second->endpoint_id()};
  const auto pool = node(std::move(config));
  Admission admission({.max_unproven_per_source = 2});
  ASSERT_TRUE(pool->listen({session::kAlpnLanes}, admission, [](Shard& shard, Link link, IrohCarrier::Place place) {
    shard.spawn(let_in(std::move(link), std::move(place)));
  }));
  ASSERT_TRUE(connected(*pool));
  std::vector<Link> sessions;
  const auto begin = [&](IrohNodeManager& from) {
    return run_on(
        shards_[0],
        [](IrohNodeManager& node, Shard& shard, IrohConfig to, std::vector<Link>& kept) -> asio::awaitable<std::string> {
          auto link = co_await node.dial(shard, to, wire::Protocol::kMining, 20s);
          if (!link) co_return link.error().message();
          auto said = co_await read_some(*link->stream);
          kept.push_back(std::move(*link));
          co_return said ? *said : said.error().message();
        }(from, shards_[0], IrohConfig{.endpoint_id = pool->endpoint_id(), .relay_url = url}, sessions));
  };
  for (auto* const each : {first.get(), second.get()}) {
    EXPECT_EQ(begin(*each), "in");
    EXPECT_EQ(begin(*each), "in");
    EXPECT_EQ(begin(*each), "in") << "the operator has named it: the bound of those that nobody knows does not hold it";
  }
  EXPECT_EQ(admission.counts().connections, 6u) << "of two connections, all through one relay";
  EXPECT_EQ(admission.counts().sources, 2u) << "the two ids";
  run_on(shards_[0], [](std::vector<Link>& all) -> asio::awaitable<int> {
    all.clear();
    co_return 0;
  }(sessions));
}

TEST_F(RelayTest, OnlyWhoShowsATokenUsesIt) {
  const auto server = relay({.http = "127.0.0.1:0", .tokens = {"first-token", "second-token"}});
  const auto url = "http://" + server->http();
  const auto pool = node(relayed(1, url, "second-token"));
  serve_echo(*pool);
  ASSERT_TRUE(connected(*pool));
  const auto stranger = node(relayed(2, url, "second-tokem"));
  const auto refused = say_through(*stranger, *pool, url);
  EXPECT_FALSE(refused);
  EXPECT_EQ(server->clients(), 1u);
  const auto miner = node(relayed(3, url, "first-token"));
  const auto heard = say_through(*miner, *pool, url);
  ASSERT_TRUE(heard) << heard.error().message();
}

TEST_F(RelayTest, ClientsBeyondTheBoundAreRefusedAndThoseWithinItStay) {
  const auto server = relay({.http = "127.0.0.1:0", .max_clients = 2});
  const auto url = "http://" + server->http();
  const auto pool = node(relayed(1, url));
  const auto miner = node(relayed(2, url));
  serve_echo(*pool);
  ASSERT_TRUE(connected(*pool));
  ASSERT_TRUE(connected(*miner));
  const auto third = node(relayed(3, url));
  EXPECT_FALSE(say_through(*third, *pool, url));
  EXPECT_EQ(server->clients(), 2u);
  EXPECT_TRUE(say_through(*miner, *pool, url));
}

/// A connection from that address of this machine to the server's port.
asio::ip::tcp::socket connect_from(asio::io_context& io, const char* address, const std::string& server) {
  asio::ip::tcp::socket made(io, asio::ip::tcp::v4());
  const auto port = static_cast<std::uint16_t>(std::stoi(server.substr(server.rfind(':') + 1)));
  made.bind({asio::ip::make_address(address), 0});
  made.connect({asio::ip::make_address("127.0.0.1"), port});
  return made;
}

/// The first line of the answer to a GET of that path. Empty: the peer closed the connection without an answer.
std::string ask(asio::ip::tcp::socket& socket, const std::string& path) {
  boost::system::error_code error;
  asio::write(socket, asio::buffer("GET " + path + " HTTP/1.1\r\nHost: relay\r\n\r\n"), error);
  std::string answer;
  asio::read_until(socket, asio::dynamic_buffer(answer), "\r\n\r\n", error);
  return answer.substr(0, answer.find("\r\n"));
}

/// Whether the peer closes the connection, without another byte.
bool is_closed(asio::ip::tcp::socket& socket) {
  std::array<char, 1> byte{};
  boost::system::error_code error;
  return socket.read_some(asio::buffer(byte), error) == 0 &&
         (error == asio::error::eof || error == asio::error::connection_reset);
}

TEST_F(RelayTest, OneSourceHasNoMoreThanItsPlacesAndWhoComesFromElsewhereFindsRoom) {
  const auto server = relay({.http = "127.0.0.1:0", .max_clients_per_source = 2});
  asio::io_context io;
  std::vector<asio::ip::tcp::socket> strangers;
  for (int i = 0; i < 2; ++i) strangers.push_back(connect_from(io, "127.0.0.2", server->http()));
  for (auto& stranger : strangers) EXPECT_EQ(ask(stranger, "/healthz"), "HTTP/1.1 200 OK");
  for (int i = 0; i < 20; ++i) {
    auto further = connect_from(io, "127.0.0.2", server->http());
    EXPECT_EQ(ask(further, "/healthz"), "");
  }
  for (auto& stranger : strangers) EXPECT_EQ(ask(stranger, "/healthz"), "HTTP/1.1 200 OK") << "it keeps its place";
  const auto url = "http://" + server->http();
  const auto pool = node(relayed(1, url));
  const auto miner = node(relayed(2, url));
  serve_echo(*pool);
  ASSERT_TRUE(connected(*pool));
  ASSERT_TRUE(connected(*miner));
  EXPECT_TRUE(say_through(*miner, *pool, url));
  // A place that is given up is the source's again, as soon as the relay has noticed.
  strangers.pop_back();
  EXPECT_TRUE(eventually([&] {
    auto another = connect_from(io, "127.0.0.2", server->http());
    return ask(another, "/healthz") == "HTTP/1.1 200 OK";
  }));
}

/// A certificate for this machine and its key, which last as long as the object.
class Certificate {
 public:
  Certificate() {
    const auto made =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost "
        "-addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:127.0.0.1,DNS:localhost -keyout " +
        key() + " -out " + file() + " 2>/dev/null";
    EXPECT_EQ(std::system(made.c_str()), 0) << "openssl makes the certificate of this test";
  }
  [[nodiscard]] std::string file() const { return (folder_.path() / "cert.pem").string(); }
  [[nodiscard]] std::string key() const { return (folder_.path() / "key.pem").string(); }

 private:
  TemporaryFolder folder_;
};

TEST_F(RelayTest, TheProbesBesideTlsHaveTheirPlacesPerSourceToo) {
  const Certificate certificate;
  const auto server = relay({.http = "127.0.0.1:0",
                             .https = "127.0.0.1:0",
                             .cert_file = certificate.file(),
                             .key_file = certificate.key(),
                             .max_clients_per_source = 2});
  ASSERT_TRUE(server);
  asio::io_context io;
  std::vector<asio::ip::tcp::socket> strangers;
  // They are accepted in this order, before those that are refused.
  for (int i = 0; i < 2; ++i) strangers.push_back(connect_from(io, "127.0.0.2", server->http()));
  for (int i = 0; i < 20; ++i) {
    auto further = connect_from(io, "127.0.0.2", server->http());
    EXPECT_EQ(ask(further, "/generate_204"), "");
  }
  auto elsewhere = connect_from(io, "127.0.0.3", server->http());
  EXPECT_EQ(ask(elsewhere, "/generate_204"), "HTTP/1.1 204 No Content");
  EXPECT_TRUE(is_closed(elsewhere)) << "one answer a connection";
  auto other_path = connect_from(io, "127.0.0.3", server->http());
  EXPECT_EQ(ask(other_path, "/relay"), "HTTP/1.1 404 Not Found") << "no relaying in plain";
  for (auto& stranger : strangers) EXPECT_EQ(ask(stranger, "/generate_204"), "HTTP/1.1 204 No Content");
  EXPECT_TRUE(eventually([&] {
    auto another = connect_from(io, "127.0.0.2", server->http());
    return ask(another, "/generate_204") == "HTTP/1.1 204 No Content";
  })) << "whose answer has come, its place is free";
  auto secret = connect_from(io, "127.0.0.2", server->https());
  EXPECT_EQ(ask(secret, "/healthz").find("HTTP"), std::string::npos) << "clients speak TLS";
}

TEST_F(RelayTest, ItsEndEndsConnectionsThatAreNoClientsYet) {
  const Certificate certificate;
  auto server =
      relay({.http = "127.0.0.1:0", .https = "127.0.0.1:0", .cert_file = certificate.file(), .key_file = certificate.key()});
  ASSERT_TRUE(server);
  auto plain = relay();
  asio::io_context io;
  auto probe = connect_from(io, "127.0.0.1", server->http());
  auto silent = connect_from(io, "127.0.0.1", server->https());
  auto asking = connect_from(io, "127.0.0.1", plain->http());
  EXPECT_EQ(ask(asking, "/healthz"), "HTTP/1.1 200 OK");
  // Behind these, the two that say nothing are accepted.
  for (const auto* const at : {&server->http(), &server->https()}) {
    auto later = connect_from(io, "127.0.0.2", *at);
    ask(later, "/generate_204");
  }
  server.reset();
  plain.reset();
  EXPECT_TRUE(is_closed(probe));
  EXPECT_TRUE(is_closed(silent));
  std::string rest;
  boost::system::error_code error;
  asio::read(asking, asio::dynamic_buffer(rest), error);
  EXPECT_TRUE(error == asio::error::eof || error == asio::error::connection_reset) << error.message();
}

TEST_F(RelayTest, OverTlsItIsTrustedByTheGivenRootAndByNoOther) {
  const Certificate certificate;
  const auto server = relay({.http = "127.0.0.1:0",
                             .https = "127.0.0.1:0",
                             .cert_file = certificate.file(),
                             .key_file = certificate.key(),
                             .quic = "127.0.0.1:0"});
  ASSERT_TRUE(server);
  EXPECT_THAT(server->quic(), StartsWith("127.0.0.1:"));
  const auto url = "https://" + server->https();
  const auto trusting = [&](std::uint8_t seed, bool trusts) {
    auto config = relayed(seed, url);
    if (trusts) config.relay_ca_file = certificate.file();
    return node(std::move(config));
  };
  const auto pool = trusting(1, true), miner = trusting(2, true), stranger = trusting(3, false);
  serve_echo(*pool);
  ASSERT_TRUE(connected(*pool));
  const auto heard = say_through(*miner, *pool, url);
  EXPECT_TRUE(heard) << heard.error().message();
  EXPECT_FALSE(say_through(*stranger, *pool, url));
}

TEST_F(RelayTest, AConnectionSurvivesARestartOfItsRelay) {
  auto server = relay();
  const auto at = server->http();
  const auto url = "http://" + at;
  const auto pool = node(relayed(1, url));
  const auto miner = node(relayed(2, url));
  serve_echo(*pool);
  ASSERT_TRUE(connected(*pool));
  auto stream = run_on(shards_[0],
                       dial_stream(*miner, shards_[0], IrohConfig{.endpoint_id = pool->endpoint_id(), .relay_url = url}, 20s));
  ASSERT_TRUE(stream) << stream.error().message();
  const auto talk = [&](std::string words) {
    return run_on(shards_[0], [](ByteStream& over, std::string text) -> asio::awaitable<Result<std::string>> {
      co_return co_await say(over, text);
    }(**stream, std::move(words)));
  };
  EXPECT_TRUE(talk("before"));
  server.reset();
  ASSERT_TRUE(eventually([&] { return pool->home_relay().empty() && miner->home_relay().empty(); })) << "both have noticed";
  ASSERT_TRUE(eventually([&] {
    auto again = RelayServer::start({.http = at});
    if (again) server = std::move(*again);
    return again.has_value();
  })) << "its port is free again";
  const auto after = talk("after");
  EXPECT_TRUE(after) << after.error().message();
  run_on(shards_[0], [](std::unique_ptr<ByteStream> over) -> asio::awaitable<Result<std::string>> {
    over.reset();
    co_return std::string();
  }(std::move(*stream)));
}

TEST_F(RelayTest, AnEndpointThatFindsNoRelayIsBuiltAnewAndListensOn) {
  auto config = loopback(1);
  config.relay_mode = IrohRelays::kList;
  config.relays = {{.url = "http://127.0.0.1:1"}};
  config.watchdog = {.period = 10ms, .patience = 1s, .longest = 1h};
  const auto pool = node(std::move(config));
  const auto id = pool->endpoint_id();
  const auto addresses = pool->local_addresses();
  serve_echo(*pool);
  for (int i = 0; i < 3000 && pool->counts().rebuilds == 0; ++i) std::this_thread::sleep_for(20ms);
  ASSERT_GE(pool->counts().rebuilds, 1u);
  EXPECT_EQ(pool->endpoint_id(), id);
  EXPECT_EQ(pool->local_addresses(), addresses);
  const auto miner = node(loopback(2));
  // Until it listens again it refuses; and it is built anew again, less and less often, while nobody is connected.
  Result<std::string> heard = fail(Errc::kRefused, "");
  for (int i = 0; i < 20 && !heard; ++i) {
    heard = dial_and_say(*miner, shards_[0], IrohConfig{.endpoint_id = id, .addrs = addresses}, "hello");
  }
  ASSERT_TRUE(heard) << heard.error().message();
  EXPECT_EQ(*heard, "hello");
}

TEST_F(RelayTest, ADirectConnectionOutlivesTheLossOfEveryRelay) {
  auto config = loopback(1);
  config.relay_mode = IrohRelays::kList;
  config.relays = {{.url = "http://127.0.0.1:1"}};
  config.watchdog = {.period = 20ms, .patience = 1h, .longest = 1h};
  const auto pool = node(std::move(config));
  serve_echo(*pool);
  const auto miner = node(loopback(2));
  auto dialled = run_on(shards_[0], dial_stream(*miner, shards_[0], address_of(*pool), 20s));
  ASSERT_TRUE(dialled) << dialled.error().message();
  const auto heard = run_on(shards_[0], [](ByteStream& over) -> asio::awaitable<Result<std::string>> {
    co_return co_await say(over, "hello");
  }(**dialled));
  ASSERT_TRUE(heard) << heard.error().message();
  for (int i = 0; i < 3000 && pool->counts().direct == 0; ++i) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(pool->counts().direct, 1u) << "which is what keeps the watchdog from its work";
  run_on(shards_[0], [](std::unique_ptr<ByteStream> over) -> asio::awaitable<Result<std::string>> {
    over.reset();
    co_return std::string();
  }(std::move(*dialled)));
  for (int i = 0; i < 3000 && pool->counts().direct != 0; ++i) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(pool->counts().direct, 0u);
}

TEST_F(RelayTest, WhatCannotWorkIsSaidBeforeAnythingRuns) {
  const auto refused = [](const RelayServerConfig& config) {
    auto started = RelayServer::start(config);
    return started ? std::string("started") : std::string(started.error().name()) + ": " + started.error().message();
  };
  EXPECT_THAT(refused({.http = "nowhere"}), HasSubstr("HTTP address 'nowhere' is not ip:port"));
  EXPECT_THAT(refused({.http = "127.0.0.1:0", .quic = "127.0.0.1:0"}), HasSubstr("needs TLS"));
  EXPECT_THAT(refused({.http = "127.0.0.1:0", .https = "127.0.0.1:0", .cert_file = "/nonexistent", .key_file = "/nonexistent"}),
              HasSubstr("/nonexistent"));
  // audit.md L9: nobody looked at the mode of the key.
  const auto open_key = testing::TempDir() + "adit-relay-open-" + std::to_string(::getpid()) + ".pem";
  std::ofstream(open_key) << "a key\n";
  for (const auto mode : {std::filesystem::perms(0644), std::filesystem::perms(0660)}) {
    std::filesystem::permissions(open_key, mode);
    EXPECT_THAT(refused({.http = "127.0.0.1:0", .https = "127.0.0.1:0", .cert_file = open_key, .key_file = open_key}),
                HasSubstr("is open to others (mode 0"));
  }
  std::filesystem::permissions(open_key, std::filesystem::perms(0640));
  EXPECT_THAT(refused({.http = "127.0.0.1:0", .https = "127.0.0.1:0", .cert_file = open_key, .key_file = open_key}),
              testing::Not(HasSubstr("open to others")));
  std::filesystem::remove(open_key);
  const auto first = relay();
  EXPECT_THAT(refused({.http = first->http()}), StartsWith("address_in_use"));
  auto lonely = loopback(1);
  lonely.bind.clear();
  lonely.relay_only = true;
  const auto started = IrohNodeManager::start(shards_, std::move(lonely));
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message(), HasSubstr("relay_only without a relay"));
}

}  // namespace
}  // namespace adit::net
