// From what a carrier hands over to a connection: who is there is proved, by Noise over one stream, by the endpoint certificate
// over lanes (docs/lanes.md §3).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <vector>

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
  std::vector<std::uint8_t>* sv1 = nullptr;       ///< See HandshakeOptions.
};

/// What a listener proves its authority with. One per shard: not thread-safe.
class Credentials {
 public:
  /// `secret`: the authority's, from which AuthorityKeyPair::from_secret must make a pair. `endpoint_id`: of the iroh endpoint
  /// that lanes are served on, if any, for sessions of `protocols`.
  Credentials(const noise::Secret& secret, std::chrono::seconds validity,
              std::optional<std::array<std::uint8_t, 32>> endpoint_id,
              std::vector<wire::Protocol> protocols = {wire::Protocol::kMining});

  [[nodiscard]] noise::CertificateSource& noise() { return noise_; }
  /// The endpoint certificate for sessions of `protocol` over lanes; null if those are not served.
  [[nodiscard]] const noise::EndpointCertificate* endpoint(wire::Protocol protocol, UnixTime now);

 private:
  noise::AuthorityKeyPair authority_;
  std::chrono::seconds validity_;
  std::optional<std::array<std::uint8_t, 32>> endpoint_id_;
  std::vector<wire::Protocol> protocols_;
  noise::CertificateSource noise_;
  std::map<wire::Protocol, noise::EndpointCertificateSource> endpoint_;
};

/// The listener's side. `link` is moved from on success and closed after an error (but see HandshakeOptions::sv1); until then
/// its streams may be closed to end this early.
/// Errors: those of net/handshake.h's respond; kUnsupported (lanes, of a protocol that is not served there).
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
