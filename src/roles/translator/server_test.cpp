// SV1 miners over real sockets, the translator, and our own pool on the embedded chain behind it.
#include "roles/translator/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "log/log_testing.h"
#include "net/framed.h"
#include "net/handshake.h"
#include "net/shards.h"
#include "net/tcp.h"
#include "roles/translator/test_support.h"
#include "wire/messages.h"

namespace adit::translator {
namespace {

using namespace std::chrono_literals;

using namespace test;

class TranslatorServerTest : public testing::Test {
 protected:
  void start(std::vector<UpstreamTarget> upstreams) {
    ServerOptions options;
    options.listen = {"127.0.0.1", 0};
    options.upstreams = std::move(upstreams);
    options.selection = selection;
    options.stalled_deadline = 3s;
    options.trusted_proxies = trusted_proxies;
    shards.start();
    server.emplace(shards, std::move(options));
    ASSERT_TRUE(server->start());
  }
  ~TranslatorServerTest() override {
    if (server) server->stop(1s);
    server.reset();
    shards.stop(1s);
  }

  // A pool that a busy machine holds up is waited for, not raced.
  upstream::SelectionPolicy selection{.race_after = 1min, .first_retry = 50ms, .longest_retry = 200ms};
  std::vector<net::AddressRange> trusted_proxies;
  net::Shards shards{1};
  std::optional<TranslatorServer> server;
};

TEST_F(TranslatorServerTest, AnSv1MinersSharesBecomeBlocksOfThePoolsChain) {
  Pool pool(1);
  start({pool.target()});
  TestMiner miner(server->port());
  ASSERT_TRUE(miner.has_work());
  for (int block = 1; block <= 3; ++block) {
    const auto before = miner.works.size();
    EXPECT_EQ(miner.find_block(), 0);
    EXPECT_TRUE(eventually([&] { return pool.height() >= static_cast<std::uint32_t>(block); }));
    EXPECT_TRUE(miner.pump_until([&] { return miner.works.size() > before && miner.works.back()->job.clean_jobs; }))
        << "work on the new tip";
  }
  EXPECT_TRUE(eventually([&] { return server->stats().counters.shares_accepted >= 3; }));
  const auto stats = server->stats();
  EXPECT_EQ(stats.counters.shares_submitted, 3u);
  EXPECT_EQ(stats.counters.blocks_found, 3u);
  EXPECT_TRUE(stats.counters.rejected_upstream.empty());
  ASSERT_EQ(stats.upstreams.size(), 1u);
  EXPECT_TRUE(stats.upstreams[0].ready);
  ASSERT_TRUE(stats.upstreams[0].metadata);
  EXPECT_EQ(stats.upstreams[0].metadata->transport, net::Transport::kTcp);
  EXPECT_FALSE(stats.upstreams[0].metadata->authority_key.empty());
  const auto miners = server->miners();
  ASSERT_EQ(miners.size(), 1u);
  EXPECT_EQ(miners[0].user, "w");
  EXPECT_TRUE(miners[0].ready);
}

// With haproxy's send-proxy-v2 the first request was lost with the header, and all miners were one source.
TEST_F(TranslatorServerTest, BehindATrustedProxyEachMinerIsKnownByItsOwnAddress) {
  trusted_proxies = {*net::AddressRange::parse("127.0.0.0/8")};
  Pool pool(1);
  start({pool.target()});
  using namespace std::string_view_literals;
  constexpr auto kV2 = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\xc0\0\x02\x01\x12\x67\x0d\x05"sv;
  TestMiner first(server->port(), "PROXY TCP4 192.0.2.7 192.0.2.1 4711 3333\r\n");
  TestMiner second(server->port(), kV2);
  ASSERT_TRUE(first.has_work() && second.has_work());
  const auto tip = first.works.back()->job.prev_hash;
  EXPECT_EQ(first.find_block(), 0);
  ASSERT_TRUE(second.pump_until([&] { return second.works.back()->job.prev_hash != tip; })) << "that block is the next tip";
  EXPECT_EQ(second.find_block(), 0);
  std::set<std::string> peers;
  for (const auto& miner : server->miners()) peers.insert(miner.peer);
  EXPECT_EQ(peers, (std::set<std::string>{"192.0.2.7:4711", "192.0.2.8:4711"}));
  Socket past_it(server->port());
  EXPECT_TRUE(past_it.say("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n"));
  EXPECT_TRUE(eventually([&] { return past_it.hear().empty() && past_it.ended; }));
  EXPECT_EQ(server->stats().admission.connections, 2U);
}

// 1,500 bare connects in 0.2 s once made 3,000 lines. Whoever does not even authorize makes none now.
TEST_F(TranslatorServerTest, ACrowdThatComesAndGoesLeavesFewLinesInTheLog) {
  log::test::Captured log;
  start({{.peer = {.transport = net::TcpConfig{"127.0.0.1", 1}}, .user_identity = "x"}});
  const auto begun = std::chrono::steady_clock::now();
  constexpr std::size_t kMany = 200;  // Fewer than one address may have that have shown no work.
  std::vector<std::unique_ptr<Socket>> crowd;
  for (std::size_t i = 0; i < kMany; ++i) crowd.push_back(std::make_unique<Socket>(server->port()));
  EXPECT_TRUE(eventually([&] { return server->stats().admission.connections == kMany; }));
  for (auto& socket : crowd) {
    EXPECT_TRUE(
        socket->say("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":2,\"method\":\"mining.authorize\","
                    "\"params\":[\"w\",\"\"]}\n"));
  }
  EXPECT_TRUE(eventually([&] { return server->miners().size() == kMany; }));
  for (auto& socket : crowd) {
    std::string heard;
    EXPECT_TRUE(eventually([&] { return (heard += socket->hear()).find("\"id\":2") != std::string::npos; }));
  }
  crowd.clear();
  EXPECT_TRUE(eventually([&] { return server->stats().admission.connections == 0; }));
  server->stop(1s);
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(std::chrono::steady_clock::now() - begun).count();
  const std::size_t lines = log.lines("translator.miner_connected").size() + log.lines("translator.miner_left").size();
  EXPECT_GE(lines, 1u);
  EXPECT_LE(lines, 5U * (static_cast<std::size_t>(seconds) + 1));
}

// sv2-ui names the pool in use by these sentences in its container's log.
TEST_F(TranslatorServerTest, TheLogNamesThePoolInUseAsProgramsAroundSrisTranslatorReadIt) {
  log::test::Captured log;
  Pool pool(1);
  start({{.peer = {.transport = net::TcpConfig{"127.0.0.1", 1}}, .user_identity = "x"}, pool.target()});
  TestMiner miner(server->port());
  ASSERT_TRUE(miner.has_work());
  const auto target = pool.target();
  const auto [host, port] = net::host_and_port(target.peer.transport);
  const std::string at = std::string(host) + ":" + std::to_string(port);
  const auto dials = log.lines("translator.dial");
  ASSERT_EQ(dials.size(), 1U) << "nothing listens at the first";
  EXPECT_NE(dials[0].find("Trying upstream 2 of 2: " + at), std::string::npos) << dials[0];
  const auto set_up = log.lines("translator.set_up");
  ASSERT_EQ(set_up.size(), 1U);
  EXPECT_NE(set_up[0].find("Trying upstream 2 of 2: " + at + "; Connected to upstream at " + at + "; SetupConnectionSuccess("),
            std::string::npos)
      << set_up[0];
}

TEST_F(TranslatorServerTest, MinersStayThroughTheLossOfAPoolAndMineForTheNext) {
  auto first = std::make_unique<Pool>(1);
  Pool second(2);
  start({first->target(), second.target()});
  TestMiner miner(server->port());
  ASSERT_TRUE(miner.has_work());
  EXPECT_EQ(miner.find_block(), 0);
  first.reset();
  // Both pools began with the same block, and the first has found one since.
  const auto& of_first = miner.works.front()->job;
  ASSERT_TRUE(miner.pump_until([&] {
    const auto& job = miner.works.back()->job;
    return job.clean_jobs && job.prev_hash == of_first.prev_hash && job.coinbase1 != of_first.coinbase1;
  })) << "a clean job of the second pool, under its prefix";
  EXPECT_EQ(miner.works.back()->extranonce1, miner.works.front()->extranonce1);
  EXPECT_FALSE(miner.ended());
  EXPECT_EQ(miner.find_block(), 0);
  EXPECT_TRUE(eventually([&] { return second.height() == 1; }));
}

TEST_F(TranslatorServerTest, ThePreferredPoolIsReturnedToWhenItIsBackAndEveryShareIsAnswered) {
  auto first = std::make_unique<Pool>(1);
  Pool second(2);
  const auto port = first->port();
  selection = {.race_after = 1min,
               .first_retry = 50ms,
               .longest_retry = 200ms,
               .stable_after = 100ms,
               .first_probe = 200ms,
               .longest_probe = 400ms};
  start({first->target(), second.target()});
  TestMiner miner(server->port());
  ASSERT_TRUE(miner.has_work());
  EXPECT_EQ(miner.find_block(), 0);
  std::uint64_t counted = 0;
  for (int round = 0; round < 3; ++round) {
    counted += first->server().stats().miners.shares_accepted;
    first.reset();
    ASSERT_TRUE(eventually([&] {
      miner.pump();
      const auto stats = server->stats();
      return stats.upstreams[0].ready && stats.upstreams[0].url == upstream::to_url(second.target().peer);
    })) << server->stats().upstreams[0].last_error;
    EXPECT_TRUE(eventually(
        [&] { return miner.pump_until([&] { return miner.works.back()->job.clean_jobs; }) && miner.find_block() == 0; }));
    first = std::make_unique<Pool>(1, port);
    ASSERT_TRUE(eventually([&] {
      miner.pump();
      const auto stats = server->stats();
      return stats.upstreams[0].ready && stats.upstreams[0].url == upstream::to_url(first->target().peer);
    })) << "the preferred one is back, and is used again while the other is well";
    EXPECT_TRUE(eventually([&] { return miner.find_block() == 0; }));
  }
  EXPECT_FALSE(miner.ended()) << "the miner stayed connected all the while";
  ASSERT_TRUE(eventually([&] {
    counted = first->server().stats().miners.shares_accepted;
    return server->stats().counters.shares_accepted >= 7;
  }));
  const auto stats = server->stats();
  EXPECT_GE(stats.upstreams[0].fallbacks, 6u);
  EXPECT_EQ(stats.upstreams[0].shares_unanswered, 0u);
  EXPECT_EQ(stats.counters.shares_accepted, stats.counters.shares_submitted) << "what was under way at a switch was answered";
}

TEST_F(TranslatorServerTest, AnUpstreamThatDoesNotAnswerSetupIsOvertakenInTheRace) {
  // It accepts, and says nothing: the handshake hangs.
  net::Shards quiet(1);
  quiet.start();
  std::vector<std::unique_ptr<net::ByteStream>> streams;
  auto listener = std::move(*net::TcpListener::bind(quiet[0], {"127.0.0.1", 0}));
  listener->start(quiet, [&](net::Shard&, std::unique_ptr<net::ByteStream> stream) { streams.push_back(std::move(stream)); });
  Pool pool(1);
  auto silent = pool.target();
  std::get<net::TcpConfig>(silent.peer.transport).port = listener->port();
  selection.race_after = 100ms;
  start({silent, pool.target()});
  TestMiner miner(server->port());
  ASSERT_TRUE(miner.has_work());
  EXPECT_EQ(miner.find_block(), 0);
  EXPECT_TRUE(eventually([&] { return server->stats().upstreams[0].url == upstream::to_url(pool.target().peer); }));
  listener->stop();
  quiet.stop(0s);
  streams.clear();
}

TEST_F(TranslatorServerTest, AGoodbyeIsSpokenOverTcpWhereItWasAskedFor) {
  Pool pool(1);
  auto polite = pool.target();
  polite.goodbye = true;
  start({polite});
  TestMiner miner(server->port());
  ASSERT_TRUE(miner.has_work());
  EXPECT_EQ(miner.find_block(), 0);
  server->stop(1min);
  EXPECT_EQ(server->stats().upstreams[0].goodbyes, 1u);
  EXPECT_TRUE(eventually([&] { return pool.server().stats().over(net::Transport::kTcp).goodbyes == 1; }));
}

/// A server that holds the authority's key and says what a test wants said.
class ScriptedPool {
 public:
  /// What to answer to what came; false: that, and the end.
  using Answer = std::function<bool(net::FrameBatch, wire::FrameBuffer& out)>;

