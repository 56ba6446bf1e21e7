#include "template/rpc.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>

#include "bitcoin/test_data.h"
#include "template/test_folder.h"
#include "template/test_node.h"
#include "template/test_sink.h"

namespace adit::templates {
namespace {

using namespace std::chrono_literals;
using test::Folder;
using test::Sink;
using test::TestNode;
using State = SourceStatus::State;

constexpr Duration kNever = std::chrono::hours(1);

class Rpc : public testing::Test {
 protected:
  Folder folder;
  Sink sink;

  RpcConfig config(std::uint16_t port) const {
    RpcConfig config;
    config.port = port;
    config.auth = RpcPassword{"user", "secret"};
    config.network = bitcoin::Network::kRegtest;
    config.journal_folder = folder.path();
    config.refresh_every = kNever;
    config.call_deadline = 1min;
    config.retry_first = 1ms;
    config.retry_cap = 20ms;
    return config;
  }

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
    RpcSource source(c);
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
  RpcSource source(config(node.port()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  EXPECT_EQ(newest()->transactions.size(), 1u);
  EXPECT_EQ(newest()->merkle_path.size(), 1u);
  source.submit_block(test::solve(*newest()));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.templates.back().first->height == 2; }));
  EXPECT_EQ(source.status().blocks_accepted, 1u);
  EXPECT_EQ(source.status().blocks_unanswered, 0u);
  EXPECT_TRUE(folder.files(".block").empty());
}

TEST_F(Rpc, TheLongPollBringsANewTipWithoutARefresh) {
  TestNode node;
  RpcSource source(config(node.port()));
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

TEST_F(Rpc, RefreshesWhileTheLongPollIsQuiet) {
  TestNode node;
  RpcConfig c = config(node.port());
  c.refresh_every = 1ms;
  RpcSource source(c);
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(4));
  source.stop();
  const auto templates = sink.seen().templates;
  for (std::size_t i = 1; i < templates.size(); ++i) EXPECT_FALSE(templates[i].second);
}

TEST_F(Rpc, ANodeWithoutLongPollIsPolledInstead) {
  TestNode node;
  node.without_long_poll = true;
  node.without_commitment = true;
  RpcConfig c = config(node.port());
  c.poll_every = 1ms;
  RpcSource source(c);
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  EXPECT_FALSE(newest()->has_witness_commitment);
  source.submit_block(test::solve(*newest()));
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
  RpcSource source(config(node.port()));
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
  RpcSource source(c);
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

TEST_F(Rpc, AMissingCookieNamesItsFile) {
  TestNode node;
  RpcConfig c = config(node.port());
  c.auth = RpcCookie{folder.path() / "regtest" / ".cookie"};
  RpcSource source(c);
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_state(State::kWaiting));
  EXPECT_SAYS(source.status().message, "regtest/.cookie");
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
      "is starting: Loading block index");
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
  EXPECT_SAYS(words_about(node, alone, State::kWaiting), "not connected to the network");
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
  RpcSource source(c);
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_state(State::kWaiting));
  EXPECT_SAYS(source.status().message, "did not answer getblockchaininfo within 20 ms");
  silent = false;
}

TEST_F(Rpc, ANodeThatIsGoneIsWaitedForAndTheBlockFoundMeanwhileReachesIt) {
  std::uint16_t port = 0;
  std::optional<FoundBlock> block;
  RpcConfig c;
  std::unique_ptr<RpcSource> source;
  {
    TestNode node;
    port = node.port();
    c = config(port);
    c.refresh_every = 5ms;
    source = std::make_unique<RpcSource>(c);
    ASSERT_TRUE(source->start(sink.events()));
    ASSERT_TRUE(wait_for_templates(1));
    block = test::solve(*newest());
  }
  ASSERT_TRUE(wait_for_state(State::kWaiting));
  source->submit_block(*block);
  ASSERT_TRUE(eventually([&] { return source->status().blocks_unanswered == 1; }));
  TestNode again(port);  // The same genesis block, so the block is good on it.
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.templates.back().first->height == 2; }));
  EXPECT_TRUE(folder.files(".block").empty());
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
  RpcSource source(config(node.port()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  source.submit_block(test::solve(*newest()));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kDuplicate);
  EXPECT_EQ(lost, 2);
  EXPECT_TRUE(folder.files(".block").empty());
}

