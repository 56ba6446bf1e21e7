// Job declaration at a whole pool over loopback: a declarator and a miner's connection on different shards, an embedded chain,
// and a node that judges blocks as the test wants.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/eventually_testing.h"
#include "bitcoin/tx.h"
#include "bitcoin/u256.h"
#include "channels/extranonce.h"
#include "declaration/server_testing.h"
#include "monitor/exposition_testing.h"
#include "net/dial.h"
#include "net/shard_testing.h"
#include "net/tcp.h"
#include "roles/pool/declarator_server.h"
#include "roles/pool/metrics.h"
#include "roles/pool/server.h"
#include "template/embedded.h"
#include "wire/messages.h"

namespace adit::pool {
namespace {

using namespace std::chrono_literals;
using declaration::BlockCheck;
using declaration::CheckAnswer;
using net::on;
using testing::ElementsAre;
namespace asio = boost::asio;

noise::Secret authority_secret() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(7);
  return noise::Secret(bytes);
}

/// A client of any protocol on one shard.
class Client {
 public:
  Client(net::Shard& shard, std::uint16_t port) : shard_(shard), port_(port) {}

  /// "" or what went wrong.
  asio::awaitable<std::string> connect(wire::Protocol protocol, std::uint32_t flags) {
    const net::Peer peer{.transport = net::TcpConfig{"127.0.0.1", port_},
                         .authority = noise::AuthorityKeyPair::from_secret(authority_secret())->public_key()};
    auto connection = co_await net::dial(shard_, peer, protocol, {});
    if (!connection) co_return connection.error().message();
    connection_ = std::move(*connection);
    co_return co_await ask<wire::SetupConnectionSuccess>(
        wire::SetupConnection{.protocol = std::to_underlying(protocol), .min_version = 2, .max_version = 2, .flags = flags});
  }

  /// Sends it and waits for an Answer, which answer<Answer>() is then. "", the error code of another answer, or how the
  /// connection ended.
  template <class Answer, class Message>
  asio::awaitable<std::string> ask(Message message) {
    inbox_.clear();
    wire::FrameBuffer out;
    EXPECT_TRUE(out.push(message));
    connection_->send(out);
    for (;;) {
      const auto batch = co_await connection_->receive();
      if (!batch) co_return std::string(batch.error().name());
      for (const wire::FrameView& frame : *batch) {
        EXPECT_TRUE(inbox_.push_raw(frame.header, frame.payload));
        if (frame.is<Answer>()) co_return "";
        if (const auto refused = frame.as<wire::SetupConnectionError>()) co_return std::string(refused->error_code.view());
        if (const auto refused = frame.as<wire::DeclareMiningJobError>()) co_return std::string(refused->error_code.view());
        if (const auto refused = frame.as<wire::SetCustomMiningJobError>()) co_return std::string(refused->error_code.view());
        if (const auto refused = frame.as<wire::SubmitSharesError>()) co_return std::string(refused->error_code.view());
      }
    }
  }
  template <class Message>
  void send(const Message& message) {
    wire::FrameBuffer out;
    EXPECT_TRUE(out.push(message));
    connection_->send(out);
  }
  template <class Answer>
  Answer answer() {
    return declaration::testing::first<Answer>(inbox_);
  }

 private:
  net::Shard& shard_;
  const std::uint16_t port_;
  std::unique_ptr<net::NetworkConnection> connection_;
  wire::FrameBuffer inbox_;
};

/// Answers on a thread of its own.
class Judge final : public declaration::BlockChecker {
 public:
  [[nodiscard]] unsigned max_under_way() const override { return 2; }
  void check(std::vector<std::uint8_t> block, Done done) override {
    worker_.post([this, block = std::move(block), done = std::move(done)] {
      ++checked;
      EXPECT_TRUE(bitcoin::parse_block(block));
      done(verdict);
    });
  }
  void start() override { worker_.start(); }
  void stop() override { worker_.finish(); }

  void find(std::vector<bitcoin::Hash256> wtxids, Found found) override {
    worker_.post([this, wtxids = std::move(wtxids), found = std::move(found)] {
      std::vector<std::vector<std::uint8_t>> all(wtxids.size());
      for (std::size_t i = 0; i < wtxids.size(); ++i) {
        for (const auto& one : mempool) {
          if (bitcoin::transaction_ids(one)->wtxid == wtxids[i]) all[i] = one;
        }
      }
      found(std::move(all));
    });
  }
  [[nodiscard]] bool can_find() const override { return !mempool.empty(); }

