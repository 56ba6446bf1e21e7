#include "cli/doctor/setup.h"

#include <variant>

#include "config/make_source.h"

namespace adit::cli::doctor {
namespace {

template <class Config>
void take_server(const Config& config, Setup& setup) {
  setup.data_dir = config.data_dir;
  if (!config.authority.secret_key_file.empty()) setup.secret_files.push_back(config.authority.secret_key_file);
  setup.node_key_file = config.iroh.secret_key_file.empty() ? config.data_dir + "/node.key" : config.iroh.secret_key_file;
  if (config.iroh.enabled) setup.secret_files.push_back(setup.node_key_file);
}

template <class Config>
void take_shared(const Config& config, Setup& setup) {
  setup.monitoring = &config.monitoring;
  setup.iroh = &config.iroh;
  setup.listeners = listeners_of(config);
  if (!config.monitoring.token_file.empty()) setup.secret_files.push_back(config.monitoring.token_file);
  if (config.monitoring.alerts && !config.monitoring.alerts->webhook_file.empty())
    setup.secret_files.push_back(config.monitoring.alerts->webhook_file);
}

void take_source(const config::TemplateSource& source, std::optional<bitcoin::Network> network, Setup& setup) {
  setup.source = source;
  setup.network = network;
  for (const auto& node : config::nodes_of(source)) {
    const auto* const rpc = std::get_if<config::BitcoinRpcNode>(&node);
    if (rpc != nullptr && !rpc->password_file.empty()) setup.secret_files.push_back(rpc->password_file);
  }
}

}  // namespace

Setup setup_of(const pool::PoolConfig& config) {
  Setup setup;
  take_server(config, setup);
  take_shared(config, setup);
  take_source(config.source, config.network, setup);
  setup.payout_script = config.payout_script;
  if (config.jds && !config.jds->token_key_file.empty()) setup.secret_files.push_back(config.jds->token_key_file);
  return setup;
}

Setup setup_of(const provider::ProviderConfig& config) {
  Setup setup;
  take_server(config, setup);
  take_shared(config, setup);
  take_source(config.work.source, config.work.network, setup);
  return setup;
}

Setup setup_of(const jd_client::JdClientConfig& config) {
  Setup setup;
  take_server(config, setup);
  take_shared(config, setup);
  take_source(config.work.source, config.work.network, setup);
  setup.payout_script = config.payout_script;
  const std::uint32_t declares = config.mode == jd_client::ConfigMode::kFullTemplate ? wire::kDeclareTxData : 0;
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    const auto& upstream = config.upstreams[i];
    setup.upstreams.push_back({.entry = i,
                               .peer = upstream.pool,
                               .flags = wire::kRequiresWorkSelection | wire::kRequiresVersionRolling,
                               .user = upstream.user_identity});
    setup.upstreams.push_back(
        {.entry = i, .peer = upstream.declarator, .protocol = wire::Protocol::kJobDeclaration, .flags = declares, .user = {}});
  }
  return setup;
}

Setup setup_of(const translator::TranslatorConfig& config) {
  Setup setup;
  take_shared(config, setup);
  setup.node_key_file = config.iroh.secret_key_file;
  if (config.iroh.enabled && !setup.node_key_file.empty()) setup.secret_files.push_back(setup.node_key_file);
  for (const auto& upstream : config.upstreams)
    setup.upstreams.push_back({.entry = setup.upstreams.size(), .peer = upstream.peer, .user = upstream.user_identity});
  return setup;
}

}  // namespace adit::cli::doctor
