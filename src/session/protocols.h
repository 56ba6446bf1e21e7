// The protocols of Stratum V2 as transports need them: the one table that says name, ALPN and second lane of each.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "session/lane_table.h"
#include "wire/common_messages.h"

namespace adit::session {

/// The ALPN of sessions over lanes, of every protocol (docs/lanes.md).
inline constexpr const char* kAlpnLanes = "adit/sv2/1";
/// The ALPN of the mining protocol in one stream.
inline constexpr const char* kAlpnMining = "sv2-m";

struct ProtocolRow {
  wire::Protocol protocol;
  std::string_view name;  ///< In messages and logs.
  const char* alpn;       ///< Over iroh, of one stream that carries the bytes of a TCP connection.
  Lane second_lane;       ///< Over lanes, the lane beside control (docs/lanes.md §4).
};

inline constexpr std::array<ProtocolRow, 3> kProtocols = {{
    {wire::Protocol::kMining, "mining", kAlpnMining, Lane::kData},
    {wire::Protocol::kJobDeclaration, "job declaration", "sv2-jd", Lane::kBulk},
    {wire::Protocol::kTemplateDistribution, "template distribution", "sv2-tp", Lane::kBulk},
}};

constexpr const ProtocolRow& row_of(wire::Protocol protocol) { return kProtocols[std::to_underlying(protocol)]; }

/// The protocol whose single stream has that ALPN.
constexpr std::optional<wire::Protocol> protocol_of_alpn(std::string_view alpn) {
  const auto* const found =
      std::ranges::find(kProtocols, alpn, [](const ProtocolRow& row) { return std::string_view(row.alpn); });
  return found == kProtocols.end() ? std::nullopt : std::optional(found->protocol);
}

/// The lane that a session of `protocol` has beside control.
constexpr Lane second_lane(wire::Protocol protocol) { return row_of(protocol).second_lane; }

}  // namespace adit::session
