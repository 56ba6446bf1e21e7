// A template provider of ours on a node by IPC, over TCP: what SRI's tests of such a provider look at, under their names, and
// clients and providers that mean it badly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <future>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "attack/peer.h"
#include "base/eventually_testing.h"
#include "base/temporary_folder_testing.h"
#include "bitcoin/test_data.h"
#include "bitcoin/tx.h"
#include "bitcoin/u256.h"
#include "ipc/mock_node_testing.h"
#include "roles/template/server.h"
#include "template/bitcoin_nodes.h"
#include "template/test_sink.h"

namespace adit::attack {
namespace {

using namespace std::chrono_literals;
using ipc::MockNode;
using templates::test::Sink;
using testing::HasSubstr;

noise::Secret authority_secret() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(9);
  return noise::Secret(bytes);
}
noise::PublicKey authority() { return noise::AuthorityKeyPair::from_secret(authority_secret())->public_key(); }

bitcoin::Hash256 hash(std::uint8_t tag) {
  bitcoin::Hash256 made{};
  made.fill(tag);
  return made;
}

/// A transaction of about that many bytes.
std::vector<std::uint8_t> transaction(std::uint8_t tag, std::size_t size = 100) {
  bitcoin::Transaction made;
  made.inputs.resize(1);
  made.inputs[0].prev_txid.fill(tag);
  made.outputs = {{1000, std::vector<std::uint8_t>(size, 0x6a)}};
  return bitcoin::serialize(made);
}

/// `adit template` on a node of that release.
class ProviderOnANode : public testing::Test {
 protected:
  void start(MockNode::Release release = MockNode::Release::kMaster, const std::string& chain = "regtest",
             const std::function<void(MockNode&)>& set_up = {}) {
    node.emplace(MockNode::Options{.path = socket(), .release = release, .chain = chain});
    node->set_tip(hash(1), 900'000);
    node->set_transactions({transaction(1), transaction(2)}, 2'000);
    if (set_up) set_up(*node);
    shards.start();
    templates::IpcConfig ipc;
    ipc.socket_path = socket();
    ipc.min_interval = Duration::zero();
    ipc.empty_first = empty_first;
    templates::BitcoinNodes::Options own;
    own.nodes.push_back({.at = std::move(ipc)});
    own.blocks.journal_folder = (folder.path() / "provider").string();
    source.emplace(std::move(own));
    provider::ServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", 0};
    options.authority_secret = authority_secret();
    options.tick = 20ms;
    options.session = policy;
    server.emplace(shards, *source, [this] { return source->further(); }, std::move(options));
    ASSERT_TRUE(server->start());
  }
  ~ProviderOnANode() override {
    if (server) server->stop(5s);
    shards.stop(5s);
  }

  [[nodiscard]] std::string socket() const { return folder.path() / "node.sock"; }

  /// A client that is set up, and has said how much it adds to coinbases.
  std::unique_ptr<Peer> client() {
    auto peer = std::make_unique<Peer>(server->tcp_port());
    const auto shaken = peer->handshake(authority());
    EXPECT_TRUE(shaken) << shaken.error().message();
    EXPECT_TRUE(peer->send(wire::SetupConnection{
        .protocol = std::to_underlying(wire::Protocol::kTemplateDistribution), .min_version = 2, .max_version = 2}));
    EXPECT_TRUE(next<wire::SetupConnectionSuccess>(*peer));
    EXPECT_TRUE(peer->send(wire::CoinbaseOutputConstraints{34, 4}));
    return peer;
  }

  /// The next message of that type; others are passed over. It lives in `frame_`.
  template <class Message>
  std::optional<Message> next(Peer& from) {
    while (auto frame = from.receive()) {
      if (!frame->header.is<Message>()) continue;
      frame_ = std::move(*frame);
      const auto message = frame_.view().as<Message>();
      return message ? std::optional(*message) : std::nullopt;
    }
    return std::nullopt;
  }

  /// The error of asking for that template's transactions; "" if they came.
  std::string ask(Peer& peer, std::uint64_t id) {
    if (!peer.send(wire::RequestTransactionData{.template_id = id})) return "gone";
    while (auto frame = peer.receive()) {
      if (frame->header.is<wire::RequestTransactionDataSuccess>()) return "";
      if (!frame->header.is<wire::RequestTransactionDataError>()) continue;
      return std::string(frame->view().as<wire::RequestTransactionDataError>()->error_code.view());
    }
    return "gone";
  }

  TemporaryFolder folder;
  bool empty_first = false;
  templates::Sv2ServerPolicy policy;
  std::optional<MockNode> node;
  net::Shards shards{2};
  std::optional<templates::BitcoinNodes> source;
  std::optional<provider::TemplateServer> server;

 private:
  Frame frame_;
};

// ---- SRI's bitcoin_core_ipc_tdp_io: its layer on the node's IPC is asked there, and our provider here.

class BitcoinCoreIpcTdpIo : public ProviderOnANode {
 protected:
  void tdp_io_integration(MockNode::Release release) {
    policy.kept_after_tip = 1s;  // Theirs is looked at for 40 s.
    start(release);
    const auto peer = client();
    const auto made = next<wire::NewTemplate>(*peer);
    ASSERT_TRUE(made);
    EXPECT_TRUE(made->future_template);
    const std::uint64_t id = made->template_id;
    const auto tip = next<wire::SetNewPrevHashTdp>(*peer);
    ASSERT_TRUE(tip);
    EXPECT_EQ(tip->template_id, id) << "constraints give NewTemplate and SetNewPrevHash of one id";
    ASSERT_TRUE(peer->send(wire::RequestTransactionData{.template_id = id}));
    const auto data = next<wire::RequestTransactionDataSuccess>(*peer);
    ASSERT_TRUE(data);
    EXPECT_EQ(data->template_id, id);
    EXPECT_EQ(data->transaction_list.size(), 2u);
    EXPECT_EQ(ask(*peer, std::numeric_limits<std::uint64_t>::max()), "template-id-not-found");
    node->set_tip(hash(2), 900'001);
    ASSERT_TRUE(next<wire::SetNewPrevHashTdp>(*peer));
    EXPECT_TRUE(eventually([&] { return ask(*peer, id) == "stale-template-id"; }));
  }
};

TEST_F(BitcoinCoreIpcTdpIo, TdpIoIntegrationV31x) { tdp_io_integration(MockNode::Release::k31); }
TEST_F(BitcoinCoreIpcTdpIo, TdpIoIntegrationMaster) { tdp_io_integration(MockNode::Release::kMaster); }
TEST_F(BitcoinCoreIpcTdpIo, TdpIoIntegrationV32x) { tdp_io_integration(MockNode::Release::k32); }

// Theirs speaks 30's interface too; ours says which release to use.
TEST_F(BitcoinCoreIpcTdpIo, TdpIoIntegrationV30x) {
  start(MockNode::Release::k30);
  EXPECT_TRUE(eventually([&] { return source->status().state == templates::SourceState::kMisconfigured; }));
  EXPECT_THAT(source->status().message, HasSubstr("31"));
}

// ---- SRI's template_provider_integration: the difficulty that a provider's work has on chains of three kinds.

class TemplateProviderIntegration : public ProviderOnANode {
 protected:
  double difficulty(const std::string& chain, std::uint32_t nbits) {
    start(MockNode::Release::kMaster, chain, [nbits](MockNode& at) { at.set_nbits(nbits); });
    const auto peer = client();
    const auto tip = next<wire::SetNewPrevHashTdp>(*peer);
    if (!tip) return -1;
    EXPECT_EQ(tip->n_bits, nbits);
    const auto target = bitcoin::target_from_compact(nbits);
    EXPECT_EQ(bitcoin::U256::from_le(tip->target), *target);
    return bitcoin::difficulty_from_target(*target);
  }
};

TEST_F(TemplateProviderIntegration, TpLowDiff) { EXPECT_DOUBLE_EQ(difficulty("regtest", 0x207fffff), 4.6565423739069247e-10); }
TEST_F(TemplateProviderIntegration, TpMidDiff) { EXPECT_NEAR(difficulty("signet", 0x1e0377ae), 0.0011265, 1e-7); }
TEST_F(TemplateProviderIntegration, TpHighDiff) { EXPECT_NEAR(difficulty("signet", 0x1b00d7c0), 77761.11, 0.01); }

// ---- sv2-tp's own list.

// block_reserved_weight_floor: no client's constraints make the node reserve less than it takes.
TEST_F(ProviderOnANode, BlockReservedWeightFloor) {
  start();
  for (const std::uint32_t size : {0u, 1u, 208u, 209u, 100'000u}) {
    Peer peer(server->tcp_port());
    ASSERT_TRUE(peer.handshake(authority()));
    ASSERT_TRUE(peer.send(wire::SetupConnection{
        .protocol = std::to_underlying(wire::Protocol::kTemplateDistribution), .min_version = 2, .max_version = 2}));
    ASSERT_TRUE(peer.send(wire::CoinbaseOutputConstraints{size, 4}));
    ASSERT_TRUE(next<wire::SetNewPrevHashTdp>(peer)) << size;
  }
  std::vector<std::uint64_t> reserved;
  for (const auto& created : node->created()) reserved.push_back(created.reserved_weight);
  EXPECT_THAT(reserved, testing::UnorderedElementsAre(2'000, 1'168 + 4 * 209, 1'168 + 4 * 100'000));
}

// multiple_template_pair_trigger: each new constraint of a client brings a pair.
TEST_F(ProviderOnANode, MultipleTemplatePairTrigger) {
  start();
  const auto peer = client();
  ASSERT_TRUE(next<wire::SetNewPrevHashTdp>(*peer));
  std::uint64_t last = 0;
  for (const std::uint32_t size : {35u, 1'000u, 34u, 34u}) {
    ASSERT_TRUE(peer->send(wire::CoinbaseOutputConstraints{size, 4}));
    const auto made = next<wire::NewTemplate>(*peer);
    ASSERT_TRUE(made) << size;
    const std::uint64_t id = made->template_id;
    EXPECT_TRUE(made->future_template) << size;
    const auto tip = next<wire::SetNewPrevHashTdp>(*peer);
    ASSERT_TRUE(tip) << size;
    EXPECT_EQ(tip->template_id, id);
    EXPECT_GT(id, last);
    last = id;
  }
}

// client_tests: two clients, each of which hears of each tip, and one that leaves harms nobody.
TEST_F(ProviderOnANode, ClientTests) {
  start();
  const auto first = client();
  auto second = client();
  for (std::uint8_t tip = 2; tip < 6; ++tip) {
    for (Peer* const peer : {first.get(), second.get()}) {
      if (peer != nullptr) ASSERT_TRUE(next<wire::SetNewPrevHashTdp>(*peer));
    }
    if (tip == 4) second.reset();
    node->set_tip(hash(tip), 900'000u + tip);
  }
  EXPECT_TRUE(eventually([&] { return server->stats().clients == 1; }));
}

// fee_timer_blocking_test and new_tip_bypasses_fee_timer_test: Ipc.FeesAreNotWaitedForBeforeTheIntervalHasPassed... and
// Ipc.ANewTipIsToldAtOnceWhateverTheInterval; here that a provider hands on both.
TEST_F(ProviderOnANode, NewTipBypassesFeeTimerTest) {
  start();
  const auto peer = client();
  ASSERT_TRUE(next<wire::SetNewPrevHashTdp>(*peer));
  node->set_transactions({transaction(3)}, 9'000);
  const auto fees = next<wire::NewTemplate>(*peer);
  ASSERT_TRUE(fees);
  EXPECT_FALSE(fees->future_template);
  EXPECT_EQ(fees->coinbase_tx_value_remaining, 5'000'009'000u);
  node->set_tip(hash(2), 900'001);
  const auto tip = next<wire::NewTemplate>(*peer);
  ASSERT_TRUE(tip);
  EXPECT_TRUE(tip->future_template);
}

// ---- The empty template first

TEST_F(ProviderOnANode, TheEmptyTemplateGoesOutAsTheTipAndTheFullOneBehindIt) {
  empty_first = true;
  start();
  const auto peer = client();
  ASSERT_TRUE(next<wire::SetNewPrevHashTdp>(*peer));
  ASSERT_TRUE(eventually([&] { return node->waiting() == 1; }));
  node->set_build_time(300ms);
  node->set_tip(hash(2), 900'001);
  const auto empty = next<wire::NewTemplate>(*peer);
  ASSERT_TRUE(empty);
  const std::uint64_t id = empty->template_id;
  EXPECT_TRUE(empty->future_template);
  EXPECT_EQ(empty->coinbase_tx_value_remaining, 5'000'000'000u);
  EXPECT_EQ(empty->merkle_path.size(), 0u);
  const auto tip = next<wire::SetNewPrevHashTdp>(*peer);
  ASSERT_TRUE(tip);
  EXPECT_EQ(tip->template_id, id);
  EXPECT_EQ(tip->prev_hash, hash(2));
  const auto full = next<wire::NewTemplate>(*peer);
  ASSERT_TRUE(full);
  EXPECT_FALSE(full->future_template);
  EXPECT_EQ(full->coinbase_tx_value_remaining, 5'000'002'000u);
  EXPECT_EQ(full->merkle_path.size(), 2u);
  EXPECT_EQ(ask(*peer, id), "") << "it has transaction data: none";
}

// ---- Bad clients

TEST_F(ProviderOnANode, AClientThatAsksForTenThousandOldTemplatesIsAnsweredAndHarmsNobody) {
  policy.kept_after_tip = 20ms;
  start();
  const auto greedy = client();
  const auto first = next<wire::NewTemplate>(*greedy);
  ASSERT_TRUE(first);
  const std::uint64_t old = first->template_id;
  const auto other = client();
  ASSERT_TRUE(next<wire::SetNewPrevHashTdp>(*other));
  node->set_tip(hash(2), 900'001);
  ASSERT_TRUE(next<wire::SetNewPrevHashTdp>(*other));
  // On the shards of both: each lets go of what is old at its own tick.
  for (const auto& peer : {std::ref(other), std::ref(greedy)})
    ASSERT_TRUE(eventually([&] { return ask(*peer.get(), old) == "stale-template-id"; }));
  const std::size_t fetched = node->count("getBlock");
  // It does not wait for the answers before it goes on.
  constexpr std::size_t kAsked = 10'000;
  constexpr std::uint64_t kNever = 1ULL << 40;
  auto asking = std::async(std::launch::async, [&] {
    for (std::size_t i = 0; i < kAsked; ++i) {
      if (!greedy->send(wire::RequestTransactionData{.template_id = i % 2 == 0 ? old : kNever + i})) return false;
    }
    return true;
  });
  std::size_t stale = 0;
  std::size_t unknown = 0;
  while (stale + unknown < kAsked) {
    const auto refused = next<wire::RequestTransactionDataError>(*greedy);
    ASSERT_TRUE(refused) << stale << " and " << unknown;
    const std::string_view code = refused->error_code;
    ++(code == "stale-template-id" ? stale : unknown);
  }
  EXPECT_TRUE(asking.get());
  EXPECT_EQ(stale, kAsked / 2);
  EXPECT_EQ(node->count("getBlock"), fetched) << "nothing of it reached the node";
  node->set_tip(hash(3), 900'002);
  EXPECT_TRUE(next<wire::SetNewPrevHashTdp>(*other));
  EXPECT_TRUE(next<wire::SetNewPrevHashTdp>(*greedy));
}

// ---- Bad providers

/// What a provider says to its client, a byte at a time once it is told to.
class Dripping {
 public:
  explicit Dripping(std::uint16_t to) : to_(to), listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listening_, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    EXPECT_EQ(::listen(listening_, 4), 0);
    socklen_t size = sizeof at;
    EXPECT_EQ(::getsockname(listening_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    port = ntohs(at.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~Dripping() {
    ended_ = true;
    ::shutdown(listening_, SHUT_RDWR);
    thread_.join();
    ::close(listening_);
  }
  Dripping(const Dripping&) = delete;
  Dripping& operator=(const Dripping&) = delete;

  std::uint16_t port = 0;
  std::atomic<bool> drips{false};

 private:
  void run() {
    while (!ended_) {
      const int client = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) return;
      serve(client);
      ::close(client);
    }
  }
  void serve(int client) {
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(to_);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::array<std::uint8_t, 16384> bytes;
    bool open = ::connect(server, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
    while (open && !ended_) {
      std::array<pollfd, 2> wanted{pollfd{client, POLLIN, 0}, pollfd{server, POLLIN, 0}};
      ::poll(wanted.data(), wanted.size(), 5);
      if ((wanted[0].revents & (POLLIN | POLLHUP)) != 0) open = pass(client, server, bytes.size(), bytes);
      if (open && (wanted[1].revents & (POLLIN | POLLHUP)) != 0) {
        if (drips) std::this_thread::sleep_for(1ms);
        open = pass(server, client, drips ? 1 : bytes.size(), bytes);
      }
    }
    ::close(server);
  }
  static bool pass(int from, int to, std::size_t most, std::array<std::uint8_t, 16384>& bytes) {
    const auto got = ::recv(from, bytes.data(), most, 0);
    return got > 0 && ::send(to, bytes.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL) == got;
  }

  const std::uint16_t to_;
  const int listening_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

TEST_F(ProviderOnANode, FourMegabytesAByteAtATimeEndAtTheDeadlineAndAnotherNodeGivesTheWork) {
  start(MockNode::Release::kMaster, "regtest", [](MockNode& at) {
    std::vector<std::vector<std::uint8_t>> four_megabytes;
    for (std::uint8_t i = 0; i < 40; ++i) four_megabytes.push_back(transaction(i, 100'000));
    at.set_transactions(std::move(four_megabytes), 2'000);
  });
  Dripping slow(server->tcp_port());
  MockNode second({.path = folder.path() / "second.sock"});
  second.set_tip(hash(1), 900'000);

  templates::Sv2Config config;
  config.provider = {.transport = net::TcpConfig{"127.0.0.1", slow.port}, .authority = authority()};
  config.shard = &shards[1];
  config.fetch_transactions = false;
  config.client.transactions_deadline = 500ms;
  templates::IpcConfig ipc;
  ipc.socket_path = folder.path() / "second.sock";
  templates::BitcoinNodes::Options options;
  options.nodes.push_back({.at = std::move(config)});
  options.nodes.push_back({.at = std::move(ipc)});
  options.blocks.journal_folder = (folder.path() / "pool").string();
  Sink sink;
  templates::BitcoinNodes pool(std::move(options));
  ASSERT_TRUE(pool.start(sink.events()));
  // The other node's work, which may come before the provider's, has no transactions.
  bitcoin::TemplatePtr work;
  ASSERT_TRUE(sink.wait_for([&](const auto& seen) {
    for (const auto& [block_template, is_tip] : seen.templates) {
      if (!block_template->merkle_path.empty()) work = block_template;
    }
    return work != nullptr && pool.status().node == "127.0.0.1:" + std::to_string(slow.port);
  }));
  slow.drips = true;
  std::promise<Result<templates::TemplateSource::Transactions>> answered;
  pool.transactions(work->id, [&](auto found) { answered.set_value(std::move(found)); });
  auto answer = answered.get_future();
  ASSERT_EQ(answer.wait_for(60s), std::future_status::ready);
  const auto found = answer.get();
  ASSERT_FALSE(found);
  EXPECT_TRUE(found.error().is(templates::Errc::kTimedOut)) << found.error().message();
  EXPECT_THAT(found.error().message(), HasSubstr("in time"));
  // Its tips stand behind the four megabytes; the other node is two blocks further, and gives the work.
  for (std::uint8_t tip = 2; tip < 5; ++tip) {
    node->set_tip(hash(tip), 900'000u + tip);
    second.set_tip(hash(tip), 900'000u + tip);
  }
  EXPECT_TRUE(sink.wait_for([](const auto& seen) { return seen.templates.back().first->height == 900'005; }));
  // A client that comes directly is none the worse.
  const auto other = client();
  EXPECT_TRUE(next<wire::SetNewPrevHashTdp>(*other));
  pool.stop();
}

TEST_F(ProviderOnANode, ACoinbaseBeyondItsConstraintsIsTheNodesToJudge) {
  start();
  const auto peer = client();
  const auto made = next<wire::NewTemplate>(*peer);
  ASSERT_TRUE(made);
  // What a client of this repository's makes of it, with outputs of a hundred times the size that it declared.
  Sink sink;
  templates::Sv2Config config;
  config.provider = {.transport = net::TcpConfig{"127.0.0.1", server->tcp_port()}, .authority = authority()};
  config.shard = &shards[1];
  templates::BitcoinNodes::Options options;
  options.nodes.push_back({.at = std::move(config)});
  options.blocks.journal_folder = (folder.path() / "pool").string();
  templates::BitcoinNodes pool(std::move(options));
  pool.constrain({34, 1});
  ASSERT_TRUE(pool.start(sink.events()));
  ASSERT_TRUE(sink.wait_for([](const auto& seen) { return !seen.templates.empty(); }));
  const auto work = sink.seen().templates[0].first;
  ASSERT_TRUE(pool.submit(work->id, templates::test::solution(*work, std::vector<std::uint8_t>(3'400, 0x51))));
  ASSERT_TRUE(eventually([&] { return node->solutions().size() == 1; }))
      << "a block may be valid all the same: it is not thrown away";
  EXPECT_TRUE(next<wire::SetNewPrevHashTdp>(*peer));
  pool.stop();
}

}  // namespace
}  // namespace adit::attack
