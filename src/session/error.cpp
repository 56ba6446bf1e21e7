#include "session/error.h"

namespace adit::session {

std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kProtocol:
      return "protocol";
    case Errc::kRefused:
      return "refused";
    case Errc::kTimedOut:
      return "timed_out";
    case Errc::kIdle:
      return "idle";
    case Errc::kClosed:
      return "closed";
    case Errc::kOverloaded:
      return "overloaded";
    case Errc::kConfiguration:
      return "configuration";
    case Errc::kCannot:
      return "cannot";
  }
  return "unknown";
}

}  // namespace adit::session
