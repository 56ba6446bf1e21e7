// The monitoring HTTP server: GET /metrics and /api/v1/{health,connections,workers}.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "monitor/snapshot.h"
#include "net/error.h"
#include "net/transport_config.h"

namespace adit::monitor {

/// Called with the snapshot, once, on any thread.
using Deliver = std::function<void(Snapshot)>;

/// Asks the role for a snapshot; called on the monitor's thread, which serves nobody meanwhile. A role posts to its
/// shards, gathers their copies and delivers, then or later. Not delivering is answered by 503 after the pull's deadline. Must
/// be callable until stop() has returned, and harmless then.
using Pull = std::function<void(Deliver)>;

/// One thread of its own, so that a scrape costs no shard more than its copy. Bounded in connections, header size and time.
class Server {
 public:
  struct Options {
    net::TcpConfig address;                  ///< An IP address; port 0: the system's choice.
    std::chrono::seconds cache_refresh{15};  ///< A snapshot is asked for at most this often.
    std::size_t max_connections = 32;        ///< One more is closed at once.
    std::uint32_t max_header_bytes = 8192;
    Duration request_deadline = std::chrono::seconds(10);  ///< To send a whole request, and to take the whole answer.
    Duration pull_deadline = std::chrono::seconds(2);
  };

  /// Listens and serves. Errors: kAddressInUse, kConfiguration (no IP address, or none of this machine), kInternal.
  static Result<std::unique_ptr<Server>> start(const Options& options, Pull pull);

  ~Server();  ///< As stop().
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Cuts connections off and joins the thread. Idempotent. Not from the pull.
  void stop();

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::string address() const;  ///< "ip:port" as bound.

 private:
  class State;
  explicit Server(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace adit::monitor
