#include "net/admission.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace adit::net {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr Instant kStart{std::chrono::hours(1)};

TEST(SourceKey, AnIpv4AddressIsOneSourceWhateverThePort) {
  EXPECT_EQ(source_key("192.0.2.1:1000"), source_key("192.0.2.1:2000"));
  EXPECT_NE(source_key("192.0.2.1:1000"), source_key("192.0.2.2:1000"));
}

TEST(SourceKey, AnIpv6NetworkOf64BitsIsOneSource) {
  EXPECT_EQ(source_key("[2001:db8:0:1::1]:1000"), source_key("[2001:db8:0:1:ffff::2]:2000"));
  EXPECT_NE(source_key("[2001:db8:0:1::1]:1000"), source_key("[2001:db8:0:2::1]:1000"));
}

TEST(SourceKey, ARelayIsOneSource) {
  EXPECT_EQ(source_key("https://relay.example.org:443/"), "https://relay.example.org:443/");
}

TEST(SourceKey, OfAConnectionItIsItsSourcesAndItsPeersWhereThatIsUnknown) {
  ConnectionMetadata metadata;
  metadata.peer = "192.0.2.1:1000";
  EXPECT_EQ(source_key(metadata), "192.0.2.1");
  metadata.source = "192.0.2.2:1000";
  EXPECT_EQ(source_key(metadata), "192.0.2.2");
}

/// Connections that are held until the test ends or lets them go.
class AdmissionTest : public testing::Test {
 protected:
  enum Stage { kHandshake, kUnproven, kProven };

  struct Held {
    std::optional<Admission::Token> token;
    bool displaced = false;
  };

  void start(AdmissionLimits limits) { admission_.emplace(limits); }

  /// nullptr: refused, which is in refusal_.
  Held* connect(const std::string& source, Stage stage = kHandshake, const std::string& id = {}) {
    auto token = admission_->admit(source, now_, id);
    if (!token) {
      refusal_ = token.error().message();
      EXPECT_TRUE(token.error().is(Errc::kOverloaded));
      return nullptr;
    }
    Held& held = *all_.emplace_back(std::make_unique<Held>());
    held.token.emplace(std::move(*token));
    held.token->on_displaced([&held] { held.displaced = true; });
    if (stage != kHandshake) held.token->established(now_);
    if (stage == kProven) held.token->look(true, now_);
    return &held;
  }

  std::size_t connect_many(const std::string& source, std::size_t tries, Stage stage = kHandshake) {
    std::size_t connected = 0;
    for (std::size_t i = 0; i < tries; ++i) connected += connect(source, stage) != nullptr ? 1 : 0;
    return connected;
  }

  [[nodiscard]] Admission::Counts counts() const { return admission_->counts(); }

  Instant now_ = kStart;
  std::optional<Admission> admission_;
  std::vector<std::unique_ptr<Held>> all_;
  std::string refusal_;
};

const std::string kStranger = "192.0.2.1:1";
const std::string kAnother = "192.0.2.2:1";
const std::string kThird = "192.0.2.3:1";

TEST_F(AdmissionTest, APlaceIsGivenBackWithItsToken) {
  start({.max_connections = 1});
  Held* first = connect(kStranger, kUnproven);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(connect(kAnother), nullptr);
  first->token.reset();
  EXPECT_EQ(counts().connections, 0u);
  EXPECT_EQ(counts().handshakes, 0u);
  EXPECT_NE(connect(kAnother), nullptr);
  EXPECT_EQ(counts().refused, 1u);
}

TEST_F(AdmissionTest, APlaceBesideAnotherIsOfTheSameSource) {
  start({.max_unproven_per_source = 2});
  Held* first = connect(kStranger);
  auto second = admission_->admit_beside(*first->token, now_);
  ASSERT_TRUE(second);
  EXPECT_EQ(counts().connections, 2u);
  const auto third = admission_->admit_beside(*first->token, now_);
  ASSERT_FALSE(third);
  EXPECT_THAT(third.error().message(), HasSubstr("192.0.2.1"));
  EXPECT_NE(connect(kAnother), nullptr);
  first->token.reset();
  EXPECT_TRUE(admission_->admit_beside(*second, now_)) << "whichever is left";
}

