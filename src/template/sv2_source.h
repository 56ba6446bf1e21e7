// Templates of a Stratum V2 template provider, over TCP or iroh.
#pragma once

#include <memory>

#include "ledger/block_submitter.h"
#include "template/source.h"
#include "template/sv2_link.h"

namespace adit::templates {

/// Hands on what its link receives. A solution goes to the provider at once; the whole block, of the template and its
/// transactions, to the submitter.
class Sv2Source final : public TemplateSource {
 public:
  /// `blocks` outlives the source.
  Sv2Source(std::shared_ptr<Sv2Link> link, ledger::BlockSubmitter& blocks);
  ~Sv2Source() override;

  Result<> start(SourceEvents events) override;  ///< No errors.
  /// Errors also: those of BlockSubmitter::submit. The solution goes to the provider even then.
  Result<> submit(TemplateId id, BlockSolution solution) override;
  void constrain(CoinbaseConstraints constraints) override;
  void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) override;
  [[nodiscard]] SourceStatus status() const override;
  /// Takes no further templates. The link goes on: what becomes of blocks is still to be heard.
  void stop() override;

 private:
  class Driver;
  std::shared_ptr<Driver> driver_;
};

}  // namespace adit::templates
