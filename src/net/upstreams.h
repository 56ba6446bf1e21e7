// The driver of net/selection.h: dials candidates, sets their connections up, hands over the winner, looks for a better one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.h"
#include "net/connection.h"
#include "net/dial.h"
#include "net/selection.h"
#include "net/setup.h"
#include "net/shards.h"
#include "net/url.h"
#include "wire/frame.h"

namespace adit::net {

/// A connection whose SetupConnection was answered by Success, under the authority that the upstream's URL names.
struct ReadyUpstream {
  std::size_t candidate = 0;
  Upstream peer;  ///< Where it was dialled: as configured, or where a Reconnect led.
  std::unique_ptr<NetworkConnection> connection;
  wire::FrameBuffer answer;  ///< SetupConnection.Success, and what came with it.
  Duration round_trip{};     ///< Of SetupConnection: what the peer's answers take at least.
};

/// Called on the shard, never from inside a call to Upstreams but use(), which step(), failed() and moved() may bring about.
class UpstreamsHandler {
 public:
  virtual ~UpstreamsHandler() = default;
  /// A candidate is reached and SetupConnection goes out; for the log.
  virtual void setting_up(std::size_t candidate, const Upstream& peer) = 0;
  /// To be used from now on. One that was in use until now finishes what is under way and ends, without a word to Upstreams.
  virtual void use(ReadyUpstream ready) = 0;
  /// An attempt failed; for the log. The next is on its way.
  virtual void attempt_failed(std::size_t candidate, const Upstream& peer, const Error& error) = 0;
  /// No candidate is left that may ever be dialled again.
  virtual void hopeless() = 0;
};

/// Lives on one shard; everything is called on its thread.
class Upstreams {
 public:
  /// `shard` and `handler` must outlive it and, after stop(), its last attempt: see stop().
  Upstreams(Shard& shard, std::vector<Upstream> candidates, SelectionPolicy policy, DialOptions dial, ClientSetup setup,
            Duration setup_deadline, UpstreamsHandler& handler);
  ~Upstreams();
  Upstreams(const Upstreams&) = delete;
  Upstreams& operator=(const Upstreams&) = delete;

  void start();

  /// Ends all attempts; the handler is not called any more. `done` (may be empty) is called when the last has unwound.
  void stop(std::function<void()> done);

  /// The one in use is lost, or ended by its user, for that reason.
  void failed(std::size_t candidate, Severity severity);

  /// The one in use is degraded: Selection::on_degraded.
  void degraded();

  /// The one in use asked to be dialled anew, there. Until the next failure it is dialled there.
  void moved(std::size_t candidate, Upstream to);

  [[nodiscard]] std::optional<std::size_t> in_use() const;

 private:
  struct State;
  static asio::awaitable<void> run(std::shared_ptr<State> state);
  static asio::awaitable<void> attempt(std::shared_ptr<State> state, std::size_t candidate, std::uint64_t number);
  static asio::awaitable<Result<ReadyUpstream>> set_up(std::shared_ptr<State> state, std::size_t candidate);
  static void apply(const std::shared_ptr<State>& state, const std::vector<Selection::Action>& actions,
                    std::unique_ptr<ReadyUpstream> ready);

  std::shared_ptr<State> state_;  ///< Shared with the attempts.
};

}  // namespace adit::net
