// What a role shows of itself: a copy, made by its shards when the monitor asks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "bitcoin/address.h"
#include "bitcoin/template.h"
#include "ledger/block.h"
#include "monitor/families.h"
#include "monitor/rejections.h"

namespace adit::monitor {

/// One open channel and what was counted on it.
struct ChannelSample {
  std::uint32_t client_id = 0;  ///< The connection, unique within the process. Of channels with clients only.
  std::uint32_t channel_id = 0;
  bool extended = false;
  bool hashrate_known = true;  ///< False: hashrate_hps says nothing, as the server above knows better (no vardiff).
  bool steady = false;         ///< Vardiff's last look changed nothing.
  std::string user_identity;   ///< As the peer gave it: any bytes.
  double hashrate_hps = 0;     ///< Nominal.
  std::uint64_t shares_accepted = 0;
  double share_work = 0;               ///< Sum of the accepted shares' difficulties.
  RejectedShares shares_rejected;      ///< By error code.
  std::optional<double> proven_hps{};  ///< Hashes per second that its shares prove; absent: too few to tell.
  std::string target_hex{};            ///< As people read it: 64 digits, the most significant first.
  std::string max_target_hex{};        ///< The easiest that the client accepts, likewise. Of channels with clients only.
  std::string extranonce_prefix_hex{};
  std::size_t extranonce_prefix_size = 0;  ///< Bytes.
  std::size_t extranonce_size = 0;         ///< Rollable bytes, of an extended channel.
  double best_difficulty = 0;              ///< Of the best share; 0 before the first.
  std::uint64_t blocks_found = 0;

  // Of channels with clients only.
  double shares_per_minute = 0;  ///< That vardiff aims at.
  std::uint32_t share_batch_size = 0;
  std::uint32_t last_sequence_number = 0;  ///< Of the share that was accepted last.
  std::uint32_t last_batch_accepted = 0;   ///< Shares of the batch that was acknowledged last.
  std::uint64_t last_batch_work = 0;       ///< Their difficulties' sum, rounded down.

  // Of channels with the server above only.
  std::uint64_t shares_submitted = 0;   ///< That passed our own check.
  std::uint64_t acknowledged_work = 0;  ///< As the server above counts it.
  bool version_rolling = false;
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
  std::uint64_t shares_accepted = 0;      ///< Since the start, of all channels that there were, as what follows.
  RejectedShares shares_rejected{};       ///< By error code.
  double measured_hps = 0;                ///< Hashes per second that accepted shares prove, of the last ten minutes.
};

/// What a client calls itself: its own words, any bytes, at most 255 each; empty: it does not say.
struct ClientNames {
  std::string vendor{};            ///< Of SetupConnection, as the next two.
  std::string hardware_version{};  ///< Likewise.
  std::string firmware{};          ///< Likewise.
  std::string user_agent{};        ///< Of mining.subscribe (Stratum V1).
};

/// One Stratum V1 miner. Its texts are its own words: any bytes.
struct Sv1ClientSample {
  std::uint32_t client_id = 0;
  std::optional<std::uint32_t> channel_id;  ///< Absent: it has none yet.
  std::string peer;                         ///< "ip:port".
  std::string user;                         ///< As it authorized; empty before.
  ClientNames names{};                      ///< Its user agent alone.
  double hashrate_hps = 0;                  ///< That its shares prove; 0 before the first.
  bool steady = false;
  std::string target_hex{};  ///< As ChannelSample's.
  std::string extranonce1_hex{};
  std::size_t extranonce2_size = 0;
  std::uint32_t version_mask = 0;     ///< 0: none.
  std::uint64_t shares_accepted = 0;  ///< Passed on, or good and easier than the server above asks.
  RejectedShares shares_rejected{};
  double best_difficulty = 0;
  std::optional<double> last_share_seconds{};  ///< Since its last good share.
};

/// Stratum V1 miners of a translator.
struct Sv1Sample {
  std::uint64_t clients = 0;
  double hashrate_hps = 0;
  std::vector<Sv1ClientSample> list{};  ///< A bounded number of them.
};

/// A Bitcoin node, or template provider, that a role has work from.
struct NodeSample {
  std::string name;     ///< As the configuration has it.
  std::string state;    ///< templates::state_name.
  std::string message;  ///< What is wrong and what to do; mostly empty.
  bool in_use = false;
  std::uint32_t height = 0;  ///< Of the block that its newest template is for; 0 before the first.
  std::optional<std::int64_t> clock_ahead_seconds{};
};

/// Where a role's work comes from, whom it pays, and what became of its blocks.
struct WorkSample {
  std::uint32_t height = 0;                   ///< Of the block that is worked on; 0: not known.
  double difficulty = 0;                      ///< Of the network, for that block; 0: not known.
  std::optional<bitcoin::Network> network{};  ///< Absent: not known.
  std::optional<std::uint64_t> reward_sat{};  ///< Subsidy and fees of the newest template; absent: not known.
  std::optional<std::uint64_t> fees_sat{};    ///< Of these; absent where the network is not known either.
  /// The outputs that pay, of the newest job whose miner has no payout of its own; absent: the role does not know them.
  std::optional<std::vector<bitcoin::TxOutput>> coinbase{};
  std::uint64_t own_payouts = 0;  ///< Different payouts of channels whose miners are paid by their own scripts.
  std::uint64_t pieces = 0;       ///< Templates or jobs received so far.
  std::string node{};             ///< That the newest one came from; may be empty.
  std::vector<NodeSample> nodes{};
  std::uint64_t blocks_accepted = 0;
  std::uint64_t blocks_rejected = 0;
  std::uint64_t blocks_unanswered = 0;
  std::vector<ledger::AnsweredBlock> blocks{};  ///< What the chain said of the newest ones, newest first; bounded.
};

/// One connection with the server above, or the attempts at one: each shard has one.
struct UpstreamSample {
  std::string url;
  bool ready = false;
  std::string error{};  ///< Of the last attempt that failed; empty: none did.
  std::uint64_t connects = 0;
  std::uint64_t fallbacks = 0;  ///< Times that it was another server than before.
  std::optional<std::int64_t> clock_ahead_seconds{};
};

/// A connection's data began to go another way.
struct PathChangeSample {
  UnixTime at{};
  std::string from;     ///< As ConnectionSample::path, as the next.
  std::string to;       ///< The same as `from`: only the address is another.
  std::string address;  ///< As ConnectionSample::source, after the change.
};

/// One connection with a client or with the server above, for /api/v1/connections.
struct ConnectionSample {
  std::uint32_t client_id = 0;  ///< As in ChannelSample; 0: the server above.
  std::string url{};            ///< As UpstreamSample's; empty: a client.
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
  std::vector<PathChangeSample> path_history{};  ///< The newest of these, oldest first: net::PathHistory::kMost at most.
  double age_seconds = 0;
  std::uint64_t channels = 0;
  std::uint64_t extended_channels = 0;  ///< Of these.
  double hashrate_hps = 0;              ///< Nominal, of all its channels.
  std::string client_kind = "unknown";  ///< Of clients: "miner", "translator_proxy" or "unknown".
  ClientNames names{};                  ///< Of clients.
};

/// Everything that the monitor shows of a role. The numbers of channels, workers and connections in it are bounded by the role.
struct Snapshot {
  std::optional<SideSample> server;
  std::optional<SideSample> clients;
  std::optional<Sv1Sample> sv1;
  Families families;  ///< The role's own; their names begin with "adit_".
  std::vector<ConnectionSample> connections;
  std::optional<WorkSample> work{};
  std::vector<UpstreamSample> upstreams{};
};

}  // namespace adit::monitor
