// One connection of `adit load` as an engine: opens a channel, keeps its work, finds shares, counts the answers. No I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "channels/client.h"
#include "mining/channel_client.h"
#include "roles/load/meter.h"
#include "roles/load/search.h"
#include "session/client_side.h"
#include "wire/frame.h"

namespace adit::load {

/// A P2PKH address of the test networks, another one for each number, whose key nobody has.
std::string address_of(std::uint32_t number);

/// What all sessions of one load have in common.
struct SessionOptions {
  std::string user;
  /// Each channel's identity is an address of its own instead of `user`, one of the test networks' that nobody can spend.
  bool own_address = false;
  bool extended = false;  ///< An extended channel instead of a standard one.
  /// What the channel is opened with. Near 0 a pool gives the easiest target it has, which real shares meet at any rate.
  float nominal_hash_rate_hps = 1e-3F;
  std::size_t in_flight = 32;  ///< Shares sent and not answered. More than the pool's batch, or nothing is ever answered.

  [[nodiscard]] session::ClientOptions client() const {
    return {.program = "load", .flags = mining::ChannelClient::setup_flags(extended)};
  }
  /// Of the connection of that number.
  [[nodiscard]] mining::ChannelClientOptions channel(std::uint32_t number) const {
    return {
        .user = own_address ? address_of(number) : user, .nominal_hash_rate_hps = nominal_hash_rate_hps, .extended = extended};
  }
};

/// One channel on one connection.
class Session final : private mining::ChannelClientHandler {
 public:
  /// `options` and `meter` outlive the session. `lanes`: the connection has lanes. `number`: of the connection, in what the
  /// meter keeps of tips.
  Session(const SessionOptions& options, Meter& meter, bool lanes = false, std::uint32_t number = 0);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Appends SetupConnection. Once, when the connection to `host` stands.
  void start(std::string_view host, std::uint16_t port, const Now& now, wire::FrameBuffer& out);

  /// Unknown messages are ignored. Errors (session::Errc), which end the connection: kRefused, kClosed, kProtocol.
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out);

  /// Whether there is work: channel, job and previous hash have come.
  [[nodiscard]] bool ready() const { return search_.has_value(); }

  /// Appends up to `limit` shares as far as in_flight allows; returns how many.
  std::size_t submit(std::size_t limit, Instant now, wire::FrameBuffer& out);

 private:
  /// What is searched, and what its shares carry.
  struct Search {
    ShareSearch shares;
    std::uint32_t job_id = 0;
    std::uint32_t ntime = 0;
    std::uint32_t version = 0;
  };

  void on_job(const channels::ClientJob& job) override;
  void on_tip(const wire::SetNewPrevHash& message) override;
  void on_accepted(std::uint64_t shares, std::optional<Duration> round_trip) override;
  void on_rejected(std::string_view code) override { meter_.on_rejected(code); }

  const std::size_t in_flight_;
  Meter& meter_;
  std::uint32_t number_;
  session::ClientSide side_;
  mining::ChannelClient client_;
  Instant now_{};  ///< Of the call that is under way.
  std::optional<Search> search_;
};

}  // namespace adit::load
