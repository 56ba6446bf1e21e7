// Sources by IPC as pools use them: BitcoinNodes over mock nodes.
#include "template/ipc_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <set>

#include "base/temporary_folder_testing.h"
#include "bitcoin/block.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/test_data.h"
#include "ipc/mock_node_testing.h"
#include "template/bitcoin_nodes.h"
#include "template/template_store.h"
#include "template/test_node.h"
#include "template/test_sink.h"

namespace adit::templates {
namespace {

using namespace std::chrono_literals;
using ipc::MockNode;
using test::Sink;
using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::Field;
using testing::Ge;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Le;
using testing::SizeIs;
using Fault = MockNode::Fault;
using Release = MockNode::Release;
using State = SourceStatus::State;
using Transaction = std::vector<std::uint8_t>;

Hash256 hash(std::uint8_t tag) {
  Hash256 made{};
  made.fill(tag);
  return made;
}

Transaction transaction(std::uint8_t tag) {
  bitcoin::Transaction made;
  made.inputs.resize(1);
  made.inputs[0].prev_txid.fill(tag);
  made.outputs = {{1000, {0x51}}};
  return bitcoin::serialize(made);
}

class Ipc : public testing::Test {
 protected:
  std::string path(const std::string& name = "node.sock") const { return (folder.path() / name).string(); }

  IpcConfig config(const std::string& name = "node.sock") const {
    IpcConfig config;
    config.socket_path = path(name);
    config.network = bitcoin::Network::kRegtest;
    config.min_interval = Duration::zero();
    config.call_deadline = 5s;
    config.pause = 20ms;
    config.retry_first = 1ms;
    config.retry_cap = 20ms;
    config.retry_misconfigured = 20ms;
    return config;
  }

