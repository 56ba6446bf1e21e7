// SHA-256 and double SHA-256, as Bitcoin uses them.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace adit::bitcoin {

/// A hash in internal byte order (as hashed and as in block headers); printed reversed.
using Hash256 = std::array<std::uint8_t, 32>;

}  // namespace adit::bitcoin
