#include "template/sv2_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ledger/error.h"
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

/// What a client told its driver.
class Told final : public Sv2ClientEvents {
 public:
  TemplateId next_template_id() override { return ++last_id; }
  void on_template(TemplatePtr made, bool new_tip) override { templates.emplace_back(std::move(made), new_tip); }
  void on_block_result(const BlockResult& result) override {
    results.push_back(result);
    templates_before_result = templates.size();
  }
  void on_solution(const Sv2Solution& solution) override { solutions.push_back(solution); }

  TemplateId last_id = 100;  ///< Not the provider's.
  std::vector<std::pair<TemplatePtr, bool>> templates;
  std::vector<BlockResult> results;
  std::vector<Sv2Solution> solutions;
  std::size_t templates_before_result = 0;
};

class Sv2ClientTest : public testing::Test {
 protected:
  Result<void> hear(const wire::FrameBuffer& frames) {
    const std::vector<wire::FrameView> views(frames.begin(), frames.end());
    return client.on_frames(views, now(), out);
  }
  template <class... Messages>
  Result<void> hear_messages(const Messages&... messages) {
    wire::FrameBuffer frames;
    EXPECT_TRUE((frames.push(messages) && ...));
    return hear(frames);
  }
  void pass(Duration time) { since_ += time; }
  Now now() const { return test::at(since_); }

  void begin(const std::string& provider = "first") {
    out.clear();
    client.begin(provider, now(), out);
  }
  wire::NewTemplate made(std::uint64_t id, bool future) const {
    return {.template_id = id, .future_template = future, .version = 0x20000000, .coinbase_prefix = prefix_};
  }
  wire::SetNewPrevHashTdp tip(std::uint64_t id, std::uint8_t hash = 1) const {
    return {.template_id = id, .prev_hash = {hash}, .header_timestamp = to_u32(now().unix_time), .n_bits = 0x207fffff};
  }
  void expect_broken(const Result<void>& heard, std::string_view what) {
    ASSERT_FALSE(heard);
    EXPECT_TRUE(heard.error().is(session::Errc::kProtocol)) << heard.error().message();
    EXPECT_THAT(heard.error().message(), testing::HasSubstr(what));
  }

  Told told;
  Sv2Client client{{}, told};
  wire::FrameBuffer out;

 private:
  Duration since_{};
  std::vector<std::uint8_t> prefix_{0x02, 0x34, 0x12};
};

TEST_F(Sv2ClientTest, ASessionBeginsWithTheConstraints) {
  client.constrain({34, 2}, now(), out);
  EXPECT_TRUE(out.empty());
  begin();
  ASSERT_THAT(names(out), ElementsAre("CoinbaseOutputConstraints"));
  EXPECT_EQ(nth<wire::CoinbaseOutputConstraints>(out), (wire::CoinbaseOutputConstraints{34, 8}));
  out.clear();
  client.constrain({34, 2}, now(), out);
  EXPECT_TRUE(out.empty());  // Nothing new.
  client.constrain({43, 0}, now(), out);
  EXPECT_EQ(nth<wire::CoinbaseOutputConstraints>(out), (wire::CoinbaseOutputConstraints{43, 0}));
}

TEST_F(Sv2ClientTest, AFutureTemplateIsToldWhenItsPrevHashComes) {
  begin();
  ASSERT_TRUE(hear_messages(made(5, true), made(6, true)));
  EXPECT_THAT(told.templates, IsEmpty());
  EXPECT_FALSE(client.has_template());
  ASSERT_TRUE(hear_messages(tip(5)));
  ASSERT_EQ(told.templates.size(), 1u);
  const auto& [work, new_tip] = told.templates[0];
  EXPECT_TRUE(new_tip);
  EXPECT_EQ(work->id, 101u);  // Ours, not the provider's.
  EXPECT_EQ(work->height, 0x1234u);
  EXPECT_EQ(work->prev_hash, Hash256{1});
  EXPECT_TRUE(client.has_template());
  // The other future one was for this tip, or for none.
  expect_broken(hear_messages(tip(6)), "template 6 is not one of the future templates");
}

