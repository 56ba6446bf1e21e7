// The seam to iroh: what src/net/iroh's IrohNodeManager implements, so that nothing else in src/net knows whether it is built.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "base/time.h"
#include "net/admission.h"
#include "net/byte_stream.h"
#include "net/shards.h"
#include "net/transport_config.h"

namespace adit::net {

/// The process's iroh endpoint. Outlives every stream it gave out.
class IrohCarrier {
 public:
  virtual ~IrohCarrier() = default;

  /// Opens one connection with one bi stream to `to`; the stream lives on `shard`, on whose thread this must be called.
  /// Errors: kTimedOut after `deadline`; kUnreachable (the message names relay and address settings); kRefused; kReset;
  /// kUnsupported.
  virtual asio::awaitable<Result<std::unique_ptr<ByteStream>>> dial(Shard& shard, const IrohConfig& to, Duration deadline) = 0;

  /// What to do with an accepted stream. Called on the thread of `shard`, where the stream will live. `place` is its
  /// connection's, still that of a handshake: to be kept as long as the connection.
  using OnStream = std::function<void(Shard& shard, std::unique_ptr<ByteStream> stream, Admission::Token place)>;

  /// Accepts connections that ask for one of `alpns` (most wanted first), spread over all shards, and hands over each one's
  /// first bi stream. Whom `admission` has no place for is refused at its first packet. Once per process. Any thread.
  virtual Result<void> listen(std::vector<std::string> alpns, Admission admission, OnStream on_stream) = 0;

  /// No more calls of on_stream begin after it returned. Streams that were handed over live on. Any thread; idempotent.
  virtual void stop_listening() = 0;

  /// Since the start.
  struct Counts {
    std::uint64_t refused = 0;       ///< Attempts turned away at their first packet, or once their id was proved.
    std::uint64_t validated = 0;     ///< Attempts that first had to prove their address.
    std::uint64_t path_changes = 0;  ///< Of all connections, dialled and accepted: ConnectionMetadata::path_changes.
    std::uint64_t rebuilds = 0;      ///< Times that the endpoint was built anew, because it had lost its relays.
    std::size_t direct = 0;          ///< Live connections whose data goes directly, now.
  };
  /// Any thread.
  [[nodiscard]] virtual Counts counts() const = 0;

  /// 64 lower-case hex digits.
  [[nodiscard]] virtual std::string endpoint_id() const = 0;

  /// "ip:port" that peers on this machine or network can dial.
  [[nodiscard]] virtual std::vector<std::string> local_addresses() const = 0;

  /// The relay under which peers find this endpoint; empty: none.
  [[nodiscard]] virtual std::string home_relay() const = 0;
};

}  // namespace adit::net
