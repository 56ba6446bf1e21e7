#include "upstream/upstreams.h"

#include <utility>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/deadline.h"
#include "net/task_gate.h"

namespace adit::upstream {

struct Upstreams::State {
  /// One candidate, and its attempt if one is under way.
  struct Entry {
    net::Peer configured;
    net::Peer peer;                                      ///< Where it is dialled now.
    std::uint64_t number = 0;                            ///< Of the attempt that counts; an older one is abandoned.
    std::shared_ptr<net::asio::steady_timer> abandoned;  ///< Never expires: cancelled to end the attempt.
  };

  State(net::Shard& home, const std::vector<net::Peer>& candidates, SelectionPolicy policy, net::DialOptions options,
        session::ClientOptions asked, UpstreamsHandler& events)
      : shard(home),
        selection(carriers(candidates), policy),
        dial(std::move(options)),
        client(std::move(asked)),
        handler(events),
        wake(home.context()) {
    for (const auto& candidate : candidates) entries.push_back({.configured = candidate, .peer = candidate, .abandoned = {}});
  }

  static std::vector<net::Transport> carriers(const std::vector<net::Peer>& candidates) {
    std::vector<net::Transport> all;
    for (const auto& candidate : candidates) {
      all.push_back(std::holds_alternative<net::IrohConfig>(candidate.transport) ? net::Transport::kIroh
                                                                                 : net::Transport::kTcp);
    }
    return all;
  }

