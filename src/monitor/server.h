// The monitoring HTTP server: the driver of monitor/api.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "monitor/access.h"
#include "monitor/alert_rules.h"
#include "monitor/health.h"
#include "monitor/identity.h"
#include "monitor/json.h"
#include "monitor/places.h"
#include "monitor/snapshot.h"
#include "net/error.h"
#include "net/transport_config.h"

namespace adit::monitor {

/// A role as its monitor sees it. Both functions are called on one thread of the monitor's, never at the same time, and may
/// block for a few seconds: whoever asks the monitor is answered meanwhile.
class Role {
 public:
  virtual ~Role() = default;
  /// A copy of what is to be shown.
  virtual Snapshot snapshot() = 0;
  /// The role's verdict on itself; asked for about once a second.
  virtual Health health() = 0;
};

/// One thread serves, and another asks the role, so that no request costs a shard anything and a role that hangs is still
/// reported. A third keeps the history, if there is a file for it. Bounded in connections, in time and in the size of what is
/// read.
class Server {
 public:
  struct Options {
    net::TcpConfig address;                       ///< An IP address; port 0: the system's choice.
    Duration refresh = std::chrono::seconds(15);  ///< Between two snapshots. The first is taken at once.
    /// Names by which this machine is asked for its pages and its JSON, besides its IP addresses and localhost
    /// (Route::any_host).
    std::vector<std::string> hosts{};
    Access access{};  ///< Api::Options::access.
    Places::Limits places{};
    std::size_t max_header_bytes = 8192;
    Duration request_deadline = std::chrono::seconds(10);  ///< To send a whole request, and to take the whole answer.
    Duration idle_deadline = std::chrono::seconds(75);     ///< Between two requests of one connection.
    Duration first_deadline = std::chrono::seconds(2);     ///< How long a request waits for the first snapshot.
    Duration silent_after = std::chrono::seconds(10);      ///< Api::Options::silent_after.
    Identity identity{};                                   ///< Likewise.
    /// The history is kept in this file over restarts (HistoryKeeper), which one server at a time may have; empty: in memory.
    std::string history_file{};
    AlertRules alerts{};                     ///< What is an alert: the page shows those,
    std::optional<WebhookConfig> webhook{};  ///< and this is told; absent: nobody is.
    std::string data_dir{};                  ///< Whose disk is looked at for alerts; empty: none.
    /// What the role finds of itself (Api::on_checks), by its newest snapshot: asked on the thread of Role's functions, first
    /// after `first_checks`, as a role that has just begun lacks what is on its way. Empty: nothing is checked.
    std::function<json::object(const Snapshot&)> checks{};
    Duration first_checks = std::chrono::seconds(10);
    Duration checks_every = std::chrono::seconds(30);  ///< At most.
    /// Kept open for connections that come when the process has run out of them.
    std::size_t spare_descriptors = 8;
  };

  /// Listens and serves. `role` must outlive stop(). Errors: kAddressInUse, kConfiguration (no IP address, or none of this
  /// machine; a webhook that is no URL), kInternal.
  static Result<std::unique_ptr<Server>> start(const Options& options, Role& role);

  /// Whether start() would take the webhook. Errors: as webhook_host.
  static Result<> check(const WebhookConfig& webhook);

  ~Server();  ///< As stop().
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Cuts connections off and joins the threads: after what the role is being asked, if it is. Idempotent.
  void stop();

  /// How others reach the role. Any thread; before stop().
  void set_entrances(std::vector<Entrance> entrances);

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::string address() const;  ///< "ip:port" as bound.

 private:
  class State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace adit::monitor
