// One or several Bitcoin nodes, by JSON-RPC, IPC or through a template provider, as one source: templates from the first that
// is ready, blocks to all of them.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/file.h"
#include "ledger/block_submitter.h"
#include "template/ipc_config.h"
#include "template/rpc_config.h"
#include "template/source.h"
#include "template/sv2_config.h"

namespace adit::templates {

/// Joins SourceList over the nodes' sources (RpcSource, IpcSource, Sv2Source) and the BlockSubmitter over their BlockNodes
/// (RpcNode, IpcNode, Sv2Node). One node may be listed twice, by JSON-RPC and by IPC: blocks go to it both ways then.
class BitcoinNodes final : public TemplateSource {
 public:
  struct Node {
    std::variant<RpcConfig, IpcConfig, Sv2Config> at;
    bool templates = true;  ///< False: it takes blocks alone.
  };

  struct Options {
    std::vector<Node> nodes;                 ///< Best first; at least one gives templates.
    ledger::BlockSubmitter::Options blocks;  ///< With the folder of the journal.
  };

  explicit BitcoinNodes(Options options);
  ~BitcoinNodes() override;

  /// Errors: those of ledger::BlockSubmitter::start and the sources' start; kConfiguration if no node gives templates, or if
  /// one is reached by IPC and this build has none (ADIT_IPC=OFF).
  Result<> start(SourceEvents events) override;
  Result<> submit(TemplateId id, BlockSolution solution) override;
  void constrain(CoinbaseConstraints constraints) override;
  void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) override;
  [[nodiscard]] SourceStatus status() const override;
  void stop() override;

  /// Another source of the same nodes, for templates with other constraints; its blocks go where this one's do. Its connections
  /// are its own. Null if no node gives templates. Must be destroyed before this is stopped. Any thread.
  [[nodiscard]] std::unique_ptr<TemplateSource> further();

  /// For whole blocks that are not on a template of this source (declared jobs'). Valid as long as the source.
  [[nodiscard]] ledger::BlockSubmitter& blocks();

 private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace adit::templates
