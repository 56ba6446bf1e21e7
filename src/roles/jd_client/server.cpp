#include "roles/jd_client/server.h"

#include <atomic>
#include <random>
#include <utility>

#include "base/hex.h"
#include "downstream/entrance.h"
#include "downstream/miners.h"
#include "log/limited.h"
#include "log/log.h"
#include "net/frame_host.h"
#include "net/service.h"
#include "net/tcp.h"
#include "net/ticker.h"
#include "roles/jd_client/declarator_link.h"
#include "upstream/url.h"

namespace adit::jd_client {
namespace {

/// How often what waits for another try is looked at.
constexpr Duration kSoon = std::chrono::milliseconds(50);
/// A message of missing transactions has 16 MiB at most, and there may be another one beside it.
constexpr std::size_t kMaxDeclaratorQueue = 36 << 20;
/// A declarator that is left has nothing under way that anybody waits for.
constexpr Duration kLeaveDeadline = std::chrono::seconds(2);

ServerOptions consistent(ServerOptions options) {
  std::random_device device;
  options.engine.salt = std::uint64_t{device()} << 32 | device();
  options.engine.max_past_jobs = options.max_past_jobs;
  options.session.payouts = {.pool_script = options.engine.solo_script, .by_identity = false};
  options.session.custom_jobs = nullptr;
  options.session.channel.rollable_extranonce_size = options.engine.rollable_extranonce_size;
  // Another coinbase than the one that was declared is worth nothing upstream.
  options.session.channel.twins = false;
  return options;
}

templates::CoinbaseConstraints of_source(Constraints constraints) {
  return {.max_additional_size = constraints.outputs_size, .max_additional_sigops = constraints.sigops};
}

}  // namespace

/// Shared by the server, its part, and what was posted for it.
struct JdClientServer::Core {
  Core(net::Shards& all, templates::TemplateSource& templates, ServerOptions given)
      : source(templates),
        options(consistent(std::move(given))),
        entrance("jd_client", {wire::Protocol::kMining}, options),
        service(all) {}

