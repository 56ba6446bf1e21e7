// What a pool tells of itself.
#pragma once

#include <cstdint>
#include <vector>

#include "mining/session_list.h"
#include "net/admission.h"
#include "net/frame_host.h"
#include "net/metadata.h"
#include "template/source.h"

namespace adit::pool {

/// What one shard has counted, or all of them together.
struct Totals {
  mining::ServerCounters pool;
  net::HostCounters transports{};  ///< By net::Transport.

  void add(const Totals& others) {
    mining::add(pool, others.pool);
    net::add(transports, others.transports);
  }
};

/// Everything that a monitor shows of a pool.
struct ServerStats : Totals {
  std::size_t silent_shards = 0;  ///< That did not answer in time: their part of the totals is missing.
  net::Admission::Counts admission;
  std::uint64_t failed_accepts = 0;  ///< Over TCP, for want of descriptors or memory; they were tried again.
  std::uint64_t jobs = 0;            ///< Made from templates so far.
  /// Of the templates, and of the blocks handed to the chain. Misconfigured, too, while no job can be made of its templates.
  templates::SourceStatus source;
  bool work_is_stale = false;  ///< No channel is opened and those that are open are closed: StaleWorkPolicy.

  [[nodiscard]] const net::TransportCounters& over(net::Transport transport) const {
    return transports[static_cast<std::size_t>(transport)];
  }
};

/// One connection, for a list of them.
struct ConnectionInfo : mining::SessionInfo {
  std::uint32_t id = 0;  ///< Of this connection alone, in the life of the server.
  net::ConnectionMetadata metadata;
};

struct Connections {
  std::vector<ConnectionInfo> listed;
  double hash_rate_hps = 0;  ///< Nominal, of all channels, listed or not.
  std::size_t workers = 0;   ///< Of all connections.
};

}  // namespace adit::pool
