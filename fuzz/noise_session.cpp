// The record layer: what one side seals the other opens, in any chunks; one changed byte ends the session for good.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/require_testing.h"
#include "noise/session.h"

namespace {

using namespace adit;

constexpr std::uint32_t kMaxPayload = 1 << 20;

noise::Secret key(std::uint8_t fill) {
  std::array<std::uint8_t, noise::Secret::kSize> bytes;
  bytes.fill(fill);
  return noise::Secret(bytes);
}

noise::Session session(std::uint8_t send, std::uint8_t receive) {
  return {noise::CipherState(key(send)), noise::CipherState(key(receive)), kMaxPayload};
}

// How many frames came out; each must be the one that went in. Stops at an error.
std::size_t open_all(noise::Session& receiver, Bytes sealed, std::size_t chunk, const wire::FrameBuffer& sent) {
  std::vector<std::uint8_t> received;
  std::vector<wire::FrameView> views;
  auto expected = sent.begin();
  std::size_t count = 0;
  while (!sealed.empty()) {
    const Bytes arrived = sealed.first(std::min(chunk, sealed.size()));
    sealed = sealed.subspan(arrived.size());
    received.insert(received.end(), arrived.begin(), arrived.end());
    views.clear();
    const auto used = receiver.open(received, views);
    for (const wire::FrameView& view : views) {
      const wire::FrameView original = *expected++;
      require(view.header == original.header && std::ranges::equal(view.payload, original.payload));
      ++count;
    }
    if (!used) {
      require(receiver.dead());
      return count;
    }
    received.erase(received.begin(), received.begin() + static_cast<std::ptrdiff_t>(*used));
  }
  return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 6) return 0;
  const std::size_t chunk = data[0] + 1U;
  const std::size_t flip = data[1] | data[2] << 8;
  const auto bit = static_cast<std::uint8_t>(1 << (data[3] & 7));
  const std::size_t repeat = data[4] & 15U;  // Long payloads are sealed in several chunks.
  Bytes rest(data + 5, size - 5);

  wire::FrameBuffer frames;
  std::size_t count = 0;
  while (!rest.empty()) {
    const std::size_t length = std::min<std::size_t>(rest[0], rest.size() - 1);
    std::vector<std::uint8_t> payload;
    for (std::size_t i = 0; i <= repeat * 64; ++i)
      payload.insert(payload.end(), rest.begin() + 1, rest.begin() + 1 + static_cast<std::ptrdiff_t>(length));
    require(frames.push_raw({.extension_type = 0, .channel_message = false, .message_type = rest[0], .length = 0}, payload));
    rest = rest.subspan(1 + length);
    ++count;
  }

  noise::Session sender = session(1, 2);
  wire::ByteBuffer out;
  require(sender.seal(frames, out).has_value());
  std::vector<std::uint8_t> sealed(out.bytes().begin(), out.bytes().end());

  noise::Session honest = session(2, 1);
  require(open_all(honest, sealed, chunk * (repeat + 1) * 16, frames) == count && !honest.dead());

  sealed[flip % sealed.size()] ^= bit;
  noise::Session cheated = session(2, 1);
  require(open_all(cheated, sealed, chunk * (repeat + 1) * 16, frames) < count && cheated.dead());
  return 0;
}
