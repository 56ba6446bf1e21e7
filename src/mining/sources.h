// What a shard knows of each source of connections: what its peers may open and make us keep, what they have cost, and which
// of their sessions wait for a job.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/cost_budget.h"
#include "base/time.h"
#include "channels/memory_budget.h"

namespace adit::mining {

class ServerSession;

/// What applies to each source on each shard. A source is what a driver counts connections by, an address for instance: many
/// honest miners may be behind it.
struct SourcePolicy {
  std::size_t max_bytes = 64 << 20;      ///< For seen shares, worker accounts, payees and answers under way.
  std::size_t bytes_always = 128 << 10;  ///< Of those: whatever other sources have taken of the shard's.
  /// Channels that may be opened within one tip, or within ten minutes if that is shorter. Each accepted share allows one more.
  std::uint32_t max_opens = 1 << 15;
  /// Different payouts that its channels may have at once, beside the pool's own: each costs a coinbase at every job.
  std::size_t max_payouts = 1 << 14;
  /// What peers may cost before they have shown work: one for a share or a channel that is refused (not for late shares, nor
  /// where a bound of ours was reached), kBadPayload for a payload that breaks the protocol. It comes back within ten minutes,
  /// and each accepted share is worth one, up to ten times this.
  std::int64_t allowance = 1000;
};

/// One source on one shard. Not thread-safe.
class Source {
 public:
  static constexpr std::int64_t kBadPayload = 100;
  static constexpr Duration kPeriod = std::chrono::minutes(10);

  /// `policy` and `memory_of_shard` outlive this.
  Source(const SourcePolicy& policy, channels::MemoryBudget& memory_of_shard, Instant now)
      : policy_(policy),
        memory_(policy.max_bytes, &memory_of_shard, policy.bytes_always),
        opens_since_(now),
        costs_({.amount = policy.allowance, .period = kPeriod}, now) {}
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  [[nodiscard]] channels::MemoryBudget& memory() { return memory_; }

  /// Whether one more channel may be opened. `tip`: a number of the tip.
  [[nodiscard]] bool may_open(std::uint32_t tip, Instant now);
  void count_open() { ++opens_; }

  [[nodiscard]] bool may_add_payout() const { return payouts_ < policy_.max_payouts; }
  void count_payout(int by) { payouts_ += static_cast<std::size_t>(by); }

  void count_accepted() {
    ++accepted_;
    costs_.earn(1);
  }
  /// A peer has cost that much. False: the source has nothing left, so a peer that only costs is to be cut off.
  bool charge(std::int64_t cost, Instant now) { return costs_.charge(cost, now); }

  /// Whether it is as one that was never seen.
  [[nodiscard]] bool is_forgettable(Instant now);

  /// Sessions that need the current job for each channel, in the order in which they have their turns.
  std::deque<ServerSession*> waiting_for_job;
  bool in_round = false;  ///< Of the shard's turns.

 private:
  const SourcePolicy& policy_;
  channels::MemoryBudget memory_;
  std::uint32_t opens_ = 0;
  std::uint32_t opens_tip_ = 0;
  Instant opens_since_;
  std::uint64_t accepted_ = 0;  ///< Shares since opens_since_.
  std::size_t payouts_ = 0;     ///< Payees that count against it.
  CostBudget costs_;
};

/// The sources of one shard, by name. Those without a session are remembered as long as they owe something, up to a bound.
class Sources {
 public:
  static constexpr std::size_t kMaxIdle = 16384;

  /// Both outlive this.
  Sources(const SourcePolicy& policy, channels::MemoryBudget& memory) : policy_(policy), memory_(memory) {}

  /// The source of that name; without a name one that is nobody else's.
  std::shared_ptr<Source> of(std::string_view name, Instant now);
  [[nodiscard]] std::size_t size() const { return known_.size(); }

 private:
  void sweep(Instant now);

  const SourcePolicy& policy_;
  channels::MemoryBudget& memory_;
  std::unordered_map<std::string, std::shared_ptr<Source>> known_;
  std::size_t sweep_at_ = kMaxIdle;
};

}  // namespace adit::mining
