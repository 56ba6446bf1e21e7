// `adit check`: reads a configuration as its role would, and says what it thinks of it.
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "cli/any_config.h"
#include "cli/command.h"
#include "cli/start_checks.h"
#include "net/error.h"
#ifdef ADIT_HAS_IROH
#include "cli/relay_config.h"
#endif

namespace adit::cli {
namespace {

using config::Finding;
using config::Severity;

struct Options {
  std::string file;
  std::string role;
};

void print(const Finding& finding) {
  if (finding.severity == Severity::kError) {
    std::printf("%s\n", finding.text().c_str());
  } else {
    std::printf("%s: %s: %s\n", finding.where.c_str(), std::string(to_string(finding.severity)).c_str(),
                finding.message.c_str());
  }
}

std::string count(const std::vector<Finding>& findings, Severity severity, const char* one, const char* many) {
  const auto number = std::ranges::count(findings, severity, &Finding::severity);
  return number == 0 ? "" : "; " + std::to_string(number) + " " + (number == 1 ? one : many);
}

/// Whether the keys are those of `adit relay`, whose file holds its options.
bool is_for_relay(const Options& options) {
  if (!options.role.empty()) return options.role == "relay";
  auto document = config::Document::open(options.file, "ADIT_CHECK", {});
  if (!document.readable()) return false;
  const config::Table root = document.root();
  return std::ranges::any_of(std::array{"http", "https", "quic", "cert-file", "max-clients"},
                             [&root](const char* key) { return root.has(key); });
}

#ifdef ADIT_HAS_IROH
int check_relay(const std::string& file) {
  const auto loaded = load_relay(file, /*is_all=*/true);
  for (const Finding& finding : loaded.findings) print(finding);
  std::printf("%s: %s for `adit relay`\n", file.c_str(), loaded.valid() ? "valid" : "not valid");
  return loaded.valid() ? kOk : kUsage;
}
#else
int check_relay(const std::string&) {
  return give_up("check", Error(net::Errc::kUnsupported, "this build of adit has no iroh, and so no relay"), kUsage);
}
#endif

int run(const Options& options) {
  if (is_for_relay(options)) return check_relay(options.file);
  AnyLoaded loaded = load_any(options.file, options.role, config::environment_of_process());
  std::vector<Finding>& findings = loaded.findings;
  const std::string& role = loaded.role;
  const bool valid = loaded.valid();
  if (valid) std::visit([&](const auto& config) { look_at_start(config, options.file, findings); }, loaded.config);
  for (const Finding& finding : findings) print(finding);
  if (!valid) {
    if (role.empty()) return kUsage;
    std::printf("%s: not valid for `adit %s`\n", options.file.c_str(), role.c_str());
    return kUsage;
  }
  std::printf("%s: valid for `adit %s`%s%s%s\n", options.file.c_str(), role.c_str(),
              count(findings, Severity::kBlocker, "thing stops the start", "things stop the start").c_str(),
              count(findings, Severity::kNotYet, "key has no effect yet", "keys have no effect yet").c_str(),
              count(findings, Severity::kWarning, "warning", "warnings").c_str());
  return kOk;
}

}  // namespace

Command add_check(CLI::App& app) {
  auto* check = app.add_subcommand("check", "Check a configuration file without starting anything");
  auto options = std::make_shared<Options>();
  check->add_option("-c,--config,FILE", options->file, "Configuration file")->required();
  check->add_option("--role", options->role, "Whose configuration it is, if its keys do not tell")
      ->check(CLI::IsMember({"pool", "jd-server", "template", "translator", "jd-client", "relay"}));
  check->footer("Exit code 0: the file is valid, even if something it lists stops the role's start. 2: it is not.");
  return {check, [options](const Global&) { return run(*options); }};
}

}  // namespace adit::cli
