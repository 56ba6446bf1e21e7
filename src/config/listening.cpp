#include "config/listening.h"

namespace adit::config {

ListenSettings read_listening(Table& root, const SourceSettings& work, std::string_view proves, std::string_view where,
                              std::string_view key) {
  ListenSettings out;
  out.authority = read_authority(root, work.network, proves);
  out.cert_validity =
      std::chrono::seconds(root.integer<std::uint32_t>("cert_validity_sec", 60, 10 * 365 * 86400).value_or(3600));
  out.iroh = read_iroh(root, true);
  enable_iroh_for(work.source, root, out.iroh);
  out.health = read_health(root);
  out.admission = read_admission(root, std::chrono::seconds(10));
  out.listen_address = read_listen_address(root, key);
  // One number for both carriers, so that one is opened in a firewall.
  out.iroh.default_port = out.listen_address ? out.listen_address->port : kDefaultUdpPort;
  out.trusted_proxies = read_trusted_proxies(root);
  if (!root.has(key) && root.has_something("trusted_proxies")) {
    root.report(Severity::kError, "trusted_proxies",
                "`trusted_proxies` is about TCP, and there is no `" + std::string(key) + "`: leave it out");
  }
  // Either carrier can be left out, not both.
  if (!(out.iroh.enabled && out.iroh.node.listens)) root.require(key, where);
  return out;
}

net::ListenOptions listen_options(const ListenSettings& settings, const noise::AuthorityKeyPair& authority) {
  net::ListenOptions options;
  options.listen = settings.listen_address;
  options.trusted_proxies = settings.trusted_proxies;
  options.authority_secret = authority.secret().copy();
  options.certificate_validity = settings.cert_validity;
  options.admission = settings.admission.limits;
  options.health = settings.health;
  options.handshake_deadline = settings.admission.handshake_deadline;
  return options;
}

}  // namespace adit::config
