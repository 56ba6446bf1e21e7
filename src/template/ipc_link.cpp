#include "template/ipc_link.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>

#include <algorithm>
#include <future>
#include <utility>

namespace adit::templates {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxSolutions = 64;
constexpr std::size_t kMaxReason = 200;

ipc::NodeOptions node_options(const IpcConfig& config) {
  return {.socket_path = config.socket_path,
          .connect_deadline = config.connect_deadline,
          .loading_after = config.loading_after,
          .call_deadline = config.call_deadline,
          .submit_deadline = config.submit_deadline,
          .wait_grace = config.wait_grace};
}

Result<json::value> result_in(const std::string& method, const std::string& answer) {
  boost::system::error_code error;
  const json::value response = json::parse(answer, error);
  const json::object* object = error ? nullptr : response.if_object();
  if (object == nullptr) return fail(Errc::kNonsense, "the node's answer to " + method + " by IPC is no JSON-RPC response");
  if (const json::value* failure = object->if_contains("error"); failure != nullptr && !failure->is_null()) {
    const json::object* details = failure->if_object();
    const json::value* message = details == nullptr ? nullptr : details->if_contains("message");
    const std::string text =
        message != nullptr && message->is_string() ? std::string(message->get_string()) : "an error without a message";
    return fail(Errc::kRefused, "the node refuses " + method + ": " + text.substr(0, kMaxReason));
  }
  const json::value* result = object->if_contains("result");
  if (result == nullptr) return fail(Errc::kNonsense, "the node's answer to " + method + " by IPC has no result");
  return *result;
}

}  // namespace

bool is_misconfigured(const Error& error) {
  return error.is(Errc::kWrongNetwork) || error.is(Errc::kNonsense) || error.is(ipc::Errc::kForbidden) ||
         error.is(ipc::Errc::kUnsafe) || error.is(ipc::Errc::kPath) || error.is(ipc::Errc::kNotANode) ||
         error.is(ipc::Errc::kTooOld) || error.is(ipc::Errc::kNonsense);
}

IpcLink::IpcLink(IpcConfig config)
    : config_(std::move(config)),
      backoff_(config_.retry_first, config_.retry_cap),
      node_(node_options(config_), {.on_loading =
                                        [this] {
                                          if (observer_.on_waiting)
                                            observer_.on_waiting("the node at " + name() + " is loading its chain");
                                        },
                                    .on_ready = [this](const ipc::NodeFacts& facts) { on_ready(facts); },
                                    .on_lost = [this](const Error& error) { on_lost(error); }}) {}

IpcLink::~IpcLink() { stop(); }

Result<> IpcLink::start() {
  const std::lock_guard lock(starting_);
  if (!started_) {
    started_ = node_.start();
    if (*started_) node_.connect();
  }
  return *started_;
}

void IpcLink::stop() { node_.stop(); }

void IpcLink::observe(Observer observer) {
  node_.post([this, observer = std::move(observer)]() mutable {
    observer_ = std::move(observer);
    if (info_) {
      observer_.on_there(*info_);
    } else if (last_error_) {
      observer_.on_away(*last_error_);
    }
  });
}

void IpcLink::unobserve() {
  auto done = std::make_shared<std::promise<void>>();
  const auto is_done = done->get_future();
  // Where the thread has ended the promise is dropped with this, and the wait is over too.
  node_.post([this, done = std::move(done)] {
    observer_ = {};
    done->set_value();
  });
  is_done.wait();
}

void IpcLink::on_ready(const ipc::NodeFacts& facts) {
  Info found;
  found.has_rpc = facts.has_rpc;
  node_.is_test_chain([this, found](Result<bool> is_test) mutable {
    if (!is_test) return give_up(is_test.error());
    found.is_test_chain = *is_test;
    look_at_chain(found);
  });
}

