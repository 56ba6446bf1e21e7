#include "roles/pool/declarator_server.h"

#include <atomic>
#include <iterator>
#include <optional>
#include <string>

#include "base/hex.h"
#include "downstream/miners.h"
#include "ledger/block_submitter.h"
#include "net/service.h"
#include "net/ticker.h"
#include "roles/pool/declarator_part.h"

namespace adit::pool {
namespace {

/// Of each shard's connections, in a list of them.
constexpr std::size_t kMaxListed = 1000;

}  // namespace

/// Shared by the server, its parts, and what was posted for them.
struct DeclaratorServer::Core {
  Core(net::Shards& all, templates::TemplateSource& templates, DeclaratorServerOptions given)
      : source(templates),
        options(std::move(given)),
        listeners("jds", {wire::Protocol::kJobDeclaration}, options),
        declarator(std::make_shared<Declarator>(options.declarator)),
        shared(DeclaratorPart::share(declarator, listeners, listeners.endpoint_id(), options.setup_timeout)),
        service(all) {}

  /// On the source's thread.
  void declare_on(const bitcoin::TemplatePtr& made);

  templates::TemplateSource& source;
  const DeclaratorServerOptions options;
  net::Listeners listeners;
  const std::shared_ptr<Declarator> declarator;
  const DeclaratorPart::Shared shared;
  std::atomic<bool> stop_called{false};
  net::Service<Part> service;
};

/// Job declaration on one shard.
class DeclaratorServer::Part final : public net::ServicePart {
 public:
  Part(const std::shared_ptr<Core>& core, net::Shard& shard)
      : net::ServicePart(shard),
        core_(core),
        backlog_(std::make_shared<net::Backlog>(net::BacklogBounds::above(core->options.declarator.max_queued_bytes))),
        declaring_(
            *this, core->shared,
            // The pool has no need to know the job: the token says all of it.
            [this](const declaration::DeclaredJobPtr&, const DeclaratorPart::Transactions& transactions,
                   std::function<void()> done) {
              core_->service.broadcast([transactions](Part& part) { part.know(transactions); }, this->shard(), std::move(done));
            },
            backlog_) {}

  void take(net::Link link, net::IrohCarrier::Place place = nullptr) { declaring_.take(std::move(link), std::move(place)); }
  void set_template(const bitcoin::TemplatePtr& made) { declaring_.set_template(made); }
  void know(const DeclaratorPart::Transactions& transactions) { declaring_.know(nullptr, transactions); }

  struct Answer {
    DeclaratorTotals totals;
    net::Backlog::Counts unread;
  };
  [[nodiscard]] Answer answer() const { return {declaring_.counters(), backlog_->counts()}; }
  [[nodiscard]] auto connections() const { return declaring_.connections(kMaxListed); }

 private:
  void begin() override {
    ticker_.emplace(shard(), core_->options.tick, [this] { declaring_.tick(); });
  }
  void drain(const session::ShutdownBehavior& behavior) override {
    ticker_.reset();
    declaring_.drain(behavior);
  }
  void cut_off() override { declaring_.cut_off(); }

  const std::shared_ptr<Core> core_;  ///< First, so that it is gone last.
  const std::shared_ptr<net::Backlog> backlog_;
  DeclaratorPart declaring_;
  std::optional<net::Ticker> ticker_;
};

void DeclaratorServer::Core::declare_on(const bitcoin::TemplatePtr& made) {
  declarator->on_template(made, source, [this](const DeclaratorPart::Transactions& transactions) {
    service.post([transactions](Part& part) { part.know(transactions); });
  });
  service.post([made](Part& part) { part.set_template(made); });
}

DeclaratorServer::DeclaratorServer(net::Shards& shards, templates::TemplateSource& source, DeclaratorServerOptions options)
    : core_(std::make_shared<Core>(shards, source, std::move(options))) {}

// NOLINTNEXTLINE(bugprone-exception-escape): a lock or a promise that fails here leaves nothing to go on with
DeclaratorServer::~DeclaratorServer() {
  stop(Duration::zero());
  core_->service.clear();  // Its parts hold the core. What a shard that hangs has still to run holds them.
}

Result<void> DeclaratorServer::start() {
  auto& core = *core_;
  ADIT_CHECK(core.listeners.bind(core.service.shards()));
  core.declarator->start();
  core.service.start([&](net::Shard& shard) { return std::make_shared<Part>(core_, shard); });
  ADIT_CHECK(core.listeners.start(core.service));

  // The source outlives this server and may keep what it calls.
  templates::SourceEvents events;
  events.on_template = [weak = std::weak_ptr(core_)](const templates::TemplatePtr& made, bool) {
    if (const auto alive = weak.lock()) alive->declare_on(made);
  };
  events.on_block_result = [](const templates::BlockResult& result) { templates::log_result("jds.block_answered", result); };
  events.on_status = [](const templates::SourceStatus& status) { templates::log_status("jds.templates", status); };
  const channels::PayoutPolicy& payouts = core.options.declarator.session.payouts;
  core.source.constrain({.max_additional_size = payouts.max_outputs_size(), .max_additional_sigops = payouts.max_sigops()});
  return core.source.start(std::move(events));
}

void DeclaratorServer::stop(session::ShutdownBehavior behavior) {
  auto& core = *core_;
  if (core.stop_called.exchange(true)) return;
  core.listeners.stop();
  core.service.stop(behavior);
  core.declarator->stop();
  core.source.stop();
}

std::uint16_t DeclaratorServer::tcp_port() const { return core_->listeners.tcp_port(); }

DeclaratorServerStats DeclaratorServer::stats() const {
  DeclaratorServerStats stats;
  const auto answers = core_->service.ask([](const Part& part) { return part.answer(); });
  for (const auto& answer : answers) {
    stats.add(answer.totals);
    stats.unread.add(answer.unread);
  }
  stats.silent_shards = core_->service.shards().size() - answers.size();
  stats.admission = core_->listeners.admission().counts();
  stats.failed_accepts = core_->listeners.failed_accepts();
  stats.source = core_->source.status();
  return stats;
}

std::vector<std::pair<std::uint32_t, net::ConnectionMetadata>> DeclaratorServer::connections() const {
  std::vector<std::pair<std::uint32_t, net::ConnectionMetadata>> all;
  for (auto& part : core_->service.ask([](const Part& one) { return one.connections(); }))
    all.insert(all.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
  return all;
}

}  // namespace adit::pool
