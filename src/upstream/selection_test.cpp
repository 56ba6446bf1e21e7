// Selection in simulated time: scripted outages of seconds, days, and links that flap.
#include "upstream/selection.h"

#include <functional>
#include <map>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace adit::upstream {
namespace {

using namespace std::chrono_literals;
using Kind = Selection::Action::Kind;

constexpr net::Transport kIroh = net::Transport::kIroh;
constexpr net::Transport kTcp = net::Transport::kTcp;

/// A world of upstreams that are up or down as a script says, each `latency` away; counts what a driver would do.
class World {
 public:
  World(std::vector<net::Transport> carriers, SelectionPolicy policy, std::uint64_t seed = 1)
      : selection(carriers, policy),
        up(carriers.size(), true),
        latency(carriers.size(), 50ms),
        dials(carriers.size()),
        random_(seed) {}

  /// Runs until `until` from the start.
  void run(Duration until) {
    const Instant end = start_ + until;
    while (true) {
      apply(selection.step(now));
      Instant next = std::min(selection.wake_at(now), end);
      for (const auto& [at, what] : events_) {
        next = std::min(next, at);
        break;
      }
      if (next > now && !selection.in_use()) idle += next - now;
      if (next > now && selection.in_use()) used[*selection.in_use()] += next - now;
      now = std::max(now, next);
      ++turns;
      while (!events_.empty() && events_.begin()->first <= now) {
        const auto what = events_.begin()->second;
        events_.erase(events_.begin());
        what();
      }
      if (now >= end && (events_.empty() || events_.begin()->first > now)) return;
      ASSERT_LT(turns, 2'000'000) << "it spins";
    }
  }

  void at(Duration when, std::function<void()> what) { events_.emplace(start_ + when, std::move(what)); }
  void down(std::size_t candidate, Duration from, Duration until) {
    at(from, [this, candidate] { set(candidate, false); });
    at(until, [this, candidate] { set(candidate, true); });
  }
  void set(std::size_t candidate, bool is_up) {
    up[candidate] = is_up;
    if (!is_up && selection.in_use() == candidate) fail_now(candidate, Severity::kLost);
  }
  void fail_now(std::size_t candidate, Severity severity) { apply(selection.on_failed(candidate, severity, now, random_())); }

  Selection selection;
  std::vector<bool> up;
  std::vector<Duration> latency;
  std::vector<Severity> fault = std::vector<Severity>(8, Severity::kLost);  ///< Of a failed dial.
  std::vector<int> dials;
  std::map<std::size_t, Duration> used;
  Duration idle{};
  int drains = 0;
  int uses = 0;
  int turns = 0;
  std::vector<std::size_t> history;
  Instant now = Instant(1000h);

  void apply(const std::vector<Selection::Action>& actions) {
    for (const auto& action : actions) {
      const auto i = action.candidate;
      switch (action.kind) {
        case Kind::kDial: {
          ++dials[i];
          const auto attempt = ++attempts_[i];
          events_.emplace(now + latency[i], [this, i, attempt] {
            if (attempts_[i] != attempt) return;  // abandoned
            if (up[i])
              apply(selection.on_ready(i, now));
            else
              fail_now(i, fault[i]);
          });
          break;
        }
        case Kind::kAbandon:
          ++attempts_[i];
          break;
        case Kind::kDrain:
          ++drains;
          break;
        case Kind::kUse:
          ++uses;
          history.push_back(i);
          break;
      }
    }
  }

