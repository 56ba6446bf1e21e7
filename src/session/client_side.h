// One upstream connection as its client sees it, whatever the protocol: the set-up and extension 0x4AD1 are handled here, all
// other frames by the caller. No I/O, time is an argument.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "session/adit_extension.h"
#include "session/client_setup.h"
#include "wire/frame.h"

namespace adit::session {

/// One connection. An error of any call ends it once `out` is sent.
class ClientSide {
 public:
  /// `lanes`: the session is over lanes, where extension 0x4AD1 is spoken without negotiation. `ask_for_adit`: it is asked for
  /// over one stream.
  ClientSide(ClientOptions options, bool lanes, bool ask_for_adit);

  /// As ClientSetup::start.
  void start(std::string_view host, std::uint16_t port, const Now& now, wire::FrameBuffer& out) {
    setup_.start(host, port, now, out);
  }

  /// Asks for extension 0x4AD1 now, where the constructor was told not to. Over lanes there is nothing to ask.
  void ask_for_adit(wire::FrameBuffer& out) {
    if (!extension_.agreed()) setup_.ask_for_adit(out);
  }

  /// Takes frames of the protocol, in the order sent and in runs.
  using Handle = std::function<Result<void>(std::span<const wire::FrameView>)>;

  /// Handles the frames in order: those of the set-up and of extension 0x4AD1 here, whose answers go to `out`, all others by
  /// `handle`, which must have been told by ready() that it may be called: frames of the protocol that come before that are
  /// dropped. `on_setup` is called after each frame of the set-up.
  /// Errors: those of ClientSetup::on_frame, AditExtension::on_frame and `handle`; kProtocol (a frame behind GoodbyeAck).
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out, const Handle& handle,
                         const std::function<void()>& on_setup);

  [[nodiscard]] bool ready() const { return setup_.ready(); }
  [[nodiscard]] ClientSetup& setup() { return setup_; }
  [[nodiscard]] const ClientSetup& setup() const { return setup_; }
  [[nodiscard]] AditExtension& extension() { return extension_; }
  [[nodiscard]] const AditExtension& extension() const { return extension_; }

 private:
  ClientSetup setup_;
  AditExtension extension_;
};

}  // namespace adit::session
