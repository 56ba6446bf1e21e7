#include "roles/pool/server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <string>
#include <utility>

#include "base/hex.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/tx.h"
#include "declaration/sealed_jobs.h"
#include "downstream/entrance.h"
#include "downstream/miners.h"
#include "log/log.h"
#include "mining/example_key.h"
#include "net/frame_host.h"
#include "net/service.h"
#include "net/ticker.h"
#include "roles/pool/declarator_part.h"

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
  if (options.declarator) options.declarator->session.payouts = options.session.payouts;
  return options;
}

/// What is served over the pool's iroh endpoint.
std::vector<wire::Protocol> protocols_of(const ServerOptions& options) {
  std::vector protocols{wire::Protocol::kMining};
  if (options.declarator) protocols.push_back(wire::Protocol::kJobDeclaration);
  return protocols;
}

/// Job declaration beside the pool: its declarator, its own TCP port, and what its parts share.
struct Declaring {
  Declaring(const ServerOptions& pool, DeclaratorOptions given)
      : listen(listening_of(pool, given)),
        listeners("jds", {wire::Protocol::kJobDeclaration}, listen),
        declarator(std::make_shared<Declarator>(std::move(given))) {}

  static net::ListenOptions listening_of(const ServerOptions& pool, const DeclaratorOptions& given) {
    net::ListenOptions listen;
    listen.listen = given.listen;
    listen.trusted_proxies = pool.trusted_proxies;
    listen.authority_secret = pool.authority_secret.copy();
    listen.certificate_validity = pool.certificate_validity;
    listen.admission = pool.admission;
    listen.admission.max_connections = std::max<std::size_t>(1, pool.admission.max_connections / kPartOfPlaces);
    listen.admission.max_handshakes = std::max<std::size_t>(1, pool.admission.max_handshakes / kPartOfPlaces);
    listen.health = pool.health;
    listen.handshake_deadline = pool.handshake_deadline;
    return listen;
  }

  /// `pool`: the pool's listeners, whose endpoint it shares. Connections of each have numbers of their own, since SRI's tools
  /// count those that mine.
  [[nodiscard]] DeclaratorPart::Shared shared(net::Listeners& pool, Duration setup_timeout) {
    return DeclaratorPart::share(declarator, listeners, pool.endpoint_id(), setup_timeout);
  }

  /// Of the pool's places: a client of job declaration stands for a whole farm.
  static constexpr std::size_t kPartOfPlaces = 10;
  const net::ListenOptions listen;
  net::Listeners listeners;
  const std::shared_ptr<Declarator> declarator;
};

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
        entrance("pool", protocols_of(options), options),
        factory(salted(options.jobs)),
        service(all) {
    if (!options.declarator) return;
    declaring.emplace(options, *options.declarator);
    declared.emplace(declaring->shared(entrance.listeners(), options.setup_timeout));
  }

  /// On the source's thread.
  Result<channels::JobPtr> make_job(templates::TemplatePtr block_template, UnixTime now) {
    if (options.worthless_chains_only && !mining::is_worthless_chain(block_template->nbits, block_template->height)) {
      return fail(
          session::Errc::kConfiguration,
          "the authority key is SRI's published example, whose secret everybody has, and this chain is neither regtest nor a "
          "signet of your own: anybody could pose as this pool; make a key with `adit keys authority --out FILE`");
    }
    return factory.make(std::move(block_template), now);
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

  /// On the source's thread: what is declared from now on is on this template's tip. Miners had it first.
  void declare_on(const bitcoin::TemplatePtr& made);

  /// Tells every part when that changes.
  void judge_work(Instant since, std::string unusable);

  templates::TemplateSource& source;
  const ServerOptions options;
  downstream::Entrance entrance;
  std::optional<Declaring> declaring;              ///< Absent without job declaration.
  std::optional<DeclaratorPart::Shared> declared;  ///< Likewise.
  channels::JobFactory factory;                    ///< On the source's thread.
  bool source_ready = false;                       ///< Likewise.
  Work work;                                       ///< Likewise.
  std::atomic<std::uint64_t> channels_closed{0};   ///< Since the work became stale.
  std::atomic<std::uint64_t> jobs{0};
  std::atomic<bool> stop_called{false};
  std::atomic<bool> stopped{false};  ///< `last` holds.
  Totals last;
  net::Service<Part> service;
};

