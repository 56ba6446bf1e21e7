// A relay of one's own: the server that iroh's makers run, in this process.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/iroh/event_loop.h"
#include "net/iroh/runtime.h"

namespace adit::net {

/// Addresses are "ip:port"; port 0 is the system's choice.
struct RelayServerConfig {
  std::string http = "0.0.0.0:80";  ///< Serves everything where there is no TLS, else only the probes made in plain.
  std::string https;                ///< Empty: no TLS; else with the two files.
  std::string cert_file;            ///< PEM, the certificate chain.
  std::string key_file;             ///< PEM, its private key.
  std::string quic;                 ///< UDP, QUIC address discovery; needs TLS. Empty: none.
  std::string metrics;              ///< OpenMetrics over HTTP. Empty: none.
  std::vector<std::string> tokens;  ///< Who shows one of them may use the relay; none: everyone.
  std::uint32_t max_clients = 0;    ///< At a time; 0: no bound.
  std::uint32_t max_clients_per_source =
      0;  ///< Connections of one IPv4 address, or one /64 of IPv6, at each listener; 0: no bound.
  std::uint32_t accepts_per_second = 0;       ///< Connections of clients, over all; 0: no bound.
  std::uint32_t client_bytes_per_second = 0;  ///< That one client may send; 0: no bound.
  std::uint32_t client_burst_bytes = 0;       ///< At once; 0: iroh's default.
};

/// Runs until destroyed, which cuts its clients off. Any thread.
class RelayServer {
 public:
  /// Binds. Blocks until bound. Errors: kConfiguration (names what), kAddressInUse, kTimedOut, kOverloaded, kInternal.
  static Result<std::unique_ptr<RelayServer>> start(const RelayServerConfig& config, unsigned threads = 2);

  /// "ip:port" as bound; empty without.
  [[nodiscard]] const std::string& http() const { return http_; }
  [[nodiscard]] const std::string& https() const { return https_; }
  [[nodiscard]] const std::string& quic() const { return quic_; }

  /// Clients connected now.
  [[nodiscard]] std::uint64_t clients() const;

  /// Waits, at most `patience`, whether it ends by itself, which it should not. True if it did. One thread at a time.
  [[nodiscard]] bool wait_for_end(Duration patience) const;

 private:
  explicit RelayServer(BridgeRuntime runtime) : runtime_(std::move(runtime)) {}

  BridgeRuntime runtime_;
  BridgeHandle loop_;
  BridgeHandle relay_;
  std::string http_;
  std::string https_;
  std::string quic_;
};

}  // namespace adit::net
