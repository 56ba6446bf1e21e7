// A role's session with its upstreams over Stratum V2, of any protocol: which one is used, how it is set up and watched, how it
// is left for another, how it ends. The driver of upstream/upstreams, session/client_setup, session/adit_extension and
// net/health; what is said in the session is the role's. upstream/mining_role.h has what all roles that mine share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/dial.h"
#include "net/health.h"
#include "net/metadata.h"
#include "net/round_trips.h"
#include "net/shards.h"
#include "net/task_gate.h"
#include "session/client_side.h"
#include "session/shutdown.h"
#include "upstream/reconnect.h"
#include "upstream/selection.h"
#include "upstream/upstreams.h"

namespace adit::upstream {

/// The upstream connection of one shard.
struct UplinkStatus {
  std::string url;                                  ///< Of the upstream that is or was tried last.
  bool ready = false;                               ///< The role's session stands.
  std::optional<net::ConnectionMetadata> metadata;  ///< While connected; else of the last connection that was ready.
  std::optional<Duration> round_trip;               ///< Of the protocol: of the last Ping, else of SetupConnection.
  bool goodbye = false;                             ///< Extension 0x4AD1 is spoken on it.
  std::optional<std::chrono::seconds> clock_ahead;  ///< By which its clock was ahead of ours last, where it tells that.
  std::uint64_t connects = 0;                       ///< Times that it became ready.
  std::uint64_t fallbacks = 0;                      ///< Times that another than the last one became ready.
  std::uint64_t goodbyes = 0;                       ///< Endings in which every Goodbye was acknowledged.
  std::uint64_t shares_unanswered = 0;              ///< Submitted on connections that ended before the answer.
  std::array<net::RoundTrips, 2> round_trips;       ///< By net::Transport: of Pings, and of each SetupConnection.
  std::uint64_t path_changes = 0;                   ///< The data began to go another way.
  std::array<std::uint64_t, 2> degraded{};          ///< By net::Transport: times that a connection became degraded,
  std::array<std::uint64_t, 2> dead{};              ///< and that one was found dead.
  std::string last_error;                           ///< Why the last one ended or could not be reached; empty: none did.
  /// Set once no upstream is left that may be used before somebody changes the configuration: nothing is dialled any more.
  std::optional<Error> unusable;
};

/// What a session has under way after its role has left it.
class Unfinished {
 public:
  virtual ~Unfinished() = default;
  /// Takes what still comes.
  virtual void on_frames(std::span<const wire::FrameView> frames, const Now& now) = 0;
  /// Requests that have no answer yet: a Goodbye waits for them.
  [[nodiscard]] virtual std::uint64_t unanswered() const = 0;
  /// For the log: requests that were answered by yes.
  [[nodiscard]] virtual std::uint64_t accepted() const { return 0; }
  /// For the log: requests that were answered by no.
  [[nodiscard]] virtual std::uint64_t rejected() const { return 0; }
};

/// What a role is to its uplink. Calls come from inside the uplink's functions; none may destroy it.
class UplinkRole {
 public:
  virtual ~UplinkRole() = default;

  /// A session with that upstream is set up and used from now on. There is one at a time. `agreement` is valid until end(); its
  /// extensions may change meanwhile. An error ends the session.
  virtual Result<void> begin(std::size_t candidate, const net::Peer& peer, const session::Agreement& agreement,
                             const Now& now) = 0;
  /// Takes frames of the session that began. Set-up, Reconnect and extension 0x4AD1 are the uplink's. An error ends the
  /// session.
  virtual Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now) = 0;
  /// Extension 0x4AD1 is spoken in the session from now on; once at most, after begin().
  virtual void on_adit_extension() {}
  /// The newest round trip of the session.
  virtual void on_round_trip(Duration /*round_trip*/) {}
  /// Called about once a second, whether a session is used or not. An error ends the session that is used.
  virtual Result<void> on_tick(const Now& /*now*/) { return {}; }
  /// About once a second while a session is used: why the upstream is at fault although it keeps the protocol.
  virtual std::optional<Error> fault(const Now& /*now*/) { return std::nullopt; }
  /// What the role has to send in the session; taken by Uplink::send().
  virtual wire::FrameBuffer& output() = 0;
  /// Frames were handled, or the session ended: its consequences may go to the role's other side.
  virtual void flush() {}
  /// The session is over for the role, left or lost: hands over what is under way. `last_message` is sent to a peer without
  /// Goodbye, once the last answer is here.
  virtual std::unique_ptr<Unfinished> end(const Now& now, wire::FrameBuffer& last_message) = 0;

