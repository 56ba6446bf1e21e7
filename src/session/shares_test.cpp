#include "session/shares.h"

#include <map>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace adit::session {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kChannel = 5;

Instant at(Duration since) { return Instant(1h) + since; }

class Shares : public testing::Test {
 protected:
  std::vector<StratumV2StreamHandler::Answer> accept(std::uint32_t last, std::uint32_t count, Duration when = 0s,
                                                     std::uint32_t channel = kChannel) {
    std::vector<StratumV2StreamHandler::Answer> heard;
    shares.on_answer(
        wire::SubmitSharesSuccess{.channel_id = channel, .last_sequence_number = last, .new_submits_accepted_count = count},
        at(when), [&](const auto& answer) { heard.push_back(answer); });
    return heard;
  }
  std::vector<StratumV2StreamHandler::Answer> reject(std::uint32_t number, std::uint32_t channel = kChannel) {
    std::vector<StratumV2StreamHandler::Answer> heard;
    shares.on_answer(wire::SubmitSharesError{.channel_id = channel, .sequence_number = number}, at(0s),
                     [&](const auto& answer) { heard.push_back(answer); });
    return heard;
  }

  StratumV2StreamHandler shares;
};

TEST_F(Shares, ASuccessAnswersAllUpToItsNumberThatWereNotAnsweredBefore) {
  for (std::uint32_t i = 1; i <= 5; ++i) EXPECT_EQ(shares.submit(kChannel, at(i * 1ms), 100 + i), i);
  EXPECT_EQ(shares.unanswered(), 5u);
  const auto rejected = reject(2);
  ASSERT_EQ(rejected.size(), 1u);
  EXPECT_EQ(rejected[0].tag, 102u);
  const auto accepted = accept(4, 3, 20ms);
  ASSERT_EQ(accepted.size(), 3u);
  EXPECT_EQ(accepted[0].tag, 101u);
  EXPECT_EQ(accepted[1].sequence_number, 3u);
  EXPECT_EQ(accepted[2].sequence_number, 4u);
  EXPECT_EQ(accepted[2].round_trip, 16ms);
  EXPECT_EQ(shares.unanswered(), 1u);
  EXPECT_EQ(shares.accepted(), 3u);
  EXPECT_EQ(shares.rejected(), 1u);
}

TEST_F(Shares, WhatIsAnsweredTwiceOrWasNeverSubmittedAnswersNothing) {
  shares.submit(kChannel, at(0s));
  shares.submit(kChannel, at(0s));
  EXPECT_TRUE(accept(0, 9).empty());
  EXPECT_TRUE(accept(3, 9).empty()) << "not submitted yet";
  EXPECT_TRUE(accept(UINT32_MAX, 9).empty());
  EXPECT_TRUE(accept(1, 1, 0s, kChannel + 1).empty()) << "another channel";
  EXPECT_TRUE(reject(0).empty());
  EXPECT_TRUE(reject(3).empty());
  EXPECT_TRUE(reject(1, kChannel + 1).empty());
  EXPECT_EQ(shares.unanswered(), 2u);
  EXPECT_EQ(reject(1).size(), 1u);
  EXPECT_TRUE(reject(1).empty());
  EXPECT_EQ(accept(2, 1).size(), 1u);
  EXPECT_TRUE(accept(2, 1).empty());
  EXPECT_EQ(shares.unanswered(), 0u);
}

TEST_F(Shares, EachChannelCountsForItselfAndTheSessionForAll) {
  for (std::uint32_t channel = 1; channel <= 3; ++channel) {
    EXPECT_EQ(shares.submit(channel, at(0s)), 1u);
    EXPECT_EQ(shares.submit(channel, at(0s)), 2u);
  }
  EXPECT_EQ(accept(2, 2, 0s, 2).size(), 2u);
  EXPECT_EQ(shares.unanswered(), 4u);
}

TEST_F(Shares, AClosedChannelsSharesAreStillWaitedFor) {
  shares.submit(kChannel, at(0s));
  shares.close(kChannel);
  shares.close(kChannel + 1);
  EXPECT_EQ(shares.unanswered(), 1u);
  EXPECT_EQ(accept(1, 1).size(), 1u);
  EXPECT_EQ(shares.unanswered(), 0u);
  EXPECT_TRUE(accept(1, 1).empty());
}

TEST_F(Shares, AChannelIdThatIsUsedAgainBeginsAnew) {
  shares.submit(kChannel, at(0s), 1);
  shares.close(kChannel);
  EXPECT_EQ(shares.submit(kChannel, at(0s), 2), 1u);
  EXPECT_EQ(shares.unanswered(), 1u);
  const auto heard = accept(1, 1);
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0].tag, 2u);
}

TEST_F(Shares, BeyondTheBoundTheOldestAreOnlyCounted) {
  constexpr auto kMost = static_cast<std::uint32_t>(StratumV2StreamHandler::kMostRemembered);
  for (std::uint32_t i = 0; i < kMost + 10; ++i) shares.submit(kChannel, at(0s));
  EXPECT_EQ(shares.unanswered(), kMost + 10);
  EXPECT_TRUE(reject(1).empty()) << "not remembered";
  EXPECT_EQ(shares.unanswered(), kMost + 9);
  EXPECT_TRUE(accept(5, 4).empty());
  EXPECT_EQ(shares.unanswered(), kMost + 5);
  EXPECT_EQ(accept(kMost + 10, kMost + 5).size(), kMost);
  EXPECT_EQ(shares.unanswered(), 0u);
}

/// Against the plain way to say the same: a map of what is under way.
TEST_F(Shares, HoweverAnswersComeTheyMatchWhatIsUnderWay) {
  std::mt19937 random(7);
  std::map<std::uint32_t, std::set<std::uint32_t>> under_way;
  std::map<std::uint32_t, std::uint32_t> last;
  for (int step = 0; step < 200'000; ++step) {
    const std::uint32_t channel = random() % 3;
    auto& model = under_way[channel];
    switch (random() % 4) {
      case 0:
      case 1:
        if (model.size() < 200) {
          last[channel] = shares.submit(channel, at(0s), last[channel] + 1);
          model.insert(last[channel]);
        }
        break;
      case 2: {
        const std::uint32_t number = last[channel] - random() % 20;
        EXPECT_EQ(reject(number, channel).size(), model.erase(number));
        break;
      }
      default: {
        const std::uint32_t number = last[channel] - random() % 20;
        if (number > last[channel] || number == 0) break;
        const auto heard = accept(number, 1, 0s, channel);
        std::vector<std::uint64_t> expected;
        while (!model.empty() && *model.begin() <= number) {
          expected.push_back(*model.begin());
          model.erase(model.begin());
        }
        ASSERT_EQ(heard.size(), expected.size());
        for (std::size_t i = 0; i < heard.size(); ++i) ASSERT_EQ(heard[i].tag, expected[i]);
      }
    }
    std::size_t all = 0;
    for (const auto& [id, numbers] : under_way) all += numbers.size();
    ASSERT_EQ(shares.unanswered(), all);
  }
}

}  // namespace
}  // namespace adit::session
