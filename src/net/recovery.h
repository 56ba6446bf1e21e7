// What to do after each error of the transport: one table, read by the drivers and printed in docs/iroh.md.
#pragma once

#include <string_view>

#include "base/error.h"
#include "net/error.h"
#include "net/selection.h"

namespace adit::net {

enum class Recovery {
  kRetry,             ///< The same again, after a wait.
  kFallBack,          ///< Another candidate first; this one again when it has cooled down.
  kGiveUp,            ///< This one thing is over: nothing to repeat.
  kFixConfiguration,  ///< Nothing helps before somebody changes a setting, a clock or a file; the message says which.
};

constexpr Recovery recovery_of(Errc code) {
  switch (code) {
    case Errc::kWouldBlock:   // when the stream is ready
    case Errc::kEndOfStream:  // if its service is still wanted
    case Errc::kReset:
    case Errc::kTimedOut:
    case Errc::kOverloaded:
    case Errc::kRefused:
    case Errc::kUnreachable:
      return Recovery::kRetry;
    case Errc::kProtocol:
    case Errc::kDenied:
      return Recovery::kFallBack;
    case Errc::kClosed:
    case Errc::kSlowReader:
    case Errc::kInternal:
      return Recovery::kGiveUp;
    case Errc::kHandshake:
    case Errc::kAddressInUse:
    case Errc::kConfiguration:
    case Errc::kUnsupported:
      break;
  }
  return Recovery::kFixConfiguration;
}

constexpr std::string_view to_string(Recovery recovery) {
  switch (recovery) {
    case Recovery::kRetry:
      return "retry";
    case Recovery::kFallBack:
      return "fall back";
    case Recovery::kGiveUp:
      return "give up";
    case Recovery::kFixConfiguration:
      break;
  }
  return "fix the configuration";
}

/// What is held against an upstream whose dial or connection ended with `error` (of this layer).
inline Severity severity_of(const Error& error) {
  if (error.is(Errc::kHandshake)) return Severity::kUntrusted;
  if (error.is(Errc::kProtocol)) return Severity::kMisbehaved;
  if (error.is(Errc::kDenied)) return Severity::kRefused;
  if (error.is(Errc::kConfiguration) || error.is(Errc::kUnsupported)) return Severity::kUnusable;
  return Severity::kLost;
}

}  // namespace adit::net
