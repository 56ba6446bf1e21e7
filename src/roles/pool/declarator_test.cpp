#include "roles/pool/declarator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "declaration/server_testing.h"

namespace adit::pool {
namespace {

using declaration::BlockCheck;
using declaration::CheckAnswer;
using testing::ElementsAre;
using testing::IsEmpty;

/// A node that answers when the test says so.
struct Node final : declaration::BlockChecker {
  [[nodiscard]] unsigned max_under_way() const override { return 2; }
  void check(std::vector<std::uint8_t> block, Done done) override {
    blocks.push_back(std::move(block));
    waiting.push_back(std::move(done));
  }
  void start() override {}
  void stop() override {}
  void answer(const CheckAnswer& answer) {
    const Done done = std::move(waiting.front());
    waiting.pop_front();
    done(answer);
  }
  std::vector<std::vector<std::uint8_t>> blocks;
  std::deque<Done> waiting;
};

class CheckQueueTest : public testing::Test {
 protected:
  explicit CheckQueueTest(std::size_t max_queued = 100)
      : queue({first, second}, max_queued, [this](std::function<void()> what) { posted.push_back(std::move(what)); }) {
    queue.set_tip(declaration::testing::template_on(1)->prev_hash);
  }
  /// Declares a job on the tip of that name; its answer is written as "2 valid".
  void add(int number, std::uint8_t tip = 1, const std::string& source = "farm") {
    const auto on = declaration::testing::template_on(tip);
    declaration::testing::Declaration made(*on, std::vector<std::uint8_t>{0x51}, {});
    auto job = std::make_shared<declaration::DeclaredJob>();
    job->work = declaration::declare_template(*on, 1, made.coinbase, {});
    queue.add(job, source, [this, number](const CheckAnswer& answer) {
      static constexpr const char* kNames[] = {"valid", "invalid", "stale", "failed"};
      answers.push_back(std::to_string(number) + " " + kNames[static_cast<std::size_t>(answer.verdict)]);
    });
  }
  void run_posted() {
    while (!posted.empty()) {
      const auto what = std::move(posted.front());
      posted.pop_front();
      what();
    }
  }
  void answer(Node& node, BlockCheck verdict) {
    node.answer({verdict, {}});
    run_posted();
  }

  std::shared_ptr<Node> first = std::make_shared<Node>();
  std::shared_ptr<Node> second = std::make_shared<Node>();
  std::deque<std::function<void()>> posted;
  CheckQueue queue;
  std::vector<std::string> answers;
};

TEST_F(CheckQueueTest, AsManyAsTheNodeTakesAreUnderWayAndTheOthersFollowInOrder) {
  for (int i = 0; i < 4; ++i) add(i);
  EXPECT_EQ(first->waiting.size(), 2u);
  answer(*first, BlockCheck::kValid);
  EXPECT_THAT(answers, ElementsAre("0 valid"));
  EXPECT_EQ(first->waiting.size(), 2u);
  answer(*first, BlockCheck::kInvalid);
  answer(*first, BlockCheck::kStale);
  answer(*first, BlockCheck::kValid);
  EXPECT_THAT(answers, ElementsAre("0 valid", "1 invalid", "2 stale", "3 valid"));
  EXPECT_THAT(second->waiting, IsEmpty());
}

TEST_F(CheckQueueTest, ANodeThatGivesNoAnswerIsFollowedByTheNext) {
  add(0);
  answer(*first, BlockCheck::kFailed);
  EXPECT_THAT(answers, IsEmpty());
  ASSERT_EQ(second->waiting.size(), 1u);
  EXPECT_EQ(second->blocks, first->blocks);
  answer(*second, BlockCheck::kValid);
  add(1);
  answer(*first, BlockCheck::kFailed);
  answer(*second, BlockCheck::kFailed);
  EXPECT_THAT(answers, ElementsAre("0 valid", "1 failed"));
}

TEST_F(CheckQueueTest, WhatIsDeclaredOnANewTipWaitsForNothingOfTheOldOne) {
  for (int i = 0; i < 5; ++i) add(i);
  queue.set_tip(declaration::testing::template_on(2)->prev_hash);
  EXPECT_THAT(answers, ElementsAre("2 stale", "3 stale", "4 stale"));
  add(5, 2);
  answer(*first, BlockCheck::kValid);
  EXPECT_THAT(answers.back(), "0 valid");
  EXPECT_EQ(first->waiting.size(), 2u);
  EXPECT_EQ(first->blocks.size(), 3u);
}

TEST_F(CheckQueueTest, AnotherTemplateOnTheSameTipChangesNoTurn) {
  add(0, 1, "a");
  add(1, 1, "a");  // Both are under way.
  add(2, 1, "z");
  add(3, 1, "b");
  queue.set_tip(declaration::testing::template_on(1)->prev_hash);
  for (int i = 0; i < 4; ++i) answer(*first, BlockCheck::kValid);
  EXPECT_THAT(answers, ElementsAre("0 valid", "1 valid", "2 valid", "3 valid"));
}

TEST_F(CheckQueueTest, NoSourceWaitsForAnothersMany) {
  for (int i = 0; i < 10; ++i) add(i, 1, "greedy");
  add(10, 1, "farm");
  answer(*first, BlockCheck::kValid);
  answer(*first, BlockCheck::kValid);
  answer(*first, BlockCheck::kValid);
  answer(*first, BlockCheck::kValid);
  EXPECT_THAT(answers, ElementsAre("0 valid", "1 valid", "2 valid", "10 valid"));
}

class ShortQueue : public CheckQueueTest {
 protected:
  ShortQueue() : CheckQueueTest(8) {}
};

TEST_F(ShortQueue, IsBoundedForEachSourceAndInAll) {
  for (int i = 0; i < 5; ++i) add(i, 1, "a");  // Two are under way.
  EXPECT_THAT(answers, ElementsAre("4 failed"));
  for (int i = 5; i < 8; ++i) add(i, 1, "b");
  for (const char* source : {"c", "d", "e", "f", "g"}) add(8, 1, source);
  EXPECT_THAT(answers, ElementsAre("4 failed", "7 failed", "8 failed"));
}

}  // namespace
}  // namespace adit::pool
