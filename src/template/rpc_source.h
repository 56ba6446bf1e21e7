// Templates of a Bitcoin node by JSON-RPC: getblocktemplate with longpoll.
#pragma once

#include <memory>

#include "ledger/block_submitter.h"
#include "template/rpc_config.h"
#include "template/source.h"

namespace adit::templates {

/// Talks to the node on a thread of its own, where templates are parsed too, over two descriptors that it keeps for its life.
///
/// The long poll has no deadline (a chain may be quiet for an hour, and an abandoned one holds a worker of the node until the
/// next block); that the node is alive is known from the refreshes beside it. When one fails, the long poll is cut off.
///
/// Solutions become blocks of its templates and go to the submitter, whose nodes need not be this one; what becomes of them is
/// the submitter's to tell: on_block_kept and on_block_result are never called by this source.
class RpcSource final : public TemplateSource {
 public:
  /// `blocks` must outlive the source.
  RpcSource(RpcConfig config, ledger::BlockSubmitter& blocks);
  ~RpcSource() override;

  Result<> start(SourceEvents events) override;
  Result<> submit(TemplateId id, BlockSolution solution) override;
  void constrain(CoinbaseConstraints constraints) override;
  void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) override;
  [[nodiscard]] SourceStatus status() const override;
  void stop() override;

 private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace adit::templates
