// One downstream connection as its server sees it, whatever the protocol: SetupConnection (SV2 03 §3.6), the negotiation of
// extensions (ext 0x0001) and extension 0x4AD1 are handled here, all other frames by the engine of the protocol. No I/O, time
// is an argument.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "session/adit_extension.h"
#include "session/error.h"
#include "wire/common_messages.h"
#include "wire/frame.h"

namespace adit::session {

/// A SetupConnection that was accepted.
struct AcceptedSetup {
  wire::Protocol protocol = wire::Protocol::kMining;
  std::uint32_t flags = 0;
  std::string vendor{};            ///< The client's text, at most 255 bytes of any kind: escape it before showing it.
  std::string hardware_version{};  ///< Likewise.
  std::string firmware{};          ///< Likewise.
  std::string device_id{};         ///< Likewise.
};

/// The engine of a protocol on one connection. Made when SetupConnection was accepted; its calls are the connection's.
class ProtocolServer {
 public:
  virtual ~ProtocolServer() = default;

  /// The flags of SetupConnection.Success.
  [[nodiscard]] virtual std::uint32_t success_flags() const { return 0; }

  /// The client was granted these extensions, by one answer to RequestExtensions.
  virtual void on_extensions(std::span<const std::uint16_t> /*granted*/) {}

  /// Handles frames in the order sent and appends the answers to `out`. Frames of extensions that the session handles do not
  /// come here; FollowPoolTip does, where 0x4AD1 is spoken, and so do frames of extensions that nobody here knows. An error
  /// ends the connection once `out` is sent.
  virtual Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out) = 0;

  /// Called about once a second. An error ends the connection once `out` is sent.
  virtual Result<void> on_tick(const Now& now, wire::FrameBuffer& out) = 0;

  /// The session is about to end: answers what is held back.
  virtual void finish(wire::FrameBuffer& /*out*/) {}

  /// True if everything that the client asked is answered: only then is its Goodbye acknowledged.
  [[nodiscard]] virtual bool settled() const { return true; }

  /// Shares of the client that were good: a connection on which work is done is not given up for another one. 0: the
  /// protocol has no shares.
  [[nodiscard]] virtual std::uint64_t good_shares() const { return 0; }
};

/// What a server offers to the clients of one protocol.
struct ProtocolOffer {
  wire::Protocol protocol = wire::Protocol::kMining;
  std::uint32_t supported_flags = 0;                  ///< Of SetupConnection; others are answered by unsupported-feature-flags.
  std::uint32_t required_flags = 0;                   ///< Without one of these the answer is missing_flags_code.
  std::string_view missing_flags_code{};              ///< Needed where there are required_flags.
  std::vector<std::uint16_t> supported_extensions{};  ///< 0x0001 and 0x4AD1 are always there.
  std::vector<std::uint16_t> required_extensions{};   ///< A client must request these before it sends anything else.
};

/// What applies to every connection of a listener.
struct ServerOptions {
  std::vector<ProtocolOffer> offers;                  ///< One for each protocol that is served.
  Duration setup_timeout = std::chrono::seconds(10);  ///< From the connection to SetupConnection.
};

/// One connection. An error of any call ends it once `out` is sent; then only the destructor may follow.
class ServerSide {
 public:
  /// Makes the engine of an accepted connection. Called once at most, from inside on_frames.
  using Make = std::function<std::unique_ptr<ProtocolServer>(const AcceptedSetup& setup)>;

  /// `options` must outlive this. `lanes`: the session is over lanes and for that protocol alone; extension 0x4AD1 is spoken
  /// without negotiation there.
  ServerSide(const ServerOptions& options, std::optional<wire::Protocol> lanes, Make make, Instant now);

  /// Handles the frames in order and appends the answers to `out`. Allocates nothing for frames of the protocol itself, once it
  /// is set up. Errors: kProtocol, kRefused (SetupConnection was answered by an Error), and those of the engine.
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out);

  /// To be called about once a second. Errors: kIdle (no SetupConnection in time), and those of the engine.
  Result<void> on_tick(const Now& now, wire::FrameBuffer& out);

  /// Answers what is held back and, if the client waits for that and everything is answered, acknowledges its Goodbye.
  void settle(wire::FrameBuffer& out);

  [[nodiscard]] bool is_set_up() const { return protocol_ != nullptr; }
  /// Null before SetupConnection was accepted.
  [[nodiscard]] ProtocolServer* protocol() const { return protocol_.get(); }
  [[nodiscard]] AditExtension& extension() { return extension_; }
  [[nodiscard]] const AditExtension& extension() const { return extension_; }

 private:
  [[nodiscard]] const ProtocolOffer* offer_of(std::uint8_t protocol) const;
  Result<void> on_setup_connection(const wire::FrameView& frame, wire::FrameBuffer& out);
  Result<void> on_request_extensions(const wire::FrameView& frame, wire::FrameBuffer& out);
  Result<void> on_extension_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);

  const ServerOptions& options_;
  std::optional<wire::Protocol> lanes_;
  Make make_;
  Instant opened_at_;
  const ProtocolOffer* offer_ = nullptr;  ///< Of the protocol that the client chose.
  std::unique_ptr<ProtocolServer> protocol_;
  bool extensions_agreed_ = false;  ///< All required extensions were requested.
  AditExtension extension_;
};

}  // namespace adit::session
