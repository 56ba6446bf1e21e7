// How others reach a role that listens: its URLs, logged for programs and printed for people.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/common.h"
#include "monitor/server.h"
#include "net/carrier.h"
#include "net/iroh/node_config.h"
#include "net/transport_config.h"
#include "noise/keys.h"

namespace adit::cli {

/// What stands above the URLs that are printed.
inline constexpr std::string_view kToMiners = "Miners and translators connect to";
inline constexpr std::string_view kToDeclarators = "Job declarators connect to";
inline constexpr std::string_view kToClients = "Pools and job declarators take templates from";

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

/// The same of a role that need not run: the addresses over iroh are those that its settings name, and its relay is the one
/// that they name, if it is one. `endpoint_id`: of its node key; absent: no client comes over iroh.
std::vector<Entrance> configured_entrances(const std::optional<net::TcpConfig>& listen, const config::IrohSettings& iroh,
                                           const std::optional<std::string>& endpoint_id, const noise::PublicKey& authority);

/// Where miners without Stratum V2 connect, each with its port as bound: logs ROLE.sv1.listening for each; `for_people`: prints
/// them too.
void announce_sv1(std::string_view role, const std::vector<net::TcpConfig>& listening, bool for_people);

/// Prints the URLs behind the line `intro`, their parts, and a QR code of the one that reaches through routers, if there is
/// one.
void print_entrances(std::string_view intro, const std::vector<Entrance>& ways, const noise::PublicKey& authority);

/// Prints where miners without Stratum V2 connect.
void print_sv1(const std::vector<net::TcpConfig>& listening);

/// Logs ROLE.listening for each; `for_people`: prints them too, as print_entrances.
void announce(std::string_view role, std::string_view intro, const std::vector<Entrance>& ways,
              const noise::PublicKey& authority, bool for_people);

/// The same on the role's monitor, if it has one, and the URLs of its listeners for Stratum V1 miners.
void show(const std::unique_ptr<monitor::Server>& monitor, const std::vector<Entrance>& ways, const noise::PublicKey& authority,
          const std::vector<net::TcpConfig>& sv1 = {});

/// Of a role that only Stratum V1 miners connect to.
void show_sv1(const std::unique_ptr<monitor::Server>& monitor, const net::TcpConfig& sv1);

}  // namespace adit::cli
