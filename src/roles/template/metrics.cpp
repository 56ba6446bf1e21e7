#include "roles/template/metrics.h"

#include "monitor/complete.h"
#include "monitor/net_samples.h"
#include "monitor/source_samples.h"

namespace adit::provider {
namespace {

void add_families(monitor::Families& out, const ServerStats& stats) {
  monitor::add_hosts(out, stats.hosts);
  monitor::add_admission(out, stats.admission, stats.failed_accepts);
  monitor::add_unread(out, stats.unread);
  out.gauge("adit_shards_silent", "Shards that do not answer").add(stats.silent_shards);
  out.gauge("adit_template_clients", "Clients that are set up").add(stats.clients);
  out.gauge("adit_template_classes", "Kinds of coinbase constraints for which templates are built").add(stats.classes);
  out.counter("adit_templates_sent_total", "Templates sent, to each client").add(stats.sessions.templates_sent);
  auto& transactions = out.counter("adit_template_transactions_total", "Requests for transaction data, by their answer");
  transactions.add(stats.sessions.transactions_sent, {{"answer", "sent"}});
  transactions.add(stats.sessions.transactions_refused, {{"answer", "refused"}});
  auto& solutions = out.counter("adit_template_solutions_total", "Solutions of clients: handed to the nodes, or of no use");
  solutions.add(stats.sessions.solutions, {{"answer", "taken"}});
  solutions.add(stats.sessions.solutions_refused, {{"answer", "refused"}});
  monitor::add_source(out, stats.source);
  out.counter("adit_log_events_lost_total", "Log events lost because their reader stalled or the log file could not be written")
      .add(log::lost());
}

}  // namespace

ServerStats Metrics::look() { return monitor::with_complete(server_.stats(), complete_); }

monitor::Snapshot Metrics::snapshot() {
  monitor::Snapshot out;
  const ServerStats stats = look();
  out.work = monitor::work_sample(stats.source, network_);
  add_families(out.families, stats);
  for (const ConnectionInfo& connection : server_.connections())
    out.connections.push_back(monitor::connection_sample(connection.metadata, connection.id, 0));
  monitor::add_carrier(out.families, iroh_);
  return out;
}

monitor::Health Metrics::health() {
  const ServerStats stats = look();
  if (stats.silent_shards != 0) return monitor::health_of_silent_shards(stats.silent_shards);
  return monitor::health_of_source(stats.source, now_from_system().instant);
}

void log_stats(log::Level level, const ServerStats& stats) {
  log::write(level, "provider.stats",
             {{"clients", stats.clients},
              {"classes", stats.classes},
              {"connections_tcp", stats.hosts[0].open},
              {"connections_iroh", stats.hosts[1].open},
              {"templates_sent", stats.sessions.templates_sent},
              {"solutions", stats.sessions.solutions},
              {"blocks_accepted", stats.source.blocks_accepted},
              {"height", stats.source.height}});
}

}  // namespace adit::provider
