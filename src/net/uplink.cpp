#include "net/uplink.h"

#include <algorithm>
#include <utility>

#include "log/log.h"
#include "net/deadline.h"
#include "wire/messages.h"

namespace adit::net {
namespace {

/// A peer that did not answer RequestExtensions after so long will not.
constexpr auto kSilentAfter = std::chrono::seconds(10);
/// A peer without Goodbye has this long for the last answers: many hold them back until a batch is full.
constexpr Duration kLastAnswers = std::chrono::seconds(1);
constexpr auto kLastWords = std::chrono::seconds(2);
/// No rejection is judged by a shorter round trip than this.
constexpr Duration kLeastRoundTrip = std::chrono::milliseconds(10);

std::int64_t ms(Duration duration) { return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count(); }

}  // namespace

struct Uplink::ReconnectRequest {
  std::string host;  ///< Empty, and port 0: the present ones.
  std::uint16_t port = 0;
};

/// One upstream connection past its setup.
struct Uplink::Link {
  Link(const HealthPolicy& policy, Instant now) : health(policy, now), since(now) {}

  /// The role has left it, and nothing more is to come.
  [[nodiscard]] bool finished(Instant now) const {
    if (in_use) return false;
    return extension.leaving() ? extension.over() : shares.unanswered() == 0 || now >= grace_until;
  }

  std::size_t candidate = 0;
  Upstream peer;
  std::string url;
  std::unique_ptr<NetworkConnection> connection;
  AditExtension extension;
  ShareJudge judge;
  HealthMonitor health;
  StratumV2StreamHandler shares;  ///< Once the role has left it.
  wire::FrameBuffer last_words;   ///< Likewise.
  Duration round_trip{};
  Instant since;
  Instant asked_at{};                    ///< For extensions.
  Instant grace_until = Instant::max();  ///< When leaving a peer without Goodbye: no answer is waited for any longer.
  std::uint64_t path_changes = 0;        ///< Told so far, the last one to
  Path path = Path::kUnknown;            ///< this way,
  std::string source;                    ///< which begins here.
  bool in_use = true;                    ///< By the role.
  bool draining = false;
  bool ended = false;
  std::optional<ReconnectRequest> reconnect;  ///< It asked for a new connection.
  std::optional<Severity> fault;              ///< Why we closed it, and
  std::optional<Error> drop_reason;           ///< in words.
  std::optional<Deadline> deadline;           ///< Of leaving. Behind the connection that it closes.
  wire::FrameBuffer out;
};

/// Counts what runs, however it ends.
class Uplink::Running {
 public:
  explicit Running(Uplink& uplink) : uplink_(uplink) { ++uplink_.running_; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    --uplink_.running_;
    uplink_.finish_if_done();
  }

