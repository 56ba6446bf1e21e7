// The watch of sockets over real TCP, a step of the loop at a time.
#include "net/watched_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>

#include "base/no_descriptors_testing.h"
#include "net/tcp.h"

namespace adit::net {
namespace {

using namespace std::chrono_literals;

/// One end of a connection for the test: a plain blocking socket.
class FarEnd {
 public:
  explicit FarEnd(int fd) : fd_(fd) {
    timeval limit{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  FarEnd(FarEnd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FarEnd& operator=(FarEnd&& other) noexcept {
    leave();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~FarEnd() { leave(); }

  void write(std::string_view text, int flags = 0) {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), flags | MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  std::size_t read(std::size_t size) {
    std::vector<char> bytes(size);
    const auto got = ::recv(fd_, bytes.data(), size, MSG_WAITALL);
    return got < 0 ? 0 : static_cast<std::size_t>(got);
  }
  void finish() { ::shutdown(fd_, SHUT_WR); }
  void leave() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    leave();
  }

 private:
  int fd_;
};

/// Two ends of a TCP connection over loopback; the first does not block.
std::pair<int, FarEnd> connected() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  EXPECT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&at), size), 0);
  EXPECT_EQ(::listen(listener, 1), 0);
  EXPECT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size), 0);
  const int there = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::connect(there, reinterpret_cast<const sockaddr*>(&at), size), 0);
  const int here = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  EXPECT_GE(here, 0);
  ::close(listener);
  return {here, FarEnd(there)};
}

/// What a wait gave: nothing yet, "" when it was worth it, else why not.
using Outcome = std::shared_ptr<std::optional<std::string>>;

class WatchedSocketTest : public testing::Test {
 protected:
  std::unique_ptr<WatchedSocket> watched(FarEnd& peer) {
    auto [here, there] = connected();
    peer = std::move(there);
    return std::make_unique<WatchedSocket>(*context_, here);
  }

  /// Runs `wait` as a coroutine; `then` follows in the same coroutine, before anything else of the loop.
  Outcome begin(asio::awaitable<Result<void>> wait, std::function<void()> then = {}) {
    auto outcome = std::make_shared<std::optional<std::string>>();
    asio::co_spawn(*context_, run(std::move(wait), outcome, std::move(then)),
                   asio::bind_cancellation_slot(signals_.emplace_back().slot(), [](const std::exception_ptr&) {}));
    context_->restart();
    context_->poll();
    return outcome;
  }

  /// Runs the loop until `outcome` is there, at most 20 s. Loopback delivers at once, but this machine may be busy.
  static bool comes(asio::io_context& context, const Outcome& outcome) {
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (!*outcome && std::chrono::steady_clock::now() < until) {
      context.restart();
      context.run_for(1ms);
    }
    return outcome->has_value();
  }
  bool comes(const Outcome& outcome) { return comes(*context_, outcome); }

  /// Lets what is on its way arrive, which over loopback it has when send() returns.
  void turn() {
    context_->restart();
    context_->poll();
  }

  static std::string read(WatchedSocket& socket, std::size_t room) {
    std::string bytes(room, '\0');
    const auto got = ::recv(socket.fd(), bytes.data(), room, 0);
    if (got < 0) {
      EXPECT_TRUE(errno == EAGAIN || errno == EWOULDBLOCK) << std::generic_category().message(errno);
      socket.would_block();
      return "nothing";
    }
    if (static_cast<std::size_t>(got) < room) socket.read_short();
    bytes.resize(static_cast<std::size_t>(got));
    return got == 0 ? "the end" : bytes;
  }

  static std::size_t fill(WatchedSocket& socket) {
    const std::vector<char> much(1 << 16);
    std::size_t taken = 0;
    for (;;) {
      const auto count = ::send(socket.fd(), much.data(), much.size(), MSG_NOSIGNAL);
      if (count < 0) return taken;
      taken += static_cast<std::size_t>(count);
    }
  }

  std::deque<asio::cancellation_signal> signals_;  ///< Of each begin(), for longer than the loop.
  std::unique_ptr<asio::io_context> context_ = std::make_unique<asio::io_context>(1);
  /// A loop without work looks for no events.
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_{context_->get_executor()};
  FarEnd peer_{-1};

