// A job goes to every session: groups first, then channels that need one each, by turns (audit M5).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <utility>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "mining/server_session_testing.h"

namespace adit::mining {
namespace {

class Rounds : public SessionTest {
 protected:
  /// A client that requires standard jobs, with that many channels.
  Peer& single(std::size_t channels, const std::string& source) {
    Peer& peer = *peers_.emplace_back(std::make_unique<Peer>(options(), shard_, now_, source));
    peer.set_up(wire::kRequiresStandardJobs);
    for (std::size_t i = 0; i < channels; ++i) open_standard_on(peer);
    return peer;
  }
  Peer& group(const std::string& source) {
    Peer& peer = *peers_.emplace_back(std::make_unique<Peer>(options(), shard_, now_, source));
    peer.set_up();
    open_standard_on(peer);
    return peer;
  }

  /// One slice; how many channels had their job.
  std::size_t slice() {
    std::size_t told = 0;
    take_slice(told);
    return told;
  }
  void take_slice(std::size_t& slice) {
    const std::size_t before = told_.size();
    more_ = shard_.give_jobs();
    for (const auto& [session, frames] : events_.jobs) {
      // Behind all jobs of a session's slice comes what makes the future ones current, in their order.
      std::deque<std::pair<std::uint32_t, std::uint32_t>> futures;
      bool tips = false;
      for (const wire::FrameView& frame : frames) {
        if (const auto job = frame.as<wire::NewMiningJob>()) {
          EXPECT_FALSE(tips);
          if (!job->min_ntime) futures.emplace_back(job->channel_id, job->job_id);
          told_.push_back({session, job->channel_id, job->job_id, !job->min_ntime});
        } else if (const auto extended = frame.as<wire::NewExtendedMiningJob>()) {
          EXPECT_FALSE(tips);
          if (!extended->min_ntime) futures.emplace_back(extended->channel_id, extended->job_id);
          told_.push_back({session, extended->channel_id, extended->job_id, !extended->min_ntime});
        } else if (const auto tip = frame.as<wire::SetNewPrevHash>()) {
          tips = true;
          ASSERT_FALSE(futures.empty());
          EXPECT_EQ(futures.front(), std::pair(tip->channel_id, tip->job_id));
          futures.pop_front();
        } else {
          ADD_FAILURE() << wire::to_string(frame);
        }
      }
      EXPECT_TRUE(futures.empty());
    }
    events_.jobs.clear();
    slice = told_.size() - before;
  }
  void finish_round() {
    do {
      EXPECT_LE(slice(), ServerShard::kJobsPerSlice);
    } while (more_);
  }
  [[nodiscard]] std::size_t place_of(const Peer& peer) const {
    const auto found = std::ranges::find(told_, &peer.session(), &Told::session);
    EXPECT_NE(found, told_.end());
    return static_cast<std::size_t>(found - told_.begin());
  }

