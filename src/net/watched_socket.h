// Sockets whose readiness a shard watches, so that waiting for one takes no system call.
//
// All sockets of a shard are in one epoll set of the shard's own, and Asio's loop, in whose epoll set that one is, wakes for
// it. Asio's own waits (async_wait) call epoll_ctl each time they begin, because they do not know whether the socket has been
// read to its end. Here the reader says so, arrivals are remembered, and a socket costs epoll_ctl once.
#pragma once

#include <memory>
#include <optional>

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/result.h"
#include "net/error.h"

namespace adit::net {

namespace asio = boost::asio;

/// A connected, non-blocking TCP socket that is watched. It owns its descriptor. It may be used only on the thread that runs
/// the io_context, which outlives it.
///
/// The reader reads only while may_read() holds. It calls read_short() when a read brought less than it had room for, and
/// would_block() when the system said that a read would block. From then on may_read() is false until more has come.
class WatchedSocket {
 public:
  /// Makes what a loop needs to watch sockets, which takes descriptors. It is called when the loop is made, so that no later
  /// lack of descriptors can meet it; otherwise the loop's first socket makes it. Throws boost::system::system_error, as Asio
  /// does, if the system has no descriptor left.
  static void prepare(asio::io_context& context);

  /// Takes `fd` over. The socket is closed from the start if the system has no room to watch one more.
  WatchedSocket(asio::io_context& context, int fd);
  WatchedSocket(const WatchedSocket&) = delete;
  WatchedSocket& operator=(const WatchedSocket&) = delete;
  // NOLINTNEXTLINE(bugprone-exception-escape): only memory running out
  ~WatchedSocket() { close(); }

  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  /// The descriptor, -1 after close().
  [[nodiscard]] int fd() const { return fd_; }

  /// Whether a read may bring something: bytes, the end or an error.
  [[nodiscard]] bool may_read() const { return may_read_; }
  void read_short() { may_read_ = read_to_the_end_; }
  void would_block() { may_read_ = false; }

  /// These three are as ByteStream's functions of these names, and need an open socket.
  asio::awaitable<Result<void>> wait_readable();
  asio::awaitable<Result<void>> wait_writable();
  bool wake_when_readable(const std::shared_ptr<asio::steady_timer>& woken);

  /// Closes the descriptor and wakes who waits, with kClosed. Idempotent.
  void close();

 private:
  class EpollSet;
  using Token = asio::use_awaitable_t<>;
  using Signature = void(Result<void>);
  using Waiter = asio::async_result<Token, Signature>::handler_type;

  EpollSet& set_;
  int fd_;                                     ///< -1: closed.
  bool may_read_ = false;                      ///< More has come since the last read that emptied the socket.
  bool read_to_the_end_ = false;               ///< A short read does not mean that the next would block.
  bool watches_writing_ = false;               ///< Room for more is watched too.
  std::optional<Waiter> reader_;               ///< Who is in wait_readable().
  std::optional<Waiter> writer_;               ///< Who is in wait_writable().
  std::shared_ptr<asio::steady_timer> woken_;  ///< What wake_when_readable() was given, until it is cancelled.
  WatchedSocket* next_ = nullptr;              ///< In the set's list.
  WatchedSocket* previous_ = nullptr;
};

}  // namespace adit::net
