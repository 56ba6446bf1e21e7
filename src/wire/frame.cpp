#include "wire/frame.h"

#include <string>

namespace adit::wire {

std::unexpected<Error> FrameView::wrong_type(std::string_view wanted) const {
  std::string message = "expected ";
  message += wanted;
  message += ", got a frame of extension " + std::to_string(header.extension_type) + ", message type " +
             std::to_string(header.message_type);
  return fail(Errc::kWrongType, std::move(message));
}

bool FrameBuffer::push_raw(FrameHeader header, Bytes payload) {
  if (payload.size() > kMaxPayload) return false;
  header.length = static_cast<std::uint32_t>(payload.size());
  std::uint8_t* to = buffer_.extend(kHeaderSize + payload.size()).data();
  encode_header(header, to);
  if (!payload.empty()) std::memcpy(to + kHeaderSize, payload.data(), payload.size());
  return true;
}

std::unexpected<Error> frame_too_large(const FrameHeader& header, std::uint32_t max_payload) {
  return fail(Errc::kFrameTooLarge, "a frame of message type " + std::to_string(header.message_type) + " declares " +
                                        std::to_string(header.length) + " bytes; this connection allows " +
                                        std::to_string(max_payload));
}

Result<> PlainCodec::seal(const FrameBuffer& frames, ByteBuffer& out) {
  if (dead_) return fail(Errc::kDead, "this connection's framing has failed before");
  out.append(frames.bytes());
  return {};
}

Result<std::size_t> PlainCodec::open(MutableBytes received, std::vector<FrameView>& frames) {
  if (dead_) return fail(Errc::kDead, "this connection's framing has failed before");
  std::size_t used = 0;
  for (;;) {
    const std::size_t left = received.size() - used;
    wanted_ = kHeaderSize;
    if (left < kHeaderSize) return used;
    const FrameHeader header = decode_header(received.data() + used);
    if (header.length > max_payload_) {
      dead_ = true;
      return frame_too_large(header, max_payload_);
    }
    wanted_ = kHeaderSize + header.length;
    if (left < wanted_) return used;
    frames.push_back({header, Bytes(received.data() + used + kHeaderSize, header.length)});
    used += wanted_;
  }
}

}  // namespace adit::wire
