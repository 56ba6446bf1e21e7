// An SV1 miner at a server of the mining protocol: what it hears is what the server counts.
#include "mining/sv1_session.h"

#include <cmath>

#include "mining/server_session_testing.h"
#include "sv1/client.h"
#include "sv1/difficulty.h"

namespace adit::mining {
namespace {

const std::string kAlice = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
const std::string kBob = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry";

/// A miner of ours, its session, and the session of the server behind it.
struct Rig final : sv1::ClientHandler {
  Rig(ServerShard& shard, Sv1Clients& clients, const ServerPolicy& policy, const Now& now, sv1::Client::Options options)
      : server(shard, 0, now.instant, "192.0.2.1"),
        session(server, clients, policy.payouts, "192.0.2.1:5", "192.0.2.1"),
        client(std::move(options), *this) {}

  void on_ready() override { ready = true; }
  void on_work(std::shared_ptr<const sv1::Work> given) override { works.push_back(std::move(given)); }
  void on_submit_answer(std::uint64_t, const sv1::RpcError* error) override { answers.push_back(error ? error->code : 0); }

  ServerSession server;
  Sv1Session session;
  sv1::Client client;
  bool ready = false;
  Result<void> received;
  std::vector<std::shared_ptr<const sv1::Work>> works;
  std::vector<int> answers;  ///< 0: true; else the error's code.
  std::string heard;
};

class Sv1SessionTest : public SessionTest {
 protected:
  Sv1SessionTest() { policy_.payouts = {.pool_script = {0x51}, .solo = true, .network = bitcoin::Network::kRegtest}; }

  Rig& connect(sv1::Client::Options options = {.user = "miner"}) {
    clients_.miners.now = now_;
    Rig& rig = *rigs_.emplace_back(std::make_unique<Rig>(shard_, clients_, policy_, now_, std::move(options)));
    rig.client.start();
    pump(rig);
    return rig;
  }
  /// Carries bytes both ways until nothing moves, and to the session what the shard told it.
  void pump(Rig& rig) {
    for (auto& given : std::exchange(events_.jobs, {})) {
      for (auto& other : rigs_) {
        if (given.session == &other->server) other->session.on_server_frames(given.frames, now_);
      }
    }
    for (auto& [session, frames] : std::exchange(events_.answers, {})) {
      for (auto& other : rigs_) {
        if (session == &other->server) other->session.on_server_frames(frames, now_);
      }
    }
    for (bool moved = true; moved;) {
      moved = false;
      if (auto out = std::exchange(rig.client.output(), {}); !out.empty()) {
        rig.session.on_bytes(as_bytes(out), now_);
        moved = true;
      }
      if (auto in = std::exchange(rig.session.output(), {}); !in.empty()) {
        rig.heard += in;
        rig.received = rig.client.receive(as_bytes(in));
        moved = true;
      }
    }
  }
  void say(Rig& rig, std::string_view line) {
    rig.session.on_bytes(as_bytes(line), now_);
    pump(rig);
  }
  /// Submits that nonce of the newest work and returns the answer; -1: none yet.
  int submit(Rig& rig, std::uint32_t nonce, std::optional<std::size_t> work = {}) {
    const auto& from = *rig.works.at(work.value_or(rig.works.size() - 1));
    const std::uint8_t extranonce2[] = {1, 2, 3, 4};
    EXPECT_TRUE(rig.client.submit(from, sv1::Extranonce(extranonce2), from.job.ntime, nonce, 0));
    pump(rig);
    return rig.answers.empty() ? -1 : std::exchange(rig.answers, {}).back();
  }
  /// Submits one nonce after another until a share is good.
  int mine(Rig& rig) {
    int answer = 23;
    while (answer == 23) answer = submit(rig, ++nonce_);
    return answer;
  }
  void tick(Rig& rig, Duration after = seconds(1)) {
    now_.instant += after;
    now_.unix_time += std::chrono::duration_cast<seconds>(after);
    rig.session.on_tick(now_);
    pump(rig);
  }
  void publish_to_all(std::uint8_t tip, std::uint32_t nbits = kHardBits) {
    publish(tip, nbits);
    while (shard_.give_jobs()) {
    }
  }
  [[nodiscard]] static const channels::Channel& channel_of(const Rig& rig) { return *rig.server.channels().begin(); }

