#include "downstream/miners.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/clock_agreement.h"
#include "log/log.h"
#include "monitor/net_samples.h"

namespace adit::downstream {
namespace {

net::LineHostOptions lines_of(const Entrance& entrance) {
  net::LineHostOptions lines = entrance.options().sv1_lines;
  lines.name = entrance.name() + ".sv1";
  return lines;
}

channels::ExtranonceAllocator::Config extranonces_of(const MinersOptions& options, const net::Shard& shard) {
  return {.server_id = options.server_id,
          .shard = static_cast<std::uint16_t>(shard.index()),
          .first_index = std::random_device{}()};
}

}  // namespace

void MinersCounts::add(const MinersCounts& others) {
  mining::add(miners, others.miners);
  net::add(transports, others.transports);
  sv1_miners += others.sv1_miners;
  sv1_slow_readers += others.sv1_slow_readers;
  unread.add(others.unread);
}

std::size_t MinersCounts::connected() const {
  return over(net::Transport::kTcp).open + over(net::Transport::kIroh).open + sv1_miners;
}

void add_miners(monitor::Families& out, const MinersCounts& counts, const net::Admission::Counts& admission,
                std::uint64_t failed_accepts, std::size_t silent_shards) {
  monitor::add_hosts(out, counts.transports);
  monitor::add_admission(out, admission, failed_accepts);
  monitor::add_unread(out, counts.unread);
  out.gauge("adit_sv1_miners", "Miners connected by Stratum V1").add(counts.sv1_miners);
  out.counter("adit_slow_miners_cut_total", "Miners cut off because they did not read").add(counts.sv1_slow_readers);
  out.gauge("adit_shards_silent", "Shards that do not answer").add(silent_shards);
}

/// The session of one connection, in the list as long as it lives.
class Miners::Session : public mining::ServerSession {
 public:
  Session(Miners& at, std::uint32_t flags, const std::string& source, std::string_view kind)
      : ServerSession(at.shard_, flags, now_from_system().instant, source),
        miners_(at),
        place_(at.sessions_.size()),
        kind_(kind) {
    at.sessions_.push_back(this);
  }
  ~Session() override {
    auto& all = miners_.sessions_;
    all[place_] = all.back();
    all[place_]->place_ = place_;
    all.pop_back();
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// A number of the connection alone.
  [[nodiscard]] virtual std::uint32_t id() const = 0;
  [[nodiscard]] virtual net::ConnectionMetadata metadata() const = 0;
  [[nodiscard]] virtual monitor::ClientNames names() const = 0;
  [[nodiscard]] std::string_view kind() const { return kind_; }
  /// The current job.
  virtual void send_job(const wire::FrameBuffer& frames) = 0;
  /// What was held back, or is said outside of a call of the session.
  virtual void send_answers(const wire::FrameBuffer& frames) = 0;

 protected:
  [[nodiscard]] Miners& miners() { return miners_; }
  [[nodiscard]] const Miners& miners() const { return miners_; }

 private:
  Miners& miners_;
  std::size_t place_;  ///< In the list.
  const std::string_view kind_;
};

class Miners::Sv2Session final : public Session {
 public:
  Sv2Session(Miners& at, net::HostedConnection& peer, const session::AcceptedSetup& setup)
      : Session(at, setup.flags, net::source_key(peer.metadata()), monitor::client_kind(setup.vendor, setup.hardware_version)),
        connection_(peer),
        names_(monitor::names_of(setup)) {}

  [[nodiscard]] std::uint32_t id() const override { return connection_.id(); }
  [[nodiscard]] net::ConnectionMetadata metadata() const override { return connection_.metadata(); }
  [[nodiscard]] monitor::ClientNames names() const override { return names_; }
  void send_job(const wire::FrameBuffer& frames) override {
    if (!connection_.leaving()) connection_.send(frames);
  }
  void send_answers(const wire::FrameBuffer& frames) override {
    connection_.send(frames);
    if (settled()) connection_.settle();
  }

 private:
  net::HostedConnection& connection_;
  const monitor::ClientNames names_;
};

class Miners::Sv1Client final : public Session {
 public:
  Sv1Client(Miners& at, std::uint64_t line, const std::string& peer, const std::string& from)
      : Session(at, 0, net::source_key(from), monitor::kMinerClient),
        line_(line),
        number_(at.entrance_.listeners().next_id()),
        session_(*this, at.sv1_, at.entrance_.options().session.payouts, peer, from) {}

  [[nodiscard]] std::uint32_t id() const override { return number_; }
  [[nodiscard]] net::ConnectionMetadata metadata() const override { return miners().lines_.metadata(line_); }
  [[nodiscard]] monitor::ClientNames names() const override { return {.user_agent = session_.miner().server().user_agent()}; }
  void send_job(const wire::FrameBuffer& frames) override { send_answers(frames); }
  void send_answers(const wire::FrameBuffer& frames) override {
    session_.on_server_frames(frames, now_from_system());
    miners().lines_.flush(line_);
  }

  [[nodiscard]] mining::Sv1Session& session() { return session_; }

