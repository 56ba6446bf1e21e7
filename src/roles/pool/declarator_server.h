// `adit jd-server`: the pool's job declaration in a process of its own. Its tokens speak for themselves at the pool.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/address.h"
#include "channels/payout.h"
#include "log/log.h"
#include "monitor/health.h"
#include "monitor/server.h"
#include "monitor/snapshot.h"
#include "net/backlog.h"
#include "net/carrier.h"
#include "net/listeners.h"
#include "net/shards.h"
#include "roles/pool/declarator.h"
#include "roles/pool/stats.h"
#include "session/shutdown.h"
#include "template/source.h"

namespace adit::pool {

struct DeclaratorServerOptions : net::ListenOptions {
  DeclaratorOptions declarator;                       ///< With a seal. Its `listen` is not looked at.
  Duration setup_timeout = std::chrono::seconds(10);  ///< From a connection to its SetupConnection.
  Duration tick = std::chrono::seconds(1);            ///< How often sessions look at their deadlines.
};

/// Everything that a monitor shows of it.
struct DeclaratorServerStats : DeclaratorTotals {
  std::size_t silent_shards = 0;  ///< That did not answer in time: their part of the totals is missing.
  net::Admission::Counts admission;
  std::uint64_t failed_accepts = 0;  ///< Over TCP, for want of descriptors or memory; they were tried again.
  net::Backlog::Counts unread{};     ///< What clients have not read.
  templates::SourceStatus source;    ///< Of the templates, and of the blocks handed to the chain.
};

/// Runs on `shards`, beside whatever else does. Every function may be called on any thread but a shard's.
class DeclaratorServer {
 public:
  /// `shards` are started already; they and `source` must outlive the server.
  DeclaratorServer(net::Shards& shards, templates::TemplateSource& source, DeclaratorServerOptions options);
  ~DeclaratorServer();  ///< As stop(0).
  DeclaratorServer(const DeclaratorServer&) = delete;
  DeclaratorServer& operator=(const DeclaratorServer&) = delete;

  /// Listens, then starts the source. Once. Errors: those of net::Listeners and TemplateSource::start.
  Result<void> start();

  /// To be called before the shards are stopped. Takes in nothing more, answers what was declared, ends each connection in that
  /// manner within `behavior.deadline`, then stops the source, which keeps found blocks safe. Idempotent.
  void stop(session::ShutdownBehavior behavior);
  void stop(Duration patience) { stop(session::ShutdownBehavior{.deadline = patience}); }

  /// Of the TCP listener; 0 without one.
  [[nodiscard]] std::uint16_t tcp_port() const;

  /// Asks every shard.
  [[nodiscard]] DeclaratorServerStats stats() const;

  /// Asks every shard: the connections, and their numbers, of a bounded number of the clients of each.
  [[nodiscard]] std::vector<std::pair<std::uint32_t, net::ConnectionMetadata>> connections() const;

 private:
  struct Core;
  class Part;

  std::shared_ptr<Core> core_;
};

/// What the monitor shows of it.
class DeclaratorMetrics final : public monitor::Role {
 public:
  /// As Metrics.
  explicit DeclaratorMetrics(const DeclaratorServer& server, const net::IrohCarrier* iroh = nullptr,
                             std::optional<bitcoin::Network> network = std::nullopt)
      : server_(server), iroh_(iroh), network_(network) {}

  /// Asks every shard; on any thread but a shard's.
  monitor::Snapshot snapshot() override;
  /// Likewise.
  monitor::Health health() override;

 private:
  DeclaratorServerStats look();

  const DeclaratorServer& server_;
  const net::IrohCarrier* iroh_;
  std::optional<bitcoin::Network> network_;
  DeclaratorTotals complete_;  ///< The last to which every shard gave its part.
};

/// Logs the event jds.stats.
void log_stats(log::Level level, const DeclaratorServerStats& stats);

}  // namespace adit::pool
