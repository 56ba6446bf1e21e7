#include "net/iroh/node.h"

#include <array>
#include <atomic>
#include <shared_mutex>
#include <string_view>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/hex.h"
#include "log/log.h"
#include "net/iroh/runtime.h"
#include "net/iroh/stream.h"

namespace adit::net {
namespace {

constexpr std::uint32_t kCloseDeadlineMs = 3000;
/// Attempts that wait to be decided, and how many are decided before the shard does something else.
constexpr std::uint32_t kMaxWaiting = 1024;
constexpr int kAttemptsPerTurn = 64;
constexpr int kTriesForOldPort = 20;
constexpr auto kPauseForOldPort = std::chrono::milliseconds(100);
constexpr auto kPauseWithoutRoom = std::chrono::milliseconds(100);

/// What makes two dials lead to the same connection.
std::string pool_key(const IrohConfig& to) {
  std::string key = to.endpoint_id + ' ' + to.relay_url.value_or("-") + ' ' + to.alpn;
  for (const auto& addr : to.addrs) key += ' ' + addr;
  return key;
}

Error dial_error(std::int32_t result, adit_handle handle, const std::string& endpoint_id, bool no_relay) {
  // Silence is the commonest failure, and the bridge does not know what was dialled.
  auto error = bridge_error(result, handle, "cannot connect to " + endpoint_id.substr(0, 10) + " over iroh");
  std::string advice;
  if (result == ADIT_TIMED_OUT) advice = "; is the peer running, and are its addresses or its relay right?";
  if ((result == ADIT_TIMED_OUT || result == ADIT_UNREACHABLE) && no_relay) {
    advice += " There is no relay here: where both sides are behind routers, set `relay` in [iroh] of both";
  }
  return advice.empty() ? error
                        : Error(result == ADIT_TIMED_OUT ? Errc::kTimedOut : Errc::kUnreachable, error.message() + advice);
}

/// What both sides of the connection agreed on; empty: unknown, or longer than any of ours.
std::string alpn_of(adit_handle connection) {
  std::array<std::uint8_t, 32> bytes{};
  const auto length = adit_connection_alpn(connection, bytes.data(), bytes.size());
  if (length <= 0 || static_cast<std::size_t>(length) > bytes.size()) return {};
  return std::string(as_text(Bytes(bytes).first(static_cast<std::size_t>(length))));
}

/// The end of a dial, whoever still waits for it.
asio::awaitable<void> finish_dial(std::shared_ptr<DialPool> pool, std::string key, std::shared_ptr<DialPool::Attempt> attempt,
                                  std::shared_ptr<EventLoop> loop, BridgeHandle connection,
                                  std::unique_ptr<EventLoop::Done> shaken, std::shared_ptr<OpenConnections> open,
                                  std::string endpoint_id, bool no_relay, Duration linger) {
  const auto handle = connection.get();
  const auto result = co_await shaken->wait();
  shaken.reset();
  if (result != ADIT_OK) {
    attempt->failure = dial_error(result, handle, endpoint_id, no_relay);
  } else {
    if (alpn_of(handle) == session::kAlpnLanes) {
      attempt->lanes = std::make_shared<SharedConnection>(loop, std::move(connection), std::move(open));
      attempt->lanes->linger(linger);
    } else {
      attempt->single = std::move(connection);
    }
  }
  pool->finish(key, attempt);
}

}  // namespace

/// Decides who is let in, and gives each to the next shard, which waits for its handshake and its first stream. Decisions are
/// made by one shard at a time, the one whose turn it is: what it begins ends there.
class IrohNodeManager::Listening final : public EventLoop::Waiter, public std::enable_shared_from_this<Listening> {
 public:
  Listening(Shards& shards, const std::vector<std::shared_ptr<EventLoop>>& loops, const IrohNodeConfig& config,
            Admission admission, OnLink on_link, std::shared_ptr<OpenConnections> open)
      : shards_(shards),
        loops_(loops.begin(), loops.end()),
        accept_deadline_(config.accept_deadline),
        policy_(config.accept, admission),
        admission_(std::move(admission)),
        on_link_(std::move(on_link)),
        open_(std::move(open)) {}

