#include "config/make_source.h"

#include <filesystem>
#include <optional>
#include <utility>
#include <variant>

#include "config/keys.h"
#ifdef ADIT_HAS_IPC
#include "template/ipc_checker.h"
#endif
#include "template/bitcoin_nodes.h"
#include "template/rpc_checker.h"

namespace adit::config {
namespace {

using Node = templates::BitcoinNodes::Node;

/// What the nodes of one source have in common.
struct Common {
  const SourcePlace& place;
  std::optional<bitcoin::Network> network;
  templates::IpcConfig pacing{};  ///< Of every node by IPC.
};

Result<Node> node_of(const BitcoinRpcNode& rpc, const Common& common) {
  ADIT_TRY(auto node, rpc_config(rpc, common.network));
  return Node{.at = std::move(node), .templates = rpc.templates};
}

Result<Node> node_of(const BitcoinIpcNode& ipc, const Common& common) {
  templates::IpcConfig node = common.pacing;
  node.socket_path = ipc.socket;
  node.empty_first = ipc.empty_first;
  node.network = common.network;
  return Node{.at = std::move(node), .templates = ipc.templates};
}

Result<Node> node_of(const Sv2TpNode& provider, const Common& common) {
  templates::Sv2Config node;
  node.provider = provider.provider;
  node.fetch_transactions = provider.fetch_transactions;
  node.solution_folder = (std::filesystem::path(common.place.data_dir) / "found-solutions").string();
  node.shard = &common.place.shard;
  node.iroh = common.place.iroh;
  node.health = common.place.health;
  return Node{.at = std::move(node)};
}

std::shared_ptr<declaration::BlockChecker> checker_of(const templates::RpcConfig& node) {
  return std::make_shared<templates::RpcChecker>(node);
}
#ifdef ADIT_HAS_IPC
std::shared_ptr<declaration::BlockChecker> checker_of(const templates::IpcConfig& node) {
  return std::make_shared<templates::IpcChecker>(node);
}
#else
std::shared_ptr<declaration::BlockChecker> checker_of(const templates::IpcConfig&) { return nullptr; }
#endif
/// A template provider judges no blocks.
std::shared_ptr<declaration::BlockChecker> checker_of(const templates::Sv2Config&) { return nullptr; }

}  // namespace

Result<templates::RpcConfig> rpc_config(const BitcoinRpcNode& rpc, std::optional<bitcoin::Network> network) {
  templates::RpcConfig node;
  node.host = rpc.node.host;
  node.port = rpc.node.port;
  node.network = network;
  node.empty_first = rpc.empty_first;
  if (rpc.user.empty()) {
    node.auth = templates::RpcCookie{rpc.cookie_file};
  } else {
    std::string password = rpc.password;
    if (!rpc.password_file.empty()) {
      ADIT_TRY(password, read_secret_file(rpc.password_file));
    }
    node.auth = templates::RpcPassword{rpc.user, std::move(password)};
  }
  return node;
}

std::string journal_folder(const std::string& data_dir) { return (std::filesystem::path(data_dir) / "found-blocks").string(); }

templates::EmbeddedSource::Options options_of(const EmbeddedSource& source) {
  templates::EmbeddedSource::Options options;
  options.chain.nbits = source.nbits;
  options.new_tip_every = source.interval;
  return options;
}

Result<MadeSource> make_source(const SourceSettings& settings, const SourcePlace& place) {
  if (const auto* embedded = std::get_if<EmbeddedSource>(&settings.source)) {
    MadeSource made;
    made.source = std::make_unique<templates::EmbeddedSource>(options_of(*embedded));
    return made;
  }
  Common common{.place = place, .network = settings.network};
  if (const auto* ipc = std::get_if<BitcoinIpcSource>(&settings.source)) {
    common.pacing.fee_threshold_sat = ipc->fee_threshold_sat;
    common.pacing.min_interval = ipc->min_interval;
  }
  templates::BitcoinNodes::Options options;
  options.blocks.journal_folder = journal_folder(place.data_dir);
  std::vector<std::shared_ptr<declaration::BlockChecker>> checkers;
  for (const FurtherNode& node : nodes_of(settings.source)) {
    ADIT_TRY(Node made, std::visit([&](const auto& one) { return node_of(one, common); }, node));
    if (auto checker = std::visit([](const auto& at) { return checker_of(at); }, made.at))
      checkers.push_back(std::move(checker));
    options.nodes.push_back(std::move(made));
  }
  auto nodes = std::make_unique<templates::BitcoinNodes>(std::move(options));
  auto further = [nodes = nodes.get()] { return nodes->further(); };
  auto submit = [nodes = nodes.get()](const bitcoin::Hash256& hash, std::uint32_t height,
                                      ledger::BlockSubmitter::Assemble assemble) {
    return nodes->blocks().submit(hash, height, std::move(assemble));
  };
  return MadeSource{std::move(nodes), std::move(further), std::move(checkers), std::move(submit)};
}

}  // namespace adit::config
