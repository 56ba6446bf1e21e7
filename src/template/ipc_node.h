// A Bitcoin node that takes blocks by IPC: submitSolution and submitBlock.
#pragma once

#include <memory>
#include <string>

#include "ledger/block_node.h"
#include "template/ipc_link.h"

namespace adit::templates {

/// A block of one of the node's own templates has gone there as a solution (IpcLink::solve) when it comes here: its answer is
/// waited for, and the whole block submitted only where that does not decide. Any other block is submitted whole, which takes
/// Bitcoin Core 31.99 or later; to 31.0 it goes as a solution as long as the node holds its template.
class IpcNode final : public ledger::BlockNode {
 public:
  IpcNode(std::shared_ptr<IpcLink> link, bool gives_templates);
  ~IpcNode() override;

  [[nodiscard]] const std::string& name() const override;
  [[nodiscard]] bool gives_templates() const override;
  void submit(ledger::BlockPtr block, Done done) override;
  void prefer(const ledger::Hash256& hash) override;
  void start() override;  ///< IpcLink::start: its error shows as the source's, or as that of every attempt.
  void stop() override;   ///< Ends the link.

 private:
  const std::shared_ptr<IpcLink> link_;
  const bool gives_templates_;
};

}  // namespace adit::templates
