#include "roles/jd_client/from_config.h"

#include "config/make_source.h"

namespace adit::jd_client {
namespace {

Mode mode_of(ConfigMode mode) {
  switch (mode) {
    case ConfigMode::kFullTemplate:
      return Mode::kFullTemplate;
    case ConfigMode::kCoinbaseOnly:
      return Mode::kCoinbaseOnly;
    case ConfigMode::kSolo:
      break;
  }
  return Mode::kSolo;
}

}  // namespace

Result<std::unique_ptr<templates::TemplateSource>> make_source(const JdClientConfig& config, net::Shard& shard,
                                                               net::IrohCarrier* iroh) {
  ADIT_TRY(
      config::MadeSource made,
      config::make_source(config.work, {.data_dir = config.data_dir, .shard = shard, .iroh = iroh, .health = config.health}));
  return std::move(made.source);
}

ServerOptions server_options(const JdClientConfig& config, const noise::AuthorityKeyPair& authority) {
  ServerOptions options;
  static_cast<net::ListenOptions&>(options) = config::listen_options(config, authority);
  options.session.channel.shares_per_minute = config.shares_per_minute;
  options.session.channel.share_batch_size = config.share_batch_size;
  options.session.channel.min_difficulty = config.min_difficulty;
  options.supported_extensions = config.supported_extensions;
  options.required_extensions = config.required_extensions;
  options.max_past_jobs = config.max_past_jobs;
  options.sv1_listen = config.sv1_address;
  options.sv1_at_listen = config.sv1;
  options.sv1.shares_per_minute = config.shares_per_minute;
  options.engine.mode = mode_of(config.mode);
  options.engine.solo_script = config.payout_script;
  options.engine.signature = config.signature;
  options.engine.rollable_extranonce_size = config.rollable_extranonce_size;
  options.engine.follow_pool_tip = config.follow_pool_tip;
  options.engine.least_hash_rate_hps = config.expected_hash_rate_hps;
  for (const config::DeclaringUpstream& upstream : config.upstreams) {
    options.upstreams.push_back({.pool = upstream.pool,
                                 .declarator = upstream.declarator,
                                 .user_identity = upstream.user_identity,
                                 .regtest_only = config::has_example_authority(upstream.pool),
                                 .goodbye = upstream.goodbye});
  }
  options.upstream_health = config.health;
  options.selection = config.selection;
  return options;
}

}  // namespace adit::jd_client
