// What a scrape of /metrics reads: a role's snapshot as Prometheus' text, under SRI's names where SRI has them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "monitor/families.h"
#include "monitor/health.h"
#include "monitor/series.h"
#include "monitor/snapshot.h"

namespace adit::monitor {

/// Bounded in bytes for each scrape and in series over time, whatever strangers call themselves and however often they come
/// back: docs/monitoring.md says how. Not thread-safe.
class Exposition {
 public:
  /// No scrape is longer.
  static constexpr std::size_t kMaxBytes = 2 << 20;

  struct Limits {
    SeriesBudget::Limits clients{};  ///< Of channels with clients.
    SeriesBudget::Limits server{};   ///< Of channels with the server above.
    SeriesBudget::Limits workers{.at_once = 200, .bytes = 192 * 1024, .new_per_hour = 200};
  };

  Exposition() : Exposition(Limits()) {}
  explicit Exposition(const Limits& limits)
      : limits_(limits), clients_(limits.clients), server_(limits.server), workers_(limits.workers) {}

  /// To be called with each new snapshot, in their order.
  void update(const Snapshot& snapshot, Instant now);

  /// As of the last update, but for the uptime and the health.
  [[nodiscard]] std::string text(double uptime_seconds, const Health& health) const;

 private:
  /// Shares of one worker, over all its connections.
  struct Counted {
    std::uint64_t accepted = 0;
    std::uint64_t rejected = 0;
    double work = 0;
  };
  struct Worker {
    Counted total;
    std::map<std::uint32_t, Counted> seen;  ///< By client, as of the last update in which it was listed.
  };

  void add_side(Families& out, const SideSample& side, bool clients, Instant now);
  void add_workers(Families& out, const SideSample& side, Instant now);

  Limits limits_;
  SeriesBudget clients_;
  SeriesBudget server_;
  SeriesBudget workers_;
  std::map<std::string, Worker> worker_totals_;  ///< By the label's value: of those that workers_ remembers.
  std::uint32_t newest_client_ = 0;              ///< Of all updates so far.
  bool all_workers_listed_ = true;               ///< At the last update.
  std::string body_;
};

}  // namespace adit::monitor