  Sv1Clients clients_{Sv1Clients::policy()};
  std::vector<std::unique_ptr<Rig>> rigs_;
  std::uint32_t nonce_ = 0;
};

TEST_F(Sv1SessionTest, EveryShareThatAMinerHearsTrueForIsCountedByTheServer) {
  Rig& rig = connect();
  ASSERT_TRUE(rig.ready);
  ASSERT_EQ(rig.works.size(), 1u);
  for (int i = 0; i < 20; ++i) ASSERT_EQ(mine(rig), 0);
  EXPECT_EQ(shard_.counters().shares_accepted, 20u);
  EXPECT_EQ(rig.session.good_shares(), 20u);
  EXPECT_EQ(rig.session.miner().shares_local(), 0u);
  EXPECT_EQ(rig.session.miner().shares_accepted(), 20u);
  EXPECT_EQ(shard_.counters().shares_rejected_total(), 0u);
  EXPECT_EQ(submit(rig, nonce_), 22) << "a duplicate";
}

TEST_F(Sv1SessionTest, ItsChannelIsItsUsers) {
  Rig& rig = connect({.user = kAlice + ".bitaxe"});
  ASSERT_TRUE(rig.ready);
  EXPECT_EQ(channel_of(rig).user_identity(), kAlice + ".bitaxe");
  ASSERT_NE(channel_of(rig).payee(), nullptr);
  ASSERT_EQ(mine(rig), 0);
  // The coinbase that it mines on pays what its identity asks for.
  const auto payout = channels::payout_of(kAlice);
  ASSERT_TRUE(payout);
  const auto& work = *rig.works.back();
  const auto paid = channels::check_payout(*payout, work.job.coinbase1, work.extranonce1.bytes().size() + work.extranonce2_size,
                                           work.job.coinbase2);
  EXPECT_TRUE(paid) << paid.error().message();
}

TEST_F(Sv1SessionTest, WhoMayNotMineHereHearsFalseAndMayTryAnotherName) {
  Rig& rig = connect({.user = "sri/solo/nobody"});
  EXPECT_FALSE(rig.ready);
  EXPECT_FALSE(rig.received) << "authorize was refused";
  EXPECT_THAT(rig.heard, ::testing::HasSubstr("[24,"));
  EXPECT_EQ(rig.session.ended(), "");
  ASSERT_EQ(events_.refused.size(), 1u);
  EXPECT_EQ(events_.refused[0].first, OpenRefusal::kUserIdentity);
  say(rig, "{\"id\":9,\"method\":\"mining.authorize\",\"params\":[\"somebody\",\"x\"]}\n");
  EXPECT_TRUE(rig.session.established());
  EXPECT_EQ(channel_of(rig).user_identity(), "somebody");
}

TEST_F(Sv1SessionTest, ANameLongerThanAnIdentityIsRefused) {
  Rig& rig = connect({.user = std::string(256, 'x')});
  EXPECT_FALSE(rig.ready);
  EXPECT_EQ(rig.session.ended(), "");
  EXPECT_TRUE(rig.server.channels().begin() == rig.server.channels().end());
}

TEST_F(Sv1SessionTest, AFurtherWorkerIsWelcomeIfItIsPaidTheSame) {
  Rig& rig = connect({.user = kAlice + ".1"});
  const auto authorize = [&](const std::string& user) {
    rig.heard.clear();
    say(rig, "{\"id\":9,\"method\":\"mining.authorize\",\"params\":[\"" + user + "\",\"x\"]}\n");
    return rig.heard.find("\"result\":true") != std::string::npos;
  };
  EXPECT_TRUE(authorize(kAlice + ".2"));
  EXPECT_TRUE(authorize("sri/solo/" + kAlice)) << "the same, as this pool takes no fee";
  EXPECT_FALSE(authorize(kBob + ".1"));
  EXPECT_FALSE(authorize("pool-account"));
  EXPECT_EQ(rig.session.ended(), "");
  EXPECT_EQ(mine(rig), 0);
}

TEST_F(Sv1SessionTest, ATipComesCleanAndOlderSharesAreStale) {
  Rig& rig = connect();
  ASSERT_EQ(mine(rig), 0);
  const std::string first = rig.works.back()->job.job_id;
  publish_to_all(2);
  pump(rig);
  ASSERT_EQ(rig.works.size(), 2u);
  EXPECT_TRUE(rig.works[1]->job.clean_jobs);
  EXPECT_EQ(submit(rig, 1, 0), 21);
  EXPECT_EQ(mine(rig), 0);
  publish_to_all(2);
  pump(rig);
  ASSERT_EQ(rig.works.size(), 3u);
  EXPECT_FALSE(rig.works[2]->job.clean_jobs) << "the same tip";
  while (submit(rig, ++nonce_, 1) == 23) {
  }
  EXPECT_EQ(shard_.counters().shares_accepted, 3u) << "late for its job, not for its tip";
}

TEST_F(Sv1SessionTest, MinersThatArePaidAlikeShareTheirWork) {
  Rig& one = connect({.user = "a"});
  Rig& two = connect({.user = "b"});
  publish_to_all(2);
  pump(one);
  pump(two);
  const auto* first = one.session.miner().channel()->current();
  const auto* second = two.session.miner().channel()->current();
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(first->work, second->work);
  EXPECT_NE(to_hex(first->prefix()), to_hex(second->prefix()));
}

TEST_F(Sv1SessionTest, ItsDifficultyIsTheChannelsAndOneThatFirmwareTakes) {
  Rig& rig = connect({.user = "miner", .suggest_difficulty = 1000});
  const auto told = [&] { return rig.works.back()->difficulty; };
  const auto is_power_of_two = [](double difficulty) {
    int exponent = 0;
    return std::frexp(difficulty, &exponent) == 0.5;
  };
  EXPECT_EQ(told(), 512);
  EXPECT_TRUE(is_power_of_two(told()));
  EXPECT_EQ(bitcoin::difficulty_from_target(channel_of(rig).target()), told());
}

TEST_F(Sv1SessionTest, AnotherDifficultyComesWithAJobAtOnce) {
  Rig& rig = connect();
  ASSERT_EQ(mine(rig), 0);
  const double before = rig.works.back()->difficulty;
  // More shares than were wanted by far: harder.
  for (int i = 0; i < 80; ++i) ASSERT_EQ(mine(rig), 0);
  const std::size_t works = rig.works.size();
  tick(rig, seconds(16));
  ASSERT_EQ(rig.works.size(), works + 1);
  EXPECT_GT(rig.works.back()->difficulty, before * 1.9);
  EXPECT_FALSE(rig.works.back()->job.clean_jobs);
  EXPECT_NEAR(bitcoin::difficulty_from_target(channel_of(rig).target()) / rig.works.back()->difficulty, 1, 1e-9);
  // Both jobs count, each for what it is worth.
  const auto accepted = shard_.counters().shares_accepted;
  while (submit(rig, ++nonce_, works - 1) == 23) {
  }
  ASSERT_EQ(mine(rig), 0);
  EXPECT_EQ(shard_.counters().shares_accepted, accepted + 2);
  EXPECT_EQ(rig.session.miner().shares_local(), 0u);
}

TEST_F(Sv1SessionTest, AMinersLeastDifficultyIsTheChannelsToo) {
  clients_.miners.now = now_;
  Rig& rig = *rigs_.emplace_back(
      std::make_unique<Rig>(shard_, clients_, policy_, now_, sv1::Client::Options{.user = "m", .version_rolling = false}));
  say(rig,
      "{\"id\":1,\"method\":\"mining.configure\",\"params\":[[\"minimum-difficulty\"],{\"minimum-difficulty.value\":4}]}\n");
  rig.client.start();
  pump(rig);
  ASSERT_FALSE(rig.works.empty());
  EXPECT_EQ(rig.works.back()->difficulty, 4);
  EXPECT_EQ(bitcoin::difficulty_from_target(channel_of(rig).target()), 4);
}

TEST_F(Sv1SessionTest, TheAnswerToABlockWaitsUntilItIsKept) {
  events_.keeps_blocks = true;
  publish_to_all(2, kRegtestBits);
  Rig& rig = connect();
  int answer = 23;
  while (answer == 23) answer = submit(rig, ++nonce_);
  EXPECT_EQ(answer, -1) << "a block is under way";
  ASSERT_EQ(events_.blocks.size(), 1u);
  shard_.on_block_kept(events_.blocks[0].hash);
  pump(rig);
  ASSERT_EQ(rig.answers.size(), 1u);
  EXPECT_EQ(rig.answers[0], 0);
}

TEST_F(Sv1SessionTest, WithoutWorkItIsSentToItsNextPool) {
  Rig& rig = connect();
  shard_.refuse_opens(true);
  Rig& late = connect();
  EXPECT_THAT(late.session.ended(), ::testing::HasSubstr("no-work"));
  EXPECT_EQ(shard_.close_channels(10, "no-work", now_), 1u);
  pump(rig);
  EXPECT_THAT(rig.session.ended(), ::testing::HasSubstr("no-work"));
}

TEST_F(Sv1SessionTest, WhoOnlyCostsIsCutOff) {
  policy_.source.allowance = 20;
  Rig& rig = connect();
  for (int i = 0; i < 30 && rig.session.ended().empty(); ++i)
    say(rig, "{\"id\":9,\"method\":\"mining.authorize\",\"params\":[\"sri/solo/nobody\",\"x\"]}\n");
  EXPECT_EQ(rig.session.ended(), "") << "it has a channel: nothing is opened for a name that is refused";
  Rig& none = connect({.user = "sri/solo/nobody"});
  for (int i = 0; i < 30 && none.session.ended().empty(); ++i)
    say(none, "{\"id\":9,\"method\":\"mining.authorize\",\"params\":[\"sri/solo/nobody\",\"x\"]}\n");
  EXPECT_NE(none.session.ended(), "");
}

}  // namespace
}  // namespace adit::mining
