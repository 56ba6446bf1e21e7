// What a configuration means to the template provider's server and its source of templates.
#pragma once

#include "base/result.h"
#include "config/make_source.h"
#include "net/carrier.h"
#include "net/shards.h"
#include "noise/keys.h"
#include "roles/template/config.h"
#include "roles/template/server.h"

namespace adit::provider {

/// The source that `config` names, as config::make_source. `iroh` is the carrier for further template providers over iroh, if
/// there is one. The source is to be destroyed before `shard` and `iroh` are. Errors: those of config::make_source.
Result<config::MadeSource> make_source(const ProviderConfig& config, net::Shard& shard, net::IrohCarrier* iroh);

/// Everything but the carrier, which the caller has.
ServerOptions server_options(const ProviderConfig& config, const noise::AuthorityKeyPair& authority);

}  // namespace adit::provider
