// A job declarator client as its monitor and its log show it.
#pragma once

#include <optional>

#include "bitcoin/address.h"
#include "log/log.h"
#include "monitor/health.h"
#include "monitor/rate.h"
#include "monitor/server.h"
#include "monitor/snapshot.h"
#include "net/carrier.h"
#include "roles/jd_client/server.h"

namespace adit::jd_client {

/// What the monitor shows of a job declarator client.
class Metrics final : public monitor::Role {
 public:
  /// `iroh` is the process's carrier, if any. Both must outlive this. `network`: whose blocks are mined, where the
  /// configuration says.
  explicit Metrics(const JdClientServer& server, const net::IrohCarrier* iroh = nullptr,
                   std::optional<bitcoin::Network> network = std::nullopt)
      : server_(server), iroh_(iroh), network_(network) {}

  /// Asks the shard; on any thread but a shard's.
  monitor::Snapshot snapshot() override;
  /// Likewise.
  monitor::Health health() override;

 private:
  ServerStats look();

  const JdClientServer& server_;
  const net::IrohCarrier* iroh_;
  std::optional<bitcoin::Network> network_;
  ServerStats complete_;                     ///< The last to which the shard gave its part.
  monitor::MeasuredRate measured_;           ///< Of miners.
  monitor::MeasuredRate measured_upstream_;  ///< Of what pools acknowledged.
};

/// The verdict, at `now`: that on its source of templates, since miners have work whether a pool is there or not.
monitor::Health health_of(const ServerStats& stats, Instant now);

/// Logs the event jd_client.stats.
void log_stats(log::Level level, const ServerStats& stats);

}  // namespace adit::jd_client