  /// `listener` lives on the home's loop: the first shard's.
  void start(BridgeHandle listener) {
    listener_ = std::move(listener);
    attempts_ = listener_.get();
    home().post([self = shared_from_this()] {
      const auto loop = self->loops_.front().lock();
      if (!loop || self->stopped_) return;
      loop->watch(self->listener_.get(), *self);
      self->on_event(ADIT_READY_INCOMING, ADIT_OK);
    });
  }

  void stop() {
    {
      // on_link runs under the lock, shared: none is under way when this returns.
      const std::unique_lock lock(stopping_);
      if (stopped_.exchange(true)) return;
    }
    home().post([self = shared_from_this()] {
      if (const auto loop = self->loops_.front().lock()) loop->forget(self->listener_.get());
      self->listener_.reset();
    });
  }

  [[nodiscard]] AcceptPolicy::Counts counts() const {
    auto counts = policy_.counts();
    const auto overflowed = adit_listener_refused(attempts_);
    if (overflowed > 0) counts.refused += static_cast<std::uint64_t>(overflowed);
    return counts;
  }

 private:
  Shard& home() { return shards_[0]; }

  void on_event(std::uint32_t, std::int32_t) override {
    if (!deciding_.exchange(true)) pass_on();
  }

  /// The next shard's turn.
  void pass_on() {
    auto& shard = shards_.next();
    shard.post([self = shared_from_this(), &shard] { self->decide(shard); });
  }

  void decide(Shard& shard) {
    const auto loop = loops_[shard.index()].lock();
    bool took_one = false;
    for (int decided = 0;; ++decided) {
      adit_attempt attempt;
      if (stopped_ || !loop) return;
      if (adit_listener_peek(attempts_, &attempt) != ADIT_OK) {
        deciding_ = false;
        // One that came after the look found us still deciding.
        if (adit_listener_peek(attempts_, &attempt) != ADIT_OK || deciding_.exchange(true)) return;
      }
      if (took_one || decided == kAttemptsPerTurn) return pass_on();
      const auto id = attempt.relayed == 1 ? to_hex(attempt.remote_id) : std::string();
      auto decision = policy_.decide({.source = attempt.source, .vouched_id = id, .validated = attempt.validated == 1},
                                     now_from_system().instant);
      if (decision.place) {
        took_one = true;
        if (!let_in(shard, loop, std::move(*decision.place))) return;
      } else {
        const bool validate = decision.verdict == AcceptPolicy::Verdict::kValidate;
        (void)adit_listener_turn_away(attempts_, validate ? ADIT_AWAY_VALIDATE : ADIT_AWAY_REFUSE);
      }
    }
  }

  /// False: the shard has no room, and the attempts wait for a while.
  bool let_in(Shard& shard, const std::shared_ptr<EventLoop>& loop, AcceptPolicy::Place place) {
    adit_handle handle = 0;
    const auto result = adit_listener_accept(attempts_, loop->handle(), bridge_ms(accept_deadline_), &handle);
    if (result == ADIT_OVERLOADED) {
      shard.spawn(decide_later(shared_from_this(), shard));
      return false;
    }
    if (result != ADIT_OK) return true;
    BridgeHandle connection(handle);
    auto shaken = std::make_unique<EventLoop::Done>(loop, handle);
    shard.spawn(first_stream(shared_from_this(), loop, std::move(connection), std::move(shaken), std::move(place)));
    return true;
  }

  static asio::awaitable<void> decide_later(std::shared_ptr<Listening> self, Shard& shard) {
    co_await sleep_for(kPauseWithoutRoom);
    self->decide(shard);
  }

