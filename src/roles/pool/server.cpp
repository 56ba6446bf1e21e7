#include "roles/pool/server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <ranges>
#include <utility>

#include "base/hex.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/tx.h"
#include "log/limited.h"
#include "log/log.h"
#include "net/frame_host.h"
#include "net/service.h"
#include "net/tcp.h"
#include "net/ticker.h"

namespace adit::pool {
namespace {

/// Job ids start anew with each process, coinbases do not repeat.
channels::JobFactory::Config salted(channels::JobFactory::Config config) {
  std::random_device device;
  config.salt = std::uint64_t{device()} << 32 | device();
  return config;
}

/// What the pool puts into every coinbase.
templates::CoinbaseConstraints constraints_of(const channels::JobFactory::Config& jobs) {
  const bitcoin::TxOutput payout{.value_sat = 0, .script = jobs.payout_script};
  return {.max_additional_size = static_cast<std::uint32_t>(bitcoin::output_size(payout)),
          .max_additional_sigops = bitcoin::count_sigops(payout.script)};
}

session::ServerOptions serving_of(const ServerOptions& options) {
  auto mining = mining::ServerSession::offer(options.session);
  mining.supported_extensions = options.supported_extensions;
  mining.required_extensions = options.required_extensions;
  return {.offers = {std::move(mining)}, .setup_timeout = options.setup_timeout};
}

/// What the budgets of a connection's source are counted by.
std::string source_of(const net::ConnectionMetadata& metadata) {
  return net::source_key(metadata.source.empty() ? metadata.peer : metadata.source);
}

std::optional<std::array<std::uint8_t, 32>> endpoint_id_of(const ServerOptions& options) {
  std::array<std::uint8_t, 32> id;
  if (options.iroh == nullptr || !from_hex(options.iroh->endpoint_id(), id)) return std::nullopt;
  return id;
}

}  // namespace

/// Shared by the server, its parts, and what was posted for them.
struct PoolServer::Core {
  Core(net::Shards& all, templates::TemplateSource& templates, ServerOptions given)
      : source(templates),
        options(std::move(given)),
        serving(serving_of(options)),
        admission(options.admission),
        factory(salted(options.jobs)),
        service(all) {}

  std::shared_ptr<const net::FrameHostOptions> host_options() {
    auto host = std::make_shared<net::FrameHostOptions>();
    host->name = "pool";
    host->handshake_deadline = options.handshake_deadline;
    host->health = options.health;
    host->max_queued_bytes = options.max_queued_bytes;
    host->max_payload = options.max_payload;
    host->authority_secret = options.authority_secret.copy();
    host->certificate_validity = options.certificate_validity;
    host->last_id = &connections;
    return host;
  }

  templates::TemplateSource& source;
  const ServerOptions options;
  const session::ServerOptions serving;
  net::Admission admission;
  channels::JobFactory factory;  ///< On the source's thread.
  std::unique_ptr<net::TcpListener> listener;
  std::atomic<std::uint64_t> jobs{0};
  std::atomic<std::uint32_t> connections{0};  ///< So far.
  std::atomic<bool> stop_called{false};
  std::atomic<bool> stopped{false};  ///< `last` holds.
  Totals last;
  net::Service<Part> service;
};

/// The pool on one shard.
class PoolServer::Part final : public net::ServicePart, private net::FrameHostRole, private mining::ServerEvents {
 public:
  Part(const std::shared_ptr<Core>& core, net::Shard& shard, std::shared_ptr<const net::FrameHostOptions> host)
      : net::ServicePart(shard),
        core_(core),
        mining_(core->options.session,
                {.server_id = core->options.server_id,
                 .shard = static_cast<std::uint16_t>(shard.index()),
                 .first_index = std::random_device{}()},
                *this, core->options.max_past_jobs),
        host_(*this, std::move(host), core->admission, endpoint_id_of(core->options), *this) {}

  /// `place`: a carrier that asks admission itself has one already.
  void take(net::Link link, net::IrohCarrier::Place place = nullptr) {
    host_.take(std::move(link), core_->serving, std::move(place));
  }

  /// A job for everybody: groups have it before anything else is done on this shard, single channels by turns.
  void set_job(channels::JobPtr job) {
    mining_.set_job(std::move(job));
    give_jobs();
  }

  /// What waited for that block is acknowledged. Most blocks are another shard's.
  void on_block_kept(const bitcoin::Hash256& hash) { mining_.on_block_kept(hash); }

