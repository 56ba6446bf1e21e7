// How others reach a role that listens: its URLs, logged for programs and printed for people.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/carrier.h"
#include "net/iroh/node_config.h"
#include "net/transport_config.h"
#include "noise/keys.h"

namespace adit::cli {

/// One way in.
struct Entrance {
  std::string transport;  ///< "tcp" or "iroh".
  std::string url;
  std::string host;        ///< An IP address, or the endpoint id.
  std::uint16_t port = 0;  ///< 0 over iroh.
};

/// `listen` and `port`: of the TCP listener, if there is one. `node`: the settings of `iroh`, which is null if nobody comes
/// that way. May wait some seconds for a relay.
std::vector<Entrance> entrances(const std::optional<net::TcpConfig>& listen, std::uint16_t port,
                                const net::IrohNodeConfig& node, const net::IrohCarrier* iroh,
                                const noise::PublicKey& authority);

/// Logs ROLE.listening for each; `for_people`: prints them too, behind the line `intro`.
void announce(std::string_view role, std::string_view intro, const std::vector<Entrance>& ways,
              const noise::PublicKey& authority, bool for_people);

}  // namespace adit::cli
