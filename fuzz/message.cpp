// Any message, chosen by the first byte: what decodes encodes to bytes that decode to the same. The payload is the input's own
// bytes, or (second byte odd) a valid one of that type with a few bytes changed, cut or appended, which gets past lengths and
// counts that random bytes rarely meet.
#include "base/require_testing.h"
#include "wire/messages.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "wire/random_messages.h"

using namespace adit;

namespace {

template <wire::Message M>
std::vector<std::uint8_t> damaged(Bytes input) {
  if (input.size() < 4) return {};
  wire::test::RandomMessages random(load_le<std::uint16_t>(input.data()));
  const M message = random.make<M>();
  std::vector<std::uint8_t> payload(wire::encoded_size(message));
  wire::encode_to(message, payload.data());
  const auto cut = static_cast<std::int8_t>(input[2]);
  const std::size_t edits = input[3] % 4;
  input = input.subspan(4);
  for (std::size_t i = 0; i < edits && input.size() >= 3; ++i, input = input.subspan(3))
    if (!payload.empty()) payload[load_le<std::uint16_t>(input.data()) % payload.size()] ^= input[2];
  if (cut < 0) payload.resize(payload.size() - std::min(payload.size(), static_cast<std::size_t>(-cut)));
  payload.insert(payload.end(), input.begin(), input.end());
  return payload;
}

template <wire::Message M>
void check(Bytes payload) {
  Bytes rest;
  const auto message = wire::decode<M>(payload, &rest);
  require(wire::decode<M>(payload).has_value() == (message.has_value() && wire::well_formed_tlvs(rest)));
  if (!message) return;
  require(wire::can_encode(*message));
  std::vector<std::uint8_t> encoded(wire::encoded_size(*message));
  require(encoded.size() + rest.size() == payload.size());
  wire::encode_to(*message, encoded.data());
  const auto again = wire::decode<M>(encoded);
  // By text, because a NaN differs from itself.
  require(again && wire::to_string(*again) == wire::to_string(*message));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const Bytes input(data + 2, size - 2);
  std::size_t index = data[0];
  wire::AllMessages::any([&]<class M>(std::type_identity<M>) {
    if (index-- != 0) return false;
    if (data[1] % 2 == 0) {
      check<M>(input);
    } else {
      // Exactly that size, so that the address sanitizer sees every read beyond it.
      const auto payload = damaged<M>(input);
      check<M>(payload);
    }
    return true;
  });
  return 0;
}
