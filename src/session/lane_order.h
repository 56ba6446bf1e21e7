// What lanes keep of a session's one order (docs/lanes.md §4): marks put in by the sender, obeyed by the receiver. No I/O, no
// clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "session/error.h"
#include "session/protocols.h"
#include "wire/frame.h"

namespace adit::session {

/// Sorts a session's frames onto its two lanes and puts the marks between them. One per session and direction.
class LaneSender {
 public:
  explicit LaneSender(wire::Protocol protocol) : second_(second_lane(protocol)) {}

  /// Appends each frame, in order, to `control` or to `second`, each with the mark that it needs before it.
  ///
  /// Written by two writes, `control` first: a mark on the second lane then never waits for bytes that are not on their way.
  /// Error: kConfiguration for a message that has no lane in this session (a share in a template session): a defect of ours;
  /// frames before it were appended.
  Result<void> route(const wire::FrameBuffer& frames, wire::FrameBuffer& control, wire::FrameBuffer& second);

 private:
  Lane second_;
  std::uint64_t control_frames_ = 0;  ///< Sent, marks not counted.
  std::uint64_t second_frames_ = 0;
  std::uint64_t marked_ = 0;  ///< control_frames_ as the last ControlMark said it.
};

/// Merges what comes on a session's two lanes into one order. One per session and direction.
///
/// A frame counts as handled once it was given out, so the caller handles frames in the order given, all of them, before it
/// offers more. Which lane one came on, lane_rule() says.
class LaneReceiver {
 public:
  /// More control frames than this waiting for data, or more bytes of them, end the session.
  static constexpr std::size_t kMaxWaiting = 64;
  static constexpr std::size_t kMaxWaitingBytes = 64 * 1024;
  /// So long may either side wait for the other; then the session ends.
  static constexpr Duration kMaxWait = std::chrono::seconds(10);

  explicit LaneReceiver(wire::Protocol protocol) : second_(second_lane(protocol)) {}

  /// Takes frames that came on control, all of them: those that may be handled now are appended to `out` (views into the
  /// caller's buffer), those that wait for data are copied.
  /// Errors (all kProtocol, the session is dead): a message of the second lane; a mark that goes back, follows a mark or stands
  /// on the wrong lane; too many waiting.
  Result<void> on_control(std::span<const wire::FrameView> frames, Instant now, std::vector<wire::FrameView>& out);

  /// Takes frames that came on the second lane, as far as control has come: returns how many from the front. The rest is to
  /// be offered again, first, when second_open() says so; meanwhile that lane is not to be read.
  /// Appends to `out` also the control frames that waited for these (views into this object, until its next call).
  /// Errors: as above.
  Result<std::size_t> on_second(std::span<const wire::FrameView> frames, Instant now, std::vector<wire::FrameView>& out);

  /// False while the second lane waits at a mark for control frames.
  [[nodiscard]] bool second_open() const { return !barrier_ || control_done() >= *barrier_; }

  /// Error: kProtocol if a side has waited for longer than kMaxWait.
  [[nodiscard]] Result<void> on_tick(Instant now) const;

  /// When the lane that waits longest began to; nullopt: none waits.
  [[nodiscard]] std::optional<Instant> waiting_since() const;

  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    std::uint64_t index = 0;       ///< Of the control frame, from 0.
    std::uint64_t after_data = 0;  ///< Frames of the second lane to be handled before it.
    Instant since{};
    std::vector<std::uint8_t> frame;  ///< Header and payload.
  };

  /// All control frames before this index were given out: what a ControlMark is held against. A count of frames would do
  /// wrong: one may wait while later ones are handled.
  /// An invariant: what waits is in order, and its bytes are counted.
  [[nodiscard]] bool consistent() const;
  [[nodiscard]] std::uint64_t control_done() const { return waiting_.empty() ? control_seen_ : waiting_.front().index; }
  void release_waiting(std::vector<wire::FrameView>& out);

  Lane second_;
  std::uint64_t control_seen_ = 0;  ///< Control frames that came, marks not counted.
  std::uint64_t second_done_ = 0;   ///< Second-lane frames given out, marks not counted.
  std::uint64_t last_data_mark_ = 0;
  std::optional<std::uint64_t> pending_data_mark_;  ///< For the next control frame.
  std::uint64_t last_control_mark_ = 0;
  std::optional<std::uint64_t> barrier_;  ///< The mark at which the second lane waits.
  Instant barrier_since_{};
  std::deque<Waiting> waiting_;    ///< In the order sent, which is also the order of after_data.
  std::vector<Waiting> released_;  ///< Keeps the bytes of what the last call gave out.
  std::size_t waiting_bytes_ = 0;
};

}  // namespace adit::session
