#include "net/iroh/watchdog.h"

#include <algorithm>

namespace adit::net {

Watchdog::Watchdog(const WatchdogPolicy& policy, Instant now)
    : policy_(policy), patience_(policy.patience), last_look_(now), without_since_(now) {}

bool Watchdog::look(const EndpointHealth& health, Instant now) {
  // Who slept gives the endpoint the time to find its relay after waking up.
  const bool slept = now - last_look_ > policy_.patience / 2;
  last_look_ = now;
  if (health.relay_connected) patience_ = policy_.patience;
  if (health.relay_connected || slept) without_since_ = now;
  if (now - without_since_ < patience_ || health.direct > 0) return false;
  without_since_ = now;
  patience_ = std::min(policy_.longest, patience_ * 2);
  return true;
}

}  // namespace adit::net
