// `adit url`: how others reach a role, by its configuration and its keys, whether it runs or not.
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <sys/stat.h>

#include "cli/any_config.h"
#include "cli/command.h"
#include "cli/entrances.h"
#include "config/keys.h"

namespace adit::cli {
namespace {

constexpr std::string_view kName = "url";

struct Options {
  std::string file;
  std::string role;
};

/// The endpoint id that clients dial; absent: none comes over iroh. Errors: those of config::read_node_key.
template <class Config>
Result<std::optional<std::string>> endpoint_id_of(const Config& config) {
  if (!config.iroh.enabled || !config.iroh.node.listens) return std::nullopt;
  const bool is_named = !config.iroh.secret_key_file.empty();
  const std::string file = is_named ? config.iroh.secret_key_file : config.data_dir + "/node.key";
  struct stat info{};
  if (!is_named && ::lstat(file.c_str(), &info) != 0) {
    std::fprintf(stderr, "adit url: %s is made at the first start: there is no URL over iroh before that\n", file.c_str());
    return std::nullopt;
  }
  ADIT_TRY(const noise::Secret key, config::read_node_key(file));
  return config::endpoint_id(key);
}

/// What only the start decides.
template <class Config>
void tell_what_is_open(const Config& config) {
  if (config.listen_address && config.listen_address->port == 0)
    std::fprintf(stderr, "adit url: the configured TCP port is 0: the system chooses one at each start\n");
  if (config.iroh.node.relay_mode == net::IrohRelays::kN0 || config.iroh.node.relays.size() > 1)
    std::fprintf(stderr, "adit url: which relay is used is decided at the start: the URL that the role prints then names it\n");
}

template <class Config>
Result<> print_role(const Config& config, std::string_view intro, const std::vector<net::TcpConfig>& sv1) {
  ADIT_TRY(const auto authority, load_authority(config));
  ADIT_TRY(const auto id, endpoint_id_of(config));
  tell_what_is_open(config);
  print_sv1(sv1);
  print_entrances(intro, configured_entrances(config.listen_address, config.iroh, id, authority.public_key()),
                  authority.public_key());
  return {};
}

/// Of roles that take Stratum V1 at a port of its own, or at that of Stratum V2.
template <class Config>
std::vector<net::TcpConfig> sv1_of(const Config& config) {
  std::vector<net::TcpConfig> sv1;
  if (config.sv1_address) sv1.push_back(*config.sv1_address);
  if (config.sv1) sv1.push_back(*config.listen_address);
  return sv1;
}

Result<> print(const pool::PoolConfig& config) { return print_role(config, kToMiners, sv1_of(config)); }
Result<> print(const jd_client::JdClientConfig& config) { return print_role(config, kToMiners, sv1_of(config)); }
Result<> print(const provider::ProviderConfig& config) { return print_role(config, kToClients, {}); }
Result<> print(const translator::TranslatorConfig& config) {
  print_sv1({config.downstream});
  return {};
}

int run(const Options& options) {
  const std::string file = options.file.empty() ? usual_config_file() : options.file;
  if (file.empty()) {
    std::fprintf(stderr,
                 "adit url: there is no configuration in this folder, in /etc/adit or of `adit solo`: name one by -c\n");
    return kUsage;
  }
  const AnyLoaded loaded = load_any(file, options.role, config::environment_of_process());
  if (!may_start(loaded.findings)) return kUsage;
  // A pool's file may be asked for its declarator alone.
  const auto* const declarator = loaded.role == "jd-server" ? std::get_if<pool::PoolConfig>(&loaded.config) : nullptr;
  const auto printed = declarator != nullptr ? print_role(*declarator, kToDeclarators, {})
                                             : std::visit([](const auto& config) { return print(config); }, loaded.config);
  return printed ? kOk : give_up(kName, printed.error(), exit_code_of(printed.error()));
}

}  // namespace

Command add_url(CLI::App& app) {
  auto* url = app.add_subcommand("url", "Show the URLs and the QR code of a role again, without starting it");
  auto options = std::make_shared<Options>();
  url->add_option("-c,--config", options->file,
                  "Its configuration file; by default the first of pool-config.toml, jdc-config.toml, tproxy-config.toml and "
                  "template-config.toml here or in /etc/adit, else what `adit solo` runs by");
  url->add_option("--role", options->role, "Whose configuration it is, if its keys do not tell")
      ->check(CLI::IsMember({"pool", "jd-server", "template", "translator", "jd-client"}));
  return {url, [options](const Global&) { return run(*options); }};
}

}  // namespace adit::cli
