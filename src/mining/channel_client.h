// The mining protocol's client with one channel: what a miner, and a load on a pool, say after the session is set up. No I/O,
// time is an argument.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "channels/client.h"
#include "session/client_setup.h"
#include "session/error.h"
#include "session/shares.h"
#include "wire/frame.h"
#include "wire/mining_messages.h"

namespace adit::mining {

struct ChannelClientOptions {
  std::string user;
  double nominal_hash_rate_hps = 0;   ///< What the channel is opened with.
  bool extended = false;              ///< An extended channel, whose extranonce this client rolls, instead of a standard one.
  std::uint16_t extranonce_size = 4;  ///< Bytes of it that are asked for.
  bool regtest_only = false;          ///< The pool's authority key is one whose secret everybody has: see example_key.h.
};

/// What a client hears of its channel. Calls come from inside the client's functions; none may destroy it.
class ChannelClientHandler {
 public:
  virtual ~ChannelClientHandler() = default;
  /// From now on this is to be mined instead of what came before.
  virtual void on_job(const channels::ClientJob& job) = 0;
  /// A SetNewPrevHash for the channel came; its job follows by on_job().
  virtual void on_tip(const wire::SetNewPrevHash&) {}
  /// `round_trip`: of the newest of these shares, if it is known.
  virtual void on_accepted(std::uint64_t shares, std::optional<Duration> round_trip) = 0;
  virtual void on_rejected(std::string_view code) = 0;
};

/// One channel on one connection.
class ChannelClient {
 public:
  /// `handler` must outlive the client.
  ChannelClient(ChannelClientOptions options, ChannelClientHandler& handler)
      : options_(std::move(options)), handler_(handler) {}

  /// SetupConnection.flags of such a client.
  static std::uint32_t setup_flags(bool extended) { return extended ? 0 : wire::kRequiresStandardJobs; }

  /// The session is set up: appends the open. Once. Error: session::Errc::kRefused (only extended channels are served there, or
  /// the user's name is too long).
  Result<void> open(const session::Agreement& agreement, wire::FrameBuffer& out);

  /// Messages that it does not know, and those for channels that are not its own, are ignored.
  /// Errors (session::Errc): kRefused, kClosed, kProtocol, kConfiguration.
  Result<void> on_frame(const wire::FrameView& frame, const Now& now);

  /// Null while it is not open.
  [[nodiscard]] channels::ClientChannel* channel() { return channel_ ? &*channel_ : nullptr; }
  [[nodiscard]] session::StratumV2StreamHandler& shares() { return shares_; }

  /// Appends `share`; `share.extranonce` is used on an extended channel alone. The channel must be open.
  void submit(const channels::Share& share, Instant now, wire::FrameBuffer& out);

  /// Appends CloseChannel, if the channel is open, and hands over the shares whose answers may still come. The last call.
  session::StratumV2StreamHandler stop(std::string_view reason, wire::FrameBuffer& out);

 private:
  template <class M>
  Result<void> opened(const M& message);
  Result<void> on(const wire::OpenStandardMiningChannelSuccess& message, const Now& now);
  Result<void> on(const wire::OpenExtendedMiningChannelSuccess& message, const Now& now);
  Result<void> on(const wire::OpenMiningChannelError& message, const Now& now);
  Result<void> on(const wire::NewMiningJob& message, const Now& now);
  Result<void> on(const wire::NewExtendedMiningJob& message, const Now& now);
  Result<void> on(const wire::SetNewPrevHash& message, const Now& now);
  Result<void> on(const wire::SetTarget& message, const Now& now);
  Result<void> on(const wire::SetExtranoncePrefix& message, const Now& now);
  Result<void> on(const wire::SetGroupChannel& message, const Now& now);
  Result<void> on(const wire::SubmitSharesSuccess& message, const Now& now);
  Result<void> on(const wire::SubmitSharesError& message, const Now& now);
  Result<void> on(const wire::CloseChannel& message, const Now& now);
  Result<void> mine(Result<const channels::ClientJob*> job);
  [[nodiscard]] bool is_ours(std::uint32_t channel_id) const { return channel_ && channel_->addressed_by(channel_id); }

  const ChannelClientOptions options_;
  ChannelClientHandler& handler_;
  bool asked_ = false;
  std::optional<channels::ClientChannel> channel_;
  session::StratumV2StreamHandler shares_;
};

}  // namespace adit::mining
