// `adit`: one binary, one subcommand per role or tool.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <sodium.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/command.h"

namespace {

using namespace adit;

/// Started under the name of one of SRI's programs, `adit` is that role: what starts those can start this one in their place.
std::string_view role_of(std::string_view program) {
  const std::string_view name = program.substr(program.rfind('/') + 1);
  if (name == "pool_sv2") return "pool";
  if (name == "translator_sv2") return "translator";
  if (name == "jd_client_sv2") return "jd-client";
  return {};
}

int run(int argc, char** argv) {
  CLI::App app(
      "Stratum V2 over TCP and over iroh: pool, job declarator server and client, template provider, translator and miner in "
      "one binary",
      "adit");
  app.set_version_flag("--version", "adit " ADIT_VERSION);
  app.require_subcommand(1);
  std::string level = "info";
  std::string format = "logfmt";
  app.add_option("--log-level", level, "trace, debug, info, warn, error or off")->capture_default_str();
  app.add_option("--log-format", format, "logfmt or json")->check(CLI::IsMember({"logfmt", "json"}))->capture_default_str();

  const std::vector<cli::Command> commands = cli::add_all(app);
  if (argc == 1 && role_of(argv[0]).empty()) {
    std::fputs(app.help().c_str(), stderr);
    return cli::kUsage;
  }
  try {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    if (const std::string_view role = role_of(argv[0]); !role.empty()) arguments.insert(arguments.begin(), std::string(role));
    std::ranges::reverse(arguments);  // As CLI11 takes them.
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? cli::kOk : cli::kUsage;
  }

  cli::Global global;
  std::error_code unknown;
  global.program = std::filesystem::read_symlink("/proc/self/exe", unknown).string();
  if (unknown) global.program = argv[0];
  const auto parsed = log::parse_level(level);
  if (!parsed) return cli::give_up("--log-level", parsed.error(), cli::kUsage);
  global.log.level = *parsed;
  global.log.format = format == "json" ? log::Format::kJson : log::Format::kLogfmt;

  for (const cli::Command& command : commands) {
    if (command.app != nullptr && command.app->parsed()) return command.run(global);
  }
  return cli::kUsage;
}

}  // namespace

int main(int argc, char** argv) {
  if (sodium_init() < 0) {
    std::fputs("adit: libsodium cannot be initialised\n", stderr);
    return cli::kFailure;
  }
  int code = cli::kFailure;
  try {
    code = run(argc, argv);
    log::shutdown();
  } catch (const std::exception& error) {
    // Out of memory, or a defect: nothing of ours throws.
    std::fprintf(stderr, "adit: %s\n", error.what());
  }
  return code;
}
