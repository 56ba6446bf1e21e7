// Errors of Stratum V2 sessions, the same for every protocol and for both sides. After each but kCannot the session is over.
#pragma once

#include <string_view>

namespace adit::session {

enum class Errc {
  kProtocol,       ///< The peer broke the protocol; the message says how. A payload that does not decode is this too.
  kRefused,        ///< One side refused: SetupConnection, an extension that is required, the session's first channel.
  kTimedOut,       ///< The peer did not answer in time.
  kIdle,           ///< The client did not set the session up, or did nothing with it, in time.
  kClosed,         ///< The peer closed what the session was for.
  kOverloaded,     ///< A bound of this side was reached.
  kConfiguration,  ///< This peer, or this call, is of no use before an operator changes something; the message says what.
  kCannot,         ///< The caller asked for something that cannot be. The session goes on.
};

constexpr std::string_view error_layer(Errc) { return "session"; }
constexpr bool error_is_usage(Errc code) { return code == Errc::kConfiguration; }
std::string_view error_name(Errc code);

}  // namespace adit::session
