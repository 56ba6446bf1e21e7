// The translator's engine: which miner gets a channel, where each has its own.
#include "roles/translator/translator.h"

#include <gtest/gtest.h>

#include "roles/translator/translator_testing.h"

namespace adit::translator {
namespace {

class ChannelRationTest : public TranslatorTest {
 protected:
  void SetUp() override { rationed({}); }
  void rationed(Ration ration) {
    make(
        {.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1, .keepalive = Duration::zero(), .work_timeout = seconds(600)},
         .ration = ration});
  }
  /// Answers every open that was sent by a channel with a job; how many there were.
  std::size_t answer_opens() {
    std::size_t opens = 0;
    while (!sent.empty()) {
      if (sent.front().header.message_type == wire::OpenExtendedMiningChannel::kType) {
        open_success(++last_channel_);
        first_job(last_channel_, last_channel_);
        ++opens;
      } else {
        sent.pop_front();
      }
    }
    return opens;
  }
  bool has_work(const TestMiner& test) { return test.miner->channel() != nullptr && !test.works.empty(); }
  Result<void> refuse(const wire::OpenExtendedMiningChannel& open, std::string_view code = "channel-capacity-exhausted") {
    return upstream(wire::OpenMiningChannelError{.request_id = open.request_id, .error_code = code});
  }

