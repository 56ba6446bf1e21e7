// The payees of one shard: each way in which a miner is paid by its own script, once for all channels that are paid so.
#pragma once

#include <cstddef>
#include <memory>
#include <set>

#include "channels/payee.h"
#include "channels/payout.h"
#include "mining/sources.h"

namespace adit::mining {

/// Finds payees by what they are paid. Each lives as long as a channel has it, and counts against the source whose channel was
/// the first that was paid so. Not thread-safe; outlives what it gives out.
class Payees {
 public:
  /// What one payee is counted as in its source's memory: itself, its place here, and a job with its coinbase.
  static constexpr std::size_t kBytes = 2048;

  /// `policy` outlives this, and `count`, which says how many there are.
  Payees(const channels::PayoutPolicy& policy, std::size_t& count) : policy_(policy), count_(count) {}
  Payees(const Payees&) = delete;
  Payees& operator=(const Payees&) = delete;

  /// The payee of `payout`; nullptr: there is none yet, and `source` may have no more (SourcePolicy::max_payouts, or its
  /// memory).
  std::shared_ptr<channels::Payee> of(channels::Payout payout, const std::shared_ptr<Source>& source);

 private:
  struct Entry;
  /// By script and percentage, which a client can choose but whose order costs no more for that.
  struct Less {
    using is_transparent = void;
    bool operator()(const Entry* a, const Entry* b) const;
    bool operator()(const Entry* a, const channels::Payout& b) const;
    bool operator()(const channels::Payout& a, const Entry* b) const;
  };

  const channels::PayoutPolicy& policy_;
  std::size_t& count_;
  std::set<Entry*, Less> entries_;
};

}  // namespace adit::mining
