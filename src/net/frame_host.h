// The Stratum V2 connections of a role on one shard, whatever their protocol: admission, handshake, session set-up, frames in
// and out, health, deadlines, orderly endings. What is said is the role's engine's (session::ProtocolServer).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "log/limited.h"
#include "net/admission.h"
#include "net/backlog.h"
#include "net/carrier.h"
#include "net/connection.h"
#include "net/establish.h"
#include "net/health.h"
#include "net/link.h"
#include "net/metadata.h"
#include "net/round_trips.h"
#include "net/service.h"
#include "session/server_side.h"
#include "session/shutdown.h"

namespace adit::net {

/// What a host counts of the connections over one transport.
struct TransportCounters {
  std::size_t open = 0;      ///< Past their handshake, now.
  std::uint64_t opened = 0;  ///< Past their handshake, since the start.
  std::uint64_t handshakes_failed = 0;
  std::uint64_t setups_refused = 0;   ///< SetupConnection was answered by an Error.
  std::uint64_t protocol_errors = 0;  ///< Cut off: broken framing, encryption or protocol.
  std::uint64_t slow_readers = 0;     ///< Cut off: did not read.
  std::uint64_t idle = 0;             ///< Cut off: a session's deadline passed.
  std::uint64_t dead = 0;             ///< Released: the peer's host was silent, or its program hung.
  std::size_t degraded = 0;           ///< Now: open and not healthy.
  std::uint64_t goodbyes = 0;         ///< Ended by a Goodbye that was acknowledged.
  std::uint64_t bytes_sent = 0;       ///< Of connections that have ended.
  std::uint64_t bytes_received = 0;   ///< Likewise.
  RoundTrips round_trips;             ///< As the carrier estimated it when a connection ended.

  void add(const TransportCounters& others);
};

/// By Transport.
using HostCounters = std::array<TransportCounters, 2>;
void add(HostCounters& sum, const HostCounters& part);

/// One connection past its handshake, as the role sees it. Lives on its host's shard, at least as long as its engine.
class HostedConnection {
 public:
  HostedConnection() = default;
  HostedConnection(const HostedConnection&) = delete;
  HostedConnection& operator=(const HostedConnection&) = delete;

  /// A number of this connection alone in the life of the process.
  [[nodiscard]] virtual std::uint32_t id() const = 0;
  /// With the health that the host has found.
  [[nodiscard]] virtual ConnectionMetadata metadata() const = 0;
  /// It is about to end: it is given nothing new to do.
  [[nodiscard]] virtual bool leaving() const = 0;
  /// Sends frames outside of a call of the engine, from the shard's thread.
  virtual void send(const wire::FrameBuffer& frames) = 0;
  /// The engine has answered what it held back, which was sent: a Goodbye that waited for that is acknowledged, a connection
  /// that is to be drained is.
  virtual void settle() = 0;
  /// Ends the connection; `reason` is counted and logged as an engine's error is.
  virtual void end(const Error& reason) = 0;

