#include "template/bitcoin_nodes.h"

#include <gtest/gtest.h>

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <optional>
#include <thread>
#include <utility>

#include "base/fd.h"
#include "base/no_descriptors_testing.h"
#include "base/temporary_folder_testing.h"
#include "bitcoin/test_data.h"
#include "template/test_node.h"
#include "template/test_sink.h"

namespace adit::templates {
namespace {

using namespace std::chrono_literals;
using test::Sink;
using test::TestNode;
using State = SourceStatus::State;

constexpr Duration kNever = std::chrono::hours(1);

class Rpc : public testing::Test {
 protected:
  TemporaryFolder folder;
  Sink sink;

  RpcConfig config(std::uint16_t port) const {
    RpcConfig config;
    config.port = port;
    config.auth = RpcPassword{"user", "secret"};
    config.network = bitcoin::Network::kRegtest;
    config.refresh_every = kNever;
    config.call_deadline = 1min;
    config.retry_first = 1ms;
    config.retry_cap = 20ms;
    return config;
  }

  BitcoinNodes::Options of(std::vector<RpcConfig> nodes) const {
    BitcoinNodes::Options options;
    for (RpcConfig& node : nodes) options.nodes.push_back({.at = std::move(node)});
    options.blocks.journal_folder = folder.path();
    options.blocks.policy.retry_first = 1ms;
    options.blocks.policy.retry_cap = 20ms;
    options.blocks.policy.prefer_after = 1ms;
    options.blocks.answer_grace = 1ms;
    return options;
  }
  BitcoinNodes::Options of(RpcConfig node) const { return of(std::vector{std::move(node)}); }

  bool wait_for_templates(std::size_t count) {
    return sink.wait_for([=](const Sink::Seen& s) { return s.templates.size() >= count; });
  }
  bool wait_for_results(std::size_t count) {
    return sink.wait_for([=](const Sink::Seen& s) { return s.results.size() >= count; });
  }
  bool wait_for_state(State state) {
    return sink.wait_for([=](const Sink::Seen& s) { return !s.statuses.empty() && s.statuses.back().state == state; });
  }
  TemplatePtr newest() { return sink.seen().templates.back().first; }

