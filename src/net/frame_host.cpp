#include "net/frame_host.h"

#include <algorithm>
#include <utility>

#include "base/clock_agreement.h"
#include "base/invariant.h"
#include "log/log.h"

namespace adit::net {

void TransportCounters::add(const TransportCounters& others) {
  open += others.open;
  opened += others.opened;
  handshakes_failed += others.handshakes_failed;
  setups_refused += others.setups_refused;
  protocol_errors += others.protocol_errors;
  slow_readers += others.slow_readers;
  idle += others.idle;
  dead += others.dead;
  degraded += others.degraded;
  goodbyes += others.goodbyes;
  bytes_sent += others.bytes_sent;
  bytes_received += others.bytes_received;
  round_trips.add(others.round_trips);
}

void add(HostCounters& sum, const HostCounters& part) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i].add(part[i]);
}

/// One connection, in the host's list as long as its engine may be called.
class FrameHost::Member final : public HostedConnection {
 public:
  Member(FrameHost& at, std::unique_ptr<NetworkConnection> peer, Admission::Token& admitted,
         const session::ServerOptions& serving, std::optional<wire::Protocol> lanes, Transport carrier)
      : host(at),
        admission(admitted),
        connection(std::move(peer)),
        side(
            serving, lanes, [this](const session::AcceptedSetup& setup) { return host.role_.serve(setup, *this); },
            now_from_system().instant),
        health(at.options_->health, now_from_system().instant),
        place(at.members_.size()),
        transport(carrier),
        number(at.options_->last_id->fetch_add(1, std::memory_order_relaxed) + 1),
        reason("the " + at.options_->name + " stops") {
    host.members_.push_back(this);
    ++host.over(transport).opened;
    ++host.over(transport).open;
  }
  ~Member() {
    leave();
    host.sum_up(*this);
  }
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  /// It is called no more from the host's list.
  void leave() {
    if (place == kAway) return;
    ADIT_INVARIANT(host.members_[place] == this);
    host.members_[place] = host.members_.back();
    host.members_[place]->place = place;
    host.members_.pop_back();
    place = kAway;
    --host.over(transport).open;
  }

  [[nodiscard]] std::uint32_t id() const override { return number; }
  [[nodiscard]] ConnectionMetadata metadata() const override {
    auto known = connection->metadata();
    known.health = health.health();
    return known;
  }
  [[nodiscard]] bool leaving() const override { return place == kAway || ended || side.extension().leaving(); }
  void send(const wire::FrameBuffer& frames) override { connection->send(frames); }
  void settle() override {
    if (drain_patience && side.protocol()->settled()) return begin_drain();
    if (!side.extension().leaving() || side.extension().over()) return;
    auto& out = host.out_;
    out.clear();
    side.settle(out);
    connection->send(out);
    // The reader waits for nothing more: what it would have said at the next frame is said now.
    if (side.extension().over()) finish_goodbye();
  }
  void end(const Error& error) override {
    if (ended) return;
    ended = error;
    connection->close(CloseCode::kShutdown);
  }
  void finish_goodbye();
  /// Drains it, once everything that it was asked is answered.
  void begin_drain();

  FrameHost& host;
  Admission::Token& admission;
  std::uint64_t accepted = 0;  ///< Shares, of which `admission` knows.
  std::unique_ptr<NetworkConnection> connection;
  session::ServerSide side;
  HealthMonitor health;
  ClockAgreement clock;  ///< The peer's.
  std::size_t place;     ///< In the list; kAway: not in it.
  Transport transport;
  std::uint32_t number;
  std::optional<Duration> drain_patience;  ///< It is to be drained, and waits for answers that the engine holds back.
  std::optional<Error> ended;              ///< By end().
  std::string reason;                      ///< Why it ended.
  bool said_goodbye = false;               ///< The end by Goodbye was counted and logged.
  static constexpr auto kAway = static_cast<std::size_t>(-1);
};

/// One holder of a place, as long as it is of use to others.
class FrameHost::Holding {
 public:
  Holding(FrameHost& host, Link& link, Admission::Token& place) : host_(host), number_(++host.last_holder_) {
    host.holders_[number_].handshake = &link;
    place.on_displaced([&shard = host.part_.shard(), part = host.part_.weak_from_this(), &host, number = number_] {
      shard.post([part, &host, number] {
        if (const auto alive = part.lock()) host.displace(number);
      });
    });
  }
  ~Holding() { host_.holders_.erase(number_); }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;

