#include "cli/relay_config.h"

#include <cstdint>
#include <utility>

#include "config/common.h"

namespace adit::cli {

config::Loaded<RelayOptions> load_relay(const std::string& file, bool is_all) {
  config::Loaded<RelayOptions> loaded;
  // The environment holds the token alone, which is an option's.
  auto document = config::Document::open(file, "ADIT_RELAY_FILE", {});
  if (!document.readable()) {
    loaded.findings = document.finish();
    return loaded;
  }
  config::Table root = document.root();
  net::RelayServerConfig& server = loaded.config.server;
  server.http = root.text("http").value_or(server.http);
  server.https = root.text("https").value_or("");
  server.cert_file = config::read_path(root, "cert-file").value_or("");
  server.key_file = config::read_path(root, "key-file").value_or("");
  server.quic = root.text("quic").value_or("");
  server.metrics = root.text("metrics").value_or("");
  server.tokens = root.texts("token").value_or(std::vector<std::string>());
  const auto count = [&root](std::string_view key, std::uint32_t& value) {
    value = root.integer<std::uint32_t>(key).value_or(value);
  };
  count("max-clients", server.max_clients);
  count("max-clients-per-source", server.max_clients_per_source);
  count("accepts-per-second", server.accepts_per_second);
  count("client-bytes-per-second", server.client_bytes_per_second);
  count("client-burst-bytes", server.client_burst_bytes);
  loaded.config.threads = root.integer<unsigned>("threads", 1, 64).value_or(loaded.config.threads);
  loaded.config.log_file = config::read_path(root, "log-file").value_or("");
  if (is_all) {
    for (auto& [key, message] : relay_faults(server)) root.report(config::Severity::kError, key, std::move(message));
  }
  loaded.findings = document.finish();
  return loaded;
}

std::vector<std::pair<std::string_view, std::string>> relay_faults(const net::RelayServerConfig& server) {
  std::vector<std::pair<std::string_view, std::string>> faults;
  const bool tls = !server.https.empty();
  if (tls && server.cert_file.empty())
    faults.emplace_back("cert-file", "`https` needs `cert-file`, the PEM file of the certificate's chain");
  if (tls && server.key_file.empty())
    faults.emplace_back("key-file", "`https` needs `key-file`, the PEM file of its private key");
  if (!tls && !server.quic.empty()) faults.emplace_back("quic", "`quic` needs `https`: address discovery has TLS");
  return faults;
}

}  // namespace adit::cli