  /// The node misbehaves, the source says so in words, the node behaves, the source is ready. Returns the first words.
  std::string words_about(TestNode& node, TestNode::Misbehaviour how, State expected, Duration deadline = 5s) {
    Sink own;
    node.misbehave(std::move(how));
    RpcConfig c = config(node.port());
    c.call_deadline = deadline;
    BitcoinNodes source(of(c));
    EXPECT_TRUE(source.start(own.events()));
    EXPECT_TRUE(own.wait_for([](const Sink::Seen& s) { return !s.statuses.empty(); }));
    EXPECT_TRUE(own.seen().templates.empty());
    node.behave();
    EXPECT_TRUE(
        own.wait_for([](const Sink::Seen& s) { return !s.templates.empty() && s.statuses.back().state == State::kReady; }));
    const auto statuses = own.seen().statuses;
    EXPECT_EQ(statuses.front().state, expected) << statuses.front().message;
    EXPECT_EQ(statuses.back().message, "");
    return statuses.front().message;
  }
};

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(Rpc, TemplatesCarryTheNodesTransactionsAndABlockOfThemIsAccepted) {
  TestNode node;
  node.with_chain(
      [](Chain& chain) { return chain.add_transaction(bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction), 1'000); });
  BitcoinNodes source(of(config(node.port())));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  EXPECT_EQ(newest()->transactions.size(), 1u);
  EXPECT_EQ(newest()->merkle_path.size(), 1u);
  ASSERT_TRUE(source.submit(newest()->id, test::solution(*newest())));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.templates.back().first->height == 2; }));
  EXPECT_EQ(source.status().blocks_accepted, 1u);
  EXPECT_EQ(source.status().blocks_unanswered, 0u);
  EXPECT_TRUE(eventually([&] { return folder.files(".block").empty(); }));
}

TEST_F(Rpc, TheLongPollBringsANewTipWithoutARefresh) {
  TestNode node;
  BitcoinNodes source(of(config(node.port())));
  ASSERT_TRUE(source.start(sink.events()));
  for (std::uint32_t height = 1; height < 6; ++height) {
    ASSERT_TRUE(
        sink.wait_for([=](const Sink::Seen& s) { return !s.templates.empty() && s.templates.back().first->height == height; }));
    EXPECT_TRUE(sink.seen().templates.back().second);
    ASSERT_TRUE(node.with_chain([](Chain& chain) { return chain.mine({0x51}, now_from_system().unix_time, 100'000); }));
  }
  const auto templates = sink.seen().templates;
  for (std::size_t i = 1; i < templates.size(); ++i) EXPECT_GT(templates[i].first->id, templates[i - 1].first->id);
}

/// Where the empty template comes first.
class RpcEmptyFirst : public Rpc {
 protected:
  RpcConfig config(const TestNode& node) const {
    RpcConfig made = Rpc::config(node.port());
    made.empty_first = true;
    return made;
  }
  static bool offer(Chain& chain, std::uint8_t tag) {
    bitcoin::Transaction made;
    made.inputs.resize(1);
    made.inputs[0].prev_txid.fill(tag);
    made.outputs = {{1000, {0x51}}};
    return chain.add_transaction(bitcoin::serialize(made), 1'000);
  }
  /// A block of somebody else's, after which the node has transactions.
  static bool mine(TestNode& node) {
    return node.with_chain([](Chain& chain) {
      const bool mined = chain.mine({0x51}, now_from_system().unix_time, 100'000);
      return mined && offer(chain, static_cast<std::uint8_t>(chain.height()));
    });
  }
  TemplatePtr told(std::size_t i) { return sink.seen().templates.at(i).first; }
  bool told_as_tip(std::size_t i) { return sink.seen().templates.at(i).second; }
};

TEST_F(RpcEmptyFirst, ATipBringsATemplateWithoutTransactionsAndThenTheNodes) {
  TestNode node;
  ASSERT_TRUE(node.with_chain([](Chain& chain) { return offer(chain, 200); }));
  BitcoinNodes source(of(config(node)));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  EXPECT_EQ(told(0)->coinbase_value_sat, Chain::subsidy_sat(1) + 1'000);
  for (std::size_t height = 2; height < 6; ++height) {
    ASSERT_TRUE(mine(node));
    ASSERT_TRUE(wait_for_templates(2 * height - 1));
    const TemplatePtr empty = told(2 * height - 3);
    const TemplatePtr full = told(2 * height - 2);
    EXPECT_TRUE(told_as_tip(2 * height - 3));
    EXPECT_FALSE(told_as_tip(2 * height - 2));
    EXPECT_EQ(empty->height, height);
    EXPECT_EQ(empty->coinbase_value_sat, Chain::subsidy_sat(static_cast<std::uint32_t>(height)))
        << "fees of transactions that it does not hold";
    EXPECT_TRUE(empty->transactions.empty());
    // All else is as the node has it.
    EXPECT_EQ(full->height, empty->height);
    EXPECT_EQ(full->prev_hash, empty->prev_hash);
    EXPECT_EQ(full->nbits, empty->nbits);
    EXPECT_EQ(full->version, empty->version);
    EXPECT_EQ(full->min_ntime, empty->min_ntime);
    EXPECT_EQ(full->coinbase_script_prefix, empty->coinbase_script_prefix);
    EXPECT_EQ(full->has_witness_commitment, empty->has_witness_commitment);
    EXPECT_FALSE(full->transactions.empty());
    EXPECT_GT(full->coinbase_value_sat, empty->coinbase_value_sat);
  }
  EXPECT_EQ(node.calls("getblocktemplate"), 5u) << "no long poll beside it, and one for each tip";
}

TEST_F(RpcEmptyFirst, ABlockOnTheEmptyTemplateIsAccepted) {
  TestNode node;
  BitcoinNodes source(of(config(node)));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  ASSERT_TRUE(mine(node));
  ASSERT_TRUE(wait_for_templates(2));
  ASSERT_TRUE(told(1)->transactions.empty());
  ASSERT_TRUE(source.submit(told(1)->id, test::solution(*told(1))));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted) << sink.seen().results[0].reason;
  EXPECT_EQ(node.with_chain([](const Chain& chain) { return chain.height(); }), 2u);
}

TEST_F(RpcEmptyFirst, TheFullTemplateIsNotToldTwiceWhereThereIsNothingInIt) {
  TestNode node;
  BitcoinNodes source(of(config(node)));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  for (std::size_t height = 2; height < 5; ++height) {
    ASSERT_TRUE(node.with_chain([](Chain& chain) { return chain.mine({0x51}, now_from_system().unix_time, 100'000); }));
    ASSERT_TRUE(eventually([&] { return node.calls("getblocktemplate") == height; }));
  }
  ASSERT_TRUE(mine(node));
  ASSERT_TRUE(wait_for_templates(6));
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(told(i)->height, i + 1);
}

TEST_F(RpcEmptyFirst, ANodeThatIsBackWithoutTransactionsIsReady) {
  TestNode node;
  RpcConfig c = config(node);
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  // The empty template on a tip is the last that is told before the node is away.
  std::atomic<bool> away = false;
  node.misbehave([&](const TestNode::Request& request) -> std::optional<std::string> {
    if (request.method == "getblocktemplate") away = true;
    if (!away) return std::nullopt;
    return test::http(503, "Work queue depth exceeded");
  });
  ASSERT_TRUE(node.with_chain([](Chain& chain) { return chain.mine({0x51}, now_from_system().unix_time, 100'000); }));
  ASSERT_TRUE(wait_for_templates(2));
  ASSERT_TRUE(wait_for_state(State::kWaiting));
  node.behave();
  ASSERT_TRUE(wait_for_state(State::kReady));
  source.stop();
}

TEST_F(RpcEmptyFirst, WhereTheSubsidyOrTheBitsMayChangeTheNodesTemplateIsWaitedFor) {
  TestNode node;
  ASSERT_TRUE(node.with_chain([](Chain& chain) {
    while (chain.height() < 147) {
      if (!chain.mine({0x51}, now_from_system().unix_time, 100'000)) return false;
    }
    return offer(chain, 200);
  }));
  BitcoinNodes source(of(config(node)));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  const auto first_on = [&](std::uint32_t height) {
    EXPECT_TRUE(mine(node));
    EXPECT_TRUE(sink.wait_for([&](const Sink::Seen& s) {
      return s.templates.back().first->height == height && !s.templates.back().first->transactions.empty();
    }));
    const auto templates = sink.seen().templates;
    return *std::ranges::find_if(templates, [&](const auto& one) { return one.first->height == height; });
  };
  EXPECT_TRUE(first_on(149).first->transactions.empty());
  const auto [halved, halved_is_tip] = first_on(150);
  EXPECT_FALSE(halved->transactions.empty()) << "made by a guess at its subsidy";
  EXPECT_TRUE(halved_is_tip);
  EXPECT_EQ(halved->coinbase_value_sat - 1'000, Chain::subsidy_sat(150));
  const auto [after, after_is_tip] = first_on(151);
  EXPECT_TRUE(after->transactions.empty());
  EXPECT_EQ(after->coinbase_value_sat, Chain::subsidy_sat(151));
}

TEST_F(RpcEmptyFirst, ANodeThatDoesNotTellItsHeightIsLongPolled) {
  TestNode node;
  node.has_height_wait = false;
  BitcoinNodes source(of(config(node)));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  for (std::size_t i = 2; i < 5; ++i) {
    ASSERT_TRUE(mine(node));
    ASSERT_TRUE(wait_for_templates(i));
    EXPECT_FALSE(told(i - 1)->transactions.empty());
  }
  EXPECT_EQ(node.calls("waitforblockheight"), 1u);
}

TEST_F(RpcEmptyFirst, ANodeThatMisbehavesIsFoundAgain) {
  TestNode node;
  RpcConfig c = config(node);
  c.call_deadline = 5s;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  std::uint32_t height = 1;
  for (const char* const method : {"waitforblockheight", "getblockheader"}) {
    for (const std::string& bytes : {std::string(), std::string("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno!"),
                                     test::http(503, "Work queue depth exceeded")}) {
      node.misbehave(
          [=, left = std::make_shared<std::atomic<int>>(2)](const TestNode::Request& request) -> std::optional<std::string> {
            if (request.method != method || (*left)-- <= 0) return std::nullopt;
            return bytes;
          });
      for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(mine(node));
        ++height;
        ASSERT_TRUE(sink.wait_for([&](const Sink::Seen& s) { return s.templates.back().first->height == height; }))
            << method << ": " << bytes;
      }
      node.behave();
    }
  }
  const auto templates = sink.seen().templates;
  for (std::size_t i = 1; i < templates.size(); ++i) EXPECT_GE(templates[i].first->height, templates[i - 1].first->height);
}

TEST_F(Rpc, RefreshesWhileTheLongPollIsQuiet) {
  TestNode node;
  RpcConfig c = config(node.port());
  c.refresh_every = 1ms;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(4));
  source.stop();
  const auto templates = sink.seen().templates;
  for (std::size_t i = 1; i < templates.size(); ++i) EXPECT_FALSE(templates[i].second);
}

TEST_F(Rpc, FeesThatRiseAreToldThoughTheLongPollIsQuietAndLooksWithoutNewsAreNot) {
  TestNode node;
  std::atomic<int> looks{0};
  node.change_template = [&](boost::json::object&) { ++looks; };
  RpcConfig c = config(node.port());
  c.fees_every = 1ms;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  ASSERT_TRUE(eventually([&] { return looks > 5; }));
  EXPECT_EQ(sink.seen().templates.size(), 1u);
  node.with_chain(
      [](Chain& chain) { return chain.add_transaction(bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction), 1'000); });
  ASSERT_TRUE(wait_for_templates(2));
  EXPECT_EQ(newest()->transactions.size(), 1u);
  EXPECT_FALSE(sink.seen().templates.back().second) << "it is on the same tip";
  const int before = looks;
  ASSERT_TRUE(eventually([&] { return looks > before + 5; }));
  EXPECT_EQ(sink.seen().templates.size(), 2u);
}

TEST_F(Rpc, ANodeWithoutLongPollIsPolledInstead) {
  TestNode node;
  node.without_long_poll = true;
  node.without_commitment = true;
  RpcConfig c = config(node.port());
  c.poll_every = 1ms;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  EXPECT_FALSE(newest()->has_witness_commitment);
  ASSERT_TRUE(source.submit(newest()->id, test::solution(*newest())));
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.templates.back().first->height == 2; }));
}

TEST_F(Rpc, SendsUserAndPassword) {
  std::mutex mutex;
  std::string seen;
  TestNode node;
  node.misbehave([&](const TestNode::Request& request) -> std::optional<std::string> {
    const std::lock_guard lock(mutex);
    seen = request.authorization;
    return std::nullopt;
  });
  BitcoinNodes source(of(config(node.port())));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  const std::lock_guard lock(mutex);
  EXPECT_EQ(seen, "Basic dXNlcjpzZWNyZXQ=");
}

TEST_F(Rpc, ReadsTheCookieAgainAfterTheNodeHasRestarted) {
  const auto file = folder.path() / ".cookie";
  std::ofstream(file) << "__cookie__:first";
  std::mutex mutex;
  std::string wanted = "Basic X19jb29raWVfXzpmaXJzdA==";
  TestNode node;
  node.misbehave([&](const TestNode::Request& request) -> std::optional<std::string> {
    const std::lock_guard lock(mutex);
    if (request.authorization != wanted) return test::http(401, "");
    return std::nullopt;
  });
  RpcConfig c = config(node.port());
  c.auth = RpcCookie{file};
  c.refresh_every = 1ms;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  {
    const std::lock_guard lock(mutex);
    wanted = "Basic X19jb29raWVfXzpzZWNvbmQ=";
  }
  ASSERT_TRUE(wait_for_state(State::kMisconfigured));
  EXPECT_SAYS(source.status().message, file.string());
  std::ofstream(file) << "__cookie__:second\n";
  ASSERT_TRUE(wait_for_state(State::kReady));
}

TEST_F(Rpc, AMissingCookieAndOneThatCannotBeReadAreToldApart) {
  TestNode node;
  const auto says = [&](const std::filesystem::path& file, State state) {
    Sink own;
    RpcConfig c = config(node.port());
    c.auth = RpcCookie{file};
    BitcoinNodes source(of(c));
    EXPECT_TRUE(source.start(own.events()));
    EXPECT_TRUE(own.wait_for([=](const Sink::Seen& s) { return !s.statuses.empty(); }));
    EXPECT_EQ(own.seen().statuses.back().state, state);
    return own.seen().statuses.back().message;
  };
  const auto missing = folder.path() / ".cookie";
  EXPECT_SAYS(says(missing, State::kWaiting), missing.string() + " does not exist; the node writes it when it starts");
  const auto loop = folder.path() / "loop";
  std::filesystem::create_symlink(loop, loop);
  const std::string unreadable = says(loop, State::kMisconfigured);
  EXPECT_SAYS(unreadable, loop.string() + " cannot be read: Too many levels of symbolic links");
  EXPECT_EQ(unreadable.find("does not exist"), std::string::npos);
  const auto other = folder.path() / "other";
  std::ofstream(other) << "no colon";
  EXPECT_SAYS(says(other, State::kMisconfigured), "holds no cookie of a node");
}

TEST_F(Rpc, AWrongPasswordIsToldAndNeverShown) {
  TestNode node;
  const std::string words = words_about(node, [](const auto&) { return test::http(401, ""); }, State::kMisconfigured);
  EXPECT_SAYS(words, "refuses the RPC user or password");
  EXPECT_EQ(words.find("secret"), std::string::npos);
  EXPECT_SAYS(words_about(node, [](const auto&) { return test::http(403, ""); }, State::kMisconfigured), "rpcallowip");
}

TEST_F(Rpc, ANodeThatWarmsUpIsWaitedFor) {
  TestNode node;
  EXPECT_SAYS(
      words_about(
          node, [](const auto& request) { return test::rpc_error(request.id, -28, "Loading block index…"); }, State::kWaiting),
      "is starting, which passes by itself: Loading block index");
}

TEST_F(Rpc, ANodeThatCatchesUpIsWaitedFor) {
  TestNode node;
  const auto in_download = [](const TestNode::Request& request) -> std::optional<std::string> {
    if (request.method != "getblocktemplate") return std::nullopt;
    return test::rpc_error(request.id, -10, "Bitcoin Core is in initial sync and waiting for blocks...");
  };
  EXPECT_SAYS(words_about(node, in_download, State::kWaiting), "catching up");
  const auto alone = [](const TestNode::Request& request) -> std::optional<std::string> {
    if (request.method != "getblocktemplate") return std::nullopt;
    return test::rpc_error(request.id, -9, "Bitcoin Core is not connected!");
  };
  EXPECT_SAYS(words_about(node, alone, State::kWaiting), "not connected to any peer");
}

TEST_F(Rpc, ABusyNodeAndOtherErrorsAreToldInTheNodesWords) {
  TestNode node;
  EXPECT_SAYS(words_about(
                  node, [](const auto&) { return test::http(503, "Work queue depth exceeded"); }, State::kWaiting),
              "too many calls");
  EXPECT_SAYS(words_about(
                  node, [](const auto& request) { return test::rpc_error(request.id, -8, "some\nnew rule"); }, State::kWaiting),
              "error -8: some new rule");
}

TEST_F(Rpc, AnotherNetworkIsRefusedAndBothAreNamed) {
  TestNode node;
  const auto other = [](const TestNode::Request& request) -> std::optional<std::string> {
    if (request.method != "getblockchaininfo") return std::nullopt;
    return test::rpc_result(request.id, boost::json::object{{"chain", "main"}});
  };
  const std::string words = words_about(node, other, State::kMisconfigured);
  EXPECT_SAYS(words, "mainnet");
  EXPECT_SAYS(words, "regtest");
}

TEST_F(Rpc, HowFarANodeIsThatCatchesUpIsTold) {
  TestNode node;
  const auto behind = [](const TestNode::Request& request) -> std::optional<std::string> {
    if (request.method == "getblockchaininfo") {
      return test::rpc_result(request.id,
                              boost::json::object{{"chain", "regtest"}, {"blocks", 812}, {"headers", 900}, {"pruned", true}});
    }
    if (request.method != "getblocktemplate") return std::nullopt;
    return test::rpc_error(request.id, -10, "Bitcoin Core is in initial sync and waiting for blocks...");
  };
  EXPECT_SAYS(words_about(node, behind, State::kWaiting), "it has 812 of 900 blocks");
}

// A node that is past its first download and cannot get or take the newest blocks still gives templates, on an old tip.
TEST_F(Rpc, ANodeThatStaysBehindItsOwnHeadersGivesNoWork) {
  TestNode node;
  std::atomic<int> headers{812};
  node.misbehave([&](const TestNode::Request& request) -> std::optional<std::string> {
    if (request.method != "getblockchaininfo") return std::nullopt;
    return test::rpc_result(request.id,
                            boost::json::object{{"chain", "regtest"}, {"blocks", 812}, {"headers", headers.load()}});
  });
  RpcConfig c = config(node.port());
  c.refresh_every = 1ms;
  c.look_every = 0ms;
  c.behind_after = 50ms;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_state(State::kReady));
  headers = 813;  // A block on its way.
  const auto looks = node.calls("getblockchaininfo");
  const Instant begun = now_from_system().instant;
  ASSERT_TRUE(
      eventually([&] { return node.calls("getblockchaininfo") > looks + 5 && now_from_system().instant - begun > 100ms; }));
  EXPECT_EQ(source.status().state, State::kReady);
  headers = 900;
  ASSERT_TRUE(wait_for_state(State::kWaiting));
  EXPECT_SAYS(source.status().message, "its templates are on an old tip");
  EXPECT_SAYS(source.status().message, "it has 812 of 900 blocks");
  headers = 812;
  ASSERT_TRUE(wait_for_state(State::kReady));
  EXPECT_EQ(source.status().message, "");
}

TEST_F(Rpc, ProxiesAndWrongPathsAreToldFromNodes) {
  TestNode node;
  const auto answers = [](int status, std::string body) {
    return [answer = test::http(status, body)](const TestNode::Request&) { return std::optional(answer); };
  };
  EXPECT_SAYS(words_about(node, answers(404, "<html>Not Found</html>"), State::kMisconfigured),
              "no JSON-RPC at the path / (HTTP status 404)");
  EXPECT_SAYS(words_about(node, answers(405, "JSONRPC server handles only POST requests"), State::kMisconfigured),
              "HTTP status 405");
  EXPECT_SAYS(words_about(node, answers(502, "<html>Bad Gateway</html>"), State::kWaiting),
              "does not reach the node behind it");
  EXPECT_SAYS(words_about(node, answers(504, ""), State::kWaiting), "does not reach the node behind it");
  EXPECT_SAYS(words_about(node, answers(301, ""), State::kMisconfigured), "HTTP status 301");
  const auto unknown = [](const TestNode::Request& request) {
    std::string answer = test::rpc_error(request.id, -32601, "Method not found");
    return std::optional(answer.replace(9, 3, "404"));  // As Bitcoin Core says it.
  };
  EXPECT_SAYS(words_about(node, unknown, State::kWaiting), "does not know getblockchaininfo");
}

TEST_F(Rpc, AnAnswerInChunksIsRead) {
  TestNode node;
  node.misbehave([](const TestNode::Request& request) -> std::optional<std::string> {
    if (request.method != "getblockchaininfo") return std::nullopt;
    const std::string body =
        boost::json::serialize(boost::json::object{{"result", {{"chain", "regtest"}}}, {"error", nullptr}, {"id", request.id}});
    std::string answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nVia: 1.1 proxy\r\n\r\n";
    for (const char c : body) answer += std::string("1\r\n") + c + "\r\n";
    return answer + "0\r\n\r\n";
  });
  BitcoinNodes source(of(config(node.port())));
  ASSERT_TRUE(source.start(sink.events()));
  EXPECT_TRUE(wait_for_templates(1));
}

TEST_F(Rpc, ANodeWithoutTransactionsGivesWorkWithACaution) {
  TestNode node;
  node.misbehave([](const TestNode::Request& request) -> std::optional<std::string> {
    if (request.method != "getnetworkinfo") return std::nullopt;
    return test::rpc_result(request.id, boost::json::object{{"localrelay", false}});
  });
  BitcoinNodes source(of(config(node.port())));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_state(State::kReady));
  EXPECT_SAYS(source.status().message, "blocksonly=1");
  EXPECT_TRUE(wait_for_templates(1));
}

TEST_F(Rpc, SignetIsAskedForByItsRuleAndItsChallengeIsLookedAt) {
  std::mutex mutex;
  std::vector<std::string> rules;
  std::string challenge = "51";
  TestNode node;
  node.network = "signet";
  node.misbehave([&](const TestNode::Request& request) -> std::optional<std::string> {
    if (request.method != "getblocktemplate") return std::nullopt;
    const std::lock_guard lock(mutex);
    rules.clear();
    for (const auto& rule : request.params.at(0).at("rules").as_array()) rules.emplace_back(rule.as_string());
    if (std::ranges::find(rules, "signet") == rules.end())
      return test::rpc_error(request.id, -8, "getblocktemplate must be called with the signet rule set");
    return std::nullopt;
  });
  node.change_template = [&](boost::json::object& made) {
    const std::lock_guard lock(mutex);
    made["rules"] = {"csv", "!segwit", "!signet", "taproot"};
    made["signet_challenge"] = challenge;
  };
  RpcConfig c = config(node.port());
  c.network = bitcoin::Network::kSignet;
  c.refresh_every = 1ms;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_state(State::kReady));
  EXPECT_EQ(source.status().message, "") << "a signet whose blocks need no signature";
  {
    const std::lock_guard lock(mutex);
    EXPECT_EQ(rules, (std::vector<std::string>{"segwit", "signet"}));
    challenge = "512103ad5e0edad18cb1f0fc0d28a3d4f1f3e445640337489abb10404f2d1e086be43051ae";
  }
  ASSERT_TRUE(eventually([&] { return !source.status().message.empty(); }));
  EXPECT_SAYS(source.status().message, "blocks found here cannot be valid");
  EXPECT_EQ(source.status().state, State::kReady);
}

TEST_F(Rpc, AClockThatDiffersIsNamedByWhoseItIsAndByItsSeconds) {
  TestNode node;
  std::atomic<std::int64_t> ahead{3 * 3600};
  node.change_template = [&](boost::json::object& made) {
    made["curtime"] = std::int64_t{to_u32(now_from_system().unix_time)} + ahead;
  };
  RpcConfig c = config(node.port());
  c.refresh_every = 1ms;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  const auto seen = [&] { return source.status().clock_ahead.value_or(0s); };
  EXPECT_NEAR(static_cast<double>(seen().count()), 3 * 3600, 30);
  ASSERT_EQ(source.status().nodes.size(), 1u);
  EXPECT_NEAR(static_cast<double>(source.status().nodes[0].clock_ahead.value_or(0s).count()), 3 * 3600, 30);
  ahead = -100;
  EXPECT_TRUE(eventually([&] { return seen() < -70s; }));
  ahead = 0;
  EXPECT_TRUE(eventually([&] { return std::chrono::abs(seen()) < 30s; }));
}

// Testnet4: the node's bits change twenty minutes after the tip, by its own clock, and without a new tip.
TEST_F(Rpc, BitsThatChangeWithoutANewTipAreAskedForWhenTheyChangeAndToldLikeATip) {
  TestNode node;
  node.network = "testnet4";
  const std::uint32_t tip_time = node.with_chain([](Chain& chain) { return chain.blocks().back().ntime; });
  const Instant begun = now_from_system().instant;
  // The twenty minutes are over a second and a half from now.
  node.change_template = [=](boost::json::object& made) {
    const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(now_from_system().instant - begun).count();
    const std::int64_t clock = std::int64_t{tip_time} + 1199 + passed / 1000;
    made["curtime"] = clock;
    made["mintime"] = tip_time - 3000;
    made["bits"] = clock > std::int64_t{tip_time} + 1200 ? "1d00ffff" : "1a0fffff";
  };
  RpcConfig c = config(node.port());
  c.network = bitcoin::Network::kTestnet4;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  EXPECT_EQ(newest()->nbits, 0x1a0fffffu);
  EXPECT_EQ(newest()->max_ntime, tip_time + 1200);
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.templates.back().first->nbits == 0x1d00ffff; }));
  EXPECT_EQ(newest()->min_ntime, tip_time + 1201);
  EXPECT_EQ(newest()->max_ntime, 0xffffffffu);
  EXPECT_TRUE(sink.seen().templates.back().second);
  EXPECT_EQ(newest()->prev_hash, sink.seen().templates.front().first->prev_hash);
}

TEST_F(Rpc, NonsenseOfEveryKindIsToldAndSurvived) {
  TestNode node;
  const auto says = [](std::string raw) {
    return [raw = std::move(raw)](const TestNode::Request&) { return std::optional(raw); };
  };
  const auto answers = [&](std::string body) { return says(test::http(200, body)); };
  const State never_ready = State::kMisconfigured;
  EXPECT_SAYS(words_about(node, says("SSH-2.0-OpenSSH_9.2\r\n"), never_ready), "does not speak HTTP");
  EXPECT_SAYS(words_about(node, says(std::string(100'000, 'A')), never_ready), "does not speak HTTP");
  EXPECT_SAYS(words_about(node, answers("<html>It works!</html>"), never_ready), "is not JSON");
  EXPECT_SAYS(words_about(node, answers(""), never_ready), "is not JSON");
  EXPECT_SAYS(words_about(node, answers("{\"result\":{\"chain\":"), never_ready), "is not JSON");
  EXPECT_SAYS(words_about(node, answers(std::string(1000, '[') + std::string(1000, ']')), never_ready), "is not JSON");
  EXPECT_SAYS(words_about(node, answers("[]"), never_ready), "not JSON-RPC");
  EXPECT_SAYS(words_about(node, answers("{\"id\":1}"), never_ready), "not JSON-RPC");
  EXPECT_SAYS(words_about(node, answers("{\"id\":77777,\"result\":{\"chain\":\"regtest\"},\"error\":null}"), never_ready),
              "another call's");
  EXPECT_SAYS(words_about(node, answers("{\"id\":1,\"result\":null,\"error\":\"no\"}"), never_ready), "no code");
  EXPECT_SAYS(words_about(node, answers("{\"id\":1,\"result\":{\"chain\":7},\"error\":null}"), never_ready), "names no chain");
  const std::string huge = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{";
  EXPECT_SAYS(words_about(node, says(huge), never_ready), "larger than");
  EXPECT_SAYS(words_about(node, answers("\"" + std::string(2 << 20, 'x') + "\""), never_ready), "larger than");
  EXPECT_SAYS(words_about(node, says(""), State::kWaiting), "broke while waiting");
  EXPECT_SAYS(words_about(node, says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), State::kWaiting),
              "broke while waiting");
}

TEST_F(Rpc, ATemplateThatMakesNoSenseIsNotMinedOn) {
  TestNode node;
  const auto bad = [](const TestNode::Request& request) -> std::optional<std::string> {
    if (request.method != "getblocktemplate") return std::nullopt;
    return test::rpc_result(request.id, boost::json::object{{"version", 1}});
  };
  EXPECT_SAYS(words_about(node, bad, State::kMisconfigured), "previousblockhash");
}

TEST_F(Rpc, ASilentNodeIsGivenUpAtTheDeadline) {
  std::atomic<bool> silent{true};
  TestNode node;
  const auto quiet = [&](const TestNode::Request&) -> std::optional<std::string> {
    while (silent) std::this_thread::sleep_for(1ms);
    return "";
  };
  node.misbehave(quiet);
  RpcConfig c = config(node.port());
  c.call_deadline = 20ms;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_state(State::kWaiting));
  EXPECT_SAYS(source.status().message, "did not answer getblockchaininfo within 20 ms");
  silent = false;
}

TEST_F(Rpc, ANodeThatIsGoneIsWaitedForAndTheBlockFoundMeanwhileReachesIt) {
  std::uint16_t port = 0;
  std::optional<FoundBlock> block;
  RpcConfig c;
  std::unique_ptr<BitcoinNodes> source;
  {
    TestNode node;
    port = node.port();
    c = config(port);
    c.refresh_every = 5ms;
    source = std::make_unique<BitcoinNodes>(of(c));
    ASSERT_TRUE(source->start(sink.events()));
    ASSERT_TRUE(wait_for_templates(1));
    block = test::solve(*newest());
  }
  ASSERT_TRUE(wait_for_state(State::kWaiting));
  ASSERT_TRUE(source->blocks().submit(*block));
  ASSERT_TRUE(eventually([&] { return source->status().blocks_unanswered == 1; }));
  TestNode again(port);  // The same genesis block, so the block is good on it.
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.templates.back().first->height == 2; }));
  EXPECT_TRUE(eventually([&] { return folder.files(".block").empty(); }));
}

TEST_F(Rpc, ABlockWhoseAnswerWasLostIsSubmittedAgain) {
  std::atomic<int> lost{0};
  TestNode node;
  // The node takes the block, but its first answer never arrives.
  node.misbehave([&](const TestNode::Request& request) -> std::optional<std::string> {
    if (request.method != "submitblock" || lost++ != 0) return std::nullopt;
    const auto bytes = from_hex(std::string_view(request.params.at(0).as_string()));
    node.with_chain([&](Chain& chain) { return chain.submit(*bytes, now_from_system().unix_time).reason; });
    return "";
  });
  BitcoinNodes source(of(config(node.port())));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  ASSERT_TRUE(source.submit(newest()->id, test::solution(*newest())));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kDuplicate);
  EXPECT_EQ(lost, 2);
  EXPECT_TRUE(eventually([&] { return folder.files(".block").empty(); }));
}

TEST_F(Rpc, ABlockThatWasNeverAnsweredIsKeptOnDiskAndSurvivesARestart) {
  std::atomic<int> submissions{0};
  {
    TestNode node;
    node.misbehave([&](const TestNode::Request& request) -> std::optional<std::string> {
      if (request.method != "submitblock") return std::nullopt;
      ++submissions;
      return "";
    });
    BitcoinNodes source(of(config(node.port())));
    ASSERT_TRUE(source.start(sink.events()));
    ASSERT_TRUE(wait_for_templates(1));
    ASSERT_TRUE(source.submit(newest()->id, test::solution(*newest())));
    EXPECT_TRUE(eventually([&] { return submissions >= 2; }));
    EXPECT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.kept.size() == 1; }));
    EXPECT_EQ(folder.files(".block").size(), 1u);
  }
  EXPECT_TRUE(sink.seen().results.empty());
  ASSERT_EQ(folder.files(".block").size(), 1u);

  // Another node, because a submission that was under way may still reach the first.
  TestNode node;
  Sink later;
  BitcoinNodes source(of(config(node.port())));
  ASSERT_TRUE(source.start(later.events()));
  ASSERT_TRUE(later.wait_for([](const Sink::Seen& s) { return s.results.size() == 1; }));
  EXPECT_EQ(later.seen().results[0].verdict, BlockVerdict::kAccepted);
  EXPECT_EQ(later.seen().results[0].height, 1u);
  EXPECT_TRUE(eventually([&] { return folder.files(".block").empty(); }));
}

TEST_F(Rpc, EveryAnswerToABlockIsUnderstood) {
  struct Row {
    std::string answer;
    BlockVerdict verdict;
    std::string reason;
  };
  TestNode node;
  BitcoinNodes source(of(config(node.port())));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  Template work = *newest();
  const auto text = [](const char* reason) { return boost::json::serialize(boost::json::value(reason)); };
  std::size_t count = 0;
  for (const Row& row :
       {Row{"null", BlockVerdict::kAccepted, ""}, Row{text("duplicate"), BlockVerdict::kDuplicate, "duplicate"},
        Row{text("inconclusive"), BlockVerdict::kStale, "inconclusive"},
        Row{text("duplicate-inconclusive"), BlockVerdict::kStale, "duplicate-inconclusive"},
        Row{text("duplicate-invalid"), BlockVerdict::kRejected, "duplicate-invalid"},
        Row{text("high-hash"), BlockVerdict::kRejected, "high-hash"},
        Row{text("rejected: already have block 00"), BlockVerdict::kDuplicate, "rejected: already have block 00"},
        Row{"-22", BlockVerdict::kRejected, "Block decode failed"}}) {
    node.misbehave([row](const TestNode::Request& request) -> std::optional<std::string> {
      if (request.method != "submitblock") return std::nullopt;
      if (row.answer == "-22") return test::rpc_error(request.id, -22, "Block decode failed");
      return test::rpc_result(request.id, boost::json::parse(row.answer));
    });
    ++work.current_time;
    ASSERT_TRUE(source.blocks().submit(test::solve(work)));
    ASSERT_TRUE(wait_for_results(++count));
    EXPECT_EQ(sink.seen().results.back().verdict, row.verdict) << row.answer;
    EXPECT_EQ(sink.seen().results.back().reason, row.reason);
    node.behave();
  }
  EXPECT_TRUE(eventually([&] { return folder.files(".block").empty(); }));
}

TEST_F(Rpc, ABlockWhoseParentTheNodeHasLostIsSubmittedAgainAtTheNextTip) {
  TestNode node;
  // A chain that was one block ahead, as the node was before it was killed.
  Chain ahead{Chain::Options{}};
  BitcoinNodes source(of(config(node.port())));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  const FoundBlock first = test::solve(*newest());
  ASSERT_EQ(ahead.submit(first.bytes, now_from_system().unix_time).verdict, BlockVerdict::kAccepted);
  const FoundBlock second = test::solve(ahead.make_template(now_from_system().unix_time));
  ASSERT_TRUE(source.blocks().submit(second));
  ASSERT_TRUE(eventually([&] { return node.calls("submitblock") >= 1; }));
  EXPECT_TRUE(sink.seen().results.empty());
  node.with_chain([&](Chain& chain) { return chain.submit(first.bytes, now_from_system().unix_time).reason; });
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].hash, second.hash);
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
}

TEST_F(Rpc, ANodeThatCouldNotLookAtABlockIsAskedAgain) {
  TestNode node;
  std::atomic<int> failed{0};
  node.misbehave([&](const TestNode::Request& request) -> std::optional<std::string> {
    if (request.method != "submitblock" || failed++ >= 3) return std::nullopt;
    return test::rpc_error(request.id, failed == 1 ? -25 : -1, "Disk space is too low!");
  });
  BitcoinNodes source(of(config(node.port())));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  ASSERT_TRUE(source.submit(newest()->id, test::solution(*newest())));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
}

TEST_F(Rpc, ASolutionOfATemplateThatWasNeverGivenOutIsRefused) {
  TestNode node;
  BitcoinNodes source(of(config(node.port())));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  const BlockSolution good = test::solution(*newest());
  EXPECT_TRUE(source.submit(newest()->id + 1, good).error().is(Errc::kUnknownTemplate));
  BlockSolution bent = good;
  bent.coinbase.resize(10);
  EXPECT_TRUE(source.submit(newest()->id, bent).error().is(bitcoin::Errc::kMalformed));
  bool told = false;
  source.transactions(newest()->id, [&](const auto& answer) { told = answer && (*answer)->empty(); });
  EXPECT_TRUE(told);
}

TEST_F(Rpc, ABlockGoesToEveryNodeAndOnlyThoseWithTemplatesPreferIt) {
  TestNode first;
  TestNode second;
  auto options = of({config(first.port()), config(second.port())});
  options.nodes[1].templates = false;
  BitcoinNodes source(options);
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  const BlockSolution found = test::solution(*newest());
  const Hash256 hash = bitcoin::solved_header(*newest(), found)->hash();
  ASSERT_TRUE(source.submit(newest()->id, found));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_TRUE(eventually([&] { return second.with_chain([](Chain& chain) { return chain.tip(); }) == hash; }));
  EXPECT_TRUE(eventually([&] { return first.calls("preciousblock") == 1; }));
  EXPECT_EQ(first.with_chain([](Chain& chain) { return chain.tip(); }), hash);
  EXPECT_EQ(second.calls("getblocktemplate"), 0u);
  source.stop();
  EXPECT_EQ(second.calls("preciousblock"), 0u);
  EXPECT_EQ(sink.seen().kept, std::vector<Hash256>{hash});
  EXPECT_EQ(sink.seen().results.size(), 1u);
  EXPECT_EQ(source.status().blocks_accepted, 1u);
}

TEST_F(Rpc, TemplatesComeFromTheNextNodeWhileTheFirstIsAway) {
  TestNode second;
  std::uint16_t port = 0;
  std::unique_ptr<BitcoinNodes> source;
  {
    TestNode first;
    port = first.port();
    RpcConfig c = config(port);
    c.refresh_every = 5ms;
    source = std::make_unique<BitcoinNodes>(of({c, config(second.port())}));
    ASSERT_TRUE(source->start(sink.events()));
    ASSERT_TRUE(eventually([&] { return source->status().message.empty() && source->status().state == State::kReady; }));
  }
  ASSERT_TRUE(eventually([&] { return source->status().node == "127.0.0.1:" + std::to_string(second.port()); }));
  EXPECT_SAYS(source->status().message, "templates come from");
  // A block on the second's template, whose first node is away, waits for that one on its own.
  const TemplatePtr work = newest();
  ASSERT_TRUE(source->submit(work->id, test::solution(*work)));
  ASSERT_TRUE(wait_for_results(1));
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.templates.back().first->height == 2; }));
  TestNode again(port);
  EXPECT_TRUE(eventually([&] { return again.with_chain([](Chain& chain) { return chain.height(); }) == 1; }))
      << "the first node is still offered the block";
  EXPECT_TRUE(eventually([&] { return source->status().node == "127.0.0.1:" + std::to_string(port); }));
}

