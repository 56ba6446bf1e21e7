// A role's connection to its upstreams over Stratum V2: which one is used, how it is watched, how it is left for another, how
// it ends. The driver of net/upstreams, net/adit_extension, net/health and ShareJudge; what is mined is the role's.
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
#include "net/adit_extension.h"
#include "net/dial.h"
#include "net/health.h"
#include "net/metadata.h"
#include "net/reconnect.h"
#include "net/recovery.h"
#include "net/round_trips.h"
#include "net/selection.h"
#include "net/setup.h"
#include "net/shards.h"
#include "net/shares.h"
#include "net/upstreams.h"

namespace adit::net {

/// The upstream connection of one shard.
struct UplinkStatus {
  std::string url;                             ///< Of the upstream that is or was tried last.
  bool ready = false;                          ///< The role's session stands.
  std::optional<ConnectionMetadata> metadata;  ///< While connected; else of the last connection that was ready.
  std::optional<Duration> round_trip;          ///< Of the protocol: of the last Ping, else of SetupConnection.
  bool goodbye = false;                        ///< Extension 0x4AD1 is spoken on it.
  std::uint64_t connects = 0;                  ///< Times that it became ready.
  std::uint64_t fallbacks = 0;                 ///< Times that another than the last one became ready.
  std::uint64_t goodbyes = 0;                  ///< Endings in which every Goodbye was acknowledged.
  std::uint64_t shares_unanswered = 0;         ///< Submitted on connections that ended before the answer.
  std::array<RoundTrips, 2> round_trips;       ///< By Transport: of Pings, and of each SetupConnection.
  std::uint64_t path_changes = 0;              ///< The data began to go another way.
  std::array<std::uint64_t, 2> degraded{};     ///< By Transport: times that a connection became degraded,
  std::array<std::uint64_t, 2> dead{};         ///< and that one was found dead.
  std::string last_error;                      ///< Why the last one ended or could not be reached; empty: none did.
  /// Set once no upstream is left that may be used before somebody changes the configuration: nothing is dialled any more.
  std::optional<Error> unusable;
};

/// What a role is to its uplink. Calls come from inside the uplink's functions; none may destroy it.
class UplinkRole {
 public:
  virtual ~UplinkRole() = default;

  /// A session with it begins: its SetupConnection is answered, by what on_frames will be given first. There is one at a time.
  virtual void begin(std::size_t candidate, const Upstream& peer, const Now& now) = 0;
  /// Of the session that began. Reconnect and extension 0x4AD1 are the uplink's. Errors end the session.
  virtual Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now) = 0;
  /// What the role has to say in it; taken by Uplink::send().
  virtual wire::FrameBuffer& output() = 0;
  /// Frames were handled, or the session ended: its consequences may go to the role's other side.
  virtual void flush() {}
  /// It is over for the role, left or lost: hands over what was submitted, whose answers may still come. `last_words`: for a
  /// peer without Goodbye, once the last answer is here.
  virtual StratumV2StreamHandler end(const Now& now, wire::FrameBuffer& last_words) = 0;
  /// Answers to shares of a session that is over.
  virtual void on_late_answer(const wire::SubmitSharesSuccess& message) = 0;
  virtual void on_late_answer(const wire::SubmitSharesError&) {}

  /// For the log. The one in use ended for that reason,
  virtual void on_lost(const Upstream& peer, const Error& why) = 0;
  /// or an attempt failed: the next is on its way,
  virtual void on_attempt_failed(const Upstream& peer, const Error& why) = 0;
  /// but that nothing is left that may be dialled before somebody changes the configuration.
  virtual void on_unusable(const Error&) {}
  /// What is held against an upstream for an error of the role's own.
  [[nodiscard]] virtual Severity severity_of(const Error& error) const { return net::severity_of(error); }
};

/// The names of the events that a role's uplink logs; docs/events.md says when and with which fields.
struct UplinkEvents {
  std::string_view dial;
  std::string_view upstream_switched;
  std::string_view upstream_closed;
  std::string_view path_changed;
  std::string_view health;
  std::string_view goodbye;
  std::string_view goodbye_heard;
  std::string_view reconnect;
  std::string_view reconnect_refused;
};

