// HMAC-SHA256 and the two-output HKDF that Noise uses (SV2 04 §4.4.2), over secrets: all working state is erased.
#pragma once

#include <utility>

#include "base/sha256.h"
#include "noise/keys.h"

namespace adit::noise {

/// HMAC of RFC 2104 with a key of at most 64 bytes, over `data` then `more`.
Secret hmac_sha256(Bytes key, Bytes data, Bytes more = {});

/// HKDF of RFC 5869 with empty info: the first and second 32 bytes of output.
std::pair<Secret, Secret> hkdf2(Bytes salt, Bytes input);

}  // namespace adit::noise
