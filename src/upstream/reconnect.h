// What a client does when its server asks it to connect anew (Reconnect, SV2 03 §3.6.5).
#pragma once

#include <cstdint>
#include <deque>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "upstream/url.h"

namespace adit::upstream {

/// The peer that Reconnect{`host`, `port`} from `present` means; an empty host and port 0 are the present ones. The authority
/// key stays, so a hijacked pool can send its miners nowhere but to another server of that pool (the BGP hijack of 2014 lived
/// on client.reconnect). Over TCP `host` is a name or address; over iroh it is `ENDPOINT_ID?relay=...` and the port is 0.
/// Errors: kConfiguration (another place, and no authority key by which it could prove itself), kProtocol (no such place).
Result<net::Peer> reconnect_target(const net::Peer& present, std::string_view host, std::uint16_t port);

/// How often that is followed.
class ReconnectBudget {
 public:
  static constexpr std::size_t kMost = 3;
  static constexpr Duration kWithin = std::chrono::minutes(10);

  /// False if kMost were followed within the last kWithin; else counts one.
  [[nodiscard]] bool take(Instant now);

 private:
  std::deque<Instant> taken_;
};

}  // namespace adit::upstream
