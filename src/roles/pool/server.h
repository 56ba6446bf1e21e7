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
#include "mining/server_session.h"
#include "net/listeners.h"
#include "net/shards.h"
#include "roles/pool/stats.h"
#include "roles/pool/work_watch.h"
#include "session/adit_extension.h"
#include "session/shutdown.h"
#include "template/source.h"

namespace adit::pool {

struct ServerOptions : net::ListenOptions {
  mining::ServerPolicy session;
  std::vector<std::uint16_t> supported_extensions;    ///< That a client may ask for, beside 0x0001 and 0x4AD1.
  std::vector<std::uint16_t> required_extensions;     ///< Without these a client may open no channel.
  Duration setup_timeout = std::chrono::seconds(10);  ///< From a connection to its SetupConnection.
  channels::JobFactory::Config jobs;  ///< Its payout_script is that of session.payouts too, whatever stands there.
  std::uint16_t server_id = 0;        ///< Part of every extranonce: pools on one chain that pay one script must differ in it.
  std::size_t max_past_jobs = channels::kMaxPastJobs;
  StaleWorkPolicy stale_work;
  Duration tick = std::chrono::seconds(1);  ///< How often sessions look at their deadlines, late acknowledgements and vardiff.
  std::size_t max_queued_bytes = 2 << 20;   ///< Unsent bytes of one connection; more: it is cut off. See net::FramedOptions.
  std::uint32_t max_payload = 128 * 1024;   ///< Of one frame from a miner: SetCustomMiningJob's two fields of 64 KiB at most.
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

  /// Asks every shard; after stop() what they counted last.
  [[nodiscard]] ServerStats stats() const;

  /// Asks every shard.
  [[nodiscard]] Connections connections(const mining::ListLimits& limits = {}) const;

 private:
  struct Core;
  class Part;

  std::shared_ptr<Core> core_;
};

}  // namespace adit::pool