  net::Shard& shard;
  Selection selection;
  net::DialOptions dial;
  session::ClientOptions client;
  UpstreamsHandler& handler;
  net::asio::steady_timer wake;
  std::vector<Entry> entries;
  std::mt19937_64 random{std::random_device{}()};
  net::TaskGate gate;
  bool stopping = false;
};

Upstreams::Upstreams(net::Shard& shard, std::vector<net::Peer> candidates, SelectionPolicy policy, net::DialOptions dial,
                     session::ClientOptions client, UpstreamsHandler& handler)
    : state_(std::make_shared<State>(shard, candidates, policy, std::move(dial), std::move(client), handler)) {}

Upstreams::~Upstreams() { stop(nullptr); }

void Upstreams::start() { state_->shard.spawn(run(state_)); }

void Upstreams::stop(std::function<void()> done) {
  const auto state = state_;
  state->stopping = true;
  state->wake.cancel();
  for (auto& entry : state->entries) {
    if (entry.abandoned) entry.abandoned->cancel();
  }
  state->gate.when_empty(std::move(done));
}

void Upstreams::failed(std::size_t candidate, Severity severity) {
  auto& state = *state_;
  if (state.stopping) return;
  state.entries[candidate].peer = state.entries[candidate].configured;
  apply(state_, state.selection.on_failed(candidate, severity, now_from_system().instant, state.random()), nullptr);
}

void Upstreams::degraded() {
  auto& state = *state_;
  if (!state.stopping) apply(state_, state.selection.on_degraded(now_from_system().instant), nullptr);
}

void Upstreams::moved(std::size_t candidate, net::Peer to) {
  auto& state = *state_;
  if (state.stopping) return;
  state.entries[candidate].peer = std::move(to);
  apply(state_, state.selection.on_failed(candidate, Severity::kMoved, now_from_system().instant, state.random()), nullptr);
}

net::asio::awaitable<void> Upstreams::run(std::shared_ptr<State> state) {
  const net::TaskGate::Token running(state->gate);
  while (!state->stopping) {
    const auto now = now_from_system().instant;
    apply(state, state->selection.step(now), nullptr);
    if (state->stopping) break;
    state->wake.expires_at(state->selection.wake_at(now));
    boost::system::error_code woken;
    co_await state->wake.async_wait(net::asio::redirect_error(net::asio::use_awaitable, woken));
  }
}

void Upstreams::apply(const std::shared_ptr<State>& state, const std::vector<Selection::Action>& actions,
                      std::unique_ptr<ReadyUpstream> ready) {
  bool use = false;
  for (const auto& action : actions) {
    auto& entry = state->entries[action.candidate];
    switch (action.kind) {
      case Selection::Action::Kind::kDial:
        entry.abandoned =
            std::make_shared<net::asio::steady_timer>(state->shard.context(), net::asio::steady_timer::time_point::max());
        state->shard.spawn(attempt(state, action.candidate, ++entry.number));
        break;
      case Selection::Action::Kind::kAbandon:
        ++entry.number;
        if (ready && ready->candidate == action.candidate) {
          ready.reset();  // closes it
        } else if (entry.abandoned) {
          entry.abandoned->cancel();
        }
        break;
      case Selection::Action::Kind::kDrain:
        break;  // use() says so
      case Selection::Action::Kind::kUse:
        use = true;
        break;
    }
  }
  // What the engine waits for may have changed.
  state->wake.cancel();
  if (use && ready) state->handler.use(std::move(*ready));
  if (!state->stopping && state->selection.hopeless()) state->handler.hopeless();
}

/// One attempt from the dial to SetupConnection's answer.
net::asio::awaitable<Result<ReadyUpstream>> Upstreams::set_up(std::shared_ptr<State> state, std::size_t candidate) {
  ReadyUpstream ready{.candidate = candidate, .peer = state->entries[candidate].peer, .connection = {}, .side = {}, .rest = {}};
  const auto url = to_url(ready.peer);
  auto dial = state->dial;
  dial.name = url;
  ADIT_CO_TRY(ready.connection, co_await net::dial(state->shard, ready.peer, state->client.protocol, std::move(dial)));
  const bool lanes = ready.connection->metadata().lanes > 1;
  const bool asks = !lanes && state->handler.asks_for_adit(candidate, ready.peer);
  ready.side = std::make_unique<session::ClientSide>(state->client, lanes, asks);
  const auto asked_at = now_from_system();
  wire::FrameBuffer out;
  const auto [host, port] = net::host_and_port(ready.peer.transport);
  ready.side->start(host, port, asked_at, out);
  state->handler.setting_up(candidate, ready.peer);
  ready.connection->send(out);
  const net::Deadline deadline(state->shard.context(), *ready.connection, state->client.setup_timeout);
  const auto batch = co_await ready.connection->receive();
  if (!batch) {
    if (deadline.passed()) co_return fail(net::Errc::kTimedOut, url + ": SetupConnection was not answered in time");
    co_return fail(Error(batch.error()).in(url + ", before it answered SetupConnection"));
  }
  ready.round_trip = now_from_system().instant - asked_at.instant;
  out.clear();
  if (auto answered = ready.side->setup().on_frame(batch->front(), now_from_system(), out); !answered) {
    co_return fail(std::move(answered.error()).in(url));
  }
  for (const auto& frame : batch->subspan(1)) (void)ready.rest.push_raw(frame.header, frame.payload);
  // RequestExtensions comes before everything else.
  if (!out.empty()) ready.connection->send(out);
  co_return ready;
}

net::asio::awaitable<void> Upstreams::attempt(std::shared_ptr<State> state, std::size_t candidate, std::uint64_t number) {
  using namespace net::asio::experimental::awaitable_operators;
  const net::TaskGate::Token running(state->gate);
  const auto abandoned = state->entries[candidate].abandoned;
  const auto peer = state->entries[candidate].peer;
  boost::system::error_code cancelled;
  auto first = co_await (set_up(state, candidate) ||
                         abandoned->async_wait(net::asio::redirect_error(net::asio::use_awaitable, cancelled)));
  if (state->stopping || state->entries[candidate].number != number || first.index() != 0) co_return;
  auto& result = std::get<0>(first);
  const auto now = now_from_system().instant;
  if (result) {
    apply(state, state->selection.on_ready(candidate, now), std::make_unique<ReadyUpstream>(std::move(*result)));
    co_return;
  }
  state->entries[candidate].peer = state->entries[candidate].configured;
  state->handler.attempt_failed(candidate, peer, result.error());
  apply(state, state->selection.on_failed(candidate, severity_of(result.error()), now, state->random()), nullptr);
}

}  // namespace adit::upstream
