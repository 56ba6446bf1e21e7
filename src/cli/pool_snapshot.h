// A pool as its monitor shows it.
#pragma once

#include "monitor/snapshot.h"
#include "net/carrier.h"
#include "roles/pool/server.h"

namespace adit::cli {

/// Asks every shard of `server`; on any thread but a shard's. `iroh` is the carrier that it listens on, if any.
monitor::Snapshot pool_snapshot(const pool::PoolServer& server, const net::IrohCarrier* iroh = nullptr);

}  // namespace adit::cli
