// A listener behind a proxy: whose connection it is comes from the PROXY protocol's header, and from nothing else.
#include <chrono>
#include <mutex>
#include <string>
#include <vector>

#include "base/eventually_testing.h"
#include "log/log_testing.h"
#include "net/net_testing.h"

namespace adit::net {
namespace {

using namespace std::string_view_literals;

constexpr auto kV1 = "PROXY TCP4 192.0.2.7 192.0.2.1 4711 3333\r\n"sv;
constexpr auto kV2 = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x12\x67\x0d\x05"sv;
constexpr auto kV2OfV6 =
    "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x12\x67\x0d\x05"sv;
constexpr auto kLocal = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"sv;

/// What a listener handed over: each stream is read until `wanted` bytes of its peer have come.
class Proxied : public Net {
 protected:
  struct Taken {
    ConnectionMetadata metadata;  ///< When it was handed over.
    std::string said;
  };

  void listen(std::string_view trusted) {
    listener_ = std::move(*TcpListener::bind(shards_[0], {"127.0.0.1", 0}, kSilentHost, {*AddressRange::parse(trusted)}));
    listener_->start(shards_, [this](Shard& shard, std::unique_ptr<ByteStream> stream) {
      shard.spawn([](Proxied& test, std::unique_ptr<ByteStream> held) -> asio::awaitable<void> {
        Taken taken{.metadata = held->metadata()};
        std::array<std::uint8_t, 256> bytes;
        for (;;) {
          const auto got = held->try_read(bytes);
          if (got) {
            taken.said += as_text(Bytes(bytes).first(*got));
          } else if (!got.error().is(Errc::kWouldBlock) || !co_await held->wait_readable()) {
            break;
          }
        }
        const std::lock_guard lock(test.mutex_);
        test.taken_.push_back(std::move(taken));
      }(*this, std::move(stream)));
    });
  }
  /// Sends `bytes` and ends the connection; what the listener handed over of it.
  Taken take(std::string_view bytes) {
    const auto before = count();
    {
      RawPeer peer(listener_->port());
      peer.write(std::string(bytes));
    }
    EXPECT_TRUE(eventually([&] { return count() > before; }));
    const std::lock_guard lock(mutex_);
    return taken_.empty() ? Taken{} : taken_.back();
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return taken_.size();
  }
  void TearDown() override {
    listener_->stop();
    Net::TearDown();
  }

