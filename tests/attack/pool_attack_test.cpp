// Attacks on the pool over real sockets, each beside a healthy miner that must lose nothing. The numbers are those of the
// classes of attacks in docs/protocol.md.
#include <atomic>
#include <future>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attack/newcomer.h"
#include "attack/peer.h"
#include "attack/pool.h"

namespace adit::attack {
namespace {

using namespace std::chrono_literals;

/// Hard enough that a hash that was not mined for is no share by chance.
constexpr float kHard = 1 << 18;

class Attack : public ::testing::Test {
 protected:
  void start(const std::function<void(pool::ServerOptions&)>& change = {}) {
    pool_.emplace(change);
    healthy_.emplace(pool_->server->tcp_port(), authority());
    ASSERT_EQ(healthy_->start("healthy", true, kEasy), "");
  }

  std::unique_ptr<Miner> attacker(bool extended = true, float hashes_per_share = kHard) {
    auto miner = std::make_unique<Miner>(pool_->server->tcp_port(), authority());
    EXPECT_EQ(miner->start("attacker", extended, hashes_per_share), "");
    return miner;
  }

  /// Runs `attack` while the healthy miner goes on mining on a thread of its own: each of its shares is accepted.
  void beside_healthy(const std::function<void()>& attack) {
    std::atomic<bool> over = false;
    auto mining = std::async(std::launch::async, [&] {
      std::string problem;
      do {
        problem = mine_one();
        std::this_thread::sleep_for(1ms);  // A channel's shares of one tip are bounded.
      } while (!over && problem.empty());
      return problem;
    });
    attack();
    over = true;
    EXPECT_EQ(mining.get(), "");
  }

  /// The healthy miner gets a share accepted; one of them may be late for each new tip. "" or what went wrong.
  std::string mine_one() {
    for (;;) {
      const auto answer = healthy_->submit(healthy_->mine());
      if (answer == "accepted") {
        ++mined_;
        return "";
      }
      if (answer != "stale-share" || ++late_ > tip_ - 1U) return answer;
    }
  }
  /// The same, alone for once.
  void healthy_mines() { EXPECT_EQ(mine_one(), ""); }

  /// An honest peer comes while the attack is on, and all goes well for it.
  void a_newcomer_mines(std::uint32_t flags = 0) {
    EXPECT_EQ(newcomer_mines(*pool_, ++tip_, flags), "");
    newcomers_shares_ += 2;
  }

  void TearDown() override {
    if (!healthy_) return;
    healthy_mines();
    // Nothing lost, nothing counted twice, nothing held against it.
    EXPECT_EQ(pool_->shares_of("healthy"), std::pair(mined_, late_));
    healthy_->peer.close();
  }

