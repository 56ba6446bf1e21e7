// `adit check`: reads a configuration as its role would, and says what it thinks of it.
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "config/keys.h"
#ifdef ADIT_HAS_IPC
#include "ipc/node.h"
#endif
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

void add_blocker(std::vector<Finding>& findings, const std::string& file, std::string message) {
  findings.push_back({Severity::kBlocker, file, std::move(message)});
}

// Whether the node can be reached by IPC now. One that is away is waited for; what only an operator can mend stops the start.
void look_at_socket(const pool::BitcoinIpcNode& node, const std::string& file, std::vector<Finding>& findings) {
#ifdef ADIT_HAS_IPC
  const auto looked = ipc::look_at_socket(node.socket);
  if (looked) return;
  if (looked.error().is(ipc::Errc::kNoSocket) || looked.error().is(ipc::Errc::kNotListening)) {
    findings.push_back({Severity::kWarning, file, "the pool would wait for its node: " + looked.error().message()});
  } else {
    add_blocker(findings, file, looked.error().message());
  }
#else
  add_blocker(findings, file,
              "this build of adit has no IPC (ADIT_IPC=OFF), and the node at " + node.socket +
                  " is to be reached by it: use another build, "
                  "or [template_provider_type.BitcoinRpc]");
#endif
}

// What a configuration's own reader does not look at: the files it names, and what this build can do.
void look_at_files(const pool::PoolConfig& config, const std::string& file, std::vector<Finding>& findings) {
  // One that stands in the configuration itself was judged with it.
  if (!config.authority_secret_key_file.empty()) {
    if (const auto authority = pool::load_authority(config); !authority)
      add_blocker(findings, file, authority.error().message());
  }
  const auto look_at_password = [&](const pool::BitcoinRpcNode& node) {
    if (node.password_file.empty()) return;
    if (const auto password = config::read_secret_file(node.password_file); !password)
      add_blocker(findings, file, password.error().message());
  };
  const auto look_at_further = [&](const std::vector<pool::FurtherNode>& further) {
    for (const pool::FurtherNode& node : further) {
      if (const auto* rpc = std::get_if<pool::BitcoinRpcNode>(&node)) look_at_password(*rpc);
      if (const auto* ipc = std::get_if<pool::BitcoinIpcNode>(&node)) look_at_socket(*ipc, file, findings);
    }
  };
  if (const auto* rpc = std::get_if<pool::BitcoinRpcSource>(&config.source)) {
    look_at_password(*rpc);
    look_at_further(rpc->further);
  } else if (const auto* ipc = std::get_if<pool::BitcoinIpcSource>(&config.source)) {
    look_at_socket(*ipc, file, findings);
    look_at_further(ipc->further);
  }
}

void look_at_iroh(const config::IrohSettings& iroh, const std::string& file, std::vector<Finding>& findings) {
  if (!iroh.enabled) return;
#ifndef ADIT_HAS_IROH
  add_blocker(
      findings, file,
      "this build of adit has no iroh (ADIT_IROH=OFF): remove [iroh] and the upstreams over iroh, or use another build");
#endif
  if (iroh.secret_key_file.empty()) return;
  if (const auto key = config::read_node_key(iroh.secret_key_file); !key) add_blocker(findings, file, key.error().message());
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
    if (valid) {
      look_at_files(loaded.config, options.file, findings);
      look_at_iroh(loaded.config.iroh, options.file, findings);
    }
  } else {
    auto loaded = translator::load_config(options.file, environment);
    valid = loaded.valid();
    findings = std::move(loaded.findings);
    if (valid) look_at_iroh(loaded.config.iroh, options.file, findings);
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
