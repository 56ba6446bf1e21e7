// How long round trips took: a histogram that is cheap to add to and to copy.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace adit::net {

struct RoundTrips {
  /// Upper bounds in seconds; the last bucket has none.
  static constexpr std::array<double, 12> kBounds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5};

  std::array<std::uint64_t, kBounds.size() + 1> counts{};  ///< Each bucket by itself.
  double sum = 0;                                          ///< Seconds.

  void add(Duration round_trip) {
    const double seconds = std::chrono::duration<double>(round_trip).count();
    std::size_t bucket = 0;
    while (bucket < kBounds.size() && seconds > kBounds[bucket]) ++bucket;
    ++counts[bucket];
    sum += seconds;
  }

  void add(const RoundTrips& others) {
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += others.counts[i];
    sum += others.sum;
  }
};

}  // namespace adit::net
