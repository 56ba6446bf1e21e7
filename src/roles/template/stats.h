// What a template provider tells of itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "net/admission.h"
#include "net/backlog.h"
#include "net/frame_host.h"
#include "net/metadata.h"
#include "template/source.h"
#include "template/sv2_server.h"

namespace adit::provider {

/// What one shard has counted, or all of them together.
struct Totals {
  templates::Sv2ServerCounters sessions;
  net::HostCounters hosts{};      ///< By net::Transport.
  net::Backlog::Counts unread{};  ///< What clients have not read.

  void add(const Totals& others) {
    templates::add(sessions, others.sessions);
    net::add(hosts, others.hosts);
    unread.add(others.unread);
  }
};

/// Everything that a monitor shows of a template provider.
struct ServerStats : Totals {
  std::size_t silent_shards = 0;  ///< That did not answer in time: their part of the totals is missing.
  net::Admission::Counts admission;
  std::uint64_t failed_accepts = 0;  ///< Over TCP, for want of descriptors or memory; they were tried again.
  std::size_t clients = 0;           ///< Now.
  std::size_t classes = 0;           ///< Of constraints, for each of which templates are built.
  templates::SourceStatus source;    ///< Of class 0.
};

/// One connection, for a list of them.
struct ConnectionInfo {
  std::uint32_t id = 0;  ///< Of this connection alone, in the life of the server.
  net::ConnectionMetadata metadata;
};

}  // namespace adit::provider
