#include "roles/load/session.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "wire/messages.h"

namespace adit::load {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kMinNtime = 1'700'000'000;
constexpr std::uint32_t kRegtest = 0x207fffff;  // Every second hash is a block.
constexpr UnixTime kUnixTime{1'700'000'000s};
constexpr std::uint32_t kNumber = 3;
constexpr std::uint32_t kHard = 0x1d00ffff;

class LoadSession : public testing::Test {
 protected:
  void begin(bool extended, std::uint32_t nbits, bool lanes = false) {
    options_ = {.user = "load", .extended = extended, .in_flight = 8};
    session_.emplace(options_, meter_, lanes, kNumber);
    session_->start("127.0.0.1", 1, {at_, kUnixTime}, out_);
    ASSERT_TRUE(receive(wire::SetupConnectionSuccess{.used_version = 2}));
    if (extended) {
      const auto open = (*out_.begin()).as<wire::OpenExtendedMiningChannel>();
      ASSERT_TRUE(open);
      wire::OpenExtendedMiningChannelSuccess opened{
          .request_id = open->request_id, .channel_id = 5, .extranonce_size = 6, .group_channel_id = 1};
      opened.target.fill(0xff);
      ASSERT_TRUE(receive(opened));
    } else {
      const auto open = (*out_.begin()).as<wire::OpenStandardMiningChannel>();
      ASSERT_TRUE(open);
      EXPECT_EQ(open->user_identity.view(), "load");
      wire::OpenStandardMiningChannelSuccess opened{.request_id = open->request_id, .channel_id = 5, .group_channel_id = 1};
      opened.target.fill(0xff);
      ASSERT_TRUE(receive(opened));
    }
    give_tip(1, nbits);
    ASSERT_TRUE(session_->ready());
  }

  void give_tip(std::uint8_t tip, std::uint32_t nbits) {
    job_id_ = tip;
    if (options_.extended) {
      ASSERT_TRUE(receive(wire::NewExtendedMiningJob{.channel_id = 1, .job_id = job_id_, .version = 0x20000000}));
    } else {
      wire::NewMiningJob job{.channel_id = 5, .job_id = job_id_, .version = 0x20000000};
      job.merkle_root.fill(0x11);
      ASSERT_TRUE(receive(job));
    }
    wire::SetNewPrevHash prev_hash{.channel_id = 5, .job_id = job_id_, .min_ntime = kMinNtime, .nbits = nbits};
    prev_hash.prev_hash.fill(tip);
    ASSERT_TRUE(receive(prev_hash));
  }

  template <class M>
  Result<void> receive(const M& message) {
    wire::FrameBuffer frames;
    EXPECT_TRUE(frames.push(message));
    out_.clear();
    const std::vector<wire::FrameView> views(frames.begin(), frames.end());
    return session_->on_frames(views, {at_, kUnixTime}, out_);
  }

  template <class M>
  std::vector<M> submitted(std::size_t limit) {
    out_.clear();
    const std::size_t count = session_->submit(limit, at_, out_);
    std::vector<M> shares;
    for (const wire::FrameView frame : out_) shares.push_back(*frame.as<M>());
    EXPECT_EQ(shares.size(), count);
    return shares;
  }

  Meter meter_;
  SessionOptions options_;
  std::optional<Session> session_;
  wire::FrameBuffer out_;
  Instant at_{};
  std::uint32_t job_id_ = 0;
};

TEST_F(LoadSession, SharesMeetTheTargetAreNoBlocksAndNoneComesTwice) {
  begin(/*extended=*/false, kRegtest);
  std::set<std::uint32_t> nonces;
  const auto network = *bitcoin::target_from_compact(kRegtest);
  for (const auto& share : submitted<wire::SubmitSharesStandard>(8)) {
    EXPECT_EQ(share.job_id, job_id_);
    EXPECT_TRUE(nonces.insert(share.nonce).second);
    channels::HeaderRules rules{.version = share.version, .nbits = kRegtest};
    rules.prev_hash.fill(1);
    bitcoin::Hash256 root;
    root.fill(0x11);
    const auto header =
        channels::share_header(rules, {.nonce = share.nonce, .ntime = share.ntime, .version = share.version}, root);
    EXPECT_GT(bitcoin::U256::from_le(bitcoin::sha256d_header(header)), network);
  }
  EXPECT_EQ(nonces.size(), 8U);
}

TEST_F(LoadSession, WhatIsNotAnsweredHoldsFurtherSharesBack) {
  begin(/*extended=*/false, kHard);
  EXPECT_EQ(submitted<wire::SubmitSharesStandard>(100).size(), options_.in_flight);
  EXPECT_EQ(submitted<wire::SubmitSharesStandard>(100).size(), 0U);
  at_ += 3ms;
  ASSERT_TRUE(receive(wire::SubmitSharesSuccess{.channel_id = 5, .last_sequence_number = 4, .new_submits_accepted_count = 4}));
  ASSERT_TRUE(receive(wire::SubmitSharesError{.channel_id = 5, .sequence_number = 5, .error_code = "stale-share"}));
  EXPECT_EQ(submitted<wire::SubmitSharesStandard>(100).size(), 5U);
  EXPECT_EQ(meter_.submitted, 13U);
  EXPECT_EQ(meter_.accepted, 4U);
  EXPECT_EQ(meter_.rejected.at("stale-share"), 1U);
  EXPECT_EQ(meter_.acknowledged.count(), 1U);
  EXPECT_GE(meter_.acknowledged.quantile(0.5), 3ms);
}

TEST_F(LoadSession, AnAnswerToWhatWasNeverSentIsCountedAndHarmsNothing) {
  begin(/*extended=*/false, kHard);
  for (const std::uint32_t last : {0U, 1U, 77U, 0xffffffffU})
    ASSERT_TRUE(
        receive(wire::SubmitSharesSuccess{.channel_id = 5, .last_sequence_number = last, .new_submits_accepted_count = 1000}));
  EXPECT_EQ(meter_.acknowledged.count(), 0U);
  EXPECT_EQ(submitted<wire::SubmitSharesStandard>(100).size(), options_.in_flight);
}

TEST_F(LoadSession, APingIsAnswered) {
  begin(/*extended=*/false, kHard, /*lanes=*/true);
  ASSERT_TRUE(receive(wire::Ping{.nonce = 7, .time_ms = 1}));
  const auto pong = (*out_.begin()).as<wire::Pong>();
  ASSERT_TRUE(pong);
  EXPECT_EQ(pong->nonce, 7U);
  EXPECT_EQ(pong->time_ms, 1'700'000'000'000U);
}

TEST_F(LoadSession, AnExtendedChannelSubmitsItsWholeExtranonce) {
  begin(/*extended=*/true, kHard);
  const auto shares = submitted<wire::SubmitSharesExtended>(3);
  ASSERT_EQ(shares.size(), 3U);
  for (const auto& share : shares) EXPECT_EQ(share.extranonce.size(), 6U);
}

TEST_F(LoadSession, OnlyATipAfterTheFirstWorkIsATip) {
  begin(/*extended=*/false, kHard);
  EXPECT_TRUE(meter_.tips.empty());
  at_ += 1s;
  give_tip(2, kHard);
  ASSERT_EQ(meter_.tips.size(), 1U);
  EXPECT_EQ(meter_.tips[0].heard, (std::vector<Tip::Hearing>{{kNumber, at_}}));
  EXPECT_EQ(submitted<wire::SubmitSharesStandard>(1).at(0).job_id, 2U);
}

TEST_F(LoadSession, ATargetOutOfReachIsCountedNotSearchedForEver) {
  begin(/*extended=*/false, kHard);
  ASSERT_TRUE(receive(wire::SetTarget{.channel_id = 5, .maximum_target = {}}));
  give_tip(2, kHard);
  EXPECT_TRUE(submitted<wire::SubmitSharesStandard>(1).empty());
  EXPECT_EQ(meter_.not_found, 1U);
}

TEST_F(LoadSession, WhatThePoolRefusesEndsTheSessionInItsWords) {
  options_ = {.user = "load"};
  session_.emplace(options_, meter_, false, kNumber);
  session_->start("127.0.0.1", 1, {at_, kUnixTime}, out_);
  ASSERT_TRUE(receive(wire::SetupConnectionSuccess{.used_version = 2}));
  const auto refused = receive(wire::OpenMiningChannelError{.request_id = 1, .error_code = "channel-capacity-exhausted"});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(session::Errc::kRefused));
  EXPECT_NE(refused.error().message().find("channel-capacity-exhausted"), std::string::npos);
}

}  // namespace
}  // namespace adit::load