 private:
  std::multimap<Instant, std::function<void()>> events_;
  std::map<std::size_t, int> attempts_;
  std::mt19937_64 random_;
  const Instant start_ = now;
};

TEST(Selection, ThePreferredCarrierIsTriedFirstWhateverTheOrderListed) {
  World iroh({kTcp, kIroh, kTcp}, {.prefer = Prefer::kIroh});
  EXPECT_EQ(iroh.selection.step(iroh.now), (std::vector<Selection::Action>{{Kind::kDial, 1}}));
  World tcp({kIroh, kTcp}, {.prefer = Prefer::kTcp});
  EXPECT_EQ(tcp.selection.step(tcp.now), (std::vector<Selection::Action>{{Kind::kDial, 1}}));
  World listed({kTcp, kIroh}, {});
  EXPECT_EQ(listed.selection.step(listed.now), (std::vector<Selection::Action>{{Kind::kDial, 0}}));
}

TEST(Selection, TheNextJoinsTheRaceAfterAWhileOrAtOnceWhenOneFails) {
  World slow({kIroh, kTcp}, {.race_after = 500ms});
  slow.latency = {10s, 50ms};
  slow.run(499ms);
  EXPECT_EQ(slow.dials, (std::vector<int>{1, 0}));
  slow.run(600ms);
  EXPECT_EQ(slow.dials, (std::vector<int>{1, 1}));
  EXPECT_EQ(slow.selection.in_use(), 1u) << "the first that is ready wins";

  World failing({kIroh, kTcp}, {.race_after = 1h});
  failing.up[0] = false;
  failing.run(200ms);
  EXPECT_EQ(failing.selection.in_use(), 1u) << "a failure starts the next at once";
}

TEST(Selection, LosersAreAbandonedBeforeTheWinnerIsUsed) {
  Selection selection({kIroh, kTcp}, {.race_after = 1s});
  Instant now(1h);
  (void)selection.step(now);
  EXPECT_EQ(selection.step(now + 1s), (std::vector<Selection::Action>{{Kind::kDial, 1}}));
  EXPECT_EQ(selection.on_ready(1, now + 2s), (std::vector<Selection::Action>{{Kind::kAbandon, 0}, {Kind::kUse, 1}}));
  EXPECT_TRUE(selection.on_ready(0, now + 2s).empty()) << "a word that was on its way";
}

TEST(Selection, AnOutageOfMinutesIsSpentOnTheFallbackAndEndsOnThePreferredWay) {
  World world({kIroh, kTcp}, {});
  world.down(0, 5min, 12min);
  world.run(5min + 10s);
  EXPECT_EQ(world.selection.in_use(), 1u);
  world.run(1h);
  EXPECT_EQ(world.selection.in_use(), 0u);
  EXPECT_LT(world.idle, 1s);
  EXPECT_EQ(world.history, (std::vector<std::size_t>{0, 1, 0}));
  EXPECT_EQ(world.drains, 1) << "on the way back nothing was lost: the fallback finished what was under way";
  EXPECT_LT(world.used[1], 7min + 11min) << "back at most one probe after it returned";
}

TEST(Selection, AnOutageOfDaysCostsFewDialsAndEndsAtMostOneProbeLater) {
  World world({kIroh, kTcp}, {});
  world.down(0, 1h, 73h);
  world.run(74h);
  EXPECT_EQ(world.selection.in_use(), 0u);
  EXPECT_LE(world.dials[0], 72 * 60 / 5 + 10) << "a probe each five to ten minutes";
  EXPECT_LT(world.idle, 1s);
}

TEST(Selection, AllDownForDaysIsRetriedWithinHalfAMinuteForEverAndNeverSpins) {
  World world({kIroh, kTcp, kTcp}, {});
  for (std::size_t i = 0; i < 3; ++i) world.down(i, 1min, 49h);
  world.run(49h);
  const auto dials = world.dials;
  for (const int count : dials) {
    EXPECT_GT(count, 48 * 60 * 2 * 7 / 10);
    EXPECT_LT(count, 48 * 60 * 60 / 8);
  }
  world.run(49h + 31s);
  EXPECT_TRUE(world.selection.in_use());
}

TEST(Selection, APreferredWayThatFlapsIsUsedLessAndLess) {
  World world({kIroh, kTcp}, {});
  for (Duration t = 10s; t < 6h; t += 40s) world.down(0, t + 20s, t + 40s);
  world.run(6h);
  // Each stay on it is short of stable: the probes double up to ten minutes. Undamped there would be 540.
  EXPECT_LT(world.uses, 120);
  EXPECT_GT(world.used[1], 5h);
  EXPECT_LT(world.idle, 10s);
}

TEST(Selection, AStableTimeMakesTheNextFailureAFirstOne) {
  World world({kIroh}, {.first_retry = 1s, .longest_retry = 30s, .stable_after = 60s});
  world.down(0, 10s, 1h);
  world.down(0, 3h, 3h + 100ms);
  world.run(3h + 1500ms);
  EXPECT_EQ(world.selection.in_use(), 0u) << "within the first bound of a second, not half a minute";
}

TEST(Selection, ABadUpstreamIsTheLastResortUntilItCooledDownAndNeverDroppedForGood) {
  for (const auto severity : {Severity::kRefused, Severity::kRejected, Severity::kMisbehaved, Severity::kUntrusted}) {
    World world({kTcp, kTcp}, {});
    world.at(1min, [&] { world.fail_now(0, severity); });
    const auto cool = 1min + cool_down(severity);
    world.run(cool - 1s);
    EXPECT_EQ(world.history, (std::vector<std::size_t>{0, 1}));
    world.run(cool + 1min);
    EXPECT_EQ(world.selection.in_use(), 0u) << "it is the preferred one again";
  }
  // Alone, it is used all the same.
  World alone({kTcp}, {});
  alone.at(1min, [&] { alone.fail_now(0, Severity::kUntrusted); });
  alone.run(1min + 5s);
  EXPECT_EQ(alone.selection.in_use(), 0u);
  // Beside one that is down, too.
  World beside({kTcp, kTcp}, {});
  beside.up[1] = false;
  beside.at(1min, [&] { beside.fail_now(0, Severity::kMisbehaved); });
  beside.at(3min, [&] { beside.set(1, true); });
  beside.run(1min + 5s);
  EXPECT_EQ(beside.selection.in_use(), 0u);
  beside.run(6min);
  EXPECT_EQ(beside.selection.in_use(), 1u) << "one that did nothing wrong is better than a last resort";
}

TEST(Selection, AnUnusableOneIsNeverDialledAgain) {
  World world({kTcp, kTcp}, {});
  world.at(1s, [&] { world.fail_now(0, Severity::kUnusable); });
  world.run(100h);
  EXPECT_EQ(world.dials[0], 1);
  EXPECT_EQ(world.selection.in_use(), 1u);
  EXPECT_FALSE(world.selection.hopeless());
  world.fail_now(1, Severity::kUnusable);
  EXPECT_TRUE(world.selection.hopeless());
  EXPECT_FALSE(world.selection.in_use());
}

TEST(Selection, OneThatMovedIsDialledAtOnce) {
  World world({kTcp, kTcp}, {});
  world.run(1s);
  world.fail_now(0, Severity::kMoved);
  world.run(1s + 60ms);
  EXPECT_EQ(world.history, (std::vector<std::size_t>{0, 0}));
}

TEST(Selection, RandomWorldsNeverEndWithoutAnUpstreamThatIsUp) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    const std::size_t count = 1 + random() % 4;
    std::vector<net::Transport> carriers;
    for (std::size_t i = 0; i < count; ++i) carriers.push_back(random() % 2 == 0 ? kIroh : kTcp);
    const auto prefer = static_cast<Prefer>(random() % 3);
    World world(carriers, {.prefer = prefer}, random());
    for (std::size_t i = 0; i < count; ++i) {
      world.latency[i] = std::chrono::milliseconds(1 + random() % 3000);
      world.fault[i] = static_cast<Severity>(1 + random() % 5);
      Duration t{};
      while (t < 5h) {
        const Duration from = t + std::chrono::seconds(random() % 4000);
        t = from + std::chrono::seconds(1 + random() % 2000);
        if (from < 5h) world.down(i, from, std::min<Duration>(t, 5h));
      }
    }
    world.run(5h + 40s);
    EXPECT_TRUE(world.selection.in_use()) << round;
    world.run(7h);
    // Two quiet hours later the best one is in use, whatever happened before.
    const auto first = std::ranges::find(carriers, prefer == Prefer::kTcp ? kTcp : kIroh);
    const bool any = prefer == Prefer::kAsListed || first == carriers.end();
    EXPECT_EQ(world.selection.in_use(), any ? 0 : static_cast<std::size_t>(first - carriers.begin())) << round;
  }
}