  [[nodiscard]] Connections list(const mining::ListLimits& limits) const {
    std::vector<const mining::ServerSession*> sessions;
    sessions.reserve(sessions_.size());
    for (const Session* session : sessions_) sessions.push_back(session);
    auto listed = mining::list_sessions(sessions, limits, now_from_system().instant);
    Connections all{.listed = {}, .hash_rate_hps = listed.hash_rate_hps, .workers = listed.workers};
    for (std::size_t i = 0; i < listed.listed.size(); ++i) {
      const auto& connection = sessions_[i]->connection;
      all.listed.push_back({std::move(listed.listed[i]), connection.id(), connection.metadata()});
    }
    return all;
  }

  [[nodiscard]] Totals counters() const { return {mining_.counters(), host_.counters()}; }

 private:
  /// One connection that is set up, in the part's list as long as it lives.
  struct Session final : mining::ServerSession {
    Session(Part& at, net::HostedConnection& peer, std::uint32_t flags)
        : ServerSession(at.mining_, flags, now_from_system().instant, source_of(peer.metadata())),
          part(at),
          connection(peer),
          place(at.sessions_.size()) {
      part.sessions_.push_back(this);
    }
    ~Session() override {
      part.sessions_[place] = part.sessions_.back();
      part.sessions_[place]->place = place;
      part.sessions_.pop_back();
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    Part& part;
    net::HostedConnection& connection;
    std::size_t place;  ///< In the part's list.
  };

  void begin() override {
    ticker_.emplace(shard(), core_->options.tick, [this] {
      host_.tick();
      refusals_.tick();
    });
  }
  void drain(const session::ShutdownBehavior& behavior) override {
    ticker_.reset();
    host_.drain(behavior);
  }
  void cut_off() override { host_.cut_off(); }

  std::unique_ptr<session::ProtocolServer> serve(const session::AcceptedSetup& setup,
                                                 net::HostedConnection& connection) override {
    return std::make_unique<Session>(*this, connection, setup.flags);
  }

  /// One slice at a time, with whatever else there is to do on this shard between them.
  void give_jobs() {
    if (!mining_.give_jobs() || std::exchange(giving_jobs_, true)) return;
    shard().post([this, alive = shared_from_this()] {
      giving_jobs_ = false;
      give_jobs();
    });
  }

  void on_job(mining::ServerSession& session, const wire::FrameBuffer& frames) override {
    auto& connection = static_cast<Session&>(session).connection;
    if (!connection.leaving()) connection.send(frames);
  }

  void on_channel_refused(const mining::ServerSession& session, mining::OpenRefusal refusal,
                          std::string_view user_identity) override {
    refusals_.warn("pool.channel_refused", {{"peer", static_cast<const Session&>(session).connection.metadata().peer},
                                            {"user_identity", user_identity},
                                            {"error_code", mining::open_error_code(refusal)}});
  }

  void on_answers(mining::ServerSession& session, const wire::FrameBuffer& frames) override {
    auto& connection = static_cast<Session&>(session).connection;
    connection.send(frames);
    if (session.settled()) connection.settle();
  }

  bool on_block_found(const mining::ServerSession&, const mining::BlockFound& block) override {
    log::info("pool.block_found", {{"hash", to_hex_reversed(block.hash)},
                                   {"height", block.block_template->height},
                                   {"channel", block.channel_id},
                                   {"user_identity", block.user_identity}});
    // The source knows the template as long as somebody holds it, as the job does here.
    if (auto handed = core_->source.submit(block.block_template->id, block.solution); !handed) {
      log::error("pool.block_lost", {{"hash", to_hex_reversed(block.hash)}, {"message", handed.error().message()}});
      return false;  // The share is work all the same.
    }
    return true;
  }

