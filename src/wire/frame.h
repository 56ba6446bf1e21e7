// SV2 frames (03 §3.2): the header, views of received frames, the buffer of frames to send, and the plain (unencrypted) codec.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/byte_buffer.h"
#include "wire/error.h"
#include "wire/message.h"

namespace adit::wire {

inline constexpr std::size_t kHeaderSize = 6;
/// The largest payload that the header can declare.
inline constexpr std::uint32_t kMaxPayload = kMaxU24;

struct FrameHeader {
  std::uint16_t extension_type = 0;  ///< Without the channel bit.
  bool channel_message = false;      ///< The channel bit: the payload starts with a channel_id.
  std::uint8_t message_type = 0;
  std::uint32_t length = 0;  ///< Of the payload, at most kMaxPayload.

  /// True if the frame carries M by extension and type. The channel bit is not asked: it changed in May 2026 (sv2-spec #196),
  /// so received ones are not relied upon.
  template <Message M>
  [[nodiscard]] constexpr bool is() const {
    return message_type == M::kType && extension_type == M::kExtension;
  }

  friend constexpr bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

inline FrameHeader decode_header(const std::uint8_t* from) {
  const auto extension = load_le<std::uint16_t>(from);
  return {.extension_type = static_cast<std::uint16_t>(extension & 0x7fff),
          .channel_message = (extension & 0x8000) != 0,
          .message_type = from[2],
          .length = load_u24(from + 3)};
}

inline void encode_header(const FrameHeader& header, std::uint8_t* to) {
  store_le(to, static_cast<std::uint16_t>(header.extension_type | (header.channel_message ? 0x8000 : 0)));
  to[2] = header.message_type;
  store_u24(to + 3, header.length);
}

/// One received or buffered frame; the payload views somebody's buffer.
struct FrameView {
  FrameHeader header;
  Bytes payload;

  template <Message M>
  [[nodiscard]] constexpr bool is() const {
    return header.is<M>();
  }

  /// The payload as M, whose views point into the payload. kWrongType if the frame carries another message; else as
  /// wire::decode.
  template <Message M>
  [[nodiscard]] Result<M> as(Bytes* rest = nullptr) const {
    if (!is<M>()) return wrong_type(M::kName);
    return decode<M>(payload, rest);
  }

 private:
  [[nodiscard]] std::unexpected<Error> wrong_type(std::string_view wanted) const;
};

/// Whole plain frames, one after another: engines append, drivers send. Not thread-safe. Allocates nothing once warm.
class FrameBuffer {
 public:
  /// Appends `message`, then `tlvs` (built with append_tlv). False, with nothing appended, if a field breaks its type's bound
  /// or the payload exceeds kMaxPayload. Look at it wherever a field's size comes from outside (names, reasons, transactions);
  /// with sizes known beforehand it cannot be false.
  template <Message M>
  bool push(const M& message, Bytes tlvs = {}) {
    if (!can_encode(message)) [[unlikely]]
      return false;
    const std::size_t fields = encoded_size(message);
    const std::size_t length = fields + tlvs.size();
    if (length > kMaxPayload) [[unlikely]]
      return false;
    std::uint8_t* to = buffer_.extend(kHeaderSize + length).data();
    encode_header({.extension_type = M::kExtension,
                   .channel_message = M::kChannelMessage,
                   .message_type = M::kType,
                   .length = static_cast<std::uint32_t>(length)},
                  to);
    encode_to(message, to + kHeaderSize);
    if (!tlvs.empty()) std::memcpy(to + kHeaderSize + fields, tlvs.data(), tlvs.size());
    return true;
  }

  /// Appends a frame as it is, to forward it; `header.length` is taken from `payload`. False if that exceeds kMaxPayload.
  bool push_raw(FrameHeader header, Bytes payload);

  /// Appends all frames of `other`.
  void append(const FrameBuffer& other) { buffer_.append(other.bytes()); }

  [[nodiscard]] Bytes bytes() const { return buffer_.bytes(); }
  [[nodiscard]] std::size_t size_bytes() const { return buffer_.size(); }
  [[nodiscard]] bool empty() const { return buffer_.empty(); }
  void clear() { buffer_.clear(); }
  void reserve(std::size_t bytes) { buffer_.reserve(bytes); }

  /// Forward iteration yields a FrameView per frame, valid until the next push or clear.
  class Iterator {
   public:
    using value_type = FrameView;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::forward_iterator_tag;

    Iterator() = default;
    explicit Iterator(const std::uint8_t* at) : at_(at) {}
    FrameView operator*() const {
      const FrameHeader header = decode_header(at_);
      return {header, Bytes(at_ + kHeaderSize, header.length)};
    }
    Iterator& operator++() {
      at_ += kHeaderSize + load_u24(at_ + 3);
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const std::uint8_t* at_ = nullptr;
  };

  [[nodiscard]] Iterator begin() const { return Iterator(bytes().data()); }
  [[nodiscard]] Iterator end() const { return Iterator(bytes().data() + bytes().size()); }

 private:
  ByteBuffer buffer_;
};

/// How frames become bytes of one connection and back: plain here, encrypted in noise/session.h. net/connection treats both
/// alike. One object per connection; not thread-safe. After any error it is dead: every later call returns an error.
class FrameCodec {
 public:
  virtual ~FrameCodec() = default;

  /// Appends all of `frames` to `out` as they go on the wire, contiguously. On an error nothing was appended.
  virtual Result<void> seal(const FrameBuffer& frames, ByteBuffer& out) = 0;

  /// Takes whole frames off the front of `received` (decrypting in place) and appends their views to `frames`. Returns how many
  /// bytes of the front were used up; the caller keeps the rest in front of what arrives next, in any memory. The views point
  /// into `received`. On an error the frames that came whole before it have been appended. A declared length allocates nothing
  /// here: the caller's buffer grows with what has arrived, up to bytes_wanted().
  virtual Result<std::size_t> open(MutableBytes received, std::vector<FrameView>& frames) = 0;

  /// The least number of bytes that `received` must have for the next open() to make progress, given the same unused rest at
  /// its front; 0 as long as that is not known. Never more than the connection's largest frame takes on the wire.
  [[nodiscard]] virtual std::size_t bytes_wanted() const = 0;
};

/// Frames without encryption.
class PlainCodec final : public FrameCodec {
 public:
  /// `max_payload`: a frame that declares more is an error at once (kFrameTooLarge).
  explicit PlainCodec(std::uint32_t max_payload = kMaxPayload) : max_payload_(max_payload) {}

  Result<void> seal(const FrameBuffer& frames, ByteBuffer& out) override;
  Result<std::size_t> open(MutableBytes received, std::vector<FrameView>& frames) override;
  [[nodiscard]] std::size_t bytes_wanted() const override { return wanted_; }

 private:
  std::uint32_t max_payload_;
  std::size_t wanted_ = kHeaderSize;
  bool dead_ = false;
};

/// The error of a frame that declares too much; shared by the codecs.
std::unexpected<Error> frame_too_large(const FrameHeader& header, std::uint32_t max_payload);

}  // namespace adit::wire
