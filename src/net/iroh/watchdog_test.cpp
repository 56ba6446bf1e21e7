#include "net/iroh/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace adit::net {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

class WatchdogTest : public testing::Test {
 protected:
  /// Looks every 10 s for `time`; the minutes, since the start, at which the endpoint was built anew.
  std::vector<double> pass(Duration time, EndpointHealth health) {
    std::vector<double> rebuilt;
    for (const auto end = now_ + time; now_ < end;) {
      now_ += 10s;
      if (watchdog_.look(health, now_))
        rebuilt.push_back(std::chrono::duration<double, std::ratio<60>>(now_ - Instant{}).count());
    }
    return rebuilt;
  }

  Instant now_{};
  Watchdog watchdog_{{}, now_};
};

constexpr EndpointHealth kWell{.relay_connected = true};
constexpr EndpointHealth kWithout{};
constexpr EndpointHealth kWithoutButDirect{.direct = 1};

TEST_F(WatchdogTest, AnEndpointWithItsRelayIsLeftAlone) { EXPECT_THAT(pass(24h, kWell), IsEmpty()); }

TEST_F(WatchdogTest, OneThatLostItsRelayForTwoMinutesIsBuiltAnew) {
  EXPECT_THAT(pass(1min, kWell), IsEmpty());
  EXPECT_THAT(pass(110s, kWithout), IsEmpty());
  EXPECT_THAT(pass(10s, kWithout), ElementsAre(3.0));
}

TEST_F(WatchdogTest, ARelayThatComesAndGoesIsPatientlyWaitedFor) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(pass(110s, kWithout), IsEmpty());
    EXPECT_THAT(pass(10s, kWell), IsEmpty());
  }
}

TEST_F(WatchdogTest, ADirectConnectionKeepsItUntilItEnds) {
  EXPECT_THAT(pass(5h, kWithoutButDirect), IsEmpty());
  EXPECT_THAT(pass(10s, kWithout), ElementsAre(testing::DoubleNear(300.0 + 1.0 / 6, 1e-6)));
}

TEST_F(WatchdogTest, WhereItDoesNotHelpItIsDoneLessAndLessOften) {
  EXPECT_THAT(pass(150min, kWithout), ElementsAre(2.0, 6.0, 14.0, 30.0, 60.0, 90.0, 120.0, 150.0));
}

TEST_F(WatchdogTest, AfterARelayWasFoundThePatienceIsTheFirstAgain) {
  EXPECT_THAT(pass(14min, kWithout), ElementsAre(2.0, 6.0, 14.0));
  EXPECT_THAT(pass(10s, kWell), IsEmpty());
  EXPECT_THAT(pass(2min, kWithout), testing::SizeIs(1));
}

TEST_F(WatchdogTest, AMachineThatSleptIsGivenTimeToFindItsRelay) {
  EXPECT_THAT(pass(1min, kWell), IsEmpty());
  now_ += 8h;
  EXPECT_THAT(pass(2min, kWithout), IsEmpty());
  EXPECT_THAT(pass(10s, kWithout), testing::SizeIs(1));
}

}  // namespace
}  // namespace adit::net
