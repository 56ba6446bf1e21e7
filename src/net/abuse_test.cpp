// The transport over real loopback sockets: abusive peers, and a healthy one beside each.
#include <optional>

#include "base/eventually_testing.h"
#include "base/no_descriptors_testing.h"
#include "log/log_testing.h"
#include "net/net_testing.h"

namespace adit::net {
namespace {

TEST_F(Net, GarbageInsteadOfAHandshakeIsCutOffAndToldApart) {
  EchoServer server(shards_);
  RawPeer sv1(server.port());
  sv1.write(R"({"id": 1, "method": "mining.subscribe", "params": ["cpuminer/2.5.1", "and so on"]})"
            "\n");
  EXPECT_EQ(healthy(shards_[0], server.url()), "");
  EXPECT_TRUE(sv1.is_cut_off());
  EXPECT_THAT(server.wait_for_end(Errc::kProtocol), HasSubstr("translator"));

  RawPeer http(server.port());
  http.write("GET / HTTP/1.1\r\nHost: pool.example.org\r\nUser-Agent: somebody's browser\r\n\r\n");
  EXPECT_TRUE(http.is_cut_off());
  EXPECT_EQ(healthy(shards_[0], server.url()), "");
}

TEST_F(Net, AnUnencryptedStratumV2FrameIsToldApart) {
  EchoServer server(shards_);
  RawPeer peer(server.port());
  peer.write(std::string("\0\0\0\x60\0\0\0\2\0\2\0", 11) + std::string(85, '\1'));
  EXPECT_TRUE(peer.is_cut_off());
  EXPECT_THAT(server.wait_for_end(Errc::kProtocol), AllOf(HasSubstr("without encryption"), HasSubstr("authority key")));
  EXPECT_EQ(healthy(shards_[0], server.url()), "");
}

struct OtherProtocol {
  std::string_view name;
  std::string_view sends;
  std::string_view said;
  Duration deadline = 60s;  ///< Longer than the test waits: what came is told from its first bytes.
  Errc code = Errc::kProtocol;
};

class NetOtherProtocol : public Net, public testing::WithParamInterface<OtherProtocol> {};

// A peer at the wrong port waits for an answer and sends no more.
TEST_P(NetOtherProtocol, IsToldByItsFirstEightBytesOrBySilence) {
  EchoServer server(shards_, {.handshake = {.deadline = GetParam().deadline}});
  RawPeer peer(server.port());
  peer.write(std::string(GetParam().sends));
  EXPECT_TRUE(peer.is_cut_off());
  EXPECT_THAT(server.wait_for_end(GetParam().code), HasSubstr(std::string(GetParam().said)));
}

using namespace std::string_view_literals;
INSTANTIATE_TEST_SUITE_P(
    All, NetOtherProtocol,
    testing::Values(OtherProtocol{"Sv1", "{\"id\":1,"sv, "translator"},
                    OtherProtocol{"Tls", "\x16\x03\x01\x02\x00\x01\x00\x01"sv, "without TLS"},
                    OtherProtocol{"Http", "GET / HT"sv, "no web address"},
                    OtherProtocol{"ProxyV1", "PROXY TC"sv,
                                  "PROXY protocol header (v1); name the proxy's address in `trusted_proxies`"},
                    OtherProtocol{"ProxyV2", "\r\n\r\n\0\r\nQ"sv,
                                  "PROXY protocol header (v2); name the proxy's address in `trusted_proxies`"},
                    OtherProtocol{"PlainSv2", "\0\0\0\x60\0\0\0\2"sv, "authority key"},
                    OtherProtocol{"OneBraceAndSilence", "{"sv, "Stratum V1", 300ms},
                    // A handshake may begin with a brace: its first bytes are random.
                    OtherProtocol{"ABraceOfAHandshake", "{\xe1 a handshake"sv, "of 64 bytes", 300ms, Errc::kTimedOut}),
    [](const auto& named) { return std::string(named.param.name); });

TEST_F(Net, RandomBytesFailAtTheFirstFrame) {
  EchoServer server(shards_);
  RawPeer peer(server.port());
  peer.write(std::string(300, '\xd7'));
  EXPECT_EQ(healthy(shards_[0], server.url()), "");
  EXPECT_TRUE(peer.is_cut_off());
  EXPECT_THAT(server.wait_for_end(Errc::kProtocol), testing::Not(HasSubstr("no connection")));
}

TEST_F(Net, SilenceBeforeAndInsideTheHandshakeIsCutOff) {
  EchoServer server(shards_, {.handshake = {.deadline = 300ms}});
  RawPeer silent(server.port());
  RawPeer half(server.port());
  half.write("only ten b");
  // The same short deadline binds it: on a busy machine it may take more than one try.
  EXPECT_TRUE(eventually([&] { return healthy(shards_[0], server.url()).empty(); }));
  EXPECT_TRUE(silent.is_cut_off());
  EXPECT_TRUE(half.is_cut_off());
  EXPECT_THAT(server.wait_for_end(Errc::kTimedOut), HasSubstr("of 64 bytes of the handshake"));
}

/// Seals one frame of 16 MiB and sends its header and ten bytes.
asio::awaitable<Result<std::unique_ptr<ByteStream>>> declare_much(Shard& shard, std::uint16_t port) {
  auto stream = co_await dial_tcp(shard, {"127.0.0.1", port}, 5s);
  if (!stream) co_return fail(stream.error());
  auto codec = co_await initiate(shard, **stream, authority_of(7).public_key(), {});
  if (!codec) co_return fail(codec.error());
  wire::ByteBuffer sealed;
  (void)(*codec)->seal(frame_of(wire::kMaxPayload), sealed);
  (void)(*stream)->try_write(sealed.bytes().first(noise::kSealedHeaderSize + 10));
  co_return std::move(*stream);
}

TEST_F(Net, AFrameAboveTheBoundIsCutOffAtItsHeader) {
  EchoServer server(shards_, {.handshake = {.max_payload = 1 << 16}});
  auto stream = on(shards_[0], [&]() -> asio::awaitable<Result<std::unique_ptr<ByteStream>>> {
    co_return co_await declare_much(shards_[0], server.port());
  });
  ASSERT_TRUE(stream) << stream.error().message();
  EXPECT_THAT(server.wait_for_end(Errc::kProtocol), HasSubstr("16777215"));
  EXPECT_EQ(healthy(shards_[0], server.url()), "");
  on(shards_[0], [&]() -> asio::awaitable<bool> {
    stream->reset();
    co_return true;
  });
}

TEST_F(Net, ADeclaredLengthAllocatesNothingBeforeItsBytesCome) {
  EchoServer server(shards_);
  std::vector<std::unique_ptr<ByteStream>> peers;
  for (int i = 0; i < 2; ++i) {
    auto stream = on(shards_[0], [&]() -> asio::awaitable<Result<std::unique_ptr<ByteStream>>> {
      co_return co_await declare_much(shards_[0], server.port());
    });
    ASSERT_TRUE(stream) << stream.error().message();
    peers.push_back(std::move(*stream));
  }
  EXPECT_EQ(healthy(shards_[0], server.url()), "");
  EXPECT_EQ(healthy(shards_[1], server.url()), "");
  for (unsigned i = 0; i < shards_.size(); ++i) {
    const auto capacity =
        on(shards_[i], [&]() -> asio::awaitable<std::size_t> { co_return shards_[i].scratch().receive.capacity(); });
    EXPECT_LE(capacity, 1u << 18);
  }
  on(shards_[0], [&]() -> asio::awaitable<bool> {
    peers.clear();
    co_return true;
  });
}

TEST_F(Net, APeerThatDoesNotReadIsCutOff) {
  EchoServer server(shards_, {.max_queued_bytes = 1 << 18});
  auto abusive = dial_on(shards_[0], server.url(), {.max_queued_bytes = 256 << 20});
  ASSERT_TRUE(abusive) << abusive.error().message();
  on(shards_[0], [&]() -> asio::awaitable<bool> {
    for (int i = 0; i < 64; ++i) (*abusive)->send(frame_of(1 << 20));
    co_return true;
  });
  EXPECT_EQ(healthy(shards_[0], server.url()), "");
  EXPECT_THAT(server.wait_for_end(Errc::kSlowReader), HasSubstr("does not read"));
  EXPECT_EQ(healthy(shards_[1], server.url()), "");
  on(shards_[0], [&]() -> asio::awaitable<bool> {
    abusive->reset();
    co_return true;
  });
}

TEST_F(Net, APeerThatAsksMuchBeforeItReadsIsSlowedDownAndGetsEveryAnswer) {
  EchoServer server(shards_, {.max_queued_bytes = 1 << 18});
  constexpr std::size_t kFrames = 16'000;  // 16 MB of answers: more than any socket buffers, and than the server queues
  auto eager = dial_on(shards_[0], server.url(), {.max_queued_bytes = 64 << 20});
  ASSERT_TRUE(eager) << eager.error().message();
  on(shards_[0], [&]() -> asio::awaitable<bool> {
    const auto frame = frame_of(1000);
    for (std::size_t i = 0; i < kFrames; ++i) (*eager)->send(frame);
    co_await sleep_for(300ms);
    co_return true;
  });
  EXPECT_EQ(healthy(shards_[1], server.url()), "");
  const auto answered = on(shards_[0], [&]() -> asio::awaitable<std::size_t> {
    std::size_t frames = 0;
    while (frames < kFrames) {
      const auto batch = co_await (*eager)->receive();
      if (!batch) break;
      frames += batch->size();
    }
    eager->reset();
    co_return frames;
  });
  EXPECT_EQ(answered, kFrames);
}

TEST_F(Net, AFloodAboveTheBoundIsRefusedAndTheHealthyPeerGoesOn) {
  EchoServer server(shards_, {.limits = {.max_unproven_per_source = 8}, .handshake = {.deadline = 5s}});
  auto peer = dial_on(shards_[0], server.url());
  ASSERT_TRUE(peer) << peer.error().message();
  {
    std::vector<RawPeer> flood;
    for (int i = 0; i < 100; ++i) flood.emplace_back(server.port());
    EXPECT_THAT(server.wait_for_end(Errc::kOverloaded), HasSubstr("8"));
    const auto back =
        on(shards_[0], [&]() -> asio::awaitable<Result<std::size_t>> { co_return co_await echo(**peer, frame_of(100)); });
    EXPECT_TRUE(back);
    EXPECT_LE(server.admission().counts().connections, 8u);
    EXPECT_TRUE(flood.back().is_cut_off());
  }
  on(shards_[0], [&]() -> asio::awaitable<bool> {
    const bool alive = (co_await echo(**peer, frame_of(100))).has_value();
    peer->reset();
    co_return alive;
  });
  // The flood's places come back as the shards see its sockets close; one that a shard sees late may still take a place for a
  // moment.
  EXPECT_TRUE(eventually([&] { return healthy(shards_[0], server.url()).empty(); }));
  EXPECT_TRUE(eventually([&] { return server.admission().counts().connections == 0; }));
}

TEST_F(Net, WithoutFreeDescriptorsTheListenerPausesAndGoesOnAfterwards) {
  ADIT_TAKES_EVERY_DESCRIPTOR();
  log::test::Captured log;
  EchoServer server(shards_);
  RawPeer waiting(server.port(), false);
  std::optional<FewDescriptors> none(std::in_place);
  waiting.connect();
  EXPECT_TRUE(eventually([&] { return server.listener().failed_accepts() > 2; }));
  none.reset();
  EXPECT_EQ(healthy(shards_[0], server.url()), "");
  const auto lines = log.lines("net.accept_failed");
  ASSERT_EQ(lines.size(), 1u) << "each failure was logged, or none";
  EXPECT_THAT(lines.front(), HasSubstr("ulimit -n"));
}

}  // namespace
}  // namespace adit::net