  explicit ScriptedPool(Answer answer) : answer_(std::move(answer)), certificates_(authority(), 3600s, noise::system_random()) {
    shards_.start();
    listener_ = std::move(*net::TcpListener::bind(shards_[0], {"127.0.0.1", 0}));
    listener_->start(shards_, [this](net::Shard& shard, std::unique_ptr<net::ByteStream> stream) {
      ++connections;
      shard.spawn(serve(shard, std::move(stream)));
    });
  }
  ~ScriptedPool() {
    listener_->stop();
    shards_.stop(0s);
  }
  [[nodiscard]] UpstreamTarget target() const {
    return {.peer = {.transport = net::TcpConfig{"127.0.0.1", listener_->port()}, .authority = authority().public_key()},
            .user_identity = "test"};
  }
  std::atomic<int> connections = 0;

 private:
  net::asio::awaitable<void> serve(net::Shard& shard, std::unique_ptr<net::ByteStream> stream) {
    auto codec = co_await net::respond(shard, *stream, certificates_, {});
    if (!codec) co_return;
    net::FramedConnection connection(shard, std::move(stream), std::move(*codec), {});
    for (bool on = true; on;) {
      const auto batch = co_await connection.receive();
      if (!batch) co_return;
      wire::FrameBuffer out;
      on = answer_(*batch, out);
      connection.send(out);
    }
    co_await connection.drain(1s);
  }

