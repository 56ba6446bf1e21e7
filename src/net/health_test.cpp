#include "net/health.h"

#include <algorithm>
#include <functional>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "session/adit_extension.h"
#include "wire/adit_messages.h"

namespace adit::net {
namespace {

using namespace std::chrono_literals;

constexpr Health kWell{};
constexpr Health is(HealthState state, HealthReason reason) { return {state, reason}; }

/// Two programs on two hosts, looked at from one of them, in simulated time.
class World {
 public:
  explicit World(HealthPolicy policy = {}) : policy_(policy), monitor_(policy, now_) {}

  // What the peer and the way to it are like.
  bool host_up = true;     ///< Its kernel acknowledges.
  bool program_up = true;  ///< It answers.
  bool speaks_ping = true;
  bool carrier_counts = true;
  bool carrier_times = false;  ///< It knows when it heard the peer.
  Duration round_trip = 20ms;
  std::uint64_t packets_a_second = 0;                  ///< That we send beside Pings,
  std::function<bool()> loses = [] { return false; };  ///< and which of them are lost.
  Duration frames_every{};                             ///< The peer sends by itself; 0: never.

  /// Until `limit` has passed or the state is another. How long that took.
  Duration run(Duration limit, bool until_change = false) {
    const auto begun = now_;
    const auto before = monitor_.health();
    while (now_ - begun < limit) {
      second();
      if (monitor_.health().state != before.state) {
        ++changes;
        if (until_change) break;
      }
    }
    return now_ - begun;
  }
  Duration until_change(Duration limit) { return run(limit, true); }

  /// This process is stopped so long; what came meanwhile waits in its buffers.
  void sleep(Duration time) { now_ += time; }

  [[nodiscard]] Health health() const { return monitor_.health(); }
  int changes = 0;
  int pings = 0;
  int reads = 0;  ///< Of what the carrier counts.

 private:
  void second() {
    for (const auto until = now_ + 1s; now_ < until; now_ += 10ms) {
      if (pong_at_ && now_ >= *pong_at_ && host_up && program_up) {
        pong_at_.reset();
        monitor_.on_frames(now_);
        monitor_.on_round_trip(now_ - pinged_at_);
      }
      if (frames_every != Duration::zero() && host_up && program_up && now_ - framed_at_ >= frames_every) {
        framed_at_ = now_;
        monitor_.on_frames(now_);
      }
      if (host_up && now_ - kept_alive_at_ >= 2s) {
        kept_alive_at_ = now_;
        ++figures_.heard;
      }
    }
    for (std::uint64_t i = 0; i < packets_a_second; ++i) {
      ++figures_.packets_sent;
      if (loses()) ++figures_.packets_lost;
    }
    figures_.heard_ago = carrier_times ? std::optional(now_ - kept_alive_at_) : std::nullopt;
    if (!carrier_counts) {
      monitor_.look(now_, std::nullopt);
    } else if (monitor_.needs_figures(now_)) {
      ++reads;
      monitor_.look(now_, figures_);
    } else {
      monitor_.look(now_);
    }
    if (!speaks_ping || !monitor_.ping_due(now_)) return;
    ++pings;
    monitor_.on_ping(now_);
    pinged_at_ = now_;
    pong_at_ = now_ + round_trip;
  }

