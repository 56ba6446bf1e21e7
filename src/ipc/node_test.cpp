#include "ipc/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <set>
#include <thread>

#include "base/eventually_testing.h"
#include "base/fd.h"
#include "base/temporary_folder_testing.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/test_data.h"
#include "bitcoin/tx.h"
#include "ipc/client_testing.h"
#include "ipc/mock_node_testing.h"

namespace adit::ipc {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::AnyOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Fault = MockNode::Fault;
using Release = MockNode::Release;
using Block = std::vector<std::uint8_t>;
using Next = std::optional<TemplateData>;

std::vector<std::uint8_t> transaction(std::uint8_t tag) {
  bitcoin::Transaction made;
  made.inputs.resize(1);
  made.inputs[0].prev_txid.fill(tag);
  made.outputs = {{1000, {0x51}}};
  return bitcoin::serialize(made);
}

/// Any coinbase will do for the mock.
bitcoin::BlockSolution solution(std::uint32_t nonce = 7) {
  bitcoin::Transaction coinbase;
  coinbase.inputs.resize(1);
  coinbase.inputs[0].prev_index = 0xffffffff;
  coinbase.inputs[0].script = {1, 101};
  coinbase.inputs[0].witness = {std::vector<std::uint8_t>(32)};
  coinbase.outputs = {{1, {0x51}}};
  return {.version = 0x20000000, .ntime = 1'700'000'001, .nonce = nonce, .coinbase = bitcoin::serialize(coinbase)};
}

Hash256 hash(std::uint8_t tag) {
  Hash256 made{};
  made.fill(tag);
  return made;
}

class IpcNode : public testing::Test {
 protected:
  std::string path() const { return (folder_.path() / "node.sock").string(); }
  MockNode mock(Release release = Release::kMaster) { return MockNode({.path = path(), .release = release}); }
  NodeOptions options() const { return {.socket_path = path()}; }

  TemporaryFolder folder_;
};

TEST_F(IpcNode, ATemplateHasAllThatAJobNeeds) {
  MockNode node = MockNode({.path = path()});
  node.set_tip(hash(9), 70'000);
  node.set_time(1'700'000'123);
  node.set_transactions({transaction(1), transaction(2), transaction(3)}, 4321);
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  const auto made = client.create();
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->header.version, 0x20000000U);
  EXPECT_EQ(made->header.prev_hash, hash(9));
  EXPECT_EQ(made->header.nbits, 0x207fffffU);
  EXPECT_EQ(made->header.ntime, 1'700'000'123U);
  EXPECT_THAT(made->coinbase.script_prefix, ElementsAre(3, 0x71, 0x11, 0x01));
  EXPECT_EQ(made->coinbase.value_sat, 5'000'004'321U);
  EXPECT_EQ(made->coinbase.lock_time, 70'000U);
  EXPECT_EQ(made->coinbase.sequence, 0xfffffffeU);
  EXPECT_TRUE(made->coinbase.has_witness);
  ASSERT_THAT(made->coinbase.required_outputs, SizeIs(1));
  EXPECT_EQ(made->coinbase.required_outputs[0].value_sat, 0U);
  EXPECT_THAT(made->merkle_path, SizeIs(2));
  const auto block = client.ask<Block>([&](Node& its, auto done) { its.get_block(made->handle, done); });
  const auto view = bitcoin::parse_block(*block);
  ASSERT_TRUE(view) << view.error().message();
  EXPECT_THAT(view->transactions, SizeIs(4));
}

TEST_F(IpcNode, WhatIsToBeReservedReachesTheNode) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  ASSERT_TRUE(client.create({.reserved_weight = 1668, .reserved_sigops = 4, .use_mempool = false, .cooldown = true})
                  .error()
                  .is(Errc::kRefused));
  ASSERT_TRUE(client.create({.reserved_weight = 2668, .reserved_sigops = 0, .use_mempool = true, .cooldown = false}));
  const auto created = node.created();
  ASSERT_THAT(created, SizeIs(2));
  EXPECT_EQ(created[0].reserved_weight, 1668U);
  EXPECT_EQ(created[0].reserved_sigops, 4U);
  EXPECT_FALSE(created[0].use_mempool);
  EXPECT_TRUE(created[0].cooldown);
  EXPECT_EQ(created[1].reserved_sigops, 0U);
  EXPECT_TRUE(created[1].use_mempool);
  EXPECT_FALSE(created[1].cooldown);
}

TEST_F(IpcNode, ANewTipEndsTheWait) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  const auto first = client.create();
  auto waiting = client.begin_wait(first->handle, {.timeout = 1h});
  ASSERT_TRUE(eventually([&] { return node.waiting() == 1; }));
  node.set_tip(hash(2), 101);
  const auto next = TestClient::wait(std::move(waiting));
  ASSERT_TRUE(next && *next);
  EXPECT_EQ((*next)->header.prev_hash, hash(2));
}

TEST_F(IpcNode, FeesEndTheWaitOnlyFromTheThresholdOn) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  const auto first = client.create();
  auto waiting = client.begin_wait(first->handle, {.timeout = 1h, .fee_threshold = 500});
  ASSERT_TRUE(eventually([&] { return node.waiting() == 1; }));
  node.set_transactions({transaction(1)}, 499);
  ASSERT_TRUE(client.ask<std::optional<Tip>>([](Node& its, auto done) { its.tip(done); }));  // A round trip.
  EXPECT_EQ(node.waiting(), 1U);
  node.set_transactions({transaction(1)}, 500);
  const auto next = TestClient::wait(std::move(waiting));
  ASSERT_TRUE(next && *next);
  EXPECT_EQ((*next)->coinbase.value_sat, 5'000'000'500U);
}

TEST_F(IpcNode, WithoutAThresholdNoFeeEndsTheWait) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  const auto first = client.create();
  auto waiting = client.begin_wait(first->handle, {.timeout = 100ms});
  node.set_transactions({transaction(1)}, 1'000'000'000);
  const auto next = TestClient::wait(std::move(waiting));
  ASSERT_TRUE(next);
  EXPECT_FALSE(*next);
}

TEST_F(IpcNode, AWaitEndsWithNothingByItsTimeoutOrAnInterrupt) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  const auto first = client.create();
  const auto timed_out = TestClient::wait(client.begin_wait(first->handle, {.timeout = 1ms}));
  ASSERT_TRUE(timed_out);
  EXPECT_FALSE(*timed_out);
  auto waiting = client.begin_wait(first->handle, {.timeout = 1h});
  ASSERT_TRUE(eventually([&] { return node.waiting() == 1; }));
  client.node().interrupt_wait(first->handle);
  const auto interrupted = TestClient::wait(std::move(waiting));
  ASSERT_TRUE(interrupted);
  EXPECT_FALSE(*interrupted);
}

TEST_F(IpcNode, NothingElseWaitsBehindTheWait) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  const auto first = client.create();
  auto waiting = client.begin_wait(first->handle, {.timeout = 1h});
  ASSERT_TRUE(eventually([&] { return node.waiting() == 1; }));
  EXPECT_TRUE(client.ask<Block>([&](Node& its, auto done) { its.get_block(first->handle, done); }));
  EXPECT_TRUE(client.ask<std::optional<Tip>>([](Node& its, auto done) { its.tip(done); }));
  EXPECT_TRUE(client.ask<bool>([](Node& its, auto done) { its.is_initial_download(done); }));
  EXPECT_TRUE(client.ask<std::string>([](Node& its, auto done) { its.rpc(R"({"method":"uptime"})", done); }));
  EXPECT_EQ(node.waiting(), 1U);
  EXPECT_TRUE(client.ask<Submitted>([&](Node& its, auto done) { its.submit_solution(first->handle, solution(), done); }));
  std::set<std::string> waiting_threads;
  for (const MockNode::Call& call : node.calls()) {
    if (call.method == "waitNext") waiting_threads.insert(call.thread);
  }
  ASSERT_THAT(waiting_threads, SizeIs(1));
  for (const MockNode::Call& call : node.calls()) {
    if (call.method == "waitNext" || call.method == "createNewBlock") continue;
    EXPECT_NE(call.thread, *waiting_threads.begin()) << call.method;
  }
}

/// Carries one connection to a node, until what the client sends is held back.
class Relay {
 public:
  Relay(const std::string& from, const std::string& to) : listener_(make()), node_(make()) {
    const sockaddr_un address = named(from);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    const sockaddr_un target = named(to);
    EXPECT_EQ(::connect(node_.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target), 0);
    thread_ = std::thread([this] { run(); });
  }
  ~Relay() {
    ending_ = true;
    thread_.join();
  }
  /// Nothing that the client sends from now on gets through.
  void hold_back() { holding_ = true; }
  /// Nothing is under way from the client.
  bool quiet() const {
    return std::chrono::steady_clock::now().time_since_epoch().count() - last_.load() > std::chrono::nanoseconds(100ms).count();
  }

 private:
  static Fd make() { return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); }
  static sockaddr_un named(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
  }
  void run() {
    client_ = Fd(::accept(listener_.get(), nullptr, nullptr));
    while (!ending_) {
      std::array<pollfd, 2> ready{{{client_.get(), static_cast<short>(holding_ ? 0 : POLLIN), 0}, {node_.get(), POLLIN, 0}}};
      if (::poll(ready.data(), ready.size(), 10) <= 0) continue;
      if ((ready[0].revents & POLLIN) != 0 && !holding_) {
        if (!pump(client_.get(), node_.get())) return;
        last_ = std::chrono::steady_clock::now().time_since_epoch().count();
      }
      if ((ready[1].revents & POLLIN) != 0 && !pump(node_.get(), client_.get())) return;
    }
  }
  static bool pump(int from, int to) {
    std::array<char, 65536> buffer;
    const ssize_t size = ::read(from, buffer.data(), buffer.size());
    return size > 0 && ::write(to, buffer.data(), static_cast<std::size_t>(size)) == size;
  }

  Fd listener_;
  Fd client_;
  Fd node_;
  std::atomic<bool> holding_ = false;
  std::atomic<bool> ending_ = false;
  std::atomic<std::int64_t> last_ = 0;
  std::thread thread_;
};

TEST_F(IpcNode, ANewTipsTemplateIsReadWithoutAnotherWordToTheNode) {
  MockNode node({.path = path()});
  const std::string relayed = (folder_.path() / "relay.sock").string();
  Relay relay(relayed, path());
  TestClient client(relayed);
  ASSERT_TRUE(client.connect());
  const auto first = client.create();
  ASSERT_TRUE(first);
  auto waiting = client.begin_wait(first->handle, {.timeout = 1h});
  ASSERT_TRUE(eventually([&] { return node.waiting() == 1 && relay.quiet(); }));
  relay.hold_back();
  node.set_tip(hash(2), 101);
  const auto next = TestClient::wait(std::move(waiting));
  ASSERT_TRUE(next && *next);
  EXPECT_EQ((*next)->header.prev_hash, hash(2));
  EXPECT_EQ((*next)->coinbase.lock_time, 101U);
}

TEST_F(IpcNode, ATemplateIsFreedWhenItsLastHandleIsDropped) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  auto first = client.create();
  auto second = client.create();
  TemplateHandle copy = first->handle;
  ASSERT_TRUE(eventually([&] { return node.held_templates() == 2; }));
  first->handle.reset();
  second->handle.reset();
  ASSERT_TRUE(eventually([&] { return node.held_templates() == 1; }));
  copy.reset();
  EXPECT_TRUE(eventually([&] { return node.held_templates() == 0; }));
}

