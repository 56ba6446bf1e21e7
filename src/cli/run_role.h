// Roles that run by a configuration, whoever made it: a file, or a command's options.
#pragma once

#include <string>

#include "cli/command.h"
#include "config/common.h"
#include "roles/pool/config.h"
#include "roles/translator/config.h"

namespace adit::cli {

/// Runs a pool until a signal, and returns the exit code. Prints what stops it from starting. `log_file`: of the option; empty:
/// the configuration's.
int run_pool(const Global& global, const config::Loaded<pool::PoolConfig>& loaded, const std::string& log_file);

/// The same for a translator.
int run_translator(const Global& global, const config::Loaded<translator::TranslatorConfig>& loaded,
                   const std::string& log_file);

}  // namespace adit::cli