  BitcoinNodes::Options of(std::vector<decltype(BitcoinNodes::Node::at)> nodes) const {
    BitcoinNodes::Options options;
    for (auto& node : nodes) options.nodes.push_back({.at = std::move(node)});
    options.blocks.journal_folder = (folder.path() / "blocks").string();
    options.blocks.policy.retry_first = 1ms;
    options.blocks.policy.retry_cap = 20ms;
    options.blocks.policy.prefer_after = 1ms;
    options.blocks.answer_grace = 1ms;
    return options;
  }
  BitcoinNodes::Options of(IpcConfig node) const {
    std::vector<decltype(BitcoinNodes::Node::at)> nodes;
    nodes.emplace_back(std::move(node));
    return of(std::move(nodes));
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
  std::string message() { return sink.seen().statuses.back().message; }
  TemplatePtr newest() { return sink.seen().templates.back().first; }
  bool newest_is_new_tip() { return sink.seen().templates.back().second; }
  /// Whether the source waits at the node: for tips alone, or for fees too.
  static bool waits_for(const MockNode& node, bool fees) {
    return eventually([&] { return node.waiting() == 1 && node.waits().back().fee_threshold.has_value() == fees; });
  }

  static Result<TemplateSource::Transactions> transactions_of(TemplateSource& source, TemplateId id) {
    std::promise<Result<TemplateSource::Transactions>> found;
    source.transactions(id, [&](Result<TemplateSource::Transactions> one) { found.set_value(std::move(one)); });
    return found.get_future().get();
  }

  TemporaryFolder folder;
  Sink sink;
};

TEST_F(Ipc, TemplatesCarryTheNodesWorkAndABlockOfThemIsAccepted) {
  MockNode node({.path = path()});
  node.set_tip(hash(9), 500);
  node.set_transactions({transaction(1), transaction(2)}, 4321);
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  EXPECT_TRUE(newest_is_new_tip());
  EXPECT_EQ(newest()->height, 501u);
  EXPECT_EQ(newest()->prev_hash, hash(9));
  EXPECT_EQ(newest()->coinbase_value_sat, 5'000'004'321u);
  EXPECT_THAT(newest()->merkle_path, SizeIs(2));
  const auto transactions = transactions_of(source, newest()->id);
  ASSERT_TRUE(transactions) << transactions.error().message();
  EXPECT_THAT(**transactions, ElementsAre(transaction(1), transaction(2)));
  EXPECT_EQ(source.status().state, State::kReady);
  EXPECT_EQ(source.status().node, path());

  const BlockSolution solution = test::solution(*newest());
  ASSERT_TRUE(source.submit(newest()->id, solution));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
  EXPECT_EQ(sink.seen().results[0].node, path());
  EXPECT_THAT(sink.seen().kept, ElementsAre(sink.seen().results[0].hash));
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.templates.back().first->height == 502; }));
  EXPECT_EQ(newest()->prev_hash, sink.seen().results[0].hash);
  // By its solution alone, with the coinbase's witness.
  ASSERT_THAT(node.solutions(), SizeIs(1));
  EXPECT_EQ(node.solutions()[0].coinbase, *bitcoin::add_coinbase_witness(solution.coinbase));
  EXPECT_THAT(node.blocks(), IsEmpty());
  EXPECT_EQ(source.status().blocks_accepted, 1u);
  EXPECT_TRUE(eventually([&] { return source.status().blocks_unanswered == 0; }));
}

TEST_F(Ipc, ANewTipIsToldAtOnceWhateverTheInterval) {
  MockNode node({.path = path()});
  IpcConfig c = config();
  c.min_interval = 1h;
  c.wait_slice = 1h;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  for (std::uint8_t i = 1; i < 6; ++i) {
    ASSERT_TRUE(wait_for_templates(i));
    EXPECT_TRUE(newest_is_new_tip());
    EXPECT_EQ(newest()->height, 100u + i);
    node.set_tip(hash(static_cast<std::uint8_t>(i + 10)), 100 + i);
  }
  const auto templates = sink.seen().templates;
  for (std::size_t i = 1; i < templates.size(); ++i) EXPECT_GT(templates[i].first->id, templates[i - 1].first->id);
}

TEST_F(Ipc, FeesAreToldFromTheThresholdOn) {
  MockNode node({.path = path()});
  IpcConfig c = config();
  c.fee_threshold_sat = 500;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(waits_for(node, true));
  EXPECT_EQ(node.waits().back().fee_threshold, 500u);
  node.set_transactions({transaction(1)}, 499);
  node.set_transactions({transaction(1), transaction(2)}, 500);
  ASSERT_TRUE(wait_for_templates(2));
  EXPECT_FALSE(newest_is_new_tip());
  EXPECT_EQ(newest()->coinbase_value_sat, 5'000'000'500u);
  EXPECT_THAT(sink.seen().templates, SizeIs(2));
}

TEST_F(Ipc, FeesAreNotWaitedForBeforeTheIntervalHasPassedAndANewTipDoesNotProlongIt) {
  MockNode node({.path = path()});
  IpcConfig c = config();
  c.min_interval = 300ms;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(waits_for(node, false));
  EXPECT_LE(node.waits().back().timeout, 300ms);
  ASSERT_TRUE(waits_for(node, true));
  node.set_tip(hash(2), 101);
  ASSERT_TRUE(wait_for_templates(2));
  ASSERT_TRUE(eventually([&] { return node.waiting() == 1; }));
  EXPECT_TRUE(node.waits().back().fee_threshold);  // At once.
  node.set_transactions({transaction(1)}, 1000);
  ASSERT_TRUE(wait_for_templates(3));
  ASSERT_TRUE(eventually([&] { return node.waits().size() >= 4; }));
  EXPECT_FALSE(node.waits()[3].fee_threshold);
}

/// Where the empty template comes first: a node with two transactions, whose full template takes as long as `takes`.
class IpcEmptyFirst : public Ipc {
 protected:
  IpcConfig config() const {
    IpcConfig made = Ipc::config();
    made.empty_first = true;
    return made;
  }
  static void fill(MockNode& node, Duration takes = Duration::zero()) {
    node.set_tip(hash(1), 100);
    node.set_transactions({transaction(1), transaction(2)}, 4321);
    node.set_build_time(takes);
  }
  TemplatePtr told(std::size_t i) { return sink.seen().templates.at(i).first; }
  bool told_as_tip(std::size_t i) { return sink.seen().templates.at(i).second; }
};

TEST_F(IpcEmptyFirst, ATipBringsATemplateWithoutTransactionsAndThenTheFullOne) {
  MockNode node({.path = path()});
  fill(node);
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(waits_for(node, false));
  ASSERT_THAT(sink.seen().templates, SizeIs(1));
  EXPECT_EQ(told(0)->coinbase_value_sat, 5'000'004'321u);

  node.set_build_time(200ms);  // As a full mempool.
  const Instant began = now_from_system().instant;
  node.set_tip(hash(2), 700);
  ASSERT_TRUE(wait_for_templates(2));
  EXPECT_TRUE(told_as_tip(1));
  EXPECT_EQ(told(1)->prev_hash, hash(2));
  EXPECT_EQ(told(1)->height, 701u);
  EXPECT_EQ(told(1)->coinbase_value_sat, 5'000'000'000u) << "fees of transactions that it does not hold";
  EXPECT_THAT(told(1)->merkle_path, IsEmpty());
  EXPECT_EQ(told(1)->coinbase_script_prefix, bitcoin::height_push(701));
  const auto none = transactions_of(source, told(1)->id);
  ASSERT_TRUE(none) << none.error().message();
  EXPECT_THAT(**none, IsEmpty());
  ASSERT_TRUE(wait_for_templates(3));
  EXPECT_GE(now_from_system().instant - began, 200ms);
  EXPECT_FALSE(told_as_tip(2)) << "of the same tip";
  EXPECT_EQ(told(2)->prev_hash, hash(2));
  EXPECT_EQ(told(2)->height, 701u);
  EXPECT_EQ(told(2)->coinbase_value_sat, 5'000'004'321u);
  EXPECT_THAT(told(2)->merkle_path, SizeIs(2));
  EXPECT_THAT(**transactions_of(source, told(2)->id), SizeIs(2));
  EXPECT_GT(told(2)->id, told(1)->id);
}

TEST_F(IpcEmptyFirst, ABlockOnTheEmptyTemplateIsWhole) {
  MockNode node({.path = path()});
  fill(node);
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(waits_for(node, false));
  node.set_build_time(60s);  // The full one never comes.
  node.set_tip(hash(2), 101);
  ASSERT_TRUE(wait_for_templates(2));
  ASSERT_TRUE(source.submit(told(1)->id, test::solution(*told(1))));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
  ASSERT_THAT(node.solutions(), SizeIs(1));
  // And its tip is told while the node still makes the full template of the one before.
  ASSERT_TRUE(wait_for_templates(3));
  EXPECT_EQ(told(2)->height, 103u);
  EXPECT_EQ(told(2)->prev_hash, sink.seen().results[0].hash);
  EXPECT_THAT(told(2)->merkle_path, IsEmpty());
}

TEST_F(IpcEmptyFirst, AFullTemplateOfATipThatIsOverIsNotTold) {
  MockNode node({.path = path()});
  fill(node);
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(waits_for(node, false));
  for (std::uint8_t tip = 2; tip < 40; ++tip) {
    // Made before the next tip, and answered behind it.
    node.set_build_time(tip % 2 == 0 ? Duration(3ms) : Duration::zero());
    node.set_tip(hash(tip), 100u + tip);
    ASSERT_TRUE(sink.wait_for([&](const Sink::Seen& s) { return s.templates.back().first->prev_hash == hash(tip); }));
  }
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return !s.templates.back().first->merkle_path.empty(); }));
  std::uint32_t height = 0;
  for (const auto& [made, new_tip] : sink.seen().templates) {
    EXPECT_EQ(new_tip, made->height != height);
    EXPECT_GE(made->height, height) << "back to a tip that is over";
    height = made->height;
    EXPECT_EQ(made->coinbase_value_sat, made->merkle_path.empty() ? 5'000'000'000u : 5'000'004'321u);
  }
  EXPECT_EQ(newest()->height, 140u);
}

TEST_F(IpcEmptyFirst, WithoutTransactionsOneTemplateIsEnough) {
  MockNode node({.path = path()});
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(waits_for(node, false));
  node.set_tip(hash(2), 101);
  ASSERT_TRUE(wait_for_templates(2));
  // Two looks at the node's fees are over, and there is nothing to tell.
  const std::size_t made = node.count("createNewBlock");
  ASSERT_TRUE(eventually([&] { return node.count("createNewBlock") >= made + 3; }));
  EXPECT_THAT(sink.seen().templates, SizeIs(2));
  // Fees that come then are told, from the threshold on.
  node.set_transactions({transaction(1)}, 99);
  const std::size_t looked = node.count("createNewBlock");
  ASSERT_TRUE(eventually([&] { return node.count("createNewBlock") >= looked + 3; }));
  EXPECT_THAT(sink.seen().templates, SizeIs(2));
  node.set_transactions({transaction(1)}, 100);
  ASSERT_TRUE(wait_for_templates(3));
  EXPECT_FALSE(told_as_tip(2));
  EXPECT_EQ(told(2)->coinbase_value_sat, 5'000'000'100u);
}

TEST_F(IpcEmptyFirst, FeesComeNoOftenerThanTheInterval) {
  MockNode node({.path = path()});
  fill(node);
  IpcConfig c = config();
  c.min_interval = 1h;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(waits_for(node, false));
  node.set_transactions({transaction(1)}, 1'000'000);
  node.set_tip(hash(2), 101);
  ASSERT_TRUE(wait_for_templates(3)) << "the full one of a tip waits for no interval";
  node.set_transactions({transaction(1)}, 2'000'000);
  node.set_tip(hash(3), 102);
  ASSERT_TRUE(wait_for_templates(5));
  EXPECT_EQ(node.count("createNewBlock"), 4u) << "the first one, the empty one to wait on, and one for each tip";
  EXPECT_EQ(newest()->coinbase_value_sat, 5'002'000'000u);
}

TEST_F(IpcEmptyFirst, ConstraintsMakeTheFullTemplateAnew) {
  MockNode node({.path = path()});
  fill(node);
  IpcConfig c = config();
  c.min_interval = 1h;
  BitcoinNodes source(of(c));
  source.constrain({.max_additional_size = 100, .max_additional_sigops = 1});
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(waits_for(node, false));
  source.constrain({.max_additional_size = 1000, .max_additional_sigops = 2});
  ASSERT_TRUE(wait_for_templates(2));
  EXPECT_FALSE(told_as_tip(1));
  EXPECT_THAT(told(1)->merkle_path, SizeIs(2));
  EXPECT_EQ(node.created().back().reserved_weight, 1168u + 4000u);
  node.set_tip(hash(2), 101);
  ASSERT_TRUE(wait_for_templates(4));
  EXPECT_EQ(node.created().back().reserved_weight, 1168u + 4000u);
}

TEST_F(IpcEmptyFirst, ANodeThatFailsInAnyCallIsFoundAgain) {
  MockNode node({.path = path()});
  fill(node);
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(waits_for(node, false));
  std::uint8_t tip = 2;
  for (const char* const method : {"createNewBlock", "waitNext", "getBlockHeader", "getBlock"}) {
    for (const Fault fault : {Fault::kDisconnect, Fault::kThrow, Fault::kNonsense, Fault::kNull}) {
      SCOPED_TRACE(std::string(method) + " " + std::to_string(static_cast<int>(fault)));
      node.set_fault(method, fault, 2);
      ++tip;
      node.set_tip(hash(tip), 100u + tip);
      ASSERT_TRUE(sink.wait_for([&](const Sink::Seen& s) {
        return s.templates.back().first->height == 101u + tip && !s.templates.back().first->merkle_path.empty();
      }));
      ASSERT_TRUE(wait_for_state(State::kReady));
    }
  }
  // And it waits for tips and looks at fees as before.
  ASSERT_TRUE(eventually([&] { return node.waiting() == 1; }));
  node.set_transactions({transaction(7)}, 9'000);
  ASSERT_TRUE(
      sink.wait_for([](const Sink::Seen& s) { return s.templates.back().first->coinbase_value_sat == 5'000'009'000u; }));
}

TEST_F(IpcEmptyFirst, StoppingEndsTheWaitAtTheNode) {
  MockNode node({.path = path()});
  fill(node);
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(waits_for(node, false));
  source.stop();
  EXPECT_TRUE(eventually([&] { return node.waiting() == 0; }));
  EXPECT_GE(node.count("interruptWait"), 1u);
}

TEST_F(IpcEmptyFirst, TemplatesThatNobodyHoldsAreFreed) {
  MockNode node({.path = path()});
  fill(node);
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start({.on_template = [](const TemplatePtr&, bool) {}}));
  ASSERT_TRUE(waits_for(node, false));
  for (std::uint32_t height = 101; height < 300; ++height) {
    Hash256 tip = hash(3);
    tip[0] = static_cast<std::uint8_t>(height);
    tip[1] = static_cast<std::uint8_t>(height >> 8);
    node.set_tip(tip, height);
    ASSERT_TRUE(eventually([&] { return source.status().height == height + 1 && node.waiting() == 1; }));
  }
  EXPECT_TRUE(eventually([&] { return node.held_templates() <= 12; })) << "the newest ones, and that for the next tip";
}

TEST_F(Ipc, WithoutNewsTheNodeIsAskedAgainAfterASlice) {
  MockNode node({.path = path()});
  IpcConfig c = config();
  c.wait_slice = 20ms;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(eventually([&] { return node.count("waitNext") >= 4; }));
  EXPECT_THAT(sink.seen().templates, SizeIs(1));
  EXPECT_EQ(node.count("createNewBlock"), 1u);
}

TEST_F(Ipc, ConstraintsMakeTheTemplateAnew) {
  MockNode node({.path = path()});
  BitcoinNodes source(of(config()));
  source.constrain({.max_additional_size = 100, .max_additional_sigops = 1});
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(waits_for(node, true));
  source.constrain({.max_additional_size = 1000, .max_additional_sigops = 2});
  ASSERT_TRUE(wait_for_templates(2));
  EXPECT_FALSE(newest_is_new_tip());
  const auto created = node.created();
  ASSERT_THAT(created, SizeIs(2));
  EXPECT_EQ(created[0].reserved_weight, 2000u);
  EXPECT_EQ(created[0].reserved_sigops, 4u);
  EXPECT_EQ(created[1].reserved_weight, 1168u + 4000u);
  EXPECT_EQ(created[1].reserved_sigops, 8u);
  EXPECT_FALSE(created[1].cooldown);
  // Waiting goes on from the new one.
  node.set_tip(hash(2), 101);
  ASSERT_TRUE(wait_for_templates(3));
  EXPECT_TRUE(newest_is_new_tip());
}

TEST_F(Ipc, ATemplateThatRepeatsIsNotToldAndDelaysNoTip) {
  MockNode node({.path = path()});
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(eventually([&] { return node.waiting() == 1; }));
    node.repeat_template();
    ASSERT_TRUE(eventually([&] { return node.held_templates() == 1; }));
  }
  EXPECT_THAT(sink.seen().templates, SizeIs(1));
  node.set_tip(hash(2), 101);
  ASSERT_TRUE(wait_for_templates(2));
  EXPECT_EQ(newest()->height, 102u);
}

TEST_F(Ipc, OtherBitsOnTheSameTipAreToldLikeATip) {
  MockNode node({.path = path()});
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(eventually([&] { return node.waiting() == 1; }));
  node.set_nbits(0x207ffffe);
  node.repeat_template();
  ASSERT_TRUE(wait_for_templates(2));
  EXPECT_TRUE(newest_is_new_tip());
  EXPECT_EQ(newest()->nbits, 0x207ffffeu);
}

TEST_F(Ipc, ANodeThatAnswersAtOnceWithoutNewsIsNotAskedInALoop) {
  MockNode node({.path = path()});
  node.set_fault("waitNext", Fault::kNull);
  IpcConfig c = config();
  c.pause = 1s;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(eventually([&] { return node.count("waitNext") >= 1; }));
  std::this_thread::sleep_for(300ms);
  EXPECT_LE(node.count("waitNext"), 2u);
}

TEST_F(Ipc, ADeepReorganisationIsANewTip) {
  MockNode node({.path = path()});
  node.set_tip(hash(5), 500);
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  node.set_tip(hash(6), 470);
  ASSERT_TRUE(wait_for_templates(2));
  EXPECT_TRUE(newest_is_new_tip());
  EXPECT_EQ(newest()->height, 471u);
}

TEST_F(Ipc, ANodeThatRestartsIsWaitedForAndTheBlockFoundMeanwhileReachesIt) {
  auto node = std::make_unique<MockNode>(MockNode::Options{.path = path()});
  node->set_transactions({transaction(1)}, 1);
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  const TemplatePtr work = newest();
  ASSERT_TRUE(transactions_of(source, work->id));
  node.reset();
  ASSERT_TRUE(wait_for_state(State::kWaiting));
  EXPECT_TRUE(source.status().not_ready_since);
  const BlockSolution solution = test::solution(*work);
  ASSERT_TRUE(source.submit(work->id, solution));
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.kept.size() == 1; }));
  EXPECT_THAT(sink.seen().results, IsEmpty());
  node = std::make_unique<MockNode>(MockNode::Options{.path = path()});
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
  // Whole, for its template died with the node.
  ASSERT_THAT(node->blocks(), SizeIs(1));
  EXPECT_EQ(bitcoin::assemble_block(*work, solution, node->blocks()[0])->bytes, node->blocks()[0]);
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) {
    return s.statuses.back().state == State::kReady && s.templates.back().first->prev_hash == s.results[0].hash;
  }));
}

