#include "roles/translator/uplink.h"

#include <algorithm>
#include <utility>

#include "log/log.h"
#include "net/deadline.h"
#include "net/recovery.h"
#include "wire/messages.h"

namespace adit::translator {
namespace {

namespace asio = net::asio;

/// A peer that did not answer RequestExtensions after so long will not.
constexpr auto kSilentAfter = std::chrono::seconds(10);
/// A peer without Goodbye has this long for the last answers: many hold them back until a batch is full.
constexpr Duration kLastAnswers = std::chrono::seconds(1);
constexpr auto kLastWords = std::chrono::seconds(2);

/// What SetupConnection says was dialled.
std::pair<std::string, std::uint16_t> endpoint_of(const net::TransportConfig& transport) {
  if (const auto* tcp = std::get_if<net::TcpConfig>(&transport)) return {tcp->host, tcp->port};
  return {std::get<net::IrohConfig>(transport).endpoint_id, 0};
}

net::Severity severity_of(const Error& error) {
  if (error.is(Errc::kProtocol)) return net::Severity::kMisbehaved;
  if (error.is(Errc::kRefused) || error.is(Errc::kTimedOut) || error.is(Errc::kReconnect)) return net::Severity::kRefused;
  if (error.is(Errc::kConfiguration)) return net::Severity::kUnusable;
  return net::severity_of(error);
}

std::int64_t ms(Duration duration) { return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count(); }

}  // namespace

/// One upstream connection past its setup.
struct Uplink::Link {
  Link(const net::HealthPolicy& policy, Instant now) : health(policy, now), since(now) {}

