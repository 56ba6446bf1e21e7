// The configuration of whichever role a file is for.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/document.h"
#include "roles/jd_client/config.h"
#include "roles/pool/config.h"
#include "roles/template/config.h"
#include "roles/translator/config.h"

namespace adit::cli {

struct AnyLoaded {
  std::string role;  ///< "pool", "jd-server", "template", "translator" or "jd-client"; empty: the file does not tell, or is not
                     ///< readable.
  std::string file;
  std::variant<pool::PoolConfig, provider::ProviderConfig, translator::TranslatorConfig, jd_client::JdClientConfig> config;
  std::vector<config::Finding> findings;  ///< As config::Loaded's.
  /// Whether `config` means something.
  [[nodiscard]] bool valid() const { return !role.empty() && !config::has(findings, config::Severity::kError); }
};

/// Loads `file` as the role would. `role` empty: the role is guessed by the keys that only it has; if they do not decide, an
/// error among the findings says so.
AnyLoaded load_any(const std::string& file, std::string role, const config::Environment& environment);

/// What a role's environment variables begin with: "POOL" for POOL__*.
std::string_view environment_prefix(std::string_view role);

/// The configuration file that a command means that is given none: the first that exists of the default files of the roles, in
/// this folder and in /etc/adit, and of the one that `adit solo` keeps. Empty: there is none.
std::string usual_config_file();

/// Where `adit solo` keeps the configuration that it runs by.
std::string solo_config_file(const std::string& data_dir);

}  // namespace adit::cli
