// `adit solo`: a pool for its owner's miners alone, without a configuration file.
#include <CLI/Option.hpp>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "base/file.h"
#include "bitcoin/address.h"
#include "cli/any_config.h"
#include "cli/command.h"
#include "cli/find_node.h"
#include "cli/made_config.h"
#include "cli/run_role.h"
#include "cli/serve.h"
#include "config/common.h"
#include "config/document.h"
#include "config/keys.h"
#include "roles/pool/config.h"

namespace adit::cli {
namespace {

constexpr std::string_view kName = "solo";

struct Options {
  std::string address;
  bool demo = false;
  bool by_user = false;
  std::uint16_t port = 3333;
  std::string monitoring = "127.0.0.1:9090";
  std::string node_folder;
  std::uint16_t rpc_port = 0;
  std::string data_dir;
  std::string log_file;
  bool print_config = false;
};

std::string config_for(const Options& options, const std::string& data_dir, const std::string& source) {
  std::string text = "# Made by `adit solo`.\n";
  text += "listen_address = \"0.0.0.0:" + std::to_string(options.port) + "\"\n";
  text += "sv1 = true  # Stratum V1 miners come to the same port\n";
  text += "authority_secret_key_file = " + config::toml_text(data_dir + "/authority.key") + "\n";
  text += "coinbase_reward_script = " + config::toml_text("addr(" + options.address + ")") + "\n";
  text += std::string("pay_by_identity = ") + (options.by_user ? "true" : "false") +
          "  # true: a miner whose user name is an address is paid by that\n";
  text += "pool_signature = \"adit solo\"\n";
  text += "data_dir = " + config::toml_text(data_dir) + "\n";
  text += "monitoring_address = " + config::toml_text(options.monitoring) + "\n";
  return text + source;
}

Result<> make_authority(const std::string& file) {
  std::error_code failed;
  if (std::filesystem::exists(file, failed)) return {};
  return config::write_authority_key(file, noise::AuthorityKeyPair::generate(noise::system_random()).secret(), false);
}

/// Says on standard error why there is no node, and what to do.
int no_node(const std::vector<bitcoin::Network>& networks, const std::vector<std::string>& folders, const NodeSearch& search) {
  std::string names;
  for (const bitcoin::Network network : networks)
    names += (names.empty() ? "" : " or ") + std::string(bitcoin::network_name(network));
  std::fprintf(stderr, "adit solo: no Bitcoin node of %s answers on this machine.\n", names.c_str());
  for (const std::string& obstacle : search.obstacles) std::fprintf(stderr, "  %s.\n", obstacle.c_str());
  if (search.obstacles.empty()) {
    std::fprintf(stderr, "  There is none in");
    for (const std::string& folder : folders) std::fprintf(stderr, " %s", folder.c_str());
    std::fprintf(stderr, ".\n");
  }
  std::fprintf(
      stderr,
      "Start Bitcoin Core on this machine, name its data directory by --node-folder, or try it without a node: adit solo "
      "--demo ADDRESS\n");
  return kFailure;
}

int run(const Global& global, const Options& options) {
  const auto networks = networks_of(options.address);
  if (!networks) return give_up(kName, networks.error(), kUsage);
  const std::string data_dir = options.data_dir.empty() ? config::default_data_dir(kName) : options.data_dir;
  if (data_dir.empty())
    return give_up(kName, Error(config::KeyErrc::kUnwritable, "HOME is not set: name a folder by --data-dir"), kUsage);

  std::string source = "[template_provider_type.Embedded]\n";
  std::string work = "a chain of its own in this process, whose coins are worth nothing";
  if (!options.demo) {
    const auto folders = options.node_folder.empty() ? usual_node_folders() : std::vector{options.node_folder};
    const NodeSearch search = find_node(*networks, folders, options.rpc_port);
    if (!search.found) return no_node(*networks, folders, search);
    source = source_toml(*search.found);
    work = "the Bitcoin node on " + std::string(bitcoin::network_name(search.found->network)) + " at " +
           (search.found->socket.empty() ? "127.0.0.1:" + std::to_string(search.found->rpc_port) : search.found->socket);
  }
  const std::string text = config_for(options, data_dir, source);
  if (options.print_config) {
    std::fputs(text.c_str(), stdout);
    return kOk;
  }
  if (auto made = make_data_dir(data_dir); !made) return give_up(kName, made.error(), kFailure);
  if (auto made = make_authority(data_dir + "/authority.key"); !made) return give_up(kName, made.error(), kFailure);
  // For `adit url` and `adit doctor`.
  const std::string file = solo_config_file(data_dir);
  if (const auto kept = write_atomically(FileSystem::real(), file, text, AtomicFile::Replace::kYes); !kept)
    return give_up(kName, Error(config::KeyErrc::kUnwritable, describe_file_error(file, "written", kept.error())), kFailure);
  if (global.log.format == log::Format::kLogfmt) {
    std::printf("Work comes from %s.\nBlocks pay %s%s.\n", work.c_str(), options.address.c_str(),
                options.by_user ? ", or the miner whose user name is an address" : ", whatever the miners' user names are");
    std::printf("The page is http://%s/\n", options.monitoring.c_str());
    std::fflush(stdout);
  }
  return run_pool(global, pool::parse_config(text, "adit solo", config::environment_of_process()), options.log_file);
}

}  // namespace

Command add_solo(CLI::App& app) {
  auto* solo =
      app.add_subcommand("solo", "Your miners on your own node: a pool that pays one address, without a configuration file");
  auto options = std::make_shared<Options>();
  solo->add_option("ADDRESS", options->address, "Whom blocks pay")->required();
  solo->add_flag("--demo", options->demo, "Mine on a chain in this process, without a node");
  solo->add_flag("--by-user", options->by_user, "Pay a miner whose user name is an address by that address");
  solo->add_option("--port", options->port, "Where miners connect, over Stratum V1 and V2")->capture_default_str();
  solo->add_option("--monitoring", options->monitoring, "IP:PORT of the page")->capture_default_str();
  solo->add_option("--node-folder", options->node_folder, "Bitcoin Core's data directory; else the usual ones are looked at");
  solo->add_option("--rpc-port", options->rpc_port, "Port of the node's JSON-RPC, if it is not its network's");
  solo->add_option("--data-dir", options->data_dir, "Where keys, found blocks and the page's history are kept");
  solo->add_option("-f,--log-file", options->log_file, "Write the log to this file too");
  solo->add_flag("--print-config", options->print_config, "Print this as a configuration file for `adit pool`, and end");
  return {solo, [options](const Global& global) { return run(global, *options); }};
}

}  // namespace adit::cli
