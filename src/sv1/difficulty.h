// The difficulty that firmware can take.
#pragma once

#include <cmath>

namespace adit::sv1 {

/// What to put in set_difficulty so that no share of `difficulty` is withheld: from 1 up the power of two at or below, because
/// firmware truncates fractions or rounds to powers of two itself (sv2-apps#561); below 1 the value itself. A power of two that
/// is missed by less than a millionth (a target that was rounded) counts as met.
inline double difficulty_for_firmware(double difficulty) {
  if (!(difficulty >= 1) || std::isinf(difficulty)) return difficulty;
  int exponent = 0;
  std::frexp(difficulty * (1 + 1e-6), &exponent);
  return std::ldexp(1.0, exponent - 1);
}

}  // namespace adit::sv1
