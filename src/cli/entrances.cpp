#include "cli/entrances.h"

#include <cstdio>
#include <utility>

#include "cli/serve.h"
#include "log/log.h"
#include "upstream/url.h"

namespace adit::cli {

std::vector<Entrance> entrances(const std::optional<net::TcpConfig>& listen, std::uint16_t port,
                                const net::IrohNodeConfig& node, const net::IrohCarrier* iroh,
                                const noise::PublicKey& authority) {
  std::vector<Entrance> ways;
  for (const std::string& host : listen ? reachable_hosts(listen->host) : std::vector<std::string>()) {
    const net::TcpConfig tcp{host, port};
    ways.push_back({"tcp", upstream::to_url({.dialect = net::Dialect::kStratumV2, .transport = tcp, .authority = authority}),
                    host, tcp.port});
  }
  if (iroh != nullptr) {
    net::IrohConfig peer;
    peer.endpoint_id = iroh->endpoint_id();
    peer.addrs = iroh->local_addresses();
    for (const std::string& addr : node.external_addrs) peer.addrs.push_back(addr);
    if (std::string relay = home_relay(*iroh, node); !relay.empty()) peer.relay_url = std::move(relay);
    ways.push_back({"iroh", upstream::to_url({.dialect = net::Dialect::kStratumV2, .transport = peer, .authority = authority}),
                    peer.endpoint_id, 0});
  }
  return ways;
}

void announce(std::string_view role, std::string_view intro, const std::vector<Entrance>& ways,
              const noise::PublicKey& authority, bool for_people) {
  const std::string key = noise::to_text(authority);
  for (const Entrance& way : ways) {
    log::info(std::string(role) + ".listening",
              {{"transport", way.transport}, {"url", way.url}, {"host", way.host}, {"port", way.port}, {"authority", key}});
  }
  if (!for_people) return;
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
  std::printf("  authority key  %s\n", key.c_str());
  // The one that reaches through routers, if there is one.
  if (!ways.empty()) print_qr(ways.back().url);
  std::fflush(stdout);
}

}  // namespace adit::cli
