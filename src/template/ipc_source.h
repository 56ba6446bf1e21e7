// Templates of a Bitcoin node by IPC.
#pragma once

#include <memory>

#include "ledger/block_submitter.h"
#include "template/ipc_link.h"
#include "template/source.h"

namespace adit::templates {

/// Waits at the node for each next template, on the link's thread. A new tip is told as soon as what a job needs of its
/// template is there; the transactions are fetched behind it. On one tip a template is told when its fees have risen enough,
/// and not too often (IpcConfig).
///
/// A solution goes to the node at once, by its template, and as a whole block to the submitter, whose nodes need not be this
/// one; what becomes of it is the submitter's to tell: on_block_kept and on_block_result are never called by this source.
class IpcSource final : public TemplateSource {
 public:
  /// `blocks` must outlive the source.
  IpcSource(std::shared_ptr<IpcLink> link, ledger::BlockSubmitter& blocks);
  ~IpcSource() override;

  Result<> start(SourceEvents events) override;  ///< Errors also: ipc's kSystem.
  Result<> submit(TemplateId id, BlockSolution solution) override;
  void constrain(CoinbaseConstraints constraints) override;
  void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) override;
  [[nodiscard]] SourceStatus status() const override;
  void stop() override;  ///< The link goes on: blocks may still be on their way.

 private:
  class Driver;
  std::shared_ptr<Driver> driver_;
};

}  // namespace adit::templates