 protected:
  ~HostedConnection() = default;
};

/// What a role is to its host.
class FrameHostRole {
 public:
  virtual ~FrameHostRole() = default;
  /// A client's SetupConnection was accepted: makes the engine of its connection. Called from inside the host's functions.
  virtual std::unique_ptr<session::ProtocolServer> serve(const session::AcceptedSetup& setup, HostedConnection& connection) = 0;
  /// A peer speaks Stratum V1, and has sent `first` so far (FrameHostOptions::sv1). `place` is its place of a handshake.
  virtual void take_sv1(std::unique_ptr<ByteStream> /*stream*/, Bytes /*first*/, Admission::Token /*place*/) {}
};

struct FrameHostOptions {
  std::string name;  ///< The role's, with which its events begin ("pool").
  Duration handshake_deadline = std::chrono::seconds(10);
  HealthPolicy health;
  std::size_t max_queued_bytes = 2 << 20;  ///< Unsent bytes of one connection; more: it is cut off. See FramedOptions.
  std::uint32_t max_payload = 128 * 1024;  ///< Of one frame that a client sends.
  noise::Secret authority_secret;          ///< Signs the certificates; AuthorityKeyPair::from_secret must accept it.
  std::chrono::seconds certificate_validity{3600};
  std::vector<wire::Protocol> protocols{wire::Protocol::kMining};  ///< That are served over lanes.
  bool sv1 = false;                               ///< Peers over TCP that speak Stratum V1 are handed to the role.
  std::atomic<std::uint32_t>* last_id = nullptr;  ///< The process's count of connections; outlives the host.
};

/// Owned by the service part of its role. Everything is called on the shard's thread, the constructor excepted.
class FrameHost {
 public:
  /// `part` owns the host and is held by what runs for it. `endpoint_id`: of the iroh endpoint that is listened on, if any.
  /// `backlog`: the shard's, if there are other hosts on it; null: one of the host's own.
  FrameHost(ServicePart& part, std::shared_ptr<const FrameHostOptions> options, Admission admission,
            std::optional<std::array<std::uint8_t, 32>> endpoint_id, FrameHostRole& role,
            std::shared_ptr<Backlog> backlog = nullptr);
  ~FrameHost();
  FrameHost(const FrameHost&) = delete;
  FrameHost& operator=(const FrameHost&) = delete;

  /// A listener has accepted a peer. `serving` says which protocols are served there, and outlives the host. `place`: what a
  /// carrier that asks admission itself was given; null: the host asks.
  void take(Link link, const session::ServerOptions& serving, IrohCarrier::Place place = nullptr);

  /// To be called about once a second: deadlines, health, and the engines' own time.
  void tick();

  /// Ends every connection in that manner; takes no further one.
  void drain(const session::ShutdownBehavior& behavior);
  void cut_off();

  /// Connections past their handshake.
  [[nodiscard]] std::size_t size() const { return members_.size(); }
  [[nodiscard]] HostCounters counters() const;
  /// What the peers have not read, by source and in all.
  [[nodiscard]] const Backlog& backlog() const { return *backlog_; }

 private:
  class Member;
  /// Who has a place in the Admission: a handshake, then a member.
  struct Holder {
    Link* handshake = nullptr;
    Member* member = nullptr;
    bool displaced = false;
  };
  class Holding;

  asio::awaitable<std::unique_ptr<NetworkConnection>> establish(Link& link, Holding& holding, Admission::Token& place,
                                                                std::vector<std::uint8_t>& sv1);
  void displace(std::uint64_t holder);
  static asio::awaitable<void> serve(std::shared_ptr<ServicePart> part, FrameHost& host, Link link,
                                     const session::ServerOptions& serving, IrohCarrier::Place given, Transport transport);
  static asio::awaitable<void> drain_member(std::shared_ptr<ServicePart> part, Member& member, Duration patience);
  [[nodiscard]] std::string event(std::string_view what) const;
  void complain(std::string_view what, std::string_view peer, const Error& error);
  TransportCounters& over(Transport transport) { return counters_[static_cast<std::size_t>(transport)]; }
  void lost(Member& member, const Error& error);
  /// Tells when the peer's clock begins to differ from ours, and when it agrees again.
  void look_at_clock(Member& member);
  void count(Member& member, const Error& reason);
  void sum_up(const Member& member);

  ServicePart& part_;
  std::shared_ptr<const FrameHostOptions> options_;
  Admission admission_;
  Credentials credentials_;
  FrameHostRole& role_;
  std::vector<Member*> members_;
  std::unordered_map<std::uint64_t, Holder> holders_;
  std::uint64_t last_holder_ = 0;
  wire::FrameBuffer out_;  ///< Of one batch.
  HostCounters counters_{};
  std::shared_ptr<Backlog> backlog_;
  std::string more_complaints_;  ///< Names of events, to which the next three refer.
  std::string more_endings_;
  std::string more_goodbyes_;
  log::Limited complaints_;
  log::Limited endings_;
  log::Limited goodbyes_;
};

}  // namespace adit::net
