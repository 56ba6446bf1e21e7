// What stops a role from starting on this machine, found without starting it: addresses, folders and files, each asked for as
// the start itself would.
#pragma once

#include <string>
#include <vector>

#include "config/document.h"
#include "roles/pool/config.h"
#include "roles/template/config.h"
#include "roles/translator/config.h"

namespace adit::cli {

/// Appends to `findings` what would stop `adit pool` with that configuration, which is valid, as blockers, and what it would
/// wait for as warnings. `file` is the configuration's, for where. Nothing is made or changed; addresses are listened on for a
/// moment.
void look_at_start(const pool::PoolConfig& config, const std::string& file, std::vector<config::Finding>& findings);

/// The same for `adit template`.
void look_at_start(const provider::ProviderConfig& config, const std::string& file, std::vector<config::Finding>& findings);

/// The same for `adit translator`.
void look_at_start(const translator::TranslatorConfig& config, const std::string& file, std::vector<config::Finding>& findings);

}  // namespace adit::cli
