#include "roles/pool/metrics.h"

#include <string>
#include <utility>
#include <vector>

#include "channels/share.h"
#include "log/log.h"
#include "monitor/net_samples.h"

namespace adit::pool {

monitor::Snapshot snapshot(const PoolServer& server, const net::IrohCarrier* iroh) {
  const ServerStats stats = server.stats();
  monitor::Snapshot out;
  auto& clients = out.clients.emplace();
  clients.connections = stats.over(net::Transport::kTcp).open + stats.over(net::Transport::kIroh).open;
  clients.blocks_found = stats.pool.blocks_found;
  clients.standard_channels = stats.pool.standard_channels;
  clients.extended_channels = stats.pool.extended_channels;
  const Connections connections = server.connections();
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
  const auto add = [&out](const char* name, const char* help, auto value,
                          std::vector<std::pair<std::string, std::string>> labels = {}) {
    out.gauges.push_back({name, help, std::move(labels), static_cast<double>(value)});
  };
  const auto of_transports = [&](const char* name, const char* help, auto member, std::string_view key = {},
                                 std::string_view value = {}) {
    for (const auto transport : {net::Transport::kTcp, net::Transport::kIroh}) {
      std::vector<std::pair<std::string, std::string>> labels{{"transport", std::string(net::to_string(transport))}};
      if (!key.empty()) labels.emplace_back(key, value);
      add(name, transport == net::Transport::kTcp ? help : "", stats.over(transport).*member, std::move(labels));
    }
  };
  using Counted = net::TransportCounters;
  of_transports("adit_connections", "Open connections by transport", &Counted::open);
  of_transports("adit_connections_opened_total", "Connections past their handshake", &Counted::opened);
  of_transports("adit_handshakes_failed_total", "Connections that failed their handshake", &Counted::handshakes_failed);
  of_transports("adit_connections_cut_total", "Connections cut off, by reason", &Counted::protocol_errors, "reason",
                "protocol");
  of_transports("adit_connections_cut_total", "", &Counted::slow_readers, "reason", "slow-reader");
  of_transports("adit_connections_cut_total", "", &Counted::idle, "reason", "idle");
  of_transports("adit_connections_cut_total", "", &Counted::dead, "reason", "dead");
  of_transports("adit_connections_degraded", "Open connections that are degraded", &Counted::degraded);
  of_transports("adit_goodbyes_total", "Connections ended by a Goodbye that was acknowledged", &Counted::goodbyes);
  of_transports("adit_connection_bytes_total", "Bytes of connections that have ended", &Counted::bytes_sent, "direction",
                "sent");
  of_transports("adit_connection_bytes_total", "", &Counted::bytes_received, "direction", "received");
  for (const auto transport : {net::Transport::kTcp, net::Transport::kIroh}) {
    out.histograms.push_back(
        monitor::histogram("adit_connection_rtt_seconds", "Round trip as the carrier knew it at a connection's end",
                           {{"transport", std::string(net::to_string(transport))}}, stats.over(transport).round_trips));
  }
  monitor::add_carrier(out, iroh);
  add("adit_connections_refused_total", "Connections that admission turned away", stats.admission.refused);
  add("adit_handshakes", "Handshakes under way", stats.admission.handshakes);
  add("adit_template_height", "Height of the block being worked on", stats.source.height);
  add("adit_templates_total", "Templates received", stats.source.templates);
  add("adit_blocks_total", "Found blocks by the chain's answer", stats.source.blocks_accepted, {{"answer", "accepted"}});
  add("adit_blocks_total", "", stats.source.blocks_rejected, {{"answer", "rejected"}});
  add("adit_blocks_total", "", stats.source.blocks_unanswered, {{"answer", "none-yet"}});
  add("adit_log_events_lost_total", "Log events lost because their reader stalled", log::lost());
  return out;
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
