#include "net/error.h"

namespace adit::net {

std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kWouldBlock:
      return "would_block";
    case Errc::kEndOfStream:
      return "end_of_stream";
    case Errc::kReset:
      return "reset";
    case Errc::kClosed:
      return "closed";
    case Errc::kTimedOut:
      return "timed_out";
    case Errc::kSlowReader:
      return "slow_reader";
    case Errc::kProtocol:
      return "protocol";
    case Errc::kHandshake:
      return "handshake";
    case Errc::kDenied:
      return "denied";
    case Errc::kRefused:
      return "refused";
    case Errc::kUnreachable:
      return "unreachable";
    case Errc::kAddressInUse:
      return "address_in_use";
    case Errc::kOverloaded:
      return "overloaded";
    case Errc::kConfiguration:
      return "configuration";
    case Errc::kUnsupported:
      return "unsupported";
    case Errc::kInternal:
      return "internal";
  }
  return "unknown";
}

}  // namespace adit::net
