// Time as engines see it: an argument. Only drivers ask a Clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace adit {

/// Monotonic: deadlines, round trips, vardiff. Simulated in tests.
using Duration = std::chrono::nanoseconds;
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

/// Wall clock, seconds since 1970 (UTC): certificates, ntime.
using UnixTime = std::chrono::sys_seconds;

inline std::uint32_t to_u32(UnixTime time) { return static_cast<std::uint32_t>(time.time_since_epoch().count()); }
inline UnixTime from_u32(std::uint32_t seconds) { return UnixTime{std::chrono::seconds{seconds}}; }

/// Both clocks at one moment; what a driver hands to an engine.
struct Now {
  Instant instant;
  UnixTime unix_time;
};

/// Reads the machine's clocks. Drivers only.
inline Now now_from_system() {
  return {std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now()),
          std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now())};
}

}  // namespace adit
