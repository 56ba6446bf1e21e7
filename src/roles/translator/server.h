// The translator's driver: the SV1 listener, one Translator with one upstream connection per shard, redialling.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/u256.h"
#include "net/address_range.h"
#include "net/admission.h"
#include "net/carrier.h"
#include "net/metadata.h"
#include "net/shards.h"
#include "roles/translator/translator.h"
#include "roles/translator/upstream_role.h"
#include "upstream/url.h"

namespace adit::translator {

struct ServerOptions {
  net::TcpConfig listen;                                 ///< For SV1 miners. Port 0: the system's choice.
  std::vector<net::AddressRange> trusted_proxies{};      ///< See net::TcpListener::bind.
  std::vector<UpstreamTarget> upstreams;                 ///< In order of preference, at least one.
  net::IrohCarrier* iroh = nullptr;                      ///< Needed for upstreams over iroh; must outlive the server.
  Options translator;                                    ///< Without the numbers, which the server sets.
  std::vector<std::uint16_t> extensions{};               ///< Asked of the upstream (ext 0x0001); of them we know 0x0002.
  std::vector<std::uint16_t> required_extensions{};      ///< Asked for too; without one of them the upstream is not used.
  net::AdmissionLimits admission;                        ///< A handshake here is what comes before a miner is authorized.
  std::size_t max_queued_bytes = 256 * 1024;             ///< See net::LineHostOptions.
  Duration stalled_deadline = std::chrono::seconds(30);  ///< Likewise.
  std::optional<net::BacklogBounds> backlog{};           ///< Nothing: net::BacklogBounds::above(max_queued_bytes).
  net::HealthPolicy health;                              ///< Of the upstreams.
  upstream::SelectionPolicy selection;                   ///< Which of the upstreams is used when.
};

/// Everything that a monitor shows of a translator.
struct ServerStats {
  Counters counters;                              ///< Over all shards.
  std::vector<upstream::UplinkStatus> upstreams;  ///< One per shard that answered, in their order.
  std::size_t silent_shards = 0;                  ///< That did not answer in time: their counts are missing.
  net::Admission::Counts admission;
  std::uint64_t slow_readers = 0;    ///< Miners cut off because they did not read.
  net::Backlog::Counts unread;       ///< What miners have not read.
  std::uint64_t failed_accepts = 0;  ///< Of miners, for want of descriptors or memory; they were tried again.
};

/// One miner, for a list of them.
struct MinerInfo {
  std::uint64_t number = 0;
  std::string peer;
  std::string user;        ///< Its words: escape before showing.
  std::string user_agent;  ///< Likewise.
  bool ready = false;
  std::optional<std::uint32_t> channel_id;
  std::string channel_identity;        ///< That the channel was opened with; empty without one.
  double hash_rate_hps = 0;            ///< As its shares prove.
  std::uint64_t shares_submitted = 0;  ///< Sent to the upstream.
  std::uint64_t shares_local = 0;      ///< Answered here, as they are easier than the upstream asks for.
  std::uint64_t shares_accepted = 0;   ///< By the upstream.
  std::uint64_t shares_rejected = 0;   ///< By us or by the upstream.
  std::map<std::string, std::uint64_t, std::less<>> rejected{};  ///< Sv1Miner::rejected().
  double best_difficulty = 0;                                    ///< Sv1Miner::best_difficulty().
  std::optional<Duration> last_share_age{};                      ///< Since its last good share; absent before the first.
  bitcoin::U256 target{};                                        ///< Sv1Miner::told_target().
  bool steady = false;                                           ///< Sv1Miner::steady().
  std::string extranonce1_hex;                                   ///< Empty before it has subscribed.
  std::size_t extranonce2_size = 0;                              ///< Bytes that it rolls.
  std::uint32_t version_mask = 0;                                ///< Bits of the version that it may roll; 0: none.
};

/// One open channel with an upstream, for a list of them.
struct ChannelInfo {
  std::uint32_t channel_id = 0;  ///< Unique on one upstream connection, of which each shard has one.
  std::string user_identity;     ///< That it was opened with.
  double declared_hps = 0;       ///< That the upstream was told of last.
  double proven_hps = 0;         ///< That the shares of its miners prove.
  bitcoin::U256 target{};
  std::vector<std::uint8_t> extranonce_prefix{};
  std::size_t extranonce_size = 0;  ///< Rollable bytes.
  bool version_rolling = false;     ///< Whether its newest job allows it.
  mining::UpstreamAccount account{};
  std::size_t miners = 0;  ///< That mine on it now.
};

/// Channels with upstreams, of all shards.
struct ChannelList {
  std::vector<ChannelInfo> listed;  ///< At most as many of each shard as was asked for.
  std::size_t total = 0;            ///< Open now.
  bool declares = true;             ///< What they declare follows what their miners prove (vardiff).
};

/// Runs on `shards`. Every shard has an upstream connection of its own, so one shard is the usual number. Every function may be
/// called on any thread but a shard's.
class TranslatorServer {
 public:
  /// `shards` are started already; they must outlive the server.
  TranslatorServer(net::Shards& shards, ServerOptions options);
  ~TranslatorServer();  ///< As stop(0).
  TranslatorServer(const TranslatorServer&) = delete;
  TranslatorServer& operator=(const TranslatorServer&) = delete;

  /// Listens and begins to dial; miners that come before an upstream is there wait for it. Once. Errors: those of
  /// TcpListener::bind; net::Errc::kConfiguration without an upstream.
  Result<void> start();

  /// Takes in nothing more, ends the miners, closes their channels, and ends the upstream connections in that manner; waits for
  /// that at most `behavior.deadline`, and two seconds more. Idempotent.
  void stop(session::ShutdownBehavior behavior);
  /// As stop({kGoodbye, patience}).
  void stop(Duration patience) { stop(session::ShutdownBehavior{.deadline = patience}); }

  [[nodiscard]] std::uint16_t port() const;   ///< Of the listener, after start().
  [[nodiscard]] std::string address() const;  ///< "ip:port" as bound, after start().

  /// Asks every shard; after stop() what they counted last.
  [[nodiscard]] ServerStats stats() const;

  /// Asks every shard; at most `limit` miners of each.
  /// A shard that hangs is left out.
  [[nodiscard]] std::vector<MinerInfo> miners(std::size_t limit = 1000) const;

  /// Likewise the channels; none after stop().
  [[nodiscard]] ChannelList channels(std::size_t limit = 4000) const;

 private:
  struct Core;
  class Part;

  std::shared_ptr<Core> core_;
};

}  // namespace adit::translator
