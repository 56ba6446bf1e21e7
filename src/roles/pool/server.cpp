#include "roles/pool/server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <future>
#include <random>
#include <ranges>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "base/hex.h"
#include "bitcoin/block.h"
#include "log/limited.h"
#include "net/session.h"
#include "net/tcp.h"
#include "net/ticker.h"
#include "noise/certificate.h"
#include "wire/adit_messages.h"

namespace adit::pool {
namespace {

namespace asio = boost::asio;

/// How long a peer that is told to go has to take the words that say why.
constexpr auto kLastWords = std::chrono::seconds(2);
/// How long a caller waits for the shards' answers; one that is stopped gives none.
constexpr auto kPatienceWithShards = std::chrono::seconds(2);

noise::AuthorityKeyPair authority_of(const noise::Secret& secret) {
  // PoolServer::start refused a secret that is none.
  return std::move(*noise::AuthorityKeyPair::from_secret(secret.copy()));
}

net::Credentials credentials_of(const ServerOptions& options) {
  net::Credentials credentials{.noise = noise::CertificateSource(authority_of(options.authority_secret),
                                                                 options.certificate_validity, noise::system_random())};
  std::array<std::uint8_t, 32> id;
  if (options.iroh && from_hex(options.iroh->endpoint_id(), id)) {
    credentials.endpoint.emplace(authority_of(options.authority_secret), id,
                                 static_cast<std::uint8_t>(net::LaneProtocol::kMining), options.certificate_validity,
                                 noise::system_random());
  }
  return credentials;
}

/// Job ids start anew with each process, coinbases do not repeat.
channels::JobFactory::Config salted(channels::JobFactory::Config config) {
  std::random_device device;
  config.salt = std::uint64_t{device()} << 32 | device();
  return config;
}

/// With the extension that the driver itself speaks.
ServerOptions extended(ServerOptions options) {
  auto& supported = options.session.supported_extensions;
  if (std::ranges::find(supported, wire::kAditExtension) == supported.end()) supported.push_back(wire::kAditExtension);
  return options;
}

}  // namespace

/// Shared by the server, its homes, and what was posted for them.
struct PoolServer::Core {
  Core(net::Shards& all, templates::TemplateSource& templates, ServerOptions given)
      : shards(all),
        source(templates),
        options(extended(std::move(given))),
        admission(options.admission),
        factory(salted(options.jobs)) {}

  net::Shards& shards;
  templates::TemplateSource& source;
  const ServerOptions options;
  net::Admission admission;
  channels::JobFactory factory;  ///< On the source's thread.
  std::vector<std::shared_ptr<Home>> homes;
  std::unique_ptr<net::TcpListener> listener;
  asio::thread_pool blocks{1};  ///< Puts found blocks together, off the shards.
  std::atomic<bool> stopping{false};
  std::atomic<std::uint64_t> jobs{0};
  std::atomic<std::uint32_t> connections{0};  ///< So far.
  bool stop_called = false;
  std::atomic<bool> stopped{false};  ///< `last` holds.
  Totals last;
};

/// One connection past its handshake, in its shard's list as long as its session may be called.
struct PoolServer::Member {
  Member(Home& at, std::unique_ptr<net::NetworkConnection> peer, net::Transport carrier);
  ~Member();
  void leave();

  Home& home;
  std::unique_ptr<net::NetworkConnection> connection;
  PoolSession session;
  net::AditExtension extension;
  net::HealthMonitor health;
  std::size_t place;  ///< In the list; kAway: not in it.
  net::Transport transport;
  std::uint32_t id;
  std::string reason = "the pool stops";  ///< Why it ended.
  static constexpr auto kAway = static_cast<std::size_t>(-1);
};

/// The pool on one shard. Everything but the constructor runs on the shard's thread.
class PoolServer::Home final : public PoolEvents, public std::enable_shared_from_this<Home> {
 public:
  Home(const std::shared_ptr<Core>& core, net::Shard& shard)
      : core_(core),
        shard_(shard),
        credentials_(credentials_of(core->options)),
        pool_(core->options.session,
              {.server_id = core->options.server_id,
               .shard = static_cast<std::uint8_t>(shard.index()),
               .first_index = std::random_device{}()},
              *this, core->options.max_past_jobs) {}