TEST_F(Ipc, ANodeThatIsKilledInEveryCallIsFoundAgain) {
  for (const std::string method :
       {"construct", "makeThread", "makeMining", "makeRpc", "isTestChain", "executeRpc", "createNewBlock", "getBlockHeader",
        "getCoinbaseTx", "getCoinbaseMerklePath", "waitNext", "getBlock"}) {
    Sink own;
    MockNode node({.path = path()});
    node.set_transactions({transaction(1)}, 1);
    node.set_fault(method, Fault::kDisconnect, 1);
    BitcoinNodes source(of(config()));
    ASSERT_TRUE(source.start(own.events()));
    ASSERT_TRUE(own.wait_for([](const Sink::Seen& s) {
      return std::ranges::any_of(s.statuses, [](const auto& status) { return status.state == State::kWaiting; });
    })) << method;
    ASSERT_TRUE(own.wait_for([](const Sink::Seen& s) {
      return !s.templates.empty() && s.statuses.back().state == State::kReady;
    })) << method;
    node.set_tip(hash(2), 101);
    ASSERT_TRUE(own.wait_for([](const Sink::Seen& s) { return s.templates.back().first->height == 102; })) << method;
  }
}

TEST_F(Ipc, ANodeThatFallsSilentIsGivenUpAndFoundAgain) {
  for (const std::string method :
       {"construct", "isTestChain", "executeRpc", "createNewBlock", "getCoinbaseTx", "waitNext", "getBlock"}) {
    Sink own;
    MockNode node({.path = path()});
    node.set_transactions({transaction(1)}, 1);
    node.set_fault(method, Fault::kHang, 1);
    IpcConfig c = config();
    c.connect_deadline = c.call_deadline = c.wait_grace = c.wait_slice = 100ms;
    BitcoinNodes source(of(c));
    ASSERT_TRUE(source.start(own.events()));
    ASSERT_TRUE(own.wait_for([](const Sink::Seen& s) {
      return std::ranges::any_of(s.statuses, [](const auto& status) { return status.message.contains("did not answer"); });
    })) << method;
    ASSERT_TRUE(own.wait_for([](const Sink::Seen& s) {
      return !s.templates.empty() && s.statuses.back().state == State::kReady;
    })) << method;
    EXPECT_THAT(own.seen().statuses, Contains(Field(&SourceStatus::state, State::kWaiting)));
  }
}

