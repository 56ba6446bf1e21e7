// A pool as its monitor and its log show it.
#pragma once

#include <optional>

#include "bitcoin/address.h"
#include "log/log.h"
#include "monitor/health.h"
#include "monitor/rate.h"
#include "monitor/server.h"
#include "monitor/snapshot.h"
#include "net/carrier.h"
#include "roles/pool/server.h"
#include "template/source.h"

namespace adit::pool {

/// What the monitor shows of a pool.
class Metrics final : public monitor::Role {
 public:
  /// `iroh` is the carrier that the pool listens on, if any. Both must outlive this. `network`: whose blocks are mined, where
  /// the configuration says.
  explicit Metrics(const PoolServer& server, const net::IrohCarrier* iroh = nullptr,
                   std::optional<bitcoin::Network> network = std::nullopt)
      : server_(server), iroh_(iroh), network_(network) {}

  /// Asks every shard; on any thread but a shard's.
  monitor::Snapshot snapshot() override;
  /// Likewise.
  monitor::Health health() override;

 private:
  ServerStats look();

  const PoolServer& server_;
  const net::IrohCarrier* iroh_;
  std::optional<bitcoin::Network> network_;
  Totals complete_;  ///< The last to which every shard gave its part.
  monitor::MeasuredRate measured_;
};

/// The verdict, at `now`, on a pool whose source of templates is in that state. `work_is_stale`: ServerStats::work_is_stale.
monitor::Health health_of(const templates::SourceStatus& source, Instant now, bool work_is_stale = false);

/// Logs the event pool.stats.
void log_stats(log::Level level, const ServerStats& stats);

}  // namespace adit::pool