 private:
  static asio::awaitable<void> run(asio::awaitable<Result<void>> wait, Outcome outcome, std::function<void()> then) {
    const auto result = co_await std::move(wait);
    *outcome = result ? "" : std::string(result.error().name());
    if (then) then();
  }
};

TEST_F(WatchedSocketTest, BytesThatCameBeforeTheWatchAreReported) {
  auto [here, there] = connected();
  there.write("early");
  WatchedSocket socket(*context_, here);
  const auto outcome = begin(socket.wait_readable());
  ASSERT_TRUE(comes(outcome));
  EXPECT_EQ(**outcome, "");
  EXPECT_EQ(read(socket, 100), "early");
  EXPECT_FALSE(socket.may_read());
}

TEST_F(WatchedSocketTest, AWaitLastsUntilSomethingComes) {
  const auto socket = watched(peer_);
  EXPECT_FALSE(socket->may_read());
  const auto outcome = begin(socket->wait_readable());
  turn();
  EXPECT_FALSE(outcome->has_value());
  peer_.write("late");
  ASSERT_TRUE(comes(outcome));
  EXPECT_EQ(read(*socket, 100), "late");
}

TEST_F(WatchedSocketTest, BytesBetweenAShortReadAndTheWaitAreNotLost) {
  const auto socket = watched(peer_);
  for (const bool loop_runs_between : {false, true}) {
    peer_.write("first");
    ASSERT_TRUE(comes(begin(socket->wait_readable())));
    ASSERT_EQ(read(*socket, 100), "first");
    ASSERT_FALSE(socket->may_read());
    peer_.write("second");
    if (loop_runs_between) {
      turn();
      EXPECT_TRUE(socket->may_read());
      std::shared_ptr<asio::steady_timer> woken;
      EXPECT_FALSE(socket->wake_when_readable(woken)) << "it is worth reading now";
    }
    ASSERT_TRUE(comes(begin(socket->wait_readable())));
    EXPECT_EQ(read(*socket, 100), "second");
  }
}

TEST_F(WatchedSocketTest, AReadThatFilledItsRoomIsFollowedByAnother) {
  const auto socket = watched(peer_);
  peer_.write("123456");
  ASSERT_TRUE(comes(begin(socket->wait_readable())));
  EXPECT_EQ(read(*socket, 3), "123");
  EXPECT_TRUE(socket->may_read());
  EXPECT_EQ(read(*socket, 3), "456");
  EXPECT_TRUE(socket->may_read());
  EXPECT_EQ(read(*socket, 3), "nothing");
  EXPECT_FALSE(socket->may_read());
  const auto outcome = begin(socket->wait_readable());
  EXPECT_FALSE(outcome->has_value());
  peer_.write("7");
  EXPECT_TRUE(comes(outcome));
}

TEST_F(WatchedSocketTest, AnEndThatCameWithTheBytesIsReadBehindThem) {
  const auto socket = watched(peer_);
  peer_.write("last words");
  peer_.finish();
  ASSERT_TRUE(comes(begin(socket->wait_readable())));
  // Both came as one event or as two: the end is reported once, and not again.
  turn();
  EXPECT_EQ(read(*socket, 100), "last words");
  ASSERT_TRUE(socket->may_read());
  EXPECT_EQ(read(*socket, 100), "the end");
  EXPECT_TRUE(socket->may_read());
}

TEST_F(WatchedSocketTest, AHalfCloseEndsTheWaitAndTheOtherHalfGoesOn) {
  const auto socket = watched(peer_);
  const auto outcome = begin(socket->wait_readable());
  peer_.finish();
  ASSERT_TRUE(comes(outcome));
  EXPECT_EQ(**outcome, "");
  EXPECT_EQ(read(*socket, 100), "the end");
  ASSERT_EQ(::send(socket->fd(), "back", 4, MSG_NOSIGNAL), 4);
  EXPECT_EQ(peer_.read(4), 4u);
  const auto filled = fill(*socket);
  const auto room = begin(socket->wait_writable());
  EXPECT_FALSE(room->has_value());
  EXPECT_EQ(peer_.read(filled), filled);
  EXPECT_TRUE(comes(room));
}

