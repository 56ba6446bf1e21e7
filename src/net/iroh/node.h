// The process's iroh endpoint: who we are, where we listen, whom we dial.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "adit_bridge.h"
#include "base/file_lock.h"
#include "base/result.h"
#include "base/time.h"
#include "net/carrier.h"
#include "net/iroh/accept.h"
#include "net/iroh/event_loop.h"
#include "net/iroh/iroh_log.h"
#include "net/iroh/lanes.h"
#include "net/iroh/runtime.h"
#include "net/iroh/watchdog.h"
#include "net/shards.h"
#include "noise/keys.h"

namespace adit::net {

/// A relay: it introduces peers behind NATs to each other, and carries what cannot go directly.
struct IrohRelay {
  std::string url;              ///< https://host[:port]; http:// for development.
  std::uint16_t quic_port = 0;  ///< UDP port of its QUIC address discovery (usually 7842); 0: it has none.
  std::string auth_token;       ///< Empty: none.
};

enum class IrohRelays {
  kNone,  ///< No relay and no lookup service: only addresses that are given. The default; nothing leaves the machine unasked.
  kList,  ///< `relays`, and no lookup service.
  kN0,    ///< The public relays and lookup service of number 0.
};

/// What an IrohNodeManager is made of.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): one in a process; its order is that of the meaning
struct IrohNodeConfig {
  noise::Secret secret_key;       ///< Ed25519, any 32 bytes; the endpoint id is its public key. One running process per key.
  FileLock key_lock;              ///< On the key's file, if it has one; held until the node has gone.
  std::vector<std::string> bind;  ///< "ip:port", at most one per family, and nothing else is bound; empty: every interface.
  IrohRelays relay_mode = IrohRelays::kNone;
  std::vector<IrohRelay> relays;
  std::vector<std::string> external_addrs;  ///< "ip:port" told to peers as ours.
  bool relay_only = false;                  ///< Bind no address: everything goes through relays. Not together with `bind`.
  std::string relay_ca_file;                ///< PEM: what relays are trusted by, beside the usual roots. Empty: nothing more.
  bool portmap = false;                     ///< Ask the router for a port (UPnP, PCP, NAT-PMP).
  bool mdns = false;                        ///< Find peers of the local network by multicast DNS, and tell them where we are.
  std::vector<std::string> dns_origins;     ///< Domains under which ids are looked up (_iroh.ID.ORIGIN, TXT).
  std::string dns_server;                   ///< "ip:port" that is asked for names; empty: the system's.
  /// URLs of pkarr relays: each is told where we are (by our relay; by our addresses if we have none) and asked for ids.
  std::vector<std::string> pkarr_relays;
  std::string log_filter = "warn";  ///< What iroh logs into our log, as tracing's directives; counts for the whole process.
  WatchdogPolicy watchdog;          ///< Where there are relays.
  unsigned threads = 2;             ///< Of iroh, 1 to 64; taken from the first node of the process.

  Duration bind_deadline = std::chrono::seconds(10);
  Duration idle_timeout = std::chrono::seconds(30);     ///< A silent peer is gone after this, or after its own if shorter;
  Duration keep_alive = std::chrono::seconds(5);        ///< and this, which may pass before the waiting begins.
  Duration accept_deadline = std::chrono::seconds(10);  ///< For the QUIC handshake, and again for the first stream or session.
  Duration idle_linger = std::chrono::seconds(5);       ///< A dialled connection without a session is kept so long.
  bool listens = true;  ///< Whether peers may be let open streams at all: whoever only dials grants none.
  AcceptLimits accept;
};

/// One iroh endpoint (IrohCarrier), serving all roles and shards of the process.
///
/// Destroy it before `shards`, and dial no more; it then waits, at most 3 s, until peers know. Streams still open end with
/// kClosed.
class IrohNodeManager final : public IrohCarrier {
 public:
  /// Binds. Blocks until bound, so not from a shard's thread; `shards` may be started before or after.
  /// Errors: kConfiguration (names what), kAddressInUse, kTimedOut, kOverloaded, kInternal.
  static Result<std::unique_ptr<IrohNodeManager>> start(Shards& shards, IrohNodeConfig config);
  ~IrohNodeManager() override;
  IrohNodeManager(const IrohNodeManager&) = delete;
  IrohNodeManager& operator=(const IrohNodeManager&) = delete;

  /// Besides those of IrohCarrier: kHandshake (another endpoint answers there), kConfiguration (no such id, our own, a bad
  /// address).
  asio::awaitable<Result<Link>> dial(Shard& shard, IrohConfig to, wire::Protocol protocol, Duration deadline) override;
  /// Not from within on_link: neither is stop_listening. Errors: kConfiguration.
  Result<void> listen(std::vector<std::string> alpns, Admission admission, OnLink on_link) override;
  void stop_listening() override;

  [[nodiscard]] Counts counts() const override;
  [[nodiscard]] std::string endpoint_id() const override;
  [[nodiscard]] std::vector<std::string> local_addresses() const override;
  [[nodiscard]] std::string home_relay() const override;

 private:
  class Listening;

  IrohNodeManager(Shards& shards, BridgeRuntime runtime, IrohNodeConfig config);
  Result<void> start_loops();
  Result<BridgeHandle> bind(const std::vector<std::string>& addresses);
  Result<void> begin_listening();
  void close();
  [[nodiscard]] std::size_t direct_connections() const;
  void watch(const std::stop_token& stop);
  void rebuild();
  [[nodiscard]] adit_handle endpoint() const;
  asio::awaitable<Result<std::shared_ptr<DialPool::Attempt>>> connect(Shard& shard, const IrohConfig& to,
                                                                      wire::Protocol protocol, std::string key,
                                                                      Duration deadline);

  Shards& shards_;
  BridgeRuntime runtime_;
  IrohNodeConfig config_;
  std::unique_ptr<IrohLog> log_;
  BridgeHandle control_;      ///< A loop that only one thread waits on: start's, then the watchdog's, then the destructor's.
  mutable std::mutex mutex_;  ///< Guards what the watchdog replaces: the next two, and the wish to listen.
  BridgeHandle endpoint_;
  std::shared_ptr<Listening> listening_;
  AcceptPolicy::Counts decided_before_;            ///< By the listeners before this one.
  std::vector<std::shared_ptr<EventLoop>> loops_;  ///< One per shard, by index.
  std::vector<std::string> alpns_;                 ///< Empty: nobody listens.
  std::optional<Admission> admission_;             ///< Where there are alpns_, as the next.
  OnLink on_link_;
  std::vector<std::shared_ptr<DialPool>> pools_;  ///< One per shard, by index; each of its shard alone.
  std::shared_ptr<OpenConnections> open_ = std::make_shared<OpenConnections>();  ///< Those with lanes.
  std::atomic<std::uint64_t> rebuilds_{0};
  std::condition_variable_any waking_;
  std::jthread watchdog_;  ///< Where there are relays.
};

}  // namespace adit::net
