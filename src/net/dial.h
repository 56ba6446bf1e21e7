// Dialling a peer: the carrier, then the proof of who is there (net/session.h), then frames.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "base/time.h"
#include "net/carrier.h"
#include "net/connection.h"
#include "net/shards.h"
#include "net/transport_config.h"
#include "wire/common_messages.h"

namespace adit::net {

struct DialOptions {
  std::string name{};                                      ///< What messages call the peer: its URL.
  Duration connect_deadline = std::chrono::seconds(5);     ///< DNS and TCP, or iroh's connect and streams.
  Duration handshake_deadline = std::chrono::seconds(10);  ///< Noise or the endpoint certificate, all of it.
  Duration silent_host = std::chrono::seconds(10);  ///< Of TCP: a peer's host silent for so long is gone. iroh has its own.
  std::size_t max_queued_bytes = 1 << 20;           ///< Bound of the send queue.
  std::uint32_t max_payload = wire::kMaxPayload;    ///< A frame that declares more is a protocol error.
  IrohCarrier* iroh = nullptr;                      ///< Null: an iroh upstream fails with kUnsupported.
};

/// Connects to a Stratum V2 peer for a session of `protocol`. The connection lives on `shard`, on whose thread this must run.
///
/// With an authority key in `to` the peer's certificate must be signed by it; without one the handshake encrypts but proves
/// nothing (SV2 04 §4.5), which the connection's metadata says by an empty authority_key.
/// Errors: kRefused, kUnreachable, kTimedOut, kReset, kOverloaded, kConfiguration, kUnsupported; kHandshake (wrong authority,
/// or the certificate is outside its time by our clock: says by how many seconds); kProtocol (that is no Stratum V2 peer). Each
/// message begins with the peer's name.
asio::awaitable<Result<std::unique_ptr<NetworkConnection>>> dial(Shard& shard, Peer to, wire::Protocol protocol,
                                                                 DialOptions options);

}  // namespace adit::net