void IpcLink::look_at_chain(const Info& found) {
  if (!found.has_rpc) {
    Info info = found;
    if (!info.is_test_chain) info.chain = "main";
    if (config_.network && (*config_.network == bitcoin::Network::kMainnet) == info.is_test_chain) {
      return give_up({Errc::kWrongNetwork, "the node is on " + std::string(info.is_test_chain ? "a test network" : "mainnet") +
                                               ", but the configuration is for " +
                                               std::string(bitcoin::network_name(*config_.network))});
    }
    return there(info);
  }
  rpc("getblockchaininfo", {}, [this, found](Result<json::value> answer) {
    if (!answer) return give_up(answer.error());
    auto chain = parse_chain_info(*answer);
    if (!chain) return give_up(chain.error());
    if (auto right = check_network(*chain, config_.network); !right) return give_up(right.error());
    Info info = found;
    info.chain = chain->chain;
    if (const json::value* challenge = answer->as_object().if_contains("signet_challenge");
        challenge != nullptr && challenge->is_string()) {
      if (const auto bytes = from_hex(challenge->get_string())) info.caution = signet_caution(*bytes);
    }
    look_at_relay(info);
  });
}

void IpcLink::look_at_relay(const Info& found) {
  rpc("getnetworkinfo", {}, [this, found](Result<json::value> answer) {
    Info info = found;
    // A node that may not tell is none the worse.
    if (answer && info.caution.empty()) info.caution = relay_caution(*answer);
    there(info);
  });
}

void IpcLink::there(const Info& found) {
  info_ = found;
  last_error_.reset();
  backoff_.reset();
  if (observer_.on_there) observer_.on_there(*info_);
}

void IpcLink::on_lost(const Error& error) {
  away(error);
  connect_later(error);
}

void IpcLink::give_up(const Error& error) {
  // A connection that is gone tells of itself.
  if (error.is(ipc::Errc::kLost)) return;
  node_.disconnect();
  away(error);
  connect_later(error);
}

void IpcLink::away(const Error& error) {
  info_.reset();
  held_.clear();
  last_error_ = error;
  if (observer_.on_away) observer_.on_away(error);
}

void IpcLink::connect_later(const Error& after) {
  const Duration wait = is_misconfigured(after) ? config_.retry_misconfigured : backoff_.next(random_());
  node_.post_after(wait, [this, attempt = ++attempt_] {
    if (attempt == attempt_) node_.connect();
  });
}

void IpcLink::hold(TemplateId id, ipc::TemplateHandle handle, std::weak_ptr<const Template> given) {
  std::erase_if(held_, [](const auto& one) { return one.second.given.expired(); });
  held_[id] = {std::move(handle), std::move(given)};
  while (held_.size() > kMaxHeld) held_.erase(held_.begin());
}

ipc::TemplateHandle IpcLink::held(TemplateId id) const {
  const auto found = held_.find(id);
  return found == held_.end() ? nullptr : found->second.handle;
}

IpcLink::Solution* IpcLink::find_solution(const Hash256& hash) {
  const auto found = std::ranges::find(solutions_, hash, &Solution::hash);
  return found == solutions_.end() ? nullptr : &*found;
}

void IpcLink::solve(const Hash256& hash, TemplateId id, BlockSolution solution) {
  const ipc::TemplateHandle handle = held(id);
  if (handle == nullptr) return;  // The whole block goes there all the same.
  if (solutions_.size() >= kMaxSolutions) {
    const Solution oldest = std::move(solutions_.front());
    solutions_.erase(solutions_.begin());
    for (const Solved& tell : oldest.waiting) tell(fail(ipc::Errc::kTimedOut, "the node has not answered the solution"));
  }
  solutions_.push_back({hash, std::nullopt, {}});
  node_.submit_solution(handle, std::move(solution), [this, hash](Result<ipc::Submitted> answer) {
    Solution* const solved = find_solution(hash);
    if (solved == nullptr) return;
    solved->answer = answer;
    for (const Solved& tell : std::exchange(solved->waiting, {})) tell(answer);
  });
}

bool IpcLink::when_solved(const Hash256& hash, Solved done) {
  Solution* const solved = find_solution(hash);
  if (solved == nullptr) return false;
  if (solved->answer) {
    const Result<ipc::Submitted> answer = *solved->answer;
    done(answer);
  } else {
    solved->waiting.push_back(std::move(done));
  }
  return true;
}

void IpcLink::rpc(std::string method, json::array params, std::function<void(Result<json::value>)> done) {
  std::string request = json::serialize(json::object{{"method", method}, {"params", std::move(params)}, {"id", 1}});
  node_.rpc(std::move(request), [method = std::move(method), done = std::move(done)](Result<std::string> answer) {
    if (!answer) return done(fail(std::move(answer.error())));
    done(result_in(method, *answer));
  });
}

}  // namespace adit::templates
