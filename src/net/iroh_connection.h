// A session over iroh and its two halves: for code that reads in one place and writes in another. Lanes where both sides have
// them, else one stream: the halves look the same. It is here for programs that use the library; no role of ours needs it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "base/time.h"
#include "net/carrier.h"
#include "net/connection.h"
#include "net/establish.h"
#include "session/protocols.h"

namespace adit::net {

/// A frame and the lane of its session that it belongs to (docs/lanes.md §4), also where one stream carries both.
struct LaneFrame {
  session::Lane lane = session::Lane::kControl;
  wire::FrameView frame;
};

/// Reads a session's frames, the lanes merged into the order in which they are to be handled. As NetworkConnection, one
/// shard's.
class IrohReadHalf {
 public:
  /// At least one frame, valid until the caller suspends or reads again. One reader at a time. Errors: those of
  /// NetworkConnection::receive.
  asio::awaitable<Result<std::span<const LaneFrame>>> read();

 private:
  friend class IrohConnection;
  explicit IrohReadHalf(std::shared_ptr<NetworkConnection> connection) : connection_(std::move(connection)) {}

  std::shared_ptr<NetworkConnection> connection_;
  std::vector<LaneFrame> frames_;
};

/// Writes a session's frames, each to its lane. As NetworkConnection, one shard's.
class IrohWriteHalf {
 public:
  /// As NetworkConnection::send.
  void write(const wire::FrameBuffer& frames) { connection_->send(frames); }
  [[nodiscard]] std::size_t queued_bytes() const { return connection_->queued_bytes(); }
  /// As NetworkConnection: both end the session, the other half included.
  asio::awaitable<void> drain(Duration deadline) { return connection_->drain(deadline); }
  void close(CloseCode code) { connection_->close(code); }

 private:
  friend class IrohConnection;
  explicit IrohWriteHalf(std::shared_ptr<NetworkConnection> connection) : connection_(std::move(connection)) {}

  std::shared_ptr<NetworkConnection> connection_;
};

/// A session that has proved who is there. Ends when it and its halves are gone.
class IrohConnection {
 public:
  /// A session of `protocol` with `to`, on a connection that is there already if `shard` has one. Errors: those of
  /// IrohCarrier::dial within `deadline`, then of begin_session.
  static asio::awaitable<Result<IrohConnection>> connect(IrohCarrier& iroh, Shard& shard, IrohConfig to,
                                                         wire::Protocol protocol, std::optional<noise::PublicKey> authority,
                                                         Duration deadline, SessionOptions options);

  /// What IrohCarrier::listen handed over. Errors: those of accept_session.
  static asio::awaitable<Result<IrohConnection>> accept(Shard& shard, Link link, Credentials& credentials,
                                                        SessionOptions options);

  [[nodiscard]] ConnectionMetadata metadata() const { return connection_->metadata(); }

  /// Both ends of it that are ours; either may outlive this object and the other.
  [[nodiscard]] std::pair<IrohReadHalf, IrohWriteHalf> split() const {
    return {IrohReadHalf(connection_), IrohWriteHalf(connection_)};
  }

 private:
  explicit IrohConnection(std::unique_ptr<NetworkConnection> connection) : connection_(std::move(connection)) {}

  std::shared_ptr<NetworkConnection> connection_;
};

}  // namespace adit::net
