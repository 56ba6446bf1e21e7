// The miners of one shard at a role that serves the mining protocol: the sessions of src/mining over the connections of
// src/net, of Stratum V2 and of Stratum V1. What a share and a block are worth is the role's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "bitcoin/hash.h"
#include "channels/job.h"
#include "channels/share_record.h"
#include "downstream/entrance.h"
#include "log/limited.h"
#include "mining/server_session.h"
#include "mining/session_list.h"
#include "mining/sv1_session.h"
#include "monitor/families.h"
#include "monitor/mining_samples.h"
#include "net/admission.h"
#include "net/backlog.h"
#include "net/carrier.h"
#include "net/frame_host.h"
#include "net/line_host.h"
#include "net/metadata.h"
#include "net/service.h"
#include "session/shutdown.h"

namespace adit::downstream {

/// What one shard has counted of its miners, or all of them together.
struct MinersCounts {
  mining::ServerCounters miners;
  net::HostCounters transports{};      ///< By net::Transport, of those that speak Stratum V2.
  std::size_t sv1_miners = 0;          ///< Connected by Stratum V1, now.
  std::uint64_t sv1_slow_readers = 0;  ///< Of these, cut off because they did not read.
  net::Backlog::Counts unread{};       ///< What miners of either protocol have not read.

  void add(const MinersCounts& others);
  [[nodiscard]] const net::TransportCounters& over(net::Transport transport) const {
    return transports[static_cast<std::size_t>(transport)];
  }
  /// Connections of miners now, by either protocol.
  [[nodiscard]] std::size_t connected() const;
};

/// What a monitor shows of them. `admission` and `failed_accepts`: of the Entrance.
void add_miners(monitor::Families& out, const MinersCounts& counts, const net::Admission::Counts& admission,
                std::uint64_t failed_accepts, std::size_t silent_shards);

/// What a role decides of its miners, on the shard's thread and inside a call of theirs: it must not touch Miners from there,
/// except for set_job. As mining::ServerEvents.
class MinersRole {
 public:
  virtual channels::LedgerPosition on_share(const mining::ServerSession&, const channels::ShareRecord&) { return 0; }
  virtual bool on_block_found(const mining::ServerSession& session, const mining::BlockFound& block) = 0;
  virtual void on_custom_block_found(const mining::ServerSession&, const mining::BlockFound&) {}

 protected:
  ~MinersRole() = default;
};

/// Everything is called on the shard's thread, the constructor excepted.
class Miners final : private net::FrameHostRole, private net::LineHostRole, private mining::ServerEvents {
 public:
  /// `part` owns this and is held by what runs for it. `entrance`, `policy` and `role` outlive this. `host`: of
  /// Entrance::host_options. `backlog`: of all hosts of the shard, as new_backlog() makes it.
  Miners(net::ServicePart& part, Entrance& entrance, const mining::ServerPolicy& policy,
         std::shared_ptr<const net::FrameHostOptions> host, std::shared_ptr<net::Backlog> backlog, MinersRole& role);
  ~Miners() override;
  Miners(const Miners&) = delete;
  Miners& operator=(const Miners&) = delete;

  static std::shared_ptr<net::Backlog> new_backlog(const MinersOptions& options);

  /// A listener has accepted a miner of Stratum V2. `place`: a carrier that asks admission itself has one already.
  void take(net::Link link, net::IrohCarrier::Place place = nullptr);
  /// A miner of Stratum V1 has connected.
  void take_sv1(std::unique_ptr<net::ByteStream> stream) { lines_.take(std::move(stream)); }

  /// A job for everybody: groups have it before anything else is done on this shard, single channels by turns.
  void set_job(channels::JobPtr job);
  /// What waited for that block is acknowledged. Of another shard: nothing.
  void on_block_kept(const bitcoin::Hash256& hash) { shard_.on_block_kept(hash); }
  /// As mining::ServerShard.
  void refuse_opens(bool refuse) { shard_.refuse_opens(refuse); }
  std::size_t close_channels(std::size_t at_least, std::string_view reason, const Now& now) {
    return shard_.close_channels(at_least, reason, now);
  }

  /// To be called once in MinersOptions::tick.
  void tick(const Now& now);
  /// Ends every connection in that manner; takes no further one.
  void drain(const session::ShutdownBehavior& behavior);
  void cut_off() { host_.cut_off(); }

  [[nodiscard]] const mining::ServerCounters& counters() const { return shard_.counters(); }
  [[nodiscard]] MinersCounts counts() const;
  /// Of all channels: declared by their miners, or proven.
  [[nodiscard]] double hash_rate_hps() const;
  [[nodiscard]] monitor::MiningConnections list(const mining::ListLimits& limits) const;

 private:
  class Session;
  class Sv2Session;
  class Sv1Client;

  [[nodiscard]] std::string event(std::string_view what) const;
  /// One slice at a time, with whatever else there is to do on this shard between them.
  void give_jobs();

  // net::FrameHostRole
  std::unique_ptr<session::ProtocolServer> serve(const session::AcceptedSetup& setup,
                                                 net::HostedConnection& connection) override;
  void take_sv1(std::unique_ptr<net::ByteStream> stream, Bytes first, net::Admission::Token place) override;

  // net::LineHostRole
  session::LineSession& join(std::uint64_t connection, const std::string& peer, const std::string& source,
                             const Now& now) override;
  void leave(std::uint64_t connection, const std::string& reason, const Now& now) override;
  void flush(std::uint64_t connection) override { lines_.flush(connection); }

  // mining::ServerEvents
  channels::LedgerPosition on_share(const mining::ServerSession& session, const channels::ShareRecord& share) override {
    return role_.on_share(session, share);
  }
  bool on_block_found(const mining::ServerSession& session, const mining::BlockFound& block) override {
    return role_.on_block_found(session, block);
  }
  void on_custom_block_found(const mining::ServerSession& session, const mining::BlockFound& block) override {
    role_.on_custom_block_found(session, block);
  }
  void on_channel_refused(const mining::ServerSession& session, mining::OpenRefusal refusal, std::string_view user_identity,
                          std::string_view reason) override;
  void on_time_refused(const mining::ServerSession& session, std::chrono::seconds ahead,
                       std::string_view user_identity) override;
  void on_job(mining::ServerSession& session, const wire::FrameBuffer& frames) override;
  void on_answers(mining::ServerSession& session, const wire::FrameBuffer& frames) override;

  net::ServicePart& part_;
  Entrance& entrance_;
  MinersRole& role_;
  const std::shared_ptr<net::Backlog> backlog_;
  mining::ServerShard shard_;
  std::vector<Session*> sessions_;
  mining::Sv1Clients sv1_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Sv1Client>> sv1_clients_;  ///< By the host's number of the connection.
  net::FrameHost host_;
  net::LineHost lines_;
  const std::string more_refusals_;  ///< Names of events, to which the next three refer.
  const std::string more_times_;
  const std::string more_comings_;
  log::Limited refusals_;
  log::Limited times_;
  log::Limited comings_;      ///< Miners connect and leave as often as they like.
  bool giving_jobs_ = false;  ///< The next slice is posted.
};

}  // namespace adit::downstream
