#include "net/iroh/accept.h"

#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace adit::net {
namespace {

using Verdict = AcceptPolicy::Verdict;

const std::string kIdA(64, 'a'), kIdB(64, 'b');
constexpr Instant kNow{std::chrono::hours(1)};
constexpr const char* kRelay = "https://relay.example./";

TEST(AcceptPolicy, AnAddressNeedsNoProofUntilManyAreUnproved) {
  AcceptPolicy policy({.max_unproved = 2}, Admission({}));
  std::vector<AcceptPolicy::Decision> held;
  for (int i = 0; i < 2; ++i) held.push_back(policy.decide({.source = "192.0.2.1:" + std::to_string(1000 + i)}, kNow));
  for (const auto& decision : held) EXPECT_EQ(decision.verdict, Verdict::kAccept);
  EXPECT_EQ(policy.decide({.source = "192.0.2.2:1"}, kNow).verdict, Verdict::kValidate);
  // Whoever proves its address gets in beside them, and so does whom a relay vouches for.
  EXPECT_EQ(policy.decide({.source = "192.0.2.2:1", .validated = true}, kNow).verdict, Verdict::kAccept);
  EXPECT_EQ(policy.decide({.source = kRelay, .vouched_id = kIdA}, kNow).verdict, Verdict::kAccept);
  EXPECT_EQ(policy.counts().validated, 1u);
  EXPECT_EQ(policy.counts().refused, 0u);

  // A handshake that is done proves the address too, and one that is gone makes room.
  held[0].place->proved();
  auto third = policy.decide({.source = "192.0.2.3:1"}, kNow);
  EXPECT_EQ(third.verdict, Verdict::kAccept);
  EXPECT_EQ(policy.decide({.source = "192.0.2.4:1"}, kNow).verdict, Verdict::kValidate);
  held.clear();
  EXPECT_EQ(policy.decide({.source = "192.0.2.4:1"}, kNow).verdict, Verdict::kAccept);
}

TEST(AcceptPolicy, OneSourceNeverTakesThePlacesOfOthers) {
  Admission admission({.max_handshakes = 10, .max_handshakes_per_source = 3, .reserve_percent = 0});
  AcceptPolicy policy({}, admission);
  std::vector<AcceptPolicy::Decision> held;
  for (const std::string prefix : {"192.0.2.1", "[2001:db8:0:1::%]", "relay"}) {
    for (int i = 0; i < 5; ++i) {
      auto source = prefix + ":1";
      if (const auto at = source.find('%'); at != std::string::npos) source.replace(at, 1, std::to_string(i));
      auto decision = prefix == "relay"
                          ? policy.decide({.source = kRelay, .vouched_id = std::string(64, static_cast<char>('0' + i))}, kNow)
                          : policy.decide({.source = source, .validated = true}, kNow);
      EXPECT_EQ(decision.verdict, i < 3 ? Verdict::kAccept : Verdict::kRefuse) << prefix << ' ' << i;
      if (decision.place) held.push_back(std::move(decision));
    }
  }
  EXPECT_EQ(policy.counts().refused, 6u);
  EXPECT_EQ(admission.counts().refused, 6u);
  EXPECT_EQ(admission.counts().handshakes, 9u);
  auto last = policy.decide({.source = "192.0.2.7:1", .validated = true}, kNow);
  EXPECT_EQ(last.verdict, Verdict::kAccept);
  EXPECT_EQ(admission.counts().displaced, 0u);
  auto newcomer = policy.decide({.source = "192.0.2.8:1", .validated = true}, kNow);
  EXPECT_EQ(newcomer.verdict, Verdict::kAccept);
  EXPECT_EQ(admission.counts().displaced, 1u) << "one of a source that has three";
}

TEST(AcceptPolicy, APlaceIsOneOfTheListenersWhoeverTookIt) {
  Admission admission({.max_unproven_per_source = 2});
  std::optional<Admission::Token> kept;
  {
    AcceptPolicy policy({}, admission);
    const auto over_tcp = admission.admit("192.0.2.1:1", kNow);
    ASSERT_TRUE(over_tcp);
    auto over_iroh = policy.decide({.source = "192.0.2.1:2", .validated = true}, kNow);
    ASSERT_TRUE(over_iroh.place);
    EXPECT_EQ(policy.decide({.source = "192.0.2.1:3", .validated = true}, kNow).verdict, Verdict::kRefuse);
    EXPECT_FALSE(admission.admit("192.0.2.1:4", kNow)) << "the bound of both";
    kept.emplace(over_iroh.place->take());
  }
  EXPECT_EQ(admission.counts().connections, 1u) << "counted once, and it outlives the policy";
  kept.reset();
  EXPECT_EQ(admission.counts().connections, 0u);
}

TEST(AcceptPolicy, AnIdThatHasMinedIsASourceOfItsOwnBehindItsRelay) {
  Admission admission({.max_unproven_per_source = 1});
  AcceptPolicy policy({}, admission);
  {
    auto miner = policy.decide({.source = kRelay, .vouched_id = kIdA}, kNow);
    ASSERT_TRUE(miner.place);
    miner.place->take().look(true, kNow);
  }
  auto crowd = policy.decide({.source = kRelay, .vouched_id = kIdB}, kNow);
  auto more = policy.decide({.source = kRelay, .vouched_id = std::string(64, 'c')}, kNow);
  EXPECT_EQ(policy.decide({.source = kRelay, .vouched_id = std::string(64, 'd')}, kNow).verdict, Verdict::kRefuse);
  EXPECT_EQ(policy.decide({.source = kRelay, .vouched_id = kIdA}, kNow).verdict, Verdict::kAccept);
}

TEST(AcceptPolicy, WithAReserveStrangersComeInAndThoseThatAreNamedCountByTheirId) {
  Admission admission({.max_handshakes = 10, .max_handshakes_per_source = 2, .reserve_percent = 0});
  AcceptPolicy policy({.reserved = {kIdA}}, admission);
  EXPECT_TRUE(policy.allows(kIdA));
  EXPECT_TRUE(policy.allows(kIdB));
  EXPECT_TRUE(policy.is_named(kIdA));
  EXPECT_FALSE(policy.is_named(kIdB));
  std::vector<AcceptPolicy::Decision> held;
  for (int i = 0; i < 2; ++i) held.push_back(policy.decide({.source = kRelay, .vouched_id = kIdB}, kNow));
  EXPECT_EQ(policy.decide({.source = kRelay, .vouched_id = kIdB}, kNow).verdict, Verdict::kRefuse) << "its relay is full";
  auto named = policy.decide({.source = kRelay, .vouched_id = kIdA}, kNow);
  ASSERT_EQ(named.verdict, Verdict::kAccept);
  named.place->proved();
  named.place->trust(kNow);
  EXPECT_EQ(admission.counts().proven, 1u);
}

TEST(AcceptPolicy, WithAnAllowListStrangersAreRefusedAndMembersCountByTheirId) {
  Admission admission({.max_unproven_per_source = 1});
  AcceptPolicy policy({.allowed = {kIdA, kIdB}}, admission);
  EXPECT_EQ(policy.decide({.source = kRelay, .vouched_id = std::string(64, 'c')}, kNow).verdict, Verdict::kRefuse);
  EXPECT_EQ(admission.counts().refused, 1u);
  auto first = policy.decide({.source = kRelay, .vouched_id = kIdA}, kNow);
  EXPECT_EQ(first.verdict, Verdict::kAccept);
  EXPECT_EQ(policy.decide({.source = kRelay, .vouched_id = kIdA}, kNow).verdict, Verdict::kRefuse);
  EXPECT_EQ(policy.decide({.source = kRelay, .vouched_id = kIdB}, kNow).verdict, Verdict::kAccept);
  // Who comes directly shows its id only in the handshake.
  EXPECT_EQ(policy.decide({.source = "192.0.2.1:1"}, kNow).verdict, Verdict::kAccept);
  EXPECT_TRUE(policy.allows(kIdB));
  EXPECT_FALSE(policy.allows(std::string(64, 'c')));
  EXPECT_TRUE(AcceptPolicy({}, Admission({})).allows(std::string(64, 'c')));
}

}  // namespace
}  // namespace adit::net
