// `adit check`: reads a configuration as its role would, and says what it thinks of it.
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/start_checks.h"
#include "roles/pool/config.h"
#include "roles/template/config.h"
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
  // A pool's file has all keys of a template provider's but one, and more.
  const bool gives_work = any({"template_provider_type", "authority_secret_key", "authority_secret_key_file"});
  const bool provider = any({"max_constraint_classes"});
  const bool pool = any({"coinbase_reward_script", "pool_signature", "shares_per_minute", "share_batch_size", "server_id",
                         "min_difficulty", "stale_work_secs", "jds"});
  const bool translator = any({"downstream_address", "downstream_port", "downstream_difficulty_config", "upstreams"});
  if (pool + provider + translator > 1 || (translator && gives_work)) return "";
  if (translator) return "translator";
  if (pool) return "pool";
  return gives_work || provider ? "template" : "";
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
      std::fprintf(stderr, "adit check: %s could be the configuration of several roles, or of none: say which by --role\n",
                   options.file.c_str());
      return kUsage;
    }
    for (const Finding& finding : document.finish()) print(finding);
    return kUsage;
  }
  const auto look = [&](auto loaded) {
    valid = loaded.valid();
    findings = std::move(loaded.findings);
    if (valid) look_at_start(loaded.config, options.file, findings);
  };
  if (role == "pool") {
    look(pool::load_config(options.file, environment));
  } else if (role == "template") {
    look(provider::load_config(options.file, environment));
  } else {
    look(translator::load_config(options.file, environment));
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
      ->check(CLI::IsMember({"pool", "template", "translator"}));
  check->footer("Exit code 0: the file is valid, even if something it lists stops the role's start. 2: it is not.");
  return {check, [options](const Global&) { return run(*options); }};
}

}  // namespace adit::cli
