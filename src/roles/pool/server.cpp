#include "roles/pool/server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <ranges>
#include <string>
#include <utility>

#include "base/clock_agreement.h"
#include "base/hex.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/tx.h"
#include "log/limited.h"
#include "log/log.h"
#include "net/frame_host.h"
#include "net/service.h"
#include "net/ticker.h"

namespace adit::pool {
namespace {

/// Job ids start anew with each process, coinbases do not repeat.
channels::JobFactory::Config salted(channels::JobFactory::Config config) {
  std::random_device device;
  config.salt = std::uint64_t{device()} << 32 | device();
  return config;
}

/// The most that the pool puts into a coinbase, whoever is paid.
templates::CoinbaseConstraints constraints_of(const channels::PayoutPolicy& payouts) {
  return {.max_additional_size = payouts.max_outputs_size(), .max_additional_sigops = payouts.max_sigops()};
}

/// Jobs and payouts have one script of the pool's.
ServerOptions consistent(ServerOptions options) {
  options.session.payouts.pool_script = options.jobs.payout_script;
  return options;
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

/// Whether there is work that is worth mining on.
struct Work {
  std::optional<Instant> lost_since;  ///< Absent: there is.
  std::string unusable;               ///< Why no job can be made of the newest template; mostly empty.
};

/// The source's status, or what keeps its templates from use.
templates::SourceStatus status_with(templates::SourceStatus status, const std::string& unusable) {
  if (status.state == templates::SourceState::kReady && !unusable.empty()) {
    status.state = templates::SourceState::kMisconfigured;
    status.message = "no job can be made of the node's templates: " + unusable;
  }
  return status;
}

}  // namespace

/// Shared by the server, its parts, and what was posted for them.
struct PoolServer::Core {
  Core(net::Shards& all, templates::TemplateSource& templates, ServerOptions given)
      : source(templates),
        options(consistent(std::move(given))),
        serving(serving_of(options)),
        listeners("pool", {wire::Protocol::kMining}, options),
        factory(salted(options.jobs)),
        service(all) {}

  std::shared_ptr<const net::FrameHostOptions> host_options() {
    auto host = std::make_shared<net::FrameHostOptions>(listeners.host_options());
    host->max_queued_bytes = options.max_queued_bytes;
    host->max_payload = options.max_payload;
    return host;
  }

  /// On the source's thread: a template came of which a job could be made, or not, and why.
  void on_templates(const Result<channels::JobPtr>& job, Instant now) {
    source_ready = true;
    judge_work(now, job ? "" : job.error().message());
  }

  /// On the source's thread.
  void on_status(const templates::SourceStatus& status, Instant now) {
    source_ready = status.state == templates::SourceState::kReady;
    judge_work(status.not_ready_since.value_or(now), work.unusable);
  }

  /// Tells every part when that changes.
  void judge_work(Instant since, std::string unusable);

  templates::TemplateSource& source;
  const ServerOptions options;
  const session::ServerOptions serving;
  net::Listeners listeners;
  channels::JobFactory factory;                   ///< On the source's thread.
  bool source_ready = false;                      ///< Likewise.
  Work work;                                      ///< Likewise.
  std::atomic<std::uint64_t> channels_closed{0};  ///< Since the work became stale.
  std::atomic<std::uint64_t> jobs{0};
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
        host_(*this, std::move(host), core->listeners.admission(), core->listeners.endpoint_id(), *this),
        watch_(core->options.stale_work) {}

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

  void on_work(const Work& work) {
    unusable_ = work.unusable;
    if (work.lost_since) return watch_.lost(*work.lost_since);
    const auto away = watch_.back(now_from_system().instant);
    take_opens(true);
    if (!away || !is_first()) return;
    log::info("pool.work_back", {{"seconds", std::chrono::floor<std::chrono::seconds>(*away).count()},
                                 {"channels_closed", core_->channels_closed.exchange(0)}});
  }

