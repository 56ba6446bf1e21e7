// Custom jobs at a pool whose declarator is another process: what SetCustomMiningJob is held against there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>

#include "bitcoin/template.h"
#include "channels/payout.h"
#include "declaration/declared_jobs.h"
#include "declaration/sealed_token.h"
#include "declaration/server_session.h"
#include "mining/server_session.h"

namespace adit::declaration {

/// Each shard has one. A token is good once on a shard. Shown on another shard by the same user it is good there, too, which
/// wins nothing: each channel has its own extranonces. Not thread-safe.
class SealedJobs final : public mining::CustomJobValidator {
 public:
  /// `payouts`: the pool's. Both it and `revenue` are to be those of the declarator, and outlive this.
  SealedJobs(std::shared_ptr<const TokenSeal> seal, const channels::PayoutPolicy& payouts, const RevenuePolicy& revenue,
             std::size_t max_used = 1 << 18)
      : seal_(std::move(seal)), payouts_(payouts), revenue_(revenue), max_used_(max_used) {}

  /// Error codes: invalid-mining-job-token (not sealed by the declarator, expired, used, another user's, or not for what the
  /// message says), invalid-coinbase-tx-outputs (less for the pool than its policy asks). The transactions are not known here.
  Verdict check(const mining::ServerSession& session, const wire::SetCustomMiningJob& message, const Now& now) override;

  /// The pool's newest template.
  void set_template(const bitcoin::TemplatePtr& made) { height_ = made->height; }
  /// To be called about once a second: forgets the tokens that have expired.
  void on_tick(UnixTime now);

  [[nodiscard]] CustomJobCounts counts() const { return counts_; }
  [[nodiscard]] std::size_t used() const { return used_.size(); }

 private:
  const std::shared_ptr<const TokenSeal> seal_;
  const channels::PayoutPolicy& payouts_;
  const RevenuePolicy& revenue_;
  const std::size_t max_used_;
  std::set<std::pair<UnixTime, Token>> used_;  ///< What was good, by its expiry; beyond max_used_ the oldest go.
  std::uint32_t height_ = 0;                   ///< Of the block that is worked on.
  CustomJobCounts counts_;
};

}  // namespace adit::declaration
