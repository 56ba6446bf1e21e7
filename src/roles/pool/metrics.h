// A pool as its monitor and its log show it.
#pragma once

#include "log/log.h"
#include "monitor/snapshot.h"
#include "net/carrier.h"
#include "roles/pool/server.h"

namespace adit::pool {

/// Asks every shard of `server`; on any thread but a shard's. `iroh` is the carrier that it listens on, if any.
monitor::Snapshot snapshot(const PoolServer& server, const net::IrohCarrier* iroh = nullptr);

/// Logs the event pool.stats.
void log_stats(log::Level level, const ServerStats& stats);

}  // namespace adit::pool
