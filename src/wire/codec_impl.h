// Implementation of message.h. Straight-line code: one check of the payload's least size, then one more for each field of
// variable size; all else folds away.
#pragma once

#include "wire/message.h"  // IWYU pragma: keep
#include "wire/tlv.h"

namespace adit::wire {
namespace detail {

/// What one field type does: kMinSize, size, fits, write, read, print.
template <class T>
struct Type;

/// The state of decoding. `slack` is how many bytes the payload has beyond the least size of its fields: each variable field
/// takes its elements' bytes from it, so that nothing else needs a check.
struct Reader {
  const std::uint8_t* at;
  std::size_t slack;
};

void print(std::string& out, std::uint64_t value);
void print(std::string& out, float value);
void print(std::string& out, Bytes bytes);
void print_text(std::string& out, std::string_view text);

template <std::unsigned_integral T>
struct Type<T> {
  static constexpr std::size_t kMinSize = sizeof(T);
  static std::size_t extra(T) { return 0; }
  static bool fits(T) { return true; }
  static std::uint8_t* write(T value, std::uint8_t* to) {
    store_le(to, value);
    return to + sizeof(T);
  }
  static bool read(T& value, Reader& in, Errc&) {
    value = load_le<T>(in.at);
    in.at += sizeof(T);
    return true;
  }
  static void print(std::string& out, T value) { detail::print(out, std::uint64_t{value}); }
};

template <>
struct Type<bool> {
  static constexpr std::size_t kMinSize = 1;
  static std::size_t extra(bool) { return 0; }
  static bool fits(bool) { return true; }
  static std::uint8_t* write(bool value, std::uint8_t* to) {
    *to = value ? 1 : 0;
    return to + 1;
  }
  static bool read(bool& value, Reader& in, Errc&) {
    value = (*in.at++ & 1) != 0;  // The other bits are padding that a sender may set (03 §3.1).
    return true;
  }
  static void print(std::string& out, bool value) { out += value ? "true" : "false"; }
};

template <>
struct Type<float> {
  static constexpr std::size_t kMinSize = 4;
  static std::size_t extra(float) { return 0; }
  static bool fits(float) { return true; }
  static std::uint8_t* write(float value, std::uint8_t* to) {
    store_le(to, std::bit_cast<std::uint32_t>(value));
    return to + 4;
  }
  static bool read(float& value, Reader& in, Errc&) {
    value = std::bit_cast<float>(load_le<std::uint32_t>(in.at));
    in.at += 4;
    return true;
  }
  static void print(std::string& out, float value) { detail::print(out, value); }
};

template <std::size_t kSize>
struct Type<std::array<std::uint8_t, kSize>> {
  using Array = std::array<std::uint8_t, kSize>;
  static constexpr std::size_t kMinSize = kSize;
  static std::size_t extra(const Array&) { return 0; }
  static bool fits(const Array&) { return true; }
  static std::uint8_t* write(const Array& value, std::uint8_t* to) {
    std::memcpy(to, value.data(), kSize);
    return to + kSize;
  }
  static bool read(Array& value, Reader& in, Errc&) {
    std::memcpy(value.data(), in.at, kSize);
    in.at += kSize;
    return true;
  }
  static void print(std::string& out, const Array& value) { detail::print(out, Bytes(value)); }
};

template <PrefixedBytes T>
struct Type<T> {
  static constexpr std::size_t kMinSize = T::kPrefixBytes;
  static std::size_t extra(const T& value) { return value.size(); }
  static bool fits(const T& value) { return value.size() <= T::kMaxSize; }
  static std::uint8_t* write(const T& value, std::uint8_t* to) {
    store_length<T::kPrefixBytes>(to, value.size());
    to += T::kPrefixBytes;
    const Bytes bytes = value.bytes();
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    return to + bytes.size();
  }
  static bool read(T& value, Reader& in, Errc& error) {
    const std::size_t length = load_length<T::kPrefixBytes>(in.at);
    constexpr bool bounded = T::kMaxSize < (std::size_t{1} << (8 * T::kPrefixBytes)) - 1;
    if constexpr (bounded) {
      if (length > T::kMaxSize) [[unlikely]] {
        error = Errc::kTooLong;
        return false;
      }
    }
    if (length > in.slack) [[unlikely]] {
      error = Errc::kTruncated;
      return false;
    }
    const Bytes bytes(in.at + T::kPrefixBytes, length);
    if constexpr (std::same_as<T, Str0_255>) {
      value = T(as_text(bytes));
    } else {
      value = T(bytes);
    }
    in.at += T::kPrefixBytes + length;
    in.slack -= length;
    return true;
  }
  static void print(std::string& out, const T& value) {
    if constexpr (std::same_as<T, Str0_255>) {
      print_text(out, value.view());
    } else {
      detail::print(out, value.bytes());
    }
  }
};

template <class T>
struct Type<std::optional<T>> {
  static constexpr std::size_t kMinSize = 1;
  static std::size_t extra(const std::optional<T>& value) { return value ? Type<T>::kMinSize : 0; }
  static bool fits(const std::optional<T>&) { return true; }
  static std::uint8_t* write(const std::optional<T>& value, std::uint8_t* to) {
    *to++ = value ? 1 : 0;
    return value ? Type<T>::write(*value, to) : to;
  }
  static bool read(std::optional<T>& value, Reader& in, Errc& error) {
    static_assert(FixedSize<T>);
    const std::uint8_t count = *in.at++;
    if (count == 0) {
      value.reset();
      return true;
    }
    if (count > 1) [[unlikely]] {
      error = Errc::kBadOption;
      return false;
    }
    if (in.slack < Type<T>::kMinSize) [[unlikely]] {
      error = Errc::kTruncated;
      return false;
    }
    in.slack -= Type<T>::kMinSize;
    return Type<T>::read(value.emplace(), in, error);
  }
  static void print(std::string& out, const std::optional<T>& value) {
    if (value) {
      Type<T>::print(out, *value);
    } else {
      out += "none";
    }
  }
};

template <class T, std::size_t kPrefix, std::size_t kMax>
struct Type<Sequence<T, kPrefix, kMax>> {
  using Seq = Sequence<T, kPrefix, kMax>;
  static constexpr std::size_t kMinSize = kPrefix;
  static std::size_t extra(const Seq& list) {
    if constexpr (FixedSize<T>) {
      return list.size() * sizeof(T);
    } else {
      if (const auto encoded = list.wire_bytes()) return encoded->size();
      std::size_t bytes = 0;
      for (const T& element : list) bytes += T::kPrefixBytes + element.size();
      return bytes;
    }
  }
  static bool fits(const Seq& list) {
    if (list.size() > kMax) return false;
    if constexpr (!FixedSize<T>) {
      for (const T& element : list) {
        if (!Type<T>::fits(element)) return false;
      }
    }
    return true;
  }
  static std::uint8_t* write(const Seq& list, std::uint8_t* to) {
    store_length<kPrefix>(to, list.size());
    to += kPrefix;
    if (const auto encoded = list.wire_bytes()) {
      if (!encoded->empty()) std::memcpy(to, encoded->data(), encoded->size());
      return to + encoded->size();
    }
    for (const T& element : list) to = Type<T>::write(element, to);
    return to;
  }
  static bool read(Seq& list, Reader& in, Errc& error) {
    const std::size_t count = load_length<kPrefix>(in.at);
    in.at += kPrefix;
    const std::uint8_t* first = in.at;
    if constexpr (FixedSize<T>) {
      if (count * sizeof(T) > in.slack) [[unlikely]] {
        error = Errc::kTruncated;
        return false;
      }
      in.slack -= count * sizeof(T);
      in.at += count * sizeof(T);
    } else {
      for (std::size_t i = 0; i < count; ++i) {
        if (in.slack < T::kPrefixBytes) [[unlikely]] {
          error = Errc::kTruncated;
          return false;
        }
        in.slack -= T::kPrefixBytes;
        T element;
        if (!Type<T>::read(element, in, error)) [[unlikely]]
          return false;
      }
    }
    list = Seq::from_wire(Bytes(first, in.at), count);
    return true;
  }
  static void print(std::string& out, const Seq& list) {
    constexpr std::size_t kShown = 16;
    out += '[';
    std::size_t shown = 0;
    for (const T& element : list) {
      if (shown != 0) out += ", ";
      if (shown == kShown) {
        out += "...";
        break;
      }
      Type<T>::print(out, element);
      ++shown;
    }
    out += ']';
  }
};

template <class Member>
struct MemberType;
template <class M, class T>
struct MemberType<Field<M, T>> {
  using type = T;
};
template <class F>
using FieldType = Type<typename MemberType<std::remove_cvref_t<F>>::type>;

/// The least bytes that the payload of M can have.
template <class M>
inline constexpr std::size_t kMinSize =
    std::apply([](const auto&... field) { return (FieldType<decltype(field)>::kMinSize + ... + 0); }, M::kFields);

std::unexpected<Error> decode_error(Errc code, std::string_view message);

}  // namespace detail

template <Message M>
[[gnu::always_inline]] inline std::size_t encoded_size(const M& message) {
  return detail::kMinSize<M> +
         std::apply(
             [&](const auto&... field) { return (detail::FieldType<decltype(field)>::extra(message.*field.member) + ... + 0); },
             M::kFields);
}

template <Message M>
[[gnu::always_inline]] inline bool can_encode(const M& message) {
  return std::apply(
      [&](const auto&... field) { return (detail::FieldType<decltype(field)>::fits(message.*field.member) && ...); },
      M::kFields);
}

template <Message M>
[[gnu::always_inline]] inline void encode_to(const M& message, std::uint8_t* to) {
  std::apply([&](const auto&... field) { ((to = detail::FieldType<decltype(field)>::write(message.*field.member, to)), ...); },
             M::kFields);
}

template <Message M>
[[gnu::always_inline]] inline Result<M> decode(Bytes payload, Bytes* rest) {
  if (payload.size() < detail::kMinSize<M>) [[unlikely]]
    return detail::decode_error(Errc::kTruncated, M::kName);
  Result<M> result(std::in_place);
  detail::Reader in{payload.data(), payload.size() - detail::kMinSize<M>};
  Errc error{};
  const bool whole = std::apply(
      [&](const auto&... field) {
        return (detail::FieldType<decltype(field)>::read((*result).*field.member, in, error) && ...);
      },
      M::kFields);
  if (!whole) [[unlikely]]
    return detail::decode_error(error, M::kName);
  const Bytes after(in.at, in.slack);
  if (rest != nullptr) {
    *rest = after;
  } else if (!after.empty() && !well_formed_tlvs(after)) [[unlikely]] {
    return detail::decode_error(Errc::kTrailingBytes, M::kName);
  }
  return result;
}

template <Message M>
bool operator==(const M& a, const M& b) {
  return std::apply([&](const auto&... field) { return ((a.*field.member == b.*field.member) && ...); }, M::kFields);
}

template <Message M>
std::string to_string(const M& message) {
  std::string out(M::kName);
  char separator = '{';
  std::apply(
      [&](const auto&... field) {
        ((out += separator, out += separator == ',' ? " " : "", out += field.name, out += '=',
          detail::FieldType<decltype(field)>::print(out, message.*field.member), separator = ','),
         ...);
      },
      M::kFields);
  if (separator == '{') out += separator;
  out += '}';
  return out;
}

}  // namespace adit::wire
