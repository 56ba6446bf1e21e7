#include "ledger/submissions.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>
#include <set>

#include "ledger/block_testing.h"

namespace adit::ledger {
namespace {

using namespace std::chrono_literals;
using Policy = Submissions::Policy;
using Attempt = Submissions::Attempt;

class SubmissionsTest : public ::testing::Test {
 protected:
  explicit SubmissionsTest(std::vector<bool> preferring = {true}) : engine_(std::move(preferring), Policy{}) {}

  static Hash256 hash(std::uint8_t n) {
    Hash256 made{};
    made[0] = n;
    return made;
  }
  static BlockPtr bytes() {
    static const BlockPtr made = std::make_shared<HexBlock>(testing::make_block(1));
    return made;
  }
  void add(std::uint8_t n, std::uint32_t height = 100) { ASSERT_TRUE(engine_.add(hash(n), height, bytes(), now_)); }

  /// Numbers of the blocks whose attempts are due now at that node, in order; all are under way from now on.
  std::vector<int> due(std::size_t node = 0) {
    std::vector<int> numbers;
    while (const auto attempt = engine_.next_attempt(now_)) {
      if (attempt->node == node) numbers.push_back(attempt->hash[0]);
    }
    return numbers;
  }
  auto answer(std::uint8_t n, BlockVerdict verdict, std::size_t node = 0, std::string reason = "") {
    return engine_.on_answer({hash(n), node, nullptr}, {verdict, std::move(reason)}, "node " + std::to_string(node), now_);
  }
  /// `wait`: until the next attempt, if the backoff allows as much.
  auto failure(std::uint8_t n, std::size_t node = 0, Duration wait = 250ms) {
    return engine_.on_failure({hash(n), node, nullptr}, static_cast<std::uint64_t>(wait.count()), now_);
  }

