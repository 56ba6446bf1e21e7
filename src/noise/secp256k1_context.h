// The one libsecp256k1 context of the process, blinded once; internal to this layer.
#pragma once

#include <secp256k1.h>

namespace adit::noise {

/// Never modified after its construction, so any thread may use it (secp256k1.h: const contexts are thread-safe).
const secp256k1_context* secp256k1();

}  // namespace adit::noise
