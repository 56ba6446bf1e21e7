// A hostile Stratum V1 pool against `adit miner` (CVE-2014-4501 to 4503, the hijack of 2014): whatever it says, the miner
// neither goes elsewhere nor falls over, and mines again as soon as the pool behaves.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/shards.h"
#include "roles/miner/miner.h"

namespace adit::attack {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s;

bool readable(int fd, std::chrono::milliseconds patience) {
  pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, static_cast<int>(patience.count())) > 0;
}

/// A listening socket on loopback, and the connection that it accepted last.
class FakePool {
 public:
  FakePool() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    port = ntohs(at.sin_port);
  }
  FakePool(const FakePool&) = delete;
  FakePool& operator=(const FakePool&) = delete;
  ~FakePool() {
    hang_up();
    ::close(listener_);
  }

  [[nodiscard]] bool accept(std::chrono::milliseconds patience = kPatience) {
    hang_up();
    if (!readable(listener_, patience)) return false;
    fd_ = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    return fd_ >= 0;
  }
  void hang_up() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    heard_.clear();
  }
  /// False once the miner hung up.
  bool say(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  /// Waits until the miner has said `text`.
  bool hears(std::string_view text) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (heard_.find(text) == std::string::npos && std::chrono::steady_clock::now() < until) {
      if (!readable(fd_, 1s)) continue;
      std::array<char, 4096> buffer;
      const auto got = ::recv(fd_, buffer.data(), buffer.size(), 0);
      if (got <= 0) return false;
      heard_.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return heard_.find(text) != std::string::npos;
  }
  /// True if the miner hangs up.
  bool is_left() {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < until) {
      if (!readable(fd_, 1s)) continue;
      std::array<char, 4096> buffer;
      if (::recv(fd_, buffer.data(), buffer.size(), 0) <= 0) return true;
    }
    return false;
  }

  std::uint16_t port = 0;

 private:
  int listener_;
  int fd_ = -1;
  std::string heard_;
};

constexpr std::string_view kOpening =
    "{\"id\":1,\"result\":{\"version-rolling\":false},\"error\":null}\n"
    "{\"id\":2,\"result\":[[[\"mining.notify\",\"1\"]],\"08000002\",4],\"error\":null}\n"
    "{\"id\":3,\"result\":true,\"error\":null}\n"
    "{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[0.0000001]}\n";

std::string notify(std::string_view job_id, std::string_view path = "[]", std::string_view coinbase1 = "0100") {
  return "{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"" + std::string(job_id) +
         "\",\"4d16b6f85af6e2198f44ae2a6de67f78487ae5611b77c6c0440b921e00000000\",\"" + std::string(coinbase1) +
         "\",\"00000000\"," + std::string(path) + ",\"20000000\",\"1d00ffff\",\"504e86b9\",true]}\n";
}

class HostilePool : public testing::Test {
 protected:
  void SetUp() override {
    shards_.start();
    miner_.emplace(config(pool_.port), shards_[0]);
    miner_->start();
    ASSERT_TRUE(pool_.accept());
  }
  void TearDown() override {
    miner_->stop();
    shards_.stop(5s);
    miner_.reset();
    newcomers_.clear();
  }
  /// The miner is connected and mines what it is given.
  void expect_mining(std::string_view job_id) {
    ASSERT_TRUE(pool_.say(kOpening));
    ASSERT_TRUE(pool_.say(notify(job_id)));
    EXPECT_TRUE(pool_.hears("\"m\",\"" + std::string(job_id) + "\""));
  }

  /// Another miner comes to the same shard while this one's pool plays its games: it connects to an honest pool, has a share
  /// taken, and hears of a tip, which it mines on.
  void a_newcomer_mines() {
    FakePool honest;
    auto& newcomer = newcomers_.emplace_back(std::make_unique<miner::Miner>(config(honest.port), shards_[0]));
    newcomer->start();
    ASSERT_TRUE(honest.accept());
    ASSERT_TRUE(honest.say(kOpening));
    ASSERT_TRUE(honest.say(notify("new1")));
    EXPECT_TRUE(honest.hears("\"m\",\"new1\""));
    ASSERT_TRUE(honest.say(notify("new2")));
    EXPECT_TRUE(honest.hears("\"m\",\"new2\""));
    newcomer->stop();
  }

  static miner::MinerConfig config(std::uint16_t port) {
    return {.pools = {{.dialect = net::Dialect::kStratumV1, .transport = net::TcpConfig{"127.0.0.1", port}}},
            .user = "m",
            .nominal_hash_rate_hps = 1e6,
            .longest_retry = 50ms};
  }

  net::Shards shards_{1};
  FakePool pool_;
  std::vector<std::unique_ptr<miner::Miner>> newcomers_;  ///< Gone after the shard has stopped.
  std::optional<miner::Miner> miner_;
};

