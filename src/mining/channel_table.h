// The channels of one session.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <ranges>
#include <utility>
#include <vector>

#include "base/invariant.h"
#include "channels/channel.h"

namespace adit::mining {

/// Channels in ascending order of their ids. Each stays where it is as long as it is there, so that closing one of thousands
/// moves a few pointers and not the channels behind it.
class ChannelTable {
 public:
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

  /// The channel of that id; nullptr: there is none. Costs the logarithm of their number.
  [[nodiscard]] channels::Channel* find(std::uint32_t id) const {
    const auto at = lower_bound(id);
    return at == entries_.end() || at->id != id ? nullptr : at->channel.get();
  }
  /// The channel with the smallest id of at least `id`; nullptr: there is none.
  [[nodiscard]] channels::Channel* first_from(std::uint32_t id) const {
    const auto at = lower_bound(id);
    return at == entries_.end() ? nullptr : at->channel.get();
  }

  /// Adds a channel whose id is greater than that of any before.
  channels::Channel& add(channels::Channel channel) {
    ADIT_INVARIANT(entries_.empty() || entries_.back().id < channel.id());
    const std::uint32_t id = channel.id();
    return *entries_.emplace_back(id, std::make_unique<channels::Channel>(std::move(channel))).channel;
  }

  /// Removes the channel of that id, which must be there.
  void erase(std::uint32_t id) {
    const auto at = lower_bound(id);
    ADIT_INVARIANT(at != entries_.end() && at->id == id);
    entries_.erase(at);
  }

  /// All of them, as a range of `Channel&`.
  [[nodiscard]] auto all() {
    return entries_ | std::views::transform([](const Entry& entry) -> channels::Channel& { return *entry.channel; });
  }
  /// All of them, as a range of `const Channel&`.
  [[nodiscard]] auto all() const {
    return entries_ | std::views::transform([](const Entry& entry) -> const channels::Channel& { return *entry.channel; });
  }

  /// An invariant: the order.
  [[nodiscard]] bool sorted() const { return std::ranges::is_sorted(entries_, std::less<>(), &Entry::id); }

 private:
  struct Entry {
    Entry(std::uint32_t number, std::unique_ptr<channels::Channel> made) : id(number), channel(std::move(made)) {}

    std::uint32_t id;  ///< The channel's, so that a search reads no channel.
    std::unique_ptr<channels::Channel> channel;
  };

  [[nodiscard]] std::vector<Entry>::const_iterator lower_bound(std::uint32_t id) const {
    return std::ranges::lower_bound(entries_, id, {}, &Entry::id);
  }

  std::vector<Entry> entries_;
};

}  // namespace adit::mining
