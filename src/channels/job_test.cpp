#include "channels/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "bitcoin/block.h"
#include "bitcoin/tx.h"
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

std::shared_ptr<bitcoin::Template> changeable(std::uint64_t id, std::uint8_t tip) {
  return std::make_shared<bitcoin::Template>(*make_template(id, tip));
}

TEST(Job, ACoinbaseOfAnotherShapePaysOthersAndHasAFrontBeforeItsExtranonce) {
  JobFactory factory = make_factory();
  const auto from = make_template(1, 1);
  const std::vector<bitcoin::TxOutput> payouts = {{.value_sat = from->coinbase_value_sat, .script = {0x51}},
                                                  {.value_sat = 0, .script = {0x6a, 0x01}}};
  const std::vector<std::uint8_t> front = {9, 8, 7};
  const JobPtr job = *factory.make(from, std::nullopt, {.payouts = payouts, .front = front, .extranonce_size = 16});
  EXPECT_EQ(job->extranonce_size, 16U);
  std::vector<std::uint8_t> extranonce(kFullExtranonceSize, 5);
  const auto bytes = job->coinbase_with(extranonce);
  const auto coinbase = *bitcoin::parse_transaction(bytes);
  EXPECT_EQ(coinbase.outputs, payouts);
  const Bytes script = coinbase.inputs[0].script;
  EXPECT_TRUE(std::ranges::equal(script.last(16), Bytes(extranonce).first(16)));
  EXPECT_TRUE(std::ranges::equal(script.last(19).first(3), front));
  EXPECT_EQ(script[script.size() - 16 - 3 - 8 - 1], 8 + 3 + 16) << "one push";
  // What an array has beyond its size is none of it.
  extranonce[16] = 1;
  EXPECT_EQ(job->merkle_root(extranonce), job->merkle_root(std::vector<std::uint8_t>(16, 5)));

  const std::vector<std::uint8_t> long_front(80);
  EXPECT_FALSE(factory.make(from, std::nullopt, {.payouts = payouts, .front = long_front, .extranonce_size = 16}));
}

TEST(Job, AnotherServersJobIsOneOfOursWithAFrontBehindItsPrefix) {
  JobFactory theirs = make_factory();
  wire::FrameBuffer frames;
  const JobPtr given = *theirs.make(make_template(1, 2, testing::kHardBits, 3));
  given->push_group(7, true, frames);
  const std::vector<std::uint8_t> channel_prefix(8, 0x33);
  ClientChannel channel(wire::OpenExtendedMiningChannelSuccess{.channel_id = 7,
                                                               .target = bitcoin::U256::max().to_le(),
                                                               .extranonce_size = 16,
                                                               .extranonce_prefix = Bytes(channel_prefix)});
  auto frame = frames.begin();
  const auto message = *(*frame).as<wire::NewExtendedMiningJob>();
  ASSERT_TRUE(channel.on_new_extended_mining_job(message, copy_work(message)));
  const auto active = channel.on_set_new_prev_hash(*(*++frame).as<wire::SetNewPrevHash>());
  ASSERT_TRUE(active);

  JobFactory ours = make_factory();
  const JobPtr before = *ours.make(make_template(1, 1));
  const std::vector<std::uint8_t> front(4);
  const JobPtr adopted = ours.adopt(**active, 102, front, 12);
  EXPECT_EQ(adopted->id, before->id + 1);
  EXPECT_TRUE(adopted->new_tip);
  EXPECT_FALSE(adopted->transactions_known);
  EXPECT_EQ(adopted->block_template->height, 102U);
  EXPECT_EQ(adopted->rules.prev_hash, given->rules.prev_hash);
  const std::vector<std::uint8_t> extranonce(12, 5);
  std::vector<std::uint8_t> rolled = front;
  rolled.insert(rolled.end(), extranonce.begin(), extranonce.end());
  EXPECT_EQ(adopted->merkle_root(extranonce), (*active)->merkle_root(rolled));
  std::vector<std::uint8_t> full = channel_prefix;
  full.insert(full.end(), rolled.begin(), rolled.end());
  EXPECT_EQ(adopted->merkle_root(extranonce), given->merkle_root(full)) << "and it is that server's";

  const JobPtr own = *ours.make(make_template(2, 2));
  EXPECT_FALSE(own->new_tip) << "what was found on the other job is of this tip";
  const auto early = changeable(3, 3);
  early->min_ntime = testing::kNtime - 500;
  const JobPtr next = *ours.make(early);
  EXPECT_TRUE(next->new_tip);
  EXPECT_EQ(next->rules.min_ntime, early->min_ntime);
}

