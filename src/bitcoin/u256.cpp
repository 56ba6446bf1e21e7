#include "bitcoin/u256.h"

#include <bit>
#include <cmath>
#include <limits>

#include <boost/multiprecision/cpp_int.hpp>

#include "base/hex.h"

namespace adit::bitcoin {
namespace {

using Number = boost::multiprecision::uint256_t;

Number number_of(const U256& value) {
  Number number;
  import_bits(number, value.limbs().begin(), value.limbs().end(), 64, /*msv_first=*/false);
  return number;
}

U256 u256_of(const Number& number) {
  std::array<std::uint64_t, 4> limbs{};
  export_bits(number, limbs.begin(), 64, /*msv_first=*/false);
  return U256::from_limbs(limbs);
}

// The target of difficulty 1: 0xffff << 208.
constexpr U256 kDifficultyOneTarget = U256::from_limbs({0, 0, 0, 0xffff0000ull});

}  // namespace

U256 U256::from_le(std::span<const std::uint8_t, 32> bytes) {
  U256 value;
  for (std::size_t i = 0; i < 4; ++i) value.limbs_[i] = load_le<std::uint64_t>(bytes.data() + 8 * i);
  return value;
}

std::array<std::uint8_t, 32> U256::to_le() const {
  std::array<std::uint8_t, 32> bytes;
  for (std::size_t i = 0; i < 4; ++i) store_le(bytes.data() + 8 * i, limbs_[i]);
  return bytes;
}

std::string U256::to_hex() const { return to_hex_reversed(to_le()); }

U256 U256::from_double(double value) {
  if (!(value >= 1)) return U256();
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);  // value = fraction * 2^exponent, fraction in [0.5, 1).
  if (!std::isfinite(value) || exponent > 256) return max();
  const U256 mantissa(static_cast<std::uint64_t>(std::ldexp(fraction, 64)));
  return exponent >= 64 ? mantissa << static_cast<unsigned>(exponent - 64) : mantissa >> static_cast<unsigned>(64 - exponent);
}

double U256::to_double() const {
  double value = 0;
  for (std::size_t i = 4; i-- > 0;) value = std::ldexp(value, 64) + static_cast<double>(limbs_[i]);
  return value;
}

U256 U256::operator+(const U256& other) const { return u256_of(number_of(*this) + number_of(other)); }

U256 U256::operator-(const U256& other) const { return u256_of(number_of(*this) - number_of(other)); }

U256 U256::operator<<(unsigned bits) const { return bits >= 256 ? U256() : u256_of(number_of(*this) << bits); }

U256 U256::operator>>(unsigned bits) const { return bits >= 256 ? U256() : u256_of(number_of(*this) >> bits); }

U256 U256::operator/(const U256& divisor) const {
  return divisor == U256() ? max() : u256_of(number_of(*this) / number_of(divisor));
}

unsigned U256::bit_length() const {
  for (unsigned i = 4; i-- > 0;) {
    if (limbs_[i] != 0) return 64 * i + static_cast<unsigned>(std::bit_width(limbs_[i]));
  }
  return 0;
}

std::optional<U256> target_from_compact(std::uint32_t nbits) {
  const unsigned exponent = nbits >> 24;
  const std::uint32_t mantissa = nbits & 0x007fffff;
  const bool negative = (nbits & 0x00800000) != 0;
  if (exponent <= 3) {
    const std::uint32_t value = mantissa >> (8 * (3 - exponent));
    if (negative && value != 0) return std::nullopt;
    return U256(value);
  }
  if (mantissa == 0) return U256();
  if (negative) return std::nullopt;
  const U256 value(mantissa);
  const unsigned shift = 8 * (exponent - 3);
  if (value.bit_length() + shift > 256) return std::nullopt;
  return value << shift;
}

std::uint32_t compact_from_target(const U256& target) {
  unsigned size = (target.bit_length() + 7) / 8;
  auto mantissa =
      static_cast<std::uint32_t>(size <= 3 ? target.limbs()[0] << (8 * (3 - size)) : (target >> (8 * (size - 3))).limbs()[0]);
  if ((mantissa & 0x00800000) != 0) {  // That bit is the sign.
    mantissa >>= 8;
    ++size;
  }
  return mantissa | size << 24;
}

double difficulty_from_target(const U256& target) {
  if (target == U256()) return std::numeric_limits<double>::infinity();
  return kDifficultyOneTarget.to_double() / target.to_double();
}

U256 target_from_difficulty(double difficulty) {
  if (!(difficulty > 0)) return U256::max();
  return U256::from_double(kDifficultyOneTarget.to_double() / difficulty);
}

U256 target_from_hash_rate(double hash_rate_hps, double shares_per_minute) {
  if (!(hash_rate_hps > 0) || !(shares_per_minute > 0) || !std::isfinite(hash_rate_hps) || !std::isfinite(shares_per_minute)) {
    return U256::max();
  }
  const double hashes_per_share = hash_rate_hps * (60 / shares_per_minute);
  const U256 hs = hashes_per_share < 0x1p128 ? U256::from_double(hashes_per_share) : U256::from_limbs({~0ull, ~0ull, 0, 0});
  return (U256::max() - hs) / (hs + U256(1));
}

double hash_rate_from_target(const U256& target, double shares_per_minute) {
  if (!(shares_per_minute > 0) || !std::isfinite(shares_per_minute)) return 0;
  // (2^256 - t) / (t + 1), as SRI has it.
  return (0x1p256 - target.to_double()) / (target.to_double() + 1) * (shares_per_minute / 60);
}

double expected_hashes(const U256& target) { return 0x1p256 / (target.to_double() + 1); }

}  // namespace adit::bitcoin