TEST_F(Ipc, NonsenseOfEveryKindIsToldAndSurvived) {
  for (const auto& [method, words] :
       {std::pair("getBlockHeader", "header"), std::pair("getCoinbaseTx", "reward"), std::pair("getCoinbaseMerklePath", "hash"),
        std::pair("executeRpc", "no JSON-RPC response")}) {
    Sink own;
    MockNode node({.path = path()});
    node.set_fault(method, Fault::kNonsense, 1);
    BitcoinNodes source(of(config()));
    ASSERT_TRUE(source.start(own.events()));
    ASSERT_TRUE(own.wait_for([](const Sink::Seen& s) {
      return !s.templates.empty() && s.statuses.back().state == State::kReady;
    })) << method;
    const auto statuses = own.seen().statuses;
    EXPECT_EQ(statuses.front().state, State::kMisconfigured) << method;
    EXPECT_THAT(statuses.front().message, HasSubstr(words));
  }
}

TEST_F(Ipc, ABlockThatIsNoneFailsOnlyWhatNeedsIt) {
  MockNode node({.path = path()});
  node.set_transactions({transaction(1)}, 1);
  node.set_fault("getBlock", Fault::kNonsense);
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  EXPECT_FALSE(transactions_of(source, newest()->id));
  ASSERT_TRUE(source.submit(newest()->id, test::solution(*newest())));
  EXPECT_TRUE(eventually([&] { return node.solutions().size() == 1; }));  // The node makes the block itself.
}

