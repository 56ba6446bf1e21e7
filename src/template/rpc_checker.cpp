#include "template/rpc_checker.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include <array>
#include <exception>
#include <string>
#include <thread>
#include <utility>

#include "base/hex.h"
#include "template/error.h"
#include "template/rpc_line.h"

namespace adit::templates {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using declaration::BlockCheck;
using declaration::CheckAnswer;

constexpr std::size_t kMaxReason = 200;

/// What the answer to a proposal means (BIP23): null, or the reason why not.
CheckAnswer judge(const Result<json::value>& answer) {
  if (!answer) {
    // A block that the node cannot even read is none.
    const bool is_block = !answer.error().is(Errc::kInvalidBlock);
    return {is_block ? BlockCheck::kFailed : BlockCheck::kInvalid, answer.error().message()};
  }
  if (answer->is_null()) return {BlockCheck::kValid, {}};
  const json::string* text = answer->if_string();
  if (text == nullptr) return {BlockCheck::kFailed, "the node's answer to a proposed block makes no sense"};
  std::string reason(text->subview(0, kMaxReason));
  return {declaration::judge_reason(reason), std::move(reason)};
}

json::array proposal(const std::vector<std::uint8_t>& block) {
  json::object request;
  request["mode"] = "proposal";
  request["data"] = to_hex(block);
  request["rules"] = json::array{"segwit"};
  json::array params;
  params.emplace_back(std::move(request));
  return params;
}

}  // namespace

class RpcChecker::Driver {
 public:
  explicit Driver(RpcConfig config) : config_(std::move(config)) {}
  ~Driver() { stop(); }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  void start() {
    for (Line& one : lines_) one.line = RpcLine::make(context_.get_executor(), config_);
    thread_ = std::thread([this] { context_.run(); });
  }

  void stop() {
    context_.stop();
    if (thread_.joinable()) thread_.join();
  }

  void check(std::vector<std::uint8_t> block, Done done) {
    asio::post(context_, [this, block = std::move(block), done = std::move(done)]() mutable {
      asio::co_spawn(context_, ask(std::move(block), std::move(done)), [](const std::exception_ptr& defect) {
        if (defect) std::rethrow_exception(defect);  // Only memory running out: end the process as any thread would.
      });
    });
  }

 private:
  struct Line {
    std::shared_ptr<RpcLine> line;
    bool busy = false;
  };

  asio::awaitable<void> ask(std::vector<std::uint8_t> given, Done to_tell) {
    const Done done = std::move(to_tell);
    Line* free = nullptr;
    for (Line& one : lines_) {
      if (!one.busy) free = &one;
    }
    if (free == nullptr) {
      done({BlockCheck::kFailed, "more checks at once than this node is given"});
      co_return;
    }
    free->busy = true;
    auto params = proposal(given);
    given = {};
    const auto answer = co_await free->line->call("getblocktemplate", std::move(params),
                                                  {.deadline = config_.submit_deadline, .keep_open = true});
    free->busy = false;
    done(judge(answer));
  }

  const RpcConfig config_;
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
  std::array<Line, kLines> lines_;
  std::thread thread_;
};

RpcChecker::RpcChecker(RpcConfig config) : driver_(std::make_unique<Driver>(std::move(config))) {}
RpcChecker::~RpcChecker() = default;
void RpcChecker::check(std::vector<std::uint8_t> block, Done done) { driver_->check(std::move(block), std::move(done)); }
void RpcChecker::start() { driver_->start(); }
void RpcChecker::stop() { driver_->stop(); }

}  // namespace adit::templates
