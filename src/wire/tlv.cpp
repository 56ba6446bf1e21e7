#include "wire/tlv.h"

namespace adit::wire {

std::optional<Tlv> take_tlv(Bytes& rest) {
  if (rest.size() < kTlvHeaderSize) return std::nullopt;
  const std::size_t length = load_le<std::uint16_t>(rest.data() + 3);
  if (rest.size() - kTlvHeaderSize < length) return std::nullopt;
  const Tlv field{.extension_type = load_le<std::uint16_t>(rest.data()),
                  .field_type = rest[2],
                  .value = rest.subspan(kTlvHeaderSize, length)};
  rest = rest.subspan(kTlvHeaderSize + length);
  return field;
}

bool well_formed_tlvs(Bytes rest) {
  while (take_tlv(rest)) {
  }
  return rest.empty();
}

std::optional<Bytes> find_tlv(Bytes rest, std::uint16_t extension_type, std::uint8_t field_type) {
  while (const auto field = take_tlv(rest)) {
    if (field->extension_type == extension_type && field->field_type == field_type) return field->value;
  }
  return std::nullopt;
}

bool append_tlv(ByteBuffer& out, std::uint16_t extension_type, std::uint8_t field_type, Bytes value) {
  if (value.size() > 0xffff) return false;
  std::uint8_t* to = out.extend(kTlvHeaderSize + value.size()).data();
  store_le(to, extension_type);
  to[2] = field_type;
  store_le(to + 3, static_cast<std::uint16_t>(value.size()));
  if (!value.empty()) std::memcpy(to + kTlvHeaderSize, value.data(), value.size());
  return true;
}

}  // namespace adit::wire