 private:
  std::uint32_t last_channel_ = 100;
};

TEST_F(ChannelRationTest, AMinerThatLeavesLeavesItsChannelToTheNext) {
  upstream_up();
  auto& one = mining(2);
  EXPECT_EQ(submit(one, 1), 0);
  leave(one);
  EXPECT_TRUE(job(2, 200, 1'700'000'000)) << "jobs go on meanwhile";
  auto& two = connect();
  sent.pop_front();
  EXPECT_TRUE(sent.empty()) << "neither closed nor opened";
  ASSERT_EQ(two.works.size(), 1u) << "it has the channel's job at once";
  EXPECT_TRUE(two.works[0]->job.clean_jobs);
  EXPECT_EQ(submit(two, 1), 0) << "the same nonce is other work under its own extranonce";
  EXPECT_EQ(next<wire::SubmitSharesExtended>().channel_id, 2u);
}

TEST_F(ChannelRationTest, AMinerThatLeavesDuringItsOpenLeavesItToTheNext) {
  upstream_up();
  leave(connect());
  auto& two = connect();
  EXPECT_EQ(sent.size(), 1u);
  open_success(2);
  first_job(2, 5);
  EXPECT_EQ(two.works.size(), 1u);
  leave(two);
  leave(connect());
  EXPECT_TRUE(sent.empty());
}

TEST_F(ChannelRationTest, AKeptChannelIsClosedWhenNobodyComes) {
  rationed({.kept = 1});
  upstream_up();
  auto& one = mining(2);
  auto& two = mining(3);
  leave(one);
  leave(two);
  EXPECT_EQ(next<wire::CloseChannel>().channel_id, 3u) << "more than are kept";
  EXPECT_EQ(translator->counters().kept_channels, 1u);
  EXPECT_TRUE(tick(minutes(9)));
  EXPECT_TRUE(sent.empty());
  EXPECT_TRUE(tick(minutes(1)));
  EXPECT_EQ(next<wire::CloseChannel>().channel_id, 2u);
  EXPECT_EQ(translator->counters().channels, 0u);
}

TEST_F(ChannelRationTest, KeptChannelsAreClosedAtTheEndIfAnAcknowledgementIsDue) {
  upstream_up();
  auto& one = mining(2);
  EXPECT_EQ(submit(one, 1), 0);
  EXPECT_EQ(next<wire::SubmitSharesExtended>().channel_id, 2u);
  leave(one);
  translator->close_kept(now);
  pump();
  EXPECT_EQ(next<wire::CloseChannel>().channel_id, 2u);
}

TEST_F(ChannelRationTest, WhereNoAcknowledgementIsDueTheEndOfTheConnectionSaysAsMuch) {
  upstream_up();
  leave(mining(2));
  translator->close_kept(now);
  pump();
  EXPECT_TRUE(sent.empty());
}

TEST_F(ChannelRationTest, AKeptChannelThatTheUpstreamClosesIsGone) {
  upstream_up();
  leave(mining(2));
  EXPECT_TRUE(upstream(wire::CloseChannel{.channel_id = 2}));
  EXPECT_EQ(translator->counters().kept_channels, 0u);
  connect();
  EXPECT_EQ(answer_opens(), 1u);
}

// Audit H2: 8,250 times connect, subscribe and close used up the opens that the upstream grants on one tip.
TEST_F(ChannelRationTest, ManyThatComeAndGoUseOneChannel) {
  upstream_up();
  std::size_t opens = 0;
  for (int i = 0; i < 1000; ++i) {
    auto& passing = connect();
    opens += answer_opens();
    leave(passing);
    miners.clear();
    Miner& only_subscribed = translator->add_miner("192.0.2.66:1", now);
    only_subscribed.on_bytes(as_bytes("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"x\"]}\n"), now);
    translator->remove_miner(only_subscribed, now);
    opens += answer_opens();
  }
  EXPECT_EQ(opens, 1u);
  EXPECT_TRUE(has_work(connect({.user = "newcomer"}, "192.0.2.7")));
}

TEST_F(ChannelRationTest, OneSourceThatShowsNoWorkLeavesChannelsForOthers) {
  rationed({.of_source = 4, .unproven = 8, .reserve = 4, .reserve_of_source = 2});
  upstream_up();
  for (int i = 0; i < 50; ++i) connect({.user = "w"}, "192.0.2.66");
  EXPECT_EQ(answer_opens(), 4u);
  EXPECT_EQ(translator->counters().waiting_miners, 46u);
  auto& newcomer = connect({.user = "newcomer"}, "192.0.2.7");
  EXPECT_EQ(answer_opens(), 1u);
  EXPECT_TRUE(has_work(newcomer)) << "one that comes during the attack";
  EXPECT_EQ(submit(newcomer, 1), 0);
  // Other sources together use up what the unproven have, and still there is a reserve.
  for (int i = 0; i < 50; ++i) connect({.user = "w"}, "192.0.2.67");
  EXPECT_EQ(answer_opens(), 4u);
  for (int i = 0; i < 50; ++i) connect({.user = "w"}, "192.0.2.68");
  EXPECT_EQ(answer_opens(), 2u) << "a source with few channels has the reserve";
  auto& late = connect({.user = "newcomer"}, "192.0.2.8");
  EXPECT_EQ(answer_opens(), 1u);
  EXPECT_TRUE(has_work(late));
}

// A farm behind one address: those that show work count against nothing.
TEST_F(ChannelRationTest, AFarmAtOneAddressGetsItsChannelsAsItShowsWork) {
  rationed({.of_source = 8, .unproven = 16, .reserve = 4, .reserve_of_source = 2});
  upstream_up();
  for (int i = 0; i < 200; ++i) connect();
  std::size_t rounds = 0;
  for (; translator->counters().waiting_miners != 0 && rounds < 30; ++rounds) {
    answer_opens();
    for (std::size_t i = 0; i < miners.size(); ++i) {
      if (has_work(*miners[i]) && !miners[i]->miner->proven()) EXPECT_EQ(submit(*miners[i], static_cast<std::uint32_t>(i)), 0);
    }
    EXPECT_TRUE(tick());
  }
  EXPECT_LT(rounds, 15u);
  answer_opens();
  EXPECT_EQ(translator->counters().channels, 200u);
}

TEST_F(ChannelRationTest, MinersThatHaveShownWorkAllMineAgainForTheNextUpstream) {
  rationed({.of_source = 2, .unproven = 2, .reserve = 0});
  upstream_up();
  for (int i = 0; i < 20; ++i) {
    auto& test = connect();
    answer_opens();
    EXPECT_EQ(submit(test, 1), 0);
  }
  translator->on_upstream_lost(now);
  sent.clear();
  upstream_up();
  EXPECT_EQ(answer_opens(), 20u);
}

TEST_F(ChannelRationTest, AnUpstreamWithoutAnotherChannelHasItsMinersWait) {
  upstream_up();
  auto& one = mining(2);
  auto& two = connect();
  EXPECT_TRUE(refuse(next<wire::OpenExtendedMiningChannel>()));
  EXPECT_EQ(two.miner->ended(), "");
  EXPECT_EQ(translator->counters().waiting_miners, 1u);
  connect();
  EXPECT_TRUE(tick(seconds(29)));
  EXPECT_TRUE(sent.empty()) << "nobody asks again at once";
  EXPECT_TRUE(tick(seconds(1)));
  EXPECT_EQ(sent.size(), 1u) << "one tries it";
  EXPECT_TRUE(refuse(next<wire::OpenExtendedMiningChannel>(), "no-work"));
  leave(one);
  EXPECT_TRUE(tick());
  EXPECT_TRUE(has_work(two)) << "a channel that is left goes to one that waits";
  EXPECT_TRUE(tick(seconds(30)));
  EXPECT_EQ(answer_opens(), 1u);
  EXPECT_EQ(translator->counters().waiting_miners, 0u);
}

TEST_F(ChannelRationTest, AnUpstreamWithoutAnyChannelIsLeftForTheNext) {
  upstream_up();
  auto& test = connect();
  EXPECT_EQ(code_of(refuse(next<wire::OpenExtendedMiningChannel>())), "refused");
  translator->on_upstream_lost(now);
  EXPECT_EQ(test.miner->ended(), "");
  upstream_up();
  EXPECT_EQ(answer_opens(), 1u);
  EXPECT_TRUE(has_work(test));
}

TEST_F(ChannelRationTest, WhoeverShowsNoWorkGivesItsChannelToOneThatWaits) {
  upstream_up();
  auto& idle = mining(2);
  auto& works = mining(3);
  EXPECT_EQ(submit(works, 1), 0);
  EXPECT_TRUE(tick(minutes(5)));
  EXPECT_EQ(idle.miner->ended(), "") << "nobody waits";
  sent.clear();
  auto& waits = connect({.user = "newcomer"}, "192.0.2.7");
  EXPECT_TRUE(refuse(next<wire::OpenExtendedMiningChannel>()));
  EXPECT_TRUE(tick());
  EXPECT_NE(idle.miner->ended(), "");
  EXPECT_EQ(works.miner->ended(), "");
  leave(idle);
  EXPECT_TRUE(tick());
  EXPECT_TRUE(has_work(waits));
}

// ---- An upstream that refuses what we judged good.

TEST_F(TranslatorTest, AnUpstreamThatRefusesNearlyEveryGoodShareIsLeft) {
  upstream_up();
  auto& test = mining(2);
  Result<void> heard;
  for (std::uint32_t number = 1; number <= 16; ++number) {
    EXPECT_TRUE(heard) << number;
    EXPECT_EQ(submit(test, number), 0);
    heard = upstream(wire::SubmitSharesError{.channel_id = 2, .sequence_number = number, .error_code = "difficulty-too-low"});
  }
  EXPECT_EQ(code_of(heard), "refused");
  EXPECT_NE(heard.error().message().find("16 of the last 16"), std::string::npos) << heard.error().message();
  EXPECT_NE(heard.error().message().find("difficulty-too-low"), std::string::npos);
  translator->on_upstream_lost(now);
  EXPECT_EQ(test.miner->ended(), "") << "its miners go to the next";
}

TEST_F(TranslatorTest, StaleSharesAreNoReasonToLeaveAnUpstream) {
  upstream_up();
  auto& test = mining(2);
  for (std::uint32_t number = 1; number <= 100; ++number) {
    EXPECT_EQ(submit(test, number), 0);
    EXPECT_TRUE(upstream(wire::SubmitSharesError{.channel_id = 2, .sequence_number = number, .error_code = "stale-share"}));
  }
  EXPECT_EQ(test.miner->shares_rejected(), 100u);
  EXPECT_EQ(test.miner->ended(), "");
}

TEST_F(TranslatorTest, SomeRefusedSharesAmongAcceptedOnesAreNoReasonToLeaveAnUpstream) {
  upstream_up();
  auto& test = mining(2);
  for (std::uint32_t number = 1; number <= 200; ++number) {
    EXPECT_EQ(submit(test, number), 0);
    if (number % 10 == 0) {
      EXPECT_TRUE(upstream(
          wire::SubmitSharesSuccess{.channel_id = 2, .last_sequence_number = number, .new_submits_accepted_count = 1}));
    } else {
      EXPECT_TRUE(upstream(wire::SubmitSharesError{.channel_id = 2, .sequence_number = number, .error_code = "invalid-share"}));
    }
  }
  EXPECT_EQ(test.miner->ended(), "");
}

// A miner whose shares alone are refused (such as by a clock far ahead) takes no upstream from the others.
TEST_F(TranslatorTest, AMinerWhoseSharesAloneAreRefusedIsSentAwayAlone) {
  upstream_up();
  auto& odd = mining(2);
  auto& other = mining(3);
  EXPECT_EQ(submit(other, 1), 0);
  EXPECT_TRUE(upstream(wire::SubmitSharesSuccess{.channel_id = 3, .last_sequence_number = 1, .new_submits_accepted_count = 1}));
  for (std::uint32_t number = 1; number <= 16; ++number) {
    EXPECT_EQ(submit(odd, number), 0);
    EXPECT_TRUE(upstream(wire::SubmitSharesError{.channel_id = 2, .sequence_number = number, .error_code = "invalid-share"}));
  }
  EXPECT_NE(odd.miner->ended().find("invalid-share"), std::string::npos) << odd.miner->ended();
  EXPECT_EQ(other.miner->ended(), "");
  EXPECT_EQ(submit(other, 2), 0);
  sent.clear();
  leave(odd);
  EXPECT_EQ(next<wire::CloseChannel>().channel_id, 2u) << "its channel is for nobody else";
}

}  // namespace
}  // namespace adit::translator
