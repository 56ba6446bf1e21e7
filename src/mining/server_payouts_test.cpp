// Channels are paid as their identities ask: one job and one group for all that are paid alike.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/base58.h"
#include "mining/server_session_testing.h"

namespace adit::mining {
namespace {

using ::testing::HasSubstr;

const std::string kAlice = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
const std::string kBob = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry";
const std::vector<std::uint8_t> kPoolScript = {0x00, 0x14, 1,  2,  3,  4,  5,  6,  7,  8,  9,
                                               10,   11,   12, 13, 14, 15, 16, 17, 18, 19, 20};

class Payouts : public SessionTest {
 protected:
  Payouts() {
    policy_.payouts = {.pool_script = kPoolScript, .solo = true, .network = bitcoin::Network::kRegtest};
    policy_.source.max_opens = 1 << 20;
  }

  Peer& connect(std::uint32_t flags = 0, const std::string& source = "a") {
    Peer& peer = *peers_.emplace_back(std::make_unique<Peer>(options(), shard_, now_, source));
    peer.set_up(flags);
    return peer;
  }
  struct Opened {
    std::uint32_t id = 0;
    std::uint32_t group = 0;
  };
  /// Opens an extended channel; the answers stay with the peer.
  Opened open(Peer& peer, const std::string& identity, float hash_rate = 1) {
    auto message = open_extended(4, hash_rate);
    message.user_identity = std::string_view(identity);
    EXPECT_TRUE(peer.send(message));
    for (const auto& frame : peer.answers()) {
      if (const auto opened = frame.as<wire::OpenExtendedMiningChannelSuccess>())
        return {opened->channel_id, opened->group_channel_id};
    }
    ADD_FAILURE() << identity << " is not opened";
    return {};
  }
  std::string refusal(Peer& peer, const std::string& identity) {
    auto message = open_extended();
    message.user_identity = std::string_view(identity);
    EXPECT_TRUE(peer.send(message));
    return std::string(peer.answer<wire::OpenMiningChannelError>().error_code.view());
  }

  struct Sent {
    std::uint32_t job_id = 0;
    bool future = false;
    std::vector<std::uint8_t> prefix, suffix;
  };
  /// The extended jobs among the frames, by the channel or group that they are for; each future one is followed by its tip.
  static std::map<std::uint32_t, Sent> jobs_in(const wire::FrameBuffer& frames) {
    std::map<std::uint32_t, Sent> jobs;
    std::optional<std::uint32_t> due;
    for (const wire::FrameView& frame : frames) {
      if (const auto job = frame.as<wire::NewExtendedMiningJob>()) {
        EXPECT_FALSE(due);
        Sent& sent = jobs[job->channel_id];
        EXPECT_EQ(sent.job_id, 0u) << "a second job for " << job->channel_id;
        sent.job_id = job->job_id;
        sent.future = !job->min_ntime;
        sent.prefix.assign(job->coinbase_tx_prefix.begin(), job->coinbase_tx_prefix.end());
        sent.suffix.assign(job->coinbase_tx_suffix.begin(), job->coinbase_tx_suffix.end());
        if (sent.future) due = job->channel_id;
      } else if (const auto tip = frame.as<wire::SetNewPrevHash>()) {
        EXPECT_EQ(due, tip->channel_id);
        due.reset();
      }
    }
    EXPECT_FALSE(due);
    return jobs;
  }
  /// "" if the job pays what a translator of that identity verifies.
  static std::string wrong(const Sent& job, const std::string& identity) {
    const auto payout = channels::payout_of(identity);
    if (!payout) return payout.error().message();
    const auto paid = channels::check_payout(*payout, job.prefix, channels::kFullExtranonceSize, job.suffix);
    return paid ? std::string() : paid.error().message();
  }
  static bool pays_pool(const Sent& job) {
    const channels::Payout all{.script = kPoolScript};
    return channels::check_payout(all, job.prefix, channels::kFullExtranonceSize, job.suffix).has_value();
  }
  wire::SubmitSharesExtended share(Peer& peer, std::uint32_t id, std::uint32_t sequence, const channels::Job& of) {
    const auto& channel = channel_of(peer, id);
    const std::vector<std::uint8_t> rolled(channels::kRollableExtranonceSize, static_cast<std::uint8_t>(sequence));
    extranonces_.push_back(rolled);
    const channels::Job& job = channel.payee() == nullptr ? of : channel.payee()->job_of(of);
    const auto found = channels::testing::mine(
        job, {.job_id = job.id, .nonce = sequence * 1000, .ntime = kNtime, .version = job.rules.version, .extranonce = {}},
        channel.full_extranonce(rolled), channel.target(), job.rules.network_target);
    return {.channel_id = id,
            .sequence_number = sequence,
            .job_id = found.job_id,
            .nonce = found.nonce,
            .ntime = found.ntime,
            .version = found.version,
            .extranonce = Bytes(extranonces_.back())};
  }
  /// An address of its own for each number.
  static std::string address(std::uint32_t number) {
    std::array<std::uint8_t, 21> payload{111};  // P2PKH of the test networks.
    store_le(payload.data() + 1, number);
    return base58check_encode(payload);
  }

