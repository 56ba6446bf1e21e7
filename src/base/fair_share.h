// Dividing what there is room for among several who want it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>

namespace adit {

/// The most that each may have so that nobody goes without for another's many: the largest q for which the sum of
/// min(wanted, q) is at most `room`; the largest of `wanted` if there is room for all.
inline std::size_t fair_share(std::span<const std::size_t> wanted, std::size_t room) {
  std::size_t low = 0;
  std::size_t high = wanted.empty() ? 0 : std::ranges::max(wanted);
  while (low < high) {
    const std::size_t middle = high - (high - low) / 2;
    const std::size_t sum =
        std::accumulate(wanted.begin(), wanted.end(), std::size_t{0},
                        [&](std::size_t so_far, std::size_t one) { return so_far + std::min(one, middle); });
    if (sum <= room) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace adit
