// The data types of SV2 (03 §3.1) as values and views. Unsigned integers, bool and float stand for themselves.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"

namespace adit::wire {

/// 256 bits, little-endian: the first byte is the least significant.
using U256 = std::array<std::uint8_t, 32>;

/// A BIP340 signature.
using Signature = std::array<std::uint8_t, 64>;

/// OPTION[T].
template <class T>
using Option = std::optional<T>;

inline constexpr std::uint32_t kMaxU24 = 0xff'ffff;

inline std::uint32_t load_u24(const std::uint8_t* from) {
  return static_cast<std::uint32_t>(from[0]) | static_cast<std::uint32_t>(from[1]) << 8 |
         static_cast<std::uint32_t>(from[2]) << 16;
}

inline void store_u24(std::uint8_t* to, std::uint32_t value) {
  to[0] = static_cast<std::uint8_t>(value);
  to[1] = static_cast<std::uint8_t>(value >> 8);
  to[2] = static_cast<std::uint8_t>(value >> 16);
}

/// A length prefix of 1, 2 or 3 bytes.
template <std::size_t kBytes>
std::uint32_t load_length(const std::uint8_t* from) {
  if constexpr (kBytes == 1) return *from;
  if constexpr (kBytes == 2) return load_le<std::uint16_t>(from);
  if constexpr (kBytes == 3) return load_u24(from);
}

template <std::size_t kBytes>
void store_length(std::uint8_t* to, std::size_t value) {
  if constexpr (kBytes == 1) *to = static_cast<std::uint8_t>(value);
  if constexpr (kBytes == 2) store_le(to, static_cast<std::uint16_t>(value));
  if constexpr (kBytes == 3) store_u24(to, static_cast<std::uint32_t>(value));
}

/// B0_32, B0_255, B0_64K, B0_16M: a view of bytes whose owner must outlive it (the receive buffer after decoding).
/// A view longer than kMax can be made; encoding it fails.
template <std::size_t kPrefix, std::size_t kMax>
class ByteString {
 public:
  static constexpr std::size_t kPrefixBytes = kPrefix;
  static constexpr std::size_t kMaxSize = kMax;

  constexpr ByteString() = default;
  template <class R>
    requires(std::convertible_to<R, Bytes> && !std::same_as<std::remove_cvref_t<R>, ByteString>)
  constexpr ByteString(R&& bytes) : bytes_(std::forward<R>(bytes)) {}

  constexpr operator Bytes() const { return bytes_; }
  [[nodiscard]] constexpr Bytes bytes() const { return bytes_; }
  [[nodiscard]] constexpr std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] constexpr bool empty() const { return bytes_.empty(); }
  [[nodiscard]] constexpr const std::uint8_t* data() const { return bytes_.data(); }
  [[nodiscard]] constexpr auto begin() const { return bytes_.begin(); }
  [[nodiscard]] constexpr auto end() const { return bytes_.end(); }
  friend bool operator==(const ByteString& a, const ByteString& b) { return std::ranges::equal(a.bytes_, b.bytes_); }

 private:
  Bytes bytes_;
};

using B0_32 = ByteString<1, 32>;
using B0_255 = ByteString<1, 255>;
using B0_64K = ByteString<2, 0xffff>;
using B0_16M = ByteString<3, kMaxU24>;

/// STR0_255: a view of text whose owner must outlive it. The bytes come from a peer: neither ASCII nor UTF-8 is certain.
class Str0_255 {
 public:
  static constexpr std::size_t kPrefixBytes = 1;
  static constexpr std::size_t kMaxSize = 255;

  constexpr Str0_255() = default;
  template <class S>
    requires(std::convertible_to<S, std::string_view> && !std::same_as<std::remove_cvref_t<S>, Str0_255>)
  constexpr Str0_255(S&& text) : text_(std::forward<S>(text)) {}

  constexpr operator std::string_view() const { return text_; }
  [[nodiscard]] constexpr std::string_view view() const { return text_; }
  [[nodiscard]] constexpr std::size_t size() const { return text_.size(); }
  [[nodiscard]] constexpr bool empty() const { return text_.empty(); }
  [[nodiscard]] Bytes bytes() const { return as_bytes(text_); }
  friend constexpr bool operator==(Str0_255 a, Str0_255 b) { return a.text_ == b.text_; }
  template <class S>
    requires(std::convertible_to<S, std::string_view> && !std::same_as<std::remove_cvref_t<S>, Str0_255>)
  friend constexpr bool operator==(const Str0_255& a, const S& b) {
    return a.text_ == std::string_view(b);
  }

