#include "roles/translator/metrics.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "monitor/net_samples.h"

namespace adit::translator {
namespace {

using monitor::Families;

std::uint64_t rejected(const Counters& counters) {
  std::uint64_t total = 0;
  for (const auto& [code, count] : counters.rejected_upstream) total += count;
  return total;
}

std::uint64_t ready(const ServerStats& stats) {
  return static_cast<std::uint64_t>(std::ranges::count(stats.upstreams, true, &upstream::UplinkStatus::ready));
}

template <class Number>
double as_double(Number number) {
  return static_cast<double>(number);
}

std::string text_of(net::Transport transport) { return std::string(net::to_string(transport)); }

void add_shares(Families& out, const ServerStats& stats) {
  const Counters& counters = stats.counters;
  out.gauge("adit_upstreams_ready", "Upstream connections that are set up").add(as_double(ready(stats)));
  out.counter("adit_upstream_shares_submitted_total", "Shares sent to the upstream").add(as_double(counters.shares_submitted));
  auto& rejected_above = out.counter("adit_upstream_shares_rejected_total", "Shares that the upstream refused, by error code");
  for (const auto& [code, count] : counters.rejected_upstream) rejected_above.add(as_double(count), {{"error_code", code}});
  auto& rejected_here = out.counter("adit_miner_shares_rejected_total", "Shares refused to miners here, by SV1 code");
  for (const auto& [code, count] : counters.rejected_local)
    rejected_here.add(as_double(count), {{"code", std::to_string(code)}});
  out.counter("adit_miner_shares_orphaned_total", "Shares for jobs of an upstream that had been left")
      .add(as_double(counters.shares_orphaned));
  out.counter("adit_miner_shares_local_total",
              "Shares accepted here and not sent up, as they were easier than the upstream asks")
      .add(as_double(counters.shares_local));
  monitor::add_admission(out, stats.admission, stats.failed_accepts);
  out.counter("adit_slow_miners_cut_total", "Miners cut off because they did not read").add(as_double(stats.slow_readers));
}

/// One per shard.
void add_uplinks(Families& out, const std::vector<upstream::UplinkStatus>& uplinks) {
  const auto by_shard = [&](monitor::Family& family, auto member) {
    for (std::size_t i = 0; i < uplinks.size(); ++i) family.add(as_double(uplinks[i].*member), {{"shard", std::to_string(i)}});
  };
  const auto by_transport = [&](monitor::Family& family, auto value) {
    for (std::size_t i = 0; i < uplinks.size(); ++i) {
      for (const auto transport : {net::Transport::kTcp, net::Transport::kIroh}) {
        family.add(value(uplinks[i], static_cast<std::size_t>(transport)),
                   {{"shard", std::to_string(i)}, {"transport", text_of(transport)}});
      }
    }
  };
  using Status = upstream::UplinkStatus;
  by_shard(out.counter("adit_upstream_connects_total", "Times that an upstream became ready"), &Status::connects);
  by_shard(out.counter("adit_upstream_fallbacks_total", "Times that another upstream than the last became ready"),
           &Status::fallbacks);
  by_shard(out.counter("adit_upstream_goodbyes_total", "Endings in which every Goodbye was acknowledged"), &Status::goodbyes);
  by_shard(out.counter("adit_upstream_path_changes_total", "Times that a connection's data began to take another path"),
           &Status::path_changes);
  by_shard(out.counter("adit_upstream_shares_unanswered_total", "Shares whose connection ended before the answer"),
           &Status::shares_unanswered);
  by_transport(out.counter("adit_upstream_degraded_total", "Times that an upstream connection became degraded"),
               [](const Status& status, std::size_t transport) { return as_double(status.degraded[transport]); });
  by_transport(out.counter("adit_upstream_dead_total", "Upstream connections that were found dead"),
               [](const Status& status, std::size_t transport) { return as_double(status.dead[transport]); });
  auto& rtt = out.gauge("adit_upstream_rtt_seconds", "Round trip to the upstream, as the carrier estimates it");
  auto& health = out.gauge("adit_upstream_health", "Of the upstream in use: 0 healthy, 1 degraded for that reason");
  for (std::size_t i = 0; i < uplinks.size(); ++i) {
    const auto& metadata = uplinks[i].metadata;
    if (!uplinks[i].ready || !metadata) continue;
    const std::string shard = std::to_string(i);
    if (metadata->path_rtt) {
      rtt.add(std::chrono::duration<double>(*metadata->path_rtt).count(),
              {{"shard", shard},
               {"transport", text_of(metadata->transport)},
               {"path", std::string(net::to_string(metadata->path))}});
    }
    health.add(metadata->health.state == net::HealthState::kHealthy ? 0 : 1,
               {{"shard", shard},
                {"transport", text_of(metadata->transport)},
                {"reason", std::string(net::to_string(metadata->health.reason))}});
  }
  auto& round_trips = out.histogram("adit_upstream_round_trip_seconds", "Round trips of Ping and of SetupConnection");
  by_transport(round_trips,
               [](const Status& status, std::size_t transport) { return monitor::histogram(status.round_trips[transport]); });
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
              {"shares_rejected", rejected(stats.counters)},
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
  }
  return stats;
}

monitor::Health Metrics::health() {
  const ServerStats stats = look();
  return health_of(stats, work_age_.look(stats.counters.jobs, now_from_system().instant));
}

monitor::Snapshot Metrics::snapshot() {
  const ServerStats stats = look();
  monitor::Snapshot out;
  out.sv1 = monitor::Sv1Sample{.clients = stats.counters.miners, .hashrate_hps = stats.counters.hash_rate_hps};
  auto& server = out.server.emplace();
  server.connections = ready(stats);
  server.blocks_found = stats.counters.blocks_found;
  // Several miners may have one channel. Ids are those of one upstream connection, and each shard has one; miners are numbered
  // over the shards by turns.
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::size_t> places;
  for (const MinerInfo& miner : server_.miners()) {
    if (!miner.channel_id) continue;
    const std::uint64_t shard = miner.number % std::max<std::size_t>(stats.upstreams.size(), 1);
    const auto [place, is_new] = places.try_emplace({shard, *miner.channel_id}, server.channels.size());
    if (is_new) {
      server.channels.push_back(
          {.channel_id = *miner.channel_id, .extended = true, .user_identity = miner.channel_identity, .shares_rejected = {}});
    }
    monitor::ChannelSample& sample = server.channels[place->second];
    sample.hashrate_hps += miner.hash_rate_hps;
    sample.shares_accepted += miner.shares_accepted;
    server.hashrate_hps += miner.hash_rate_hps;
  }
  server.extended_channels = server.channels.size();
  for (const upstream::UplinkStatus& status : stats.upstreams) {
    if (status.ready && status.metadata)
      out.connections.push_back(monitor::connection_sample(*status.metadata, 0, stats.counters.channels));
  }
  add_shares(out.families, stats);
  const auto work = as_double(stats.counters.work_sum);
  out.families.counter("adit_upstream_share_work_total", "Sum of the difficulties of the shares that upstreams acknowledged")
      .add(work);
  out.families
      .gauge("adit_upstream_hashrate_measured", "Hashes per second that acknowledged shares prove, of the last ten minutes")
      .add(measured_.look(work, now_from_system().instant));
  add_uplinks(out.families, stats.upstreams);
  out.families.gauge("adit_shards_silent", "Shards that do not answer").add(as_double(stats.silent_shards));
  monitor::add_carrier(out.families, iroh_);
  out.families.counter("adit_log_events_lost_total", "Log events lost because their reader stalled")
      .add(as_double(log::lost()));
  return out;
}

}  // namespace adit::translator