  void begin() {
    ticker_.emplace(shard_, core_->options.tick, [this] { tick(); });
  }

  /// `place`: a carrier that takes places itself has one already.
  void take(net::Link link, net::IrohCarrier::Place place = nullptr) {
    const auto metadata = link.stream->metadata();
    if (!place) {
      auto token = core_->admission.admit(metadata.source.empty() ? metadata.peer : metadata.source);
      if (!token) {
        complain("pool.refused", metadata.peer, token.error());
        return link.close(net::CloseCode::kOverloaded);
      }
      place = std::make_shared<net::Admission::Token>(std::move(*token));
    }
    if (core_->stopping) return link.close(net::CloseCode::kOverloaded);
    shard_.spawn(serve(shared_from_this(), std::move(link), std::move(place), metadata.transport));
  }

  /// A job for everybody, before anything else is done on this shard.
  void set_job(channels::JobPtr job) {
    pool_.set_job(std::move(job));
    for (Member* member : members_) {
      out_.clear();
      member->session.on_job(out_);
      // Who leaves is given nothing new to do.
      if (!member->extension.leaving()) member->connection->send(out_);
    }
  }

  /// The second phase of a stop. `done` is called when nothing of the pool runs here any more.
  void drain(net::ShutdownBehavior behavior, std::function<void(const Totals&)> done) {
    done_ = std::move(done);
    stopping_ = true;
    ticker_.reset();
    for (auto* link : handshakes_) link->close(net::CloseCode::kShutdown);
    using Kind = net::ShutdownBehavior::Kind;
    if (behavior.kind == Kind::kImmediate) {
      cut_off();
      return finish_if_done();
    }
    const auto members = members_;
    for (Member* member : members) {
      out_.clear();
      member->session.acknowledge(out_);
      const bool goodbye = behavior.kind == Kind::kGoodbye && member->extension.agreed();
      // Its shares are taken and answered until it says that there are no more.
      if (goodbye) member->extension.say_goodbye("the pool stops", behavior.deadline, out_);
      member->connection->send(out_);
      if (!goodbye) shard_.spawn(drain_member(shared_from_this(), *member, behavior.deadline));
    }
    finish_if_done();
  }

  /// Past all patience.
  void cut_off() {
    for (Member* member : members_) member->connection->close(net::CloseCode::kShutdown);
  }

  [[nodiscard]] Connections list(const ListLimits& limits) const {
    std::vector<const PoolSession*> sessions;
    sessions.reserve(members_.size());
    for (const Member* member : members_) sessions.push_back(&member->session);
    Connections all = list_sessions(sessions, limits);
    for (std::size_t i = 0; i < all.listed.size(); ++i) {
      all.listed[i].id = members_[i]->id;
      all.listed[i].metadata = members_[i]->connection->metadata();
      all.listed[i].metadata.health = members_[i]->health.health();
    }
    return all;
  }

  [[nodiscard]] Totals counters() const {
    Totals all{pool_.counters(), transports_};
    for (const Member* member : members_) {
      if (member->health.health().state != net::HealthState::kHealthy)
        ++all.transports[static_cast<std::size_t>(member->transport)].degraded;
    }
    return all;
  }

  [[nodiscard]] net::Shard& shard() { return shard_; }

 private:
  friend struct PoolServer::Member;

  /// Counts what runs here, so that a stop knows when it is over.
  class Running {
   public:
    explicit Running(Home& home) : home_(home) { ++home_.running_; }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() {
      --home_.running_;
      home_.finish_if_done();
    }

   private:
    Home& home_;
  };

