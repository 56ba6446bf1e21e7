#include "cli/entrances.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <utility>

#include "cli/serve.h"
#include "log/log.h"
#include "upstream/url.h"

namespace adit::cli {
namespace {

/// Where miners without Stratum V2 reach these listeners.
std::vector<monitor::Entrance> sv1_entrances(const std::vector<net::TcpConfig>& listening) {
  std::vector<monitor::Entrance> ways;
  for (const net::TcpConfig& at : listening) {
    for (const std::string& host : reachable_hosts(at.host)) {
      const net::Peer peer{.dialect = net::Dialect::kStratumV1, .transport = net::TcpConfig{host, at.port}, .authority = {}};
      ways.push_back({.transport = "sv1", .url = upstream::to_url(peer), .host = host, .port = at.port});
    }
  }
  return ways;
}

std::vector<Entrance> make_entrances(const std::optional<net::TcpConfig>& listen, std::uint16_t port,
                                     const std::optional<net::IrohConfig>& iroh, const noise::PublicKey& authority) {
  std::vector<Entrance> ways;
  for (const std::string& host : listen ? reachable_hosts(listen->host) : std::vector<std::string>()) {
    const net::TcpConfig tcp{host, port};
    ways.push_back({"tcp", upstream::to_url({.dialect = net::Dialect::kStratumV2, .transport = tcp, .authority = authority}),
                    host, tcp.port});
  }
  if (iroh) {
    ways.push_back({"iroh", upstream::to_url({.dialect = net::Dialect::kStratumV2, .transport = *iroh, .authority = authority}),
                    iroh->endpoint_id, 0});
  }
  return ways;
}

}  // namespace

std::vector<Entrance> entrances(const std::optional<net::TcpConfig>& listen, std::uint16_t port,
                                const net::IrohNodeConfig& node, const net::IrohCarrier* iroh,
                                const noise::PublicKey& authority) {
  if (iroh == nullptr) return make_entrances(listen, port, std::nullopt, authority);
  net::IrohConfig peer;
  peer.endpoint_id = iroh->endpoint_id();
  peer.addrs = iroh->local_addresses();
  for (const std::string& addr : node.external_addrs) peer.addrs.push_back(addr);
  if (std::string relay = home_relay(*iroh, node); !relay.empty()) peer.relay_url = std::move(relay);
  return make_entrances(listen, port, peer, authority);
}

std::vector<Entrance> configured_entrances(const std::optional<net::TcpConfig>& listen, const config::IrohSettings& iroh,
                                           const std::optional<std::string>& endpoint_id, const noise::PublicKey& authority) {
  const std::uint16_t port = listen ? listen->port : 0;
  if (!endpoint_id) return make_entrances(listen, port, std::nullopt, authority);
  net::IrohConfig peer;
  peer.endpoint_id = *endpoint_id;
  for (const std::string& bound : iroh.udp_addresses()) {
    const auto at = upstream::parse_host_port(bound);
    if (!at) continue;  // Port 0: the system's choice, which is made at the start.
    for (const std::string& host : reachable_hosts(at->host)) {
      // The wildcard of IPv6 is bound for that alone.
      if (at->host != "::" || host.find(':') != std::string::npos) peer.addrs.push_back(upstream::host_port({host, at->port}));
    }
  }
  for (const std::string& addr : iroh.node.external_addrs) peer.addrs.push_back(addr);
  if (iroh.node.relays.size() == 1) peer.relay_url = iroh.node.relays.front().url;
  return make_entrances(listen, port, peer, authority);
}

void print_sv1(const std::vector<net::TcpConfig>& listening) {
  for (const monitor::Entrance& way : sv1_entrances(listening))
    std::printf("Stratum V1 miners connect to %s\n", way.url.c_str());
  std::fflush(stdout);
}

void announce_sv1(std::string_view role, const std::vector<net::TcpConfig>& listening, bool for_people) {
  for (const monitor::Entrance& way : sv1_entrances(listening))
    log::info(std::string(role) + ".sv1.listening", {{"url", way.url}, {"host", way.host}, {"port", way.port}});
  if (for_people) print_sv1(listening);
}

void print_entrances(std::string_view intro, const std::vector<Entrance>& ways, const noise::PublicKey& authority) {
  std::printf("%s\n", std::string(intro).c_str());
  for (const Entrance& way : ways) std::printf("  %s\n", way.url.c_str());
  std::printf("Where these are separate fields:\n");
  for (const Entrance& way : ways) {
    if (way.transport == "tcp") {
      std::printf("  host           %s\n  port           %u\n", way.host.c_str(), way.port);
    } else {
      std::printf("  endpoint id    %s\n", way.host.c_str());
    }
  }
  std::printf("  authority key  %s\n", noise::to_text(authority).c_str());
  // The one that reaches through routers, if there is one.
  if (!ways.empty()) print_qr(ways.back().url);
  std::fflush(stdout);
}

void announce(std::string_view role, std::string_view intro, const std::vector<Entrance>& ways,
              const noise::PublicKey& authority, bool for_people) {
  const std::string key = noise::to_text(authority);
  for (const Entrance& way : ways) {
    log::info(std::string(role) + ".listening",
              {{"transport", way.transport}, {"url", way.url}, {"host", way.host}, {"port", way.port}, {"authority", key}});
  }
  if (for_people) print_entrances(intro, ways, authority);
}

void show(const std::unique_ptr<monitor::Server>& monitor, const std::vector<Entrance>& ways, const noise::PublicKey& authority,
          const std::vector<net::TcpConfig>& sv1) {
  if (!monitor) return;
  std::vector<monitor::Entrance> shown;
  shown.reserve(ways.size());
  for (const Entrance& way : ways) {
    shown.push_back({.transport = way.transport,
                     .url = way.url,
                     .host = way.host,
                     .port = way.port,
                     .authority = noise::to_text(authority)});
  }
  std::ranges::move(sv1_entrances(sv1), std::back_inserter(shown));
  monitor->set_entrances(std::move(shown));
}

void show_sv1(const std::unique_ptr<monitor::Server>& monitor, const net::TcpConfig& sv1) {
  if (monitor) monitor->set_entrances(sv1_entrances({sv1}));
}

}  // namespace adit::cli