  std::optional<Pool> pool_;
  std::optional<Miner> healthy_;
  std::uint64_t mined_ = 0;
  std::uint64_t late_ = 0;              ///< Shares of the healthy miner that a new tip overtook.
  std::atomic<std::uint8_t> tip_ = 1;   ///< The newest that was published.
  std::uint64_t newcomers_shares_ = 0;  ///< All of which were accepted.
};

// 1: shares that were paid already.

TEST_F(Attack, AShareIsPaidOnceOnWhateverChannelAndConnectionItIsHandedIn) {
  start();
  beside_healthy([&] {
    for (const bool extended : {true, false}) {
      auto thief = attacker(extended);
      const auto share = thief->mine();
      EXPECT_EQ(thief->submit(share), "accepted");
      for (int i = 0; i < 50; ++i) EXPECT_EQ(thief->submit(share), "duplicate-share");
      // Again on another channel of the connection,
      EXPECT_EQ(thief->open("attacker", extended, kHard), "");
      EXPECT_EQ(thief->submit(share), "difficulty-too-low");
      // on one of the other kind,
      EXPECT_EQ(thief->open("attacker", !extended, kHard), "");
      auto copy = share;
      copy.extranonce = {};
      const std::array<std::uint8_t, channels::kRollableExtranonceSize> zeros{};
      if (extended == false) copy.extranonce = Bytes(zeros);
      EXPECT_EQ(thief->submit(copy), "difficulty-too-low");
      // and after new connections.
      for (int i = 0; i < 3; ++i) {
        thief = attacker(extended);
        EXPECT_EQ(thief->submit(share), "difficulty-too-low");
      }
      a_newcomer_mines();
    }
  });
  EXPECT_EQ(pool_->server->stats().miners.shares_accepted, mined_ + newcomers_shares_ + 2);
}

TEST_F(Attack, SharesOfATipThatComesBackOrOfTheProcessBeforeAreNotPaidAgain) {
  start();
  auto thief = attacker();
  const auto share = thief->mine();
  ASSERT_EQ(thief->submit(share), "accepted");
  pool_->source.publish(2);
  pool_->source.publish(1);
  const auto follows = [](Miner& miner) {
    int tips = 0;
    return miner.until([&](const Frame& frame) { return frame.header.is<wire::SetNewPrevHash>() && ++tips == 2; });
  };
  ASSERT_TRUE(follows(*thief) && follows(*healthy_));
  EXPECT_EQ(thief->submit(share), "stale-share");
  auto again = share;
  again.job_id = thief->channel().current()->id;
  EXPECT_EQ(thief->submit(again), "difficulty-too-low");
  healthy_mines();
  tip_ = 2;
  a_newcomer_mines();
  EXPECT_EQ(thief->submit(share), "stale-share");

  Pool restarted;  // The same templates, job ids and script.
  Miner there(restarted.server->tcp_port(), authority());
  ASSERT_EQ(there.start("attacker", true, kHard), "");
  ASSERT_EQ(there.channel().current()->id, share.job_id);
  EXPECT_EQ(there.submit(share), "difficulty-too-low");
}

// 2: search spaces that overlap.

TEST_F(Attack, NoSearchSpaceIsGivenTwiceHoweverOftenChannelsAreOpened) {
  start([](pool::ServerOptions& options) { options.session.max_channels = 20; });
  Pool twin([](pool::ServerOptions& options) { options.session.max_channels = 20; });  // The same server id and script.
  std::set<std::vector<std::uint8_t>> spaces = {healthy_->search_space()};
  beside_healthy([&] {
    for (auto* at : {&*pool_, &twin}) {
      for (int connection = 0; connection < 3; ++connection) {
        Miner greedy(at->server->tcp_port(), authority());
        ASSERT_EQ(greedy.start("attacker", true, kEasy), "");
        EXPECT_TRUE(spaces.insert(greedy.search_space()).second);
        // Opened and closed again and again, until the pool has had enough of it.
        std::string refusal;
        int opened = 1;
        for (;; ++opened) {
          greedy.peer.send(wire::CloseChannel{.channel_id = greedy.channel().id(), .reason_code = {}});
          refusal = greedy.open("attacker", true, kEasy);
          if (!refusal.empty()) break;
          EXPECT_TRUE(spaces.insert(greedy.search_space()).second);
        }
        EXPECT_EQ(refusal, "channel-capacity-exhausted");
        EXPECT_EQ(opened, 40);
        // One tip and no more: closed channels rest for two.
        if (at == &twin && connection == 2) a_newcomer_mines();
      }
    }
  });
}

// 7: channels without end.

TEST_F(Attack, AFloodOfChannelOpensGetsItsBoundAndNoMoreWhoeverSendsIt) {
  constexpr std::uint32_t kOpens = 2000;
  start([](pool::ServerOptions& options) {
    options.session.max_channels = 32;
    options.session.max_channels_per_shard = 100;
  });
  std::atomic<std::uint64_t> opened = 0;
  std::atomic<std::uint64_t> refused = 0;
  beside_healthy([&] {
    std::vector<std::thread> floods;
    for (int flood = 0; flood < 6; ++flood) {
      floods.emplace_back([&] {
        Peer peer(pool_->server->tcp_port());
        if (!peer.handshake(authority())) return;
        peer.send(
            wire::SetupConnection{.protocol = std::to_underlying(wire::Protocol::kMining), .min_version = 2, .max_version = 2});
        // None of them waits for an answer; these are read beside, or the pool would stop reading.
        std::thread reading([&] {
          std::uint64_t answers = 0;
          while (answers < kOpens) {
            const auto frame = peer.receive();
            if (!frame) break;
            const bool yes = frame->header.is<wire::OpenExtendedMiningChannelSuccess>();
            const bool no = frame->header.is<wire::OpenMiningChannelError>();
            answers += yes || no ? 1 : 0;
            opened += yes ? 1 : 0;
            refused += no ? 1 : 0;
          }
        });
        wire::U256 easiest;
        easiest.fill(0xff);
        for (std::uint32_t id = 0; id < kOpens; id += 100) {
          wire::FrameBuffer out;
          for (std::uint32_t i = 0; i < 100; ++i) {
            out.push(wire::OpenExtendedMiningChannel{
                .request_id = id + i, .user_identity = "attacker", .nominal_hash_rate = 1, .max_target = easiest});
          }
          if (!peer.send_raw(peer.seal(out))) break;
        }
        reading.join();
      });
    }
    a_newcomer_mines();
    for (auto& flood : floods) flood.join();
  });
  EXPECT_EQ(opened + refused, 6u * kOpens) << "each is answered";
  EXPECT_LE(opened, 6u * 32);
  EXPECT_GE(opened, 32u);
  EXPECT_LE(opened, 2u * 100) << "the shards' bound";
}

// 3: jobs that are not the channel's.

TEST_F(Attack, SharesOfUnknownJobsAreRefusedAndNothingMore) {
  start();
  beside_healthy([&] {
    auto liar = attacker(true, kEasy);
    auto share = liar->mine();
    const std::uint32_t current = share.job_id;
    for (const std::uint32_t id : {0u, current + 1, current + 1000, 0x7fffffffu, 0x80000000u, 0x80000001u, 0xffffffffu}) {
      share.job_id = id;
      EXPECT_EQ(liar->submit(share), "invalid-job-id") << id;
    }
    // A custom job on a connection that may not bring any.
    liar->peer.send(wire::SetCustomMiningJob{.channel_id = liar->channel().id(), .request_id = 1});
    EXPECT_TRUE(liar->until([](const Frame& frame) { return frame.header.is<wire::SetCustomMiningJobError>(); }));
    EXPECT_EQ(liar->submit(liar->mine()), "accepted") << "it may go on";
    a_newcomer_mines();
  });
}

// 4: the moment at which the tip moves.

TEST_F(Attack, LateSharesOfTheTipCountAndThoseOfTheTipBeforeDoNot) {
  start();
  auto late = attacker(true, kEasy);
  const auto first = late->mine();
  std::vector<channels::Share> old;
  for (int i = 0; i < 200; ++i) old.push_back(late->mine());
  const auto healthy_before = healthy_->mine();
  const auto next_job = [](Miner& miner, bool tip) {
    return miner.until([tip](const Frame& frame) {
      return tip ? frame.header.is<wire::SetNewPrevHash>() : frame.header.is<wire::NewExtendedMiningJob>();
    });
  };
  // A refreshed job on the same tip: what was found before counts.
  pool_->source.publish(1);
  ASSERT_TRUE(next_job(*healthy_, false) && next_job(*late, false));
  EXPECT_EQ(healthy_->submit(healthy_before), "accepted");
  ++mined_;
  EXPECT_EQ(late->submit(first), "accepted");
  // The tip moves while the attacker goes on with the old one: each share is answered, counted and paid nothing.
  pool_->source.publish(2);
  ASSERT_TRUE(next_job(*healthy_, true));
  beside_healthy([&] {
    ASSERT_TRUE(next_job(*late, true));
    for (const auto& share : old) EXPECT_EQ(late->submit(share), "stale-share");
    tip_ = 2;
    a_newcomer_mines();
  });
  EXPECT_EQ(pool_->shares_of("attacker"), std::pair(std::uint64_t{1}, std::uint64_t{200}));
}

// 5: frames that are not what they say (beside the tests of src/net).

TEST_F(Attack, FramesThatAreDeclaredAndNotSentOrDrippedCostNobodyAnything) {
  start();
  beside_healthy([&] {
    // Sixteen megabytes declared: cut off at the header.
    auto liar = attacker();
    wire::FrameBuffer huge;
    const std::vector<std::uint8_t> much(wire::kMaxPayload);
    ASSERT_TRUE(huge.push_raw({.message_type = wire::SubmitSharesExtended::kType}, much));
    const auto sealed = liar->peer.seal(huge);
    EXPECT_TRUE(liar->peer.send_raw(Bytes(sealed).first(noise::kSealedHeaderSize)));
    EXPECT_TRUE(liar->peer.ends());
    // As much as is allowed, and never sent: many of them, each holding its connection.
    std::vector<std::unique_ptr<Miner>> silent;
    for (int i = 0; i < 20; ++i) {
      silent.push_back(attacker());
      wire::FrameBuffer allowed;
      ASSERT_TRUE(allowed.push_raw({.message_type = wire::SubmitSharesExtended::kType}, Bytes(much).first(128 * 1024)));
      EXPECT_TRUE(silent.back()->peer.send_raw(Bytes(silent.back()->peer.seal(allowed)).first(noise::kSealedHeaderSize + 1)));
    }
    a_newcomer_mines();
    // Byte by byte is slow, and no fault.
    auto dripping = attacker(true, kEasy);
    wire::FrameBuffer one;
    const auto share = dripping->mine();
    ASSERT_TRUE(one.push(wire::SubmitSharesExtended{.channel_id = dripping->channel().id(),
                                                    .sequence_number = 77,
                                                    .job_id = share.job_id,
                                                    .nonce = share.nonce,
                                                    .ntime = share.ntime,
                                                    .version = share.version,
                                                    .extranonce = share.extranonce}));
    for (const std::uint8_t byte : dripping->peer.seal(one)) EXPECT_TRUE(dripping->peer.send_raw({&byte, 1}));
    EXPECT_TRUE(dripping->until([](const Frame& frame) { return frame.header.is<wire::SubmitSharesSuccess>(); }));
    // A frame of nothing, of a type that needs something.
    wire::FrameBuffer empty;
    ASSERT_TRUE(empty.push_raw({.message_type = wire::SubmitSharesExtended::kType}, {}));
    EXPECT_TRUE(dripping->peer.send_raw(dripping->peer.seal(empty)));
    EXPECT_TRUE(dripping->peer.ends());
  });
}

// 8: after a failed authentication, and replays.

TEST_F(Attack, AfterADamagedOrRepeatedRecordTheConnectionIsDeadWhateverFollows) {
  start();
  beside_healthy([&] {
    for (const bool damaged : {true, false}) {
      auto forger = attacker(true, kEasy);
      a_newcomer_mines();
      ASSERT_TRUE(hears_tip(*forger, tip_));
      const auto record = [&] {
        const auto share = forger->mine();
        wire::FrameBuffer out;
        EXPECT_TRUE(out.push(wire::SubmitSharesExtended{.channel_id = forger->channel().id(),
                                                        .job_id = share.job_id,
                                                        .nonce = share.nonce,
                                                        .ntime = share.ntime,
                                                        .version = share.version,
                                                        .extranonce = share.extranonce}));
        return forger->peer.seal(out);
      };
      const auto first = record();
      const auto second = record();
      const auto third = record();
      auto bytes = first;
      if (damaged) {
        bytes.back() ^= 1;  // The payload's MAC: the header was good.
        bytes.insert(bytes.end(), first.begin(), first.end());
      } else {
        bytes.insert(bytes.end(), first.begin(), first.end());
      }
      bytes.insert(bytes.end(), second.begin(), second.end());
      bytes.insert(bytes.end(), third.begin(), third.end());
      (void)forger->peer.send_raw(bytes);
      EXPECT_TRUE(forger->peer.ends());
    }
  });
  // At most the record before the repeated one counted, which was good; nothing after either was read.
  EXPECT_LE(pool_->server->stats().miners.shares_accepted, mined_ + newcomers_shares_ + 1);
  EXPECT_EQ(pool_->server->stats().miners.shares_rejected_total(), late_);
}

// 9: who is who.

TEST_F(Attack, AnotherAuthorityAndACertificateOutsideItsTimeAreToldApart) {
  start([](pool::ServerOptions& options) { options.certificate_validity = 600s; });
  beside_healthy([&] {
    std::array<std::uint8_t, 32> other{};
    other.fill(9);
    const auto stranger = noise::AuthorityKeyPair::from_secret(noise::Secret(other))->public_key();
    const auto shake = [&](const noise::PublicKey& trusted, std::chrono::seconds skew) {
      Peer peer(pool_->server->tcp_port());
      const auto shaken = peer.handshake(trusted, skew);
      return shaken ? std::string() : std::string(shaken.error().name()) + ": " + shaken.error().message();
    };
    EXPECT_EQ(shake(authority(), 0s), "");
    EXPECT_THAT(shake(stranger, 0s), ::testing::StartsWith("wrong"));
    // The certificate began a minute ago and holds for ten; both ends have ten seconds of grace.
    EXPECT_THAT(shake(authority(), -3600s), ::testing::HasSubstr("clock"));
    EXPECT_THAT(shake(authority(), 3600s), ::testing::HasSubstr("clock"));
    EXPECT_EQ(shake(authority(), -60s), "");
    EXPECT_EQ(shake(authority(), 300s), "");
    a_newcomer_mines();
  });
}

TEST_F(Attack, ThereIsNoTalkingWithoutEncryption) {
  start();
  beside_healthy([&] {
    wire::FrameBuffer setup;
    ASSERT_TRUE(setup.push(
        wire::SetupConnection{.protocol = std::to_underlying(wire::Protocol::kMining), .min_version = 2, .max_version = 2}));
    // Instead of the handshake, padded to its size,
    Peer plain(pool_->server->tcp_port());
    std::vector<std::uint8_t> bytes(setup.bytes().begin(), setup.bytes().end());
    bytes.resize(std::max<std::size_t>(bytes.size(), noise::kAct1Size));
    (void)plain.send_raw(bytes);
    (void)plain.send_raw(setup.bytes());
    EXPECT_TRUE(plain.ends());
    a_newcomer_mines();
    // and after it.
    Peer downgraded(pool_->server->tcp_port());
    ASSERT_TRUE(downgraded.handshake(authority()));
    (void)downgraded.send_raw(bytes);
    EXPECT_TRUE(downgraded.ends());
  });
}

// 11: times and versions out of range.

TEST_F(Attack, TimesAndVersionBitsOutOfRangeAreRefusedWithTheirCodes) {
  start();
  beside_healthy([&] {
    auto liar = attacker(true, kEasy);
    const auto good = liar->mine();
    auto share = good;
    for (const std::uint32_t ntime : {0u, good.ntime - 601, good.ntime + 7200 + 3600, 0xffffffffu}) {
      share.ntime = ntime;
      EXPECT_EQ(liar->submit(share), "invalid-share") << ntime;
    }
    share = good;
    for (unsigned bit = 0; bit < 32; ++bit) {
      if ((channels::kVersionRollingMask >> bit & 1) != 0) continue;
      share.version = good.version ^ 1u << bit;
      EXPECT_EQ(liar->submit(share), "invalid-non-rollable-version-bit") << bit;
    }
    EXPECT_EQ(liar->submit(good), "accepted") << "none of them counted as seen";
    a_newcomer_mines();
  });
}

// The tip first: SetNewPrevHash of every channel of a shard goes out in the one turn of its loop in which the job comes.

// 7, 10: what strangers may take of everybody's.

TEST_F(Attack, ThousandsOfIdleChannelsKeepNobodyFromWork) {
  start();
  std::vector<std::unique_ptr<Miner>> idle;
  for (int i = 0; i < 4; ++i) {
    auto& hog = *idle.emplace_back(std::make_unique<Miner>(pool_->server->tcp_port(), authority()));
    ASSERT_EQ(hog.start("hog", false, kHard, wire::kRequiresStandardJobs), "");
    wire::U256 easiest;
    easiest.fill(0xff);
    wire::FrameBuffer out;
    for (std::uint32_t id = 0; id < 1000; ++id) {
      out.push(wire::OpenStandardMiningChannel{
          .request_id = id, .user_identity = "hog", .nominal_hash_rate = kHard, .max_target = easiest});
    }
    ASSERT_TRUE(hog.peer.send_raw(hog.peer.seal(out)));
    int opened = 0;
    ASSERT_TRUE(hog.until(
        [&](const Frame& frame) { return frame.header.is<wire::OpenStandardMiningChannelSuccess>() && ++opened == 1000; }));
  }
  a_newcomer_mines();
  a_newcomer_mines(wire::kRequiresStandardJobs);
  EXPECT_TRUE(hears_tip(*healthy_, 3));
  // The idle ones hear of it too.
  for (auto& hog : idle) {
    for (int heard = 0; heard < 1001; ++heard) ASSERT_TRUE(hears_tip(*hog, 3));
    hog->peer.close();
  }
}

TEST_F(Attack, DifficultyGamesAreTheirPlayersAlone) {
  start([](pool::ServerOptions& options) { options.session.channel.min_difficulty = kEasy / 4295032833.0; });
  auto player = attacker(true, kEasy);
  beside_healthy([&] {
    for (int i = 0; i < 400; ++i) {
      const float declared = std::array{3.4e38F, 1e-38F, 1e19F, 0.0F}[static_cast<std::size_t>(i % 4)];
      wire::U256 easiest;
      easiest.fill(0xff);
      ASSERT_TRUE(player->peer.send(
          wire::UpdateChannel{.channel_id = player->channel().id(), .nominal_hash_rate = declared, .maximum_target = easiest}));
      bitcoin::U256 target;
      ASSERT_TRUE(player->until([&](const Frame& frame) {
        const auto set = frame.view().as<wire::SetTarget>();
        if (set) target = bitcoin::U256::from_le(set->maximum_target);
        return set.has_value();
      })) << i;
      EXPECT_LE(target, bitcoin::target_from_difficulty(kEasy / 4295032833.0)) << declared;
      if (i == 200) a_newcomer_mines();
    }
  });
}

TEST_F(Attack, RefusedChannelsAreToldInFewLines) {
  start();
  auto client = attacker();
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(client->open("sri/solo/it's mine", true, kHard), "invalid-user-identity");
  }
  a_newcomer_mines();
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, ::testing::HasSubstr("sri/solo/it's mine"));
  EXPECT_THAT(log, ::testing::HasSubstr("error_code=invalid-user-identity"));
  std::size_t lines = 0;
  for (auto at = log.find("pool.channel_refused"); at != std::string::npos; at = log.find("pool.channel_refused", at + 1))
    ++lines;
  EXPECT_GE(lines, 1u);
  EXPECT_LE(lines, 100u) << "five a second";
  EXPECT_EQ(pool_->server->stats().miners.opens_refused[static_cast<std::size_t>(mining::OpenRefusal::kUserIdentity)], 200u);
}