TEST_F(IpcNode, AWaitThatEndsWithNothingHoldsNothing) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  auto first = client.create();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(TestClient::wait(client.begin_wait(first->handle, {.timeout = 1ms})));
  EXPECT_TRUE(eventually([&] { return node.held_templates() == 1; }));
  std::promise<std::size_t> held;
  client.node().post([&] { held.set_value(client.node().held_templates()); });
  EXPECT_EQ(held.get_future().get(), 1U);
}

TEST_F(IpcNode, Version30IsToldWhichReleaseToUse) {
  MockNode node({.path = path(), .release = Release::k30});
  TestClient client(path());
  const auto error = client.fails();
  ASSERT_TRUE(error);
  EXPECT_TRUE(error->is(Errc::kTooOld));
  EXPECT_THAT(error->message(),
              AllOf(HasSubstr("Bitcoin Core 30"), HasSubstr("Bitcoin Core 31 or later"), HasSubstr("BitcoinRpc")));
}

TEST_F(IpcNode, EachReleaseTakesASolutionByItsOwnMethod) {
  for (const auto& [release, method] :
       {std::pair(Release::k31, "submitSolution@7"), std::pair(Release::kMaster, "submitSolution@7"),
        std::pair(Release::k32, "submitSolution@10")}) {
    MockNode node({.path = path(), .release = release});
    TestClient client(path());
    ASSERT_TRUE(client.connect());
    EXPECT_EQ(client.facts().has_rpc, release != Release::k31);
    const auto made = client.create();
    for (std::uint32_t nonce = 1; nonce <= 2; ++nonce) {
      const auto submitted =
          client.ask<Submitted>([&](Node& its, auto done) { its.submit_solution(made->handle, solution(nonce), done); });
      ASSERT_TRUE(submitted) << submitted.error().message();
      EXPECT_TRUE(submitted->accepted);
      ASSERT_TRUE(submitted->tip);
      EXPECT_EQ(submitted->tip->height, 101U);
    }
    EXPECT_EQ(node.count(method), 2U);
    ASSERT_THAT(node.solutions(), SizeIs(2));
    EXPECT_EQ(node.solutions()[0].ntime, 1'700'000'001U);
    EXPECT_EQ(node.solutions()[0].coinbase, solution().coinbase);
    // The other one is tried no more than once.
    EXPECT_LE(node.count("submitSolution@7") + node.count("submitSolution@10"), 3U);
  }
}

TEST_F(IpcNode, Release32SaysWhyItRefusesASolution) {
  MockNode node({.path = path(), .release = Release::k32});
  node.set_answer({.accepted = false, .reason = "high-hash"});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  const auto made = client.create();
  const auto submitted =
      client.ask<Submitted>([&](Node& its, auto done) { its.submit_solution(made->handle, solution(), done); });
  ASSERT_TRUE(submitted);
  EXPECT_FALSE(submitted->accepted);
  EXPECT_EQ(submitted->reason, "high-hash");
}

TEST_F(IpcNode, Release31HasNeitherSubmitBlockNorRpc) {
  MockNode node({.path = path(), .release = Release::k31});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  const auto block = std::make_shared<const Block>(80);
  const auto submitted = client.ask<Submitted>([&](Node& its, auto done) { its.submit_block(*block, block, done); });
  ASSERT_FALSE(submitted);
  EXPECT_TRUE(submitted.error().is(Errc::kUnsupported));
  EXPECT_TRUE(client.ask<std::string>([](Node& its, auto done) { its.rpc("{}", done); }).error().is(Errc::kUnsupported));
  EXPECT_EQ(client.losses(), 0U);
}

TEST_F(IpcNode, ABlockIsJudgedWithoutItsProofOfWork) {
  for (const MockNode::Release release : {MockNode::Release::k31, MockNode::Release::kMaster}) {
    MockNode node({.path = path(), .release = release});
    TestClient client(path());
    ASSERT_TRUE(client.connect());
    const auto made = client.create();
    const auto block = client.ask<Block>([&](Node& its, auto done) { its.get_block(made->handle, done); });
    const auto check = [&](Block one) {
      return client.ask<Checked>([&](Node& its, auto done) { its.check_block(std::move(one), done); });
    };
    const auto good = check(*block);
    ASSERT_TRUE(good) << good.error().message();
    EXPECT_TRUE(good->valid);
    EXPECT_EQ(good->reason, "");
    node.set_answer({.accepted = false, .reason = "bad-cb-amount"});
    const auto bad = check(*block);
    ASSERT_TRUE(bad);
    EXPECT_FALSE(bad->valid);
    EXPECT_EQ(bad->reason, "bad-cb-amount");
    EXPECT_TRUE(check(Block(80)).error().is(Errc::kRefused)) << "what is no block";
    EXPECT_EQ(client.losses(), 0U);
  }
}

TEST_F(IpcNode, TransactionsOfTheMempoolAreFoundByTheirWtxids) {
  const Block known = bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction);
  const bitcoin::Hash256 wtxid = bitcoin::transaction_ids(known)->wtxid;
  const auto find = [&](TestClient& client) {
    return client.ask<std::vector<Block>>(
        [&](Node& its, auto done) { its.find_transactions({bitcoin::Hash256{1}, wtxid}, done); });
  };
  MockNode node({.path = path()});
  node.set_transactions({known}, 1'000);
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  const auto found = find(client);
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_THAT(*found, ElementsAre(Block(), known));
  node.set_fault("getTransactionsByWitnessID", Fault::kNonsense, 1);
  EXPECT_TRUE(find(client).error().is(Errc::kNonsense));
}

TEST_F(IpcNode, Release31FindsNoTransactions) {
  MockNode node({.path = path(), .release = MockNode::Release::k31});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  EXPECT_TRUE(client.ask<std::vector<Block>>([&](Node& its, auto done) { its.find_transactions({{}}, done); })
                  .error()
                  .is(Errc::kUnsupported));
  EXPECT_EQ(client.losses(), 0U);
}

TEST_F(IpcNode, AWholeBlockIsTakenOnceAndKnownThen) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  const auto made = client.create();
  const auto whole = client.ask<Block>([&](Node& its, auto done) { its.get_block(made->handle, done); });
  const auto block = std::make_shared<const Block>(*whole);
  const auto submit = [&] {
    return client.ask<Submitted>([&](Node& its, auto done) { its.submit_block(*block, block, done); });
  };
  const auto first = submit();
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->accepted);
  const auto second = submit();
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->accepted);
  EXPECT_EQ(second->reason, "duplicate");
  EXPECT_THAT(node.blocks(), ElementsAre(*block, *block));
}

