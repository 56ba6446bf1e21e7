#include "template/rpc_source.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/object.hpp>

#include <exception>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "base/backoff.h"
#include "base/hex.h"
#include "template/block_template.h"
#include "template/node_clock.h"
#include "template/node_info.h"
#include "template/rpc_line.h"
#include "template/status_board.h"
#include "template/template_store.h"

namespace adit::templates {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;

// Eight million digits of a block's transactions, and room for what a node says about each of them.
constexpr std::size_t kMaxTemplateAnswer = 16 * 1024 * 1024;
// A long poll that answers at once without a new tip is asked again only after this.
constexpr Duration kLongPollPause = std::chrono::seconds(1);

Instant steady_now() { return now_from_system().instant; }

SourceState state_after(const Error& error) {
  const bool needs_somebody = error.is(Errc::kUnauthorized) || error.is(Errc::kUnreadable) || error.is(Errc::kWrongNetwork) ||
                              error.is(Errc::kNonsense);
  return needs_somebody ? SourceState::kMisconfigured : SourceState::kWaiting;
}

}  // namespace

// Two coroutines on one thread: refresh (which also decides whether the node is there) and long poll. The mutex guards the
// constraints.
class RpcSource::Driver {
 public:
  Driver(RpcConfig config, ledger::BlockSubmitter& blocks) : config_(std::move(config)), blocks_(blocks) {}
  ~Driver() { stop(); }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  Result<> start(SourceEvents events) {
    events_ = std::move(events);
    board_.start(node_name(config_), steady_now());
    spawn(refresh_loop());
    spawn(long_poll_loop());
    thread_ = std::thread([this] { context_.run(); });
    return {};
  }

  Result<> submit(TemplateId id, BlockSolution solution) {
    ADIT_TRY(const TemplatePtr made, store_.find(id));
    ADIT_TRY(const bitcoin::BlockHeader header, bitcoin::solved_header(*made, solution));
    return blocks_.submit(header.hash(), made->height,
                          [made, solution = std::move(solution)] { return bitcoin::assemble_block(*made, solution); });
  }

  void constrain(CoinbaseConstraints constraints) {
    {
      const std::lock_guard lock(mutex_);
      constraints_ = constraints;
    }
    asio::post(context_, [this] {
      if (is_there_) refresh_now();
    });
  }

  const TemplateStore& store() const { return store_; }

  SourceStatus status() const { return board_.status(); }

