// Errors of the transport layer; each value says what its holder should do next.
#pragma once

#include <cstdint>
#include <string_view>

namespace adit::net {

enum class Errc {
  // Of one stream or connection.
  kWouldBlock,   ///< Nothing can move now: wait for readiness. Never reaches a role.
  kEndOfStream,  ///< The peer finished cleanly: dial again if its service is still wanted.
  kReset,        ///< The peer or the network cut the connection: retry with backoff.
  kClosed,       ///< Our side closed it: nothing to do.
  kTimedOut,     ///< A deadline passed: retry with backoff.
  kSlowReader,   ///< The peer does not read and our send queue reached its bound: cut off.
  kProtocol,     ///< The peer broke framing or encryption: cut off; as a client fall back.
  kHandshake,    ///< Noise failed: wrong authority, certificate out of its time: fix the configuration or the clock.
  kDenied,       ///< The peer answered SetupConnection with an Error: fall back; its code is in the message.
  // Of dialling and listening.
  kRefused,        ///< Nobody listens there: retry with backoff, or fall back.
  kUnreachable,    ///< No route, no such host, no relay or address known for that endpoint: the message says what to configure.
  kAddressInUse,   ///< The port is taken: choose another or stop the other program.
  kOverloaded,     ///< A bound of ours was reached: retry later.
  kConfiguration,  ///< The configuration cannot work: the message names the key.
  kUnsupported,    ///< This build lacks the carrier (ADIT_IROH=OFF).
  kInternal,       ///< A defect or an unknown error of the operating system: the message has its text.
};

constexpr std::string_view error_layer(Errc) { return "net"; }
constexpr bool error_is_usage(Errc code) { return code == Errc::kConfiguration || code == Errc::kUnsupported; }
std::string_view error_name(Errc code);

/// Why we end a connection; travels as the QUIC error code over iroh. 0 means "ended without goodbye" and is never sent by us.
enum class CloseCode : std::uint32_t {
  kShutdown = 1,
  kUnauthorized = 2,
  kProtocolError = 3,
  kOverloaded = 4,
  kDuplicate = 5,  ///< Never sent by us; understood (docs/lanes.md).
};

}  // namespace adit::net
