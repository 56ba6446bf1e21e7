// Class 19 of the attacks, and slow and idle peers: abusive Stratum V1 miners beside a healthy one, on one translator over real
// sockets, or at the pool's own port for them. The healthy one submits all the while, and the pool accepts every share of its.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "attack/peer.h"
#include "attack/pool.h"
#include "base/eventually_testing.h"
#include "base/hex.h"
#include "bitcoin/merkle.h"
#include "roles/translator/server.h"
#include "sv1/client.h"
#include "sv1/line_reader.h"

namespace adit::attack {
namespace {

using namespace std::chrono_literals;

/// A blocking socket that speaks lines.
class Line {
 public:
  explicit Line(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
    const timeval timeout{.tv_sec = kPatience.count(), .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line() { ::close(fd_); }

  bool say(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  /// What is there within `patience`; "" if nothing came or the other side closed, which sets `ended`.
  std::string hear(std::chrono::milliseconds patience = kPatience) {
    pollfd wanted{.fd = fd_, .events = POLLIN, .revents = 0};
    if (::poll(&wanted, 1, static_cast<int>(patience.count())) <= 0) return {};
    std::array<char, 16384> buffer;
    const auto got = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (got <= 0) ended = true;
    return got > 0 ? std::string(buffer.data(), static_cast<std::size_t>(got)) : std::string();
  }
  /// All that is said until the other side closes; fails the test if it does not.
  std::string last_words() {
    std::string words;
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (!ended && std::chrono::steady_clock::now() < until) words += hear(100ms);
    EXPECT_TRUE(ended) << "it is still connected";
    return words;
  }
  /// The next line, whole.
  std::string next_line() {
    while (rest_.find('\n') == std::string::npos) {
      const auto heard = hear();
      if (heard.empty()) return {};
      rest_ += heard;
    }
    const auto end = rest_.find('\n');
    std::string line = rest_.substr(0, end);
    rest_.erase(0, end + 1);
    return line;
  }

  bool connected = false;
  bool ended = false;

 private:
  int fd_;
  std::string rest_;
};

/// A miner that follows the protocol and hashes until it has a share.
class HealthyMiner : public sv1::ClientHandler {
 public:
  explicit HealthyMiner(std::uint16_t port) : line_(port) {
    client_.start();
    EXPECT_TRUE(pump_until([&] { return work_ != nullptr; })) << "no work";
  }
  void on_ready() override {}
  void on_work(std::shared_ptr<const sv1::Work> work) override { work_ = std::move(work); }
  void on_submit_answer(std::uint64_t, const sv1::RpcError* error) override {
    ++answers_;
    if (error != nullptr) refused_ = "code " + std::to_string(error->code) + ", " + error->message;
  }

  /// Waits for work on that tip.
  bool hears_tip(std::uint8_t tip) {
    return pump_until([&] { return work_->job.prev_hash == channels::testing::hash_of(tip); });
  }

  /// Finds a share and has it accepted; "" or what went wrong.
  std::string mine() {
    const auto work = work_;
    std::array<std::uint8_t, 4> extranonce2{};
    store_le(extranonce2.data(), ++tries_);
    std::vector<std::uint8_t> coinbase = work->job.coinbase1;
    coinbase.insert(coinbase.end(), work->extranonce1.bytes().begin(), work->extranonce1.bytes().end());
    coinbase.insert(coinbase.end(), extranonce2.begin(), extranonce2.end());
    coinbase.insert(coinbase.end(), work->job.coinbase2.begin(), work->job.coinbase2.end());
    const channels::HeaderRules rules{.version = work->job.version, .prev_hash = work->job.prev_hash, .nbits = work->job.nbits};
    channels::Share share{.ntime = work->job.ntime, .version = work->job.version};
    const auto root = bitcoin::fold_merkle_path(bitcoin::sha256d(coinbase), work->job.merkle_path);
    while (!bitcoin::meets_target(bitcoin::sha256d_header(channels::share_header(rules, share, root)), work->target))
      ++share.nonce;
    refused_.clear();
    const auto before = answers_;
    client_.submit(*work, sv1::Extranonce(extranonce2), share.ntime, share.nonce, 0);
    if (!pump_until([&] { return answers_ > before; })) return line_.ended ? "cut off" : "no answer";
    return refused_;
  }

 private:
  bool pump_until(const auto& holds) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (!holds() && !line_.ended && std::chrono::steady_clock::now() < until) {
      if (auto out = std::exchange(client_.output(), {}); !out.empty()) line_.say(out);
      if (const auto in = line_.hear(20ms); !in.empty()) EXPECT_TRUE(client_.receive(as_bytes(in)));
    }
    return holds();
  }

  Line line_;
  sv1::Client client_{{.user = "healthy"}, *this};
  std::shared_ptr<const sv1::Work> work_;
  std::uint64_t answers_ = 0;
  std::string refused_;
  std::uint32_t tries_ = 0;
};

translator::UpstreamTarget target_of(const Pool& pool) {
  return {.peer = {.transport = net::TcpConfig{"127.0.0.1", pool.server->tcp_port()}, .authority = authority()},
          .user_identity = "farm"};
}

/// Where SV1 miners come in: at a translator with a channel for each, or with one for all, or at the pool, at a port of
/// their own or at that for Stratum V2.
enum class Door { kOneEach, kAggregated, kPool, kSv2Port };

class Sv1Attack : public testing::TestWithParam<Door> {
 protected:
  void SetUp() override {
    if (GetParam() == Door::kOneEach || GetParam() == Door::kAggregated) start_translator();
    healthy_.emplace(port());
    mining_ = std::thread([this] {
      while (!stop_) {
        {
          const std::lock_guard one_share(mining_mutex_);
          wrong_ = healthy_->mine();
          if (!wrong_.empty()) return;
          ++mined_;
        }
        std::this_thread::sleep_for(20ms);
      }
    });
  }
  void start_translator() {
    shards_.start();
    translator::ServerOptions options;
    options.listen = {"127.0.0.1", 0};
    options.upstreams = {target_of(pool_)};
    options.translator.aggregate = GetParam() == Door::kAggregated;
    options.translator.miners.min_hash_rate_hps = 1;
    options.translator.miners.shares_per_minute = 6;
    options.translator.miners.vardiff = false;
    options.translator.miners.handshake_timeout = 10s;
    options.max_queued_bytes = 64 * 1024;
    options.stalled_deadline = 5s;
    server_.emplace(shards_, std::move(options));
    ASSERT_TRUE(server_->start());
  }
  /// Whatever was done: the healthy miner goes on afterwards, and the pool has taken each of its shares.
  void TearDown() override {
    const auto before = mined_.load();
    EXPECT_TRUE(eventually([&] { return mined_ >= before + 5; }));
    stop_ = true;
    mining_.join();
    EXPECT_EQ(wrong_, "");
    EXPECT_TRUE(eventually([&] { return pool_.server->stats().miners.shares_accepted >= mined_ + by_others_; }));
    const bool aggregated = GetParam() == Door::kAggregated;
    const std::pair<std::uint64_t, std::uint64_t> all_taken{mined_ + (aggregated ? by_others_ : 0), 0};
    const std::string user = aggregated ? "farm.translator-proxy" : server_ ? "farm.miner1" : "healthy";
    // The pool's own list has the newcomer until it has left.
    EXPECT_TRUE(eventually([&] { return pool_.shares_of(user) == all_taken; }))
        << pool_.shares_of(user).first << " of " << all_taken.first << " taken, " << pool_.shares_of(user).second << " refused";
    if (!server_) return;
    server_->stop(1s);
    EXPECT_TRUE(server_->stats().counters.rejected_upstream.empty());
    server_.reset();
    shards_.stop(1s);
  }
  std::uint16_t port() const {
    if (server_) return server_->port();
    return GetParam() == Door::kPool ? pool_.server->sv1_port() : pool_.server->tcp_port();
  }
  std::uint64_t slow_readers() const {
    return server_ ? server_->stats().slow_readers : pool_.server->stats().sv1_slow_readers;
  }

  /// An honest miner comes while the attack is on, and all goes well for it.
  void a_newcomer_mines() {
    HealthyMiner newcomer(port());
    EXPECT_EQ(newcomer.mine(), "");
    ++by_others_;
    {
      // The new tip overtakes no share on its way to the pool, which it would make stale.
      const std::lock_guard between_shares(mining_mutex_);
      EXPECT_TRUE(eventually([&] { return pool_.server->stats().miners.shares_accepted == mined_ + by_others_; }));
      pool_.source.publish(++tip_);
      EXPECT_TRUE(newcomer.hears_tip(tip_));
      EXPECT_TRUE(healthy_->hears_tip(tip_));
    }
    EXPECT_EQ(newcomer.mine(), "");
    ++by_others_;
  }

  Pool pool_{[](pool::ServerOptions& options) {
    options.sv1_listen = net::TcpConfig{"127.0.0.1", 0};
    options.sv1_at_listen = true;
    options.sv1.handshake_timeout = 10s;
    options.sv1_lines.max_queued_bytes = 64 * 1024;
    options.sv1_lines.stalled_deadline = 5s;
  }};
  net::Shards shards_{1};
  std::optional<translator::TranslatorServer> server_;  ///< If they come in there.
  std::optional<HealthyMiner> healthy_;
  std::thread mining_;
  std::atomic<bool> stop_ = false;
  std::atomic<std::uint64_t> mined_ = 0;
  std::mutex mining_mutex_;  ///< Held while the healthy miner has a share under way.
  std::string wrong_;
  std::uint8_t tip_ = 1;         ///< The newest that was published.
  std::uint64_t by_others_ = 0;  ///< Shares of all but the healthy miner.
};

TEST_P(Sv1Attack, ALineOfAMegabyteIsCutOff) {
  Line abusive(port());
  abusive.say(std::string(1 << 20, 'x'));
  a_newcomer_mines();
  const std::string words = abusive.last_words();
  // At a port for both it is neither's, by its first bytes.
  if (GetParam() != Door::kSv2Port) EXPECT_NE(words.find("a line of more than"), std::string::npos);
}

TEST_P(Sv1Attack, ALineThatNeverEndsHoldsNoMoreThanTheLimit) {
  std::vector<std::unique_ptr<Line>> many;
  for (int i = 0; i < 20; ++i) {
    many.push_back(std::make_unique<Line>(port()));
    many.back()->say("{\"id\":1,\"method\":\"" + std::string(sv1::kMaxLine - 100, 'a'));
  }
  a_newcomer_mines();
  for (auto& one : many) one->say(std::string(200, 'a'));
  for (auto& one : many) EXPECT_NE(one->last_words().find("a line of more than"), std::string::npos);
}

TEST_P(Sv1Attack, DeepJsonIsAnErrorAndMuchOfItTheEnd) {
  Line abusive(port());
  const std::string deep =
      "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":" + std::string(7000, '[') + std::string(7000, ']') + "}\n";
  ASSERT_TRUE(abusive.say(deep));
  EXPECT_NE(abusive.next_line().find("nested too deeply"), std::string::npos);
  ASSERT_TRUE(abusive.say("{\"id\":2,\"method\":\"mining.ping\"}\n"));
  EXPECT_NE(abusive.next_line().find("pong"), std::string::npos) << "once is no crime";
  a_newcomer_mines();
  for (int i = 0; i < 20; ++i) abusive.say(deep);
  abusive.last_words();
}

TEST_P(Sv1Attack, WhatIsNoStratumIsCutOff) {
  const std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);  // TLS
  std::string binary;
  for (int i = 0; i < 4096; ++i) binary += static_cast<char>(i * 7919 >> 3);
  std::string http;
  for (int i = 0; i < 20; ++i) http += "GET / HTTP/1.1\r\n";
  for (const auto& bytes : {hello + std::string(100, '\n') + binary + binary + binary + binary + binary, http,
                            std::string(1 << 16, '{'), std::string(1 << 16, '\0')}) {
    Line abusive(port());
    abusive.say(bytes);
    if (bytes == http) a_newcomer_mines();
    abusive.last_words();
  }
}

TEST_P(Sv1Attack, NonHexIsRefusedFieldByFieldAndTheMinerStays) {
  Line abusive(port());
  ASSERT_TRUE(
      abusive.say("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":2,\"method\":\"mining.authorize\","
                  "\"params\":[\"healthy\",\"\"]}\n"));
  while (abusive.next_line().find("mining.notify\",\"params") == std::string::npos) {
  }
  const std::vector<std::string> bad = {
      R"("zz000000","00000000","00000000")",
      R"("0000000","00000000","00000000")",
      R"("00000000","0000000g","00000000")",
      R"("00000000","0","00000000")",
      R"("00000000","00000000","xyz")",
      R"("00000000","00000000","000000000")",
      R"("00000000","00000000","")",
      R"(7,"00000000","00000000")",
      R"("00000000",null,"00000000")",
      R"("00000000","00000000","00000000","1fffe00g")",
      R"("00000000","00000000","00000000","ffffffff")",
  };
  int id = 10;
  for (const auto& fields : bad) {
    ASSERT_TRUE(abusive.say("{\"id\":" + std::to_string(++id) + ",\"method\":\"mining.submit\",\"params\":[\"healthy\",\"1\"," +
                            fields + "]}\n"));
    const auto answer = abusive.next_line();
    EXPECT_EQ(answer.find("{\"id\":" + std::to_string(id) + ",\"result\":null,\"error\":["), 0u) << fields << ": " << answer;
  }
  ASSERT_TRUE(abusive.say("{\"id\":99,\"method\":\"mining.ping\"}\n"));
  EXPECT_NE(abusive.next_line().find("pong"), std::string::npos);
  a_newcomer_mines();
}

TEST_P(Sv1Attack, SubmitsBeforeAuthorizeAreAnsweredAndReachNobody) {
  Line abusive(port());
  std::string flood;
  for (int i = 0; i < 100; ++i)
    flood += "{\"id\":9,\"method\":\"mining.submit\",\"params\":[\"healthy\",\"1\",\"00000000\",\"00000000\",\"00000000\"]}\n";
  ASSERT_TRUE(abusive.say(flood));
  a_newcomer_mines();
  for (int i = 0; i < 100; ++i) EXPECT_NE(abusive.next_line().find("[24,"), std::string::npos);
}

TEST_P(Sv1Attack, OneByteAtATimeIsSlowButTaken) {
  Line slow(port());
  const std::string opening =
      "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"w\"]}"
      "\n";
  for (std::size_t i = 0; i < opening.size(); ++i) {
    ASSERT_TRUE(slow.say(opening.substr(i, 1)));
    if (i == 20) a_newcomer_mines();
  }
  while (slow.next_line().find("mining.notify\",\"params") == std::string::npos) ASSERT_FALSE(slow.ended);
}

TEST_P(Sv1Attack, WhoeverDoesNotSubscribeAndAuthorizeInTimeIsSentAway) {
  Line silent(port()), half(port()), dripping(port());
  half.say("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n");
  std::thread drip([&] {
    while (dripping.say(" ")) std::this_thread::sleep_for(50ms);
  });
  a_newcomer_mines();
  silent.last_words();
  half.last_words();
  dripping.last_words();
  drip.join();
}

TEST_P(Sv1Attack, WhoeverAsksMuchBeforeItReadsIsSlowedDownAndAnsweredAll) {
  constexpr int kAsks = 40'000;  // Of whose answers neither its queue here nor the socket holds a tenth.
  Line eager(port());
  ASSERT_TRUE(
      eager.say("{\"id\":\"s\",\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":\"a\",\"method\":\"mining.authorize\","
                "\"params\":[\"eager\",\"\"]}\n"));
  while (eager.next_line().find("mining.notify\",\"params") == std::string::npos) ASSERT_FALSE(eager.ended);
  std::thread asking([&] {
    std::string asks;
    for (int i = 0; i < kAsks; ++i) {
      asks += "{\"id\":" + std::to_string(i) + ",\"method\":\"mining.ping\",\"params\":[]}\n";
      if (asks.size() < 60'000 && i + 1 < kAsks) continue;
      if (!eager.say(asks)) return;
      asks.clear();
    }
  });
  a_newcomer_mines();
  int answered = 0;
  for (std::string line; answered < kAsks && !(line = eager.next_line()).empty();) {
    if (line.starts_with("{\"id\":" + std::to_string(answered) + ",")) {
      ++answered;
    } else if (line.starts_with("{\"id\":") && line.find("pong") != std::string::npos) {
      break;  // Not in order.
    }
  }
  EXPECT_EQ(answered, kAsks);
  asking.join();
  EXPECT_EQ(slow_readers(), 0u);
}

TEST_P(Sv1Attack, WhoeverDoesNotReadIsNotReadAndThenCutOff) {
  Line greedy(port());
  // So that it is not sent away for want of a subscription before its answers have filled what lies between, which takes a busy
  // machine longer.
  greedy.say(
      "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"w\"]}"
      "\n");
  std::string asks;
  for (int i = 0; i < 1000; ++i) asks += "{\"id\":1,\"method\":\"mining.ping\"}\n";
  EXPECT_TRUE(eventually([&] { return !greedy.say(asks) || slow_readers() > 0; }));
  a_newcomer_mines();
  EXPECT_TRUE(eventually([&] { return slow_readers() == 1; }));
}

TEST_P(Sv1Attack, ManyThatComeAndGoLeaveNothingBehind) {
  for (int round = 0; round < 20; ++round) {
    std::vector<std::unique_ptr<Line>> many;
    for (int i = 0; i < 10; ++i) {
      many.push_back(std::make_unique<Line>(port()));
      many.back()->say(
          "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":["
          "\"w\"]}\n");
    }
    if (round != 10) continue;
    a_newcomer_mines();
  }
  EXPECT_TRUE(eventually([&] {
    if (!server_) {
      const auto stats = pool_.server->stats();
      return stats.sv1_miners == 1 && stats.miners.sessions == 1 && stats.miners.extended_channels == 1;
    }
    const auto counters = server_->stats().counters;
    return counters.miners == 1 && counters.channels == 1 + counters.kept_channels && counters.kept_channels < 100;
  })) << "of 200 that came some channels are kept for the next";
}

// NOMP#430: the same share in another spelling.
TEST_P(Sv1Attack, AShareInAnotherSpellingIsADuplicate) {
  Line thief(port());
  ASSERT_TRUE(
      thief.say("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":2,\"method\":\"mining.authorize\","
                "\"params\":[\"thief\",\"\"]}\n"));
  std::string notify;
  while (notify.find("mining.notify\",\"params") == std::string::npos) notify = thief.next_line();
  const std::string job =
      notify.substr(notify.find("[\"") + 2, notify.find("\",", notify.find("[\"")) - notify.find("[\"") - 2);
  const std::string ntime = notify.substr(notify.rfind("],\"") + 3 + 22, 8);
  const auto submit = [&](std::uint32_t nonce, bool upper) {
    std::array<std::uint8_t, 4> bytes{};
    store_be(bytes.data(), nonce);
    std::string extranonce2 = "abcdef01", text = to_hex(bytes);
    if (upper) {
      for (auto* field : {&extranonce2, &text}) {
        for (char& c : *field) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      }
    }
    thief.say("{\"id\":3,\"method\":\"mining.submit\",\"params\":[\"thief\",\"" + job + "\",\"" + extranonce2 + "\",\"" +
              ntime + "\",\"" + text + "\"]}\n");
    std::string answer;
    while (answer.find("\"id\":3") == std::string::npos && !thief.ended) answer = thief.next_line();
    return answer;
  };
  std::uint32_t nonce = 0xabcd0000;
  while (submit(nonce, false).find("\"result\":true") == std::string::npos) {
    ASSERT_LT(nonce, 0xabcd4000u) << "no share found for " << notify;
    ++nonce;
  }
  ++by_others_;
  EXPECT_NE(submit(nonce, true).find("[22,"), std::string::npos);
  EXPECT_NE(submit(nonce, false).find("[22,"), std::string::npos);
  a_newcomer_mines();
}

TEST(OnePort, TakesMinersOfEitherStratum) {
  Pool pool([](pool::ServerOptions& options) { options.sv1_at_listen = true; });
  const auto port = pool.server->tcp_port();
  HealthyMiner one(port);
  Miner other(port, authority());
  ASSERT_EQ(other.start("other", true, 100), "");
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(one.mine(), "");
    EXPECT_EQ(other.submit(other.mine()), "accepted");
  }
  EXPECT_EQ(pool.shares_of("healthy"), (std::pair<std::uint64_t, std::uint64_t>{5, 0}));
  EXPECT_EQ(pool.shares_of("other"), (std::pair<std::uint64_t, std::uint64_t>{5, 0}));
  const auto connections = pool.server->connections().listed;
  ASSERT_EQ(connections.size(), 2u);
  EXPECT_NE(connections[0].id, connections[1].id);
  EXPECT_NE(connections[0].metadata.peer, connections[1].metadata.peer);
  const auto stats = pool.server->stats();
  EXPECT_EQ(stats.sv1_miners, 1u);
  EXPECT_EQ(stats.admission.connections, 2u);
}

TEST(OnePort, WithoutSv1TellsAnSv1MinerWhereItIs) {
  Pool pool;
  Line miner(pool.server->tcp_port());
  ASSERT_TRUE(miner.say("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n"));
  miner.last_words();
  EXPECT_TRUE(eventually([&] { return pool.server->stats().over(net::Transport::kTcp).handshakes_failed == 1; }));
}

std::string name_of(const testing::TestParamInfo<Door>& info) {
  constexpr std::array kNames{"OneEach", "Aggregated", "AtThePool", "AtItsSv2Port"};
  return kNames[static_cast<std::size_t>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Channels, Sv1Attack, testing::Values(Door::kOneEach, Door::kAggregated, Door::kPool, Door::kSv2Port),
                         name_of);

// ---- The published example key: the pool of these tests has no regtest nbits.

TEST(ExampleKeyTranslator, IsStoppedByAPoolThatIsNotOnRegtest) {
  Pool pool;
  net::Shards shards(1);
  shards.start();
  translator::ServerOptions options;
  options.listen = {"127.0.0.1", 0};
  options.upstreams = {target_of(pool)};
  options.upstreams[0].regtest_only = true;
  options.selection.first_retry = 10ms;
  translator::TranslatorServer server(shards, std::move(options));
  ASSERT_TRUE(server.start());
  EXPECT_FALSE(server.stats().upstreams.at(0).unusable);
  Line miner(server.port());
  miner.say(
      "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"w\"]}"
      "\n");
  ASSERT_TRUE(eventually([&] { return server.stats().upstreams.at(0).unusable.has_value(); }));
  const auto status = server.stats().upstreams.at(0);
  EXPECT_NE(status.unusable->message().find("authority_pubkey"), std::string::npos);
  EXPECT_EQ(status.connects, 1u) << "it is not dialled again";
  std::string heard;
  while (true) {
    const auto more = miner.hear(300ms);
    if (more.empty()) break;
    heard += more;
  }
  EXPECT_EQ(heard.find("\"method\":\"mining.notify\""), std::string::npos) << "no work of its reaches a miner";
  server.stop(1s);
  EXPECT_EQ(server.stats().upstreams.at(0).connects, 1u);
  shards.stop(1s);
}

}  // namespace
}  // namespace adit::attack