TEST_F(Rpc, ABlockThatWasNeverAnsweredIsOnDiskBeforeItIsSubmittedAndSurvivesARestart) {
  std::atomic<std::size_t> on_disk{0};
  std::atomic<int> submissions{0};
  {
    TestNode node;
    node.misbehave([&](const TestNode::Request& request) -> std::optional<std::string> {
      if (request.method != "submitblock") return std::nullopt;
      if (submissions++ == 0) on_disk = folder.files(".block").size();
      return "";
    });
    RpcSource source(config(node.port()));
    ASSERT_TRUE(source.start(sink.events()));
    ASSERT_TRUE(wait_for_templates(1));
    source.submit_block(test::solve(*newest()));
    EXPECT_TRUE(eventually([&] { return submissions >= 2; }));
  }
  EXPECT_EQ(on_disk, 1u);
  EXPECT_TRUE(sink.seen().results.empty());
  ASSERT_EQ(folder.files(".block").size(), 1u);

  // Another node, because a submission that was under way may still reach the first.
  TestNode node;
  Sink later;
  RpcSource source(config(node.port()));
  ASSERT_TRUE(source.start(later.events()));
  ASSERT_TRUE(later.wait_for([](const Sink::Seen& s) { return s.results.size() == 1; }));
  EXPECT_EQ(later.seen().results[0].verdict, BlockVerdict::kAccepted);
  EXPECT_EQ(later.seen().results[0].height, 1u);
  EXPECT_TRUE(folder.files(".block").empty());
}

TEST_F(Rpc, EveryAnswerToABlockIsUnderstood) {
  struct Row {
    std::string answer;
    BlockVerdict verdict;
    std::string reason;
  };
  TestNode node;
  RpcSource source(config(node.port()));
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
    source.submit_block(test::solve(work));
    ASSERT_TRUE(wait_for_results(++count));
    EXPECT_EQ(sink.seen().results.back().verdict, row.verdict) << row.answer;
    EXPECT_EQ(sink.seen().results.back().reason, row.reason);
    node.behave();
  }
  EXPECT_TRUE(folder.files(".block").empty());
}

TEST_F(Rpc, ABlockWhoseParentTheNodeHasLostIsSubmittedAgainAtTheNextTip) {
  TestNode node;
  // A chain that was one block ahead, as the node was before it was killed.
  Chain ahead{Chain::Options{}};
  RpcSource source(config(node.port()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  const FoundBlock first = test::solve(*newest());
  ASSERT_EQ(ahead.submit(first.bytes, now_from_system().unix_time).verdict, BlockVerdict::kAccepted);
  const FoundBlock second = test::solve(ahead.make_template(now_from_system().unix_time));
  source.submit_block(second);
  ASSERT_TRUE(eventually([&] { return node.calls("submitblock") >= 1; }));
  EXPECT_TRUE(sink.seen().results.empty());
  node.with_chain([&](Chain& chain) { return chain.submit(first.bytes, now_from_system().unix_time).reason; });
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].hash, second.hash);
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
}

TEST_F(Rpc, AJournalThatCannotBeUsedStopsTheStart) {
  std::ofstream(folder.path() / "file") << "x";
  RpcConfig c = config(1);
  c.journal_folder = folder.path() / "file";
  RpcSource source(c);
  const auto started = source.start(sink.events());
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().is(Errc::kJournal));
}

TEST_F(Rpc, StopCutsOffWhatIsUnderWay) {
  TestNode node;
  RpcSource source(config(node.port()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));  // Now a long poll waits.
  source.stop();
  const std::size_t before = sink.seen().templates.size();
  EXPECT_TRUE(node.with_chain([](Chain& chain) { return chain.mine({0x51}, now_from_system().unix_time, 100'000); }));
  EXPECT_EQ(sink.seen().templates.size(), before);
}

}  // namespace
}  // namespace adit::templates