TEST_F(Sv2ClientTest, AnUpdateIsWorkOnTheSameTipFromItsTimestampOn) {
  begin();
  ASSERT_TRUE(hear_messages(made(1, true), tip(1)));
  const std::uint32_t timestamp = to_u32(now().unix_time);
  pass(30s);
  ASSERT_TRUE(hear_messages(made(2, false)));
  ASSERT_EQ(told.templates.size(), 2u);
  const auto& [work, new_tip] = told.templates[1];
  EXPECT_FALSE(new_tip);
  EXPECT_EQ(work->prev_hash, Hash256{1});
  EXPECT_EQ(work->min_ntime, timestamp);
  EXPECT_EQ(work->current_time, timestamp) << "as SRI";
}

TEST_F(Sv2ClientTest, AWrongClockOfTheProvidersDoesNotMakeWorkForTomorrow) {
  begin();
  auto future = tip(1);
  future.header_timestamp += 86'400;
  ASSERT_TRUE(hear_messages(made(1, true), future));
  pass(5s);
  ASSERT_TRUE(hear_messages(made(2, false)));
  EXPECT_EQ(told.templates[0].first->min_ntime, to_u32(now().unix_time) - 5);
  EXPECT_EQ(told.templates[1].first->min_ntime, to_u32(now().unix_time) - 5);
  EXPECT_EQ(told.templates[1].first->current_time, to_u32(now().unix_time) - 5);
}

TEST_F(Sv2ClientTest, ThePairAfterNewConstraintsIsNoNewTip) {
  begin();
  ASSERT_TRUE(hear_messages(made(1, true), tip(1), made(2, true), tip(2)));
  ASSERT_EQ(told.templates.size(), 2u);
  EXPECT_FALSE(told.templates[1].second);
  // Nor is that of the next session, if the chain did not move.
  client.end(Error(session::Errc::kClosed, ""));
  begin();
  ASSERT_TRUE(hear_messages(made(1, true), tip(1), made(2, true), tip(2, 7)));
  EXPECT_FALSE(told.templates[2].second);
  EXPECT_TRUE(told.templates[3].second);
}

TEST_F(Sv2ClientTest, BitsThatChangeWithTheSamePrevHashAreANewTip) {
  begin();
  auto easier = tip(2);
  easier.n_bits = 0x1d00ffff;
  ASSERT_TRUE(hear_messages(made(1, true), tip(1), made(2, true), easier));
  EXPECT_TRUE(told.templates[1].second);
}

TEST_F(Sv2ClientTest, TemplatesOutOfOrderEndTheSession) {
  for (const std::uint64_t second : {5u, 4u, 0u}) {
    begin();
    expect_broken(hear_messages(made(5, true), made(second, true)), "template ids must grow");
  }
  begin();  // A new session begins anew.
  EXPECT_TRUE(hear_messages(made(1, true)));
}

TEST_F(Sv2ClientTest, APrevHashForAnUnknownTemplateEndsTheSession) {
  begin();
  expect_broken(hear_messages(tip(1)), "template 1 is not one of the future templates");
  begin();
  ASSERT_TRUE(hear_messages(made(1, true), tip(1), made(2, false)));
  expect_broken(hear_messages(tip(2, 2)), "template 2 is not one");
  EXPECT_EQ(told.templates.size(), 2u);
}

TEST_F(Sv2ClientTest, AnUpdateBeforeAnyTipEndsTheSession) {
  begin();
  expect_broken(hear_messages(made(1, false)), "no SetNewPrevHash came before it");
  // The tip of an earlier session does not count.
  begin();
  ASSERT_TRUE(hear_messages(made(1, true), tip(1)));
  client.end(Error(session::Errc::kClosed, ""));
  begin();
  expect_broken(hear_messages(made(2, false)), "no SetNewPrevHash came before it");
}