  /// `place` comes after `self`, in which it lives.
  static asio::awaitable<void> first_stream(std::shared_ptr<Listening> self, std::shared_ptr<EventLoop> loop,
                                            BridgeHandle connection, std::unique_ptr<EventLoop::Done> shaken,
                                            AcceptPolicy::Place place) {
    place.on_displaced([&shard = loop->shard(), handle = connection.get()] {
      shard.post([handle] {
        // Of one that is gone already: no effect.
        (void)adit_connection_close(handle, static_cast<std::uint64_t>(CloseCode::kOverloaded),
                                    bridge_view("another connection has the place of this one"));
      });
    });
    if (co_await shaken->wait() != ADIT_OK) {
      place.charge(AdmissionLimits::kFailedHandshake, now_from_system().instant);
      co_return;
    }
    shaken.reset();
    place.proved();
    adit_connection_info info;
    if (adit_connection_get_info(connection.get(), &info) != ADIT_OK) co_return;
    if (!self->policy_.allows(to_hex(info.remote_id))) {
      self->policy_.count_refused();
      (void)adit_connection_close(connection.get(), static_cast<std::uint64_t>(CloseCode::kUnauthorized),
                                  bridge_view("this endpoint id is not on the list of those that may connect"));
      co_return;
    }
    if (self->policy_.is_named(to_hex(info.remote_id))) place.trust(now_from_system().instant);
    const auto alpn = alpn_of(connection.get());
    if (alpn == session::kAlpnLanes) {
      auto shared = std::make_shared<SharedConnection>(loop, std::move(connection), self->open_);
      co_return co_await serve_lanes(self, std::move(shared), std::make_shared<Admission::Token>(place.take()));
    }
    adit_handle handle = 0;
    if (adit_stream_accept(connection.get(), bridge_ms(self->accept_deadline_), &handle) != ADIT_OK) co_return;
    BridgeHandle stream(handle);
    if (co_await loop->done(handle) != ADIT_OK) {  // silent for too long, or gone
      place.charge(AdmissionLimits::kFailedHandshake, now_from_system().instant);
      co_return;
    }
    Link link{.stream = std::make_unique<IrohStream>(loop, std::move(connection), std::move(stream)),
              .protocol = session::protocol_of_alpn(alpn)};
    self->hand_over(loop->shard(), std::move(link), std::make_shared<Admission::Token>(place.take()));
  }

  void hand_over(Shard& shard, Link link, Place place) {
    const std::shared_lock lock(stopping_);
    if (!stopped_) on_link_(shard, std::move(link), std::move(place));
  }

  /// The connection has the place of its handshake as long as it lives; one session at a time shares it, each other has one
  /// beside it, whatever way the connection goes by then.
  static asio::awaitable<void> serve_lanes(std::shared_ptr<Listening> self, std::shared_ptr<SharedConnection> connection,
                                           Place place) {
    auto on_churn = [weak = std::weak_ptr(place)] {
      const auto of = weak.lock();
      return of != nullptr && of->charge(AdmissionLimits::kChurn, now_from_system().instant);
    };
    auto on_session = [self, connection, place = std::move(place)](Link link) {
      auto& shard = connection->loop()->shard();
      const auto now = now_from_system().instant;
      if (place.use_count() == 1) {
        if (!place->charge(AdmissionLimits::kConnect, now)) return link.close(CloseCode::kOverloaded);
        return self->hand_over(shard, std::move(link), place);
      }
      auto own = self->admission_.admit_beside(*place, now);
      if (!own) return link.close(CloseCode::kOverloaded);
      self->hand_over(shard, std::move(link), std::make_shared<Admission::Token>(std::move(*own)));
    };
    co_await accept_sessions(connection, self->accept_deadline_, std::move(on_session), std::move(on_churn));
  }

