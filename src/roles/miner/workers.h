// The miner's hashing threads. They share nothing: work comes and solutions go as messages.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "roles/miner/hasher.h"

namespace adit::miner {

/// What a thread found: `work.header` with the nonce (and, once all nonces were tried, the ntime) that meets the target.
struct Solution {
  std::uint64_t work_id = 0;
  std::uint32_t nonce = 0;
  std::uint32_t ntime = 0;
};

/// Owns `threads` threads from construction to destruction.
class HashWorkers {
 public:
  /// `on_solution` is called on a hashing thread; it must only pass the solution on. `threads` >= 1.
  HashWorkers(unsigned threads, std::function<void(Solution)> on_solution);
  ~HashWorkers();
  HashWorkers(const HashWorkers&) = delete;
  HashWorkers& operator=(const HashWorkers&) = delete;

  /// From now on all threads search `work`, each its own part of the nonces. Any thread.
  void set_work(const HashWork& work);

  /// The threads rest until the next work. Any thread.
  void pause();

  /// Hashes tried so far. Any thread.
  [[nodiscard]] std::uint64_t hashes() const;

 private:
  class Worker;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace adit::miner
