#include "roles/jd_client/engine.h"

#include <gtest/gtest.h>

#include "bitcoin/block.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/merkle.h"
#include "roles/jd_client/engine_testing.h"

namespace adit::jd_client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A rig whose miner mines for the first pool.
class MiningForPool : public ::testing::Test {
 protected:
  explicit MiningForPool(const EngineOptions& options = Rig::default_options()) : rig(options) {}
  void SetUp() override {
    rig.publish(1);
    rig.open_extended();
    rig.connect_pool(rig.pool);
    rig.connect_declarator();
    ASSERT_TRUE(rig.mines_for_pool());
    ASSERT_THAT(rig.errors, IsEmpty());
  }
  Rig rig;
};

TEST(JdClientEngine, MinesSoloUntilAPoolHasAcknowledgedAJob) {
  Rig rig;
  rig.publish(1);
  rig.open_extended();
  EXPECT_EQ(rig.paid(), kSoloScript);
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(rig.engine.counters().shares_solo, 1);
  rig.pool_is_slow = true;
  rig.connect_pool(rig.pool);
  EXPECT_EQ(rig.paid(), kSoloScript);
  rig.pool_is_slow = false;
  rig.pump();
  EXPECT_EQ(rig.paid(), kSoloScript) << "there is no token yet";
  rig.pool_is_slow = true;
  rig.connect_declarator();
  EXPECT_EQ(rig.declarator.declares, 1);
  EXPECT_EQ(rig.paid(), kSoloScript) << "it is declared, and not acknowledged";
  EXPECT_EQ(rig.engine.status().coinbase.at(0).script, kSoloScript);
  rig.pool_is_slow = false;
  rig.pump();
  EXPECT_TRUE(rig.mines_for_pool());
  EXPECT_EQ(rig.engine.status().coinbase.at(0).script, rig.declarator.outputs.at(0).script);
  EXPECT_GT(rig.engine.status().coinbase.at(0).value_sat, 0u);
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(rig.engine.counters().shares_accepted, 1);
  EXPECT_EQ(rig.pool.shard.counters().shares_accepted, 1);
  EXPECT_THAT(rig.errors, IsEmpty());
}

TEST(JdClientEngine, MinesSoloWithoutAnyPool) {
  auto options = Rig::default_options();
  options.mode = Mode::kSolo;
  Rig rig(options);
  rig.publish(1, kRegtestBits);
  rig.open_extended();
  EXPECT_TRUE(rig.find_share(true));
  EXPECT_EQ(rig.blocks.size(), 1);
  EXPECT_THAT(rig.to_fetch, IsEmpty()) << "nobody is told of its transactions";
}

TEST_F(MiningForPool, AJobGoesToTheMinersAtOnceAndItsSharesWaitForTheAcknowledgement) {
  rig.pool_is_slow = true;
  rig.pool.publish(2);
  rig.publish(2);
  EXPECT_TRUE(rig.mines_for_pool());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(rig.engine.status().waiting_shares, 3);
  EXPECT_EQ(rig.engine.counters().shares_submitted, 0);
  rig.pool_is_slow = false;
  rig.pump();
  EXPECT_EQ(rig.engine.counters().shares_accepted, 3);
  EXPECT_EQ(rig.pool.shard.counters().shares_accepted, 3);
  EXPECT_EQ(rig.pool.shard.counters().shares_rejected_total(), 0);
  EXPECT_EQ(rig.engine.status().waiting_shares, 0);
}

TEST_F(MiningForPool, TheChannelWithThePoolHasAnAccountOfItsOwn) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(rig.find_share());
  const auto channel = rig.engine.status().channel;
  ASSERT_TRUE(channel);
  EXPECT_EQ(channel->user_identity, "farm.1");
  EXPECT_EQ(channel->declared_hps, 1);
  EXPECT_EQ(channel->extranonce_prefix.size(), 8u);
  EXPECT_EQ(channel->extranonce_size, 16u);
  EXPECT_EQ(channel->account.submitted, 3u);
  EXPECT_EQ(channel->account.acknowledged, 3u);
  EXPECT_GT(channel->account.validated_work, 0);
  EXPECT_GE(channel->account.best_difficulty, bitcoin::difficulty_from_target(channel->target));
  EXPECT_TRUE(rig.pool_says(wire::SubmitSharesError{
      .channel_id = channel->id, .sequence_number = 99, .error_code = std::string_view("a name of its own")}));
  EXPECT_THAT(rig.engine.status().channel->account.rejected, ElementsAre(testing::Pair("unknown", 1)));

  rig.lose_pool();
  EXPECT_FALSE(rig.engine.status().channel);
  rig.connect_pool(rig.other_pool, 1);
  ASSERT_TRUE(rig.engine.status().channel);
  EXPECT_EQ(rig.engine.status().channel->account.submitted, 0u) << "another channel";
  EXPECT_EQ(rig.engine.counters().shares_accepted, 3u) << "of all channels that there were";
}

