#include "mining/sources.h"

#include <gtest/gtest.h>

#include <string>

namespace adit::mining {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr Instant kStart{std::chrono::hours(1)};

class SourcesTest : public ::testing::Test {
 protected:
  SourcePolicy policy_{.max_opens = 3, .allowance = 20};
  channels::MemoryBudget memory_{1 << 20};
  Sources sources_{policy_, memory_};
};

TEST_F(SourcesTest, OneNameIsOneSourceAndNoNameIsOneOfItsOwn) {
  EXPECT_EQ(sources_.of("a", kStart), sources_.of("a", kStart));
  EXPECT_NE(sources_.of("a", kStart), sources_.of("b", kStart));
  EXPECT_NE(sources_.of("", kStart), sources_.of("", kStart));
}

TEST_F(SourcesTest, OpensAreRationedByTipAndByTimeAndGrowWithWork) {
  Source& source = *sources_.of("a", kStart);
  const auto open_all = [&](std::uint32_t tip, Instant now) {
    int opened = 0;
    for (; source.may_open(tip, now); ++opened) source.count_open();
    return opened;
  };
  EXPECT_EQ(open_all(1, kStart), 3);
  source.count_accepted();
  source.count_accepted();
  EXPECT_EQ(open_all(1, kStart), 2) << "one more for each accepted share";
  EXPECT_EQ(open_all(1, kStart + minutes(9)), 0);
  EXPECT_EQ(open_all(2, kStart + minutes(9)), 3) << "a new tip";
  EXPECT_EQ(open_all(2, kStart + minutes(19)), 3) << "no tip for ten minutes";
}

TEST_F(SourcesTest, WhatPeersCostComesBackWithTimeAndWithWork) {
  Source& source = *sources_.of("a", kStart);
  for (int i = 0; i < 19; ++i) EXPECT_TRUE(source.charge(1, kStart)) << i;
  EXPECT_FALSE(source.charge(1, kStart));
  for (int i = 0; i < 10; ++i) source.count_accepted();
  EXPECT_TRUE(source.charge(5, kStart)) << "work";
  EXPECT_FALSE(source.charge(Source::kBadPayload, kStart));
  EXPECT_FALSE(source.charge(0, kStart + minutes(9)));
  EXPECT_TRUE(source.charge(0, kStart + minutes(11))) << "what it owes is bounded";
  for (int i = 0; i < 100'000; ++i) source.count_accepted();
  int spent = 0;
  while (source.charge(1, kStart + minutes(11))) ++spent;
  EXPECT_EQ(spent, 10 * policy_.allowance - 1) << "so is what it has saved";
}

TEST_F(SourcesTest, OnlyWhoOwesSomethingIsRememberedAndOnlySoMany) {
  sources_.of("owes", kStart)->charge(5, kStart);
  for (std::size_t i = 0; i < 3 * Sources::kMaxIdle; ++i) (void)sources_.of(std::to_string(i), kStart);
  EXPECT_LE(sources_.size(), 2 * Sources::kMaxIdle);
  EXPECT_FALSE(sources_.of("owes", kStart)->is_forgettable(kStart));
  const auto held = sources_.of("held", kStart);
  for (std::size_t i = 0; i < 6 * Sources::kMaxIdle; ++i) sources_.of("b" + std::to_string(i), kStart)->charge(5, kStart);
  EXPECT_LE(sources_.size(), 2 * Sources::kMaxIdle);
  EXPECT_EQ(sources_.of("held", kStart), held) << "who has a session stays";
}

}  // namespace
}  // namespace adit::mining
