// A translator as its monitor and its log show it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/time.h"
#include "log/log.h"
#include "monitor/health.h"
#include "monitor/rate.h"
#include "monitor/series.h"
#include "monitor/server.h"
#include "monitor/snapshot.h"
#include "net/carrier.h"
#include "roles/translator/server.h"

namespace adit::translator {

/// Which miners have series of their own in /metrics, and these. Miners come and go under names of their own: those whose
/// shares were accepted come first, and what is new is bounded over time.
class MinerSeries {
 public:
  /// `connected`: how many there are, of whom `miners` are some.
  void add(monitor::Families& out, const std::vector<MinerInfo>& miners, std::size_t connected, Instant now);

  static constexpr std::size_t kAtOnce = 128;

 private:
  monitor::SeriesBudget budget_{{.at_once = kAtOnce, .bytes = 256 * 1024, .new_per_hour = kAtOnce}};
};

/// What the monitor shows of a translator.
class Metrics final : public monitor::Role {
 public:
  /// `iroh` is the carrier that the translator dials by, if any. Both must outlive this.
  explicit Metrics(const TranslatorServer& server, const net::IrohCarrier* iroh = nullptr) : server_(server), iroh_(iroh) {}

  /// Asks every shard; on any thread but a shard's.
  monitor::Snapshot snapshot() override;
  monitor::Health health() override;

 private:
  ServerStats look();

  const TranslatorServer& server_;
  const net::IrohCarrier* iroh_;
  ServerStats complete_;  ///< The last to which every shard gave its part.
  monitor::WorkAge work_age_;
  monitor::MeasuredRate measured_;
  MinerSeries miners_;
};

/// The verdict on a translator in that state. It is ready if any shard's upstream is, and every shard answers. `work_age`:
/// since its newest job came.
monitor::Health health_of(const ServerStats& stats, std::optional<Duration> work_age);

/// Logs the event translator.stats.
void log_stats(log::Level level, const ServerStats& stats);

/// Logs what changed since the last look, and where the paths lie now. Nothing while a shard does not answer.
class Watch {
 public:
  void look(const ServerStats& stats);

 private:
  std::vector<std::uint64_t> connects_;
};

}  // namespace adit::translator
