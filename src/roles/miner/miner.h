// The CPU miner: keeps its threads busy with the newest work of the best pool that is there, and submits what they find.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/backoff.h"
#include "base/result.h"
#include "base/time.h"
#include "net/carrier.h"
#include "net/health.h"
#include "net/shards.h"
#include "net/ticker.h"
#include "roles/miner/session.h"
#include "roles/miner/sv2.h"
#include "roles/miner/workers.h"
#include "session/adit_extension.h"
#include "upstream/selection.h"
#include "upstream/uplink.h"
#include "upstream/url.h"

namespace adit::miner {

struct MinerConfig {
  /// In order of preference, at least one. Over Stratum V1 exactly one.
  std::vector<net::Peer> pools;
  std::string user;
  unsigned threads = 1;
  double nominal_hash_rate_hps = 0;                   ///< 0: what a short measurement at the start shows.
  bool extended = false;                              ///< Stratum V2: an extended channel instead of a standard one.
  std::vector<bool> regtest_only{};                   ///< Stratum V2, by pool: ChannelClientOptions::regtest_only. Empty: none.
  bool goodbye = false;                               ///< Stratum V2: ask for extension 0x4AD1 over TCP too.
  Duration longest_retry = std::chrono::seconds(30);  ///< Between two dials of one pool.
  upstream::SelectionPolicy selection{};              ///< Stratum V2: which pool is used when. Its retries are as above.
  net::HealthPolicy health{};                         ///< Stratum V2: when a pool is degraded, when it is dead.
  net::IrohCarrier* iroh = nullptr;                   ///< Needed for an iroh upstream; outlives the miner.
};

/// Counts since the start.
struct MinerStats {
  std::uint64_t hashes = 0;
  std::uint64_t shares_accepted = 0;
  std::uint64_t shares_rejected = 0;
};

/// Runs on one shard and on `threads` hashing threads of its own. Destroy it after its shard has stopped.
class Miner {
 public:
  Miner(MinerConfig config, net::Shard& shard);
  ~Miner();
  Miner(const Miner&) = delete;
  Miner& operator=(const Miner&) = delete;

  /// Once; measures the hash rate first if none is configured (0.2 s). Not from the shard's thread.
  void start();

  /// Ends the connection in that manner: a Goodbye, so that every share is answered, else the last answers within a second;
  /// the shard's stop then waits for that. Any thread.
  void stop(session::ShutdownBehavior behavior = {});

  /// Any thread.
  [[nodiscard]] MinerStats stats() const;

  /// Set when it has given up for good: what the configuration has to change. Any thread.
  [[nodiscard]] bool unusable() const { return unusable_; }

  /// Why the last connection ended or failed; empty while all is well. Once the shard has stopped.
  [[nodiscard]] const std::string& last_error() const { return last_error_; }

 private:
  class Events;
  void start_sv2();
  net::asio::awaitable<void> run_sv1();
  net::asio::awaitable<Result<void>> mine_sv1();

  MinerConfig config_;
  Backoff backoff_;
  std::string last_error_;
  std::atomic<bool> unusable_{false};
  bool stopping_ = false;                 ///< The shard's.
  std::function<void(Solution)> submit_;  ///< Hands a solution to the session that is open; the shard's. Empty: none is.
  std::function<void()> close_;           ///< Stratum V1: ends the connection that is open.
  std::unique_ptr<Events> events_;
  net::Shard& shard_;
  std::optional<Sv2Role> sv2_;  ///< Stratum V2, as the next two.
  std::shared_ptr<upstream::Uplink> uplink_;
  std::optional<net::Ticker> ticker_;
  std::unique_ptr<HashWorkers> workers_;
};

/// Hashes a second that `threads` threads reach together now; takes about 0.2 s.
double measure_hash_rate(unsigned threads);

}  // namespace adit::miner
