#include "declaration/server_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <random>

#include "bitcoin/consensus.h"
#include "bitcoin/merkle.h"
#include "declaration/server_testing.h"
#include "session/error.h"

namespace adit::declaration {
namespace {

using namespace std::chrono_literals;
using testing::Declaration;
using testing::Declarator;
using ::testing::ElementsAre;
using testing::first;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::names;
using testing::numbered_transaction;
using testing::template_on;
using testing::transaction;
using Connection = Declarator::Connection;

class DeclaratorTest : public ::testing::Test {
 protected:
  explicit DeclaratorTest(ServerPolicy policy = {}) : declarator(std::move(policy)) {}

  Token allocate(Connection& connection, std::string_view user = "user") {
    EXPECT_TRUE(declarator.take(connection, wire::AllocateMiningJobToken{.user_identifier = user, .request_id = 7}));
    const auto success = first<wire::AllocateMiningJobTokenSuccess>(connection.inbox);
    EXPECT_EQ(success.request_id, 7u);
    return token_from(success.mining_job_token).value_or(Token{});
  }
  /// A declaration on the tip with a token of its own; transactions are numbers.
  Declaration declaration(Connection& connection, const std::vector<std::uint32_t>& numbers = {}) {
    std::vector<TransactionPtr> transactions;
    for (const std::uint32_t number : numbers) transactions.push_back(transaction(number));
    Declaration made(*declarator.tip, declarator.policy.payouts.pool_script, transactions);
    made.token = allocate(connection);
    return made;
  }
  void know(const std::vector<std::uint32_t>& numbers) {
    std::vector<TransactionPtr> transactions;
    for (const std::uint32_t number : numbers) transactions.push_back(transaction(number));
    declarator.shard.on_transactions(transactions);
  }
  /// The error code of the answer.
  std::string declare(Connection& connection, Declaration& made) {
    EXPECT_TRUE(declarator.take(connection, made.message()));
    return connection.inbox.bytes().empty() ? "" : code_of(connection);
  }
  static std::string code_of(const Connection& connection) {
    const auto error = first<wire::DeclareMiningJobError>(connection.inbox);
    return std::string(error.error_code.view());
  }
  /// Declares it, and has it accepted. Returns the new token.
  Token accept(Connection& connection, Declaration& made) {
    EXPECT_EQ(declare(connection, made), "");
    declarator.answer();
    declarator.acknowledge();
    const auto success = first<wire::DeclareMiningJobSuccess>(connection.inbox);
    EXPECT_EQ(success.request_id, made.request_id);
    return token_from(success.new_mining_job_token).value_or(Token{});
  }
  /// A solution of what was declared that is a block, or is none.
  wire::PushSolution solution(const Declaration& made, bool is_block = true) {
    const auto work = declare_template(*declarator.tip, 0x20000000, made.coinbase, transactions_of(made));
    wire::PushSolution push{.extranonce = Bytes(extranonce_),
                            .prev_hash = work->prev_hash,
                            .nonce = 0,
                            .ntime = testing::kNtime,
                            .nbits = work->nbits,
                            .version = 0x20000000};
    const auto target = *bitcoin::target_from_compact(work->nbits);
    for (;; ++push.nonce) {
      const auto header = bitcoin::solved_header(
          *work,
          {.version = push.version, .ntime = push.ntime, .nonce = push.nonce, .coinbase = coinbase_with(*work, extranonce_)});
      if (header && bitcoin::meets_target(header->hash(), target) == is_block) return push;
    }
  }
  static std::vector<TransactionPtr> transactions_of(const Declaration& made) {
    std::vector<TransactionPtr> all;
    for (const auto& wtxid : made.wtxids) {
      for (std::uint32_t number = 0; number < 100; ++number) {
        if (transaction(number)->wtxid == wtxid) all.push_back(transaction(number));
      }
    }
    return all;
  }
  /// The client's answer to ProvideMissingTransactions.
  bool provide(Connection& connection, std::uint32_t request_id, const std::vector<std::vector<std::uint8_t>>& given) {
    std::vector<wire::B0_16M> list(given.begin(), given.end());
    return declarator.take(connection, wire::ProvideMissingTransactionsSuccess{
                                           .request_id = request_id, .transaction_list = std::span<const wire::B0_16M>(list)});
  }

  Declarator declarator;
  std::array<std::uint8_t, channels::kFullExtranonceSize> extranonce_{1, 2, 3};
};

TEST_F(DeclaratorTest, ATokenComesWithTheOutputThatHasToBePaid) {
  const auto connection = declarator.connect();
  ASSERT_TRUE(declarator.take(*connection, wire::AllocateMiningJobToken{.user_identifier = "user", .request_id = 7}));
  const auto success = first<wire::AllocateMiningJobTokenSuccess>(connection->inbox);
  EXPECT_EQ(success.request_id, 7u);
  const auto outputs = bitcoin::parse_counted_outputs(success.coinbase_tx_outputs);
  ASSERT_TRUE(outputs);
  EXPECT_THAT(*outputs, ElementsAre(bitcoin::TxOutput{.value_sat = 0, .script = declarator.policy.payouts.pool_script}));
  EXPECT_NE(allocate(*connection), allocate(*connection));
}

TEST_F(DeclaratorTest, AJobOfKnownTransactionsIsCheckedToldToAllShardsAndThenAnswered) {
  const auto connection = declarator.connect();
  know({1, 2, 3});
  auto made = declaration(*connection, {1, 2, 3});
  EXPECT_EQ(declare(*connection, made), "");
  EXPECT_THAT(names(connection->inbox), IsEmpty());
  ASSERT_EQ(declarator.checks.size(), 1u);
  EXPECT_FALSE(connection->session.settled());

  // The block that the node judges is whole, and that of the declaration.
  const auto block = block_to_check(*declarator.checks[0].job->work);
  ASSERT_TRUE(block);
  const auto view = bitcoin::parse_block(block->bytes);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->header.prev_hash, declarator.tip->prev_hash);
  ASSERT_EQ(view->transactions.size(), 4u);
  EXPECT_TRUE(std::ranges::equal(view->transactions[2], numbered_transaction(2)));
  EXPECT_EQ(bitcoin::parse_transaction(view->transactions[0])->inputs[0].witness.size(), 1u);