TEST_F(Sv2ClientTest, ACoinbaseThatCannotFitEndsTheSession) {
  begin();
  client.constrain({10'000, 0}, now(), out);
  std::vector<std::uint8_t> outputs;
  bitcoin::append_output(outputs, {.value_sat = 0, .script = std::vector<std::uint8_t>(56'000, 0x6a)});
  auto large = made(1, true);
  large.coinbase_tx_outputs = outputs;
  large.coinbase_tx_outputs_count = 1;
  const auto heard = hear_messages(large);
  ASSERT_FALSE(heard);
  EXPECT_TRUE(heard.error().is(Errc::kNonsense));
  auto crooked = made(2, true);
  crooked.coinbase_tx_outputs = outputs;
  crooked.coinbase_tx_outputs_count = 3;
  EXPECT_FALSE(hear_messages(crooked));
  EXPECT_THAT(told.templates, IsEmpty());
}

TEST_F(Sv2ClientTest, FutureTemplatesAreBounded) {
  begin();
  for (std::uint64_t id = 1; id <= 10'000; ++id) ASSERT_TRUE(hear_messages(made(id, true)));
  const std::uint64_t oldest = 10'001 - Sv2ClientPolicy().max_futures;
  ASSERT_TRUE(hear_messages(tip(oldest)));
  begin();
  for (std::uint64_t id = 1; id <= 10'000; ++id) ASSERT_TRUE(hear_messages(made(id, true)));
  expect_broken(hear_messages(tip(oldest - 1)), "is not one of the future templates");
}

TEST_F(Sv2ClientTest, AProviderThatNeverGivesATemplateIsLeft) {
  EXPECT_TRUE(client.on_tick(now()));
  begin();
  pass(29s);
  EXPECT_TRUE(client.on_tick(now()));
  pass(1s);
  const auto ticked = client.on_tick(now());
  ASSERT_FALSE(ticked);
  EXPECT_TRUE(ticked.error().is(session::Errc::kTimedOut));
  // One that has given a template may be silent: blocks are rare.
  begin();
  ASSERT_TRUE(hear_messages(made(1, true), tip(1)));
  pass(1h);
  EXPECT_TRUE(client.on_tick(now()));
}

TEST_F(Sv2ClientTest, AClientsMessageFromAProviderEndsTheSessionAndAnUnknownOneDoesNot) {
  begin();
  wire::FrameBuffer unknown;
  ASSERT_TRUE(unknown.push_raw({.message_type = 0x7e}, Bytes()));
  ASSERT_TRUE(unknown.push_raw({.extension_type = 0x1234, .message_type = 0x71}, Bytes()));
  EXPECT_TRUE(hear(unknown));
  expect_broken(hear_messages(wire::SubmitSolution{}), "not a message that a template provider sends");
  for (const std::uint8_t type : {wire::NewTemplate::kType, wire::SetNewPrevHashTdp::kType,
                                  wire::RequestTransactionDataSuccess::kType, wire::RequestTransactionDataError::kType}) {
    wire::FrameBuffer cut;
    ASSERT_TRUE(cut.push_raw({.message_type = type}, std::vector<std::uint8_t>(7)));
    expect_broken(hear(cut), "cannot be read");
  }
}

// ---- Engine against engine

class Sv2Engines : public testing::Test {
 protected:
  /// The client has a session with the provider, and what both say arrives.
  void connect(const std::string& name = "first") {
    connection = provider.connect();
    out.clear();
    client.begin(name, provider.now, out);
    exchange();
  }
  /// The connection is lost with whatever is under way.
  void lose() {
    connection.reset();
    out.clear();
    client.end(Error(session::Errc::kClosed, "lost"));
  }
  void exchange() {
    while (connection && (!out.empty() || !connection->inbox.empty())) {
      const wire::FrameBuffer to_server = std::exchange(out, {});
      ASSERT_TRUE(provider.take(*connection, to_server)) << connection->ended->message();
      const wire::FrameBuffer to_client = std::exchange(connection->inbox, {});
      const std::vector<wire::FrameView> views(to_client.begin(), to_client.end());
      const auto heard = client.on_frames(views, provider.now, out);
      ASSERT_TRUE(heard) << heard.error().message();
    }
  }
  void pass(Duration time) {
    since_ += time;
    provider.now = test::at(since_);
    provider.shard.on_tick(provider.now);
    EXPECT_TRUE(client.on_tick(provider.now));
  }
  TemplatePtr newest() const { return told.templates.back().first; }
  Result<> submit(const TemplatePtr& work, std::uint8_t extranonce = 1) {
    return client.submit(work->id, test::solution(*work, {0x51}, extranonce), provider.now, out);
  }
  /// Asks for the newest template's transactions; the answer lands in `answers`.
  void ask(TemplateId id) {
    client.transactions(id, provider.now, out,
                        [this](Result<TemplateSource::Transactions> found) { answers.push_back(found); });
  }

  Provider provider;
  std::unique_ptr<Provider::Connection> connection;
  Told told;
  Sv2Client client{{}, told};
  wire::FrameBuffer out;
  std::vector<Result<TemplateSource::Transactions>> answers;

 private:
  Duration since_{};
};

TEST_F(Sv2Engines, WorkComesAndABlockOfItIsTheNextTip) {
  ASSERT_TRUE(provider.chain.add_transaction(test::numbered_transaction(1), 700));
  provider.publish();
  connect();
  ASSERT_EQ(told.templates.size(), 1u);
  EXPECT_EQ(newest()->prev_hash, provider.chain.tip());
  const auto height = provider.chain.height();
  ASSERT_TRUE(submit(newest()));
  exchange();
  EXPECT_THAT(provider.verdicts, ElementsAre(BlockVerdict::kAccepted));
  EXPECT_EQ(provider.chain.height(), height + 1);
  EXPECT_EQ(client.unsettled(), 1u);
  provider.publish();
  exchange();
  ASSERT_EQ(told.templates.size(), 2u);
  EXPECT_TRUE(told.templates[1].second);
  ASSERT_EQ(told.results.size(), 1u);
  EXPECT_EQ(told.results[0].verdict, BlockVerdict::kAccepted);
  EXPECT_EQ(told.results[0].hash, provider.chain.tip());
  EXPECT_EQ(told.results[0].height, height + 1);
  EXPECT_EQ(told.templates_before_result, 2u);  // The work on the new tip came first.
  EXPECT_EQ(client.unsettled(), 0u);
}

TEST_F(Sv2Engines, ASolutionOfAnOlderTemplateOfTheTipFindsItsOwn) {
  connect();
  const TemplatePtr older = newest();
  ASSERT_TRUE(provider.chain.add_transaction(test::numbered_transaction(2), 700));
  provider.publish();
  exchange();
  ASSERT_NE(newest()->merkle_path, older->merkle_path);
  ASSERT_TRUE(submit(older));
  exchange();
  EXPECT_THAT(provider.verdicts, ElementsAre(BlockVerdict::kAccepted));
}

TEST_F(Sv2Engines, ASolutionThatWasLostWithItsConnectionIsSentAgain) {
  connect();
  ASSERT_TRUE(submit(newest()));
  lose();
  EXPECT_THAT(provider.verdicts, IsEmpty());
  connect();
  EXPECT_THAT(provider.verdicts, ElementsAre(BlockVerdict::kAccepted));
  provider.publish();
  exchange();
  EXPECT_EQ(told.results.size(), 1u);
  lose();
  connect();
  EXPECT_EQ(provider.solutions.size(), 1u);  // Its effect was seen: it is not sent again.
}

TEST_F(Sv2Engines, ASolutionWhoseEffectWasNotSeenIsSentAgainThoughItArrived) {
  connect();
  ASSERT_TRUE(submit(newest()));
  exchange();
  lose();
  connect();
  EXPECT_THAT(provider.verdicts, ElementsAre(BlockVerdict::kAccepted, BlockVerdict::kDuplicate));
}

TEST_F(Sv2Engines, ASolutionFoundWhileTheProviderIsAwayIsSentWhenItIsBack) {
  connect();
  const TemplatePtr work = newest();
  lose();
  ASSERT_TRUE(submit(work));
  ASSERT_TRUE(submit(work));  // The same block: nothing new.
  EXPECT_EQ(client.unsettled(), 1u);
  EXPECT_TRUE(out.empty());
  // Another provider knows nothing of that template.
  connect("second");
  EXPECT_THAT(provider.solutions, IsEmpty());
  lose();
  connect("first");
  EXPECT_THAT(provider.verdicts, ElementsAre(BlockVerdict::kAccepted));
}

TEST_F(Sv2Engines, OfManySolutionsFoundMeanwhileTheNewestAreSentAgain) {
  connect();
  const TemplatePtr work = newest();
  lose();
  for (std::uint8_t i = 1; i <= 40; ++i) ASSERT_TRUE(submit(work, i));
  EXPECT_EQ(client.unsettled(), 40u);
  wire::FrameBuffer sent;
  client.begin("first", provider.now, sent);
  std::vector<std::vector<std::uint8_t>> coinbases;
  for (const wire::FrameView& frame : sent) {
    if (const auto solution = frame.as<wire::SubmitSolution>())
      coinbases.emplace_back(solution->coinbase_tx.begin(), solution->coinbase_tx.end());
  }
  ASSERT_EQ(coinbases.size(), Sv2ClientPolicy().max_sent_again);
  EXPECT_THAT(coinbases.front(), testing::Contains(40)) << "the extranonce of the newest";
  EXPECT_THAT(coinbases.back(), testing::AllOf(testing::Contains(33), testing::Not(testing::Contains(40))));
  EXPECT_LT(coinbases.size(), Sv2ServerPolicy().fault_burst) << "or a provider of ours would end each session for it";
}

TEST_F(Sv2Engines, ASolutionThatAnEarlierRunLeftIsSentUntilItsEffectIsSeen) {
  connect();
  ASSERT_TRUE(submit(newest()));
  ASSERT_EQ(told.solutions.size(), 1u);
  const Sv2Solution kept = told.solutions[0];
  EXPECT_EQ(kept.provider, "first");
  EXPECT_EQ(kept.height, provider.chain.height() + 1);
  lose();  // Before it went out, and with the whole process.
  Told later;
  Sv2Client second({}, later);
  second.restore(kept, provider.now, out);
  EXPECT_TRUE(out.empty());
  EXPECT_EQ(second.unsettled(), 1u);
  second.restore(kept, provider.now, out);
  EXPECT_EQ(second.unsettled(), 1u) << "it is there already";
  connection = provider.connect();
  second.begin("first", provider.now, out);
  ASSERT_TRUE(provider.take(*connection, std::exchange(out, {})));
  EXPECT_THAT(provider.verdicts, ElementsAre(BlockVerdict::kAccepted));
  provider.publish();
  const std::vector<wire::FrameView> views(connection->inbox.begin(), connection->inbox.end());
  ASSERT_TRUE(second.on_frames(views, provider.now, out));
  ASSERT_EQ(later.results.size(), 1u);
  EXPECT_EQ(later.results[0].verdict, BlockVerdict::kAccepted);
  EXPECT_EQ(later.results[0].hash, kept.hash);
  EXPECT_EQ(second.unsettled(), 0u);
  EXPECT_TRUE(later.solutions.empty()) << "it is kept already";
}

TEST_F(Sv2Engines, ASolutionOfAnEarlierRunIsAsOldAsItIs) {
  connect();
  ASSERT_TRUE(submit(newest()));
  const Sv2Solution kept = told.solutions.at(0);
  Told later;
  Sv2Client second({}, later);
  pass(59min);
  second.restore(kept, provider.now, out);
  ASSERT_EQ(second.unsettled(), 1u);
  pass(1min);
  EXPECT_TRUE(second.on_tick(provider.now));
  ASSERT_EQ(later.results.size(), 1u);
  EXPECT_EQ(later.results[0].verdict, BlockVerdict::kRejected);
  second.restore(kept, provider.now, out);
  EXPECT_EQ(second.unsettled(), 0u) << "given up";
  // A clock that was set back meanwhile.
  Sv2Solution ahead = kept;
  ahead.found = provider.now.unix_time + 24h;
  second.restore(ahead, provider.now, out);
  EXPECT_EQ(second.unsettled(), 1u);
  pass(60min);
  EXPECT_TRUE(second.on_tick(provider.now));
  EXPECT_EQ(second.unsettled(), 0u);
}

TEST_F(Sv2Engines, ASolutionGoesToNoOtherProviderThanItsTemplates) {
  connect();
  const TemplatePtr work = newest();
  lose();
  connect("second");
  ASSERT_TRUE(submit(work));
  EXPECT_TRUE(out.empty());
  lose();
  connect("first");
  EXPECT_THAT(provider.verdicts, ElementsAre(BlockVerdict::kAccepted));
}

TEST_F(Sv2Engines, ABlockThatNeverWasTheTipIsStaleWhenTheChainIsTwoBlocksBeyond) {
  connect();
  const TemplatePtr work = newest();
  provider.mine();
  ASSERT_TRUE(submit(work));
  exchange();
  EXPECT_THAT(told.results, IsEmpty());
  provider.mine();
  exchange();
  EXPECT_THAT(told.results, IsEmpty());
  provider.mine();
  exchange();
  ASSERT_EQ(told.results.size(), 1u);
  EXPECT_EQ(told.results[0].verdict, BlockVerdict::kStale);
  EXPECT_EQ(told.results[0].node, "first");
}

TEST_F(Sv2Engines, ASolutionWithoutEffectIsGivenUpAfterAnHour) {
  connect();
  ASSERT_TRUE(submit(newest()));
  lose();
  pass(59min);
  EXPECT_THAT(told.results, IsEmpty());
  pass(1min);
  ASSERT_EQ(told.results.size(), 1u);
  EXPECT_EQ(told.results[0].verdict, BlockVerdict::kRejected);
  connect();
  EXPECT_THAT(provider.solutions, IsEmpty());
}

TEST_F(Sv2Engines, SolutionsThatWaitAreBounded) {
  connect();
  const TemplatePtr work = newest();
  lose();
  for (std::size_t i = 0; i < Sv2ClientPolicy().max_solutions; ++i) ASSERT_TRUE(submit(work, static_cast<std::uint8_t>(i + 1)));
  const auto full = submit(work, 0xff);
  ASSERT_FALSE(full);
  EXPECT_TRUE(full.error().is(ledger::Errc::kFull));
}

TEST_F(Sv2Engines, ASolutionOfAnUnknownTemplateOrWithABrokenCoinbaseIsRefusedHere) {
  connect();
  const auto good = test::solution(*newest());
  const auto unknown = client.submit(newest()->id + 1, good, provider.now, out);
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error().is(Errc::kUnknownTemplate));
  auto broken = good;
  broken.coinbase.pop_back();
  EXPECT_FALSE(client.submit(newest()->id, broken, provider.now, out));
  EXPECT_TRUE(out.empty());
}

TEST_F(Sv2Engines, TransactionsComeOnRequestAndAreTheTemplates) {
  for (std::uint32_t n = 0; n < 4; ++n) ASSERT_TRUE(provider.chain.add_transaction(test::numbered_transaction(n), 100));
  provider.publish();
  connect();
  ask(newest()->id);
  ask(newest()->id);
  EXPECT_THAT(names(out), ElementsAre("RequestTransactionData"));  // One request for both.
  exchange();
  EXPECT_THAT(answers, IsEmpty());
  provider.answer();
  exchange();
  ASSERT_EQ(answers.size(), 2u);
  for (const auto& answer : answers) {
    ASSERT_TRUE(answer) << answer.error().message();
    ASSERT_EQ((*answer)->size(), 4u);
    EXPECT_EQ((**answer)[3], test::numbered_transaction(3));
  }
}

TEST_F(Sv2Engines, TransactionsThatAreNotTheTemplatesAreRefused) {
  ASSERT_TRUE(provider.chain.add_transaction(test::numbered_transaction(1), 100));
  provider.publish();
  connect();
  const auto answer_with = [&](std::vector<std::vector<std::uint8_t>> list) {
    ask(newest()->id);
    exchange();
    ASSERT_EQ(provider.fetched.size(), 1u);
    const auto id = std::exchange(provider.fetched, {})[0]->id;
    provider.shard.on_transactions(id, std::make_shared<const std::vector<std::vector<std::uint8_t>>>(std::move(list)));
    exchange();
  };
  answer_with({test::numbered_transaction(2)});
  answer_with({});
  answer_with({test::numbered_transaction(1), test::numbered_transaction(2)});
  answer_with({{1, 2, 3}});
  answer_with({test::numbered_transaction(1)});
  ASSERT_EQ(answers.size(), 5u);
  for (int i = 0; i < 4; ++i) {
    ASSERT_FALSE(answers[i]);
    EXPECT_TRUE(answers[i].error().is(Errc::kNonsense));
  }
  EXPECT_TRUE(answers[4]);
}

TEST_F(Sv2Engines, ARequestForTransactionsThatIsNeverAnsweredEndsAtItsDeadline) {
  connect();
  const auto id = newest()->id;
  ask(id);
  exchange();
  pass(9s);
  EXPECT_THAT(answers, IsEmpty());
  pass(1s);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0].error().is(Errc::kTimedOut));
  // While that answer is owed no second one can be told from it.
  ask(id);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_TRUE(answers[1].error().is(Errc::kTimedOut));
  // It comes late, and the next request is answered.
  provider.answer();
  exchange();
  ask(id);
  exchange();
  provider.answer();
  exchange();
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_TRUE(answers[2]);
}

TEST_F(Sv2Engines, ARequestEndsWithItsSessionAndNoOtherProviderIsAsked) {
  connect();
  const auto id = newest()->id;
  ask(id);
  lose();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0].error().is(session::Errc::kClosed));
  ask(id);
  connect("second");
  ask(id);
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_TRUE(answers[1].error().is(Errc::kUnreachable));
  EXPECT_TRUE(answers[2].error().is(Errc::kUnreachable));
  lose();
  connect("first");  // The provider's ids outlive a connection.
  ask(id);
  exchange();
  provider.answer();
  exchange();
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_TRUE(answers[3]);
}

TEST_F(Sv2Engines, TheProvidersRefusalsAreNamed) {
  connect();
  const TemplatePtr old = newest();
  provider.mine();
  exchange();
  pass(10s);
  ask(old->id);
  exchange();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0].error().is(Errc::kStaleTemplate));
  ask(12345);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_TRUE(answers[1].error().is(Errc::kUnknownTemplate));
}

TEST_F(Sv2Engines, NewConstraintsChangeTheTemplatesAndNothingIsLostMeanwhile) {
  connect();
  const TemplatePtr before = newest();
  client.constrain({5'000, 10}, provider.now, out);
  exchange();
  EXPECT_EQ(provider.classes.size(), 2u);
  ASSERT_EQ(told.templates.size(), 2u);
  EXPECT_FALSE(told.templates[1].second);
  ASSERT_TRUE(submit(before));
  exchange();
  EXPECT_THAT(provider.verdicts, ElementsAre(BlockVerdict::kAccepted));
}

TEST_F(Sv2Engines, AnHourOfTipsLeavesNothingBehind) {
  connect();
  for (int i = 0; i < 600; ++i) {
    provider.mine();
    exchange();
    provider.publish();
    exchange();
    pass(6s);
    told.templates.erase(told.templates.begin(), told.templates.end() - 1);
  }
  EXPECT_LE(provider.shard.kept(), 6u);
  EXPECT_EQ(client.unsettled(), 0u);
  EXPECT_EQ(newest()->prev_hash, provider.chain.tip());
}

}  // namespace
}  // namespace adit::templates
