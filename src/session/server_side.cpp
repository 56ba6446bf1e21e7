#include "session/server_side.h"

#include <algorithm>
#include <utility>

#include "session/dispatch.h"
#include "wire/adit_messages.h"
#include "wire/messages.h"

namespace adit::session {
namespace {

bool contains(std::span<const std::uint16_t> list, std::uint16_t extension) {
  return std::ranges::find(list, extension) != list.end();
}

/// True for frames that the session handles itself, whatever the protocol.
bool is_the_sessions(const wire::FrameView& frame) {
  const auto extension = frame.header.extension_type;
  return extension == wire::kExtensionsNegotiation || extension == wire::kAditExtension;
}

}  // namespace

ServerSide::ServerSide(const ServerOptions& options, std::optional<wire::Protocol> lanes, Make make, Instant now)
    : options_(options), lanes_(lanes), make_(std::move(make)), opened_at_(now) {
  if (lanes_) extension_.agree();
}

const ProtocolOffer* ServerSide::offer_of(std::uint8_t protocol) const {
  if (lanes_ && std::to_underlying(*lanes_) != protocol) return nullptr;
  const auto number = [](const ProtocolOffer& offer) { return std::to_underlying(offer.protocol); };
  const auto found = std::ranges::find(options_.offers, protocol, number);
  return found == options_.offers.end() ? nullptr : &*found;
}

Result<void> ServerSide::on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out) {
  if (!frames.empty() && !is_set_up()) {
    ADIT_CHECK(on_setup_connection(frames.front(), out));
    frames = frames.subspan(1);
  }
  while (!frames.empty()) {
    if (extension_.heard_ack()) return fail(Errc::kProtocol, "the peer sent a message behind its GoodbyeAck");
    const auto own = std::ranges::find_if(frames, is_the_sessions);
    const auto count = static_cast<std::size_t>(own - frames.begin());
    if (count == 0) {
      ADIT_CHECK(on_extension_frame(frames.front(), now, out));
      frames = frames.subspan(1);
      continue;
    }
    if (!extensions_agreed_) {
      return fail(Errc::kProtocol, std::string(wire::message_name(frames.front().header)) +
                                       ": sent before the extensions that are required here were requested");
    }
    ADIT_CHECK(protocol_->on_frames(frames.first(count), now, out));
    frames = frames.subspan(count);
  }
  if (extension_.leaving()) settle(out);
  return {};
}

Result<void> ServerSide::on_extension_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out) {
  // About jobs, so the protocol's own affair.
  if (frame.is<wire::FollowPoolTip>() && extension_.agreed()) return protocol_->on_frames({&frame, 1}, now, out);
  if (frame.header.extension_type == wire::kAditExtension) return extension_.on_frame(frame, now, out);
  if (frame.is<wire::RequestExtensions>()) return on_request_extensions(frame, out);
  return fail(Errc::kProtocol, std::string(wire::message_name(frame.header)) + ": not a client's message");
}

Result<void> ServerSide::on_setup_connection(const wire::FrameView& frame, wire::FrameBuffer& out) {
  if (!frame.is<wire::SetupConnection>()) {
    return fail(Errc::kProtocol, std::string(wire::message_name(frame.header)) + ": the first message must be SetupConnection");
  }
  ADIT_TRY(const auto message, decode<wire::SetupConnection>(frame));
  const ProtocolOffer* const offer = offer_of(message.protocol);
  wire::SetupConnectionError refusal;
  if (offer == nullptr) {
    refusal.error_code = std::string_view("unsupported-protocol");
  } else if (message.min_version > wire::kProtocolVersion || message.max_version < wire::kProtocolVersion) {
    refusal.error_code = std::string_view("protocol-version-mismatch");
  } else if (refusal.flags = message.flags & ~offer->supported_flags; refusal.flags != 0) {
    refusal.error_code = std::string_view("unsupported-feature-flags");
  } else if ((message.flags & offer->required_flags) != offer->required_flags) {
    refusal.error_code = offer->missing_flags_code;
  }
  if (!refusal.error_code.empty()) {
    out.push(refusal);
    return fail(Errc::kRefused, "SetupConnection refused: " + std::string(refusal.error_code.view()));
  }
  offer_ = offer;
  extensions_agreed_ = offer->required_extensions.empty();
  protocol_ = std::exchange(make_, nullptr)({.protocol = offer->protocol,
                                             .flags = message.flags,
                                             .vendor = std::string(message.vendor.view()),
                                             .hardware_version = std::string(message.hardware_version.view()),
                                             .firmware = std::string(message.firmware.view()),
                                             .device_id = std::string(message.device_id.view())});
  out.push(wire::SetupConnectionSuccess{.used_version = wire::kProtocolVersion, .flags = protocol_->success_flags()});
  return {};
}

Result<void> ServerSide::on_request_extensions(const wire::FrameView& frame, wire::FrameBuffer& out) {
  ADIT_TRY(const auto message, decode<wire::RequestExtensions>(frame));
  const std::vector<std::uint16_t> requested(message.requested_extensions.begin(), message.requested_extensions.end());
  std::vector<std::uint16_t> missing;
  std::ranges::copy_if(offer_->required_extensions, std::back_inserter(missing),
                       [&](std::uint16_t extension) { return !contains(requested, extension); });
  std::vector<std::uint16_t> granted;
  std::vector<std::uint16_t> unsupported;
  for (const std::uint16_t extension : requested) {
    const bool is_here = extension == wire::kExtensionsNegotiation || extension == wire::kAditExtension ||
                         contains(offer_->supported_extensions, extension);
    (is_here ? granted : unsupported).push_back(extension);
  }
  // An Error only if nothing that was asked for is here, or something that must be asked for was not (ext 0x0001 §4.1).
  if (!missing.empty() || (granted.empty() && !unsupported.empty())) {
    out.push(wire::RequestExtensionsError{
        .request_id = message.request_id, .unsupported_extensions = unsupported, .required_extensions = missing});
    return {};
  }
  extensions_agreed_ = true;
  if (contains(granted, wire::kAditExtension)) extension_.agree();
  protocol_->on_extensions(granted);
  out.push(wire::RequestExtensionsSuccess{.request_id = message.request_id, .supported_extensions = granted});
  return {};
}

Result<void> ServerSide::on_tick(const Now& now, wire::FrameBuffer& out) {
  if (!is_set_up()) {
    if (now.instant - opened_at_ < options_.setup_timeout) return {};
    return fail(Errc::kIdle, "no SetupConnection within the time allowed");
  }
  return protocol_->on_tick(now, out);
}

void ServerSide::settle(wire::FrameBuffer& out) {
  if (!is_set_up()) return;
  protocol_->finish(out);
  if (protocol_->settled()) extension_.settle(out);
}

}  // namespace adit::session