TEST_F(MiningForPool, ASpareTokenIsAlwaysThere) {
  EXPECT_EQ(rig.engine.status().spare_tokens, 2);
  for (std::uint8_t tip = 2; tip < 6; ++tip) {
    rig.pool.publish(tip);
    rig.publish(tip);
    EXPECT_EQ(rig.engine.status().spare_tokens, 2);
  }
  EXPECT_EQ(rig.declarator.allocated, 2 + rig.declarator.declares);
}

TEST_F(MiningForPool, TheDeclaredCoinbaseIsTheOneThatIsMined) {
  EXPECT_EQ(rig.declarator.last.extranonce_size, 24);
  EXPECT_EQ(rig.declarator.last.outputs.front().script, kPoolScript);
  EXPECT_EQ(rig.declarator.last.outputs.front().value_sat, rig.block_template->coinbase_value_sat);
  const auto fields = declaration::coinbase_parts(rig.declarator.last);
  const Bytes mined = rig.current().coinbase.prefix;
  ASSERT_EQ(fields.prefix.size() + 16 - 8, mined.size() + 0) << "the pool's prefix of 8 stands in front of 16 that it granted";
  EXPECT_TRUE(std::ranges::equal(fields.prefix, mined.first(fields.prefix.size())));
  EXPECT_EQ(fields.suffix, rig.current().coinbase.suffix);
}

TEST_F(MiningForPool, ATemplateThatOnlyBringsFeesWaitsForTheJobBefore) {
  rig.pool_is_slow = true;
  rig.publish(1);
  const auto first = rig.current().id;
  rig.publish(1);
  EXPECT_EQ(rig.current().id, first);
  EXPECT_TRUE(rig.find_share());
  rig.pool_is_slow = false;
  rig.pump();
  EXPECT_GT(rig.current().id, first);
  EXPECT_EQ(rig.current().block_template, rig.block_template);
  EXPECT_EQ(rig.pool.shard.counters().shares_accepted, 1);
  EXPECT_EQ(rig.engine.counters().jobs_acknowledged, 3);
}

TEST_F(MiningForPool, AMinersPrefixAndSizeStayWhateverStandsAbove) {
  const channels::JobPtr job_of_first = rig.job;
  rig.lose_pool();
  EXPECT_EQ(rig.paid(), kSoloScript);
  EXPECT_TRUE(rig.find_share());
  EXPECT_TRUE(rig.find_share_of(*job_of_first)) << "the miner did nothing wrong";
  EXPECT_EQ(rig.lost(LostShares::kPoolGone), 1);
  rig.connect_pool(rig.other_pool, 1);
  rig.connect_declarator();
  EXPECT_TRUE(rig.mines_for_pool());
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(rig.other_pool.shard.counters().shares_accepted, 1);
  EXPECT_EQ(rig.engine.counters().falls_to_solo, 1);
  EXPECT_THAT(rig.miner->session().channel(rig.channel)->extranonce_prefix(), ::testing::ElementsAreArray(rig.prefix));
}

TEST_F(MiningForPool, ARefusalThatIsNoMatterOfTheTipLeadsAway) {
  rig.pass(seconds(30));
  rig.declarator.refuse_with = "invalid-job";
  rig.publish(1);
  EXPECT_THAT(rig.refusals, ElementsAre("declarator invalid-job"));
  ASSERT_TRUE(rig.engine.fault());
  EXPECT_THAT(rig.engine.fault()->message(), HasSubstr("invalid-job"));
}

TEST_F(MiningForPool, ARaceAtATipLeadsNowhereAndItsSharesCount) {
  rig.pool.publish(2);
  for (const char* code : {"stale-chain-tip", "invalid-job", "missing-txs"}) {
    rig.declarator.refuse_with = code;
    rig.publish(static_cast<std::uint8_t>(rig.block_template->prev_hash[0] + 1));
    rig.pool.publish(rig.block_template->prev_hash[0]);
    EXPECT_TRUE(rig.find_share());
    EXPECT_FALSE(rig.engine.fault()) << code;
    EXPECT_TRUE(rig.mines_for_pool());
    const auto accepted = rig.pool.shard.counters().shares_accepted;
    rig.declarator.refuse_with.clear();
    rig.pass(seconds(1));
    rig.engine.on_time(rig.now);
    rig.pump();
    EXPECT_EQ(rig.pool.shard.counters().shares_accepted, accepted + 1) << code;
  }
}

