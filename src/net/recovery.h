// What to do after each error of the transport, for programs that use the library. Our own roles judge by upstream/severity.h,
// whose test holds the two against each other; docs/events.md prints the table.
#pragma once

#include <string_view>

#include "net/error.h"

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

}  // namespace adit::net
