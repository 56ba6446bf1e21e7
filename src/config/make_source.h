// From a configured source of templates to one that can be started.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/source.h"
#include "declaration/block_checker.h"
#include "ledger/block_submitter.h"
#include "net/carrier.h"
#include "net/health.h"
#include "net/shards.h"
#include "template/embedded.h"
#include "template/rpc_config.h"
#include "template/source.h"

namespace adit::config {

/// Where found blocks are kept below a role's `data_dir` until a node has answered.
std::string journal_folder(const std::string& data_dir);

/// What a configuration means to the chain in this process.
templates::EmbeddedSource::Options options_of(const EmbeddedSource& source);

/// What a source takes from its role.
struct SourcePlace {
  std::string data_dir;              ///< The journal of found blocks lies there.
  net::Shard& shard;                 ///< Sessions with template providers live there. Started; outlives the source.
  net::IrohCarrier* iroh = nullptr;  ///< For providers over iroh; outlives the source. Null: they cannot be reached.
  net::HealthPolicy health{};        ///< Of sessions with template providers.
};

struct MadeSource {
  std::unique_ptr<templates::TemplateSource> source;  ///< Not started.
  /// Makes another source of the same chain, for templates with other constraints (BitcoinNodes::further). Empty where the
  /// source has one kind of templates alone.
  std::function<std::unique_ptr<templates::TemplateSource>()> further;
  /// Those of its nodes that judge blocks, by JSON-RPC or IPC, each over connections of its own; best first, not started. Empty
  /// where there is none.
  std::vector<std::shared_ptr<declaration::BlockChecker>> checkers;
  /// Submits a block that is on no template of the source's, as ledger::BlockSubmitter::submit. Empty where that has none; not
  /// to be called once the source is gone.
  std::function<Result<>(const bitcoin::Hash256& hash, std::uint32_t height, ledger::BlockSubmitter::Assemble assemble)>
      submit_block;
};

/// What a node by JSON-RPC is to those who call it. Errors: those of read_secret_file, of `password_file`.
Result<templates::RpcConfig> rpc_config(const BitcoinRpcNode& node, std::optional<bitcoin::Network> network);

/// The source that the settings name: an EmbeddedSource or BitcoinNodes. The settings have no error. Errors: those
/// of read_secret_file, of `password_file`.
Result<MadeSource> make_source(const SourceSettings& settings, const SourcePlace& place);

}  // namespace adit::config