  Shards& shards_;
  const std::vector<std::weak_ptr<EventLoop>> loops_;  ///< Not held: what a shard posted for us may outlive another shard.
  const Duration accept_deadline_;
  AcceptPolicy policy_;
  Admission admission_;
  const OnLink on_link_;
  const std::shared_ptr<OpenConnections> open_;
  BridgeHandle listener_;              ///< The home's.
  adit_handle attempts_ = 0;           ///< The same, for whoever's turn it is; stale once it was released.
  std::atomic<bool> deciding_{false};  ///< It is some shard's turn.
  std::shared_mutex stopping_;
  std::atomic<bool> stopped_{false};
};

IrohNodeManager::IrohNodeManager(Shards& shards, BridgeRuntime runtime, IrohNodeConfig config)
    : shards_(shards), runtime_(std::move(runtime)), config_(std::move(config)) {}

Result<std::unique_ptr<IrohNodeManager>> IrohNodeManager::start(Shards& shards, IrohNodeConfig config) {
  if (config.secret_key == nullptr) return fail(Errc::kConfiguration, "an iroh endpoint needs a secret key");
  ADIT_TRY(auto runtime, BridgeRuntime::acquire(config.threads));
  std::unique_ptr<IrohNodeManager> node(new IrohNodeManager(shards, std::move(runtime), std::move(config)));
  ADIT_TRY(node->log_, IrohLog::start(node->config_.log_filter));
  ADIT_CHECK(node->start_loops());
  ADIT_TRY(node->endpoint_, node->bind(node->config_.bind));
  if (node->config_.relay_mode == IrohRelays::kNone) {
    node->config_.secret_key.reset();  // iroh holds it now, and nothing will be built anew
  } else {
    node->watchdog_ = std::jthread([watched = node.get()](const std::stop_token& stop) { watched->watch(stop); });
  }
  return node;
}

Result<void> IrohNodeManager::start_loops() {
  adit_handle handle = 0;
  if (const auto result = adit_loop_create(8, &handle); result != ADIT_OK)
    return fail(bridge_error(result, 0, "cannot start iroh"));
  control_ = BridgeHandle(handle);
  for (unsigned index = 0; index < shards_.size(); ++index) {
    ADIT_TRY(auto loop, EventLoop::create(shards_[index]));
    loops_.push_back(std::move(loop));
    pools_.push_back(std::make_shared<DialPool>());
  }
  return {};
}

Result<BridgeHandle> IrohNodeManager::bind(const std::vector<std::string>& addresses) {
  const auto bind_addrs = bridge_views(addresses);
  const auto external_addrs = bridge_views(config_.external_addrs);
  const auto dns_origins = bridge_views(config_.dns_origins);
  const auto pkarr_relays = bridge_views(config_.pkarr_relays);
  std::vector<adit_relay> relays;
  relays.reserve(config_.relays.size());
  for (const auto& relay : config_.relays)
    relays.push_back({.url = bridge_view(relay.url), .quic_port = relay.quic_port, .token = bridge_view(relay.auth_token)});
  adit_endpoint_config config{};
  config.secret_key = config_.secret_key->data();
  config.bind_addrs = bind_addrs.data();
  config.bind_addr_count = bind_addrs.size();
  config.relay_mode = config_.relay_mode == IrohRelays::kN0     ? ADIT_RELAY_N0
                      : config_.relay_mode == IrohRelays::kList ? ADIT_RELAY_LIST
                                                                : ADIT_RELAY_NONE;
  config.relays = relays.data();
  config.relay_count = relays.size();
  config.external_addrs = external_addrs.data();
  config.external_addr_count = external_addrs.size();
  config.portmap = config_.portmap ? 1 : 0;
  config.max_bidi_streams = config_.listens ? kLaneStreams : 0;
  config.stream_window = kStreamWindow;
  config.receive_window = kReceiveWindow;
  config.send_window = kSendWindow;
  config.idle_timeout_ms = bridge_ms(config_.idle_timeout);
  config.keep_alive_ms = bridge_ms(config_.keep_alive);
  config.relay_only = config_.relay_only ? 1 : 0;
  config.relay_ca_file = bridge_view(config_.relay_ca_file);
  config.mdns = config_.mdns ? 1 : 0;
  config.dns_origins = dns_origins.data();
  config.dns_origin_count = dns_origins.size();
  config.dns_server = bridge_view(config_.dns_server);
  config.pkarr_relays = pkarr_relays.data();
  config.pkarr_relay_count = pkarr_relays.size();
  const auto deadline = bridge_ms(config_.bind_deadline);
  constexpr std::string_view kWhat = "cannot bind the iroh endpoint";
  adit_handle handle = 0;
  if (const auto result = adit_endpoint_bind(control_.get(), &config, deadline, &handle); result != ADIT_OK) {
    return fail(bridge_error(result, 0, kWhat));
  }
  BridgeHandle endpoint(handle);
  if (const auto result = wait_for_event(control_.get(), handle, ADIT_READY_DONE, deadline + 1000); result != ADIT_OK) {
    return fail(bridge_error(result, handle, kWhat));
  }
  return endpoint;
}

// NOLINTNEXTLINE(bugprone-exception-escape): a lock or a thread that fails here leaves nothing to go on with
IrohNodeManager::~IrohNodeManager() {
  if (watchdog_.joinable()) {
    watchdog_.request_stop();
    watchdog_.join();
  }
  stop_listening();
  for (const auto& loop : loops_) loop->leave();
  log_.reset();  // iroh calls it an error that an endpoint closes
  open_->close_all();
  close();
  // The last to let go of a pool is its shard's thread.
  for (unsigned index = 0; index < pools_.size(); ++index) shards_[index].post([pool = std::move(pools_[index])] {});
  for (const auto& loop : loops_) loop->stop();
}

void IrohNodeManager::close() {
  if (adit_endpoint_close(endpoint(), kCloseDeadlineMs) == ADIT_OK) {
    (void)wait_for_event(control_.get(), endpoint(), ADIT_READY_CLOSED, kCloseDeadlineMs + 1000);
  }
}

void IrohNodeManager::watch(const std::stop_token& stop) {
  Watchdog watchdog(config_.watchdog, now_from_system().instant);
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      waking_.wait_for(lock, stop, config_.watchdog.period, [] { return false; });
    }
    if (stop.stop_requested()) return;
    const EndpointHealth health{.relay_connected = !home_relay().empty(), .direct = direct_connections()};
    // One that could not be bound anew is tried again at once.
    if (watchdog.look(health, now_from_system().instant) || endpoint() == 0) rebuild();
  }
}

