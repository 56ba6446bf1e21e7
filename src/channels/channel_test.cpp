#include "channels/channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "channels/channel_testing.h"
#include "wire/messages.h"

namespace adit::channels {
namespace {

using std::chrono::seconds;
using testing::kNow;
using testing::make_template;
using testing::mine;

/// Ends the channel when it goes out of scope: before whatever was declared above it.
struct ChannelEnds {
  std::optional<Channel>& channel;
  ~ChannelEnds() { channel.reset(); }
};

class ChannelTest : public ::testing::TestWithParam<ChannelKind> {
 protected:
  ChannelTest() { new_job(1); }

  void new_job(std::uint8_t tip, std::uint32_t nbits = testing::kHardBits) {
    jobs_.add(*factory_.make(make_template(++templates_, tip, nbits, 2)));
  }
  /// The shard's current job changes and the channel gets it, as a group's member does.
  void give_job(std::uint8_t tip, std::uint32_t nbits = testing::kHardBits) {
    new_job(tip, nbits);
    channel_->follow(jobs_);
  }
  const Job& job() const { return *jobs_.current(); }

  Result<Channel> open(double hash_rate, bitcoin::U256 max_target = bitcoin::U256::max()) {
    return Channel::open({.kind = GetParam(), .id = 2, .nominal_hash_rate_hps = hash_rate, .max_target = max_target}, "worker",
                         std::move(*extranonces_.allocate()), policy_, kNow.instant);
  }
  void open_and_start() {
    channel_.emplace(std::move(*open(1)));
    wire::FrameBuffer out;
    channel_->start(job(), out);
  }

  Bytes extranonce() const { return Bytes(rolled_).first(channel_->extranonce_size()); }

  /// A share of `job` that meets the channel's target but not the network's.
  Share good_share(const Job& of, std::uint32_t first_nonce = 0) {
    Share share{.job_id = of.id,
                .sequence_number = ++sequence_,
                .nonce = first_nonce,
                .ntime = testing::kNtime,
                .version = of.rules.version,
                .extranonce = extranonce()};
    return mine(of, share, channel_->full_extranonce(extranonce()), channel_->target(), of.rules.network_target);
  }
  Share good_share() { return good_share(job(), next_nonce_ += 10'000'000); }

  ShareVerdict submit(const Share& share) { return channel_->submit(jobs_, share, kNow.unix_time).verdict; }