  declarator.pass(30ms);
  declarator.answer();
  EXPECT_THAT(names(connection->inbox), IsEmpty()) << "another shard does not know of it yet";
  ASSERT_EQ(declarator.told.size(), 1u);
  EXPECT_EQ(declarator.told[0].job->user, "user");
  const Token token = declarator.told[0].job->token;
  declarator.acknowledge();
  ASSERT_THAT(names(connection->inbox), ElementsAre("DeclareMiningJob.Success"));
  EXPECT_EQ(token_from(first<wire::DeclareMiningJobSuccess>(connection->inbox).new_mining_job_token), token);
  EXPECT_NE(token, made.token);
  EXPECT_TRUE(connection->session.settled());
  EXPECT_EQ(connection->settled, 1);
  EXPECT_EQ(connection->session.good_shares(), 1u);
  EXPECT_EQ(declarator.shard.counters().jobs_declared, 1u);
  EXPECT_EQ(declarator.shard.counters().jobs_time, 30ms);
}

TEST_F(DeclaratorTest, WhatIsNotKnownIsAskedForOnceAndKnownFromThenOn) {
  const auto connection = declarator.connect();
  know({2});
  auto made = declaration(*connection, {1, 2, 3});
  ASSERT_TRUE(declarator.take(*connection, made.message()));
  const auto wanted = first<wire::ProvideMissingTransactions>(connection->inbox);
  EXPECT_EQ(wanted.request_id, made.request_id);
  EXPECT_THAT(std::vector<std::uint16_t>(wanted.unknown_tx_position_list.begin(), wanted.unknown_tx_position_list.end()),
              ElementsAre(0, 2));
  ASSERT_TRUE(provide(*connection, made.request_id, {numbered_transaction(1), numbered_transaction(3)}));
  declarator.answer();
  declarator.acknowledge();
  EXPECT_THAT(names(connection->inbox), ElementsAre("DeclareMiningJob.Success"));
  EXPECT_EQ(declarator.shard.counters().transactions_declared, 3u);
  EXPECT_EQ(declarator.shard.counters().transactions_missing, 2u);

  const auto other = declarator.connect();
  auto again = declaration(*other, {1, 2, 3});
  EXPECT_EQ(declare(*other, again), "");
  EXPECT_EQ(declarator.checks.size(), 1u) << "nothing is missing now";
}

TEST_F(DeclaratorTest, WhatANodeRefusedIsNotKeptFromAClient) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection, {1});
  ASSERT_TRUE(declarator.take(*connection, made.message()));
  ASSERT_TRUE(provide(*connection, made.request_id, {numbered_transaction(1)}));
  declarator.answer({BlockCheck::kInvalid, "bad-txns"});
  EXPECT_EQ(code_of(*connection), "invalid-job");
  ASSERT_TRUE(declarator.take(*connection, made.message()));
  EXPECT_THAT(names(connection->inbox), ElementsAre("ProvideMissingTransactions")) << "the token is still good";
  EXPECT_EQ(declarator.shard.counters().known_bytes, 0u);
}

TEST_F(DeclaratorTest, TokensAreTheirConnectionsAndGoodForOneJob) {
  const auto connection = declarator.connect();
  const auto other = declarator.connect();
  auto made = declaration(*connection);
  EXPECT_EQ(declare(*other, made), "invalid-mining-job-token");
  const Token good = made.token;
  made.token = Token{0xff};
  EXPECT_EQ(declare(*connection, made), "invalid-mining-job-token");
  made.token = good;
  auto short_token = made.message();
  short_token.mining_job_token = Bytes(good).first(1);
  ASSERT_TRUE(declarator.take(*connection, short_token));
  EXPECT_EQ(code_of(*connection), "invalid-mining-job-token");

  EXPECT_EQ(declare(*connection, made), "");
  auto twice = made;
  twice.request_id = 2;
  EXPECT_EQ(declare(*connection, twice), "invalid-mining-job-token") << "one declaration of it is under way";
  declarator.answer();
  declarator.acknowledge();
  EXPECT_EQ(declare(*connection, twice), "invalid-mining-job-token") << "it was used";
  EXPECT_EQ(declarator.shard.counters().jobs_refused[static_cast<std::size_t>(DeclareRefusal::kToken)], 5u);
}

TEST_F(DeclaratorTest, ATokenExpiresWhenItIsLookedUp) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection);
  declarator.pass(declarator.policy.token_life - 1s);
  EXPECT_EQ(declare(*connection, made), "");
  declarator.answer({BlockCheck::kInvalid, ""});
  declarator.pass(1s);
  EXPECT_EQ(declare(*connection, made), "invalid-mining-job-token");
}

TEST_F(DeclaratorTest, ACoinbaseThatIsNoneIsRefused) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection);
  auto message = made.message();
  message.coinbase_tx_prefix = Bytes(made.parts.prefix).first(42);
  ASSERT_TRUE(declarator.take(*connection, message));
  EXPECT_EQ(code_of(*connection), "invalid-coinbase-tx");
  message = made.message();
  made.parts.prefix[4 + 2] = 0;
  message.coinbase_tx_prefix = Bytes(made.parts.prefix);
  ASSERT_TRUE(declarator.take(*connection, message));
  EXPECT_EQ(code_of(*connection), "invalid-coinbase-tx-input");
  EXPECT_EQ(declare(*connection, made), "") << "the token is still good";
}