TEST(Job, AfterAnotherServersJobTheTemplatesOwnTimeIsTheTipsLeast) {
  JobFactory factory = make_factory();
  ClientJob theirs;
  theirs.work = std::make_shared<const ExtendedWork>();
  theirs.rules.prev_hash = testing::hash_of(1);
  theirs.rules.nbits = testing::kHardBits;
  theirs.rules.network_target = *bitcoin::target_from_compact(testing::kHardBits);
  theirs.ntime = theirs.rules.min_ntime = testing::kNtime + 200;
  EXPECT_EQ(factory.adopt(theirs, 101, {}, 16)->ntime, testing::kNtime + 200);
  for (int i = 0; i < 2; ++i) {
    const JobPtr own = *factory.make(make_template(1, 1));
    EXPECT_FALSE(own->new_tip);
    EXPECT_EQ(own->rules.min_ntime, testing::kNtime);
    EXPECT_EQ(own->ntime, testing::kNtime + 200) << "no later one starts before";
  }
}

TEST(Job, NoJobOfATipStartsBeforeItsFirst) {
  JobFactory factory = make_factory();
  const JobPtr first = *factory.make(make_template(1, 1));
  auto later = changeable(2, 1);
  later->current_time += 30;
  const JobPtr refresh = *factory.make(later);
  EXPECT_EQ(refresh->ntime, testing::kNtime + 30);
  EXPECT_EQ(refresh->rules.min_ntime, testing::kNtime);
  auto earlier = changeable(3, 1);
  earlier->current_time -= 30;
  EXPECT_EQ((*factory.make(earlier))->ntime, testing::kNtime) << "the source's clock went back";
}

TEST(Job, ATipsSmallestTimeIsTheTemplatesLeastWhateverClockIsWrong) {
  JobFactory factory = make_factory();
  const UnixTime ours = from_u32(testing::kNtime);
  auto ahead = changeable(1, 1);
  ahead->min_ntime = testing::kNtime - 3600;
  ahead->current_time =
      testing::kNtime + 3 * 3600;  // The node's clock is three hours ahead at the tip, and right a moment later.
  const JobPtr first = *factory.make(ahead, ours);
  EXPECT_EQ(first->rules.min_ntime, testing::kNtime - 3600);
  EXPECT_EQ(first->ntime, testing::kNtime + kMaxClockLead);
  EXPECT_EQ(first->rules.clock_ahead, 3u * 3600);
  auto right = changeable(2, 1);
  right->min_ntime = testing::kNtime - 3600;
  const JobPtr refresh = *factory.make(right, ours);
  EXPECT_EQ(refresh->rules.min_ntime, testing::kNtime - 3600);
  for (const std::uint32_t ntime : {testing::kNtime, testing::kNtime + kMaxClockLead}) {
    const Share share{.job_id = refresh->id, .ntime = ntime, .version = refresh->rules.version, .extranonce = {}};
    EXPECT_EQ(check_header_fields(refresh->rules, share, to_u32(ours)), ShareVerdict::kAccepted) << ntime;
  }
}

TEST(Job, IfOursIsTheClockThatIsBehindNoShareOfTheNodesTimeIsRefused) {
  JobFactory factory = make_factory();
  const std::uint32_t ours = testing::kNtime - 5 * 3600;
  auto made = changeable(1, 1);
  made->min_ntime = testing::kNtime - 3600;  // The chain itself is ahead of our clock.
  const JobPtr job = *factory.make(made, from_u32(ours));
  EXPECT_EQ(job->ntime, testing::kNtime - 3600);
  Share share{.job_id = job->id, .ntime = testing::kNtime + 7200, .version = job->rules.version, .extranonce = {}};
  EXPECT_EQ(check_header_fields(job->rules, share, ours), ShareVerdict::kAccepted);
  ++share.ntime;
  EXPECT_EQ(check_header_fields(job->rules, share, ours), ShareVerdict::kInvalidTime);
  share.ntime = testing::kNtime - 3601;
  EXPECT_EQ(check_header_fields(job->rules, share, ours), ShareVerdict::kInvalidTime);
}

