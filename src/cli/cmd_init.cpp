// `adit init ROLE`: a configuration file, of five answers.
#include <CLI/Option.hpp>

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/file.h"
#include "cli/command.h"
#include "cli/find_node.h"
#include "cli/made_config.h"
#include "cli/questions.h"
#include "config/common.h"
#include "config/keys.h"
#include "config/source.h"
#include "roles/jd_client/config.h"
#include "roles/pool/config.h"
#include "roles/template/config.h"
#include "roles/translator/config.h"
#include "upstream/url.h"

namespace adit::cli {
namespace {

namespace fs = std::filesystem;
using config::toml_text;

/// The question that an option answers, which is its help as well.
std::string text_of(std::string_view option) {
  static const std::map<std::string_view, const char*> all = {
      {"--address", "A Bitcoin address of yours, which blocks pay"},
      {"--node", "Where work comes from: embedded, unix:PATH, http://HOST:PORT or a template provider's URL"},
      {"--listen", "IP:PORT where clients connect"},
      {"--relay", "Reachable over iroh: off, none (without a relay), n0, or a relay's URL"},
      {"--monitoring", "IP:PORT of the page"},
      {"--url", "The pool's URL, as it prints it (stratum2+...)"},
      {"--pool-url", "The pool's URL, as it prints it (stratum2+...)"},
      {"--jds-url", "The URL of the pool's job declarator"},
      {"--user", "The user identity at the pool"},
      {"--hash-rate", "Hashes per second of the weakest miner, about"},
      {"--network", "mainnet, testnet4, signet or regtest"},
      {"--http", "IP:PORT of plain HTTP"},
      {"--https", "IP:PORT of HTTPS, or none"},
      {"--cert-file", "PEM file of the certificate's chain"},
      {"--key-file", "PEM file of its private key"},
      {"--quic", "UDP IP:PORT that tells clients their address"},
  };
  return all.at(option);
}

/// What one run of the command knows.
struct Asking {
  std::map<std::string, std::string> given;  ///< By option; empty: it was not given.
  std::istream* terminal = nullptr;
  std::string file;

