// `adit check`: reads a configuration as its role would, and says what it thinks of it.
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/start_checks.h"
#include "roles/pool/config.h"
#include "roles/translator/config.h"

namespace adit::cli {
namespace {

using config::Finding;
using config::Severity;

struct Options {
  std::string file;
  std::string role;
};

// Tells by the keys that only one of them has; empty if that does not decide.
std::string guess_role(const std::string& file) {
  auto document = config::Document::open(file, "ADIT_CHECK", {});
  if (!document.readable()) return "";
  const config::Table root = document.root();
  const auto any = [&root](std::initializer_list<const char*> keys) {
    return std::ranges::any_of(keys, [&root](const char* key) { return root.has(key); });
  };
  const bool pool = any({"template_provider_type", "coinbase_reward_script", "authority_secret_key",
                         "authority_secret_key_file", "pool_signature"});
  const bool translator = any({"downstream_address", "downstream_port", "downstream_difficulty_config", "upstreams"});
  if (pool == translator) return "";
  return pool ? "pool" : "translator";
}

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

int run(const Options& options) {
  std::string role = options.role.empty() ? guess_role(options.file) : options.role;
  const config::Environment environment = config::environment_of_process();
  std::vector<Finding> findings;
  bool valid = false;
  if (role.empty()) {
    // Which role does not matter to what makes a file unreadable.
    auto document = config::Document::open(options.file, "ADIT_CHECK", {});
    if (document.readable()) {
      std::fprintf(stderr, "adit check: %s could be a pool's or a translator's configuration: say which by --role\n",
                   options.file.c_str());
      return kUsage;
    }
    for (const Finding& finding : document.finish()) print(finding);
    return kUsage;
  }
  if (role == "pool") {
    auto loaded = pool::load_config(options.file, environment);
    valid = loaded.valid();
    findings = std::move(loaded.findings);
    if (valid) look_at_start(loaded.config, options.file, findings);
  } else {
    auto loaded = translator::load_config(options.file, environment);
    valid = loaded.valid();
    findings = std::move(loaded.findings);
    if (valid) look_at_start(loaded.config, options.file, findings);
  }
  for (const Finding& finding : findings) print(finding);
  if (!valid) {
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
      ->check(CLI::IsMember({"pool", "translator"}));
  check->footer("Exit code 0: the file is valid, even if something it lists stops the role's start. 2: it is not.");
  return {check, [options](const Global&) { return run(*options); }};
}

}  // namespace adit::cli
