#include "net/adit_extension.h"

#include <algorithm>
#include <array>
#include <utility>

#include "wire/adit_messages.h"
#include "wire/common_messages.h"

namespace adit::net {
namespace {

/// Of our RequestExtensions; the role's own have other ids.
constexpr std::uint16_t kRequestId = wire::kAditExtension;
constexpr auto kAsked = std::array<std::uint16_t, 1>{wire::kAditExtension};

std::uint64_t ms_of(const Now& now) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now.unix_time.time_since_epoch()).count());
}

bool lists_us(const wire::RequestExtensionsSuccess& message) {
  return std::ranges::find(message.supported_extensions, wire::kAditExtension) != message.supported_extensions.end();
}

}  // namespace

void AditExtension::request(wire::FrameBuffer& out) {
  asking_ = true;
  out.push(wire::RequestExtensions{.request_id = kRequestId, .requested_extensions = kAsked});
}

void AditExtension::on_sent(const wire::FrameBuffer& frames) {
  for (const auto& frame : frames) {
    if (!frame.is<wire::RequestExtensionsSuccess>()) continue;
    if (const auto message = frame.as<wire::RequestExtensionsSuccess>(); message && lists_us(*message)) agreed_ = true;
  }
}

Result<void> AditExtension::on_received(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out) {
  for (const auto& frame : frames) {
    if (heard_ack_) return fail(Errc::kProtocol, "the peer sent a message behind its GoodbyeAck");
    if (frame.is<wire::RequestExtensionsSuccess>()) {
      const auto message = frame.as<wire::RequestExtensionsSuccess>();
      if (!message || message->request_id != kRequestId || !std::exchange(asking_, false)) continue;
      agreed_ = lists_us(*message);
    } else if (frame.is<wire::RequestExtensionsError>()) {
      const auto message = frame.as<wire::RequestExtensionsError>();
      if (message && message->request_id == kRequestId) asking_ = false;
    } else if (frame.header.extension_type == wire::kAditExtension && agreed_) {
      ADIT_CHECK(on_own(frame, now, out));
    }
  }
  return {};
}

Result<void> AditExtension::on_own(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out) {
  const auto unreadable = [](std::string_view name, const Error& error) {
    return fail(Errc::kProtocol, std::string(name) + " cannot be read: " + error.message());
  };
  if (frame.is<wire::Goodbye>()) {
    const auto message = frame.as<wire::Goodbye>();
    if (!message) return unreadable("Goodbye", message.error());
    if (peer_patience_) return fail(Errc::kProtocol, "the peer said Goodbye twice");
    peer_patience_ = std::min<Duration>(kLongestPatience, std::chrono::milliseconds(message->drain_ms));
    peer_reason_ = std::string(message->reason.view());
  } else if (frame.is<wire::GoodbyeAck>()) {
    if (!said_) return fail(Errc::kProtocol, "the peer acknowledged a Goodbye that was not said");
    heard_ack_ = true;
  } else if (frame.is<wire::Ping>()) {
    const auto message = frame.as<wire::Ping>();
    if (!message) return unreadable("Ping", message.error());
    if (!sent_ack_ && may_answer_ping(now.instant)) out.push(wire::Pong{.nonce = message->nonce, .time_ms = ms_of(now)});
  } else if (frame.is<wire::Pong>()) {
    const auto message = frame.as<wire::Pong>();
    if (!message) return unreadable("Pong", message.error());
    if (!pinged_at_ || message->nonce != nonce_) return {};  // Late, or of a Ping that was not ours.
    round_trip_ = now.instant - *std::exchange(pinged_at_, std::nullopt);
    const auto half = std::chrono::duration_cast<std::chrono::milliseconds>(*round_trip_) / 2;
    clock_difference_ = std::chrono::milliseconds(static_cast<std::int64_t>(message->time_ms)) + half -
                        std::chrono::milliseconds(static_cast<std::int64_t>(ms_of(now)));
  }
  // A type that a later version has added is ignored.
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

}  // namespace adit::net
