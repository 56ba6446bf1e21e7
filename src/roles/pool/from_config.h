// What a configuration means to the pool's server and its source of templates.
#pragma once

#include <memory>

#include "base/result.h"
#include "config/make_source.h"
#include "declaration/sealed_token.h"
#include "net/carrier.h"
#include "net/shards.h"
#include "noise/keys.h"
#include "roles/pool/config.h"
#include "roles/pool/declarator_server.h"
#include "roles/pool/server.h"
#include "template/source.h"

namespace adit::pool {

/// The source that `config` names, as config::make_source. `iroh` is the carrier for template providers over iroh, if there is
/// one. The source is to be destroyed before `shard` and `iroh` are. Errors: those of config::make_source.
Result<config::MadeSource> make_source(const PoolConfig& config, net::Shard& shard, net::IrohCarrier* iroh);

/// By what the tokens of `adit jd-server` are sealed; null where the pool is its own declarator, or there is none. Errors:
/// those of config::read_token.
Result<std::shared_ptr<const declaration::TokenSeal>> load_token_seal(const PoolConfig& config);

/// What `adit jd-server` is told by such a file, which for_jd_server() has prepared; everything but the carrier.
DeclaratorServerOptions declarator_server_options(const PoolConfig& config, const noise::AuthorityKeyPair& authority,
                                                  const config::MadeSource& made,
                                                  std::shared_ptr<const declaration::TokenSeal> seal);

/// Everything but the carrier, which the caller has. `made`: what make_source gave, whose nodes judge what miners declare.
/// `seal`: what load_token_seal gave.
ServerOptions server_options(const PoolConfig& config, const noise::AuthorityKeyPair& authority, const config::MadeSource& made,
                             std::shared_ptr<const declaration::TokenSeal> seal = nullptr);

}  // namespace adit::pool
