#include "cli/ping_node.h"

#include "net/error.h"

#ifdef ADIT_HAS_IPC

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "bitcoin/block.h"
#include "ipc/node.h"
#include "template/ipc_template.h"
#include "template/node_info.h"

namespace adit::cli {
namespace {

/// Connecting has the deadline to itself, and tells when it passes.
constexpr Duration kLoadingGrace = std::chrono::seconds(1);

double ms(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }
Instant now() { return now_from_system().instant; }

/// Makes a call and waits for its answer.
template <class T>
Result<T> ask(const std::function<void(ipc::Node::Done<T>)>& call) {
  const auto answer = std::make_shared<std::promise<Result<T>>>();
  auto answered = answer->get_future();
  call([answer](Result<T> result) { answer->set_value(std::move(result)); });
  return answered.get();
}

/// Which chain, and how far. Empty where the node does not tell.
std::string describe_chain(ipc::Node& node) {
  const auto answer =
      ask<std::string>([&](const auto& done) { node.rpc(R"({"method":"getblockchaininfo","params":[],"id":1})", done); });
  boost::system::error_code error;
  const auto response = boost::json::parse(answer ? *answer : "", error);
  const auto* result = error || !response.is_object() ? nullptr : response.get_object().if_contains("result");
  const auto info = result == nullptr ? Result<templates::ChainInfo>(fail(net::Errc::kUnsupported, ""))
                                      : templates::parse_chain_info(*result);
  if (!info) return "";
  return info->chain + ", block " + std::to_string(info->blocks.value_or(0)) + " of " +
         std::to_string(info->headers.value_or(0));
}

Result<> look_at_template(ipc::Node& node, Duration deadline) {
  const Instant begun = now();
  ADIT_TRY(const ipc::TemplateData made, ask<ipc::TemplateData>([&](const auto& done) {
             node.create_template({.cooldown = false, .deadline = deadline}, done);
           }));
  const Instant read = now();
  ADIT_TRY(const std::vector<std::uint8_t> bytes,
           ask<std::vector<std::uint8_t>>([&](const auto& done) { node.get_block(made.handle, done); }));
  const Instant whole = now();
  ADIT_TRY(const bitcoin::BlockView block, bitcoin::parse_block(bytes));
  const std::uint32_t height = templates::height_in(made.coinbase.script_prefix).value_or(0);
  std::printf("  template      for block %u, %llu sat, in %.1f ms\n", height,
              static_cast<unsigned long long>(made.coinbase.value_sat), ms(read - begun));
  std::printf("  transactions  %zu, %zu bytes, in %.1f ms\n", block.transactions.size() - 1, bytes.size(), ms(whole - read));
  const auto ahead = std::int64_t{made.header.ntime} - std::int64_t{to_u32(now_from_system().unix_time)};
  if (std::abs(ahead) <= 2) {
    std::printf("  clock         the node's agrees with ours\n");
  } else {
    std::printf("  clock         the node's is %lld s %s\n", static_cast<long long>(std::abs(ahead)),
                ahead > 0 ? "ahead of ours" : "behind ours");
  }
  return {};
}

}  // namespace

Result<> ping_node(const std::string& socket_path, unsigned count, Duration deadline) {
  std::promise<Result<ipc::NodeFacts>> ready;
  auto is_ready = ready.get_future();
  bool told = false;
  const auto tell = [&](Result<ipc::NodeFacts> result) {
    if (!std::exchange(told, true)) ready.set_value(std::move(result));
  };
  ipc::Node node({.socket_path = socket_path, .connect_deadline = deadline, .call_deadline = deadline},
                 {.on_loading = [&] { std::printf("  loading       the node is loading its chain\n"); },
                  .on_ready = [&](const ipc::NodeFacts& facts) { tell(facts); },
                  .on_lost = [&](const Error& error) { tell(fail(Error(error))); }});
  std::printf("unix:%s\n", socket_path.c_str());
  const Instant begun = now();
  ADIT_CHECK(node.start());
  node.connect();
  if (is_ready.wait_for(deadline + kLoadingGrace) != std::future_status::ready)
    return fail(ipc::Errc::kTimedOut, "the node at " + socket_path + " is still loading its chain");
  ADIT_TRY(const ipc::NodeFacts facts, is_ready.get());
  std::printf("  reached       the mining interface of Bitcoin Core %s, in %.1f ms\n", facts.has_rpc ? "31.99 or later" : "31",
              ms(now() - begun));
  if (facts.has_rpc) {
    if (const std::string chain = describe_chain(node); !chain.empty()) std::printf("  chain         %s\n", chain.c_str());
  } else {
    ADIT_TRY(const bool is_test, ask<bool>([&](const auto& done) { node.is_test_chain(done); }));
    std::printf("  chain         %s\n", is_test ? "a test network" : "mainnet");
  }
  ADIT_TRY(const bool downloads, ask<bool>([&](const auto& done) { node.is_initial_download(done); }));
  if (downloads)
    std::printf("  download      the node has not caught up with the chain: a pool on mainnet or testnet waits for that\n");
  ADIT_CHECK(look_at_template(node, deadline));
  std::vector<Duration> trips;
  for (unsigned i = 0; i < count; ++i) {
    const Instant asked = now();
    ADIT_CHECK(ask<std::optional<ipc::Tip>>([&](const auto& done) { node.tip(done); }));
    trips.push_back(now() - asked);
  }
  const auto [least, most] = std::ranges::minmax(trips);
  Duration sum{};
  for (const Duration one : trips) sum += one;
  std::printf("  round trips   %zu, %.2f / %.2f / %.2f ms (least / mean / most)\n", trips.size(), ms(least),
              ms(sum) / static_cast<double>(trips.size()), ms(most));
  std::fflush(stdout);
  return {};
}

}  // namespace adit::cli

#else

namespace adit::cli {

Result<> ping_node(const std::string&, unsigned, Duration) {
  return fail(net::Errc::kUnsupported, "this build of adit has no IPC (ADIT_IPC=OFF)");
}

}  // namespace adit::cli

#endif
