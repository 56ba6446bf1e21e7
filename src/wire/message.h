// From one declaration of a message follow its encoding, decoding, size, comparison and text.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "base/result.h"
#include "wire/error.h"
#include "wire/types.h"

namespace adit::wire {

/// A member of message M and its name in the specification.
template <class M, class T>
struct Field {
  std::string_view name;
  T M::* member;
};
template <class M, class T>
Field(std::string_view, T M::*) -> Field<M, T>;

/// Whom a message is for: with the channel bit its payload starts with a channel_id (SV2 03 §3.2.1).
inline constexpr bool kForConnection = false;
inline constexpr bool kForChannel = true;

inline constexpr std::uint16_t kCore = 0x0000;
inline constexpr std::uint16_t kExtensionsNegotiation = 0x0001;

/// A struct declared with ADIT_MESSAGE.
template <class M>
concept Message = requires {
  { M::kName } -> std::convertible_to<std::string_view>;
  { M::kExtension } -> std::convertible_to<std::uint16_t>;
  { M::kType } -> std::convertible_to<std::uint8_t>;
  { M::kChannelMessage } -> std::convertible_to<bool>;
  M::kFields;
};

// clang-format off
#define ADIT_EXPAND_1(...) ADIT_EXPAND_2(ADIT_EXPAND_2(ADIT_EXPAND_2(ADIT_EXPAND_2(__VA_ARGS__))))
#define ADIT_EXPAND_2(...) ADIT_EXPAND_3(ADIT_EXPAND_3(ADIT_EXPAND_3(ADIT_EXPAND_3(__VA_ARGS__))))
#define ADIT_EXPAND_3(...) __VA_ARGS__
#define ADIT_PARENS ()
#define ADIT_FIELD_AGAIN() ADIT_FIELD
#define ADIT_FIELD(message, member, ...) \
  ::adit::wire::Field{#member, &message::member} __VA_OPT__(, ADIT_FIELD_AGAIN ADIT_PARENS (message, __VA_ARGS__))
// clang-format on

/// Declares what a message is, after its members: its C++ name, the specification's name, extension, message type, channel bit,
/// and its fields, if it has any, in the order of the wire.
#define ADIT_MESSAGE(message, name, extension, type, channel, ...) \
  static constexpr std::string_view kName = name;                  \
  static constexpr std::uint16_t kExtension = extension;           \
  static constexpr std::uint8_t kType = type;                      \
  static constexpr bool kChannelMessage = channel;                 \
  static constexpr auto kFields = std::tuple { __VA_OPT__(ADIT_EXPAND_1(ADIT_FIELD(message, __VA_ARGS__))) }

/// The payload's length in bytes, if no field breaks its bound.
template <Message M>
std::size_t encoded_size(const M& message);

/// True if every field keeps its type's bound and the whole fits a frame. Only then may encode_to be called.
template <Message M>
[[nodiscard]] bool can_encode(const M& message);

/// Writes the payload to `to`, which has encoded_size(message) bytes.
template <Message M>
void encode_to(const M& message, std::uint8_t* to);

/// Decodes a payload; what has a variable size views `payload`. With `rest`, whatever follows the last field is handed out
/// there (TLV fields, see tlv.h); without, it must be a well-formed TLV list, which is ignored: fields of extensions that
/// nobody negotiated are to be ignored (SV2 03 §3.4.3, ext 0x0002 §1.3). Errors: kTruncated, kTooLong, kBadOption,
/// kTrailingBytes.
template <Message M>
Result<M> decode(Bytes payload, Bytes* rest = nullptr);

/// Field by field.
template <Message M>
bool operator==(const M& a, const M& b);

/// `SubmitSharesStandard{channel_id=1, ...}` for logs: bytes in hex, long ones cut, text with control characters escaped.
template <Message M>
std::string to_string(const M& message);

}  // namespace adit::wire

#include "wire/codec_impl.h"
