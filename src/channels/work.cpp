#include "channels/work.h"

#include <limits>

#include <boost/multiprecision/cpp_int.hpp>

namespace adit::channels {
namespace {

__extension__ using Wide = unsigned __int128;

}  // namespace

Work Work::of(const bitcoin::U256& target) {
  using boost::multiprecision::uint512_t;
  constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
  constexpr unsigned kMaxBits = 64 + kFractionBits;
  constexpr Work kMost((std::uint64_t{1} << (kMaxBits - 64)) - 1, kAll);
  uint512_t divisor;
  import_bits(divisor, target.limbs().begin(), target.limbs().end(), 64, /*msv_first=*/false);
  if (divisor == 0) return kMost;
  const uint512_t work = (uint512_t(0xffff) << (208 + kFractionBits)) / divisor;
  if ((work >> kMaxBits) != 0) return kMost;
  return {static_cast<std::uint64_t>(work >> 64), static_cast<std::uint64_t>(work & kAll)};
}

Work& Work::operator+=(const Work& other) {
  Wide sum = 0;
  if (__builtin_add_overflow(Wide{high_} << 64 | low_, Wide{other.high_} << 64 | other.low_, &sum)) sum = ~Wide{0};
  high_ = static_cast<std::uint64_t>(sum >> 64);
  low_ = static_cast<std::uint64_t>(sum);
  return *this;
}

std::uint64_t Work::whole() const {
  if (high_ >> kFractionBits != 0) return std::numeric_limits<std::uint64_t>::max();
  return high_ << (64 - kFractionBits) | low_ >> kFractionBits;
}

double Work::difficulty() const { return static_cast<double>(high_) * 0x1p16 + static_cast<double>(low_) * 0x1p-48; }

}  // namespace adit::channels
