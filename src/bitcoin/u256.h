// 256-bit unsigned numbers, and what mining does with them: targets, difficulty, expected work.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "bitcoin/hash.h"

namespace adit::bitcoin {

/// A number below 2^256. A value; no allocation; every operation that can overflow says what it does then.
class U256 {
 public:
  constexpr U256() = default;
  constexpr explicit U256(std::uint64_t value) : limbs_{value, 0, 0, 0} {}

  static constexpr U256 max() { return from_limbs({~0ull, ~0ull, ~0ull, ~0ull}); }

  /// Least significant limb first.
  static constexpr U256 from_limbs(std::array<std::uint64_t, 4> limbs) {
    U256 value;
    value.limbs_ = limbs;
    return value;
  }
  [[nodiscard]] constexpr const std::array<std::uint64_t, 4>& limbs() const { return limbs_; }

  /// Little-endian bytes: a U256 on SV2's wire, and a block hash as the number that proof of work compares.
  static U256 from_le(std::span<const std::uint8_t, 32> bytes);
  [[nodiscard]] std::array<std::uint8_t, 32> to_le() const;

  /// 64 digits, most significant first, as targets and block hashes are printed.
  [[nodiscard]] std::string to_hex() const;

  /// Rounded down; saturates at max(). A value that is negative or not a number gives 0.
  static U256 from_double(double value);
  [[nodiscard]] double to_double() const;

  constexpr bool operator==(const U256&) const = default;
  constexpr std::strong_ordering operator<=>(const U256& other) const {
    for (std::size_t i = 4; i-- > 0;) {
      if (limbs_[i] != other.limbs_[i]) return limbs_[i] <=> other.limbs_[i];
    }
    return std::strong_ordering::equal;
  }

  /// Modulo 2^256.
  U256 operator+(const U256& other) const;
  U256 operator-(const U256& other) const;
  U256 operator<<(unsigned bits) const;
  U256 operator>>(unsigned bits) const;
  /// Rounded down; division by zero gives max().
  U256 operator/(const U256& divisor) const;

  /// Number of bits up to the highest that is set; 0 for zero.
  [[nodiscard]] unsigned bit_length() const;

 private:
  std::array<std::uint64_t, 4> limbs_{};
};

/// The target that a header's nbits stands for; nullopt for one that is negative or exceeds 2^256 (a node refuses such a block
/// too).
std::optional<U256> target_from_compact(std::uint32_t nbits);

/// The largest nbits whose target does not exceed `target`.
std::uint32_t compact_from_target(const U256& target);

/// Whether `hash` proves the work that `target` asks for.
inline bool meets_target(const Hash256& hash, const U256& target) { return U256::from_le(hash) <= target; }

/// Difficulty as SV1's mining.set_difficulty and every explorer count it: 1 is the target 00000000ffff0000...
/// Infinite for target 0.
double difficulty_from_target(const U256& target);

/// The largest target of at least that difficulty, within a double's precision; max() for a difficulty that is 0, negative or
/// no number.
U256 target_from_difficulty(double difficulty);

/// Target on which `hash_rate_hps` finds `shares_per_minute` on average: (2^256 - 1 - hs) / (hs + 1), s = 60 /
/// shares_per_minute, hs rounded down, as SRI's hash_rate_to_target computes it (channels_sv2 target.rs). max() unless both are
/// finite and positive; hs saturates at 2^128 - 1.
U256 target_from_hash_rate(double hash_rate_hps, double shares_per_minute);

/// Its inverse: the rate in hashes per second that finds `shares_per_minute` on that target. 0 unless shares_per_minute is
/// finite and positive.
double hash_rate_from_target(const U256& target, double shares_per_minute);

/// Hashes that one share on `target` stands for on average: 2^256 / (target + 1).
double expected_hashes(const U256& target);

}  // namespace adit::bitcoin
