#include "roles/template/server.h"

#include <array>
#include <atomic>
#include <map>
#include <set>
#include <utility>

#include "base/hex.h"
#include "ledger/worker.h"
#include "log/limited.h"
#include "log/log.h"
#include "net/service.h"
#include "net/ticker.h"

namespace adit::provider {
namespace {

using templates::ClassId;
using templates::Sv2TemplatePtr;
using templates::TemplateSource;

session::ServerOptions serving_of(const ServerOptions& options) {
  return {.offers = {templates::Sv2ServerSession::offer()}, .setup_timeout = options.setup_timeout};
}

/// Of each shard's connections, in a list of them.
constexpr std::size_t kMaxListed = 1000;

}  // namespace

/// Shared by the server, its parts, and what was posted for them.
struct TemplateServer::Core : std::enable_shared_from_this<Core> {
  Core(net::Shards& all, TemplateSource& first, MakeSource make, ServerOptions given)
      : source(first),
        make_source(std::move(make)),
        options(std::move(given)),
        serving(serving_of(options)),
        listeners("provider", {wire::Protocol::kTemplateDistribution}, options),
        last_id(templates::first_template_id(now_from_system().unix_time)),
        classes(options.classes),
        service(all) {}

  std::shared_ptr<const net::FrameHostOptions> host_options() {
    auto host = std::make_shared<net::FrameHostOptions>(listeners.host_options());
    host->max_queued_bytes = options.max_queued_bytes;
    host->max_payload = options.max_payload;
    return host;
  }

  /// Starts the source of a class, whose templates go to every shard from then on. On the keeper's thread, but for class 0.
  Result<void> open(ClassId id, const std::shared_ptr<TemplateSource>& opened, templates::CoinbaseConstraints room);
  /// On the keeper's thread: the class of that client, and its source if it is the first one.
  Result<ClassId> join(templates::CoinbaseConstraints asked);
  /// On the keeper's thread. The source goes on until what it gave out is forgotten.
  void leave(ClassId id);
  /// On the keeper's thread: stops the sources of classes that are long gone.
  Instant stop_left();

  TemplateSource& source;
  const MakeSource make_source;
  const ServerOptions options;
  const session::ServerOptions serving;
  net::Listeners listeners;
  std::atomic<std::uint64_t> last_id;
  std::atomic<std::size_t> open_classes{1};
  std::atomic<bool> stop_called{false};

  // The keeper's: which classes there are. Its thread starts and stops sources, which takes time.
  ledger::Worker keeper;
  templates::ConstraintClasses classes;
  std::map<ClassId, std::shared_ptr<TemplateSource>> sources;
  std::vector<std::pair<Instant, std::shared_ptr<TemplateSource>>> left;

  net::Service<Part> service;
};

/// The provider on one shard.
class TemplateServer::Part final : public net::ServicePart, private net::FrameHostRole, private templates::Sv2ServerEvents {
 public:
  Part(const std::shared_ptr<Core>& core, net::Shard& shard, std::shared_ptr<const net::FrameHostOptions> host)
      : net::ServicePart(shard),
        core_(core),
        engine_(core->options.session, *this),
        host_(*this, std::move(host), core->listeners.admission(), core->listeners.endpoint_id(), *this) {}

  void take(net::Link link, net::IrohCarrier::Place place = nullptr) {
    host_.take(std::move(link), core_->serving, std::move(place));
  }
  void set_template(ClassId id, const Sv2TemplatePtr& made) { engine_.set_template(id, made, now_from_system()); }
  void drop_class(ClassId id) { engine_.drop_class(id, now_from_system()); }
  struct Answer : Totals {
    std::size_t clients = 0;
  };
  [[nodiscard]] Answer answer() const {
    return {{engine_.counters(), host_.counters(), host_.backlog().counts()}, engine_.clients()};
  }

  /// At most kMaxListed of them.
  [[nodiscard]] std::vector<ConnectionInfo> connections() const {
    std::vector<ConnectionInfo> all;
    for (const Session* session : sessions_) {
      if (all.size() == kMaxListed) break;
      all.push_back({session->connection.id(), session->connection.metadata()});
    }
    return all;
  }

