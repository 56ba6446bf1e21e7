// What stops a role from starting on this machine, found without starting it: addresses, folders and files, each asked for as
// the start itself would.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/document.h"
#include "net/transport_config.h"
#include "roles/jd_client/config.h"
#include "roles/pool/config.h"
#include "roles/template/config.h"
#include "roles/translator/config.h"

namespace adit::cli {

/// What is looked at.
enum class StartScope {
  kAll,
  /// Nothing that a role which runs holds (addresses, locks), no node, and not whether others may read a secret file.
  kKeysAndFiles,
};

/// The TCP addresses where clients of a role connect, by their keys; absent: there is none.
using Listeners = std::vector<std::pair<std::string_view, std::optional<net::TcpConfig>>>;
Listeners listeners_of(const pool::PoolConfig& config);
Listeners listeners_of(const provider::ProviderConfig& config);
Listeners listeners_of(const jd_client::JdClientConfig& config);
Listeners listeners_of(const translator::TranslatorConfig& config);

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