  ChannelPolicy policy_{.shares_per_minute = 6, .share_batch_size = 3, .min_hash_rate_hps = 1};
  ExtranonceAllocator extranonces_{{.server_id = 1}};
  JobFactory factory_ = testing::make_factory();
  JobSet jobs_{3};
  std::optional<Channel> channel_;
  std::uint64_t templates_ = 0;
  std::uint32_t sequence_ = 0;
  std::uint32_t next_nonce_ = 0;
  std::array<std::uint8_t, kRollableExtranonceSize> rolled_{1, 2, 3};
};

INSTANTIATE_TEST_SUITE_P(Kinds, ChannelTest, ::testing::Values(ChannelKind::kStandard, ChannelKind::kExtended),
                         [](const auto& info) { return info.param == ChannelKind::kStandard ? "Standard" : "Extended"; });

TEST_P(ChannelTest, AnExtranonceOfAnotherSizeIsJudgedAlike) {
  policy_.rollable_extranonce_size = 8;
  const auto from = make_template(++templates_, 2, testing::kHardBits, 2);
  const bitcoin::TxOutput payout{.value_sat = from->coinbase_value_sat, .script = {0x51}};
  jobs_.add(*factory_.make(from, std::nullopt, {.payouts = {&payout, 1}, .front = {}, .extranonce_size = 16}));
  open_and_start();
  EXPECT_EQ(channel_->extranonce_prefix().size() + channel_->extranonce_size(), 16U);
  EXPECT_EQ(submit(good_share()), ShareVerdict::kAccepted);
  if (GetParam() == ChannelKind::kStandard) return;
  auto share = good_share();
  share.extranonce = rolled_;
  EXPECT_EQ(submit(share), ShareVerdict::kBadExtranonceSize);
}

TEST_P(ChannelTest, NoTargetIsHarderThanThePolicysHardest) {
  open_and_start();
  const auto before = channel_->target();
  policy_.hardest_target = before + before;
  EXPECT_TRUE(channel_->adjust(jobs_, kNow.instant + seconds(1)));
  EXPECT_EQ(channel_->target(), policy_.hardest_target);
  EXPECT_FALSE(channel_->adjust(jobs_, kNow.instant + seconds(2)));
  // A miner's own bound stands above it.
  channel_.reset();
  channel_.emplace(std::move(*open(1, before)));
  EXPECT_EQ(channel_->target(), before);
}

TEST_P(ChannelTest, WithoutTwinsAJobComesOnce) {
  policy_.twins = false;
  open_and_start();
  wire::FrameBuffer out;
  channel_->send_twin(jobs_, kNow.instant, out);
  EXPECT_TRUE(out.empty());
}

TEST_P(ChannelTest, FirstJobIsAFutureJobFollowedBySetNewPrevHash) {
  channel_.emplace(std::move(*open(1)));
  wire::FrameBuffer out;
  channel_->start(job(), out);
  std::vector<wire::FrameView> frames(out.begin(), out.end());
  ASSERT_EQ(frames.size(), 2u);
  if (GetParam() == ChannelKind::kStandard) {
    const auto work = frames[0].as<wire::NewMiningJob>();
    ASSERT_TRUE(work);
    EXPECT_FALSE(work->min_ntime);
    EXPECT_EQ(work->merkle_root, job().merkle_root(channel_->full_extranonce({})));
  } else {
    const auto work = frames[0].as<wire::NewExtendedMiningJob>();
    ASSERT_TRUE(work);
    EXPECT_FALSE(work->min_ntime);
  }
  const auto tip = frames[1].as<wire::SetNewPrevHash>();
  ASSERT_TRUE(tip);
  EXPECT_EQ(tip->channel_id, 2u);
  EXPECT_EQ(tip->job_id, job().id);
}

TEST_P(ChannelTest, SetNewPrevHashFollowsEveryNewTipAndOnlyThat) {
  open_and_start();
  wire::FrameBuffer out;
  new_job(1);
  channel_->send_job(jobs_, out, out);
  EXPECT_EQ(std::ranges::distance(out.begin(), out.end()), 1);
  out.clear();
  new_job(2);
  channel_->send_job(jobs_, out, out);
  std::vector<wire::FrameView> frames(out.begin(), out.end());
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_TRUE(frames[1].is<wire::SetNewPrevHash>());
}

TEST_P(ChannelTest, AcceptsAGoodShare) {
  open_and_start();
  EXPECT_EQ(submit(good_share()), ShareVerdict::kAccepted);
  EXPECT_EQ(channel_->stats().accepted, 1u);
  EXPECT_EQ(channel_->stats().work_sum, Work::of(channel_->target()));
  EXPECT_GE(channel_->best_difficulty(), bitcoin::difficulty_from_target(channel_->target()));
}

TEST_P(ChannelTest, AShareHasItsHeadersHashWhetherItRollsItsVersionOrNotAndWhateverItIsHashedWith) {
  open_and_start();
  give_job(1);
  give_job(1);
  std::vector<Share> shares;
  for (const std::uint32_t back : {0u, 1u, 2u}) {
    for (const std::uint32_t rolled : {0u, 0x20u, 0x1fffffe0u}) {
      shares.push_back({.job_id = job().id - back,
                        .nonce = ++next_nonce_,
                        .ntime = testing::kNtime + back,
                        .version = job().rules.version ^ rolled,
                        .extranonce = extranonce()});
    }
  }
  const auto expected = [&](const Share& share) {
    const Job& of = *jobs_.find(share.job_id);
    const auto root = of.merkle_root(channel_->full_extranonce(extranonce()));
    return bitcoin::sha256d_header(share_header(of.rules, share, root));
  };
  for (const Share& first : shares) {
    for (const Share& second : shares) {
      PreparedShare one, two;
      channel_->prepare(jobs_, first, kNow.unix_time, one);
      channel_->prepare(jobs_, second, kNow.unix_time, two);
      hash(one, two);
      ASSERT_EQ(one.judged.hash, expected(first));
      ASSERT_EQ(two.judged.hash, expected(second));
      hash(one);
      ASSERT_EQ(one.judged.hash, expected(first));
    }
  }
}

TEST_P(ChannelTest, StaleShareIsRefusedAfterNewPrevHash) {
  open_and_start();
  const Share share = good_share();
  give_job(2);
  EXPECT_EQ(submit(share), ShareVerdict::kStale);
  EXPECT_EQ(channel_->stats().rejected[static_cast<std::size_t>(ShareVerdict::kStale)], 1u);
  EXPECT_EQ(share_error_code(ShareVerdict::kStale), "stale-share");
}

TEST_P(ChannelTest, PastJobsOfTheTipStayValidUpToTheBound) {
  open_and_start();
  const Share first = good_share();
  for (int i = 0; i < 3; ++i) give_job(1);
  EXPECT_EQ(submit(first), ShareVerdict::kAccepted);
  const Share again = good_share(*jobs_.find(1), 1u << 31);
  give_job(1);
  EXPECT_EQ(submit(again), ShareVerdict::kStale);
}

TEST_P(ChannelTest, AJobThatTheChannelNeverGotIsInvalid) {
  new_job(1);
  open_and_start();  // With job 2.
  Share share = good_share();
  share.job_id = 1;
  EXPECT_EQ(submit(share), ShareVerdict::kInvalidJob) << "valid for others, but not given to this channel";
  share.job_id = 3;
  EXPECT_EQ(submit(share), ShareVerdict::kInvalidJob);
  share.job_id = 0;
  EXPECT_EQ(submit(share), ShareVerdict::kInvalidJob);
  share.job_id = std::numeric_limits<std::uint32_t>::max();
  EXPECT_EQ(submit(share), ShareVerdict::kInvalidJob);
}

TEST_P(ChannelTest, ExtranonceOfTheWrongSizeIsRefused) {
  open_and_start();
  Share share = good_share();
  const std::array<std::uint8_t, 32> bytes{};
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    if (size == channel_->extranonce_size()) continue;
    share.extranonce = Bytes(bytes).first(size);
    EXPECT_EQ(submit(share), ShareVerdict::kBadExtranonceSize) << size;
  }
}

TEST_P(ChannelTest, TimeBeforeTheTipsOrTwoHoursAheadIsRefused) {
  open_and_start();
  Share share = good_share();
  share.ntime = testing::kNtime - 1;
  EXPECT_EQ(submit(share), ShareVerdict::kInvalidTime);
  share.ntime = to_u32(kNow.unix_time) + 7201;
  EXPECT_EQ(submit(share), ShareVerdict::kInvalidTime);
  share.ntime = to_u32(kNow.unix_time) + 7200;
  EXPECT_THAT(submit(share), ::testing::AnyOf(ShareVerdict::kTooEasy, ShareVerdict::kAccepted))
      << "the hash is another one now";
  EXPECT_EQ(share_error_code(ShareVerdict::kInvalidTime), "invalid-share");
}

TEST_P(ChannelTest, BitsThatChangeWithoutANewTipMakeOlderSharesStaleAndTheNewBitsCount) {
  open_and_start();
  const Share old = good_share();
  give_job(1, 0x1b00ffff);
  EXPECT_TRUE(job().new_tip);
  EXPECT_EQ(submit(old), ShareVerdict::kStale);
  EXPECT_EQ(submit(good_share()), ShareVerdict::kAccepted) << "hashed with the bits that were told last";
  give_job(1, 0x1b00ffff);
  EXPECT_FALSE(job().new_tip);
  EXPECT_EQ(submit(good_share()), ShareVerdict::kAccepted);
  give_job(1);
  EXPECT_EQ(submit(good_share()), ShareVerdict::kAccepted) << "and back";
}

TEST_P(ChannelTest, OnlyBip323BitsOfTheVersionMayChange) {
  open_and_start();
  for (unsigned bit = 0; bit < 32; ++bit) {
    Share share = good_share();
    share.version ^= 1u << bit;
    const bool rollable = (kVersionRollingMask >> bit & 1) != 0;
    if (rollable) {
      share = mine(job(), share, channel_->full_extranonce(extranonce()), channel_->target(), job().rules.network_target);
      EXPECT_EQ(submit(share), ShareVerdict::kAccepted) << bit;
    } else {
      EXPECT_EQ(submit(share), ShareVerdict::kVersionBits) << bit;
    }
  }
}

TEST_P(ChannelTest, AShareAboveTheTargetIsTooEasy) {
  channel_.emplace(std::move(*open(1000)));
  wire::FrameBuffer out;
  channel_->start(job(), out);
  Share share{.job_id = job().id, .ntime = testing::kNtime, .version = job().rules.version, .extranonce = extranonce()};
  share = mine(job(), share, channel_->full_extranonce(extranonce()), bitcoin::U256::max(), channel_->target());
  EXPECT_EQ(submit(share), ShareVerdict::kTooEasy);
  EXPECT_EQ(channel_->stats().accepted, 0u);
}

TEST_P(ChannelTest, TheSameShareCountsOnceUnderAnySequenceNumber) {
  open_and_start();
  Share share = good_share();
  EXPECT_EQ(submit(share), ShareVerdict::kAccepted);
  ++share.sequence_number;
  EXPECT_EQ(submit(share), ShareVerdict::kDuplicate);
  give_job(1);
  EXPECT_EQ(submit(share), ShareVerdict::kDuplicate) << "its job is still valid";
  EXPECT_EQ(channel_->stats().accepted, 1u);
}

// Everything is wrong at once and is mended one by one: each verdict is that of the first rule still broken.
TEST_P(ChannelTest, RulesAreAppliedInSrisOrder) {
  channel_.emplace(std::move(*open(1000)));
  wire::FrameBuffer out;
  channel_->start(job(), out);
  Share share{.job_id = job().id, .nonce = 0, .ntime = 0, .version = 1, .extranonce = Bytes(rolled_).first(5)};
  give_job(2);
  EXPECT_EQ(submit(share), ShareVerdict::kStale);
  share.job_id = job().id + 1;
  EXPECT_EQ(submit(share), ShareVerdict::kInvalidJob);
  share.job_id = job().id;
  EXPECT_EQ(submit(share), ShareVerdict::kBadExtranonceSize);
  share.extranonce = extranonce();
  EXPECT_EQ(submit(share), ShareVerdict::kInvalidTime);
  share.ntime = testing::kNtime;
  EXPECT_EQ(submit(share), ShareVerdict::kVersionBits);
  share.version = job().rules.version;
  share = mine(job(), share, channel_->full_extranonce(extranonce()), bitcoin::U256::max(), channel_->target());
  EXPECT_EQ(submit(share), ShareVerdict::kTooEasy);
  EXPECT_EQ(submit(share), ShareVerdict::kTooEasy) << "it was not remembered";
  share = mine(job(), share, channel_->full_extranonce(extranonce()), channel_->target(), job().rules.network_target);
  EXPECT_EQ(submit(share), ShareVerdict::kAccepted);
  EXPECT_EQ(submit(share), ShareVerdict::kDuplicate);
}

TEST_P(ChannelTest, ATargetIsFixedForTheJobsAlreadyGiven) {
  open_and_start();
  const Share easy = good_share();
  const Work easy_work = Work::of(channel_->target());
  const auto changed = channel_->update(1e6, bitcoin::U256::max(), jobs_, kNow.instant);
  ASSERT_TRUE(changed);
  EXPECT_TRUE(*changed);
  EXPECT_EQ(submit(easy), ShareVerdict::kAccepted);
  EXPECT_EQ(channel_->stats().work_sum, easy_work);

  give_job(1);
  Share share{.job_id = job().id, .ntime = testing::kNtime, .version = job().rules.version, .extranonce = extranonce()};
  share = mine(job(), share, channel_->full_extranonce(extranonce()), bitcoin::U256::max(), channel_->target());
  EXPECT_EQ(submit(share), ShareVerdict::kTooEasy) << "the next job has the new target";

  // Back again while the same job stands: each job keeps its own.
  ASSERT_TRUE(channel_->update(1, bitcoin::U256::max(), jobs_, kNow.instant));
  EXPECT_EQ(submit(share), ShareVerdict::kTooEasy);
  Share old = mine(
      *jobs_.find(1),
      {.job_id = 1, .nonce = 1u << 30, .ntime = testing::kNtime, .version = job().rules.version, .extranonce = extranonce()},
      channel_->full_extranonce(extranonce()), bitcoin::target_from_hash_rate(1, 6));
  EXPECT_EQ(submit(old), ShareVerdict::kAccepted);
  give_job(2);
  EXPECT_EQ(submit(good_share()), ShareVerdict::kAccepted);
}

TEST_P(ChannelTest, TheTargetComesFromTheHashRateButNeverExceedsWhatTheClientAccepts) {
  EXPECT_EQ(open(1e12)->target(), bitcoin::target_from_hash_rate(1e12, 6));
  EXPECT_EQ(open(1e12, bitcoin::U256(5))->target(), bitcoin::U256(5));
  EXPECT_EQ(open(0)->target(), bitcoin::target_from_hash_rate(1, 6)) << "0: a proxy without miners yet";
}

TEST_P(ChannelTest, AHashRateThatIsNoNumberIsRefused) {
  for (const double rate : {std::nan(""), static_cast<double>(INFINITY), -1.0}) {
    const auto opened = open(rate);
    ASSERT_FALSE(opened);
    EXPECT_TRUE(opened.error().is(Errc::kHashRate));
  }
  open_and_start();
  EXPECT_FALSE(channel_->update(std::nan(""), bitcoin::U256::max(), jobs_, kNow.instant));
}

TEST_P(ChannelTest, AcknowledgesInBatchesAndStartsEachAnew) {
  open_and_start();
  std::vector<Share> shares;
  for (int i = 0; i < 4; ++i) shares.push_back(good_share());
  EXPECT_EQ(submit(shares[0]), ShareVerdict::kAccepted);
  EXPECT_EQ(submit(shares[1]), ShareVerdict::kAccepted);
  EXPECT_EQ(submit(shares[1]), ShareVerdict::kDuplicate);
  EXPECT_FALSE(channel_->take_acknowledgement());
  EXPECT_EQ(submit(shares[2]), ShareVerdict::kAccepted);
  const auto batch = channel_->take_acknowledgement();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->accepted_count, 3u);
  EXPECT_EQ(batch->last_sequence_number, shares[2].sequence_number);
  EXPECT_FALSE(channel_->take_acknowledgement(/*flush=*/true));
  EXPECT_EQ(submit(shares[3]), ShareVerdict::kAccepted);
  EXPECT_FALSE(channel_->take_acknowledgement());
  EXPECT_EQ(channel_->take_acknowledgement(/*flush=*/true)->accepted_count, 1u);
}

