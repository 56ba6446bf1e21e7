// A UDP address of this machine, taken for a moment or for good.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace adit::net {

/// A socket bound to "ip:port" or "[ip6]:port"; IPv6 without IPv4 beside it. Errors: kConfiguration: it is no such text;
/// kAddressInUse; kUnreachable: it cannot be bound for another reason.
Result<Fd> bind_udp(const std::string& address);

}  // namespace adit::net
