// The transport over real loopback sockets between two that behave.
#include "base/eventually_testing.h"
#include "net/net_testing.h"

namespace adit::net {
namespace {

TEST_F(Net, AFrameGoesThereAndBack) {
  EchoServer server(shards_);
  EXPECT_EQ(healthy(shards_[0], server.url()), "");
  EXPECT_EQ(healthy(shards_[1], server.url()), "");
}

TEST_F(Net, TheMetadataNamesPeerTransportAndAuthority) {
  EchoServer server(shards_);
  auto connection = dial_on(shards_[0], server.url());
  ASSERT_TRUE(connection) << connection.error().message();
  const auto metadata = on(shards_[0], [&]() -> asio::awaitable<ConnectionMetadata> {
    (void)co_await echo(**connection, frame_of(10));
    auto known = (*connection)->metadata();
    connection->reset();
    co_return known;
  });
  EXPECT_EQ(metadata.transport, Transport::kTcp);
  EXPECT_EQ(metadata.peer, "127.0.0.1:" + std::to_string(server.port()));
  EXPECT_EQ(metadata.authority_key, noise::to_text(authority_of(7).public_key()));
  EXPECT_EQ(metadata.bytes_sent, noise::kAct1Size + 22 + 10 + 16);
  EXPECT_EQ(metadata.bytes_received, noise::kAct2Size + 22 + 10 + 16);
  EXPECT_TRUE(metadata.path_rtt.has_value());
}

TEST_F(Net, TheLargestFrameOfTheFormatPassesInPieces) {
  EchoServer server(shards_, {.max_queued_bytes = 64 << 20});
  const auto back = on(shards_[0], [&]() -> asio::awaitable<Result<std::size_t>> {
    auto connection = co_await dial(shards_[0], server.url(), wire::Protocol::kMining, {.max_queued_bytes = 64 << 20});
    if (!connection) co_return fail(connection.error());
    co_return co_await echo(**connection, frame_of(wire::kMaxPayload));
  });
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(*back, wire::kMaxPayload);
}

TEST_F(Net, BytesThatArriveOneByOneMakeTheSameFrames) {
  EchoServer server(shards_, {.handshake = {.deadline = 5s}});
  const auto result = on(shards_[0], [&]() -> asio::awaitable<std::string> {
    auto stream = co_await dial_tcp(shards_[0], {"127.0.0.1", server.port()}, 5s);
    if (!stream) co_return stream.error().message();
    const auto drip = [&](Bytes bytes) -> asio::awaitable<void> {
      for (const auto& byte : bytes) {
        (void)(*stream)->try_write(Bytes(&byte, 1));
        co_await sleep_for(100us);
      }
    };
    noise::Initiator initiator(authority_of(7).public_key(), noise::system_random());
    co_await drip(initiator.act1());
    std::array<std::uint8_t, noise::kAct2Size> act2;
    for (std::size_t got = 0; got < act2.size();) {
      const auto count = (*stream)->try_read(MutableBytes(act2).subspan(got));
      if (count)
        got += *count;
      else
        (void)co_await (*stream)->wait_readable();
    }
    auto session = initiator.read_act2(act2, now_from_system().unix_time, wire::kMaxPayload);
    if (!session) co_return session.error().message();
    wire::ByteBuffer sealed;
    wire::FrameBuffer frames;
    for (std::uint8_t i = 0; i < 3; ++i) frames.append(frame_of(i * 40u, i));
    (void)session->seal(frames, sealed);
    co_await drip(sealed.bytes());

    FramedConnection connection(shards_[0], std::move(*stream), std::make_unique<noise::Session>(std::move(*session)), {});
    std::size_t frames_back = 0;
    while (frames_back < 3) {
      const auto batch = co_await connection.receive();
      if (!batch) co_return batch.error().message();
      frames_back += batch->size();
    }
    co_return "";
  });
  EXPECT_EQ(result, "");
}

TEST_F(Net, AConnectionThatIsCutIsAReset) {
  auto listener = std::move(*TcpListener::bind(shards_[0], {"127.0.0.1", 0}));
  listener->start(shards_, [](Shard& shard, std::unique_ptr<ByteStream> stream) {
    // Closed with bytes that nobody read: the system answers by RST.
    shard.spawn([](std::unique_ptr<ByteStream> held) -> asio::awaitable<void> {
      std::array<std::uint8_t, 1> first;
      while (!held->try_read(first)) {
        if (!co_await held->wait_readable()) co_return;
      }
      held->close(CloseCode::kShutdown);
    }(std::move(stream)));
  });
  const auto ended = on(shards_[1], [&]() -> asio::awaitable<Result<std::size_t>> {
    ADIT_CO_TRY(const auto stream, co_await dial_tcp(shards_[1], {"127.0.0.1", listener->port()}, 5s));
    const std::vector<std::uint8_t> much(4096);
    (void)stream->try_write(much);
    std::array<std::uint8_t, 16> bytes;
    for (;;) {
      auto got = stream->try_read(bytes);
      if (got || !got.error().is(Errc::kWouldBlock)) co_return got;
      ADIT_CO_CHECK(co_await stream->wait_readable());
    }
  });
  ASSERT_FALSE(ended);
  EXPECT_TRUE(ended.error().is(Errc::kReset)) << ended.error().message();
  listener->stop();
}

TEST_F(Net, WhatWasSentBeforeADrainArrives) {
  auto listener = std::move(*TcpListener::bind(shards_[0], {"127.0.0.1", 0}));
  listener->start(shards_, [](Shard& shard, std::unique_ptr<ByteStream> stream) {
    shard.spawn([](Shard& home, std::unique_ptr<ByteStream> held) -> asio::awaitable<void> {
      FramedConnection connection(home, std::move(held), std::make_unique<wire::PlainCodec>(), {.max_queued_bytes = 64 << 20});
      for (int i = 0; i < 8; ++i) connection.send(frame_of(1 << 20));
      co_await connection.drain(10s);
    }(shard, std::move(stream)));
  });
  const auto bytes = on(shards_[1], [&]() -> asio::awaitable<std::size_t> {
    auto stream = co_await dial_tcp(shards_[1], {"127.0.0.1", listener->port()}, 5s);
    if (!stream) co_return 0;
    FramedConnection connection(shards_[1], std::move(*stream), std::make_unique<wire::PlainCodec>(), {});
    // Unread bytes on the other side: its end must not become a reset that destroys what it sent.
    connection.send(frame_of(1000));
    std::size_t got = 0;
    for (;;) {
      const auto batch = co_await connection.receive();
      if (!batch) co_return batch.error().is(Errc::kEndOfStream) ? got : 0;
      for (const auto& frame : *batch) got += frame.payload.size();
    }
  });
  EXPECT_EQ(bytes, 8u << 20);
}

TEST_F(Net, AnAbortUnwindsADrainOfAPeerThatFloods) {
  // More than one read takes: the drain's reads yield to others, which is where the abort meets them.
  std::atomic<bool> drains = false;
  auto listener = std::move(*TcpListener::bind(shards_[0], {"127.0.0.1", 0}));
  listener->start(shards_, [&](Shard& shard, std::unique_ptr<ByteStream> stream) {
    shard.spawn([](Shard& home, std::unique_ptr<ByteStream> held, std::atomic<bool>& began) -> asio::awaitable<void> {
      FramedConnection connection(home, std::move(held), std::make_unique<wire::PlainCodec>(), {});
      began = true;
      co_await connection.drain(1h);
    }(shard, std::move(stream), drains));
  });
  RawPeer flooder(listener->port());
  std::atomic<bool> stop = false;
  std::thread flood([&] {
    const wire::FrameBuffer frames = frame_of(1 << 20);
    while (!stop && flooder.try_write(as_text(frames.bytes()))) {
    }
  });
  ASSERT_TRUE(eventually([&] { return drains.load(); }));
  std::this_thread::sleep_for(50ms);
  listener->stop();
  shards_.stop(0s);
  stop = true;
  flooder.shut_down();
  flood.join();
}

TEST_F(Net, StoppingEndsEveryTask) {
  EchoServer server(shards_);
  RawPeer silent(server.port());
  auto connection = dial_on(shards_[0], server.url());
  ASSERT_TRUE(connection);
  connection->reset();
  server.listener().stop();
  shards_.stop(50ms);
  EXPECT_EQ(shards_[0].tasks() + shards_[1].tasks(), 0u);
  EXPECT_TRUE(silent.is_cut_off());
}

}  // namespace
}  // namespace adit::net
