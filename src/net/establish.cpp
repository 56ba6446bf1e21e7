#include "net/establish.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/hex.h"
#include "net/deadline.h"
#include "net/framed.h"
#include "net/handshake.h"
#include "net/lane_connection.h"
#include "wire/adit_messages.h"

namespace adit::net {
namespace {

std::unique_ptr<LaneConnection> over_lanes(Shard& shard, Link& link, const SessionOptions& options) {
  return std::make_unique<LaneConnection>(
      shard, std::move(link.stream), std::move(link.second), *link.protocol,
      LaneOptions{.max_queued_bytes = options.max_queued_bytes, .max_payload = options.max_payload});
}

/// Whether the first frame is the authority's word for this endpoint.
Result<void> check(const wire::FrameView& first, wire::Protocol protocol, const noise::PublicKey* authority,
                   LaneConnection& connection) {
  const auto shown = first.as<wire::EndpointCertificate>();
  if (!shown) {
    return fail(Errc::kProtocol, "the peer sent message " + std::to_string(first.header.message_type) + " of extension " +
                                     std::to_string(first.header.extension_type) +
                                     " before an endpoint certificate: " + shown.error().message());
  }
  const noise::EndpointCertificate certificate{.version = shown->version,
                                               .valid_from = shown->valid_from,
                                               .not_valid_after = shown->not_valid_after,
                                               .signature = shown->signature};
  std::string proved;
  if (authority) {
    std::array<std::uint8_t, 32> id;
    const auto peer = connection.metadata().peer;
    if (!from_hex(peer, id)) return fail(Errc::kInternal, "the carrier has proved no endpoint id");
    const auto holds = certificate.verify(*authority, id, static_cast<std::uint8_t>(protocol), now_from_system().unix_time);
    if (!holds) return fail(Errc::kHandshake, holds.error().message());
    proved = noise::to_text(*authority);
  }
  connection.proved(std::move(proved), from_u32(certificate.not_valid_after));
  return {};
}

asio::awaitable<Result<std::unique_ptr<NetworkConnection>>> begin_lanes(Shard& shard, Link& link,
                                                                        std::optional<noise::PublicKey> authority,
                                                                        SessionOptions options) {
  const auto protocol = *link.protocol;
  auto connection = over_lanes(shard, link, options);
  const Deadline deadline(shard.context(), *connection, options.deadline);
  const auto batch = co_await connection->receive();
  if (!batch) {
    if (deadline.passed()) co_return fail(Errc::kTimedOut, "the peer showed no endpoint certificate in time");
    co_return fail(Error(batch.error()).in("before the endpoint certificate"));
  }
  auto holds = check(batch->front(), protocol, authority ? &*authority : nullptr, *connection);
  if (holds && batch->size() > 1) {
    holds = fail(Errc::kProtocol, "the peer sent more than its endpoint certificate before it was asked anything");
  }
  if (!holds) {
    connection->close(holds.error().is(Errc::kHandshake) ? CloseCode::kUnauthorized : CloseCode::kProtocolError);
    co_return fail(std::move(holds.error()));
  }
  co_return connection;
}

}  // namespace

Credentials::Credentials(const noise::Secret& secret, std::chrono::seconds validity,
                         std::optional<std::array<std::uint8_t, 32>> endpoint_id, std::vector<wire::Protocol> protocols)
    : authority_(std::move(*noise::AuthorityKeyPair::from_secret(secret.copy()))),
      validity_(validity),
      endpoint_id_(endpoint_id),
      protocols_(std::move(protocols)),
      noise_(std::move(*noise::AuthorityKeyPair::from_secret(secret.copy())), validity, noise::system_random()) {}

const noise::EndpointCertificate* Credentials::endpoint(wire::Protocol protocol, UnixTime now) {
  if (!endpoint_id_ || std::ranges::find(protocols_, protocol) == protocols_.end()) return nullptr;
  auto known = endpoint_.find(protocol);
  if (known == endpoint_.end()) {
    known = endpoint_
                .try_emplace(protocol, std::move(*noise::AuthorityKeyPair::from_secret(authority_.secret().copy())),
                             *endpoint_id_, std::to_underlying(protocol), validity_, noise::system_random())
                .first;
  }
  return &known->second.current(now);
}

asio::awaitable<Result<std::unique_ptr<NetworkConnection>>> accept_session(Shard& shard, Link& link, Credentials& credentials,
                                                                           SessionOptions options) {
  if (link.lanes()) {
    const auto* const certificate = credentials.endpoint(*link.protocol, now_from_system().unix_time);
    if (certificate == nullptr) {
      link.close(CloseCode::kProtocolError);
      co_return fail(Errc::kUnsupported, "a session of " + std::string(session::row_of(*link.protocol).name) +
                                             " was begun over lanes, which is not served here");
    }
    wire::FrameBuffer first;
    first.push(wire::EndpointCertificate{.version = certificate->version,
                                         .valid_from = certificate->valid_from,
                                         .not_valid_after = certificate->not_valid_after,
                                         .signature = certificate->signature});
    auto connection = over_lanes(shard, link, options);
    connection->send(first);
    co_return connection;
  }
  auto codec = co_await respond(shard, *link.stream, credentials.noise(),
                                {.deadline = options.deadline, .max_payload = options.max_payload, .sv1 = options.sv1});
  if (!codec) co_return fail(std::move(codec.error()));
  FramedOptions framed;
  framed.max_queued_bytes = options.max_queued_bytes;
  co_return std::make_unique<FramedConnection>(shard, std::move(link.stream), std::move(*codec), std::move(framed));
}

asio::awaitable<Result<std::unique_ptr<NetworkConnection>>> begin_session(Shard& shard, Link& link,
                                                                          std::optional<noise::PublicKey> authority,
                                                                          SessionOptions options) {
  if (link.lanes()) co_return co_await begin_lanes(shard, link, authority, options);
  std::optional<noise::Certificate> certificate;
  auto codec =
      co_await initiate(shard, *link.stream, authority,
                        {.deadline = options.deadline, .max_payload = options.max_payload, .certificate = &certificate});
  if (!codec) co_return fail(std::move(codec.error()));
  FramedOptions framed;
  framed.max_queued_bytes = options.max_queued_bytes;
  if (authority) framed.authority_key = noise::to_text(*authority);
  if (certificate) framed.certificate_until = from_u32(certificate->not_valid_after);
  co_return std::make_unique<FramedConnection>(shard, std::move(link.stream), std::move(*codec), std::move(framed));
}

}  // namespace adit::net