TEST_F(AdmissionTest, AHandshakeThatIsDoneMakesRoomForTheNext) {
  start({.max_handshakes = 1});
  Held* first = connect(kStranger);
  EXPECT_EQ(connect(kStranger), nullptr);
  EXPECT_THAT(refusal_, HasSubstr("192.0.2.1 (1)"));
  first->token->established(now_);
  first->token->established(now_);
  EXPECT_EQ(counts().handshakes, 0u);
  EXPECT_NE(connect(kAnother), nullptr);
  EXPECT_EQ(counts().connections, 2u);
}

// A few per cent of the places.

TEST_F(AdmissionTest, ASourceWhoseConnectionsAreUnprovenHasAFewPerCentOfThePlaces) {
  start({.source_costs = {.amount = 1'000'000}});
  EXPECT_EQ(connect_many(kStranger, 10'000, kUnproven), 2'000u);
  EXPECT_THAT(refusal_, HasSubstr("(2000)"));
  EXPECT_EQ(connect_many(kAnother, 10'000), 256u) << "of handshakes";
  // Whatever the operator's bound is.
  start({.max_connections = 1'000, .max_handshakes = 400, .source_costs = {.amount = 1'000'000}});
  EXPECT_EQ(connect_many(kStranger, 1'000, kUnproven), 64u);
  EXPECT_EQ(connect_many(kAnother, 1'000), 16u);
}

TEST_F(AdmissionTest, WhatHadSharesAcceptedCountsAgainstNoBoundOfItsSource) {
  start({.max_unproven_per_source = 10, .max_handshakes_per_source = 5});
  EXPECT_EQ(connect_many(kStranger, 1'000, kProven), 1'000u);
  EXPECT_EQ(connect_many(kStranger, 5), 5u) << "and there is as much room as before for those that come";
  EXPECT_EQ(counts().proven, 1'000u);
  // They all come back at once after a failure of the network.
  all_.clear();
  EXPECT_EQ(connect_many(kStranger, 2'000), 1'005u);
}

TEST_F(AdmissionTest, ProofIsAsOldAsTheNewestShare) {
  start({.max_unproven_per_source = 2, .unproven_time = 1h});
  Held* works = connect(kStranger, kProven);
  Held* rests = connect(kStranger, kProven);
  for (int i = 0; i < 9; ++i) {
    now_ += 1min;
    works->token->look(true, now_);
    rests->token->look(false, now_);
  }
  EXPECT_EQ(counts().proven, 2u);
  now_ += 1min;
  works->token->look(false, now_);
  rests->token->look(false, now_);
  EXPECT_EQ(counts().proven, 1u);
  rests->token->look(true, now_);
  EXPECT_EQ(counts().proven, 2u) << "and comes back with the next";
}

TEST_F(AdmissionTest, WhomTheOperatorHasNamedKeepsItsPlaceAmongStrangers) {
  start({.max_connections = 40, .max_unproven_per_source = 30, .reserve_percent = 10});
  Held* named = connect(kThird);
  named->token->trust(now_);
  EXPECT_EQ(counts().proven, 1u);
  EXPECT_EQ(counts().handshakes, 0u);
  // It never sends a share.
  for (int i = 0; i < 60; ++i) {
    now_ += 1min;
    named->token->look(false, now_);
    // A crowd that comes from everywhere, and stays.
    for (int j = 0; j < 4; ++j) connect("198.51." + std::to_string(i) + "." + std::to_string(j) + ":1", kUnproven);
  }
  EXPECT_GT(counts().displaced, 0u) << "there was a crowd";
  EXPECT_FALSE(named->displaced);
  EXPECT_EQ(counts().proven, 1u);
  // After a restart of its own it comes back at once, through the crowd.
  named->token.reset();
  for (int j = 0; j < 100; ++j) connect("203.0.113." + std::to_string(j) + ":1", kUnproven);
  Held* again = connect(kThird);
  ASSERT_NE(again, nullptr) << refusal_;
  again->token->trust(now_);
  EXPECT_EQ(counts().proven, 1u);
}

// Whose place goes.

TEST_F(AdmissionTest, TheOldestUnfinishedHandshakeOfTheLargestSourceGoes) {
  start({.max_handshakes = 6, .max_handshakes_per_source = 4});
  Held* old_of_small = connect(kAnother);
  now_ += 1ms;
  Held* oldest_of_large = connect(kStranger);
  now_ += 1ms;
  std::vector<Held*> others;
  for (int i = 0; i < 3; ++i) others.push_back(connect(kStranger));
  others.push_back(connect(kAnother));
  ASSERT_EQ(counts().handshakes, 6u);
  Held* newcomer = connect(kThird);
  ASSERT_NE(newcomer, nullptr);
  EXPECT_TRUE(oldest_of_large->displaced);
  EXPECT_FALSE(old_of_small->displaced);
  for (const Held* other : others) EXPECT_FALSE(other->displaced);
  EXPECT_EQ(counts().handshakes, 6u);
  EXPECT_EQ(counts().displaced, 1u);
  // Its owner hears of it and lets go, which changes nothing more.
  oldest_of_large->token->established(now_);
  oldest_of_large->token->look(true, now_);
  EXPECT_TRUE(oldest_of_large->token->is_displaced());
  EXPECT_FALSE(admission_->admit_beside(*oldest_of_large->token, now_));
  oldest_of_large->token.reset();
  EXPECT_EQ(counts().handshakes, 6u);
  EXPECT_EQ(counts().proven, 0u);
}

TEST_F(AdmissionTest, NoSourceGrowsAtTheCostOfOneThatHasNoMoreThanIt) {
  start({.max_handshakes = 4, .max_handshakes_per_source = 4});
  EXPECT_EQ(connect_many(kStranger, 2), 2u);
  EXPECT_EQ(connect_many(kAnother, 2), 2u);
  EXPECT_EQ(connect(kStranger), nullptr);
  now_ += 1s;
  EXPECT_NE(connect(kStranger), nullptr) << "in the place of one of its own that has had its time";
  EXPECT_TRUE(all_[0]->displaced);
  EXPECT_FALSE(all_[2]->displaced || all_[3]->displaced);
}

TEST_F(AdmissionTest, AtItsOwnBoundASourceGivesUpHandshakesThatHaveHadTheirTime) {
  start({.max_handshakes_per_source = 3});
  EXPECT_EQ(connect_many(kStranger, 5), 3u) << "a crowd that comes at once does not cut itself off";
  now_ += 999ms;
  EXPECT_EQ(connect(kStranger), nullptr);
  now_ += 1ms;
  EXPECT_EQ(connect_many(kStranger, 5), 3u);
  EXPECT_EQ(counts().handshakes, 3u);
  EXPECT_EQ(counts().displaced, 3u);
}

TEST_F(AdmissionTest, WhenAllIsTakenWhatIsUnprovenForAMinuteGoes) {
  start({.max_connections = 6, .max_unproven_per_source = 4, .reserve_percent = 0});
  Held* miner = connect(kThird, kProven);
  EXPECT_EQ(connect_many(kStranger, 3, kUnproven), 3u);
  now_ += 1s;
  EXPECT_EQ(connect_many(kAnother, 2, kUnproven), 2u);
  const std::string newcomer = "192.0.2.9:1";
  now_ += 58s;
  EXPECT_EQ(connect(newcomer), nullptr) << "who has just come may still find a share";
  now_ += 1s;
  EXPECT_NE(connect(newcomer), nullptr);
  EXPECT_TRUE(all_[1]->displaced);
  EXPECT_FALSE(miner->displaced);
  EXPECT_FALSE(all_[4]->displaced);
  // As long as there is room nothing of the kind happens.
  start({});
  Held* slow = connect(kStranger, kUnproven);
  now_ += 24h;
  connect(kAnother);
  EXPECT_FALSE(slow->displaced);
}

TEST_F(AdmissionTest, ACrowdGivesWayToANewcomerSooner) {
  start({.max_connections = 40, .max_unproven_per_source = 30, .reserve_percent = 0});
  EXPECT_EQ(connect_many(kStranger, 24, kUnproven), 24u);
  EXPECT_EQ(connect_many(kAnother, 16, kUnproven), 16u);
  now_ += 15s;
  EXPECT_NE(connect(kThird, kUnproven), nullptr);
  EXPECT_TRUE(all_[0]->displaced);
  EXPECT_EQ(connect(kThird), nullptr) << "beside the crowd it has one already";
  now_ += 45s;
  EXPECT_NE(connect(kThird), nullptr);
}

TEST_F(AdmissionTest, TheFirstConnectionOfASourceHasAReserve) {
  start({.max_connections = 20, .max_unproven_per_source = 100});
  EXPECT_EQ(connect_many(kStranger, 30, kUnproven), 16u);
  EXPECT_NE(connect(kAnother, kUnproven), nullptr);
  EXPECT_EQ(connect(kAnother, kUnproven), nullptr);
  EXPECT_NE(connect(kThird, kUnproven), nullptr);
  EXPECT_EQ(connect("192.0.2.4:1"), nullptr) << "the rest is kept for those who have worked";
}

TEST_F(AdmissionTest, AHandOverIsToldAlsoToWhoAsksLate) {
  start({.max_handshakes = 2, .max_handshakes_per_source = 2});
  auto first = admission_->admit(kStranger, now_);
  connect(kStranger);
  connect(kAnother);
  EXPECT_TRUE(first->is_displaced());
  bool closed = false;
  first->on_displaced([&] { closed = true; });
  EXPECT_TRUE(closed);
}

// The reserve.

TEST_F(AdmissionTest, SourcesWhoseSharesWereAcceptedHaveAReserve) {
  start({.max_connections = 100, .max_unproven_per_source = 1'000, .unproven_time = 200h});
  connect(kThird, kProven);
  all_.clear();
  EXPECT_EQ(connect_many(kStranger, 200, kUnproven), 80u);
  EXPECT_THAT(refusal_, HasSubstr("(80)"));
  for (int i = 0; i < 10; ++i) EXPECT_NE(connect("192.0.2." + std::to_string(100 + i) + ":1", kUnproven), nullptr);
  EXPECT_EQ(connect(kAnother), nullptr);
  EXPECT_THAT(refusal_, HasSubstr("(90)"));
  EXPECT_NE(connect(kThird, kUnproven), nullptr);
  EXPECT_EQ(connect(kThird, kUnproven), nullptr) << "it had one at a time";
  // After a day it is a stranger again.
  all_.pop_back();
  now_ += 24h;
  EXPECT_EQ(connect(kThird), nullptr);
}

TEST_F(AdmissionTest, StandingComesBeforeStrangersInTheReserveOfHandshakesToo) {
  start({.max_handshakes = 20, .max_handshakes_per_source = 100, .unproven_time = 1h});
  connect_many(kThird, 30, kProven);
  all_.clear();
  EXPECT_EQ(connect_many(kStranger, 40), 16u);
  EXPECT_EQ(connect_many(kThird, 30), 20u) << "each takes a stranger's place once the reserve is used up";
  EXPECT_EQ(counts().handshakes, 20u);
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(connect("192.0.2." + std::to_string(100 + i) + ":1"), nullptr) << "and no stranger takes it back";
}

TEST_F(AdmissionTest, AnIdThatARelayVouchesForIsASourceOfItsOwnOnceItHasStanding) {
  start({.max_unproven_per_source = 2, .unproven_time = 1h});
  const std::string relay = "https://relay.example.org/";
  connect(relay, kProven, "home");
  all_.clear();
  EXPECT_EQ(connect_many(relay, 9, kUnproven), 3u) << "one for each that it has shown";
  EXPECT_EQ(connect(relay, kUnproven, "stranger"), nullptr) << "ids are free to make";
  EXPECT_NE(connect(relay, kUnproven, "home"), nullptr);
}

// Rates and costs.

TEST_F(AdmissionTest, ASourceConnectsNoOftenerThanItsRate) {
  start({.max_unproven_per_source = 50'000, .max_handshakes_per_source = 8'000});
  EXPECT_EQ(connect_many(kStranger, 5'000), 2'000u);
  EXPECT_THAT(refusal_, HasSubstr("rate"));
  EXPECT_NE(connect(kAnother), nullptr);
  now_ += 1s;
  EXPECT_EQ(connect_many(kStranger, 5'000), 200u);
  now_ += 10min;
  EXPECT_EQ(connect_many(kStranger, 5'000), 2'000u);
}

TEST_F(AdmissionTest, WhatOnlyCostsIsPaidFromTheSameBudget) {
  start({});
  int failed = 0;
  for (; Held* held = connect(kStranger); ++failed) {
    held->token->charge(AdmissionLimits::kFailedHandshake, now_);
    all_.clear();
  }
  EXPECT_EQ(failed, 200);
  now_ += 1s;
  EXPECT_NE(connect(kStranger), nullptr) << "it owes little";
  Held* churning = connect(kAnother);
  int churned = 0;
  while (churning->token->charge(AdmissionLimits::kChurn, now_)) ++churned;
  EXPECT_EQ(churned, 1'998);
}

TEST_F(AdmissionTest, WorkEarnsConnections) {
  start({.max_unproven_per_source = 50'000});
  EXPECT_EQ(connect_many(kStranger, 20'000, kProven), 20'000u);
  EXPECT_EQ(counts().refused, 0u);
}

// What is remembered.

TEST_F(AdmissionTest, OnlyWhoOwesSomethingOrHasStandingIsRememberedAndOnlySoMany) {
  start({});
  connect(kStranger);
  all_.clear();
  now_ += 10s;
  connect(kThird);
  all_.clear();
  now_ += 10s;
  for (int i = 0; i < 3; ++i) EXPECT_NE(connect(kAnother), nullptr);
  EXPECT_EQ(counts().sources, 1u);
  all_.clear();
  for (std::size_t i = 0; i < 2 * Admission::kMaxIdle; ++i) {
    connect("a" + std::to_string(i) + ":1");
    all_.clear();
  }
  EXPECT_EQ(counts().sources, Admission::kMaxIdle);
  for (std::size_t i = 0; i < Admission::kMaxStanding + 10; ++i) {
    connect("b" + std::to_string(i) + ":1", kProven);
    all_.clear();
  }
  EXPECT_LE(counts().sources, Admission::kMaxIdle + Admission::kMaxStanding);
}

TEST_F(AdmissionTest, ASourceThatLostItsOnlyPlaceIsForgottenLikeOthers) {
  start({.max_handshakes = 1});
  for (int i = 0; i < 100; ++i) EXPECT_NE(connect("a" + std::to_string(i) + ":1"), nullptr);
  EXPECT_EQ(counts().displaced, 99u);
  EXPECT_EQ(counts().sources, 100u);
  all_.clear();
  now_ += 10s;
  for (int i = 0; i < 100; ++i) {
    connect(kStranger);
    all_.clear();
  }
  EXPECT_EQ(counts().sources, 1u);
}

TEST(WithinDescriptors, EverythingIsClampedToTheDescriptorsLessAReserve) {
  const auto limits = within_descriptors({}, 20'000).resolved();
  EXPECT_EQ(limits.max_connections, 20'000 - kReservedDescriptors);
  EXPECT_EQ(limits.max_handshakes, 8'192u);
  EXPECT_EQ(limits.max_unproven_per_source, limits.max_connections / 25);
  const auto few = within_descriptors({.max_unproven_per_source = 5'000}, 1'024).resolved();
  EXPECT_EQ(few.max_connections, 768u);
  EXPECT_EQ(few.max_handshakes, 768u);
  EXPECT_EQ(few.max_unproven_per_source, 768u);
  EXPECT_EQ(few.max_handshakes_per_source, 24u);
  EXPECT_EQ(within_descriptors({}, 256).max_connections, 128u) << "never all of them";
  EXPECT_EQ(within_descriptors({.max_connections = 10}, 20'000).max_connections, 10u);
}

/// A pool has just started again. Everybody that mined there comes back, and a flood is on.
class AfterARestart : public testing::Test {
 protected:
  struct Peer {
    std::string source;
    std::string id;
    bool honest = true;
    bool finishes = true;  ///< Its handshake.
    Instant next_try{};
    std::optional<Admission::Token> token;
    bool displaced = false;
    Instant connected_at{};
    Instant first_share_at{};
    int tries = 0;
    bool proven = false;
  };

  void add(std::size_t count, const std::string& source, bool honest, bool finishes, Duration within) {
    for (std::size_t i = 0; i < count; ++i) {
      auto& peer = *peers_.emplace_back(std::make_unique<Peer>());
      peer.source = source;
      if (source.find("://") != std::string::npos) peer.id = std::to_string(peers_.size());
      peer.honest = honest;
      peer.finishes = finishes;
      peer.next_try = now_ + random(within);
    }
  }

  Duration random(Duration most) { return Duration(std::uniform_int_distribution<Duration::rep>(0, most.count())(engine_)); }

  void let_go(Peer& peer, Duration pause) {
    peer.token.reset();
    peer.displaced = false;
    peer.proven = false;
    peer.next_try = now_ + pause;
  }

  void step(Peer& peer) {
    if (!peer.token) {
      if (now_ < peer.next_try) return;
      ++peer.tries;
      auto token = admission_.admit(peer.source + (peer.id.empty() ? ":1" : ""), now_, peer.id);
      if (!token) return let_go(peer, 2s + random(peer.honest ? Duration(6s) : Duration::zero()));
      peer.token.emplace(std::move(*token));
      peer.token->on_displaced([&peer] { peer.displaced = true; });
      peer.connected_at = now_;
      std::exponential_distribution<double> share(1 / 10.0);  // Six a minute.
      peer.first_share_at = now_ + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(0.3 + share(engine_)));
      return;
    }
    if (peer.displaced) return let_go(peer, 2s + random(peer.honest ? Duration(6s) : Duration::zero()));
    if (!peer.finishes) {
      if (now_ - peer.connected_at < 10s) return;
      peer.token->charge(AdmissionLimits::kFailedHandshake, now_);
      return let_go(peer, 2s);
    }
    if (now_ - peer.connected_at >= 300ms) peer.token->established(now_);
    if (!peer.honest) return;
    const bool works = now_ >= peer.first_share_at;
    peer.token->look(works, now_);
    peer.proven = works;
  }

  void run(Duration time) {
    for (const auto until = now_ + time; now_ < until; now_ += 100ms) {
      const std::size_t first = engine_() % peers_.size();  // Another one is the first of each turn.
      for (std::size_t i = 0; i < peers_.size(); ++i) step(*peers_[(first + i) % peers_.size()]);
    }
  }

  [[nodiscard]] std::size_t proven(const std::string& source) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(peers_, [&](const auto& peer) { return peer->proven && peer->source == source; }));
  }

  std::mt19937 engine_{1};
  Instant now_ = kStart;
  Admission admission_{within_descriptors({}, 20'000)};
  std::vector<std::unique_ptr<Peer>> peers_;
};

TEST_F(AfterARestart, AFarmAtOneAddressAndHomesBehindOneRelayAreBackInTheMiddleOfAFlood) {
  // Silent sockets of 30 addresses, connections that are set up and do nothing of 30 others and of the relay: more of them than
  // there are places.
  for (int i = 0; i < 30; ++i) {
    add(300, "198.51.100." + std::to_string(i), false, false, 1s);
    add(600, "203.0.113." + std::to_string(i), false, true, 1s);
  }
  add(1'000, "https://relay.example.org/", false, true, 1s);
  run(20s);
  ASSERT_GE(admission_.counts().connections, 15'000u) << "the flood has everything that crowds may have";
  add(5'000, "192.0.2.1", true, true, 5s);
  add(1'000, "https://relay.example.org/", true, true, 5s);
  for (int i = 0; i < 100; ++i) add(1, "192.0.2." + std::to_string(100 + i), true, true, 60s);
  run(150s);
  EXPECT_EQ(proven("192.0.2.1"), 5'000u);
  EXPECT_EQ(proven("https://relay.example.org/"), 1'000u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(proven("192.0.2." + std::to_string(100 + i)), 1u) << i;
  // Strangers of one connection each have their own reserve, of which the flood has none.
  const auto newcomers = std::ranges::count_if(peers_, [](const auto& peer) {
    return peer->source.starts_with("192.0.2.1") && peer->source.size() > 9 && peer->tries == 1;
  });
  EXPECT_GE(newcomers, 95);
}

// audit.md L6: 64 random bytes cost the pool 113 us of key agreement, 4,288 a second of one machine half of a core.
TEST_F(AdmissionTest, HandshakesOfRandomBytesOfOneSourceCostLessThanAPercentOfACore) {
  constexpr double kMicroseconds = 113;
  start(AdmissionLimits{});
  std::size_t taken_in = 0;
  std::size_t others = 0;
  constexpr int kSeconds = 60;
  for (int i = 0; i < kSeconds * 4288; ++i) {
    now_ += Duration(1s) / 4288;
    if (auto token = admission_->admit("192.0.2.1:1000", now_)) {
      token->charge(AdmissionLimits::kFailedHandshake, now_);
      ++taken_in;
    }
    if (i % 4288 == 0) others += admission_->admit("198.51.100.7:1000", now_) ? 1 : 0;
  }
  EXPECT_EQ(others, static_cast<std::size_t>(kSeconds)) << "others are let in meanwhile";
  const double share_of_core = static_cast<double>(taken_in) * kMicroseconds / 1e6 / kSeconds;
  std::printf("of %d handshakes of random bytes within a minute %zu are taken in: %.2f %% of a core\n", kSeconds * 4288,
              taken_in, share_of_core * 100);
  EXPECT_LE(share_of_core, 0.01);
}

}  // namespace
}  // namespace adit::net