TEST_F(DeclaratorTest, TheOutputThatWasAllocatedIsPaidItsPart) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection);
  const auto good = made.coinbase.outputs;
  made.coinbase.outputs[0].script = {0x52};
  EXPECT_EQ(declare(*connection, made), "invalid-coinbase-tx-outputs");
  made.coinbase.outputs = good;
  made.coinbase.outputs[0].value_sat = 0;
  EXPECT_EQ(declare(*connection, made), "invalid-coinbase-tx-outputs");
  made.coinbase.outputs = good;
  made.coinbase.outputs.push_back({.value_sat = 1, .script = {0x52}});
  EXPECT_EQ(declare(*connection, made), "invalid-coinbase-tx-outputs") << "all of it is the default";
  made.coinbase.outputs = good;
  std::ranges::reverse(made.coinbase.outputs);
  EXPECT_EQ(declare(*connection, made), "") << "order is the client's (06 §6.4.3)";
}

TEST(Revenue, IsAtLeastTheSubsidyAndThePartIsThatOfTheOutputsScript) {
  const std::vector<std::uint8_t> pool{0x51};
  const RevenuePolicy half{.percent = 50, .halving_interval = 210'000};
  const auto met = [&](std::uint64_t to_pool, std::uint64_t elsewhere, std::uint32_t height = 1) {
    return half.is_met(std::vector<bitcoin::TxOutput>{{elsewhere, {0x52}}, {to_pool, pool}}, pool, height);
  };
  EXPECT_TRUE(met(2'500'000'000, 2'500'000'000));
  EXPECT_FALSE(met(2'499'999'999, 2'500'000'001));
  EXPECT_FALSE(met(1'000, 0)) << "a coinbase that gives the subsidy up";
  EXPECT_TRUE(met(1'250'000'000, 0, 210'000));
  EXPECT_FALSE(met(1'249'999'999, 0, 210'000));
  EXPECT_TRUE(met(1, 1, 210'000 * 64));
  const RevenuePolicy unknown{.percent = 100, .halving_interval = 0};
  EXPECT_TRUE(unknown.is_met(std::vector<bitcoin::TxOutput>{{1, pool}}, pool, 1));
  EXPECT_FALSE(unknown.is_met(std::vector<bitcoin::TxOutput>{{0, pool}}, pool, 1));
  const RevenuePolicy all{.percent = 100, .halving_interval = 0};
  EXPECT_TRUE(all.is_met(std::vector<bitcoin::TxOutput>{{bitcoin::kMaxMoneySat, pool}}, pool, 1)) << "no product wraps";
  const std::uint64_t huge = ~0ull;
  EXPECT_FALSE(all.is_met(std::vector<bitcoin::TxOutput>{{1, pool}, {huge, {0x52}}}, pool, 1)) << "no sum wraps";
  EXPECT_FALSE(all.is_met(std::vector<bitcoin::TxOutput>{{huge, pool}, {2, pool}}, pool, 1));
}

TEST_F(DeclaratorTest, ListsThatCanBeNoBlocksAreRefused) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection, {1, 2, 1});
  EXPECT_EQ(declare(*connection, made), "invalid-job");
  EXPECT_THAT(declarator.reasons.back(), HasSubstr("twice"));
  made.wtxids.clear();
  for (std::uint32_t i = 0; i < 16'667; ++i) {
    wire::U256 wtxid{};
    store_le(wtxid.data(), i);
    made.wtxids.push_back(wtxid);
  }
  EXPECT_EQ(declare(*connection, made), "invalid-job");
  made.wtxids.pop_back();
  ASSERT_TRUE(declarator.take(*connection, made.message()));
  EXPECT_EQ(first<wire::ProvideMissingTransactions>(connection->inbox).unknown_tx_position_list.size(), 16'666u);
  EXPECT_EQ(declarator.shard.counters().jobs_refused[static_cast<std::size_t>(DeclareRefusal::kInvalid)], 2u);
}

TEST_F(DeclaratorTest, ABlockThatIsTooHeavyIsRefusedBeforeANodeSeesIt) {
  const auto connection = declarator.connect();
  std::vector<TransactionPtr> heavy;
  for (std::uint32_t i = 0; i < 11; ++i) {
    auto made = *bitcoin::parse_transaction(numbered_transaction(i));
    made.outputs[0].script.assign(i == 10 ? 2'000 : 99'000, 0x6a);
    heavy.push_back(*read_transaction(bitcoin::serialize(made)));
  }
  declarator.shard.on_transactions(heavy);
  Declaration made(*declarator.tip, declarator.policy.payouts.pool_script, heavy);
  made.token = allocate(*connection);
  EXPECT_EQ(declare(*connection, made), "");
  declarator.answer();
  declarator.acknowledge();
  std::vector<TransactionPtr> more = heavy;
  auto one = *bitcoin::parse_transaction(numbered_transaction(11));
  one.outputs[0].script.assign(9'000, 0x6a);
  more.push_back(*read_transaction(bitcoin::serialize(one)));
  declarator.shard.on_transactions(more);
  Declaration heavier(*declarator.tip, declarator.policy.payouts.pool_script, more);
  heavier.token = allocate(*connection);
  EXPECT_EQ(declare(*connection, heavier), "invalid-job");
  EXPECT_THAT(declarator.checks, IsEmpty());
}

TEST_F(DeclaratorTest, TransactionsThatWereAskedForAreAllGivenAndNoOthers) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection, {1, 2});
  const auto ask = [&] {
    ASSERT_TRUE(declarator.take(*connection, made.message()));
    ASSERT_THAT(names(connection->inbox), ElementsAre("ProvideMissingTransactions"));
  };
  ask();
  ASSERT_TRUE(provide(*connection, made.request_id, {numbered_transaction(1)}));
  EXPECT_EQ(code_of(*connection), "missing-txs");
  ask();
  ASSERT_TRUE(provide(*connection, made.request_id, {numbered_transaction(1), {1, 2, 3}}));
  EXPECT_EQ(code_of(*connection), "missing-txs") << "what is no transaction";
  ask();
  ASSERT_TRUE(provide(*connection, made.request_id, {numbered_transaction(1), numbered_transaction(3)}));
  EXPECT_EQ(code_of(*connection), "invalid-job") << "one that was not asked for";
  ask();
  ASSERT_TRUE(provide(*connection, made.request_id, {numbered_transaction(1), numbered_transaction(1)}));
  EXPECT_EQ(code_of(*connection), "invalid-job") << "one twice";
  ask();
  ASSERT_TRUE(provide(*connection, made.request_id, {numbered_transaction(2), numbered_transaction(1)}));
  EXPECT_EQ(declarator.checks.size(), 1u);
  EXPECT_EQ(declarator.checks[0].job->work->declared[0]->bytes, numbered_transaction(1)) << "in the block's order";
}

TEST_F(DeclaratorTest, ACoinbaseIsNoTransactionOfAList) {
  const auto connection = declarator.connect();
  auto coinbase = *bitcoin::parse_transaction(numbered_transaction(1));
  coinbase.inputs.resize(1);
  coinbase.inputs[0].prev_txid = {};
  coinbase.inputs[0].prev_index = 0xffffffff;
  const auto bytes = bitcoin::serialize(coinbase);
  Declaration made(*declarator.tip, declarator.policy.payouts.pool_script, {*read_transaction(bytes)});
  made.token = allocate(*connection);
  ASSERT_TRUE(declarator.take(*connection, made.message()));
  ASSERT_TRUE(provide(*connection, made.request_id, {bytes}));
  EXPECT_EQ(code_of(*connection), "invalid-job");
}

TEST_F(DeclaratorTest, TransactionsThatDoNotComeEndTheDeclaration) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection, {1});
  ASSERT_TRUE(declarator.take(*connection, made.message()));
  declarator.pass(declarator.policy.missing_deadline);
  EXPECT_TRUE(declarator.tick(*connection));
  EXPECT_EQ(code_of(*connection), "missing-txs");
  EXPECT_TRUE(connection->session.settled());
}

// #764: whoever sends what nobody asked for only costs.
TEST_F(DeclaratorTest, AnswersToNothingAreForgivenForAWhile) {
  const auto connection = declarator.connect();
  int taken = 0;
  while (taken < 1'000 && provide(*connection, 99, {numbered_transaction(1)})) ++taken;
  EXPECT_GT(taken, 20);
  EXPECT_LT(taken, 100);
  ASSERT_TRUE(connection->ended);
  EXPECT_TRUE(connection->ended->is(session::Errc::kOverloaded));
}

TEST_F(DeclaratorTest, ANodesVerdictsHaveTheirCodes) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection);
  const auto refused = [&](const CheckAnswer& answer) {
    EXPECT_EQ(declare(*connection, made), "");
    declarator.answer(answer);
    return code_of(*connection);
  };
  EXPECT_EQ(refused({BlockCheck::kInvalid, "bad-cb-amount"}), "invalid-job");
  EXPECT_EQ(declarator.reasons.back(), "bad-cb-amount");
  EXPECT_EQ(as_text(first<wire::DeclareMiningJobError>(connection->inbox).error_details), "bad-cb-amount");
  EXPECT_EQ(refused({BlockCheck::kStale, "inconclusive-not-best-prevblk"}), "stale-chain-tip");
  EXPECT_EQ(refused({BlockCheck::kFailed, "no connection"}), "internal-error");
  accept(*connection, made);
  EXPECT_EQ(judge_reason("inconclusive-not-best-prevblk"), BlockCheck::kStale);
  EXPECT_EQ(judge_reason("bad-diffbits"), BlockCheck::kStale);
  EXPECT_EQ(judge_reason("bad-cb-height"), BlockCheck::kInvalid);
}

