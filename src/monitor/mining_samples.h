// What the monitor shows of a mining server's clients and of a channel with the server above: samples made from what
// src/mining and src/net know.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "channels/share.h"
#include "mining/server_session.h"
#include "mining/session_list.h"
#include "mining/upstream_account.h"
#include "monitor/rate.h"
#include "monitor/rejections.h"
#include "monitor/snapshot.h"
#include "net/metadata.h"
#include "session/server_side.h"

namespace adit::monitor {

inline constexpr std::string_view kUnknownClient = "unknown";
inline constexpr std::string_view kMinerClient = "miner";
inline constexpr std::string_view kTranslatorClient = "translator_proxy";
/// What a client is by the two texts of its SetupConnection: a translator of SRI's or ours, a miner, or unknown if it gives
/// neither.
std::string_view client_kind(std::string_view vendor, std::string_view hardware_version);

/// One connection of a mining server, for a list of them.
struct MiningConnection : mining::SessionInfo {
  std::uint32_t id = 0;  ///< Of this connection alone, in the life of the server.
  net::ConnectionMetadata metadata;
  std::string_view kind = kUnknownClient;  ///< As client_kind().
  ClientNames names{};
};

/// What a client calls itself in its SetupConnection.
ClientNames names_of(const session::AcceptedSetup& setup);

/// The connections of one shard, or of all.
struct MiningConnections {
  std::vector<MiningConnection> listed;
  double hash_rate_hps = 0;  ///< Nominal, of all channels, listed or not.
  std::size_t workers = 0;   ///< Of all connections.

  void add(MiningConnections others);
};

/// The connections of one shard, as far as `limits` go. `Session` is a mining::ServerSession that has id(), metadata(),
/// kind() and names(), as MiningConnection.
template <class Session>
MiningConnections list_connections(const std::vector<Session*>& sessions, const mining::ListLimits& limits, Instant now) {
  auto listed = mining::list_sessions({sessions.begin(), sessions.end()}, limits, now);
  MiningConnections all{.listed = {}, .hash_rate_hps = listed.hash_rate_hps, .workers = listed.workers};
  all.listed.reserve(listed.listed.size());
  for (std::size_t i = 0; i < listed.listed.size(); ++i) {
    const Session& session = *sessions[i];
    all.listed.push_back({std::move(listed.listed[i]), session.id(), session.metadata(), session.kind(), session.names()});
  }
  return all;
}

/// Counts by channels::ShareVerdict by their error codes: those that occurred.
template <class Count>
RejectedShares by_error_code(const std::array<Count, channels::kShareVerdicts>& counts) {
  RejectedShares out;
  for (std::size_t verdict = 0; verdict < counts.size(); ++verdict) {
    if (counts[verdict] != 0)
      out[std::string(channels::share_error_code(static_cast<channels::ShareVerdict>(verdict)))] += counts[verdict];
  }
  return out;
}

/// Fills in the clients' side with their connections, and adds the families that every mining server has. `connected`: clients
/// of either protocol. `measured`: the role's, of accepted shares.
void add_clients(Snapshot& out, const mining::ServerCounters& counters, const MiningConnections& connections,
                 std::uint64_t connected, MeasuredRate& measured);

/// Fills in what was counted of a channel with the server above.
void add_account(ChannelSample& sample, const mining::UpstreamAccount& account);

}  // namespace adit::monitor