  std::vector<std::unique_ptr<Peer>> peers_;
  std::deque<std::vector<std::uint8_t>> extranonces_;
};

TEST_F(Payouts, EachChannelIsPaidAsItsIdentityAsks) {
  Peer& peer = connect();
  const std::vector<std::string> identities = {"sri/solo/" + kAlice, kBob + ".rig", "sri/donate/10/" + kAlice + "/rig",
                                               "sri/donate/99/" + kBob};
  for (const std::string& identity : identities) {
    const Opened opened = open(peer, identity);
    auto jobs = jobs_in(peer.out);
    ASSERT_EQ(jobs.size(), 1u);
    EXPECT_TRUE(jobs[opened.id].future);
    EXPECT_EQ(wrong(jobs[opened.id], identity), "") << "its first job";
  }
  for (const auto* identity : {"alice.rig", "sri/donate", "sri/donate/rig"}) {
    const Opened opened = open(peer, identity);
    EXPECT_TRUE(pays_pool(jobs_in(peer.out)[opened.id])) << identity;
  }
  EXPECT_EQ(shard_.counters().payouts, 4u);
}

TEST_F(Payouts, WhoIsPaidAlikeSharesAGroupAndItsJobsWhateverItsName) {
  Peer& peer = connect();
  const Opened pool = open(peer, "alice");
  const Opened solo = open(peer, "sri/solo/" + kAlice + "/1");
  const Opened same = open(peer, kAlice + ".2");
  const Opened other = open(peer, kBob);
  const Opened donor = open(peer, "sri/donate/10/" + kAlice);
  const Opened pool_too = open(peer, "sri/donate/x");
  EXPECT_EQ(pool.group, channels::kGroupChannelId);
  EXPECT_EQ(pool_too.group, pool.group);
  EXPECT_EQ(same.group, solo.group);
  EXPECT_EQ((std::set{pool.group, solo.group, other.group, donor.group}).size(), 4u);
  std::set<std::uint32_t> ids = {pool.id, solo.id, same.id, other.id, donor.id, pool_too.id};
  for (const Opened& opened : {solo, other, donor})
    EXPECT_FALSE(ids.contains(opened.group)) << "groups share the channels' ids";
  for (const std::uint8_t tip : {std::uint8_t{1}, std::uint8_t{2}}) {
    publish(tip);
    EXPECT_FALSE(shard_.give_jobs());
    auto jobs = jobs_in(events_.jobs.back().frames);
    ASSERT_EQ(jobs.size(), 4u) << "one message for each payout";
    EXPECT_TRUE(pays_pool(jobs[pool.group]));
    EXPECT_EQ(wrong(jobs[solo.group], "sri/solo/" + kAlice), "");
    EXPECT_EQ(wrong(jobs[other.group], kBob), "");
    EXPECT_EQ(wrong(jobs[donor.group], "sri/donate/10/" + kAlice), "");
    for (const auto& [group, job] : jobs) {
      EXPECT_EQ(job.job_id, shard_.jobs().current()->id);
      EXPECT_EQ(job.future, tip == 2);
    }
  }
}

TEST_F(Payouts, AllConnectionsOfAShardHaveOneCoinbaseForOnePayout) {
  std::vector<const channels::Payee*> payees;
  for (int i = 0; i < 3; ++i) {
    Peer& peer = connect(i == 2 ? wire::kRequiresStandardJobs : 0, std::to_string(i));
    auto message = open_standard();
    message.user_identity = std::string_view(kAlice);
    ASSERT_TRUE(peer.send(message));
    payees.push_back(channel_of(peer, peer.answer<wire::OpenStandardMiningChannelSuccess>().channel_id).payee());
  }
  EXPECT_NE(payees[0], nullptr);
  EXPECT_EQ(payees[0], payees[1]);
  EXPECT_EQ(payees[0], payees[2]);
  EXPECT_EQ(shard_.counters().payouts, 1u);
  peers_.pop_back();
  peers_.pop_back();
  EXPECT_EQ(shard_.counters().payouts, 1u);
  peers_.clear();
  EXPECT_EQ(shard_.counters().payouts, 0u) << "gone with the last channel";
}

TEST_F(Payouts, AConnectionsOnlyPayoutHasItsFirstGroup) {
  Peer& peer = connect();
  const Opened solo = open(peer, kAlice);
  EXPECT_EQ(solo.group, channels::kGroupChannelId);
  ASSERT_TRUE(peer.send(wire::CloseChannel{.channel_id = solo.id, .reason_code = {}}));
  EXPECT_EQ(open(peer, kBob).group, channels::kGroupChannelId) << "nobody is left in it";
  publish(2);
  peer.job();
  EXPECT_EQ(wrong(jobs_in(peer.out)[channels::kGroupChannelId], kBob), "");
}

TEST_F(Payouts, SharesAreJudgedByTheCoinbaseThatTheirChannelWasGiven) {
  Peer& peer = connect();
  const Opened solo = open(peer, kAlice);
  const Opened donor = open(peer, "sri/donate/10/" + kBob);
  const Opened pool = open(peer, "alice");
  std::vector<channels::JobPtr> jobs;
  for (int i = 0; i < 4; ++i) {
    jobs.push_back(*factory_.make(make_template(++templates_, 2, kHardBits, 2)));
    shard_.set_job(jobs.back());
    peer.job();
  }
  std::uint32_t sequence = 0;
  std::uint64_t accepted = 0;
  // Late ones too, and two that arrive together, of every two jobs.
  for (const std::uint32_t id : {solo.id, donor.id, pool.id}) {
    for (const auto& first : jobs) {
      for (const auto& second : jobs) {
        wire::FrameBuffer in;
        ASSERT_TRUE(in.push(share(peer, id, ++sequence, *first)));
        ASSERT_TRUE(in.push(share(peer, id, ++sequence, *second)));
        ASSERT_TRUE(peer.deliver(in));
        for (const auto& frame : peer.answers()) EXPECT_TRUE(frame.is<wire::SubmitSharesSuccess>()) << wire::to_string(frame);
        accepted += 2;
        ASSERT_EQ(shard_.counters().shares_accepted, accepted);
      }
    }
  }
  // The same nonce on another payout's coinbase is another hash.
  auto stolen = share(peer, solo.id, ++sequence, *jobs.back());
  stolen.channel_id = pool.id;
  ASSERT_TRUE(peer.send(stolen));
  EXPECT_TRUE(peer.answers().front().is<wire::SubmitSharesError>());
}

TEST_F(Payouts, StandardChannelsMineOnTheirOwnPayoutToo) {
  for (const std::uint32_t flags : {0u, wire::kRequiresStandardJobs}) {
    Peer& peer = connect(flags);
    auto message = open_standard();
    message.user_identity = std::string_view(kAlice);
    ASSERT_TRUE(peer.send(message));
    const std::uint32_t id = peer.answer<wire::OpenStandardMiningChannelSuccess>().channel_id;
    for (const std::uint8_t tip : {std::uint8_t{1}, std::uint8_t{2}}) {
      publish(tip);
      peer.job();
      const auto& channel = channel_of(peer, id);
      const channels::Job& its = channel.payee()->job_of(*shard_.jobs().current());
      const auto root = its.merkle_root(channel.full_extranonce({}));
      EXPECT_NE(root, shard_.jobs().current()->merkle_root(channel.full_extranonce({})));
      if (flags != 0) EXPECT_EQ(peer.answer<wire::NewMiningJob>().merkle_root, root);
      const auto found = channels::testing::mine(its, {.job_id = its.id, .ntime = kNtime, .version = its.rules.version},
                                                 channel.full_extranonce({}), channel.target(), its.rules.network_target);
      ASSERT_TRUE(peer.send(wire::SubmitSharesStandard{.channel_id = id,
                                                       .sequence_number = tip,
                                                       .job_id = found.job_id,
                                                       .nonce = found.nonce,
                                                       .ntime = found.ntime,
                                                       .version = found.version}));
      EXPECT_EQ(channel_of(peer, id).stats().accepted, tip);
    }
  }
}

TEST_F(Payouts, ABlockPaysWhomItsChannelIsPaidFor) {
  events_.keeps_payouts = true;
  Peer& peer = connect();
  const std::vector<std::string> identities = {"sri/solo/" + kAlice, "sri/donate/10/" + kBob, "alice"};
  std::vector<Opened> opened;
  for (const std::string& identity : identities) opened.push_back(open(peer, identity));
  publish(3, kRegtestBits);
  peer.job();
  const channels::Job& job = *shard_.jobs().current();
  for (std::size_t i = 0; i < identities.size(); ++i) {
    const auto& channel = channel_of(peer, opened[i].id);
    const std::vector<std::uint8_t> rolled(channels::kRollableExtranonceSize, 7);
    const channels::Job& its = channel.payee() == nullptr ? job : channel.payee()->job_of(job);
    const auto found =
        channels::testing::mine(its, {.job_id = its.id, .ntime = kNtime, .version = its.rules.version, .extranonce = {}},
                                channel.full_extranonce(rolled), its.rules.network_target);
    ASSERT_TRUE(peer.send(wire::SubmitSharesExtended{.channel_id = opened[i].id,
                                                     .sequence_number = 1,
                                                     .job_id = found.job_id,
                                                     .nonce = found.nonce,
                                                     .ntime = found.ntime,
                                                     .version = found.version,
                                                     .extranonce = rolled}));
    ASSERT_EQ(events_.blocks.size(), i + 1);
    const auto coinbase = bitcoin::parse_transaction(events_.blocks[i].solution.coinbase);
    ASSERT_TRUE(coinbase);
    const auto decided = *policy_.payouts.decide(identities[i]);
    const auto expected = policy_.payouts.outputs(decided ? &*decided : nullptr, job.block_template->coinbase_value_sat);
    ASSERT_EQ(coinbase->outputs.size(), expected.all().size());
    for (std::size_t at = 0; at < coinbase->outputs.size(); ++at) {
      EXPECT_EQ(coinbase->outputs[at].value_sat, expected.all()[at].value_sat);
      EXPECT_TRUE(std::ranges::equal(coinbase->outputs[at].script, expected.all()[at].script));
    }
    EXPECT_EQ(events_.block_payouts[i], decided);
    EXPECT_EQ(events_.share_payouts.back(), decided) << "a ledger owes nothing for what a miner is paid itself";
  }
}

TEST_F(Payouts, AJobThatComesAgainPaysTheSameAndSoDoesItsBlock) {
  events_.keeps_payouts = true;
  Peer& peer = connect();
  publish(2, kRegtestBits);
  const std::vector<std::string> identities = {"sri/solo/" + kAlice, "sri/donate/10/" + kBob};
  for (const std::string& identity : identities) {
    const Opened opened = open(peer, identity, 1e9F);
    ASSERT_TRUE(peer.send(wire::UpdateChannel{.channel_id = opened.id, .nominal_hash_rate = 1, .maximum_target = kAnyTarget}));
    const Sent again = jobs_in(peer.out)[opened.id];
    ASSERT_GE(again.job_id, channels::kFirstCustomJobId);
    EXPECT_EQ(wrong(again, identity), "");

    const auto& channel = channel_of(peer, opened.id);
    const auto twin = channels::make_twin(channel.payee()->job_of(*shard_.jobs().current()), again.job_id);
    const std::vector<std::uint8_t> rolled(channels::kRollableExtranonceSize, 7);
    const auto found =
        channels::testing::mine(*twin, {.job_id = twin->id, .ntime = kNtime, .version = twin->rules.version, .extranonce = {}},
                                channel.full_extranonce(rolled), twin->rules.network_target);
    events_.blocks.clear();
    events_.block_payouts.clear();
    ASSERT_TRUE(peer.send(wire::SubmitSharesExtended{.channel_id = opened.id,
                                                     .sequence_number = 1,
                                                     .job_id = found.job_id,
                                                     .nonce = found.nonce,
                                                     .ntime = found.ntime,
                                                     .version = found.version,
                                                     .extranonce = rolled}));
    ASSERT_EQ(events_.blocks.size(), 1U);
    const auto decided = *policy_.payouts.decide(identity);
    const auto coinbase = bitcoin::parse_transaction(events_.blocks[0].solution.coinbase);
    ASSERT_TRUE(coinbase);
    EXPECT_TRUE(std::ranges::equal(coinbase->outputs.back().script, decided->script)) << "the miner's comes last";
    EXPECT_EQ(events_.block_payouts[0], decided);
    EXPECT_EQ(events_.share_payouts.back(), decided);
  }
}

// It would be mined on the tip before, as the client has not heard of this one.
TEST_F(Payouts, NoJobComesAgainToAGroupThatWaitsForItsJob) {
  Peer& peer = connect();
  std::vector<Opened> opened;
  for (std::uint32_t i = 0; i <= ServerSession::kGroupsAtOnce; ++i) opened.push_back(open(peer, address(i), 1e9F));
  publish(2);
  wire::FrameBuffer jobs;
  std::size_t none = 0;
  EXPECT_TRUE(peer.session().give_job(jobs, none));
  const auto declare_less = [&](const Opened& of) {
    EXPECT_TRUE(peer.send(wire::UpdateChannel{.channel_id = of.id, .nominal_hash_rate = 1, .maximum_target = kAnyTarget}));
    EXPECT_TRUE(peer.answers().front().as<wire::SetTarget>());
    return peer.answers().size();
  };
  EXPECT_EQ(declare_less(opened.front()), 2U) << "it has the job";
  EXPECT_EQ(declare_less(opened.back()), 1U);
}

TEST_F(Payouts, WhatIsRefusedIsToldWithItsReasonAndNothingIsLeftOfIt) {
  Peer& peer = connect();
  std::string mistyped = kAlice;
  mistyped.back() = '1';
  for (const std::string& identity : {mistyped, "sri/solo/" + mistyped, std::string("sri/rig"), "sri/donate/0/" + kAlice,
                                      std::string("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.rig")}) {
    EXPECT_EQ(refusal(peer, identity), "invalid-user-identity") << identity;
    EXPECT_EQ(events_.refused.back().first, OpenRefusal::kUserIdentity);
    EXPECT_EQ(events_.refused.back().second, identity);
    EXPECT_FALSE(events_.reasons.back().empty());
  }
  EXPECT_THAT(events_.reasons[0], HasSubstr("mistyped"));
  EXPECT_THAT(events_.reasons[4], HasSubstr("is for mainnet, but the network is regtest"));
  EXPECT_EQ(shard_.counters().payouts, 0u);
  EXPECT_EQ(open(peer, "alice").id, channels::kFirstChannelId) << "a refused open uses no id";
  auto nonsense = open_extended();
  nonsense.user_identity = std::string_view(kAlice);
  nonsense.nominal_hash_rate = -1;
  ASSERT_TRUE(peer.send(nonsense));
  EXPECT_EQ(peer.answer<wire::OpenMiningChannelError>().error_code, "invalid-nominal-hashrate");
  EXPECT_EQ(shard_.counters().payouts, 0u);
}

TEST_F(Payouts, ASourceHasOnlySoManyDifferentOnes) {
  policy_.source.max_payouts = 3;
  Peer& peer = connect();
  std::vector<Opened> opened;
  for (std::uint32_t i = 0; i < 3; ++i) opened.push_back(open(peer, address(i)));
  EXPECT_EQ(refusal(peer, address(3)), "channel-capacity-exhausted");
  EXPECT_THAT(events_.reasons.back(), HasSubstr("too many different payouts"));
  open(peer, address(1) + ".again");
  open(peer, "alice");
  Peer& neighbour = connect(0, "b");
  open(neighbour, address(3));
  open(peer, address(3) + ".is there now");
  ASSERT_TRUE(peer.send(wire::CloseChannel{.channel_id = opened[0].id, .reason_code = {}}));
  open(peer, address(4));
  EXPECT_EQ(refusal(peer, address(0)), "channel-capacity-exhausted");
}

TEST_F(Payouts, TheyCountAgainstTheirSourcesMemory) {
  policy_.source.max_bytes = policy_.source.bytes_always = 3 * Payees::kBytes;
  Peer& peer = connect();
  for (std::uint32_t i = 0; i < 3; ++i) open(peer, address(i));
  EXPECT_EQ(shard_.memory().used(), 3 * Payees::kBytes);
  EXPECT_EQ(refusal(peer, address(3)), "channel-capacity-exhausted");
  peers_.clear();
  EXPECT_EQ(shard_.memory().used(), 0u);
}

// A proxy with hundreds of addresses on one connection has its jobs by turns, and delays no other.
TEST_F(Payouts, ManyPayoutsOfOneConnectionAreGivenByTurns) {
  constexpr std::uint32_t kMany = 300;
  Peer& proxy = connect(0, "proxy");
  std::map<std::uint32_t, std::string> identities;
  for (std::uint32_t i = 0; i < kMany; ++i) identities[open(proxy, address(i)).group] = address(i);
  ASSERT_EQ(identities.size(), kMany);
  Peer& lone = connect(0, "lone");
  const Opened single = open(lone, kAlice);
  publish(2);
  EXPECT_TRUE(shard_.give_jobs());
  std::size_t first_pass = 0;
  for (const auto& [session, frames] : events_.jobs) {
    if (session == &lone.session()) {
      EXPECT_EQ(jobs_in(frames).begin()->first, single.group);
      break;
    }
    first_pass += jobs_in(frames).size();
  }
  EXPECT_EQ(first_pass, ServerSession::kGroupsAtOnce);
  // Meanwhile there is another job of that tip, of which some have heard nothing yet.
  publish(2);
  std::map<std::uint32_t, std::vector<Sent>> heard;
  for (bool more = true; more;) {
    for (const auto& [session, frames] : events_.jobs) {
      if (session != &proxy.session()) continue;
      for (auto& [group, job] : jobs_in(frames)) heard[group].push_back(job);
    }
    events_.jobs.clear();
    more = shard_.give_jobs();
    if (!more) {
      for (const auto& [session, frames] : events_.jobs) {
        if (session != &proxy.session()) continue;
        for (auto& [group, job] : jobs_in(frames)) heard[group].push_back(job);
      }
    }
  }
  ASSERT_EQ(heard.size(), kMany);
  for (const auto& [group, jobs] : heard) {
    EXPECT_EQ(jobs.front().future, true) << "the tip is told with the first job on it";
    if (jobs.size() == 2) EXPECT_FALSE(jobs.back().future);
    EXPECT_EQ(jobs.back().job_id, shard_.jobs().current()->id);
    for (const Sent& job : jobs) EXPECT_EQ(wrong(job, identities[group]), "");
  }
}

TEST_F(Payouts, WhatChangesWhileAGroupWaitsForItsJobIsThatJobs) {
  Peer& proxy = connect(0, "proxy");
  std::vector<Opened> opened;
  for (std::uint32_t i = 0; i < 300; ++i) opened.push_back(open(proxy, address(i)));
  publish(2);
  ASSERT_TRUE(shard_.give_jobs());
  const Opened last = opened.back();
  // Who joins a group that waits has its members told first.
  const Opened joins = open(proxy, address(298) + ".too");
  auto jobs = jobs_in(proxy.out);
  EXPECT_EQ(joins.group, opened[298].group);
  EXPECT_TRUE(jobs[joins.group].future);
  EXPECT_TRUE(jobs[joins.id].future);
  ASSERT_TRUE(proxy.send(wire::UpdateChannel{.channel_id = last.id, .nominal_hash_rate = 50, .maximum_target = kAnyTarget}));
  const auto target = bitcoin::U256::from_le(proxy.answer<wire::SetTarget>().maximum_target);
  while (shard_.give_jobs()) {
  }
  ASSERT_TRUE(proxy.send(share(proxy, last.id, 1, *shard_.jobs().current())));
  EXPECT_EQ(channel_of(proxy, last.id).stats().work_sum, channels::Work::of(target));
}

TEST_F(Payouts, OnlyWhatIsPaidAlikeCanBeRegrouped) {
  Peer& peer = connect();
  const Opened one = open(peer, kAlice);
  const Opened two = open(peer, kAlice + ".2");
  const Opened other = open(peer, kBob);
  wire::FrameBuffer out;
  const std::array<std::uint32_t, 2> mixed = {one.id, other.id};
  const auto refused = peer.session().regroup(mixed, out);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("not paid alike"));
  EXPECT_TRUE(out.empty());
  const std::array<std::uint32_t, 2> alike = {one.id, two.id};
  const auto made = peer.session().regroup(alike, out);
  ASSERT_TRUE(made);
  publish(2);
  peer.job();
  auto jobs = jobs_in(peer.out);
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(wrong(jobs[*made], kAlice), "");
  EXPECT_EQ(wrong(jobs[other.group], kBob), "");
}

TEST_F(Payouts, AChannelOpenedBeforeTheFirstTemplateIsPaidAsItAsked) {
  ServerShard empty(policy_, {.server_id = 1}, events_);
  Peer peer(options(), empty, now_);
  peer.set_up();
  const Opened solo = open(peer, kAlice);
  const Opened pool = open(peer, "alice");
  EXPECT_EQ(peer.answers().size(), 1u);
  empty.set_job(*factory_.make(make_template(++templates_, 1, kHardBits, 2)));
  peer.job();
  auto jobs = jobs_in(peer.out);
  EXPECT_EQ(wrong(jobs[solo.id], kAlice), "");
  EXPECT_TRUE(pays_pool(jobs[pool.id]));
  empty.set_job(*factory_.make(make_template(++templates_, 2, kHardBits, 2)));
  peer.job();
  jobs = jobs_in(peer.out);
  EXPECT_EQ(wrong(jobs[solo.group], kAlice), "");
  EXPECT_TRUE(pays_pool(jobs[pool.group]));
}

}  // namespace
}  // namespace adit::mining
