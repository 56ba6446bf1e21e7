// Whom a channel's blocks pay, other than the pool alone, and the pool's jobs with a coinbase that does so.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <utility>

#include "channels/job.h"
#include "channels/payout.h"

namespace adit::channels {

/// All channels of a shard that are paid alike have one. It makes a job's coinbase once, however many they are, and keeps no
/// more than two: mostly that of the current job, and now and then one for a late share, which is quickly made. Not
/// thread-safe.
class Payee {
 public:
  /// `policy` outlives this.
  Payee(Payout payout, const PayoutPolicy& policy) : payout_(std::move(payout)), policy_(policy) {}
  Payee(const Payee&) = delete;
  Payee& operator=(const Payee&) = delete;

  [[nodiscard]] const Payout& payout() const { return payout_; }

  /// `job`, the shard's current one, with the coinbase that pays this. To be called when it is given to a channel: what belongs
  /// to other jobs is let go of, but for its memory. Valid until the next call, or two calls of job_of().
  const Job& renew(const Job& job);

  /// `job`, one of the pool's own that is valid now, with the coinbase that pays this. Valid until the second next call, so
  /// that two shares can be judged together. Allocates nothing, once both places were used.
  const Job& job_of(const Job& job) {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i] == nullptr || slots_[i]->id != job.id) continue;
      last_ = i;
      return *slots_[i];
    }
    last_ = 1 - last_;
    return make(job, slots_[last_]);
  }

 private:
  const Job& make(const Job& job, std::unique_ptr<Job>& slot) const;

  Payout payout_;
  const PayoutPolicy& policy_;
  std::array<std::unique_ptr<Job>, 2> slots_;
  std::size_t last_ = 1;  ///< The place that was asked for last: the other one may be used anew.
};

}  // namespace adit::channels
