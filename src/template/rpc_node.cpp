#include "template/rpc_node.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/string.hpp>

#include <exception>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/hex.h"
#include "template/error.h"
#include "template/rpc_line.h"

namespace adit::templates {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using ledger::BlockVerdict;
using ledger::NodeAnswer;

// Lines with a descriptor each beside the one whose connection is kept open. More are made when they are needed.
constexpr std::size_t kSpareLines = 3;
constexpr std::size_t kMaxReason = 200;

/// nullopt: the node may take it later.
std::optional<BlockVerdict> verdict_of(std::string_view reason) {
  if (reason == "duplicate" || reason.find("already have block") != std::string_view::npos)
    return BlockVerdict::kDuplicate;  // The latter is btcd's.
  if (reason == "inconclusive" || reason == "duplicate-inconclusive") return BlockVerdict::kStale;
  if (reason == "prev-blk-not-found")
    return std::nullopt;  // A node that was killed may have lost its newest blocks, and gets them again.
  return BlockVerdict::kRejected;
}

/// What submitblock's answer means (BIP22): null, or the reason why not.
Result<NodeAnswer> judge(Result<json::value> answer) {
  if (!answer) {
    if (answer.error().is(Errc::kInvalidBlock)) return NodeAnswer{BlockVerdict::kRejected, answer.error().message()};
    return fail(std::move(answer.error()));
  }
  if (answer->is_null()) return NodeAnswer{BlockVerdict::kAccepted, ""};
  const json::string* text = answer->if_string();
  if (text == nullptr) return fail(Errc::kNonsense, "the node's answer to submitblock makes no sense");
  std::string reason(text->subview(0, kMaxReason));
  const auto verdict = verdict_of(reason);
  if (!verdict) return fail(Errc::kRefused, "the node does not know the block's parent (yet): " + reason);
  return NodeAnswer{*verdict, std::move(reason)};
}

}  // namespace

class RpcNode::Driver {
 public:
  Driver(RpcConfig config, bool gives_templates)
      : config_(std::move(config)), name_(node_name(config_)), gives_templates_(gives_templates) {}
  ~Driver() { stop(); }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  void start() {
    for (std::size_t i = 0; i < 1 + kSpareLines; ++i) add_line().line->reserve();
    preferring_->reserve();
    spawn(keep_warm());
    thread_ = std::thread([this] { context_.run(); });
  }

  void stop() {
    context_.stop();
    if (thread_.joinable()) thread_.join();
  }

  void submit(ledger::BlockPtr block, Done done) {
    asio::post(context_, [this, block = std::move(block), done = std::move(done)]() mutable {
      spawn(attempt(std::move(block), std::move(done)));
    });
  }

  void prefer(const ledger::Hash256& hash) {
    asio::post(context_, [this, hash] {
      // The newest one is what matters.
      to_prefer_ = hash;
      if (!std::exchange(is_preferring_, true)) spawn(prefer_newest());
    });
  }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool gives_templates() const { return gives_templates_; }

 private:
  struct Line {
    std::shared_ptr<RpcLine> line;
    bool busy = false;
  };

  void spawn(asio::awaitable<void> what) {
    asio::co_spawn(context_, std::move(what), [](const std::exception_ptr& defect) {
      if (defect) std::rethrow_exception(defect);  // Only memory running out: end the process as any thread would.
    });
  }

  Line& add_line() { return *lines_.emplace_back(std::make_unique<Line>(RpcLine::make(context_.get_executor(), config_))); }

  /// The first is the one whose connection is kept open.
  Line& free_line() {
    for (const auto& line : lines_) {
      if (!line->busy) return *line;
    }
    return add_line();
  }

  asio::awaitable<void> attempt(ledger::BlockPtr given, Done to_tell) {
    const ledger::BlockPtr block = std::move(given);
    const Done done = std::move(to_tell);
    Line& line = free_line();
    line.busy = true;
    auto answer = judge(co_await line.line->submit_block(
        block->hex(), block, {.deadline = config_.submit_deadline, .keep_open = &line == lines_.front().get()}));
    line.busy = false;
    give_back(line);
    done(std::move(answer));
  }

  /// Of the lines that came on top, none is kept.
  void give_back(const Line& line) {
    if (lines_.size() <= 1 + kSpareLines) return;
    std::erase_if(lines_, [&](const auto& one) { return one.get() == &line && one != lines_.front(); });
  }

  asio::awaitable<void> keep_warm() {
    asio::steady_timer timer(context_);
    for (;;) {
      Line& first = *lines_.front();
      Duration wait = config_.keep_warm_every;
      if (!first.busy) {
        first.busy = true;
        // Any answer will do.
        (void)co_await first.line->call("getbestblockhash", {}, {.deadline = config_.call_deadline, .keep_open = true});
        first.busy = false;
        for (const auto& line : lines_) line->line->reserve_as(*first.line);
        preferring_->reserve_as(*first.line);
        if (!first.line->connected()) wait = std::min(wait, config_.retry_cap);
      }
      timer.expires_after(wait);
      co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
  }

  asio::awaitable<void> prefer_newest() {
    while (const auto hash = std::exchange(to_prefer_, std::nullopt)) {
      json::array params;
      params.emplace_back(to_hex_reversed(*hash));
      (void)co_await preferring_->call("preciousblock", std::move(params), {.deadline = config_.call_deadline});
    }
    is_preferring_ = false;
  }

  const RpcConfig config_;
  const std::string name_;
  const bool gives_templates_;
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
  std::vector<std::unique_ptr<Line>> lines_;
  const std::shared_ptr<RpcLine> preferring_ = RpcLine::make(context_.get_executor(), config_);
  std::optional<ledger::Hash256> to_prefer_;
  bool is_preferring_ = false;
  std::thread thread_;
};

RpcNode::RpcNode(RpcConfig config, bool gives_templates)
    : driver_(std::make_unique<Driver>(std::move(config), gives_templates)) {}
RpcNode::~RpcNode() = default;
const std::string& RpcNode::name() const { return driver_->name(); }
bool RpcNode::gives_templates() const { return driver_->gives_templates(); }
void RpcNode::submit(ledger::BlockPtr block, Done done) { driver_->submit(std::move(block), std::move(done)); }
void RpcNode::prefer(const ledger::Hash256& hash) { driver_->prefer(hash); }
void RpcNode::start() { driver_->start(); }
void RpcNode::stop() { driver_->stop(); }

}  // namespace adit::templates
