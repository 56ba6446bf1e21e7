// SV1 miners over real sockets, the translator, and our own pool on the embedded chain behind it.
#include "roles/translator/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <thread>

#include "bitcoin/merkle.h"
#include "net/shards.h"
#include "net/tcp.h"
#include "noise/keys.h"
#include "roles/pool/server.h"
#include "sv1/client.h"
#include "template/embedded.h"

namespace adit::translator {
namespace {

using namespace std::chrono_literals;

/// Asks until `holds`, at most 20 s.
template <class Condition>
bool eventually(Condition holds) {
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

/// A blocking socket with deadlines.
class Socket {
 public:
  explicit Socket(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    set_timeout(50ms);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { ::close(fd_); }

  void set_timeout(std::chrono::microseconds timeout) {
    const timeval value{.tv_sec = 0, .tv_usec = timeout.count()};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof value);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value);
  }
  bool say(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  /// What came within the timeout; sets `ended` when the other side closed.
  std::string hear() {
    std::array<char, 16384> buffer;
    const auto count = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (count > 0) return {buffer.data(), static_cast<std::size_t>(count)};
    ended = ended || count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
    return {};
  }

  bool ended = false;

 private:
  int fd_;
};

/// A miner that hashes as much as it must.
class TestMiner : public sv1::ClientHandler {
 public:
  explicit TestMiner(std::uint16_t port) : socket_(port) {
    client_.start();
    pump();
  }
  void on_ready() override {}
  void on_work(std::shared_ptr<const sv1::Work> work) override { works.push_back(std::move(work)); }
  void on_submit_answer(std::uint64_t, const sv1::RpcError* error) override { answers.push_back(error ? error->code : 0); }

  void pump() {
    if (auto out = std::exchange(client_.output(), {}); !out.empty()) EXPECT_TRUE(socket_.say(out));
    if (const auto in = socket_.hear(); !in.empty()) EXPECT_TRUE(client_.receive(as_bytes(in)));
  }
  bool pump_until(auto holds) {
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (!holds() && !socket_.ended && std::chrono::steady_clock::now() < until) pump();
    return holds();
  }
  bool has_work() {
    return pump_until([&] { return !works.empty(); });
  }

  /// Finds a block for the newest work and submits it; the answer's code, 0 for accepted, -1 for none.
  int find_block() {
    const auto work = works.back();
    const std::array<std::uint8_t, 4> extranonce2{9, 9, 9, tries_++};
    std::vector<std::uint8_t> coinbase = work->job.coinbase1;
    coinbase.insert(coinbase.end(), work->extranonce1.bytes().begin(), work->extranonce1.bytes().end());
    coinbase.insert(coinbase.end(), extranonce2.begin(), extranonce2.end());
    coinbase.insert(coinbase.end(), work->job.coinbase2.begin(), work->job.coinbase2.end());
    const auto root = bitcoin::fold_merkle_path(bitcoin::sha256d(coinbase), work->job.merkle_path);
    std::array<std::uint8_t, 80> header{};
    store_le(header.data(), work->job.version);
    std::ranges::copy(work->job.prev_hash, header.begin() + 4);
    std::ranges::copy(root, header.begin() + 36);
    store_le(header.data() + 68, work->job.ntime);
    store_le(header.data() + 72, work->job.nbits);
    const auto target = *bitcoin::target_from_compact(work->job.nbits);
    for (std::uint32_t nonce = 0;; ++nonce) {
      store_le(header.data() + 76, nonce);
      if (!bitcoin::meets_target(bitcoin::sha256d_header(header), target)) continue;
      client_.submit(*work, sv1::Extranonce(extranonce2), work->job.ntime, nonce, 0);
      break;
    }
    answers.clear();
    pump_until([&] { return !answers.empty(); });
    return answers.empty() ? -1 : answers.back();
  }
  [[nodiscard]] bool ended() const { return socket_.ended; }

  std::vector<std::shared_ptr<const sv1::Work>> works;
  std::vector<int> answers;

 private:
  Socket socket_;
  sv1::Client client_{{.user = "w"}, *this};
  std::uint8_t tries_ = 0;
};

noise::AuthorityKeyPair authority() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(5);
  return std::move(*noise::AuthorityKeyPair::from_secret(noise::Secret(bytes)));
}

/// A pool of our own on its own chain.
class Pool {
 public:
  explicit Pool(std::uint16_t server_id) {
    pool::ServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", 0};
    options.authority_secret = authority().secret().copy();
    options.jobs.payout_script = {0x51};
    options.jobs.pool_signature = "test";
    options.server_id = server_id;
    server_.emplace(shards_, source_, std::move(options));
    shards_.start();
    EXPECT_TRUE(server_->start());
  }
  ~Pool() { stop(); }
  void stop() {
    if (!server_) return;
    server_->stop(1s);
    server_.reset();
    shards_.stop(1s);
  }
  [[nodiscard]] UpstreamTarget target() const {
    return {.peer = {.transport = net::TcpConfig{"127.0.0.1", server_->tcp_port()}, .authority = authority().public_key()},
            .user_identity = "test"};
  }
  [[nodiscard]] std::uint32_t height() const { return source_.blocks().back().height; }

 private:
  net::Shards shards_{1};
  templates::EmbeddedSource source_{{}};
  std::optional<pool::PoolServer> server_;
};

class TranslatorServerTest : public testing::Test {
 protected:
  void start(std::vector<UpstreamTarget> upstreams) {
    ServerOptions options;
    options.listen = {"127.0.0.1", 0};
    options.upstreams = std::move(upstreams);
    options.selection.first_retry = 50ms;
    options.selection.longest_retry = 200ms;
    shards.start();
    server.emplace(shards, std::move(options));
    ASSERT_TRUE(server->start());
  }
  ~TranslatorServerTest() override {
    if (server) server->stop(1s);
    server.reset();
    shards.stop(1s);
  }

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

TEST_F(TranslatorServerTest, MinersStayThroughTheLossOfAPoolAndMineForTheNext) {
  auto first = std::make_unique<Pool>(1);
  Pool second(2);
  start({first->target(), second.target()});
  TestMiner miner(server->port());
  ASSERT_TRUE(miner.has_work());
  EXPECT_EQ(miner.find_block(), 0);
  const auto before = miner.works.size();
  first.reset();
  ASSERT_TRUE(miner.pump_until([&] {
    return miner.works.size() > before && miner.works.back()->job.clean_jobs &&
           miner.works.back()->extranonce1 != miner.works.front()->extranonce1;
  })) << "a clean job of the second pool, under its extranonce";
  EXPECT_FALSE(miner.ended());
  EXPECT_EQ(miner.find_block(), 0);
  EXPECT_TRUE(eventually([&] { return second.height() == 1; }));
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
  for (int i = 0; i < 20; ++i) nonsense += "GET / HTTP/1.1\r\n";
  EXPECT_NE(cut_off(nonsense).find("not JSON"), std::string::npos);
  cut_off(std::string(1 << 20, '['));

  // One that asks and asks and never reads: cut off at the bound of its queue.
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
