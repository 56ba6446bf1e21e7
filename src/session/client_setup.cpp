#include "session/client_setup.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/hex.h"
#include "session/dispatch.h"
#include "wire/adit_messages.h"

namespace adit::session {
namespace {

/// The first few of them.
std::string list_of(const auto& extensions) {
  std::string list;
  for (const std::uint16_t extension : extensions) {
    if (list.size() > 64) return list + ", ...";
    const std::array<std::uint8_t, 2> bytes{static_cast<std::uint8_t>(extension >> 8), static_cast<std::uint8_t>(extension)};
    list.append(list.empty() ? "0x" : ", 0x").append(to_hex(bytes));
  }
  return list;
}

bool contains(const auto& extensions, std::uint16_t extension) {
  return std::ranges::any_of(extensions, [extension](std::uint16_t other) { return other == extension; });
}

}  // namespace

bool Agreement::has_extension(std::uint16_t extension) const { return contains(extensions, extension); }

void ClientSetup::start(std::string_view host, std::uint16_t port, const Now& now, wire::FrameBuffer& out) {
  state_ = State::kSettingUp;
  since_ = now.instant;
  out.push(wire::SetupConnection{.protocol = std::to_underlying(options_.protocol),
                                 .min_version = wire::kProtocolVersion,
                                 .max_version = wire::kProtocolVersion,
                                 .flags = options_.flags,
                                 .endpoint_host = host.substr(0, 255),
                                 .endpoint_port = port,
                                 .vendor = "adit",
                                 .hardware_version = std::string_view(options_.program).substr(0, 255),
                                 .firmware = ADIT_VERSION,
                                 .device_id = ""});
}

Result<bool> ClientSetup::on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out) {
  if (frame.is<wire::SetupConnectionSuccess>()) {
    ADIT_TRY(const auto message, decode<wire::SetupConnectionSuccess>(frame));
    ADIT_CHECK(on(message, now, out));
    return true;
  }
  if (frame.is<wire::SetupConnectionError>()) {
    ADIT_TRY(const auto message, decode<wire::SetupConnectionError>(frame));
    return fail(Errc::kRefused, "the upstream refused the connection: " + std::string(message.error_code.view()) +
                                    " (flags it does not support: " + std::to_string(message.flags) + ")");
  }
  if (!accepted()) {
    return fail(Errc::kProtocol, "the upstream sent message " + std::to_string(frame.header.message_type) +
                                     " before it answered SetupConnection");
  }
  if (frame.is<wire::ChannelEndpointChanged>()) {
    ADIT_CHECK(decode<wire::ChannelEndpointChanged>(frame));
    // Who answers now may know other extensions.
    agreement_.extensions.clear();
    if (!asked_.empty()) request_extensions(out);
    return true;
  }
  if (frame.header.extension_type != wire::kExtensionsNegotiation) return false;
  ADIT_CHECK((dispatch<wire::RequestExtensionsSuccess, wire::RequestExtensionsError>(
      frame, [this](const auto& message) { return on(message); })));
  return true;
}

Result<void> ClientSetup::on(const wire::SetupConnectionSuccess& message, const Now& now, wire::FrameBuffer& out) {
  if (state_ != State::kSettingUp) return fail(Errc::kProtocol, "the upstream answered SetupConnection twice");
  if (message.used_version != wire::kProtocolVersion) {
    return fail(Errc::kProtocol,
                "the upstream chose protocol version " + std::to_string(message.used_version) + ", which was not offered");
  }
  agreement_.flags = message.flags;
  since_ = now.instant;
  for (const auto* const list : {&options_.extensions, &options_.required_extensions}) {
    for (const std::uint16_t extension : *list) {
      if (!contains(asked_, extension)) asked_.push_back(extension);
    }
  }
  state_ = asked_.empty() ? State::kReady : State::kNegotiating;
  if (ask_for_adit_ && !contains(asked_, wire::kAditExtension)) asked_.push_back(wire::kAditExtension);
  if (!asked_.empty()) request_extensions(out);
  return {};
}

void ClientSetup::ask_for_adit(wire::FrameBuffer& out) {
  if (!contains(asked_, wire::kAditExtension)) asked_.push_back(wire::kAditExtension);
  request_extensions(out);
}

void ClientSetup::request_extensions(wire::FrameBuffer& out) {
  unanswered_ = true;
  out.push(wire::RequestExtensions{.request_id = ++request_id_, .requested_extensions = asked_});
}

Result<void> ClientSetup::on(const wire::RequestExtensionsSuccess& message) {
  if (!unanswered_ || message.request_id != request_id_) return {};
  unanswered_ = false;
  agreement_.extensions.clear();
  for (const std::uint16_t extension : message.supported_extensions) {
    if (contains(asked_, extension) && !agreement_.has_extension(extension)) agreement_.extensions.push_back(extension);
  }
  return end_negotiation();
}

Result<void> ClientSetup::on(const wire::RequestExtensionsError& message) {
  if (!unanswered_ || message.request_id != request_id_) return {};
  unanswered_ = false;
  if (!message.required_extensions.empty()) {
    return fail(Errc::kRefused, "the upstream requires extension " + list_of(message.required_extensions) +
                                    ", which it was not asked for: see supported_extensions");
  }
  agreement_.extensions.clear();
  return end_negotiation();
}

Result<void> ClientSetup::end_negotiation() {
  std::vector<std::uint16_t> missing;
  for (const std::uint16_t extension : options_.required_extensions) {
    if (!agreement_.has_extension(extension)) missing.push_back(extension);
  }
  if (!missing.empty()) {
    return fail(Errc::kRefused,
                "the upstream does not support extension " + list_of(missing) + ", which required_extensions asks of it");
  }
  state_ = State::kReady;
  return {};
}

Result<void> ClientSetup::on_tick(const Now& now) {
  if (state_ == State::kSettingUp && now.instant - since_ >= options_.setup_timeout) {
    return fail(Errc::kTimedOut, "the upstream did not answer SetupConnection");
  }
  if (state_ == State::kNegotiating && now.instant - since_ >= options_.negotiation_timeout) return end_negotiation();
  return {};
}

}  // namespace adit::session
