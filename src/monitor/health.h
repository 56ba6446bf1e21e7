// Whether a role can do its work, and if not, why.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace adit::monitor {

enum class Readiness {
  kReady,
  kStarting,       ///< It has had no work to give out since the start.
  kNodeAway,       ///< The node gives no templates; that passes by itself.
  kMisconfigured,  ///< Nothing comes from the node or the upstreams before the operator changes something.
  kUpstreamLost,   ///< No upstream is connected.
  kSilent,         ///< The role, or a shard of it, does not answer its monitor.
};
inline constexpr std::array kAllReadiness = {Readiness::kReady,         Readiness::kStarting,     Readiness::kNodeAway,
                                             Readiness::kMisconfigured, Readiness::kUpstreamLost, Readiness::kSilent};

constexpr std::string_view to_string(Readiness readiness) {
  switch (readiness) {
    case Readiness::kReady:
      return "ready";
    case Readiness::kStarting:
      return "starting";
    case Readiness::kNodeAway:
      return "node-away";
    case Readiness::kMisconfigured:
      return "misconfigured";
    case Readiness::kUpstreamLost:
      return "upstream-lost";
    case Readiness::kSilent:
      break;
  }
  return "silent";
}

/// A role's verdict on itself.
struct Health {
  Readiness readiness = Readiness::kStarting;
  std::string message{};               ///< For a person: what is wrong and what to do; when ready a caution, mostly empty.
  std::optional<Duration> work_age{};  ///< Since the newest work came; absent before the first.

  [[nodiscard]] bool ready() const { return readiness == Readiness::kReady; }
};

/// The verdict on a role of which so many shards did not answer in time.
inline Health health_of_silent_shards(std::size_t shards) {
  return {.readiness = Readiness::kSilent,
          .message = "shards that do not answer: " + std::to_string(shards) + "; if that lasts, restart the role"};
}

/// Tells how old the newest work is from a number that grows with each piece of work. To be asked about once a second.
class WorkAge {
 public:
  /// `count`: pieces of work since the start. Absent while it is 0.
  std::optional<Duration> look(std::uint64_t count, Instant now) {
    if (count != count_) since_ = now;
    count_ = count;
    return count == 0 ? std::nullopt : std::optional(now - since_);
  }

 private:
  std::uint64_t count_ = 0;
  Instant since_{};
};

}  // namespace adit::monitor
