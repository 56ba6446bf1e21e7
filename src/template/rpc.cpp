#include "template/rpc.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include <exception>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "base/backoff.h"
#include "base/hex.h"
#include "log/log.h"
#include "template/block_template.h"
#include "template/journal.h"
#include "template/rpc_client.h"

namespace adit::templates {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;

// Eight million digits of a block's transactions, and room for what a node says about each of them.
constexpr std::size_t kMaxTemplateAnswer = 16 * 1024 * 1024;
// A long poll that answers at once without a new tip is asked again only after this.
constexpr Duration kLongPollPause = std::chrono::seconds(1);
// Blocks on a parent that the node does not know are given up once the chain is this much higher.
constexpr std::uint32_t kHopelessDepth = 6;

Instant steady_now() { return now_from_system().instant; }

SourceStatus::State state_after(const Error& error) {
  const bool needs_somebody = error.is(Errc::kUnauthorized) || error.is(Errc::kWrongNetwork) || error.is(Errc::kNonsense);
  return needs_somebody ? SourceStatus::State::kMisconfigured : SourceStatus::State::kWaiting;
}

/// nullopt: the node may take it later.
std::optional<BlockVerdict> verdict_of(std::string_view reason) {
  if (reason == "duplicate" || reason.find("already have block") != std::string_view::npos)
    return BlockVerdict::kDuplicate;  // The latter is btcd's.
  if (reason == "inconclusive" || reason == "duplicate-inconclusive") return BlockVerdict::kStale;
  if (reason == "prev-blk-not-found")
    return std::nullopt;  // A node that was killed may have lost its newest blocks, and gets them again.
  return BlockVerdict::kRejected;
}

}  // namespace

// Three coroutines on one thread: refresh (which also decides whether the node is there), long poll, and submission of found
// blocks. The mutex guards the status alone.
class RpcSource::Driver {
 public:
  explicit Driver(RpcConfig config) : config_(std::move(config)), client_(config_) {}
  ~Driver() { stop(); }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  Result<> start(SourceEvents events) {
    ADIT_TRY(journal_, BlockJournal::open(config_.journal_folder));
    for (const std::string& file : journal_->unreadable()) log::warn("template.journal_unreadable", {{"file", file}});
    if (!journal_->pending().empty()) log::info("template.journal_kept", {{"blocks", journal_->pending().size()}});
    events_ = std::move(events);
    status_.blocks_unanswered = journal_->pending().size();
    status_.message = "the node at " + config_.host + ":" + std::to_string(config_.port) + " has not been heard of yet";
    spawn(refresh_loop());
    spawn(long_poll_loop());
    spawn(submit_loop());
    thread_ = std::thread([this] { context_.run(); });
    return {};
  }

  void submit(FoundBlock block) {
    asio::post(context_, [this, block = std::move(block)]() mutable { keep(std::move(block)); });
  }

  SourceStatus status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

  // Whatever is under way is dropped with the context; a block that was not answered is in the journal.
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

  // --- Templates.

  asio::awaitable<void> refresh_loop() {
    Backoff backoff(config_.retry_first, config_.retry_cap);
    for (;;) {
      if (auto refreshed = co_await refresh(); refreshed) {
        backoff.reset();
      } else {
        is_there_ = false;
        if (long_poll_) long_poll_->cut();
        change_status(state_after(refreshed.error()), refreshed.error().message());
        refresh_due_ = steady_now() + backoff.next(random_());
      }
      while (steady_now() < refresh_due_) co_await wait_until(refresh_timer_, refresh_due_);
    }
  }

  asio::awaitable<Result<>> refresh() {
    if (!is_there_) ADIT_CO_CHECK(co_await check_network());
    const std::uint64_t published_before = status_.templates;
    ADIT_CO_TRY(NodeTemplate found, co_await block_template("", nullptr));
    const bool overtaken = status_.templates != published_before && found.block_template.prev_hash != prev_hash_;
    if (overtaken) {
      // The long poll was answered meanwhile, with another tip. Which is the newer only a further call can tell.
      refresh_due_ = steady_now();
      co_return Result<>{};
    }
    if (!is_there_) {
      is_there_ = true;
      parked_.clear();
      submit_timer_.cancel();
      long_poll_timer_.cancel();
    }
    publish(std::move(found));
    co_return Result<>{};
  }

