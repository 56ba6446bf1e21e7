// What a configuration means to the pool's server and its source of templates.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "noise/keys.h"
#include "roles/pool/config.h"
#include "roles/pool/server.h"
#include "template/embedded.h"
#include "template/source.h"

namespace adit::pool {

/// Where found blocks are kept until a node has answered.
std::string journal_folder(const PoolConfig& config);

/// What a configuration means to the chain in this process.
templates::EmbeddedSource::Options options_of(const EmbeddedSource& source);

/// The source that `config` names, not started. `config` has no blocker (config::may_start), so its source is one that is here.
/// Errors: those of config::read_secret_file, of `password_file`.
Result<std::unique_ptr<templates::TemplateSource>> make_source(const PoolConfig& config);

/// Everything but the carrier, which the caller has.
ServerOptions server_options(const PoolConfig& config, const noise::AuthorityKeyPair& authority);

}  // namespace adit::pool