void IrohNodeManager::rebuild() {
  // Who knows our addresses finds us where we were, unless somebody else has the port by now.
  const auto sockets = config_.relay_only ? std::vector<std::string>() : bridge_lines([this](char* text, std::size_t size) {
    return adit_endpoint_sockets(endpoint(), text, size);
  });
  std::shared_ptr<Listening> listening;
  {
    const std::scoped_lock lock(mutex_);
    listening = listening_;
  }
  if (listening) listening->stop();  // waits for streams that are being handed over, so not under the lock
  close();
  {
    const std::scoped_lock lock(mutex_);
    endpoint_.reset();
  }
  auto bound = bind(sockets.empty() ? config_.bind : sockets);
  for (int tries = 0; tries < kTriesForOldPort && !bound && bound.error().is(Errc::kAddressInUse); ++tries) {
    std::this_thread::sleep_for(kPauseForOldPort);  // iroh closes its sockets a little after it says that it has closed
    bound = bind(sockets);
  }
  if (!bound && !sockets.empty()) bound = bind(config_.bind);
  if (!bound) {
    log::error("iroh.rebuild_failed", {{"message", bound.error().message()}});
    return;
  }
  ++rebuilds_;
  const std::scoped_lock lock(mutex_);
  endpoint_ = std::move(*bound);
  log::warn("iroh.rebuilt", {{"message", "no relay answered for long, so the iroh endpoint was built anew; its id stays"}});
  if (alpns_.empty()) return;
  if (const auto listens = begin_listening(); !listens)
    log::error("iroh.rebuild_failed", {{"message", listens.error().message()}});
}

