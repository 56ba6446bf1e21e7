// One upstream channel for all miners.
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "roles/translator/translator_testing.h"

namespace adit::translator {
namespace {

class AggregatedTest : public TranslatorTest {
 protected:
  void SetUp() override {
    client.extensions = {0x0002};
    make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1e6, .shares_per_minute = 6, .keepalive = Duration::zero()},
          .aggregate = true});
  }
  void up() {
    upstream_up();
    const std::vector<std::uint16_t> granted = {0x0002};
    EXPECT_TRUE(upstream(wire::RequestExtensionsSuccess{.request_id = next<wire::RequestExtensions>().request_id,
                                                        .supported_extensions = granted}));
  }
};

TEST_F(AggregatedTest, AllMinersShareOneChannelAndNoExtranonce) {
  auto& one = connect({.user = "one"});
  auto& two = connect({.user = "two"});
  up();
  const auto open = next<wire::OpenExtendedMiningChannel>();
  EXPECT_EQ(open.user_identity, "id.translator-proxy");
  EXPECT_EQ(open.min_extranonce_size, 6) << "two bytes tell the miners apart";
  EXPECT_TRUE(sent.empty()) << "one open, however many miners";
  auto& three = connect({.user = "three"});
  EXPECT_TRUE(sent.empty()) << "nor for one that comes while it is under way";
  const std::vector<std::uint8_t> prefix = {0xaa, 0xbb};
  EXPECT_TRUE(upstream(wire::OpenExtendedMiningChannelSuccess{.request_id = open.request_id,
                                                              .channel_id = 2,
                                                              .target = kAnyHash.to_le(),
                                                              .extranonce_size = 8,
                                                              .extranonce_prefix = prefix,
                                                              .group_channel_id = kGroup}));
  first_job(2, 5);
  auto& four = connect({.user = "four"});
  EXPECT_TRUE(sent.empty());
  std::set<std::string> seen;
  std::uint32_t sequence_number = 1;
  for (TestMiner* test : {&one, &two, &three, &four}) {
    ASSERT_EQ(test->works.size(), 1u) << "a late one gets the job that the others have";
    const auto& work = *test->works[0];
    EXPECT_EQ(work.extranonce2_size, 4u);
    EXPECT_EQ(work.extranonce1.size(), 2u);
    const std::string before = before_extranonce2(work, 6);
    EXPECT_EQ(before.substr(0, 8), "aabb0000") << "the upstream's prefix, and what it gave beyond six bytes";
    EXPECT_TRUE(seen.insert(before).second) << "no two search the same";
    // The same nonce and extranonce2 from each: other work, and none is a duplicate.
    EXPECT_EQ(submit(*test, 1), 0);
    const auto fields = next_share_fields();
    const auto share = *wire::FrameView{last.header, last.payload}.as<wire::SubmitSharesExtended>();
    EXPECT_EQ(share.channel_id, 2u);
    EXPECT_EQ(share.sequence_number, sequence_number++);
    EXPECT_EQ("aabb" + to_hex(share.extranonce), before + "01020304");
    const auto user = test == &one ? "one" : test == &two ? "two" : test == &three ? "three" : "four";
    EXPECT_EQ(std::string(fields.begin() + 5, fields.end()), user) << "each share says whose it is";
  }
  EXPECT_EQ(submit(one, 1), 22);
}

TEST_F(AggregatedTest, VerdictsReachTheMinerWhoseShareItWas) {
  up();
  auto& one = connect();
  open_success(2);
  first_job(2, 5);
  auto& two = connect();
  for (std::uint32_t nonce = 0; nonce < 3; ++nonce) EXPECT_EQ(submit(one, nonce), 0);
  for (std::uint32_t nonce = 0; nonce < 2; ++nonce) EXPECT_EQ(submit(two, nonce), 0);
  EXPECT_TRUE(upstream(wire::SubmitSharesError{.channel_id = 2, .sequence_number = 4, .error_code = "stale-share"}));
  EXPECT_TRUE(upstream(wire::SubmitSharesSuccess{
      .channel_id = 2, .last_sequence_number = 5, .new_submits_accepted_count = 4, .new_shares_sum = 4}));
  EXPECT_EQ(one.miner->shares_accepted(), 3u);
  EXPECT_EQ(one.miner->shares_rejected(), 0u);
  EXPECT_EQ(two.miner->shares_accepted(), 1u);
  EXPECT_EQ(two.miner->shares_rejected(), 1u);
}

