#include "monitor/net_samples.h"

#include <chrono>
#include <string_view>

#include "base/time.h"

namespace adit::monitor {

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

void add_carrier(Families& families, const net::IrohCarrier* iroh) {
  if (iroh == nullptr) return;
  const auto counts = iroh->counts();
  const auto count = [&families](std::string_view name, std::string_view help, std::uint64_t value) {
    families.counter(name, help).add(static_cast<double>(value));
  };
  families.gauge("adit_iroh_direct_connections", "Connections whose data goes directly")
      .add(static_cast<double>(counts.direct));
  count("adit_iroh_path_changes_total", "Times that a connection's data began to take another path", counts.path_changes);
  count("adit_iroh_attempts_refused_total", "Connection attempts that were turned away", counts.refused);
  count("adit_iroh_attempts_validated_total", "Connection attempts that first had to prove their address", counts.validated);
  count("adit_iroh_rebuilds_total", "Times that the endpoint was built anew", counts.rebuilds);
}

}  // namespace adit::monitor
