#include "mining/upstream_account.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace adit::mining {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(UpstreamAccount, CountsWhatWasSentAndTheBestOfIt) {
  UpstreamAccount account;
  account.count_submitted(3, 2, false);
  account.count_submitted(9, 2, true);
  account.count_submitted(4, 2.5, false);
  EXPECT_EQ(account.submitted, 3u);
  EXPECT_EQ(account.blocks_found, 1u);
  EXPECT_EQ(account.validated_work, 6.5);
  EXPECT_EQ(account.best_difficulty, 9);
}

TEST(UpstreamAccount, WhatHasAnUpstreamsOwnNameCountsAsUnknown) {
  Rejections counts;
  for (const auto* code : {"stale-share", "go away", "stale-share", "", "not-subscribed"}) count_rejection(counts, code);
  EXPECT_THAT(counts, ElementsAre(Pair("not-subscribed", 1), Pair("stale-share", 2), Pair("unknown", 2)));
}

}  // namespace
}  // namespace adit::mining
