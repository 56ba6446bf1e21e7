#include "roles/pool/from_config.h"

#include <optional>
#include <utility>

#include "bitcoin/consensus.h"
#include "config/keys.h"

namespace adit::pool {
namespace {

declaration::RevenuePolicy revenue_of(const PoolConfig& config) {
  declaration::RevenuePolicy revenue{.percent = config.jds->min_pool_percent};
  if (config.network) revenue.halving_interval = bitcoin::halving_interval(*config.network);
  return revenue;
}

channels::PayoutPolicy payouts_of(const PoolConfig& config) {
  return {.pool_script = config.payout_script,
          .solo = config.solo,
          .solo_fee_percent = config.solo_fee_percent,
          .network = config.network,
          .by_identity = config.pay_by_identity};
}

DeclaratorOptions declarator_options(const PoolConfig& pool, const config::MadeSource& made) {
  const JdsConfig& config = *pool.jds;
  DeclaratorOptions options;
  options.listen = config.listen_address;
  options.supported_extensions = config.supported_extensions;
  options.required_extensions = config.required_extensions;
  options.session.allow_coinbase_only = config.allow_coinbase_only;
  options.session.revenue = revenue_of(pool);
  options.checkers = made.checkers;
  options.submit_block = made.submit_block;
  return options;
}

}  // namespace

Result<config::MadeSource> make_source(const PoolConfig& config, net::Shard& shard, net::IrohCarrier* iroh) {
  return config::make_source({config.source, config.network},
                             {.data_dir = config.data_dir, .shard = shard, .iroh = iroh, .health = config.health});
}

Result<std::shared_ptr<const declaration::TokenSeal>> load_token_seal(const PoolConfig& config) {
  if (!config.jds || config.jds->token_key_file.empty()) return nullptr;
  ADIT_TRY(const Sha256Digest key, config::read_token(config.jds->token_key_file));
  return std::make_shared<const declaration::TokenSeal>(key);
}

DeclaratorServerOptions declarator_server_options(const PoolConfig& config, const noise::AuthorityKeyPair& authority,
                                                  const config::MadeSource& made,
                                                  std::shared_ptr<const declaration::TokenSeal> seal) {
  DeclaratorServerOptions options;
  static_cast<net::ListenOptions&>(options) = config::listen_options(config, authority);
  options.declarator = declarator_options(config, made);
  options.declarator.session.payouts = payouts_of(config);
  options.declarator.session.seal = std::move(seal);
  return options;
}

ServerOptions server_options(const PoolConfig& config, const noise::AuthorityKeyPair& authority, const config::MadeSource& made,
                             std::shared_ptr<const declaration::TokenSeal> seal) {
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
  options.session.payouts = payouts_of(config);
  options.jobs.pool_signature = config.pool_signature;
  options.server_id = config.server_id;
  options.max_past_jobs = config.max_past_jobs;
  options.stale_work.after = config.stale_work;
  if (seal) {
    options.token_seal = std::move(seal);
    options.declared_revenue = revenue_of(config);
  } else if (config.jds) {
    options.declarator = declarator_options(config, made);
  }
  return options;
}

}  // namespace adit::pool