  /// The handshake has ended; null: it failed. `member` is called no more once this is gone.
  void handshake_over(Member* member) {
    auto& holder = host_.holders_[number_];
    holder.handshake = nullptr;
    holder.member = member;
  }
  /// Takes the member away before it is gone.
  struct End {
    explicit End(Holding& of) : holding(of) {}
    ~End() { holding.handshake_over(nullptr); }
    End(const End&) = delete;
    End& operator=(const End&) = delete;
    Holding& holding;
  };
  [[nodiscard]] bool displaced() const { return host_.holders_.at(number_).displaced; }

 private:
  FrameHost& host_;
  std::uint64_t number_;
};

/// Another connection has the place of this one.
void FrameHost::displace(std::uint64_t holder) {
  const auto found = holders_.find(holder);
  if (found == holders_.end() || found->second.displaced) return;
  auto& [handshake, member, displaced] = found->second;
  displaced = true;
  if (handshake != nullptr) {
    const auto peer = handshake->stream ? handshake->stream->metadata().peer : std::string();
    complain("displaced", peer, Error(Errc::kOverloaded, "another connection has its place: its handshake took too long"));
    handshake->close(CloseCode::kOverloaded);
  } else if (member != nullptr) {
    const Error reason(Errc::kOverloaded, "another connection has its place: no share of it was accepted");
    complain("displaced", member->connection->metadata().peer, reason);
    member->reason = reason.message();
    member->ended = Error(Errc::kClosed, reason.message());  // Which is as it should be: there is nothing more to report.
    member->connection->close(CloseCode::kOverloaded);
  }
}

FrameHost::FrameHost(ServicePart& part, std::shared_ptr<const FrameHostOptions> options, Admission admission,
                     std::optional<std::array<std::uint8_t, 32>> endpoint_id, FrameHostRole& role,
                     std::shared_ptr<Backlog> backlog)
    : part_(part),
      options_(std::move(options)),
      admission_(std::move(admission)),
      credentials_(options_->authority_secret, options_->certificate_validity, endpoint_id, options_->protocols),
      role_(role),
      backlog_(backlog ? std::move(backlog) : std::make_shared<Backlog>(BacklogBounds::above(options_->max_queued_bytes))),
      more_complaints_(event("more_complaints")),
      more_endings_(event("more_connections_closed")),
      more_goodbyes_(event("more_goodbyes")),
      complaints_(more_complaints_),
      endings_(more_endings_),
      goodbyes_(more_goodbyes_) {}

FrameHost::~FrameHost() = default;

std::string FrameHost::event(std::string_view what) const { return options_->name + "." + std::string(what); }

void FrameHost::complain(std::string_view what, std::string_view peer, const Error& error) {
  complaints_.warn(event(what), {{"peer", peer}, {"error", error.name()}, {"message", error.message()}});
}

void FrameHost::look_at_clock(Member& member) {
  const auto difference = member.side.extension().clock_difference();
  if (!difference) return;
  const auto ahead = std::chrono::round<std::chrono::seconds>(*difference);
  if (!member.clock.note(ahead)) return;
  const std::string peer = member.connection->metadata().peer;
  if (member.clock.differs()) {
    complaints_.warn(event("clock_differs"),
                     {{"peer", peer}, {"seconds", ahead.count()}, {"message", describe_clock("the peer at " + peer, ahead)}});
  } else {
    complaints_.write(log::Level::kInfo, event("clock_agrees"), {{"peer", peer}, {"seconds", ahead.count()}});
  }
}

void FrameHost::take(Link link, const session::ServerOptions& serving, IrohCarrier::Place place) {
  const auto metadata = link.stream->metadata();
  if (!place) {
    auto token = admission_.admit(metadata.source.empty() ? metadata.peer : metadata.source, now_from_system().instant);
    if (!token) {
      complain("refused", metadata.peer, token.error());
      return link.close(CloseCode::kOverloaded);
    }
    place = std::make_shared<Admission::Token>(std::move(*token));
  }
  if (part_.stopping()) return link.close(CloseCode::kOverloaded);
  part_.shard().spawn(serve(part_.shared_from_this(), *this, std::move(link), serving, std::move(place), metadata.transport));
}

