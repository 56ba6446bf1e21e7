// What an iroh endpoint is made of. Needs nothing of the bridge, so that a configuration is read into it in every build.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file_lock.h"
#include "base/time.h"
#include "net/iroh/accept.h"
#include "net/iroh/watchdog.h"
#include "net/transport_config.h"
#include "noise/keys.h"

namespace adit::net {

/// A relay: it introduces peers behind NATs to each other, and carries what cannot go directly.
struct IrohRelay {
  std::string url;              ///< https://host[:port]; http:// for development.
  std::uint16_t quic_port = 0;  ///< UDP port of its QUIC address discovery (usually 7842); 0: it has none.
  std::string auth_token{};     ///< A secret. Empty: none.
};

enum class IrohRelays {
  kNone,  ///< No relay and no lookup service: only addresses that are given. The default; nothing leaves the machine unasked.
  kList,  ///< `relays`, and no lookup service.
  kN0,    ///< The public relays and lookup service of number 0.
};

/// What an IrohNodeManager is made of. A value: its copies share the key, which is erased with the last of them.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): one in a process; its order is that of the meaning
struct IrohNodeConfig {
  /// Ed25519, any 32 bytes; the endpoint id is its public key. Required. Two processes that run with one key take each other's
  /// connections away, hence the lock.
  std::shared_ptr<const noise::Secret> secret_key;
  std::shared_ptr<const FileLock> key_lock;  ///< Of the key's file; held until the node has gone. Null: the key is in no file.
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

  /// Sets keep_alive and idle_timeout so that a silent peer is gone after `dead_after` (HealthPolicy). QUIC begins to wait with
  /// the first packet sent behind the last one heard, which is a keep-alive at the latest: the two add up to `dead_after`.
  void set_dead_after(Duration dead_after) {
    keep_alive = dead_after / 5;
    idle_timeout = dead_after - keep_alive;
  }

  /// Of an endpoint that only dials `peer`: of relays it has the one that the peer's address names, if any. Still without key.
  static IrohNodeConfig for_dialling(const IrohConfig& peer) {
    IrohNodeConfig config;
    config.listens = false;
    if (!peer.relay_url.value_or("").empty()) {
      config.relay_mode = IrohRelays::kList;
      config.relays = {{.url = *peer.relay_url}};
    }
    return config;
  }
};

}  // namespace adit::net
