#include "roles/jd_client/metrics.h"

#include <chrono>
#include <span>
#include <string>
#include <utility>

#include "base/hex.h"
#include "monitor/mining_samples.h"
#include "monitor/net_samples.h"
#include "monitor/source_samples.h"
#include "monitor/uplink_samples.h"

namespace adit::jd_client {
namespace {

using monitor::Families;

std::uint64_t lost(const Counters& counters) {
  std::uint64_t total = 0;
  for (const std::uint64_t count : counters.shares_lost) total += count;
  return total;
}

void add_upstream(Families& out, const ServerStats& stats) {
  const Counters& counters = stats.counters;
  out.gauge("adit_declarator_ready", "1 while a session with the pool's job declarator stands, else 0")
      .add(stats.status.declarator_ready ? 1 : 0);
  out.gauge("adit_mining_for_pool", "1 while the miners' work is a pool's, 0 while it is solo")
      .add(stats.status.mining_for_pool ? 1 : 0);
  out.counter("adit_falls_to_solo_total", "Times that the miners' work stopped being a pool's").add(counters.falls_to_solo);
  out.counter("adit_pool_tips_followed_total", "Times that miners were given a pool's own job, as its tip was newer than ours")
      .add(counters.pool_tips_followed);
  out.counter("adit_jobs_total", "Jobs that miners were given").add(counters.jobs);
  out.counter("adit_jobs_declared_total", "Jobs that were declared, each as often as it was tried").add(counters.jobs_declared);
  out.counter("adit_jobs_acknowledged_total", "Jobs that a pool acknowledged").add(counters.jobs_acknowledged);
  auto& refused = out.counter("adit_jobs_refused_total", "Jobs that a declarator or a pool refused");
  refused.add(counters.jobs_refused_stale, {{"reason", "tip"}});
  refused.add(counters.jobs_refused - counters.jobs_refused_stale, {{"reason", "job"}});
  out.counter("adit_transactions_sent_total", "Transactions that declarators asked for").add(counters.transactions_sent);
  if (stats.status.acknowledge) {
    out.gauge("adit_job_acknowledge_seconds", "What the last job took from its template to its acknowledgement")
        .add(std::chrono::duration<double>(*stats.status.acknowledge).count());
  }
  out.gauge("adit_shares_waiting", "Shares that wait until their job is acknowledged").add(stats.status.waiting_shares);
  out.counter("adit_upstream_shares_submitted_total", "Shares sent to the upstream").add(counters.shares_submitted);
  auto& rejected_above = out.counter("adit_upstream_shares_rejected_total", "Shares that the upstream refused, by error code");
  for (const auto& [code, count] : counters.shares_rejected) rejected_above.add(count, {{"error_code", code}});
  auto& shares_lost = out.counter("adit_shares_lost_total", "Miners' shares that could not be sent to a pool, by reason");
  for (std::size_t i = 0; i < kLostShares; ++i)
    shares_lost.add(counters.shares_lost[i], {{"reason", std::string(lost_name(static_cast<LostShares>(i)))}});
  out.counter("adit_miner_shares_local_total",
              "Shares accepted here and not sent up, as they were easier than the upstream asks")
      .add(counters.shares_local);
  out.counter("adit_shares_solo_total", "Shares accepted while there was no pool").add(counters.shares_solo);
  out.counter("adit_solutions_pushed_total", "Solutions of blocks that were pushed to declarators")
      .add(counters.solutions_pushed);
}

/// The one with the pool, and what is counted of all that there were.
monitor::SideSample upstream_side(const ServerStats& stats) {
  monitor::SideSample side;
  side.connections = stats.pool && stats.pool->ready ? 1 : 0;
  side.blocks_found = stats.counters.blocks_of_pools;
  side.shares_accepted = stats.counters.shares_accepted;
  side.shares_rejected = stats.counters.shares_rejected;
  if (!stats.status.channel) return side;
  const PoolChannel& channel = *stats.status.channel;
  side.extended_channels = 1;
  side.hashrate_hps = channel.declared_hps;
  monitor::ChannelSample& sample = side.channels.emplace_back();
  sample.channel_id = channel.id;
  sample.extended = true;
  sample.user_identity = channel.user_identity;
  sample.hashrate_hps = channel.declared_hps;
  sample.target_hex = channel.target.to_hex();
  sample.extranonce_prefix_hex = to_hex(channel.extranonce_prefix);
  sample.extranonce_prefix_size = channel.extranonce_prefix.size();
  sample.extranonce_size = channel.extranonce_size;
  sample.version_rolling = true;  // Without it no session with a pool is set up.
  monitor::add_account(sample, channel.account);
  return side;
}

}  // namespace

/// While the shard hangs its counts are those of the last look at it: a counter that falls would be taken for a restart.
ServerStats Metrics::look() {
  ServerStats stats = server_.stats();
  if (!stats.silent) {
    complete_ = stats;
    return stats;
  }
  stats = complete_;
  stats.silent = true;
  return stats;
}

monitor::Snapshot Metrics::snapshot() {
  const ServerStats stats = look();
  monitor::Snapshot out;
  monitor::add_clients(out, stats.miners, server_.connections(), stats.connected(), measured_);
  downstream::add_miners(out.families, stats, stats.admission, stats.failed_accepts, stats.silent ? 1 : 0);
  auto& server = out.server.emplace(upstream_side(stats));
  const auto work = static_cast<double>(stats.counters.work_sum);
  server.measured_hps = measured_upstream_.look(work, now_from_system().instant);
  auto& source = out.work.emplace(monitor::work_sample(stats.source, network_));
  if (!stats.status.coinbase.empty()) source.coinbase = stats.status.coinbase;
  const auto uplinks = stats.pool ? std::span(&*stats.pool, 1) : std::span<const upstream::UplinkStatus>();
  monitor::add_uplinks(out, uplinks, server.extended_channels);
  add_upstream(out.families, stats);
  monitor::add_source(out.families, stats.source);
  out.families.counter("adit_upstream_share_work_total", "Sum of the difficulties of the shares that upstreams acknowledged")
      .add(work);
  out.families
      .gauge("adit_upstream_hashrate_measured", "Hashes per second that acknowledged shares prove, of the last ten minutes")
      .add(server.measured_hps);
  monitor::add_carrier(out.families, iroh_);
  out.families
      .counter("adit_log_events_lost_total",
               "Log events lost because their reader stalled or the log file could not be written")
      .add(log::lost());
  return out;
}

monitor::Health health_of(const ServerStats& stats, Instant now) {
  if (stats.silent) return monitor::health_of_silent_shards(1);
  monitor::Health health = monitor::health_of_source(stats.source, now);
  if (!health.ready() || !stats.pool || stats.status.mining_for_pool) return health;
  // It mines all the same, so it is ready.
  health.message = "the miners' work is solo: no pool acknowledges it";
  if (!stats.pool->last_error.empty()) health.message += "; " + stats.pool->url + ": " + stats.pool->last_error;
  return health;
}

monitor::Health Metrics::health() { return health_of(look(), now_from_system().instant); }

void log_stats(log::Level level, const ServerStats& stats) {
  log::write(level, "jd_client.stats",
             {{"connections", stats.connected()},
              {"channels", stats.miners.standard_channels + stats.miners.extended_channels},
              {"mining_for_pool", stats.status.mining_for_pool},
              {"jobs_acknowledged", stats.counters.jobs_acknowledged},
              {"jobs_refused", stats.counters.jobs_refused},
              {"shares_submitted", stats.counters.shares_submitted},
              {"shares_accepted", stats.counters.shares_accepted},
              {"shares_rejected", monitor::sum(stats.counters.shares_rejected)},
              {"shares_lost", lost(stats.counters)},
              {"shares_solo", stats.counters.shares_solo},
              {"blocks_found", stats.counters.blocks_found},
              {"blocks_accepted", stats.source.blocks_accepted},
              {"height", stats.source.height}});
}

}  // namespace adit::jd_client
