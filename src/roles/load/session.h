// One connection of `adit load` as an engine: opens a channel, keeps its work, finds shares, counts the answers. No I/O.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/hash.h"
#include "bitcoin/u256.h"
#include "channels/client.h"
#include "net/shares.h"
#include "net/transport_config.h"
#include "roles/load/meter.h"
#include "wire/frame.h"

namespace adit::load {

/// What all sessions of one load have in common.
struct SessionOptions {
  std::string user;
  bool extended = false;  ///< An extended channel instead of a standard one.
  /// What the channel is opened with. Near 0 a pool gives the easiest target it has, which real shares meet at any rate.
  float nominal_hash_rate_hps = 1e-3F;
  std::size_t in_flight = 32;  ///< Shares sent and not answered. More than the pool's batch, or nothing is ever answered.
};

/// One channel on one connection. Its shares are real: each is hashed, meets its job's target, and is no block (where the
/// network's target leaves room for that), so that a load on a test network moves no tip.
class Session {
 public:
  /// Hashes tried for one share before giving up.
  static constexpr std::uint32_t kMaxTries = 1 << 16;

  /// Both outlive the session. `number`: of the connection, in what the meter keeps of tips.
  Session(const SessionOptions& options, Meter& meter, std::uint32_t number = 0);

  /// Appends SetupConnection. Once, when the connection to `pool` stands.
  void start(const net::TransportConfig& pool, wire::FrameBuffer& out);

  /// Unknown messages are ignored. Errors, which end the connection: kRefused, kClosed; wire's and channels' for what breaks
  /// the protocol.
  Result<void> on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);

  /// Whether there is work: channel, job and previous hash have come.
  [[nodiscard]] bool ready() const { return search_.has_value(); }

  /// Appends up to `limit` shares as far as in_flight allows; returns how many.
  std::size_t submit(std::size_t limit, Instant now, wire::FrameBuffer& out);

 private:
  /// The header that is searched, nonce after nonce.
  struct Search {
    bitcoin::HeaderMidstate midstate;
    std::array<std::uint8_t, 16> tail{};  ///< The header's last bytes, the nonce being the last four.
    bitcoin::U256 target;
    bitcoin::U256 network_target;
    std::uint32_t job_id = 0;
    std::uint32_t ntime = 0;
    std::uint32_t version = 0;
    std::uint32_t next_nonce = 0;
  };

  template <class M>
  Result<void> on(const M& message, Instant now, wire::FrameBuffer& out);
  template <class... Messages>
  Result<void> dispatch(const wire::FrameView& frame, Instant now, wire::FrameBuffer& out);
  template <class Opened>
  Result<void> open(const Opened& message);
  Result<void> work_on(Result<const channels::ClientJob*> job);
  std::optional<std::uint32_t> find_nonce();
  [[nodiscard]] bool is_ours(std::uint32_t channel_id) const { return channel_ && channel_->addressed_by(channel_id); }

  const SessionOptions& options_;
  Meter& meter_;
  std::uint32_t number_;
  std::optional<channels::ClientChannel> channel_;
  std::optional<Search> search_;
  net::StratumV2StreamHandler shares_;
};

}  // namespace adit::load
