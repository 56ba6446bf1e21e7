// What a configuration means to the job declarator client's server.
#pragma once

#include <memory>

#include "base/result.h"
#include "net/carrier.h"
#include "net/shards.h"
#include "noise/keys.h"
#include "roles/jd_client/config.h"
#include "roles/jd_client/server.h"
#include "template/source.h"

namespace adit::jd_client {

/// The source of templates that the configuration names. `shard` and `iroh` as config::SourcePlace. Errors: those of
/// config::make_source.
Result<std::unique_ptr<templates::TemplateSource>> make_source(const JdClientConfig& config, net::Shard& shard,
                                                               net::IrohCarrier* iroh);

/// Everything but the carriers, which the caller has.
ServerOptions server_options(const JdClientConfig& config, const noise::AuthorityKeyPair& authority);

}  // namespace adit::jd_client
