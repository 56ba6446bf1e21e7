#include "net/upstreams.h"

#include <utility>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/deadline.h"
#include "net/recovery.h"
#include "wire/common_messages.h"

namespace adit::net {

struct Upstreams::State {
  /// One candidate, and its attempt if one is under way.
  struct Entry {
    Upstream configured;
    Upstream peer;                                  ///< Where it is dialled now.
    std::uint64_t number = 0;                       ///< Of the attempt that counts; an older one is abandoned.
    std::shared_ptr<asio::steady_timer> abandoned;  ///< Never expires: cancelled to end the attempt.
  };

  State(Shard& home, const std::vector<Upstream>& candidates, SelectionPolicy policy, DialOptions options, ClientSetup client,
        Duration deadline, UpstreamsHandler& events)
      : shard(home),
        selection(carriers(candidates), policy),
        dial(options),
        setup(client),
        setup_deadline(deadline),
        handler(events),
        wake(home.context()) {
    for (const auto& candidate : candidates) entries.push_back({.configured = candidate, .peer = candidate, .abandoned = {}});
  }

  static std::vector<Transport> carriers(const std::vector<Upstream>& candidates) {
    std::vector<Transport> all;
    for (const auto& candidate : candidates) {
      all.push_back(std::holds_alternative<IrohConfig>(candidate.transport) ? Transport::kIroh : Transport::kTcp);
    }
    return all;
  }

  void task_ended() {
    if (--tasks == 0 && done) std::exchange(done, nullptr)();
  }

  Shard& shard;
  Selection selection;
  DialOptions dial;
  ClientSetup setup;
  Duration setup_deadline;
  UpstreamsHandler& handler;
  asio::steady_timer wake;
  std::vector<Entry> entries;
  std::mt19937_64 random{std::random_device{}()};
  std::size_t tasks = 0;
  bool stopping = false;
  std::function<void()> done;
};

namespace {

/// Counts a task of Upstreams as long as it runs, however it ends.
template <class State>
class Counted {
 public:
  explicit Counted(std::shared_ptr<State> state) : state_(std::move(state)) { ++state_->tasks; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { state_->task_ended(); }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace

Upstreams::Upstreams(Shard& shard, std::vector<Upstream> candidates, SelectionPolicy policy, DialOptions dial,
                     ClientSetup setup, Duration setup_deadline, UpstreamsHandler& handler)
    : state_(std::make_shared<State>(shard, candidates, policy, dial, setup, setup_deadline, handler)) {}

Upstreams::~Upstreams() { stop(nullptr); }

void Upstreams::start() { state_->shard.spawn(run(state_)); }

void Upstreams::stop(std::function<void()> done) {
  const auto state = state_;
  state->stopping = true;
  state->done = std::move(done);
  state->wake.cancel();
  for (auto& entry : state->entries) {
    if (entry.abandoned) entry.abandoned->cancel();
  }
  if (state->tasks == 0 && state->done) std::exchange(state->done, nullptr)();
}

std::optional<std::size_t> Upstreams::in_use() const { return state_->selection.in_use(); }

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

void Upstreams::moved(std::size_t candidate, Upstream to) {
  auto& state = *state_;
  if (state.stopping) return;
  state.entries[candidate].peer = std::move(to);
  apply(state_, state.selection.on_failed(candidate, Severity::kMoved, now_from_system().instant, state.random()), nullptr);
}

asio::awaitable<void> Upstreams::run(std::shared_ptr<State> state) {
  const Counted counted(state);
  while (!state->stopping) {
    const auto now = now_from_system().instant;
    apply(state, state->selection.step(now), nullptr);
    if (state->stopping) break;
    state->wake.expires_at(state->selection.wake_at(now));
    boost::system::error_code woken;
    co_await state->wake.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
}

void Upstreams::apply(const std::shared_ptr<State>& state, const std::vector<Selection::Action>& actions,
                      std::unique_ptr<ReadyUpstream> ready) {
  bool use = false;
  for (const auto& action : actions) {
    auto& entry = state->entries[action.candidate];
    switch (action.kind) {
      case Selection::Action::Kind::kDial:
        entry.abandoned = std::make_shared<asio::steady_timer>(state->shard.context(), asio::steady_timer::time_point::max());
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
asio::awaitable<Result<ReadyUpstream>> Upstreams::set_up(std::shared_ptr<State> state, std::size_t candidate) {
  ReadyUpstream ready{.candidate = candidate, .peer = state->entries[candidate].peer, .connection = {}, .answer = {}};
  ADIT_CO_TRY(ready.connection, co_await net::dial(state->shard, ready.peer, state->dial));
  wire::FrameBuffer setup;
  push_setup_connection(ready.peer.transport, state->setup, setup);
  state->handler.setting_up(candidate, ready.peer);
  const auto asked_at = now_from_system().instant;
  ready.connection->send(setup);
  const Deadline deadline(state->shard.context(), *ready.connection, state->setup_deadline);
  const auto batch = co_await ready.connection->receive();
  if (!batch) {
    if (deadline.passed()) co_return fail(Errc::kTimedOut, to_url(ready.peer) + ": SetupConnection was not answered in time");
    co_return fail(Error(batch.error()).in(to_url(ready.peer) + ", before it answered SetupConnection"));
  }
  ready.round_trip = now_from_system().instant - asked_at;
  const auto& first = batch->front();
  if (first.is<wire::SetupConnectionError>()) {
    const auto refusal = first.as<wire::SetupConnectionError>();
    co_return fail(Errc::kDenied, to_url(ready.peer) + " refused the connection: " +
                                      (refusal ? std::string(refusal->error_code.view()) : "for a reason that cannot be read") +
                                      (refusal ? " (flags it does not support: " + std::to_string(refusal->flags) + ")" : ""));
  }
  if (!first.is<wire::SetupConnectionSuccess>()) {
    co_return fail(Errc::kProtocol, to_url(ready.peer) + " sent message " + std::to_string(first.header.message_type) +
                                        " before it answered SetupConnection");
  }
  for (const auto& frame : *batch) (void)ready.answer.push_raw(frame.header, frame.payload);
  co_return ready;
}

asio::awaitable<void> Upstreams::attempt(std::shared_ptr<State> state, std::size_t candidate, std::uint64_t number) {
  using namespace asio::experimental::awaitable_operators;
  const Counted counted(state);
  const auto abandoned = state->entries[candidate].abandoned;
  const auto peer = state->entries[candidate].peer;
  boost::system::error_code cancelled;
  auto first =
      co_await (set_up(state, candidate) || abandoned->async_wait(asio::redirect_error(asio::use_awaitable, cancelled)));
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

}  // namespace adit::net
