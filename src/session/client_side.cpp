#include "session/client_side.h"

#include <algorithm>
#include <utility>

#include "wire/adit_messages.h"
#include "wire/common_messages.h"

namespace adit::session {
namespace {

/// True for frames that the session handles itself, whatever the protocol.
bool is_the_sessions(const wire::FrameView& frame) {
  const auto extension = frame.header.extension_type;
  return extension == wire::kAditExtension || extension == wire::kExtensionsNegotiation ||
         frame.is<wire::SetupConnectionSuccess>() || frame.is<wire::SetupConnectionError>() ||
         frame.is<wire::ChannelEndpointChanged>();
}

}  // namespace

ClientSide::ClientSide(ClientOptions options, bool lanes, bool ask_for_adit)
    : setup_(std::move(options), ask_for_adit && !lanes) {
  if (lanes) extension_.agree();
}

Result<void> ClientSide::on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out,
                                   const Handle& handle, const std::function<void()>& on_setup) {
  while (!frames.empty()) {
    if (extension_.heard_ack()) return fail(Errc::kProtocol, "the peer sent a message behind its GoodbyeAck");
    const auto own = std::ranges::find_if(frames, is_the_sessions);
    if (const auto count = static_cast<std::size_t>(own - frames.begin()); count != 0) {
      if (!setup_.accepted()) ADIT_CHECK(setup_.on_frame(frames.front(), now, out));  // It must be an answer.
      if (setup_.ready()) ADIT_CHECK(handle(frames.first(count)));
      frames = frames.subspan(count);
      continue;
    }
    const auto& frame = frames.front();
    frames = frames.subspan(1);
    if (frame.header.extension_type == wire::kAditExtension) {
      ADIT_CHECK(extension_.on_frame(frame, now, out));
      continue;
    }
    ADIT_CHECK(setup_.on_frame(frame, now, out));
    if (setup_.agreement().has_extension(wire::kAditExtension)) extension_.agree();
    on_setup();
  }
  return {};
}

}  // namespace adit::session