  const std::shared_ptr<Core> core_;  ///< First, so that it is gone last.
  mining::ServerShard mining_;
  std::vector<Session*> sessions_;
  net::FrameHost host_;
  std::optional<net::Ticker> ticker_;
  log::Limited refusals_{"pool.more_channels_refused"};
  bool giving_jobs_ = false;  ///< The next slice is posted.
};

PoolServer::PoolServer(net::Shards& shards, templates::TemplateSource& source, ServerOptions options)
    : core_(std::make_shared<Core>(shards, source, std::move(options))) {}

// NOLINTNEXTLINE(bugprone-exception-escape): a lock or a promise that fails here leaves nothing to go on with
PoolServer::~PoolServer() {
  stop(Duration::zero());
  core_->service.clear();  // Its parts hold the core. What a shard that hangs has still to run holds them.
}

Result<void> PoolServer::start() {
  auto& core = *core_;
  if (!core.options.listen && core.options.iroh == nullptr) {
    return fail(net::Errc::kConfiguration, "the pool has nothing to listen on: configure listen_address, [iroh], or both");
  }
  if (auto key = noise::AuthorityKeyPair::from_secret(core.options.authority_secret.copy()); !key) {
    return fail(net::Errc::kConfiguration, "the authority's secret key: " + key.error().message());
  }
  auto& shards = core.service.shards();
  if (core.options.listen) {
    ADIT_TRY(core.listener, net::TcpListener::bind(shards[0], *core.options.listen, core.options.health.dead_after));
  }
  core.service.start([&, host = core.host_options()](net::Shard& shard) { return std::make_shared<Part>(core_, shard, host); });

  // Carrier and source outlive this server and may keep what they call.
  std::vector<std::weak_ptr<Part>> parts;
  for (unsigned i = 0; i < shards.size(); ++i) parts.push_back(core.service.on(shards[i]));
  if (core.options.iroh) {
    ADIT_CHECK(core.options.iroh->listen(core.options.alpns, core.admission,
                                         [parts](net::Shard& shard, net::Link link, net::IrohCarrier::Place place) {
                                           if (const auto alive = parts[shard.index()].lock())
                                             alive->take(std::move(link), std::move(place));
                                         }));
  }
  if (core.listener) {
    core.listener->start(shards, [parts](net::Shard& shard, std::unique_ptr<net::ByteStream> stream) {
      if (const auto alive = parts[shard.index()].lock()) alive->take({.stream = std::move(stream)});
    });
  }

  templates::SourceEvents events;
  events.on_template = [weak = std::weak_ptr(core_)](templates::TemplatePtr block_template, bool) {
    const auto alive = weak.lock();
    if (!alive) return;
    auto job = alive->factory.make(std::move(block_template), now_from_system().unix_time);
    if (!job) return log::error("pool.template_unusable", {{"message", job.error().message()}});
    ++alive->jobs;
    alive->service.post([job = *job](Part& part) { part.set_job(job); });
  };
  events.on_block_kept = [weak = std::weak_ptr(core_)](const bitcoin::Hash256& hash) {
    if (const auto alive = weak.lock()) alive->service.post([hash](Part& part) { part.on_block_kept(hash); });
  };
  events.on_block_result = [](const templates::BlockResult& result) {
    const auto level = result.verdict == templates::BlockVerdict::kRejected ? log::Level::kError : log::Level::kInfo;
    log::write(level, "pool.block_answered",
               {{"hash", to_hex_reversed(result.hash)},
                {"height", result.height},
                {"verdict", ledger::verdict_name(result.verdict)},
                {"reason", result.reason},
                {"node", result.node}});
  };
  events.on_status = [](const templates::SourceStatus& status) {
    const auto level = status.state == templates::SourceStatus::State::kMisconfigured ? log::Level::kError : log::Level::kInfo;
    log::write(level, "pool.templates",
               {{"state", templates::state_name(status.state)}, {"message", status.message}, {"height", status.height}});
  };
  core.source.constrain(constraints_of(core.options.jobs));
  return core.source.start(std::move(events));
}

void PoolServer::stop(session::ShutdownBehavior behavior) {
  auto& core = *core_;
  if (core.stop_called.exchange(true)) return;
  if (core.options.iroh) core.options.iroh->stop_listening();
  if (core.listener) core.listener->stop();
  core.service.stop(behavior);
  for (const auto& counters : core.service.ask([](const Part& part) { return part.counters(); })) core.last.add(counters);
  core.source.stop();
  core.stopped = true;
}

std::uint16_t PoolServer::tcp_port() const { return core_->listener ? core_->listener->port() : std::uint16_t{0}; }
std::string PoolServer::tcp_address() const { return core_->listener ? core_->listener->address() : std::string(); }

ServerStats PoolServer::stats() const {
  ServerStats stats;
  if (core_->stopped) {
    stats.add(core_->last);
  } else {
    const auto answers = core_->service.ask([](const Part& part) { return part.counters(); });
    for (const auto& counters : answers) stats.add(counters);
    stats.silent_shards = core_->service.shards().size() - answers.size();
  }
  stats.admission = core_->admission.counts();
  if (core_->listener) stats.failed_accepts = core_->listener->failed_accepts();
  stats.jobs = core_->jobs;
  stats.source = core_->source.status();
  return stats;
}

Connections PoolServer::connections(const mining::ListLimits& limits) const {
  Connections all;
  if (core_->stopped) return all;
  for (auto& of_shard : core_->service.ask([limits](const Part& part) { return part.list(limits); })) {
    std::ranges::move(of_shard.listed, std::back_inserter(all.listed));
    all.hash_rate_hps += of_shard.hash_rate_hps;
    all.workers += of_shard.workers;
  }
  return all;
}

}  // namespace adit::pool
