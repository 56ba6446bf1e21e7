// What stops a role from starting on this machine, found without starting it: addresses, folders and files, each asked for as
// the start itself would.
#pragma once

#include <string>
#include <vector>

#include "config/document.h"
#include "roles/jd_client/config.h"
#include "roles/pool/config.h"
#include "roles/template/config.h"
#include "roles/translator/config.h"

namespace adit::cli {

/// What is looked at.
enum class StartScope {
  kAll,
  kKeysAndFiles,  ///< Nothing that a role which runs holds (addresses, locks), and no node.
};

/// Appends to `findings` what would stop `adit pool` with that configuration, which is valid, as blockers, and what it would
/// wait for as warnings. `file` is the configuration's, for where. Nothing is made or changed; addresses are listened on for a
/// moment.
void look_at_start(const pool::PoolConfig& config, const std::string& file, std::vector<config::Finding>& findings,
                   StartScope scope = StartScope::kAll);

/// The same for `adit template`.
void look_at_start(const provider::ProviderConfig& config, const std::string& file, std::vector<config::Finding>& findings,
                   StartScope scope = StartScope::kAll);

/// The same for `adit jd-client`.
void look_at_start(const jd_client::JdClientConfig& config, const std::string& file, std::vector<config::Finding>& findings,
                   StartScope scope = StartScope::kAll);

/// The same for `adit translator`.
void look_at_start(const translator::TranslatorConfig& config, const std::string& file, std::vector<config::Finding>& findings,
                   StartScope scope = StartScope::kAll);

}  // namespace adit::cli
