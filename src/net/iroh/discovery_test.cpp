// Peers that are dialled by their id alone: a pkarr relay and a DNS server of this test's own say where they are.
#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "base/hex.h"
#include "net/iroh/node.h"
#include "net/iroh/node_testing.h"

namespace adit::net {
namespace {

using namespace std::chrono_literals;
using namespace test;
namespace http = boost::beast::http;

/// Keeps what is PUT under a path, and gives it to who GETs it.
class PkarrRelay {
 public:
  PkarrRelay() : acceptor_(context_, {asio::ip::make_address("127.0.0.1"), 0}), thread_([this] { run(); }) {}
  ~PkarrRelay() {
    stopped_ = true;
    boost::system::error_code ignored;
    asio::ip::tcp::socket(context_).connect(acceptor_.local_endpoint(), ignored);
    thread_.join();
  }

  [[nodiscard]] std::string url() const {
    return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()) + "/pkarr";
  }
  [[nodiscard]] std::size_t size() {
    const std::scoped_lock lock(mutex_);
    return kept_.size();
  }

 private:
  void run() {
    while (!stopped_) {
      asio::ip::tcp::socket socket(context_);
      boost::system::error_code ec;
      acceptor_.accept(socket, ec);
      boost::beast::flat_buffer buffer;
      http::request<http::string_body> request;
      if (!ec && !stopped_) http::read(socket, buffer, request, ec);
      if (ec || stopped_) continue;
      http::response<http::string_body> response(http::status::ok, 11);
      response.keep_alive(false);
      {
        const std::scoped_lock lock(mutex_);
        const std::string path(request.target());
        if (request.method() == http::verb::put) {
          kept_[path] = request.body();
        } else if (const auto found = kept_.find(path); found != kept_.end()) {
          response.body() = found->second;
        } else {
          response.result(http::status::not_found);
        }
      }
      response.prepare_payload();
      http::write(socket, response, ec);
    }
  }

  asio::io_context context_;
  asio::ip::tcp::acceptor acceptor_;
  std::mutex mutex_;
  std::map<std::string, std::string> kept_;
  std::atomic<bool> stopped_{false};
  std::thread thread_;
};

/// Answers TXT questions for one name (RFC 1035 §4); knows no other.
class DnsServer {
 public:
  DnsServer(const std::string& name, std::string text)
      : text_(std::move(text)), socket_(context_, {asio::ip::make_address("127.0.0.1"), 0}) {
    for (std::size_t at = 0; at < name.size();) {
      const auto end = std::min(name.find('.', at), name.size());
      name_.push_back(static_cast<char>(end - at));
      name_.append(name, at, end - at);
      at = end + 1;
    }
    name_.push_back('\0');
    thread_ = std::thread([this] { run(); });
  }
  ~DnsServer() {
    stopped_ = true;
    asio::ip::udp::socket(context_, asio::ip::udp::v4()).send_to(asio::buffer("", 1), socket_.local_endpoint());
    thread_.join();
  }

  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(socket_.local_endpoint().port()); }

 private:
  static constexpr std::size_t kHeader = 12;

  void run() {
    while (!stopped_) {
      std::array<char, 1500> packet;
      asio::ip::udp::endpoint from;
      const auto size = socket_.receive_from(asio::buffer(packet), from);
      const std::string question(packet.data(), size);
      const auto end = question.find('\0', kHeader);
      if (size < kHeader || end == std::string::npos || end + 5 > size) continue;
      const auto name = question.substr(kHeader, end + 1 - kHeader);
      const bool known = boost::beast::iequals(name, name_) && question.substr(end + 1, 2) == std::string("\0\x10", 2);
      std::string answer = question.substr(0, 2);
      answer += std::string("\x81", 1) + (known ? '\x80' : '\x83');  // an answer; no such name
      answer += std::string("\0\1\0", 3) + (known ? '\1' : '\0') + std::string(4, '\0');
      answer += question.substr(kHeader, end + 5 - kHeader);
      if (known) {
        const auto length = static_cast<char>(text_.size());
        answer += std::string("\xc0\x0c\0\x10\0\1\0\0\0\x3c\0", 11) + static_cast<char>(length + 1) + length + text_;
      }
      socket_.send_to(asio::buffer(answer), from);
    }
  }