  asio::awaitable<Result<>> check_network() {
    ADIT_CO_TRY(const json::value info, co_await client_.call("getblockchaininfo", {}, {.deadline = config_.call_deadline},
                                                              std::make_shared<RpcCall>(context_.get_executor())));
    const json::value* chain = info.is_object() ? info.get_object().if_contains("chain") : nullptr;
    if (chain == nullptr || !chain->is_string())
      co_return fail(Errc::kNonsense, "the node's answer to getblockchaininfo names no chain");
    if (!config_.network) co_return Result<>{};
    const std::string_view name(chain->get_string());
    const auto network = bitcoin::network_from_name(name);
    if (network != config_.network) {
      co_return fail(Errc::kWrongNetwork,
                     "the node is on " + std::string(network ? bitcoin::network_name(*network) : name.substr(0, 40)) +
                         ", but the configuration is for " + std::string(bitcoin::network_name(*config_.network)));
    }
    co_return Result<>{};
  }

  /// With `long_poll_id` the node answers when there is something new.
  asio::awaitable<Result<NodeTemplate>> block_template(std::string long_poll_id, std::shared_ptr<RpcCall> running) {
    json::object request{{"rules", {"segwit"}}, {"capabilities", {"coinbasevalue", "longpoll"}}};
    const bool is_long_poll = !long_poll_id.empty();
    if (is_long_poll) request["longpollid"] = long_poll_id;
    if (!running) running = std::make_shared<RpcCall>(context_.get_executor());
    json::array params;
    params.push_back(std::move(request));
    ADIT_CO_TRY(const json::value answer,
                co_await client_.call(
                    "getblocktemplate", std::move(params),
                    {.deadline = config_.call_deadline, .long_poll = is_long_poll, .max_answer = kMaxTemplateAnswer}, running));
    co_return parse_block_template(answer);
  }

