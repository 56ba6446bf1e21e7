#include "monitor/net_samples.h"

#include <array>
#include <string>

#include <chrono>
#include <string_view>

#include "base/time.h"

namespace adit::monitor {
namespace {

constexpr std::array kTransports = {net::Transport::kTcp, net::Transport::kIroh};

}  // namespace

ConnectionSample connection_sample(const net::ConnectionMetadata& metadata, std::uint32_t client_id, std::uint64_t channels) {
  ConnectionSample sample{.client_id = client_id,
                          .transport = std::string(net::to_string(metadata.transport)),
                          .peer = metadata.peer,
                          .source = metadata.source,
                          .path = std::string(net::to_string(metadata.path)),
                          .lanes = metadata.lanes,
                          .sessions = metadata.sessions,
                          .authority = metadata.authority_key,
                          .bytes_sent = metadata.bytes_sent,
                          .bytes_received = metadata.bytes_received,
                          .channels = channels};
  sample.path_changes = metadata.path_changes;
  for (const net::PathChange& change : metadata.path_history.changes())
    sample.path_history.push_back(
        {change.at, std::string(net::to_string(change.from)), std::string(net::to_string(change.to)), change.address});
  sample.health = net::to_string(metadata.health.state);
  sample.health_reason = net::to_string(metadata.health.reason);
  if (metadata.figures) {
    sample.packets_sent = metadata.figures->packets_sent;
    sample.packets_lost = metadata.figures->packets_lost;
  }
  if (metadata.path_rtt) sample.rtt_seconds = std::chrono::duration<double>(*metadata.path_rtt).count();
  sample.age_seconds = std::chrono::duration<double>(now_from_system().instant - metadata.opened_at).count();
  return sample;
}

Histogram histogram(const net::RoundTrips& trips) {
  return {.bounds = {net::RoundTrips::kBounds.begin(), net::RoundTrips::kBounds.end()},
          .counts = {trips.counts.begin(), trips.counts.end()},
          .sum = trips.sum};
}

void add_hosts(Families& families, const net::HostCounters& hosts, std::string_view prefix) {
  const auto named = [&](std::string_view name) { return std::string(prefix).append(name); };
  const auto by_transport = [&](Family& family, auto member, const Labels& more = {}) {
    for (const auto transport : kTransports) {
      Labels labels{{"transport", std::string(net::to_string(transport))}};
      labels.insert(labels.end(), more.begin(), more.end());
      family.add(hosts[static_cast<std::size_t>(transport)].*member, labels);
    }
  };
  using Counted = net::TransportCounters;
  by_transport(families.gauge(named("connections"), "Open connections by transport"), &Counted::open);
  by_transport(families.counter(named("connections_opened_total"), "Connections past their handshake"), &Counted::opened);
  by_transport(families.counter(named("handshakes_failed_total"), "Connections that failed their handshake"),
               &Counted::handshakes_failed);
  auto& cut = families.counter(named("connections_cut_total"), "Connections cut off, by reason");
  by_transport(cut, &Counted::protocol_errors, {{"reason", "protocol"}});
  by_transport(cut, &Counted::slow_readers, {{"reason", "slow-reader"}});
  by_transport(cut, &Counted::idle, {{"reason", "idle"}});
  by_transport(cut, &Counted::dead, {{"reason", "dead"}});
  by_transport(families.gauge(named("connections_degraded"), "Open connections that are degraded"), &Counted::degraded);
  by_transport(families.counter(named("goodbyes_total"), "Connections ended by a Goodbye that was acknowledged"),
               &Counted::goodbyes);
  auto& bytes = families.counter(named("connection_bytes_total"), "Bytes of connections that have ended");
  by_transport(bytes, &Counted::bytes_sent, {{"direction", "sent"}});
  by_transport(bytes, &Counted::bytes_received, {{"direction", "received"}});
  for (const auto transport : kTransports) {
    families.histogram(named("connection_rtt_seconds"), "Round trip as the carrier knew it at a connection's end")
        .add(histogram(hosts[static_cast<std::size_t>(transport)].round_trips),
             {{"transport", std::string(net::to_string(transport))}});
  }
}

void add_admission(Families& families, const net::Admission::Counts& counts, std::uint64_t failed_accepts,
                   std::string_view prefix) {
  const auto named = [&](std::string_view name) { return std::string(prefix).append(name); };
  families.counter(named("connections_refused_total"), "Connections that admission turned away").add(counts.refused);
  families.counter(named("connections_displaced_total"), "Connections whose place another one was given").add(counts.displaced);
  families.gauge(named("connections_proven"), "Connections on which work was accepted lately").add(counts.proven);
  families.gauge(named("handshakes"), "Handshakes under way").add(counts.handshakes);
  families
      .counter(named("accepts_failed_total"), "Times that a connection could not be taken for want of descriptors or memory")
      .add(failed_accepts);
}

void add_unread(Families& families, const net::Backlog::Counts& counts) {
  families.gauge("adit_unread_bytes", "Bytes that wait for peers to read them").add(counts.bytes);
  families.counter("adit_unread_cut_total", "Connections cut off since too much waited for their source, or for all")
      .add(counts.cut);
}

void add_carrier(Families& families, const net::IrohCarrier* iroh) {
  if (iroh == nullptr) return;
  const auto counts = iroh->counts();
  const auto count = [&families](std::string_view name, std::string_view help, std::uint64_t value) {
    families.counter(name, help).add(value);
  };
  families.gauge("adit_iroh_direct_connections", "Connections whose data goes directly").add(counts.direct);
  count("adit_iroh_path_changes_total", "Times that a connection's data began to take another path", counts.path_changes);
  count("adit_iroh_attempts_refused_total", "Connection attempts that were turned away", counts.refused);
  count("adit_iroh_attempts_validated_total", "Connection attempts that first had to prove their address", counts.validated);
  count("adit_iroh_rebuilds_total", "Times that the endpoint was built anew", counts.rebuilds);
}

}  // namespace adit::monitor
