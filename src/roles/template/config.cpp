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
  static_cast<config::ListenSettings&>(out) =
      config::read_listening(root, out.work, "this provider to its clients",
                             "the IP address and port on which pools and job declarators connect, such as \"0.0.0.0:8442\"");
  out.data_dir = config::read_data_dir(root, "template");
  out.monitoring = config::read_monitoring(root, out.data_dir);
  out.max_constraint_classes = root.integer<unsigned>("max_constraint_classes", 1, 64).value_or(8);
  out.threads = root.integer<unsigned>("threads", 0, 256).value_or(0);
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
  auto pair = config::load_authority(config.authority, config.work.network);
  if (pair && config::is_example_key(pair->public_key()) && config.work.network != bitcoin::Network::kRegtest) {
    return fail(
        config::KeyErrc::kNoKey,
        "this is SRI's published example key, which everybody has, and a template provider takes it on regtest only; make your "
        "own with `adit keys authority --out FILE`");
  }
  return pair;
}

Result<config::NodeKey> load_or_make_node_key(const ProviderConfig& config) {
  return config::take_or_make_node_key(config.iroh.secret_key_file, config.data_dir + "/node.key");
}

}  // namespace adit::provider
