// What a miner of Stratum V1 hashes.
#pragma once

#include <array>
#include <cstdint>

#include "bitcoin/hash.h"
#include "sv1/client.h"

namespace adit::mining {

/// The header of `work` with that extranonce2, of work.extranonce2_size bytes: nonce 0, time and version as the job has them.
std::array<std::uint8_t, bitcoin::kHeaderSize> header_of(const sv1::Work& work, const sv1::Extranonce& extranonce2);

}  // namespace adit::mining
