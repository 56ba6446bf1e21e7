#include "roles/template/config.h"

#include <utility>

namespace adit::provider {
namespace {

using config::Table;

config::Loaded<ProviderConfig> read(config::Document document) {
  config::Loaded<ProviderConfig> loaded;
  ProviderConfig& out = loaded.config;
  if (!document.readable()) {
    loaded.findings = document.finish();
    return loaded;
  }
  Table root = document.root();
  out.work = config::read_source(root);
  out.authority = config::read_authority(root, out.work.network, "this provider to its clients");
  out.cert_validity =
      std::chrono::seconds(root.integer<std::uint32_t>("cert_validity_sec", 60, 10 * 365 * 86400).value_or(3600));
  out.iroh = config::read_iroh(root, true);
  config::enable_iroh_for(out.work.source, root, out.iroh);
  out.health = config::read_health(root);
  out.admission = config::read_admission(root, std::chrono::seconds(10));
  out.listen_address = config::read_listen_address(root, "listen_address");
  // Either carrier can be left out, not both.
  if (!(out.iroh.enabled && out.iroh.node.listens))
    root.require("listen_address",
                 "the IP address and port on which pools and job declarators connect, such as \"0.0.0.0:8442\"");
  out.monitoring = config::read_monitoring(root);
  out.max_constraint_classes = root.integer<unsigned>("max_constraint_classes", 1, 64).value_or(8);
  out.threads = root.integer<unsigned>("threads", 0, 256).value_or(0);
  out.data_dir = config::read_data_dir(root, "template");
  out.log_file = config::read_path(root, "log_file").value_or("");
  loaded.findings = document.finish();
  return loaded;
}

}  // namespace

config::Loaded<ProviderConfig> load_config(const std::string& path, const config::Environment& environment) {
  return read(config::Document::open(path, "TEMPLATE", environment));
}

config::Loaded<ProviderConfig> parse_config(std::string_view toml, const std::string& name,
                                            const config::Environment& environment) {
  return read(config::Document::parse(toml, name, "TEMPLATE", environment));
}

Result<noise::AuthorityKeyPair> load_authority(const ProviderConfig& config) {
  return config::load_authority(config.authority, config.work.network);
}

Result<config::NodeKey> load_or_make_node_key(const ProviderConfig& config) {
  return config::take_or_make_node_key(config.iroh.secret_key_file, config.data_dir + "/node.key");
}

}  // namespace adit::provider
