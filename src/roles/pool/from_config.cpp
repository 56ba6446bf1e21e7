#include "roles/pool/from_config.h"

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "config/keys.h"
#include "template/bitcoin_nodes.h"

namespace adit::pool {

namespace {

Result<templates::RpcConfig> node_of(const BitcoinRpcNode& rpc, std::optional<bitcoin::Network> network) {
  templates::RpcConfig node;
  node.host = rpc.node.host;
  node.port = rpc.node.port;
  node.network = network;
  if (rpc.user.empty()) {
    node.auth = templates::RpcCookie{rpc.cookie_file};
  } else {
    std::string password = rpc.password;
    if (!rpc.password_file.empty()) {
      ADIT_TRY(password, config::read_secret_file(rpc.password_file));
    }
    node.auth = templates::RpcPassword{rpc.user, std::move(password)};
  }
  return node;
}

templates::IpcConfig node_of(const BitcoinIpcNode& ipc, std::optional<bitcoin::Network> network, templates::IpcConfig pacing) {
  pacing.socket_path = ipc.socket;
  pacing.network = network;
  return pacing;
}

}  // namespace

std::string journal_folder(const PoolConfig& config) {
  return (std::filesystem::path(config.data_dir) / "found-blocks").string();
}

templates::EmbeddedSource::Options options_of(const EmbeddedSource& source) {
  templates::EmbeddedSource::Options options;
  options.chain.nbits = source.nbits;
  options.new_tip_every = source.interval;
  return options;
}

Result<std::unique_ptr<templates::TemplateSource>> make_source(const PoolConfig& config) {
  if (const auto* embedded = std::get_if<EmbeddedSource>(&config.source)) {
    return std::make_unique<templates::EmbeddedSource>(options_of(*embedded));
  }
  templates::BitcoinNodes::Options options;
  options.blocks.journal_folder = journal_folder(config);
  templates::IpcConfig pacing;
  const std::vector<FurtherNode>* further = nullptr;
  if (const auto* ipc = std::get_if<BitcoinIpcSource>(&config.source)) {
    pacing.fee_threshold_sat = ipc->fee_threshold_sat;
    pacing.min_interval = ipc->min_interval;
    options.nodes.push_back({.at = node_of(*ipc, config.network, pacing)});
    further = &ipc->further;
  } else {
    const auto& rpc = std::get<BitcoinRpcSource>(config.source);
    ADIT_TRY(templates::RpcConfig first, node_of(rpc, config.network));
    options.nodes.push_back({.at = std::move(first)});
    further = &rpc.further;
  }
  for (const FurtherNode& node : *further) {
    if (const auto* ipc = std::get_if<BitcoinIpcNode>(&node)) {
      options.nodes.push_back({.at = node_of(*ipc, config.network, pacing), .templates = ipc->templates});
      continue;
    }
    const auto& rpc = std::get<BitcoinRpcNode>(node);
    ADIT_TRY(templates::RpcConfig one, node_of(rpc, config.network));
    options.nodes.push_back({.at = std::move(one), .templates = rpc.templates});
  }
  return std::make_unique<templates::BitcoinNodes>(std::move(options));
}

ServerOptions server_options(const PoolConfig& config, const noise::AuthorityKeyPair& authority) {
  ServerOptions options;
  options.listen = config.listen_address;
  options.trusted_proxies = config.trusted_proxies;
  options.health = config.health;
  options.admission = config.admission.limits;
  options.handshake_deadline = config.admission.handshake_deadline;
  options.authority_secret = authority.secret().copy();
  options.certificate_validity = config.cert_validity;
  options.session.channel.shares_per_minute = config.shares_per_minute;
  options.session.channel.share_batch_size = config.share_batch_size;
  options.session.channel.min_difficulty = config.min_difficulty;
  options.supported_extensions = config.supported_extensions;
  options.required_extensions = config.required_extensions;
  options.jobs.payout_script = config.payout_script;
  options.session.payouts = {.pool_script = config.payout_script,
                             .solo = config.solo,
                             .solo_fee_percent = config.solo_fee_percent,
                             .network = config.network};
  options.jobs.pool_signature = config.pool_signature;
  options.server_id = config.server_id;
  options.max_past_jobs = config.max_past_jobs;
  options.stale_work.after = config.stale_work;
  return options;
}

}  // namespace adit::pool
