// What a configuration means to the pool's server and its source of templates.
#pragma once

#include <memory>

#include "base/result.h"
#include "config/make_source.h"
#include "net/carrier.h"
#include "net/shards.h"
#include "noise/keys.h"
#include "roles/pool/config.h"
#include "roles/pool/server.h"
#include "template/source.h"

namespace adit::pool {

/// The source that `config` names, as config::make_source. `iroh` is the carrier for template providers over iroh, if there is
/// one. The source is to be destroyed before `shard` and `iroh` are. Errors: those of config::make_source.
Result<config::MadeSource> make_source(const PoolConfig& config, net::Shard& shard, net::IrohCarrier* iroh);

/// Everything but the carrier, which the caller has. `made`: what make_source gave, whose nodes judge what miners declare.
ServerOptions server_options(const PoolConfig& config, const noise::AuthorityKeyPair& authority,
                             const config::MadeSource& made);

}  // namespace adit::pool
