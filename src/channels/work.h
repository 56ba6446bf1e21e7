// What shares are worth: difficulty as an exact number, so that sums do not depend on their order.
#pragma once

#include <compare>
#include <cstdint>

#include "bitcoin/u256.h"

namespace adit::channels {

/// Difficulty in units of 2^-48, in 128 bits. A value.
///
/// SRI adds difficulties up as floating-point numbers, which loses small shares beside a large sum and gives another sum in
/// another order. Here a share on `target` is worth floor(2^48 * D), D = 0xffff * 2^208 / target, capped at difficulty 2^64 (a
/// million times the network's of 2026): a share of a single hash is still told to five digits, and 65,536 shares of the
/// highest worth, or more than any machine can find of a real one, add up without overflow, which saturates.
class Work {
 public:
  static constexpr unsigned kFractionBits = 48;

  constexpr Work() = default;

  /// What a share on `target` is worth.
  static Work of(const bitcoin::U256& target);

  Work& operator+=(const Work& other);
  friend Work operator+(Work left, const Work& right) { return left += right; }
  constexpr auto operator<=>(const Work&) const = default;

  /// Whole difficulty, rounded down; saturates.
  [[nodiscard]] std::uint64_t whole() const;
  /// The nearest double.
  [[nodiscard]] double difficulty() const;

 private:
  constexpr Work(std::uint64_t high, std::uint64_t low) : high_(high), low_(low) {}

  std::uint64_t high_ = 0;
  std::uint64_t low_ = 0;
};

}  // namespace adit::channels
