// The translator's driver: the SV1 listener, one Translator with one upstream connection per shard, redialling.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
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

 private:
  struct Core;
  class Part;

  std::shared_ptr<Core> core_;
};

}  // namespace adit::translator