TEST_F(MiningForPool, AStaleTipIsTriedAgainForAsLongAsItTakesOurNode) {
  rig.pass(seconds(60));
  rig.declarator.refuse_with = "stale-chain-tip";
  rig.publish(1);
  const auto declared = rig.current().id;
  int declares = 0;
  for (int i = 0; i < 60; ++i) {
    rig.pass(seconds(1));
    // Templates that bring fees go on coming, and wait.
    if (i % 5 == 0) rig.publish(1);
    ASSERT_TRUE(rig.tick());
    ASSERT_FALSE(rig.engine.fault());
    if (i == 50) declares = rig.declarator.declares;
  }
  EXPECT_EQ(rig.current().id, declared);
  EXPECT_LT(rig.declarator.declares, 30) << "rarer and rarer";
  EXPECT_GT(rig.declarator.declares, declares) << "and not given up";
  for (int i = 0; i < 61; ++i) {
    rig.pass(seconds(1));
    ASSERT_TRUE(rig.tick());
  }
  EXPECT_TRUE(rig.engine.fault()) << "a pool that is behind for two minutes is no race";
}

TEST_F(MiningForPool, TransactionsThatOurNodeDoesNotGiveAreNotThePoolsFault) {
  rig.pass(seconds(60));
  rig.fetch_fails = true;
  rig.publish(1);
  EXPECT_EQ(rig.paid(), kSoloScript) << "no pool can ever acknowledge that";
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(rig.engine.counters().shares_solo, 1);
  for (int i = 0; i < 300; ++i) {
    rig.pass(seconds(1));
    ASSERT_TRUE(rig.tick());
    ASSERT_FALSE(rig.engine.fault());
  }
  rig.fetch_fails = false;
  rig.publish(1);
  EXPECT_TRUE(rig.mines_for_pool());
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(rig.pool.shard.counters().shares_accepted, 1);
}

TEST_F(MiningForPool, ATemplateWhoseTransactionsAreGoneDoesNotHoldUpTheNext) {
  rig.fetches = false;
  rig.publish(1);
  rig.publish(1);
  const auto waiting = rig.block_template;
  EXPECT_NE(rig.current().block_template, waiting);
  ASSERT_EQ(rig.to_fetch.size(), 2);
  rig.engine.on_transactions(rig.to_fetch.front(), fail(session::Errc::kCannot, "replaced"), rig.now);
  rig.to_fetch.pop_front();
  EXPECT_EQ(rig.current().block_template, waiting);
  EXPECT_TRUE(rig.mines_for_pool());
  EXPECT_TRUE(rig.find_share());
  rig.fetches = true;
  rig.pump();
  EXPECT_EQ(rig.pool.shard.counters().shares_accepted, 1);
}

TEST_F(MiningForPool, ATokenThatIsForgottenIsReplacedOnce) {
  rig.pass(seconds(60));
  rig.declarator.refuse_with = "invalid-mining-job-token";
  rig.publish(1);
  EXPECT_FALSE(rig.engine.fault() && rig.declarator.declares < 3);
  EXPECT_EQ(rig.declarator.declares, 3) << "one for the job before, and two tries";
  EXPECT_TRUE(rig.engine.fault());
}

TEST_F(MiningForPool, AJobThatThePoolRefusesIsReported) {
  rig.pass(seconds(60));
  rig.pool_is_slow = true;
  rig.publish(1);
  EXPECT_TRUE(rig.find_share());
  rig.pool.committer.refuse_with = "invalid-coinbase-tx-outputs";
  rig.pool_is_slow = false;
  rig.pump();
  EXPECT_THAT(rig.refusals, ElementsAre("pool invalid-coinbase-tx-outputs"));
  EXPECT_EQ(rig.lost(LostShares::kRefusedJob), 1);
  EXPECT_TRUE(rig.engine.fault());
  EXPECT_EQ(rig.pool.shard.counters().shares_accepted + rig.pool.shard.counters().shares_rejected_total(), 0)
      << "no share of it went up";
}

TEST(JdClientEngine, AtTheBoundTheLeastWorkGoesAndABlockNever) {
  auto options = Rig::default_options();
  options.max_waiting_shares = 3;
  Rig rig(options);
  rig.mine_for_pool(kRegtestBits);
  ASSERT_TRUE(rig.mines_for_pool());
  rig.pool_is_slow = true;
  rig.publish(1, kRegtestBits);
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(rig.find_share(true));
  EXPECT_EQ(rig.engine.status().waiting_shares, 6) << "blocks alone";
  EXPECT_EQ(rig.lost(LostShares::kNoRoom), 0);
}

TEST_F(MiningForPool, AtTheBoundSharesOfTheMostWorkStay) {
  auto options = Rig::default_options();
  options.max_waiting_shares = 4;
  Rig small(options);
  small.publish(1);
  small.open_extended();
  small.connect_pool(small.pool);
  small.connect_declarator();
  small.pool_is_slow = true;
  small.publish(1);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(small.find_share());
  EXPECT_EQ(small.engine.status().waiting_shares, 4);
  EXPECT_EQ(small.lost(LostShares::kNoRoom), 6);
  small.pool_is_slow = false;
  small.pump();
  EXPECT_EQ(small.pool.shard.counters().shares_accepted, 4);
  // The best share is among them, and the pool's record of it says so.
  double best = 0;
  for (const auto& channel : small.miner->session().channels()) best = channel.best_difficulty();
  double at_pool = 0;
  for (const auto& channel : small.pool_peer->session().channels()) at_pool = channel.best_difficulty();
  EXPECT_EQ(at_pool, best);
}