std::size_t IrohNodeManager::direct_connections() const {
  return static_cast<std::size_t>(std::max<std::int64_t>(adit_endpoint_direct(endpoint()), 0));
}

adit_handle IrohNodeManager::endpoint() const {
  const std::scoped_lock lock(mutex_);
  return endpoint_.get();
}

/// Begins a dial, or joins the one that is under way to the same peer, and waits for it.
asio::awaitable<Result<std::shared_ptr<DialPool::Attempt>>> IrohNodeManager::connect(Shard& shard, const IrohConfig& to,
                                                                                     wire::Protocol protocol, std::string key,
                                                                                     Duration deadline) {
  const auto pool = pools_[shard.index()];
  const bool no_relay = config_.relay_mode == IrohRelays::kNone;
  auto attempt = pool->attempt(key);
  if (!attempt) {
    std::array<std::uint8_t, 32> id;
    if (!from_hex(to.endpoint_id, id))
      co_return fail(Errc::kConfiguration, "an endpoint id is 64 hex digits, not '" + to.endpoint_id + "'");
    const auto addrs = bridge_views(to.addrs);
    const std::vector<std::string> offered = to.alpn.empty()
                                                 ? std::vector<std::string>{session::kAlpnLanes, session::row_of(protocol).alpn}
                                                 : std::vector<std::string>{to.alpn};
    const auto alpns = bridge_views(offered);
    adit_dial target{};
    target.endpoint_id = id.data();
    target.addrs = addrs.data();
    target.addr_count = addrs.size();
    if (to.relay_url) target.relay_url = bridge_view(*to.relay_url);
    target.alpns = alpns.data();
    target.alpn_count = alpns.size();
    const auto& loop = loops_[shard.index()];
    adit_handle handle = 0;
    if (const auto result = adit_connect(endpoint(), loop->handle(), &target, bridge_ms(deadline), &handle);
        result != ADIT_OK) {
      co_return fail(dial_error(result, 0, to.endpoint_id, no_relay));
    }
    attempt = std::make_shared<DialPool::Attempt>(shard.context(), protocol);
    pool->begin(key, attempt);
    // On its own: whoever began it may stop waiting, and others may wait too.
    shard.spawn(finish_dial(pool, key, attempt, loop, BridgeHandle(handle), std::make_unique<EventLoop::Done>(loop, handle),
                            open_, to.endpoint_id, no_relay, config_.idle_linger));
  }
  if (!attempt->finished)
    (void)co_await attempt->done.async_wait(asio::cancel_after(deadline, asio::as_tuple(asio::use_awaitable)));
  if (!attempt->finished) co_return fail(dial_error(ADIT_TIMED_OUT, 0, to.endpoint_id, no_relay));
  // What another protocol's dial met without lanes says nothing of this one's.
  if (attempt->failure && attempt->protocol == protocol) co_return fail(*attempt->failure);
  co_return attempt;
}