 private:
  std::string_view text_;
};

template <class T>
concept FixedSize = std::unsigned_integral<T> || std::same_as<T, U256>;

template <class T>
concept PrefixedBytes = requires {
  { T::kPrefixBytes } -> std::convertible_to<std::size_t>;
  { T::kMaxSize } -> std::convertible_to<std::size_t>;
} && requires(const T& value) {
  { value.bytes() } -> std::same_as<Bytes>;
};

/// SEQ0_255[T], SEQ0_64K[T]: a list that views either a caller's contiguous elements (to encode) or received bytes (decoded).
/// The elements' owner must outlive it. Elements are returned by value; those of variable size are views themselves.
template <class T, std::size_t kPrefix, std::size_t kMax>
class Sequence {
  static_assert(FixedSize<T> || PrefixedBytes<T>);

 public:
  using value_type = T;
  static constexpr std::size_t kPrefixBytes = kPrefix;
  static constexpr std::size_t kMaxSize = kMax;

  constexpr Sequence() = default;
  /// The caller's elements: std::vector, std::array, std::span.
  template <class R>
    requires(std::convertible_to<R, std::span<const T>> && !std::same_as<std::remove_cvref_t<R>, Sequence>)
  Sequence(R&& elements) {
    const std::span<const T> items(std::forward<R>(elements));
    data_ = items.data();
    count_ = items.size();
  }

  /// Received bytes that hold exactly `count` well-formed elements; only the decoder makes these.
  static Sequence from_wire(Bytes encoded, std::size_t count) {
    Sequence list;
    list.data_ = encoded.data();
    list.count_ = count;
    list.encoded_bytes_ = encoded.size();
    list.encoded_ = true;
    return list;
  }

  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] bool empty() const { return count_ == 0; }

  /// Element `index`, which must be below size().
  [[nodiscard]] T operator[](std::size_t index) const
    requires FixedSize<T>
  {
    return element_at(static_cast<const std::uint8_t*>(data_) + index * sizeof(T), encoded_);
  }

  class Iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::forward_iterator_tag;

    Iterator() = default;
    Iterator(const void* at, std::size_t left, bool encoded) : at_(at), left_(left), encoded_(encoded) {}
    T operator*() const { return element_at(at_, encoded_); }
    Iterator& operator++() {
      at_ = static_cast<const std::uint8_t*>(at_) + stride();
      --left_;
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.left_ == b.left_; }

   private:
    [[nodiscard]] std::size_t stride() const {
      if constexpr (FixedSize<T>) {
        return sizeof(T);
      } else {
        return encoded_ ? T::kPrefixBytes + load_length<T::kPrefixBytes>(static_cast<const std::uint8_t*>(at_)) : sizeof(T);
      }
    }

    const void* at_ = nullptr;
    std::size_t left_ = 0;
    bool encoded_ = false;
  };

  [[nodiscard]] Iterator begin() const { return {data_, count_, encoded_}; }
  [[nodiscard]] Iterator end() const { return {nullptr, 0, encoded_}; }

  friend bool operator==(const Sequence& a, const Sequence& b) { return a.size() == b.size() && std::ranges::equal(a, b); }

  /// The elements as on the wire, if the list is held that way.
  [[nodiscard]] std::optional<Bytes> wire_bytes() const {
    constexpr bool same_layout = std::same_as<T, U256> || (FixedSize<T> && std::endian::native == std::endian::little);
    if (encoded_) return Bytes(static_cast<const std::uint8_t*>(data_), encoded_bytes_);
    if constexpr (same_layout) return Bytes(static_cast<const std::uint8_t*>(data_), count_ * sizeof(T));
    return std::nullopt;
  }

 private:
  static T element_at(const void* at, bool encoded) {
    if constexpr (FixedSize<T>) {
      if constexpr (std::unsigned_integral<T>) {
        if (encoded) return load_le<T>(static_cast<const std::uint8_t*>(at));
      }
      T value;
      std::memcpy(&value, at, sizeof value);
      return value;
    } else {
      if (!encoded) return *static_cast<const T*>(at);
      const auto* from = static_cast<const std::uint8_t*>(at);
      return T(Bytes(from + T::kPrefixBytes, load_length<T::kPrefixBytes>(from)));
    }
  }

  const void* data_ = nullptr;
  std::size_t count_ = 0;
  std::size_t encoded_bytes_ = 0;
  bool encoded_ = false;
};

template <class T>
using Seq0_255 = Sequence<T, 1, 255>;
template <class T>
using Seq0_64K = Sequence<T, 2, 0xffff>;

}  // namespace adit::wire
