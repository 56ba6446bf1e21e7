// Where a peer is and how to reach it: one value per carrier.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace adit::net {

/// ALPN of sessions over lanes (docs/lanes.md).
inline constexpr const char* kAlpnLanes = "adit/sv2/1";
/// ALPN of one SV2 mining connection in one bi stream, bytes as over TCP.
inline constexpr const char* kAlpnMining = "sv2-m";

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
  std::string alpn{};  ///< The only one to offer; empty: lanes, and one stream for a peer that has no lanes.
  bool operator==(const IrohConfig&) const = default;
};

using TransportConfig = std::variant<TcpConfig, IrohConfig>;

}  // namespace adit::net