TEST_F(Rpc, ABlockNeedsNoNewConnection) {
  std::atomic<std::size_t> connections{0};
  TestNode node;
  node.misbehave([&](const TestNode::Request& request) -> std::optional<std::string> {
    if (request.method == "submitblock") connections = node.accepted();
    return std::nullopt;
  });
  BitcoinNodes source(of(config(node.port())));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  // The long poll has its connection too.
  ASSERT_TRUE(eventually([&] { return node.calls("getbestblockhash") == 1 && node.calls("getblocktemplate") == 2; }));
  // Some connections are opened ahead and say nothing: until none has come for a while.
  std::size_t before = 0;
  ASSERT_TRUE(eventually([&] {
    const std::size_t last = std::exchange(before, node.accepted());
    std::this_thread::sleep_for(200ms);
    return last == node.accepted();
  }));
  ASSERT_TRUE(source.submit(newest()->id, test::solution(*newest())));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(connections, before);
}

TEST_F(Rpc, AConnectionThatTheNodeClosedIsOpenedAgainBeforeABlockNeedsIt) {
  TestNode node;
  node.closes_connections = true;
  RpcConfig c = config(node.port());
  c.keep_warm_every = 5ms;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  ASSERT_TRUE(eventually([&] { return node.calls("getbestblockhash") > 3; }));
  for (std::size_t n = 1; n <= 3; ++n) {
    ASSERT_TRUE(sink.wait_for([=](const Sink::Seen& s) { return s.templates.back().first->height == n; }));
    ASSERT_TRUE(source.submit(newest()->id, test::solution(*newest())));
    EXPECT_TRUE(wait_for_results(n));
  }
  EXPECT_EQ(source.status().blocks_accepted, 3u);
}

