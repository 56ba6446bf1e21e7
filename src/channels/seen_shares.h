// Which shares of this tip a channel has had already.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace adit::channels {

/// A set of 64-bit digests of share hashes: open addressing, about half full at most, no memory until the first share.
///
/// The digest is the eight bytes of the hash that proof of work leaves random, so two different shares of one channel meet with
/// probability 2^-64 a pair; the later one is then refused, so nothing is ever paid twice.
class SeenShares {
 public:
  /// The largest bound of a table: 1 MiB.
  static constexpr std::size_t kMaxSize = 1u << 16;

  enum class Outcome : std::uint8_t { kNew, kSeen, kFull };

  /// Adds `digest`, unless `max_size` (at most kMaxSize) are there. Allocates only when the table has to grow, which doubles
  /// it. `block`: a share that found a block is remembered beyond that, while the table has room. Where the table is not to
  /// grow, it is filled to three quarters, and by blocks to seven eighths.
  Outcome insert(std::uint64_t digest, bool block = false, std::size_t max_size = kMaxSize, bool may_grow = true);

  /// Forgets all (a new tip made them stale). Keeps a table that one tip's shares have needed, gives back one much larger, or
  /// any if `release`.
  void clear(bool release = false);

  [[nodiscard]] std::size_t size() const { return size_; }
  /// What the table takes.
  [[nodiscard]] std::size_t bytes() const { return slots_.size() * sizeof(std::uint64_t); }
  /// Whether the next new digest makes the table grow.
  [[nodiscard]] bool growth_due() const { return std::size_t{size_} * 2 >= slots_.size(); }
  /// How many shares that are no blocks the table takes without growing.
  [[nodiscard]] std::size_t capacity() const { return slots_.size() / 4 * 3; }
  /// By how many bytes it grows.
  [[nodiscard]] std::size_t growth_bytes() const { return next_slots() * sizeof(std::uint64_t) - bytes(); }

 private:
  [[nodiscard]] std::size_t next_slots() const;
  void grow();
  [[nodiscard]] std::uint64_t* slot_of(std::uint64_t digest);

  std::vector<std::uint64_t> slots_;  ///< A power of two of them, or none; 0 is empty.
  std::uint32_t size_ = 0;
  bool zero_seen_ = false;
};

}  // namespace adit::channels
