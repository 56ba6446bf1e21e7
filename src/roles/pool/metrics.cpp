#include "roles/pool/metrics.h"

#include <string>
#include <string_view>
#include <utility>

#include "declaration/server_session.h"
#include "log/log.h"
#include "monitor/complete.h"
#include "monitor/mining_samples.h"
#include "monitor/net_samples.h"
#include "monitor/source_samples.h"
#include "roles/pool/declarator_server.h"

namespace adit::pool {
namespace {

using monitor::Families;

void add_declarator(Families& out, const declaration::ServerCounters& counts) {
  out.gauge("adit_jds_clients", "Job declarators that are connected").add(counts.clients);
  out.counter("adit_jds_tokens_total", "Tokens that were allocated").add(counts.tokens_allocated);
  out.counter("adit_jds_jobs_declared_total", "Declared jobs that were accepted").add(counts.jobs_declared);
  out.counter("adit_jds_declare_seconds_total", "Time from the declaration of accepted jobs to their acceptance, added up")
      .add(std::chrono::duration<double>(counts.jobs_time).count());
  auto& refused = out.counter("adit_jds_jobs_refused_total", "Declared jobs that were refused, by error code");
  for (std::size_t i = 0; i < counts.jobs_refused.size(); ++i) {
    const auto code = declaration::declare_error_code(static_cast<declaration::DeclareRefusal>(i));
    refused.add(counts.jobs_refused[i], {{"error_code", std::string(code)}});
  }
  out.counter("adit_jds_transactions_declared_total", "Transactions in declared jobs").add(counts.transactions_declared);
  out.counter("adit_jds_transactions_missing_total", "Transactions in declared jobs that were not known and were asked for")
      .add(counts.transactions_missing);
  out.gauge("adit_jds_known_bytes", "Bytes that known transactions take, counted on each shard").add(counts.known_bytes);
  out.counter("adit_jds_solutions_total", "Blocks that a job declarator handed over").add(counts.solutions);
  out.counter("adit_jds_solutions_refused_total", "Solutions of job declarators that were no block")
      .add(counts.solutions_refused);
}

void add_custom_jobs(Families& out, const declaration::CustomJobCounts& counts) {
  out.counter("adit_jds_custom_jobs_total", "Declared jobs that a miner was given").add(counts.taken);
  out.counter("adit_jds_custom_jobs_refused_total", "Custom jobs that were not as declared").add(counts.refused);
}

void add_families(Families& out, const ServerStats& stats) {
  downstream::add_miners(out, stats, stats.admission, stats.failed_accepts, stats.silent_shards);
  out.gauge("adit_work_stale", "1 while there have been no templates for so long that miners are sent away, else 0")
      .add(stats.work_is_stale ? 1 : 0);
  out.counter("adit_channels_closed_without_work_total", "Channels that were closed because there was no work")
      .add(stats.miners.channels_closed);
  out.gauge("adit_payouts", "Different payouts of open channels beside the pool's own, counted on each shard")
      .add(stats.miners.payouts);
  if (stats.declared) {
    constexpr std::string_view kListeners = "adit_jds_";
    monitor::add_hosts(out, stats.declared->transports, kListeners);
    monitor::add_admission(out, stats.declarator_admission, stats.declarator_failed_accepts, kListeners);
    add_declarator(out, stats.declared->declarator);
  }
  if (stats.custom_jobs) add_custom_jobs(out, *stats.custom_jobs);
  monitor::add_source(out, stats.source);
  out.counter("adit_log_events_lost_total", "Log events lost because their reader stalled or the log file could not be written")
      .add(log::lost());
}

}  // namespace

ServerStats Metrics::look() { return monitor::with_complete(server_.stats(), complete_); }

monitor::Snapshot Metrics::snapshot() {
  const ServerStats stats = look();
  monitor::Snapshot out;
  monitor::add_clients(out, stats.miners, server_.connections(), stats.connected(), measured_);
  auto& work = out.work.emplace(monitor::work_sample(stats.source, network_));
  if (work.reward_sat) work.coinbase = stats.coinbase;
  work.own_payouts = stats.miners.payouts;
  add_families(out.families, stats);
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

DeclaratorServerStats DeclaratorMetrics::look() { return monitor::with_complete(server_.stats(), complete_); }

monitor::Snapshot DeclaratorMetrics::snapshot() {
  monitor::Snapshot out;
  const DeclaratorServerStats stats = look();
  out.work = monitor::work_sample(stats.source, network_);
  monitor::add_hosts(out.families, stats.transports);
  monitor::add_admission(out.families, stats.admission, stats.failed_accepts);
  monitor::add_unread(out.families, stats.unread);
  out.families.gauge("adit_shards_silent", "Shards that do not answer").add(stats.silent_shards);
  add_declarator(out.families, stats.declarator);
  monitor::add_source(out.families, stats.source);
  out.families
      .counter("adit_log_events_lost_total",
               "Log events lost because their reader stalled or the log file could not be written")
      .add(log::lost());
  for (const auto& [id, metadata] : server_.connections())
    out.connections.push_back(monitor::connection_sample(metadata, id, 0));
  monitor::add_carrier(out.families, iroh_);
  return out;
}

monitor::Health DeclaratorMetrics::health() {
  const DeclaratorServerStats stats = look();
  if (stats.silent_shards != 0) return monitor::health_of_silent_shards(stats.silent_shards);
  return monitor::health_of_source(stats.source, now_from_system().instant);
}

void log_stats(log::Level level, const DeclaratorServerStats& stats) {
  log::write(level, "jds.stats",
             {{"clients", stats.declarator.clients},
              {"jobs_declared", stats.declarator.jobs_declared},
              {"solutions", stats.declarator.solutions},
              {"blocks_accepted", stats.source.blocks_accepted},
              {"connections_tcp", stats.transports[0].open},
              {"connections_iroh", stats.transports[1].open},
              {"height", stats.source.height}});
}

void log_stats(log::Level level, const ServerStats& stats) {
  log::write(level, "pool.stats",
             {{"shares_accepted", stats.miners.shares_accepted},
              {"shares_rejected", stats.miners.shares_rejected_total()},
              {"blocks_found", stats.miners.blocks_found},
              {"blocks_accepted", stats.source.blocks_accepted},
              {"connections_tcp", stats.over(net::Transport::kTcp).open},
              {"connections_iroh", stats.over(net::Transport::kIroh).open},
              {"channels", stats.miners.standard_channels + stats.miners.extended_channels},
              {"height", stats.source.height}});
}

}  // namespace adit::pool