/// Lives on one shard; everything is called on its thread. What it spawns there holds it.
class Uplink final : public std::enable_shared_from_this<Uplink>, private UpstreamsHandler {
 public:
  struct Target {
    Upstream peer;
    bool goodbye = false;  ///< Ask for extension 0x4AD1 over TCP too; over iroh it is always asked for.
  };
  struct Options {
    std::vector<Target> targets;  ///< In order of preference, at least one.
    UplinkEvents events;
    ClientSetup setup;
    SelectionPolicy selection;
    DialOptions dial;
    HealthPolicy health;
    Duration setup_deadline = std::chrono::seconds(10);
    /// How long a connection that another has replaced may take to answer what was submitted on it.
    Duration leave_deadline = std::chrono::seconds(10);
  };

  /// `role` must outlive it and what it runs (shut_down's `done`).
  Uplink(Shard& shard, Options options, UplinkRole& role);
  ~Uplink() override;

  /// After the first shared_ptr to it exists.
  void start();

  /// Sends what the role has written.
  void send();
  /// The role's session stands: it is ready from now on.
  void on_ready();
  /// To be called about once a second. `ticked`: what the role's own time says of the session; an error ends it.
  void on_tick(const Now& now, const Result<void>& ticked);

  /// Ends every connection in that manner; nothing is dialled any more, nothing may be submitted any more. `done` (may be
  /// empty) is called when all have ended.
  void shut_down(ShutdownBehavior behavior, std::string_view reason, std::function<void()> done);
  /// Past all patience.
  void cut_off();

  [[nodiscard]] const UplinkStatus& status() const { return status_; }

 private:
  struct ReconnectRequest;
  struct Link;
  class Running;
  using LinkPtr = std::shared_ptr<Link>;

  void setting_up(std::size_t candidate, const Upstream& peer) override;
  void use(ReadyUpstream ready) override;
  void attempt_failed(std::size_t candidate, const Upstream& peer, const Error& error) override;
  void hopeless() override;

  static asio::awaitable<void> run(std::shared_ptr<Uplink> self, LinkPtr link);
  static asio::awaitable<void> drain(std::shared_ptr<Uplink> self, LinkPtr link);
  static asio::awaitable<void> drain_when_finished(std::shared_ptr<Uplink> self, LinkPtr link);
  /// Handles one batch, or the answer to SetupConnection. Errors: those of the role and of the extension; kEndOfStream: it
  /// asked for a new connection.
  Result<void> handle(Link& link, std::span<const wire::FrameView> frames);
  Result<void> give_role(Link& link, std::span<const wire::FrameView> frames, const Now& now);
  void judge(Link& link, std::span<const wire::FrameView> frames, const Now& now);
  void send(Link& link);
  /// Looks at its health, acts on it, pings. False: it was found dead.
  bool watch(Link& link, const Now& now);
  void watch_path(Link& link);
  void drop(Link& link, Error reason, std::optional<Severity> fault);
  /// Begins nothing new on it and waits for the answers that are due.
  void leave(Link& link, std::string_view reason, ShutdownBehavior behavior);
  /// The role has no session any more. False: it had none on this link.
  bool take_from_role(Link& link, const Now& now);
  void ended(Link& link, const Error& reason);
  void move(Link& link);
  void finish_if_done();

  Shard& shard_;
  const Options options_;
  UplinkRole& role_;
  std::unique_ptr<Upstreams> upstreams_;
  LinkPtr link_;                ///< The one in use.
  std::vector<LinkPtr> links_;  ///< All that run.
  std::vector<bool> silent_;    ///< By target: it gave no answer to RequestExtensions, so it is not asked again.
  std::optional<std::size_t> last_used_;
  ReconnectBudget reconnects_;
  UplinkStatus status_;
  std::size_t running_ = 0;
  bool stopping_ = false;
  std::optional<Error> last_unusable_;
  std::function<void()> done_;
};

}  // namespace adit::net
