#include "channels/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "bitcoin/block.h"
#include "channels/channel_testing.h"
#include "channels/error.h"
#include "channels/extranonce.h"
#include "wire/messages.h"

namespace adit::channels {
namespace {

using testing::make_factory;
using testing::make_template;

TEST(Job, IdsCountUpAndATipsFirstJobSaysSo) {
  JobFactory factory = make_factory();
  const JobPtr first = *factory.make(make_template(1, 1));
  const JobPtr refresh = *factory.make(make_template(2, 1));
  const JobPtr next = *factory.make(make_template(3, 2));
  EXPECT_EQ(first->id, 1u);
  EXPECT_EQ(refresh->id, 2u);
  EXPECT_EQ(next->id, 3u);
  EXPECT_TRUE(first->new_tip);
  EXPECT_FALSE(refresh->new_tip);
  EXPECT_TRUE(next->new_tip);
}

TEST(Job, ATipsSmallestTimeIsThatOfItsFirstJob) {
  JobFactory factory = make_factory();
  const JobPtr first = *factory.make(make_template(1, 1));
  auto later = std::make_shared<bitcoin::Template>(*make_template(2, 1));
  later->current_time += 30;
  const JobPtr refresh = *factory.make(later);
  EXPECT_EQ(refresh->ntime, testing::kNtime + 30);
  EXPECT_EQ(refresh->rules.min_ntime, testing::kNtime);
  auto earlier = std::make_shared<bitcoin::Template>(*make_template(3, 1));
  earlier->current_time -= 30;
  EXPECT_EQ((*factory.make(earlier))->ntime, testing::kNtime) << "the source's clock went back";
}

TEST(Job, GroupFramesOfANewTipAreAFutureJobAndItsSetNewPrevHash) {
  JobFactory factory = make_factory();
  const JobPtr job = *factory.make(make_template(1, 1, testing::kHardBits, 3));
  std::vector<wire::FrameView> frames(job->group_frames.begin(), job->group_frames.end());
  ASSERT_EQ(frames.size(), 2u);
  const auto work = frames[0].as<wire::NewExtendedMiningJob>();
  ASSERT_TRUE(work);
  EXPECT_EQ(work->channel_id, kGroupChannelId);
  EXPECT_EQ(work->job_id, job->id);
  EXPECT_FALSE(work->min_ntime);
  EXPECT_TRUE(work->version_rolling_allowed);
  EXPECT_EQ(work->merkle_path.size(), 3u);
  const auto tip = frames[1].as<wire::SetNewPrevHash>();
  ASSERT_TRUE(tip);
  EXPECT_EQ(tip->job_id, job->id);
  EXPECT_EQ(tip->prev_hash, testing::hash_of(1));
  EXPECT_EQ(tip->min_ntime, testing::kNtime);
}

TEST(Job, ARefreshOnTheSameTipIsAnImmediateJob) {
  JobFactory factory = make_factory();
  ASSERT_TRUE(factory.make(make_template(1, 1)));
  const JobPtr job = *factory.make(make_template(2, 1));
  std::vector<wire::FrameView> frames(job->group_frames.begin(), job->group_frames.end());
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].as<wire::NewExtendedMiningJob>()->min_ntime, testing::kNtime);
}

TEST(Job, MerkleRootIsThatOfTheAssembledBlock) {
  JobFactory factory = make_factory();
  const JobPtr job = *factory.make(make_template(1, 1));
  const std::vector<std::uint8_t> extranonce(kFullExtranonceSize, 0x5a);
  const auto block = bitcoin::assemble_block(
      *job->block_template,
      {.version = job->rules.version, .ntime = job->ntime, .nonce = 9, .coinbase = job->coinbase_with(extranonce)});
  ASSERT_TRUE(block);
  const auto parsed = bitcoin::parse_block(block->bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->header.merkle_root, job->merkle_root(extranonce));
}

TEST(Job, NoTwoJobsHaveTheSameCoinbase) {
  std::set<std::vector<std::uint8_t>> coinbases;
  for (const std::uint64_t salt : {std::uint64_t{0}, std::uint64_t{0x0123456789abcdef}, std::uint64_t{1} << 63}) {
    // Two processes that pay the same script, on one template again and again.
    JobFactory factory({.payout_script = {0x51}, .pool_signature = "test", .salt = salt});
    for (int i = 0; i < 100; ++i) {
      const JobPtr job = *factory.make(make_template(1, 1));
      EXPECT_TRUE(coinbases.insert(job->coinbase_with(std::vector<std::uint8_t>(kFullExtranonceSize))).second);
    }
  }
}

TEST(Job, ASignatureTooLongForTheCoinbaseIsAnErrorThatNamesIt) {
  JobFactory factory({.payout_script = {0x51}, .pool_signature = std::string(80, 'x')});
  const auto job = factory.make(make_template(1, 1));
  ASSERT_FALSE(job);
  EXPECT_TRUE(job.error().is(Errc::kCoinbase));
  EXPECT_THAT(job.error().message(), ::testing::HasSubstr("pool_signature"));
}

TEST(JobSet, KeepsTheCurrentJobAndABoundedNumberOfPastOnes) {
  JobFactory factory = make_factory();
  JobSet jobs(2);
  EXPECT_EQ(jobs.current(), nullptr);
  for (std::uint64_t i = 1; i <= 5; ++i) jobs.add(*factory.make(make_template(i, 1)));
  EXPECT_EQ(jobs.current()->id, 5u);
  EXPECT_EQ(jobs.find(2), nullptr);
  for (const std::uint32_t id : {3u, 4u, 5u}) {
    ASSERT_NE(jobs.find(id), nullptr);
    EXPECT_EQ(jobs.find(id)->id, id);
  }
  EXPECT_EQ(jobs.find(6), nullptr);
}

TEST(JobSet, ANewTipVoidsAllOtherJobs) {
  JobFactory factory = make_factory();
  JobSet jobs;
  jobs.add(*factory.make(make_template(1, 1)));
  jobs.add(*factory.make(make_template(2, 1)));
  jobs.add(*factory.make(make_template(3, 2)));
  EXPECT_EQ(jobs.find(1), nullptr);
  EXPECT_EQ(jobs.find(2), nullptr);
  EXPECT_NE(jobs.find(3), nullptr);
}

}  // namespace
}  // namespace adit::channels
