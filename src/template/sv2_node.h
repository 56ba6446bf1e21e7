// A template provider as a node that takes found blocks: by SubmitSolution.
#pragma once

#include <memory>
#include <string>

#include "ledger/block_node.h"
#include "template/sv2_link.h"

namespace adit::templates {

/// A block of one of the provider's own templates has gone there as a solution (Sv2Link::solve) when it comes here. Because
/// SubmitSolution has no answer, the tip that the provider names next is its answer. Any other block cannot be handed over: an
/// attempt waits whether the provider's node hears of it from the network.
class Sv2Node final : public ledger::BlockNode {
 public:
  Sv2Node(std::shared_ptr<Sv2Link> link, bool gives_templates);
  ~Sv2Node() override;

  [[nodiscard]] const std::string& name() const override;
  [[nodiscard]] bool gives_templates() const override;
  void submit(ledger::BlockPtr block, Done done) override;
  void prefer(const ledger::Hash256& hash) override;  ///< Does nothing: the protocol has no word for it.
  void start() override;
  void stop() override;  ///< Ends the link.

 private:
  const std::shared_ptr<Sv2Link> link_;
  const bool gives_templates_;
};

}  // namespace adit::templates
