// Which of the many things that strangers name have series of their own in /metrics. An engine: time is an argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.h"

namespace adit::monitor {

/// A time series costs whoever keeps it memory for hours after its last sample, so it is not enough to bound how many there are
/// at a time: a client that reconnects every few seconds would make new ones without end. This bounds both: at most `at_once`
/// keys in one scrape, and in any span of time at most `at_once` plus `new_per_hour` an hour that were not there before.
///
/// What room there is goes first to what has proved work; among that every group has the same right to its n-th key, and the
/// more work of two comes first. So many names, many connections or many channels displace nobody who has hashed more.
class SeriesBudget {
 public:
  struct Limits {
    std::size_t at_once = 256;
    std::size_t bytes = 768 * 1024;  ///< In one scrape.
    std::size_t new_per_hour = 256;
    Duration remembered = std::chrono::hours(1);  ///< A key that comes back within this time is not new.
  };

  struct Candidate {
    std::string key;          ///< The same as long as its series are the same. Equal keys are one.
    std::uint64_t group = 0;  ///< Who brought it: one client.
    double weight = 0;        ///< Work that was proved. 0: none, such a key may use only half of what is new in an hour.
    std::size_t bytes = 0;    ///< Of all its series in one scrape.
  };

  explicit SeriesBudget(const Limits& limits) : limits_(limits), new_left_(static_cast<double>(limits.at_once)) {}

  /// For each candidate whether it has series now. Those that had them the last time keep them, unless another has done twice
  /// as much work.
  std::vector<bool> choose(std::span<const Candidate> candidates, Instant now);

  /// Forgets the keys that were not chosen within `remembered` before `now`, as choose() does first.
  void forget(Instant now);
  [[nodiscard]] bool remembers(const std::string& key) const { return known_.contains(key); }

 private:
  struct Known {
    Instant chosen_at{};
    std::uint64_t round = 0;  ///< The last choose() that chose it.
  };

  Limits limits_;
  double new_left_;  ///< New keys that may be chosen now.
  Instant filled_at_{};
  std::uint64_t round_ = 0;
  std::unordered_map<std::string, Known> known_;
};

}  // namespace adit::monitor