  templates::TemplateSource& source;
  const ServerOptions options;
  downstream::Entrance entrance;
  std::atomic<bool> stop_called{false};
  std::atomic<bool> stopped{false};  ///< `last` holds.
  ServerStats last;
  net::Service<Part> service;
};

class JdClientServer::Part final : public net::ServicePart,
                                   private downstream::MinersRole,
                                   private EngineEvents,
                                   private PoolRole::Owner {
 public:
  Part(const std::shared_ptr<Core>& core, net::Shard& shard, std::shared_ptr<const net::FrameHostOptions> host)
      : net::ServicePart(shard),
        core_(core),
        policy_(core->options.session),
        miners_(*this, core->entrance, policy_, std::move(host), downstream::Miners::new_backlog(core->options), *this),
        engine_(core->options.engine, *this),
        role_(core->options.upstreams, engine_, *this) {
    if (!core->options.upstreams.empty() && core->options.engine.mode != Mode::kSolo)
      uplink_ = std::make_shared<upstream::Uplink>(shard, uplink_options(core->options), role_);
  }

  /// `place`: a carrier that asks admission itself has one already.
  void take(net::Link link, net::IrohCarrier::Place place = nullptr) { miners_.take(std::move(link), std::move(place)); }

  void take_sv1(std::unique_ptr<net::ByteStream> stream) { miners_.take_sv1(std::move(stream)); }

  void on_template(templates::TemplatePtr block_template, bool new_tip) {
    const Now now = now_from_system();
    if (new_tip) role_.on_new_tip(now);
    engine_.on_template(std::move(block_template), now);
    on_output();
  }
  void on_transactions(std::uint64_t id, const Result<TransactionSet>& set) {
    engine_.on_transactions(id, set, now_from_system());
    on_output();
  }
  void on_block_kept(const bitcoin::Hash256& hash) { miners_.on_block_kept(hash); }

  [[nodiscard]] ServerStats stats() const {
    ServerStats stats;
    static_cast<downstream::MinersCounts&>(stats) = miners_.counts();
    stats.counters = engine_.counters();
    stats.status = engine_.status();
    if (uplink_) stats.pool = uplink_->status();
    if (declarator_) stats.declarator = declarator_->status();
    return stats;
  }

  [[nodiscard]] monitor::MiningConnections list(const mining::ListLimits& limits) const { return miners_.list(limits); }

 private:
  static upstream::Uplink::Options uplink_options(const ServerOptions& options) {
    upstream::Uplink::Options uplink;
    uplink.name = "jd_client";
    uplink.client.program = "jd-client";
    uplink.client.flags = wire::kRequiresWorkSelection | wire::kRequiresVersionRolling;
    for (const auto& target : options.upstreams) {
      // What the pool is asked for is asked by the extension.
      uplink.targets.push_back({.peer = target.pool, .goodbye = target.goodbye || options.engine.follow_pool_tip});
    }
    uplink.selection = options.selection;
    uplink.dial = {.silent_host = options.upstream_health.dead_after, .iroh = options.dialling_iroh};
    uplink.health = options.upstream_health;
    return uplink;
  }

  static upstream::Uplink::Options declarator_options(const ServerOptions& options, std::size_t candidate) {
    const UpstreamTarget& target = options.upstreams[candidate];
    upstream::Uplink::Options uplink;
    uplink.name = "jd_client.declarator";
    uplink.client.protocol = wire::Protocol::kJobDeclaration;
    uplink.client.program = "jd-client";
    uplink.client.flags = options.engine.mode == Mode::kFullTemplate ? wire::kDeclareTxData : 0U;
    uplink.targets.push_back({.peer = target.declarator, .goodbye = target.goodbye});
    uplink.selection = options.selection;
    uplink.dial = {.silent_host = options.upstream_health.dead_after, .iroh = options.dialling_iroh};
    uplink.dial.max_queued_bytes = kMaxDeclaratorQueue;
    uplink.health = options.upstream_health;
    return uplink;
  }

  // ---- ServicePart
  void begin() override {
    ticker_.emplace(shard(), core_->options.tick, [this] { tick(); });
    soon_.emplace(shard(), kSoon, [this] {
      engine_.on_time(now_from_system());
      on_output();
    });
    if (uplink_) uplink_->start();
  }
  void drain(const session::ShutdownBehavior& behavior) override {
    ticker_.reset();
    soon_.reset();
    miners_.drain(behavior);
    if (uplink_) {
      uplink_->shut_down(behavior, "the job declarator client stops",
                         [part = shared_from_this(), running = std::make_shared<net::TaskGate::Token>(gate())] {});
    }
    leave_declarator(behavior);
  }
  void cut_off() override {
    miners_.cut_off();
    if (uplink_) uplink_->cut_off();
    for (const auto& link : left_) {
      if (const auto alive = link.lock()) alive->cut_off();
    }
  }

  void tick() {
    const Now now = now_from_system();
    miners_.tick(now);
    rejections_.tick();
    if (uplink_) {
      uplink_->on_tick(now);
    } else if (!engine_.on_tick(miners_.hash_rate_hps(), now)) {
      return;  // Cannot be: what times out is a pool's answer.
    }
    if (declarator_) declarator_->tick(now);
    on_output();
  }

  // ---- PoolRole::Owner
  void on_pool_begun(std::size_t candidate) override {
    const auto& status = uplink_->status();
    const auto& metadata = *status.metadata;
    log::info("jd_client.upstream_ready",
              {{"url", status.url},
               {"transport", net::to_string(metadata.transport)},
               {"alpn", metadata.alpn},
               {"lanes", metadata.lanes},
               {"sessions", metadata.sessions},
               {"path", net::to_string(metadata.path)},
               {"authority", metadata.authority_key.empty() ? "not checked" : metadata.authority_key}});
    declarator_ = std::make_shared<DeclaratorLink>(shard(), declarator_options(core_->options, candidate), engine_,
                                                   [this] { on_output(); });
    declarator_->start();
  }
  void on_pool_ended() override { leave_declarator({.deadline = kLeaveDeadline}); }
  void on_output() override {
    if (uplink_) uplink_->send();
    if (declarator_) declarator_->send();
  }
  [[nodiscard]] double hash_rate_hps() const override { return miners_.hash_rate_hps(); }

  void leave_declarator(const session::ShutdownBehavior& behavior) {
    if (!declarator_) return;
    std::erase_if(left_, [](const auto& link) { return link.expired(); });
    left_.push_back(declarator_);
    std::exchange(declarator_, nullptr)
        ->leave(behavior, [part = shared_from_this(), running = std::make_shared<net::TaskGate::Token>(gate())] {});
  }

  // ---- EngineEvents
  void on_job(channels::JobPtr job) override {
    log::debug("jd_client.job", {{"job", job->id}, {"height", job->block_template->height}, {"new_tip", job->new_tip}});
    miners_.set_job(std::move(job));
  }
  void fetch_transactions(const bitcoin::TemplatePtr& block_template) override {
    const std::uint64_t id = block_template->id;
    core_->source.transactions(id, [weak = std::weak_ptr(core_), id](Result<templates::TemplateSource::Transactions> found) {
      const auto alive = weak.lock();
      if (!alive) return;
      // On the source's thread, as it takes milliseconds.
      Result<TransactionSet> set = fail(session::Errc::kCannot, "");
      if (found) {
        set = with_ids(std::move(*found));
      } else {
        set = fail(std::move(found.error()));
      }
      alive->service.post([id, set = std::make_shared<const Result<TransactionSet>>(std::move(set))](Part& part) {
        part.on_transactions(id, *set);
      });
    });
  }
  void constrain(Constraints constraints) override { core_->source.constrain(of_source(constraints)); }
  void on_upstream_target(const bitcoin::U256& target) override { policy_.channel.hardest_target = target; }
  void on_pool_work(std::size_t candidate) override {
    log::info("jd_client.pool_work", {{"url", upstream::to_url(core_->options.upstreams[candidate].pool)}});
  }
  void on_solo_work(std::string_view why) override { log::warn("jd_client.solo_work", {{"message", why}}); }
  void on_pool_tip(std::uint32_t height) override { log::info("jd_client.pool_tip_followed", {{"height", height}}); }
  void on_own_tip(Duration followed, bool at_limit) override {
    log::info("jd_client.pool_tip_left", {{"ms", std::chrono::duration_cast<std::chrono::milliseconds>(followed).count()},
                                          {"reason", at_limit ? "our node has not caught up" : "our node has caught up"}});
  }
  void on_acknowledged(std::uint32_t job_id, Duration since_template, std::size_t waiting_shares) override {
    log::debug("jd_client.job_acknowledged",
               {{"job", job_id},
                {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(since_template).count()},
                {"waiting_shares", waiting_shares}});
  }
  void on_refused(std::uint32_t job_id, std::string_view by, std::string_view error_code, bool stale) override {
    const auto level = stale ? log::Level::kInfo : log::Level::kWarn;
    rejections_.write(level, "jd_client.job_refused",
                      {{"job", job_id}, {"by", by}, {"error_code", error_code}, {"stale", stale}});
  }
  void on_shares_lost(std::size_t count, LostShares why) override {
    rejections_.write(log::Level::kInfo, "jd_client.shares_lost", {{"shares", count}, {"reason", lost_name(why)}});
  }
  void on_share_rejected(std::string_view error_code) override {
    rejections_.warn("jd_client.share_rejected", {{"error_code", error_code}});
  }
  void on_unusable(const Error& error) override {
    rejections_.write(log::Level::kError, "jd_client.template_unusable", {{"message", error.message()}});
  }

  // ---- downstream::MinersRole
  channels::LedgerPosition on_share(const mining::ServerSession&, const channels::ShareRecord& share) override {
    engine_.on_share(share, now_from_system());
    // What a batch of the miner's brings goes up together, but no later than now.
    if (!std::exchange(output_posted_, true)) {
      shard().post([this, alive = shared_from_this()] {
        output_posted_ = false;
        on_output();
      });
    }
    return 0;
  }
  bool on_block_found(const mining::ServerSession&, const mining::BlockFound& block) override {
    on_output();
    log_block(block);
    // The source knows the template as long as somebody holds it, as the job does here.
    if (auto handed = core_->source.submit(block.block_template->id, block.solution); !handed) {
      log::error("jd_client.block_lost", {{"hash", to_hex_reversed(block.hash)}, {"message", handed.error().message()}});
      return false;  // The share is work all the same.
    }
    return true;
  }
  /// On a job of the pool's own: the share is all that there is to hand on.
  void on_custom_block_found(const mining::ServerSession&, const mining::BlockFound& block) override {
    on_output();
    log_block(block);
  }
  static void log_block(const mining::BlockFound& block) {
    log::info("jd_client.block_found", {{"hash", to_hex_reversed(block.hash)},
                                        {"height", block.block_template->height},
                                        {"channel", block.channel_id},
                                        {"user_identity", block.user_identity}});
  }
  const std::shared_ptr<Core> core_;  ///< First, so that it is gone last.
  mining::ServerPolicy policy_;       ///< The miners'; its hardest target is the pool's.
  downstream::Miners miners_;
  Engine engine_;
  PoolRole role_;
  std::shared_ptr<upstream::Uplink> uplink_;         ///< Null without upstreams.
  std::shared_ptr<DeclaratorLink> declarator_;       ///< While a pool is in use.
  std::vector<std::weak_ptr<DeclaratorLink>> left_;  ///< That may not have ended yet.
  std::optional<net::Ticker> ticker_;
  std::optional<net::Ticker> soon_;
  log::Limited rejections_{"jd_client.more_refusals"};
  bool output_posted_ = false;  ///< What the engine has written is about to be sent.
};

JdClientServer::JdClientServer(net::Shards& shards, templates::TemplateSource& source, ServerOptions options)
    : core_(std::make_shared<Core>(shards, source, std::move(options))) {}

// NOLINTNEXTLINE(bugprone-exception-escape): a lock or a promise that fails here leaves nothing to go on with
JdClientServer::~JdClientServer() {
  stop(Duration::zero());
  core_->service.clear();  // Its part holds the core. What a shard that hangs has still to run holds it.
}

Result<void> JdClientServer::start() {
  auto& core = *core_;
  if (core.service.shards().size() != 1) return fail(net::Errc::kConfiguration, "a job declarator client runs on one shard");
  if (core.options.upstreams.empty() && core.options.engine.mode != Mode::kSolo)
    return fail(net::Errc::kConfiguration, "the job declarator client has no upstream: configure [[upstreams]]");
  ADIT_CHECK(core.entrance.bind(core.service.shards()));
  core.service.start(
      [&, host = core.entrance.host_options()](net::Shard& shard) { return std::make_shared<Part>(core_, shard, host); });
  ADIT_CHECK(core.entrance.start(core.service));

  // The source outlives this server and may keep what it calls.
  templates::SourceEvents events;
  events.on_template = [weak = std::weak_ptr(core_)](templates::TemplatePtr block_template, bool new_tip) {
    if (const auto alive = weak.lock())
      alive->service.post([made = std::move(block_template), new_tip](Part& part) { part.on_template(made, new_tip); });
  };
  events.on_block_kept = [weak = std::weak_ptr(core_)](const bitcoin::Hash256& hash) {
    if (const auto alive = weak.lock()) alive->service.post([hash](Part& part) { part.on_block_kept(hash); });
  };
  events.on_block_result = [](const templates::BlockResult& result) {
    templates::log_result("jd_client.block_answered", result);
  };
  events.on_status = [](const templates::SourceStatus& status) { templates::log_status("jd_client.templates", status); };
  core.source.constrain(of_source(first_constraints(core.options.engine)));
  return core.source.start(std::move(events));
}

void JdClientServer::stop(session::ShutdownBehavior behavior) {
  auto& core = *core_;
  if (core.stop_called.exchange(true)) return;
  core.entrance.stop();
  core.service.stop(behavior);
  for (auto& stats : core.service.ask([](const Part& part) { return part.stats(); })) core.last = std::move(stats);
  core.source.stop();
  core.stopped = true;
}

std::uint16_t JdClientServer::tcp_port() const { return core_->entrance.listeners().tcp_port(); }
std::uint16_t JdClientServer::sv1_port() const { return core_->entrance.sv1_port(); }
std::string JdClientServer::tcp_address() const { return core_->entrance.listeners().tcp_address(); }

ServerStats JdClientServer::stats() const {
  ServerStats stats;
  if (core_->stopped) {
    stats = core_->last;
  } else {
    auto answers = core_->service.ask([](const Part& part) { return part.stats(); });
    stats.silent = answers.empty();
    if (!answers.empty()) stats = std::move(answers.front());
  }
  stats.admission = core_->entrance.listeners().admission().counts();
  stats.failed_accepts = core_->entrance.failed_accepts();
  stats.source = core_->source.status();
  return stats;
}

monitor::MiningConnections JdClientServer::connections(const mining::ListLimits& limits) const {
  monitor::MiningConnections all;
  if (core_->stopped) return all;
  for (auto& of_shard : core_->service.ask([limits](const Part& part) { return part.list(limits); }))
    all.add(std::move(of_shard));
  return all;
}

}  // namespace adit::jd_client
