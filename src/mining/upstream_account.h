// What a role counts of its channel with the mining server above.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace adit::mining {

/// Refused shares by why they were refused: channels::share_error_code's texts and a few of Stratum V1's.
using Rejections = std::map<std::string, std::uint64_t, std::less<>>;
/// Counts one more. What has another name than those counts as "unknown": whatever peers write, there are few entries.
void count_rejection(Rejections& counts, std::string_view error_code);

/// What was counted of one channel upstream since it was opened.
struct UpstreamAccount {
  std::uint64_t submitted = 0;          ///< Shares that were sent up.
  std::uint64_t acknowledged = 0;       ///< Of these: accepted by the upstream.
  std::uint64_t acknowledged_work = 0;  ///< Sum of SubmitShares.Success.new_shares_sum.
  double validated_work = 0;            ///< Sum of the difficulties of `submitted`.
  double best_difficulty = 0;           ///< Of the best of them; 0 before the first.
  std::uint64_t blocks_found = 0;
  Rejections rejected{};  ///< Refused by the upstream.

  /// One share was sent up, of that difficulty by its hash; `asked`: that of its job's target.
  void count_submitted(double difficulty, double asked, bool block);
};

}  // namespace adit::mining
