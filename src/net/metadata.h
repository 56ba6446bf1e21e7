// What is known of a connection: shown in logs, metrics and `adit demo`.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"

namespace adit::net {

enum class Transport { kTcp, kIroh };
constexpr std::string_view to_string(Transport transport) { return transport == Transport::kTcp ? "tcp" : "iroh"; }

enum class Path { kUnknown, kDirect, kRelayed };
constexpr std::string_view to_string(Path path) {
  return path == Path::kDirect ? "direct" : path == Path::kRelayed ? "relayed" : "unknown";
}

/// net/health.h decides.
enum class HealthState { kHealthy, kDegraded, kDead };
constexpr std::string_view to_string(HealthState state) {
  return state == HealthState::kHealthy ? "healthy" : state == HealthState::kDegraded ? "degraded" : "dead";
}

enum class HealthReason {
  kNone,    ///< Healthy.
  kSlow,    ///< Round trips of Ping take too long.
  kLossy,   ///< Many packets are lost.
  kLate,    ///< A Ping has waited long for its answer.
  kSilent,  ///< Nothing is heard from the peer's host; over iroh, which is in the program, also from a hung one.
  kHung,    ///< Its host answers, its program does not.
};
constexpr std::string_view to_string(HealthReason reason) {
  constexpr std::string_view kNames[] = {"none", "slow", "lossy", "late", "silent", "hung"};
  return kNames[static_cast<int>(reason)];
}

struct Health {
  HealthState state = HealthState::kHealthy;
  HealthReason reason = HealthReason::kNone;  ///< While degraded: what was wrong last.
  bool operator==(const Health&) const = default;
};

/// What the carrier counts, and how it fares on the way that is used now.
struct CarrierFigures {
  std::uint64_t heard = 0;              ///< Changes whenever anything comes from the peer's host, acknowledgements included.
  std::optional<Duration> heard_ago;    ///< How long ago that was, where the carrier knows.
  std::uint64_t packets_sent = 0;       ///< QUIC's, over all ways; over TCP segments with data.
  std::uint64_t packets_lost = 0;       ///< QUIC's, over all ways; over TCP segments that were sent again.
  std::uint64_t congestion_window = 0;  ///< Bytes that may be under way.
  std::uint32_t mtu = 0;                ///< Bytes of payload in one UDP datagram, or in one TCP segment.
};

/// A connection's data began to go another way.
struct PathChange {
  UnixTime at{};
  Path from = Path::kUnknown;
  Path to = Path::kUnknown;  ///< The same as before: only the address is another.
  std::string address;       ///< As ConnectionMetadata::source, after the change.
};

/// The newest of them, oldest first.
class PathHistory {
 public:
  static constexpr std::size_t kMost = 8;

  void add(PathChange change) {
    if (changes_.size() == kMost) changes_.erase(changes_.begin());
    changes_.push_back(std::move(change));
  }
  [[nodiscard]] const std::vector<PathChange>& changes() const { return changes_; }

 private:
  std::vector<PathChange> changes_;
};

struct ConnectionMetadata {
  Transport transport = Transport::kTcp;
  std::string peer;           ///< "ip:port" over TCP, the endpoint id (64 hex digits) over iroh.
  std::string source;         ///< What quotas count by: "ip:port" as seen last, or the relay's URL. Empty: unknown.
  std::string authority_key;  ///< The pool authority that was proved, base58check; empty if none was asked for.
  std::optional<UnixTime> certificate_until;  ///< The certificate that the peer showed is valid so long.
  std::string alpn{};                         ///< Over iroh: the protocol that both sides agreed on.
  unsigned lanes = 1;                         ///< Streams that carry it; 1 also over TCP.
  unsigned sessions = 1;                      ///< Of the connection that carries this one, this one included.
  Path path = Path::kUnknown;
  std::optional<Duration> path_rtt;       ///< The carrier's own estimate of the round trip.
  std::uint64_t path_changes = 0;         ///< Times that the data began to go another way: relayed, direct, another address.
  PathHistory path_history;               ///< The newest of these.
  std::optional<CarrierFigures> figures;  ///< Where the carrier counts.
  std::uint64_t bytes_received = 0;       ///< On the wire, carrier overhead excluded.
  std::uint64_t bytes_sent = 0;
  Health health;  ///< As who uses the connection has found it.
  Instant opened_at{};
};

/// For logs: microseconds; 0: not known.
constexpr std::int64_t rtt_us(const ConnectionMetadata& metadata) {
  return std::chrono::duration_cast<std::chrono::microseconds>(metadata.path_rtt.value_or(Duration::zero())).count();
}

}  // namespace adit::net