  HealthPolicy policy_;
  Instant now_{1h};
  HealthMonitor monitor_;
  CarrierFigures figures_;
  Instant kept_alive_at_{};
  Instant framed_at_{};
  Instant pinged_at_{};
  std::optional<Instant> pong_at_;
};

TEST(Health, APeerThatAnswersIsHealthyForADay) {
  World world;
  EXPECT_EQ(world.until_change(24h), 24h);
  EXPECT_EQ(world.health(), kWell);
  EXPECT_GT(world.pings, 24 * 3600 / 4) << "a quiet one is asked all the time";
}

TEST(Health, ACarrierThatKnowsWhenItHeardThePeerIsAskedSeldom) {
  World world;
  world.carrier_times = true;
  world.run(1h);
  EXPECT_EQ(world.health(), kWell);
  EXPECT_LE(world.reads, 3600 / 3);
}

TEST(Health, WhereFramesComePingsOnlyMeasure) {
  World world;
  world.frames_every = 1s;
  world.run(1h);
  EXPECT_LE(world.pings, 3600 / 15);
  EXPECT_GE(world.pings, 3600 / 17);
}

TEST(Health, ADeadHostIsDeadWithinTheConfiguredTime) {
  for (const auto dead_after : {5s, 10s, 60s}) {
    for (const int kind : {0, 1, 2, 3}) {
      World world({.dead_after = dead_after});
      world.speaks_ping = (kind & 1) != 0;
      world.carrier_times = (kind & 2) != 0;
      world.run(1min);
      world.host_up = false;
      auto took = world.until_change(dead_after);
      if (dead_after >= 10s || world.carrier_times) {
        EXPECT_EQ(world.health(), is(HealthState::kDegraded, HealthReason::kSilent)) << "first it is suspected";
        took += world.until_change(dead_after);
      }
      EXPECT_EQ(world.health(), is(HealthState::kDead, HealthReason::kSilent));
      EXPECT_LE(took, dead_after);
      EXPECT_GE(took, dead_after / 3) << "the last sign of life may have been a while before";
    }
  }
}

TEST(Health, AHungProgramIsDeadWithinTheConfiguredTimeWherePingIsSpoken) {
  for (const auto dead_after : {5s, 10s, 60s}) {
    for (const int kind : {0, 1, 2}) {
      World world({.dead_after = dead_after});
      world.carrier_counts = kind != 0;
      world.carrier_times = kind == 2;
      world.run(1min);
      world.program_up = false;
      auto took = world.until_change(dead_after);
      if (dead_after >= 10s) {
        EXPECT_EQ(world.health(), is(HealthState::kDegraded, HealthReason::kLate));
        took += world.until_change(dead_after);
      }
      EXPECT_EQ(world.health(), is(HealthState::kDead, HealthReason::kHung));
      EXPECT_LE(took, dead_after);
      EXPECT_GE(took, dead_after / 3);
    }
  }
}

TEST(Health, AQuietProgramIsNotSuspectedWhereNoPingIsSpoken) {
  World world;
  world.speaks_ping = false;
  world.program_up = false;
  EXPECT_EQ(world.until_change(24h), 24h);
  world.carrier_counts = false;
  EXPECT_EQ(world.until_change(24h), 24h);
}

TEST(Health, ALatePongDegradesAndThePeerIsWellAgainAfterACalmTime) {
  World world;
  world.run(1min);
  world.program_up = false;
  world.until_change(10s);
  EXPECT_EQ(world.health(), is(HealthState::kDegraded, HealthReason::kLate));
  world.program_up = true;
  const auto took = world.until_change(1h);
  EXPECT_EQ(world.health(), kWell);
  EXPECT_GE(took, 29s);
  EXPECT_LE(took, 35s);
}

TEST(Health, DeadIsNotFinal) {
  World world;
  world.program_up = false;
  world.run(30s);
  EXPECT_EQ(world.health(), is(HealthState::kDead, HealthReason::kHung));
  world.program_up = true;
  world.until_change(10s);
  EXPECT_EQ(world.health().state, HealthState::kDegraded);
  world.until_change(1min);
  EXPECT_EQ(world.health(), kWell);
}

TEST(Health, APongThatNeverComesDegradesAPeerWhoseFramesComeAndNoMore) {
  World world;
  world.frames_every = 1s;
  world.round_trip = 24h;
  world.run(1h);
  EXPECT_EQ(world.health(), is(HealthState::kDegraded, HealthReason::kLate));
}

TEST(Health, ThreeSlowRoundTripsInARowDegradeAndSingleOnesDoNot) {
  World world;
  world.round_trip = 3s;
  world.until_change(1h);
  EXPECT_EQ(world.health(), is(HealthState::kDegraded, HealthReason::kSlow));
  HealthMonitor monitor({}, Instant(1h));
  for (int i = 0; i < 100; ++i) {
    monitor.on_round_trip(i % 3 == 0 ? 20ms : 5s);
    EXPECT_EQ(monitor.look(Instant(1h) + i * 100ms, std::nullopt), kWell);
  }
}

TEST(Health, LossDegradesFromTheLimitOnAndIsForgottenBelowHalfOfIt) {
  std::mt19937 random(7);
  double rate = 0.03;
  World world;
  world.packets_a_second = 50;
  world.loses = [&] { return std::uniform_real_distribution(0.0, 1.0)(random) < rate; };
  world.run(10min);
  EXPECT_EQ(world.health(), kWell);
  rate = 0.3;
  EXPECT_LE(world.until_change(1min), 7s);
  EXPECT_EQ(world.health(), is(HealthState::kDegraded, HealthReason::kLossy));
  rate = 0.08;
  world.run(10min);
  EXPECT_EQ(world.health(), is(HealthState::kDegraded, HealthReason::kLossy)) << "between the limits it stays what it was";
  rate = 0.01;
  world.run(2min);
  EXPECT_EQ(world.health(), kWell);
}

TEST(Health, AWayThatComesAndGoesChangesTheStateSeldom) {
  for (const auto period : {6s, 8s, 9s, 20s}) {
    World world;
    for (Duration time{}; time < 1h; time += 2 * period) {
      world.host_up = world.program_up = false;
      world.run(period);
      world.host_up = world.program_up = true;
      world.run(period);
      EXPECT_NE(world.health().state, HealthState::kHealthy);
    }
  }
}

TEST(Health, AProcessThatWasStoppedItselfBlamesNobody) {
  for (const Duration pause : {Duration(4s), Duration(30s), Duration(10h)}) {
    World world;
    world.carrier_times = pause > 4s;
    for (int i = 0; i < 20; ++i) {
      world.run(i % 2 == 0 ? 13s : 17s);
      world.sleep(pause);
      world.run(3s);
      EXPECT_EQ(world.health(), kWell);
    }
  }
}

TEST(Health, CountersThatBeginAnewAreNoLoss) {
  HealthMonitor monitor({}, Instant(1h));
  std::uint64_t heard = 0;
  auto now = Instant(1h);
  const auto look = [&](std::uint64_t sent, std::uint64_t lost) {
    return monitor.look(now += 1s, CarrierFigures{.heard = ++heard, .packets_sent = sent, .packets_lost = lost});
  };
  EXPECT_EQ(look(1'000'000, 50'000), kWell);
  EXPECT_EQ(look(10, 0), kWell);
  EXPECT_EQ(look(1000, 0), kWell);
}

/// The wall clock is for the Pong's reader; nothing else may depend on it.
TEST(Health, AClockThatStepsChangesNothing) {
  session::AditExtension here;
  session::AditExtension there;
  here.agree();
  there.agree();
  HealthMonitor monitor({}, Instant(1h));
  for (int second = 0; second < 600; ++second) {
    const auto instant = Instant(1h) + second * 1s;
    const auto step = std::chrono::hours(second % 7 == 0 ? 48 : second % 5 == 0 ? -48 : 0);
    const Now now{instant, UnixTime(1'000'000s) + step};
    if (monitor.ping_due(instant)) {
      wire::FrameBuffer ping;
      wire::FrameBuffer pong;
      wire::FrameBuffer none;
      ASSERT_TRUE(here.ping(now, ping));
      monitor.on_ping(instant);
      ASSERT_TRUE(there.on_frame(*ping.begin(), now, pong));
      ASSERT_TRUE(here.on_frame(*pong.begin(), now, none));
      const auto round_trip = here.take_round_trip();
      ASSERT_TRUE(round_trip);
      monitor.on_frames(instant);
      monitor.on_round_trip(*round_trip);
    }
    EXPECT_EQ(monitor.look(instant, CarrierFigures{.heard = static_cast<std::uint64_t>(second)}), kWell);
  }
}

TEST(Health, EveryReasonHasWordsOfItsOwn) {
  std::vector<std::string_view> all;
  for (int reason = 0; reason <= static_cast<int>(HealthReason::kHung); ++reason) {
    const auto words = to_words(static_cast<HealthReason>(reason));
    EXPECT_EQ(std::ranges::count(all, words), 0);
    all.push_back(words);
  }
}

}  // namespace
}  // namespace adit::net
