#include "roles/translator/metrics.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "monitor/net_samples.h"

namespace adit::translator {
namespace {

std::uint64_t rejected(const Counters& counters) {
  std::uint64_t total = 0;
  for (const auto& [code, count] : counters.rejected_upstream) total += count;
  return total;
}

}  // namespace

void Watch::look(const ServerStats& stats) {
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
              {"upstreams_ready", std::ranges::count(stats.upstreams, true, &upstream::UplinkStatus::ready)}});
}

monitor::Snapshot snapshot(const TranslatorServer& server, const net::IrohCarrier* iroh) {
  const ServerStats stats = server.stats();
  monitor::Snapshot out;
  out.sv1 = monitor::Sv1Sample{.clients = stats.counters.miners, .hashrate_hps = stats.counters.hash_rate_hps};
  auto& upstream = out.server.emplace();
  upstream.connections = static_cast<std::uint64_t>(std::ranges::count(stats.upstreams, true, &upstream::UplinkStatus::ready));
  upstream.blocks_found = stats.counters.blocks_found;
  for (const MinerInfo& miner : server.miners()) {
    if (!miner.channel_id) continue;
    monitor::ChannelSample& sample = upstream.channels.emplace_back();
    sample.channel_id = *miner.channel_id;
    sample.extended = true;
    sample.user_identity = miner.user;
    sample.hashrate_hps = miner.hash_rate_hps;
    sample.shares_accepted = miner.shares_accepted;
    ++upstream.extended_channels;
    upstream.hashrate_hps += miner.hash_rate_hps;
  }
  const auto add = [&out](const char* name, const char* help, auto value,
                          std::vector<std::pair<std::string, std::string>> labels = {}) {
    out.gauges.push_back({name, help, std::move(labels), static_cast<double>(value)});
  };
  add("adit_upstreams_ready", "Upstream connections that are set up", upstream.connections);
  add("adit_upstream_shares_submitted_total", "Shares sent to the upstream", stats.counters.shares_submitted);
  bool first = true;
  for (const auto& [code, count] : stats.counters.rejected_upstream) {
    add("adit_upstream_shares_rejected_total",
        std::exchange(first, false) ? "Shares that the upstream refused, by error code" : "", count, {{"error_code", code}});
  }
  first = true;
  for (const auto& [code, count] : stats.counters.rejected_local) {
    add("adit_miner_shares_rejected_total", std::exchange(first, false) ? "Shares refused to miners here, by SV1 code" : "",
        count, {{"code", std::to_string(code)}});
  }
  add("adit_miner_shares_orphaned_total", "Shares for jobs of an upstream that had been left", stats.counters.shares_orphaned);
  add("adit_slow_miners_cut_total", "Miners cut off because they did not read", stats.slow_readers);
  for (std::size_t i = 0; i < stats.upstreams.size(); ++i) {
    const auto& metadata = stats.upstreams[i].metadata;
    if (!stats.upstreams[i].ready || !metadata || !metadata->path_rtt) continue;
    add("adit_upstream_rtt_seconds", i == 0 ? "Round trip to the upstream, as the carrier estimates it" : "",
        std::chrono::duration<double>(*metadata->path_rtt).count(),
        {{"shard", std::to_string(i)},
         {"transport", std::string(net::to_string(metadata->transport))},
         {"path", std::string(net::to_string(metadata->path))}});
  }
  for (std::size_t i = 0; i < stats.upstreams.size(); ++i) {
    const auto& status = stats.upstreams[i];
    const std::string shard = std::to_string(i);
    if (status.ready && status.metadata)
      out.connections.push_back(monitor::connection_sample(*status.metadata, 0, stats.counters.channels));
    for (const auto transport : {net::Transport::kTcp, net::Transport::kIroh}) {
      out.histograms.push_back(monitor::histogram("adit_upstream_round_trip_seconds",
                                                  "Round trips of Ping and of SetupConnection",
                                                  {{"shard", shard}, {"transport", std::string(net::to_string(transport))}},
                                                  status.round_trips[static_cast<std::size_t>(transport)]));
    }
  }
  const auto of_shards = [&](const char* name, const char* help, auto member) {
    for (std::size_t i = 0; i < stats.upstreams.size(); ++i)
      add(name, i == 0 ? help : "", stats.upstreams[i].*member, {{"shard", std::to_string(i)}});
  };
  of_shards("adit_upstream_connects_total", "Times that an upstream became ready", &upstream::UplinkStatus::connects);
  of_shards("adit_upstream_fallbacks_total", "Times that another upstream than the last became ready",
            &upstream::UplinkStatus::fallbacks);
  of_shards("adit_upstream_goodbyes_total", "Endings in which every Goodbye was acknowledged",
            &upstream::UplinkStatus::goodbyes);
  monitor::add_carrier(out, iroh);
  of_shards("adit_upstream_path_changes_total", "Times that a connection's data began to go another way",
            &upstream::UplinkStatus::path_changes);
  of_shards("adit_upstream_shares_unanswered_total", "Shares whose connection ended before the answer",
            &upstream::UplinkStatus::shares_unanswered);
  const auto by_transport = [&](const char* name, const char* help, auto member) {
    bool first_of_name = true;
    for (std::size_t i = 0; i < stats.upstreams.size(); ++i) {
      for (const auto transport : {net::Transport::kTcp, net::Transport::kIroh}) {
        add(name, std::exchange(first_of_name, false) ? help : "",
            (stats.upstreams[i].*member)[static_cast<std::size_t>(transport)],
            {{"shard", std::to_string(i)}, {"transport", std::string(net::to_string(transport))}});
      }
    }
  };
  by_transport("adit_upstream_degraded_total", "Times that an upstream connection became degraded",
               &upstream::UplinkStatus::degraded);
  by_transport("adit_upstream_dead_total", "Upstream connections that were found dead", &upstream::UplinkStatus::dead);
  bool first_health = true;
  for (std::size_t i = 0; i < stats.upstreams.size(); ++i) {
    const auto& status = stats.upstreams[i];
    if (!status.ready || !status.metadata) continue;
    add("adit_upstream_health",
        std::exchange(first_health, false) ? "Of the upstream in use: 0 healthy, 1 degraded for that reason" : "",
        status.metadata->health.state == net::HealthState::kHealthy ? 0 : 1,
        {{"shard", std::to_string(i)},
         {"transport", std::string(net::to_string(status.metadata->transport))},
         {"reason", std::string(net::to_string(status.metadata->health.reason))}});
  }
  add("adit_log_events_lost_total", "Log events lost because their reader stalled", log::lost());
  return out;
}

}  // namespace adit::translator
