#include "cli/any_config.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <initializer_list>
#include <system_error>
#include <utility>

#include "config/common.h"

namespace adit::cli {
namespace {

using config::Severity;

/// What variables lie over a file whose role is not known yet: none has this prefix.
constexpr const char* kNoRole = "ADIT_CHECK";

/// Decides by the keys that only one role has; empty if that does not decide.
std::string guess_role(config::Document& document) {
  const config::Table root = document.root();
  const auto any = [&root](std::initializer_list<const char*> keys) {
    return std::ranges::any_of(keys, [&root](const char* key) { return root.has(key); });
  };
  // A pool's file has all keys of a template provider's but one, and more.
  const bool gives_work = any({"template_provider_type", "authority_secret_key", "authority_secret_key_file"});
  const bool declarator_client =
      any({"jdc_signature", "listening_address", "mode", "reserved_downstream_rollable_extranonce_size"});
  if (declarator_client) return "jd-client";
  const bool provider = any({"max_constraint_classes"});
  const bool pool = any({"coinbase_reward_script", "pool_signature", "shares_per_minute", "share_batch_size", "server_id",
                         "min_difficulty", "stale_work_secs", "jds"});
  const bool translator = any({"downstream_address", "downstream_port", "downstream_difficulty_config", "upstreams"});
  if (pool + provider + translator > 1 || (translator && gives_work)) return "";
  if (translator) return "translator";
  if (pool) return "pool";
  return gives_work || provider ? "template" : "";
}

}  // namespace

AnyLoaded load_any(const std::string& file, std::string role, const config::Environment& environment) {
  AnyLoaded out;
  out.file = file;
  if (role.empty()) {
    auto document = config::Document::open(file, kNoRole, {});
    if (!document.readable()) {
      out.findings = document.finish();
      return out;
    }
    role = guess_role(document);
  }
  const auto take = [&out](auto loaded) {
    out.config = std::move(loaded.config);
    out.findings = std::move(loaded.findings);
  };
  if (role == "pool" || role == "jd-server") {
    auto loaded = pool::load_config(file, environment);
    if (role == "jd-server" && !config::has(loaded.findings, Severity::kError))
      loaded.config = pool::for_jd_server(std::move(loaded.config), loaded.findings);
    take(std::move(loaded));
  } else if (role == "jd-client") {
    take(jd_client::load_config(file, environment));
  } else if (role == "template") {
    take(provider::load_config(file, environment));
  } else if (role == "translator") {
    take(translator::load_config(file, environment));
  } else {
    out.findings.push_back(
        {Severity::kError, file, "this could be the configuration of several roles, or of none: say which by --role"});
    return out;
  }
  out.role = std::move(role);
  return out;
}

std::string_view environment_prefix(std::string_view role) {
  if (role == "pool" || role == "jd-server") return "POOL";
  if (role == "jd-client") return "JDC";
  if (role == "template") return "TEMPLATE";
  return role == "translator" ? "TPROXY" : "";
}

std::string solo_config_file(const std::string& data_dir) { return data_dir + "/pool-config.toml"; }

std::string usual_config_file() {
  constexpr std::array kNames = {"pool-config.toml", "jdc-config.toml", "tproxy-config.toml", "template-config.toml"};
  std::error_code error;
  for (const std::string folder : {"", "/etc/adit/"}) {
    for (const char* const name : kNames) {
      if (std::filesystem::exists(folder + name, error)) return folder + name;
    }
  }
  if (const std::string data_dir = config::default_data_dir("solo"); !data_dir.empty()) {
    const std::string file = solo_config_file(data_dir);
    if (std::filesystem::exists(file, error)) return file;
  }
  return "";
}

}  // namespace adit::cli
