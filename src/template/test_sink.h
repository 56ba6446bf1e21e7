// What a source under test reported, for a test thread to wait on.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/eventually_testing.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/u256.h"
#include "template/source.h"

namespace adit::templates::test {

class Sink {
 public:
  struct Seen {
    std::vector<std::pair<TemplatePtr, bool>> templates;
    std::vector<BlockResult> results;
    std::vector<SourceStatus> statuses;
    std::vector<Hash256> kept;
  };

  SourceEvents events() {
    return {.on_template = [this](TemplatePtr one,
                                  bool new_tip) { note([&](Seen& s) { s.templates.emplace_back(std::move(one), new_tip); }); },
            .on_status = [this](const SourceStatus& one) { note([&](Seen& s) { s.statuses.push_back(one); }); },
            .on_block_kept = [this](const Hash256& hash) { note([&](Seen& s) { s.kept.push_back(hash); }); },
            .on_block_result = [this](const BlockResult& one) { note([&](Seen& s) { s.results.push_back(one); }); }};
  }

  /// False if `done` did not become true within ten seconds: long enough for any loaded machine, and only waited for on
  /// failure.
  bool wait_for(const std::function<bool(const Seen&)>& done) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::minutes(1), [&] { return done(seen_); });
  }

  Seen seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  void note(const std::function<void(Seen&)>& add) {
    const std::lock_guard lock(mutex_);
    add(seen_);
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  Seen seen_;
};

/// A solution that proves the template's own target; for easy targets only. `extranonce` makes different ones.
inline BlockSolution solution(const Template& work, const std::vector<std::uint8_t>& script = {0x51},
                              std::uint8_t extranonce = 1) {
  const std::vector<bitcoin::TxOutput> payout{{work.coinbase_value_sat, script}};
  const auto parts = bitcoin::build_coinbase(work, payout, "/Adit/", 4);
  BlockSolution found{work.version, work.current_time, 0, parts->prefix};
  found.coinbase.insert(found.coinbase.end(), {extranonce, 2, 3, 4});
  found.coinbase.insert(found.coinbase.end(), parts->suffix.begin(), parts->suffix.end());
  while (!bitcoin::meets_target(bitcoin::solved_header(work, found)->hash(), *bitcoin::target_from_compact(work.nbits))) {
    ++found.nonce;
  }
  return found;
}

/// The block of it.
inline FoundBlock solve(const Template& work, const std::vector<std::uint8_t>& script = {0x51}) {
  return *bitcoin::assemble_block(work, solution(work, script));
}

}  // namespace adit::templates::test
