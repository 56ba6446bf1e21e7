#include "monitor/places.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace adit::monitor {
namespace {

using State = Places::State;

TEST(Places, AreGivenUntilTheyAreFullAndThenTheIdleOneGoesThatHasBeenSoForLongest) {
  Places places({.connections = 3, .per_source = 3, .reserve = 0});
  std::vector<Places::Id> ids;
  for (int i = 0; i < 3; ++i) {
    const auto admitted = places.admit("a");
    ASSERT_TRUE(admitted);
    EXPECT_FALSE(admitted->displaced);
    ids.push_back(admitted->id);
  }
  places.set(ids[2], State::kIdle);
  places.set(ids[0], State::kIdle);
  places.set(ids[1], State::kAnswering);
  EXPECT_EQ(places.admit("b")->displaced, ids[2]);
  EXPECT_EQ(places.admit("b")->displaced, ids[0]);
  EXPECT_EQ(places.size(), 3u);
}

TEST(Places, ASourceHasABoundOfItsOwnAndDisplacesItsOwn) {
  Places places({.connections = 10, .per_source = 2, .reserve = 0});
  const auto other = places.admit("b")->id;
  places.set(other, State::kIdle);
  const auto first = places.admit("a")->id;
  const auto second = places.admit("a")->id;
  places.set(second, State::kIdle);
  EXPECT_EQ(places.admit("a")->displaced, second);
  EXPECT_EQ(places.admit("a")->displaced, first) << "which is longest at sending its request";
  EXPECT_EQ(places.size(), 3u);
}

TEST(Places, TheLastAreForSourcesThatHaveNone) {
  Places places({.connections = 4, .per_source = 4, .reserve = 2});
  const auto first = places.admit("a")->id;
  places.admit("a");
  EXPECT_EQ(places.admit("a")->displaced, first);
  EXPECT_FALSE(places.admit("b")->displaced);
  EXPECT_FALSE(places.admit("c")->displaced);
}

// audit.md L2: 32 connections that ask once in nine seconds shut everybody out.
TEST(Places, ANewcomerGetsInWhateverTheOthersDo) {
  for (const State state : {State::kIdle, State::kReading, State::kAnswering}) {
    Places places({});
    for (int source = 0; source < 100; ++source) {
      for (int i = 0; i < 20; ++i) {
        const auto admitted = places.admit("abuser" + std::to_string(source));
        ASSERT_TRUE(admitted);
        places.set(admitted->id, state);
        EXPECT_LE(places.size(), Places::Limits().connections);
      }
    }
    const auto newcomer = places.admit("prometheus");
    ASSERT_TRUE(newcomer);
    places.set(newcomer->id, State::kAnswering);
    const auto next = places.admit("another abuser");
    ASSERT_TRUE(next);
    EXPECT_NE(next->displaced, newcomer->id);
  }
}

TEST(Places, OfTheSourceThatHasTheMostOneGoesFirst) {
  Places places({.connections = 4, .per_source = 4, .reserve = 0});
  const auto lonely = places.admit("lonely")->id;
  const auto many = places.admit("many")->id;
  places.admit("many");
  places.admit("many");
  EXPECT_EQ(places.admit("newcomer")->displaced, many);
  places.leave(lonely);
  EXPECT_FALSE(places.admit("newcomer")->displaced);
}

TEST(Places, StreamsAreBoundedAndNeverDisplaced) {
  Places places({.connections = 4, .per_source = 4, .reserve = 0, .streams = 3, .streams_per_source = 2});
  const auto a = places.admit("a")->id, b = places.admit("a")->id, c = places.admit("a")->id, d = places.admit("b")->id;
  EXPECT_TRUE(places.begin_stream(a));
  EXPECT_TRUE(places.begin_stream(b));
  EXPECT_FALSE(places.begin_stream(c)) << "two are of this source";
  EXPECT_TRUE(places.begin_stream(d));
  EXPECT_EQ(places.admit("c")->displaced, c);
  const auto e = places.admit("d");
  ASSERT_TRUE(e);
  EXPECT_FALSE(places.begin_stream(e->id)) << "three in all";
  places.leave(a);
  EXPECT_TRUE(places.begin_stream(e->id));
  EXPECT_FALSE(places.begin_stream(c)) << "it was displaced";
  places.set(c, State::kIdle);
  EXPECT_EQ(places.size(), 3u);
}

TEST(Places, WhereEverythingStreamsThereIsNoRoom) {
  Places places({.connections = 1, .per_source = 1, .reserve = 0, .streams = 1, .streams_per_source = 1});
  const auto id = places.admit("a")->id;
  EXPECT_TRUE(places.begin_stream(id));
  EXPECT_FALSE(places.admit("b"));
  places.leave(id);
  EXPECT_TRUE(places.admit("b"));
}

}  // namespace
}  // namespace adit::monitor
