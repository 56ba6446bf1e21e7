#include "roles/template/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <future>
#include <memory>
#include <optional>

#include "base/eventually_testing.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/temporary_folder_testing.h"
#include "bitcoin/test_data.h"
#include "template/bitcoin_nodes.h"
#include "template/embedded.h"
#include "template/test_node.h"
#include "template/test_sink.h"

namespace adit::provider {
namespace {

using bitcoin::Hash256;
using templates::BlockVerdict;
using templates::test::Sink;
using testing::ElementsAre;
using testing::SizeIs;

noise::Secret authority_secret() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.back() = 7;
  return noise::Secret(bytes);
}

/// A provider on an embedded chain, and sources that take their work from it over TCP.
class TemplateServerTest : public testing::Test {
 protected:
  TemplateServerTest() {
    shards.start();
    ServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", 0};
    options.authority_secret = authority_secret();
    options.classes.least = templates::kMostConstraints;  // An embedded chain has one kind of templates.
    server.emplace(shards, chain, nullptr, std::move(options));
    EXPECT_TRUE(server->start());
  }
  ~TemplateServerTest() override {
    server->stop(std::chrono::seconds(5));
    shards.stop(std::chrono::seconds(5));
  }

  /// A pool's source: the provider is its only node.
  std::unique_ptr<templates::BitcoinNodes> source() {
    templates::Sv2Config config;
    config.provider = {.transport = net::TcpConfig{"127.0.0.1", server->tcp_port()},
                       .authority = noise::AuthorityKeyPair::from_secret(authority_secret())->public_key()};
    config.shard = &shards[1];
    templates::BitcoinNodes::Options options;
    options.nodes.push_back({.at = std::move(config)});
    options.blocks.journal_folder = (folder.path() / "found-blocks").string();
    return std::make_unique<templates::BitcoinNodes>(std::move(options));
  }

  TemporaryFolder folder;
  net::Shards shards{2};
  templates::EmbeddedSource chain{{}};
  std::optional<TemplateServer> server;
};

TEST_F(TemplateServerTest, WorkGoesOutAndABlockOfItComesBack) {
  Sink sink;
  const auto pool = source();
  pool->constrain({34, 1});
  ASSERT_TRUE(pool->start(sink.events()));
  ASSERT_TRUE(sink.wait_for([](const auto& seen) { return !seen.templates.empty(); }));
  const auto first = sink.seen().templates[0].first;
  ASSERT_TRUE(pool->submit(first->id, templates::test::solution(*first)));
  ASSERT_TRUE(sink.wait_for([](const auto& seen) { return !seen.results.empty(); }));
  const auto seen = sink.seen();
  EXPECT_EQ(seen.results[0].verdict, BlockVerdict::kAccepted) << seen.results[0].reason;
  EXPECT_EQ(seen.results[0].node, "127.0.0.1:" + std::to_string(server->tcp_port()));
  EXPECT_THAT(seen.kept, SizeIs(1));
  EXPECT_EQ(seen.templates.back().first->prev_hash, seen.results[0].hash);
  EXPECT_TRUE(seen.templates.back().second);
  EXPECT_EQ(chain.blocks().back().hash, seen.results[0].hash);
  EXPECT_EQ(server->stats().sessions.solutions, 1u);
  EXPECT_EQ(server->stats().clients, 1u);
  pool->stop();
}

TEST_F(TemplateServerTest, TransactionsComeOnRequest) {
  Sink sink;
  const auto pool = source();
  ASSERT_TRUE(pool->start(sink.events()));
  ASSERT_TRUE(sink.wait_for([](const auto& seen) { return !seen.templates.empty(); }));
  std::promise<Result<templates::TemplateSource::Transactions>> answered;
  pool->transactions(sink.seen().templates[0].first->id, [&](auto found) { answered.set_value(std::move(found)); });
  auto answer = answered.get_future();
  ASSERT_EQ(answer.wait_for(std::chrono::minutes(1)), std::future_status::ready);
  const auto found = answer.get();
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_THAT(**found, SizeIs(0));
  pool->stop();
}

/// A provider on a node of which blocks have transactions, by JSON-RPC.
class TemplateServerOnANode : public testing::Test {
 protected:
  TemplateServerOnANode() {
    add_transaction(node);
    shards.start();
    templates::BitcoinNodes::Options own;
    own.nodes.push_back({.at = rpc(node.port())});
    own.blocks.journal_folder = (folder.path() / "provider").string();
    source.emplace(std::move(own));
    ServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", 0};
    options.authority_secret = authority_secret();
    options.tick = std::chrono::milliseconds(20);
    options.session.kept_after_tip = std::chrono::milliseconds(20);
    server.emplace(shards, *source, [this] { return source->further(); }, std::move(options));
    EXPECT_TRUE(server->start());
  }
  ~TemplateServerOnANode() override {
    if (server) server->stop(std::chrono::seconds(5));
    shards.stop(std::chrono::seconds(5));
  }

