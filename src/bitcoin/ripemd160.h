// RIPEMD-160: only for pay-to-public-key-hash scripts.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace adit::bitcoin {

std::array<std::uint8_t, 20> ripemd160(Bytes bytes);

}  // namespace adit::bitcoin
