#include "monitor/alerts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace adit::monitor {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class AlertsTest : public testing::Test {
 protected:
  AlertsTest() {
    snapshot.clients.emplace();
    snapshot.clients->channels.push_back({.client_id = 1, .channel_id = 2, .user_identity = "farm.one"});
    snapshot.work.emplace();
    snapshot.work->nodes.push_back({.name = "node", .state = "ready", .message = {}, .in_use = true, .height = 100});
  }
  /// What was told in that time, looked at each ten seconds, as "kind about" or "over kind about".
  std::vector<std::string> pass(Duration time) {
    std::vector<std::string> out;
    for (Duration gone = 0s; gone < time; gone += 10s) {
      now.instant += 10s;
      now.unix_time += 10s;
      if (shares_come) ++snapshot.clients->shares_accepted;
      for (const Alert& alert : alerts.look(snapshot, health, machine, now)) {
        out.push_back((alert.over ? "over " : "") + std::string(to_string(alert.kind)) +
                      (alert.about.empty() ? "" : " " + alert.about));
        last = alert;
      }
    }
    return out;
  }

  Snapshot snapshot;
  Health health{.readiness = Readiness::kReady};
  MachineSample machine;
  Now now{Instant{1h}, from_u32(1'800'000'000)};
  bool shares_come = true;
  Alert last;
  Alerts alerts{AlertRules{}};
};

TEST_F(AlertsTest, NothingIsSaidWhileAllIsWell) {
  EXPECT_THAT(pass(1h), IsEmpty());
  EXPECT_THAT(alerts.active(), IsEmpty());
}

TEST_F(AlertsTest, AFaultIsToldAfterThePatienceWithItsBeginningAndWhenItIsOver) {
  pass(1min);
  health = {.readiness = Readiness::kNodeAway, .message = "the node does not answer"};
  const auto began = now.unix_time + 10s;
  EXPECT_THAT(pass(2min), IsEmpty());
  EXPECT_THAT(pass(10s), ElementsAre("node"));
  EXPECT_EQ(last.since, began);
  EXPECT_EQ(last.text, "the node does not answer");
  EXPECT_EQ(alerts.active().size(), 1u);
  EXPECT_THAT(pass(10min), IsEmpty()) << "once";
  health = {.readiness = Readiness::kReady};
  EXPECT_THAT(pass(3min), ElementsAre("over node"));
  EXPECT_THAT(alerts.active(), IsEmpty());
}

TEST_F(AlertsTest, OneFaultIsOneAlert) {
  snapshot.work->nodes[0].state = "away";
  health = {.readiness = Readiness::kNodeAway, .message = "the node does not answer"};
  EXPECT_THAT(pass(10min), ElementsAre("node"));
  // Another node gives work now.
  health = {.readiness = Readiness::kReady};
  EXPECT_THAT(pass(10min), testing::UnorderedElementsAre("over node", "node node"));
}

TEST_F(AlertsTest, ARoleThatNeverGetsWorkIsTold) {
  health = {.readiness = Readiness::kStarting, .message = "no work has come since the start"};
  EXPECT_THAT(pass(110s), IsEmpty());
  EXPECT_THAT(pass(1min), ElementsAre("not_ready"));
}

TEST_F(AlertsTest, WhatPassesSoonerIsNotTold) {
  for (int i = 0; i < 10; ++i) {
    health = {.readiness = Readiness::kUpstreamLost, .message = "away"};
    EXPECT_THAT(pass(1min), IsEmpty());
    health = {.readiness = Readiness::kReady};
    EXPECT_THAT(pass(1min), IsEmpty());
  }
}

TEST_F(AlertsTest, WhatComesAndGoesIsToldOnce) {
  machine = {.disk_free_bytes = 1 << 20};
  EXPECT_THAT(pass(10s), ElementsAre("disk"));
  std::vector<std::string> more;
  for (int i = 0; i < 30; ++i) {
    machine.disk_free_bytes = i % 2 == 0 ? 1ull << 40 : 1ull << 20;
    for (auto& told : pass(30s)) more.push_back(std::move(told));
  }
  EXPECT_THAT(more, IsEmpty());
  machine.disk_free_bytes = 1ull << 40;
  EXPECT_THAT(pass(3min), ElementsAre("over disk"));
}

TEST_F(AlertsTest, NoSharesAreAnAlertOnlyWhileMinersAreConnected) {
  pass(1min);
  shares_come = false;
  EXPECT_THAT(pass(590s), IsEmpty());
  EXPECT_THAT(pass(1min), ElementsAre("no_shares"));
  shares_come = true;
  EXPECT_THAT(pass(3min), ElementsAre("over no_shares"));
  shares_come = false;
  snapshot.clients->channels.clear();
  EXPECT_THAT(pass(4min), IsEmpty());
}

TEST_F(AlertsTest, AMinerThatWasAtHomeIsMissedAndWhoOnlyLookedInIsNot) {
  pass(11min);
  snapshot.clients->channels.push_back({.client_id = 2, .channel_id = 2, .user_identity = "passer-by"});
  pass(1min);
  snapshot.clients->channels.clear();
  snapshot.sv1.emplace();
  snapshot.sv1->list.push_back({.client_id = 3, .user = "another"});
  const auto left = now.unix_time;
  EXPECT_THAT(pass(6min), ElementsAre("miner_gone farm.one"));
  EXPECT_EQ(last.since, left);
  EXPECT_THAT(last.text, HasSubstr("'farm.one' is gone"));
  snapshot.sv1->list.push_back({.client_id = 4, .user = "farm.one"});
  EXPECT_THAT(pass(6min), ElementsAre("over miner_gone farm.one")) << "it may come back by the other protocol";
}

TEST_F(AlertsTest, ManyThatGoAtOnceAreToldTogetherAndNobodyIsWaitedForForever) {
  for (std::uint32_t i = 0; i < 100; ++i)
    snapshot.clients->channels.push_back({.client_id = i, .channel_id = 3, .user_identity = "m" + std::to_string(i)});
  pass(11min);
  snapshot.clients->channels.resize(1);
  EXPECT_EQ(pass(6min).size(), Alerts::kMostGone + 1);
  EXPECT_EQ(alerts.active().size(), Alerts::kMostGone + 1);
  const auto later = pass(25h);
  EXPECT_THAT(later, ElementsAre("over miner_gone")) << "of the sum alone: the others have not come back";
  EXPECT_THAT(alerts.active(), IsEmpty());
}

TEST_F(AlertsTest, RefusedSharesCountByTheirPartOfTheLastTenMinutes) {
  pass(20min);
  snapshot.clients->shares_rejected["stale-share"] = 3;
  EXPECT_THAT(pass(1min), IsEmpty()) << "three of sixty";
  snapshot.clients->shares_rejected["difficulty-too-low"] = 30;
  EXPECT_THAT(pass(10s), ElementsAre("rejects"));
  EXPECT_THAT(last.text, HasSubstr("% of the last"));
  EXPECT_THAT(pass(15min), ElementsAre("over rejects"));
}

TEST_F(AlertsTest, AClockANodeBehindAndDescriptorsAreNamed) {
  snapshot.work->nodes[0].clock_ahead_seconds = -45;
  snapshot.work->nodes.push_back({.name = "other", .state = "ready", .message = {}, .height = 90});
  machine = {.descriptors_open = 950, .descriptors_limit = 1000};
  EXPECT_THAT(pass(3min), testing::UnorderedElementsAre("descriptors", "clock node", "node other"));
  for (const Alert& alert : alerts.active()) {
    if (alert.kind == AlertKind::kClock) EXPECT_THAT(alert.text, HasSubstr("45 s behind this machine's"));
    if (alert.kind == AlertKind::kNode) EXPECT_THAT(alert.text, HasSubstr("10 blocks behind"));
  }
}

TEST_F(AlertsTest, EachBlockIsToldAndIsNeverOver) {
  pass(1min);
  snapshot.clients->blocks_found = 1;
  EXPECT_THAT(pass(1min), ElementsAre("block"));
  snapshot.clients->blocks_found = 3;
  EXPECT_THAT(pass(10min), ElementsAre("block"));
  EXPECT_THAT(last.text, HasSubstr("2 blocks were found"));
  EXPECT_THAT(alerts.active(), IsEmpty());
}

TEST_F(AlertsTest, AConnectionThroughARelayIsToldAfterTenMinutes) {
  snapshot.server.emplace();
  snapshot.connections.push_back({.client_id = 0, .transport = "iroh", .path = "relayed", .health = "healthy"});
  EXPECT_THAT(pass(10min), IsEmpty());
  EXPECT_THAT(pass(1min), ElementsAre("upstream relayed"));
  snapshot.connections[0].path = "direct";
  EXPECT_THAT(pass(11min), ElementsAre("over upstream relayed"));
}

TEST_F(AlertsTest, WhatIsMutedIsNotTold) {
  AlertRules rules;
  rules.muted = {kAllAlerts.begin(), kAllAlerts.end()};
  alerts = Alerts(rules);
  pass(11min);
  shares_come = false;
  snapshot.work->nodes[0].clock_ahead_seconds = 100;
  machine = {.disk_free_bytes = 1};
  health = {.readiness = Readiness::kNodeAway, .message = "away"};
  snapshot.clients->blocks_found = 1;
  EXPECT_THAT(pass(30min), IsEmpty());
  std::vector<std::string_view> shown;
  for (const Alert& alert : alerts.active()) shown.push_back(to_string(alert.kind));
  EXPECT_THAT(shown, ElementsAre("node", "clock", "no_shares", "disk")) << "the page shows them all the same";
}

TEST_F(AlertsTest, WhileTheRoleIsSilentNothingElseIsOver) {
  snapshot.work->nodes[0].clock_ahead_seconds = 100;
  EXPECT_THAT(pass(3min), ElementsAre("clock node"));
  health = {.readiness = Readiness::kSilent, .message = "it does not answer"};
  EXPECT_THAT(pass(10min), ElementsAre("not_ready"));
  health = {.readiness = Readiness::kReady};
  EXPECT_THAT(pass(10min), ElementsAre("over not_ready"));
}

}  // namespace
}  // namespace adit::monitor
