// What a pool tells of itself: counters, and lists of its connections that are bounded however much its clients have.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "channels/channel.h"
#include "net/admission.h"
#include "net/metadata.h"
#include "net/round_trips.h"
#include "roles/pool/session.h"
#include "template/source.h"

namespace adit::pool {

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

  void add(const TransportCounters& others);
};

/// What one shard has counted, or all of them together.
struct Totals {
  PoolCounters pool;
  std::array<TransportCounters, 2> transports{};  ///< By net::Transport.

  void add(const Totals& others);
};

/// Everything that a monitor shows of a pool.
struct ServerStats : Totals {
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

/// Channels and workers of each session, as far as the limits go, in the order given; `all.listed[i]` is of `sessions[i]`, and
/// its id and metadata are the caller's to fill in.
Connections list_sessions(const std::vector<const PoolSession*>& sessions, const ListLimits& limits);

}  // namespace adit::pool
