// The engine against a slow and obvious model: tips, templates, answers, refusals, losses and returns in any order. Held all
// the while: the miners mine on the newest tip that our node knows, or (where it is asked for) on the pool's while that is
// newer; every share that a miner's channel accepted has exactly one fate; no share goes up but for a job that the pool has
// acknowledged in this session; and of a job that it has acknowledged every share goes up.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "base/bytes.h"
#include "roles/jd_client/engine_testing.h"

namespace adit::jd_client {
namespace {

class Model {
 public:
  explicit Model(std::uint32_t seed) : random_(seed), rig_(options(seed % 2 == 1)) {
    rig_.pool_speaks_adit = true;
    rig_.to_pool = [this](const wire::FrameView& frame) { hear_to_pool(frame); };
    rig_.from_pool = [this](const wire::FrameView& frame) { hear_from_pool(frame); };
    rig_.publish(tip_);
    rig_.open_extended();
  }

  void run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      step();
      check();
    }
    heal();
  }

  [[nodiscard]] std::uint64_t accepted_above() const {
    return rig_.pool.shard.counters().shares_accepted + rig_.other_pool.shard.counters().shares_accepted;
  }
  [[nodiscard]] const Rig& rig() const { return rig_; }
  [[nodiscard]] int followed() const { return followed_; }

 private:
  static EngineOptions options(bool follow) {
    EngineOptions options = Rig::default_options();
    options.follow_pool_tip = follow;
    return options;
  }
  std::size_t pick(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }

  void step() {
    switch (pick(30)) {
      case 0:
        rig_.publish(++tip_);
        return;
      case 1:
        return rig_.publish(tip_);
      case 2:
        // The pool is behind us, with us, or (its template names a tip that we hear of later) ahead.
        return pool_goes_to(static_cast<std::uint8_t>(tip_ + pick(2)));
      case 3:
      case 4:
        return pool_goes_to(tip_);
      case 5:
        rig_.pool_is_slow = !rig_.pool_is_slow;
        return rig_.pump();
      case 6:
        rig_.declarator.holds_declares = !rig_.declarator.holds_declares;
        return;
      case 7:
      case 8:
        return answer_held();
      case 9: {
        static const char* const kCodes[] = {"", "", "", "stale-chain-tip", "invalid-job", "invalid-mining-job-token"};
        rig_.declarator.refuse_with = kCodes[pick(std::size(kCodes))];
        return;
      }
      case 10: {
        static const char* const kCodes[] = {"", "", "", "stale-chain-tip", "invalid-coinbase-tx-outputs"};
        if (PoolSide* at = rig_.upstream) at->committer.refuse_with = kCodes[pick(std::size(kCodes))];
        return;
      }
      case 11:
        if (rig_.upstream != nullptr && pick(3) == 0) lose();
        return;
      case 12:
        return connect();
      case 13:
        if (rig_.has_declarator && pick(3) == 0) {
          rig_.has_declarator = false;
          rig_.declarator.held.clear();
          rig_.engine.on_declarator_lost(rig_.now);
        }
        return;
      case 14:
        return tick(seconds(1 + pick(4)));
      case 15:
        if (pick(4) == 0) rig_.fetch_fails = !rig_.fetch_fails;
        rig_.fetches = !rig_.fetches;
        return rig_.pump();
      case 16:
      case 17:
      case 18:
        return mend();
      default:
        return find_share();
    }
  }

  /// Things go well for a while.
  void mend() {
    rig_.declarator.refuse_with.clear();
    rig_.declarator.holds_declares = false;
    rig_.fetches = true;
    rig_.fetch_fails = false;
    connect();
    rig_.pool_is_slow = false;
    rig_.upstream->committer.refuse_with.clear();
    rig_.upstream->publish(tip_);
    rig_.pump();
    while (!rig_.declarator.held.empty()) answer_held();
    tick(seconds(1));
  }

  void pool_goes_to(std::uint8_t tip) {
    if (rig_.upstream == nullptr) return;
    rig_.upstream->publish(tip);
    rig_.pump();
  }
  void tick(Duration time) {
    rig_.pass(time);
    rig_.engine.on_time(rig_.now);
    rig_.pump();
    if (!rig_.tick() || rig_.engine.fault()) return lose();
    if (rig_.has_declarator && !rig_.engine.on_declarator_tick(rig_.now)) {
      rig_.has_declarator = false;
      rig_.declarator.held.clear();
      rig_.engine.on_declarator_lost(rig_.now);
    }
    rig_.pump();
  }
  void connect() {
    if (rig_.upstream == nullptr) {
      forget_session();
      rig_.pool_is_slow = false;
      rig_.connect_pool(pick(2) == 0 ? rig_.pool : rig_.other_pool);
    }
    if (!rig_.has_declarator) rig_.connect_declarator();
  }
  void lose() {
    if (rig_.upstream == nullptr) return;
    rig_.lose_pool();
    rig_.declarator.held.clear();
    forget_session();
  }
  void forget_session() {
    set_.clear();
    job_of_.clear();
    found_.clear();
    sent_.clear();
    own_jobs_.clear();
    own_found_ = own_sent_ = 0;
  }
  void answer_held() {
    auto& held = rig_.declarator.held;
    if (held.empty() || rig_.upstream == nullptr || !rig_.has_declarator) return;
    const std::size_t which = pick(held.size());
    rig_.accept_held(which);
    held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
  }
  void find_share() {
    const std::uint32_t job = rig_.job->id;
    const bool of_pool = rig_.mines_for_pool();
    // Counted first: handing it in may send it at once.
    if (of_pool) ++found_[job];
    if (rig_.paid() == kPoolsOwnScript) ++own_found_;
    EXPECT_TRUE(rig_.find_share());
  }

