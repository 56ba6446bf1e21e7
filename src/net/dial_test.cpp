// What a dial that fails says.
#include "net/net_testing.h"

namespace adit::net {
namespace {

TEST_F(Net, AWrongAuthorityIsAHandshakeErrorThatSaysSo) {
  EchoServer server(shards_);
  auto to = server.url();
  to.authority = authority_of(8).public_key();
  const auto connection = dial_on(shards_[0], to);
  ASSERT_FALSE(connection);
  EXPECT_TRUE(connection.error().is(Errc::kHandshake)) << connection.error().message();
  EXPECT_THAT(connection.error().message(), HasSubstr("authority"));
  EXPECT_EQ(healthy(shards_[0], server.url()), "");
}

TEST_F(Net, AnExpiredCertificateSaysByHowManySecondsTheClocksDiffer) {
  EchoServer stale(shards_, {.certificate_age = 1060s});
  const auto connection = dial_on(shards_[0], stale.url());
  ASSERT_FALSE(connection);
  EXPECT_TRUE(connection.error().is(Errc::kHandshake)) << connection.error().message();
  EXPECT_THAT(connection.error().message(), testing::ContainsRegex("100[0-9] s"));
  EchoServer server(shards_);
  EXPECT_EQ(healthy(shards_[0], server.url()), "");
}

TEST_F(Net, AServerThatTalksSomethingElseIsToldApart) {
  auto listener = std::move(*TcpListener::bind(shards_[0], {"127.0.0.1", 0}));
  listener->start(shards_, [](Shard& shard, std::unique_ptr<ByteStream> stream) {
    shard.spawn([](std::unique_ptr<ByteStream> held) -> asio::awaitable<void> {
      (void)held->try_write(as_bytes(R"({"id":null,"result":null,"error":[20,"parse error",null]})"
                                     "\n"));
      co_await held->wait_readable();
    }(std::move(stream)));
  });
  const auto connection =
      dial_on(shards_[0], {.transport = TcpConfig{"127.0.0.1", listener->port()}}, {.handshake_deadline = 300ms});
  ASSERT_FALSE(connection);
  EXPECT_THAT(connection.error().message(), HasSubstr("it sent Stratum V1"));
}

TEST_F(Net, NobodyListeningIsRefusedAndNamesThePeer) {
  std::uint16_t port = 0;
  {
    auto listener = TcpListener::bind(shards_[0], {"127.0.0.1", 0});
    ASSERT_TRUE(listener);
    port = (*listener)->port();
  }
  // The listener's socket closes on its shard.
  on(shards_[0], []() -> asio::awaitable<bool> { co_return true; });
  const auto connection = dial_on(shards_[0], {.transport = TcpConfig{"127.0.0.1", port}});
  ASSERT_FALSE(connection);
  EXPECT_TRUE(connection.error().is(Errc::kRefused));
  EXPECT_THAT(connection.error().message(), HasSubstr("127.0.0.1:" + std::to_string(port)));
}

TEST_F(Net, ANameThatDoesNotExistIsUnreachable) {
  const auto connection = dial_on(shards_[0], {.transport = TcpConfig{"no-such-host.invalid", 3333}});
  ASSERT_FALSE(connection);
  EXPECT_TRUE(connection.error().is(Errc::kUnreachable) || connection.error().is(Errc::kTimedOut))
      << connection.error().message();
  EXPECT_THAT(connection.error().message(), HasSubstr("no-such-host.invalid"));
}

TEST_F(Net, WithoutIrohAnIrohUpstreamSaysSo) {
  const auto connection = dial_on(shards_[0], {.transport = IrohConfig{.endpoint_id = std::string(64, 'a')}});
  ASSERT_FALSE(connection);
  EXPECT_TRUE(connection.error().is(Errc::kUnsupported));
}

TEST_F(Net, APortInUseIsNamed) {
  const auto first = TcpListener::bind(shards_[0], {"127.0.0.1", 0});
  ASSERT_TRUE(first);
  const auto second = TcpListener::bind(shards_[0], {"127.0.0.1", (*first)->port()});
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().is(Errc::kAddressInUse));
  EXPECT_THAT(second.error().message(), HasSubstr("port " + std::to_string((*first)->port()) + " is in use"));
  const auto foreign = TcpListener::bind(shards_[0], {"192.0.2.1", 0});
  ASSERT_FALSE(foreign);
  EXPECT_TRUE(foreign.error().is(Errc::kConfiguration));
}

}  // namespace
}  // namespace adit::net