/// The handshake; null if it failed, which is logged, or if `sv1` has what a peer of Stratum V1 has sent.
asio::awaitable<std::unique_ptr<NetworkConnection>> FrameHost::establish(Link& link, Holding& holding, Admission::Token& place,
                                                                         std::vector<std::uint8_t>& sv1) {
  const auto metadata = link.stream->metadata();
  const bool takes_sv1 = options_->sv1 && metadata.transport == Transport::kTcp;
  auto connection = co_await accept_session(part_.shard(), link, credentials_,
                                            {.deadline = options_->handshake_deadline,
                                             .max_queued_bytes = options_->max_queued_bytes,
                                             .max_payload = options_->max_payload,
                                             .sv1 = takes_sv1 ? &sv1 : nullptr});
  holding.handshake_over(nullptr);
  if (connection) co_return std::move(*connection);
  if (holding.displaced() || !sv1.empty()) co_return nullptr;
  ++over(metadata.transport).handshakes_failed;
  if (part_.stopping()) co_return nullptr;
  const auto& error = connection.error();
  // Miners look whether a port answers before they use it (ESP-Miner): that is counted, and no reason to warn.
  const bool probe =
      (error.is(Errc::kEndOfStream) || error.is(Errc::kReset)) && link.stream && link.stream->metadata().bytes_received == 0;
  if (probe) {
    log::debug(event("probed"), {{"peer", metadata.peer}});
  } else {
    place.charge(AdmissionLimits::kFailedHandshake, now_from_system().instant);
    complain("handshake_failed", metadata.peer, error);
  }
  co_return nullptr;
}

asio::awaitable<void> FrameHost::serve(std::shared_ptr<ServicePart> part, FrameHost& host, Link given_link,
                                       const session::ServerOptions& serving, IrohCarrier::Place given, Transport transport) {
  const TaskGate::Token running(part->gate());
  // Parameters outlive locals, and once `running` is gone the service may be too: what uses it lives in locals behind it.
  const auto place = std::move(given);
  auto link = std::move(given_link);
  const auto lanes = link.lanes() ? link.protocol : std::nullopt;
  Holding holding(host, link, *place);
  std::vector<std::uint8_t> sv1;
  auto connection = co_await host.establish(link, holding, *place, sv1);
  if (!connection && !sv1.empty() && !holding.displaced()) {
    host.role_.take_sv1(std::move(link.stream), sv1, std::move(*place));
    co_return;
  }
  if (!connection || part->stopping()) co_return;
  place->established(now_from_system().instant);
  connection->count_in(*host.backlog_, place->source());
  Member member(host, std::move(connection), *place, serving, lanes, transport);
  holding.handshake_over(&member);
  const Holding::End end(holding);
  for (;;) {
    const auto batch = co_await member.connection->receive();
    if (!batch) {
      host.lost(member, member.ended ? *member.ended : batch.error());
      co_return;
    }
    auto& out = host.out_;
    out.clear();
    const auto now = now_from_system();
    member.health.on_frames(now.instant);
    const auto handled = member.side.on_frames(*batch, now, out);
    auto& extension = member.side.extension();
    if (const auto round_trip = extension.take_round_trip()) {
      member.health.on_round_trip(*round_trip);
      host.look_at_clock(member);
    }
    member.connection->send(out);
    if (handled && !extension.over()) continue;
    if (handled) {
      member.finish_goodbye();
    } else {
      member.leave();
      host.count(member, handled.error());
      host.complain("session_ended", member.connection->metadata().peer, handled.error());
    }
    co_await member.connection->drain(kLastMessageDeadline);
    co_return;
  }
}

void FrameHost::Member::finish_goodbye() {
  if (std::exchange(said_goodbye, true)) return;
  ++host.over(transport).goodbyes;
  reason = "goodbye";
  host.goodbyes_.write(log::Level::kInfo, host.event("goodbye"),
                       {{"peer", connection->metadata().peer},
                        {"by", side.extension().said_goodbye() ? "us" : "peer"},
                        {"reason", side.extension().peer_reason()}});
  const bool reading = place != kAway;
  leave();
  // From inside the reader, which drains by itself, this is a second call, which does nothing.
  if (reading) host.part_.shard().spawn(drain_member(host.part_.shared_from_this(), *this, kLastMessageDeadline));
}

void FrameHost::Member::begin_drain() {
  const Duration patience = *std::exchange(drain_patience, std::nullopt);
  host.part_.shard().spawn(drain_member(host.part_.shared_from_this(), *this, patience));
}

/// Why a connection ended, for the figures.
void FrameHost::count(Member& member, const Error& reason) {
  auto& counted = over(member.transport);
  member.reason = reason.message();
  if (reason.is(Errc::kTimedOut)) ++counted.dead;
  if (reason.is(Errc::kSlowReader)) ++counted.slow_readers;
  if (reason.is(session::Errc::kIdle)) ++counted.idle;
  if (reason.is(session::Errc::kRefused)) ++counted.setups_refused;
  const bool broke_protocol = reason.is(Errc::kProtocol) || reason.is(session::Errc::kProtocol);
  if (broke_protocol) ++counted.protocol_errors;
  if (broke_protocol || reason.is(Errc::kSlowReader) || reason.is(session::Errc::kOverloaded)) {
    member.admission.charge(AdmissionLimits::kCutOff, now_from_system().instant);
  }
}

