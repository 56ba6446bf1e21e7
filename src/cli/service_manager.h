// What systemd is told by a role that it has started with Type=notify: sd_notify(3), without its library.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "net/shards.h"

namespace adit::cli {

/// Sends this process's state to the service manager that started it. Does nothing where there is none. One thread uses it.
class ServiceManager {
 public:
  /// `socket`: a path, or an abstract name after '@'; empty: no service manager. `watchdog`: how often it wants to hear of us
  /// at least; zero: it does not.
  ServiceManager(std::string_view socket, Duration watchdog);

  /// Of $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID.
  static ServiceManager of_environment();

  /// How often is_alive() is to be called: half of what the service manager asks for, or nothing.
  [[nodiscard]] std::optional<Duration> beat() const { return beat_; }

  void is_ready() const { send("READY=1"); }
  void is_alive() const { send("WATCHDOG=1"); }
  void is_stopping() const { send("STOPPING=1"); }

 private:
  void send(std::string_view state) const;

  std::string name_;  ///< The variable, for the log.
  sockaddr_un address_{};
  socklen_t length_ = 0;  ///< 0: there is nobody to send to.
  std::optional<Duration> beat_;
};

/// Asks the event loops of all shards, and knows whether they answer. One thread uses it, while the shards exist.
class Pulse {
 public:
  explicit Pulse(net::Shards& shards) : shards_(shards) {}

  /// Whether each shard has run what it was last asked, or was never asked. If so, asks all of them anew. Waits for none.
  bool is_felt();

 private:
  net::Shards& shards_;
  std::shared_ptr<std::atomic<unsigned>> unanswered_ = std::make_shared<std::atomic<unsigned>>(0);
};

}  // namespace adit::cli
