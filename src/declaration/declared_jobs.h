// The declared jobs that the pool's sessions of one shard may be asked to pay: what SetCustomMiningJob is held against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "declaration/declared_job.h"
#include "declaration/server_session.h"
#include "mining/server_session.h"

namespace adit::declaration {

/// SetCustomMiningJob, counted on a shard.
struct CustomJobCounts {
  std::uint64_t taken = 0;
  std::uint64_t refused = 0;
};

/// Whose the channels are that a message with that channel_id is for. nullopt: there is none, or they are several users'. Valid
/// as long as they are open.
std::optional<std::string_view> user_of(const mining::ServerSession& session, std::uint32_t channel_id);

/// Each shard has one; all are told of each job before its client is. A job is taken once, by one shard alone, and only if
/// everything else holds. Not thread-safe.
class DeclaredJobs final : public mining::CustomJobValidator {
 public:
  /// `revenue` outlives this.
  explicit DeclaredJobs(const RevenuePolicy& revenue) : revenue_(revenue) {}

  void add(DeclaredJobPtr job);

  /// Error codes are SRI's: invalid-mining-job-token (unknown, expired, used, or another user's: of these the last leaves it
  /// unused), stale-chain-tip, invalid-nbits, invalid-version, invalid-coinbase-tx-version, invalid-coinbase-prefix (the exact
  /// script, and the declared room for the extranonce), invalid-coinbase-tx-input-n-sequence, invalid-coinbase-tx-outputs,
  /// invalid-coinbase-tx-locktime, invalid-merkle-path.
  Verdict check(const mining::ServerSession& session, const wire::SetCustomMiningJob& message, const Now& now) override;

  /// The block of a custom job that `check` gave its template for.
  static Result<bitcoin::FoundBlock> assemble(const bitcoin::TemplatePtr& declared, const bitcoin::BlockSolution& solution);

  /// The pool's newest template.
  void set_template(const bitcoin::TemplatePtr& made) { height_ = made->height; }
  /// To be called about once a second: forgets what has expired or was used.
  void on_tick(Instant now);

  [[nodiscard]] std::size_t size() const { return jobs_.size(); }
  [[nodiscard]] CustomJobCounts counts() const { return counts_; }

 private:
  /// The error code; empty: nothing speaks against it.
  [[nodiscard]] std::string_view fault_of(const DeclaredJob& job, const wire::SetCustomMiningJob& message) const;

  const RevenuePolicy& revenue_;
  std::map<Token, DeclaredJobPtr> jobs_;
  std::uint32_t height_ = 0;  ///< Of the block that is worked on.
  CustomJobCounts counts_;
};

}  // namespace adit::declaration