 private:
  /// One client that is set up.
  struct Session final : templates::Sv2ServerSession {
    Session(Part& at, net::HostedConnection& peer)
        : Sv2ServerSession(at.engine_, now_from_system()), part(at), connection(peer) {
      part.sessions_.insert(this);
    }
    ~Session() override { part.sessions_.erase(this); }
    Part& part;
    net::HostedConnection& connection;
  };
  static net::HostedConnection& connection_of(const templates::Sv2ServerSession& session) {
    return static_cast<const Session&>(session).connection;
  }

  void begin() override {
    ticker_.emplace(shard(), core_->options.tick, [this] {
      engine_.on_tick(now_from_system());
      host_.tick();
      refusals_.tick();
    });
  }
  void drain(const session::ShutdownBehavior& behavior) override {
    ticker_.reset();
    host_.drain(behavior);
  }
  void cut_off() override { host_.cut_off(); }

  std::unique_ptr<session::ProtocolServer> serve(const session::AcceptedSetup&, net::HostedConnection& connection) override {
    return std::make_unique<Session>(*this, connection);
  }

  void join(std::uint64_t session, std::uint32_t request, templates::CoinbaseConstraints asked) override {
    core_->keeper.post([core = core_, weak = std::weak_ptr(self()), session, request, asked] {
      auto joined = core->join(asked);
      const auto part = weak.lock();
      if (!part) return;
      part->shard().post([part, session, request, joined] { part->engine_.on_class(session, request, joined); });
    });
  }
  void leave(ClassId id) override {
    core_->keeper.post([core = core_, id] { core->leave(id); });
  }
  void send(templates::Sv2ServerSession& session, const wire::FrameBuffer& frames) override {
    auto& connection = connection_of(session);
    if (!connection.leaving() || !session.settled()) connection.send(frames);
  }
  void end(templates::Sv2ServerSession& session, const Error& reason) override { connection_of(session).end(reason); }
  void settled(templates::Sv2ServerSession& session) override { connection_of(session).settle(); }
  void fetch(const Sv2TemplatePtr& wanted) override {
    wanted->source->transactions(wanted->made->id, [weak = std::weak_ptr(self()), id = wanted->id](auto found) {
      const auto part = weak.lock();
      if (!part) return;
      part->shard().post([part, id, found = std::move(found)] { part->engine_.on_transactions(id, found); });
    });
  }
  void submit(const templates::Sv2ServerSession& session, const Sv2TemplatePtr& solved,
              templates::BlockSolution solution) override {
    const std::string peer = connection_of(session).metadata().peer;
    log::info("provider.block_found", {{"peer", peer}, {"height", solved->made->height}, {"template_id", solved->id}});
    if (auto handed = solved->source->submit(solved->made->id, std::move(solution)); !handed)
      log::error("provider.block_lost", {{"peer", peer}, {"message", handed.error().message()}});
  }
  void solution_refused(const templates::Sv2ServerSession& session, std::uint64_t template_id, std::string_view why) override {
    refusals_.warn("provider.solution_refused",
                   {{"peer", connection_of(session).metadata().peer}, {"template_id", template_id}, {"reason", why}});
  }
  std::uint64_t next_id() override { return ++core_->last_id; }

  std::shared_ptr<Part> self() { return std::static_pointer_cast<Part>(shared_from_this()); }

