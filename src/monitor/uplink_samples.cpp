#include "monitor/uplink_samples.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>

#include "monitor/net_samples.h"

namespace adit::monitor {
namespace {

std::string text_of(net::Transport transport) { return std::string(net::to_string(transport)); }

void add_families(Families& out, std::span<const upstream::UplinkStatus> uplinks) {
  out.gauge("adit_upstreams_ready", "Upstream connections that are set up")
      .add(std::ranges::count(uplinks, true, &upstream::UplinkStatus::ready));
  const auto by_shard = [&](Family& family, auto member) {
    for (std::size_t i = 0; i < uplinks.size(); ++i) family.add(uplinks[i].*member, {{"shard", std::to_string(i)}});
  };
  const auto by_transport = [&](Family& family, auto value) {
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
               [](const Status& status, std::size_t transport) { return status.degraded[transport]; });
  by_transport(out.counter("adit_upstream_dead_total", "Upstream connections that were found dead"),
               [](const Status& status, std::size_t transport) { return status.dead[transport]; });
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
               [](const Status& status, std::size_t transport) { return histogram(status.round_trips[transport]); });
}

}  // namespace

void add_uplinks(Snapshot& out, std::span<const upstream::UplinkStatus> uplinks, std::uint64_t channels) {
  for (const upstream::UplinkStatus& status : uplinks) {
    out.upstreams.push_back({.url = status.url,
                             .ready = status.ready,
                             .error = status.last_error,
                             .connects = status.connects,
                             .fallbacks = status.fallbacks});
    if (status.clock_ahead) out.upstreams.back().clock_ahead_seconds = status.clock_ahead->count();
    if (!status.ready || !status.metadata) continue;
    out.connections.push_back(connection_sample(*status.metadata, 0, channels));
    out.connections.back().url = status.url;
  }
  add_families(out.families, uplinks);
}

}  // namespace adit::monitor