  struct Answer : Totals {
    std::string unusable;
    bool work_is_stale = false;
  };
  [[nodiscard]] Answer answer() const { return {counters(), unusable_, work_is_stale_}; }

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
    watch_.lost(now_from_system().instant);  // Until the first template.
    ticker_.emplace(shard(), core_->options.tick, [this] {
      host_.tick();
      refusals_.tick();
      times_.tick();
      look_at_work(now_from_system());
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

  /// One part tells of what concerns them all.
  [[nodiscard]] bool is_first() const { return shard().index() == 0; }

  /// Lets go of the miners while there has been no work for long.
  void look_at_work(const Now& now) {
    const auto [stale_since, just_now] = watch_.look(now.instant);
    take_opens(!stale_since);
    if (!stale_since) return;
    if (just_now && is_first()) tell_of_stale_work();
    const auto& counters = mining_.counters();
    const std::size_t open = counters.standard_channels + counters.extended_channels;
    const std::size_t due = watch_.to_close(open, *stale_since, now.instant, core_->options.tick);
    core_->channels_closed += mining_.close_channels(due, "no-work", now);
  }

  void take_opens(bool taken) {
    work_is_stale_ = !taken;
    mining_.refuse_opens(work_is_stale_);
  }

  void tell_of_stale_work() const {
    const auto& policy = core_->options.stale_work;
    std::string why = status_with(core_->source.status(), unusable_).message;
    if (why.empty()) why = "there are no templates";
    log::error("pool.work_stale",
               {{"seconds", std::chrono::floor<std::chrono::seconds>(policy.after).count()},
                {"message", why + "; until templates come, no channel is opened, and those that are open are closed within " +
                                std::to_string(std::chrono::ceil<std::chrono::seconds>(policy.spread).count()) +
                                " s, so that miners turn to their next pool"}});
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

  void on_channel_refused(const mining::ServerSession& session, mining::OpenRefusal refusal, std::string_view user_identity,
                          std::string_view reason) override {
    refusals_.warn("pool.channel_refused", {{"peer", static_cast<const Session&>(session).connection.metadata().peer},
                                            {"user_identity", user_identity},
                                            {"error_code", mining::open_error_code(refusal)},
                                            {"message", reason}});
  }

  void on_time_refused(const mining::ServerSession& session, std::chrono::seconds ahead,
                       std::string_view user_identity) override {
    const std::string peer = static_cast<const Session&>(session).connection.metadata().peer;
    times_.warn("pool.share_time_refused", {{"peer", peer},
                                            {"user_identity", user_identity},
                                            {"seconds", ahead.count()},
                                            {"message", describe_clock("a miner behind " + peer, ahead)}});
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
                                   {"user_identity", block.user_identity},
                                   {"pool_percent", block.payout == nullptr ? 100 : block.payout->pool_percent}});
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
  log::Limited times_{"pool.more_share_times_refused"};
  WorkWatch watch_;
  std::string unusable_;  ///< As Work::unusable.
  bool work_is_stale_ = false;
  bool giving_jobs_ = false;  ///< The next slice is posted.
};

void PoolServer::Core::judge_work(Instant since, std::string unusable) {
  const bool has_work = source_ready && unusable.empty();
  if (has_work != work.lost_since.has_value() && unusable == work.unusable) return;
  work.unusable = std::move(unusable);
  if (has_work) {
    work.lost_since.reset();
  } else if (!work.lost_since) {
    work.lost_since = since;
  }
  service.post([now = work](Part& part) { part.on_work(now); });
}

PoolServer::PoolServer(net::Shards& shards, templates::TemplateSource& source, ServerOptions options)
    : core_(std::make_shared<Core>(shards, source, std::move(options))) {}

// NOLINTNEXTLINE(bugprone-exception-escape): a lock or a promise that fails here leaves nothing to go on with
PoolServer::~PoolServer() {
  stop(Duration::zero());
  core_->service.clear();  // Its parts hold the core. What a shard that hangs has still to run holds them.
}

Result<void> PoolServer::start() {
  auto& core = *core_;
  ADIT_CHECK(core.listeners.bind(core.service.shards()));
  core.service.start([&, host = core.host_options()](net::Shard& shard) { return std::make_shared<Part>(core_, shard, host); });

  ADIT_CHECK(core.listeners.start(core.service));

  // The source outlives this server and may keep what it calls.
  templates::SourceEvents events;
  events.on_template = [weak = std::weak_ptr(core_)](templates::TemplatePtr block_template, bool) {
    const auto alive = weak.lock();
    if (!alive) return;
    const Now now = now_from_system();
    auto job = alive->factory.make(std::move(block_template), now.unix_time);
    alive->on_templates(job, now.instant);
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
  events.on_status = [weak = std::weak_ptr(core_)](const templates::SourceStatus& status) {
    if (const auto alive = weak.lock()) alive->on_status(status, now_from_system().instant);
    const auto level = status.state == templates::SourceStatus::State::kMisconfigured ? log::Level::kError : log::Level::kInfo;
    log::write(level, "pool.templates",
               {{"state", templates::state_name(status.state)}, {"message", status.message}, {"height", status.height}});
  };
  core.work.lost_since = now_from_system().instant;
  core.source.constrain(constraints_of(core.options.session.payouts));
  return core.source.start(std::move(events));
}

void PoolServer::stop(session::ShutdownBehavior behavior) {
  auto& core = *core_;
  if (core.stop_called.exchange(true)) return;
  core.listeners.stop();
  core.service.stop(behavior);
  for (const auto& counters : core.service.ask([](const Part& part) { return part.counters(); })) core.last.add(counters);
  core.source.stop();
  core.stopped = true;
}

std::uint16_t PoolServer::tcp_port() const { return core_->listeners.tcp_port(); }
std::string PoolServer::tcp_address() const { return core_->listeners.tcp_address(); }

ServerStats PoolServer::stats() const {
  ServerStats stats;
  std::string unusable;
  if (core_->stopped) {
    stats.add(core_->last);
  } else {
    const auto answers = core_->service.ask([](const Part& part) { return part.answer(); });
    for (const auto& answer : answers) {
      stats.add(answer);
      stats.work_is_stale = stats.work_is_stale || answer.work_is_stale;
      if (unusable.empty()) unusable = answer.unusable;
    }
    stats.silent_shards = core_->service.shards().size() - answers.size();
  }
  stats.admission = core_->listeners.admission().counts();
  stats.failed_accepts = core_->listeners.failed_accepts();
  stats.jobs = core_->jobs;
  stats.source = status_with(core_->source.status(), unusable);
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