TEST_F(IpcNode, ASolutionNeverRunsBesideWhatReadsOrChangesTheSameTemplate) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  const auto made = client.create();
  for (const bool block_first : {true, false}) {
    std::vector<std::future<Result<Block>>> blocks;
    std::vector<std::future<Result<Submitted>>> solutions;
    const auto read = [&] {
      blocks.push_back(client.begin<Block>([&](Node& its, auto done) { its.get_block(made->handle, done); }));
    };
    if (block_first) read();
    for (std::uint32_t i = 0; i < 4; ++i) {
      solutions.push_back(
          client.begin<Submitted>([&](Node& its, auto done) { its.submit_solution(made->handle, solution(i), done); }));
      read();
    }
    for (auto& one : blocks) ASSERT_TRUE(TestClient::wait(std::move(one)));
    for (auto& one : solutions) ASSERT_TRUE(TestClient::wait(std::move(one)));
  }
  EXPECT_EQ(node.races(), 0U);
}

TEST_F(IpcNode, ANodeThatLoadsItsChainIsWaitedFor) {
  MockNode node({.path = path(), .loading = true});
  NodeOptions wanted = options();
  wanted.loading_after = 10ms;
  wanted.connect_deadline = 2s;
  TestClient client(wanted);
  client.node().connect();
  ASSERT_TRUE(eventually([&] { return client.loadings() == 1; }));
  std::this_thread::sleep_for(2500ms);  // Longer than any deadline of connecting.
  EXPECT_EQ(client.losses(), 0U);
  node.finish_loading();
  EXPECT_TRUE(eventually([&] { return client.create().has_value(); }));
}

