// The seam between carriers (TCP, iroh) and everything above: an ordered byte stream with readiness, like a non-blocking
// socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/bytes.h"
#include "base/result.h"
#include "net/error.h"
#include "net/metadata.h"

namespace adit::net {

namespace asio = boost::asio;

/// One stream of one carrier. Lives its whole life on one shard; nothing here may be called from another thread.
///
/// The try_ calls never wait and never allocate; they return Errc::kWouldBlock when nothing can move now. After any other
/// error the stream is dead and every later call returns the same error.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// Fills the front of `into` (not empty). Returns the number of bytes, at least 1.
  /// Errors: kWouldBlock; kEndOfStream (the peer finished cleanly); kReset, kTimedOut, kClosed (with the peer's code and reason
  /// in the message where the carrier has them).
  virtual Result<std::size_t> try_read(MutableBytes into) = 0;

  /// False if try_read would surely return kWouldBlock, as far as is known without asking the system. Not after close().
  [[nodiscard]] virtual bool may_read() const { return true; }

  /// Takes a prefix of `from` (not empty). Returns how many bytes were taken, at least 1. Errors as try_read.
  virtual Result<std::size_t> try_write(Bytes from) = 0;

  /// Returns when try_read is worth calling (bytes, end or error). To be called only after try_read returned kWouldBlock, or
  /// while may_read() is false.
  /// Cancelled by close() (then kClosed) or by Asio's cancellation (then kClosed too; the stream lives on).
  virtual asio::awaitable<Result<void>> wait_readable() = 0;

  /// Returns when try_write is worth calling; as wait_readable. At most one waiter each for reading and for writing.
  virtual asio::awaitable<Result<void>> wait_writable() = 0;

  /// For who waits for several streams at once: `woken` is cancelled when try_read is worth calling. False: it is now. To be
  /// called only after try_read returned kWouldBlock; one timer at a time, asked for anew after each wake; allocates nothing.
  virtual bool wake_when_readable(const std::shared_ptr<asio::steady_timer>& woken) = 0;

  /// No more bytes will be written; what was taken is still delivered.
  virtual void finish() = 0;

  /// Ends both directions at once and wakes the waiters. Idempotent. `code` reaches the peer where the carrier can carry it.
  virtual void close(CloseCode code) = 0;

  /// Who is at the other end and how the bytes travel, as known now.
  [[nodiscard]] virtual ConnectionMetadata metadata() const = 0;

  /// What the carrier counts, cheaper than all of metadata(): to be asked for often.
  [[nodiscard]] virtual std::optional<CarrierFigures> figures() const { return std::nullopt; }
};

}  // namespace adit::net
