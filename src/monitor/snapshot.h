// What a role shows of itself: a copy, made by its shards when the monitor asks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "monitor/families.h"

namespace adit::monitor {

/// One open channel and what was counted on it.
struct ChannelSample {
  std::uint32_t client_id = 0;  ///< The connection, unique within the process. Of channels with clients only.
  std::uint32_t channel_id = 0;
  bool extended = false;
  std::string user_identity;  ///< As the peer gave it: any bytes.
  double hashrate_hps = 0;    ///< Nominal.
  std::uint64_t shares_accepted = 0;
  double share_work = 0;                                              ///< Sum of the accepted shares' difficulties.
  std::map<std::string, std::uint64_t, std::less<>> shares_rejected;  ///< By error code.
};

/// One worker of a client that names its workers (extension 0x0002), and what was counted of its shares.
struct WorkerSample {
  std::uint32_t client_id = 0;  ///< As in ChannelSample.
  std::string worker;           ///< As the client calls it; empty: shares that named nobody, or one worker too many.
  double hashrate_hps = 0;      ///< That the shares prove.
  std::uint64_t shares_accepted = 0;
  std::uint64_t shares_rejected = 0;
  double share_work = 0;  ///< Sum of the accepted shares' difficulties.
};

/// One side of a role: its channels with the server above it, or with the clients below.
struct SideSample {
  std::uint64_t connections = 0;
  std::uint64_t blocks_found = 0;
  std::uint64_t standard_channels = 0;
  std::uint64_t extended_channels = 0;
  double hashrate_hps = 0;                ///< Nominal, of all channels.
  std::vector<ChannelSample> channels;    ///< A bounded number of them.
  std::uint64_t workers = 0;              ///< Of clients only.
  std::vector<WorkerSample> worker_list;  ///< A bounded number of them, those of one client together.
};

/// Stratum V1 miners of a translator.
struct Sv1Sample {
  std::uint64_t clients = 0;
  double hashrate_hps = 0;
};

/// One connection with a client or with the server above, for /api/v1/connections.
struct ConnectionSample {
  std::uint32_t client_id = 0;  ///< As in ChannelSample; 0: the server above.
  std::string transport;        ///< "tcp" or "iroh".
  std::string peer;             ///< "ip:port", or the endpoint id.
  std::string source;           ///< What quotas count it by.
  std::string path;             ///< "direct", "relayed" or "unknown".
  unsigned lanes = 1;           ///< Streams that carry it.
  unsigned sessions = 1;        ///< On the same connection.
  std::string authority;        ///< Proved by the peer; empty: none.
  std::string health;           ///< "healthy", "degraded" or "dead",
  std::string health_reason;    ///< and what was wrong: "slow", "lossy", "late", "silent", "hung"; else "none".
  std::optional<double> rtt_seconds;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t packets_sent = 0;  ///< As the carrier counts them.
  std::uint64_t packets_lost = 0;  ///< Over TCP segments sent again.
  std::uint64_t path_changes = 0;
  double age_seconds = 0;
  std::uint64_t channels = 0;
};

/// Everything that the monitor shows of a role. The numbers of channels, workers and connections in it are bounded by the role.
struct Snapshot {
  std::optional<SideSample> server;
  std::optional<SideSample> clients;
  std::optional<Sv1Sample> sv1;
  Families families;  ///< The role's own; their names begin with "adit_".
  std::vector<ConnectionSample> connections;
};

}  // namespace adit::monitor
