#include "roles/pool/from_config.h"

#include <optional>

#include "bitcoin/consensus.h"

namespace adit::pool {
namespace {

DeclaratorOptions declarator_options(const JdsConfig& config, std::optional<bitcoin::Network> network,
                                     const config::MadeSource& made) {
  DeclaratorOptions options;
  options.listen = config.listen_address;
  options.supported_extensions = config.supported_extensions;
  options.required_extensions = config.required_extensions;
  options.session.allow_coinbase_only = config.allow_coinbase_only;
  options.session.revenue.percent = config.min_pool_percent;
  if (network) options.session.revenue.halving_interval = bitcoin::halving_interval(*network);
  options.checkers = made.checkers;
  options.submit_block = made.submit_block;
  return options;
}

}  // namespace

Result<config::MadeSource> make_source(const PoolConfig& config, net::Shard& shard, net::IrohCarrier* iroh) {
  return config::make_source({config.source, config.network},
                             {.data_dir = config.data_dir, .shard = shard, .iroh = iroh, .health = config.health});
}

ServerOptions server_options(const PoolConfig& config, const noise::AuthorityKeyPair& authority,
                             const config::MadeSource& made) {
  ServerOptions options;
  static_cast<net::ListenOptions&>(options) = config::listen_options(config, authority);
  options.worthless_chains_only =
      config::is_example_key(authority.public_key()) && config.network != bitcoin::Network::kRegtest;
  options.sv1_listen = config.sv1_address;
  options.sv1_at_listen = config.sv1;
  options.sv1.shares_per_minute = config.shares_per_minute;
  options.session.channel.shares_per_minute = config.shares_per_minute;
  options.session.channel.share_batch_size = config.share_batch_size;
  options.session.channel.min_difficulty = config.min_difficulty;
  options.supported_extensions = config.supported_extensions;
  options.required_extensions = config.required_extensions;
  options.jobs.payout_script = config.payout_script;
  options.session.payouts = {.pool_script = config.payout_script,
                             .solo = config.solo,
                             .solo_fee_percent = config.solo_fee_percent,
                             .network = config.network,
                             .by_identity = config.pay_by_identity};
  options.jobs.pool_signature = config.pool_signature;
  options.server_id = config.server_id;
  options.max_past_jobs = config.max_past_jobs;
  options.stale_work.after = config.stale_work;
  if (config.jds) options.declarator = declarator_options(*config.jds, config.network, made);
  return options;
}

}  // namespace adit::pool