TEST_P(ChannelTest, TheLastShareAndTheLastBatchAreKnown) {
  open_and_start();
  EXPECT_EQ(channel_->last_sequence_number(), 0u);
  EXPECT_EQ(channel_->last_batch_accepted(), 0u);
  const Share first = good_share();
  EXPECT_EQ(submit(first), ShareVerdict::kAccepted);
  EXPECT_EQ(submit(first), ShareVerdict::kDuplicate);
  EXPECT_EQ(channel_->last_sequence_number(), first.sequence_number) << "accepted ones count";
  EXPECT_EQ(channel_->last_batch_accepted(), 0u) << "it is not acknowledged yet";
  const auto batch = channel_->take_acknowledgement(/*flush=*/true);
  ASSERT_TRUE(batch);
  EXPECT_EQ(channel_->last_batch_accepted(), 1u);
  EXPECT_EQ(channel_->last_batch_work(), batch->work_sum.whole());
  EXPECT_EQ(channel_->last_sequence_number(), first.sequence_number);
}

TEST_P(ChannelTest, IsSteadyOnceVardiffLeavesItAsItIs) {
  open_and_start();
  EXPECT_FALSE(channel_->steady());
  for (int i = 0; i < 60; ++i) ASSERT_EQ(submit(good_share()), ShareVerdict::kAccepted);
  EXPECT_FALSE(channel_->adjust(jobs_, kNow.instant + seconds(10)));
  EXPECT_TRUE(channel_->steady());
  EXPECT_TRUE(channel_->adjust(jobs_, kNow.instant + seconds(20)));
  EXPECT_FALSE(channel_->steady());
}

