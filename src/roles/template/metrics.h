// A template provider as its monitor and its log show it.
#pragma once

#include <optional>

#include "bitcoin/address.h"
#include "log/log.h"
#include "monitor/health.h"
#include "monitor/server.h"
#include "monitor/snapshot.h"
#include "net/carrier.h"
#include "roles/template/server.h"

namespace adit::provider {

/// What the monitor shows of a template provider.
class Metrics final : public monitor::Role {
 public:
  /// `iroh` is the carrier that the provider listens on, if any. Both must outlive this. `network`: whose blocks are mined,
  /// where the configuration says.
  explicit Metrics(const TemplateServer& server, const net::IrohCarrier* iroh = nullptr,
                   std::optional<bitcoin::Network> network = std::nullopt)
      : server_(server), iroh_(iroh), network_(network) {}

  /// Asks every shard; on any thread but a shard's.
  monitor::Snapshot snapshot() override;
  /// Likewise.
  monitor::Health health() override;

 private:
  ServerStats look();

  const TemplateServer& server_;
  const net::IrohCarrier* iroh_;
  std::optional<bitcoin::Network> network_;
  Totals complete_;  ///< The last to which every shard gave its part.
};

/// Logs the event provider.stats.
void log_stats(log::Level level, const ServerStats& stats);

}  // namespace adit::provider