// Strangers have taken every descriptor, and take each that becomes free: blocks still reach disk and node.
TEST_F(Rpc, WithoutAnyDescriptorLeftBlocksReachDiskAndNode) {
  ADIT_TAKES_EVERY_DESCRIPTOR();
  TestNode node;
  BitcoinNodes source(of(config(node.port())));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  ASSERT_TRUE(eventually([&] { return node.calls("getbestblockhash") >= 1 && node.calls("getblocktemplate") == 2; }));
  std::atomic<bool> answers{false};
  node.misbehave([&](const TestNode::Request& request) -> std::optional<std::string> {
    if (request.method != "submitblock" || answers) return std::nullopt;
    return test::rpc_error(request.id, -1, "not now");
  });

  std::optional<FewDescriptors> few(std::in_place, 128);
  std::atomic<bool> strangers{true};
  std::atomic<bool> full{false};
  std::thread flood([&] {
    std::vector<Fd> taken;
    while (strangers) {
      Fd one(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (one.ok()) {
        taken.push_back(std::move(one));
      } else {
        full = true;
        std::this_thread::yield();
      }
    }
  });
  EXPECT_TRUE(eventually([&] { return full.load(); }));
  const TemplatePtr work = newest();
  const bool submitted = source.submit(work->id, test::solution(*work)).has_value();
  const bool kept = sink.wait_for([](const Sink::Seen& s) { return s.kept.size() == 1; });
  const bool no_result = sink.seen().results.empty();
  answers = true;
  const bool answered = wait_for_results(1);
  strangers = false;
  flood.join();
  few.reset();
  EXPECT_TRUE(submitted);
  EXPECT_TRUE(kept) << "on disk";
  EXPECT_TRUE(no_result);
  ASSERT_TRUE(answered);
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
}

TEST_F(Rpc, AnOrderlyStopLosesNoBlockThatWasHandedOver) {
  std::vector<Hash256> found;
  {
    TestNode node;
    node.misbehave([](const TestNode::Request& request) -> std::optional<std::string> {
      if (request.method != "submitblock") return std::nullopt;
      return "";
    });
    BitcoinNodes source(of(config(node.port())));
    ASSERT_TRUE(source.start(sink.events()));
    ASSERT_TRUE(wait_for_templates(1));
    for (std::uint8_t n = 0; n < 20; ++n) {
      const BlockSolution one = test::solution(*newest(), {0x51}, n);
      found.push_back(bitcoin::solved_header(*newest(), one)->hash());
      ASSERT_TRUE(source.submit(newest()->id, one));
    }
    source.stop();
    EXPECT_TRUE(source.submit(newest()->id, test::solution(*newest())).error().is(ledger::Errc::kStopped));
  }
  EXPECT_EQ(folder.files(".block").size(), found.size());
  EXPECT_EQ(sink.seen().kept.size(), found.size());
}

TEST_F(Rpc, AJournalThatCannotBeUsedStopsTheStart) {
  std::ofstream(folder.path() / "file") << "x";
  BitcoinNodes::Options options = of(config(1));
  options.blocks.journal_folder = folder.path() / "file";
  BitcoinNodes source(options);
  const auto started = source.start(sink.events());
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().is(ledger::Errc::kJournal));
}

TEST_F(Rpc, StopCutsOffWhatIsUnderWay) {
  TestNode node;
  BitcoinNodes source(of(config(node.port())));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));  // Now a long poll waits.
  source.stop();
  const std::size_t before = sink.seen().templates.size();
  EXPECT_TRUE(node.with_chain([](Chain& chain) { return chain.mine({0x51}, now_from_system().unix_time, 100'000); }));
  EXPECT_EQ(sink.seen().templates.size(), before);
}

}  // namespace
}  // namespace adit::templates
