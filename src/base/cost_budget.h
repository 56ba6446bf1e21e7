// What the peers of one source may cost: a budget that comes back with time and grows with work.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace adit {

/// How much of it there is for a source that has shown no work.
struct CostAllowance {
  std::int64_t amount = 1000;
  Duration period = std::chrono::minutes(10);  ///< Within which all of it comes back.
};

/// One source's budget. What is earned is saved up to ten times the allowance; what is owed is bounded by one allowance, so it
/// is forgiven within a period. Not thread-safe; time is an argument and never goes back.
class CostBudget {
 public:
  CostBudget(const CostAllowance& allowance, Instant now)
      : allowance_(allowance), balance_(allowance.amount), balanced_at_(now) {}

  /// Work was shown that is worth that much.
  void earn(std::int64_t worth) { balance_ = std::max(balance_, std::min(balance_ + worth, 10 * allowance_.amount)); }

  /// A peer has cost that much. False: nothing is left, so a peer that only costs is to be refused or cut off.
  bool charge(std::int64_t cost, Instant now) {
    refill(now);
    balance_ = std::max(balance_ - cost, -allowance_.amount);
    return balance_ > 0;
  }

  /// Whether anything is left.
  [[nodiscard]] bool has_left(Instant now) {
    refill(now);
    return balance_ > 0;
  }

  /// Whether it is as one of a source that was never seen, or better.
  [[nodiscard]] bool owes_nothing(Instant now) {
    refill(now);
    return balance_ >= allowance_.amount;
  }

 private:
  void refill(Instant now) {
    const Duration each = std::max(allowance_.period / std::max<std::int64_t>(allowance_.amount, 1), Duration(1));
    const std::int64_t back = (now - balanced_at_) / each;
    balanced_at_ += back * each;
    if (balance_ < allowance_.amount) balance_ = std::min(balance_ + back, allowance_.amount);
  }

  CostAllowance allowance_;
  std::int64_t balance_;
  Instant balanced_at_;
};

}  // namespace adit