  void finish_if_done() {
    if (running_ == 0 && done_) std::exchange(done_, nullptr)(counters());
  }

  void complain(std::string_view event, std::string_view peer, const Error& error) {
    complaints_.warn(event, {{"peer", peer}, {"error", error.name()}, {"message", error.message()}});
  }

  void on_block_found(const PoolSession&, const BlockFound& block) override {
    log::info("pool.block_found", {{"hash", to_hex_reversed(block.hash)},
                                   {"height", block.block_template->height},
                                   {"channel", block.channel_id},
                                   {"user_identity", block.user_identity}});
    asio::post(core_->blocks, [core = core_.get(), found = block.block_template, solution = block.solution] {
      auto whole = bitcoin::assemble_block(*found, solution);
      if (whole) return core->source.submit_block(std::move(*whole));
      log::error("pool.block_lost", {{"message", whole.error().message()}});
    });
  }

  /// Extension 0x4AD1, which goes beside the session; its answers to `batch` are in out_ already.
  Result<void> extend(Member& member, net::FrameBatch batch, const Now& now) {
    auto& extension = member.extension;
    const auto is_extension = [](const wire::FrameView& frame) { return frame.header.extension_type != wire::kCore; };
    if (std::ranges::any_of(batch, is_extension)) {
      extension.on_sent(out_);
      ADIT_CHECK(extension.on_received(batch, now, out_));
    }
    if (!extension.leaving()) return {};
    member.session.acknowledge(out_);
    extension.settle(out_);
    return {};
  }

  void tick() {
    const auto now = now_from_system();
    for (std::size_t i = 0; i < members_.size();) {
      Member& member = *members_[i];
      out_.clear();
      auto alive = member.session.on_tick(now, out_);
      const auto health = member.health.needs_figures(now.instant)
                              ? member.health.look(now.instant, member.connection->figures())
                              : member.health.look(now.instant);
      const bool dead = health.state == net::HealthState::kDead;
      if (alive && dead) alive = fail(net::Errc::kTimedOut, "the peer " + std::string(net::to_words(health.reason)));
      const auto& extension = member.extension;
      // Before SetupConnection nothing but that may come, so no Pong either; and it has a deadline of its own.
      if (alive && member.session.is_set_up() && extension.agreed() && !extension.leaving() &&
          member.health.ping_due(now.instant) && member.extension.ping(now, out_)) {
        member.health.on_ping(now.instant);
      }
      if (!out_.empty()) member.connection->send(out_);
      if (alive) {
        ++i;
        continue;
      }
      ++(dead ? over(member.transport).dead : over(member.transport).idle);
      member.reason = alive.error().message();
      complain(dead ? "pool.connection_dead" : "pool.idle", member.connection->metadata().peer, alive.error());
      member.leave();
      member.connection->close(net::CloseCode::kShutdown);
    }
    complaints_.tick();
    endings_.tick();
  }

  /// The handshake; null if it failed, which is told.
  asio::awaitable<std::unique_ptr<net::NetworkConnection>> establish(net::Link given) {
    auto link = std::move(given);
    const auto metadata = link.stream->metadata();
    handshakes_.push_back(&link);
    auto connection = co_await net::accept_session(shard_, link, credentials_,
                                                   {.deadline = core_->options.handshake_deadline,
                                                    .max_queued_bytes = core_->options.max_queued_bytes,
                                                    .max_payload = core_->options.max_payload});
    std::erase(handshakes_, &link);
    if (connection) co_return std::move(*connection);
    ++over(metadata.transport).handshakes_failed;
    if (!stopping_) complain("pool.handshake_failed", metadata.peer, connection.error());
    co_return nullptr;
  }