TEST(JdClientEngine, ABlockIsPushedWithTheExtranonceThatMakesItsCoinbase) {
  Rig rig;
  rig.mine_for_pool(kRegtestBits);
  ASSERT_TRUE(rig.mines_for_pool());
  EXPECT_TRUE(rig.find_share(true));
  ASSERT_EQ(rig.declarator.pushed, 1);
  ASSERT_EQ(rig.blocks.size(), 1);
  const auto coinbase = rig.pushed_coinbase(declaration::coinbase_parts(rig.declarator.last));
  EXPECT_EQ(coinbase, rig.block_coinbases.front());
  const auto header = bitcoin::solved_header(*rig.block_template, {.version = rig.declarator.solution.version,
                                                                   .ntime = rig.declarator.solution.ntime,
                                                                   .nonce = rig.declarator.solution.nonce,
                                                                   .coinbase = coinbase});
  ASSERT_TRUE(header);
  EXPECT_EQ(header->hash(), rig.blocks.front());
  EXPECT_EQ(rig.pool.shard.counters().shares_accepted, 1) << "the share goes up too";
}

TEST(JdClientEngine, AnotherPrefixChangesNoJobThatWasMadeBefore) {
  Rig rig;
  rig.mine_for_pool(kRegtestBits);
  ASSERT_TRUE(rig.mines_for_pool());
  const channels::JobPtr before = rig.job;
  const auto declared = declaration::coinbase_parts(rig.declarator.last);
  const std::uint32_t channel = (*rig.pool_peer->session().channels().begin()).id();
  rig.pool_is_slow = true;
  rig.publish(1, kRegtestBits);
  const channels::JobPtr being_set = rig.job;
  EXPECT_TRUE(rig.find_share_of(*being_set, true));
  const std::vector<std::uint8_t> prefix(8, 0x77);
  ASSERT_TRUE(rig.pool_says(wire::SetExtranoncePrefix{.channel_id = channel, .extranonce_prefix = Bytes(prefix)}));
  EXPECT_EQ(rig.lost(LostShares::kStaleJob), 1) << "the pool would take it for a share with the new prefix";
  EXPECT_NE(rig.job, being_set);
  EXPECT_FALSE(std::ranges::search(rig.current().coinbase.prefix, prefix).empty());

  EXPECT_TRUE(rig.find_share_of(*before, true));
  ASSERT_EQ(rig.declarator.pushed, 2);
  EXPECT_EQ(rig.pushed_coinbase(declared), rig.block_coinbases.back());
  // The answer to what is given up is no breach.
  rig.pool_is_slow = false;
  rig.pump();
  EXPECT_THAT(rig.errors, IsEmpty());

  const auto again = rig.pool_says(wire::SetExtranoncePrefix{.channel_id = channel, .extranonce_prefix = Bytes(prefix)});
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error().is(session::Errc::kRefused)) << "each is another job for all miners";
}

TEST(JdClientEngine, AShareOfEachJobThatTheMinersMayStillUseFindsIt) {
  auto options = Rig::default_options();
  options.max_past_jobs = 100;
  Rig rig(options);
  rig.publish(1);
  rig.open_extended();
  rig.connect_pool(rig.pool);
  rig.connect_declarator();
  ASSERT_TRUE(rig.mines_for_pool());
  const channels::JobPtr first = rig.job;
  for (int i = 0; i < 100; ++i) rig.publish(1);
  EXPECT_TRUE(rig.find_share_of(*first));
  EXPECT_EQ(rig.lost(LostShares::kStaleJob), 0);
  EXPECT_EQ(rig.engine.counters().shares_submitted, 1);
}

TEST_F(MiningForPool, ABlockOfAJobThatWaitsGoesUpWithItsShareLater) {
  rig.pool.publish(2, kRegtestBits);
  rig.pool_is_slow = true;
  rig.publish(2, kRegtestBits);
  EXPECT_TRUE(rig.find_share(true));
  EXPECT_EQ(rig.blocks.size(), 1) << "acknowledged or not";
  EXPECT_EQ(rig.declarator.pushed, 1);
  rig.pool_is_slow = false;
  rig.pump();
  EXPECT_EQ(rig.pool.shard.counters().shares_accepted, 1);
}

TEST_F(MiningForPool, ANewTipsJobIsSetAndNeverAnOlderOneAfterIt) {
  rig.declarator.holds_declares = true;
  rig.pool.publish(2);
  rig.publish(2);
  EXPECT_TRUE(rig.find_share());
  rig.pool.publish(3);
  rig.publish(3);
  EXPECT_TRUE(rig.find_share());
  ASSERT_EQ(rig.declarator.held.size(), 2);
  rig.accept_held(1);
  EXPECT_EQ(rig.pool.shard.counters().shares_accepted, 1);
  const int asked = rig.pool.committer.asked;
  rig.accept_held(0);
  EXPECT_EQ(rig.pool.committer.asked, asked) << "it would have voided the newer tip's job at a pool that follows its clients";
  EXPECT_EQ(rig.lost(LostShares::kStaleJob), 1);
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(rig.pool.shard.counters().shares_accepted, 2);
  EXPECT_THAT(rig.errors, IsEmpty());
}

