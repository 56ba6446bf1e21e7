// A role's snapshot as the JSON of the monitor's routes: SRI's contract, and our own lists beside it. No I/O.
#pragma once

#include <cstddef>
#include <cstdint>

#include "monitor/http.h"
#include "monitor/json.h"
#include "monitor/router.h"
#include "monitor/snapshot.h"

namespace adit::monitor {

Response json_response(const json::object& body);

// ---- SRI's routes (crate stratum-apps 0.8.0, src/monitoring), each a handler of a route that needs a snapshot. Fields, null
// rules, paging and the errors' sentences are SRI's; counters saturate where its readers have 32 bits.

/// `server`, `sv2_clients`, `sv1_clients`: a summary, or null for a side that the role does not have; `uptime_secs`.
Response global(const Snapshot& snapshot, std::uint64_t uptime_seconds);
Response server(const Call& call);
Response server_channels(const Call& call);
Response clients(const Call& call);
Response client(const Call& call);
Response client_channels(const Call& call);
Response sv1_clients(const Call& call);
Response sv1_client(const Call& call);

// ---- Ours.

json::object of_connection(const ConnectionSample& sample);
/// All of them, or the part that `offset` and `limit` ask for.
Response connections(const Call& call);
Response workers(const Call& call);
/// What mines, one row each: a Stratum V1 miner, a worker that a client names, or a channel of a client that names none.
/// `search` keeps those whose name, address or program has that text in it; `sort` is "name" (default), "hashrate",
/// "accepted", "rejected", "best" or "last_share", with "-" in front for the other direction.
Response miners(const Call& call);
/// How many rows miners() has.
std::size_t count_miners(const Snapshot& snapshot);

}  // namespace adit::monitor