TEST_P(ChannelTest, WorkSumOfABatchIsTheDifficultyOfItsShares) {
  channel_.emplace(std::move(*open(0, bitcoin::target_from_difficulty(0.00002))));
  wire::FrameBuffer out;
  channel_->start(job(), out);
  for (int i = 0; i < 2; ++i) ASSERT_EQ(submit(good_share()), ShareVerdict::kAccepted);
  EXPECT_NEAR(channel_->stats().work_sum.difficulty(), 0.00004, 1e-9);
  EXPECT_EQ(channel_->take_acknowledgement(true)->work_sum, channel_->stats().work_sum);
  ASSERT_EQ(submit(good_share()), ShareVerdict::kAccepted);
  EXPECT_EQ(channel_->take_acknowledgement(true)->work_sum, Work::of(channel_->target())) << "each batch begins anew";
}

TEST_P(ChannelTest, AShareThatMeetsTheNetworksTargetIsABlockAndAcknowledgedAtOnce) {
  open_and_start();
  give_job(2, testing::kRegtestBits);
  Share share{.job_id = job().id,
              .sequence_number = 7,
              .ntime = testing::kNtime,
              .version = job().rules.version,
              .extranonce = extranonce()};
  // Above the channel's own target: a block all the same.
  share = mine(job(), share, channel_->full_extranonce(extranonce()), job().rules.network_target, channel_->target());
  EXPECT_EQ(submit(share), ShareVerdict::kBlock);
  EXPECT_EQ(channel_->stats().blocks_found, 1u);
  const auto batch = channel_->take_acknowledgement();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->accepted_count, 1u);
  EXPECT_EQ(batch->last_sequence_number, 7u);
  EXPECT_EQ(submit(share), ShareVerdict::kDuplicate);
  EXPECT_EQ(channel_->stats().blocks_found, 1u);
}

