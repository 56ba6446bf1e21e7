// What the monitor serves: the routes, and what each of them answers. No I/O.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "log/warnings.h"
#include "monitor/access.h"
#include "monitor/alerts.h"
#include "monitor/assets.h"
#include "monitor/exposition.h"
#include "monitor/health.h"
#include "monitor/history.h"
#include "monitor/http.h"
#include "monitor/identity.h"
#include "monitor/json.h"
#include "monitor/router.h"
#include "monitor/snapshot.h"

namespace adit::monitor {

/// All routes stand in one table, in api.cpp. Not thread-safe.
class Api {
 public:
  struct Options {
    /// Names by which this machine is asked for its pages and its JSON, besides its IP addresses and localhost; in lower case.
    std::vector<std::string> hosts{};
    Access access{};  ///< Who is answered; all others get 401, whatever they ask for.
    /// So long after the last verdict or snapshot the role is called silent.
    Duration silent_after = std::chrono::seconds(10);
    Identity identity{};
    bool tells_alerts = false;           ///< Somebody is told of them, but
    std::set<AlertKind> muted_alerts{};  ///< not of these.
    /// The newest warnings of the process; empty: there are none.
    std::function<std::vector<log::Warning>()> warnings{};
  };
  Api(Options options, const Now& started);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  /// The role's newest snapshot, taken at `now`. The next is expected within `refresh`.
  void on_snapshot(std::shared_ptr<const Snapshot> snapshot, Duration refresh, const Now& now);
  /// The role's newest verdict on itself.
  void on_health(Health health, const Now& now);

  /// What an earlier process wrote down of the role's history.
  void on_past(History::Part part, const Now& now) { history_.restore(std::move(part), now.unix_time); }
  [[nodiscard]] const History& history() const { return history_; }

  /// To be called about once a second: tells of a role that has fallen silent.
  void tick(const Now& now);

  /// What is wrong now: Alerts::active().
  void on_alerts(std::vector<Alert> alerts) { alerts_ = std::move(alerts); }

  /// What the role found of itself: {"status", "checks"}, as `adit doctor --json` prints it.
  void on_checks(json::object checks, const Now& now);

  /// How others reach the role, once that is known.
  void on_entrances(std::vector<Entrance> entrances) { entrances_ = std::move(entrances); }

  /// Never fails: what cannot be answered is refused.
  Response answer(const Request& request, const Now& now);

  /// How many may be sent events; of those that have left, at most the last.
  [[nodiscard]] std::size_t listeners() const { return listeners_.size(); }

  /// Whether `request` is to be answered once the first snapshot is here. What is refused anyway does not wait.
  [[nodiscard]] bool must_wait(const Request& request) const;

 private:
  class Events;

  std::vector<Route> table();
  [[nodiscard]] bool knows_host(std::string_view host) const;
  /// As the role says, or that it does not say anything.
  [[nodiscard]] Health health(const Now& now) const;
  [[nodiscard]] json::object health_json(const Health& verdict, const Now& now) const;
  /// The state of the role in one object of bounded size: sums, upstreams, work, the newest marks.
  [[nodiscard]] json::object status_json(const Now& now) const;
  [[nodiscard]] json::object entrances_json() const;
  [[nodiscard]] json::object alerts_json() const;
  [[nodiscard]] json::object warnings_json() const;

  void add_pages(std::vector<Route>& routes);
  [[nodiscard]] Response index(const Call& call) const;
  Response events(const Call& call);
  /// What has happened since the last snapshot, for the history.
  void observe(const Snapshot& snapshot, const Now& now);
  void mark(std::string_view kind, std::string text, const Now& now);
  void drop_who_left();
  /// To everybody who is sent events.
  void send(std::string_view type, const json::object& data);
  [[nodiscard]] std::string event(std::string_view type, const json::object& data) const;

  Options options_;
  Now started_;
  Router router_;
  Exposition exposition_;
  std::shared_ptr<const Snapshot> snapshot_;
  Instant snapshot_due_{};  ///< When the next one was expected.
  std::size_t miners_ = 0;  ///< Rows that /api/v1/miners has.
  Health health_;           ///< The role's newest.
  Health told_;             ///< That listeners know of.
  Instant health_at_;
  UnixTime since_;  ///< When the readiness of `told_` last changed.
  std::vector<std::weak_ptr<Events>> listeners_;
  std::uint64_t last_event_ = 0;
  std::vector<Entrance> entrances_;
  std::vector<Alert> alerts_;
  json::object checks_;

  /// What the last snapshot said of what is looked at for changes.
  struct Seen {
    std::uint64_t accepted = 0;
    std::uint64_t rejected = 0;
    std::uint64_t blocks = 0;
    std::uint32_t height = 0;
    std::string upstream;  ///< URL of the first that is ready.
    std::string path;      ///< Of the connection with it.
  };
  struct Best {
    double difficulty = 0;
    std::string name;
    UnixTime at{};
  };
  History history_;
  std::optional<Seen> seen_;
  Best best_;  ///< The best share since the start.
  Duration refresh_{};
};

}  // namespace adit::monitor
