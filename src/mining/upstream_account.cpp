#include "mining/upstream_account.h"

#include <algorithm>

#include "channels/share.h"

namespace adit::mining {
namespace {

std::string_view known_code(std::string_view error_code) {
  for (std::size_t verdict = 0; verdict < channels::kShareVerdicts; ++verdict) {
    const auto known = channels::share_error_code(static_cast<channels::ShareVerdict>(verdict));
    if (!known.empty() && known == error_code) return known;
  }
  return error_code == "unauthorized-worker" || error_code == "not-subscribed" ? error_code : "unknown";
}

}  // namespace

void count_rejection(Rejections& counts, std::string_view error_code) {
  const auto code = known_code(error_code);
  const auto found = counts.find(code);
  if (found != counts.end()) {
    ++found->second;
  } else {
    counts.emplace(code, 1);
  }
}

void UpstreamAccount::count_submitted(double difficulty, double asked, bool block) {
  ++submitted;
  if (block) ++blocks_found;
  validated_work += asked;
  best_difficulty = std::max(best_difficulty, difficulty);
}

}  // namespace adit::mining