TEST_F(Ipc, WhatTheNodeThrowsIsToldInItsWordsAndPasses) {
  MockNode node({.path = path()});
  node.set_fault("createNewBlock", Fault::kThrow, 1);
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_state(State::kWaiting));
  EXPECT_THAT(message(), HasSubstr("the disk is full"));
  ASSERT_TRUE(wait_for_state(State::kReady));
  EXPECT_EQ(node.count("connect"), 1u);
  node.set_fault("waitNext", Fault::kThrow, 1);
  node.set_tip(hash(2), 101);
  ASSERT_TRUE(wait_for_templates(2));
  node.set_tip(hash(3), 102);
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.templates.back().first->height == 103; }));
}

TEST_F(Ipc, Version30IsToldWhichReleaseToUse) {
  MockNode node({.path = path(), .release = Release::k30});
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_state(State::kMisconfigured));
  EXPECT_THAT(message(), AllOf(HasSubstr("Bitcoin Core 30"), HasSubstr("31 or later")));
}

TEST_F(Ipc, AMissingSocketIsWaitedFor) {
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_state(State::kWaiting));
  EXPECT_THAT(message(), AllOf(HasSubstr(path()), HasSubstr("-ipcbind=unix")));
  MockNode node({.path = path()});
  EXPECT_TRUE(wait_for_templates(1));
}

