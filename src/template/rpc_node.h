// A Bitcoin node that takes blocks by JSON-RPC: submitblock and preciousblock.
#pragma once

#include <memory>
#include <string>

#include "ledger/block_node.h"
#include "template/rpc_config.h"

namespace adit::templates {

/// Submits on a thread of its own, each block over a line of its own. One connection is kept open for the next block, and
/// descriptors for a few more, so that strangers who use up this process's descriptors keep no block from the node.
class RpcNode final : public ledger::BlockNode {
 public:
  RpcNode(RpcConfig config, bool gives_templates);
  ~RpcNode() override;

  [[nodiscard]] const std::string& name() const override;
  [[nodiscard]] bool gives_templates() const override;
  void submit(ledger::BlockPtr block, Done done) override;
  void prefer(const ledger::Hash256& hash) override;
  void start() override;
  void stop() override;

 private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace adit::templates
