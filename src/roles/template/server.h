// The template provider's driver: listeners, handshakes, one templates::Sv2ServerSession for each connection, and a source of
// templates for each class of constraints.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/listeners.h"
#include "net/shards.h"
#include "roles/template/stats.h"
#include "session/shutdown.h"
#include "template/constraint_classes.h"
#include "template/source.h"
#include "template/sv2_server.h"

namespace adit::provider {

struct ServerOptions : net::ListenOptions {
  templates::Sv2ServerPolicy session;
  templates::ConstraintClasses::Options classes;
  Duration setup_timeout = std::chrono::seconds(10);  ///< From a connection to its SetupConnection.
  Duration tick = std::chrono::seconds(1);            ///< How often sessions look at their deadlines.
  std::size_t max_queued_bytes = 40u << 20;  ///< Unsent bytes of one connection: policy.max_requests answers of 4 MB, and more.
  std::uint32_t max_payload = 128 * 1024;    ///< Of one frame from a client: SubmitSolution's coinbase of 64 KiB at most.
};

/// Runs on `shards`, beside whatever else does. Every function may be called on any thread but a shard's.
class TemplateServer {
 public:
  /// Makes a source of the same chain for another class of constraints. Its solutions reach the same nodes, and it is valid no
  /// longer than the first source.
  using MakeSource = std::function<std::unique_ptr<templates::TemplateSource>()>;

  /// `shards` are started already; they and `source`, which serves class 0, must outlive the server. Without `further` all
  /// clients are in class 0: `options.classes` must then leave them room.
  TemplateServer(net::Shards& shards, templates::TemplateSource& source, MakeSource further, ServerOptions options);
  ~TemplateServer();  ///< As stop(0).
  TemplateServer(const TemplateServer&) = delete;
  TemplateServer& operator=(const TemplateServer&) = delete;

  /// Listens, then starts the source. Once. Errors: those of net::Listeners and TemplateSource::start.
  Result<void> start();

  /// To be called before the shards are stopped. Takes in nothing more, answers what was asked, ends each connection in that
  /// manner within `behavior.deadline`, then stops the sources, which keep found blocks safe. Idempotent.
  void stop(session::ShutdownBehavior behavior);
  void stop(Duration patience) { stop(session::ShutdownBehavior{.deadline = patience}); }

  /// Of the TCP listener; 0 without one.
  [[nodiscard]] std::uint16_t tcp_port() const;

  /// Asks every shard.
  [[nodiscard]] ServerStats stats() const;

  /// Asks every shard: a bounded number of the clients of each.
  [[nodiscard]] std::vector<ConnectionInfo> connections() const;

 private:
  struct Core;
  class Part;

  std::shared_ptr<Core> core_;
};

}  // namespace adit::provider
