// Refused shares by their error codes, and the codes that are always shown.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace adit::monitor {

/// How many shares were refused, by error code.
using RejectedShares = std::map<std::string, std::uint64_t, std::less<>>;

inline std::uint64_t sum(const RejectedShares& shares) {
  std::uint64_t total = 0;
  for (const auto& [code, count] : shares) total += count;
  return total;
}

/// SRI's, in each of its roles: these codes are there from the start, with 0, so that a panel is never empty.
inline constexpr std::array<std::string_view, 8> kRejectionCodes = {
    "invalid-channel-id", "invalid-share",   "stale-share",         "invalid-job-id",
    "difficulty-too-low", "duplicate-share", "bad-extranonce-size", "invalid-non-rollable-version-bit"};

}  // namespace adit::monitor