 private:
  const std::uint64_t line_;  ///< The connection, at the host of lines.
  const std::uint32_t number_;
  mining::Sv1Session session_;
};

Miners::Miners(net::ServicePart& part, Entrance& entrance, const mining::ServerPolicy& policy,
               std::shared_ptr<const net::FrameHostOptions> host, std::shared_ptr<net::Backlog> backlog, MinersRole& role)
    : part_(part),
      entrance_(entrance),
      role_(role),
      backlog_(std::move(backlog)),
      shard_(policy, extranonces_of(entrance.options(), part.shard()), *this, entrance.options().max_past_jobs),
      sv1_(entrance.options().sv1),
      host_(part, std::move(host), entrance.listeners().admission(), entrance.listeners().endpoint_id(), *this, backlog_),
      lines_(part, lines_of(entrance), entrance.listeners().admission(), *this, backlog_),
      more_refusals_(event("more_channels_refused")),
      more_times_(event("more_share_times_refused")),
      more_comings_(event("sv1.more_comings")),
      refusals_(more_refusals_),
      times_(more_times_),
      comings_(more_comings_) {}

Miners::~Miners() = default;

std::shared_ptr<net::Backlog> Miners::new_backlog(const MinersOptions& options) {
  return std::make_shared<net::Backlog>(options.backlog.value_or(
      net::BacklogBounds::above(std::max(options.max_queued_bytes, options.sv1_lines.max_queued_bytes))));
}

std::string Miners::event(std::string_view what) const { return entrance_.name() + "." + std::string(what); }

void Miners::take(net::Link link, net::IrohCarrier::Place place) {
  host_.take(std::move(link), entrance_.serving(), std::move(place));
}

void Miners::set_job(channels::JobPtr job) {
  shard_.set_job(std::move(job));
  give_jobs();
}

void Miners::give_jobs() {
  if (!shard_.give_jobs() || std::exchange(giving_jobs_, true)) return;
  part_.shard().post([this, alive = part_.shared_from_this()] {
    giving_jobs_ = false;
    give_jobs();
  });
}

void Miners::tick(const Now& now) {
  host_.tick();
  for (const auto& [line, client] : sv1_clients_) {
    client->session().on_tick(now);
    lines_.flush(line);
  }
  lines_.tick(now);
  refusals_.tick();
  times_.tick();
  comings_.tick();
}

void Miners::drain(const session::ShutdownBehavior& behavior) {
  lines_.drain();
  host_.drain(behavior);
}

MinersCounts Miners::counts() const {
  return {.miners = shard_.counters(),
          .transports = host_.counters(),
          .sv1_miners = sv1_clients_.size(),
          .sv1_slow_readers = lines_.slow_readers(),
          .unread = backlog_->counts()};
}

double Miners::hash_rate_hps() const {
  double sum = 0;
  for (const Session* session : sessions_) {
    for (const channels::Channel& channel : session->channels()) sum += channel.hash_rate_hps();
  }
  return sum;
}

monitor::MiningConnections Miners::list(const mining::ListLimits& limits) const {
  return monitor::list_connections(sessions_, limits, now_from_system().instant);
}

std::unique_ptr<session::ProtocolServer> Miners::serve(const session::AcceptedSetup& setup, net::HostedConnection& connection) {
  return std::make_unique<Sv2Session>(*this, connection, setup);
}

void Miners::take_sv1(std::unique_ptr<net::ByteStream> stream, Bytes first, net::Admission::Token place) {
  lines_.take(std::move(stream), std::move(place), first);
}

session::LineSession& Miners::join(std::uint64_t connection, const std::string& peer, const std::string& source,
                                   const Now& now) {
  sv1_.miners.now = now;
  auto& client = sv1_clients_[connection];
  client = std::make_unique<Sv1Client>(*this, connection, peer, source);
  return client->session();
}

void Miners::leave(std::uint64_t connection, const std::string& reason, const Now&) {
  const auto found = sv1_clients_.find(connection);
  if (found == sv1_clients_.end()) return;
  const mining::Sv1Miner& miner = found->second->session().miner();
  // Who never authorized, such as a probe of the port, is not worth a line.
  comings_.write(miner.established() ? log::Level::kInfo : log::Level::kDebug, event("sv1.miner_left"),
                 {{"peer", miner.peer()}, {"user", miner.server().user()}, {"reason", reason}});
  sv1_clients_.erase(found);
}

void Miners::on_channel_refused(const mining::ServerSession& session, mining::OpenRefusal refusal,
                                std::string_view user_identity, std::string_view reason) {
  refusals_.warn(event("channel_refused"), {{"peer", static_cast<const Session&>(session).metadata().peer},
                                            {"user_identity", user_identity},
                                            {"error_code", mining::open_error_code(refusal)},
                                            {"message", reason}});
}

void Miners::on_time_refused(const mining::ServerSession& session, std::chrono::seconds ahead, std::string_view user_identity) {
  const std::string peer = static_cast<const Session&>(session).metadata().peer;
  times_.warn(event("share_time_refused"), {{"peer", peer},
                                            {"user_identity", user_identity},
                                            {"seconds", ahead.count()},
                                            {"message", describe_clock("a miner behind " + peer, ahead)}});
}

void Miners::on_job(mining::ServerSession& session, const wire::FrameBuffer& frames) {
  static_cast<Session&>(session).send_job(frames);
}

void Miners::on_answers(mining::ServerSession& session, const wire::FrameBuffer& frames) {
  static_cast<Session&>(session).send_answers(frames);
}

}  // namespace adit::downstream