  std::vector<std::vector<std::uint8_t>> mempool;  ///< Set before the start.
  CheckAnswer verdict{BlockCheck::kValid, {}};
  std::atomic<int> checked{0};

 private:
  ledger::Worker worker_;
};

/// Whatever the protocol of its streams is said to be: what an iroh endpoint hands over.
class Carrier final : public net::IrohCarrier {
 public:
  explicit Carrier(net::Shards& shards)
      : shards_(shards), listener_(std::move(*net::TcpListener::bind(shards[0], {"127.0.0.1", 0}))) {}
  asio::awaitable<Result<net::Link>> dial(net::Shard&, net::IrohConfig, wire::Protocol, Duration) override {
    co_return fail(net::Errc::kUnsupported, "not in this test");
  }
  Result<void> listen(std::vector<std::string> alpns, net::Admission admission, OnLink on_link) override {
    EXPECT_THAT(alpns, ElementsAre("adit/sv2/1", "sv2-m", "sv2-jd"));
    listener_->start(shards_, [admission, on_link](net::Shard& shard, std::unique_ptr<net::ByteStream> stream) mutable {
      auto place = admission.admit(stream->metadata().source, now_from_system().instant);
      if (!place) return stream->close(net::CloseCode::kOverloaded);
      on_link(shard, {.stream = std::move(stream), .protocol = wire::Protocol::kJobDeclaration},
              std::make_shared<net::Admission::Token>(std::move(*place)));
    });
    return {};
  }
  void stop_listening() override { listener_->stop(); }
  [[nodiscard]] Counts counts() const override { return {}; }
  [[nodiscard]] std::string endpoint_id() const override { return std::string(64, 'a'); }
  [[nodiscard]] std::vector<std::string> local_addresses() const override { return {listener_->address()}; }
  [[nodiscard]] std::string home_relay() const override { return {}; }
  [[nodiscard]] std::uint16_t port() const { return listener_->port(); }

 private:
  net::Shards& shards_;
  std::unique_ptr<net::TcpListener> listener_;
};

class PoolDeclaration : public testing::Test {
 protected:
  PoolDeclaration() { shards_.start(); }
  ~PoolDeclaration() override {
    on(shards_[0], [this]() -> asio::awaitable<bool> {
      clients_.clear();
      co_return true;
    });
    server_.reset();
    shards_.stop(0s);
  }

  /// What declares for the pool, in it or beside it.
  DeclaratorOptions declarator_options(bool coinbase_only) {
    DeclaratorOptions declarator;
    declarator.listen = net::TcpConfig{"127.0.0.1", 0};
    declarator.session.allow_coinbase_only = coinbase_only;
    declarator.checkers = {judge_};
    declarator.submit_block = [this](const bitcoin::Hash256&, std::uint32_t,
                                     const ledger::BlockSubmitter::Assemble& assemble) -> Result<> {
      ADIT_TRY(bitcoin::FoundBlock block, assemble());
      source_.submit_block(std::move(block));
      return {};
    };
    return declarator;
  }
  void start(bool coinbase_only = false, std::shared_ptr<const declaration::TokenSeal> seal = nullptr) {
    ServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", 0};
    if (!seal) options.iroh = &carrier_;
    options.authority_secret = authority_secret();
    options.jobs = {.payout_script = {0x51}, .pool_signature = "test"};
    options.session.channel.share_batch_size = 1;
    options.tick = 20ms;
    if (seal) {
      options.token_seal = std::move(seal);
    } else {
      options.declarator = declarator_options(coinbase_only);
    }
    server_.emplace(shards_, source_, std::move(options));
    const auto started = server_->start();
    ASSERT_TRUE(started) << started.error().message();
    ASSERT_TRUE(eventually([&] { return server_->stats().jobs > 0; }));
  }