TEST_F(MiningForPool, ADeclaratorThatComesBackInTimeCostsNothing) {
  rig.engine.on_declarator_lost(rig.now);
  rig.has_declarator = false;
  rig.pool.publish(2);
  rig.publish(2);
  EXPECT_TRUE(rig.mines_for_pool());
  EXPECT_TRUE(rig.find_share());
  rig.pass(seconds(5));
  ASSERT_TRUE(rig.tick());
  EXPECT_FALSE(rig.engine.fault());
  rig.connect_declarator();
  EXPECT_EQ(rig.pool.shard.counters().shares_accepted, 1);
}

TEST_F(MiningForPool, ADeclaratorThatStaysAwayLeadsAway) {
  rig.engine.on_declarator_lost(rig.now);
  rig.has_declarator = false;
  rig.pass(seconds(20));
  ASSERT_TRUE(rig.tick());
  ASSERT_TRUE(rig.engine.fault());
  EXPECT_THAT(rig.engine.fault()->message(), HasSubstr("declarator"));
}

TEST_F(MiningForPool, EveryRequestHasADeadline) {
  rig.declarator.mute = true;
  rig.publish(1);
  rig.pass(seconds(20));
  const auto tokens = rig.engine.on_declarator_tick(rig.now);
  ASSERT_FALSE(tokens);
  EXPECT_THAT(tokens.error().message(), HasSubstr("AllocateMiningJobToken"));

  Rig slow;
  slow.publish(1);
  slow.pool_is_slow = true;
  slow.connect_pool(slow.pool);
  slow.pass(seconds(20));
  const auto opened = slow.engine.on_tick(1, slow.now);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message(), HasSubstr("OpenExtendedMiningChannel"));
  slow.pass(-seconds(20));
  slow.pool_is_slow = false;
  slow.pump();
  slow.pool_is_slow = true;
  slow.connect_declarator();
  slow.pass(seconds(20));
  const auto set = slow.engine.on_tick(1, slow.now);
  ASSERT_FALSE(set);
  EXPECT_THAT(set.error().message(), HasSubstr("SetCustomMiningJob"));
}

TEST(JdClientEngine, APoolThatGrantsTooLittleIsPassedOver) {
  Rig rig;
  rig.publish(1);
  rig.engine.on_pool_ready(0, "farm", false, rig.now);
  wire::FrameBuffer answer;
  const std::vector<std::uint8_t> prefix(8, 1);
  answer.push(wire::OpenExtendedMiningChannelSuccess{.request_id = 1,
                                                     .channel_id = 2,
                                                     .target = bitcoin::U256::max().to_le(),
                                                     .extranonce_size = 15,
                                                     .extranonce_prefix = Bytes(prefix),
                                                     .group_channel_id = 1});
  const std::vector<wire::FrameView> frames(answer.begin(), answer.end());
  const auto opened = rig.engine.on_pool_frames(frames, rig.now);
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().is(session::Errc::kRefused));
  EXPECT_THAT(opened.error().message(), HasSubstr("15 bytes"));
}

TEST_F(MiningForPool, AForgedAcknowledgementEndsTheSession) {
  const auto heard = rig.pool_says(wire::SetCustomMiningJobSuccess{.channel_id = 2, .request_id = 99, .job_id = 1});
  ASSERT_FALSE(heard);
  EXPECT_TRUE(heard.error().is(session::Errc::kProtocol));
}

TEST_F(MiningForPool, OutputsThatChangeBringNewJobsAndNewConstraints) {
  rig.declarator.outputs.push_back({.value_sat = 0, .script = std::vector<std::uint8_t>(300, 0x6a)});
  for (int i = 0; i < 4; ++i) rig.publish(1);
  EXPECT_TRUE(rig.mines_for_pool());
  EXPECT_EQ(rig.declarator.last.outputs.size(), 2);
  ASSERT_FALSE(rig.constraints_heard.empty());
  EXPECT_GT(rig.constraints_heard.back().outputs_size, 300U);
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(rig.pool.shard.counters().shares_accepted, 1);
}

TEST(JdClientEngine, CoinbaseOnlyTellsThePoolAndDeclaresNothing) {
  auto options = Rig::default_options();
  options.mode = Mode::kCoinbaseOnly;
  Rig rig(options);
  rig.pool.committer.declared.insert({1, 2, 3, 0, 1});
  rig.publish(1);
  rig.open_extended();
  rig.connect_pool(rig.pool);
  rig.connect_declarator();
  EXPECT_TRUE(rig.mines_for_pool());
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(rig.pool.shard.counters().shares_accepted, 1);
  EXPECT_EQ(rig.declarator.declares, 0);
  EXPECT_THAT(rig.to_fetch, IsEmpty());
}

