// Extension 0x4AD1 on one session: orderly endings and round trips. An engine: no I/O, time is an argument. The messages are in
// wire/adit_messages.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "session/error.h"
#include "wire/adit_messages.h"
#include "wire/frame.h"

namespace adit::session {

/// Both ends of a session have one of these.
///
/// An ending: one side says Goodbye and begins nothing new. The other finishes what is under way, answers all of it, and sends
/// GoodbyeAck as its last frame. Who submits shares (the client) has finished when its last share is answered
/// (session/shares.h knows). Both may say Goodbye at once; each is then acknowledged.
class AditExtension {
 public:
  /// The peer knows the extension: it was negotiated, or the session is over lanes. Before that its messages are ignored.
  void agree() { agreed_ = true; }
  [[nodiscard]] bool agreed() const { return agreed_; }

  /// Handles a frame of this extension; answers go to `out`. Errors: kProtocol (a message that cannot be read, a second
  /// Goodbye, an acknowledgement of nothing).
  Result<void> on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);
  /// The peer's GoodbyeAck has come: no frame may follow it.
  [[nodiscard]] bool heard_ack() const { return heard_ack_; }

  /// Ends the session: Goodbye. Nothing may be begun any more. Only if agreed(); once.
  void say_goodbye(std::string_view reason, Duration patience, wire::FrameBuffer& out);

  /// To be called when all that came was handled and answered, in `out` too, and all that was asked of the peer was answered:
  /// acknowledges the peer's Goodbye if that is due.
  void settle(wire::FrameBuffer& out);

  /// The peer said Goodbye: finish what is under way, begin nothing new. How long it waits, at most kLongestPatience.
  [[nodiscard]] std::optional<Duration> peer_patience() const { return peer_patience_; }
  [[nodiscard]] const std::string& peer_reason() const { return peer_reason_; }
  [[nodiscard]] bool said_goodbye() const { return said_; }
  [[nodiscard]] bool leaving() const { return said_ || peer_patience_; }
  /// Every Goodbye that was said, on either side, is acknowledged: the connection may be drained.
  [[nodiscard]] bool over() const { return leaving() && (!said_ || heard_ack_) && (!peer_patience_ || sent_ack_); }

  /// Pings answered at once, and a second, at most: one more is not answered.
  static constexpr int kPingBurst = 64;
  static constexpr int kPingsPerSecond = 10;

  /// Asks for the round trip; a Ping that waits for its answer is not repeated. Only if agreed(). False: no
  /// Ping was written.
  bool ping(const Now& now, wire::FrameBuffer& out);
  /// The newest round trip, taken once.
  [[nodiscard]] std::optional<Duration> take_round_trip();
  /// The peer's clock minus ours, as the newest Pong said (half a round trip is added); the peer's word.
  [[nodiscard]] std::optional<std::chrono::milliseconds> clock_difference() const { return clock_difference_; }

  static constexpr Duration kLongestPatience = std::chrono::seconds(30);

 private:
  [[nodiscard]] bool may_answer_ping(Instant now);
  Result<void> on(const wire::Goodbye& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::GoodbyeAck& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::Ping& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::Pong& message, const Now& now, wire::FrameBuffer& out);

  bool agreed_ = false;
  bool said_ = false;
  bool heard_ack_ = false;
  bool sent_ack_ = false;
  std::optional<Duration> peer_patience_;
  std::string peer_reason_;
  std::uint64_t nonce_ = 0;
  std::optional<Instant> pinged_at_;
  std::optional<Duration> round_trip_;
  int pongs_left_ = kPingBurst;
  Instant pongs_at_{};  ///< When so many were left.
  std::optional<std::chrono::milliseconds> clock_difference_;
};

}  // namespace adit::session
