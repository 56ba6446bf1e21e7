#include "roles/template/from_config.h"

#include <variant>

namespace adit::provider {

Result<config::MadeSource> make_source(const ProviderConfig& config, net::Shard& shard, net::IrohCarrier* iroh) {
  return config::make_source(config.work, {.data_dir = config.data_dir, .shard = shard, .iroh = iroh, .health = config.health});
}

ServerOptions server_options(const ProviderConfig& config, const noise::AuthorityKeyPair& authority) {
  ServerOptions options;
  options.listen = config.listen_address;
  options.health = config.health;
  options.admission = config.admission.limits;
  options.handshake_deadline = config.admission.handshake_deadline;
  options.authority_secret = authority.secret().copy();
  options.certificate_validity = config.cert_validity;
  options.classes.max_classes = config.max_constraint_classes;
  // The chain in this process has one kind of templates, which leave room for whatever a coinbase may have.
  if (std::holds_alternative<config::EmbeddedSource>(config.work.source)) options.classes.least = templates::kMostConstraints;
  return options;
}

}  // namespace adit::provider