/// Nothing more comes from the peer.
void FrameHost::lost(Member& member, const Error& error) {
  // By us, which was logged when it was done; or as it should be.
  if (error.is(Errc::kClosed)) return;
  count(member, error);
  if (error.is(Errc::kEndOfStream)) return;
  complain("connection_lost", member.connection->metadata().peer, error);
}

/// The connection's figures, once it is over.
void FrameHost::sum_up(const Member& member) {
  const auto metadata = member.connection->metadata();
  auto& counted = over(member.transport);
  counted.bytes_sent += metadata.bytes_sent;
  counted.bytes_received += metadata.bytes_received;
  if (metadata.path_rtt) counted.round_trips.add(*metadata.path_rtt);
  const auto figures = metadata.figures.value_or(CarrierFigures{});
  const std::chrono::duration<double> age = now_from_system().instant - metadata.opened_at;
  endings_.write(log::Level::kInfo, event("connection_closed"),
                 {{"peer", metadata.peer},
                  {"transport", to_string(metadata.transport)},
                  {"path", to_string(metadata.path)},
                  {"reason", member.reason},
                  {"seconds", age.count()},
                  {"bytes_sent", metadata.bytes_sent},
                  {"bytes_received", metadata.bytes_received},
                  {"rtt_us", rtt_us(metadata)},
                  {"packets_sent", figures.packets_sent},
                  {"packets_lost", figures.packets_lost},
                  {"congestion_window", figures.congestion_window},
                  {"mtu", figures.mtu},
                  {"path_changes", metadata.path_changes}});
}

void FrameHost::tick() {
  const auto now = now_from_system();
  for (std::size_t i = 0; i < members_.size();) {
    Member& member = *members_[i];
    auto& extension = member.side.extension();
    out_.clear();
    auto alive = member.side.on_tick(now, out_);
    const auto health = member.health.needs_figures(now.instant) ? member.health.look(now.instant, member.connection->figures())
                                                                 : member.health.look(now.instant);
    const bool dead = health.state == HealthState::kDead;
    if (alive && dead) alive = fail(Errc::kTimedOut, "the peer " + std::string(to_words(health.reason)));
    // Before SetupConnection nothing but that may come, so no Pong either; and it has a deadline of its own.
    if (alive && member.side.is_set_up() && extension.agreed() && !extension.leaving() && member.health.ping_due(now.instant) &&
        extension.ping(now, out_)) {
      member.health.on_ping(now.instant);
    }
    if (!out_.empty()) member.connection->send(out_);
    if (member.side.is_set_up()) {
      const auto accepted = member.side.protocol()->good_shares();
      member.admission.look(std::exchange(member.accepted, accepted) != accepted, now.instant);
    }
    if (alive) {
      ++i;
      continue;
    }
    count(member, alive.error());
    complain(dead ? "connection_dead" : "idle", member.connection->metadata().peer, alive.error());
    member.leave();
    member.connection->close(CloseCode::kShutdown);
  }
  complaints_.tick();
  endings_.tick();
  goodbyes_.tick();
}

void FrameHost::drain(const session::ShutdownBehavior& behavior) {
  for (const auto& [number, holder] : holders_) {
    if (holder.handshake != nullptr) holder.handshake->close(CloseCode::kShutdown);
  }
  using Kind = session::ShutdownBehavior::Kind;
  if (behavior.kind == Kind::kImmediate) return cut_off();
  const auto members = members_;
  for (Member* member : members) {
    auto& extension = member->side.extension();
    out_.clear();
    if (member->side.is_set_up()) member->side.protocol()->finish(out_);
    const bool goodbye = behavior.kind == Kind::kGoodbye && extension.agreed();
    // Its requests are taken and answered until it says that there are no more.
    if (goodbye) extension.say_goodbye("the " + options_->name + " stops", behavior.deadline, out_);
    member->connection->send(out_);
    if (goodbye) continue;
    member->drain_patience = behavior.deadline;
    if (!member->side.is_set_up() || member->side.protocol()->settled()) member->begin_drain();
  }
}

/// `member` lives until its receive() ends, which this brings about.
asio::awaitable<void> FrameHost::drain_member(std::shared_ptr<ServicePart> part, Member& member, Duration patience) {
  const TaskGate::Token running(part->gate());
  co_await member.connection->drain(patience);
}

void FrameHost::cut_off() {
  for (Member* member : members_) member->connection->close(CloseCode::kShutdown);
}

HostCounters FrameHost::counters() const {
  HostCounters all = counters_;
  for (const Member* member : members_) {
    if (member->health.health().state != HealthState::kHealthy) ++all[static_cast<std::size_t>(member->transport)].degraded;
  }
  return all;
}

}  // namespace adit::net