TEST_F(DeclaratorTest, ANodeThatNeverAnswersEndsTheDeclaration) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection);
  EXPECT_EQ(declare(*connection, made), "");
  declarator.pass(2min);
  EXPECT_TRUE(declarator.tick(*connection));
  EXPECT_EQ(code_of(*connection), "internal-error");
  connection->inbox.clear();
  declarator.answer();
  EXPECT_THAT(names(connection->inbox), IsEmpty()) << "it comes too late";
}

TEST_F(DeclaratorTest, AnotherHeightIsAnotherTip) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection);
  made.coinbase.script = bitcoin::height_push(declarator.tip->height - 1);
  EXPECT_EQ(declare(*connection, made), "stale-chain-tip");
  made.coinbase.script = {0xff, 0xff};
  EXPECT_EQ(declare(*connection, made), "stale-chain-tip");
}

// SRI's jds_ask_for_missing_transactions: what a later tip needs comes while our node catches up.
TEST_F(DeclaratorTest, ADeclarationOnALaterTipIsAskedForItsTransactionsAtOnce) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection, {1, 2});
  made.coinbase.script = bitcoin::height_push(declarator.tip->height + 1);
  ASSERT_TRUE(declarator.take(*connection, made.message()));
  const auto asked = first<wire::ProvideMissingTransactions>(connection->inbox);
  EXPECT_EQ(asked.unknown_tx_position_list.size(), 2);
  ASSERT_TRUE(provide(*connection, made.request_id, {numbered_transaction(2), numbered_transaction(1)}));
  EXPECT_THAT(declarator.checks, IsEmpty());
  declarator.set_tip(2);
  ASSERT_EQ(declarator.checks.size(), 1u);
  declarator.answer();
  declarator.acknowledge();
  EXPECT_EQ(declarator.shard.counters().jobs_declared, 1u);

  // A tip that moves meanwhile is no other than the one that it waits for.
  auto next = declaration(*connection, {3});
  next.coinbase.script = bitcoin::height_push(declarator.tip->height + 1);
  ASSERT_TRUE(declarator.take(*connection, next.message()));
  declarator.set_tip(3);
  ASSERT_TRUE(provide(*connection, next.request_id, {numbered_transaction(3)}));
  EXPECT_EQ(declarator.checks.size(), 1u);

  auto far = declaration(*connection);
  far.request_id = next.request_id + 1;
  far.coinbase.script = bitcoin::height_push(declarator.tip->height + 10'000);
  EXPECT_EQ(declare(*connection, far), "");
  declarator.pass(declarator.policy.tip_patience);
  EXPECT_TRUE(declarator.tick(*connection));
  EXPECT_EQ(code_of(*connection), "stale-chain-tip");
}

