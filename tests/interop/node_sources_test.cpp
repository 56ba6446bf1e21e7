// The same node by JSON-RPC, by IPC and through a template provider gives the same work. Run by ./dev interop, which names the
// node, and providers of ours on it, in the environment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/temporary_folder_testing.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/merkle.h"
#include "declaration/declared_job.h"
#include "net/shards.h"
#include "template/bitcoin_nodes.h"
#include "template/ipc_checker.h"
#include "template/rpc_checker.h"
#include "template/test_sink.h"

namespace adit::templates {
namespace {

using declaration::BlockCheck;

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
    shards_.start();
  }
  ~NodeSources() override { shards_.stop(std::chrono::seconds(5)); }
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
    /// The newest one, once it is worth that much: what a provider gives first may be the template before the mempool's.
    TemplatePtr worth(std::uint64_t value_sat) {
      EXPECT_TRUE(sink.wait_for([&](const test::Sink::Seen& s) {
        return !s.templates.empty() && s.templates.back().first->coinbase_value_sat == value_sat;
      }));
      return newest();
    }
    /// The first template on that tip, without or with transactions.
    TemplatePtr first_on(const Hash256& tip, bool is_empty) {
      TemplatePtr found;
      EXPECT_TRUE(sink.wait_for([&](const test::Sink::Seen& s) {
        for (const auto& [made, new_tip] : s.templates) {
          if (made->prev_hash != tip || made->merkle_path.empty() != is_empty) continue;
          if (new_tip == is_empty) found = made;
        }
        return found != nullptr;
      }));
      return found;
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

  /// Our provider on that node, at a port that the environment names.
  Sv2Config provider(const char* port) {
    Sv2Config config;
    config.provider.transport =
        net::TcpConfig{.host = "127.0.0.1", .port = static_cast<std::uint16_t>(std::atoi(from_environment(port).c_str()))};
    config.shard = &shards_[0];
    return config;
  }

  static void expect_same_work(const Template& made, const Template& rpc) {
    EXPECT_EQ(made.version, rpc.version);
    EXPECT_EQ(made.prev_hash, rpc.prev_hash);
    EXPECT_EQ(made.nbits, rpc.nbits);
    EXPECT_EQ(made.height, rpc.height);
    EXPECT_GE(made.min_ntime, rpc.min_ntime);
    EXPECT_NEAR(made.current_time, rpc.current_time, 60);
    EXPECT_EQ(made.coinbase_script_prefix, rpc.coinbase_script_prefix);
    EXPECT_EQ(made.coinbase_value_sat, rpc.coinbase_value_sat);
    EXPECT_EQ(made.coinbase_outputs, rpc.coinbase_outputs);
    EXPECT_EQ(made.merkle_path, rpc.merkle_path);
    EXPECT_EQ(made.has_witness_commitment, rpc.has_witness_commitment);
  }

  net::Shards shards_{1};
  TemporaryFolder folder_;
  IpcConfig ipc_;
  RpcConfig rpc_;
};

TEST_F(NodeSources, GiveTheSameWork) {
  Source by_rpc(rpc_, folder_.path() / "rpc");
  const TemplatePtr rpc = by_rpc.newest();
  const auto expected = by_rpc.transactions(*rpc);
  std::map<std::string, std::unique_ptr<Source>> others;
  others["IPC"] = std::make_unique<Source>(ipc_, folder_.path() / "ipc");
  others["a provider on IPC"] = std::make_unique<Source>(provider("ADIT_IPC_PROVIDER_PORT"), folder_.path() / "tdp-ipc");
  others["a provider on JSON-RPC"] = std::make_unique<Source>(provider("ADIT_RPC_PROVIDER_PORT"), folder_.path() / "tdp-rpc");
  for (const auto& [name, other] : others) {
    SCOPED_TRACE(name);
    const TemplatePtr made = other->worth(rpc->coinbase_value_sat);
    ASSERT_NE(made, nullptr);
    expect_same_work(*made, *rpc);
    const auto transactions = other->transactions(*made);
    EXPECT_EQ(transactions, expected);
    // What a miner's header has for the same coinbase.
    const auto root = [](const Template& of) { return bitcoin::fold_merkle_path(Hash256{7}, of.merkle_path); };
    EXPECT_EQ(root(*made), root(*rpc));
    std::vector<Hash256> ids;
    for (const auto& transaction : transactions) ids.push_back(bitcoin::transaction_ids(transaction)->txid);
    EXPECT_EQ(made->merkle_path, bitcoin::merkle_path(ids));
  }
  // By JSON-RPC the coinbase is ours to make; by IPC and through a provider it is the node's.
  const TemplatePtr ipc = others["IPC"]->newest();
  const TemplatePtr handed_on = others["a provider on IPC"]->newest();
  EXPECT_EQ(handed_on->coinbase_version, ipc->coinbase_version);
  EXPECT_EQ(handed_on->coinbase_sequence, ipc->coinbase_sequence);
  EXPECT_EQ(handed_on->coinbase_locktime, ipc->coinbase_locktime);
}

// The empty template by JSON-RPC is made by us of the tip's header, that by IPC by the node, and the provider's is handed on.
TEST_F(NodeSources, GiveTheSameEmptyTemplateFirst) {
  ipc_.empty_first = true;
  rpc_.empty_first = true;
  Source by_ipc(ipc_, folder_.path() / "ipc");
  Source by_rpc(rpc_, folder_.path() / "rpc");
  Source by_tdp(provider("ADIT_IPC_PROVIDER_PORT"), folder_.path() / "tdp");
  for (Source* source : {&by_ipc, &by_rpc, &by_tdp}) ASSERT_NE(source->newest(), nullptr);
  const TemplatePtr work = by_rpc.newest();
  ASSERT_TRUE(by_rpc.nodes->submit(work->id, test::solution(*work)));
  const Hash256 tip = bitcoin::solved_header(*work, test::solution(*work))->hash();
  const TemplatePtr rpc = by_rpc.first_on(tip, true);
  const TemplatePtr ipc = by_ipc.first_on(tip, true);
  const TemplatePtr tdp = by_tdp.first_on(tip, true);
  ASSERT_TRUE(rpc && ipc && tdp);
  expect_same_work(*ipc, *rpc);
  expect_same_work(*tdp, *rpc);
  EXPECT_THAT(rpc->merkle_path, testing::IsEmpty());
  // A block on that of our own making.
  ASSERT_TRUE(by_rpc.nodes->submit(rpc->id, test::solution(*rpc)));
  ASSERT_TRUE(by_rpc.sink.wait_for([](const test::Sink::Seen& s) { return s.results.size() == 2; }));
  for (const BlockResult& result : by_rpc.sink.seen().results)
    EXPECT_EQ(result.verdict, BlockVerdict::kAccepted) << result.reason;
}

// What a declarator asks them (docs/job-declaration.md): by either way the same node says the same of a block.
TEST_F(NodeSources, JudgeBlocksAlike) {
  Source source(rpc_, folder_.path() / "rpc");
  const TemplatePtr tip = source.newest();
  std::vector<declaration::TransactionPtr> transactions;
  std::vector<bitcoin::Hash256> wtxids;
  for (const auto& bytes : source.transactions(*tip)) {
    transactions.push_back(*declaration::read_transaction(bytes));
    wtxids.push_back(transactions.back()->wtxid);
  }

  IpcChecker ipc(ipc_);
  RpcChecker rpc(rpc_);
  const std::array<declaration::BlockChecker*, 2> both{&ipc, &rpc};
  for (auto* const one : both) one->start();
  const auto ask = [](declaration::BlockChecker& checker, const std::vector<std::uint8_t>& block) {
    std::promise<declaration::CheckAnswer> answer;
    checker.check(block, [&](declaration::CheckAnswer given) { answer.set_value(std::move(given)); });
    return answer.get_future().get();
  };
  // Its connection takes a moment.
  while (ask(ipc, {}).verdict == BlockCheck::kFailed) std::this_thread::sleep_for(std::chrono::milliseconds(20));

  struct Parts {
    bitcoin::Template tip;
    declaration::DeclaredCoinbase coinbase;
    std::vector<declaration::TransactionPtr> transactions;
  };
  const Parts good{.tip = *tip,
                   .coinbase = {.script = tip->coinbase_script_prefix,
                                .extranonce_size = 20,
                                .outputs = {{tip->coinbase_value_sat, {0x51}}, {0, bitcoin::witness_commitment_script(wtxids)}},
                                .has_witness = true},
                   .transactions = transactions};
  const auto expect = [&](const char* what, BlockCheck verdict, std::string_view reason, const auto& change) {
    Parts parts = good;
    change(parts);
    const auto work = declaration::declare_template(parts.tip, 0x20000000, parts.coinbase, parts.transactions);
    const auto block = declaration::block_to_check(*work);
    ASSERT_TRUE(block);
    for (auto* const one : both) {
      const auto answer = ask(*one, block->bytes);
      EXPECT_EQ(answer.verdict, verdict) << what << ": " << answer.reason;
      EXPECT_EQ(answer.reason, reason) << what;
    }
  };
  expect("good", BlockCheck::kValid, "", [](Parts&) {});
  expect("too much money", BlockCheck::kInvalid, "bad-cb-amount", [](Parts& parts) { ++parts.coinbase.outputs[0].value_sat; });
  if (!transactions.empty()) {
    std::promise<std::vector<std::vector<std::uint8_t>>> found;
    ASSERT_TRUE(ipc.can_find());
    ipc.find(wtxids, [&](std::vector<std::vector<std::uint8_t>> given) { found.set_value(std::move(given)); });
    EXPECT_EQ(found.get_future().get(), source.transactions(*tip));
    expect("without transactions", BlockCheck::kInvalid, "bad-cb-amount", [](Parts& parts) {
      parts.transactions.clear();
      parts.coinbase.outputs[1].script = bitcoin::witness_commitment_script({});
    });
    expect("another commitment", BlockCheck::kInvalid, "bad-witness-merkle-match",
           [](Parts& parts) { parts.coinbase.outputs[1].script = bitcoin::witness_commitment_script({}); });
    expect("a transaction twice", BlockCheck::kInvalid, "bad-txns-duplicate",
           [](Parts& parts) { parts.transactions.push_back(parts.transactions.back()); });
  }
  expect("another height", BlockCheck::kInvalid, "bad-cb-height",
         [](Parts& parts) { parts.coinbase.script = bitcoin::height_push(parts.tip.height + 10'000); });
  expect("another tip", BlockCheck::kStale, "inconclusive-not-best-prevblk", [](Parts& parts) { parts.tip.prev_hash.fill(7); });
  expect("another target", BlockCheck::kStale, "bad-diffbits", [](Parts& parts) { parts.tip.nbits = 0x207ffffe; });
  expect("an old time", BlockCheck::kStale, "time-too-old", [](Parts& parts) { parts.tip.current_time = 1; });
  expect("a time to come", BlockCheck::kStale, "time-too-new", [](Parts& parts) { parts.tip.current_time += 10'000; });
  for (auto* const one : both) {
    EXPECT_EQ(ask(*one, {}).verdict, BlockCheck::kInvalid) << "what is no block";
    EXPECT_EQ(ask(*one, std::vector<std::uint8_t>(80)).verdict, BlockCheck::kInvalid);
    one->stop();
  }
}

TEST_F(NodeSources, TakeABlockEach) {
  Source by_ipc(ipc_, folder_.path() / "ipc");
  Source by_rpc(rpc_, folder_.path() / "rpc");
  Source by_tdp(provider("ADIT_IPC_PROVIDER_PORT"), folder_.path() / "tdp");
  for (Source* source : {&by_ipc, &by_rpc, &by_tdp}) {
    const TemplatePtr work = source->newest();
    ASSERT_TRUE(source->nodes->submit(work->id, test::solution(*work)));
    ASSERT_TRUE(source->sink.wait_for([](const test::Sink::Seen& s) { return s.results.size() == 1; }));
    const BlockResult result = source->sink.seen().results[0];
    EXPECT_EQ(result.verdict, BlockVerdict::kAccepted) << result.reason;
    // All hear of it.
    for (Source* other : {&by_ipc, &by_rpc, &by_tdp}) {
      EXPECT_TRUE(other->sink.wait_for([&](const test::Sink::Seen& s) {
        return !s.templates.empty() && s.templates.back().first->prev_hash == result.hash;
      }));
    }
  }
}

}  // namespace
}  // namespace adit::templates