TEST_F(Ipc, APathThatCannotBeASocketsIsMisconfigured) {
  BitcoinNodes source(of(config(std::string(120, 'x'))));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_state(State::kMisconfigured));
  EXPECT_THAT(message(), HasSubstr("107"));
}

TEST_F(Ipc, AnotherNetworkIsRefusedAndBothAreNamed) {
  {
    MockNode node({.path = path(), .chain = "testnet4"});
    BitcoinNodes source(of(config()));
    ASSERT_TRUE(source.start(sink.events()));
    ASSERT_TRUE(wait_for_state(State::kMisconfigured));
    EXPECT_THAT(message(), AllOf(HasSubstr("testnet4"), HasSubstr("regtest")));
    EXPECT_THAT(sink.seen().templates, IsEmpty());
  }
  // Release 31.0 tells only whether it is on mainnet.
  Sink own;
  MockNode node({.path = path(), .release = Release::k31, .chain = "main"});
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(own.events()));
  ASSERT_TRUE(own.wait_for(
      [](const Sink::Seen& s) { return !s.statuses.empty() && s.statuses.back().state == State::kMisconfigured; }));
  EXPECT_THAT(own.seen().statuses.back().message, AllOf(HasSubstr("mainnet"), HasSubstr("regtest")));
}

TEST_F(Ipc, ANodeInItsInitialDownloadIsWaitedFor) {
  MockNode node({.path = path(), .chain = "main"});
  node.set_initial_download(true);
  IpcConfig c = config();
  c.network = bitcoin::Network::kMainnet;
  c.look_again_every = 5ms;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_state(State::kWaiting));
  EXPECT_THAT(message(), HasSubstr("downloading the chain"));
  ASSERT_TRUE(eventually([&] { return node.count("isInitialBlockDownload") >= 3; }));
  EXPECT_EQ(node.count("createNewBlock"), 0u);
  node.set_initial_download(false);
  ASSERT_TRUE(wait_for_state(State::kReady));
  EXPECT_TRUE(node.created().back().cooldown);
  EXPECT_EQ(message(), "");
}

TEST_F(Ipc, ANodeThatCatchesUpBeforeItsFirstTemplateIsNamed) {
  MockNode node({.path = path(), .chain = "main"});
  node.set_fault("createNewBlock", Fault::kHang, 1);
  IpcConfig c = config();
  c.network = bitcoin::Network::kMainnet;
  c.behind_after = 10ms;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_state(State::kWaiting));
  EXPECT_THAT(message(), HasSubstr("downloading the chain"));
}

TEST_F(Ipc, ANodeThatLoadsItsChainIsNamed) {
  MockNode node({.path = path(), .loading = true});
  IpcConfig c = config();
  c.loading_after = 10ms;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_state(State::kWaiting));
  EXPECT_THAT(message(), HasSubstr("loading its chain"));
  node.finish_loading();
  ASSERT_TRUE(wait_for_state(State::kReady));
}

TEST_F(Ipc, EveryReleaseTakesBlocks) {
  for (const Release release : {Release::k31, Release::kMaster, Release::k32}) {
    Sink own;
    MockNode node({.path = path(), .release = release});
    node.set_transactions({transaction(1)}, 1);
    BitcoinNodes source(of(config()));
    ASSERT_TRUE(source.start(own.events()));
    for (std::size_t i = 1; i <= 3; ++i) {
      ASSERT_TRUE(own.wait_for(
          [=](const Sink::Seen& s) { return !s.templates.empty() && s.templates.back().first->height == 100 + i; }));
      const TemplatePtr work = own.seen().templates.back().first;
      ASSERT_TRUE(source.submit(work->id, test::solution(*work)));
      ASSERT_TRUE(own.wait_for([=](const Sink::Seen& s) { return s.results.size() == i; }));
      EXPECT_EQ(own.seen().results.back().verdict, BlockVerdict::kAccepted);
    }
  }
}