TEST_F(DeclaratorTest, ALaterTipsCoinbaseIsJudgedWhenOursIsThere) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection);
  made.coinbase.script = bitcoin::height_push(declarator.tip->height + 1);
  made.coinbase.outputs = {{.value_sat = testing::kRevenueSat, .script = {0x52}}};
  EXPECT_EQ(declare(*connection, made), "");
  declarator.set_tip(2);
  EXPECT_EQ(code_of(*connection), "invalid-coinbase-tx-outputs");
}

// sv2-apps#364: the client's node is a moment ahead of the pool's.
TEST_F(DeclaratorTest, ADeclarationOnTheNextTipWaitsForIt) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection);
  made.coinbase.script = bitcoin::height_push(declarator.tip->height + 1);
  EXPECT_EQ(declare(*connection, made), "");
  EXPECT_THAT(declarator.checks, IsEmpty());
  declarator.set_tip(2);
  ASSERT_EQ(declarator.checks.size(), 1u);
  EXPECT_EQ(declarator.checks[0].job->work->prev_hash, declarator.tip->prev_hash);
  declarator.answer();
  declarator.acknowledge();

  auto late = declaration(*connection);
  late.coinbase.script = bitcoin::height_push(declarator.tip->height + 1);
  EXPECT_EQ(declare(*connection, late), "");
  declarator.pass(declarator.policy.tip_patience);
  EXPECT_TRUE(declarator.tick(*connection));
  EXPECT_EQ(code_of(*connection), "stale-chain-tip") << "a tip that does not come";
}

TEST_F(DeclaratorTest, ATipThatMovesMakesADeclarationStaleAtEachStep) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection, {1});
  ASSERT_TRUE(declarator.take(*connection, made.message()));
  declarator.set_tip(2);
  ASSERT_TRUE(provide(*connection, made.request_id, {numbered_transaction(1)}));
  EXPECT_EQ(code_of(*connection), "stale-chain-tip");

  know({1});
  made.coinbase.script = declarator.tip->coinbase_script_prefix;
  EXPECT_EQ(declare(*connection, made), "");
  declarator.set_tip(3);
  declarator.answer();
  EXPECT_EQ(code_of(*connection), "stale-chain-tip") << "whatever the node says";

  made.coinbase.script = declarator.tip->coinbase_script_prefix;
  EXPECT_EQ(declare(*connection, made), "");
  declarator.answer();
  const DeclaredJobPtr job = declarator.told[0].job;
  declarator.set_tip(4);
  declarator.acknowledge();
  EXPECT_EQ(code_of(*connection), "stale-chain-tip");
  EXPECT_TRUE(job->is_taken()) << "nobody may use what the client never heard of";
}

TEST_F(DeclaratorTest, ATemplateOnTheSameTipChangesNothing) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection);
  EXPECT_EQ(declare(*connection, made), "");
  declarator.set_tip(1);
  declarator.answer();
  declarator.acknowledge();
  EXPECT_THAT(names(connection->inbox), ElementsAre("DeclareMiningJob.Success"));
}

// #766, #590: request ids are each connection's own, and none is overwritten.
TEST_F(DeclaratorTest, RequestIdsAreEachConnectionsOwn) {
  const auto one = declarator.connect();
  const auto other = declarator.connect();
  auto first_made = declaration(*one, {1});
  auto second_made = declaration(*other, {2});
  ASSERT_TRUE(declarator.take(*one, first_made.message()));
  ASSERT_TRUE(declarator.take(*other, second_made.message()));
  ASSERT_TRUE(provide(*other, 1, {numbered_transaction(2)}));
  ASSERT_TRUE(provide(*one, 1, {numbered_transaction(1)}));
  ASSERT_EQ(declarator.checks.size(), 2u);
  EXPECT_EQ(declarator.checks[0].session, other->session.number());

  auto again = declaration(*one, {3});
  EXPECT_EQ(declare(*one, again), "request-id-in-use");
}

TEST_F(DeclaratorTest, DeclarationsUnderWayAndTheirRateAreBounded) {
  const auto connection = declarator.connect();
  std::vector<Declaration> all;
  for (std::uint32_t i = 0; i <= declarator.policy.max_declarations; ++i) {
    all.push_back(declaration(*connection));
    all.back().request_id = i;
  }
  for (std::uint32_t i = 0; i < declarator.policy.max_declarations; ++i) EXPECT_EQ(declare(*connection, all[i]), "");
  EXPECT_EQ(declare(*connection, all.back()), "too-many-declarations");
  for (std::uint32_t i = 0; i < declarator.policy.max_declarations; ++i) declarator.answer({BlockCheck::kFailed, ""});
  int declared = 0;
  for (;; ++declared) {
    if (declare(*connection, all.back()) == "too-many-declarations") break;
    declarator.answer({BlockCheck::kFailed, ""});
  }
  EXPECT_GT(declared, 50);
  EXPECT_LT(declared, 200);
  declarator.pass(2min);
  EXPECT_EQ(declare(*connection, all.back()), "");
}

