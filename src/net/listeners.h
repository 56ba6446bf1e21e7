// Where the Stratum V2 connections of a role come in: a TCP port, the process's iroh endpoint, or both, and who of those that
// come is taken. What pool, template provider and whoever else serves them have in common.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/address_range.h"
#include "net/admission.h"
#include "net/carrier.h"
#include "net/frame_host.h"
#include "net/health.h"
#include "net/service.h"
#include "net/tcp.h"
#include "net/transport_config.h"
#include "noise/keys.h"

namespace adit::net {

/// What a role's own options begin with.
struct ListenOptions {
  std::optional<TcpConfig> listen{};            ///< TCP; port 0: the system's choice; absent: no TCP.
  std::vector<AddressRange> trusted_proxies{};  ///< See TcpListener::bind.
  IrohCarrier* iroh = nullptr;                  ///< Is listened on too, if given; must outlive the role.
  noise::Secret authority_secret;               ///< Signs the certificates; AuthorityKeyPair::from_secret must accept it.
  std::chrono::seconds certificate_validity{3600};
  AdmissionLimits admission;
  HealthPolicy health;
  Duration handshake_deadline = std::chrono::seconds(10);
};

/// Any thread, but for start() and stop().
class Listeners {
 public:
  /// `name`: the role's, as FrameHostOptions::name. `protocols`: that are served, as FrameHostOptions::protocols; over iroh
  /// lanes are wanted more than a stream with a protocol's own ALPN. `options` outlives this. With TCP the bounds of admission
  /// are fitted to the descriptors of the process, and logged.
  Listeners(std::string name, std::vector<wire::Protocol> protocols, const ListenOptions& options);
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  /// For the hosts on all shards; the role adds what is its own.
  [[nodiscard]] FrameHostOptions host_options();
  [[nodiscard]] const Admission& admission() const { return admission_; }
  /// Of the iroh endpoint that is listened on, if any.
  [[nodiscard]] std::optional<std::array<std::uint8_t, 32>> endpoint_id() const;
  /// A number for a connection that comes another way, unlike HostedConnection::id() of all others.
  [[nodiscard]] std::uint32_t next_id() { return ++connections_; }

  /// Takes the TCP port, but nobody there yet. Once. Errors: those of TcpListener::bind; kConfiguration if there is nothing to
  /// listen on or the authority's key is none.
  Result<void> bind(Shards& shards);
  /// After bind() and service.start(): whoever comes is handed to the part of a shard, `Part::take(Link, IrohCarrier::Place)`.
  /// Once. Errors: those of IrohCarrier::listen.
  template <class Part>
  Result<void> start(const Service<Part>& service) {
    return start(service,
                 [](Part& part, Link link, IrohCarrier::Place place) { part.take(std::move(link), std::move(place)); });
  }
  /// The same for another function of the part: `take(part, Link, IrohCarrier::Place)`.
  template <class Part, class Take>
  Result<void> start(const Service<Part>& service, Take take) {
    // The carrier outlives the role and may keep what it calls.
    std::vector<std::weak_ptr<Part>> parts;
    parts.reserve(service.shards().size());
    for (unsigned i = 0; i < service.shards().size(); ++i) parts.push_back(service.on(service.shards()[i]));
    return accept(service.shards(),
                  [parts = std::move(parts), take = std::move(take)](Shard& shard, Link&& link, IrohCarrier::Place&& place) {
                    if (const auto alive = parts[shard.index()].lock()) take(*alive, std::move(link), std::move(place));
                  });
  }
  /// Takes nobody more. Before the service is stopped.
  void stop();

  [[nodiscard]] std::uint16_t tcp_port() const;        ///< 0 without TCP.
  [[nodiscard]] std::string tcp_address() const;       ///< "ip:port" as bound; empty without TCP.
  [[nodiscard]] std::uint64_t failed_accepts() const;  ///< Over TCP, for want of descriptors or memory; they were tried again.

 private:
  Result<void> accept(Shards& shards, IrohCarrier::OnLink take);

  const std::string name_;
  const std::vector<wire::Protocol> protocols_;
  const ListenOptions& options_;
  Admission admission_;
  std::atomic<std::uint32_t> connections_{0};  ///< So far.
  std::unique_ptr<TcpListener> tcp_;
};

}  // namespace adit::net
