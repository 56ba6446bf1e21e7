// What the monitor shows of connections and carriers: samples made from what net knows.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "monitor/snapshot.h"
#include "net/carrier.h"
#include "net/metadata.h"
#include "net/round_trips.h"

namespace adit::monitor {

/// `metadata` of one connection for the monitor.
ConnectionSample connection_sample(const net::ConnectionMetadata& metadata, std::uint32_t client_id, std::uint64_t channels);

/// For the monitor.
HistogramSample histogram(std::string name, std::string help, std::vector<std::pair<std::string, std::string>> labels,
                          const net::RoundTrips& trips);

/// What the process's iroh endpoint counts; nothing if there is none.
void add_carrier(Snapshot& snapshot, const net::IrohCarrier* iroh);

}  // namespace adit::monitor