/// The pool on one shard.
class PoolServer::Part final : public net::ServicePart, private downstream::MinersRole {
 public:
  Part(const std::shared_ptr<Core>& core, net::Shard& shard, std::shared_ptr<const net::FrameHostOptions> host)
      : net::ServicePart(shard),
        core_(core),
        backlog_(downstream::Miners::new_backlog(core->options)),
        declaring_(make_declaring()),
        sealed_(make_sealed()),
        policy_(policy_of(core->options.session)),
        miners_(*this, core->entrance, policy_, std::move(host), backlog_, *this),
        watch_(core->options.stale_work) {}

  /// `place`: a carrier that asks admission itself has one already.
  void take(net::Link link, net::IrohCarrier::Place place = nullptr) {
    if (link.protocol == wire::Protocol::kJobDeclaration && declaring_)
      return declaring_->take(std::move(link), std::move(place));
    miners_.take(std::move(link), std::move(place));
  }

  void take_sv1(std::unique_ptr<net::ByteStream> stream) { miners_.take_sv1(std::move(stream)); }

  void set_job(channels::JobPtr job) { miners_.set_job(std::move(job)); }

  /// A connection of job declaration's own port.
  void take_declaring(net::Link link) { declaring_->take(std::move(link), nullptr); }
  void set_template(const bitcoin::TemplatePtr& made) {
    if (declaring_) declaring_->set_template(made);
    if (sealed_) sealed_->set_template(made);
  }
  void know(const declaration::DeclaredJobPtr& job, const DeclaratorPart::Transactions& transactions) {
    declaring_->know(job, transactions);
  }

  void on_block_kept(const bitcoin::Hash256& hash) { miners_.on_block_kept(hash); }

  [[nodiscard]] monitor::MiningConnections list(const mining::ListLimits& limits) const { return miners_.list(limits); }

  [[nodiscard]] Totals counters() const {
    Totals totals{miners_.counts()};
    if (declaring_) {
      totals.declared = declaring_->counters();
      totals.custom_jobs = std::as_const(*declaring_).jobs().counts();
    }
    if (sealed_) totals.custom_jobs = sealed_->counts();
    return totals;
  }

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
  void begin() override {
    watch_.lost(now_from_system().instant);  // Until the first template.
    ticker_.emplace(shard(), core_->options.tick, [this] {
      miners_.tick(now_from_system());
      if (declaring_) declaring_->tick();
      if (sealed_) sealed_->on_tick(now_from_system().unix_time);
      look_at_work(now_from_system());
    });
  }
  void drain(const session::ShutdownBehavior& behavior) override {
    ticker_.reset();
    miners_.drain(behavior);
    if (declaring_) declaring_->drain(behavior);
  }
  void cut_off() override {
    miners_.cut_off();
    if (declaring_) declaring_->cut_off();
  }

  std::unique_ptr<DeclaratorPart> make_declaring() {
    if (!core_->declared) return nullptr;
    return std::make_unique<DeclaratorPart>(
        *this, *core_->declared,
        [this](const declaration::DeclaredJobPtr& job, const DeclaratorPart::Transactions& transactions,
               std::function<void()> done) {
          core_->service.broadcast([job, transactions](Part& part) { part.know(job, transactions); }, shard(), std::move(done));
        },
        backlog_);
  }
  std::unique_ptr<declaration::SealedJobs> make_sealed() {
    const ServerOptions& options = core_->options;
    if (options.token_seal == nullptr) return nullptr;
    return std::make_unique<declaration::SealedJobs>(options.token_seal, options.session.payouts, options.declared_revenue);
  }
  [[nodiscard]] mining::ServerPolicy policy_of(mining::ServerPolicy policy) {
    if (declaring_) policy.custom_jobs = &declaring_->jobs();
    if (sealed_) policy.custom_jobs = sealed_.get();
    return policy;
  }