// SV2 05 §5.3.9: an aggregating proxy tells its upstream what its miners have; here what their shares prove.
TEST_F(AggregatedTest, TheUpstreamIsToldWhatSharesProveByBoundedSteps) {
  make({.miners = {.min_hash_rate_hps = 1, .keepalive = Duration::zero()}, .aggregate = true});
  client.extensions = {};
  upstream_up();
  auto& one = connect();
  auto& two = connect();
  open_success(2);
  first_job(2, 5);
  // Any hash is a share: 50 a second are 50 hashes a second.
  double declared = 1;
  std::uint32_t nonce = 0;
  Instant told_at = now.instant;
  const auto run = [&](int seconds_long, int of_one, int of_two) {
    for (int second = 0; second < seconds_long; ++second) {
      for (int i = 0; i < of_one; ++i) EXPECT_EQ(submit(one, nonce++), 0);
      for (int i = 0; i < of_two; ++i) EXPECT_EQ(submit(two, nonce++), 0);
      std::erase_if(sent, [](const Sent& frame) { return frame.header.message_type == wire::SubmitSharesExtended::kType; });
      EXPECT_TRUE(tick());
      while (!sent.empty()) {
        const double told = next<wire::UpdateChannel>().nominal_hash_rate;
        EXPECT_GE(told, 0.999 * declared / 4);
        EXPECT_LE(told, 1.001 * declared * 4);
        EXPECT_GE(now.instant - told_at, seconds(10));
        told_at = now.instant;
        declared = told;
      }
    }
  };
  run(120, 10, 40);
  EXPECT_GT(declared, 50 / 1.5);
  EXPECT_LT(declared, 50 * 1.5);
  EXPECT_NEAR(one.miner->hash_rate_hps(), 10, 1);
  EXPECT_NEAR(two.miner->hash_rate_hps(), 40, 4);
  EXPECT_NEAR(translator->counters().hash_rate_hps, 50, 5);
  EXPECT_NEAR(translator->counters().declared_hps, declared, 1e-3);
  leave(two);
  two.miner = nullptr;
  run(30, 10, 0);
  EXPECT_LT(declared, 15) << "who has left counts no more";
  EXPECT_GT(declared, 7);
}

// Audit H1: 300 connections that only subscribed raised what all miners were taken to have from 4e6 to 1.2e9 hashes/s.
TEST_F(AggregatedTest, WhoShowsNoWorkCountsForNothing) {
  up();
  connect();
  open_success(2);
  first_job(2, 5);
  for (int i = 0; i < 100; ++i) {
    auto& idle = connect();
    if (i % 3 == 0) suggest(idle, "1e10");
    auto& only_subscribed = translator->add_miner("192.0.2.66:1", now);
    only_subscribed.on_bytes(as_bytes("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"x\"]}\n"), now);
  }
  for (int second = 0; second < 60; ++second) EXPECT_TRUE(tick());
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(translator->counters().declared_hps, 1e6);
}

TEST_F(AggregatedTest, AnotherUpstreamIsToldAtOnceWhatTheSharesHaveProven) {
  make({.miners = {.min_hash_rate_hps = 1, .keepalive = Duration::zero()}, .aggregate = true});
  client.extensions = {};
  upstream_up();
  auto& one = connect();
  auto& two = connect();
  open_success(2);
  first_job(2, 5);
  for (std::uint32_t second = 0; second < 60; ++second) {
    for (std::uint32_t i = 0; i < 10; ++i) EXPECT_EQ(submit(i % 2 == 0 ? one : two, 100 * second + i), 0);
    EXPECT_TRUE(tick());
  }
  translator->on_upstream_lost(now);
  EXPECT_TRUE(tick(seconds(60)));
  sent.clear();
  upstream_up();
  EXPECT_NEAR(next<wire::OpenExtendedMiningChannel>().nominal_hash_rate, 10, 1) << "time without work does not count";
}