TEST_P(ChannelTest, ABlockEasierThanTheTargetIsWorthTheNetworksDifficulty) {
  open_and_start();
  give_job(2, testing::kRegtestBits);
  Share share{.job_id = job().id, .ntime = testing::kNtime, .version = job().rules.version, .extranonce = extranonce()};
  const auto full = channel_->full_extranonce(extranonce());
  share = mine(job(), share, full, job().rules.network_target, channel_->target());
  ASSERT_EQ(submit(share), ShareVerdict::kBlock);
  EXPECT_EQ(channel_->stats().work_sum, Work::of(job().rules.network_target));
  share = mine(job(), share, full, channel_->target());
  ASSERT_EQ(submit(share), ShareVerdict::kBlock);
  EXPECT_EQ(channel_->stats().work_sum, Work::of(job().rules.network_target) + Work::of(channel_->target()));
}

TEST_P(ChannelTest, SharesOfATipThatComesBackAreNotPaidAgain) {
  open_and_start();
  // The tip moves away and back by reorganisations; the source offers the same work as before.
  const Share share = good_share();
  ASSERT_EQ(submit(share), ShareVerdict::kAccepted);
  const auto first = jobs_.current()->block_template;
  give_job(2);
  jobs_.add(*factory_.make(first));
  channel_->follow(jobs_);
  Share again = share;
  again.job_id = job().id;
  EXPECT_EQ(job().rules.prev_hash, first->prev_hash);
  EXPECT_EQ(submit(again), ShareVerdict::kTooEasy) << "another coinbase: another hash";
}

TEST_P(ChannelTest, TheSameHashRateDeclaredAgainChangesNothing) {
  open_and_start();
  for (int i = 0; i < 60; ++i) ASSERT_EQ(submit(good_share()), ShareVerdict::kAccepted);
  for (int second = 1; second < 20; ++second) {
    const auto changed = channel_->update(1, bitcoin::U256::max(), jobs_, kNow.instant + seconds(second));
    ASSERT_TRUE(changed);
    EXPECT_FALSE(*changed);
  }
  EXPECT_TRUE(channel_->adjust(jobs_, kNow.instant + seconds(20))) << "vardiff went on counting";
  const auto corrected = channel_->target();
  EXPECT_FALSE(*channel_->update(1, bitcoin::U256::max(), jobs_, kNow.instant + seconds(21)));
  EXPECT_EQ(channel_->target(), corrected) << "what vardiff found stays";
  EXPECT_TRUE(*channel_->update(1, bitcoin::U256(5), jobs_, kNow.instant + seconds(22))) << "what the client accepts does not";
  EXPECT_EQ(channel_->target(), bitcoin::U256(5));
}

TEST_P(ChannelTest, AHashRateThatChangesEverySecondIsJudgedAllTheSame) {
  open_and_start();
  bool corrected = false;
  for (int second = 1; second < 120 && !corrected; ++second) {
    const Instant now = kNow.instant + seconds(second);
    ASSERT_TRUE(channel_->update(second % 2 == 0 ? 1 : 1.01, bitcoin::U256::max(), jobs_, now));
    give_job(1);
    ASSERT_EQ(submit(good_share()), ShareVerdict::kAccepted);
    corrected = channel_->adjust(jobs_, now);
  }
  EXPECT_TRUE(corrected);
}

TEST_P(ChannelTest, ANewPrefixIsForLaterJobsOnlyAndBothKindsOfSharesCount) {
  open_and_start();
  const Share before = good_share();
  const Share unsent = good_share();
  const Bytes told = channel_->extranonce_prefix();
  const std::vector<std::uint8_t> old_prefix(told.begin(), told.end());
  channel_->set_prefix(std::move(*extranonces_.allocate()), jobs_);
  EXPECT_FALSE(std::ranges::equal(channel_->extranonce_prefix(), old_prefix));
  EXPECT_EQ(submit(before), ShareVerdict::kAccepted) << "its job was given under the old prefix";
  give_job(1);
  EXPECT_EQ(submit(good_share()), ShareVerdict::kAccepted);
  EXPECT_EQ(submit(before), ShareVerdict::kDuplicate);
  EXPECT_EQ(submit(unsent), ShareVerdict::kAccepted) << "a past job keeps its prefix";
  give_job(2);
  EXPECT_EQ(submit(good_share()), ShareVerdict::kAccepted);
}

TEST_P(ChannelTest, ACustomJobIsJudgedByWhatHeldWhenItWasSetAndEndsWithItsTip) {
  if (GetParam() == ChannelKind::kStandard) GTEST_SKIP() << "custom jobs are for extended channels";
  open_and_start();
  EXPECT_EQ(channel_->next_custom_job_id(), kFirstCustomJobId);
  const auto custom = [&](std::uint32_t id) {
    auto made = std::make_shared<Job>();
    made->id = id;
    made->block_template = job().block_template;
    made->coinbase = job().coinbase;
    made->coinbase_id = job().coinbase_id;
    made->rules = job().rules;
    return made;
  };
  const auto first = custom(kFirstCustomJobId);
  channel_->add_custom_job(first, 2, jobs_);
  const Share share = good_share(*first);
  ASSERT_TRUE(channel_->update(1e6, bitcoin::U256::max(), jobs_, kNow.instant));
  channel_->set_prefix(std::move(*extranonces_.allocate()), jobs_);
  EXPECT_EQ(submit(share), ShareVerdict::kAccepted) << "target and prefix of its time";
  EXPECT_EQ(submit(share), ShareVerdict::kDuplicate);
  Share unknown = share;
  unknown.job_id = kFirstCustomJobId + 1;
  EXPECT_EQ(submit(unknown), ShareVerdict::kInvalidJob);
  channel_->add_custom_job(custom(kFirstCustomJobId + 1), 2, jobs_);
  channel_->add_custom_job(custom(kFirstCustomJobId + 2), 2, jobs_);
  EXPECT_EQ(channel_->custom_jobs(), 2u);
  EXPECT_EQ(submit(share), ShareVerdict::kStale) << "beyond the bound";
  EXPECT_EQ(channel_->next_custom_job_id(), kFirstCustomJobId + 3);
  give_job(2);
  EXPECT_EQ(channel_->custom_jobs(), 0u);
  unknown.job_id = kFirstCustomJobId + 2;
  EXPECT_EQ(submit(unknown), ShareVerdict::kStale);
  EXPECT_EQ(channel_->next_custom_job_id(), kFirstCustomJobId + 3) << "ids are not used again";
}