  std::size_t candidate = 0;
  net::Upstream peer;
  std::string url;
  std::unique_ptr<net::NetworkConnection> connection;
  net::AditExtension extension{net::AditExtension::Side::kClient};
  net::ShareJudge judge;
  net::HealthMonitor health;
  Duration round_trip{};
  Instant since;
  Instant asked_at{};                    ///< For extensions.
  Instant grace_until = Instant::max();  ///< When leaving a peer without Goodbye: no answer is waited for any longer.
  std::uint64_t path_changes = 0;        ///< Told so far.
  bool in_use = true;                    ///< By the engine.
  bool draining = false;
  bool ended = false;
  std::optional<net::Severity> fault;     ///< Why we closed it, and
  std::optional<Error> drop_reason;       ///< in words.
  std::optional<net::Deadline> deadline;  ///< Of leaving. Behind the connection that it closes.
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

Uplink::Uplink(net::Shard& shard, Options options, Translator& engine, std::function<void()> flush)
    : shard_(shard),
      options_(std::move(options)),
      engine_(engine),
      flush_(std::move(flush)),
      silent_(options_.targets.size(), false) {
  std::vector<net::Upstream> candidates;
  for (const auto& target : options_.targets) candidates.push_back(target.peer);
  upstreams_ = std::make_unique<net::Upstreams>(shard, std::move(candidates), options_.selection, options_.dial,
                                                options_.setup_deadline, static_cast<net::UpstreamsHandler&>(*this));
}

Uplink::~Uplink() = default;

void Uplink::start() { upstreams_->start(); }

void Uplink::finish_if_done() {
  if (running_ == 0 && done_) std::exchange(done_, nullptr)();
}

void Uplink::write_setup(std::size_t candidate, const net::Upstream& peer, wire::FrameBuffer& out) {
  status_.url = net::to_url(peer);
  log::debug("translator.dial", {{"url", status_.url}, {"candidate", candidate}});
  const auto [host, port] = endpoint_of(peer.transport);
  Translator::write_setup(host, port, out);
}

void Uplink::attempt_failed(std::size_t, const net::Upstream& peer, const Error& error) {
  status_.url = link_ ? link_->url : net::to_url(peer);
  status_.last_error = error.message();
  if (severity_of(error) == net::Severity::kUnusable) last_unusable_ = error;
  log::warn("translator.upstream_failed", {{"url", net::to_url(peer)}, {"error", error.name()}, {"message", error.message()}});
}

void Uplink::hopeless() {
  if (!status_.unusable) status_.unusable = last_unusable_;
}

void Uplink::use(net::ReadyUpstream ready) {
  const auto now = now_from_system();
  if (link_) {
    log::info("translator.upstream_switched", {{"from", link_->url}, {"to", net::to_url(ready.peer)}});
    leave(*link_, "a better upstream is there", {.deadline = options_.leave_deadline});
  }
  const auto& target = options_.targets[ready.candidate];
  auto link = std::make_shared<Link>(options_.health, now.instant);
  link->candidate = ready.candidate;
  link->peer = std::move(ready.peer);
  link->url = net::to_url(link->peer);
  link->connection = std::move(ready.connection);
  link->round_trip = ready.round_trip;
  link_ = link;
  links_.push_back(link);
  status_.url = link->url;
  if (last_used_ && *last_used_ != ready.candidate) ++status_.fallbacks;
  last_used_ = ready.candidate;

  const auto [host, port] = endpoint_of(link->peer.transport);
  engine_.on_upstream_connected(target.user_identity, host, port, now, target.regtest_only);
  engine_.upstream_output().clear();  // The SetupConnection that was sent in the race is answered already.
  const bool over_iroh = std::holds_alternative<net::IrohConfig>(link->peer.transport);
  if (link->connection->metadata().lanes > 1) {
    link->extension = net::AditExtension(net::AditExtension::Side::kClient, true);
  } else if ((over_iroh || target.goodbye) && !silent_[ready.candidate]) {
    link->extension.request(link->out);
    link->asked_at = now.instant;
  }
  const std::vector<wire::FrameView> answer(ready.answer.begin(), ready.answer.end());
  if (auto handled = handle(*link, answer); !handled) link->drop_reason = std::move(handled.error());
  shard_.spawn(run(shared_from_this(), std::move(link)));
}

void Uplink::on_ready() {
  const auto metadata = link_->connection->metadata();
  status_.ready = true;
  ++status_.connects;
  status_.metadata = metadata;
  status_.round_trip = link_->round_trip;
  status_.round_trips[static_cast<std::size_t>(metadata.transport)].add(link_->round_trip);
  if (metadata.certificate_until) {
    const auto left = *metadata.certificate_until - now_from_system().unix_time;
    log::debug("translator.certificate",
               {{"url", link_->url},
                {"authority", metadata.authority_key.empty() ? "not checked" : metadata.authority_key},
                {"seconds_left", left.count()}});
  }
  log::info("translator.upstream_ready",
            {{"url", link_->url},
             {"transport", net::to_string(metadata.transport)},
             {"alpn", metadata.alpn},
             {"lanes", metadata.lanes},
             {"sessions", metadata.sessions},
             {"path", net::to_string(metadata.path)},
             {"rtt_ms", ms(link_->round_trip)},
             {"authority", metadata.authority_key.empty() ? "not checked" : metadata.authority_key}});
}

void Uplink::send() {
  auto& out = engine_.upstream_output();
  if (out.empty()) return;
  if (link_) {
    link_->extension.on_sent(out);
    link_->connection->send(out);
  }
  out.clear();
}

/// What frames say about the upstream, beside their meaning to the engine.
void Uplink::observe(Link& link, std::span<const wire::FrameView> frames, const Now& now) {
  for (const auto& frame : frames) {
    if (frame.is<wire::SubmitSharesSuccess>()) {
      const auto message = frame.as<wire::SubmitSharesSuccess>();
      if (!message) continue;
      link.judge.on_accepted(message->new_submits_accepted_count, now.instant);
      if (link.in_use) continue;
      late_accepted_ += message->new_submits_accepted_count;
      late_work_ += message->new_shares_sum;
    } else if (frame.is<wire::SubmitSharesError>()) {
      link.judge.on_rejected(now.instant, std::max<Duration>(link.round_trip, std::chrono::milliseconds(10)));
    } else if (frame.is<wire::SetNewPrevHash>() || frame.is<wire::SetTarget>() || frame.is<wire::SetExtranoncePrefix>()) {
      link.judge.on_change(now.instant);
    }
  }
}

Result<void> Uplink::handle(Link& link, std::span<const wire::FrameView> frames) {
  const auto now = now_from_system();
  link.health.on_frames(now.instant);
  observe(link, frames, now);
  Result<void> handled;
  if (link.in_use) handled = engine_.on_upstream_frames(frames, now);
  if (handled) handled = link.extension.on_received(frames, now, link.out);
  if (link.in_use) {
    // Ours first: RequestExtensions comes before everything else.
    if (!link.out.empty()) link.connection->send(link.out);
    link.out.clear();
    send();
    flush_();
  }
  if (handled && link.in_use && link.extension.peer_patience()) {
    log::info("translator.goodbye_heard", {{"url", link.url}, {"reason", link.extension.peer_reason()}});
    leave(link, "the upstream leaves", {.deadline = *link.extension.peer_patience()});
    if (!stopping_) upstreams_->failed(link.candidate, net::Severity::kLost);
  }
  link.extension.settle(link.out);
  if (!link.out.empty()) link.connection->send(link.out);
  link.out.clear();
  if (const auto round_trip = link.extension.take_round_trip()) {
    link.round_trip = *round_trip;
    link.health.on_round_trip(*round_trip);
    status_.round_trips[static_cast<std::size_t>(link.connection->metadata().transport)].add(*round_trip);
    if (link.in_use) status_.round_trip = *round_trip;
  }
  return handled;
}

void Uplink::leave(Link& link, std::string_view reason, net::ShutdownBehavior behavior) {
  const auto now = now_from_system();
  if (std::exchange(link.in_use, false)) {
    send();
    if (link_.get() == &link) link_.reset();
    status_.ready = false;
    engine_.on_upstream_lost(now);
    if (!stopping_) flush_();
  }
  using Kind = net::ShutdownBehavior::Kind;
  if (behavior.kind == Kind::kImmediate) return link.connection->close(net::CloseCode::kShutdown);
  if (!link.deadline) link.deadline.emplace(shard_.context(), *link.connection, behavior.deadline);
  if (behavior.kind == Kind::kGoodbye && link.extension.agreed()) {
    if (!link.extension.leaving()) {
      link.extension.say_goodbye(reason, behavior.deadline, link.out);
      link.connection->send(link.out);
      link.out.clear();
      log::info("translator.goodbye", {{"url", link.url}, {"reason", reason}, {"unanswered", link.extension.unanswered()}});
    }
  } else {
    link.grace_until = now.instant + std::min(kLastAnswers, behavior.deadline / 2);
  }
}

bool Uplink::finished(const Link& link) const {
  if (link.in_use) return false;
  if (link.extension.leaving()) return link.extension.over();
  return link.extension.unanswered() == 0 || now_from_system().instant >= link.grace_until;
}

asio::awaitable<void> Uplink::run(std::shared_ptr<Uplink> self, LinkPtr link) {
  const Running running(*self);
  Error reason(net::Errc::kClosed, "closed here");
  while (!link->drop_reason && !self->finished(*link)) {
    const auto batch = co_await link->connection->receive();
    if (!batch) {
      reason = batch.error();
      break;
    }
    if (auto handled = self->handle(*link, *batch); !handled) link->drop_reason = std::move(handled.error());
  }
  const bool finished = !link->drop_reason && self->finished(*link);
  if (finished && !std::exchange(link->draining, true)) co_await link->connection->drain(kLastWords);
  link->deadline.reset();
  link->connection->close(net::CloseCode::kShutdown);
  self->ended(*link, link->drop_reason ? *link->drop_reason : reason);
}

void Uplink::ended(Link& link, const Error& reason) {
  link.ended = true;
  const auto now = now_from_system();
  const auto metadata = link.connection->metadata();
  const auto figures = metadata.figures.value_or(net::CarrierFigures{});
  const auto unanswered = link.extension.unanswered();
  status_.shares_unanswered += unanswered;
  if (link.extension.over()) ++status_.goodbyes;
  // By our own finding, or the carrier's.
  if (reason.is(net::Errc::kTimedOut)) ++status_.dead[static_cast<std::size_t>(metadata.transport)];
  if (link.extension.asking()) silent_[link.candidate] = true;
  log::info("translator.upstream_closed", {{"url", link.url},
                                           {"transport", net::to_string(metadata.transport)},
                                           {"path", net::to_string(metadata.path)},
                                           {"seconds", std::chrono::duration<double>(now.instant - link.since).count()},
                                           {"bytes_sent", metadata.bytes_sent},
                                           {"bytes_received", metadata.bytes_received},
                                           {"rtt_ms", ms(link.round_trip)},
                                           {"rtt_us", net::rtt_us(metadata)},
                                           {"packets_sent", figures.packets_sent},
                                           {"packets_lost", figures.packets_lost},
                                           {"congestion_window", figures.congestion_window},
                                           {"mtu", figures.mtu},
                                           {"path_changes", metadata.path_changes},
                                           {"shares_accepted", link.extension.accepted()},
                                           {"shares_rejected", link.extension.rejected()},
                                           {"shares_unanswered", unanswered},
                                           {"goodbye", link.extension.over()}});
  const bool was_used = std::exchange(link.in_use, false);
  if (link_.get() == &link) link_.reset();
  std::erase_if(links_, [&](const LinkPtr& other) { return other.get() == &link; });
  if (!was_used) return;
  status_.ready = false;
  engine_.on_upstream_lost(now);
  if (stopping_) return;
  flush_();
  status_.last_error = reason.message();
  if (reason.is(Errc::kConfiguration)) {
    log::error("translator.upstream_unusable", {{"url", link.url}, {"message", reason.message()}});
    last_unusable_ = reason;
  } else {
    log::warn("translator.upstream_lost", {{"url", link.url}, {"error", reason.name()}, {"message", reason.message()}});
  }
  if (reason.is(Errc::kReconnect)) return move(link);
  upstreams_->failed(link.candidate, link.fault.value_or(severity_of(reason)));
}

/// Follows a Reconnect, if that may be followed.
void Uplink::move(Link& link) {
  const auto& request = engine_.reconnect();
  auto peer = net::reconnect_target(link.peer, request.host, request.port);
  if (peer && !reconnects_.take(now_from_system().instant))
    peer = fail(net::Errc::kProtocol, "the upstream asked for new connections too often: not followed");
  if (!peer) {
    log::warn("translator.reconnect_refused", {{"url", link.url}, {"message", peer.error().message()}});
    return upstreams_->failed(link.candidate, net::Severity::kRefused);
  }
  log::info("translator.reconnect", {{"url", net::to_url(*peer)}});
  upstreams_->moved(link.candidate, std::move(*peer));
}

void Uplink::drop(Link& link, Error reason, std::optional<net::Severity> fault) {
  if (link.drop_reason) return;
  link.drop_reason = std::move(reason);
  link.fault = fault;
  link.connection->close(net::CloseCode::kProtocolError);
}

bool Uplink::watch(Link& link, const Now& now) {
  const auto before = link.health.health();
  const auto health = link.health.look(now.instant, link.connection->figures());
  const auto transport = link.connection->metadata().transport;
  if (health != before) {
    log::write(health.state == net::HealthState::kHealthy ? log::Level::kInfo : log::Level::kWarn, "translator.health",
               {{"url", link.url},
                {"from", net::to_string(before.state)},
                {"to", net::to_string(health.state)},
                {"reason", net::to_string(health.reason)},
                {"message", "the upstream " + std::string(net::to_words(health.reason))}});
    if (health.state == net::HealthState::kDegraded) ++status_.degraded[static_cast<std::size_t>(transport)];
  }
  if (health.state == net::HealthState::kDead) {
    drop(link, Error(net::Errc::kTimedOut, "the upstream " + std::string(net::to_words(health.reason))), std::nullopt);
    return false;
  }
  if (link.in_use && link.extension.agreed() && link.health.ping_due(now.instant) && link.extension.ping(now, link.out)) {
    link.health.on_ping(now.instant);
    link.connection->send(link.out);
    link.out.clear();
  }
  return true;
}

void Uplink::on_tick(const Now& now, const Result<void>& ticked) {
  if (link_ && !ticked) drop(*link_, ticked.error(), std::nullopt);
  send();
  const auto links = links_;
  for (const auto& link : links) {
    if (link->drop_reason || !watch(*link, now)) continue;
    if (link->in_use && link->judge.at_fault(now.instant)) {
      drop(*link,
           Error(Errc::kRefused, "the upstream rejects our shares: " + std::to_string(link->judge.held()) +
                                     " within a minute, and fewer were accepted"),
           net::Severity::kRejected);
      continue;
    }
    if (link->extension.asking() && now.instant - link->asked_at >= kSilentAfter) silent_[link->candidate] = true;
    if (finished(*link) && !std::exchange(link->draining, true)) {
      shard_.spawn([](std::shared_ptr<Uplink> self, LinkPtr ending) -> asio::awaitable<void> {
        const Running running(*self);
        co_await ending->connection->drain(kLastWords);
      }(shared_from_this(), link));
    }
  }
  if (!link_) return;
  const auto metadata = link_->connection->metadata();
  if (const auto seen = std::exchange(link_->path_changes, metadata.path_changes); seen != metadata.path_changes) {
    status_.path_changes += metadata.path_changes - seen;
    const auto before = status_.metadata.value_or(metadata);
    log::info("translator.path_changed", {{"url", link_->url},
                                          {"from", net::to_string(before.path)},
                                          {"to", net::to_string(metadata.path)},
                                          {"from_address", before.source},
                                          {"to_address", metadata.source}});
  }
  status_.metadata = metadata;
  status_.metadata->health = link_->health.health();
  status_.goodbye = link_->extension.agreed();
  // Last, for it may bring another into use.
  if (status_.metadata->health.state == net::HealthState::kDegraded && !stopping_) upstreams_->degraded();
}

void Uplink::shut_down(net::ShutdownBehavior behavior, std::function<void()> done) {
  stopping_ = true;
  ++running_;  // The attempts.
  done_ = std::move(done);
  const auto links = links_;
  for (const auto& link : links) {
    leave(*link, "the translator stops", behavior);
    // Nobody ticks any more: what needs no answer ends now, what waits for answers in vain does after the grace.
    if (link->extension.leaving() || behavior.kind == net::ShutdownBehavior::Kind::kImmediate) continue;
    shard_.spawn([](std::shared_ptr<Uplink> self, LinkPtr ending) -> asio::awaitable<void> {
      const Running running(*self);
      while (!ending->ended && !self->finished(*ending)) co_await net::sleep_for(std::chrono::milliseconds(20));
      if (!ending->ended && !std::exchange(ending->draining, true)) co_await ending->connection->drain(kLastWords);
    }(shared_from_this(), link));
  }
  upstreams_->stop([self = shared_from_this()] {
    --self->running_;
    self->finish_if_done();
  });
}

void Uplink::cut_off() {
  const auto links = links_;
  for (const auto& link : links) link->connection->close(net::CloseCode::kShutdown);
}

}  // namespace adit::translator
