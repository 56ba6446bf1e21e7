#include "roles/template/from_config.h"

#include <variant>

namespace adit::provider {

Result<config::MadeSource> make_source(const ProviderConfig& config, net::Shard& shard, net::IrohCarrier* iroh) {
  return config::make_source(config.work, {.data_dir = config.data_dir, .shard = shard, .iroh = iroh, .health = config.health});
}

ServerOptions server_options(const ProviderConfig& config, const noise::AuthorityKeyPair& authority) {
  ServerOptions options;
  static_cast<net::ListenOptions&>(options) = config::listen_options(config, authority);
  options.classes.max_classes = config.max_constraint_classes;
  // The chain in this process has one kind of templates, which leave room for whatever a coinbase may have.
  if (std::holds_alternative<config::EmbeddedSource>(config.work.source)) options.classes.least = templates::kMostConstraints;
  return options;
}

}  // namespace adit::provider