TEST_F(HostilePool, AClientReconnectLeadsNowhere) {
  FakePool thief;
  expect_mining("aa");
  const std::string port = std::to_string(thief.port);
  ASSERT_TRUE(pool_.say("{\"id\":null,\"method\":\"client.reconnect\",\"params\":[\"127.0.0.1\"," + port +
                        ",0]}\n"
                        "{\"id\":7,\"method\":\"client.reconnect\",\"params\":[\"127.0.0.1\",\"" +
                        port +
                        "\"]}\n"
                        "{\"id\":null,\"method\":\"client.reconnect\",\"params\":[\"" +
                        std::string(3000, 'h') +
                        "\"]}\n"
                        "{\"id\":null,\"method\":\"client.reconnect\",\"params\":[]}\n"));
  a_newcomer_mines();
  ASSERT_TRUE(pool_.say(notify("bb")));
  EXPECT_TRUE(pool_.hears("\"m\",\"bb\"")) << "it mines on, on the connection that it has";
  EXPECT_FALSE(thief.accept(200ms));
}

TEST_F(HostilePool, AHugeLineIsLeftAndTheMinerComesBack) {
  pool_.say(std::string(4 << 10, 'x'));
  a_newcomer_mines();
  pool_.say(std::string(4 << 20, 'x'));
  EXPECT_TRUE(pool_.is_left());
  ASSERT_TRUE(pool_.accept()) << "it dials again";
  expect_mining("cc");
}

TEST_F(HostilePool, BogusWorkIsLeftAndTheMinerComesBack) {
  const std::string hash(64, '0');
  std::string long_path = "[";
  for (int i = 0; i < 1000; ++i) long_path += (i == 0 ? "\"" : ",\"") + hash + "\"";
  long_path += "]";
  const std::string bogus[] = {
      notify("a", long_path),
      notify("a", "[\"zz\"]"),
      notify("a", "7"),
      notify("a", "[]", "012"),
      notify("a", "[]", "xyz"),
      notify(std::string(4000, 'j')),
      "{\"id\":null,\"method\":\"mining.notify\",\"params\":[]}\n",
      "{\"id\":null,\"method\":\"mining.notify\",\"params\":[1,2,3,4,5,6,7,8,9]}\n",
      "{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[-1]}\n",
      "{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[1e999]}\n",
      "{\"id\":null,\"method\":\"mining.set_extranonce\",\"params\":[\"" + std::string(200, '0') + "\",4]}\n",
      "{\"id\":2,\"result\":[[],\"00\",4000000000],\"error\":null}\n",
      "{\"id\":1,\"result\":" + std::string(5000, '['),
      "{]\n",
      "\x01\x02\x7f\xff\n",
  };
  bool first = true;
  for (const auto& line : bogus) {
    if (!std::exchange(first, false)) ASSERT_TRUE(pool_.accept()) << line.substr(0, 80);
    if (line.find("\"id\":2") == std::string::npos) pool_.say(kOpening);
    pool_.say(line + "\n");
    EXPECT_TRUE(pool_.is_left()) << line.substr(0, 80);
    if (&line == &bogus[7]) a_newcomer_mines();
  }
  ASSERT_TRUE(pool_.accept());
  expect_mining("dd");
}

TEST_F(HostilePool, WorkOfExtremesIsMined) {
  ASSERT_TRUE(pool_.say(kOpening));
  ASSERT_TRUE(pool_.say("{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[1e300]}\n" + notify("x")));
  a_newcomer_mines();
  ASSERT_TRUE(
      pool_.say("{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[1e-300]}\n"
                "{\"id\":null,\"method\":\"mining.set_extranonce\",\"params\":[\"" +
                std::string(64, 'a') + "\",0]}\n" + notify("yy")));
  EXPECT_TRUE(pool_.hears("\"m\",\"yy\",\"\"")) << "no byte of extranonce2, any hash";
}

TEST_F(HostilePool, AnswersToNothingAndUnknownCallsAreIgnored) {
  expect_mining("ee");
  ASSERT_TRUE(
      pool_.say("{\"id\":9999999,\"result\":true,\"error\":null}\n"
                "{\"id\":\"x\",\"result\":[],\"error\":null}\n"
                "{\"id\":3,\"result\":false,\"error\":[24,\"again\",null]}\n"
                "{\"id\":5,\"method\":\"client.show_message\",\"params\":[\"" +
                std::string(10000, '!') + "\"]}\n{\"id\":6,\"method\":\"client.get_version\",\"params\":[]}\n"));
  a_newcomer_mines();
  EXPECT_TRUE(pool_.hears("{\"id\":6,\"result\":\"adit\""));
}

}  // namespace
}  // namespace adit::attack
