// When an iroh endpoint that finds no relay any more is to be built anew. An engine: no I/O, time is an argument.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/time.h"

namespace adit::net {

struct WatchdogPolicy {
  Duration period = std::chrono::seconds(10);   ///< Between two looks.
  Duration patience = std::chrono::minutes(2);  ///< So long may an endpoint be without a relay before it is built anew,
  Duration longest = std::chrono::minutes(30);  ///< twice as long each time that it did not help, up to this.
};

/// What a look at an endpoint shows.
struct EndpointHealth {
  bool relay_connected = false;  ///< To any of its relays.
  std::size_t direct = 0;        ///< Live connections whose data goes directly.
};

/// For an endpoint that has relays. Its connection to them can hang for good (iroh #4476), which from inside looks like a relay
/// or a network that is away. Building it anew cures the one and does no harm in the other, as long as nobody talks over the
/// old one: whoever talks through a relay that is not connected does not either, but a direct connection lives on.
class Watchdog {
 public:
  Watchdog(const WatchdogPolicy& policy, Instant now);

  /// To be called every `period`. True: build the endpoint anew now.
  bool look(const EndpointHealth& health, Instant now);

 private:
  WatchdogPolicy policy_;
  Duration patience_;
  Instant last_look_;
  Instant without_since_;
};

}  // namespace adit::net