  static void add_transaction(templates::test::TestNode& to) {
    to.with_chain([](templates::Chain& chain) {
      return chain.add_transaction(bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction), 1'000);
    });
  }

  static templates::RpcConfig rpc(std::uint16_t port) {
    templates::RpcConfig config;
    config.port = port;
    config.auth = templates::RpcPassword{"user", "secret"};
    return config;
  }

  /// A pool that takes its work from the provider, and whose blocks go to `others` too.
  std::unique_ptr<templates::BitcoinNodes> pool(std::vector<std::uint16_t> others = {}, const std::string& solutions = {}) {
    templates::Sv2Config config;
    config.provider = {.transport = net::TcpConfig{"127.0.0.1", server->tcp_port()},
                       .authority = noise::AuthorityKeyPair::from_secret(authority_secret())->public_key()};
    config.shard = &shards[1];
    config.solution_folder = solutions;
    templates::BitcoinNodes::Options options;
    options.nodes.push_back({.at = std::move(config)});
    for (const std::uint16_t port : others) options.nodes.push_back({.at = rpc(port), .templates = false});
    options.blocks.journal_folder = (folder.path() / ("pool" + std::to_string(++pools))).string();
    options.blocks.answer_grace = std::chrono::milliseconds(1);
    return std::make_unique<templates::BitcoinNodes>(std::move(options));
  }

