// A Bitcoin node that judges blocks by IPC: checkBlock.
#pragma once

#include <memory>

#include "declaration/block_checker.h"
#include "template/ipc_link.h"

namespace adit::templates {

/// Over a connection of its own.
class IpcChecker final : public declaration::BlockChecker {
 public:
  explicit IpcChecker(IpcConfig config);
  ~IpcChecker() override;

  /// The node runs them one after the other: the next one is there when one is done.
  [[nodiscard]] unsigned max_under_way() const override { return 2; }
  void check(std::vector<std::uint8_t> block, Done done) override;
  void find(std::vector<bitcoin::Hash256> wtxids, Found found) override;
  [[nodiscard]] bool can_find() const override { return true; }
  void start() override;
  void stop() override;

 private:
  IpcLink link_;
};

}  // namespace adit::templates
