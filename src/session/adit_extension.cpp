#include "session/adit_extension.h"

#include <algorithm>
#include <utility>

#include "session/dispatch.h"

namespace adit::session {
namespace {

std::uint64_t ms_of(const Now& now) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now.unix_time.time_since_epoch()).count());
}

}  // namespace

Result<void> AditExtension::on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out) {
  if (!agreed_) return {};
  if (heard_ack_) return fail(Errc::kProtocol, "the peer sent a message behind its GoodbyeAck");
  // A type that a later version has added is ignored.
  ADIT_CHECK((dispatch<wire::Ping, wire::Pong, wire::Goodbye, wire::GoodbyeAck>(
      frame, [&](const auto& message) { return on(message, now, out); })));
  return {};
}

Result<void> AditExtension::on(const wire::Goodbye& message, const Now&, wire::FrameBuffer&) {
  if (peer_patience_) return fail(Errc::kProtocol, "the peer said Goodbye twice");
  peer_patience_ = std::min<Duration>(kLongestPatience, std::chrono::milliseconds(message.drain_ms));
  peer_reason_ = std::string(message.reason.view());
  return {};
}

Result<void> AditExtension::on(const wire::GoodbyeAck&, const Now&, wire::FrameBuffer&) {
  if (!said_) return fail(Errc::kProtocol, "the peer acknowledged a Goodbye that was not said");
  heard_ack_ = true;
  return {};
}

Result<void> AditExtension::on(const wire::Ping& message, const Now& now, wire::FrameBuffer& out) {
  if (!sent_ack_ && may_answer_ping(now.instant)) out.push(wire::Pong{.nonce = message.nonce, .time_ms = ms_of(now)});
  return {};
}

Result<void> AditExtension::on(const wire::Pong& message, const Now& now, wire::FrameBuffer&) {
  if (!pinged_at_ || message.nonce != nonce_) return {};  // Late, or of a Ping that was not ours.
  round_trip_ = now.instant - *std::exchange(pinged_at_, std::nullopt);
  // A peer may say any time: a difference that no clock has is none.
  if (message.time_ms > static_cast<std::uint64_t>(INT64_MAX) / 2) {
    clock_difference_ = std::nullopt;
    return {};
  }
  const auto half = std::chrono::duration_cast<std::chrono::milliseconds>(*round_trip_) / 2;
  clock_difference_ = std::chrono::milliseconds(static_cast<std::int64_t>(message.time_ms)) + half -
                      std::chrono::milliseconds(static_cast<std::int64_t>(ms_of(now)));
  return {};
}

bool AditExtension::may_answer_ping(Instant now) {
  constexpr Duration kEach = std::chrono::nanoseconds(std::chrono::seconds(1)) / kPingsPerSecond;
  const auto more = (now - pongs_at_) / kEach;
  if (more >= kPingBurst - pongs_left_) {
    pongs_left_ = kPingBurst;
    pongs_at_ = now;
  } else {
    pongs_left_ += static_cast<int>(more);
    pongs_at_ += more * kEach;
  }
  if (pongs_left_ == 0) return false;
  --pongs_left_;
  return true;
}

void AditExtension::say_goodbye(std::string_view reason, Duration patience, wire::FrameBuffer& out) {
  if (!agreed_ || sent_ack_ || std::exchange(said_, true)) return;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(patience).count();
  out.push(wire::Goodbye{.reason = reason.substr(0, 255),
                         .drain_ms = static_cast<std::uint32_t>(std::clamp<std::int64_t>(ms, 0, UINT32_MAX))});
}

void AditExtension::settle(wire::FrameBuffer& out) {
  if (!peer_patience_ || std::exchange(sent_ack_, true)) return;
  out.push(wire::GoodbyeAck{});
}

bool AditExtension::ping(const Now& now, wire::FrameBuffer& out) {
  if (!agreed_ || pinged_at_ || sent_ack_) return false;
  pinged_at_ = now.instant;
  out.push(wire::Ping{.nonce = ++nonce_, .time_ms = ms_of(now)});
  return true;
}

std::optional<Duration> AditExtension::take_round_trip() { return std::exchange(round_trip_, std::nullopt); }

}  // namespace adit::session