  /// One part tells of what concerns them all.
  [[nodiscard]] bool is_first() const { return shard().index() == 0; }

  /// Lets go of the miners while there has been no work for long.
  void look_at_work(const Now& now) {
    const auto [stale_since, just_now] = watch_.look(now.instant);
    take_opens(!stale_since);
    if (!stale_since) return;
    if (just_now && is_first()) tell_of_stale_work();
    const auto& counters = miners_.counters();
    const std::size_t open = counters.standard_channels + counters.extended_channels;
    const std::size_t due = watch_.to_close(open, *stale_since, now.instant, core_->options.tick);
    core_->channels_closed += miners_.close_channels(due, "no-work", now);
  }

  void take_opens(bool taken) {
    work_is_stale_ = !taken;
    miners_.refuse_opens(work_is_stale_);
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

  bool on_block_found(const mining::ServerSession&, const mining::BlockFound& block) override {
    log::info("pool.block_found", {{"hash", to_hex_reversed(block.hash)},
                                   {"height", block.block_template->height},
                                   {"channel", block.channel_id},
                                   {"user_identity", block.user_identity},
                                   {"pool_percent", block.payout == nullptr ? 100 : block.payout->pool_percent}});
    if (auto handed = submit(block); !handed) {
      log::error("pool.block_lost", {{"hash", to_hex_reversed(block.hash)}, {"message", handed.error().message()}});
      return false;  // The share is work all the same.
    }
    return true;
  }

  void on_custom_block_found(const mining::ServerSession&, const mining::BlockFound& block) override {
    log::info("pool.clients_block_found",
              {{"hash", to_hex_reversed(block.hash)}, {"channel", block.channel_id}, {"user_identity", block.user_identity}});
  }

  [[nodiscard]] Result<> submit(const mining::BlockFound& block) const {
    // The source knows the template as long as somebody holds it, as the job does here.
    if (!block.is_custom) return core_->source.submit(block.block_template->id, block.solution);
    return core_->options.declarator->submit_block(block.hash, block.block_template->height,
                                                   [declared = block.block_template, solution = block.solution] {
                                                     return declaration::DeclaredJobs::assemble(declared, solution);
                                                   });
  }

  const std::shared_ptr<Core> core_;                       ///< First, so that it is gone last.
  const std::shared_ptr<net::Backlog> backlog_;            ///< Of all hosts of the shard.
  const std::unique_ptr<DeclaratorPart> declaring_;        ///< Null without a declarator in this process.
  const std::unique_ptr<declaration::SealedJobs> sealed_;  ///< Null without one in another process.
  const mining::ServerPolicy policy_;
  downstream::Miners miners_;
  std::optional<net::Ticker> ticker_;
  WorkWatch watch_;
  std::string unusable_;  ///< As Work::unusable.
  bool work_is_stale_ = false;
};

void PoolServer::Core::declare_on(const bitcoin::TemplatePtr& made) {
  if (declaring) {
    declaring->declarator->on_template(made, source, [this](const DeclaratorPart::Transactions& transactions) {
      service.post([transactions](Part& part) { part.know(nullptr, transactions); });
    });
  }
  if (declaring || options.token_seal) service.post([made](Part& part) { part.set_template(made); });
}

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
  ADIT_CHECK(core.entrance.bind(core.service.shards()));
  if (core.declaring) {
    if (core.declaring->listen.listen) ADIT_CHECK(core.declaring->listeners.bind(core.service.shards()));
    core.declaring->declarator->start();
  }
  core.service.start(
      [&, host = core.entrance.host_options()](net::Shard& shard) { return std::make_shared<Part>(core_, shard, host); });

