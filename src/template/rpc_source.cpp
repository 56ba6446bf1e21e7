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
#include "log/log.h"
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
// How long a node waits for its chain to grow before it answers.
constexpr std::int64_t kHeightWaitMs = 60'000;

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
        told_empty_ = false;  // What comes next tells that it is there again.
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
    const bool is_back = !is_there_;
    if (is_back) {
      is_there_ = true;
      long_poll_timer_.cancel();
    }
    publish(std::move(found), is_back);
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
    watches_tip_ = config_.empty_first;
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
      if (!is_there_ || (long_poll_id_.empty() && !watches_tip_)) {
        co_await wait_until(long_poll_timer_, Instant::max());
        continue;
      }
      if (watches_tip_) {
        co_await watch_tip(backoff);
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

  /// Waits for a block after the newest template's tip, and tells an empty template on it; the refresh has the full one.
  asio::awaitable<void> watch_tip(Backoff& backoff) {
    const Instant asked = steady_now();
    const TemplatePtr before = newest_;
    long_polling_ = true;
    const auto tip = co_await tip_from(before->height);
    long_polling_ = false;
    if (!is_there_) co_return;
    if (!tip) {
      if (tip.error().is(Errc::kRefused) || tip.error().is(Errc::kUnauthorized)) {
        watches_tip_ = false;
        log::warn("template.empty_first_unavailable", {{"node", node_name(config_)}, {"message", tip.error().message()}});
        co_return;
      }
      // The refresh finds out what it means, and tells.
      refresh_now();
      co_return co_await wait_until(long_poll_timer_, steady_now() + backoff.next(random_()));
    }
    backoff.reset();
    const bool is_told = *tip && (*tip)->hash == newest_->prev_hash;
    if (is_told && newest_ != before) co_return;
    if (*tip && !is_told) {
      if (auto empty = empty_template_after(**tip, *newest_, subsidy_, chain_, now_from_system())) {
        publish(std::move(*empty));
        refresh_now();
        co_return;
      }
      refresh_now();
    }
    // A template ends the pause.
    if (steady_now() - asked < kLongPollPause || *tip) co_await wait_until(long_poll_timer_, steady_now() + kLongPollPause);
  }

  /// The newest block of the node's chain, once it has that height; nullopt if it took too long, or if the block is none of the
  /// chain any more.
  asio::awaitable<Result<std::optional<TipHeader>>> tip_from(std::uint32_t height) {
    // Not as braces in the call, which GCC 12 does not take in a coroutine.
    json::array until_height{height, kHeightWaitMs};
    ADIT_CO_TRY(const json::value grown,
                co_await long_poll_line_->call("waitforblockheight", std::move(until_height),
                                               {.deadline = config_.call_deadline, .long_poll = true}));
    const auto reached = integer_in(grown, "height");
    const json::object* object = grown.if_object();
    const json::value* hash = object == nullptr ? nullptr : object->if_contains("hash");
    if (!reached || hash == nullptr || !hash->is_string())
      co_return fail(Errc::kNonsense, "the node's answer to waitforblockheight names no block");
    if (*reached < height) co_return std::nullopt;
    json::array of_hash;
    of_hash.push_back(*hash);
    ADIT_CO_TRY(const json::value header,
                co_await long_poll_line_->call("getblockheader", std::move(of_hash), {.deadline = config_.call_deadline}));
    co_return parse_tip_header(header);
  }

  /// Tells it if it is news, or if `is_back`: what is told then says that the node is there again. True: it is on a new tip.
  bool publish(NodeTemplate found, bool is_back = false) {
    const Now now = now_from_system();
    if (!found.is_made_here) long_poll_id_ = std::move(found.long_poll_id);
    refresh_due_ =
        now.instant + (long_poll_id_.empty() ? config_.poll_every : std::min(config_.fees_every, config_.refresh_every));
    auto made = std::make_shared<Template>(std::move(found.block_template));
    const bool new_tip = !prev_hash_ || made->prev_hash != *prev_hash_ || made->nbits != nbits_;
    const bool is_due = newest_ == nullptr || now.instant - told_at_ >= config_.refresh_every ||
                        made->coinbase_value_sat > newest_->coinbase_value_sat + config_.fee_threshold_sat;
    // Behind an empty template that was made here the node's own is news as soon as there is something in it.
    const bool is_news = new_tip || is_back || (told_empty_ ? !made->transactions.empty() : is_due);
    told_empty_ = found.is_made_here;
    if (!found.is_made_here) subsidy_ = found.subsidy_sat;
    if (const auto tip_time = tip_time_of(*made)) {
      // Other bits hold from a certain second of the node's clock on: it is asked then.
      const auto change = bits_change_at(*made, *tip_time);
      if (change && *change > found.node_time) {
        refresh_due_ = std::min(refresh_due_, now.instant + std::chrono::seconds(*change - found.node_time));
      }
    }
    if (!is_news) return false;
    made->id = events_.next_template_id ? events_.next_template_id() : ++last_id_;
    prev_hash_ = made->prev_hash;
    nbits_ = made->nbits;
    const auto clock_ahead =
        found.is_made_here ? board_.status().clock_ahead : clock_.note(found.node_time, made->min_ntime, now);
    std::string caution = found.signet_challenge ? signet_caution(*found.signet_challenge) : "";
    if (caution.empty()) caution = caution_;
    board_.note_template(*made, clock_ahead, now.instant);
    told_at_ = now.instant;
    store_.add(made, new_tip, now.instant);
    newest_ = made;
    if (watches_tip_ && new_tip) long_poll_timer_.cancel();
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
  Instant told_at_{};     ///< When the newest template was told.
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
  TemplatePtr newest_;                    ///< Null before the first.
  bool watches_tip_ = false;              ///< Empty templates come first, and the node lets itself be asked for its height.
  bool told_empty_ = false;               ///< The newest template was made here.
  std::optional<std::uint64_t> subsidy_;  ///< Of the newest template of the node's, if it is known.

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
