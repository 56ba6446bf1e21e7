// The CPU miner: dials, keeps its threads busy with the newest work, submits what they find, dials again when the pool is lost.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/backoff.h"
#include "base/result.h"
#include "base/time.h"
#include "net/dial.h"
#include "net/reconnect.h"
#include "net/shards.h"
#include "net/url.h"
#include "roles/miner/session.h"
#include "roles/miner/workers.h"

namespace adit::miner {

struct MinerConfig {
  net::Upstream upstream;
  std::string user;
  unsigned threads = 1;
  double nominal_hash_rate_hps = 0;                   ///< 0: what a short measurement at the start shows.
  bool extended = false;                              ///< Stratum V2: an extended channel instead of a standard one.
  bool regtest_only = false;                          ///< Stratum V2: SessionOptions::regtest_only.
  Duration longest_retry = std::chrono::seconds(30);  ///< Between two dials.
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

  /// Closes the channel and the connection; the shard's stop then waits for that. Any thread.
  void stop();

  /// Any thread.
  [[nodiscard]] MinerStats stats() const;

  /// Set when it has given up for good: what the configuration has to change. Any thread.
  [[nodiscard]] bool unusable() const { return unusable_; }

  /// Why the last connection ended or failed; empty while all is well. Once the shard has stopped.
  [[nodiscard]] const std::string& last_error() const { return last_error_; }

 private:
  class Events;
  net::asio::awaitable<void> run();
  net::asio::awaitable<Result<void>> mine_sv2();
  net::asio::awaitable<Result<void>> mine_sv1();
  SessionOptions session_options() const;

  MinerConfig config_;
  Backoff backoff_;
  std::string last_error_;
  std::atomic<bool> unusable_{false};
  net::Upstream peer_;  ///< Where to dial: the configured one, or where its Reconnect leads.
  net::ReconnectBudget reconnects_;
  bool stopping_ = false;                 ///< The shard's.
  std::function<void(Solution)> submit_;  ///< Hands a solution to the session that is open; the shard's. Empty: none is.
  std::function<void()> close_;           ///< Ends the connection that is open.
  std::unique_ptr<Events> events_;
  net::Shard& shard_;
  std::unique_ptr<HashWorkers> workers_;
};

/// Hashes a second that `threads` threads reach together now; takes about 0.2 s.
double measure_hash_rate(unsigned threads);

}  // namespace adit::miner
