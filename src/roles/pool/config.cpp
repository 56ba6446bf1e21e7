#include "roles/pool/config.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "bitcoin/tx.h"
#include "config/keys.h"

namespace adit::pool {
namespace {

using config::Severity;
using config::Table;

// Sources that can be configured; those that work come first.
constexpr std::string_view kSourcesHere =
    "[template_provider_type.Embedded] (a regtest chain in this process), "
    "[template_provider_type.BitcoinCoreIpc] (the IPC socket of a Bitcoin Core on this machine) and "
    "[template_provider_type.BitcoinRpc] (a Bitcoin node's JSON-RPC)";

// Features of SRI's pool that are not here yet. A key leaves this list with the commit that brings its feature.
constexpr config::NotYet kNotYet[] = {
    {"jds", "the job declaration server is not here yet: the pool starts without it, and job declarators cannot connect"},
};

constexpr std::size_t kMaxSignature = 40;  // A coinbase's script holds 100 bytes: height, tags and extranonce share them.

std::optional<bitcoin::Network> read_network(Table& table, bool required) {
  if (required && !table.require("network", "one of mainnet, testnet4, signet, regtest")) return std::nullopt;
  const auto name = table.text("network");
  if (!name) return std::nullopt;
  const auto network = bitcoin::network_from_name(*name);
  if (!network) {
    table.report(Severity::kError, "network",
                 "`network` must be one of mainnet, testnet4, signet, regtest, not \"" + *name + "\"");
  }
  return network;
}

std::optional<std::uint32_t> read_nbits(Table& table) {
  const auto text = table.text("nbits");
  if (!text) return std::nullopt;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value, 16);
  if (text->size() != 8 || error != std::errc() || end != text->data() + text->size()) {
    table.report(Severity::kError, "nbits",
                 "`nbits` must be 8 hexadecimal digits, such as \"207fffff\", not \"" + *text + "\"");
    return std::nullopt;
  }
  return value;
}

/// A file of Bitcoin Core's in the folder of its network; `data_dir` empty: where it has its data by default, of which
/// `instead`, the key that names the file itself, is told if there is no home folder.
std::string file_of_node(Table& table, const std::string& data_dir, bitcoin::Network network, std::string_view file,
                         std::string_view instead) {
  const std::string_view folder = network == bitcoin::Network::kMainnet ? "" : bitcoin::network_name(network);
  const std::string home = config::home_folder();
  if (data_dir.empty() && home.empty()) {
    table.report(Severity::kBlocker, "data_dir",
                 "HOME is not set, so it is not known where the node has its data: name that folder by `data_dir`, or its " +
                     std::string(file) + " by `" + std::string(instead) + "`");
  }
  const std::string base = data_dir.empty() ? home + "/.bitcoin" : data_dir;
  return (std::filesystem::path(base) / folder / file).string();
}

std::uint16_t default_rpc_port(bitcoin::Network network) {
  switch (network) {
    case bitcoin::Network::kMainnet:
      return 8332;
    case bitcoin::Network::kTestnet4:
      return 48332;
    case bitcoin::Network::kSignet:
      return 38332;
    case bitcoin::Network::kRegtest:
      break;
  }
  return 18443;
}

// http://HOST[:PORT][/]
std::optional<net::TcpConfig> read_rpc_url(Table& table, std::optional<bitcoin::Network> network) {
  if (!table.require("url", "the node's JSON-RPC, such as \"http://127.0.0.1:8332\"")) return std::nullopt;
  const auto url = table.text("url");
  if (!url) return std::nullopt;
  const std::string scheme = upstream::scheme_of(*url);
  std::string rest = scheme == "http" ? url->substr(scheme.size() + 3) : "";
  if (rest.ends_with('/')) rest.pop_back();
  const auto complain = [&](std::string_view what) {
    table.report(Severity::kError, "url", "`url` must be http://HOST:PORT; " + std::string(what));
    return std::nullopt;
  };
  if (scheme.empty()) return complain("http:// is missing before \"" + *url + "\"");
  if (scheme == "https") return complain("the node's JSON-RPC has no TLS: keep it on loopback or in a tunnel");
  if (scheme != "http") return complain("\"" + scheme + "://\" is no node's JSON-RPC");
  if (rest.empty()) return complain("\"" + *url + "\" names no host");
  if (rest.find('@') != std::string::npos) return complain("name the user by `user` and `password_file`");
  if (rest.find('/') != std::string::npos) return complain("mining needs no path behind the port");
  const bool has_port = rest.starts_with('[') ? rest.find("]:") != std::string::npos : rest.find(':') != std::string::npos;
  if (!has_port) rest += ":" + std::to_string(default_rpc_port(network.value_or(bitcoin::Network::kMainnet)));
  auto node = upstream::parse_host_port(rest);
  if (!node) return complain(node.error().message());
  return *node;
}

/// One node: the table of BitcoinRpc, or one of [[nodes]].
BitcoinRpcNode read_rpc(Table& table, std::optional<bitcoin::Network> network) {
  BitcoinRpcNode source;
  source.node = read_rpc_url(table, network).value_or(net::TcpConfig{});
  source.user = table.text("user").value_or("");
  source.password = table.secret("password").value_or("");
  source.password_file = config::read_path(table, "password_file").value_or("");
  source.cookie_file = config::read_path(table, "cookie_file").value_or("");
  const std::string data_dir = config::read_path(table, "data_dir").value_or("");

  const bool password = table.has("password") || table.has("password_file");
  if (table.has("password") && table.has("password_file")) {
    table.report(Severity::kError, "password_file", "`password` and `password_file` are both given: remove one");
  }
  if (table.has("user") != password) {
    table.report(Severity::kError,
                 table.has("user")       ? "user"
                 : table.has("password") ? "password"
                                         : "password_file",
                 "`user` and `password` (or `password_file`) go together");
  }
  if (table.has("cookie_file") && table.has("user")) {
    table.report(Severity::kError, "cookie_file", "`cookie_file` and `user` are both given: remove one");
  }
  if (source.user.empty() && source.cookie_file.empty() && network) {
    source.cookie_file = file_of_node(table, data_dir, *network, ".cookie", "cookie_file");
  }
  return source;
}

constexpr std::size_t kMaxSocketPath = 107;  // sockaddr_un's, but for the zero at its end.

/// Complains where the path of a node's socket cannot be one; `key` is the one that it comes from.
void check_socket(Table& table, std::string_view key, const std::string& socket) {
  if (socket.size() <= kMaxSocketPath) return;
  table.report(Severity::kError, key,
               "the path of the node's socket has " + std::to_string(socket.size()) + " bytes, and may have " +
                   std::to_string(kMaxSocketPath) + ": " + socket +
                   "; give the node a shorter data directory, or start it with "
                   "-ipcbind=unix:PATH and name that by `socket`");
}

/// The table of BitcoinCoreIpc.
BitcoinIpcSource read_ipc(Table& table, std::optional<bitcoin::Network> network) {
  BitcoinIpcSource source;
  if (const auto version = table.integer<std::uint8_t>("version"); version && *version < 31) {
    table.report(Severity::kBlocker, "version",
                 "the interface of Bitcoin Core " + std::to_string(*version) +
                     " is not spoken here: install Bitcoin Core 31 or later (the version is found out, `version` may be left "
                     "out), or use "
                     "[template_provider_type.BitcoinRpc]");
  }
  const std::string data_dir = config::read_path(table, "data_dir").value_or("");
  const auto socket = config::read_path(table, "socket");
  if (table.has("socket") && table.has("data_dir")) {
    table.report(Severity::kError, "socket", "`socket` and `data_dir` are both given: remove one");
  }
  if (socket) {
    source.socket = *socket;
  } else if (network) {
    source.socket = file_of_node(table, data_dir, *network, "node.sock", "socket");
  }
  check_socket(table, socket ? "socket" : data_dir.empty() ? "network" : "data_dir", source.socket);
  if (const auto sat = table.integer<std::uint64_t>("fee_threshold"))
    source.fee_threshold_sat = std::min(*sat, bitcoin::kMaxMoneySat);
  if (const auto seconds = table.integer<std::uint8_t>("min_interval")) source.min_interval = std::chrono::seconds(*seconds);
  return source;
}

bool is_same_node(const FurtherNode& one, const FurtherNode& other) {
  if (one.index() != other.index()) return false;
  if (const auto* rpc = std::get_if<BitcoinRpcNode>(&one)) return rpc->node == std::get<BitcoinRpcNode>(other).node;
  return std::get<BitcoinIpcNode>(one).socket == std::get<BitcoinIpcNode>(other).socket;
}

/// [[nodes]], beside the node `first`: by `socket`, else by `url`.
std::vector<FurtherNode> read_nodes(Table& root, std::optional<bitcoin::Network> network, const FurtherNode& first) {
  std::vector<FurtherNode> nodes;
  for (Table& table : root.tables("nodes")) {
    FurtherNode node;
    const bool templates = table.boolean("templates").value_or(true);
    const bool by_ipc = table.has("socket");
    if (by_ipc) {
      BitcoinIpcNode ipc{config::read_path(table, "socket").value_or(""), templates};
      check_socket(table, "socket", ipc.socket);
      if (table.text("url")) {
        table.report(Severity::kError, "url", "`socket` and `url` are both given: list the node twice to have it both ways");
      }
      node = std::move(ipc);
    } else {
      BitcoinRpcNode rpc = read_rpc(table, network);
      rpc.templates = templates;
      node = std::move(rpc);
    }
    const auto is_same = [&](const FurtherNode& other) { return is_same_node(node, other); };
    if (is_same(first) || std::ranges::any_of(nodes, is_same)) {
      table.report(Severity::kError, by_ipc ? "socket" : "url",
                   "this node is listed already: blocks go to that of template_provider_type and to each of [[nodes]]");
    }
    nodes.push_back(std::move(node));
  }
  return nodes;
}

void read_source(Table& root, PoolConfig& out) {
  root.require("template_provider_type", "where work comes from: " + std::string(kSourcesHere));
  auto chosen = root.variant("template_provider_type", {"Embedded", "BitcoinRpc", "BitcoinCoreIpc", "Sv2Tp"});
  if (!chosen) return;
  auto& [name, table] = *chosen;
  if (name != "BitcoinRpc" && name != "BitcoinCoreIpc" && root.has("nodes")) {
    (void)read_nodes(root, std::nullopt, {});
    root.report(Severity::kError, "nodes",
                "[[nodes]] lists further Bitcoin nodes beside [template_provider_type.BitcoinRpc] or "
                "[template_provider_type.BitcoinCoreIpc], and the source is " +
                    name);
  }
  if (name == "Embedded") {
    EmbeddedSource source;
    if (const auto seconds = table.number("interval", 0, 86400)) {
      source.interval = std::chrono::milliseconds(static_cast<std::int64_t>(*seconds * 1000));
    }
    if (const auto nbits = read_nbits(table)) source.nbits = *nbits;
    out.network = bitcoin::Network::kRegtest;
    out.source = source;
    return;
  }
  if (name == "BitcoinRpc") {
    out.network = read_network(table, true);
    BitcoinRpcSource source{read_rpc(table, out.network), {}};
    source.further = read_nodes(root, out.network, static_cast<const BitcoinRpcNode&>(source));
    out.source = std::move(source);
    return;
  }
  if (name == "BitcoinCoreIpc") {
    out.network = read_network(table, true);
    BitcoinIpcSource source = read_ipc(table, out.network);
    source.further = read_nodes(root, out.network, static_cast<const BitcoinIpcNode&>(source));
    out.source = std::move(source);
    return;
  }
  table.require("address", "the template provider's host and port");
  (void)config::read_listen_address(table, "address");
  (void)table.text("public_key");
  out.source = MissingSource{name};
  root.report(Severity::kBlocker, "template_provider_type",
              "the template source " + name + " is not here yet; there are " + std::string(kSourcesHere));
}

// The network of a source that does not name one is anybody's guess: any network's address will do. The embedded chain is none
// of those that addresses are made for: that of any test network will do.
Result<std::vector<std::uint8_t>> payout_script(std::string_view descriptor, const PoolConfig& config) {
  using enum bitcoin::Network;
  auto first = bitcoin::script_from_descriptor(descriptor, config.network.value_or(kMainnet));
  if (config.network && !std::holds_alternative<EmbeddedSource>(config.source)) return first;
  for (const bitcoin::Network other : {kTestnet4, kSignet, kRegtest}) {
    if (first || !first.error().is(bitcoin::Errc::kWrongNetwork)) break;
    if (auto script = bitcoin::script_from_descriptor(descriptor, other)) return script;
  }
  return first;
}

void read_payout(Table& root, PoolConfig& out) {
  if (!root.require("coinbase_reward_script", "whom blocks pay, as a descriptor: \"addr(YOUR_ADDRESS)\"")) return;
  const auto descriptor = root.text("coinbase_reward_script");
  if (!descriptor) return;
  auto script = payout_script(*descriptor, out);
  if (!script) {
    root.report(Severity::kError, "coinbase_reward_script", "`coinbase_reward_script`: " + script.error().message());
    return;
  }
  out.payout_script = std::move(*script);
}

void read_solo(Table& root, PoolConfig& out) {
  out.solo = root.boolean("solo").value_or(true);
  out.solo_fee_percent = root.integer<unsigned>("solo_fee_percent", 0, channels::kMostFeePercent).value_or(0);
  if (!out.solo && out.solo_fee_percent != 0) {
    root.report(Severity::kError, "solo_fee_percent",
                "`solo_fee_percent` is a fee on what `solo = false` does not grant: remove one");
  }
}

void read_authority(Table& root, PoolConfig& out) {
  if (const auto text = root.text("authority_public_key")) {
    if (auto key = noise::parse_public_key(*text)) {
      out.authority_public_key = *key;
    } else {
      root.report(Severity::kError, "authority_public_key", "`authority_public_key`: " + key.error().message());
    }
    if (*text == config::kExampleAuthority && out.network != bitcoin::Network::kRegtest) {
      root.report(
          Severity::kBlocker, "authority_public_key",
          "these are SRI's published example keys: everybody has the secret one and can pose as this pool; make your own with "
          "`adit keys authority --out FILE` (they are taken on regtest only)");
    }
  }
  const auto file = config::read_path(root, "authority_secret_key_file");
  const auto text = root.secret("authority_secret_key");
  if (file && root.has("authority_secret_key")) {
    root.report(Severity::kError, "authority_secret_key_file",
                "`authority_secret_key_file` and `authority_secret_key` are both given: remove the latter");
    return;
  }
  if (file) {
    out.authority_secret_key_file = *file;
    return;
  }
  if (!root.has("authority_secret_key")) {
    root.require("authority_secret_key_file",
                 "the key that proves this pool to its miners; `adit keys authority --out FILE` makes one");
    return;
  }
  if (!text) return;
  auto secret = noise::parse_secret_key(*text);
  if (!secret) {
    root.report(Severity::kError, "authority_secret_key", "`authority_secret_key`: " + secret.error().message());
    return;
  }
  root.report(Severity::kWarning, "authority_secret_key",
              "`authority_secret_key` is a secret in a configuration file: put it into a file of mode 0600 and name that by "
              "`authority_secret_key_file`");
  auto pair = noise::AuthorityKeyPair::from_secret(secret->copy());
  if (!pair) {
    root.report(Severity::kError, "authority_secret_key", "`authority_secret_key`: " + pair.error().message());
  } else if (out.authority_public_key && *out.authority_public_key != pair->public_key()) {
    root.report(Severity::kError, "authority_public_key", "`authority_public_key` does not belong to `authority_secret_key`");
  } else if (!out.authority_public_key && noise::to_text(pair->public_key()) == config::kExampleAuthority &&
             out.network != bitcoin::Network::kRegtest) {
    root.report(
        Severity::kBlocker, "authority_secret_key",
        "this is SRI's published example key, which everybody has; make your own with `adit keys authority --out FILE`");
  }
  out.authority_secret_key = std::move(*secret);
}

void read_jds(Table& root) {
  auto jds = root.table("jds");
  if (!jds) return;
  jds->require("listen_address", "where the job declaration server listens");
  (void)config::read_listen_address(*jds, "listen_address");
  (void)jds->integers<std::uint16_t>("supported_extensions");
  (void)jds->integers<std::uint16_t>("required_extensions");
}

std::chrono::seconds read_stale_work(Table& root) {
  // A node that restarts is away for longer than a few seconds.
  constexpr std::uint32_t kLeast = 10;
  const auto seconds = root.integer<std::uint32_t>("stale_work_secs", 0, 86'400).value_or(300);
  if (seconds != 0 && seconds < kLeast) {
    root.report(Severity::kError, "stale_work_secs",
                "`stale_work_secs` must be 10 to 86400, as nodes restart, or 0: miners are never sent away for want of work");
  }
  return std::chrono::seconds(seconds);
}

bool is_plain_text(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

config::Loaded<PoolConfig> read(config::Document document) {
  config::Loaded<PoolConfig> loaded;
  PoolConfig& out = loaded.config;
  if (!document.readable()) {
    loaded.findings = document.finish();
    return loaded;
  }
  Table root = document.root();
  read_source(root, out);
  read_payout(root, out);
  read_solo(root, out);
  read_authority(root, out);
  out.cert_validity =
      std::chrono::seconds(root.integer<std::uint32_t>("cert_validity_sec", 60, 10 * 365 * 86400).value_or(3600));

  out.iroh = config::read_iroh(root, true);
  out.health = config::read_health(root);
  out.admission = config::read_admission(root, std::chrono::seconds(10));
  out.listen_address = config::read_listen_address(root, "listen_address");
  out.trusted_proxies = config::read_trusted_proxies(root);
  if (!root.has("listen_address") && root.has_something("trusted_proxies")) {
    root.report(Severity::kError, "trusted_proxies",
                "`trusted_proxies` is about TCP, and there is no `listen_address`: leave it out");
  }
  // Either carrier can be left out, not both.
  if (!(out.iroh.enabled && out.iroh.node.listens))
    root.require("listen_address", "the IP address and port on which miners connect, such as \"0.0.0.0:3333\"");
  out.monitoring = config::read_monitoring(root);

  out.pool_signature = root.text("pool_signature").value_or("Adit");
  if (out.pool_signature.size() > kMaxSignature || !is_plain_text(out.pool_signature)) {
    root.report(Severity::kError, "pool_signature", "`pool_signature` must be at most 40 bytes without control characters");
  }
  out.shares_per_minute = static_cast<float>(root.number("shares_per_minute", 0.01, 6000).value_or(6));
  out.min_difficulty = root.number("min_difficulty", 1e-12, 0x1p64).value_or(channels::kDefaultMinDifficulty);
  out.share_batch_size = root.integer<std::uint32_t>("share_batch_size", 1, 10000).value_or(10);
  out.server_id = root.integer<std::uint8_t>("server_id").value_or(0);
  // 0 is the default, as in SRI.
  if (const auto jobs = root.integer<std::uint32_t>("max_past_jobs", 0, 1000); jobs && *jobs != 0) out.max_past_jobs = *jobs;
  out.stale_work = read_stale_work(root);
  out.threads = root.integer<unsigned>("threads", 0, 256).value_or(0);
  out.data_dir = config::read_data_dir(root, "pool");
  out.log_file = config::read_path(root, "log_file").value_or("");
  out.supported_extensions = config::read_extensions(root, "supported_extensions", Severity::kNotYet);
  out.required_extensions = config::read_extensions(root, "required_extensions", Severity::kBlocker);
  // What is required of a peer is offered to it.
  for (const std::uint16_t extension : out.required_extensions) {
    if (std::ranges::find(out.supported_extensions, extension) == out.supported_extensions.end()) {
      out.supported_extensions.push_back(extension);
    }
  }
  read_jds(root);
  config::report_not_yet(root, kNotYet);
  loaded.findings = document.finish();
  return loaded;
}

}  // namespace

config::Loaded<PoolConfig> load_config(const std::string& path, const config::Environment& environment) {
  return read(config::Document::open(path, "POOL", environment));
}

config::Loaded<PoolConfig> parse_config(std::string_view toml, const std::string& name,
                                        const config::Environment& environment) {
  return read(config::Document::parse(toml, name, "POOL", environment));
}

Result<noise::AuthorityKeyPair> load_authority(const PoolConfig& config) {
  auto pair = config.authority_secret_key ? noise::AuthorityKeyPair::from_secret(config.authority_secret_key->copy())
                                          : config::read_authority_key(config.authority_secret_key_file);
  if (!pair) return pair;
  const std::string holder = config.authority_secret_key ? "`authority_secret_key`" : config.authority_secret_key_file;
  if (config.authority_public_key && *config.authority_public_key != pair->public_key()) {
    return fail(config::KeyErrc::kNoKey, "`authority_public_key` (" + noise::to_text(*config.authority_public_key) +
                                             ") does not belong to the secret key in " + holder + ", whose public key is " +
                                             noise::to_text(pair->public_key()));
  }
  if (noise::to_text(pair->public_key()) == config::kExampleAuthority && config.network != bitcoin::Network::kRegtest) {
    return fail(config::KeyErrc::kNoKey, holder +
                                             " holds SRI's published example key, which everybody has; make your own with "
                                             "`adit keys authority --out FILE`");
  }
  return pair;
}

Result<config::NodeKey> load_or_make_node_key(const PoolConfig& config) {
  if (!config.iroh.secret_key_file.empty()) return config::take_node_key(config.iroh.secret_key_file);
  const std::string path = config.data_dir + "/node.key";
  if (struct stat info{}; ::lstat(path.c_str(), &info) != 0) {
    ADIT_CHECK(config::write_node_key(path, config::generate_node_key(), false));
  }
  return config::take_node_key(path);
}

}  // namespace adit::pool
