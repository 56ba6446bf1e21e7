// A translator as its monitor and its log show it.
#pragma once

#include <cstdint>
#include <vector>

#include "log/log.h"
#include "monitor/snapshot.h"
#include "net/carrier.h"
#include "roles/translator/server.h"

namespace adit::translator {

/// Asks every shard of `server`; on any thread but a shard's. `iroh` is the carrier that it dials by, if any.
monitor::Snapshot snapshot(const TranslatorServer& server, const net::IrohCarrier* iroh = nullptr);

/// Logs the event translator.stats.
void log_stats(log::Level level, const ServerStats& stats);

/// Logs what changed since the last look, and where the paths lie now.
class Watch {
 public:
  void look(const ServerStats& stats);

 private:
  std::vector<std::uint64_t> connects_;
};

}  // namespace adit::translator