  struct Told {
    const ServerSession* session;
    std::uint32_t channel_id;
    std::uint32_t job_id;
    bool future;
  };
  std::vector<Told> told_;
  bool more_ = false;
  std::vector<std::unique_ptr<Peer>> peers_;
};

TEST_F(Rounds, GroupsComeFirstThenSingleChannelsEachOnceWithItsSetNewPrevHash) {
  Peer& singles = single(3, "a");
  Peer& grouped = group("a");
  publish(2);
  EXPECT_EQ(slice(), 4u);
  EXPECT_FALSE(more_);
  EXPECT_EQ(told_[0].session, &grouped.session());
  EXPECT_EQ(told_[0].channel_id, channels::kGroupChannelId);
  for (std::uint32_t i = 1; i < 4; ++i) {
    EXPECT_EQ(told_[i].session, &singles.session());
    EXPECT_EQ(told_[i].channel_id, i + 1);
    EXPECT_TRUE(told_[i].future);
  }
  EXPECT_EQ(slice(), 0u) << "nobody hears of it twice";
  publish(2);
  EXPECT_EQ(slice(), 4u);
  EXPECT_FALSE(told_.back().future) << "a job of the same tip";
}

TEST_F(Rounds, ASourceWithThousandsOfChannelsDelaysNoOtherSourcesTip) {
  for (int i = 0; i < 4; ++i) single(1000, "hog");
  Peer& lone = single(1, "lone");
  Peer& farm = single(40, "farm");
  publish(2);
  slice();
  EXPECT_LE(place_of(lone), ServerShard::kJobsPerTurn) << "after one turn of the other source, though it came last";
  EXPECT_LE(place_of(farm), ServerShard::kJobsPerTurn + 1);
  EXPECT_TRUE(more_);
  finish_round();
  std::set<std::pair<const ServerSession*, std::uint32_t>> all;
  for (const Told& told : told_) EXPECT_TRUE(all.insert({told.session, told.channel_id}).second);
  EXPECT_EQ(all.size(), 4041u);
}

TEST_F(Rounds, NorDoesASourceWithManyConnections) {
  for (int i = 0; i < 300; ++i) single(1, "crowd");
  Peer& lone = single(1, "lone");
  publish(2);
  slice();
  EXPECT_LE(place_of(lone), ServerShard::kJobsPerTurn);
  finish_round();
  EXPECT_EQ(told_.size(), 301u);
}

TEST_F(Rounds, WithinASourceConnectionsHaveTheirTurnsToo) {
  Peer& large = single(2000, "home");
  Peer& small = single(1, "home");
  publish(2);
  slice();
  EXPECT_EQ(place_of(large), 0u);
  EXPECT_LE(place_of(small), ServerShard::kJobsPerTurn);
  finish_round();
}

TEST_F(Rounds, WhoDoesNotKnowOfTheTipComesBeforeWhoLacksItsLatestJobOnly) {
  Peer& peer = single(600, "a");
  publish(2);
  slice();
  ASSERT_TRUE(more_);
  const std::size_t knew = told_.size();
  publish(2);
  told_.clear();
  finish_round();
  ASSERT_EQ(told_.size(), 600u);
  for (std::size_t i = 0; i < 600; ++i) EXPECT_EQ(told_[i].future, i < 600 - knew) << i;
  EXPECT_EQ(told_[0].channel_id, knew + channels::kFirstChannelId);
  EXPECT_EQ(peer.session().channel(2)->given_job_id(), shard_.jobs().current()->id);
}

TEST_F(Rounds, WhoeverLeavesOrOpensInMidRoundDisturbsNobody) {
  Peer& stays = single(500, "a");
  single(500, "a");
  single(500, "b");
  publish(2);
  slice();
  ASSERT_TRUE(more_);
  peers_.resize(1);
  ASSERT_TRUE(stays.send(open_standard()));
  const auto opened = stays.answer<wire::OpenStandardMiningChannelSuccess>(0).channel_id;
  EXPECT_EQ(stays.answer<wire::NewMiningJob>(1).job_id, shard_.jobs().current()->id);
  ASSERT_TRUE(stays.send(wire::CloseChannel{.channel_id = 300, .reason_code = {}}));
  finish_round();
  std::map<std::uint32_t, int> times;
  for (const Told& told : told_) {
    if (told.session == &stays.session()) ++times[told.channel_id];
  }
  EXPECT_EQ(times.count(opened), 0u) << "it has that job";
  for (const auto& channel : stays.session().channels()) {
    EXPECT_EQ(channel.given_job_id(), shard_.jobs().current()->id);
    if (channel.id() != opened) EXPECT_EQ(times[channel.id()], 1);
  }
}

TEST_F(Rounds, AChannelThatWaitsIsJudgedByTheTipAndAnsweredAsEver) {
  single(600, "a");
  Peer& waits = *peers_[0];
  const std::uint32_t last = 601;
  auto old = standard_share(waits, last, 1);
  publish(2);
  slice();
  ASSERT_LT(waits.session().channel(last)->given_job_id(), shard_.jobs().current()->id);
  ASSERT_TRUE(waits.send(old));
  EXPECT_EQ(waits.answer<wire::SubmitSharesError>().error_code, "stale-share");
  const auto early = standard_share(waits, last, 2);
  ASSERT_TRUE(waits.send(early));
  EXPECT_EQ(waits.answer<wire::SubmitSharesError>().error_code, "invalid-job-id");
  // A target that is told while the job waits is that job's.
  ASSERT_TRUE(waits.send(wire::UpdateChannel{.channel_id = last, .nominal_hash_rate = 50, .maximum_target = kAnyTarget}));
  const auto target = bitcoin::U256::from_le(waits.answer<wire::SetTarget>().maximum_target);
  finish_round();
  ASSERT_TRUE(waits.send(standard_share(waits, last, 3)));
  EXPECT_EQ(waits.session().channel(last)->stats().work_sum, channels::Work::of(target));
}

TEST_F(Rounds, AGroupsMemberThatOpensBeforeTheTipWasToldHearsOfItOnce) {
  Peer& peer = group("a");
  publish(2);
  ASSERT_TRUE(peer.send(open_standard()));
  EXPECT_EQ(peer.answer<wire::NewExtendedMiningJob>(0).channel_id, channels::kGroupChannelId);
  EXPECT_EQ(peer.answer<wire::SetNewPrevHash>(1).channel_id, channels::kGroupChannelId);
  EXPECT_EQ(peer.answer<wire::OpenStandardMiningChannelSuccess>(2).channel_id, 3u);
  EXPECT_EQ(slice(), 0u);
}

}  // namespace
}  // namespace adit::mining
