// A load on any Stratum V2 pool, or on whatever takes miners of Stratum V1: many connections from one machine, and shares on
// them if wanted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "base/time.h"
#include "net/carrier.h"
#include "net/service.h"
#include "net/shards.h"
#include "roles/load/meter.h"
#include "roles/load/session.h"

namespace adit::load {

struct LoadOptions {
  net::Peer pool;                    ///< Its dialect is that of the load; Stratum V1 is carried by TCP alone.
  net::IrohCarrier* iroh = nullptr;  ///< Needed for an iroh pool; outlives the load.
  std::size_t connections = 1000;
  std::size_t dialling = 64;  ///< At once, over all shards: below the accept backlog of 128 that pools have.
  SessionOptions session;
  bool flood = false;             ///< Each connection submits whenever its in_flight allows.
  double rate = 0;                ///< Else: shares per second over all connections; 0: none, tips alone are listened to.
  std::size_t shares = SIZE_MAX;  ///< After so many between begin() and finish() no more are submitted.
  std::optional<pid_t> pid;       ///< The pool's process, if it runs here and is to be measured.
};

/// What it cost the pool to take all connections in, each up to its first work.
struct Opened {
  Duration taken{};
  std::optional<Duration> pool_cpu;  ///< Of `pid`.
  std::optional<std::int64_t> pool_memory_bytes;
};

/// What happened between begin() and finish().
struct Measured {
  Duration taken{};
  Meter meter;
  std::size_t connections = 0;       ///< Still there at the end.
  std::size_t lost = 0;              ///< Ended meanwhile.
  std::string last_loss;             ///< Why.
  std::optional<Duration> pool_cpu;  ///< Of `pid`.
  Duration own_cpu{};                ///< Of this process: near `taken` per thread, the load is what is measured, not the pool.
};

/// Runs on `shards`. To be used from one thread that is none of theirs; destroyed before the shards are stopped.
class Load {
 public:
  /// `shards` are started and outlive the load.
  Load(net::Shards& shards, LoadOptions options);
  ~Load();  ///< Closes every connection.
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  /// Opens every connection and waits until each has work. Once. Errors: kProcess; kResources (too few files may be opened:
  /// says which limit); kStalled when half a minute brought no further connection; whatever the first connection that failed
  /// met.
  Result<Opened> open();

  /// Shares from now on, if there are to be any.
  Result<void> begin();

  /// Whether all that LoadOptions::shares allows has been submitted and answered. Between begin() and finish().
  [[nodiscard]] bool is_through();

  /// Counts up to now, and no more shares. Error: kProcess.
  Result<Measured> finish();

 private:
  class Part;

  LoadOptions options_;
  net::Service<Part> service_;
  std::optional<ProcessMeter> pool_;
  std::vector<std::shared_ptr<Part>> parts_;
  Instant begun_{};
  Duration pool_cpu_begun_{};
  Duration own_cpu_begun_{};
};

/// Lifts the limit on open files so that `connections` fit, the hard limit too where this user may. Error: kResources.
Result<void> allow_connections(std::size_t connections);

}  // namespace adit::load