// NerdQAxe++ applies an easier target to the job that it is at, and lost what it found until the next one.
TEST_P(ChannelTest, ATwinOfTheCurrentJobIsHeldAgainstTheTargetOfNow) {
  channel_.emplace(std::move(*open(1e6)));
  wire::FrameBuffer out;
  channel_->start(job(), out);
  const auto before = channel_->target();
  ASSERT_TRUE(*channel_->update(1, bitcoin::U256::max(), jobs_, kNow.instant));
  ASSERT_GT(channel_->target(), before);
  out.clear();
  channel_->send_twin(jobs_, kNow.instant, out);
  const auto twin = make_twin(job(), kFirstCustomJobId);
  ASSERT_EQ(std::distance(out.begin(), out.end()), 1);
  if (const auto standard = (*out.begin()).as<wire::NewMiningJob>()) {
    EXPECT_EQ(standard->job_id, twin->id);
    EXPECT_EQ(standard->min_ntime, job().ntime);
    EXPECT_EQ(standard->merkle_root, twin->merkle_root(channel_->full_extranonce(extranonce())));
  } else {
    const auto extended = (*out.begin()).as<wire::NewExtendedMiningJob>();
    ASSERT_TRUE(extended);
    EXPECT_EQ(extended->job_id, twin->id);
    EXPECT_EQ(extended->min_ntime, job().ntime);
    EXPECT_TRUE(std::ranges::equal(extended->coinbase_tx_prefix, twin->coinbase.prefix));
    EXPECT_EQ(twin->coinbase.prefix.size(), job().coinbase.prefix.size());
  }

  const Share base{.nonce = 1, .ntime = testing::kNtime, .version = job().rules.version, .extranonce = extranonce()};
  const auto full = channel_->full_extranonce(extranonce());
  Share on_twin = mine(*twin, base, full, channel_->target(), before);
  on_twin.job_id = twin->id;
  EXPECT_EQ(submit(on_twin), ShareVerdict::kAccepted) << "easier than what the job itself is held against";
  EXPECT_EQ(channel_->stats().work_sum, Work::of(channel_->target()));
  EXPECT_EQ(submit(on_twin), ShareVerdict::kDuplicate);
  // What was found on the job before that is nothing on the twin: nobody is paid for the same hashes at two targets.
  Share kept_back = mine(job(), base, full, channel_->target(), before);
  kept_back.job_id = job().id;
  EXPECT_EQ(submit(kept_back), ShareVerdict::kTooEasy);
  kept_back.job_id = twin->id;
  EXPECT_NE(testing::hash_of(*twin, kept_back, full), testing::hash_of(job(), kept_back, full));
  Share late = mine(job(), base, full, before);
  late.job_id = job().id;
  EXPECT_EQ(submit(late), ShareVerdict::kAccepted) << "the job itself counts on";

  // Later changes are for later jobs.
  channel_->set_prefix(std::move(*extranonces_.allocate()), jobs_);
  ASSERT_TRUE(*channel_->update(1e6, bitcoin::U256::max(), jobs_, kNow.instant));
  on_twin =
      mine(*twin, {.nonce = 1u << 30, .ntime = testing::kNtime, .version = job().rules.version, .extranonce = extranonce()},
           full, bitcoin::target_from_hash_rate(1, 6), before);
  on_twin.job_id = twin->id;
  EXPECT_EQ(submit(on_twin), ShareVerdict::kAccepted);
  give_job(2);
  EXPECT_EQ(submit(on_twin), ShareVerdict::kStale);
}

TEST_P(ChannelTest, ABlockOnATwinIsOneOfItsOwnCoinbase) {
  open_and_start();
  give_job(2, testing::kRegtestBits);
  wire::FrameBuffer out;
  channel_->send_twin(jobs_, kNow.instant, out);
  const auto twin = make_twin(job(), kFirstCustomJobId);
  const auto full = channel_->full_extranonce(extranonce());
  Share share = mine(*twin, {.ntime = testing::kNtime, .version = job().rules.version, .extranonce = extranonce()}, full,
                     job().rules.network_target);
  share.job_id = twin->id;
  const JudgedShare judged = channel_->submit(jobs_, share, kNow.unix_time);
  EXPECT_EQ(judged.verdict, ShareVerdict::kBlock);
  EXPECT_EQ(judged.job->coinbase_with(judged.extranonce), twin->coinbase_with(full));
  EXPECT_NE(judged.job->coinbase_with(judged.extranonce), job().coinbase_with(full));
  EXPECT_EQ(judged.job->block_template, job().block_template);
  EXPECT_TRUE(judged.job->transactions_known);
}