  asio::awaitable<void> long_poll_loop() {
    Backoff backoff(config_.retry_first, config_.retry_cap);
    for (;;) {
      if (!is_there_ || long_poll_id_.empty()) {
        co_await wait_until(long_poll_timer_, Instant::max());
        continue;
      }
      const Instant asked = steady_now();
      long_poll_ = std::make_shared<RpcCall>(context_.get_executor());
      auto found = co_await block_template(long_poll_id_, long_poll_);
      long_poll_.reset();
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
    long_poll_id_ = std::move(found.long_poll_id);
    refresh_due_ = steady_now() + (long_poll_id_.empty() ? config_.poll_every : config_.refresh_every);
    auto made = std::make_shared<Template>(std::move(found.block_template));
    const bool new_tip = last_id_ == 0 || made->prev_hash != prev_hash_;
    made->id = ++last_id_;
    prev_hash_ = made->prev_hash;
    if (new_tip && !parked_.empty()) {
      parked_.clear();
      submit_timer_.cancel();
    }
    {
      const std::lock_guard lock(mutex_);
      status_.height = made->height;
      ++status_.templates;
    }
    change_status(SourceStatus::State::kReady, "");
    events_.on_template(std::move(made), new_tip);
    return new_tip;
  }

  void refresh_now() {
    refresh_due_ = steady_now();
    refresh_timer_.cancel();
  }

  // --- Found blocks.

  void keep(FoundBlock block) {
    const std::string hash = to_hex_reversed(block.hash);
    // A disk that fails must not cost the block: it is submitted all the same.
    if (auto kept = journal_->add(std::move(block)); !kept) {
      log::error("template.journal_failed", {{"hash", hash}, {"message", kept.error().message()}});
    }
    note_unanswered();
    submit_timer_.cancel();
  }

  /// The first that the node may take now; nullptr for none.
  const FoundBlock* next_to_submit() const {
    for (const FoundBlock& block : journal_->pending()) {
      if (!parked_.contains(block.hash)) return &block;
    }
    return nullptr;
  }

  asio::awaitable<void> submit_loop() {
    Backoff backoff(config_.retry_first, config_.retry_cap);
    for (;;) {
      const FoundBlock* next = next_to_submit();
      if (next == nullptr) {
        co_await wait_until(submit_timer_, Instant::max());
        continue;
      }
      const BlockResult about{next->hash, next->height, BlockVerdict::kAccepted, ""};
      json::array params;
      params.push_back(json::string(to_hex(next->bytes)));
      auto answer = co_await client_.call("submitblock", std::move(params), {.deadline = config_.call_deadline},
                                          std::make_shared<RpcCall>(context_.get_executor()));
      const bool answered = judge(about, answer);
      if (answered) {
        backoff.reset();
      } else {
        // Woken early by another block or by the node's return, which are reasons to try again.
        co_await wait_until(submit_timer_, steady_now() + backoff.next(random_()));
      }
    }
  }

  /// True if the node answered, false if the block has to be submitted once more.
  bool judge(BlockResult about, const Result<json::value>& answer) {
    if (!answer) {
      if (!answer.error().is(Errc::kInvalidBlock)) {
        warn_unanswered(about.hash, answer.error().message());
        return false;
      }
      about.verdict = BlockVerdict::kRejected;
      about.reason = answer.error().message();
    } else if (const json::string* reason = answer->if_string()) {
      about.reason = std::string(reason->subview(0, 200));
      const auto verdict = verdict_of(about.reason);
      const std::uint32_t next_height = status_.height;
      if (!verdict && next_height <= about.height + kHopelessDepth) {
        parked_.insert(about.hash);  // Until the tip changes.
        return true;
      }
      about.verdict = verdict.value_or(BlockVerdict::kRejected);
    } else if (!answer->is_null()) {
      warn_unanswered(about.hash, "the node's answer to submitblock makes no sense");
      return false;
    }
    last_warning_.clear();
    if (auto removed = journal_->answered(about.hash, about.verdict); !removed) {
      log::error("template.journal_failed", {{"hash", to_hex_reversed(about.hash)}, {"message", removed.error().message()}});
    }
    {
      const std::lock_guard lock(mutex_);
      const bool ours = about.verdict == BlockVerdict::kAccepted || about.verdict == BlockVerdict::kDuplicate;
      ++(ours ? status_.blocks_accepted : status_.blocks_rejected);
    }
    note_unanswered();
    // A long poll brings the new tip by itself.
    if (about.verdict == BlockVerdict::kAccepted && !long_poll_) refresh_now();
    if (events_.on_block_result) events_.on_block_result(about);
    return true;
  }

  /// Once for each reason, not for each try.
  void warn_unanswered(const Hash256& hash, const std::string& message) {
    if (message == last_warning_) return;
    last_warning_ = message;
    log::warn("template.block_unanswered", {{"hash", to_hex_reversed(hash)}, {"message", message}});
  }

  // --- Status.

  void note_unanswered() {
    const std::lock_guard lock(mutex_);
    status_.blocks_unanswered = journal_->pending().size();
  }

  void change_status(SourceStatus::State state, std::string message) {
    {
      const std::lock_guard lock(mutex_);
      if (status_.state == state && status_.message == message) return;
      status_.state = state;
      status_.message = std::move(message);
    }
    if (events_.on_status) events_.on_status(status());
  }

  const RpcConfig config_;
  SourceEvents events_;
  std::optional<BlockJournal> journal_;  ///< There once started.
  RpcClient client_;
  std::mt19937_64 random_{std::random_device{}()};

  bool is_there_ = false;  ///< The last refresh succeeded.
  Instant refresh_due_{};
  std::string long_poll_id_;  ///< Of the newest template.
  Hash256 prev_hash_{};       ///< Of the newest template.
  std::uint64_t last_id_ = 0;
  std::set<Hash256> parked_;  ///< Pending blocks whose parent the node does not know at this tip.
  std::string last_warning_;  ///< About an unanswered block.

  mutable std::mutex mutex_;
  SourceStatus status_;  ///< Written by the thread alone, so the thread reads it without the mutex.

  asio::io_context context_{1};
  asio::steady_timer refresh_timer_{context_};
  asio::steady_timer long_poll_timer_{context_};
  asio::steady_timer submit_timer_{context_};
  std::shared_ptr<RpcCall> long_poll_;  ///< While one is under way.
  std::thread thread_;
};

RpcSource::RpcSource(RpcConfig config) : driver_(std::make_unique<Driver>(std::move(config))) {}
RpcSource::~RpcSource() = default;
Result<> RpcSource::start(SourceEvents events) { return driver_->start(std::move(events)); }
void RpcSource::submit_block(FoundBlock block) { driver_->submit(std::move(block)); }
SourceStatus RpcSource::status() const { return driver_->status(); }
void RpcSource::stop() { driver_->stop(); }

}  // namespace adit::templates
