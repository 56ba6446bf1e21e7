#include "monitor/series.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace adit::monitor {

void SeriesBudget::forget(Instant now) {
  std::erase_if(known_, [&](const auto& entry) { return now - entry.second.chosen_at > limits_.remembered; });
}

std::vector<bool> SeriesBudget::choose(std::span<const Candidate> candidates, Instant now) {
  const auto full = static_cast<double>(limits_.at_once);
  if (round_ != 0) {
    const std::chrono::duration<double, std::ratio<3600>> hours = now - filled_at_;
    new_left_ = std::min(full, new_left_ + hours.count() * static_cast<double>(limits_.new_per_hour));
  }
  filled_at_ = now;
  forget(now);

  struct Place {
    std::size_t index;
    double weight;         // Twice its own, if it had series the last time.
    std::size_t rank = 0;  // In its group, by weight.
  };
  std::vector<Place> order;
  order.reserve(candidates.size());
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const auto known = known_.find(candidates[i].key);
    const bool shown = known != known_.end() && known->second.round == round_;
    // Not a number would have no place in an order.
    const double weight = candidates[i].weight > 0 ? candidates[i].weight : 0;
    order.push_back({.index = i, .weight = weight * (shown ? 2 : 1)});
  }
  // Keys decide between equals, so that the same are chosen again.
  const auto heavier = [&](const Place& a, const Place& b) {
    return std::tie(b.weight, candidates[a.index].key) < std::tie(a.weight, candidates[b.index].key);
  };
  std::ranges::sort(order, heavier);
  std::map<std::uint64_t, std::size_t> of_group;
  for (Place& place : order) place.rank = of_group[candidates[place.index].group]++;
  std::ranges::sort(order, [&](const Place& a, const Place& b) {
    const std::pair first(a.weight == 0, a.rank);
    const std::pair second(b.weight == 0, b.rank);
    return first != second ? first < second : heavier(a, b);
  });

  ++round_;
  std::vector<bool> chosen(candidates.size());
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (const Place& place : order) {
    const Candidate& candidate = candidates[place.index];
    auto known = known_.find(candidate.key);
    if (known != known_.end() && known->second.round == round_) {
      chosen[place.index] = true;
      continue;
    }
    if (count == limits_.at_once || bytes + candidate.bytes > limits_.bytes) continue;
    if (known == known_.end()) {
      if (new_left_ < (place.weight > 0 ? 1 : full / 2 + 1)) continue;
      --new_left_;
      known = known_.emplace(candidate.key, Known{}).first;
    }
    known->second = {.chosen_at = now, .round = round_};
    ++count;
    bytes += candidate.bytes;
    chosen[place.index] = true;
  }
  return chosen;
}

}  // namespace adit::monitor
