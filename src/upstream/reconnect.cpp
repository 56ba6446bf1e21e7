#include "upstream/reconnect.h"

#include <string>

namespace adit::upstream {

Result<net::Peer> reconnect_target(const net::Peer& present, std::string_view host, std::uint16_t port) {
  if (host.empty() && port == 0) return present;
  if (!present.authority) {
    return fail(
        net::Errc::kConfiguration,
        "the upstream asked to be reached elsewhere, and there is no authority key by which that place could prove to be "
        "the same pool: configure authority_pubkey");
  }
  const auto refused = [](const Error& error) {
    return fail(net::Errc::kProtocol, "the upstream asked to be reached where nobody can be: " + error.message());
  };
  net::Peer target = present;
  if (auto* tcp = std::get_if<net::TcpConfig>(&target.transport)) {
    const std::string name(host.empty() ? std::string_view(tcp->host) : host);
    const bool bare_ip6 = name.find(':') != std::string::npos && !name.starts_with('[');
    const std::uint16_t at = port == 0 ? tcp->port : port;
    const auto parsed = parse_host_port((bare_ip6 ? "[" + name + "]" : name) + ":" + std::to_string(at));
    if (!parsed) return refused(parsed.error());
    *tcp = *parsed;
    return target;
  }
  if (port != 0) return fail(net::Errc::kProtocol, "the upstream asked an iroh connection to go to a port");
  if (host.substr(0, host.find('?')).find('/') != std::string_view::npos) {
    return fail(net::Errc::kProtocol, "the upstream asked to be reached under an authority key: that does not change");
  }
  const auto parsed = parse_url("stratum2+iroh://" + std::string(host));
  if (!parsed) return refused(parsed.error());
  const std::string alpn = std::get<net::IrohConfig>(present.transport).alpn;
  target.transport = parsed->transport;
  std::get<net::IrohConfig>(target.transport).alpn = alpn;
  return target;
}

bool ReconnectBudget::take(Instant now) {
  while (!taken_.empty() && now - taken_.front() >= kWithin) taken_.pop_front();
  if (taken_.size() >= kMost) return false;
  taken_.push_back(now);
  return true;
}

}  // namespace adit::upstream
