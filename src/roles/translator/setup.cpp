#include "roles/translator/setup.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/hex.h"

namespace adit::translator {
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

void UpstreamSetup::begin(const Now& now) {
  reset();
  state_ = State::kSettingUp;
  since_ = now.instant;
}

void UpstreamSetup::reset() {
  state_ = State::kNone;
  flags_ = 0;
  asked_.clear();
  granted_.clear();
}

bool UpstreamSetup::has_extension(std::uint16_t extension) const { return contains(granted_, extension); }

Result<bool> UpstreamSetup::on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out) {
  const auto decoded = [&]<class M>(Result<M> message, auto&& use) -> Result<bool> {
    if (!message) return fail(Errc::kProtocol, std::string(M::kName) + " cannot be read: " + message.error().message());
    ADIT_CHECK(use(*message));
    return true;
  };
  if (frame.is<wire::SetupConnectionSuccess>()) {
    return decoded(frame.as<wire::SetupConnectionSuccess>(), [&](const auto& message) { return on(message, now, out); });
  }
  if (frame.is<wire::SetupConnectionError>()) {
    return decoded(frame.as<wire::SetupConnectionError>(), [](const auto& message) -> Result<void> {
      return fail(Errc::kRefused, "the upstream refused the connection: " + std::string(message.error_code.view()) +
                                      " (flags it does not support: " + std::to_string(message.flags) + ")");
    });
  }
  if (state_ == State::kSettingUp || state_ == State::kNone) {
    return fail(Errc::kProtocol, "the upstream sent message " + std::to_string(frame.header.message_type) +
                                     " before it answered SetupConnection");
  }
  if (frame.is<wire::RequestExtensionsSuccess>()) {
    return decoded(frame.as<wire::RequestExtensionsSuccess>(), [&](const auto& message) { return on(message); });
  }
  if (frame.is<wire::RequestExtensionsError>()) {
    return decoded(frame.as<wire::RequestExtensionsError>(), [&](const auto& message) { return on(message); });
  }
  return frame.header.extension_type == wire::kExtensionsNegotiation;
}

Result<void> UpstreamSetup::on(const wire::SetupConnectionSuccess& message, const Now& now, wire::FrameBuffer& out) {
  if (state_ != State::kSettingUp) return fail(Errc::kProtocol, "the upstream answered SetupConnection twice");
  if (message.used_version != wire::kProtocolVersion) {
    return fail(Errc::kProtocol,
                "the upstream chose protocol version " + std::to_string(message.used_version) + ", which was not offered");
  }
  flags_ = message.flags;
  since_ = now.instant;
  for (const auto& list : {options_.extensions, options_.required_extensions}) {
    for (const std::uint16_t extension : list) {
      if (!contains(asked_, extension)) asked_.push_back(extension);
    }
  }
  if (asked_.empty()) {
    state_ = State::kReady;
  } else {
    state_ = State::kNegotiating;
    request_extensions(out);
  }
  return {};
}

void UpstreamSetup::request_extensions(wire::FrameBuffer& out) {
  wire::RequestExtensions request;
  request.request_id = ++request_id_;
  request.requested_extensions = asked_;
  out.push(request);
}

void UpstreamSetup::renegotiate(wire::FrameBuffer& out) {
  granted_.clear();
  if (!asked_.empty()) request_extensions(out);
}

Result<void> UpstreamSetup::on(const wire::RequestExtensionsSuccess& message) {
  if (asked_.empty() || message.request_id != request_id_) return {};
  granted_.clear();
  for (const std::uint16_t extension : message.supported_extensions) {
    if (contains(asked_, extension) && !has_extension(extension)) granted_.push_back(extension);
  }
  return end_negotiation();
}

Result<void> UpstreamSetup::on(const wire::RequestExtensionsError& message) {
  if (asked_.empty() || message.request_id != request_id_) return {};
  if (!message.required_extensions.empty()) {
    return fail(Errc::kRefused, "the upstream requires extension " + list_of(message.required_extensions) +
                                    ", which it was not asked for: see supported_extensions");
  }
  granted_.clear();
  return end_negotiation();
}

Result<void> UpstreamSetup::end_negotiation() {
  std::vector<std::uint16_t> missing;
  for (const std::uint16_t extension : options_.required_extensions) {
    if (!has_extension(extension)) missing.push_back(extension);
  }
  if (!missing.empty()) {
    return fail(Errc::kRefused,
                "the upstream does not support extension " + list_of(missing) + ", which required_extensions asks of it");
  }
  state_ = State::kReady;
  return {};
}

Result<void> UpstreamSetup::on_tick(const Now& now) {
  if (state_ == State::kSettingUp && now.instant - since_ >= options_.setup_timeout) {
    return fail(Errc::kTimedOut, "the upstream did not answer SetupConnection");
  }
  if (state_ == State::kNegotiating && now.instant - since_ >= options_.negotiation_timeout) return end_negotiation();
  return {};
}

}  // namespace adit::translator