TEST_F(AggregatedTest, NothingIsSaidOfAChannelThatIsNotOpenYet) {
  up();
  connect();
  connect();
  next<wire::OpenExtendedMiningChannel>();
  EXPECT_TRUE(tick());
  EXPECT_TRUE(sent.empty());
}

TEST_F(AggregatedTest, TheLastMinerLeavesTheChannelToTheNextOne) {
  up();
  auto& one = connect();
  open_success(2);
  first_job(2, 5);
  auto& two = connect();
  leave(one);
  leave(two);
  EXPECT_TRUE(sent.empty());
  auto& three = connect();
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(three.works.size(), 1u);
  EXPECT_EQ(submit(three, 1), 0);
}

TEST_F(AggregatedTest, AMinerThatJoinsDuringAFutureJobMinesItWhenItsTipComes) {
  up();
  auto& one = connect();
  open_success(2);
  first_job(2, 5);
  EXPECT_TRUE(job(kGroup, 600));
  auto& two = connect();
  EXPECT_TRUE(tip(kGroup, 600, 30));
  EXPECT_EQ(one.works.back()->job.prev_hash[0], 30);
  EXPECT_EQ(two.works.back()->job.prev_hash[0], 30);
  EXPECT_EQ(submit(two, 1), 0);
}

TEST_F(AggregatedTest, AClosedChannelGivesTheUpstreamUpAndTheMinersStay) {
  up();
  auto& one = connect();
  auto& two = connect();
  open_success(2);
  first_job(2, 5);
  EXPECT_EQ(code_of(upstream(wire::CloseChannel{.channel_id = 2, .reason_code = "bye"})), "refused");
  translator->on_upstream_lost(now);
  pump();
  EXPECT_EQ(one.miner->ended(), "");
  sent.clear();
  up();
  open_success(7);
  EXPECT_TRUE(sent.empty());
  first_job(7, 1, 40);
  EXPECT_EQ(two.works.back()->job.prev_hash[0], 40);
  EXPECT_EQ(submit(one, 9), 0);
}

TEST_F(AggregatedTest, ANewPrefixReachesEveryMinerWithItsOwnIndex) {
  up();
  auto& one = connect();
  auto& two = connect();
  open_success(2);
  first_job(2, 5);
  const std::vector<std::uint8_t> prefix = {0xcc, 0xdd, 0xee};
  EXPECT_TRUE(upstream(wire::SetExtranoncePrefix{.channel_id = 2, .extranonce_prefix = prefix}));
  EXPECT_TRUE(job(2, 6, 1'700'000'001));
  EXPECT_EQ(before_extranonce2(*one.works.back(), 15).substr(0, 6), "ccddee");
  EXPECT_NE(one.works.back()->extranonce1, two.works.back()->extranonce1);
  EXPECT_EQ(submit(one, 1), 0);
  EXPECT_EQ(submit(two, 1), 0);
}

TEST_F(AggregatedTest, AnIndexIsNotGivenAgainSoon) {
  up();
  auto& stays = connect();
  open_success(2);
  first_job(2, 5);
  std::set<std::string> seen = {to_hex(stays.works[0]->extranonce1.bytes())};
  for (int i = 0; i < 300; ++i) {
    auto& test = connect();
    EXPECT_TRUE(seen.insert(to_hex(test.works.at(0)->extranonce1.bytes())).second);
    leave(test);
  }
}

TEST_F(AggregatedTest, AnExtranonceTooSmallForItsMinersGivesTheUpstreamUp) {
  up();
  connect();
  const auto open = next<wire::OpenExtendedMiningChannel>();
  EXPECT_EQ(code_of(upstream(
                wire::OpenExtendedMiningChannelSuccess{.request_id = open.request_id, .channel_id = 2, .extranonce_size = 5})),
            "protocol");
}

}  // namespace
}  // namespace adit::translator
