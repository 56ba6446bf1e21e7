#include "cli/ping_node.h"

#include "net/error.h"

#ifdef ADIT_HAS_IPC

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "bitcoin/block.h"
#include "ipc/node.h"
#include "template/ipc_template.h"

namespace adit::cli {
namespace {

/// Connecting has the deadline to itself, and tells when it passes.
constexpr Duration kLoadingGrace = std::chrono::seconds(1);

Instant now() { return now_from_system().instant; }

/// Makes a call and waits for its answer.
template <class T>
Result<T> ask(const std::function<void(ipc::Node::Done<T>)>& call) {
  const auto answer = std::make_shared<std::promise<Result<T>>>();
  auto answered = answer->get_future();
  call([answer](Result<T> result) { answer->set_value(std::move(result)); });
  return answered.get();
}

/// Which chain, and how far. Empty where the node does not say.
std::optional<templates::ChainInfo> chain_of(ipc::Node& node) {
  const auto answer =
      ask<std::string>([&](const auto& done) { node.rpc(R"({"method":"getblockchaininfo","params":[],"id":1})", done); });
  boost::system::error_code error;
  const auto response = boost::json::parse(answer ? *answer : "", error);
  const auto* result = error || !response.is_object() ? nullptr : response.get_object().if_contains("result");
  const auto info = result == nullptr ? Result<templates::ChainInfo>(fail(net::Errc::kUnsupported, ""))
                                      : templates::parse_chain_info(*result);
  return info ? std::optional(*info) : std::nullopt;
}

Result<> look_at_template(ipc::Node& node, const IpcQuestions& questions, IpcReport& report) {
  const Instant begun = now();
  ADIT_TRY(const ipc::TemplateData made, ask<ipc::TemplateData>([&](const auto& done) {
             node.create_template({.cooldown = false, .deadline = questions.deadline}, done);
           }));
  const Instant read = now();
  report.template_after = read - begun;
  report.height = templates::height_in(made.coinbase.script_prefix).value_or(0);
  report.value_sat = made.coinbase.value_sat;
  report.clock_ahead =
      std::chrono::seconds(std::int64_t{made.header.ntime} - std::int64_t{to_u32(now_from_system().unix_time)});
  if (!questions.block) return {};
  ADIT_TRY(const std::vector<std::uint8_t> bytes,
           ask<std::vector<std::uint8_t>>([&](const auto& done) { node.get_block(made.handle, done); }));
  report.block_after = now() - read;
  ADIT_TRY(const bitcoin::BlockView block, bitcoin::parse_block(bytes));
  report.transactions = block.transactions.size() - 1;
  report.block_bytes = bytes.size();
  return {};
}

}  // namespace

Result<> ping_node(const std::string& socket_path, const IpcQuestions& questions, IpcReport& report) {
  std::promise<Result<ipc::NodeFacts>> ready;
  auto is_ready = ready.get_future();
  bool told = false;
  const auto tell = [&](Result<ipc::NodeFacts> result) {
    if (!std::exchange(told, true)) ready.set_value(std::move(result));
  };
  ipc::Node node({.socket_path = socket_path, .connect_deadline = questions.deadline, .call_deadline = questions.deadline},
                 {.on_loading = {},
                  .on_ready = [&](const ipc::NodeFacts& facts) { tell(facts); },
                  .on_lost = [&](const Error& error) { tell(fail(Error(error))); }});
  const Instant begun = now();
  ADIT_CHECK(node.start());
  node.connect();
  if (is_ready.wait_for(questions.deadline + kLoadingGrace) != std::future_status::ready)
    return fail(ipc::Errc::kTimedOut, "the node at " + socket_path + " is still loading its chain");
  ADIT_TRY(const ipc::NodeFacts facts, is_ready.get());
  report.reached = now() - begun;
  report.has_rpc = facts.has_rpc;
  if (facts.has_rpc) {
    report.chain = chain_of(node);
  } else {
    ADIT_TRY(report.is_test_chain, ask<bool>([&](const auto& done) { node.is_test_chain(done); }));
  }
  ADIT_TRY(report.is_downloading, ask<bool>([&](const auto& done) { node.is_initial_download(done); }));
  ADIT_CHECK(look_at_template(node, questions, report));
  for (unsigned i = 0; i < questions.count; ++i) {
    const Instant asked = now();
    ADIT_CHECK(ask<std::optional<ipc::Tip>>([&](const auto& done) { node.tip(done); }));
    report.round_trips.push_back(now() - asked);
  }
  return {};
}

}  // namespace adit::cli

#else

namespace adit::cli {

Result<> ping_node(const std::string&, const IpcQuestions&, IpcReport&) {
  return fail(net::Errc::kUnsupported, "this build of adit has no IPC (ADIT_IPC=OFF)");
}

}  // namespace adit::cli

#endif
