// Any message, chosen by the first byte: what decodes encodes to bytes that decode to the same.
#include "wire/messages.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

using namespace adit;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const Bytes payload(data + 1, size - 1);
  std::size_t index = data[0];
  wire::AllMessages::any([&]<class M>(std::type_identity<M>) {
    if (index-- != 0) return false;
    Bytes rest;
    const auto message = wire::decode<M>(payload, &rest);
    if (!message) return true;
    if (!wire::can_encode(*message)) std::abort();
    std::vector<std::uint8_t> encoded(wire::encoded_size(*message));
    if (encoded.size() + rest.size() != payload.size()) std::abort();
    wire::encode_to(*message, encoded.data());
    const auto again = wire::decode<M>(encoded);
    // By text, because a NaN differs from itself.
    if (!again || wire::to_string(*again) != wire::to_string(*message)) std::abort();
    return true;
  });
  return 0;
}
