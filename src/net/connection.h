// NetworkConnection: the one interface that roles see, whatever carries the frames.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "net/backlog.h"
#include "net/error.h"
#include "net/metadata.h"
#include "wire/frame.h"

namespace adit::net {

namespace asio = boost::asio;

/// The frames of one receive, in the order sent. The views point into the shard's receive buffer: valid until the caller
/// suspends (any co_await) or receives again.
using FrameBatch = std::span<const wire::FrameView>;

/// One peer's connection. Lives on one shard; nothing here may be called from another thread.
class NetworkConnection {
 public:
  virtual ~NetworkConnection() = default;

  /// Waits for at least one whole frame. One receiver at a time.
  /// Errors: kEndOfStream, kReset, kTimedOut, kClosed, kProtocol (broken framing, failed authentication: the connection is
  /// dead), kSlowReader (our send queue reached its bound).
  virtual asio::awaitable<Result<FrameBatch>> receive() = 0;

  /// Seals the whole frames in `frames` and hands them to the carrier in one write; what the carrier does not take now is
  /// queued and sent as it becomes writable. Never waits. When the queue's bound is reached the connection is closed and
  /// receive() returns kSlowReader; frames sent to a closed connection are dropped.
  virtual void send(const wire::FrameBuffer& frames) = 0;

  [[nodiscard]] virtual ConnectionMetadata metadata() const = 0;

  /// ByteStream::figures of what carries it.
  [[nodiscard]] virtual std::optional<CarrierFigures> figures() const { return std::nullopt; }

  /// Bytes accepted by send() that the carrier has not taken yet.
  [[nodiscard]] virtual std::size_t queued_bytes() const = 0;

  /// Counts these bytes in `backlog`, to `source`, until the connection is closed, which `backlog` outlives. Once. If they are
  /// what must go there, the connection is closed and receive() returns kSlowReader.
  virtual void count_in(Backlog& backlog, std::string_view source) = 0;

  /// Flushes what is queued, finishes the stream (over one stream 100 ms later), waits for the peer's end (dropping what it
  /// still sends), closes; after `deadline` closes anyhow. A receive() that is under way returns kEndOfStream or kClosed when
  /// that is done.
  virtual asio::awaitable<void> drain(Duration deadline) = 0;

  /// Ends the connection at once; a pending receive() returns kClosed. Idempotent.
  virtual void close(CloseCode code) = 0;
};

}  // namespace adit::net