TEST_F(MiningForPool, TheMinersTargetIsNoHarderThanThePools) {
  ASSERT_TRUE(rig.pool_says(wire::SetTarget{.channel_id = (*rig.pool_peer->session().channels().begin()).id(),
                                            .maximum_target = bitcoin::U256::max().to_le()}));
  rig.pass(seconds(1));
  ASSERT_TRUE(rig.miner->tick());
  EXPECT_EQ(rig.miner->session().channel(rig.channel)->target(), bitcoin::U256::max());
}

/// A miner whose pool is asked for its own jobs.
class FollowingPool : public MiningForPool {
 protected:
  FollowingPool() : MiningForPool(follows()) { rig.pool_speaks_adit = true; }
  static EngineOptions follows() {
    EngineOptions options = Rig::default_options();
    options.follow_pool_tip = true;
    return options;
  }
  /// The pool has a job on that tip.
  void pool_goes_to(std::uint8_t tip, std::uint32_t nbits = kHardBits) {
    rig.pool.publish(tip, nbits);
    rig.pump();
  }
  [[nodiscard]] bool follows_pool() const { return rig.paid() == kPoolsOwnScript; }
  [[nodiscard]] std::uint64_t accepted() const { return rig.pool.shard.counters().shares_accepted; }
};

TEST_F(FollowingPool, ANewerTipOfThePoolIsMinedUntilOurNodeHasIt) {
  EXPECT_FALSE(follows_pool()) << "both are on one tip";
  pool_goes_to(2);
  EXPECT_TRUE(rig.is_on(2));
  EXPECT_TRUE(follows_pool());
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(accepted(), 1) << "at once";
  EXPECT_EQ(rig.engine.status().waiting_shares, 0);
  const channels::JobPtr followed = rig.job;
  const int declares = rig.declarator.declares;
  rig.publish(1);
  EXPECT_EQ(rig.job, followed) << "fees on the old tip change nothing";
  EXPECT_EQ(rig.declarator.declares, declares) << "and no pool would take that job";

  rig.publish(2);
  EXPECT_TRUE(rig.mines_for_pool()) << "its own work again";
  EXPECT_TRUE(rig.is_on(2));
  EXPECT_TRUE(rig.find_share_of(*followed)) << "a share that was on its way";
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(accepted(), 3);
  EXPECT_EQ(rig.pool.shard.counters().shares_rejected_total(), 0);
  EXPECT_EQ(rig.engine.counters().pool_tips_followed, 1);
  EXPECT_EQ(rig.engine.counters().falls_to_solo, 0);
  EXPECT_THAT(rig.miner->session().channel(rig.channel)->extranonce_prefix(), ::testing::ElementsAreArray(rig.prefix));
  EXPECT_EQ(rig.miner->session().channel(rig.channel)->extranonce_size(), 8);
  EXPECT_THAT(rig.errors, IsEmpty());
}

TEST_F(FollowingPool, EachJobThatThePoolHasOnItsTipIsMined) {
  pool_goes_to(2);
  const channels::JobPtr first = rig.job;
  pool_goes_to(2);
  EXPECT_NE(rig.job, first);
  EXPECT_FALSE(rig.job->new_tip);
  EXPECT_TRUE(rig.find_share());
  EXPECT_TRUE(rig.find_share_of(*first));
  EXPECT_EQ(accepted(), 2);
  EXPECT_EQ(rig.engine.counters().pool_tips_followed, 1) << "once";
  pool_goes_to(4);
  EXPECT_TRUE(rig.is_on(4));
  rig.publish(2);
  EXPECT_TRUE(rig.is_on(4)) << "our node is still behind";
  rig.publish(4);
  EXPECT_TRUE(rig.mines_for_pool());
}

TEST_F(FollowingPool, ATipThatOurNodeHasHadIsNeverFollowed) {
  rig.publish(2);
  ASSERT_TRUE(rig.is_on(2));
  pool_goes_to(2);
  EXPECT_TRUE(rig.mines_for_pool()) << "our node was first";
  rig.publish(3);
  pool_goes_to(1);
  pool_goes_to(2);
  EXPECT_TRUE(rig.is_on(3));
  EXPECT_TRUE(rig.mines_for_pool());
  // Lower than ours, and of a branch that our node has never named.
  rig.publish(6);
  pool_goes_to(5);
  EXPECT_TRUE(rig.is_on(6));
  pool_goes_to(3);
  // Our node goes back in a reorganisation: what it has left is not newer, whatever its height.
  rig.publish(4);
  pool_goes_to(6);
  EXPECT_TRUE(rig.is_on(4));
  EXPECT_EQ(rig.engine.counters().pool_tips_followed, 0);
}