  const Answer answer_;
  noise::CertificateSource certificates_;
  net::Shards shards_{1};
  std::unique_ptr<net::TcpListener> listener_;
};

/// Asks each client to connect anew, to `host` and `port`.
ScriptedPool::Answer reconnect_to(std::string host, std::uint16_t port) {
  return [name = std::move(host), port](net::FrameBatch batch, wire::FrameBuffer& out) {
    if (!batch.front().is<wire::SetupConnection>()) return true;
    out.push(wire::SetupConnectionSuccess{.used_version = 2});
    out.push(wire::Reconnect{.new_host = std::string_view(name), .new_port = port});
    return true;
  };
}

/// Knows no negotiation of extensions, and hangs up when it is asked for a channel.
struct Silent {
  std::atomic<int> asked = 0;
  std::atomic<int> hung_up = 0;
  ScriptedPool pool{[this](net::FrameBatch batch, wire::FrameBuffer& out) {
    bool on = true;
    for (const auto& frame : batch) {
      if (frame.is<wire::SetupConnection>()) out.push(wire::SetupConnectionSuccess{.used_version = 2});
      if (frame.is<wire::RequestExtensions>()) ++asked;
      if (frame.is<wire::OpenExtendedMiningChannel>()) on = false;
    }
    if (!on) ++hung_up;
    return on;
  }};
};

TEST(TranslatorServer, AShardThatHangsKeepsNeitherTheListNorTheStopWaiting) {
  net::Shards shards(2);
  shards.start();
  ServerOptions options;
  options.listen = {"127.0.0.1", 0};
  options.upstreams = {{.peer = {.transport = net::TcpConfig{"127.0.0.1", 1}}, .user_identity = "test"}};
  auto server = std::make_optional<TranslatorServer>(shards, std::move(options));
  ASSERT_TRUE(server->start());
  std::promise<void> release;
  auto released = release.get_future();
  std::promise<void> hangs;
  shards[1].post([&] {
    hangs.set_value();
    released.wait();
  });
  hangs.get_future().wait();
  EXPECT_TRUE(server->miners().empty());
  EXPECT_EQ(server->stats().upstreams.size(), 1u) << "of the shard that answers";
  server->stop(0s);
  server.reset();
  release.set_value();
  shards.stop(5s);
}

TEST_F(TranslatorServerTest, APoolThatDidNotAnswerWhetherItKnowsGoodbyeIsNotAskedAgain) {
  Silent silent;
  auto polite = silent.pool.target();
  polite.goodbye = true;
  start({polite});
  TestMiner miner(server->port());
  EXPECT_TRUE(miner.pump_until([&] { return silent.hung_up >= 3; })) << "it is dialled again each time";
  EXPECT_EQ(silent.asked, 1);
  EXPECT_FALSE(miner.ended());
}

TEST_F(TranslatorServerTest, WithoutBeingToldToAPoolOverTcpIsNotAskedForGoodbye) {
  Silent silent;
  start({silent.pool.target()});
  TestMiner miner(server->port());
  EXPECT_TRUE(miner.pump_until([&] { return silent.hung_up >= 2; }));
  EXPECT_EQ(silent.asked, 0);
}

TEST_F(TranslatorServerTest, AnUpstreamThatAsksForNewConnectionsAgainAndAgainIsFollowedThreeTimesAndLeft) {
  ScriptedPool restless(reconnect_to("", 0));
  Pool pool(1);
  selection.race_after = 10s;
  start({restless.target(), pool.target()});
  TestMiner miner(server->port());
  ASSERT_TRUE(miner.has_work());
  EXPECT_EQ(miner.find_block(), 0);
  EXPECT_EQ(restless.connections, 4) << "the first one, and three that it asked for";
}

TEST_F(TranslatorServerTest, AReconnectToWhoeverHoldsAnotherKeyIsNotBelieved) {
  // The other server is a pool too, under its own authority.
  net::Shards others(1);
  others.start();
  templates::EmbeddedSource chain{{}};
  pool::ServerOptions options;
  options.listen = net::TcpConfig{"127.0.0.1", 0};
  const auto impostor_key = noise::AuthorityKeyPair::generate(noise::system_random());
  options.authority_secret = impostor_key.secret().copy();
  options.jobs.payout_script = {0x51};
  std::optional<pool::PoolServer> impostor;
  impostor.emplace(others, chain, std::move(options));
  ASSERT_TRUE(impostor->start());
  ScriptedPool hijacked(reconnect_to("127.0.0.1", impostor->tcp_port()));
  Pool pool(1);
  selection.race_after = 10s;
  start({hijacked.target(), pool.target()});
  TestMiner miner(server->port());
  ASSERT_TRUE(miner.has_work());
  EXPECT_EQ(miner.find_block(), 0);
  EXPECT_EQ(impostor->stats().miners.shares_accepted, 0u);
  EXPECT_EQ(impostor->stats().miners.sessions, 0u);
  EXPECT_TRUE(eventually([&] { return pool.height() == 1; })) << "the block went to the pool that holds the key";
  impostor->stop(1s);
  impostor.reset();
  others.stop(1s);
}

TEST_F(TranslatorServerTest, MinersThatComeBeforeThePoolGetTheirWorkWhenItIsThere) {
  Pool pool(1);
  auto nobody = pool.target();
  // A port that was free a moment ago: refused at once.
  std::get<net::TcpConfig>(nobody.peer.transport).port = 1;
  start({nobody, pool.target()});
  TestMiner miner(server->port());
  ASSERT_TRUE(miner.has_work());
  EXPECT_EQ(miner.find_block(), 0);
}

TEST_F(TranslatorServerTest, AnUpstreamUnderAnotherAuthorityIsNotUsed) {
  Pool pool(1);
  auto impostor = pool.target();
  impostor.peer.authority->x = noise::AuthorityKeyPair::generate(noise::system_random()).public_key().x;
  start({impostor});
  EXPECT_TRUE(eventually([&] { return !server->stats().upstreams[0].last_error.empty(); }));
  EXPECT_FALSE(server->stats().upstreams[0].ready);
}

TEST_F(TranslatorServerTest, AbusiveMinersAreCutOffAndAHealthyOneLosesNothing) {
  Pool pool(1);
  start({pool.target()});
  TestMiner healthy(server->port());
  ASSERT_TRUE(healthy.has_work());
  const auto cut_off = [&](std::string_view bytes) {
    Socket abusive(server->port());
    abusive.say(bytes);
    std::string answer;
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (!abusive.ended && std::chrono::steady_clock::now() < until) answer += abusive.hear();
    EXPECT_TRUE(abusive.ended);
    return answer;
  };
  EXPECT_NE(cut_off(std::string(64 * 1024, 'x')).find("a line of more than"), std::string::npos);
  std::string nonsense;
  for (int i = 0; i < 20; ++i) nonsense += "no Stratum at all\r\n";
  EXPECT_NE(cut_off(nonsense).find("not JSON"), std::string::npos);
  EXPECT_EQ(cut_off("GET / HTTP/1.1\r\n"), "") << "another protocol is told, and not answered in this one";
  cut_off(std::string(1 << 20, '['));

  // One that asks and asks and never reads is not read any more, and cut off when it has taken nothing for so long.
  Socket greedy(server->port());
  std::string asks;
  for (int i = 0; i < 1000; ++i) asks += "{\"id\":1,\"method\":\"mining.ping\"}\n";
  EXPECT_TRUE(eventually([&] { return !greedy.say(asks) || server->stats().slow_readers > 0; }));
  EXPECT_TRUE(eventually([&] { return server->stats().slow_readers == 1; }));

  EXPECT_EQ(healthy.find_block(), 0);
  EXPECT_FALSE(healthy.ended());
}

TEST_F(TranslatorServerTest, APortInUseIsNamed) {
  Pool pool(1);
  start({pool.target()});
  net::Shards others(1);
  others.start();
  ServerOptions options;
  options.listen = {"127.0.0.1", server->port()};
  options.upstreams = {pool.target()};
  TranslatorServer second(others, std::move(options));
  const auto started = second.start();
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().is(net::Errc::kAddressInUse));
  EXPECT_NE(started.error().message().find(std::to_string(server->port())), std::string::npos);
}

TEST_F(TranslatorServerTest, AStopDuringADialLeavesNothingBehind) {
  Pool pool(1);
  start({pool.target()});
  // A peer that accepts and says nothing: the dial hangs in its handshake.
  net::Shards quiet(1);
  quiet.start();
  std::vector<std::unique_ptr<net::ByteStream>> streams;
  std::atomic<int> dialled = 0;
  auto listener = std::move(*net::TcpListener::bind(quiet[0], {"127.0.0.1", 0}));
  listener->start(quiet, [&](net::Shard&, std::unique_ptr<net::ByteStream> stream) {
    streams.push_back(std::move(stream));
    ++dialled;
  });
  auto silent = pool.target();
  std::get<net::TcpConfig>(silent.peer.transport).port = listener->port();
  net::Shards others(1);
  others.start();
  ServerOptions options;
  options.listen = {"127.0.0.1", 0};
  options.upstreams = {silent};
  std::optional<TranslatorServer> second;
  second.emplace(others, std::move(options));
  ASSERT_TRUE(second->start());
  ASSERT_TRUE(eventually([&] { return dialled == 1; }));
  second->stop(1s);
  second.reset();
  std::promise<std::size_t> left;
  others[0].post([&] { left.set_value(others[0].tasks()); });
  EXPECT_EQ(left.get_future().get(), 0u);
  others.stop(1s);
  listener->stop();
  quiet.stop(0s);
}

TEST_F(TranslatorServerTest, StoppingClosesEveryMinerAndLeavesTheFinalCounts) {
  Pool pool(1);
  start({pool.target()});
  TestMiner miner(server->port());
  ASSERT_TRUE(miner.has_work());
  EXPECT_EQ(miner.find_block(), 0);
  server->stop(2s);
  EXPECT_TRUE(eventually([&] {
    miner.pump();
    return miner.ended();
  }));
  EXPECT_EQ(server->stats().counters.miners, 0u);
  EXPECT_EQ(server->stats().counters.shares_submitted, 1u);
}

}  // namespace
}  // namespace adit::translator