  // Whatever is under way is dropped with the context.
  void stop() {
    context_.stop();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void spawn(asio::awaitable<void> loop) {
    asio::co_spawn(context_, std::move(loop), [](const std::exception_ptr& defect) {
      if (defect) std::rethrow_exception(defect);  // Only memory running out: end the process as any thread would.
    });
  }

  asio::awaitable<void> wait_until(asio::steady_timer& timer, Instant when) {
    timer.expires_at(when);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }

  asio::awaitable<void> refresh_loop() {
    Backoff backoff(config_.retry_first, config_.retry_cap);
    for (;;) {
      if (auto refreshed = co_await refresh(); refreshed) {
        backoff.reset();
      } else {
        is_there_ = false;
        if (long_polling_) long_poll_line_->cut();
        change_status(state_after(refreshed.error()), refreshed.error().message() + progress_);
        refresh_due_ = steady_now() + backoff.next(random_());
      }
      while (steady_now() < refresh_due_) co_await wait_until(refresh_timer_, refresh_due_);
    }
  }

  asio::awaitable<Result<>> refresh() {
    progress_.clear();
    if (!is_there_) {
      ADIT_CO_CHECK(co_await look_at_node());
    } else if (steady_now() - looked_at_ >= config_.look_every) {
      ADIT_CO_TRY(const ChainInfo chain, co_await chain_info());
      ADIT_CO_CHECK(judge_progress(chain));
    }
    const std::uint64_t published_before = board_.templates();
    ADIT_CO_TRY(NodeTemplate found, co_await block_template("", *refresh_line_));
    const bool overtaken = board_.templates() != published_before && found.block_template.prev_hash != prev_hash_;
    if (overtaken) {
      // The long poll was answered meanwhile, with another tip. Which is the newer only a further call can tell.
      refresh_due_ = steady_now();
      co_return Result<>{};
    }
    if (!is_there_) {
      is_there_ = true;
      long_poll_timer_.cancel();
    }
    publish(std::move(found));
    co_return Result<>{};
  }

  asio::awaitable<Result<ChainInfo>> chain_info() {
    ADIT_CO_TRY(const json::value info,
                co_await refresh_line_->call("getblockchaininfo", {}, {.deadline = config_.call_deadline}));
    looked_at_ = steady_now();
    co_return parse_chain_info(info);
  }

  /// A node that lacks blocks for long, as it cannot get or take them, gives templates that nobody wants solved.
  Result<> judge_progress(const ChainInfo& chain) {
    if (!is_behind(chain)) {
      behind_since_.reset();
      return {};
    }
    if (!behind_since_) behind_since_ = steady_now();
    if (steady_now() - *behind_since_ < config_.behind_after) return {};
    progress_ = progress_of(chain);
    return fail(Errc::kInitialDownload, "the node at " + node_name(config_) +
                                            " is behind the chain, and its templates are on an old tip: look after its peers, "
                                            "its disk and its log");
  }

  /// Which chain the node is on, how far it is, and what its configuration costs.
  asio::awaitable<Result<>> look_at_node() {
    ADIT_CO_TRY(const ChainInfo chain, co_await chain_info());
    progress_ = progress_of(chain);
    chain_ = chain.chain;
    ADIT_CO_CHECK(check_network(chain, config_.network));
    ADIT_CO_CHECK(judge_progress(chain));
    // A node that may not tell is none the worse.
    const auto relay = co_await refresh_line_->call("getnetworkinfo", {}, {.deadline = config_.call_deadline});
    caution_ = relay ? relay_caution(*relay) : "";
    co_return Result<>{};
  }

  /// With `long_poll_id` the node answers when there is something new.
  asio::awaitable<Result<NodeTemplate>> block_template(std::string long_poll_id, RpcLine& line) {
    json::array rules{"segwit"};
    if (chain_ == "signet") rules.push_back("signet");
    json::object request{{"rules", std::move(rules)}, {"capabilities", {"coinbasevalue", "longpoll"}}};
    const bool is_long_poll = !long_poll_id.empty();
    if (is_long_poll) request["longpollid"] = long_poll_id;
    json::array params;
    params.push_back(std::move(request));
    ADIT_CO_TRY(
        const json::value answer,
        co_await line.call("getblocktemplate", std::move(params),
                           {.deadline = config_.call_deadline, .long_poll = is_long_poll, .max_answer = kMaxTemplateAnswer}));
    ADIT_CO_TRY(NodeTemplate found, parse_block_template(answer, constraints()));
    if (has_min_difficulty_blocks(chain_)) {
      co_await find_tip_time(found.block_template.prev_hash, line);
      bound_to_min_difficulty(found.block_template, tip_time_of(found.block_template));
    }
    co_return found;
  }

  /// A node that does not tell leaves it unknown, which costs precision alone.
  asio::awaitable<void> find_tip_time(Hash256 tip, RpcLine& line) {
    if (tip_time_ && tip_time_->first == tip) co_return;
    json::array params;
    params.emplace_back(to_hex_reversed(tip));
    const auto header = co_await line.call("getblockheader", std::move(params), {.deadline = config_.call_deadline});
    const auto time = header ? integer_in(*header, "time") : std::nullopt;
    if (time && *time >= 0 && *time <= UINT32_MAX) tip_time_ = {tip, static_cast<std::uint32_t>(*time)};
  }

  std::optional<std::uint32_t> tip_time_of(const Template& made) const {
    return tip_time_ && tip_time_->first == made.prev_hash ? std::optional(tip_time_->second) : std::nullopt;
  }

  asio::awaitable<void> long_poll_loop() {
    Backoff backoff(config_.retry_first, config_.retry_cap);
    for (;;) {
      if (!is_there_ || long_poll_id_.empty()) {
        co_await wait_until(long_poll_timer_, Instant::max());
        continue;
      }
      const Instant asked = steady_now();
      long_polling_ = true;
      auto found = co_await block_template(long_poll_id_, *long_poll_line_);
      long_polling_ = false;
      if (!found) {
        // The refresh finds out what it means, and tells.
        refresh_now();
        co_await wait_until(long_poll_timer_, steady_now() + backoff.next(random_()));
        continue;
      }
      backoff.reset();
      if (!is_there_) continue;
      const bool new_tip = publish(std::move(*found));
      if (!new_tip && steady_now() - asked < kLongPollPause) co_await wait_until(long_poll_timer_, asked + kLongPollPause);
    }
  }

  bool publish(NodeTemplate found) {
    const Now now = now_from_system();
    long_poll_id_ = std::move(found.long_poll_id);
    refresh_due_ = now.instant + (long_poll_id_.empty() ? config_.poll_every : config_.refresh_every);
    auto made = std::make_shared<Template>(std::move(found.block_template));
    const bool new_tip = !prev_hash_ || made->prev_hash != *prev_hash_ || made->nbits != nbits_;
    made->id = events_.next_template_id ? events_.next_template_id() : ++last_id_;
    prev_hash_ = made->prev_hash;
    nbits_ = made->nbits;
    if (const auto tip_time = tip_time_of(*made)) {
      // Other bits hold from a certain second of the node's clock on: it is asked then.
      const auto change = bits_change_at(*made, *tip_time);
      if (change && *change > found.node_time) {
        refresh_due_ = std::min(refresh_due_, now.instant + std::chrono::seconds(*change - found.node_time));
      }
    }
    const auto clock_ahead = clock_.note(found.node_time, made->min_ntime, now);
    std::string caution = found.signet_challenge ? signet_caution(*found.signet_challenge) : "";
    if (caution.empty()) caution = caution_;
    board_.note_template(made->height, clock_ahead, now.instant);
    store_.add(made, new_tip, now.instant);
    change_status(SourceState::kReady, std::move(caution));
    events_.on_template(std::move(made), new_tip);
    return new_tip;
  }

  void refresh_now() {
    refresh_due_ = steady_now();
    refresh_timer_.cancel();
  }

  CoinbaseConstraints constraints() const {
    const std::lock_guard lock(mutex_);
    return constraints_;
  }

  void change_status(SourceState state, std::string message) {
    if (board_.change(state, std::move(message), steady_now()) && events_.on_status) events_.on_status(status());
  }

  const RpcConfig config_;
  ledger::BlockSubmitter& blocks_;
  SourceEvents events_;
  TemplateStore store_;
  NodeClock clock_{node_name(config_)};
  std::mt19937_64 random_{std::random_device{}()};

  bool is_there_ = false;  ///< The last refresh succeeded.
  bool long_polling_ = false;
  Instant refresh_due_{};
  std::string chain_;     ///< As the node calls it: "main", "testnet4", ...
  std::string progress_;  ///< How far the node is, behind an error's sentence; empty once it has the chain.
  Instant looked_at_{};   ///< At what the node says of its chain.
  std::optional<Instant> behind_since_;
  std::string caution_;                                        ///< What is to be known of a node that gives templates.
  std::string long_poll_id_;                                   ///< Of the newest template.
  std::optional<Hash256> prev_hash_;                           ///< Of the newest template.
  std::uint32_t nbits_ = 0;                                    ///< Likewise.
  std::optional<std::pair<Hash256, std::uint32_t>> tip_time_;  ///< A block and its header's time.
  TemplateId last_id_ = 0;

  StatusBoard board_;
  mutable std::mutex mutex_;
  CoinbaseConstraints constraints_;

  asio::io_context context_{1};
  const std::shared_ptr<RpcLine> refresh_line_ = RpcLine::make(context_.get_executor(), config_);
  const std::shared_ptr<RpcLine> long_poll_line_ = RpcLine::make(context_.get_executor(), config_);
  asio::steady_timer refresh_timer_{context_};
  asio::steady_timer long_poll_timer_{context_};
  std::thread thread_;
};

RpcSource::RpcSource(RpcConfig config, ledger::BlockSubmitter& blocks)
    : driver_(std::make_unique<Driver>(std::move(config), blocks)) {}
RpcSource::~RpcSource() = default;
Result<> RpcSource::start(SourceEvents events) { return driver_->start(std::move(events)); }
Result<> RpcSource::submit(TemplateId id, BlockSolution solution) { return driver_->submit(id, std::move(solution)); }
void RpcSource::constrain(CoinbaseConstraints constraints) { driver_->constrain(constraints); }
void RpcSource::transactions(TemplateId id, std::function<void(Result<Transactions>)> done) {
  driver_->store().transactions(id, done);
}
SourceStatus RpcSource::status() const { return driver_->status(); }
void RpcSource::stop() { driver_->stop(); }

}  // namespace adit::templates