  Client& client(std::uint16_t port, wire::Protocol protocol, std::uint32_t flags) {
    Client& made = *clients_.emplace_back(std::make_unique<Client>(shards_[0], port));
    EXPECT_EQ(on(shards_[0], [&] { return made.connect(protocol, flags); }), "");
    return made;
  }
  Client& declarator(std::uint32_t flags = wire::kDeclareTxData) {
    return client(server_->declarator_tcp_port(), wire::Protocol::kJobDeclaration, flags);
  }
  /// A connection of the pool's with one extended channel; they go round the shards.
  Client& miner(std::string_view user) {
    Client& made = client(server_->tcp_port(), wire::Protocol::kMining, wire::kRequiresWorkSelection);
    wire::U256 easiest;
    easiest.fill(0xff);
    EXPECT_EQ(ask<wire::OpenExtendedMiningChannelSuccess>(made, wire::OpenExtendedMiningChannel{.request_id = 1,
                                                                                                .user_identity = user,
                                                                                                .nominal_hash_rate = 1e6f,
                                                                                                .max_target = easiest,
                                                                                                .min_extranonce_size = 4}),
              "");
    return made;
  }
  template <class Answer, class Message>
  std::string ask(Client& client, const Message& message) {
    return on(shards_[0], [&] { return client.ask<Answer>(message); });
  }

  declaration::Token allocate(Client& client, std::string_view user = "user") {
    EXPECT_EQ((ask<wire::AllocateMiningJobTokenSuccess>(
                  client, wire::AllocateMiningJobToken{.user_identifier = user, .request_id = 1})),
              "");
    return *declaration::token_from(client.answer<wire::AllocateMiningJobTokenSuccess>().mining_job_token);
  }
  /// A declaration on the chain's tip.
  declaration::testing::Declaration declaration(const declaration::Token& token,
                                                const std::vector<declaration::TransactionPtr>& transactions = {}) {
    tip_.prev_hash = source_.blocks().back().hash;
    tip_.height = static_cast<std::uint32_t>(source_.status().height);
    tip_.nbits = declaration::testing::kEasyBits;
    tip_.coinbase_script_prefix = bitcoin::height_push(tip_.height);
    tip_.coinbase_script_prefix.push_back('x');
    declaration::testing::Declaration made(tip_, std::vector<std::uint8_t>{0x51}, transactions);
    made.token = token;
    return made;
  }
  wire::SetCustomMiningJob custom_job(const declaration::testing::Declaration& made, const declaration::Token& token) {
    outputs_ = declaration::counted_outputs(made.coinbase.outputs);
    return {.channel_id = channels::kFirstChannelId,
            .request_id = 9,
            .mining_job_token = Bytes(token),
            .version = 0x20000000,
            .prev_hash = tip_.prev_hash,
            .min_ntime = to_u32(now_from_system().unix_time),
            .nbits = tip_.nbits,
            .coinbase_tx_version = made.coinbase.version,
            .coinbase_prefix = Bytes(made.coinbase.script),
            .coinbase_tx_input_n_sequence = made.coinbase.sequence,
            .coinbase_tx_outputs = Bytes(outputs_),
            .coinbase_tx_locktime = made.coinbase.locktime};
  }
  /// What solves it with that extranonce.
  wire::PushSolution solve(const declaration::testing::Declaration& made, Bytes extranonce) {
    const auto work = declaration::declare_template(tip_, 0x20000000, made.coinbase, {});
    wire::PushSolution push{.extranonce = extranonce,
                            .prev_hash = tip_.prev_hash,
                            .nonce = 0,
                            .ntime = to_u32(now_from_system().unix_time),
                            .nbits = tip_.nbits,
                            .version = 0x20000000};
    for (;; ++push.nonce) {
      const auto header = bitcoin::solved_header(*work, {.version = push.version,
                                                         .ntime = push.ntime,
                                                         .nonce = push.nonce,
                                                         .coinbase = declaration::coinbase_with(*work, extranonce)});
      if (bitcoin::meets_target(header->hash(), *bitcoin::target_from_compact(push.nbits))) return push;
    }
  }
  std::string declare(Client& client, declaration::testing::Declaration& made) {
    return ask<wire::DeclareMiningJobSuccess>(client, made.message());
  }
  declaration::Token declared_token(Client& client) {
    return *declaration::token_from(client.answer<wire::DeclareMiningJobSuccess>().new_mining_job_token);
  }
  declaration::ServerCounters counters() { return server_->stats().declared->declarator; }
  declaration::CustomJobCounts custom_jobs() { return *server_->stats().custom_jobs; }

