// Where a role's templates come from: [template_provider_type] with SRI's keys and ours, and [[nodes]].
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bitcoin/address.h"
#include "config/common.h"
#include "config/document.h"
#include "net/transport_config.h"

namespace adit::config {

/// [template_provider_type.Embedded]: a regtest chain in this process.
struct EmbeddedSource {
  std::chrono::milliseconds interval{0};  ///< A new tip found by itself this often; 0: only by miners.
  std::uint32_t nbits = 0x207fffff;       ///< Compact target of its blocks; regtest's by default.
};

/// A Bitcoin node by JSON-RPC.
struct BitcoinRpcNode {
  net::TcpConfig node;        ///< Of `url`.
  std::string cookie_file;    ///< The node's .cookie; empty if a user is given.
  std::string user;           ///< Of rpcauth or rpcuser.
  std::string password;       ///< A secret; empty if there is a password_file.
  std::string password_file;  ///< Read when the role starts.
  bool templates = true;      ///< False: it takes found blocks alone.
  bool empty_first = false;   ///< On a new tip a template without transactions comes first, and then the full one.
};

/// A Bitcoin node by IPC.
struct BitcoinIpcNode {
  std::string socket;        ///< Its node.sock.
  bool templates = true;     ///< As BitcoinRpcNode::templates.
  bool empty_first = false;  ///< As BitcoinRpcNode::empty_first.
};

/// A Stratum V2 template provider, over TCP or iroh.
struct Sv2TpNode {
  net::Peer provider;              ///< Of `address` and `public_key`.
  bool fetch_transactions = true;  ///< Each template's transactions are asked for behind it; false: when a block is found.
};

/// One of [[nodes]]. Templates come from the first that is ready, that of template_provider_type first; blocks go to all.
using FurtherNode = std::variant<BitcoinRpcNode, BitcoinIpcNode, Sv2TpNode>;

/// [template_provider_type.BitcoinRpc]: getblocktemplate and submitblock of a Bitcoin node, and of those of [[nodes]].
struct BitcoinRpcSource : BitcoinRpcNode {
  std::vector<FurtherNode> further;  ///< In the order listed.
};

/// [template_provider_type.BitcoinCoreIpc]: a Bitcoin node's mining interface on its IPC socket, and [[nodes]].
struct BitcoinIpcSource : BitcoinIpcNode {
  std::uint64_t fee_threshold_sat = 100;  ///< More fees than that are worth a new job on the same tip.
  std::chrono::seconds min_interval{5};   ///< Between jobs that only bring fees.
  std::vector<FurtherNode> further;       ///< In the order listed.
};

/// [template_provider_type.Sv2Tp]: a template provider, and [[nodes]].
struct Sv2TpSource : Sv2TpNode {
  std::vector<FurtherNode> further;  ///< In the order listed.
};

using TemplateSource = std::variant<EmbeddedSource, BitcoinRpcSource, BitcoinIpcSource, Sv2TpSource>;

/// Where Bitcoin Core listens for JSON-RPC on that network, unless it is told otherwise.
std::uint16_t default_rpc_port(bitcoin::Network network);

/// The folder of that network in a data directory of Bitcoin Core's.
std::string network_folder(const std::string& data_dir, bitcoin::Network network);

struct SourceSettings {
  TemplateSource source;
  std::optional<bitcoin::Network> network;  ///< Absent: the source does not say.
};

/// Reads template_provider_type and nodes of `root`. What is wrong is reported.
SourceSettings read_source(Table& root);

/// The nodes of a source, the one that it begins with first; none of the embedded chain.
std::vector<FurtherNode> nodes_of(const TemplateSource& source);

/// Enables iroh where one of the source's nodes is a template provider over iroh; reports it if [iroh] of `root` forbids that.
void enable_iroh_for(const TemplateSource& source, Table& root, IrohSettings& iroh);

}  // namespace adit::config
