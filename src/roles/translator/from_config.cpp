#include "roles/translator/from_config.h"

#include <vector>

#include "wire/frame.h"

namespace adit::translator {

ServerOptions server_options(const TranslatorConfig& config) {
  ServerOptions options;
  options.listen = config.downstream;
  options.trusted_proxies = config.trusted_proxies;
  for (const config::UpstreamSettings& upstream : config.upstreams) {
    options.upstreams.push_back({.peer = upstream.peer,
                                 .user_identity = upstream.user_identity,
                                 .regtest_only = config::has_example_authority(upstream.peer),
                                 .goodbye = upstream.goodbye});
  }
  options.health = config.health;
  options.admission = config.admission.limits;
  options.translator.miners.handshake_timeout = config.admission.handshake_deadline;
  options.selection = config.selection;
  options.translator.verify_payout = config.verify_payout;
  options.translator.aggregate = config.aggregate_channels;
  options.extensions = config.supported_extensions;
  options.required_extensions = config.required_extensions;
  std::erase(options.extensions, wire::kExtensionsNegotiation);  // It is how the others are asked for.
  std::erase(options.required_extensions, wire::kExtensionsNegotiation);
  options.translator.miners.work_timeout = config.miner_work_timeout;
  options.translator.miners.extranonce2_size = config.downstream_extranonce2_size;
  options.translator.miners.min_hash_rate_hps = config.min_individual_miner_hashrate_hps;
  options.translator.miners.shares_per_minute = config.shares_per_minute;
  options.translator.miners.vardiff = config.enable_vardiff;
  options.translator.miners.keepalive = config.job_keepalive_interval;
  return options;
}

}  // namespace adit::translator
