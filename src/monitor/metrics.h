// A snapshot as Prometheus' text format, under the names that SRI's roles use.
#pragma once

#include <string>
#include <string_view>

#include "monitor/families.h"
#include "monitor/snapshot.h"

namespace adit::monitor {

/// The body of /api/v1/connections: {"connections":[...]}, each with the fields of a ConnectionSample.
std::string connections_json(const Snapshot& snapshot);

/// The body of /api/v1/workers: {"total":N,"workers":[...]}, each with the fields of a WorkerSample.
std::string workers_json(const Snapshot& snapshot);

/// How many workers have metrics of their own, each client having the same right to one: series are dear, and their names are
/// the clients' to choose. All that a snapshot has are in workers_json.
inline constexpr std::size_t kMaxWorkersInMetrics = 200;

/// All are gauges, as in SRI, whatever their names end in. A side that the role does not have has no metrics.
std::string metrics_text(const Snapshot& snapshot, double uptime_seconds);

}  // namespace adit::monitor
