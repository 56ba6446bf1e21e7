// Holds that a warm connection allocates nothing per batch, coroutine frames included, and waits without system calls. An
// executable of its own, as it counts every allocation of its process and every call that it stands in for.
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <future>
#include <memory>

#include <gtest/gtest.h>

#include "base/allocations_testing.h"
#include "net/dial.h"
#include "net/framed.h"
#include "net/handshake.h"
#include "net/lane_connection.h"
#include "net/tcp.h"
#include "noise/certificate.h"
#include "session/shares.h"
#include "wire/messages.h"

namespace adit::net {
namespace {

using namespace std::chrono_literals;

/// System calls made while allocations are counted.
std::atomic<long> watches_changed = 0;  ///< epoll_ctl.
std::atomic<long> receives = 0;         ///< recv.
std::atomic<long> receives_in_vain = 0;

noise::AuthorityKeyPair authority() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(7);
  return std::move(*noise::AuthorityKeyPair::from_secret(noise::Secret(bytes)));
}

asio::awaitable<void> serve(Shard& shard, std::unique_ptr<ByteStream> stream, noise::CertificateSource& certificates) {
  auto codec = co_await respond(shard, *stream, certificates, {});
  if (!codec) co_return;
  FramedConnection connection(shard, std::move(stream), std::move(*codec), {});
  wire::FrameBuffer out;
  for (;;) {
    const auto batch = co_await connection.receive();
    if (!batch) co_return;
    out.clear();
    for (const auto& frame : *batch) (void)out.push_raw(frame.header, frame.payload);
    connection.send(out);
  }
}

/// Echoes 64 bytes a thousand times after a warm-up of a hundred; how many came back.
asio::awaitable<void> echo(Shard& shard, Peer to, std::promise<int>& done) {
  auto connection = co_await dial(shard, to, wire::Protocol::kMining, {});
  wire::FrameBuffer out;
  const std::vector<std::uint8_t> payload(64);
  (void)out.push_raw({.message_type = 1}, payload);
  int echoed = 0;
  for (int i = 0; connection && i < 1100; ++i) {
    allocations::count_all_threads = i >= 100;
    (*connection)->send(out);
    if (!co_await (*connection)->receive()) break;
    ++echoed;
  }
  allocations::count_all_threads = false;
  done.set_value(echoed);
}

/// A session over lanes: two sockets in place of iroh's streams, which take the same seam.
asio::awaitable<void> echo_over_lanes(Shard& shard, std::uint16_t port, std::deque<std::unique_ptr<ByteStream>>& accepted,
                                      std::promise<int>& done) {
  std::array<std::unique_ptr<ByteStream>, 2> here;
  std::array<std::unique_ptr<ByteStream>, 2> there;
  for (std::size_t i = 0; i < 2; ++i) {
    here[i] = std::move(*co_await dial_tcp(shard, {"127.0.0.1", port}, 5s));
    while (accepted.empty()) co_await sleep_for(1ms);
    there[i] = std::move(accepted.front());
    accepted.pop_front();
  }
  LaneConnection server(shard, std::move(there[0]), std::move(there[1]), wire::Protocol::kMining, {});
  LaneConnection client(shard, std::move(here[0]), std::move(here[1]), wire::Protocol::kMining, {});
  wire::FrameBuffer out, back;
  out.push(wire::SubmitSharesStandard{.channel_id = 1});
  wire::FrameBuffer target;
  target.push(wire::UpdateChannel{.channel_id = 1, .nominal_hash_rate = 1, .maximum_target = {}});
  int echoed = 0;
  for (int i = 0; i < 1100; ++i) {
    allocations::count_all_threads = i >= 100;
    if (i % 10 == 0) client.send(target);  // so that there are marks too
    client.send(out);
    bool came = false;
    while (!came) {
      const auto batch = co_await server.receive();
      if (!batch) break;
      back.clear();
      for (const auto& frame : *batch) {
        if (!frame.is<wire::SubmitSharesStandard>()) continue;
        came = true;
        back.push(wire::SubmitSharesSuccess{.channel_id = 1});
      }
      server.send(back);
    }
    if (!came || !co_await client.receive()) break;
    ++echoed;
  }
  allocations::count_all_threads = false;
  done.set_value(echoed);
}

TEST(Allocations, AWarmSessionOverLanesAllocatesNothingPerBatch) {
  Shards shards(1);
  shards.start();
  std::deque<std::unique_ptr<ByteStream>> accepted;
  auto listener = std::move(*TcpListener::bind(shards[0], {"127.0.0.1", 0}));
  listener->start(shards, [&](Shard&, std::unique_ptr<ByteStream> stream) { accepted.push_back(std::move(stream)); });
  std::promise<int> done;
  allocations::made = 0;
  shards[0].post([&] { shards[0].spawn(echo_over_lanes(shards[0], listener->port(), accepted, done)); });
  EXPECT_EQ(done.get_future().get(), 1100);
  EXPECT_EQ(allocations::made, 0) << allocations::first_of_them();
  listener->stop();
  shards.stop(1s);
}

TEST(Allocations, SharesUnderWayAllocateNothingOnceSoManyWere) {
  session::StratumV2StreamHandler shares;
  std::uint64_t answered = 0;
  const auto round = [&] {
    for (int i = 0; i < 1000; ++i) shares.submit(1, Instant(1h));
    const auto last = shares.submit(1, Instant(1h));
    shares.on_answer(
        wire::SubmitSharesSuccess{.channel_id = 1, .last_sequence_number = last, .new_submits_accepted_count = 1001},
        Instant(2h), [&](const auto&) { ++answered; });
  };
  round();
  allocations::made = 0;
  allocations::count_this_thread = true;
  for (int i = 0; i < 100; ++i) round();
  allocations::count_this_thread = false;
  EXPECT_EQ(allocations::made, 0) << allocations::first_of_them();
  EXPECT_EQ(answered, 101u * 1001u);
}

TEST(Allocations, AWarmConnectionAllocatesNothingPerBatchAndWaitsWithoutSystemCalls) {
  Shards shards(2);
  shards.start();
  noise::CertificateSource certificates(authority(), 3600s, noise::system_random());
  auto listener = std::move(*TcpListener::bind(shards[0], {"127.0.0.1", 0}));
  listener->start(shards, [&](Shard& shard, std::unique_ptr<ByteStream> stream) {
    shard.spawn(serve(shard, std::move(stream), certificates));
  });
  std::promise<int> done;
  allocations::made = 0;
  watches_changed = receives = receives_in_vain = 0;
  shards[1].post([&] {
    shards[1].spawn(
        echo(shards[1], {.transport = TcpConfig{"127.0.0.1", listener->port()}, .authority = authority().public_key()}, done));
  });
  EXPECT_EQ(done.get_future().get(), 1100);
  EXPECT_EQ(allocations::made, 0) << allocations::first_of_them();
  // Of each of the thousand echoes that were counted, the server and the client receive once. The last one's wait may begin
  // after the count, and a frame may come in two pieces now and then.
  EXPECT_EQ(watches_changed, 0);
  EXPECT_GE(receives, 1990);
  EXPECT_LE(receives, 2010);
  EXPECT_EQ(receives_in_vain, 0);
  listener->stop();
  shards.stop(0s);
}

// In place of the C library's.
extern "C" int counted_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) __asm__("epoll_ctl");
extern "C" ssize_t counted_recv(int fd, void* into, std::size_t size, int flags) __asm__("recv");

extern "C" int counted_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  if (allocations::count_all_threads) ++watches_changed;
  return static_cast<int>(::syscall(SYS_epoll_ctl, epoll, operation, fd, event));
}

extern "C" ssize_t counted_recv(int fd, void* into, std::size_t size, int flags) {
  const auto got = ::syscall(SYS_recvfrom, fd, into, size, flags, nullptr, nullptr);
  if (allocations::count_all_threads) ++(got < 0 ? receives_in_vain : receives);
  return got;
}

}  // namespace
}  // namespace adit::net