TEST_F(FollowingPool, ATipThatThePoolTakesBackIsLeft) {
  pool_goes_to(2);
  ASSERT_TRUE(follows_pool());
  pool_goes_to(1);
  EXPECT_TRUE(rig.is_on(1));
  EXPECT_TRUE(rig.mines_for_pool());
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(accepted(), 1);
}

TEST_F(FollowingPool, AfterTheLimitOurNodeIsBelievedUntilItHasAnotherTip) {
  pool_goes_to(2);
  rig.pass(milliseconds(9'999));
  pool_goes_to(3);
  EXPECT_TRUE(rig.is_on(3));
  rig.pass(milliseconds(1));
  rig.engine.on_time(rig.now);
  rig.pump();
  EXPECT_TRUE(rig.is_on(1)) << "since the first of them";
  EXPECT_EQ(rig.paid(), kPoolScript);
  pool_goes_to(4);
  EXPECT_TRUE(rig.is_on(1));
  EXPECT_FALSE(rig.engine.fault());
  rig.publish(2);
  EXPECT_TRUE(rig.is_on(4)) << "our node goes on, and is behind";
  rig.publish(4);
  EXPECT_TRUE(rig.mines_for_pool());
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(accepted(), 1);
  EXPECT_EQ(rig.engine.counters().pool_tips_followed, 2);
}

TEST_F(FollowingPool, TheLimitIsOfOurTipHoweverOftenThePoolTakesItsOwnBack) {
  pool_goes_to(2);
  for (int i = 0; i < 3; ++i) {
    rig.pass(seconds(3));
    pool_goes_to(1);
    EXPECT_TRUE(rig.is_on(1));
    pool_goes_to(2);
    EXPECT_TRUE(follows_pool());
  }
  rig.pass(seconds(1));
  rig.engine.on_time(rig.now);
  EXPECT_TRUE(rig.is_on(1)) << "ten seconds after the first";
  pool_goes_to(1);
  pool_goes_to(2);
  EXPECT_TRUE(rig.is_on(1));
  EXPECT_FALSE(follows_pool());
}

TEST_F(FollowingPool, OurNextTipBeginsALimitOfItsOwn) {
  pool_goes_to(4);
  rig.pass(seconds(9));
  rig.publish(2);
  EXPECT_TRUE(rig.is_on(4)) << "our node goes on, and is still behind";
  rig.pass(seconds(9));
  rig.engine.on_time(rig.now);
  EXPECT_TRUE(follows_pool());
  rig.pass(seconds(1));
  rig.engine.on_time(rig.now);
  EXPECT_TRUE(rig.is_on(2));
}

TEST_F(FollowingPool, JobsOfAnotherGroupAreFollowedOnceTheChannelIsInIt) {
  const std::uint32_t channel = (*rig.pool_peer->session().channels().begin()).id();
  const std::array<std::uint32_t, 1> members{channel};
  ASSERT_TRUE(rig.pool_says(wire::SetGroupChannel{.group_channel_id = 77, .channel_ids = members}));
  ASSERT_TRUE(rig.pool_says(wire::SetNewPrevHash{.channel_id = 78, .job_id = 5, .nbits = kHardBits})) << "not ours";
  const auto unknown = rig.pool_says(wire::SetNewPrevHash{.channel_id = 77, .job_id = 5, .nbits = kHardBits});
  ASSERT_FALSE(unknown) << "no such job was sent to the group";
  EXPECT_TRUE(unknown.error().is(session::Errc::kProtocol));
}

TEST_F(FollowingPool, WhomThePoolsOwnJobPaysIsNotOursToSay) {
  EXPECT_THAT(rig.engine.status().coinbase, ::testing::SizeIs(::testing::Ge(1)));
  pool_goes_to(2);
  EXPECT_THAT(rig.engine.status().coinbase, IsEmpty());
}

TEST_F(FollowingPool, ARefusalOfOurJobOnTheOlderTipIsARace) {
  rig.pass(seconds(60));
  rig.declarator.holds_declares = true;
  rig.publish(1);
  EXPECT_TRUE(rig.find_share());
  pool_goes_to(2);
  ASSERT_TRUE(follows_pool());
  wire::FrameBuffer answer;
  answer.push(wire::DeclareMiningJobError{
      .request_id = rig.declarator.held.at(0), .error_code = std::string_view("invalid-job"), .error_details = {}});
  ASSERT_TRUE(rig.engine.on_declarator_frames(std::vector<wire::FrameView>(answer.begin(), answer.end()), rig.now));
  EXPECT_FALSE(rig.engine.fault());
  EXPECT_THAT(rig.refusals, ElementsAre("declarator invalid-job stale"));
  rig.declarator.holds_declares = false;
  rig.publish(2);
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(accepted(), 1);
}

TEST_F(FollowingPool, AnotherPrefixOfThePoolsIsInItsNextJob) {
  pool_goes_to(2);
  const channels::JobPtr before = rig.job;
  wire::FrameBuffer said;
  ASSERT_TRUE(rig.pool_peer->session().change_prefix((*rig.pool_peer->session().channels().begin()).id(), said));
  rig.hear_pool(std::vector<wire::FrameView>(said.begin(), said.end()));
  rig.pump();
  EXPECT_TRUE(rig.find_share_of(*before));
  EXPECT_TRUE(follows_pool());
  pool_goes_to(2);
  EXPECT_TRUE(rig.find_share());
  rig.publish(2);
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(accepted(), 3);
  EXPECT_THAT(rig.errors, IsEmpty());
}

TEST_F(FollowingPool, ABlockOnThePoolsJobIsThePoolsToBuild) {
  pool_goes_to(2, kRegtestBits);
  EXPECT_TRUE(rig.find_share(true));
  EXPECT_EQ(rig.pool.events.blocks.size(), 1);
  EXPECT_THAT(rig.blocks, IsEmpty()) << "our node has none of its transactions";
  EXPECT_EQ(rig.declarator.pushed, 0) << "nor was it declared";
}

TEST_F(FollowingPool, ThePoolIsLostAndTheMinersAreOnOurTip) {
  pool_goes_to(2);
  const channels::JobPtr followed = rig.job;
  rig.lose_pool();
  EXPECT_TRUE(rig.is_on(1));
  EXPECT_EQ(rig.paid(), kSoloScript);
  rig.connect_pool(rig.other_pool, 1);
  rig.connect_declarator();
  EXPECT_TRUE(rig.mines_for_pool());
  EXPECT_TRUE(rig.find_share());
  EXPECT_EQ(rig.other_pool.shard.counters().shares_accepted, 1);
}

TEST_F(FollowingPool, AJobThatIsNotOfANewerBlockOfNowIsNotFollowed) {
  const std::uint32_t channel = (*rig.pool_peer->session().channels().begin()).id();
  std::uint32_t id = 1000;
  const auto says = [&](const std::vector<std::uint8_t>& script, std::uint32_t ntime) {
    std::vector<std::uint8_t> prefix(42);
    prefix[4] = 1;
    prefix[bitcoin::kCoinbaseScriptBegin - 1] = bitcoin::kMaxCoinbaseScriptSize;
    prefix.insert(prefix.end(), script.begin(), script.end());
    const std::vector<std::uint8_t> suffix(20);
    EXPECT_TRUE(rig.pool_says(wire::NewExtendedMiningJob{.channel_id = channel,
                                                         .job_id = ++id,
                                                         .min_ntime = {},
                                                         .version = 0x20000000,
                                                         .version_rolling_allowed = true,
                                                         .merkle_path = {},
                                                         .coinbase_tx_prefix = Bytes(prefix),
                                                         .coinbase_tx_suffix = Bytes(suffix)}));
    EXPECT_TRUE(rig.pool_says(wire::SetNewPrevHash{.channel_id = channel,
                                                   .job_id = id,
                                                   .prev_hash = channels::testing::hash_of(0x55),
                                                   .min_ntime = ntime,
                                                   .nbits = kHardBits}));
    return rig.is_on(0x55);
  };
  const std::uint32_t now = to_u32(rig.now.unix_time);
  EXPECT_FALSE(says({}, now)) << "no height";
  EXPECT_FALSE(says(bitcoin::height_push(101), now)) << "ours";
  EXPECT_FALSE(says(bitcoin::height_push(102), now + 301)) << "no job of ours on that tip could start before";
  EXPECT_TRUE(says(bitcoin::height_push(102), now + 300));
  const auto unknown = rig.pool_says(wire::SetNewPrevHash{.channel_id = channel, .job_id = 5, .nbits = kHardBits});
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error().is(session::Errc::kProtocol));
}

TEST(JdClientEngine, OnlyAPoolThatSpeaksTheExtensionIsAskedForItsJobs) {
  for (const bool wants : {false, true}) {
    for (const bool speaks : {false, true}) {
      EngineOptions options = Rig::default_options();
      options.follow_pool_tip = wants;
      Rig rig(options);
      rig.pool_speaks_adit = speaks;
      int asked = 0;
      int jobs = 0;
      rig.to_pool = [&](const wire::FrameView& frame) { asked += frame.is<wire::FollowPoolTip>() ? 1 : 0; };
      rig.from_pool = [&](const wire::FrameView& frame) { jobs += frame.is<wire::NewExtendedMiningJob>() ? 1 : 0; };
      rig.mine_for_pool(kHardBits);
      EXPECT_EQ(asked, wants && speaks ? 1 : 0);
      EXPECT_EQ(jobs, asked);
      rig.pool.publish(2);
      rig.pump();
      EXPECT_EQ(rig.is_on(2), wants && speaks);
      rig.publish(2);
      EXPECT_TRUE(rig.mines_for_pool());
      EXPECT_TRUE(rig.find_share());
      EXPECT_EQ(rig.pool.shard.counters().shares_accepted, 1);
    }
  }
}

}  // namespace
}  // namespace adit::jd_client
