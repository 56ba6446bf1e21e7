// Who searches where: extranonce prefixes that never overlap.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "channels/error.h"

namespace adit::channels {

/// The extranonce of every coinbase, all channels alike (SV2 05 §5.2.3: members of a group have equal full sizes):
///
///     server id (2) | shard (2) | local index (4) | rollable (16)
///
/// An extended channel's prefix is the first three fields and its miner rolls the last; a standard channel's prefix is all of
/// it, the rollable part zero. So a standard and an extended channel differ in the index like any two channels.
inline constexpr std::size_t kExtranoncePrefixSize = 8;
inline constexpr std::size_t kRollableExtranonceSize = 16;
inline constexpr std::size_t kFullExtranonceSize = kExtranoncePrefixSize + kRollableExtranonceSize;
static_assert(kFullExtranonceSize <= 32);

using ExtranoncePrefix = std::array<std::uint8_t, kExtranoncePrefixSize>;

class ExtranonceAllocator;

/// One prefix, taken until this object dies. Must die before its allocator.
class ExtranonceLease {
 public:
  ExtranonceLease() = default;
  ExtranonceLease(ExtranonceLease&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), prefix_(other.prefix_) {}
  ExtranonceLease& operator=(ExtranonceLease&& other) noexcept {
    std::swap(owner_, other.owner_);
    std::swap(prefix_, other.prefix_);
    return *this;
  }
  ~ExtranonceLease();

  [[nodiscard]] const ExtranoncePrefix& prefix() const { return prefix_; }

 private:
  friend class ExtranonceAllocator;
  ExtranonceLease(ExtranonceAllocator* owner, const ExtranoncePrefix& prefix) : owner_(owner), prefix_(prefix) {}

  ExtranonceAllocator* owner_ = nullptr;
  ExtranoncePrefix prefix_{};
};

/// Hands out the prefixes of one shard. Shards share no state: the shard's number is part of each prefix.
///
/// A prefix that was given back rests until the chain's tip has moved twice: until then a share found under it could be handed
/// in again through the channel that got it next. Prefixes that have rested are used before new ones, so the memory is that of
/// the most that were live or resting at once. Not thread-safe; lives on its shard.
class ExtranonceAllocator {
 public:
  static constexpr std::uint64_t kMaxCapacity = std::uint64_t{1} << 32;

  struct Config {
    std::uint16_t server_id = 0;  ///< Differs between servers that pay to the same script on the same chain.
    std::uint16_t shard = 0;
    std::uint32_t first_index = 0;  ///< Where to start, taken modulo the capacity. Chosen at random by a driver, so that a
                                    ///< restarted process does not hand out again what it handed out before.
    std::uint64_t capacity = kMaxCapacity;  ///< Prefixes in all, at most kMaxCapacity.
  };

  explicit ExtranonceAllocator(const Config& config);
  ExtranonceAllocator(const ExtranonceAllocator&) = delete;
  ExtranonceAllocator& operator=(const ExtranonceAllocator&) = delete;

  /// A prefix that no live lease holds and that no valid job uses. Error: kExtranonceExhausted.
  Result<ExtranonceLease> allocate();

  /// The chain's tip moved: jobs of the tip before are worthless now.
  void on_new_tip() { ++tips_; }

  [[nodiscard]] std::uint32_t live() const { return live_; }

 private:
  friend class ExtranonceLease;
  struct Resting {
    std::uint32_t index;
    std::uint32_t since_tip;
  };

  void give_back(const ExtranoncePrefix& prefix);
  [[nodiscard]] ExtranoncePrefix prefix_of(std::uint32_t index) const;

  Config config_;
  std::uint64_t started_ = 0;  ///< How many indices, counted from first_index, were handed out at least once.
  std::uint32_t live_ = 0;
  std::uint32_t tips_ = 0;
  std::deque<Resting> resting_;  ///< Longest resting first.
};

inline ExtranonceLease::~ExtranonceLease() {
  if (owner_ != nullptr) owner_->give_back(prefix_);
}

}  // namespace adit::channels