// SRI's client, and ours, take a new one for each further try: a day of stale tips must not end their session.
TEST(AllocatedTokens, OneWhoseDeclarationWasRefusedMakesRoom) {
  const Instant now{};
  const auto holder = [&] { return AllocatedTokens::Holder{.user = "user", .payout_script = {}, .expires = now + 1h}; };
  AllocatedTokens tokens;
  EXPECT_TRUE(tokens.add(Token{1}, holder(), 2, now));
  EXPECT_TRUE(tokens.add(Token{2}, holder(), 2, now));
  EXPECT_FALSE(tokens.add(Token{3}, holder(), 2, now));
  tokens.find(Token{1}, now)->is_declared = true;
  EXPECT_FALSE(tokens.add(Token{3}, holder(), 2, now)) << "it is under way";
  tokens.give_back(Token{1});
  EXPECT_NE(tokens.find(Token{1}, now), nullptr) << "still good, while there is room";
  EXPECT_TRUE(tokens.add(Token{3}, holder(), 2, now));
  EXPECT_EQ(tokens.find(Token{1}, now), nullptr);
  EXPECT_NE(tokens.find(Token{2}, now), nullptr);
}

// #762: Allocate has no Error, so the connection ends, and says why.
TEST_F(DeclaratorTest, TokensAreBoundedForEachConnection) {
  const auto connection = declarator.connect();
  for (std::size_t i = 0; i < declarator.policy.max_tokens; ++i) allocate(*connection);
  EXPECT_FALSE(declarator.take(*connection, wire::AllocateMiningJobToken{.user_identifier = "user", .request_id = 8}));
  ASSERT_TRUE(connection->ended);
  EXPECT_TRUE(connection->ended->is(session::Errc::kOverloaded));
  EXPECT_THAT(connection->ended->message(), HasSubstr("as many unused tokens as it may have"));

  const auto other = declarator.connect();
  for (std::size_t i = 0; i < declarator.policy.max_tokens; ++i) allocate(*other);
  declarator.pass(declarator.policy.token_life);
  allocate(*other);
}

class FewTokens : public DeclaratorTest {
 protected:
  FewTokens() : DeclaratorTest({.max_tokens_per_shard = 3}) {}
};

TEST_F(FewTokens, AreBoundedInAllAndComeBackWithTheirConnections) {
  auto one = declarator.connect();
  const auto other = declarator.connect();
  allocate(*one);
  auto made = declaration(*one);
  allocate(*other);
  auto third = declarator.connect();
  EXPECT_FALSE(declarator.take(*third, wire::AllocateMiningJobToken{.user_identifier = "user", .request_id = 8}));
  EXPECT_THAT(third->ended->message(), HasSubstr("as many unused tokens as this declarator keeps"));
  accept(*one, made);
  allocate(*other);  // One was used.
  declarator.disconnect(one);
  allocate(*other);
}

TEST_F(FewTokens, TakeNoPlaceOnceTheyHaveExpiredThoughTheirConnectionLives) {
  const auto idle = declarator.connect();
  for (int i = 0; i < 3; ++i) allocate(*idle);
  declarator.pass(declarator.policy.token_life);
  EXPECT_TRUE(declarator.tick(*idle));
  const auto other = declarator.connect();
  for (int i = 0; i < 3; ++i) allocate(*other);
}

TEST_F(DeclaratorTest, WhatOnlyCostsIsCutOff) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection);
  made.token = Token{0xee};
  int refused = 0;
  while (refused < 1'000 && declarator.take(*connection, made.message())) ++refused;
  EXPECT_GT(refused, 20);
  EXPECT_LT(refused, 100);
  EXPECT_TRUE(connection->ended->is(session::Errc::kOverloaded));
}

TEST_F(DeclaratorTest, ASolutionIsABlockOfTheLastDeclaredJobOrOfARecentOne) {
  const auto connection = declarator.connect();
  know({1, 2});
  auto older = declaration(*connection, {1});
  auto newer = declaration(*connection, {1, 2});
  accept(*connection, older);
  accept(*connection, newer);
  ASSERT_TRUE(declarator.take(*connection, solution(newer)));
  ASSERT_EQ(declarator.blocks.size(), 1u);
  EXPECT_EQ(bitcoin::parse_block(declarator.blocks[0].bytes)->transactions.size(), 3u);
  ASSERT_TRUE(declarator.take(*connection, solution(older)));
  ASSERT_EQ(declarator.blocks.size(), 2u);
  const auto view = *bitcoin::parse_block(declarator.blocks[1].bytes);
  EXPECT_EQ(view.transactions.size(), 2u);
  EXPECT_EQ(view.header.merkle_root, [&] {
    std::vector<Hash256> txids;
    for (const Bytes one : view.transactions) txids.push_back(bitcoin::transaction_ids(one)->txid);
    return bitcoin::merkle_root(txids);
  }());
  EXPECT_EQ(declarator.shard.counters().solutions, 2u);
}

TEST_F(DeclaratorTest, ASolutionDoesNotWaitForTheAnswerToItsDeclaration) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection);
  EXPECT_EQ(declare(*connection, made), "");
  ASSERT_TRUE(declarator.take(*connection, solution(made)));
  EXPECT_EQ(declarator.blocks.size(), 1u);
}

