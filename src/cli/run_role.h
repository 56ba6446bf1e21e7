// Roles that run by a configuration, whoever made it: a file, or a command's options.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "cli/command.h"
#include "cli/serve.h"
#include "config/common.h"
#include "roles/pool/config.h"
#include "roles/translator/config.h"

namespace adit::cli {

/// What comes before `serve(global, config, authority)` for a role that proves itself by an authority's key and keeps a folder:
/// prints what stops it from starting, makes the folder and begins the log. `log_file`: of the option. Returns the exit code.
template <class Config, class Serve>
int run_server(const Global& global, std::string_view name, const config::Loaded<Config>& loaded, const std::string& log_file,
               const std::string& log_configured, Serve serve) {
  if (!may_start(loaded.findings)) return kUsage;
  const auto authority = load_authority(loaded.config);
  if (!authority) return give_up(name, authority.error(), exit_code_of(authority.error()));
  if (auto made = make_data_dir(loaded.config.data_dir); !made) return give_up(name, made.error(), kFailure);
  if (auto begun = begin_role(global, log_file, log_configured, loaded.findings); !begun)
    return give_up(name, begun.error(), kUsage);
  return serve(global, loaded.config, *authority);
}

/// Runs a pool until a signal, and returns the exit code. Prints what stops it from starting. `log_file`: of the option; empty:
/// the configuration's.
int run_pool(const Global& global, const config::Loaded<pool::PoolConfig>& loaded, const std::string& log_file);

/// The same for a translator.
int run_translator(const Global& global, const config::Loaded<translator::TranslatorConfig>& loaded,
                   const std::string& log_file);

}  // namespace adit::cli