  /// For the log: the upstream in use is lost for that reason.
  virtual void on_lost(const net::Peer& peer, const Error& why) = 0;
  /// For the log: an attempt failed, and the next is on its way.
  virtual void on_attempt_failed(const net::Peer& peer, const Error& why) = 0;
  /// Nothing is left that may be dialled before somebody changes the configuration.
  virtual void on_unusable(const Error&) {}
};

/// Lives on one shard; everything is called on its thread. What it spawns there holds it.
class Uplink final : public std::enable_shared_from_this<Uplink>, private UpstreamsHandler {
 public:
  struct Target {
    net::Peer peer;
    bool goodbye = false;  ///< Ask for extension 0x4AD1 over TCP too; over iroh it is always asked for.
  };
  struct Options {
    std::string name;             ///< The role's, with which its events begin ("translator"); docs/events.md lists them.
    std::vector<Target> targets;  ///< In order of preference, at least one.
    session::ClientOptions client;
    SelectionPolicy selection;
    net::DialOptions dial;
    net::HealthPolicy health;
    /// How long a connection that another has replaced may take to answer what was submitted on it.
    Duration leave_deadline = std::chrono::seconds(10);
  };

  /// `role` must outlive it and what it runs (shut_down's `done`).
  Uplink(net::Shard& shard, Options options, UplinkRole& role);
  ~Uplink() override;

  /// After the first shared_ptr to it exists.
  void start();

  /// Sends what the role has written.
  void send();
  /// To be called about once a second.
  void on_tick(const Now& now);

  /// Ends every connection in that manner; nothing is dialled any more, nothing may be submitted any more. `done` (may be
  /// empty) is called when all have ended.
  void shut_down(session::ShutdownBehavior behavior, std::string_view reason, std::function<void()> done);
  /// The drain deadline has passed: closes every connection now.
  void cut_off();

  [[nodiscard]] const UplinkStatus& status() const { return status_; }

 private:
  struct ReconnectRequest;
  struct Link;
  using LinkPtr = std::shared_ptr<Link>;

  void setting_up(std::size_t candidate, const net::Peer& peer) override;
  [[nodiscard]] bool asks_for_adit(std::size_t candidate, const net::Peer& peer) const override;
  void use(ReadyUpstream ready) override;
  void attempt_failed(std::size_t candidate, const net::Peer& peer, const Error& error) override;
  void hopeless() override;

  static net::asio::awaitable<void> run(std::shared_ptr<Uplink> self, LinkPtr link);
  static net::asio::awaitable<void> drain(std::shared_ptr<Uplink> self, LinkPtr link);
  static net::asio::awaitable<void> drain_when_finished(std::shared_ptr<Uplink> self, LinkPtr link);
  /// Handles one batch, or what came with the answer to SetupConnection. Errors: those of the set-up, of the role and of the
  /// extension; net::Errc::kEndOfStream if the upstream asked for a new connection.
  Result<void> handle(Link& link, std::span<const wire::FrameView> frames);
  Result<void> give_out(Link& link, std::span<const wire::FrameView> frames, const Now& now);
  /// The role's session begins, if the link is set up now.
  void begin_role(Link& link, const Now& now);
  void send(Link& link);
  /// Looks at its health, acts on it, pings. False: it was found dead.
  bool watch(Link& link, const Now& now);
  void watch_path(Link& link);
  /// Tells when the upstream's clock begins to differ from ours, and when it agrees again.
  void look_at_clock(Link& link);
  void drop(Link& link, Error reason, std::optional<Severity> fault);
  /// Begins nothing new on it and waits for the answers that are due.
  void leave(Link& link, std::string_view reason, session::ShutdownBehavior behavior);
  /// The role has no session any more. False: it had none on this link.
  bool take_from_role(Link& link, const Now& now);
  void ended(Link& link, const Error& reason);
  void move(Link& link);
  [[nodiscard]] std::string event(std::string_view what) const;

  net::Shard& shard_;
  const Options options_;
  UplinkRole& role_;
  std::unique_ptr<Upstreams> upstreams_;
  LinkPtr link_;                ///< The one in use.
  std::vector<LinkPtr> links_;  ///< All that run.
  std::vector<bool> silent_;    ///< By target: it gave no answer to RequestExtensions, so it is not asked again.
  std::optional<std::size_t> last_used_;
  ReconnectBudget reconnects_;
  UplinkStatus status_;
  net::TaskGate gate_;
  bool stopping_ = false;
  std::optional<Error> last_unusable_;
};

}  // namespace adit::upstream
