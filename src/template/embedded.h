// The embedded regtest chain as a template source: no node, nothing to install; what `adit demo` mines on.
#pragma once

#include <memory>
#include <vector>

#include "base/time.h"
#include "template/chain.h"
#include "template/source.h"

namespace adit::templates {

class EmbeddedSource final : public TemplateSource {
 public:
  struct Options {
    Chain::Options chain;
    Duration refresh_every = std::chrono::seconds(30);    ///< A template with the present time, on an unchanged tip.
    Duration new_tip_every{0};                            ///< Another miner's block, found by the chain itself; 0: never.
    std::vector<std::uint8_t> other_miners_script{0x51};  ///< What those blocks pay: OP_TRUE.
  };

  explicit EmbeddedSource(Options options);
  ~EmbeddedSource() override;

  /// Errors: kConfiguration for an nbits that is no target, or for new_tip_every on a target harder than 2^20 hashes a block.
  static Result<> check(const Options& options);

  /// Errors: those of check().
  Result<> start(SourceEvents events) override;

  /// The block is kept once the chain has judged it: a chain in memory ends with the process, and its blocks with it.
  Result<> submit(TemplateId id, BlockSolution solution) override;
  /// The same for a whole block, on whatever template.
  void submit_block(FoundBlock block);

  /// Does nothing: this chain's blocks have no limit, and its transactions are few.
  void constrain(CoinbaseConstraints constraints) override;
  void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) override;
  [[nodiscard]] SourceStatus status() const override;
  void stop() override;

  /// The newest blocks, oldest first, the tip last. Any thread.
  [[nodiscard]] std::vector<ChainBlock> blocks() const;

 private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace adit::templates
