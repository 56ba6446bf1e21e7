// How a client begins a session of any protocol: SetupConnection and its answer (SV2 03 §3.6), then the negotiation of
// extensions (ext 0x0001). An engine: no I/O, time is an argument.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "session/error.h"
#include "wire/common_messages.h"
#include "wire/frame.h"

namespace adit::session {

/// What a client says of itself and asks for.
struct ClientOptions {
  wire::Protocol protocol = wire::Protocol::kMining;
  std::string program;                                     ///< Which of our programs this is, for the server's log.
  std::uint32_t flags = 0;                                 ///< SetupConnection.flags, per protocol.
  std::vector<std::uint16_t> extensions{};                 ///< Asked for; the session is ready once they are answered.
  std::vector<std::uint16_t> required_extensions{};        ///< Asked for too; without one of them the server is refused.
  Duration setup_timeout = std::chrono::seconds(10);       ///< For the answer to SetupConnection.
  Duration negotiation_timeout = std::chrono::seconds(3);  ///< For the answer to RequestExtensions, which some servers ignore.
};

/// What client and server agreed upon.
struct Agreement {
  std::uint32_t flags = 0;                  ///< Of SetupConnection.Success, per protocol.
  std::vector<std::uint16_t> extensions{};  ///< Those that the server granted.

  [[nodiscard]] bool has_extension(std::uint16_t extension) const;
};

/// The beginning of one session. What it has to send it appends to the buffer that it is given.
class ClientSetup {
 public:
  /// `ask_for_adit`: extension 0x4AD1 is asked for too; its answer is not waited for.
  explicit ClientSetup(ClientOptions options, bool ask_for_adit = false)
      : options_(std::move(options)), ask_for_adit_(ask_for_adit) {}

  /// Appends SetupConnection for version 2. `host` and `port` are what was dialled: a name or address, or an endpoint id and 0.
  void start(std::string_view host, std::uint16_t port, const Now& now, wire::FrameBuffer& out);

  /// Takes a frame of the server. True if it was the set-up's: an answer to SetupConnection, a message of extension 0x0001, or
  /// ChannelEndpointChanged (03 §3.6.4), after which extensions are negotiated anew.
  /// Errors: kProtocol (another message before SetupConnection's answer, a second answer, a version that was not offered),
  /// kRefused (SetupConnection.Error; an extension that we require is not supported, or the server requires one that it was not
  /// asked for).
  Result<bool> on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);

  /// Asks for extension 0x4AD1 now, for a client that did not ask with the set-up. The session is ready; its answer is not
  /// waited for.
  void ask_for_adit(wire::FrameBuffer& out);

  /// A server without extension negotiation ignores RequestExtensions (ext 0x0001 §4.3): then the session goes on without.
  /// Errors: kTimedOut (SetupConnection), kRefused (that server cannot have the extensions that we require).
  Result<void> on_tick(const Now& now);

  /// SetupConnection was answered by Success.
  [[nodiscard]] bool accepted() const { return state_ == State::kNegotiating || state_ == State::kReady; }
  /// The protocol's own messages may go out.
  [[nodiscard]] bool ready() const { return state_ == State::kReady; }
  [[nodiscard]] const Agreement& agreement() const { return agreement_; }
  /// RequestExtensions was sent and has no answer yet. A server that never gives one does not know extension negotiation.
  [[nodiscard]] bool unanswered() const { return unanswered_; }

 private:
  enum class State { kNone, kSettingUp, kNegotiating, kReady };

  Result<void> on(const wire::SetupConnectionSuccess& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::RequestExtensionsSuccess& message);
  Result<void> on(const wire::RequestExtensionsError& message);
  void request_extensions(wire::FrameBuffer& out);
  Result<void> end_negotiation();

  const ClientOptions options_;
  bool ask_for_adit_;
  State state_ = State::kNone;
  Instant since_{};
  Agreement agreement_;
  std::uint16_t request_id_ = 0;
  std::vector<std::uint16_t> asked_;
  bool unanswered_ = false;
};

}  // namespace adit::session
