#include "upstream/uplink.h"

#include <algorithm>
#include <utility>

#include "base/clock_agreement.h"
#include "log/log.h"
#include "net/deadline.h"
#include "net/service.h"
#include "session/dispatch.h"
#include "upstream/url.h"
#include "wire/messages.h"

namespace adit::upstream {
namespace {

/// A peer that did not answer RequestExtensions after so long will not.
constexpr auto kSilentAfter = std::chrono::seconds(10);
/// A peer without Goodbye has this long for the last answers: many hold them back until a batch is full.
constexpr Duration kLastAnswers = std::chrono::seconds(1);

std::int64_t ms(Duration duration) { return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count(); }

/// What SetupConnection names: "HOST:PORT", or an endpoint id and 0.
std::string endpoint_text(const net::Peer& peer) {
  const auto [host, port] = net::host_and_port(peer.transport);
  return host_port({std::string(host), port});
}

/// Programs around SRI's translator and client (sv2-ui) find the pool in use by this sentence, and by those of the set-up.
std::string trying(std::size_t candidate, std::size_t count, const net::Peer& peer) {
  return "Trying upstream " + std::to_string(candidate + 1) + " of " + std::to_string(count) + ": " + endpoint_text(peer);
}

}  // namespace

struct Uplink::ReconnectRequest {
  std::string host;  ///< Empty, and port 0: the present ones.
  std::uint16_t port = 0;
};

/// One upstream connection past its setup.
struct Uplink::Link {
  Link(const net::HealthPolicy& policy, Instant now) : health(policy, now), since(now) {}

  /// The role has left it, and nothing more is to come.
  [[nodiscard]] bool finished(Instant now) const {
    if (in_use) return false;
    return side->extension().leaving() ? side->extension().over() : unanswered() == 0 || now >= grace_until;
  }
  [[nodiscard]] std::uint64_t unanswered() const { return rest ? rest->unanswered() : 0; }