TEST_F(IpcNode, ANodeThatEndsWhileItLoadsIsLost) {
  auto node = std::make_unique<MockNode>(MockNode::Options{.path = path(), .loading = true});
  TestClient client(path());
  client.node().connect();
  ASSERT_TRUE(eventually([&] { return node->count("makeMining") == 1; }));
  node.reset();
  ASSERT_TRUE(client.wait_for_loss(1));
  EXPECT_TRUE(client.last_loss().is(Errc::kLost));
}

TEST_F(IpcNode, ANodeThatDiesInACallIsLostAndFoundAgain) {
  for (const std::string method :
       {"createNewBlock", "getBlockHeader", "getCoinbaseTx", "getCoinbaseMerklePath", "waitNext", "getBlock",
        "submitSolution@7", "getTip", "executeRpc", "isInitialBlockDownload", "submitBlock"}) {
    MockNode node({.path = path()});
    TestClient client(path());
    ASSERT_TRUE(client.connect());
    const auto made = client.create();
    ASSERT_TRUE(made) << method;
    node.set_fault(method, Fault::kDisconnect, 1);
    const auto block = std::make_shared<const Block>(80);
    // All at once: the one that dies takes the others with it, and each is answered once.
    auto create = client.begin<TemplateData>([](Node& its, auto done) { its.create_template({.cooldown = false}, done); });
    auto wait = client.begin_wait(made->handle, {.timeout = 1h});
    auto whole = client.begin<Block>([&](Node& its, auto done) { its.get_block(made->handle, done); });
    auto solve = client.begin<Submitted>([&](Node& its, auto done) { its.submit_solution(made->handle, solution(), done); });
    auto submit = client.begin<Submitted>([&](Node& its, auto done) { its.submit_block(*block, block, done); });
    auto tip = client.begin<std::optional<Tip>>([](Node& its, auto done) { its.tip(done); });
    auto rpc = client.begin<std::string>([](Node& its, auto done) { its.rpc("{}", done); });
    auto initial = client.begin<bool>([](Node& its, auto done) { its.is_initial_download(done); });
    ASSERT_TRUE(client.wait_for_loss(1)) << method;
    EXPECT_TRUE(client.last_loss().is(Errc::kLost)) << method;
    const auto check = [&](auto answer) {
      const auto result = TestClient::wait(std::move(answer));
      if (result) return;
      EXPECT_THAT(std::string(result.error().name()), AnyOf("lost", "refused")) << method << ": " << result.error().message();
    };
    check(std::move(create));
    check(std::move(wait));
    check(std::move(whole));
    check(std::move(solve));
    check(std::move(submit));
    check(std::move(tip));
    check(std::move(rpc));
    check(std::move(initial));
    EXPECT_EQ(client.losses(), 1U);
    ASSERT_TRUE(client.connect()) << method;
    EXPECT_TRUE(client.create()) << method;
    // A template of the former connection is gone, and says so.
    const auto old = client.ask<Block>([&](Node& its, auto done) { its.get_block(made->handle, done); });
    ASSERT_FALSE(old);
    EXPECT_TRUE(old.error().is(Errc::kLost));
  }
}

