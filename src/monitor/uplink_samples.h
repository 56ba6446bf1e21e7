// What the monitor shows of connections with the server above: samples made from what src/upstream knows.
#pragma once

#include <cstdint>
#include <span>

#include "monitor/snapshot.h"
#include "upstream/uplink.h"

namespace adit::monitor {

/// Fills in the upstreams and the connections with them, and adds their families. `uplinks`: one of each shard. `channels`:
/// that are open on them.
void add_uplinks(Snapshot& out, std::span<const upstream::UplinkStatus> uplinks, std::uint64_t channels);

}  // namespace adit::monitor