  Submissions engine_;
  Instant now_{1000s};
};

class TwoNodes : public SubmissionsTest {
 protected:
  TwoNodes() : SubmissionsTest({true, false}) {}
};

TEST_F(SubmissionsTest, ABlockIsDueAtOnceAndItsAnswerIsToldOnce) {
  add(1);
  EXPECT_EQ(engine_.next_due(), now_);
  EXPECT_EQ(due(), std::vector<int>{1});
  EXPECT_EQ(engine_.unanswered(), 1u);
  const auto outcome = answer(1, BlockVerdict::kAccepted);
  EXPECT_TRUE(outcome.first_answer);
  ASSERT_TRUE(outcome.decided);
  EXPECT_EQ(outcome.decided->verdict, BlockVerdict::kAccepted);
  EXPECT_EQ(outcome.decided->height, 100u);
  EXPECT_EQ(outcome.decided->node, "node 0");
  EXPECT_EQ(engine_.unanswered(), 0u);
  EXPECT_TRUE(due().empty());
}

TEST_F(SubmissionsTest, TheNewestBlockGoesFirst) {
  for (std::uint8_t n = 1; n <= 3; ++n) add(n);
  EXPECT_EQ(due(), (std::vector<int>{3, 2, 1}));
}

TEST_F(SubmissionsTest, AFailureIsTriedAgainWithABackoffOfItsOwnAndHoldsUpNoOther) {
  add(1);
  EXPECT_EQ(due(), std::vector<int>{1});
  failure(1);
  EXPECT_EQ(engine_.next_due(), now_ + 250ms);
  add(2);
  EXPECT_EQ(due(), std::vector<int>{2});
  answer(2, BlockVerdict::kAccepted);
  Duration waited = 250ms;
  for (int i = 0; i < 10; ++i) {
    now_ += waited - 1ms;
    EXPECT_TRUE(due().empty());
    now_ += 1ms;
    EXPECT_EQ(due(), std::vector<int>{1});
    waited = std::min(waited * 2, Duration(10s));
    EXPECT_FALSE(failure(1, 0, waited).decided);
  }
  EXPECT_EQ(engine_.unanswered(), 1u);
}

TEST_F(SubmissionsTest, FirstAttemptsWaitForNoRetries) {
  // Sixteen blocks of which every attempt hangs; then new ones.
  for (std::uint8_t n = 1; n <= 10; ++n) add(n);
  EXPECT_EQ(due().size(), 10u);
  for (std::uint8_t n = 1; n <= 10; ++n) failure(n);
  now_ += 1s;
  EXPECT_EQ(due(), (std::vector<int>{10, 9, 8, 7})) << "of those that hang only a few are tried at the same time";
  EXPECT_EQ(engine_.next_due(), Instant::max());
  for (std::uint8_t n = 11; n <= 22; ++n) add(n);
  EXPECT_EQ(due().size(), 12u);
  add(23);
  EXPECT_TRUE(due().empty()) << "sixteen in all";
  failure(10);
  EXPECT_EQ(due(), std::vector<int>{23});
}

TEST_F(SubmissionsTest, ATipOrTheNodesReturnTriesAgainWhatWaits) {
  add(1);
  due();
  failure(1);
  EXPECT_TRUE(due().empty());
  EXPECT_TRUE(engine_.on_tip(101, now_).empty());
  EXPECT_EQ(due(), std::vector<int>{1});
  failure(1);
  engine_.on_node_ready(0, now_);
  EXPECT_EQ(due(), std::vector<int>{1});
}

TEST_F(SubmissionsTest, WhatTheChainHasLeftFarBehindIsGivenUpButNotWhileAnAnswerIsDue) {
  add(1, 100);
  add(2, 100);
  due();
  failure(1);
  EXPECT_TRUE(engine_.on_tip(106, now_).empty());
  EXPECT_EQ(due(), std::vector<int>{1});
  failure(1);
  const auto outcomes = engine_.on_tip(107, now_);
  ASSERT_EQ(outcomes.size(), 1u);
  EXPECT_EQ(outcomes[0].hash, hash(1));
  EXPECT_EQ(outcomes[0].decided->verdict, BlockVerdict::kRejected);
  EXPECT_NE(outcomes[0].decided->reason.find("6 blocks further"), std::string::npos) << outcomes[0].decided->reason;
  const auto late = failure(2);
  ASSERT_TRUE(late.decided);
  EXPECT_EQ(late.decided->verdict, BlockVerdict::kRejected);
  engine_.tidy(now_);
  EXPECT_FALSE(engine_.knows(hash(1)));
}

TEST_F(SubmissionsTest, ANodeWithTemplatesIsAskedToPreferTheBlockAWhileAfterItsSubmission) {
  add(1);
  add(2);
  add(3);
  due();
  now_ += 100ms;
  answer(1, BlockVerdict::kAccepted);
  answer(2, BlockVerdict::kRejected, 0, "high-hash");
  now_ += 1s;
  answer(3, BlockVerdict::kStale, 0, "inconclusive");
  engine_.tidy(now_);
  EXPECT_EQ(engine_.next_preference(now_)->hash, hash(3)) << "as soon as it is answered, if that took longer";
  EXPECT_EQ(engine_.next_preference(now_)->hash, hash(1));
  EXPECT_FALSE(engine_.next_preference(now_));
  engine_.tidy(now_);
  EXPECT_FALSE(engine_.knows(hash(1)));
  EXPECT_FALSE(engine_.knows(hash(3)));

  add(4);
  due();
  answer(4, BlockVerdict::kAccepted);
  engine_.tidy(now_);
  EXPECT_EQ(engine_.next_due(), now_ + 400ms);
  EXPECT_FALSE(engine_.next_preference(now_ + 399ms));
  EXPECT_TRUE(engine_.next_preference(now_ + 400ms));

  engine_.on_tip(110, now_);
  add(5, 108);
  due();
  answer(5, BlockVerdict::kStale);
  EXPECT_FALSE(engine_.next_preference(now_ + 1h)) << "the chain is past it";
}

TEST_F(SubmissionsTest, OfBlocksOnDiskTheNewestAreHeldAndOthersOnlyWhileAnAttemptIsUnderWay) {
  Submissions engine({true}, {.max_held = 1});
  for (std::uint8_t n = 1; n <= 2; ++n) ASSERT_TRUE(engine.add(hash(n), 100, bytes(), now_));
  while (const auto attempt = engine.next_attempt(now_)) EXPECT_NE(attempt->bytes, nullptr);
  for (std::uint8_t n = 1; n <= 2; ++n) engine.release_bytes(hash(n));
  for (std::uint8_t n = 1; n <= 2; ++n) engine.on_failure({hash(n), 0, nullptr}, 0, now_);
  const auto newest = engine.next_attempt(now_);
  EXPECT_EQ(newest->hash, hash(2));
  EXPECT_NE(newest->bytes, nullptr);
  EXPECT_EQ(engine.next_attempt(now_)->bytes, nullptr);
  ASSERT_TRUE(engine.add(hash(3), 1, nullptr, now_));
  EXPECT_EQ(engine.next_attempt(now_)->bytes, nullptr) << "an earlier run's";
}

TEST_F(SubmissionsTest, ItsBoundIsOfBlocksThatWaitForAnAnswer) {
  Submissions engine({true, true}, {.max_blocks = 2});
  ASSERT_TRUE(engine.add(hash(1), 1, bytes(), now_));
  EXPECT_FALSE(engine.add(hash(1), 1, bytes(), now_));
  ASSERT_TRUE(engine.add(hash(2), 1, bytes(), now_));
  EXPECT_FALSE(engine.add(hash(3), 1, bytes(), now_));
  while (engine.next_attempt(now_)) {
  }
  engine.on_answer({hash(1), 0, nullptr}, {BlockVerdict::kAccepted, ""}, "a", now_);
  EXPECT_TRUE(engine.add(hash(3), 1, bytes(), now_));
  EXPECT_TRUE(engine.knows(hash(1))) << "another node is being asked";
  engine.on_failure({hash(1), 1, nullptr}, 0, now_);
  engine.on_answer({hash(2), 0, nullptr}, {BlockVerdict::kAccepted, ""}, "a", now_);
  EXPECT_TRUE(engine.add(hash(4), 1, bytes(), now_));
  EXPECT_FALSE(engine.knows(hash(1))) << "it is no longer offered to the node that did not take it";
  EXPECT_TRUE(engine.knows(hash(3)));
}

TEST_F(TwoNodes, EveryNodeIsOfferedTheBlockAndTheFirstThatHasItDecides) {
  add(1);
  EXPECT_EQ(due(1), std::vector<int>{1});  // And node 0's.
  EXPECT_FALSE(engine_.first_attempts_made());
  const auto first = answer(1, BlockVerdict::kAccepted, 1);
  EXPECT_TRUE(first.first_answer);
  EXPECT_EQ(first.decided->node, "node 1");
  failure(1, 0);
  EXPECT_TRUE(engine_.first_attempts_made());
  engine_.tidy(now_);
  ASSERT_TRUE(engine_.knows(hash(1)));
  now_ += 1s;
  EXPECT_EQ(due(0), std::vector<int>{1}) << "the other is still offered it";
  const auto second = answer(1, BlockVerdict::kDuplicate, 0);
  EXPECT_FALSE(second.first_answer);
  EXPECT_FALSE(second.decided);
}

TEST_F(TwoNodes, AnAnswerThatIsNoGoodNewsWaitsForTheOtherNodes) {
  add(1);
  add(2);
  due();
  EXPECT_TRUE(answer(1, BlockVerdict::kRejected, 0, "high-hash").first_answer);
  EXPECT_EQ(engine_.unanswered(), 2u);
  EXPECT_EQ(answer(1, BlockVerdict::kAccepted, 1).decided->verdict, BlockVerdict::kAccepted);
  answer(2, BlockVerdict::kStale, 0, "inconclusive");
  const auto decided = answer(2, BlockVerdict::kRejected, 1, "bad").decided;
  ASSERT_TRUE(decided);
  EXPECT_EQ(decided->verdict, BlockVerdict::kStale);
  EXPECT_EQ(decided->reason, "inconclusive");
}

TEST_F(TwoNodes, ANodeThatNeverAnswersHoldsNoBlockForEver) {
  add(1);
  due();
  answer(1, BlockVerdict::kAccepted, 0);
  failure(1, 1);
  now_ += 400ms;
  EXPECT_TRUE(engine_.next_preference(now_));
  for (int i = 0; i < 1000 && engine_.knows(hash(1)); ++i) {
    now_ = std::max(now_, engine_.next_due());
    for (const int n : due(1)) failure(static_cast<std::uint8_t>(n), 1);
    engine_.tidy(now_);
  }
  EXPECT_FALSE(engine_.knows(hash(1)));
  EXPECT_EQ(engine_.next_due(), Instant::max());

  add(2, 100);
  due();
  answer(2, BlockVerdict::kStale, 0, "inconclusive");
  failure(2, 1);
  const auto outcomes = engine_.on_tip(107, now_);
  ASSERT_EQ(outcomes.size(), 1u);
  EXPECT_EQ(outcomes[0].decided->verdict, BlockVerdict::kStale) << "what one node said counts";
}

// Random answers of three nodes to many blocks: each block gets exactly one first answer and one decision, bounds hold, and no
// moment comes at which something is due for ever.
TEST_F(SubmissionsTest, WhateverNodesAnswerEveryBlockIsDecidedOnceAndBoundsHold) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    std::mt19937_64 random(seed);
    Submissions engine({true, false, true}, Policy{});
    std::deque<Attempt> under_way;
    std::map<Hash256, int> decided;
    std::map<Hash256, int> first;
    std::uint32_t height = 100;
    std::uint8_t blocks = 0;
    const auto note = [&](const Submissions::Outcome& outcome) {
      if (outcome.decided) ++decided[outcome.hash];
      if (outcome.first_answer) ++first[outcome.hash];
    };
    for (int turn = 0; turn < 4000; ++turn) {
      now_ += std::chrono::milliseconds(random() % 200);
      if (blocks < 200 && random() % 10 == 0) {
        ASSERT_TRUE(engine.add(hash(blocks), height, random() % 4 == 0 ? nullptr : bytes(), now_));
        ++blocks;
      }
      if (random() % 100 == 0) {
        for (const auto& outcome : engine.on_tip(++height, now_)) note(outcome);
      }
      while (auto attempt = engine.next_attempt(now_)) under_way.push_back(*attempt);
      std::map<std::size_t, std::size_t> at_node;
      for (const Attempt& attempt : under_way) ASSERT_LE(++at_node[attempt.node], 16u);
      if (!under_way.empty()) {
        std::swap(under_way.front(), under_way[random() % under_way.size()]);
        const Attempt attempt = under_way.front();
        under_way.pop_front();
        if (random() % 3 == 0) {
          note(engine.on_failure(attempt, random(), now_));
        } else {
          note(engine.on_answer(attempt, {static_cast<BlockVerdict>(random() % 4), ""}, "n", now_));
        }
      }
      while (engine.next_preference(now_)) {
      }
      engine.tidy(now_);
      ASSERT_TRUE(engine.next_due() > now_ || !under_way.empty() || engine.next_due() == Instant::max());
    }
    // No more trouble: what is left ends.
    for (int turn = 0; turn < 2000; ++turn) {
      now_ += 1s;
      while (auto attempt = engine.next_attempt(now_)) under_way.push_back(*attempt);
      while (!under_way.empty()) {
        note(engine.on_answer(under_way.front(), {BlockVerdict::kDuplicate, ""}, "n", now_));
        under_way.pop_front();
      }
      while (engine.next_preference(now_)) {
      }
      engine.tidy(now_);
    }
    EXPECT_EQ(engine.unanswered(), 0u);
    EXPECT_EQ(engine.next_due(), Instant::max());
    for (std::uint8_t n = 0; n < blocks; ++n) {
      EXPECT_EQ(decided[hash(n)], 1);
      EXPECT_LE(first[hash(n)], 1);
      EXPECT_FALSE(engine.knows(hash(n)));
    }
  }
}

}  // namespace
}  // namespace adit::ledger
