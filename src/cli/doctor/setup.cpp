#include "cli/doctor/setup.h"

#include <algorithm>
#include <string_view>
#include <variant>

#include "base/hex.h"
#include "cli/doctor/machine.h"
#include "config/make_source.h"
#include "upstream/url.h"

namespace adit::cli::doctor {
namespace {

/// The witness program of the public key whose secret is 1, which the examples pay (BIP173's own example).
constexpr std::string_view kExampleScript = "0014751e76e8199196d454941c45d1b3a323f1433bd6";

bool is_loopback(std::string_view host) { return host.starts_with("127.") || host == "::1" || host == "localhost"; }

/// Whether other machines may dial such an endpoint at a UDP port.
bool takes_packets(const net::IrohNodeConfig& node) {
  if (!node.listens || node.relay_only) return false;
  return node.bind.empty() || std::ranges::any_of(node.bind, [](const std::string& address) {
           const auto at = upstream::parse_host_port(address);
           return at && !is_loopback(at->host);
         });
}

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

PortFacts port_of(std::string_view key, const net::TcpConfig& at) {
  PortFacts port;
  port.key = key;
  port.address = upstream::host_port(at);
  port.port = at.port;
  port.is_loopback = is_loopback(at.host);
  return port;
}

std::vector<PortFacts> ports_of(const Setup& setup) {
  std::vector<PortFacts> out;
  for (const auto& [key, at] : setup.listeners) {
    if (!at) continue;
    out.push_back(port_of(key, *at));
    out.back().is_for_others = !(setup.iroh->enabled && setup.iroh->node.listens);
  }
  if (setup.monitoring->address) out.push_back(port_of(config::kMonitoringKey, *setup.monitoring->address));
  if (!setup.iroh->enabled) return out;
  for (const std::string& address : setup.iroh->node.bind) {
    const auto at = upstream::parse_host_port(address);
    if (!at) continue;
    out.push_back(port_of("bind_addresses", *at));
    out.back().is_udp = true;
  }
  return out;
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

void look_at_setup(const Setup& setup, Facts& facts) {
  for (const std::string& path : setup.secret_files) {
    if (const auto mode = mode_of(path)) facts.secrets.push_back({path, *mode});
  }
  facts.payout = {.script_hex = to_hex(setup.payout_script),
                  .is_example = to_hex(setup.payout_script) == kExampleScript,
                  .is_valuable = setup.network != bitcoin::Network::kRegtest};
  facts.ports = ports_of(setup);
  const config::IrohSettings& iroh = *setup.iroh;
  facts.nat.is_used = facts.build.needs_iroh = iroh.enabled;
  facts.reach.listens_over_iroh = iroh.enabled && iroh.node.listens;
  facts.reach.has_external_addrs = !iroh.node.external_addrs.empty();
  if (!iroh.enabled) return;
  facts.nat.listens = takes_packets(iroh.node);
  facts.nat.has_public_address = facts.reach.has_external_addrs || has_public_ipv4();
  facts.nat.asks_router = iroh.node.portmap;
  facts.nat.has_ipv6 = has_global_ipv6();
  facts.nat.has_relay = iroh.node.relay_mode != net::IrohRelays::kNone;
}

}  // namespace adit::cli::doctor
