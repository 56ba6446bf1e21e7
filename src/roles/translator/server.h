// The translator's driver: the SV1 listener, one Translator with one upstream connection per shard, redialling.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/admission.h"
#include "net/carrier.h"
#include "net/metadata.h"
#include "net/shards.h"
#include "net/url.h"
#include "roles/translator/translator.h"
#include "roles/translator/upstream_role.h"

namespace adit::translator {

struct ServerOptions {
  net::TcpConfig listen;                  ///< For SV1 miners. Port 0: the system's choice.
  std::vector<UpstreamTarget> upstreams;  ///< In order of preference, at least one.
  net::IrohCarrier* iroh = nullptr;       ///< Needed for upstreams over iroh; must outlive the server.
  Options translator;                     ///< Without the numbers, which the server sets.
  net::AdmissionLimits admission;         ///< A handshake here is what comes before a miner is authorized.
  /// Unsent bytes of one miner; more: it does not read, and is cut off. From an eighth of it on nothing more is read of it, so
  /// that one which asks much before it reads an answer is slowed down instead.
  std::size_t max_queued_bytes = 256 * 1024;
  Duration stalled_deadline = std::chrono::seconds(30);  ///< So long without taking a queued byte: cut off likewise.
  net::HealthPolicy health;                              ///< Of the upstreams.
  net::SelectionPolicy selection;                        ///< Which of the upstreams is used when.
};

/// Everything that a monitor shows of a translator.
struct ServerStats {
  Counters counters;                         ///< Over all shards.
  std::vector<net::UplinkStatus> upstreams;  ///< One per shard.
  net::Admission::Counts admission;
  std::uint64_t slow_readers = 0;  ///< Miners cut off because they did not read.
};

/// One miner, for a list of them.
struct MinerInfo {
  std::uint64_t number = 0;
  std::string peer;
  std::string user;        ///< Its words: escape before showing.
  std::string user_agent;  ///< Likewise.
  bool ready = false;
  std::optional<std::uint32_t> channel_id;
  double hash_rate_hps = 0;
  std::uint64_t shares_accepted = 0;  ///< By the upstream.
  std::uint64_t shares_rejected = 0;  ///< By us or by the upstream.
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
  void stop(net::ShutdownBehavior behavior);
  /// As stop({kGoodbye, patience}).
  void stop(Duration patience) { stop(net::ShutdownBehavior{.deadline = patience}); }

  [[nodiscard]] std::uint16_t port() const;   ///< Of the listener, after start().
  [[nodiscard]] std::string address() const;  ///< "ip:port" as bound, after start().

  /// At most a second old; exact after stop().
  [[nodiscard]] ServerStats stats() const;

  /// Asks every shard; at most `limit` miners of each.
  [[nodiscard]] std::vector<MinerInfo> miners(std::size_t limit = 1000) const;

 private:
  struct Core;
  class Home;

  std::shared_ptr<Core> core_;
};

}  // namespace adit::translator