TEST_F(WatchedSocketTest, AResetEndsBothWaits) {
  const auto socket = watched(peer_);
  (void)fill(*socket);
  const auto readable = begin(socket->wait_readable());
  const auto writable = begin(socket->wait_writable());
  peer_.reset();
  ASSERT_TRUE(comes(readable));
  ASSERT_TRUE(comes(writable));
  EXPECT_EQ(**readable, "") << "the read tells why";
  EXPECT_EQ(**writable, "");
  char byte = 0;
  EXPECT_EQ(::recv(socket->fd(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST_F(WatchedSocketTest, AStreamReadsItsLastBytesThenTheEnd) {
  auto [here, there] = connected();
  const auto stream = TcpStream::over(*context_, here, 30s);
  ASSERT_TRUE(stream);
  EXPECT_FALSE(stream->may_read());
  const auto outcome = begin(stream->wait_readable());
  there.write("bye");
  there.finish();
  ASSERT_TRUE(comes(outcome));
  turn();
  std::array<std::uint8_t, 100> room;
  const auto bytes = stream->try_read(room);
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, 3u);
  ASSERT_TRUE(stream->may_read());
  for (int i = 0; i < 2; ++i) {
    const auto end = stream->try_read(room);
    ASSERT_FALSE(end);
    EXPECT_TRUE(end.error().is(Errc::kEndOfStream)) << end.error().message();
    EXPECT_TRUE(stream->may_read()) << "the same error again is no wait";
  }
}

TEST_F(WatchedSocketTest, UrgentDataHidesNoBytes) {
  auto [here, there] = connected();
  const auto stream = TcpStream::over(*context_, here, 30s);
  ASSERT_TRUE(stream);
  const auto outcome = begin(stream->wait_readable());
  there.write("ab");
  there.write("!", MSG_OOB);
  there.write("cd");
  ASSERT_TRUE(comes(outcome));
  // A read stops before the urgent byte, which is not part of the stream: it is short, and more is behind it.
  std::size_t got = 0;
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (got < 4 && std::chrono::steady_clock::now() < until) {
    std::array<std::uint8_t, 100> room;
    const auto bytes = stream->try_read(room);
    if (bytes) {
      got += *bytes;
    } else {
      ASSERT_TRUE(bytes.error().is(Errc::kWouldBlock)) << bytes.error().message();
      if (!comes(begin(stream->wait_readable()))) break;
    }
  }
  EXPECT_EQ(got, 4u);
}

TEST_F(WatchedSocketTest, RoomForMoreIsReportedAsOftenAsItIsWaitedFor) {
  const auto socket = watched(peer_);
  for (int round = 0; round < 3; ++round) {
    const auto filled = fill(*socket);
    ASSERT_GT(filled, 0u);
    const auto outcome = begin(socket->wait_writable());
    turn();
    EXPECT_FALSE(outcome->has_value()) << "round " << round;
    EXPECT_EQ(peer_.read(filled), filled);
    ASSERT_TRUE(comes(outcome)) << "round " << round;
    EXPECT_EQ(**outcome, "");
    // Bytes that come now are an event while nobody waits for room, after which room is no longer watched; or not, every other
    // round.
    if (round % 2 == 0) {
      peer_.write("x");
      ASSERT_TRUE(comes(begin(socket->wait_readable())));
      EXPECT_EQ(read(*socket, 100), "x");
    }
  }
}

TEST_F(WatchedSocketTest, AWaitForRoomThatIsThereEndsAtOnce) {
  const auto socket = watched(peer_);
  for (int round = 0; round < 3; ++round) {
    const auto filled = fill(*socket);
    EXPECT_EQ(peer_.read(filled), filled);
    if (round == 1) turn();
    ASSERT_TRUE(comes(begin(socket->wait_writable()))) << "round " << round;
  }
}

TEST_F(WatchedSocketTest, ATimerIsCancelledWhenBytesCome) {
  const auto socket = watched(peer_);
  for (int round = 0; round < 2; ++round) {
    const auto woken = std::make_shared<asio::steady_timer>(*context_, asio::steady_timer::time_point::max());
    auto outcome = std::make_shared<std::optional<std::string>>();
    woken->async_wait([outcome](const boost::system::error_code&) { *outcome = "woken"; });
    ASSERT_TRUE(socket->wake_when_readable(woken));
    turn();
    EXPECT_FALSE(outcome->has_value());
    if (round == 0) {
      peer_.write("x");
    } else {
      socket->close();
    }
    EXPECT_TRUE(comes(outcome));
    if (round == 0) EXPECT_EQ(read(*socket, 100), "x");
  }
}

TEST_F(WatchedSocketTest, ClosingEndsBothWaitsAndIsIdempotent) {
  const auto socket = watched(peer_);
  (void)fill(*socket);
  const auto readable = begin(socket->wait_readable());
  const auto writable = begin(socket->wait_writable());
  socket->close();
  socket->close();
  EXPECT_FALSE(socket->is_open());
  EXPECT_FALSE(readable->has_value()) << "resumed from the loop, not from within close()";
  ASSERT_TRUE(comes(readable));
  ASSERT_TRUE(comes(writable));
  EXPECT_EQ(**readable, error_name(Errc::kClosed));
  EXPECT_EQ(**writable, error_name(Errc::kClosed));
}

TEST_F(WatchedSocketTest, AnEventOfASocketThatIsGoneIsDropped) {
  // All have bytes when the loop turns, so their events are fetched together; who is resumed first destroys all the others.
  constexpr std::size_t kSockets = 8;
  std::vector<FarEnd> peers;
  std::vector<std::unique_ptr<WatchedSocket>> sockets;
  std::vector<Outcome> outcomes;
  for (std::size_t i = 0; i < kSockets; ++i) {
    auto [here, there] = connected();
    sockets.push_back(std::make_unique<WatchedSocket>(*context_, here));
    peers.push_back(std::move(there));
  }
  for (std::size_t i = 0; i < kSockets; ++i) {
    outcomes.push_back(begin(sockets[i]->wait_readable(), [&sockets, i] {
      for (std::size_t other = 0; other < sockets.size(); ++other) {
        if (other != i) sockets[other].reset();
      }
    }));
  }
  for (auto& peer : peers) peer.write("x");
  std::size_t first = 0, closed = 0;
  for (const auto& outcome : outcomes) {
    ASSERT_TRUE(comes(outcome));
    (**outcome == "" ? first : closed) += 1;
  }
  EXPECT_EQ(first, 1u);
  EXPECT_EQ(closed, kSockets - 1);
}

TEST_F(WatchedSocketTest, AWriterMayDestroyTheSocketWhoseEventItIsResumedFor) {
  auto socket = watched(peer_);
  const auto filled = fill(*socket);
  const auto readable = begin(socket->wait_readable());
  const auto writable = begin(socket->wait_writable(), [&socket] { socket.reset(); });
  peer_.write("x");
  EXPECT_EQ(peer_.read(filled), filled);  // Bytes and room: one event for both waits, and the writer is resumed first.
  ASSERT_TRUE(comes(writable));
  EXPECT_EQ(**writable, "");
  ASSERT_TRUE(comes(readable));
}

TEST_F(WatchedSocketTest, ASocketMadeInPlaceOfOneThatIsGoneHasItsOwnEvents) {
  // The new one may be where the old one was, and have its descriptor's number.
  auto first = watched(peer_);
  FarEnd second_peer(-1);
  auto second = watched(second_peer);
  FarEnd third_peer(-1);
  std::unique_ptr<WatchedSocket> third;
  const auto one = begin(first->wait_readable(), [&] {
    second.reset();
    third = watched(third_peer);
  });
  const auto other = begin(second->wait_readable(), [&] {
    if (first) first.reset();
    third = watched(third_peer);
  });
  peer_.write("x");
  second_peer.write("x");
  ASSERT_TRUE(comes(one));
  ASSERT_TRUE(comes(other));
  ASSERT_TRUE(third);
  turn();
  EXPECT_FALSE(third->may_read());
  third_peer.write("mine");
  ASSERT_TRUE(comes(begin(third->wait_readable())));
  EXPECT_EQ(read(*third, 100), "mine");
}

TEST_F(WatchedSocketTest, ACancelledWaitLeavesTheSocketAsItWas) {
  const auto socket = watched(peer_);
  const auto outcome = begin(socket->wait_readable());
  signals_.back().emit(asio::cancellation_type::terminal);
  signals_.back().emit(asio::cancellation_type::terminal);
  ASSERT_TRUE(comes(outcome));
  EXPECT_EQ(**outcome, error_name(Errc::kClosed));
  EXPECT_TRUE(socket->is_open());
  peer_.write("still there");
  ASSERT_TRUE(comes(begin(socket->wait_readable())));
  EXPECT_EQ(read(*socket, 100), "still there");
}

TEST_F(WatchedSocketTest, ACancellationAfterTheSocketIsGoneTouchesNothing) {
  auto socket = watched(peer_);
  const auto closed = begin(socket->wait_readable());
  socket.reset();
  signals_.back().emit(asio::cancellation_type::terminal);
  ASSERT_TRUE(comes(closed));

  socket = watched(peer_);
  const auto cancelled = begin(socket->wait_readable());
  signals_.back().emit(asio::cancellation_type::terminal);
  socket.reset();
  signals_.back().emit(asio::cancellation_type::terminal);
  ASSERT_TRUE(comes(cancelled));
  EXPECT_EQ(**cancelled, error_name(Errc::kClosed));
}

TEST_F(WatchedSocketTest, MoreSocketsThanOneLookTakesAreAllReported) {
  constexpr std::size_t kSockets = 400;
  std::vector<FarEnd> peers;
  std::vector<std::unique_ptr<WatchedSocket>> sockets;
  std::vector<Outcome> outcomes;
  for (std::size_t i = 0; i < kSockets; ++i) {
    auto [here, there] = connected();
    sockets.push_back(std::make_unique<WatchedSocket>(*context_, here));
    outcomes.push_back(begin(sockets.back()->wait_readable()));
    peers.push_back(std::move(there));
  }
  for (int round = 0; round < 3; ++round) {
    for (auto& peer : peers) peer.write("x");
    for (std::size_t i = 0; i < kSockets; ++i) {
      ASSERT_TRUE(comes(outcomes[i])) << "socket " << i << " round " << round;
      ASSERT_EQ(read(*sockets[i], 100), "x");
      outcomes[i] = begin(sockets[i]->wait_readable());
    }
  }
  for (const auto& outcome : outcomes) EXPECT_FALSE(outcome->has_value());
}

TEST_F(WatchedSocketTest, ALoopThatEndsDestroysWhoStillWaits) {
  std::weak_ptr<int> held;
  {
    auto [here, there] = connected();
    const auto token = std::make_shared<int>(0);
    held = token;
    asio::co_spawn(
        *context_,
        [](asio::io_context& context, int fd, std::shared_ptr<int>) -> asio::awaitable<void> {
          WatchedSocket socket(context, fd);
          (void)co_await socket.wait_readable();
          ADD_FAILURE() << "resumed";
        }(*context_, here, token),
        [](const std::exception_ptr&) {});
    turn();
    // With an event that nobody has looked at.
    there.write("x");
  }
  EXPECT_FALSE(held.expired());
  work_.reset();
  context_.reset();
  EXPECT_TRUE(held.expired());
}

TEST_F(WatchedSocketTest, ALoopThatIsPreparedNeedsNoDescriptorToWatch) {
  ADIT_TAKES_EVERY_DESCRIPTOR();
  WatchedSocket::prepare(*context_);
  auto [here, there] = connected();
  asio::io_context late(1);
  const asio::steady_timer of_late(late);  // It makes what Asio itself needs.
  std::optional<FewDescriptors> none(std::in_place);
  std::optional<WatchedSocket> socket(std::in_place, *context_, here);
  const auto outcome = begin(socket->wait_readable());
  there.write("x");
  const bool came = comes(outcome);
  bool refused = false;
  try {
    WatchedSocket::prepare(late);
  } catch (const boost::system::system_error& error) {
    refused = error.code() == boost::system::errc::too_many_files_open;
  }
  none.reset();
  EXPECT_TRUE(came);
  EXPECT_TRUE(refused);

  // What failed once is made when there is room.
  WatchedSocket::prepare(late);
  auto [later, other] = connected();
  WatchedSocket another(late, later);
  EXPECT_TRUE(another.is_open());
}

TEST_F(WatchedSocketTest, WhatCannotBeWatchedIsClosedFromTheStart) {
  const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);  // No file of a disk can be watched.
  ASSERT_GE(file, 0);
  WatchedSocket socket(*context_, file);
  EXPECT_FALSE(socket.is_open());
  EXPECT_EQ(::fcntl(file, F_GETFD), -1) << "its descriptor is closed";
  const int another = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(TcpStream::over(*context_, another, 30s), nullptr);
}

}  // namespace
}  // namespace adit::net
