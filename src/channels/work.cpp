#include "channels/work.h"

#include <limits>

namespace adit::channels {

using bitcoin::U256;

Work Work::of(const U256& target) {
  constexpr unsigned kMaxBits = 64 + kFractionBits;
  constexpr std::uint64_t kMaxHigh = (std::uint64_t{1} << (kMaxBits - 64)) - 1;
  constexpr Work kMost(kMaxHigh, ~std::uint64_t{0});
  if (target == U256()) return kMost;
  // 2^48 * 0xffff * 2^208 has 272 bits: the quotient's upper bits by a division of what 256 hold, the last 16 by long division.
  constexpr unsigned kLast = 16;
  const U256 numerator = U256(0xffff) << 240;
  U256 quotient = numerator / target;
  if (quotient.bit_length() + kLast > kMaxBits) return kMost;
  // quotient * target, to have the remainder; by the quotient's bits, as there is no multiplication.
  U256 remainder = numerator;
  for (unsigned bit = quotient.bit_length(); bit-- > 0;) {
    if (((quotient >> bit).limbs()[0] & 1) != 0) remainder = remainder - (target << bit);
  }
  for (unsigned i = 0; i < kLast; ++i) {
    const bool carry = remainder.bit_length() == 256;
    remainder = remainder << 1;
    quotient = quotient << 1;
    if (!carry && remainder < target) continue;
    remainder = remainder - target;
    quotient = quotient + U256(1);
  }
  return {quotient.limbs()[1], quotient.limbs()[0]};
}

Work& Work::operator+=(const Work& other) {
  low_ += other.low_;
  const std::uint64_t carry = low_ < other.low_ ? 1 : 0;
  if (high_ > std::numeric_limits<std::uint64_t>::max() - other.high_ - carry) {
    high_ = low_ = std::numeric_limits<std::uint64_t>::max();
  } else {
    high_ += other.high_ + carry;
  }
  return *this;
}

std::uint64_t Work::whole() const {
  if (high_ >> kFractionBits != 0) return std::numeric_limits<std::uint64_t>::max();
  return high_ << (64 - kFractionBits) | low_ >> kFractionBits;
}

double Work::difficulty() const { return static_cast<double>(high_) * 0x1p16 + static_cast<double>(low_) * 0x1p-48; }

}  // namespace adit::channels
