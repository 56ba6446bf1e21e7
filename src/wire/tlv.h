// TLV fields that extensions append to a payload (SV2 03 §3.4.3). Little-endian, as deployed: the specification's example bytes
// are big-endian, but SRI (parsers-sv2 tlv/codec.rs) and so the field encode type and length like every other integer.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "wire/byte_buffer.h"

namespace adit::wire {

struct Tlv {
  std::uint16_t extension_type = 0;
  std::uint8_t field_type = 0;
  Bytes value;  ///< Views the payload.
};

inline constexpr std::size_t kTlvHeaderSize = 5;

/// Worker-specific hash rate tracking: the worker of one share (ext 0x0002 §1.1).
inline constexpr std::uint16_t kWorkerTracking = 0x0002;
inline constexpr std::uint8_t kUserIdentityField = 0x01;
inline constexpr std::size_t kMaxUserIdentity = 32;

/// Takes the first TLV off the front of `rest`. nullopt when `rest` is empty or does not start with a whole TLV; in the second
/// case `rest` is left as it is (not empty).
std::optional<Tlv> take_tlv(Bytes& rest);

/// True if `rest` is nothing but whole TLVs; true for none.
bool well_formed_tlvs(Bytes rest);

/// The value of the first such field; nullopt if there is none before the end or before bytes that are no TLV.
std::optional<Bytes> find_tlv(Bytes rest, std::uint16_t extension_type, std::uint8_t field_type);

/// Appends one field. `value` must have at most 65535 bytes: false, with nothing appended, if it has more.
bool append_tlv(ByteBuffer& out, std::uint16_t extension_type, std::uint8_t field_type, Bytes value);

}  // namespace adit::wire
