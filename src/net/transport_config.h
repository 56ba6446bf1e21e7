// Where a peer is and how to reach it: one value per carrier.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "noise/keys.h"

namespace adit::net {

/// Over TCP.
struct TcpConfig {
  std::string host;  ///< Name, IPv4 or IPv6 address (without brackets).
  std::uint16_t port = 0;
  bool operator==(const TcpConfig&) const = default;
};

/// Over iroh. With neither relay nor address the endpoint must be found by a discovery that the node has.
struct IrohConfig {
  std::string endpoint_id;                 ///< 64 lower-case hex digits.
  std::optional<std::string> relay_url{};  ///< http:// or https://.
  std::vector<std::string> addrs{};        ///< "ip:port", "[ip6]:port".
  std::string alpn{};  ///< The only one to offer; empty: lanes, and one stream of the protocol for a peer without lanes.
  bool operator==(const IrohConfig&) const = default;
};

using TransportConfig = std::variant<TcpConfig, IrohConfig>;

/// What a client's SetupConnection calls the endpoint (SV2 03 §3.6.1): a name or address and a port; an endpoint id and 0.
inline std::pair<std::string_view, std::uint16_t> host_and_port(const TransportConfig& to) {
  if (const auto* tcp = std::get_if<TcpConfig>(&to)) return {tcp->host, tcp->port};
  return {std::get<IrohConfig>(to).endpoint_id, std::uint16_t{0}};
}

/// What is spoken at a peer's address.
enum class Dialect { kStratumV1, kStratumV2 };

/// Whom to dial, and how it proves who it is.
struct Peer {
  Dialect dialect = Dialect::kStratumV2;
  TransportConfig transport;
  std::optional<noise::PublicKey> authority{};  ///< Whose certificate the peer must show. Stratum V2 only.
  bool operator==(const Peer&) const = default;
};

}  // namespace adit::net