TEST_F(IpcNode, WhatTheNodeThrowsIsAnErrorOfTheCallAlone) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  for (const std::string method : {"createNewBlock", "getBlockHeader", "getCoinbaseTx", "getCoinbaseMerklePath"}) {
    node.set_fault(method, Fault::kThrow, 1);
    const auto made = client.create();
    ASSERT_FALSE(made) << method;
    EXPECT_TRUE(made.error().is(Errc::kRefused)) << method << ": " << made.error().message();
    EXPECT_THAT(made.error().message(), HasSubstr("the disk is full"));
    ASSERT_TRUE(client.create()) << method;
  }
  EXPECT_EQ(client.losses(), 0U);
}

TEST_F(IpcNode, NonsenseIsNamedAndSurvived) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  const auto nonsense_in = [&](const std::string& method) {
    node.set_fault(method, Fault::kNonsense, 1);
    const auto made = client.create();
    return made ? "none" : std::string(made.error().name()) + ": " + made.error().message();
  };
  EXPECT_THAT(nonsense_in("getBlockHeader"), AllOf(HasSubstr("nonsense: "), HasSubstr("a header of 79 bytes")));
  EXPECT_THAT(nonsense_in("getCoinbaseTx"), AllOf(HasSubstr("nonsense: "), HasSubstr("a reward of -1 sat")));
  EXPECT_THAT(nonsense_in("getCoinbaseMerklePath"), AllOf(HasSubstr("nonsense: "), HasSubstr("a hash of 31 bytes")));
  node.set_fault("getCoinbaseTx", Fault::kNull, 1);
  EXPECT_TRUE(client.create().error().is(Errc::kNonsense));
  node.set_fault("getTip", Fault::kNonsense, 1);
  EXPECT_TRUE(client.ask<std::optional<Tip>>([](Node& its, auto done) { its.tip(done); }).error().is(Errc::kNonsense));
  EXPECT_TRUE(client.create());
  EXPECT_EQ(client.losses(), 0U);
}

