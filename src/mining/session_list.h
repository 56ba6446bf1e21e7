// What a server of the mining protocol tells of its sessions: lists that are bounded however much its clients have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bitcoin/u256.h"
#include "channels/channel.h"
#include "mining/server_session.h"

namespace adit::mining {

/// How much is told to whoever asks for a list: clients choose how many channels and workers there are, and their names. Each
/// connection has the same right to what room there is.
struct ListLimits {
  std::size_t connections = 1000;  ///< Of each shard, as all of these.
  std::size_t channels = 4000;
  std::size_t workers = 1000;
};

/// One session, for a list of them.
struct SessionInfo {
  struct ChannelInfo {
    std::uint32_t id = 0;
    channels::ChannelKind kind = channels::ChannelKind::kStandard;
    std::string user_identity;
    double hash_rate_hps = 0;
    channels::ChannelStats stats;
    std::optional<double> proven_hps{};  ///< Hashes per second that its shares of the last minutes prove.
    bool steady = false;                 ///< channels::Channel::steady(), as all of what follows.
    bitcoin::U256 target{};
    bitcoin::U256 max_target{};
    std::vector<std::uint8_t> extranonce_prefix{};
    std::size_t extranonce_size = 0;
    double shares_per_minute = 0;
    std::uint32_t share_batch_size = 0;
    std::uint32_t last_sequence_number = 0;
    std::uint32_t last_batch_accepted = 0;
    std::uint64_t last_batch_work = 0;
    double best_difficulty = 0;
  };
  struct WorkerInfo {
    std::string name;  ///< UTF-8 without control characters; empty: shares that named nobody, or one name too many.
    std::uint64_t shares_accepted = 0;
    std::uint64_t shares_rejected = 0;
    channels::Work work_sum;   ///< Of the accepted ones.
    double hash_rate_hps = 0;  ///< That they prove: channels::MeasuredHashRate.
  };
  std::vector<ChannelInfo> channels;
  std::size_t channels_total = 0;
  std::size_t extended_channels = 0;  ///< Of channels_total.
  double hash_rate_hps = 0;           ///< Nominal, of all its channels.
  std::vector<WorkerInfo> workers;    ///< If the client names them (extension 0x0002), those first whose first share was first.
};

struct SessionList {
  std::vector<SessionInfo> listed;  ///< Of the first sessions given, in their order.
  double hash_rate_hps = 0;         ///< Nominal, of all channels, listed or not.
  std::size_t workers = 0;          ///< Of all sessions.
};

/// Channels and workers of each session, as far as the limits go.
SessionList list_sessions(const std::vector<const ServerSession*>& sessions, const ListLimits& limits, Instant now);

/// Adds up what shards have counted.
void add(ServerCounters& sum, const ServerCounters& part);

}  // namespace adit::mining