  TemporaryFolder folder;
  templates::test::TestNode node;
  int pools = 0;
  net::Shards shards{2};
  std::optional<templates::BitcoinNodes> source;
  std::optional<TemplateServer> server;
};

TEST_F(TemplateServerOnANode, ABlockGoesBackAsASolutionAndToAnotherNodeWhole) {
  templates::test::TestNode other;
  add_transaction(other);
  Sink sink;
  const auto miners = pool({other.port()});
  miners->constrain({34, 1});
  ASSERT_TRUE(miners->start(sink.events()));
  ASSERT_TRUE(sink.wait_for([](const auto& seen) { return !seen.templates.empty(); }));
  const auto first = sink.seen().templates[0].first;
  EXPECT_THAT(first->merkle_path, SizeIs(1)) << "it has a transaction";
  EXPECT_THAT(first->transactions, SizeIs(0)) << "which comes by request";
  ASSERT_TRUE(miners->submit(first->id, templates::test::solution(*first)));
  const auto tip = [](templates::test::TestNode& of) {
    return of.with_chain([](templates::Chain& chain) { return chain.tip(); });
  };
  ASSERT_TRUE(eventually([&] { return tip(node) != first->prev_hash && tip(node) == tip(other); }));
  ASSERT_TRUE(sink.wait_for([](const auto& seen) { return !seen.results.empty(); }));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
  EXPECT_EQ(sink.seen().results[0].hash, tip(node));
  miners->stop();
}

TEST_F(TemplateServerOnANode, ABlockIsNotLostWithItsProvider) {
  templates::test::TestNode other;
  add_transaction(other);
  Sink sink;
  const auto miners = pool({other.port()});
  ASSERT_TRUE(miners->start(sink.events()));
  ASSERT_TRUE(sink.wait_for([](const auto& seen) { return !seen.templates.empty(); }));
  const auto first = sink.seen().templates[0].first;
  // Asked for behind the template, before anything was found.
  ASSERT_TRUE(eventually([&] { return server->stats().sessions.transactions_sent == 1; }));
  server->stop(std::chrono::seconds(5));
  ASSERT_TRUE(sink.wait_for([](const auto& seen) { return seen.statuses.back().state == templates::SourceState::kWaiting; }));
  ASSERT_TRUE(miners->submit(first->id, templates::test::solution(*first)));
  ASSERT_TRUE(sink.wait_for([](const auto& seen) { return !seen.results.empty(); }));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
  EXPECT_EQ(sink.seen().results[0].node, "127.0.0.1:" + std::to_string(other.port()));
  EXPECT_THAT(sink.seen().kept, SizeIs(1));
  miners->stop();
}

TEST_F(TemplateServerOnANode, ASolutionWhoseEffectWasNotSeenIsSentAgainByTheNextRun) {
  const std::string solutions = folder.path() / "found-solutions";
  const auto kept = [&] { return FileSystem::real().list(solutions).value_or(std::vector<std::string>()); };
  // The node takes no block, so that none has an effect.
  node.misbehave([](const templates::test::TestNode::Request& request) -> std::optional<std::string> {
    if (request.method != "submitblock") return std::nullopt;
    return templates::test::http(503, "Work queue depth exceeded");
  });
  Hash256 found{};
  {
    Sink sink;
    const auto first_run = pool({}, solutions);
    ASSERT_TRUE(first_run->start(sink.events()));
    ASSERT_TRUE(sink.wait_for([](const auto& seen) { return !seen.templates.empty(); }));
    const auto work = sink.seen().templates[0].first;
    const auto solution = templates::test::solution(*work);
    found = bitcoin::solved_header(*work, solution)->hash();
    ASSERT_TRUE(first_run->submit(work->id, solution));
    ASSERT_TRUE(eventually([&] { return kept().size() == 1 && server->stats().sessions.solutions == 1; }));
    first_run->stop();
  }
  EXPECT_THAT(kept(), ElementsAre("1-" + to_hex_reversed(found) + ".solution"));
  Sink sink;
  const auto second_run = pool({}, solutions);
  ASSERT_TRUE(second_run->start(sink.events()));
  ASSERT_TRUE(eventually([&] { return server->stats().sessions.solutions == 2; })) << "sent again by what only knows the file";
  node.behave();
  ASSERT_TRUE(sink.wait_for(
      [&](const auto& seen) { return !seen.templates.empty() && seen.templates.back().first->prev_hash == found; }));
  EXPECT_TRUE(eventually([&] { return kept().empty(); })) << "its effect was seen";
  second_run->stop();
}

TEST_F(TemplateServerOnANode, ClientsWithOtherConstraintsHaveASourceOfTheirOwnWhoseBlocksGoToTheSameNode) {
  Sink small;
  const auto first = pool();
  first->constrain({34, 1});
  ASSERT_TRUE(first->start(small.events()));
  ASSERT_TRUE(small.wait_for([](const auto& seen) { return !seen.templates.empty(); }));
  EXPECT_EQ(server->stats().classes, 1u);
  {
    Sink large;
    const auto second = pool();
    second->constrain({5'000, 200});
    ASSERT_TRUE(second->start(large.events()));
    ASSERT_TRUE(large.wait_for([](const auto& seen) { return !seen.templates.empty(); }));
    EXPECT_EQ(server->stats().classes, 2u);
    EXPECT_EQ(server->stats().clients, 2u);
    const auto work = large.seen().templates[0].first;
    ASSERT_TRUE(second->submit(work->id, templates::test::solution(*work)));
    ASSERT_TRUE(large.wait_for([](const auto& seen) { return !seen.results.empty(); }));
    EXPECT_EQ(large.seen().results[0].verdict, BlockVerdict::kAccepted);
    EXPECT_EQ(node.with_chain([](templates::Chain& chain) { return chain.tip(); }), large.seen().results[0].hash);
    EXPECT_TRUE(small.wait_for([&](const auto& seen) {
      return seen.templates.back().first->prev_hash == large.seen().results[0].hash;
    })) << "both hear of the tip";
    EXPECT_EQ(server->stats().source.blocks_accepted, 1u) << "one submitter for all classes";
    second->stop();
  }
  EXPECT_TRUE(eventually([&] { return server->stats().classes == 1; }));
  EXPECT_EQ(server->stats().clients, 1u);
  first->stop();
}

}  // namespace
}  // namespace adit::provider