  void hear_to_pool(const wire::FrameView& frame) {
    if (frame.is<wire::SetCustomMiningJob>()) {
      // What is a job's own stands at the end of its script: its number, as the salt is 0.
      const auto message = *frame.as<wire::SetCustomMiningJob>();
      const Bytes script = message.coinbase_prefix;
      set_[message.request_id] = static_cast<std::uint32_t>(load_be<std::uint64_t>(script.data() + script.size() - 8));
    } else if (frame.is<wire::SubmitSharesExtended>()) {
      const auto message = *frame.as<wire::SubmitSharesExtended>();
      if (own_jobs_.contains(message.job_id)) {
        ++own_sent_;
        return;
      }
      ASSERT_TRUE(job_of_.contains(message.job_id)) << "a share of a job that is not acknowledged";
      ++sent_[job_of_[message.job_id]];
    }
  }
  void hear_from_pool(const wire::FrameView& frame) {
    if (frame.is<wire::NewExtendedMiningJob>()) own_jobs_.insert(frame.as<wire::NewExtendedMiningJob>()->job_id);
    if (!frame.is<wire::SetCustomMiningJobSuccess>()) return;
    const auto message = *frame.as<wire::SetCustomMiningJobSuccess>();
    ASSERT_TRUE(set_.contains(message.request_id));
    job_of_[message.job_id] = set_[message.request_id];
  }

  void check() {
    const Counters& counters = rig_.engine.counters();
    if (rig_.paid() == kPoolsOwnScript) {
      ++followed_;
      ASSERT_EQ(rig_.job->rules.prev_hash, rig_.upstream->shard.jobs().current()->rules.prev_hash);
      ASSERT_GT(rig_.job->block_template->height, rig_.block_template->height) << "the pool's tip is not newer";
    } else {
      ASSERT_EQ(rig_.job->rules.prev_hash, rig_.block_template->prev_hash) << "a miner mines on an old tip";
    }
    std::uint64_t fates =
        counters.shares_submitted + counters.shares_local + counters.shares_solo + rig_.engine.status().waiting_shares;
    for (const std::uint64_t lost : counters.shares_lost) fates += lost;
    ASSERT_EQ(fates, rig_.miners.counters().shares_accepted) << "a share has no fate, or two";
    if (!rig_.pool_is_slow) {
      for (const auto& [theirs, ours] : job_of_) ASSERT_EQ(sent_[ours], found_[ours]) << "of job " << ours;
      ASSERT_EQ(own_sent_, own_found_) << "of the pool's own jobs";
    }
    for (const PoolSide* side : {&rig_.pool, &rig_.other_pool}) {
      const auto& rejected = side->shard.counters().shares_rejected;
      for (std::size_t verdict = 0; verdict < rejected.size(); ++verdict) {
        if (verdict != static_cast<std::size_t>(channels::ShareVerdict::kStale)) ASSERT_EQ(rejected[verdict], 0U) << verdict;
      }
    }
    ASSERT_THAT(rig_.errors, ::testing::IsEmpty());
    ASSERT_EQ(rig_.miners.counters().shares_rejected_total(), 0U) << "a miner did nothing wrong";
  }

  /// Everything is well again: the miners work for a pool.
  void heal() {
    rig_.declarator.refuse_with.clear();
    rig_.declarator.holds_declares = false;
    rig_.fetches = true;
    rig_.fetch_fails = false;
    rig_.pool.committer.refuse_with.clear();
    rig_.other_pool.committer.refuse_with.clear();
    lose();
    connect();
    rig_.upstream->publish(++tip_);
    rig_.publish(tip_);
    for (int i = 0; i < 10; ++i) tick(seconds(1));
    ASSERT_TRUE(rig_.mines_for_pool());
    const auto before = accepted_above();
    find_share();
    check();
    ASSERT_EQ(accepted_above(), before + 1);
  }

  std::mt19937 random_;
  Rig rig_;
  std::uint8_t tip_ = 1;
  std::map<std::uint32_t, std::uint32_t> set_;     ///< Our job by the request of its SetCustomMiningJob.
  std::map<std::uint32_t, std::uint32_t> job_of_;  ///< Our job by the pool's number of it.
  std::map<std::uint32_t, int> found_;             ///< Shares of each of our jobs for the pool of this session.
  std::map<std::uint32_t, int> sent_;              ///< That went up.
  std::set<std::uint32_t> own_jobs_;               ///< Of the pool of this session, by its numbers.
  int own_found_ = 0;                              ///< Shares of those,
  int own_sent_ = 0;                               ///< and how many went up.
  int followed_ = 0;                               ///< Steps behind which the miners had such a job.
};

class EngineModel : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(EngineModel, NoShareIsLostThatCouldCountAndNoMinerIsWithoutWork) {
  std::uint64_t above = 0;
  int followed = 0;
  for (std::uint32_t round = 0; round < 40 && !HasFailure(); ++round) {
    const std::uint32_t seed = GetParam() * 1000 + round;
    SCOPED_TRACE(seed);
    Model model(seed);
    model.run(300);
    above += model.accepted_above();
    followed += model.followed();
    if (seed % 2 == 0) ASSERT_EQ(model.followed(), 0) << "it was not asked for";
  }
  EXPECT_GT(followed, 100) << "little of this was about newer tips";
  EXPECT_GT(above, 200U) << "little of this was about pools";
}

INSTANTIATE_TEST_SUITE_P(Seeds, EngineModel, ::testing::Range(0U, 8U));

}  // namespace
}  // namespace adit::jd_client
