// The driver of upstream/selection.h: dials candidates, sets their connections up, hands over the winner, looks for a better
// one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.h"
#include "net/connection.h"
#include "net/dial.h"
#include "net/shards.h"
#include "session/client_side.h"
#include "upstream/selection.h"
#include "upstream/url.h"
#include "wire/frame.h"

namespace adit::upstream {

/// A connection whose SetupConnection was answered by Success, under the authority that the upstream's URL names.
struct ReadyUpstream {
  std::size_t candidate = 0;
  net::Peer peer;  ///< Where it was dialled: as configured, or where a Reconnect led.
  std::unique_ptr<net::NetworkConnection> connection;
  std::unique_ptr<session::ClientSide> side;  ///< SetupConnection is answered; extensions may still be negotiated.
  wire::FrameBuffer rest;                     ///< What came with that answer.
  Duration round_trip{};                      ///< Of SetupConnection: what the peer's answers take at least.
};

/// Called on the shard, never from inside a call to Upstreams but use(), which step(), failed() and moved() may bring about.
class UpstreamsHandler {
 public:
  virtual ~UpstreamsHandler() = default;
  /// A candidate is reached and SetupConnection goes out; for the log.
  virtual void setting_up(std::size_t candidate, const net::Peer& peer) = 0;
  /// Whether extension 0x4AD1 is to be asked for on a connection to that candidate, over one stream.
  [[nodiscard]] virtual bool asks_for_adit(std::size_t candidate, const net::Peer& peer) const = 0;
  /// To be used from now on. One that was in use until now finishes what is under way and ends, without a word to Upstreams.
  virtual void use(ReadyUpstream ready) = 0;
  /// An attempt failed; for the log. The next is on its way.
  virtual void attempt_failed(std::size_t candidate, const net::Peer& peer, const Error& error) = 0;
  /// No candidate is left that may ever be dialled again.
  virtual void hopeless() = 0;
};

/// Lives on one shard; everything is called on its thread.
class Upstreams {
 public:
  /// `shard` and `handler` must outlive it and, after stop(), its last attempt: see stop().
  Upstreams(net::Shard& shard, std::vector<net::Peer> candidates, SelectionPolicy policy, net::DialOptions dial,
            session::ClientOptions client, UpstreamsHandler& handler);
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
  void moved(std::size_t candidate, net::Peer to);

 private:
  struct State;
  static net::asio::awaitable<void> run(std::shared_ptr<State> state);
  static net::asio::awaitable<void> attempt(std::shared_ptr<State> state, std::size_t candidate, std::uint64_t number);
  static net::asio::awaitable<Result<ReadyUpstream>> set_up(std::shared_ptr<State> state, std::size_t candidate);
  static void apply(const std::shared_ptr<State>& state, const std::vector<Selection::Action>& actions,
                    std::unique_ptr<ReadyUpstream> ready);

  std::shared_ptr<State> state_;  ///< Shared with the attempts.
};

}  // namespace adit::upstream