TEST_F(Attack, PeersThatOnlyCostAreCutOffAndWhoWorksAtTheSameAddressIsNot) {
  start([](pool::ServerOptions& options) { options.session.source.allowance = 200; });
  std::uint64_t answered = 0;
  beside_healthy([&] {
    for (int i = 0; i < 3; ++i) {
      auto costs = attacker();
      while (costs->submit({.job_id = 1u << 30, .extranonce = Bytes(std::array<std::uint8_t, 32>{}).first(16)}) != "ended") {
        if (++answered == 100'000) break;
      }
      a_newcomer_mines();
    }
  });
  EXPECT_LT(answered, 100'000u);
  EXPECT_EQ(pool_->server->stats().miners.sessions_cut_off, 3u);
}

TEST_F(Attack, EveryChannelHasItsSetNewPrevHashBeforeTheLoopTurnsAgain) {
  Pool one({}, 1);
  std::vector<std::unique_ptr<Miner>> miners;
  for (int i = 0; i < 12; ++i) {
    auto& miner = miners.emplace_back(std::make_unique<Miner>(one.server->tcp_port(), authority()));
    const bool extended = i % 3 != 0;
    ASSERT_EQ(miner->start("m", extended, kEasy, extended ? 0 : wire::kRequiresStandardJobs), "");
    for (int more = 0; more < 3; ++more) ASSERT_EQ(miner->open("m", extended, kEasy), "");
  }
  // Behind the tip stands a task that stops the loop; behind that a job that may not overtake.
  std::promise<void> stopped;
  std::promise<void> release;
  one.source.publish(2);
  one.shards[0].post([&] {
    stopped.set_value();
    release.get_future().wait();
  });
  one.source.publish(2);
  stopped.get_future().wait();
  for (auto& miner : miners) {
    // With standard jobs each channel has its own; a group has one.
    const std::size_t channels = miner->channel().extranonce_size() == 0 ? 4 : 1;
    std::size_t future = 0;
    std::size_t tips = 0;
    EXPECT_TRUE(miner->until([&](const Frame& frame) {
      const auto standard = frame.view().as<wire::NewMiningJob>();
      const auto extended = frame.view().as<wire::NewExtendedMiningJob>();
      if (standard) EXPECT_FALSE(standard->min_ntime);
      if (extended) EXPECT_FALSE(extended->min_ntime);
      if (standard || extended) ++future;
      return frame.header.is<wire::SetNewPrevHash>() && ++tips == channels;
    }));
    EXPECT_EQ(future, channels);
  }
  release.set_value();
  for (auto& miner : miners) {
    EXPECT_TRUE(miner->until([](const Frame& frame) {
      const auto standard = frame.view().as<wire::NewMiningJob>();
      const auto extended = frame.view().as<wire::NewExtendedMiningJob>();
      return (standard && standard->min_ntime) || (extended && extended->min_ntime);
    })) << "further work comes after";
  }
  EXPECT_EQ(newcomer_mines(one, 3), "");
  for (auto& miner : miners) {
    EXPECT_TRUE(hears_tip(*miner, 3));
    miner->peer.close();
  }
}

// 15: peers that do not read.

// audit.md L13: each was bounded, and their number was not.
TEST_F(Attack, ManyThatDoNotReadAreHeldInSumAndWhoReadsAtTheSameAddressStays) {
  constexpr std::size_t kBound = 256 * 1024;
  start([](pool::ServerOptions& options) {
    options.backlog = net::BacklogBounds{.per_source = kBound, .in_all = 8 * kBound};
    options.max_past_jobs = 1000;  // What comes often here is new work on the same tip.
  });
  constexpr std::uint32_t kFrom = 0x7f000b0b;  // 127.0.11.11
  std::vector<std::unique_ptr<Miner>> silent;
  for (int i = 0; i < 60; ++i) {
    auto& miner = silent.emplace_back(std::make_unique<Miner>(pool_->server->tcp_port(), authority(), kFrom, Buffers::kSmall));
    ASSERT_EQ(miner->start("silent", true, kHard), "");
  }
  Miner neighbour(pool_->server->tcp_port(), authority(), kFrom);
  ASSERT_EQ(neighbour.start("neighbour", true, kEasy), "");
  const auto unread = [&] { return pool_->server->stats().unread.bytes; };
  const auto cut = [&] { return pool_->server->stats().unread.cut; };
  std::size_t most = 0;
  beside_healthy([&] {
    // Each job is some hundred bytes for each of them.
    for (int i = 0; i < 5000 && cut() < 30; ++i) {
      pool_->source.publish(tip_);
      most = std::max(most, unread());
      if (i % 20 == 0) {
        const auto answer = neighbour.submit(neighbour.mine());
        EXPECT_TRUE(answer == "accepted" || (i % 100 == 20 && answer == "stale-share")) << answer;
      }
      if (i % 100 == 0) a_newcomer_mines();
    }
  });
  EXPECT_GE(cut(), 30u);
  EXPECT_EQ(pool_->server->stats().over(net::Transport::kTcp).slow_readers, cut());
  EXPECT_GT(most, kBound / 2);
  EXPECT_LE(most, 2 * kBound) << "on two shards";
  auto answer = neighbour.submit(neighbour.mine());
  if (answer == "stale-share") answer = neighbour.submit(neighbour.mine());  // It had not heard of the last tip yet.
  EXPECT_EQ(answer, "accepted");
  neighbour.peer.close();
}

}  // namespace
}  // namespace adit::attack
