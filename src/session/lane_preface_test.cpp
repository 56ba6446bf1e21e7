#include "session/lane_preface.h"

#include <gtest/gtest.h>

namespace adit::session {
namespace {

constexpr Instant kStart{};

LanePreface control(std::uint64_t id, wire::Protocol protocol = wire::Protocol::kMining) {
  return {.lane = Lane::kControl, .protocol = protocol, .session_id = id};
}
LanePreface second(std::uint64_t id, wire::Protocol protocol = wire::Protocol::kMining) {
  return {.lane = second_lane(protocol), .protocol = protocol, .session_id = id};
}

TEST(LanePreface, BytesAreThoseOfTheDocument) {  // docs/lanes.md §2
  const LanePreface preface{.lane = Lane::kBulk, .protocol = wire::Protocol::kJobDeclaration, .session_id = 0x0102030405060708};
  EXPECT_EQ(preface.encode(), (std::array<std::uint8_t, 12>{1, 3, 1, 0, 8, 7, 6, 5, 4, 3, 2, 1}));
  EXPECT_EQ(*LanePreface::decode(preface.encode()), preface);
}

TEST(LanePreface, AnythingElseIsRefused) {
  const auto good = second(7).encode();
  ASSERT_TRUE(LanePreface::decode(good));
  const auto refused = [&](std::size_t at, std::uint8_t value) {
    auto bytes = good;
    bytes[at] = value;
    const auto decoded = LanePreface::decode(bytes);
    return !decoded && decoded.error().is(Errc::kProtocol);
  };
  EXPECT_TRUE(refused(0, 0));
  EXPECT_TRUE(refused(0, 2));
  EXPECT_TRUE(refused(1, 0));
  EXPECT_TRUE(refused(1, 3)) << "bulk in a mining session";
  EXPECT_TRUE(refused(1, 4));
  EXPECT_TRUE(refused(2, 1)) << "data in a job declaration session";
  EXPECT_TRUE(refused(2, 3));
  EXPECT_TRUE(refused(3, 1));
}

TEST(LaneSessions, TwoLanesMakeASessionInWhateverOrderTheyCome) {
  LaneSessions sessions;
  EXPECT_FALSE(*sessions.on_preface(second(2), kStart));
  EXPECT_FALSE(*sessions.on_preface(control(1), kStart)) << "an earlier session's stream came later";
  EXPECT_TRUE(*sessions.on_preface(control(2), kStart));
  EXPECT_TRUE(*sessions.on_preface(second(1), kStart));
}

TEST(LaneSessions, ALaneTwiceAnotherProtocolAndAUsedNumberAreRefused) {
  LaneSessions sessions;
  ASSERT_TRUE(sessions.on_preface(control(1), kStart));
  EXPECT_TRUE(sessions.on_preface(control(1), kStart).error().is(Errc::kProtocol));
  EXPECT_TRUE(sessions.on_preface(second(1, wire::Protocol::kJobDeclaration), kStart).error().is(Errc::kProtocol));
  ASSERT_TRUE(*sessions.on_preface(second(1), kStart));
  EXPECT_TRUE(sessions.on_preface(second(1), kStart).error().is(Errc::kProtocol));
  sessions.on_end(1);
  EXPECT_TRUE(sessions.on_preface(control(1), kStart).error().is(Errc::kProtocol));
  EXPECT_TRUE(sessions.on_preface(control(0), kStart).error().is(Errc::kProtocol));
}

TEST(LaneSessions, ANumberFarAheadIsRefused) {
  LaneSessions sessions;
  EXPECT_TRUE(sessions.on_preface(control(LaneSessions::kMaxSkip + 1), kStart).error().is(Errc::kProtocol));
  EXPECT_TRUE(sessions.on_preface(control(~std::uint64_t{0}), kStart).error().is(Errc::kProtocol));
  EXPECT_TRUE(sessions.on_preface(control(LaneSessions::kMaxSkip), kStart));
}

TEST(LaneSessions, TheirNumberIsBoundedAndAnEndedOneMakesRoom) {
  LaneSessions sessions;
  std::uint64_t id = 0;
  while (id < LaneSessions::kMaxSessions) ASSERT_TRUE(sessions.on_preface(control(++id), kStart));
  EXPECT_TRUE(sessions.on_preface(control(++id), kStart).error().is(Errc::kOverloaded));
  sessions.on_end(3);
  EXPECT_TRUE(sessions.on_preface(control(++id), kStart));
}

TEST(LaneSessions, HalfASessionIsOverdueAfterTheTimeAllowed) {
  LaneSessions sessions;
  ASSERT_TRUE(sessions.on_preface(control(1), kStart));
  ASSERT_TRUE(sessions.on_preface(control(2), kStart));
  ASSERT_TRUE(sessions.on_preface(second(2), kStart));
  EXPECT_FALSE(sessions.overdue(kStart + LaneSessions::kPairingTime - std::chrono::nanoseconds(1)));
  EXPECT_EQ(sessions.overdue(kStart + LaneSessions::kPairingTime), 1u);
  sessions.on_end(1);
  EXPECT_FALSE(sessions.overdue(kStart + std::chrono::hours(1)));
}

TEST(LaneSessions, TenThousandSessionsOneAfterAnotherKeepNoMemoryOfTheEnded) {
  LaneSessions sessions;
  for (std::uint64_t id = 1; id <= 10'000; ++id) {
    ASSERT_TRUE(sessions.on_preface(second(id), kStart));
    ASSERT_TRUE(*sessions.on_preface(control(id), kStart));
    sessions.on_end(id);
  }
  EXPECT_EQ(sessions.size(), 0u);
}

}  // namespace
}  // namespace adit::session
