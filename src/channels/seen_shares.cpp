#include "channels/seen_shares.h"

#include <algorithm>
#include <bit>
#include <random>
#include <utility>

#include "base/invariant.h"

namespace adit::channels {
namespace {

constexpr std::size_t kFirstSlots = 16;
constexpr std::size_t kSmallSlots = 512;

// Miners choose their hashes, so a slot must not be theirs to know: a digest times a number that is this process's secret,
// of which the upper bits count.
std::uint64_t secret_factor() {
  static const std::uint64_t factor = [] {
    std::random_device device;
    return (std::uint64_t{device()} << 32 | device()) | 1;
  }();
  return factor;
}

}  // namespace

std::uint64_t* SeenShares::slot_of(std::uint64_t digest) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = static_cast<std::size_t>((digest * secret_factor()) >> std::countl_zero(std::uint64_t{mask}));
  while (slots_[at] != 0 && slots_[at] != digest) at = (at + 1) & mask;
  return &slots_[at];
}

SeenShares::Outcome SeenShares::insert(std::uint64_t digest, bool block, std::size_t max_size, bool may_grow) {
  if (digest == 0) return std::exchange(zero_seen_, true) ? Outcome::kSeen : Outcome::kNew;
  if (slots_.empty()) grow();
  std::uint64_t* slot = slot_of(digest);
  if (*slot != 0) return Outcome::kSeen;
  if (size_ >= max_size) {
    if (!block || size_ >= slots_.size() / 4 * 3) return Outcome::kFull;
  } else if (growth_due()) {
    if (may_grow) {
      grow();
      slot = slot_of(digest);
    } else if (size_ >= (block ? slots_.size() / 8 * 7 : capacity())) {
      return Outcome::kFull;
    }
  }
  *slot = digest;
  ++size_;
  ADIT_INVARIANT(size_ < slots_.size());  // A free slot ends each search.
  return Outcome::kNew;
}

void SeenShares::clear(bool release) {
  if (release || (slots_.size() > kFirstSlots && slots_.size() > std::size_t{size_} * 8)) {
    slots_ = {};
  } else {
    std::fill(slots_.begin(), slots_.end(), 0);
  }
  size_ = 0;
  zero_seen_ = false;
}

std::size_t SeenShares::next_slots() const {
  // By four while it is small: moving to another table costs more than a few KiB for a while.
  return std::max(kFirstSlots, slots_.size() * (slots_.size() < kSmallSlots ? 4 : 2));
}

void SeenShares::grow() {
  std::vector<std::uint64_t> old(next_slots());
  slots_.swap(old);
  for (const std::uint64_t digest : old) {
    if (digest != 0) *slot_of(digest) = digest;
  }
}

}  // namespace adit::channels
