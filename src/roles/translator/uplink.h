// The translator's upstream side on one shard: which connection is used, how one is left for another, how all end.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/adit_extension.h"
#include "net/dial.h"
#include "net/health.h"
#include "net/metadata.h"
#include "net/reconnect.h"
#include "net/round_trips.h"
#include "net/selection.h"
#include "net/shards.h"
#include "net/upstreams.h"
#include "roles/translator/translator.h"

namespace adit::translator {

struct UpstreamTarget {
  net::Upstream peer;
  std::string user_identity;  ///< ".minerN" is put behind it, where each miner has a channel of its own.
  bool regtest_only = false;  ///< Its authority key is one whose secret everybody has: Translator::on_upstream_connected.
  bool goodbye = false;       ///< Ask for extension 0x4AD1 over TCP too; over iroh it is always asked for.
};

/// The upstream connection of one shard.
struct UpstreamStatus {
  std::string url;                                  ///< Of the upstream that is or was tried last.
  bool ready = false;                               ///< SetupConnection was answered.
  std::optional<net::ConnectionMetadata> metadata;  ///< While connected; else of the last connection that was ready.
  std::optional<Duration> round_trip;               ///< Of the protocol: of the last Ping, else of SetupConnection.
  bool goodbye = false;                             ///< Extension 0x4AD1 is spoken on it.
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

/// Drives the upstream half of a Translator. Lives on one shard; everything is called on its thread.
class Uplink final : public std::enable_shared_from_this<Uplink>, private net::UpstreamsHandler {
 public:
  struct Options {
    std::vector<UpstreamTarget> targets;  ///< In order of preference, at least one.
    net::SelectionPolicy selection;
    net::DialOptions dial;
    net::HealthPolicy health;
    Duration setup_deadline = std::chrono::seconds(10);
    /// How long a connection that another has replaced may take to answer what was submitted on it.
    Duration leave_deadline = std::chrono::seconds(10);
  };

  /// `engine` must outlive it and what it runs (shut_down's `done`). `flush` sends what the engine has for the miners; called
  /// after each batch from upstream.
  Uplink(net::Shard& shard, Options options, Translator& engine, std::function<void()> flush);
  ~Uplink() override;

  /// After the first shared_ptr to it exists.
  void start();

  /// Sends what the engine has written for its upstream.
  void send();
  /// The engine became ready (TranslatorEvents).
  void on_ready();
  /// About once a second. `ticked`: what the engine's tick said of its upstream.
  void on_tick(const Now& now, const Result<void>& ticked);

  /// Ends every connection in that manner; nothing is dialled any more, nothing may be submitted any more. `done` is called
  /// when all have ended.
  void shut_down(net::ShutdownBehavior behavior, std::function<void()> done);
  /// Past all patience.
  void cut_off();

  [[nodiscard]] const UpstreamStatus& status() const { return status_; }
  /// Answers to shares that came after their connection had been left for another: not in the engine's counters.
  [[nodiscard]] std::uint64_t late_accepted() const { return late_accepted_; }
  [[nodiscard]] std::uint64_t late_work() const { return late_work_; }

 private:
  struct Link;
  class Running;
  using LinkPtr = std::shared_ptr<Link>;

  void write_setup(std::size_t candidate, const net::Upstream& peer, wire::FrameBuffer& out) override;
  void use(net::ReadyUpstream ready) override;
  void attempt_failed(std::size_t candidate, const net::Upstream& peer, const Error& error) override;
  void hopeless() override;

  static net::asio::awaitable<void> run(std::shared_ptr<Uplink> self, LinkPtr link);
  /// Handles one batch, or the answer to SetupConnection. Errors: those of the engine and of the extension.
  Result<void> handle(Link& link, std::span<const wire::FrameView> frames);
  /// Looks at its health, acts on it, pings. False: it was found dead.
  bool watch(Link& link, const Now& now);
  void drop(Link& link, Error reason, std::optional<net::Severity> fault);
  void observe(Link& link, std::span<const wire::FrameView> frames, const Now& now);
  /// Begins nothing new on it and waits for the answers that are due.
  void leave(Link& link, std::string_view reason, net::ShutdownBehavior behavior);
  [[nodiscard]] bool finished(const Link& link) const;
  void ended(Link& link, const Error& reason);
  void move(Link& link);
  void finish_if_done();

  net::Shard& shard_;
  const Options options_;
  Translator& engine_;
  std::function<void()> flush_;
  std::unique_ptr<net::Upstreams> upstreams_;
  LinkPtr link_;                ///< The one in use.
  std::vector<LinkPtr> links_;  ///< All that run.
  std::vector<bool> silent_;    ///< By target: it gave no answer to RequestExtensions, so it is not asked again.
  std::optional<std::size_t> last_used_;
  net::ReconnectBudget reconnects_;
  UpstreamStatus status_;
  std::uint64_t late_accepted_ = 0;
  std::uint64_t late_work_ = 0;
  std::size_t running_ = 0;
  bool stopping_ = false;
  std::optional<Error> last_unusable_;
  std::function<void()> done_;
};

}  // namespace adit::translator
