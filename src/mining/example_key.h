// What a client does about an upstream whose authority key is SRI's published example: the one place that says so.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "session/error.h"

namespace adit::mining {

/// Whether work with that nbits (SetNewPrevHash) may be mined for an upstream whose authority key is one whose secret everybody
/// has. Error: kConfiguration on anything but regtest.
inline Result<void> check_example_key(std::uint32_t nbits) {
  constexpr std::uint32_t kRegtestNbits = 0x207fffff;
  if (nbits == kRegtestNbits) return {};
  return fail(session::Errc::kConfiguration,
              "this upstream mines on a network that is not regtest under SRI's published example authority key, whose secret "
              "everybody has, so anybody can pose as it: nothing is mined for it; ask the pool for its own key and put that "
              "into authority_pubkey (or the URL), then start again");
}

}  // namespace adit::mining