/// As Uplink says it: each second, as long as the one in use is degraded.
void degrade(World& world, std::size_t candidate, Duration from, Duration until) {
  for (auto at = from; at < until; at += 1s) {
    world.at(at, [&world, candidate] {
      if (world.selection.in_use() == candidate) world.apply(world.selection.on_degraded(world.now));
    });
  }
}

TEST(Selection, ADegradedOneIsLeftWhenAnotherIsReadyAndNotBefore) {
  World world({kIroh, kTcp}, {});
  world.down(1, 0s, 10min + 40s);
  degrade(world, 0, 10min, 20min);
  world.run(10min + 30s);
  EXPECT_EQ(world.selection.in_use(), 0u) << "better than none";
  world.run(20min);
  ASSERT_GE(world.history.size(), 2u);
  EXPECT_EQ(world.history[1], 1u);
  EXPECT_EQ(world.drains, world.uses - 1) << "each finishes what is under way";
  EXPECT_EQ(world.idle, 50ms) << "nobody waited but for the very first connection";
}

TEST(Selection, ADegradedOneWithNoOtherStays) {
  World world({kIroh}, {});
  degrade(world, 0, 1min, 1h);
  world.run(2h);
  EXPECT_EQ(world.history, (std::vector<std::size_t>{0}));
}

TEST(Selection, OneThatDegradesTimeAndAgainIsComeBackToEverMoreSeldom) {
  World world({kIroh, kTcp}, {});
  degrade(world, 0, 1s, 24h);  // Within a second of each return.
  world.run(24h);
  EXPECT_EQ(world.selection.in_use(), 1u);
  EXPECT_LT(world.uses, 2 * (24 * 6 + 10)) << "each ten minutes at most";
  EXPECT_GT(world.used[1], 23h);
}

TEST(Selection, WhereAllAreDegradedTheyAreNotSwappedAllTheTime) {
  World world({kIroh, kTcp}, {});
  degrade(world, 0, 1min, 24h);
  degrade(world, 1, 1min, 24h);
  world.run(24h);
  EXPECT_LT(world.uses, 24 * 60);
  EXPECT_LT(world.idle, 1s);
}

}  // namespace
}  // namespace adit::upstream