TEST_P(ChannelTest, TwinsAreFewAndNeverOfAJobThatIsNotGiven) {
  MemoryBudget budget(1 << 20);
  channel_.emplace(std::move(*Channel::open({.kind = GetParam(),
                                             .id = 2,
                                             .nominal_hash_rate_hps = 1,
                                             .max_target = bitcoin::U256::max(),
                                             .own_jobs = true,
                                             .budget = &budget},
                                            "worker", std::move(*extranonces_.allocate()), policy_, kNow.instant)));
  const ChannelEnds ends{channel_};
  Instant now = kNow.instant;
  const auto twins = [&] {
    wire::FrameBuffer out;
    channel_->send_twin(jobs_, now, out);
    return std::distance(out.begin(), out.end());
  };
  EXPECT_EQ(twins(), 0) << "it has no job yet";
  wire::FrameBuffer out;
  channel_->start(job(), out);
  const std::size_t before = budget.used();
  EXPECT_EQ(twins(), 1);
  EXPECT_GT(budget.used(), before);
  EXPECT_EQ(twins(), 0) << "not twice at once";
  for (int i = 0; i < 5; ++i) {
    now += Channel::kTwinEvery;
    EXPECT_EQ(twins(), 1);
  }
  EXPECT_EQ(channel_->custom_jobs(), Channel::kMaxTwins);
  now += Channel::kTwinEvery;
  new_job(1);
  EXPECT_EQ(twins(), 0) << "the job that it waits for comes with the target of now";
  new_job(2);
  channel_->follow(jobs_);
  EXPECT_EQ(channel_->custom_jobs(), 0U);
  EXPECT_EQ(budget.used(), before);
}

TEST_P(ChannelTest, VardiffRaisesTheTargetOfJobsToCome) {
  open_and_start();
  for (int i = 0; i < 60; ++i) ASSERT_EQ(submit(good_share()), ShareVerdict::kAccepted);
  EXPECT_FALSE(channel_->adjust(jobs_, kNow.instant + seconds(10)));
  const auto before = channel_->target();
  EXPECT_TRUE(channel_->adjust(jobs_, kNow.instant + seconds(20)));
  EXPECT_LT(channel_->target(), before);
  EXPECT_GT(channel_->hash_rate_hps(), 1);
}

// Difficulty games (audit H1, H5).

TEST_P(ChannelTest, NoDeclaredRateAndNoClientsTargetIsEasierThanTheLeastDifficulty) {
  policy_.min_difficulty = kDefaultMinDifficulty;
  const auto easiest = bitcoin::target_from_difficulty(kDefaultMinDifficulty);
  for (const double declared : {0.0, 1e-30, 1.0, 1.01, 1e3}) {
    EXPECT_LE(open(declared)->target(), easiest) << declared;
    EXPECT_GE(open(declared)->target(), easiest >> 1) << declared << ": and little harder";
  }
  EXPECT_EQ(open(1e12)->target(), bitcoin::target_from_hash_rate(1e12, 6)) << "who declares more has what it asks for";
  EXPECT_EQ(open(0, bitcoin::U256(5))->target(), bitcoin::U256(5)) << "a client may want less work to be counted";
  channel_.emplace(std::move(*open(0)));
  wire::FrameBuffer out;
  channel_->start(job(), out);
  // As long as it likes, and however silent it is.
  for (int second = 1; second < 1000; ++second) {
    const Instant now = kNow.instant + seconds(second);
    if (second % 3 == 0) ASSERT_TRUE(channel_->update(second % 2 == 0 ? 1 : 1.01, bitcoin::U256::max(), jobs_, now));
    channel_->adjust(jobs_, now);
    ASSERT_LE(channel_->target(), easiest) << second;
  }
}

TEST_P(ChannelTest, ADeclaredRateMovesTheTargetOnlyWithinAFactorOfWhatSharesProve) {
  open_and_start();
  const double real = 1;
  // For five minutes as many shares as that hash rate finds.
  int second = 0;
  double owed = 0;
  const auto run = [&](int until, const std::function<double()>& declare) {
    for (; second < until; ++second) {
      const Instant now = kNow.instant + seconds(second);
      if (declare) ASSERT_TRUE(channel_->update(declare(), bitcoin::U256::max(), jobs_, now));
      give_job(1);  // Each target is that of the next job.
      owed += real / (Work::of(channel_->target()).difficulty() * 4295032833.0);
      for (; owed >= 1; --owed) ASSERT_EQ(submit(good_share()), ShareVerdict::kAccepted);
      channel_->adjust(jobs_, now);
    }
  };
  run(300, nullptr);
  const auto proven = channel_->proven_hash_rate_hps(kNow.instant + seconds(300));
  ASSERT_TRUE(proven);
  EXPECT_NEAR(*proven, real, 0.5);

  // The specimen: what a stranger behind an aggregating translator makes it declare, by turns, once a second.
  const auto before = channel_->stats().accepted;
  run(900, [&] { return second % 2 == 0 ? 8.6e19 : 1e10; });
  EXPECT_GE(channel_->stats().accepted - before, 10u) << "miners go on being paid: at least a quarter of the shares";
  EXPECT_LE(channel_->hash_rate_hps(), 5 * real);
  // And downwards.
  const auto easy = channel_->stats().accepted;
  run(1200, [&] { return second % 2 == 0 ? 0.0 : 1e-9; });
  EXPECT_GE(channel_->hash_rate_hps(), real / 5);
  EXPECT_LE(channel_->stats().accepted - easy, 5u * 30) << "nor does it get many more for the same work";
}

TEST_P(ChannelTest, WithoutProofADeclaredRateIsTakenAtItsWord) {
  policy_.min_hash_rate_hps = 0.001;
  open_and_start();
  // A proxy whose first miner comes.
  ASSERT_TRUE(channel_->update(1e14, bitcoin::U256::max(), jobs_, kNow.instant + seconds(3600)));
  EXPECT_EQ(channel_->target(), bitcoin::target_from_hash_rate(1e14, 6));
  // Shares of long ago prove nothing of now.
  ASSERT_TRUE(channel_->update(1, bitcoin::U256::max(), jobs_, kNow.instant + seconds(3601)));
  give_job(1);
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(submit(good_share()), ShareVerdict::kAccepted);
    channel_->adjust(jobs_, kNow.instant + seconds(3601 + 10 * i));
  }
  EXPECT_TRUE(channel_->proven_hash_rate_hps(kNow.instant + seconds(3800)));
  EXPECT_FALSE(channel_->proven_hash_rate_hps(kNow.instant + seconds(3800 + 1200)));
  ASSERT_TRUE(channel_->update(1e14, bitcoin::U256::max(), jobs_, kNow.instant + seconds(3800 + 1200)));
  EXPECT_EQ(channel_->target(), bitcoin::target_from_hash_rate(1e14, 6));
}

