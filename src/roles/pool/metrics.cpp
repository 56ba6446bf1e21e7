#include "roles/pool/metrics.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "channels/share.h"
#include "log/log.h"
#include "monitor/net_samples.h"
#include "monitor/source_samples.h"

namespace adit::pool {
namespace {

using monitor::Families;

template <class Number>
double as_double(Number number) {
  return static_cast<double>(number);
}

void add_families(Families& out, const ServerStats& stats) {
  monitor::add_hosts(out, stats.transports);
  monitor::add_admission(out, stats.admission, stats.failed_accepts);
  out.gauge("adit_shards_silent", "Shards that do not answer").add(as_double(stats.silent_shards));
  auto& channels_refused = out.counter("adit_channels_refused_total", "Channels that were not opened, by error code");
  for (std::size_t i = 0; i < stats.pool.opens_refused.size(); ++i) {
    channels_refused.add(as_double(stats.pool.opens_refused[i]),
                         {{"error_code", std::string(mining::open_error_code(static_cast<mining::OpenRefusal>(i)))}});
  }
  out.gauge("adit_work_stale", "1 while there have been no templates for so long that miners are sent away, else 0")
      .add(stats.work_is_stale ? 1 : 0);
  out.counter("adit_channels_closed_without_work_total", "Channels that were closed because there was no work")
      .add(as_double(stats.pool.channels_closed));
  out.gauge("adit_payouts", "Different payouts of open channels, by shard and beside the pool's own")
      .add(as_double(stats.pool.payouts));
  out.counter("adit_sessions_cut_off_total", "Sessions ended because their peer only cost")
      .add(as_double(stats.pool.sessions_cut_off));
  monitor::add_source(out, stats.source);
  out.counter("adit_log_events_lost_total", "Log events lost because their reader stalled").add(as_double(log::lost()));
}

}  // namespace

/// While a shard hangs its counts are those of the last look at it: a counter that falls would be taken for a restart.
ServerStats Metrics::look() {
  ServerStats stats = server_.stats();
  if (stats.silent_shards == 0) {
    complete_ = stats;
  } else {
    static_cast<Totals&>(stats) = complete_;
  }
  return stats;
}

monitor::Snapshot Metrics::snapshot() {
  const ServerStats stats = look();
  monitor::Snapshot out;
  auto& clients = out.clients.emplace();
  clients.connections = stats.over(net::Transport::kTcp).open + stats.over(net::Transport::kIroh).open;
  clients.blocks_found = stats.pool.blocks_found;
  clients.standard_channels = stats.pool.standard_channels;
  clients.extended_channels = stats.pool.extended_channels;
  const Connections connections = server_.connections();
  clients.hashrate_hps = connections.hash_rate_hps;
  clients.workers = connections.workers;
  for (const ConnectionInfo& connection : connections.listed) {
    out.connections.push_back(monitor::connection_sample(connection.metadata, connection.id, connection.channels_total));
    for (const auto& channel : connection.channels) {
      monitor::ChannelSample& sample = clients.channels.emplace_back();
      sample.client_id = connection.id;
      sample.channel_id = channel.id;
      sample.extended = channel.kind == channels::ChannelKind::kExtended;
      sample.user_identity = channel.user_identity;
      sample.hashrate_hps = channel.hash_rate_hps;
      sample.shares_accepted = channel.stats.accepted;
      sample.share_work = channel.stats.work_sum.difficulty();
      for (std::size_t verdict = 0; verdict < channel.stats.rejected.size(); ++verdict) {
        if (const auto count = channel.stats.rejected[verdict]; count != 0) {
          sample.shares_rejected[std::string(channels::share_error_code(static_cast<channels::ShareVerdict>(verdict)))] +=
              count;
        }
      }
    }
    for (const auto& worker : connection.workers) {
      clients.worker_list.push_back({.client_id = connection.id,
                                     .worker = worker.name,
                                     .hashrate_hps = worker.hash_rate_hps,
                                     .shares_accepted = worker.shares_accepted,
                                     .shares_rejected = worker.shares_rejected,
                                     .share_work = worker.work_sum.difficulty()});
    }
  }
  add_families(out.families, stats);
  const double work = stats.pool.work_sum.difficulty();
  out.families.counter("adit_client_share_work_total", "Sum of the difficulties of all accepted shares").add(work);
  out.families.gauge("adit_client_hashrate_measured", "Hashes per second that accepted shares prove, of the last ten minutes")
      .add(measured_.look(work, now_from_system().instant));
  monitor::add_carrier(out.families, iroh_);
  return out;
}

monitor::Health health_of(const templates::SourceStatus& source, Instant now, bool work_is_stale) {
  monitor::Health health = monitor::health_of_source(source, now);
  if (health.ready()) return health;
  // Not how old it is, which the work's age says: a sentence that changes each second would be an event each second.
  if (work_is_stale) {
    health.message += "; no channel is opened and those that are open are closed, so that miners turn to their next pool";
  } else if (source.template_at && health.readiness != monitor::Readiness::kStarting) {
    health.message += "; miners go on with the last template";
  }
  return health;
}

monitor::Health Metrics::health() {
  const ServerStats stats = look();
  if (stats.silent_shards != 0) return monitor::health_of_silent_shards(stats.silent_shards);
  return health_of(stats.source, now_from_system().instant, stats.work_is_stale);
}

void log_stats(log::Level level, const ServerStats& stats) {
  log::write(level, "pool.stats",
             {{"shares_accepted", stats.pool.shares_accepted},
              {"shares_rejected", stats.pool.shares_rejected_total()},
              {"blocks_found", stats.pool.blocks_found},
              {"blocks_accepted", stats.source.blocks_accepted},
              {"connections_tcp", stats.over(net::Transport::kTcp).open},
              {"connections_iroh", stats.over(net::Transport::kIroh).open},
              {"channels", stats.pool.standard_channels + stats.pool.extended_channels},
              {"height", stats.source.height}});
}

}  // namespace adit::pool