// Our clock is set while the pool runs, either way: shares of the jobs at hand and of those to come count.
TEST(Job, AClockThatJumpsWhileRunningMakesNoValidShareInvalid) {
  for (const std::int64_t jump : {-5 * 3600, -3 * 3600, -60, 60, 3 * 3600, 5 * 3600}) {
    JobFactory factory = make_factory();
    auto first = changeable(1, 1);
    first->min_ntime = testing::kNtime - 3600;
    const JobPtr before = *factory.make(first, from_u32(testing::kNtime));
    const auto jumped = static_cast<std::uint32_t>(testing::kNtime + jump);
    const auto verdict = [&](const Job& job, std::uint32_t ntime) {
      const Share share{.job_id = job.id, .ntime = ntime, .version = job.rules.version, .extranonce = {}};
      return check_header_fields(job.rules, share, jumped);
    };
    EXPECT_EQ(verdict(*before, testing::kNtime), ShareVerdict::kAccepted) << jump;
    EXPECT_EQ(verdict(*before, testing::kNtime + 600), ShareVerdict::kAccepted) << jump << ": a miner that rolls its time";
    auto second = changeable(2, 1);
    second->min_ntime = testing::kNtime - 3600;
    second->current_time = testing::kNtime + 30;  // The node's clock is right.
    const JobPtr after = *factory.make(second, from_u32(jumped));
    for (const std::uint32_t ntime : {before->ntime, after->ntime, testing::kNtime + 30, testing::kNtime + 630}) {
      EXPECT_EQ(verdict(*after, ntime), ShareVerdict::kAccepted) << jump << ", " << ntime - testing::kNtime;
    }
    auto next_tip = changeable(3, 2);
    next_tip->min_ntime = testing::kNtime - 3500;
    next_tip->current_time = testing::kNtime + 60;
    const JobPtr tip = *factory.make(next_tip, from_u32(jumped));
    EXPECT_EQ(verdict(*tip, tip->ntime), ShareVerdict::kAccepted) << jump;
    EXPECT_EQ(verdict(*tip, testing::kNtime + 60), ShareVerdict::kAccepted) << jump;
  }
}

// Specimen: one previous hash, bits 1a0fffff and then 1d00ffff (testnet4 after twenty minutes), and back.
TEST(Job, BitsThatChangeWithoutANewTipAreToldLikeOne) {
  JobFactory factory = make_factory();
  JobSet jobs;
  std::uint64_t id = 0;
  for (const std::uint32_t nbits : {0x1a0fffffu, 0x1d00ffffu, 0x1a0fffffu}) {
    auto made = changeable(++id, 1);
    made->nbits = nbits;
    const JobPtr job = *factory.make(made);
    EXPECT_TRUE(job->new_tip);
    const std::vector<wire::FrameView> frames(job->group_frames.begin(), job->group_frames.end());
    ASSERT_EQ(frames.size(), 2u);
    EXPECT_FALSE(frames[0].as<wire::NewExtendedMiningJob>()->min_ntime) << "a future job";
    EXPECT_EQ(frames[1].as<wire::SetNewPrevHash>()->nbits, nbits);
    EXPECT_EQ(frames[1].as<wire::SetNewPrevHash>()->prev_hash, testing::hash_of(1));
    jobs.add(job);
    EXPECT_EQ(jobs.current()->rules.nbits, nbits);
    EXPECT_EQ(jobs.find(job->id - 1), nullptr) << "a header with the old bits is no block any more";
    auto refreshed = changeable(++id, 1);
    refreshed->nbits = nbits;
    const JobPtr refresh = *factory.make(refreshed);
    EXPECT_FALSE(refresh->new_tip);
    jobs.add(refresh);
  }
}

TEST(Job, ATimeWithWhichTheBitsDoNotHoldIsNone) {
  JobFactory factory = make_factory();
  auto made = changeable(1, 1);
  made->max_ntime = testing::kNtime + 40;
  const JobPtr job = *factory.make(made);
  EXPECT_EQ(job->ntime, testing::kNtime);
  Share share{.job_id = job->id, .ntime = testing::kNtime + 40, .version = job->rules.version, .extranonce = {}};
  EXPECT_EQ(check_header_fields(job->rules, share, testing::kNtime), ShareVerdict::kAccepted);
  ++share.ntime;
  EXPECT_EQ(check_header_fields(job->rules, share, testing::kNtime), ShareVerdict::kInvalidTime);
  auto later = changeable(2, 1);
  later->current_time += 100;
  later->max_ntime = testing::kNtime + 40;
  EXPECT_EQ((*factory.make(later))->ntime, testing::kNtime + 40);
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