  std::string name_;
  const std::string text_;
  asio::io_context context_;
  asio::ip::udp::socket socket_;
  std::atomic<bool> stopped_{false};
  std::thread thread_;
};

/// z-base-32, in which iroh writes ids into names.
std::string z32(const std::string& hex) {
  constexpr std::string_view kDigits = "ybndrfg8ejkmcpqxot1uwisza345h769";
  std::array<std::uint8_t, 32> id{};
  EXPECT_TRUE(from_hex(hex, id));
  std::string out;
  unsigned bits = 0, held = 0;
  for (const auto byte : id) {
    bits = bits << 8 | byte;
    for (held += 8; held >= 5; held -= 5) out.push_back(kDigits[bits >> (held - 5) & 31]);
  }
  if (held > 0) out.push_back(kDigits[bits << (5 - held) & 31]);
  return out;
}

class DiscoveryTest : public IrohNodes {
 protected:
  /// What comes back from an endpoint of which only the id is known.
  Result<std::string> say_by_id(IrohNodeManager& client, const std::string& id) {
    return dial_and_say(client, shards_[0], IrohConfig{.endpoint_id = id}, "hello");
  }
};

TEST_F(DiscoveryTest, WithoutALookupAnIdAloneIsNoWay) {
  const auto pool = node(loopback(1));
  serve_echo(*pool);
  const auto miner = node(loopback(2));
  const auto heard = say_by_id(*miner, pool->endpoint_id());
  ASSERT_FALSE(heard);
  EXPECT_TRUE(heard.error().is(Errc::kUnreachable)) << heard.error().message();
}

TEST_F(DiscoveryTest, APeerIsFoundThroughThePkarrRelayThatItTellsItsAddresses) {
  PkarrRelay relay;
  const auto with_relay = [&](std::uint8_t seed) {
    auto config = loopback(seed);
    config.pkarr_relays = {relay.url()};
    return node(std::move(config));
  };
  const auto pool = with_relay(1);
  serve_echo(*pool);
  for (int i = 0; i < 3000 && relay.size() == 0; ++i) std::this_thread::sleep_for(20ms);
  const auto miner = with_relay(2);
  const auto heard = say_by_id(*miner, pool->endpoint_id());
  ASSERT_TRUE(heard) << heard.error().message();
  EXPECT_EQ(*heard, "hello");
}

TEST_F(DiscoveryTest, APeerIsFoundByTheDnsRecordOfItsId) {
  const auto pool = node(loopback(1));
  serve_echo(*pool);
  const DnsServer dns("_iroh." + z32(pool->endpoint_id()) + ".adit.test", "addr=" + pool->local_addresses().at(0));
  auto config = loopback(2);
  config.dns_origins = {"adit.test"};
  config.dns_server = dns.address();
  const auto miner = node(std::move(config));
  const auto heard = say_by_id(*miner, pool->endpoint_id());
  ASSERT_TRUE(heard) << heard.error().message();
  EXPECT_EQ(*heard, "hello");
}

TEST_F(DiscoveryTest, LookupsThatCannotWorkAreNamedAtTheStart) {
  const auto refused = [&](auto change) {
    auto config = loopback(1);
    change(config);
    const auto started = IrohNodeManager::start(shards_, std::move(config));
    return started ? std::string("started") : started.error().message();
  };
  EXPECT_THAT(refused([](IrohNodeConfig& config) { config.pkarr_relays = {"no url"}; }),
              testing::HasSubstr("pkarr relay 'no url'"));
  EXPECT_THAT(refused([](IrohNodeConfig& config) { config.dns_server = "ns.example:53"; }),
              testing::HasSubstr("DNS server 'ns.example:53' is not ip:port"));
  EXPECT_THAT(refused([](IrohNodeConfig& config) { config.log_filter = "iroh=loud"; }),
              testing::HasSubstr("log filter 'iroh=loud'"));
}

}  // namespace
}  // namespace adit::net
