// What is held against an upstream that failed or was lost, and for how long.
#pragma once

#include "base/error.h"
#include "base/time.h"
#include "net/error.h"
#include "session/error.h"

namespace adit::upstream {

enum class Severity {
  kMoved,       ///< It asked to be dialled anew: nothing.
  kLost,        ///< Out of reach, or gone: perhaps the network's fault.
  kRefused,     ///< It answered, and did not want us.
  kRejected,    ///< It rejected our shares.
  kMisbehaved,  ///< It broke the protocol.
  kUntrusted,   ///< It could not prove its authority.
  kUnusable,    ///< Not before somebody changes the configuration.
};

/// How long one is the last resort because of that.
constexpr Duration cool_down(Severity severity) {
  switch (severity) {
    case Severity::kMoved:
    case Severity::kLost:
      return Duration::zero();
    case Severity::kRefused:
      return std::chrono::minutes(1);
    case Severity::kRejected:
      return std::chrono::minutes(5);
    case Severity::kMisbehaved:
      return std::chrono::minutes(10);
    case Severity::kUntrusted:
      return std::chrono::minutes(30);
    case Severity::kUnusable:
      break;
  }
  return Duration::max();
}

/// By the error that its dial, its set-up or its session ended with.
inline Severity severity_of(const Error& error) {
  if (error.is(net::Errc::kHandshake)) return Severity::kUntrusted;
  if (error.is(net::Errc::kProtocol) || error.is(session::Errc::kProtocol)) return Severity::kMisbehaved;
  if (error.is(net::Errc::kDenied) || error.is(session::Errc::kRefused) || error.is(session::Errc::kTimedOut))
    return Severity::kRefused;
  if (error.is(net::Errc::kConfiguration) || error.is(net::Errc::kUnsupported) || error.is(session::Errc::kConfiguration))
    return Severity::kUnusable;
  return Severity::kLost;
}

}  // namespace adit::upstream
