// Strangers' bytes against both roles of the handshake: a responder takes any 64 bytes, an initiator none that its authority
// did not certify.
#include <cstddef>
#include <cstdint>

#include "base/require_testing.h"
#include "noise/handshake.h"

using namespace adit;

namespace {

constexpr std::uint32_t kMaxPayload = 1 << 16;
const UnixTime kNow = from_u32(1'700'000'000);

noise::RandomSource counting_random() {
  return [next = std::uint8_t{1}](MutableBytes out) mutable {
    for (std::uint8_t& byte : out) byte = next++;
  };
}

// Keys cost a millisecond each under the sanitizers: made once.
struct Fixture {
  noise::AuthorityKeyPair authority = noise::AuthorityKeyPair::generate(counting_random());
  noise::CertifiedKey key = noise::CertifiedKey::make(authority, kNow, std::chrono::hours(1), counting_random());
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Fixture fixture;
  if (size < 1) return 0;
  const Bytes input(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    const auto answer = noise::Responder::answer(input, fixture.key, counting_random(), kMaxPayload);
    require(answer.has_value() == (input.size() == noise::kAct1Size));
    return 0;
  }
  // A true act 2 with the input's bytes laid over it.
  noise::Initiator initiator(fixture.authority.public_key(), counting_random());
  auto act2 = noise::Responder::answer(initiator.act1(), fixture.key, counting_random(), kMaxPayload)->act2;
  for (std::size_t i = 0; i + 1 < input.size(); i += 2) {
    act2[input[i] % act2.size()] ^= input[i + 1];
  }
  const auto honest = noise::Responder::answer(initiator.act1(), fixture.key, counting_random(), kMaxPayload)->act2;
  const bool damaged = act2 != honest;
  require(initiator.read_act2(act2, kNow, kMaxPayload).has_value() != damaged);
  return 0;
}
