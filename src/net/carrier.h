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
#include "net/link.h"
#include "net/shards.h"
#include "net/transport_config.h"

namespace adit::net {

/// The process's iroh endpoint. Outlives every stream it gave out.
class IrohCarrier {
 public:
  virtual ~IrohCarrier() = default;

  /// A session of `protocol` with `to`: over lanes where both sides have them (on a connection that is there already, if this
  /// shard has one), else one bi stream of a connection of its own. It lives on `shard`, on whose thread this must be called.
  /// Errors: kTimedOut after `deadline`; kUnreachable (the message names relay and address settings); kRefused; kReset;
  /// kEndOfStream (it is shutting down); kDenied (the peer has none of the protocols, or lets this id not in); kUnsupported.
  virtual asio::awaitable<Result<Link>> dial(Shard& shard, IrohConfig to, wire::Protocol protocol, Duration deadline) = 0;

  /// A session's place in the Admission, still that of a handshake: to be kept as long as the session. A connection of lanes
  /// shares one of its sessions' as long as it lives.
  using Place = std::shared_ptr<Admission::Token>;

  /// What to do with an accepted session. Called on the thread of `shard`, where it will live.
  using OnLink = std::function<void(Shard& shard, Link link, Place place)>;

  /// Accepts connections that ask for one of `alpns` (most wanted first), spread over all shards, and hands over each one's
  /// first bi stream, or, over lanes, its sessions as they begin. Whom `admission` has no place for is refused at its first
  /// packet. Once per process. Any thread.
  virtual Result<void> listen(std::vector<std::string> alpns, Admission admission, OnLink on_link) = 0;

  /// No more calls of on_link begin after it returned. Sessions that were handed over live on. Any thread; idempotent.
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