TEST_F(IpcNode, NoTipIsNoError) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  node.set_fault("getTip", Fault::kNull, 1);
  const auto tip = client.ask<std::optional<Tip>>([](Node& its, auto done) { its.tip(done); });
  ASSERT_TRUE(tip);
  EXPECT_FALSE(*tip);
}

TEST_F(IpcNode, ANodeThatShutsDownMakesNoTemplate) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  node.set_fault("createNewBlock", Fault::kNull, 1);
  EXPECT_TRUE(client.create().error().is(Errc::kRefused));
}

TEST_F(IpcNode, EveryCallHasADeadline) {
  MockNode node({.path = path()});
  NodeOptions wanted = options();
  wanted.call_deadline = 50ms;
  wanted.submit_deadline = 50ms;
  wanted.wait_grace = 50ms;
  TestClient client(wanted);
  ASSERT_TRUE(client.connect());
  const auto made = client.create();
  for (const std::string method : {"createNewBlock", "waitNext", "getBlock", "submitSolution@7", "submitBlock", "checkBlock",
                                   "getTip", "executeRpc", "isInitialBlockDownload", "isTestChain"}) {
    node.set_fault(method, Fault::kHang);
  }
  const auto timed_out = [](const auto& result) {
    return !result && result.error().is(Errc::kTimedOut) && !result.error().message().contains("the test");
  };
  EXPECT_TRUE(timed_out(client.create({.cooldown = false, .deadline = 50ms})));
  EXPECT_TRUE(timed_out(TestClient::wait(client.begin_wait(made->handle, {.timeout = 10ms}))));
  EXPECT_TRUE(timed_out(client.ask<Block>([&](Node& its, auto done) { its.get_block(made->handle, done); })));
  EXPECT_TRUE(
      timed_out(client.ask<Submitted>([&](Node& its, auto done) { its.submit_solution(made->handle, solution(), done); })));
  const auto block = std::make_shared<const Block>(80);
  EXPECT_TRUE(timed_out(client.ask<Submitted>([&](Node& its, auto done) { its.submit_block(*block, block, done); })));
  EXPECT_TRUE(timed_out(client.ask<Checked>([&](Node& its, auto done) { its.check_block(*block, done); })));
  EXPECT_TRUE(timed_out(client.ask<std::optional<Tip>>([](Node& its, auto done) { its.tip(done); })));
  EXPECT_TRUE(timed_out(client.ask<std::string>([](Node& its, auto done) { its.rpc("{}", done); })));
  EXPECT_TRUE(timed_out(client.ask<bool>([](Node& its, auto done) { its.is_initial_download(done); })));
  EXPECT_TRUE(timed_out(client.ask<bool>([](Node& its, auto done) { its.is_test_chain(done); })));
}

