// What the monitor shows of connections and carriers: samples made from what net knows.
#pragma once

#include <cstdint>
#include <string_view>

#include "monitor/snapshot.h"
#include "net/admission.h"
#include "net/carrier.h"
#include "net/frame_host.h"
#include "net/metadata.h"
#include "net/round_trips.h"

namespace adit::monitor {

/// `metadata` of one connection for the monitor.
ConnectionSample connection_sample(const net::ConnectionMetadata& metadata, std::uint32_t client_id, std::uint64_t channels);

/// Round trips as a histogram of seconds.
Histogram histogram(const net::RoundTrips& trips);

/// What the names of families begin with that are of a role's main listeners.
inline constexpr std::string_view kMainListeners = "adit_";

/// Adds what the hosts of a role's connections count, of all shards together. `prefix`: a role that has listeners of two kinds
/// gives those of the second another one.
void add_hosts(Families& families, const net::HostCounters& hosts, std::string_view prefix = kMainListeners);

/// Adds whom a role's admission took and turned away; `failed_accepts`: TcpListener::failed_accepts. `prefix` as in add_hosts.
void add_admission(Families& families, const net::Admission::Counts& counts, std::uint64_t failed_accepts,
                   std::string_view prefix = kMainListeners);

/// Adds what waits for the peers of a role to read it, on all shards together.
void add_unread(Families& families, const net::Backlog::Counts& counts);

/// Adds what the process's iroh endpoint counts; nothing if there is none.
void add_carrier(Families& families, const net::IrohCarrier* iroh);

}  // namespace adit::monitor
