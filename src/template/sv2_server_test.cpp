#include "template/sv2_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "session/error.h"
#include "template/sv2_testing.h"

namespace adit::templates {
namespace {

using namespace std::chrono_literals;
using test::names;
using test::nth;
using test::Provider;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr wire::CoinbaseOutputConstraints kSmall{34, 4};
constexpr wire::CoinbaseOutputConstraints kLarge{1'000, 4};

class Sv2ServerTest : public testing::Test {
 protected:
  /// A client that has said its constraints and got the first pair.
  std::unique_ptr<Provider::Connection> client(wire::CoinbaseOutputConstraints constraints = kSmall) {
    auto made = provider.connect();
    EXPECT_TRUE(provider.take(*made, constraints));
    return made;
  }
  void pass(Duration time) {
    since_ += time;
    provider.now = test::at(since_);
    provider.shard.on_tick(provider.now);
  }
  std::string error_code(const Provider::Connection& connection) {
    return std::string(nth<wire::RequestTransactionDataError>(connection.inbox).error_code.view());
  }

  Provider provider;

 private:
  Duration since_{};
};

TEST_F(Sv2ServerTest, NothingIsSentBeforeTheConstraintsAndATipAtOnceAfterThem) {
  const auto connection = provider.connect();
  provider.publish();
  EXPECT_TRUE(connection->inbox.empty());
  EXPECT_TRUE(provider.take(*connection, kSmall));
  ASSERT_THAT(names(connection->inbox), ElementsAre("NewTemplate", "SetNewPrevHashTdp"));
  const auto made = nth<wire::NewTemplate>(connection->inbox);
  const auto tip = nth<wire::SetNewPrevHashTdp>(connection->inbox);
  EXPECT_TRUE(made.future_template);
  EXPECT_EQ(made.template_id, tip.template_id);
  EXPECT_EQ(tip.prev_hash, provider.chain.tip());
}

TEST_F(Sv2ServerTest, TheOlderFormOfTheConstraintsIsServed) {
  const auto connection = provider.connect();
  wire::FrameBuffer frames;
  const std::vector<std::uint8_t> payload{34, 0, 0, 0};
  ASSERT_TRUE(frames.push_raw({.message_type = wire::CoinbaseOutputConstraints::kType}, payload));
  EXPECT_TRUE(provider.take(*connection, frames));
  EXPECT_THAT(names(connection->inbox), ElementsAre("NewTemplate", "SetNewPrevHashTdp"));
  EXPECT_EQ(connection->session.constraints()->max_additional_sigops, kUnsaidSigops);
}

TEST_F(Sv2ServerTest, OnOneTipUpdatesGoOutAndAtANewTipThePair) {
  const auto connection = client();
  connection->inbox.clear();
  provider.publish();
  ASSERT_THAT(names(connection->inbox), ElementsAre("NewTemplate"));
  EXPECT_FALSE(nth<wire::NewTemplate>(connection->inbox).future_template);
  connection->inbox.clear();
  provider.mine();
  ASSERT_THAT(names(connection->inbox), ElementsAre("NewTemplate", "SetNewPrevHashTdp"));
  EXPECT_EQ(nth<wire::SetNewPrevHashTdp>(connection->inbox).prev_hash, provider.chain.tip());
}

// sv2-tp kept one value for all clients, so that the second of two missed new tips.
TEST_F(Sv2ServerTest, EachClientIsToldOfATipByItself) {
  const auto first = client();
  provider.mine();
  const auto second = client();
  ASSERT_THAT(names(second->inbox), ElementsAre("NewTemplate", "SetNewPrevHashTdp"));
  first->inbox.clear();
  second->inbox.clear();
  provider.mine();
  EXPECT_THAT(names(first->inbox), ElementsAre("NewTemplate", "SetNewPrevHashTdp"));
  EXPECT_THAT(names(second->inbox), ElementsAre("NewTemplate", "SetNewPrevHashTdp"));
}

TEST_F(Sv2ServerTest, AThousandClientsThatAgreeCostOneTemplateEach) {
  std::vector<std::unique_ptr<Provider::Connection>> clients;
  for (int i = 0; i < 1'000; ++i) clients.push_back(client({static_cast<std::uint32_t>(i % 200), 4}));
  const std::size_t before = provider.encoded;
  provider.mine();
  EXPECT_EQ(provider.encoded, before + 1);
  for (const auto& one : clients) EXPECT_EQ(nth<wire::SetNewPrevHashTdp>(one->inbox, 1).prev_hash, provider.chain.tip());
}

TEST_F(Sv2ServerTest, ClientsWithOtherConstraintsHaveTemplatesOfTheirOwn) {
  const auto small = client();
  const auto large = client(kLarge);
  const auto alike = client(kLarge);
  EXPECT_EQ(provider.classes.size(), 2u);
  EXPECT_NE(nth<wire::NewTemplate>(small->inbox).template_id, nth<wire::NewTemplate>(large->inbox).template_id);
  EXPECT_EQ(nth<wire::NewTemplate>(large->inbox).template_id, nth<wire::NewTemplate>(alike->inbox).template_id);
}

TEST_F(Sv2ServerTest, NewConstraintsGiveANewPairAlsoToTheFirstClientOfItsClass) {
  const auto connection = client();
  connection->inbox.clear();
  EXPECT_TRUE(provider.take(*connection, kLarge));
  ASSERT_THAT(names(connection->inbox), ElementsAre("NewTemplate", "SetNewPrevHashTdp"));
  EXPECT_TRUE(nth<wire::NewTemplate>(connection->inbox).future_template);
  EXPECT_EQ(nth<wire::NewTemplate>(connection->inbox).template_id, nth<wire::SetNewPrevHashTdp>(connection->inbox).template_id);
}

TEST_F(Sv2ServerTest, NewConstraintsGiveANewPairAndIdsGoOnGrowing) {
  const auto connection = client();
  const auto other = client(kLarge);  // Its class has an older template than the first client knows by then.
  provider.publish();
  const auto small_id = nth<wire::NewTemplate>(connection->inbox, 1).template_id;
  provider.set(0, std::make_shared<const Template>(provider.chain.make_template(provider.now.unix_time)));
  std::uint64_t last = nth<wire::NewTemplate>(connection->inbox, 2).template_id;
  EXPECT_GT(last, small_id);
  for (const auto& constraints : {kLarge, kSmall, kLarge}) {
    connection->inbox.clear();
    EXPECT_TRUE(provider.take(*connection, constraints));
    ASSERT_THAT(names(connection->inbox), ElementsAre("NewTemplate", "SetNewPrevHashTdp"));
    const auto id = nth<wire::NewTemplate>(connection->inbox).template_id;
    EXPECT_GT(id, last);
    EXPECT_EQ(nth<wire::SetNewPrevHashTdp>(connection->inbox).template_id, id);
    last = id;
    // The template is found by whichever of its ids.
    EXPECT_TRUE(provider.take(*connection, wire::RequestTransactionData{id}));
  }
  EXPECT_EQ(provider.fetched.size(), 3u);
}

TEST_F(Sv2ServerTest, AClassThatIsLeftIsGoneAndItsTemplatesAreKnownForAWhile) {
  const auto connection = client(kLarge);
  const auto id = nth<wire::NewTemplate>(connection->inbox).template_id;
  EXPECT_TRUE(provider.take(*connection, kSmall));
  EXPECT_EQ(provider.classes.size(), 1u);
  EXPECT_TRUE(provider.take(*connection, wire::RequestTransactionData{id}));
  EXPECT_EQ(provider.fetched.size(), 1u);
  provider.answer();
  pass(10s);
  EXPECT_TRUE(provider.take(*connection, wire::RequestTransactionData{id}));
  EXPECT_EQ(error_code(*connection), "stale-template-id");
}

TEST_F(Sv2ServerTest, AnswersForAClientThatIsGoneLeaveItsClass) {
  std::uint64_t number = 0;
  {
    const auto connection = client(kLarge);
    number = connection->session.number();
    EXPECT_EQ(provider.classes.size(), 2u);
  }
  EXPECT_EQ(provider.classes.size(), 1u);
  EXPECT_EQ(provider.shard.clients(), 0u);
  provider.shard.on_class(number, 1, provider.classes.join({1'000, 100})->id);
  EXPECT_EQ(provider.classes.size(), 1u);
}

TEST_F(Sv2ServerTest, TransactionDataOfATemplateIsFetchedOnceForAllWhoAsk) {
  for (std::uint32_t n = 0; n < 3; ++n) ASSERT_TRUE(provider.chain.add_transaction(test::numbered_transaction(n), 100));
  provider.publish();
  const auto first = client();
  const auto second = client();
  const auto id = nth<wire::NewTemplate>(first->inbox).template_id;
  EXPECT_TRUE(provider.take(*first, wire::RequestTransactionData{id}));
  EXPECT_TRUE(provider.take(*second, wire::RequestTransactionData{id}));
  EXPECT_FALSE(first->session.settled());
  ASSERT_EQ(provider.fetched.size(), 1u);
  provider.answer();
  for (const auto* one : {first.get(), second.get()}) {
    EXPECT_TRUE(one->session.settled());
    EXPECT_EQ(one->settled, 1);
    const auto answer = nth<wire::RequestTransactionDataSuccess>(one->inbox);
    EXPECT_EQ(answer.template_id, id);
    EXPECT_EQ(answer.excess_data.size(), 32u);
    ASSERT_EQ(answer.transaction_list.size(), 3u);
    std::uint32_t n = 0;
    for (const wire::B0_16M transaction : answer.transaction_list)
      EXPECT_TRUE(std::ranges::equal(transaction, test::numbered_transaction(n++)));
  }
  EXPECT_EQ(provider.shard.counters().transactions_sent, 2u);
}

TEST_F(Sv2ServerTest, ErrorsOfTransactionDataHaveTheirNames) {
  const auto connection = client();
  const auto id = nth<wire::NewTemplate>(connection->inbox).template_id;
  const auto code_for = [&](std::uint64_t asked) {
    connection->inbox.clear();
    EXPECT_TRUE(provider.take(*connection, wire::RequestTransactionData{asked}));
    return connection->inbox.empty() ? "" : error_code(*connection);
  };
  EXPECT_EQ(code_for(0), "template-id-not-found");
  EXPECT_EQ(code_for(id + 1'000), "template-id-not-found");
  EXPECT_EQ(code_for(~0ull), "template-id-not-found");
  // Ten seconds beyond its tip it is still there, later it is stale.
  provider.mine();
  pass(9s);
  EXPECT_EQ(code_for(id), "");
  provider.answer();
  EXPECT_THAT(names(connection->inbox), ElementsAre("RequestTransactionData.Success"));
  pass(1s);
  EXPECT_EQ(code_for(id), "stale-template-id");
  // What the source says meanwhile.
  for (const auto& [why, name] : {std::pair{Errc::kStaleTemplate, "stale-template-id"},
                                  {Errc::kUnknownTemplate, "template-id-not-found"},
                                  {Errc::kTimedOut, "transaction-data-not-available"}}) {
    const auto newest = provider.last_id;
    EXPECT_EQ(code_for(newest), "");
    ASSERT_EQ(provider.fetched.size(), 1u);
    provider.fetched.clear();
    provider.shard.on_transactions(newest, fail(why, ""));
    EXPECT_EQ(error_code(*connection), name);
    EXPECT_TRUE(connection->session.settled());
  }
}

TEST_F(Sv2ServerTest, TenThousandOldTemplatesAskedForCostTenThousandShortAnswers) {
  const auto connection = client();
  for (int i = 0; i < 300; ++i) provider.mine();
  pass(11s);
  connection->inbox.clear();
  const auto newest = provider.last_id;
  for (std::uint64_t i = 0; i < 10'000; ++i)
    ASSERT_TRUE(provider.take(*connection, wire::RequestTransactionData{newest - 1 - i % 20'000}));
  EXPECT_TRUE(provider.fetched.empty());
  EXPECT_EQ(provider.shard.counters().transactions_refused, 10'000u);
  EXPECT_EQ(provider.shard.kept(), 1u);
  EXPECT_LT(connection->inbox.size_bytes(), 400'000u);
}

TEST_F(Sv2ServerTest, TransactionDataIsGivenSoOftenAndNoOftener) {
  const auto connection = client();
  const auto id = nth<wire::NewTemplate>(connection->inbox).template_id;
  const Sv2ServerPolicy policy;
  for (std::size_t i = 0; i < policy.max_requests; ++i) provider.take(*connection, wire::RequestTransactionData{id});
  EXPECT_EQ(provider.shard.counters().transactions_refused, 0u);
  provider.take(*connection, wire::RequestTransactionData{id});
  EXPECT_EQ(error_code(*connection), "too-many-requests");  // So many wait for their answer.
  provider.answer();
  connection->inbox.clear();
  for (std::size_t i = policy.max_requests; i < policy.request_burst; ++i) {
    provider.take(*connection, wire::RequestTransactionData{id});
    provider.answer();
  }
  EXPECT_EQ(provider.shard.counters().transactions_sent, policy.request_burst);
  provider.take(*connection, wire::RequestTransactionData{id});
  EXPECT_EQ(error_code(*connection), "too-many-requests");  // So many were given.
  pass(1s);
  provider.take(*connection, wire::RequestTransactionData{id});
  provider.answer();
  EXPECT_EQ(provider.shard.counters().transactions_sent, policy.request_burst + 1);
}

TEST_F(Sv2ServerTest, WhatIsKeptIsBounded) {
  const auto connection = client();
  const Sv2ServerPolicy policy;
  for (std::size_t i = 0; i < 3 * policy.max_kept; ++i) provider.publish();
  EXPECT_EQ(provider.shard.kept(), policy.max_kept);
  for (std::size_t i = 0; i < 10 * policy.max_kept; ++i) provider.mine();  // In no time.
  EXPECT_LE(provider.shard.kept(), 4 * policy.max_kept);
  pass(10s);
  EXPECT_EQ(provider.shard.kept(), 1u);
}

class Sv2ServerSolutions : public Sv2ServerTest {
 protected:
  wire::SubmitSolution message(std::uint64_t id, const BlockSolution& solution) {
    coinbase_ = solution.coinbase;
    return {.template_id = id,
            .version = solution.version,
            .header_timestamp = solution.ntime,
            .header_nonce = solution.nonce,
            .coinbase_tx = coinbase_};
  }
  Template newest() { return provider.chain.make_template(provider.now.unix_time); }

 private:
  std::vector<std::uint8_t> coinbase_;
};

TEST_F(Sv2ServerSolutions, ASolutionIsHandedOnAtOnceAndMakesTheBlock) {
  const auto connection = client();
  const auto id = nth<wire::NewTemplate>(connection->inbox).template_id;
  const auto before = provider.chain.height();
  EXPECT_TRUE(provider.take(*connection, message(id, test::solution(newest()))));
  EXPECT_THAT(provider.verdicts, ElementsAre(BlockVerdict::kAccepted));
  EXPECT_EQ(provider.chain.height(), before + 1);
  EXPECT_EQ(provider.shard.counters().solutions, 1u);
  EXPECT_EQ(connection->session.good_shares(), 1u) << "its place is not a stranger's";
}

TEST_F(Sv2ServerSolutions, ASolutionSentAgainOnAnotherConnectionFindsItsTemplate) {
  const Template work = newest();
  auto connection = client();
  const auto id = nth<wire::NewTemplate>(connection->inbox).template_id;
  connection.reset();
  const auto later = provider.connect();
  EXPECT_TRUE(provider.take(*later, message(id, test::solution(work))));
  EXPECT_THAT(provider.verdicts, ElementsAre(BlockVerdict::kAccepted));
}

TEST_F(Sv2ServerSolutions, ASolutionOfAStaleTipGoesToTheNodeForTenSeconds) {
  const Template work = newest();
  const auto connection = client();
  const auto id = nth<wire::NewTemplate>(connection->inbox).template_id;
  provider.mine();
  EXPECT_TRUE(provider.take(*connection, message(id, test::solution(work))));
  EXPECT_EQ(provider.solutions.size(), 1u);
  pass(10s);
  EXPECT_TRUE(provider.take(*connection, message(id, test::solution(work))));
  EXPECT_EQ(provider.solutions.size(), 1u);
  EXPECT_THAT(provider.refusals, ElementsAre("stale-template-id"));
}

TEST_F(Sv2ServerSolutions, WhatSolvesNothingDoesNotReachTheNodeAndTooManyEndTheSession) {
  const auto connection = client();
  const auto id = nth<wire::NewTemplate>(connection->inbox).template_id;
  const BlockSolution good = test::solution(newest());
  const auto send = [&](std::uint64_t to, const std::function<void(BlockSolution&)>& spoil) {
    BlockSolution bad = good;
    spoil(bad);
    return provider.take(*connection, message(to, bad));
  };
  EXPECT_TRUE(send(id + 99, [](auto&) {}));
  EXPECT_TRUE(send(id, [](auto& s) { s.version ^= 1; }));
  EXPECT_TRUE(send(id, [](auto& s) { s.ntime = 1; }));
  EXPECT_TRUE(send(id, [](auto& s) { s.coinbase.pop_back(); }));
  EXPECT_TRUE(send(id, [](auto& s) { s.coinbase.clear(); }));
  const auto unproved = [&](auto& s) {
    const Template work = newest();
    while (bitcoin::meets_target(bitcoin::solved_header(work, s)->hash(), *bitcoin::target_from_compact(work.nbits))) ++s.nonce;
  };
  EXPECT_TRUE(send(id, unproved));
  EXPECT_THAT(provider.refusals, ElementsAre("template-id-not-found", "the version has other bits changed than BIP323's",
                                             "the time is before the template's", "the coinbase is no transaction",
                                             "the coinbase is no transaction", "its hash does not meet the target"));
  for (std::uint32_t i = 6; i < Sv2ServerPolicy().fault_burst; ++i) EXPECT_TRUE(send(id, unproved));
  EXPECT_FALSE(send(id, unproved));
  ASSERT_TRUE(connection->ended);
  EXPECT_TRUE(connection->ended->is(session::Errc::kProtocol));
  EXPECT_THAT(provider.verdicts, IsEmpty());
  // A version that only rolls BIP323's bits is none of these.
  const auto another = client();
  BlockSolution rolled = good;
  rolled.version ^= 0x1fffffe0;
  const Template work = newest();
  while (!bitcoin::meets_target(bitcoin::solved_header(work, rolled)->hash(), *bitcoin::target_from_compact(work.nbits)))
    ++rolled.nonce;
  EXPECT_TRUE(provider.take(*another, message(id, rolled)));
  EXPECT_EQ(provider.solutions.size(), 1u);
}

TEST_F(Sv2ServerTest, ACoinbaseThatNoBlockHasRoomForEndsTheSession) {
  const auto connection = provider.connect();
  EXPECT_TRUE(provider.take(*connection, wire::CoinbaseOutputConstraints{0xffffffff, 0}));
  ASSERT_TRUE(connection->ended);
  EXPECT_TRUE(connection->ended->is(session::Errc::kRefused));
  EXPECT_TRUE(connection->inbox.empty());
}

TEST_F(Sv2ServerTest, ConstraintsThatChangeAllTheTimeEndTheSession) {
  const auto connection = provider.connect();
  const std::uint32_t burst = Sv2ServerPolicy().constraints_burst;
  for (std::uint32_t i = 0; i < burst; ++i) ASSERT_TRUE(provider.take(*connection, i % 2 == 0 ? kSmall : kLarge));
  pass(1s);
  EXPECT_TRUE(provider.take(*connection, kSmall));
  EXPECT_FALSE(provider.take(*connection, kLarge));
  ASSERT_TRUE(connection->ended);
  EXPECT_TRUE(connection->ended->is(session::Errc::kOverloaded));
}

TEST_F(Sv2ServerTest, AClientWithoutConstraintsIsIdle) {
  const auto connection = provider.connect();
  wire::FrameBuffer out;
  pass(9s);
  EXPECT_TRUE(connection->session.on_tick(provider.now, out));
  pass(1s);
  const auto ticked = connection->session.on_tick(provider.now, out);
  ASSERT_FALSE(ticked);
  EXPECT_TRUE(ticked.error().is(session::Errc::kIdle));
  EXPECT_TRUE(provider.take(*connection, kSmall));
  EXPECT_TRUE(connection->session.on_tick(provider.now, out));
}

TEST_F(Sv2ServerTest, AServersMessageFromAClientEndsTheSessionAndAnUnknownOneDoesNot) {
  const auto connection = client();
  wire::FrameBuffer unknown;
  ASSERT_TRUE(unknown.push_raw({.message_type = 0x7e}, Bytes()));
  ASSERT_TRUE(unknown.push_raw({.extension_type = 0x1234, .message_type = 0x71}, Bytes()));
  EXPECT_TRUE(provider.take(*connection, unknown));
  EXPECT_FALSE(provider.take(*connection, wire::NewTemplate{}));
  ASSERT_TRUE(connection->ended);
  EXPECT_TRUE(connection->ended->is(session::Errc::kProtocol));
  const auto another = client();
  wire::FrameBuffer cut;
  ASSERT_TRUE(cut.push_raw({.message_type = wire::SubmitSolution::kType}, std::vector<std::uint8_t>(10)));
  EXPECT_FALSE(provider.take(*another, cut));
  ASSERT_TRUE(another->ended);
  EXPECT_TRUE(another->ended->is(session::Errc::kProtocol));
}

TEST(Sv2Server, IdsOfALaterProcessAreLarger) {
  const UnixTime start{std::chrono::seconds(1'800'000'000)};
  // A million templates in the second before the restart.
  EXPECT_GT(first_template_id(start + 1s), first_template_id(start) + 1'000'000);
}

}  // namespace
}  // namespace adit::templates
