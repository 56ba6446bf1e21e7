// The Noise handshake over a byte stream, both sides: the driver of src/noise's engines.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "base/time.h"
#include "net/byte_stream.h"
#include "net/error.h"
#include "net/shards.h"
#include "noise/certificate.h"
#include "noise/keys.h"
#include "wire/frame.h"

namespace adit::net {

struct HandshakeOptions {
  Duration deadline = std::chrono::seconds(10);   ///< Over all of it: a peer that drips bytes gains nothing.
  std::uint32_t max_payload = wire::kMaxPayload;  ///< Of one frame afterwards; one that declares more ends the connection.
  /// The dialler's: where to put the certificate that the peer showed. Null: nowhere.
  std::optional<noise::Certificate>* certificate = nullptr;
  /// The listener's: where to put what a peer has sent that speaks Stratum V1; its stream stays open then, after kProtocol.
  /// Null: it is refused as any other protocol.
  std::vector<std::uint8_t>* sv1 = nullptr;
};

/// The listener's side: waits for act 1, answers with a certificate of `certificates` (the shard's own).
///
/// After an error the stream is closed. Errors: kTimedOut (says how many bytes came), kEndOfStream, kReset, kClosed; kProtocol
/// (what came is another protocol: says which, and what to do; told by the first eight bytes where they suffice). Other garbage
/// passes here, as any 64 bytes are a key, and fails as the connection's first frame.
asio::awaitable<Result<std::unique_ptr<wire::FrameCodec>>> respond(Shard& shard, ByteStream& stream,
                                                                   noise::CertificateSource& certificates,
                                                                   HandshakeOptions options);

/// The dialler's side. `authority`: whose certificate the peer must show; nullopt proves nothing.
///
/// After an error the stream is closed. Errors: as respond; kHandshake (wrong authority, or the certificate is outside its time
/// by our clock: says by how many seconds), kProtocol (the peer does not speak Noise).
asio::awaitable<Result<std::unique_ptr<wire::FrameCodec>>> initiate(Shard& shard, ByteStream& stream,
                                                                    std::optional<noise::PublicKey> authority,
                                                                    HandshakeOptions options);

}  // namespace adit::net
