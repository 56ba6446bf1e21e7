// What the pool says to one downstream connection: the mining protocol's server side. No socket, no clock, no thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/block.h"
#include "channels/channel.h"
#include "channels/extranonce.h"
#include "channels/job.h"
#include "wire/frame.h"
#include "wire/mining_messages.h"

namespace adit::pool {

/// Why a session must end. What the session has written by then is to be sent first.
enum class Errc {
  kProtocol,  ///< The peer broke the protocol; the sentence says how.
  kRefused,   ///< SetupConnection was answered with an Error.
  kIdle,      ///< A deadline passed: no SetupConnection, or no channel.
};
constexpr std::string_view error_layer(Errc) { return "pool"; }
std::string_view error_name(Errc code);

/// What applies to every session of the pool.
struct SessionPolicy {
  channels::ChannelPolicy channel;
  Duration setup_timeout = std::chrono::seconds(10);  ///< From the connection to SetupConnection.
  /// How long a connection may be without any channel. Long, because a translator connects before its first miner does and
  /// stays when the last one leaves (SRI's gives its upstream up for good when it is cut off); admission bounds how many idle
  /// ones a source has.
  Duration channel_timeout = std::chrono::hours(1);
  Duration max_ack_delay =
      std::chrono::seconds(2);  ///< An accepted share is acknowledged after this long even if its batch is not full.
  std::size_t max_channels =
      4096;  ///< Per session. Twice as many may be opened between two tips, since prefixes rest that long.
  std::size_t max_channels_per_shard = 1 << 18;    ///< Of all its sessions: bounds the memory that strangers can take.
  std::vector<std::uint16_t> required_extensions;  ///< Without these a client may open no channel.
};

/// Totals of one shard since it started; read on the shard's thread.
struct PoolCounters {
  std::uint64_t shares_accepted = 0;
  std::array<std::uint64_t, channels::kShareVerdicts>
      shares_rejected{};  ///< By channels::ShareVerdict; share_error_code() names them.
  std::uint64_t blocks_found = 0;
  double work_sum = 0;                ///< Difficulty of all accepted shares.
  std::size_t sessions = 0;           ///< Now.
  std::size_t standard_channels = 0;  ///< Now.
  std::size_t extended_channels = 0;  ///< Now.
  std::uint64_t setups_refused = 0;

  [[nodiscard]] std::uint64_t shares_rejected_total() const;
};

/// A share that is a block; bitcoin::assemble_block(*block_template, solution) makes it one.
struct BlockFound {
  bitcoin::TemplatePtr block_template;
  bitcoin::BlockSolution solution;
  bitcoin::Hash256 hash{};
  std::uint32_t channel_id = 0;
  std::string_view user_identity;  ///< Valid during the call.
};

class PoolSession;

/// What the driver hears while a session handles frames, on the shard's thread, inside the session's call: it must not touch
/// sessions from there.
class PoolEvents {
 public:
  virtual ~PoolEvents() = default;
  /// To be made durable and submitted at once.
  virtual void on_block_found(const PoolSession& session, const BlockFound& block) = 0;
  virtual void on_channel_opened(const PoolSession&, const channels::Channel&) {}
};

/// What the sessions of one shard share. No locks: one thread. Outlives its sessions.
class PoolShard {
 public:
  /// `policy` and `events` must outlive the shard.
  PoolShard(const SessionPolicy& policy, const channels::ExtranonceAllocator::Config& extranonce, PoolEvents& events,
            std::size_t max_past_jobs = channels::kMaxPastJobs)
      : policy_(policy), events_(events), extranonces_(extranonce), jobs_(max_past_jobs) {}

  /// Makes `job` the current one. The caller then calls on_job of every session, and sends what they wrote, before it hands a
  /// frame to any of them: at a new tip nothing goes out before SetNewPrevHash.
  void set_job(channels::JobPtr job);

  [[nodiscard]] const PoolCounters& counters() const { return counters_; }
  [[nodiscard]] const channels::JobSet& jobs() const { return jobs_; }

 private:
  friend class PoolSession;
  const SessionPolicy& policy_;
  PoolEvents& events_;
  channels::ExtranonceAllocator extranonces_;
  channels::JobSet jobs_;
  PoolCounters counters_;
};

/// One downstream connection. Lives on its shard's thread.
class PoolSession {
 public:
  PoolSession(PoolShard& shard, Instant now);
  PoolSession(const PoolSession&) = delete;
  PoolSession& operator=(const PoolSession&) = delete;
  ~PoolSession();

  /// Handles the frames in order and appends the answers to `out`. On an error the connection is to be closed after `out` is
  /// sent; no further call but the destructor. Errors: kProtocol, kRefused, and wire's for a payload that does not decode.
  /// Allocates nothing for shares, once warm.
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out);

  /// The shard's current job changed (PoolShard::set_job): appends it for every channel.
  void on_job(wire::FrameBuffer& out);

  /// To be called about once a second: vardiff, late acknowledgements, deadlines. Error: kIdle.
  Result<void> on_tick(const Now& now, wire::FrameBuffer& out);

  /// Ascending by id.
  [[nodiscard]] std::span<const channels::Channel> channels() const { return channels_; }
  [[nodiscard]] bool is_set_up() const { return set_up_; }

 private:
  Result<void> on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);
  Result<void> on_setup_connection(const wire::FrameView& frame, wire::FrameBuffer& out);
  Result<void> on_request_extensions(const wire::FrameView& frame, wire::FrameBuffer& out);
  /// Why a channel may not be opened: an error code for OpenMiningChannel.Error, or "".
  [[nodiscard]] std::string_view refuse_open(channels::ChannelKind kind, std::string_view user_identity,
                                             const wire::U256& max_target, std::size_t min_extranonce_size) const;
  template <class Open>
  Result<void> on_open(const Open& message, const Now& now, wire::FrameBuffer& out);
  template <class Submit>
  Result<void> on_submit(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);
  Result<void> on_update_channel(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);
  Result<void> on_close_channel(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);

  [[nodiscard]] channels::Channel* find(std::uint32_t channel_id);
  void report_block(const channels::Channel& channel, const channels::Share& share);
  void count_channel(const channels::Channel& channel, int by);
  [[nodiscard]] bool grouped() const { return !standard_jobs_; }

  PoolShard& shard_;
  Instant opened_at_;
  Instant without_channel_since_;
  Instant last_flush_;
  std::uint32_t next_channel_id_ = channels::kFirstChannelId;
  std::uint32_t opened_on_tip_ = 0;
  bool set_up_ = false;
  bool standard_jobs_ = false;  ///< The client asked for REQUIRES_STANDARD_JOBS: no group, no extended channels.
  bool extensions_agreed_;      ///< All required extensions were requested.
  std::vector<channels::Channel> channels_;
};

}  // namespace adit::pool