TEST_F(Ipc, WhyABlockIsRefusedIsAskedWithTheWholeBlock) {
  MockNode node({.path = path()});
  node.set_transactions({transaction(1)}, 1);
  node.set_answer({.accepted = false, .reason = "bad-cb-amount"});
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  const BlockSolution solution = test::solution(*newest());
  ASSERT_TRUE(source.submit(newest()->id, solution));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kRejected);
  EXPECT_EQ(sink.seen().results[0].reason, "bad-cb-amount");
  const auto blocks = node.blocks();
  ASSERT_THAT(blocks, SizeIs(1));
  const auto view = bitcoin::parse_block(blocks[0]);
  EXPECT_EQ(view->header.hash(), bitcoin::solved_header(*newest(), solution)->hash());
  ASSERT_THAT(view->transactions, SizeIs(2));
  EXPECT_EQ(Transaction(view->transactions[1].begin(), view->transactions[1].end()), transaction(1));
}

TEST_F(Ipc, ABlockBesideTheBestChainIsStale) {
  MockNode node({.path = path()});
  node.set_answer({.accepted = false, .reason = "inconclusive"});
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  ASSERT_TRUE(source.submit(newest()->id, test::solution(*newest())));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kStale);
}

TEST_F(Ipc, OfRelease31TheTipTellsWhatBecameOfABlock) {
  MockNode node({.path = path(), .release = Release::k31});
  node.set_answer({.accepted = true, .becomes_tip = false});
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  ASSERT_TRUE(source.submit(newest()->id, test::solution(*newest())));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kRejected);  // The tip is still the one before it.
  EXPECT_THAT(node.blocks(), IsEmpty());
}

TEST_F(Ipc, ASolutionThatDiesWithTheConnectionGoesAsAWholeBlock) {
  MockNode node({.path = path()});
  node.set_transactions({transaction(1)}, 1);
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  ASSERT_TRUE(transactions_of(source, newest()->id));
  node.set_fault("submitSolution@7", Fault::kDisconnect, 1);
  ASSERT_TRUE(source.submit(newest()->id, test::solution(*newest())));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
  EXPECT_THAT(node.blocks(), SizeIs(Ge(1u)));
}

TEST_F(Ipc, ABlockGoesToEveryNodeAndTemplatesComeFromTheNextWhenTheFirstIsAway) {
  auto first = std::make_unique<MockNode>(MockNode::Options{.path = path("1.sock")});
  MockNode second({.path = path("2.sock")});
  first->set_transactions({transaction(1)}, 1);
  BitcoinNodes source(of(std::vector<decltype(BitcoinNodes::Node::at)>{config("1.sock"), config("2.sock")}));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(sink.wait_for([&](const Sink::Seen& s) {
    return !s.templates.empty() && s.templates.back().first->coinbase_value_sat == 5'000'000'001;
  }));
  ASSERT_TRUE(eventually([&] { return second.waiting() == 1; }));
  const TemplatePtr work = newest();
  ASSERT_TRUE(source.submit(work->id, test::solution(*work)));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kAccepted);
  ASSERT_TRUE(eventually([&] { return second.blocks().size() == 1; }));
  EXPECT_TRUE(eventually([&] { return first->solutions().size() == 1; }));
  EXPECT_THAT(second.solutions(), IsEmpty());
  first.reset();
  ASSERT_TRUE(sink.wait_for([&](const Sink::Seen& s) {
    return s.statuses.back().node == path("2.sock") && s.templates.back().first->coinbase_value_sat == 5'000'000'000;
  }));
}

TEST_F(Ipc, OneNodeTakesBlocksByRpcAndByIpc) {
  MockNode by_ipc({.path = path()});
  test::TestNode by_rpc;
  RpcConfig rpc;
  rpc.port = by_rpc.port();
  rpc.auth = RpcPassword{"user", "secret"};
  BitcoinNodes::Options options = of(config());
  options.nodes.push_back({.at = rpc, .templates = false});
  BitcoinNodes source(std::move(options));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  ASSERT_TRUE(source.submit(newest()->id, test::solution(*newest())));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_TRUE(eventually([&] { return by_ipc.solutions().size() == 1; }));
  EXPECT_TRUE(eventually([&] { return by_rpc.calls("submitblock") >= 1; }));
}

TEST_F(Ipc, ANodeMayTakeBlocksAlone) {
  MockNode by_ipc({.path = path()});
  test::TestNode by_rpc;
  RpcConfig rpc;
  rpc.port = by_rpc.port();
  rpc.auth = RpcPassword{"user", "secret"};
  BitcoinNodes::Options options = of(std::vector<decltype(BitcoinNodes::Node::at)>{rpc});
  options.nodes.push_back({.at = config(), .templates = false});
  BitcoinNodes source(std::move(options));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  ASSERT_TRUE(source.submit(newest()->id, test::solution(*newest())));
  EXPECT_TRUE(eventually([&] { return by_ipc.blocks().size() == 1; }));
  EXPECT_EQ(by_ipc.count("createNewBlock"), 0u);
  EXPECT_EQ(source.status().nodes.size(), 1u);
}