TEST_F(DeclaratorTest, ASolutionWithoutWorkOrOfNoJobIsRefusedAndHarmsNothing) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection, {1});
  ASSERT_TRUE(declarator.take(*connection, made.message()));
  ASSERT_TRUE(declarator.take(*connection, solution(made))) << "before its transactions are known";
  EXPECT_THAT(declarator.blocks, IsEmpty());
  ASSERT_TRUE(provide(*connection, made.request_id, {numbered_transaction(1)}));
  declarator.answer();
  declarator.acknowledge();
  ASSERT_TRUE(declarator.take(*connection, solution(made, false)));
  auto other = solution(made);
  other.prev_hash.fill(9);
  ASSERT_TRUE(declarator.take(*connection, other));
  other = solution(made);
  other.extranonce = Bytes(extranonce_).first(4);
  ASSERT_TRUE(declarator.take(*connection, other));
  EXPECT_THAT(declarator.blocks, IsEmpty());
  EXPECT_EQ(declarator.shard.counters().solutions_refused, 4u);
  ASSERT_TRUE(declarator.take(*connection, solution(made)));
  EXPECT_EQ(declarator.blocks.size(), 1u);
}

TEST_F(DeclaratorTest, TheJobsOfAConnectionEndWithIt) {
  auto connection = declarator.connect();
  auto made = declaration(*connection);
  EXPECT_EQ(declare(*connection, made), "");
  declarator.answer();
  const DeclaredJobPtr job = declarator.told[0].job;
  declarator.acknowledge();
  EXPECT_FALSE(job->is_taken());
  auto under_way = declaration(*connection);
  EXPECT_EQ(declare(*connection, under_way), "");
  declarator.disconnect(connection);
  EXPECT_TRUE(job->is_taken());
  declarator.answer();  // Of nobody.
  EXPECT_THAT(declarator.told, IsEmpty());
}

TEST_F(DeclaratorTest, JobsThatNobodySetsGoOldestFirst) {
  const auto connection = declarator.connect();
  std::vector<DeclaredJobPtr> jobs;
  for (std::size_t i = 0; i <= declarator.policy.max_active; ++i) {
    auto made = declaration(*connection);
    EXPECT_EQ(declare(*connection, made), "");
    declarator.answer();
    jobs.push_back(declarator.told[0].job);
    declarator.acknowledge();
  }
  EXPECT_TRUE(jobs.front()->is_taken());
  EXPECT_FALSE(jobs[1]->is_taken());
  EXPECT_FALSE(jobs.back()->is_taken());
}

TEST_F(DeclaratorTest, BeforeThereIsATipDeclarationsWait) {
  struct Nothing {
    ServerPolicy policy;
  };
  ServerShard shard(declarator.policy, declarator);
  const auto connection = declarator.connect();
  auto made = declaration(*connection);
  ServerSession early(shard, wire::kDeclareTxData, declarator.now);
  wire::FrameBuffer in;
  wire::FrameBuffer out;
  ASSERT_TRUE(in.push(wire::AllocateMiningJobToken{.user_identifier = "user", .request_id = 1}));
  std::vector<wire::FrameView> frames(in.begin(), in.end());
  ASSERT_TRUE(early.on_frames(frames, declarator.now, out));
  made.token = *token_from(first<wire::AllocateMiningJobTokenSuccess>(out).mining_job_token);
  in.clear();
  ASSERT_TRUE(in.push(made.message()));
  out.clear();
  frames.assign(in.begin(), in.end());
  ASSERT_TRUE(early.on_frames(frames, declarator.now, out));
  EXPECT_THAT(names(out), IsEmpty());
  shard.set_template(declarator.tip, declarator.now);
  EXPECT_EQ(declarator.checks.size(), 1u);
}

TEST_F(DeclaratorTest, MessagesThatAreNotAClientsEndTheConnectionAndUnknownOnesDoNot) {
  const auto connection = declarator.connect();
  wire::FrameBuffer unknown;
  ASSERT_TRUE(unknown.push_raw({.message_type = 0x5f}, std::vector<std::uint8_t>{1, 2}));
  EXPECT_TRUE(declarator.take(*connection, unknown));
  EXPECT_FALSE(declarator.take(*connection, wire::DeclareMiningJobSuccess{}));
  EXPECT_TRUE(connection->ended->is(session::Errc::kProtocol));
}

TEST_F(DeclaratorTest, AnIdentityWhosePayoutNoDeclaredJobCanHaveIsRefusedWithASentence) {
  ServerPolicy policy;
  policy.payouts.solo = true;
  Declarator solo(policy);
  const std::string address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
  const auto miner = solo.connect();
  ASSERT_TRUE(solo.take(*miner, wire::AllocateMiningJobToken{.user_identifier = std::string_view(address), .request_id = 1}));
  const auto outputs =
      bitcoin::parse_counted_outputs(first<wire::AllocateMiningJobTokenSuccess>(miner->inbox).coinbase_tx_outputs);
  ASSERT_TRUE(outputs);
  EXPECT_EQ(outputs->at(0).script, channels::script_of_any_network(address)) << "the block is the miner's alone";

  const auto donor = solo.connect();
  const std::string donation = "sri/donate/10/" + address;
  EXPECT_FALSE(solo.take(*donor, wire::AllocateMiningJobToken{.user_identifier = std::string_view(donation), .request_id = 1}));
  EXPECT_TRUE(donor->ended->is(session::Errc::kRefused));
  EXPECT_THAT(donor->ended->message(), HasSubstr("shared between two payees"));
  const auto typo = solo.connect();
  EXPECT_FALSE(solo.take(*typo, wire::AllocateMiningJobToken{.user_identifier = "sri/solo/nobody", .request_id = 1}));
  EXPECT_TRUE(typo->ended->is(session::Errc::kRefused));
}

// ---- Clients that keep their transactions to themselves

TEST(DeclaratorOffer, AsksForTheTransactionsUnlessItNeedNot) {
  ServerPolicy policy;
  EXPECT_EQ(ServerSession::offer(policy).required_flags, wire::kDeclareTxData);
  EXPECT_EQ(ServerSession::offer(policy).missing_flags_code, "missing-declare-tx-data-flag");
  policy.allow_coinbase_only = true;
  EXPECT_EQ(ServerSession::offer(policy).required_flags, 0u);
}