  static asio::awaitable<void> serve(std::shared_ptr<Home> home, net::Link link, net::IrohCarrier::Place given,
                                     net::Transport transport) {
    const Running running(*home);
    // Parameters outlive locals, and once `running` is gone the server may be too: what uses it lives in locals behind it.
    const auto place = std::move(given);
    auto connection = co_await home->establish(std::move(link));
    place->established();
    if (!connection || home->stopping_) co_return;
    Member member(*home, std::move(connection), transport);
    for (;;) {
      const auto batch = co_await member.connection->receive();
      if (!batch) {
        home->ended(member, batch.error());
        co_return;
      }
      auto& out = home->out_;
      out.clear();
      const auto now = now_from_system();
      member.health.on_frames(now.instant);
      auto handled = member.session.on_frames(*batch, now, out);
      if (handled) handled = home->extend(member, *batch, now);
      if (const auto round_trip = member.extension.take_round_trip()) member.health.on_round_trip(*round_trip);
      member.connection->send(out);
      if (handled && !member.extension.over()) continue;
      if (handled) {
        ++home->over(transport).goodbyes;
        member.reason = "goodbye";
        log::info("pool.goodbye", {{"peer", member.connection->metadata().peer},
                                   {"by", member.extension.said_goodbye() ? "us" : "peer"},
                                   {"reason", member.extension.peer_reason()}});
        member.leave();
        co_await member.connection->drain(kLastWords);
        co_return;
      }
      member.leave();
      member.reason = handled.error().message();
      if (handled.error().is(Errc::kProtocol) || handled.error().is(net::Errc::kProtocol)) {
        ++home->over(transport).protocol_errors;
      }
      home->complain("pool.session_ended", member.connection->metadata().peer, handled.error());
      co_await member.connection->drain(kLastWords);
      co_return;
    }
  }

  TransportCounters& over(net::Transport transport) { return transports_[static_cast<std::size_t>(transport)]; }

  void ended(Member& member, const Error& error) {
    if (error.is(net::Errc::kTimedOut)) ++over(member.transport).dead;  // The carrier noticed first.
    if (error.is(net::Errc::kSlowReader)) ++over(member.transport).slow_readers;
    if (error.is(net::Errc::kProtocol)) ++over(member.transport).protocol_errors;
    if (!error.is(net::Errc::kClosed)) member.reason = error.message();
    if (error.is(net::Errc::kClosed) || error.is(net::Errc::kEndOfStream)) return;  // by us, which was told; or as it should be
    complain("pool.connection_lost", member.connection->metadata().peer, error);
  }

  /// The connection's figures, once it is over.
  void sum_up(const Member& member) {
    const auto metadata = member.connection->metadata();
    auto& counted = over(member.transport);
    counted.bytes_sent += metadata.bytes_sent;
    counted.bytes_received += metadata.bytes_received;
    if (metadata.path_rtt) counted.round_trips.add(*metadata.path_rtt);
    const auto figures = metadata.figures.value_or(net::CarrierFigures{});
    const std::chrono::duration<double> age = now_from_system().instant - metadata.opened_at;
    endings_.write(log::Level::kInfo, "pool.connection_closed",
                   {{"peer", metadata.peer},
                    {"transport", net::to_string(metadata.transport)},
                    {"path", net::to_string(metadata.path)},
                    {"reason", member.reason},
                    {"seconds", age.count()},
                    {"bytes_sent", metadata.bytes_sent},
                    {"bytes_received", metadata.bytes_received},
                    {"rtt_us", net::rtt_us(metadata)},
                    {"packets_sent", figures.packets_sent},
                    {"packets_lost", figures.packets_lost},
                    {"congestion_window", figures.congestion_window},
                    {"mtu", figures.mtu},
                    {"path_changes", metadata.path_changes}});
  }

  /// `member` lives until its receive() ends, which this brings about.
  static asio::awaitable<void> drain_member(std::shared_ptr<Home> home, Member& member, Duration patience) {
    const Running running(*home);
    co_await member.connection->drain(patience);
  }