  /// `check`: as Question's.
  [[nodiscard]] Result<std::string> ask(const char* option, std::optional<std::string> fallback = std::nullopt,
                                        Result<> (*check)(const std::string&) = nullptr) const {
    const auto found = given.find(option);
    return answer({option, text_of(option), std::move(fallback), check}, found == given.end() ? "" : found->second, terminal,
                  std::cerr);
  }
  /// A file beside the configuration, by its whole path.
  [[nodiscard]] std::string beside(const char* name) const {
    return (fs::absolute(file).lexically_normal().parent_path() / name).string();
  }
};

/// [template_provider_type] for the node that is found, or the one that the person names. `networks`: that may be meant, the
/// likeliest first.
Result<std::string> ask_source(const Asking& asking, const std::vector<bitcoin::Network>& networks) {
  const auto found = find_node(networks, usual_node_folders(), 0).found;
  const std::string usual = networks.front() == bitcoin::Network::kRegtest
                                ? "embedded"
                                : "http://127.0.0.1:" + std::to_string(config::default_rpc_port(networks.front()));
  ADIT_TRY(const std::string node, asking.ask("--node", found ? node_text(*found) : usual));
  if (found && node == node_text(*found)) return source_toml(*found);
  return source_toml(node, networks.front());
}

Result<std::string> make_pool(const Asking& asking) {
  ADIT_TRY(const std::string address, asking.ask("--address"));
  ADIT_TRY(const auto networks, networks_of(address));
  ADIT_TRY(const std::string source, ask_source(asking, networks));
  ADIT_TRY(const std::string listen, asking.ask("--listen", "0.0.0.0:3333"));
  ADIT_TRY(const std::string relay, asking.ask("--relay", "none"));
  ADIT_TRY(const std::string iroh, iroh_toml(relay));
  ADIT_TRY(const std::string monitoring, asking.ask("--monitoring", "127.0.0.1:9090"));
  return "listen_address = " + toml_text(listen) + "\nsv1 = true  # Stratum V1 miners come to the same port\n" +
         "authority_secret_key_file = " + toml_text(asking.beside("authority.key")) +
         "\ncoinbase_reward_script = " + toml_text("addr(" + address + ")") +
         "\nmonitoring_address = " + toml_text(monitoring) + "\n\n" + source + "\n" + iroh;
}

Result<std::string> make_translator(const Asking& asking) {
  TranslatorAnswers answers;
  ADIT_TRY(answers.url, asking.ask("--url"));
  ADIT_TRY(answers.user, asking.ask("--user"));
  ADIT_TRY(answers.listen, asking.ask("--listen", "0.0.0.0:34255"));
  ADIT_TRY(answers.hash_rate, asking.ask("--hash-rate", answers.hash_rate, check_hash_rate));
  ADIT_TRY(answers.monitoring, asking.ask("--monitoring", "127.0.0.1:9092"));
  return translator_toml(answers);
}

Result<std::string> make_jd_client(const Asking& asking) {
  ADIT_TRY(const std::string pool, asking.ask("--pool-url"));
  // Over iroh one endpoint serves both.
  const bool is_iroh = upstream::scheme_of(pool) == "stratum2+iroh";
  ADIT_TRY(const std::string declarator, asking.ask("--jds-url", is_iroh ? std::optional(pool) : std::nullopt));
  ADIT_TRY(const std::string user, asking.ask("--user"));
  ADIT_TRY(const std::string address, asking.ask("--address"));
  ADIT_TRY(const auto networks, networks_of(address));
  ADIT_TRY(const std::string source, ask_source(asking, networks));
  std::string iroh;
  if (const auto peer = upstream::parse_url(pool); peer) {
    const auto* over = std::get_if<net::IrohConfig>(&peer->transport);
    if (over != nullptr) iroh = "\n[iroh]\nlisten = false\nrelay = " + toml_text(over->relay_url.value_or("none")) + "\n";
  }
  return "listening_address = \"0.0.0.0:34265\"\nsv1 = true  # Stratum V1 miners come to the same port\n"
         "mode = \"FULLTEMPLATE\"\nauthority_secret_key_file = " +
         toml_text(asking.beside("authority.key")) + "\ncoinbase_reward_script = " + toml_text("addr(" + address + ")") +
         "\nmonitoring_address = \"127.0.0.1:9091\"\n\n" + source + "\n[[upstreams]]\npool_url = " + toml_text(pool) +
         "\njds_url = " + toml_text(declarator) + "\nuser_identity = " + toml_text(user) + "\n" + iroh;
}

Result<std::string> make_template(const Asking& asking) {
  using enum bitcoin::Network;
  ADIT_TRY(const std::string name, asking.ask("--network", "mainnet"));
  const auto network = bitcoin::network_from_name(name);
  if (!network) return fail(MakeErrc::kWrong, "--network is mainnet, testnet4, signet or regtest, not \"" + name + "\"");
  ADIT_TRY(const std::string source, ask_source(asking, {*network}));
  ADIT_TRY(const std::string listen, asking.ask("--listen", "0.0.0.0:8442"));
  ADIT_TRY(const std::string relay, asking.ask("--relay", "none"));
  ADIT_TRY(const std::string iroh, iroh_toml(relay));
  ADIT_TRY(const std::string monitoring, asking.ask("--monitoring", "127.0.0.1:9093"));
  return "listen_address = " + toml_text(listen) +
         "\nauthority_secret_key_file = " + toml_text(asking.beside("authority.key")) +
         "\nmonitoring_address = " + toml_text(monitoring) + "\n\n" + source + "\n" + iroh;
}

Result<std::string> make_relay(const Asking& asking) {
  ADIT_TRY(const std::string http, asking.ask("--http", "0.0.0.0:80"));
  ADIT_TRY(const std::string https, asking.ask("--https", "0.0.0.0:443"));
  std::string text = "http = " + toml_text(http) + "\n";
  if (https == "none") return text;
  ADIT_TRY(const std::string chain, asking.ask("--cert-file", "relay.pem"));
  ADIT_TRY(const std::string key, asking.ask("--key-file", "relay.key"));
  ADIT_TRY(const std::string quic, asking.ask("--quic", "0.0.0.0:7842"));
  return text + "https = " + toml_text(https) + "\ncert-file = " + toml_text(chain) + "\nkey-file = " + toml_text(key) +
         "\nquic = " + toml_text(quic) + "\n";
}

struct Role {
  const char* name;
  const char* file;                            ///< Where it is written by default: where the role looks for it.
  bool proves_itself;                          ///< It has an authority key.
  std::vector<const char*> options;            ///< That answer its questions.
  Result<std::string> (*make)(const Asking&);  ///< Errors: MakeErrc; of the address.
  std::vector<config::Finding> (*judge)(const std::string& text, const std::string& file);
};

template <class Parse>
std::vector<config::Finding> judge_by(Parse parse, const std::string& text, const std::string& file) {
  return parse(text, file, config::Environment()).findings;
}

const std::vector<Role>& roles() {
  static const std::vector<Role> all = {
      {"pool",
       "pool-config.toml",
       true,
       {"--address", "--node", "--listen", "--relay", "--monitoring"},
       make_pool,
       [](const auto& text, const auto& file) { return judge_by(pool::parse_config, text, file); }},
      {"translator",
       "tproxy-config.toml",
       false,
       {"--url", "--user", "--listen", "--hash-rate", "--monitoring"},
       make_translator,
       [](const auto& text, const auto& file) { return judge_by(translator::parse_config, text, file); }},
      {"jd-client",
       "jdc-config.toml",
       true,
       {"--pool-url", "--jds-url", "--user", "--address", "--node"},
       make_jd_client,
       [](const auto& text, const auto& file) { return judge_by(jd_client::parse_config, text, file); }},
      {"template",
       "template-config.toml",
       true,
       {"--network", "--node", "--listen", "--relay", "--monitoring"},
       make_template,
       [](const auto& text, const auto& file) { return judge_by(provider::parse_config, text, file); }},
      {"relay",
       "relay.toml",
       false,
       {"--http", "--https", "--cert-file", "--key-file", "--quic"},
       make_relay,
       [](const auto&, const auto&) { return std::vector<config::Finding>(); }},
  };
  return all;
}

int run(const Role& role, const Asking& asking) {
  std::error_code error;
  const auto refuse = [](const std::string& message) {
    std::fprintf(stderr, "adit init: %s\n", message.c_str());
    return kUsage;
  };
  if (fs::exists(asking.file, error))
    return refuse(asking.file + " is there already, and is left as it is: name another file by --out");
  auto text = role.make(asking);
  if (!text) return give_up("init", text.error(), kUsage);
  // Of the unit in the package, which keeps its state there: named, so that whoever runs `adit url` finds its key.
  const bool is_packages = fs::absolute(asking.file).lexically_normal() == "/etc/adit/" + std::string(role.file);
  if (is_packages && role.name != std::string_view("relay"))
    text->insert(0, "data_dir = " + toml_text("/var/lib/adit/" + std::string(role.name)) + "\n");
  const auto findings = role.judge(*text, asking.file);
  for (const auto& finding : findings) std::fprintf(stderr, "%s\n", finding.text().c_str());
  if (config::has(findings, config::Severity::kError)) return refuse("nothing was written: answer differently");
  const std::string key = asking.beside("authority.key");
  if (role.proves_itself && !fs::exists(key, error)) {
    const auto pair = noise::AuthorityKeyPair::generate(noise::system_random());
    if (const auto made = config::write_authority_key(key, pair.secret(), false); !made)
      return give_up("init", made.error(), kFailure);
    std::printf("%s is the key that proves this %s: keep it, and keep it secret.\n", key.c_str(), role.name);
  }
  const std::string all = "# Made by `adit init " + std::string(role.name) + "`.\n" + *text;
  if (const auto written = write_atomically(FileSystem::real(), asking.file, all, AtomicFile::Replace::kNo); !written)
    return refuse(describe_file_error(asking.file, "written", written.error()));
  std::printf("%s is written. Next:\n  adit check -c %s\n", asking.file.c_str(), asking.file.c_str());
  if (is_packages) {
    std::printf("  systemctl enable --now adit-%s\n", role.name);
  } else {
    std::printf("  adit %s -c %s\n", role.name, asking.file.c_str());
  }
  return kOk;
}

}  // namespace

Command add_init(CLI::App& app) {
  auto* init = app.add_subcommand("init", "Write a role's configuration file, from the answers to five questions");
  init->require_subcommand(1);
  init->footer("What no option answers is asked for on a terminal. Elsewhere it has its default, or is an error.");
  auto asking = std::make_shared<Asking>();
  std::vector<std::pair<CLI::App*, const Role*>> commands;
  for (const Role& role : roles()) {
    auto* command = init->add_subcommand(role.name, std::string("For `adit ") + role.name + "`");
    for (const char* const option : role.options) command->add_option(option, asking->given[option], text_of(option));
    command->add_option("--out", asking->file, std::string("File to write; must not exist. Default: ") + role.file);
    commands.emplace_back(command, &role);
  }
  return {init, [commands, asking](const Global&) {
            if (::isatty(STDIN_FILENO) != 0) asking->terminal = &std::cin;
            for (const auto& [command, role] : commands) {
              if (!command->parsed()) continue;
              if (asking->file.empty()) asking->file = role->file;
              return run(*role, *asking);
            }
            return kUsage;
          }};
}

}  // namespace adit::cli