TEST_F(IpcNode, WhoeverAcceptsAndSaysNothingTimesOut) {
  for (const std::string method : {"construct", "makeThread"}) {
    MockNode node({.path = path()});
    node.set_fault(method, Fault::kHang);
    NodeOptions wanted = options();
    wanted.connect_deadline = 50ms;
    TestClient client(wanted);
    const auto error = client.fails();
    ASSERT_TRUE(error);
    EXPECT_TRUE(error->is(Errc::kTimedOut)) << error->message();
  }
}

/// Accepts one connection after the other, says `text` and closes them.
class Speaker {
 public:
  Speaker(const std::string& path, std::string text) : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 5), 0);
    thread_ = std::thread([this, text = std::move(text)] {
      for (;;) {
        const Fd accepted(::accept(listener_.get(), nullptr, nullptr));
        if (!accepted.ok()) return;
        if (text.empty()) continue;
        EXPECT_GT(::write(accepted.get(), text.data(), text.size()), 0);
        char ignored[4096];
        while (::read(accepted.get(), ignored, sizeof ignored) > 0) {
        }
      }
    });
  }
  ~Speaker() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }

 private:
  Fd listener_;
  std::thread thread_;
};

TEST_F(IpcNode, AnotherProgramsSocketIsNoNode) {
  const std::string huge("\xff\xff\xff\x7f\xff\xff\xff\x7f", 8);  // As many segments as can be told.
  for (const std::string& text : {std::string("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
                                  std::string(64, '\0'), huge}) {
    const Speaker other(path(), text);
    NodeOptions wanted = options();
    wanted.connect_deadline = 500ms;
    TestClient client(wanted);
    const auto error = client.fails();
    ASSERT_TRUE(error);
    EXPECT_THAT(std::string(error->name()), AnyOf("not-a-node", "timed-out", "lost")) << error->message();
    EXPECT_THAT(error->message(), Not(HasSubstr("\n")));
    ::unlink(path().c_str());
  }
}

TEST_F(IpcNode, AListenerThatClosesAtOnceIsAskedAbout) {
  const Speaker other(path(), "");
  TestClient client(path());
  const auto error = client.fails();
  ASSERT_TRUE(error);
  EXPECT_TRUE(error->is(Errc::kLost)) << error->message();
  EXPECT_THAT(error->message(), HasSubstr(path()));
}

TEST_F(IpcNode, AMissingSocketIsToldAndFoundOnceItIsThere) {
  TestClient client(path());
  const auto error = client.fails();
  ASSERT_TRUE(error);
  EXPECT_TRUE(error->is(Errc::kNoSocket));
  MockNode node({.path = path()});
  EXPECT_TRUE(client.connect());
  EXPECT_TRUE(client.create());
}

TEST_F(IpcNode, CallsWithoutAConnectionFailAtOnce) {
  TestClient client(path());
  EXPECT_TRUE(client.create().error().is(Errc::kLost));
}

TEST_F(IpcNode, ConnectingAnewDropsTheConnectionBefore) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  const auto made = client.create();
  auto waiting = client.begin_wait(made->handle, {.timeout = 1h});
  ASSERT_TRUE(client.connect());
  EXPECT_TRUE(TestClient::wait(std::move(waiting)).error().is(Errc::kLost));
  EXPECT_TRUE(client.create());
  EXPECT_EQ(client.losses(), 0U);
  EXPECT_TRUE(eventually([&] { return node.connections() == 1; }));
}

