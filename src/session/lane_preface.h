// How the streams of one connection become sessions (docs/lanes.md §2): the first bytes of each stream, and which two belong
// together. No I/O.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>

#include "base/result.h"
#include "base/time.h"
#include "session/error.h"
#include "session/protocols.h"

namespace adit::session {

/// The first bytes of every stream, from the dialler: version, lane, protocol, a zero, and the session's number, little-endian.
struct LanePreface {
  static constexpr std::size_t kSize = 12;
  static constexpr std::uint8_t kVersion = 1;

  Lane lane = Lane::kControl;
  wire::Protocol protocol = wire::Protocol::kMining;
  std::uint64_t session_id = 0;

  [[nodiscard]] std::array<std::uint8_t, kSize> encode() const;
  /// Error: kProtocol, with what is wrong.
  static Result<LanePreface> decode(std::span<const std::uint8_t, kSize> from);

  bool operator==(const LanePreface&) const = default;
};

/// The listener's table of one connection's sessions. Streams come in any order.
class LaneSessions {
 public:
  static constexpr std::size_t kMaxSessions = 16;  ///< Open or half open at a time.
  static constexpr std::uint64_t kMaxSkip = 64;    ///< A session's number is at most so far beyond the highest before it.
  static constexpr Duration kPairingTime = std::chrono::seconds(10);  ///< For a session's other lane to come.

  /// A stream with that preface came. True: its session has both lanes now. Errors, which end the connection: kProtocol (a lane
  /// twice, another protocol than the session's first lane said, a number used before or too far ahead); kOverloaded.
  Result<bool> on_preface(const LanePreface& preface, Instant now);

  /// The session is over, or one lane of it failed before the other came. Its number is not used again.
  void on_end(std::uint64_t session_id) { sessions_.erase(session_id); }

  /// A session whose other lane did not come within kPairingTime; to be ended by on_end.
  [[nodiscard]] std::optional<std::uint64_t> overdue(Instant now) const;

  [[nodiscard]] std::size_t size() const { return sessions_.size(); }

 private:
  struct Session {
    LanePreface first;
    bool complete = false;
    Instant since{};
  };
  std::map<std::uint64_t, Session> sessions_;
  std::uint64_t highest_ = 0;        ///< Numbers start at 1.
  std::set<std::uint64_t> skipped_;  ///< Below highest_, may still come.
};

}  // namespace adit::session
