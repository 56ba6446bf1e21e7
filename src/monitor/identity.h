// What a role is, and how others reach it: for whoever looks at its monitor.
#pragma once

#include <cstdint>
#include <string>

namespace adit::monitor {

/// One URL under which others reach the role, and its parts for where they are asked for apart.
struct Entrance {
  std::string transport;  ///< "tcp", "iroh", or "sv1": Stratum V1 over TCP.
  std::string url;
  std::string host;         ///< An IP address, or the endpoint id.
  std::uint16_t port = 0;   ///< 0 over iroh.
  std::string authority{};  ///< The key that the role proves; empty: none.
};

/// What the role is, for whoever looks at it.
struct Identity {
  std::string role{};       ///< "pool", "jd-server", "jd-client", "translator", "template"; empty: not told.
  std::string version{};    ///< Of the program.
  std::string host_name{};  ///< Of this machine; empty: not known.
};

}  // namespace adit::monitor
