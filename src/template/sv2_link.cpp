#include "template/sv2_link.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <future>
#include <optional>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/hex.h"
#include "ledger/worker.h"
#include "log/log.h"
#include "net/ticker.h"
#include "template/solution_journal.h"
#include "upstream/uplink.h"
#include "upstream/url.h"

namespace adit::templates {
namespace {

using ledger::NodeAnswer;

constexpr Duration kTick = std::chrono::seconds(1);
// A solution that was handed over goes out first; a provider has no more to say.
constexpr Duration kGoodbye = std::chrono::seconds(2);
// Tips and fates of solutions that are remembered for blocks that are asked about later.
constexpr std::size_t kRemembered = 64;

}  // namespace

// Everything is the shard's thread's but the constants and the client's store.
class Sv2Link::Driver final : public std::enable_shared_from_this<Driver>,
                              private upstream::UplinkRole,
                              private Sv2ClientEvents {
 public:
  explicit Driver(Sv2Config config)
      : config_(std::move(config)),
        name_(node_name(config_)),
        url_(upstream::to_url(config_.provider)),
        client_(config_.client, *this),
        journal_(FileSystem::real(), config_.solution_folder) {
    if (keeps_solutions()) keeper_.start();
  }

  [[nodiscard]] const Sv2Config& config() const { return config_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const TemplateStore& store() const { return client_.store(); }

  /// Runs `then(*this)` on the shard, unless the link is stopped by then.
  template <class Then>
  void post(Then then) {
    config_.shard->post([self = shared_from_this(), then = std::move(then)]() mutable {
      if (!self->stopped_) then(*self);
    });
  }

  void start() {
    if (!wanted_ && keeps_solutions() && config_.restores_solutions) restore();
    wanted_ = true;
    begin();
  }

  void observe(Observer observer) {
    observer_ = std::move(observer);
    begin();
  }

  void unobserve() {
    wait_for([](Driver& driver, const Ended& ended) {
      driver.observer_ = {};
      ended->set_value();
    });
  }

  // The second call may be a destructor's, on whatever thread.
  void stop() {
    if (stop_called_.exchange(true)) return;
    end_session();
    keeper_.finish();  // What was found is on disk.
  }

  void end_session() {
    const bool in_time = wait_for([](Driver& driver, const Ended& ended) {
      driver.ticker_.reset();
      driver.observer_ = {};
      driver.stopped_ = true;
      driver.waiting_.clear();
      if (!driver.uplink_) return ended->set_value();
      // What runs until then uses the driver.
      driver.uplink_->shut_down({.deadline = kGoodbye}, "shutdown",
                                [self = driver.shared_from_this(), ended] { ended->set_value(); });
    });
    if (in_time) return;
    config_.shard->post([self = shared_from_this()] {
      if (self->uplink_) self->uplink_->cut_off();
    });
  }

  void constrain(CoinbaseConstraints constraints) {
    client_.constrain(constraints, now_from_system(), out_);
    send();
  }

  void solve(const TemplatePtr& made, const BlockSolution& solution) {
    const auto submitted = client_.submit(made->id, solution, now_from_system(), out_);
    if (!submitted)
      log::error("template.solution_lost",
                 {{"node", name_}, {"height", made->height}, {"message", submitted.error().message()}});
    send();
  }

  void fetch(const TemplatePtr& made, std::function<void(Result<TemplateSource::Transactions>)> done) {
    client_.transactions(made->id, now_from_system(), out_, std::move(done));
    send();
  }

  void await_effect(const Hash256& hash, ledger::BlockNode::Done done) {
    if (std::ranges::find(tips_, hash) != tips_.end()) return done(NodeAnswer{BlockVerdict::kAccepted, ""});
    if (const auto fate = std::ranges::find(fates_, hash, &BlockResult::hash); fate != fates_.end())
      return done(NodeAnswer{fate->verdict, fate->reason});
    if (!client_.in_session()) return done(fail(without_session()));
    waiting_.push_back({hash, now_from_system().instant + config_.effect_deadline, std::move(done)});
  }

 private:
  using Ended = std::shared_ptr<std::promise<void>>;

  struct Waiting {
    Hash256 hash{};
    Instant until{};
    ledger::BlockNode::Done done;
  };

  /// Runs `then` on the shard and waits until it has fulfilled the promise. False: the shard hangs, or the peer takes its time.
  template <class Then>
  bool wait_for(Then then) {
    const auto ended = std::make_shared<std::promise<void>>();
    const auto is_over = ended->get_future();
    config_.shard->post([self = shared_from_this(), then, ended] { then(*self, ended); });
    return is_over.wait_for(2 * kGoodbye) == std::future_status::ready;
  }

  void begin() {
    if (!wanted_ || !observer_.on_template || uplink_) return;
    upstream::Uplink::Options uplink;
    uplink.name = "template";
    uplink.targets.push_back({.peer = config_.provider});
    uplink.client.protocol = wire::Protocol::kTemplateDistribution;
    uplink.client.program = "template client";
    uplink.selection = config_.selection;
    uplink.dial.iroh = config_.iroh;
    uplink.dial.silent_host = config_.health.dead_after;
    uplink.health = config_.health;
    uplink_ = std::make_shared<upstream::Uplink>(*config_.shard, std::move(uplink), static_cast<upstream::UplinkRole&>(*this));
    ticker_.emplace(*config_.shard, kTick, [this] { uplink_->on_tick(now_from_system()); });
    uplink_->start();
  }

  void send() {
    if (uplink_) uplink_->send();
  }

  [[nodiscard]] Error without_session() const {
    return {Errc::kUnreachable, "there is no session with the template provider " + name_};
  }

  /// Gives that answer to all who wait for one and are chosen.
  template <class Chosen>
  void answer(Chosen chosen, const Result<NodeAnswer>& answer) {
    std::vector<ledger::BlockNode::Done> due;
    std::erase_if(waiting_, [&](Waiting& one) {
      const bool is_chosen = chosen(one);
      if (is_chosen) due.push_back(std::move(one.done));
      return is_chosen;
    });
    for (const auto& done : due) done(answer);
  }

  template <class T>
  static void remember(std::deque<T>& list, T one) {
    list.push_back(std::move(one));
    if (list.size() > kRemembered) list.pop_front();
  }

  // ---- upstream::UplinkRole

  Result<void> begin(std::size_t, const net::Peer&, const session::Agreement&, const Now& now) override {
    const auto& status = uplink_->status();
    const auto& metadata = *status.metadata;
    log::info("template.upstream_ready",
              {{"url", url_},
               {"transport", net::to_string(metadata.transport)},
               {"alpn", metadata.alpn},
               {"lanes", metadata.lanes},
               {"path", net::to_string(metadata.path)},
               {"authority", metadata.authority_key.empty() ? "not checked" : metadata.authority_key}});
    client_.begin(name_, now, out_);
    return {};
  }
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now) override {
    return client_.on_frames(frames, now, out_);
  }
  Result<void> on_tick(const Now& now) override {
    answer(
        [&](const Waiting& one) { return one.until <= now.instant; },
        fail(Errc::kTimedOut, "the template provider " + name_ +
                                  " has not named the block as its tip; it takes solutions of its own templates alone: list a "
                                  "node's JSON-RPC or IPC in [[nodes]] to hand it other blocks"));
    return client_.on_tick(now);
  }
  wire::FrameBuffer& output() override { return out_; }
  std::unique_ptr<upstream::Unfinished> end(const Now&, wire::FrameBuffer&) override {
    client_.end(Error(session::Errc::kClosed, "the session with the template provider " + name_ + " is over"));
    out_.clear();
    answer([](const Waiting&) { return true; }, fail(without_session()));
    return nullptr;
  }
  void on_lost(const net::Peer&, const Error& why) override {
    log::warn("template.upstream_lost", {{"url", url_}, {"error", why.name()}, {"message", why.message()}});
    if (observer_.on_away) observer_.on_away(why, false);
  }
  void on_attempt_failed(const net::Peer&, const Error& why) override {
    log::warn("template.upstream_failed", {{"url", url_}, {"error", why.name()}, {"message", why.message()}});
    if (observer_.on_away) observer_.on_away(why, false);
  }
  void on_unusable(const Error& why) override {
    log::error("template.upstream_unusable", {{"url", url_}, {"message", why.message()}});
    if (observer_.on_away) observer_.on_away(why, true);
  }

  [[nodiscard]] bool keeps_solutions() const { return !config_.solution_folder.empty(); }

  void restore() {
    const UnixTime oldest =
        now_from_system().unix_time - std::chrono::duration_cast<UnixTime::duration>(config_.client.solution_patience);
    keeper_.post([this, weak = weak_from_this(), oldest] {
      auto found = journal_.read(name_, oldest);
      const auto self = weak.lock();
      if (!self || found.empty()) return;
      self->post([found = std::move(found)](Driver& driver) {
        for (const Sv2Solution& solution : found) {
          log::info("template.solution_restored",
                    {{"node", driver.name_}, {"hash", to_hex_reversed(solution.hash)}, {"height", solution.height}});
          driver.client_.restore(solution, now_from_system(), driver.out_);
        }
        driver.send();
      });
    });
  }

  // ---- Sv2ClientEvents

  void on_solution(const Sv2Solution& solution) override {
    if (!keeps_solutions()) return;
    keeper_.post([this, solution] {
      if (const auto kept = journal_.add(solution); !kept)
        log::error("template.solution_not_kept",
                   {{"node", name_}, {"height", solution.height}, {"message", kept.error().message()}});
    });
  }

  TemplateId next_template_id() override { return observer_.next_template_id ? observer_.next_template_id() : ++last_id_; }
  void on_template(TemplatePtr made, bool new_tip) override {
    if (new_tip) {
      remember(tips_, made->prev_hash);
      answer([&](const Waiting& one) { return one.hash == made->prev_hash; }, NodeAnswer{BlockVerdict::kAccepted, ""});
    }
    if (observer_.on_template) observer_.on_template(made, new_tip);
  }
  void on_block_result(const BlockResult& result) override {
    const auto level = result.verdict == BlockVerdict::kAccepted ? log::Level::kInfo : log::Level::kWarn;
    log::write(level, "template.solution_settled",
               {{"node", name_},
                {"hash", to_hex_reversed(result.hash)},
                {"height", result.height},
                {"verdict", ledger::verdict_name(result.verdict)},
                {"reason", result.reason}});
    remember(fates_, result);
    if (keeps_solutions()) keeper_.post([this, hash = result.hash, height = result.height] { journal_.settled(hash, height); });
    answer([&](const Waiting& one) { return one.hash == result.hash; }, NodeAnswer{result.verdict, result.reason});
  }

  const Sv2Config config_;
  const std::string name_;
  const std::string url_;
  Observer observer_;
  Sv2Client client_;
  std::shared_ptr<upstream::Uplink> uplink_;
  std::optional<net::Ticker> ticker_;
  wire::FrameBuffer out_;
  std::vector<Waiting> waiting_;
  std::deque<Hash256> tips_;       ///< Oldest first.
  std::deque<BlockResult> fates_;  ///< Of solutions, oldest first.
  TemplateId last_id_ = 0;
  SolutionJournal journal_;  ///< The keeper's alone, once that runs.
  bool wanted_ = false;
  bool stopped_ = false;
  std::atomic<bool> stop_called_ = false;  ///< Any thread's.
  ledger::Worker keeper_;                  ///< Writes solutions down. Last: what it does uses the rest.
};

Sv2Link::Sv2Link(Sv2Config config) : driver_(std::make_shared<Driver>(std::move(config))) {}
// NOLINTNEXTLINE(bugprone-exception-escape): only memory running out
Sv2Link::~Sv2Link() { stop(); }
void Sv2Link::start() {
  driver_->post([](Driver& driver) { driver.start(); });
}
void Sv2Link::stop() { driver_->stop(); }
const Sv2Config& Sv2Link::config() const { return driver_->config(); }
const std::string& Sv2Link::name() const { return driver_->name(); }
void Sv2Link::observe(Observer observer) {
  driver_->post([observer = std::move(observer)](Driver& driver) mutable { driver.observe(std::move(observer)); });
}
void Sv2Link::unobserve() { driver_->unobserve(); }
const TemplateStore& Sv2Link::store() const { return driver_->store(); }
void Sv2Link::constrain(CoinbaseConstraints constraints) {
  driver_->post([constraints](Driver& driver) { driver.constrain(constraints); });
}
void Sv2Link::solve(TemplatePtr made, BlockSolution solution) {
  // The template is held until then, so that it is found.
  driver_->post([made = std::move(made), solution = std::move(solution)](Driver& driver) { driver.solve(made, solution); });
}
void Sv2Link::fetch(TemplatePtr made, std::function<void(Result<TemplateSource::Transactions>)> done) {
  driver_->post(
      [made = std::move(made), done = std::move(done)](Driver& driver) mutable { driver.fetch(made, std::move(done)); });
}
void Sv2Link::await_effect(const Hash256& hash, ledger::BlockNode::Done done) {
  driver_->post([hash, done = std::move(done)](Driver& driver) mutable { driver.await_effect(hash, std::move(done)); });
}

}  // namespace adit::templates