TEST_F(IpcNode, StoppingTellsTheNodeThatNothingIsWaitedFor) {
  MockNode node({.path = path()});
  {
    TestClient client(path());
    ASSERT_TRUE(client.connect());
    const auto made = client.create();
    auto waiting = client.begin_wait(made->handle, {.timeout = 1h});
    ASSERT_TRUE(eventually([&] { return node.waiting() == 1; }));
    client.node().stop();
    EXPECT_THROW(waiting.get(), std::future_error);  // No answer comes any more, not even an error.
    client.node().stop();
  }
  EXPECT_EQ(node.count("interruptWait"), 1U);
  EXPECT_TRUE(eventually([&] { return node.waiting() == 0 && node.held_templates() == 0 && node.connections() == 0; }));
}

TEST_F(IpcNode, StoppingDoesNotWaitForANodeThatHangs) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  const auto made = client.create();
  node.set_fault("waitNext", Fault::kHang);
  auto waiting = client.begin_wait(made->handle, {.timeout = 1h});
  ASSERT_TRUE(eventually([&] { return node.count("waitNext") == 1; }));
  client.node().stop();
  EXPECT_THROW(waiting.get(), std::future_error);
}

TEST_F(IpcNode, HandlesMayOutliveTheNode) {
  MockNode node({.path = path()});
  TemplateHandle handle;
  {
    TestClient client(path());
    ASSERT_TRUE(client.connect());
    handle = client.create()->handle;
  }
  handle.reset();
}

TEST_F(IpcNode, AnEventMayCallTheNode) {
  MockNode node({.path = path()});
  std::promise<Result<TemplateData>> made;
  Node* its = nullptr;
  Node client({.socket_path = path()}, {.on_ready =
                                            [&](const NodeFacts&) {
                                              its->create_template({.cooldown = false}, [&](Result<TemplateData> one) {
                                                made.set_value(std::move(one));
                                              });
                                            },
                                        .on_lost = [](const Error&) {}});
  its = &client;
  ASSERT_TRUE(client.start());
  client.connect();
  EXPECT_TRUE(made.get_future().get());
}

TEST_F(IpcNode, AThousandTipsLeaveNothingBehind) {
  MockNode node({.path = path()});
  TestClient client(path());
  ASSERT_TRUE(client.connect());
  auto made = client.create();
  TemplateHandle held = std::move(made->handle);
  for (std::uint32_t i = 0; i < 1000; ++i) {
    auto waiting = client.begin_wait(held, {.timeout = 1h});
    Hash256 tip{};
    store_le(tip.data(), i + 1000);
    node.set_tip(tip, 100 + i);
    auto next = TestClient::wait(std::move(waiting));
    ASSERT_TRUE(next && *next);
    held = std::move((*next)->handle);
  }
  EXPECT_TRUE(eventually([&] { return node.held_templates() == 1; }));
}

}  // namespace
}  // namespace adit::ipc