  const std::shared_ptr<Core> core_;  ///< First, so that it is gone last.
  templates::Sv2ServerShard engine_;
  std::set<const Session*> sessions_;
  net::FrameHost host_;
  std::optional<net::Ticker> ticker_;
  log::Limited refusals_{"provider.more_solutions_refused"};
};

Result<void> TemplateServer::Core::open(ClassId id, const std::shared_ptr<TemplateSource>& opened,
                                        templates::CoinbaseConstraints room) {
  templates::SourceEvents events;
  events.on_template = [weak = weak_from_this(), id, from = std::weak_ptr(opened)](templates::TemplatePtr made, bool) {
    const auto alive = weak.lock();
    const auto source_of = from.lock();
    if (!alive || !source_of) return;
    auto encoded = templates::encode_template(std::move(made), ++alive->last_id, source_of);
    if (!encoded) return log::error("provider.template_unusable", {{"message", encoded.error().message()}});
    alive->service.post([id, one = *encoded](Part& part) { part.set_template(id, one); });
  };
  events.on_block_result = [](const templates::BlockResult& result) {
    templates::log_result("provider.block_answered", result);
  };
  if (id == 0) {
    events.on_status = [](const templates::SourceStatus& status) { templates::log_status("provider.source", status); };
  }
  opened->constrain(room);
  return opened->start(std::move(events));
}

Result<ClassId> TemplateServer::Core::join(templates::CoinbaseConstraints asked) {
  ADIT_TRY(const auto joined, classes.join(asked));
  open_classes = classes.size();
  if (!joined.is_new) return joined.id;
  std::shared_ptr<TemplateSource> made = make_source ? make_source() : nullptr;
  auto opened = made ? open(joined.id, made, joined.constraints)
                     : Result<void>(fail(net::Errc::kConfiguration, "this source has one kind of templates alone"));
  if (!opened) {
    classes.leave(joined.id);
    return fail(std::move(opened.error()));
  }
  sources[joined.id] = std::move(made);
  return joined.id;
}

void TemplateServer::Core::leave(ClassId id) {
  if (!classes.leave(id)) return;
  open_classes = classes.size();
  service.post([id](Part& part) { part.drop_class(id); });
  if (auto gone = sources.extract(id); !gone.empty()) {
    // As long as its templates are known, and a little longer: the shards forget them about once a second.
    const Duration known = options.session.kept_after_tip + 2 * options.tick;
    left.emplace_back(now_from_system().instant + known, std::move(gone.mapped()));
  }
}

Instant TemplateServer::Core::stop_left() {
  const Instant now = now_from_system().instant;
  Instant next = Instant::max();
  std::erase_if(left, [&](const auto& one) {
    if (one.first <= now) one.second->stop();
    if (one.first > now) next = std::min(next, one.first);
    return one.first <= now;
  });
  return next;
}

TemplateServer::TemplateServer(net::Shards& shards, TemplateSource& source, MakeSource further, ServerOptions options)
    : core_(std::make_shared<Core>(shards, source, std::move(further), std::move(options))) {}

// NOLINTNEXTLINE(bugprone-exception-escape): a lock or a promise that fails here leaves nothing to go on with
TemplateServer::~TemplateServer() {
  stop(Duration::zero());
  core_->service.clear();  // Its parts hold the core. What a shard that hangs has still to run holds them.
}

Result<void> TemplateServer::start() {
  auto& core = *core_;
  ADIT_CHECK(core.listeners.bind(core.service.shards()));
  core.keeper.start([weak = std::weak_ptr(core_)] {
    const auto alive = weak.lock();
    return alive ? alive->stop_left() : Instant::max();
  });
  core.service.start([&, host = core.host_options()](net::Shard& shard) { return std::make_shared<Part>(core_, shard, host); });

  ADIT_CHECK(core.listeners.start(core.service));
  // It is its owner's, and outlives whatever refers to it.
  const std::shared_ptr<TemplateSource> first(&core.source, [](TemplateSource*) {});
  core.sources[0] = first;
  return core.open(0, first, core.options.classes.least);
}

void TemplateServer::stop(session::ShutdownBehavior behavior) {
  auto& core = *core_;
  if (core.stop_called.exchange(true)) return;
  core.listeners.stop();
  core.service.stop(behavior);
  core.keeper.finish();
  for (const auto& [until, source] : core.left) source->stop();
  for (const auto& [id, source] : core.sources) {
    if (id != 0) source->stop();
  }
  core.source.stop();  // Last: the others hand their blocks to it.
  core.left.clear();
  core.sources.clear();
}

std::uint16_t TemplateServer::tcp_port() const { return core_->listeners.tcp_port(); }

ServerStats TemplateServer::stats() const {
  ServerStats stats;
  const auto answers = core_->service.ask([](const Part& part) { return part.answer(); });
  for (const auto& answer : answers) {
    stats.add(answer);
    stats.clients += answer.clients;
  }
  stats.silent_shards = core_->service.shards().size() - answers.size();
  stats.admission = core_->listeners.admission().counts();
  stats.failed_accepts = core_->listeners.failed_accepts();
  stats.classes = core_->open_classes;
  stats.source = core_->source.status();
  return stats;
}

std::vector<ConnectionInfo> TemplateServer::connections() const {
  std::vector<ConnectionInfo> all;
  for (auto& part : core_->service.ask([](const Part& one) { return one.connections(); }))
    all.insert(all.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
  return all;
}

}  // namespace adit::provider
