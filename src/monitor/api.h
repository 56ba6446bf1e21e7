// What the monitor serves: the routes, and what each of them answers. No I/O.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "monitor/exposition.h"
#include "monitor/health.h"
#include "monitor/http.h"
#include "monitor/router.h"
#include "monitor/snapshot.h"

namespace adit::monitor {

/// All routes stand in one table, in api.cpp. Not thread-safe.
class Api {
 public:
  struct Options {
    /// Names by which this machine is asked for its pages and its JSON, besides its IP addresses and localhost; in lower case.
    std::vector<std::string> hosts{};
    /// So long after the last verdict or snapshot the role is called silent.
    Duration silent_after = std::chrono::seconds(30);
  };
  Api(Options options, const Now& started);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  /// The role's newest snapshot, taken at `now`. The next is expected within `refresh`.
  void on_snapshot(std::shared_ptr<const Snapshot> snapshot, Duration refresh, const Now& now);
  /// The role's newest verdict on itself.
  void on_health(Health health, const Now& now);

  /// Never fails: what cannot be answered is refused.
  Response answer(const Request& request, const Now& now);

  /// Whether `request` is to be answered once the first snapshot is here.
  [[nodiscard]] bool must_wait(const Request& request) const;

 private:
  class Events;

  std::vector<Route> table();
  [[nodiscard]] bool knows_host(std::string_view host) const;
  /// As the role says, or that it does not say anything.
  [[nodiscard]] Health health(const Now& now) const;
  [[nodiscard]] std::string health_json(const Now& now) const;

  Options options_;
  Now started_;
  Router router_;
  Exposition exposition_;
  std::shared_ptr<const Snapshot> snapshot_;
  Instant snapshot_due_{};  ///< When the next one was expected.
  Health health_;
  Instant health_at_;
  UnixTime since_;  ///< When `readiness` last changed.
  std::vector<std::weak_ptr<Events>> listeners_;
  std::uint64_t last_event_ = 0;
};

}  // namespace adit::monitor
