#include "config/source.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "bitcoin/tx.h"
#include "config/common.h"
#include "upstream/url.h"

namespace adit::config {
namespace {

// Sources that can be configured; those that work come first.
constexpr std::string_view kSourcesHere =
    "[template_provider_type.Embedded] (a regtest chain in this process), "
    "[template_provider_type.BitcoinCoreIpc] (the IPC socket of a Bitcoin Core on this machine) and "
    "[template_provider_type.BitcoinRpc] (a Bitcoin node's JSON-RPC)";

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
  const std::string home = home_folder();
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
  source.password_file = read_path(table, "password_file").value_or("");
  source.cookie_file = read_path(table, "cookie_file").value_or("");
  const std::string data_dir = read_path(table, "data_dir").value_or("");

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
  const std::string data_dir = read_path(table, "data_dir").value_or("");
  const auto socket = read_path(table, "socket");
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
      BitcoinIpcNode ipc{read_path(table, "socket").value_or(""), templates};
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

}  // namespace

SourceSettings read_source(Table& root) {
  SourceSettings out;
  root.require("template_provider_type", "where work comes from: " + std::string(kSourcesHere));
  auto chosen = root.variant("template_provider_type", {"Embedded", "BitcoinRpc", "BitcoinCoreIpc", "Sv2Tp"});
  if (!chosen) return out;
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
    return out;
  }
  if (name == "BitcoinRpc") {
    out.network = read_network(table, true);
    BitcoinRpcSource source{read_rpc(table, out.network), {}};
    source.further = read_nodes(root, out.network, static_cast<const BitcoinRpcNode&>(source));
    out.source = std::move(source);
    return out;
  }
  if (name == "BitcoinCoreIpc") {
    out.network = read_network(table, true);
    BitcoinIpcSource source = read_ipc(table, out.network);
    source.further = read_nodes(root, out.network, static_cast<const BitcoinIpcNode&>(source));
    out.source = std::move(source);
    return out;
  }
  table.require("address", "the template provider's host and port");
  (void)read_listen_address(table, "address");
  (void)table.text("public_key");
  out.source = MissingSource{name};
  root.report(Severity::kBlocker, "template_provider_type",
              "the template source " + name + " is not here yet; there are " + std::string(kSourcesHere));
  return out;
}

}  // namespace adit::config