  std::unique_ptr<TcpListener> listener_;
  std::mutex mutex_;
  std::vector<Taken> taken_;
};

TEST_F(Proxied, TheClientThatTheHeaderNamesIsThePeerAndTheSource) {
  listen("127.0.0.1");
  for (const auto header : {kV1, kV2}) {
    const auto taken = take(std::string(header) + "{\"id\":1}\n");
    EXPECT_EQ(taken.metadata.peer, "192.0.2.7:4711");
    EXPECT_EQ(taken.metadata.source, "192.0.2.7:4711");
    EXPECT_EQ(taken.metadata.bytes_received, 0U) << "the header is not the client's";
    EXPECT_EQ(taken.said, "{\"id\":1}\n");
  }
  EXPECT_EQ(take(kV2OfV6).metadata.source, "[2001:db8::1]:4711");
  EXPECT_EQ(take("PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 3333\r\n").metadata.source, "192.0.2.7:4711");
}

TEST_F(Proxied, WithLocalAndUnknownTheProxyIsThePeer) {
  listen("127.0.0.0/8");
  for (const auto header : {kLocal, "PROXY UNKNOWN\r\n"sv}) {
    const auto taken = take(std::string(header) + "x");
    EXPECT_THAT(taken.metadata.source, testing::StartsWith("127.0.0.1:"));
    EXPECT_EQ(taken.said, "x");
  }
}

TEST_F(Proxied, AHeaderMayComeInSinglePiecesAndWithWhatFollows) {
  listen("127.0.0.1");
  for (const auto header : {kV1, kV2}) {
    const auto before = count();
    {
      RawPeer peer(listener_->port());
      for (const char byte : header) {
        peer.write(std::string(1, byte));
        std::this_thread::sleep_for(1ms);
      }
      peer.write("after");
    }
    ASSERT_TRUE(eventually([&] { return count() > before; }));
    EXPECT_EQ(taken_.back().metadata.peer, "192.0.2.7:4711");
    EXPECT_EQ(taken_.back().said, "after");
  }
}

TEST_F(Proxied, WithoutATrustedProxyAHeaderIsWhateverTheClientSent) {
  listen("192.0.2.1");
  const auto taken = take(kV1);
  EXPECT_THAT(taken.metadata.source, testing::StartsWith("127.0.0.1:"));
  EXPECT_EQ(taken.said, kV1);
}

// Whoever reaches the port through the proxy without a header, or past it from its machine, chose no source of its own.
TEST_F(Proxied, FromATrustedProxyNothingButAHeaderIsTaken) {
  log::test::Captured log;
  listen("127.0.0.1");
  for (const auto bytes :
       {"{\"id\":1,\"method\":\"mining.subscribe\"}\n"sv, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00"sv,
        "PROXY TCP4 192.0.2.7\r\n"sv, "\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"sv}) {
    RawPeer peer(listener_->port());
    peer.write(std::string(bytes));
    EXPECT_TRUE(peer.is_cut_off());
  }
  for (int i = 0; i < 20; ++i) {
    RawPeer peer(listener_->port());
    peer.write("GET / HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(peer.is_cut_off());
  }
  EXPECT_EQ(count(), 0U);
  const auto lines = log.lines("net.proxied_refused");
  ASSERT_GE(lines.size(), 4U);
  EXPECT_LE(lines.size(), 10U) << "five a second";
  EXPECT_THAT(lines[0], HasSubstr("no PROXY protocol header came, but Stratum V1"));
  EXPECT_THAT(lines[0], HasSubstr(" proxy=127.0.0.1:"));
  EXPECT_THAT(lines[1], HasSubstr("but TLS"));
  EXPECT_THAT(lines[2], HasSubstr("holds no two addresses"));
  EXPECT_THAT(lines[3], HasSubstr("65551 bytes long"));
}

TEST_F(Proxied, AHeaderThatIsCutShortIsToldAndAProxysLookAtThePortIsNot) {
  log::test::Captured log;
  listen("127.0.0.1");
  for (const auto bytes : {""sv, kV1.substr(0, 30), kV2.substr(0, 20)}) {
    RawPeer peer(listener_->port());
    peer.write(std::string(bytes));
  }
  EXPECT_EQ(take(kLocal).said, "");
  // What went before it is handled on the two shards by now, or soon.
  std::this_thread::sleep_for(100ms);
  const auto lines = log.lines("net.proxied_refused");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0] + lines[1], HasSubstr("30 bytes of a PROXY protocol header came"));
  EXPECT_THAT(lines[0] + lines[1], HasSubstr("20 bytes of a PROXY protocol header came"));
}

TEST_F(Proxied, AHeaderThatDoesNotComeInTimeEndsTheConnection) {
  log::test::Captured log;
  listen("127.0.0.1");
  RawPeer silent(listener_->port());
  RawPeer slow(listener_->port());
  const auto begun = std::chrono::steady_clock::now();
  for (std::size_t i = 0; slow.try_write(kV2.substr(i % kV2.size(), 1)) && i < 100; ++i) std::this_thread::sleep_for(200ms);
  EXPECT_TRUE(slow.is_cut_off());
  EXPECT_TRUE(silent.is_cut_off());
  EXPECT_GE(std::chrono::steady_clock::now() - begun, kProxyHeaderDeadline);
  EXPECT_EQ(count(), 0U);
  EXPECT_EQ(log.lines("net.proxied_refused").size(), 2U);
}

TEST_F(Proxied, AStopEndsThoseThatHaveNotSaidWhoseTheyAre) {
  listen("127.0.0.1");
  RawPeer silent(listener_->port());
  EXPECT_EQ(take(kLocal).said, "") << "the one before it is accepted too";
  const auto begun = std::chrono::steady_clock::now();
  listener_->stop();
  EXPECT_TRUE(silent.is_cut_off());
  EXPECT_LT(std::chrono::steady_clock::now() - begun, kProxyHeaderDeadline);
  EXPECT_EQ(count(), 1U);
}

}  // namespace
}  // namespace adit::net