asio::awaitable<Result<Link>> IrohNodeManager::dial(Shard& shard, IrohConfig to, wire::Protocol protocol, Duration deadline) {
  const auto loop = loops_[shard.index()];
  const auto pool = pools_[shard.index()];
  const auto until = now_from_system().instant + deadline;
  const auto key = pool_key(to);
  const auto left = [until] { return std::max<Duration>(until - now_from_system().instant, Duration::zero()); };
  // Each turn ends in a session, or leaves behind what cannot have one.
  for (;;) {
    auto lanes = pool->find(key);
    const bool known = lanes != nullptr;
    if (!lanes) {
      ADIT_CO_TRY(const auto attempt, co_await connect(shard, to, protocol, key, left()));
      lanes = attempt->lanes;
      if (!lanes && attempt->protocol != protocol) continue;
      if (!lanes) {
        auto connection = std::move(attempt->single);
        if (connection.get() == 0) continue;  // somebody else who waited has taken it
        adit_handle handle = 0;
        auto result = adit_stream_open(connection.get(), bridge_ms(left()), &handle);
        BridgeHandle stream(handle);
        if (result == ADIT_OK) result = co_await loop->done(handle);
        if (result != ADIT_OK) {
          co_return fail(
              open_error(*loop, connection.get(), result, handle).in("cannot connect to " + to.endpoint_id.substr(0, 10)));
        }
        co_return Link{.stream = std::make_unique<IrohStream>(loop, std::move(connection), std::move(stream)),
                       .protocol = protocol};
      }
      if (lanes->sessions() >= kDialledSessions) continue;  // many waited for it
    }
    auto link = co_await open_session(lanes, protocol, until);
    if (link || !known || left() == Duration::zero()) co_return link;
    // One from before may have died unnoticed.
    lanes->doubt();
  }
}

Result<void> IrohNodeManager::listen(std::vector<std::string> alpns, Admission admission, OnLink on_link) {
  const std::scoped_lock lock(mutex_);
  alpns_ = std::move(alpns);
  admission_ = std::move(admission);
  on_link_ = std::move(on_link);
  auto listens = begin_listening();
  if (!listens) alpns_.clear();
  return listens;
}

Result<void> IrohNodeManager::begin_listening() {
  auto listening = std::make_shared<Listening>(shards_, loops_, config_, *admission_, on_link_, open_);
  const auto wanted = bridge_views(alpns_);
  adit_handle listener = 0;
  const auto result =
      adit_listen(endpoint_.get(), loops_.front()->handle(), wanted.data(), wanted.size(), kMaxWaiting, &listener);
  if (result != ADIT_OK) return fail(bridge_error(result, 0, "cannot listen over iroh"));
  listening->start(BridgeHandle(listener));
  if (listening_) {
    const auto decided = listening_->counts();
    decided_before_.refused += decided.refused;
    decided_before_.validated += decided.validated;
  }
  listening_ = std::move(listening);
  return {};
}

void IrohNodeManager::stop_listening() {
  std::shared_ptr<Listening> listening;
  {
    const std::scoped_lock lock(mutex_);
    alpns_.clear();
    on_link_ = nullptr;
    listening = listening_;
  }
  if (listening) listening->stop();
}

std::string IrohNodeManager::endpoint_id() const {
  std::array<std::uint8_t, 32> id{};
  (void)adit_endpoint_id(endpoint(), id.data());
  return to_hex(id);
}

std::vector<std::string> IrohNodeManager::local_addresses() const {
  auto addresses = bridge_lines([this](char* text, std::size_t size) { return adit_endpoint_addrs(endpoint(), text, size); });
  std::erase_if(addresses, [](const std::string& each) { return each.find("://") != std::string::npos; });
  return addresses;
}

std::string IrohNodeManager::home_relay() const {
  for (const auto& relay :
       bridge_lines([this](char* text, std::size_t size) { return adit_endpoint_relays(endpoint(), text, size); })) {
    if (relay.find(" connected") != std::string::npos) return relay.substr(0, relay.find(' '));
  }
  return {};
}

IrohCarrier::Counts IrohNodeManager::counts() const {
  Counts counts{.rebuilds = rebuilds_, .direct = direct_connections()};
  for (const auto& loop : loops_) counts.path_changes += loop->moves();
  std::shared_ptr<Listening> listening;
  {
    const std::scoped_lock lock(mutex_);
    listening = listening_;
    counts.refused = decided_before_.refused;
    counts.validated = decided_before_.validated;
  }
  if (!listening) return counts;
  const auto decided = listening->counts();
  counts.refused += decided.refused;
  counts.validated += decided.validated;
  return counts;
}

}  // namespace adit::net
