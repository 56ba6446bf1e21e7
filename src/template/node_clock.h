// Whether a node's clock and this machine's agree.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/clock_agreement.h"
#include "base/time.h"

namespace adit::templates {

/// One node's clock, as its templates show it. Not thread-safe.
class NodeClock {
 public:
  /// `node` is how logs name the node.
  explicit NodeClock(std::string node) : node_(std::move(node)) {}

  /// A template came at `now`. `node_time` is the time that its header proposes, `min_ntime` the least that the chain allows
  /// there, 0 if that is not known. Returns by how much the node's clock is ahead of this machine's; nothing where the chain's
  /// least time hides it. Logs when the clocks begin to differ by more than 20 s (a template on its way takes a second or two),
  /// and when they agree again.
  std::optional<std::chrono::seconds> note(std::uint32_t node_time, std::uint32_t min_ntime, const Now& now);

 private:
  const std::string node_;
  ClockAgreement clock_;
};

}  // namespace adit::templates
