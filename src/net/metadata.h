// What is known of a connection: shown in logs, metrics and `adit demo`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace adit::net {

enum class Transport { kTcp, kIroh };
constexpr std::string_view to_string(Transport transport) { return transport == Transport::kTcp ? "tcp" : "iroh"; }

enum class Path { kUnknown, kDirect, kRelayed };
constexpr std::string_view to_string(Path path) {
  return path == Path::kDirect ? "direct" : path == Path::kRelayed ? "relayed" : "unknown";
}

struct ConnectionMetadata {
  Transport transport = Transport::kTcp;
  std::string peer;           ///< "ip:port" over TCP, the endpoint id (64 hex digits) over iroh.
  std::string source;         ///< What quotas count by: "ip:port" as seen last, or the relay's URL. Empty: unknown.
  std::string authority_key;  ///< The pool authority that was proved, base58check; empty if none was asked for.
  std::optional<UnixTime> certificate_until;  ///< The certificate that the peer showed is valid so long.
  unsigned lanes = 1;                         ///< Streams that carry it; 1 also over TCP.
  Path path = Path::kUnknown;
  std::optional<Duration> path_rtt;  ///< The carrier's own estimate of the round trip.
  std::uint64_t bytes_received = 0;  ///< On the wire, carrier overhead excluded.
  std::uint64_t bytes_sent = 0;
  Instant opened_at{};
};

}  // namespace adit::net
