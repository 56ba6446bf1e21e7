#include "roles/pool/from_config.h"

#include "config/make_source.h"

namespace adit::pool {

Result<std::unique_ptr<templates::TemplateSource>> make_source(const PoolConfig& config, net::Shard& shard,
                                                               net::IrohCarrier* iroh) {
  ADIT_TRY(config::MadeSource made,
           config::make_source({config.source, config.network},
                               {.data_dir = config.data_dir, .shard = shard, .iroh = iroh, .health = config.health}));
  return std::move(made.source);
}

ServerOptions server_options(const PoolConfig& config, const noise::AuthorityKeyPair& authority) {
  ServerOptions options;
  static_cast<net::ListenOptions&>(options) = config::listen_options(config, authority);
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