// What a channel has seen takes memory.

TEST_P(ChannelTest, AFullBudgetRaisesTheTargetAndRefusesNoHonestShare) {
  MemoryBudget budget(3000);
  const ChannelEnds before_the_budget{channel_};
  auto opened = Channel::open(
      {.kind = GetParam(), .id = 2, .nominal_hash_rate_hps = 1, .max_target = bitcoin::U256::max(), .budget = &budget},
      "worker", std::move(*extranonces_.allocate()), policy_, kNow.instant);
  channel_.emplace(std::move(*opened));
  wire::FrameBuffer out;
  channel_->start(job(), out);
  const auto first_target = channel_->target();
  // A miner of one hash a second on a tip that lasts for two hours: 720 shares at the rate that is wanted, for 192 places.
  double owed = 0;
  const auto run = [&](int from, int until) {
    for (int second = from; second < until; ++second) {
      owed += 1 / (Work::of(channel_->target()).difficulty() * 4295032833.0);
      for (; owed >= 1; --owed) ASSERT_EQ(submit(good_share()), ShareVerdict::kAccepted) << second;
      if (channel_->adjust(jobs_, kNow.instant + seconds(second))) give_job(1);
    }
  };
  constexpr int kTwoHours = 2 * 3600;
  run(0, kTwoHours);
  EXPECT_LE(budget.used(), 3000u);
  EXPECT_LT(channel_->target(), first_target >> 2) << "shares are rarer";
  EXPECT_NEAR(channel_->stats().work_sum.difficulty() * 4295032833.0, kTwoHours, kTwoHours * 0.3) << "and pay as much";
  // The next tip makes room again.
  give_job(2);
  run(kTwoHours, kTwoHours + 30);
  EXPECT_GT(channel_->target(), first_target >> 2);
}

TEST_P(ChannelTest, WhatOthersHaveTakenMakesSharesRarerNotImpossible) {
  MemoryBudget shard(100'000);
  MemoryBudget source(1'000'000, &shard, 64);
  MemoryBudget hog(1'000'000, &shard);
  MemoryBudget::Held taken(&hog);
  const ChannelEnds before_the_budgets{channel_};
  auto opened = Channel::open(
      {.kind = GetParam(), .id = 2, .nominal_hash_rate_hps = 1, .max_target = bitcoin::U256::max(), .budget = &source},
      "worker", std::move(*extranonces_.allocate()), policy_, kNow.instant);
  channel_.emplace(std::move(*opened));
  wire::FrameBuffer out;
  channel_->start(job(), out);
  const auto before = channel_->target();
  ASSERT_EQ(submit(good_share()), ShareVerdict::kAccepted);
  EXPECT_FALSE(channel_->adjust(jobs_, kNow.instant + seconds(1)));
  taken.set(100'000);
  EXPECT_TRUE(channel_->adjust(jobs_, kNow.instant + seconds(2)));
  EXPECT_LT(channel_->target(), before);
  EXPECT_GE(channel_->target(), before >> (MemoryBudget::kMaxCrowding + 1));
  give_job(1);
  EXPECT_EQ(submit(good_share()), ShareVerdict::kAccepted) << "and what comes is taken";
  taken.set(0);
  EXPECT_FALSE(channel_->adjust(jobs_, kNow.instant + seconds(3))) << "not up and down on one tip";
  give_job(2);
  EXPECT_TRUE(channel_->adjust(jobs_, kNow.instant + seconds(4)));
  EXPECT_EQ(channel_->target(), before);
}

// Jobs of its own (REQUIRES_STANDARD_JOBS), which may come late.

TEST_P(ChannelTest, AJobThatWasNotSentYetIsNoJobOfAChannelWithItsOwn) {
  auto opened = Channel::open(
      {.kind = GetParam(), .id = 2, .nominal_hash_rate_hps = 1, .max_target = bitcoin::U256::max(), .own_jobs = true}, "worker",
      std::move(*extranonces_.allocate()), policy_, kNow.instant);
  channel_.emplace(std::move(*opened));
  wire::FrameBuffer out;
  channel_->start(job(), out);
  const Share old = good_share();
  new_job(2);
  EXPECT_EQ(submit(old), ShareVerdict::kStale) << "the tip has moved whether the channel knows it or not";
  Share early = good_share();
  EXPECT_EQ(submit(early), ShareVerdict::kInvalidJob);
  // What the client hears before the job holds for it.
  ASSERT_TRUE(*channel_->update(2, bitcoin::U256::max(), jobs_, kNow.instant));
  new_job(2);  // The tip's second job overtakes its first.
  out.clear();
  channel_->send_job(jobs_, out, out);
  std::vector<wire::FrameView> frames(out.begin(), out.end());
  ASSERT_EQ(frames.size(), 2u) << "a future job and its SetNewPrevHash, though the job is not the tip's first";
  EXPECT_EQ(frames[1].as<wire::SetNewPrevHash>()->job_id, job().id);
  const Share share = good_share();
  EXPECT_EQ(submit(share), ShareVerdict::kAccepted);
  EXPECT_EQ(channel_->stats().work_sum, Work::of(bitcoin::target_from_hash_rate(2, 6)));
  EXPECT_EQ(submit(share), ShareVerdict::kDuplicate);
  EXPECT_EQ(submit(early), ShareVerdict::kInvalidJob) << "it was skipped";
}

TEST_P(ChannelTest, AnIdleChannelIsSmall) { EXPECT_LE(sizeof(Channel), 896u); }

}  // namespace
}  // namespace adit::channels
