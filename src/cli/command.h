// What the subcommands of `adit` share. Each stands in a file of its own, cmd_NAME.cpp.
#pragma once

#include <CLI/App.hpp>

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/document.h"
#include "log/log.h"

namespace adit::cli {

/// Exit codes of every subcommand.
inline constexpr int kOk = 0;
inline constexpr int kFailure = 1;
inline constexpr int kUsage = 2;  ///< Wrong options, or a configuration that cannot work.

/// The exit code of a command that `error` ended: kUsage if only the operator can mend it, else kFailure.
inline int exit_code_of(const Error& error) { return error.is_usage() ? kUsage : kFailure; }

/// Options that stand before the subcommand.
struct Global {
  std::string program;  ///< Path of this binary.
  log::Options log;     ///< Its file is the subcommand's to set.
};

/// A subcommand that was added to the application. `run` is called after parsing, if it was given.
struct Command {
  CLI::App* app = nullptr;
  std::function<int(const Global&)> run;
};

Command add_solo(CLI::App& app);
Command add_pool(CLI::App& app);
Command add_jd_server(CLI::App& app);
Command add_template(CLI::App& app);
Command add_translator(CLI::App& app);
Command add_jd_client(CLI::App& app);
Command add_miner(CLI::App& app);
Command add_load(CLI::App& app);
Command add_demo(CLI::App& app);
Command add_relay(CLI::App& app);  ///< Empty in a build without iroh.
Command add_keys(CLI::App& app);
Command add_check(CLI::App& app);
Command add_ping(CLI::App& app);
Command add_doctor(CLI::App& app);
Command add_health(CLI::App& app);
Command add_url(CLI::App& app);
Command add_init(CLI::App& app);
Command add_completion(CLI::App& app);  ///< Not listed; prints what `app` has. `app` outlives it.
Command add_man(CLI::App& app);         ///< The same.

/// All of these, in the order in which they are listed.
std::vector<Command> add_all(CLI::App& app);

/// Prints "adit NAME: message" to standard error and returns `code`.
int give_up(std::string_view name, const Error& error, int code);

/// Configures the log with `file` in place of the global options' (empty: none).
Result<> start_log(const Global& global, const std::string& file);

/// Prints to standard error what stops a role from starting with these findings, and returns false if there is something.
bool may_start(const std::vector<config::Finding>& findings);

/// Logs what may_start() lets pass: warnings, and keys without effect.
void log_findings(const std::vector<config::Finding>& findings);

}  // namespace adit::cli
