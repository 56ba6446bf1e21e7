// The job declarator client's driver: miners in by TCP and iroh, one mining::ServerSession for each connection; one pool and
// its declarator above; templates from our own node; found blocks handed on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "downstream/entrance.h"
#include "downstream/miners.h"
#include "mining/session_list.h"
#include "monitor/mining_samples.h"
#include "net/shards.h"
#include "roles/jd_client/engine.h"
#include "roles/jd_client/pool_role.h"
#include "session/shutdown.h"
#include "template/source.h"
#include "upstream/selection.h"
#include "upstream/uplink.h"

namespace adit::jd_client {

struct ServerOptions : downstream::MinersOptions {
  EngineOptions engine;                       ///< Its salt is chosen at random.
  std::vector<UpstreamTarget> upstreams;      ///< In order of preference; none: solo.
  net::IrohCarrier* dialling_iroh = nullptr;  ///< Needed for upstreams over iroh; must outlive the server.
  net::HealthPolicy upstream_health;          ///< Of sessions with pools and declarators.
  upstream::SelectionPolicy selection;        ///< Which of the upstreams is used when.
};

/// Everything that a monitor shows of a job declarator client.
struct ServerStats : downstream::MinersCounts {
  Counters counters;  ///< Of the upstream side.
  EngineStatus status;
  std::optional<upstream::UplinkStatus> pool;        ///< Absent without upstreams.
  std::optional<upstream::UplinkStatus> declarator;  ///< Absent while no pool is in use.
  net::Admission::Counts admission;
  std::uint64_t failed_accepts = 0;  ///< Over TCP, for want of descriptors or memory; they were tried again.
  templates::SourceStatus source;
  bool silent = false;  ///< The shard has not answered in time: counts are missing.
};

/// Runs on `shards`, of which there is one: all miners share one channel upstream. Every function may be called on any thread
/// but a shard's.
class JdClientServer {
 public:
  /// `shards` are started already; they and `source` must outlive the server.
  JdClientServer(net::Shards& shards, templates::TemplateSource& source, ServerOptions options);
  ~JdClientServer();  ///< As stop(0).
  JdClientServer(const JdClientServer&) = delete;
  JdClientServer& operator=(const JdClientServer&) = delete;

  /// Listens, starts the source and begins to dial. Once. Errors: those of net::Listeners and TemplateSource::start;
  /// net::Errc::kConfiguration for more than one shard, or without an upstream in a mode that needs one.
  Result<void> start();

  /// As pool::PoolServer::stop; the sessions with pool and declarator are ended in that manner too.
  void stop(session::ShutdownBehavior behavior);
  /// As stop({kGoodbye, patience}).
  void stop(Duration patience) { stop(session::ShutdownBehavior{.deadline = patience}); }

  [[nodiscard]] std::uint16_t tcp_port() const;   ///< Of the TCP listener; 0 without one.
  [[nodiscard]] std::uint16_t sv1_port() const;   ///< Of the listener for SV1 miners; 0 without one.
  [[nodiscard]] std::string tcp_address() const;  ///< "ip:port" as bound; empty without one.

  /// Asks the shard; after stop() what it counted last.
  [[nodiscard]] ServerStats stats() const;
  /// Asks the shard.
  [[nodiscard]] monitor::MiningConnections connections(const mining::ListLimits& limits = {}) const;

 private:
  struct Core;
  class Part;

  std::shared_ptr<Core> core_;
};

}  // namespace adit::jd_client