  net::Shards shards_{3};
  templates::EmbeddedSource source_{{}};
  Carrier carrier_{shards_};
  std::shared_ptr<Judge> judge_ = std::make_shared<Judge>();
  std::optional<PoolServer> server_;
  std::vector<std::unique_ptr<Client>> clients_;
  bitcoin::Template tip_;
  std::vector<std::uint8_t> outputs_;
};

TEST_F(PoolDeclaration, WhatOneShardDeclaredEveryShardKnowsAndOneTakes) {
  start();
  Client& jdc = declarator();
  std::vector<Client*> miners;
  miners.reserve(3);
  for (int i = 0; i < 3; ++i) miners.push_back(&miner("user"));
  for (Client* const one : miners) {
    auto made = declaration(allocate(jdc));
    ASSERT_EQ(declare(jdc, made), "");
    const auto token = declared_token(jdc);
    const auto set = [&](Client& client) { return ask<wire::SetCustomMiningJobSuccess>(client, custom_job(made, token)); };
    EXPECT_EQ(set(*one), "");
    for (Client* const other : miners) EXPECT_EQ(set(*other), "invalid-mining-job-token") << "it was used";
  }
  EXPECT_EQ(custom_jobs().taken, 3u);
  EXPECT_EQ(custom_jobs().refused, 9u);
  EXPECT_EQ(judge_->checked, 3);
}

TEST_F(PoolDeclaration, WhatComesToItsPortIsShownBesideThePoolsConnections) {
  start();
  declarator();
  declarator();
  miner("user");
  Metrics metrics(*server_);
  const auto text = monitor::test::text_of(metrics.snapshot());
  EXPECT_EQ(text.value(R"(adit_connections{transport="tcp"})"), 1);
  EXPECT_EQ(text.value(R"(adit_jds_connections{transport="tcp"})"), 2);
  EXPECT_EQ(text.value(R"(adit_jds_connections_opened_total{transport="tcp"})"), 2);
  EXPECT_EQ(text.value("adit_jds_connections_refused_total"), 0);
  EXPECT_EQ(text.value("adit_jds_handshakes"), 0);
  EXPECT_EQ(text.value("adit_jds_accepts_failed_total"), 0);
}

TEST_F(PoolDeclaration, ATokenIsNoOtherUsers) {
  start();
  Client& jdc = declarator();
  auto made = declaration(allocate(jdc, "user"));
  ASSERT_EQ(declare(jdc, made), "");
  const auto token = declared_token(jdc);
  Client& stranger = miner("somebody else");
  EXPECT_EQ(ask<wire::SetCustomMiningJobSuccess>(stranger, custom_job(made, token)), "invalid-mining-job-token");
  Client& own = miner("user");
  EXPECT_EQ(ask<wire::SetCustomMiningJobSuccess>(own, custom_job(made, token)), "");
}

TEST_F(PoolDeclaration, TransactionsThatOneClientGaveNoOtherIsAskedFor) {
  start();
  const std::vector<declaration::TransactionPtr> transactions{declaration::testing::transaction(1),
                                                              declaration::testing::transaction(2)};
  for (int i = 0; i < 6; ++i) {
    Client& jdc = declarator();
    auto made = declaration(allocate(jdc), transactions);
    if (i != 0) {
      EXPECT_EQ(declare(jdc, made), "") << i;
      continue;
    }
    ASSERT_EQ(ask<wire::ProvideMissingTransactions>(jdc, made.message()), "");
    const auto one = declaration::testing::numbered_transaction(1);
    const auto two = declaration::testing::numbered_transaction(2);
    const std::array<wire::B0_16M, 2> list{Bytes(one), Bytes(two)};
    EXPECT_EQ(ask<wire::DeclareMiningJobSuccess>(
                  jdc, wire::ProvideMissingTransactionsSuccess{.request_id = 1,
                                                               .transaction_list = std::span<const wire::B0_16M>(list)}),
              "");
  }
  EXPECT_EQ(counters().transactions_missing, 2u);
  EXPECT_EQ(counters().transactions_declared, 12u);
}

TEST_F(PoolDeclaration, WhatANodesMempoolHasNoClientIsAskedFor) {
  judge_->mempool = {declaration::testing::numbered_transaction(1), declaration::testing::numbered_transaction(3)};
  start();
  Client& jdc = declarator();
  auto made = declaration(allocate(jdc), {declaration::testing::transaction(1), declaration::testing::transaction(2)});
  ASSERT_EQ(ask<wire::ProvideMissingTransactions>(jdc, made.message()), "");
  const auto wanted = jdc.answer<wire::ProvideMissingTransactions>().unknown_tx_position_list;
  EXPECT_THAT(std::vector<std::uint16_t>(wanted.begin(), wanted.end()), ElementsAre(1));
}

TEST_F(PoolDeclaration, ABlockThatIsPushedIsSubmitted) {
  start();
  Client& jdc = declarator();
  auto made = declaration(allocate(jdc));
  made.coinbase.outputs.pop_back();  // No transaction: no commitment.
  made.coinbase.has_witness = false;
  ASSERT_EQ(declare(jdc, made), "");
  const std::vector<std::uint8_t> extranonce(channels::kFullExtranonceSize, 5);
  const auto solution = solve(made, extranonce);
  const std::uint32_t height = source_.status().height;
  on(shards_[0], [&]() -> asio::awaitable<bool> {
    jdc.send(solution);
    co_return true;
  });
  ASSERT_TRUE(eventually([&] { return source_.status().height == height + 1; })) << source_.status().message;
  EXPECT_EQ(counters().solutions, 1u);
  EXPECT_EQ(server_->stats().source.blocks_accepted, 1u);
}

// Classes 5, 7 and 12 of docs/security.md: what each of these does is refused or ends it, and a healthy client comes in
// between.
TEST_F(PoolDeclaration, AbusiveClientsCostAHealthyOneNothing) {
  start();
  Client& own = miner("user");
  const auto healthy = [&] {
    Client& jdc = declarator();
    auto made = declaration(allocate(jdc));
    ASSERT_EQ(declare(jdc, made), "");
    EXPECT_EQ(ask<wire::SetCustomMiningJobSuccess>(own, custom_job(made, declared_token(jdc))), "");
  };
  // Sends as often as it may; how that ends.
  const auto flood = [&](Client& client, const auto& message) {
    std::string ended;
    for (int i = 0; i < 500 && ended.empty(); ++i) ended = ask<wire::DeclareMiningJobError>(client, message);
    return ended;
  };

  Client& hoarder = declarator();
  for (std::size_t i = 0; i < declaration::ServerPolicy().max_tokens; ++i) allocate(hoarder);
  EXPECT_NE((ask<wire::AllocateMiningJobTokenSuccess>(hoarder, wire::AllocateMiningJobToken{.request_id = 1})), "");
  healthy();

  // A block's worth of transactions that nobody has, and no answer when they are asked for.
  Client& silent = declarator();
  for (std::uint32_t i = 0; i < declaration::ServerPolicy().max_declarations; ++i) {
    auto made = declaration(allocate(silent));
    made.request_id = i;
    for (std::uint32_t n = 0; n < 16'666; ++n) {
      wire::U256 wtxid{};
      store_le(wtxid.data(), n + 1);
      made.wtxids.push_back(wtxid);
    }
    EXPECT_EQ(ask<wire::ProvideMissingTransactions>(silent, made.message()), "");
  }
  healthy();

  Client& liar = declarator();
  auto lies = declaration(allocate(liar));
  auto message = lies.message();
  lies.parts.prefix[4 + 2 + 1 + 36] = 0xff;
  message.coinbase_tx_prefix = Bytes(lies.parts.prefix);
  EXPECT_NE(flood(liar, message), "");
  healthy();

  Client& guesser = declarator();
  auto guesses = declaration(declaration::Token{1, 2, 3});
  EXPECT_NE(flood(guesser, guesses.message()), "");
  healthy();

  // #795, #441: what was not asked for, and solutions that are none.
  Client& pusher = declarator();
  on(shards_[0], [&]() -> asio::awaitable<bool> {
    const std::vector<std::uint8_t> many(300'000, 1);  // Within what this end may have unsent.
    const std::array<wire::B0_16M, 1> list{Bytes(many)};
    for (int i = 0; i < 3; ++i) {
      pusher.send(
          wire::ProvideMissingTransactionsSuccess{.request_id = 9, .transaction_list = std::span<const wire::B0_16M>(list)});
    }
    for (int i = 0; i < 200; ++i) pusher.send(wire::PushSolution{.nbits = declaration::testing::kEasyBits});
    co_return true;
  });
  healthy();
  EXPECT_TRUE(eventually([&] { return counters().solutions_refused > 20; }));
  healthy();
  EXPECT_EQ(custom_jobs().taken, 6u);
}

TEST_F(PoolDeclaration, OverTheIrohEndpointItIsTheSame) {
  start();
  Client& jdc = client(carrier_.port(), wire::Protocol::kJobDeclaration, wire::kDeclareTxData);
  auto made = declaration(allocate(jdc));
  EXPECT_EQ(declare(jdc, made), "");
  EXPECT_EQ(counters().clients, 1u);
}

TEST_F(PoolDeclaration, EachPortServesItsProtocolAlone) {
  start();
  const auto connect = [&](std::uint16_t port, wire::Protocol protocol, std::uint32_t flags) {
    Client& made = *clients_.emplace_back(std::make_unique<Client>(shards_[0], port));
    return on(shards_[0], [&] { return made.connect(protocol, flags); });
  };
  EXPECT_EQ(connect(server_->declarator_tcp_port(), wire::Protocol::kMining, 0), "unsupported-protocol");
  EXPECT_EQ(connect(server_->tcp_port(), wire::Protocol::kJobDeclaration, wire::kDeclareTxData), "unsupported-protocol");
  EXPECT_EQ(connect(server_->declarator_tcp_port(), wire::Protocol::kJobDeclaration, 0), "missing-declare-tx-data-flag");
}

TEST_F(PoolDeclaration, WithoutTransactionsATokenAndTheOutputsAreEnoughWhereThatIsAllowed) {
  start(true);
  Client& jdc = declarator(0);
  Client& own = miner("user");
  for (int i = 0; i < 3; ++i) {
    const auto token = allocate(jdc);
    auto made = declaration(token);
    EXPECT_EQ(ask<wire::SetCustomMiningJobSuccess>(own, custom_job(made, token)), "");
    EXPECT_EQ(ask<wire::SetCustomMiningJobSuccess>(own, custom_job(made, token)), "invalid-mining-job-token");
  }
  auto poor = declaration(allocate(jdc));
  poor.coinbase.outputs.push_back({.value_sat = 1, .script = {0x52}});
  EXPECT_EQ(ask<wire::SetCustomMiningJobSuccess>(own, custom_job(poor, poor.token)), "invalid-coinbase-tx-outputs");
  EXPECT_EQ(judge_->checked, 0);
}

TEST_F(PoolDeclaration, ANodeThatRefusesIsHeardAndTheTokenIsStillGood) {
  start();
  judge_->verdict = {BlockCheck::kInvalid, "bad-cb-amount"};
  Client& jdc = declarator();
  auto made = declaration(allocate(jdc));
  EXPECT_EQ(declare(jdc, made), "invalid-job");
  EXPECT_EQ(as_text(jdc.answer<wire::DeclareMiningJobError>().error_details), "bad-cb-amount");
  judge_->verdict = {BlockCheck::kValid, {}};
  EXPECT_EQ(declare(jdc, made), "");
}

/// The declarator is a server of its own, on shards and on a source of templates of its own, as in another process.
class DeclaratorBeside : public PoolDeclaration {
 protected:
  ~DeclaratorBeside() override { beside_.reset(); }

  void start_both(bool coinbase_only = false) {
    const auto seal = std::make_shared<const declaration::TokenSeal>(declaration::TokenSeal::Key{1, 2, 3});
    start(coinbase_only, seal);
    DeclaratorServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", 0};
    options.authority_secret = authority_secret();
    options.tick = 20ms;
    options.declarator = declarator_options(coinbase_only);
    options.declarator.session.payouts.pool_script = {0x51};
    options.declarator.session.seal = seal;
    beside_.emplace(shards_, chain_, std::move(options));
    const auto started = beside_->start();
    ASSERT_TRUE(started) << started.error().message();
  }
  Client& declarator_beside(std::uint32_t flags = wire::kDeclareTxData) {
    return client(beside_->tcp_port(), wire::Protocol::kJobDeclaration, flags);
  }
  /// Its tokens are longer than the pool's own.
  std::vector<std::uint8_t> declared(Client& client) {
    const auto token = client.answer<wire::DeclareMiningJobSuccess>().new_mining_job_token;
    return {token.bytes().begin(), token.bytes().end()};
  }

  templates::EmbeddedSource chain_{{}};
  std::optional<DeclaratorServer> beside_;
};

TEST_F(DeclaratorBeside, ItsTokensAreGoodAtThePoolForTheirUserAndOnce) {
  start_both();
  Client& jdc = declarator_beside();
  Client& own = miner("user");
  Client& stranger = miner("somebody else");
  for (int i = 0; i < 2; ++i) {
    auto made = declaration(allocate(jdc));
    ASSERT_EQ(declare(jdc, made), "");
    const auto token = declared(jdc);
    auto job = custom_job(made, {});
    job.mining_job_token = Bytes(token);
    EXPECT_EQ(ask<wire::SetCustomMiningJobSuccess>(stranger, job), "invalid-mining-job-token");
    EXPECT_EQ(ask<wire::SetCustomMiningJobSuccess>(own, job), "");
    EXPECT_EQ(ask<wire::SetCustomMiningJobSuccess>(own, job), "invalid-mining-job-token") << "it was used";
  }
  EXPECT_EQ(judge_->checked, 2);
  EXPECT_EQ(custom_jobs().taken, 2u);
  EXPECT_EQ(custom_jobs().refused, 4u);
  EXPECT_FALSE(server_->stats().declared) << "there is no declarator in the pool";
  EXPECT_EQ(beside_->stats().declarator.jobs_declared, 2u);

  DeclaratorMetrics metrics(*beside_);
  const auto text = monitor::test::text_of(metrics.snapshot());
  EXPECT_EQ(text.value("adit_jds_jobs_declared_total"), 2);
  EXPECT_EQ(text.value(R"(adit_connections{transport="tcp"})"), 1);
  EXPECT_TRUE(metrics.health().ready());
  EXPECT_EQ(beside_->connections().size(), 1u);
}

TEST_F(DeclaratorBeside, ABlockThatIsPushedIsSubmittedByItAlone) {
  start_both();
  Client& jdc = declarator_beside();
  auto made = declaration(allocate(jdc));
  made.coinbase.outputs.pop_back();  // No transaction: no commitment.
  made.coinbase.has_witness = false;
  ASSERT_EQ(declare(jdc, made), "");
  const std::vector<std::uint8_t> extranonce(channels::kFullExtranonceSize, 5);
  const auto solution = solve(made, extranonce);
  const std::uint32_t height = source_.status().height;
  on(shards_[0], [&]() -> asio::awaitable<bool> {
    jdc.send(solution);
    co_return true;
  });
  ASSERT_TRUE(eventually([&] { return source_.status().height == height + 1; })) << source_.status().message;
  EXPECT_EQ(beside_->stats().declarator.solutions, 1u);
}

TEST_F(DeclaratorBeside, WithoutTransactionsItsTokenIsForTheUserAlone) {
  start_both(true);
  Client& jdc = declarator_beside(0);
  Client& own = miner("user");
  for (int i = 0; i < 100; ++i) {  // More than the tokens of one client that a declarator keeps: of these it keeps none.
    ASSERT_EQ((ask<wire::AllocateMiningJobTokenSuccess>(
                  jdc, wire::AllocateMiningJobToken{.user_identifier = std::string_view("user"), .request_id = 1})),
              "");
    if (i % 50 != 0) continue;
    const auto given = jdc.answer<wire::AllocateMiningJobTokenSuccess>().mining_job_token.bytes();
    const std::vector<std::uint8_t> token(given.begin(), given.end());
    auto made = declaration({});
    auto job = custom_job(made, {});
    job.mining_job_token = Bytes(token);
    EXPECT_EQ(ask<wire::SetCustomMiningJobSuccess>(own, job), "");
    EXPECT_EQ(ask<wire::SetCustomMiningJobSuccess>(own, job), "invalid-mining-job-token");
  }
  std::string ended;
  for (int i = 0; i < 100 && ended.empty(); ++i) {
    ended = ask<wire::AllocateMiningJobTokenSuccess>(
        jdc, wire::AllocateMiningJobToken{.user_identifier = std::string_view("user"), .request_id = 1});
  }
  EXPECT_NE(ended, "") << "whoever asks too often is cut off";
  EXPECT_EQ(judge_->checked, 0);
}

}  // namespace
}  // namespace adit::pool
