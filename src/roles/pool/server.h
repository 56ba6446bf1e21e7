// The pool's driver: listeners, handshakes, one PoolSession per connection, templates fanned out to all of them, found blocks
// handed on.
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
#include "net/adit_extension.h"
#include "net/admission.h"
#include "net/carrier.h"
#include "net/health.h"
#include "net/metadata.h"
#include "net/round_trips.h"
#include "net/shards.h"
#include "net/transport_config.h"
#include "noise/keys.h"
#include "roles/pool/session.h"
#include "template/source.h"

namespace adit::pool {

struct ServerOptions {
  std::optional<net::TcpConfig> listen{};  ///< TCP; port 0: the system's choice; absent: no TCP.
  net::IrohCarrier* iroh = nullptr;        ///< Listens on it too, if given; must outlive the server.
  std::vector<std::string> alpns{net::kAlpnLanes, net::kAlpnMining};
  noise::Secret authority_secret;  ///< Signs the certificates; from_secret must hold.
  std::chrono::seconds certificate_validity{3600};
  SessionPolicy session;
  channels::JobFactory::Config jobs;
  std::uint16_t server_id = 0;  ///< Part of every extranonce: pools on one chain that pay one script must differ in it.
  std::size_t max_past_jobs = channels::kMaxPastJobs;
  net::AdmissionLimits admission;
  net::HealthPolicy health;
  Duration handshake_deadline = std::chrono::seconds(10);
  Duration tick = std::chrono::seconds(1);  ///< How often sessions look at their deadlines, late acknowledgements and vardiff.
  std::size_t max_queued_bytes = 2 << 20;   ///< Unsent bytes of one connection; more: cut off. See net::FramedOptions.
  std::uint32_t max_payload = 128 * 1024;   ///< Of one frame from a miner: SetCustomMiningJob's two fields of 64 KiB at most.
};

/// What the driver counts beside its sessions, of one transport.
struct TransportCounters {
  std::size_t open = 0;      ///< Past their handshake, now.
  std::uint64_t opened = 0;  ///< Past their handshake, since the start.
  std::uint64_t handshakes_failed = 0;
  std::uint64_t protocol_errors = 0;  ///< Cut off: broken framing, encryption or protocol.
  std::uint64_t slow_readers = 0;     ///< Cut off: did not read.
  std::uint64_t idle = 0;             ///< Cut off: a session's deadline passed.
  std::uint64_t dead = 0;             ///< Released: the peer's host was silent, or its program hung.
  std::size_t degraded = 0;           ///< Now: open and not healthy.
  std::uint64_t goodbyes = 0;         ///< Ended by a Goodbye that was acknowledged.
  std::uint64_t bytes_sent = 0;       ///< Of connections that have ended.
  std::uint64_t bytes_received = 0;   ///< Likewise.
  net::RoundTrips round_trips;        ///< As the carrier estimated it when a connection ended.
};

/// Everything that a monitor shows of a pool.
struct ServerStats {
  PoolCounters pool;
  std::array<TransportCounters, 2> transports{};  ///< By net::Transport.
  net::Admission::Counts admission;
  std::uint64_t jobs = 0;          ///< Made from templates so far.
  templates::SourceStatus source;  ///< Of the templates, and of the blocks handed to the chain.

  [[nodiscard]] const TransportCounters& over(net::Transport transport) const {
    return transports[static_cast<std::size_t>(transport)];
  }
};

/// How much of itself a pool tells whoever lists it: clients choose how many channels and workers there are, and their names.
/// Each connection has the same right to what room there is.
struct ListLimits {
  std::size_t connections = 1000;  ///< Of each shard, as all of these.
  std::size_t channels = 4000;
  std::size_t workers = 1000;
};

/// One connection, for a list of them.
struct ConnectionInfo {
  struct ChannelInfo {
    std::uint32_t id = 0;
    channels::ChannelKind kind = channels::ChannelKind::kStandard;
    std::string user_identity;
    double hash_rate_hps = 0;
    channels::ChannelStats stats;
  };
  struct WorkerInfo {
    std::string name;  ///< UTF-8 without control characters; empty: shares that named nobody, or one name too many.
    std::uint64_t shares_accepted = 0;
    std::uint64_t shares_rejected = 0;
    channels::Work work_sum;   ///< Of the accepted ones.
    double hash_rate_hps = 0;  ///< That they prove: channels::MeasuredHashRate.
  };
  std::uint32_t id = 0;  ///< Of this connection alone, in the life of the server.
  net::ConnectionMetadata metadata;
  std::vector<ChannelInfo> channels;
  std::size_t channels_total = 0;
  std::vector<WorkerInfo> workers;  ///< If the client tells them (extension 0x0002), those first whose first share was first.
};

struct Connections {
  std::vector<ConnectionInfo> listed;
  double hash_rate_hps = 0;  ///< Nominal, of all channels, listed or not.
  std::size_t workers = 0;   ///< Of all connections.
};

/// Runs on `shards`, beside whatever else does. Every function may be called on any thread but a shard's.
class PoolServer {
 public:
  /// `shards` are started already; they and `source` must outlive the server.
  PoolServer(net::Shards& shards, templates::TemplateSource& source, ServerOptions options);
  ~PoolServer();  ///< As stop(0).
  PoolServer(const PoolServer&) = delete;
  PoolServer& operator=(const PoolServer&) = delete;

  /// Listens, then starts the source. Once. Errors: those of TcpListener::bind, IrohCarrier::listen and TemplateSource::start;
  /// net::Errc::kConfiguration if there is nothing to listen on or the authority's key is none.
  Result<void> start();

  /// To be called before the shards are stopped. In two phases: takes in nothing more; then sends what is due (late
  /// acknowledgements too), ends each connection in that manner and waits for its peer's end, at most `behavior.deadline`.
  /// Blocks that were found are with the source before that is stopped. Idempotent.
  void stop(net::ShutdownBehavior behavior);
  /// As stop({kGoodbye, patience}).
  void stop(Duration patience) { stop(net::ShutdownBehavior{.deadline = patience}); }

  /// Of the TCP listener; 0 without one.
  [[nodiscard]] std::uint16_t tcp_port() const;
  [[nodiscard]] std::string tcp_address() const;  ///< "ip:port" as bound; empty without one.

  /// Asks every shard; after stop() what they counted last.
  [[nodiscard]] ServerStats stats() const;

  /// Asks every shard.
  [[nodiscard]] Connections connections(const ListLimits& limits = {}) const;

 private:
  struct Core;
  class Home;
  struct Member;
  template <class Ask>
  auto ask(Ask ask) const;

  std::shared_ptr<Core> core_;
};

}  // namespace adit::pool
