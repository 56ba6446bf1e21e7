#include "config/source.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/number.h"
#include "bitcoin/consensus.h"
#include "bitcoin/tx.h"
#include "upstream/url.h"

namespace adit::config {
namespace {

// Sources that can be configured.
constexpr std::string_view kSources =
    "[template_provider_type.Embedded] (a regtest chain in this process), "
    "[template_provider_type.BitcoinCoreIpc] (the IPC socket of a Bitcoin Core on this machine), "
    "[template_provider_type.BitcoinRpc] (a Bitcoin node's JSON-RPC) and "
    "[template_provider_type.Sv2Tp] (a Stratum V2 template provider, such as `adit template`)";

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
  const auto value = text->size() == 8 ? number_from<std::uint32_t>(*text, 16) : std::nullopt;
  if (!value) {
    table.report(Severity::kError, "nbits",
                 "`nbits` must be 8 hexadecimal digits, such as \"207fffff\", not \"" + *text + "\"");
  }
  return value;
}

/// A file of Bitcoin Core's in the folder of its network; `data_dir` empty: where it has its data by default, of which
/// `instead`, the key that names the file itself, is told if there is no home folder.
std::string file_of_node(Table& table, const std::string& data_dir, bitcoin::Network network, std::string_view file,
                         std::string_view instead) {
  const std::string home = home_folder();
  if (data_dir.empty() && home.empty()) {
    table.report(Severity::kBlocker, "data_dir",
                 "HOME is not set, so it is not known where the node has its data: name that folder by `data_dir`, or its " +
                     std::string(file) + " by `" + std::string(instead) + "`");
  }
  const std::string base = data_dir.empty() ? home + "/.bitcoin" : data_dir;
  return network_folder(base, network) + "/" + std::string(file);
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

bool read_empty_first(Table& table) { return table.boolean("empty_template_first").value_or(false); }

/// One node: the table of BitcoinRpc, or one of [[nodes]].
BitcoinRpcNode read_rpc(Table& table, std::optional<bitcoin::Network> network) {
  BitcoinRpcNode source;
  source.node = read_rpc_url(table, network).value_or(net::TcpConfig{});
  source.user = table.text("user").value_or("");
  source.password = table.secret("password").value_or("");
  source.password_file = read_path(table, "password_file").value_or("");
  source.cookie_file = read_path(table, "cookie_file").value_or("");
  source.empty_first = read_empty_first(table);
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
  source.empty_first = read_empty_first(table);
  if (const auto sat = table.integer<std::uint64_t>("fee_threshold"))
    source.fee_threshold_sat = std::min(*sat, bitcoin::kMaxMoneySat);
  if (const auto seconds = table.integer<std::uint8_t>("min_interval")) source.min_interval = std::chrono::seconds(*seconds);
  return source;
}

/// "HOST:PORT" or a URL, and the key that it must prove, if `public_key` names one.
std::optional<net::Peer> read_provider(Table& table) {
  if (!table.require("address",
                     "the template provider's \"HOST:PORT\", or its URL as `adit template` prints it: "
                     "\"stratum2+iroh://ENDPOINT_ID/AUTHORITY?...\""))
    return std::nullopt;
  const auto address = table.text("address");
  const auto key_text = table.text("public_key");
  if (!address) return std::nullopt;
  const auto complain = [&table](std::string_view key, const std::string& what) {
    table.report(Severity::kError, key, "`" + std::string(key) + "`: " + what);
    return std::nullopt;
  };
  net::Peer peer;
  if (!upstream::scheme_of(*address).empty()) {
    auto parsed = upstream::parse_url(*address);
    if (!parsed) return complain("address", parsed.error().message());
    if (parsed->dialect != net::Dialect::kStratumV2) return complain("address", "a template provider speaks Stratum V2 alone");
    peer = std::move(*parsed);
  } else {
    auto tcp = upstream::parse_host_port(*address);
    if (!tcp) return complain("address", tcp.error().message());
    peer.transport = std::move(*tcp);
  }
  if (key_text) {
    const auto key = noise::parse_public_key(*key_text);
    if (!key) return complain("public_key", key.error().message());
    if (peer.authority && *peer.authority != *key) return complain("public_key", "`address` names another key");
    peer.authority = *key;
  }
  return peer;
}

/// Whoever gives the templates decides what is mined: which transactions, and what else the coinbase must pay.
void warn_about_provider(Table& table, const net::Peer& peer, std::optional<bitcoin::Network> network) {
  const auto* tcp = std::get_if<net::TcpConfig>(&peer.transport);
  const bool is_here = tcp != nullptr && (tcp->host == "localhost" || tcp->host == "::1" || tcp->host.starts_with("127."));
  if (!peer.authority && tcp != nullptr && !is_here) {
    table.report(Severity::kWarning, "address",
                 "`public_key` is missing: whoever answers at this address, or stands on the way to it, decides what is mined");
  }
  if (has_example_authority(peer) && network != bitcoin::Network::kRegtest) {
    table.report(Severity::kWarning, table.has("public_key") ? "public_key" : "address",
                 "this is SRI's published example key, which everybody has: anybody on the way can pose as the provider");
  }
}

/// The table of Sv2Tp, or one of [[nodes]].
Sv2TpNode read_sv2(Table& table, std::optional<bitcoin::Network> network) {
  Sv2TpNode node;
  if (auto peer = read_provider(table)) {
    warn_about_provider(table, *peer, network);
    node.provider = std::move(*peer);
  }
  node.fetch_transactions = table.boolean("fetch_transactions").value_or(true);
  return node;
}

bool is_same_node(const FurtherNode& one, const FurtherNode& other) {
  if (one.index() != other.index()) return false;
  if (const auto* rpc = std::get_if<BitcoinRpcNode>(&one)) return rpc->node == std::get<BitcoinRpcNode>(other).node;
  if (const auto* ipc = std::get_if<BitcoinIpcNode>(&one)) return ipc->socket == std::get<BitcoinIpcNode>(other).socket;
  return std::get<Sv2TpNode>(one).provider.transport == std::get<Sv2TpNode>(other).provider.transport;
}

/// One of [[nodes]]: by `socket`, by `address`, else by `url`.
FurtherNode read_node(Table& table, std::optional<bitcoin::Network> network) {
  const auto templates = table.boolean("templates");
  const bool by_ipc = table.has("socket");
  if (by_ipc) {
    BitcoinIpcNode ipc{read_path(table, "socket").value_or(""), templates.value_or(true), read_empty_first(table)};
    check_socket(table, "socket", ipc.socket);
    if (table.text("url")) {
      table.report(Severity::kError, "url", "`socket` and `url` are both given: list the node twice to have it both ways");
    }
    return ipc;
  }
  if (table.has("address")) {
    Sv2TpNode provider = read_sv2(table, network);
    if (table.text("url")) {
      table.report(Severity::kError, "url", "`address` and `url` are both given: list the node twice to have it both ways");
    }
    if (!templates.value_or(true)) {
      table.report(Severity::kError, "templates",
                   "a template provider takes blocks of its own templates alone: `templates = false` leaves nothing of it");
    }
    return provider;
  }
  BitcoinRpcNode rpc = read_rpc(table, network);
  rpc.templates = templates.value_or(true);
  return rpc;
}

/// [[nodes]], beside the node `first`.
std::vector<FurtherNode> read_nodes(Table& root, std::optional<bitcoin::Network> network, const FurtherNode& first) {
  std::vector<FurtherNode> nodes;
  for (Table& table : root.tables("nodes")) {
    FurtherNode node = read_node(table, network);
    const auto is_same = [&](const FurtherNode& other) { return is_same_node(node, other); };
    if (is_same(first) || std::ranges::any_of(nodes, is_same)) {
      table.report(Severity::kError,
                   table.has("socket")    ? "socket"
                   : table.has("address") ? "address"
                                          : "url",
                   "this node is listed already: blocks go to that of template_provider_type and to each of [[nodes]]");
    }
    nodes.push_back(std::move(node));
  }
  return nodes;
}

}  // namespace

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

std::string network_folder(const std::string& data_dir, bitcoin::Network network) {
  return network == bitcoin::Network::kMainnet ? data_dir : data_dir + "/" + std::string(bitcoin::network_name(network));
}

SourceSettings read_source(Table& root) {
  SourceSettings out;
  root.require("template_provider_type", "where work comes from: " + std::string(kSources));
  auto chosen = root.variant("template_provider_type", {"Embedded", "BitcoinRpc", "BitcoinCoreIpc", "Sv2Tp"});
  if (!chosen) return out;
  auto& [name, table] = *chosen;
  if (name == "Embedded" && root.has("nodes")) {
    (void)read_nodes(root, std::nullopt, {});
    root.report(Severity::kError, "nodes",
                "[[nodes]] lists further Bitcoin nodes beside that of [template_provider_type], and the source is the embedded "
                "chain");
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
  out.network = read_network(table, false);
  Sv2TpSource source{read_sv2(table, out.network), {}};
  if (root.has("nodes") && !table.has("network")) {
    table.report(Severity::kError, "network",
                 "`network` is needed where there are [[nodes]]: a template provider does not tell its own");
  }
  source.further = read_nodes(root, out.network, static_cast<const Sv2TpNode&>(source));
  out.source = std::move(source);
  return out;
}

std::vector<FurtherNode> nodes_of(const TemplateSource& source) {
  std::vector<FurtherNode> nodes;
  const auto add = [&nodes](const auto& first, const std::vector<FurtherNode>& further) {
    nodes.emplace_back(first);
    nodes.insert(nodes.end(), further.begin(), further.end());
  };
  if (const auto* rpc = std::get_if<BitcoinRpcSource>(&source)) {
    add(static_cast<const BitcoinRpcNode&>(*rpc), rpc->further);
  } else if (const auto* ipc = std::get_if<BitcoinIpcSource>(&source)) {
    add(static_cast<const BitcoinIpcNode&>(*ipc), ipc->further);
  } else if (const auto* sv2 = std::get_if<Sv2TpSource>(&source)) {
    add(static_cast<const Sv2TpNode&>(*sv2), sv2->further);
  }
  return nodes;
}

void enable_iroh_for(const TemplateSource& source, Table& root, IrohSettings& iroh) {
  const auto nodes = nodes_of(source);
  const bool is_over_iroh = std::ranges::any_of(nodes, [](const FurtherNode& node) {
    const auto* sv2 = std::get_if<Sv2TpNode>(&node);
    return sv2 != nullptr && std::holds_alternative<net::IrohConfig>(sv2->provider.transport);
  });
  if (!is_over_iroh) return;
  if (root.has("iroh") && !iroh.enabled) {
    root.report(Severity::kError, "iroh",
                "[iroh] has `enabled = false`, and a template provider is reached over iroh: remove one of the two");
  }
  iroh.enabled = true;
}

}  // namespace adit::config
