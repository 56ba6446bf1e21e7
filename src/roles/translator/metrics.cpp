#include "roles/translator/metrics.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "base/hex.h"
#include "monitor/mining_samples.h"
#include "monitor/net_samples.h"
#include "monitor/source_samples.h"
#include "monitor/uplink_samples.h"

namespace adit::translator {
namespace {

using monitor::Families;

std::uint64_t ready(const ServerStats& stats) {
  return static_cast<std::uint64_t>(std::ranges::count(stats.upstreams, true, &upstream::UplinkStatus::ready));
}

/// A name and its labels but for the user's name, with room to spare.
constexpr std::size_t kSampleBytes = 100;
constexpr std::size_t kMaxUserBytes = 128;

void add_shares(Families& out, const ServerStats& stats) {
  const Counters& counters = stats.counters;
  out.counter("adit_upstream_shares_submitted_total", "Shares sent to the upstream").add(counters.shares_submitted);
  auto& rejected_above = out.counter("adit_upstream_shares_rejected_total", "Shares that the upstream refused, by error code");
  for (const auto& [code, count] : counters.rejected_upstream) rejected_above.add(count, {{"error_code", code}});
  auto& rejected_here = out.counter("adit_miner_shares_rejected_total", "Shares refused to miners here, by SV1 code");
  for (const auto& [code, count] : counters.rejected_local) rejected_here.add(count, {{"code", std::to_string(code)}});
  out.counter("adit_miner_shares_orphaned_total", "Shares for jobs of an upstream that had been left")
      .add(counters.shares_orphaned);
  out.counter("adit_miner_shares_local_total",
              "Shares accepted here and not sent up, as they were easier than the upstream asks")
      .add(counters.shares_local);
  monitor::add_admission(out, stats.admission, stats.failed_accepts);
  out.counter("adit_slow_miners_cut_total", "Miners cut off because they did not read").add(stats.slow_readers);
  monitor::add_unread(out, stats.unread);
}

/// What is rationed: channels, and what the upstream is told.
void add_rations(Families& out, const Counters& counters) {
  out.gauge("adit_miners_ready", "Miners that have subscribed and authorized").add(counters.ready_miners);
  out.gauge("adit_miners_waiting", "Miners without a channel: there is no upstream, or none is left for them")
      .add(counters.waiting_miners);
  out.gauge("adit_upstream_channels_kept", "Channels that wait for the next miner").add(counters.kept_channels);
  out.gauge("adit_upstream_hashrate_declared", "Hashes per second that upstreams were told of last").add(counters.declared_hps);
}

monitor::ChannelSample sample_of(const ChannelInfo& channel, bool declares) {
  monitor::ChannelSample out;
  out.channel_id = channel.channel_id;
  out.extended = true;
  out.user_identity = channel.user_identity;
  out.hashrate_hps = channel.declared_hps;
  out.hashrate_known = declares;
  if (channel.proven_hps > 0) out.proven_hps = channel.proven_hps;
  out.target_hex = channel.target.to_hex();
  out.extranonce_prefix_hex = to_hex(channel.extranonce_prefix);
  out.extranonce_prefix_size = channel.extranonce_prefix.size();
  out.extranonce_size = channel.extranonce_size;
  monitor::add_account(out, channel.account);
  out.version_rolling = channel.version_rolling;
  return out;
}

monitor::Sv1ClientSample sample_of(const MinerInfo& miner) {
  monitor::Sv1ClientSample out{.client_id = static_cast<std::uint32_t>(miner.number),
                               .channel_id = miner.channel_id,
                               .peer = miner.peer,
                               .user = miner.user,
                               .names = {.user_agent = miner.user_agent},
                               .hashrate_hps = miner.hash_rate_hps,
                               .steady = miner.steady,
                               .target_hex = miner.target.to_hex(),
                               .extranonce1_hex = miner.extranonce1_hex,
                               .extranonce2_size = miner.extranonce2_size,
                               .version_mask = miner.version_mask,
                               .shares_accepted = miner.shares_accepted + miner.shares_local,
                               .shares_rejected = miner.rejected,
                               .best_difficulty = miner.best_difficulty};
  if (miner.last_share_age) out.last_share_seconds = std::chrono::duration<double>(*miner.last_share_age).count();
  return out;
}

}  // namespace

void Watch::look(const ServerStats& stats) {
  if (stats.silent_shards != 0) return;
  connects_.resize(stats.upstreams.size());
  for (std::size_t i = 0; i < stats.upstreams.size(); ++i) {
    const upstream::UplinkStatus& upstream = stats.upstreams[i];
    if (!upstream.ready || !upstream.metadata) continue;
    const net::ConnectionMetadata& metadata = *upstream.metadata;
    if (std::exchange(connects_[i], upstream.connects) != upstream.connects) {
      log::debug("translator.upstream_connected", {{"transport", net::to_string(metadata.transport)},
                                                   {"alpn", metadata.alpn},
                                                   {"lanes", metadata.lanes},
                                                   {"sessions", metadata.sessions},
                                                   {"peer", metadata.peer},
                                                   {"url", upstream.url}});
    }
    const auto rtt = std::chrono::duration_cast<std::chrono::microseconds>(metadata.path_rtt.value_or(Duration{0}));
    log::debug("translator.path", {{"path", net::to_string(metadata.path)},
                                   {"rtt_us", rtt.count()},
                                   {"peer", metadata.peer},
                                   {"health", net::to_string(metadata.health.state)},
                                   {"packets_sent", metadata.figures ? metadata.figures->packets_sent : 0},
                                   {"packets_lost", metadata.figures ? metadata.figures->packets_lost : 0}});
  }
}

void log_stats(log::Level level, const ServerStats& stats) {
  log::write(level, "translator.stats",
             {{"miners", stats.counters.miners},
              {"channels", stats.counters.channels},
              {"shares_submitted", stats.counters.shares_submitted},
              {"shares_accepted", stats.counters.shares_accepted},
              {"shares_rejected", monitor::sum(stats.counters.rejected_upstream)},
              {"blocks_found", stats.counters.blocks_found},
              {"upstreams_ready", ready(stats)}});
}

monitor::Health health_of(const ServerStats& stats, std::optional<Duration> work_age) {
  using monitor::Readiness;
  if (stats.silent_shards != 0) return monitor::health_of_silent_shards(stats.silent_shards);
  monitor::Health health{.work_age = work_age};
  if (ready(stats) != 0) {
    // Jobs come to channels, and channels come with miners: one that waits for its first miner is ready.
    const bool waits_for_job = !work_age && stats.counters.channels != 0;
    health.readiness = waits_for_job ? Readiness::kStarting : Readiness::kReady;
    if (waits_for_job) health.message = "an upstream is connected, and no job has come from it yet";
    return health;
  }
  health.readiness = Readiness::kStarting;
  health.message = "no upstream is connected yet";
  for (const upstream::UplinkStatus& upstream : stats.upstreams) {
    if (upstream.connects != 0) {
      health.readiness = Readiness::kUpstreamLost;
      health.message = "no upstream is connected any more";
    }
  }
  for (const upstream::UplinkStatus& upstream : stats.upstreams) {
    if (upstream.last_error.empty()) continue;
    health.message += "; the last that was tried, " + upstream.url + ": " + upstream.last_error;
    break;
  }
  for (const upstream::UplinkStatus& upstream : stats.upstreams) {
    if (!upstream.unusable) continue;
    health.readiness = Readiness::kMisconfigured;
    health.message = "no upstream may be dialled before the configuration is changed: " + upstream.unusable->message();
    break;
  }
  return health;
}

/// While a shard hangs its counts are those of the last look at it: a counter that falls would be taken for a restart, and what
/// is left of the upstreams for those of other shards.
ServerStats Metrics::look() {
  ServerStats stats = server_.stats();
  if (stats.silent_shards == 0) {
    complete_ = stats;
  } else {
    stats.counters = complete_.counters;
    stats.upstreams = complete_.upstreams;
    stats.slow_readers = complete_.slow_readers;
    stats.unread = complete_.unread;
  }
  return stats;
}

monitor::Health Metrics::health() {
  const ServerStats stats = look();
  return health_of(stats, work_age_.look(stats.counters.jobs, now_from_system().instant));
}

void MinerSeries::add(monitor::Families& out, const std::vector<MinerInfo>& miners, std::size_t connected, Instant now) {
  std::vector<monitor::SeriesBudget::Candidate> candidates;
  candidates.reserve(miners.size());
  for (const MinerInfo& miner : miners) {
    candidates.push_back({.key = std::to_string(miner.number),
                          .group = miner.number,
                          .weight = static_cast<double>(miner.shares_accepted),
                          .bytes = 3 * (kSampleBytes + 2 * kMaxUserBytes)});
  }
  const auto chosen = budget_.choose(candidates, now);
  if (miners.empty()) return;
  auto& sent = out.counter("adit_sv1_miner_shares_submitted_total", "Shares of a miner that were sent to the upstream");
  auto& local =
      out.counter("adit_sv1_miner_shares_local_total",
                  "Shares of a miner that were accepted here and not sent up, as they were easier than the upstream asks");
  auto& hashrate = out.gauge("adit_sv1_miner_hashrate", "Hashes per second that a miner's shares prove");
  std::size_t shown = 0;
  for (std::size_t i = 0; i < miners.size(); ++i) {
    if (!chosen[i]) continue;
    ++shown;
    const MinerInfo& miner = miners[i];
    const monitor::Labels labels = {{"miner", std::to_string(miner.number)}, {"user", miner.user.substr(0, kMaxUserBytes)}};
    sent.add(miner.shares_submitted, labels);
    local.add(miner.shares_local, labels);
    hashrate.add(miner.hash_rate_hps, labels);
  }
  out.gauge("adit_sv1_miners_left_out", "Miners that have no series of their own")
      .add(connected > shown ? connected - shown : 0);
}

monitor::Snapshot Metrics::snapshot() {
  const ServerStats stats = look();
  monitor::Snapshot out;
  out.sv1 = monitor::Sv1Sample{.clients = stats.counters.miners, .hashrate_hps = stats.counters.hash_rate_hps};
  auto& server = out.server.emplace();
  server.connections = ready(stats);
  server.blocks_found = stats.counters.blocks_found;
  server.shares_accepted = stats.counters.shares_accepted;
  server.shares_rejected = stats.counters.rejected_upstream;
  const ChannelList channels = server_.channels();
  // As SRI: the sum of what is known.
  server.hashrate_hps = channels.declares ? stats.counters.declared_hps : 0;
  server.extended_channels = channels.total;
  for (const ChannelInfo& channel : channels.listed) server.channels.push_back(sample_of(channel, channels.declares));
  const std::vector<MinerInfo> miners = server_.miners();
  for (const MinerInfo& miner : miners) out.sv1->list.push_back(sample_of(miner));
  auto& work_sample = out.work.emplace();
  work_sample.pieces = stats.counters.jobs;
  work_sample.difficulty = monitor::difficulty_of(stats.counters.nbits);
  monitor::add_uplinks(out, stats.upstreams, stats.counters.channels);
  add_shares(out.families, stats);
  add_rations(out.families, stats.counters);
  miners_.add(out.families, miners, stats.counters.miners, now_from_system().instant);
  const auto work = static_cast<double>(stats.counters.work_sum);
  server.measured_hps = measured_.look(work, now_from_system().instant);
  out.families.counter("adit_upstream_share_work_total", "Sum of the difficulties of the shares that upstreams acknowledged")
      .add(work);
  out.families
      .gauge("adit_upstream_hashrate_measured", "Hashes per second that acknowledged shares prove, of the last ten minutes")
      .add(server.measured_hps);
  out.families.gauge("adit_shards_silent", "Shards that do not answer").add(stats.silent_shards);
  monitor::add_carrier(out.families, iroh_);
  out.families
      .counter("adit_log_events_lost_total",
               "Log events lost because their reader stalled or the log file could not be written")
      .add(log::lost());
  return out;
}

}  // namespace adit::translator
