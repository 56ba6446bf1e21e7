// The same node by JSON-RPC and by IPC gives the same work. Run by ./dev interop, which names the node in the environment.
#include <gtest/gtest.h>

#include <cstdlib>
#include <future>
#include <string>

#include "base/temporary_folder_testing.h"
#include "template/bitcoin_nodes.h"
#include "template/test_sink.h"

namespace adit::templates {
namespace {

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

class NodeSources : public testing::Test {
 protected:
  NodeSources() {
    ipc_.socket_path = from_environment("ADIT_NODE_SOCKET");
    ipc_.network = bitcoin::Network::kRegtest;
    rpc_.port = static_cast<std::uint16_t>(std::atoi(from_environment("ADIT_NODE_PORT").c_str()));
    rpc_.auth = RpcCookie{from_environment("ADIT_NODE_COOKIE")};
    rpc_.network = bitcoin::Network::kRegtest;
  }
  void SetUp() override {
    if (ipc_.socket_path.empty()) GTEST_SKIP() << "no node in the environment";
  }

  struct Source {
    Source(decltype(BitcoinNodes::Node::at) at, const std::string& journal) {
      BitcoinNodes::Options options;
      options.nodes.push_back({.at = std::move(at)});
      options.blocks.journal_folder = journal;
      nodes = std::make_unique<BitcoinNodes>(std::move(options));
      nodes->constrain({.max_additional_size = 43, .max_additional_sigops = 4});
      EXPECT_TRUE(nodes->start(sink.events()));
    }
    TemplatePtr newest() {
      EXPECT_TRUE(sink.wait_for([](const test::Sink::Seen& s) { return !s.templates.empty(); }));
      return sink.seen().templates.back().first;
    }
    std::vector<std::vector<std::uint8_t>> transactions(const Template& of) {
      std::promise<Result<TemplateSource::Transactions>> found;
      nodes->transactions(of.id, [&](Result<TemplateSource::Transactions> one) { found.set_value(std::move(one)); });
      auto result = found.get_future().get();
      EXPECT_TRUE(result) << result.error().message();
      return result ? **result : std::vector<std::vector<std::uint8_t>>();
    }

    test::Sink sink;
    std::unique_ptr<BitcoinNodes> nodes;
  };

  TemporaryFolder folder_;
  IpcConfig ipc_;
  RpcConfig rpc_;
};

TEST_F(NodeSources, GiveTheSameWork) {
  Source by_ipc(ipc_, folder_.path() / "ipc");
  Source by_rpc(rpc_, folder_.path() / "rpc");
  const TemplatePtr ipc = by_ipc.newest();
  const TemplatePtr rpc = by_rpc.newest();
  EXPECT_EQ(ipc->version, rpc->version);
  EXPECT_EQ(ipc->prev_hash, rpc->prev_hash);
  EXPECT_EQ(ipc->nbits, rpc->nbits);
  EXPECT_EQ(ipc->height, rpc->height);
  EXPECT_GE(ipc->min_ntime, rpc->min_ntime);
  EXPECT_NEAR(ipc->current_time, rpc->current_time, 60);
  EXPECT_EQ(ipc->coinbase_script_prefix, rpc->coinbase_script_prefix);
  EXPECT_EQ(ipc->coinbase_value_sat, rpc->coinbase_value_sat);
  EXPECT_EQ(ipc->coinbase_outputs, rpc->coinbase_outputs);
  EXPECT_EQ(ipc->merkle_path, rpc->merkle_path);
  EXPECT_EQ(ipc->has_witness_commitment, rpc->has_witness_commitment);
  EXPECT_EQ(by_ipc.transactions(*ipc), by_rpc.transactions(*rpc));
}

TEST_F(NodeSources, TakeABlockEach) {
  Source by_ipc(ipc_, folder_.path() / "ipc");
  Source by_rpc(rpc_, folder_.path() / "rpc");
  for (Source* source : {&by_ipc, &by_rpc}) {
    const TemplatePtr work = source->newest();
    ASSERT_TRUE(source->nodes->submit(work->id, test::solution(*work)));
    ASSERT_TRUE(source->sink.wait_for([](const test::Sink::Seen& s) { return s.results.size() == 1; }));
    const BlockResult result = source->sink.seen().results[0];
    EXPECT_EQ(result.verdict, BlockVerdict::kAccepted) << result.reason;
    // Both hear of it.
    for (Source* other : {&by_ipc, &by_rpc}) {
      EXPECT_TRUE(other->sink.wait_for([&](const test::Sink::Seen& s) {
        return !s.templates.empty() && s.templates.back().first->prev_hash == result.hash;
      }));
    }
  }
}

}  // namespace
}  // namespace adit::templates
