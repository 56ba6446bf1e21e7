// The pool's driver: listeners, handshakes, one mining::ServerSession per connection, templates fanned out to all of them,
// found blocks handed on.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "channels/job.h"
#include "declaration/sealed_token.h"
#include "downstream/entrance.h"
#include "downstream/miners.h"
#include "monitor/mining_samples.h"
#include "net/shards.h"
#include "roles/pool/declarator.h"
#include "roles/pool/stats.h"
#include "roles/pool/work_watch.h"
#include "session/adit_extension.h"
#include "session/shutdown.h"
#include "template/source.h"

namespace adit::pool {

struct ServerOptions : downstream::MinersOptions {
  channels::JobFactory::Config jobs;  ///< Its payout_script is that of session.payouts too, whatever stands there.
  /// The authority's key is one whose secret everybody has: work of a chain that is worth something is not given to miners.
  bool worthless_chains_only = false;
  StaleWorkPolicy stale_work;
  std::optional<DeclaratorOptions> declarator{};  ///< Absent: there is none in this process.
  /// Set: the declarator is another process, whose tokens this checks; `declarator` is absent then.
  std::shared_ptr<const declaration::TokenSeal> token_seal{};
  declaration::RevenuePolicy declared_revenue{};  ///< As that process has it; not used without `token_seal`.
};

/// Runs on `shards`, beside whatever else does. Every function may be called on any thread but a shard's.
class PoolServer {
 public:
  /// `shards` are started already; they and `source` must outlive the server.
  PoolServer(net::Shards& shards, templates::TemplateSource& source, ServerOptions options);
  ~PoolServer();  ///< As stop(0).
  PoolServer(const PoolServer&) = delete;
  PoolServer& operator=(const PoolServer&) = delete;

  /// Listens, then starts the source. Once. Errors: those of net::Listeners and TemplateSource::start.
  Result<void> start();

  /// To be called before the shards are stopped. In two phases: takes in nothing more; then sends what is due (late
  /// acknowledgements too), ends each connection in that manner and waits for its peer's end, at most `behavior.deadline`.
  /// Blocks that were found are with the source before that is stopped, which keeps them safe. Idempotent.
  void stop(session::ShutdownBehavior behavior);
  /// As stop({kGoodbye, patience}).
  void stop(Duration patience) { stop(session::ShutdownBehavior{.deadline = patience}); }

  /// Of the TCP listener; 0 without one.
  [[nodiscard]] std::uint16_t tcp_port() const;
  [[nodiscard]] std::string tcp_address() const;  ///< "ip:port" as bound; empty without one.
  /// Likewise, of the listener for SV1 miners.
  [[nodiscard]] std::uint16_t sv1_port() const;
  [[nodiscard]] std::string sv1_address() const;
  /// Likewise, of job declaration.
  [[nodiscard]] std::uint16_t declarator_tcp_port() const;

  /// Asks every shard; after stop() what they counted last.
  [[nodiscard]] ServerStats stats() const;

  /// Asks every shard.
  [[nodiscard]] monitor::MiningConnections connections(const mining::ListLimits& limits = {}) const;

 private:
  struct Core;
  class Part;

  std::shared_ptr<Core> core_;
};

}  // namespace adit::pool
