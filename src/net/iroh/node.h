// The process's iroh endpoint: who we are, where we listen, whom we dial.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "adit_bridge.h"
#include "base/file_lock.h"
#include "base/result.h"
#include "base/time.h"
#include "net/carrier.h"
#include "net/iroh/accept.h"
#include "net/iroh/event_loop.h"
#include "net/iroh/runtime.h"
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
  unsigned threads = 2;                     ///< Of iroh, 1 to 64; taken from the first node of the process.

  Duration bind_deadline = std::chrono::seconds(10);
  Duration idle_timeout = std::chrono::seconds(30);  ///< A silent peer is gone after this, or after its own if shorter.
  Duration keep_alive = std::chrono::seconds(5);
  Duration accept_deadline = std::chrono::seconds(10);  ///< For the QUIC handshake, and again for the first stream.
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
  asio::awaitable<Result<std::unique_ptr<ByteStream>>> dial(Shard& shard, const IrohConfig& to, Duration deadline) override;
  /// Not from within on_stream: neither is stop_listening. Errors: kConfiguration.
  Result<void> listen(std::vector<std::string> alpns, OnStream on_stream) override;
  void stop_listening() override;

  [[nodiscard]] std::string endpoint_id() const override;
  [[nodiscard]] std::vector<std::string> local_addresses() const override;
  [[nodiscard]] std::string home_relay() const override;

  /// What the accept policy has decided since listening began. Any thread.
  [[nodiscard]] AcceptPolicy::Counts accept_counts() const;

 private:
  class Listening;

  IrohNodeManager(Shards& shards, BridgeRuntime runtime, IrohNodeConfig config);
  Result<void> bind();

  Shards& shards_;
  BridgeRuntime runtime_;
  IrohNodeConfig config_;
  BridgeHandle control_;  ///< A loop that only start and the destructor wait on.
  BridgeHandle endpoint_;
  std::vector<std::shared_ptr<EventLoop>> loops_;  ///< One per shard, by index.
  std::shared_ptr<Listening> listening_;
};

}  // namespace adit::net
