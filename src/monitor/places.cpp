#include "monitor/places.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace adit::monitor {

std::size_t Places::count(const std::string& source) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(entries_, [&](const auto& one) { return one.second.source == source; }));
}

std::optional<Places::Id> Places::least_useful(const std::string* only) const {
  std::map<std::string, std::size_t> of_source;
  for (const auto& [id, entry] : entries_) ++of_source[entry.source];
  using Rank = std::tuple<State, std::size_t, std::uint64_t>;
  std::optional<std::pair<Rank, Id>> first;
  for (const auto& [id, entry] : entries_) {
    if (entry.state == State::kStreaming || (only != nullptr && entry.source != *only)) continue;
    const std::size_t others = entries_.size() - of_source[entry.source];
    const std::pair candidate(Rank(entry.state, others, entry.since), id);
    if (!first || candidate < *first) first = candidate;
  }
  return first ? std::optional(first->second) : std::nullopt;
}

std::optional<Places::Admitted> Places::admit(const std::string& source) {
  const std::size_t own = count(source);
  const std::size_t room = own == 0 ? limits_.connections : limits_.connections - limits_.reserve;
  Admitted admitted;
  if (own >= limits_.per_source || entries_.size() >= room) {
    admitted.displaced = least_useful(own >= limits_.per_source ? &source : nullptr);
    if (!admitted.displaced) return std::nullopt;
    entries_.erase(*admitted.displaced);
  }
  admitted.id = ++last_;
  entries_[admitted.id] = {.source = source, .since = last_};
  return admitted;
}

void Places::set(Id id, State state) {
  if (const auto found = entries_.find(id); found != entries_.end() && found->second.state != state) {
    found->second.state = state;
    found->second.since = ++last_;
  }
}

bool Places::begin_stream(Id id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return false;
  const auto streams_of = [&](const std::string* source) {
    return std::ranges::count_if(entries_, [&](const auto& one) {
      return one.second.state == State::kStreaming && (source == nullptr || one.second.source == *source);
    });
  };
  if (std::cmp_greater_equal(streams_of(nullptr), limits_.streams) ||
      std::cmp_greater_equal(streams_of(&found->second.source), limits_.streams_per_source)) {
    return false;
  }
  set(id, State::kStreaming);
  return true;
}

void Places::leave(Id id) { entries_.erase(id); }

}  // namespace adit::monitor
