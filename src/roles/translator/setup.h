// How a session with an upstream begins: SetupConnection's answer, then extension negotiation. An engine, no I/O.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "roles/translator/options.h"
#include "wire/common_messages.h"
#include "wire/frame.h"

namespace adit::translator {

/// Not thread-safe. What it has to send it appends to the buffer that it is given.
class UpstreamSetup {
 public:
  /// `options` must outlive this: extensions and deadlines are read there.
  explicit UpstreamSetup(const Options& options) : options_(options) {}

  /// SetupConnection was sent.
  void begin(const Now& now);
  /// The connection is gone.
  void reset();

  /// True if `frame` was the setup's: an answer to SetupConnection, or a message of extension 0x0001. The first answer makes it
  /// ready where no extension is asked for, else the answer to RequestExtensions does, or its absence.
  /// Errors: kProtocol (another message before SetupConnection's answer, a second answer, a version that was not offered),
  /// kRefused (SetupConnection.Error; an extension that we require is not supported, or the upstream requires one that we did
  /// not ask for).
  Result<bool> on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);

  /// Deadlines. A server without extension negotiation ignores RequestExtensions (ext 0x0001 §4.3): then it goes on without.
  /// Errors: kTimedOut (SetupConnection), kRefused (that server cannot have the extensions that we require).
  Result<void> on_tick(const Now& now);

  /// ChannelEndpointChanged (03 §3.6.4): who answers now may know other extensions, so they are negotiated anew.
  void renegotiate(wire::FrameBuffer& out);

  [[nodiscard]] bool ready() const { return state_ == State::kReady; }
  /// REQUIRES_FIXED_VERSION, REQUIRES_EXTENDED_CHANNELS of SetupConnection.Success.
  [[nodiscard]] std::uint32_t flags() const { return flags_; }
  /// The upstream confirmed it: an answer that comes after its deadline still counts.
  [[nodiscard]] bool has_extension(std::uint16_t extension) const;

 private:
  enum class State { kNone, kSettingUp, kNegotiating, kReady };

  Result<void> on(const wire::SetupConnectionSuccess& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::RequestExtensionsSuccess& message);
  Result<void> on(const wire::RequestExtensionsError& message);
  void request_extensions(wire::FrameBuffer& out);
  Result<void> end_negotiation();

  const Options& options_;
  State state_ = State::kNone;
  Instant since_{};
  std::uint32_t flags_ = 0;
  std::uint16_t request_id_ = 0;
  std::vector<std::uint16_t> asked_;
  std::vector<std::uint16_t> granted_;
};

}  // namespace adit::translator