TEST_F(Ipc, OurOwnBlockIsPreferred) {
  MockNode node({.path = path()});
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  ASSERT_TRUE(source.submit(newest()->id, test::solution(*newest())));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_TRUE(eventually([&] {
    return std::ranges::any_of(node.rpc_requests(),
                               [](const std::string& request) { return request.contains("preciousblock"); });
  }));
}

TEST_F(Ipc, TheNodeHoldsABoundedNumberOfTemplates) {
  MockNode node({.path = path()});
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  for (std::size_t i = 1; i <= 100; ++i) {
    ASSERT_TRUE(wait_for_templates(i));
    ASSERT_TRUE(waits_for(node, true));
    node.set_transactions({transaction(1)}, 1000 * i);
  }
  ASSERT_TRUE(wait_for_templates(101));
  // The sink holds them all, as jobs would.
  EXPECT_TRUE(eventually([&] { return node.held_templates() <= IpcLink::kMaxHeld; }));
  // A block on one that the node has let go is submitted whole.
  const TemplatePtr old = sink.seen().templates.front().first;
  ASSERT_TRUE(source.submit(old->id, test::solution(*old)));
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_THAT(node.solutions(), IsEmpty());
  EXPECT_THAT(node.blocks(), SizeIs(1));
}

TEST_F(Ipc, TemplatesThatNobodyHoldsAreFreed) {
  MockNode node({.path = path()});
  BitcoinNodes source(of(config()));
  std::atomic<std::size_t> told = 0;
  ASSERT_TRUE(source.start({.on_template = [&](const TemplatePtr&, bool) { ++told; }}));
  for (std::uint32_t i = 1; i <= 50; ++i) {
    ASSERT_TRUE(eventually([&] { return told >= i && node.waiting() == 1; }));
    node.set_transactions({transaction(1)}, 1000 * i);
  }
  ASSERT_TRUE(eventually([&] { return told == 51; }));
  EXPECT_TRUE(eventually([&] { return node.held_templates() <= 10; }));
}

TEST_F(Ipc, TransactionsOfAnUnknownTemplateAreNotToBeHad) {
  MockNode node({.path = path()});
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  EXPECT_TRUE(transactions_of(source, 99).error().is(Errc::kUnknownTemplate));
  EXPECT_TRUE(source.submit(99, {}).error().is(Errc::kUnknownTemplate));
  EXPECT_TRUE(transactions_of(source, newest()->id)->get()->empty());
}

TEST_F(Ipc, AClockThatDiffersIsTold) {
  MockNode node({.path = path()});
  const std::uint32_t ours = to_u32(now_from_system().unix_time);
  node.set_time(ours + 10'800);
  node.set_tip_time(ours - 600);  // The mock's median is 3,000 s before it.
  BitcoinNodes source(of(config()));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  EXPECT_EQ(newest()->min_ntime, ours - 3599);
  EXPECT_EQ(newest()->current_time, ours + 10'800);
  ASSERT_TRUE(source.status().clock_ahead);
  EXPECT_NEAR(static_cast<double>(source.status().clock_ahead->count()), 10'800, 60);
}

TEST_F(Ipc, OnTestnetTheTipsTimeBoundsTheBits) {
  MockNode node({.path = path(), .chain = "testnet4"});
  const std::uint32_t ours = to_u32(now_from_system().unix_time);
  node.set_nbits(0x1c123456);
  node.set_tip_time(ours - 100);
  IpcConfig c = config();
  c.network = bitcoin::Network::kTestnet4;
  BitcoinNodes source(of(c));
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(wait_for_templates(1));
  EXPECT_EQ(newest()->max_ntime, ours - 100 + 1200);
}

TEST_F(Ipc, StoppingEndsTheWaitAtTheNode) {
  MockNode node({.path = path()});
  {
    BitcoinNodes source(of(config()));
    ASSERT_TRUE(source.start(sink.events()));
    ASSERT_TRUE(waits_for(node, true));
    source.stop();
    const std::size_t statuses = sink.seen().statuses.size();
    node.set_tip(hash(2), 101);
    EXPECT_THAT(sink.seen().templates, SizeIs(1));
    EXPECT_EQ(sink.seen().statuses.size(), statuses);
  }
  EXPECT_TRUE(eventually([&] { return node.connections() == 0 && node.held_templates() == 0; }));
}

TEST_F(Ipc, AnHourOfTipsLeavesNothingBehind) {
  MockNode node({.path = path()});
  node.set_transactions({transaction(1), transaction(2), transaction(3)}, 100);
  BitcoinNodes source(of(config()));
  std::atomic<std::size_t> told = 0;
  ASSERT_TRUE(source.start({.on_template = [&](const TemplatePtr&, bool) { ++told; }}));
  for (std::uint32_t i = 1; i <= 360; ++i) {
    ASSERT_TRUE(eventually([&] { return told >= i && node.waiting() == 1; }));
    Hash256 tip{};
    store_le(tip.data(), i + 1000);
    node.set_tip(tip, 100 + i);
  }
  // Those of the newest tip, and of tips of the last seconds as far as the store holds them.
  EXPECT_TRUE(eventually([&] { return node.held_templates() <= TemplateStore::kMaxHeld + 2; }));
}

}  // namespace
}  // namespace adit::templates