class CoinbaseOnly : public DeclaratorTest {
 protected:
  CoinbaseOnly() : DeclaratorTest({.allow_coinbase_only = true, .max_tokens = 3}) {}
};

TEST_F(CoinbaseOnly, ATokenIsToldToAllShardsBeforeItIsGiven) {
  const auto connection = declarator.connect(0);
  ASSERT_TRUE(declarator.take(*connection, wire::AllocateMiningJobToken{.user_identifier = "user", .request_id = 7}));
  EXPECT_THAT(names(connection->inbox), IsEmpty());
  ASSERT_EQ(declarator.told.size(), 1u);
  EXPECT_EQ(declarator.told[0].job->work, nullptr);
  const Token token = declarator.told[0].job->token;
  declarator.acknowledge();
  EXPECT_EQ(token_from(first<wire::AllocateMiningJobTokenSuccess>(connection->inbox).mining_job_token), token);
  EXPECT_EQ(connection->settled, 1);

  Declaration made(*declarator.tip, declarator.policy.payouts.pool_script, {});
  made.token = token;
  EXPECT_EQ(declare(*connection, made), "invalid-mining-job-token") << "its client declares nothing";
}

TEST_F(CoinbaseOnly, TokensAreBoundedAndComeBackWhenTheyAreUsed) {
  const auto connection = declarator.connect(0);
  std::vector<DeclaredJobPtr> jobs;
  const auto one = [&] {
    const bool taken = declarator.take(*connection, wire::AllocateMiningJobToken{.user_identifier = "user", .request_id = 7});
    if (!taken) return false;
    jobs.push_back(declarator.told[0].job);
    declarator.acknowledge();
    return true;
  };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(one());
  EXPECT_TRUE(jobs[0]->take());
  EXPECT_TRUE(one());
  EXPECT_FALSE(one());
}

// ---- Where a node can be asked for transactions

class Mempool : public DeclaratorTest {
 protected:
  Mempool() : DeclaratorTest({.asks_mempool = true}) {}
};

TEST_F(Mempool, WhatANodeHasNoClientIsAskedFor) {
  const auto connection = declarator.connect();
  know({1});
  auto made = declaration(*connection, {1, 2, 3});
  EXPECT_EQ(declare(*connection, made), "");
  EXPECT_THAT(declarator.looked_for, ElementsAre(transaction(2)->wtxid, transaction(3)->wtxid));
  declarator.find_these({transaction(3), transaction(9)});
  const auto wanted = first<wire::ProvideMissingTransactions>(connection->inbox);
  EXPECT_THAT(std::vector<std::uint16_t>(wanted.unknown_tx_position_list.begin(), wanted.unknown_tx_position_list.end()),
              ElementsAre(1));
  ASSERT_TRUE(provide(*connection, made.request_id, {numbered_transaction(2)}));
  declarator.answer();
  EXPECT_EQ(declarator.told[0].transactions.size(), 2u) << "both are known from now on";
  declarator.acknowledge();
  EXPECT_EQ(declarator.shard.counters().transactions_missing, 1u);

  auto next = declaration(*connection, {4, 5});
  EXPECT_EQ(declare(*connection, next), "");
  declarator.find_these({transaction(5), transaction(4)});
  EXPECT_EQ(declarator.checks.size(), 1u) << "nothing is missing";
}

TEST_F(Mempool, ANodeThatDoesNotAnswerIsNotWaitedFor) {
  const auto connection = declarator.connect();
  auto made = declaration(*connection, {1});
  EXPECT_EQ(declare(*connection, made), "");
  declarator.pass(declarator.policy.mempool_patience);
  EXPECT_TRUE(declarator.tick(*connection));
  EXPECT_THAT(names(connection->inbox), ElementsAre("ProvideMissingTransactions"));
  connection->inbox.clear();
  declarator.find_these({transaction(1)});
  EXPECT_THAT(names(connection->inbox), IsEmpty()) << "it comes too late";
  ASSERT_TRUE(provide(*connection, made.request_id, {numbered_transaction(1)}));
  EXPECT_EQ(declarator.checks.size(), 1u);
}

// ---- Known transactions

TEST(KnownTransactions, AreBoundedByBytesAndTheLeastUsedGoFirst) {
  constexpr std::size_t kMax = 100'000;
  KnownTransactions known(kMax);
  const auto kept = transaction(0);
  for (std::uint32_t i = 0; i < 2'000; ++i) {
    known.add(transaction(i));
    EXPECT_LE(known.bytes(), kMax);
    EXPECT_NE(known.find(kept->wtxid), nullptr) << i;
  }
  EXPECT_EQ(known.find(transaction(1)->wtxid), nullptr);
  EXPECT_NE(known.find(transaction(1'999)->wtxid), nullptr);
}

TEST(KnownTransactions, WeightAndIdsAreTheTransactions) {
  const auto bytes = numbered_transaction(1);
  const auto read = transaction(1);
  const auto stripped = bitcoin::strip_witness(bytes);
  ASSERT_TRUE(stripped);
  EXPECT_EQ(read->weight, 3 * stripped->size() + bytes.size());
  EXPECT_EQ(read->txid, bitcoin::sha256d(*stripped));
  EXPECT_EQ(read->wtxid, bitcoin::sha256d(bytes));
  EXPECT_FALSE(read->is_coinbase);
  const auto bare = *read_transaction(*stripped);
  EXPECT_EQ(bare->weight, 4 * stripped->size());
  EXPECT_EQ(bare->wtxid, bare->txid);
  EXPECT_TRUE((*read_transaction(bitcoin::test::bytes_of(bitcoin::test::kGenesisCoinbase)))->is_coinbase);
  EXPECT_FALSE(read_transaction(Bytes(bytes).first(bytes.size() - 1)));
}

}  // namespace
}  // namespace adit::declaration