  ADIT_CHECK(core.entrance.start(core.service));
  if (core.declaring)
    ADIT_CHECK(core.declaring->listeners.start(core.service, [](Part& part, net::Link link, const net::IrohCarrier::Place&) {
      part.take_declaring(std::move(link));
    }));

  // The source outlives this server and may keep what it calls.
  templates::SourceEvents events;
  events.on_template = [weak = std::weak_ptr(core_)](templates::TemplatePtr block_template, bool) {
    const auto alive = weak.lock();
    if (!alive) return;
    const Now now = now_from_system();
    auto job = alive->make_job(std::move(block_template), now.unix_time);
    alive->on_templates(job, now.instant);
    if (!job) return log::error("pool.template_unusable", {{"message", job.error().message()}});
    ++alive->jobs;
    alive->service.post([job = *job](Part& part) { part.set_job(job); });
    alive->declare_on((*job)->block_template);
  };
  events.on_block_kept = [weak = std::weak_ptr(core_)](const bitcoin::Hash256& hash) {
    if (const auto alive = weak.lock()) alive->service.post([hash](Part& part) { part.on_block_kept(hash); });
  };
  events.on_block_result = [](const templates::BlockResult& result) { templates::log_result("pool.block_answered", result); };
  events.on_status = [weak = std::weak_ptr(core_)](const templates::SourceStatus& status) {
    if (const auto alive = weak.lock()) alive->on_status(status, now_from_system().instant);
    templates::log_status("pool.templates", status);
  };
  core.work.lost_since = now_from_system().instant;
  core.source.constrain(constraints_of(core.options.session.payouts));
  return core.source.start(std::move(events));
}

void PoolServer::stop(session::ShutdownBehavior behavior) {
  auto& core = *core_;
  if (core.stop_called.exchange(true)) return;
  core.entrance.stop();
  if (core.declaring) core.declaring->listeners.stop();
  core.service.stop(behavior);
  if (core.declaring) core.declaring->declarator->stop();
  for (const auto& counters : core.service.ask([](const Part& part) { return part.counters(); })) core.last.add(counters);
  core.source.stop();
  core.stopped = true;
}

std::uint16_t PoolServer::tcp_port() const { return core_->entrance.listeners().tcp_port(); }
std::uint16_t PoolServer::declarator_tcp_port() const {
  return core_->declaring ? core_->declaring->listeners.tcp_port() : std::uint16_t{0};
}
std::string PoolServer::tcp_address() const { return core_->entrance.listeners().tcp_address(); }
std::uint16_t PoolServer::sv1_port() const { return core_->entrance.sv1_port(); }
std::string PoolServer::sv1_address() const { return core_->entrance.sv1_address(); }

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
  stats.admission = core_->entrance.listeners().admission().counts();
  stats.failed_accepts = core_->entrance.failed_accepts();
  if (core_->declaring) {
    stats.declarator_admission = core_->declaring->listeners.admission().counts();
    stats.declarator_failed_accepts = core_->declaring->listeners.failed_accepts();
  }
  stats.jobs = core_->jobs;
  stats.source = status_with(core_->source.status(), unusable);
  for (const auto& output : core_->options.session.payouts.outputs(nullptr, stats.source.coinbase_value_sat).all())
    stats.coinbase.push_back({.value_sat = output.value_sat, .script = {output.script.begin(), output.script.end()}});
  return stats;
}

monitor::MiningConnections PoolServer::connections(const mining::ListLimits& limits) const {
  monitor::MiningConnections all;
  if (core_->stopped) return all;
  for (auto& of_shard : core_->service.ask([limits](const Part& part) { return part.list(limits); }))
    all.add(std::move(of_shard));
  for (auto& one : all.listed) one.kind = monitor::kUnknownClient;  // As SRI's pool says of every client.
  return all;
}

}  // namespace adit::pool
