// Where miners come in at a role that serves the mining protocol: by Stratum V2 as net::Listeners has it, and by Stratum V1 at
// a port of its own or at the same one. And what the options of such a role begin with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "channels/job.h"
#include "mining/server_session.h"
#include "mining/sv1_session.h"
#include "net/backlog.h"
#include "net/frame_host.h"
#include "net/line_host.h"
#include "net/listeners.h"
#include "net/service.h"
#include "net/tcp.h"
#include "net/transport_config.h"
#include "session/server_side.h"
#include "wire/frame.h"

namespace adit::downstream {

struct MinersOptions : net::ListenOptions {
  mining::ServerPolicy session;
  std::vector<std::uint16_t> supported_extensions;    ///< That a miner may ask for, beside 0x0001 and 0x4AD1.
  std::vector<std::uint16_t> required_extensions;     ///< Without these a miner may open no channel.
  Duration setup_timeout = std::chrono::seconds(10);  ///< From a connection to its SetupConnection.
  std::optional<net::TcpConfig> sv1_listen;           ///< For SV1 miners over TCP; port 0: the system's choice; absent: none.
  bool sv1_at_listen = false;                         ///< SV1 miners are taken at `listen`, too, told by their first bytes.
  mining::Sv1Policy sv1 = mining::Sv1Clients::policy();
  net::LineHostOptions sv1_lines;  ///< Their name is the role's, whatever stands there.
  std::uint16_t server_id = 0;     ///< Part of every extranonce: servers on one chain that pay one script must differ in it.
  std::size_t max_past_jobs = channels::kMaxPastJobs;
  Duration tick = std::chrono::seconds(1);  ///< How often sessions look at deadlines, late acknowledgements and vardiff.
  std::size_t max_queued_bytes = 2 << 20;   ///< Unsent bytes of one connection; more: it is cut off. See net::FramedOptions.
  std::optional<net::BacklogBounds> backlog{};  ///< Of the connections of each shard; absent: by the bounds of single ones.
  std::uint32_t max_payload = 128 * 1024;  ///< Of one frame from a miner: SetCustomMiningJob's two fields of 64 KiB at most.
};

/// Any thread, but for bind(), start() and stop().
class Entrance {
 public:
  /// `name`: the role's, with which its events begin. `protocols`: as net::Listeners. `options` outlives this.
  Entrance(std::string name, std::vector<wire::Protocol> protocols, const MinersOptions& options);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const MinersOptions& options() const { return options_; }
  /// Which protocols and extensions are served to miners of Stratum V2.
  [[nodiscard]] const session::ServerOptions& serving() const { return serving_; }
  [[nodiscard]] net::Listeners& listeners() { return listeners_; }
  [[nodiscard]] const net::Listeners& listeners() const { return listeners_; }
  /// For the hosts on all shards.
  [[nodiscard]] std::shared_ptr<const net::FrameHostOptions> host_options();

  /// Takes the ports, but nobody there yet. Once. Errors: those of net::Listeners::bind.
  Result<void> bind(net::Shards& shards);
  /// After bind() and service.start(): whoever comes is handed to the part of a shard, `Part::take(Link, IrohCarrier::Place)`
  /// or `Part::take_sv1(stream)`. Once. Errors: those of net::Listeners::start.
  template <class Part>
  Result<void> start(const net::Service<Part>& service) {
    ADIT_CHECK(listeners_.start(service));
    if (!sv1_) return {};
    std::vector<std::weak_ptr<Part>> parts;
    net::Shards& shards = service.shards();
    parts.reserve(shards.size());
    for (unsigned i = 0; i < shards.size(); ++i) parts.push_back(service.on(shards[i]));
    sv1_->start(shards, [parts = std::move(parts)](net::Shard& shard, std::unique_ptr<net::ByteStream> stream) {
      if (const auto alive = parts[shard.index()].lock()) alive->take_sv1(std::move(stream));
    });
    return {};
  }
  /// Takes nobody more. Before the service is stopped.
  void stop();

  [[nodiscard]] std::uint16_t sv1_port() const;   ///< Of the port for Stratum V1; 0 without one.
  [[nodiscard]] std::string sv1_address() const;  ///< "ip:port" as bound; empty without one.
  [[nodiscard]] std::uint64_t failed_accepts()
      const;  ///< At all ports, for want of descriptors or memory; they were tried again.

 private:
  const std::string name_;
  const MinersOptions& options_;
  const session::ServerOptions serving_;
  net::Listeners listeners_;
  std::unique_ptr<net::TcpListener> sv1_;
};

}  // namespace adit::downstream
