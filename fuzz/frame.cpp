// Plain frames from any bytes in any chunks: the chunks change nothing, and what decodes is encoded back to what decodes the
// same.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/require_testing.h"
#include "wire/frame.h"
#include "wire/messages.h"

namespace {

using namespace adit;

struct Frame {
  wire::FrameHeader header;
  std::vector<std::uint8_t> payload;
  bool operator==(const Frame&) const = default;
};

constexpr std::uint32_t kMaxPayload = 4096;

// All frames until the bytes or the codec's patience end, when `chunks`, one after another and again, arrive at a time.
std::vector<Frame> frames_of(Bytes stream, std::span<const std::size_t> chunks) {
  wire::PlainCodec codec(kMaxPayload);
  std::vector<Frame> found;
  std::vector<std::uint8_t> received;
  std::vector<wire::FrameView> views;
  for (std::size_t turn = 0; !stream.empty(); ++turn) {
    const Bytes arrived = stream.first(std::min(chunks[turn % chunks.size()], stream.size()));
    stream = stream.subspan(arrived.size());
    received.insert(received.end(), arrived.begin(), arrived.end());
    views.clear();
    const auto used = codec.open(received, views);
    for (const wire::FrameView& view : views) found.push_back({view.header, {view.payload.begin(), view.payload.end()}});
    if (!used) break;
    require(*used <= received.size() && codec.bytes_wanted() <= wire::kHeaderSize + kMaxPayload);
    received.erase(received.begin(), received.begin() + static_cast<std::ptrdiff_t>(*used));
  }
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const Bytes stream(data + 3, size - 3);
  const std::vector<Frame> whole = frames_of(stream, std::array{size});
  require(frames_of(stream, std::array{data[0] % 32 + 1UZ, data[1] % 64 + 1UZ, data[2] + 1UZ}) == whole);

  for (const Frame& frame : whole) {
    wire::with_message_type(frame.header, [&]<class M>(std::type_identity<M>) {
      Bytes rest;
      const auto message = wire::decode<M>(frame.payload, &rest);
      if (!message) return;
      require(wire::can_encode(*message) && wire::encoded_size(*message) + rest.size() <= frame.payload.size());
      std::vector<std::uint8_t> encoded(wire::encoded_size(*message));
      wire::encode_to(*message, encoded.data());
      const auto again = wire::decode<M>(encoded);
      require(again.has_value());
      // Bytes, not fields: a float may be no number and then equals nothing.
      std::vector<std::uint8_t> twice(wire::encoded_size(*again));
      wire::encode_to(*again, twice.data());
      require(twice == encoded);
      require(!wire::to_string(*message).empty());
    });
    wire::to_string(wire::FrameView{frame.header, frame.payload});
  }
  return 0;
}
