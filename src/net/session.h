// From what a carrier hands over to a connection: who is there is proved, by Noise over one stream, by the endpoint certificate
// over lanes (docs/lanes.md §3).
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "base/time.h"
#include "net/connection.h"
#include "net/link.h"
#include "net/shards.h"
#include "noise/certificate.h"
#include "noise/keys.h"
#include "wire/frame.h"

namespace adit::net {

struct SessionOptions {
  Duration deadline = std::chrono::seconds(10);   ///< Over all of the proof: a peer that drips bytes gains nothing.
  std::size_t max_queued_bytes = 1 << 20;         ///< Bound of the send queue, of all lanes together.
  std::uint32_t max_payload = wire::kMaxPayload;  ///< A frame that declares more is a protocol error.
};

/// What a listener proves the authority with. One per shard: not thread-safe.
struct Credentials {
  noise::CertificateSource noise;
  std::optional<noise::EndpointCertificateSource> endpoint{};  ///< Of mining sessions; without it no lanes are served.
};

/// The listener's side. `link` is moved from on success and closed after an error; until then its streams may be closed to end
/// this early.
/// Errors: those of net/handshake.h's respond; kUnsupported (lanes, without an endpoint certificate).
asio::awaitable<Result<std::unique_ptr<NetworkConnection>>> accept_session(Shard& shard, Link& link, Credentials& credentials,
                                                                           SessionOptions options);

/// The dialler's side, as above. `authority`: whose certificate the peer must show; nullopt proves nothing, and the
/// connection's metadata names no authority. Errors: those of initiate; over lanes likewise kHandshake (another authority,
/// endpoint or protocol was signed, too long a validity, or the certificate is outside its time by our clock), kProtocol
/// (something else came first), kTimedOut.
asio::awaitable<Result<std::unique_ptr<NetworkConnection>>> begin_session(Shard& shard, Link& link,
                                                                          std::optional<noise::PublicKey> authority,
                                                                          SessionOptions options);

}  // namespace adit::net
