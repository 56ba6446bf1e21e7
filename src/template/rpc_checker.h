// A Bitcoin node that judges blocks by JSON-RPC: getblocktemplate's proposal (BIP23), which any node has.
#pragma once

#include <memory>

#include "declaration/block_checker.h"
#include "template/rpc_config.h"

namespace adit::templates {

/// Asks over a few lines of its own, on a thread of its own.
class RpcChecker final : public declaration::BlockChecker {
 public:
  /// Checks at once: the node runs them one after the other, and each takes one of its RPC threads (four by default before
  /// Bitcoin Core 27, then sixteen).
  static constexpr unsigned kLines = 2;

  explicit RpcChecker(RpcConfig config);
  ~RpcChecker() override;

  [[nodiscard]] unsigned max_under_way() const override { return kLines; }
  void check(std::vector<std::uint8_t> block, Done done) override;
  void start() override;
  void stop() override;

 private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace adit::templates