  const std::shared_ptr<Core> core_;  ///< First, so that it is gone last.
  net::Shard& shard_;
  net::Credentials credentials_;
  PoolShard pool_;
  std::optional<net::Ticker> ticker_;
  std::vector<Member*> members_;
  std::vector<net::Link*> handshakes_;
  wire::FrameBuffer out_;                          ///< Of one batch.
  std::array<TransportCounters, 2> transports_{};  ///< By net::Transport.
  std::size_t running_ = 0;
  bool stopping_ = false;
  log::Limited complaints_{"pool.more_complaints"};
  log::Limited endings_{"pool.more_connections_closed"};
  std::function<void(const Totals&)> done_;
};

PoolServer::Member::Member(Home& at, std::unique_ptr<net::NetworkConnection> peer, net::Transport carrier)
    : home(at),
      connection(std::move(peer)),
      session(at.pool_, now_from_system().instant),
      extension(connection->metadata().lanes > 1),
      health(at.core_->options.health, now_from_system().instant),
      place(at.members_.size()),
      transport(carrier),
      id(++home.core_->connections) {
  home.members_.push_back(this);
  ++home.over(transport).opened;
  ++home.over(transport).open;
}

PoolServer::Member::~Member() {
  leave();
  home.sum_up(*this);
}

void PoolServer::Member::leave() {
  if (place == kAway) return;
  home.members_[place] = home.members_.back();
  home.members_[place]->place = place;
  home.members_.pop_back();
  place = kAway;
  --home.over(transport).open;
}

PoolServer::PoolServer(net::Shards& shards, templates::TemplateSource& source, ServerOptions options)
    : core_(std::make_shared<Core>(shards, source, std::move(options))) {}

// NOLINTNEXTLINE(bugprone-exception-escape): a lock or a promise that fails here leaves nothing to go on with
PoolServer::~PoolServer() {
  stop(Duration::zero());
  core_->homes.clear();  // They hold the core. What a shard that hangs has still to run holds them.
}

Result<void> PoolServer::start() {
  auto& core = *core_;
  if (!core.options.listen && core.options.iroh == nullptr) {
    return fail(net::Errc::kConfiguration, "the pool has nothing to listen on: configure listen_address, [iroh], or both");
  }
  if (auto key = noise::AuthorityKeyPair::from_secret(core.options.authority_secret.copy()); !key) {
    return fail(net::Errc::kConfiguration, "the authority's secret key: " + key.error().message());
  }
  if (core.options.listen) {
    ADIT_TRY(core.listener, net::TcpListener::bind(core.shards[0], *core.options.listen, core.options.health.dead_after));
  }
  for (unsigned i = 0; i < core.shards.size(); ++i) core.homes.push_back(std::make_shared<Home>(core_, core.shards[i]));
  for (const auto& home : core.homes) home->shard().post([core = core_, home] { home->begin(); });

  // Carrier and source outlive this server and may keep what they call.
  const std::vector<std::weak_ptr<Home>> homes(core.homes.begin(), core.homes.end());
  if (core.options.iroh) {
    ADIT_CHECK(core.options.iroh->listen(core.options.alpns, core.admission,
                                         [homes](net::Shard& shard, net::Link link, net::IrohCarrier::Place place) {
                                           if (const auto alive = homes[shard.index()].lock())
                                             alive->take(std::move(link), std::move(place));
                                         }));
  }
  if (core.listener) {
    core.listener->start(core.shards, [homes](net::Shard& shard, std::unique_ptr<net::ByteStream> stream) {
      if (const auto alive = homes[shard.index()].lock()) alive->take({.stream = std::move(stream)});
    });
  }

  templates::SourceEvents events;
  events.on_template = [weak = std::weak_ptr(core_)](templates::TemplatePtr block_template, bool) {
    const auto alive = weak.lock();
    if (!alive) return;
    auto job = alive->factory.make(std::move(block_template));
    if (!job) return log::error("pool.template_unusable", {{"message", job.error().message()}});
    ++alive->jobs;
    for (const auto& home : alive->homes) home->shard().post([alive, home, job = *job] { home->set_job(job); });
  };
  events.on_block_result = [](const templates::BlockResult& result) {
    const auto level = result.verdict == templates::BlockVerdict::kRejected ? log::Level::kError : log::Level::kInfo;
    log::write(level, "pool.block_answered",
               {{"hash", to_hex_reversed(result.hash)},
                {"height", result.height},
                {"verdict", templates::verdict_name(result.verdict)},
                {"reason", result.reason}});
  };
  events.on_status = [](const templates::SourceStatus& status) {
    const auto level = status.state == templates::SourceStatus::State::kMisconfigured ? log::Level::kError : log::Level::kInfo;
    log::write(level, "pool.templates",
               {{"state", templates::state_name(status.state)}, {"message", status.message}, {"height", status.height}});
  };
  return core.source.start(std::move(events));
}

void PoolServer::stop(net::ShutdownBehavior behavior) {
  auto& core = *core_;
  if (std::exchange(core.stop_called, true)) return;
  core.stopping = true;
  if (core.options.iroh) core.options.iroh->stop_listening();
  if (core.listener) core.listener->stop();

  std::vector<std::future<Totals>> ends;
  for (const auto& home : core.homes) {
    auto promise = std::make_shared<std::promise<Totals>>();
    ends.push_back(promise->get_future());
    home->shard().post([core = core_, home, behavior, promise] {
      home->drain(behavior, [promise](const Totals& counters) { promise->set_value(counters); });
    });
  }
  const auto wait_until = [&](auto moment) {
    for (auto& end : ends) end.wait_until(moment);
  };
  wait_until(std::chrono::steady_clock::now() + behavior.deadline);
  for (const auto& home : core.homes) home->shard().post([core = core_, home] { home->cut_off(); });
  wait_until(std::chrono::steady_clock::now() + kLastWords);
  for (auto& end : ends) {
    if (end.wait_for(Duration::zero()) != std::future_status::ready) continue;
    const auto counters = end.get();
    core.last.add(counters);
  }
  core.blocks.join();
  core.source.stop();
  core.stopped = true;
}

std::uint16_t PoolServer::tcp_port() const { return core_->listener ? core_->listener->port() : std::uint16_t{0}; }
std::string PoolServer::tcp_address() const { return core_->listener ? core_->listener->address() : std::string(); }

template <class Ask>
auto PoolServer::ask(Ask ask) const {
  using Answer = std::invoke_result_t<Ask, const Home&>;
  std::vector<std::future<Answer>> pending;
  for (const auto& home : core_->homes) {
    auto promise = std::make_shared<std::promise<Answer>>();
    pending.push_back(promise->get_future());
    home->shard().post([core = core_, home, promise, ask] { promise->set_value(ask(*home)); });
  }
  std::vector<Answer> answers;
  const auto until = std::chrono::steady_clock::now() + kPatienceWithShards;
  for (auto& future : pending) {
    if (future.wait_until(until) == std::future_status::ready) answers.push_back(future.get());
  }
  return answers;
}

ServerStats PoolServer::stats() const {
  ServerStats stats;
  if (core_->stopped) {
    stats.add(core_->last);
  } else {
    for (const auto& counters : ask([](const Home& home) { return home.counters(); })) stats.add(counters);
  }
  stats.admission = core_->admission.counts();
  stats.jobs = core_->jobs;
  stats.source = core_->source.status();
  return stats;
}

Connections PoolServer::connections(const ListLimits& limits) const {
  Connections all;
  if (core_->stopped) return all;
  for (auto& of_shard : ask([limits](const Home& home) { return home.list(limits); })) {
    std::ranges::move(of_shard.listed, std::back_inserter(all.listed));
    all.hash_rate_hps += of_shard.hash_rate_hps;
    all.workers += of_shard.workers;
  }
  return all;
}

}  // namespace adit::pool