  std::size_t candidate = 0;
  net::Peer peer;
  std::string url;
  std::unique_ptr<net::NetworkConnection> connection;
  std::unique_ptr<session::ClientSide> side;
  net::HealthMonitor health;
  ClockAgreement clock;              ///< The upstream's.
  std::unique_ptr<Unfinished> rest;  ///< What the role has left under way; null before, and if its session never began.
  wire::FrameBuffer last_message;    ///< For a peer without Goodbye, once the role has left it.
  Duration round_trip{};
  Instant since;
  Instant grace_until = Instant::max();  ///< When leaving a peer without Goodbye: no answer is waited for any longer.
  std::uint64_t path_changes = 0;        ///< Those that were logged.
  net::Path path = net::Path::kUnknown;  ///< The path that was logged last.
  std::string source;                    ///< Where that path begins.
  bool in_use = true;                    ///< It is the one that the role uses, or will once it is set up.
  bool begun = false;                    ///< The role's session has begun.
  bool extended = false;                 ///< The role knows that extension 0x4AD1 is spoken.
  bool draining = false;
  bool ended = false;
  std::optional<ReconnectRequest> reconnect;  ///< It asked for a new connection.
  std::optional<Severity> fault;              ///< What is held against the upstream, where drop() said so.
  std::optional<Error> drop_reason;           ///< Why we closed it.
  std::optional<net::Deadline> deadline;      ///< Of leaving. Behind the connection that it closes.
  wire::FrameBuffer out;
};

Uplink::Uplink(net::Shard& shard, Options options, UplinkRole& role)
    : shard_(shard), options_(std::move(options)), role_(role), silent_(options_.targets.size(), false) {
  std::vector<net::Peer> candidates;
  candidates.reserve(options_.targets.size());
  for (const auto& target : options_.targets) candidates.push_back(target.peer);
  upstreams_ = std::make_unique<Upstreams>(shard, std::move(candidates), options_.selection, options_.dial, options_.client,
                                           static_cast<UpstreamsHandler&>(*this));
}

Uplink::~Uplink() = default;

void Uplink::start() { upstreams_->start(); }

std::string Uplink::event(std::string_view what) const { return options_.name + "." + std::string(what); }

// ---- Upstreams

void Uplink::setting_up(std::size_t candidate, const net::Peer& peer) {
  status_.url = to_url(peer);
  if (options_.client.protocol == wire::Protocol::kMining) {
    log::info(event("dial"),
              {{"url", status_.url}, {"candidate", candidate}, {"message", trying(candidate, options_.targets.size(), peer)}});
  } else {
    log::debug(event("dial"), {{"url", status_.url}, {"candidate", candidate}});
  }
}

void Uplink::attempt_failed(std::size_t, const net::Peer& peer, const Error& error) {
  status_.url = link_ ? link_->url : to_url(peer);
  status_.last_error = error.message();
  if (severity_of(error) == Severity::kUnusable) last_unusable_ = error;
  role_.on_attempt_failed(peer, error);
}

void Uplink::hopeless() {
  if (status_.unusable || !last_unusable_) return;
  status_.unusable = last_unusable_;
  role_.on_unusable(*last_unusable_);
}

void Uplink::use(ReadyUpstream ready) {
  const auto now = now_from_system();
  if (link_) {
    log::info(event("upstream_switched"), {{"from", link_->url}, {"to", to_url(ready.peer)}});
    leave(*link_, "a better upstream is there", {.deadline = options_.leave_deadline});
  }
  auto link = std::make_shared<Link>(options_.health, now.instant);
  link->candidate = ready.candidate;
  link->peer = std::move(ready.peer);
  link->url = to_url(link->peer);
  link->connection = std::move(ready.connection);
  link->round_trip = ready.round_trip;
  link_ = link;
  links_.push_back(link);
  status_.url = link->url;
  if (last_used_ && *last_used_ != ready.candidate) ++status_.fallbacks;
  last_used_ = ready.candidate;

  link->side = std::move(ready.side);
  begin_role(*link, now);
  const std::vector<wire::FrameView> rest(ready.rest.begin(), ready.rest.end());
  if (auto handled = handle(*link, rest); !handled) link->drop_reason = std::move(handled.error());
  shard_.spawn(run(shared_from_this(), std::move(link)));
}

bool Uplink::asks_for_adit(std::size_t candidate, const net::Peer& peer) const {
  const bool over_iroh = std::holds_alternative<net::IrohConfig>(peer.transport);
  return (over_iroh || options_.targets[candidate].goodbye) && !silent_[candidate];
}

void Uplink::begin_role(Link& link, const Now& now) {
  if (link.begun || !link.in_use || !link.side->ready()) return;
  link.begun = true;
  watch_path(link);
  status_.ready = true;
  status_.clock_ahead.reset();
  ++status_.connects;
  status_.round_trip = link.round_trip;
  status_.round_trips[static_cast<std::size_t>(status_.metadata->transport)].add(link.round_trip);
  role_.on_round_trip(link.round_trip);
  const session::Agreement& agreement = link.side->setup().agreement();
  if (options_.client.protocol == wire::Protocol::kMining) {
    log::info(event("set_up"),
              {{"url", link.url},
               {"message", trying(link.candidate, options_.targets.size(), link.peer) + "; Connected to upstream at " +
                               endpoint_text(link.peer) +
                               "; SetupConnectionSuccess(used_version: 2, flags: " + std::to_string(agreement.flags) + ")"}});
  }
  if (auto begun = role_.begin(link.candidate, link.peer, agreement, now); !begun) {
    drop(link, std::move(begun.error()), std::nullopt);
  }
}

// ---- Frames

void Uplink::send(Link& link) {
  if (!link.out.empty()) link.connection->send(link.out);
  link.out.clear();
}

void Uplink::send() {
  auto& out = role_.output();
  if (link_ && !out.empty()) link_->connection->send(out);
  out.clear();
}

Result<void> Uplink::give_out(Link& link, std::span<const wire::FrameView> frames, const Now& now) {
  if (!link.in_use) {
    if (link.rest) link.rest->on_frames(frames, now);
    return {};
  }
  if (!link.begun) return {};  // The set-up takes what it needs; nothing else may come before it is over.
  const auto reconnect = std::ranges::find_if(frames, [](const auto& frame) { return frame.template is<wire::Reconnect>(); });
  ADIT_CHECK(role_.on_frames(frames.first(static_cast<std::size_t>(reconnect - frames.begin())), now));
  if (reconnect == frames.end()) return {};
  ADIT_TRY(const auto message, session::decode<wire::Reconnect>(*reconnect));
  link.reconnect = ReconnectRequest{.host = std::string(message.new_host.view()), .port = message.new_port};
  return fail(net::Errc::kEndOfStream, message.new_host.empty() ? "the upstream asked for a new connection"
                                                                : "the upstream asked to be reached elsewhere");
}

Result<void> Uplink::handle(Link& link, std::span<const wire::FrameView> frames) {
  const auto now = now_from_system();
  link.health.on_frames(now.instant);
  auto handled = link.side->on_frames(
      frames, now, link.out, [&](std::span<const wire::FrameView> run) { return give_out(link, run, now); },
      [&] { begin_role(link, now); });
  if (link.in_use && link.begun && link.side->extension().agreed() && !std::exchange(link.extended, true))
    role_.on_adit_extension();
  if (link.in_use) {
    send(link);  // First: RequestExtensions comes before everything else.
    send();
    role_.flush();
  }
  if (handled && link.in_use && link.side->extension().peer_patience()) {
    log::info(event("goodbye_heard"), {{"url", link.url}, {"reason", link.side->extension().peer_reason()}});
    leave(link, "the upstream leaves", {.deadline = *link.side->extension().peer_patience()});
    if (!stopping_) upstreams_->failed(link.candidate, Severity::kLost);
  }
  if (!link.in_use && link.unanswered() == 0) link.side->extension().settle(link.out);
  send(link);
  if (const auto round_trip = link.side->extension().take_round_trip()) {
    link.round_trip = *round_trip;
    link.health.on_round_trip(*round_trip);
    look_at_clock(link);
    status_.round_trips[static_cast<std::size_t>(link.connection->metadata().transport)].add(*round_trip);
    if (link.in_use) {
      status_.round_trip = *round_trip;
      role_.on_round_trip(*round_trip);
    }
  }
  return handled;
}

void Uplink::look_at_clock(Link& link) {
  const auto difference = link.side->extension().clock_difference();
  if (!difference) return;
  const auto ahead = std::chrono::round<std::chrono::seconds>(*difference);
  if (link.in_use) status_.clock_ahead = ahead;
  if (!link.clock.note(ahead)) return;
  if (link.clock.differs()) {
    log::warn(
        event("clock_differs"),
        {{"url", link.url}, {"seconds", ahead.count()}, {"message", describe_clock("the upstream at " + link.url, ahead)}});
  } else {
    log::info(event("clock_agrees"), {{"url", link.url}, {"seconds", ahead.count()}});
  }
}

net::asio::awaitable<void> Uplink::run(std::shared_ptr<Uplink> self, LinkPtr link) {
  const net::TaskGate::Token running(self->gate_);
  Error reason(net::Errc::kClosed, "closed here");
  const auto over = [&] { return link->drop_reason || link->finished(now_from_system().instant); };
  while (!over()) {
    const auto batch = co_await link->connection->receive();
    if (!batch) {
      reason = batch.error();
      break;
    }
    if (auto handled = self->handle(*link, *batch); !handled) link->drop_reason = std::move(handled.error());
  }
  if (over() && !link->drop_reason) co_await drain(self, link);
  link->deadline.reset();
  link->connection->close(net::CloseCode::kShutdown);
  self->ended(*link, link->drop_reason ? *link->drop_reason : reason);
}

// ---- Endings

bool Uplink::take_from_role(Link& link, const Now& now) {
  if (!std::exchange(link.in_use, false)) return false;
  send();
  link_.reset();
  status_.ready = false;
  if (link.begun) link.rest = role_.end(now, link.last_message);
  return true;
}

void Uplink::leave(Link& link, std::string_view reason, session::ShutdownBehavior behavior) {
  const auto now = now_from_system();
  if (take_from_role(link, now) && !stopping_) role_.flush();
  using Kind = session::ShutdownBehavior::Kind;
  if (behavior.kind == Kind::kImmediate) return link.connection->close(net::CloseCode::kShutdown);
  if (!link.deadline) link.deadline.emplace(shard_.context(), *link.connection, behavior.deadline);
  if (behavior.kind != Kind::kGoodbye || !link.side->extension().agreed()) {
    link.grace_until = now.instant + std::min(kLastAnswers, behavior.deadline / 2);
    return;
  }
  if (link.side->extension().leaving()) return;
  link.side->extension().say_goodbye(reason, behavior.deadline, link.out);
  send(link);
  log::info(event("goodbye"), {{"url", link.url}, {"reason", reason}, {"unanswered", link.unanswered()}});
}

net::asio::awaitable<void> Uplink::drain(std::shared_ptr<Uplink> self, LinkPtr link) {
  const net::TaskGate::Token running(self->gate_);
  if (std::exchange(link->draining, true)) co_return;
  if (!link->side->extension().leaving() && !link->last_message.empty()) link->connection->send(link->last_message);
  co_await link->connection->drain(net::kLastMessageDeadline);
}

net::asio::awaitable<void> Uplink::drain_when_finished(std::shared_ptr<Uplink> self, LinkPtr link) {
  const net::TaskGate::Token running(self->gate_);
  while (!link->ended && !link->finished(now_from_system().instant)) co_await net::sleep_for(std::chrono::milliseconds(20));
  if (!link->ended) co_await drain(self, link);
}

void Uplink::ended(Link& link, const Error& reason) {
  const auto now = now_from_system();
  link.ended = true;
  const bool was_used = take_from_role(link, now);
  const auto metadata = link.connection->metadata();
  const auto figures = metadata.figures.value_or(net::CarrierFigures{});
  status_.shares_unanswered += link.unanswered();
  if (link.side->extension().over()) ++status_.goodbyes;
  // By our own finding, or the carrier's.
  if (reason.is(net::Errc::kTimedOut)) ++status_.dead[static_cast<std::size_t>(metadata.transport)];
  if (link.side->setup().unanswered()) silent_[link.candidate] = true;
  log::info(event("upstream_closed"), {{"url", link.url},
                                       {"transport", to_string(metadata.transport)},
                                       {"path", to_string(metadata.path)},
                                       {"seconds", std::chrono::duration<double>(now.instant - link.since).count()},
                                       {"bytes_sent", metadata.bytes_sent},
                                       {"bytes_received", metadata.bytes_received},
                                       {"rtt_ms", ms(link.round_trip)},
                                       {"rtt_us", rtt_us(metadata)},
                                       {"packets_sent", figures.packets_sent},
                                       {"packets_lost", figures.packets_lost},
                                       {"congestion_window", figures.congestion_window},
                                       {"mtu", figures.mtu},
                                       {"path_changes", metadata.path_changes},
                                       {"shares_accepted", link.rest ? link.rest->accepted() : 0},
                                       {"shares_rejected", link.rest ? link.rest->rejected() : 0},
                                       {"shares_unanswered", link.unanswered()},
                                       {"goodbye", link.side->extension().over()}});
  std::erase_if(links_, [&](const LinkPtr& other) { return other.get() == &link; });
  if (!was_used || stopping_) return;
  role_.flush();
  status_.last_error = reason.message();
  const auto severity = link.fault.value_or(severity_of(reason));
  if (severity == Severity::kUnusable) last_unusable_ = reason;
  role_.on_lost(link.peer, reason);
  if (link.reconnect) return move(link);
  upstreams_->failed(link.candidate, severity);
}

/// Follows its Reconnect, if that may be followed.
void Uplink::move(Link& link) {
  auto peer = reconnect_target(link.peer, link.reconnect->host, link.reconnect->port);
  if (peer && !reconnects_.take(now_from_system().instant))
    peer = fail(net::Errc::kProtocol, "the upstream asked for new connections too often: not followed");
  if (!peer) {
    log::warn(event("reconnect_refused"), {{"url", link.url}, {"message", peer.error().message()}});
    return upstreams_->failed(link.candidate, Severity::kRefused);
  }
  log::info(event("reconnect"), {{"url", to_url(*peer)}});
  upstreams_->moved(link.candidate, std::move(*peer));
}

void Uplink::drop(Link& link, Error reason, std::optional<Severity> fault) {
  if (link.drop_reason) return;
  link.drop_reason = std::move(reason);
  link.fault = fault;
  link.connection->close(net::CloseCode::kProtocolError);
}

void Uplink::shut_down(session::ShutdownBehavior behavior, std::string_view reason, std::function<void()> done) {
  stopping_ = true;
  const auto links = links_;
  for (const auto& link : links) {
    leave(*link, reason, behavior);
    // Nobody ticks any more: what needs no answer ends now, what waits for answers in vain does after the grace.
    if (link->side->extension().leaving() || behavior.kind == session::ShutdownBehavior::Kind::kImmediate) continue;
    shard_.spawn(drain_when_finished(shared_from_this(), link));
  }
  auto attempts = std::make_shared<net::TaskGate::Token>(gate_);
  gate_.when_empty(std::move(done));
  upstreams_->stop([self = shared_from_this(), attempts = std::move(attempts)] {});
}

void Uplink::cut_off() {
  const auto links = links_;
  for (const auto& link : links) link->connection->close(net::CloseCode::kShutdown);
}

// ---- Time

bool Uplink::watch(Link& link, const Now& now) {
  const auto before = link.health.health();
  const auto health = link.health.look(now.instant, link.connection->figures());
  if (health != before) {
    const bool well = health.state == net::HealthState::kHealthy;
    log::write(well ? log::Level::kInfo : log::Level::kWarn, event("health"),
               {{"url", link.url},
                {"from", to_string(before.state)},
                {"to", to_string(health.state)},
                {"reason", to_string(health.reason)},
                {"message", "the upstream " + std::string(to_words(health.reason))}});
    if (health.state == net::HealthState::kDegraded)
      ++status_.degraded[static_cast<std::size_t>(link.connection->metadata().transport)];
  }
  if (health.state == net::HealthState::kDead) {
    drop(link, Error(net::Errc::kTimedOut, "the upstream " + std::string(to_words(health.reason))), std::nullopt);
    return false;
  }
  if (link.in_use && link.side->extension().agreed() && link.health.ping_due(now.instant) &&
      link.side->extension().ping(now, link.out)) {
    link.health.on_ping(now.instant);
    send(link);
  }
  return true;
}

void Uplink::watch_path(Link& link) {
  const auto metadata = link.connection->metadata();
  const auto changes = metadata.path_changes - std::exchange(link.path_changes, metadata.path_changes);
  // What was before the first look, the connection itself has told.
  const bool looked = link.path != net::Path::kUnknown;
  if (looked && changes != 0) {
    status_.path_changes += changes;
    log::info(event("path_changed"), {{"url", link.url},
                                      {"from", to_string(link.path)},
                                      {"to", to_string(metadata.path)},
                                      {"from_address", link.source},
                                      {"to_address", metadata.source}});
  }
  if (changes != 0 || !looked) {
    link.path = metadata.path;
    link.source = metadata.source;
  }
  status_.metadata = metadata;
  status_.metadata->health = link.health.health();
  status_.goodbye = link.side->extension().agreed();
}

void Uplink::on_tick(const Now& now) {
  auto ticked = role_.on_tick(now);
  if (ticked && link_ && !link_->begun) ticked = link_->side->setup().on_tick(now);
  if (link_ && !ticked) {
    drop(*link_, std::move(ticked.error()), std::nullopt);
  } else if (link_) {
    begin_role(*link_, now);
  }
  send();
  role_.flush();
  const auto links = links_;
  for (const auto& link : links) {
    if (link->drop_reason || !watch(*link, now)) continue;
    if (auto fault = link->in_use && link->begun ? role_.fault(now) : std::nullopt) {
      drop(*link, std::move(*fault), Severity::kRejected);
      continue;
    }
    if (link->side->setup().unanswered() && now.instant - link->since >= kSilentAfter) silent_[link->candidate] = true;
    if (link->finished(now.instant)) shard_.spawn(drain(shared_from_this(), link));
  }
  if (!link_) return;
  watch_path(*link_);
  // Last, for it may bring another into use.
  if (link_->health.health().state == net::HealthState::kDegraded && !stopping_) upstreams_->degraded();
}

}  // namespace adit::upstream