 private:
  Uplink& uplink_;
};

Uplink::Uplink(Shard& shard, Options options, UplinkRole& role)
    : shard_(shard), options_(std::move(options)), role_(role), silent_(options_.targets.size(), false) {
  std::vector<Upstream> candidates;
  candidates.reserve(options_.targets.size());
  for (const auto& target : options_.targets) candidates.push_back(target.peer);
  upstreams_ = std::make_unique<Upstreams>(shard, std::move(candidates), options_.selection, options_.dial, options_.setup,
                                           options_.setup_deadline, static_cast<UpstreamsHandler&>(*this));
}

Uplink::~Uplink() = default;

void Uplink::start() { upstreams_->start(); }

void Uplink::finish_if_done() {
  if (running_ == 0 && done_) std::exchange(done_, nullptr)();
}

// ---- Upstreams

void Uplink::setting_up(std::size_t candidate, const Upstream& peer) {
  status_.url = to_url(peer);
  log::debug(options_.events.dial, {{"url", status_.url}, {"candidate", candidate}});
}

void Uplink::attempt_failed(std::size_t, const Upstream& peer, const Error& error) {
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
    log::info(options_.events.upstream_switched, {{"from", link_->url}, {"to", to_url(ready.peer)}});
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

  const bool over_iroh = std::holds_alternative<IrohConfig>(link->peer.transport);
  if (link->connection->metadata().lanes > 1) {
    link->extension = AditExtension(true);
  } else if ((over_iroh || options_.targets[link->candidate].goodbye) && !silent_[link->candidate]) {
    link->extension.request(link->out);
    link->asked_at = now.instant;
  }
  role_.begin(link->candidate, link->peer, now);
  const std::vector<wire::FrameView> answer(ready.answer.begin(), ready.answer.end());
  if (auto handled = handle(*link, answer); !handled) link->drop_reason = std::move(handled.error());
  shard_.spawn(run(shared_from_this(), std::move(link)));
}

void Uplink::on_ready() {
  watch_path(*link_);
  status_.ready = true;
  ++status_.connects;
  status_.round_trip = link_->round_trip;
  status_.round_trips[static_cast<std::size_t>(status_.metadata->transport)].add(link_->round_trip);
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

/// What frames say about the upstream, beside their meaning to the role; of a session that the role has left, all of it.
void Uplink::judge(Link& link, std::span<const wire::FrameView> frames, const Now& now) {
  const auto late = [&](const auto& message) {
    if (link.in_use) return;
    link.shares.on_answer(message, now.instant, [](const auto&) {});
    role_.on_late_answer(message);
  };
  for (const auto& frame : frames) {
    if (frame.is<wire::SubmitSharesSuccess>()) {
      const auto message = frame.as<wire::SubmitSharesSuccess>();
      if (!message) continue;
      link.judge.on_accepted(message->new_submits_accepted_count, now.instant);
      late(*message);
    } else if (frame.is<wire::SubmitSharesError>()) {
      link.judge.on_rejected(now.instant, std::max(link.round_trip, kLeastRoundTrip));
      if (const auto message = frame.as<wire::SubmitSharesError>()) late(*message);
    } else if (frame.is<wire::SetNewPrevHash>() || frame.is<wire::SetTarget>() || frame.is<wire::SetExtranoncePrefix>()) {
      link.judge.on_change(now.instant);
    }
  }
}

Result<void> Uplink::give_role(Link& link, std::span<const wire::FrameView> frames, const Now& now) {
  const auto reconnect = std::ranges::find_if(frames, [](const auto& frame) { return frame.template is<wire::Reconnect>(); });
  ADIT_CHECK(role_.on_frames(frames.first(static_cast<std::size_t>(reconnect - frames.begin())), now));
  if (reconnect == frames.end()) return {};
  const auto message = reconnect->as<wire::Reconnect>();
  if (!message) return fail(Errc::kProtocol, "Reconnect cannot be read: " + message.error().message());
  link.reconnect = ReconnectRequest{.host = std::string(message->new_host.view()), .port = message->new_port};
  return fail(Errc::kEndOfStream, message->new_host.empty() ? "the upstream asked for a new connection"
                                                            : "the upstream asked to be reached elsewhere");
}

Result<void> Uplink::handle(Link& link, std::span<const wire::FrameView> frames) {
  const auto now = now_from_system();
  link.health.on_frames(now.instant);
  judge(link, frames, now);
  Result<void> handled;
  if (link.in_use) handled = give_role(link, frames, now);
  if (handled) handled = link.extension.on_received(frames, now, link.out);
  if (link.in_use) {
    send(link);  // First: RequestExtensions comes before everything else.
    send();
    role_.flush();
  }
  if (handled && link.in_use && link.extension.peer_patience()) {
    log::info(options_.events.goodbye_heard, {{"url", link.url}, {"reason", link.extension.peer_reason()}});
    leave(link, "the upstream leaves", {.deadline = *link.extension.peer_patience()});
    if (!stopping_) upstreams_->failed(link.candidate, Severity::kLost);
  }
  if (!link.in_use && link.shares.unanswered() == 0) link.extension.settle(link.out);
  send(link);
  if (const auto round_trip = link.extension.take_round_trip()) {
    link.round_trip = *round_trip;
    link.health.on_round_trip(*round_trip);
    status_.round_trips[static_cast<std::size_t>(link.connection->metadata().transport)].add(*round_trip);
    if (link.in_use) status_.round_trip = *round_trip;
  }
  return handled;
}

asio::awaitable<void> Uplink::run(std::shared_ptr<Uplink> self, LinkPtr link) {
  const Running running(*self);
  Error reason(Errc::kClosed, "closed here");
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
  link->connection->close(CloseCode::kShutdown);
  self->ended(*link, link->drop_reason ? *link->drop_reason : reason);
}

// ---- Endings

bool Uplink::take_from_role(Link& link, const Now& now) {
  if (!std::exchange(link.in_use, false)) return false;
  send();
  link_.reset();
  status_.ready = false;
  link.shares = role_.end(now, link.last_words);
  return true;
}

void Uplink::leave(Link& link, std::string_view reason, ShutdownBehavior behavior) {
  const auto now = now_from_system();
  if (take_from_role(link, now) && !stopping_) role_.flush();
  using Kind = ShutdownBehavior::Kind;
  if (behavior.kind == Kind::kImmediate) return link.connection->close(CloseCode::kShutdown);
  if (!link.deadline) link.deadline.emplace(shard_.context(), *link.connection, behavior.deadline);
  if (behavior.kind != Kind::kGoodbye || !link.extension.agreed()) {
    link.grace_until = now.instant + std::min(kLastAnswers, behavior.deadline / 2);
    return;
  }
  if (link.extension.leaving()) return;
  link.extension.say_goodbye(reason, behavior.deadline, link.out);
  send(link);
  log::info(options_.events.goodbye, {{"url", link.url}, {"reason", reason}, {"unanswered", link.shares.unanswered()}});
}

asio::awaitable<void> Uplink::drain(std::shared_ptr<Uplink> self, LinkPtr link) {
  const Running running(*self);
  if (std::exchange(link->draining, true)) co_return;
  if (!link->extension.leaving() && !link->last_words.empty()) link->connection->send(link->last_words);
  co_await link->connection->drain(kLastWords);
}

asio::awaitable<void> Uplink::drain_when_finished(std::shared_ptr<Uplink> self, LinkPtr link) {
  const Running running(*self);
  while (!link->ended && !link->finished(now_from_system().instant)) co_await sleep_for(std::chrono::milliseconds(20));
  if (!link->ended) co_await drain(self, link);
}

void Uplink::ended(Link& link, const Error& reason) {
  const auto now = now_from_system();
  link.ended = true;
  const bool was_used = take_from_role(link, now);
  const auto metadata = link.connection->metadata();
  const auto figures = metadata.figures.value_or(CarrierFigures{});
  status_.shares_unanswered += link.shares.unanswered();
  if (link.extension.over()) ++status_.goodbyes;
  // By our own finding, or the carrier's.
  if (reason.is(Errc::kTimedOut)) ++status_.dead[static_cast<std::size_t>(metadata.transport)];
  if (link.extension.asking()) silent_[link.candidate] = true;
  log::info(options_.events.upstream_closed, {{"url", link.url},
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
                                              {"shares_accepted", link.shares.accepted()},
                                              {"shares_rejected", link.shares.rejected()},
                                              {"shares_unanswered", link.shares.unanswered()},
                                              {"goodbye", link.extension.over()}});
  std::erase_if(links_, [&](const LinkPtr& other) { return other.get() == &link; });
  if (!was_used || stopping_) return;
  role_.flush();
  status_.last_error = reason.message();
  const auto severity = link.fault.value_or(role_.severity_of(reason));
  if (severity == Severity::kUnusable) last_unusable_ = reason;
  role_.on_lost(link.peer, reason);
  if (link.reconnect) return move(link);
  upstreams_->failed(link.candidate, severity);
}

/// Follows its Reconnect, if that may be followed.
void Uplink::move(Link& link) {
  auto peer = reconnect_target(link.peer, link.reconnect->host, link.reconnect->port);
  if (peer && !reconnects_.take(now_from_system().instant))
    peer = fail(Errc::kProtocol, "the upstream asked for new connections too often: not followed");
  if (!peer) {
    log::warn(options_.events.reconnect_refused, {{"url", link.url}, {"message", peer.error().message()}});
    return upstreams_->failed(link.candidate, Severity::kRefused);
  }
  log::info(options_.events.reconnect, {{"url", to_url(*peer)}});
  upstreams_->moved(link.candidate, std::move(*peer));
}

void Uplink::drop(Link& link, Error reason, std::optional<Severity> fault) {
  if (link.drop_reason) return;
  link.drop_reason = std::move(reason);
  link.fault = fault;
  link.connection->close(CloseCode::kProtocolError);
}

void Uplink::shut_down(ShutdownBehavior behavior, std::string_view reason, std::function<void()> done) {
  stopping_ = true;
  ++running_;  // The attempts.
  done_ = std::move(done);
  const auto links = links_;
  for (const auto& link : links) {
    leave(*link, reason, behavior);
    // Nobody ticks any more: what needs no answer ends now, what waits for answers in vain does after the grace.
    if (link->extension.leaving() || behavior.kind == ShutdownBehavior::Kind::kImmediate) continue;
    shard_.spawn(drain_when_finished(shared_from_this(), link));
  }
  upstreams_->stop([self = shared_from_this()] {
    --self->running_;
    self->finish_if_done();
  });
}

void Uplink::cut_off() {
  const auto links = links_;
  for (const auto& link : links) link->connection->close(CloseCode::kShutdown);
}

// ---- Time

bool Uplink::watch(Link& link, const Now& now) {
  const auto before = link.health.health();
  const auto health = link.health.look(now.instant, link.connection->figures());
  if (health != before) {
    const bool well = health.state == HealthState::kHealthy;
    log::write(well ? log::Level::kInfo : log::Level::kWarn, options_.events.health,
               {{"url", link.url},
                {"from", to_string(before.state)},
                {"to", to_string(health.state)},
                {"reason", to_string(health.reason)},
                {"message", "the upstream " + std::string(to_words(health.reason))}});
    if (health.state == HealthState::kDegraded)
      ++status_.degraded[static_cast<std::size_t>(link.connection->metadata().transport)];
  }
  if (health.state == HealthState::kDead) {
    drop(link, Error(Errc::kTimedOut, "the upstream " + std::string(to_words(health.reason))), std::nullopt);
    return false;
  }
  if (link.in_use && link.extension.agreed() && link.health.ping_due(now.instant) && link.extension.ping(now, link.out)) {
    link.health.on_ping(now.instant);
    send(link);
  }
  return true;
}

void Uplink::watch_path(Link& link) {
  const auto metadata = link.connection->metadata();
  const auto changes = metadata.path_changes - std::exchange(link.path_changes, metadata.path_changes);
  // What was before the first look, the connection itself has told.
  const bool looked = link.path != Path::kUnknown;
  if (looked && changes != 0) {
    status_.path_changes += changes;
    log::info(options_.events.path_changed, {{"url", link.url},
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
  status_.goodbye = link.extension.agreed();
}

void Uplink::on_tick(const Now& now, const Result<void>& ticked) {
  if (link_ && !ticked) drop(*link_, ticked.error(), std::nullopt);
  send();
  const auto links = links_;
  for (const auto& link : links) {
    if (link->drop_reason || !watch(*link, now)) continue;
    if (link->in_use && link->judge.at_fault(now.instant)) {
      drop(*link,
           Error(Errc::kDenied, "the upstream rejects our shares: " + std::to_string(link->judge.held()) +
                                    " within a minute, and fewer were accepted"),
           Severity::kRejected);
      continue;
    }
    if (link->extension.asking() && now.instant - link->asked_at >= kSilentAfter) silent_[link->candidate] = true;
    if (link->finished(now.instant)) shard_.spawn(drain(shared_from_this(), link));
  }
  if (!link_) return;
  watch_path(*link_);
  // Last, for it may bring another into use.
  if (link_->health.health().state == HealthState::kDegraded && !stopping_) upstreams_->degraded();
}

}  // namespace adit::net
