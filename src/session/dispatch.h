// From a frame to the function that handles its message: the one place that turns a payload which does not decode into a breach
// of the protocol.
#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include "base/result.h"
#include "session/error.h"
#include "wire/frame.h"

namespace adit::session {

/// The error of a message whose payload does not decode.
template <wire::Message M>
[[nodiscard]] std::unexpected<Error> undecodable(const Error& why) {
  return fail(Errc::kProtocol, std::string(M::kName) + " cannot be read: " + why.message());
}

/// The frame's message as an M. The frame must carry an M. `rest`, if given, receives the extensions' fields behind it.
/// Error: kProtocol, if the payload does not decode.
template <wire::Message M>
[[nodiscard]] Result<M> decode(const wire::FrameView& frame, Bytes* rest = nullptr) {
  auto message = frame.as<M>(rest);
  if (!message) [[unlikely]]
    return undecodable<M>(message.error());
  return message;
}

/// Calls `handle` with the frame's message if it is one of Messages, which are tried in the order listed; `handle` returns
/// Result<void>. False: the frame carries none of them. Errors: kProtocol, if the payload does not decode; those of `handle`.
template <wire::Message... Messages, class Handle>
[[nodiscard]] Result<bool> dispatch(const wire::FrameView& frame, Handle&& handle) {
  Result<void> handled;
  const auto try_one = [&]<class M>(std::type_identity<M>) {
    if (!frame.is<M>()) return false;
    if (const auto message = frame.as<M>()) {
      handled = handle(*message);
    } else {
      handled = undecodable<M>(message.error());
    }
    return true;
  };
  const bool known = (try_one(std::type_identity<Messages>()) || ...);
  if (!handled) return fail(std::move(handled.error()));
  return known;
}

}  // namespace adit::session
