#include "channels/seen_shares.h"

#include <algorithm>
#include <utility>

namespace adit::channels {
namespace {

constexpr std::size_t kFirstSlots = 16;

}  // namespace

SeenShares::Outcome SeenShares::insert(std::uint64_t digest) {
  if (digest == 0) {
    if (std::exchange(zero_seen_, true)) return Outcome::kSeen;
    return Outcome::kNew;
  }
  if (size_ * 2 >= slots_.size()) {
    // A full set still knows what it has seen.
    if (size_ >= kMaxSize) {
      const std::size_t mask = slots_.size() - 1;
      for (std::size_t at = digest & mask; slots_[at] != 0; at = (at + 1) & mask) {
        if (slots_[at] == digest) return Outcome::kSeen;
      }
      return Outcome::kFull;
    }
    grow();
  }
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = digest & mask;
  for (; slots_[at] != 0; at = (at + 1) & mask) {
    if (slots_[at] == digest) return Outcome::kSeen;
  }
  slots_[at] = digest;
  ++size_;
  return Outcome::kNew;
}

void SeenShares::clear() {
  if (slots_.size() > kFirstSlots && slots_.size() > std::size_t{size_} * 8) {
    slots_ = {};
  } else {
    std::fill(slots_.begin(), slots_.end(), 0);
  }
  size_ = 0;
  zero_seen_ = false;
}

void SeenShares::grow() {
  std::vector<std::uint64_t> old(std::max(kFirstSlots, slots_.size() * 2));
  slots_.swap(old);
  const std::size_t mask = slots_.size() - 1;
  for (const std::uint64_t digest : old) {
    if (digest == 0) continue;
    std::size_t at = digest & mask;
    while (slots_[at] != 0) at = (at + 1) & mask;
    slots_[at] = digest;
  }
}

}  // namespace adit::channels
