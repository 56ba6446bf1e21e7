#include "channels/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>

#include "base/hex.h"
#include "bitcoin/coinbase.h"
#include "channels/channel_testing.h"
#include "wire/messages.h"

namespace adit::channels {
namespace {

using bitcoin::U256;

/// A pool's messages as views of memory that the test holds.
struct Upstream {
  std::vector<std::uint8_t> prefix = {0xca, 0xfe};
  std::vector<std::uint8_t> coinbase_prefix = {1, 2, 3};
  std::vector<std::uint8_t> coinbase_suffix = {4, 5};
  std::vector<wire::U256> path = {testing::hash_of(7)};

  ClientChannel extended(std::uint16_t size = 4, wire::U256 target = U256::max().to_le()) const {
    return ClientChannel(wire::OpenExtendedMiningChannelSuccess{.request_id = 1,
                                                                .channel_id = 2,
                                                                .target = target,
                                                                .extranonce_size = size,
                                                                .extranonce_prefix = prefix,
                                                                .group_channel_id = 1});
  }
  ClientChannel standard() const {
    return ClientChannel(wire::OpenStandardMiningChannelSuccess{
        .request_id = 1, .channel_id = 2, .target = U256::max().to_le(), .extranonce_prefix = prefix, .group_channel_id = 1});
  }
  wire::NewExtendedMiningJob job(std::uint32_t id, std::optional<std::uint32_t> min_ntime = {}) const {
    return {.channel_id = 1,
            .job_id = id,
            .min_ntime = min_ntime,
            .version = 0x20000000,
            .version_rolling_allowed = true,
            .merkle_path = path,
            .coinbase_tx_prefix = coinbase_prefix,
            .coinbase_tx_suffix = coinbase_suffix};
  }
  static wire::SetNewPrevHash tip(std::uint32_t job_id, std::uint8_t fill = 9) {
    return {.channel_id = 1,
            .job_id = job_id,
            .prev_hash = testing::hash_of(fill),
            .min_ntime = testing::kNtime,
            .nbits = testing::kHardBits};
  }
};

Result<const ClientJob*> give(ClientChannel& channel, const wire::NewExtendedMiningJob& message) {
  return channel.on_new_extended_mining_job(message, copy_work(message));
}

TEST(ClientChannel, AFutureJobWaitsForItsSetNewPrevHash) {
  const Upstream pool;
  ClientChannel channel = pool.extended();
  const auto added = give(channel, pool.job(5));
  ASSERT_TRUE(added);
  EXPECT_EQ(*added, nullptr);
  EXPECT_EQ(channel.current(), nullptr);
  EXPECT_EQ(channel.find(5), nullptr);
  const auto active = channel.on_set_new_prev_hash(pool.tip(5));
  ASSERT_TRUE(active);
  EXPECT_EQ((*active)->id, 5u);
  EXPECT_EQ((*active)->ntime, testing::kNtime);
  EXPECT_EQ((*active)->rules.prev_hash, testing::hash_of(9));
  EXPECT_EQ(channel.current(), *active);
}

TEST(ClientChannel, ARefreshedJobIsMinedAtOnceOnTheSameTip) {
  const Upstream pool;
  ClientChannel channel = pool.extended();
  ASSERT_TRUE(give(channel, pool.job(5)));
  ASSERT_TRUE(channel.on_set_new_prev_hash(pool.tip(5)));
  const auto added = give(channel, pool.job(6, testing::kNtime + 30));
  ASSERT_TRUE(added);
  ASSERT_NE(*added, nullptr);
  EXPECT_EQ((*added)->ntime, testing::kNtime + 30);
  EXPECT_EQ((*added)->rules.prev_hash, testing::hash_of(9));
  EXPECT_EQ((*added)->rules.min_ntime, testing::kNtime) << "the tip's";
  EXPECT_NE(channel.find(5), nullptr) << "past jobs of the tip stay valid";
}

// A translator whose clock was hours behind refused all of its miners' shares.
TEST(ClientChannel, OurClockMakesNoShareOfTheServersTimeInvalid) {
  const Upstream pool;
  ClientChannel channel = pool.extended();
  ASSERT_TRUE(give(channel, pool.job(5)));
  const auto active = channel.on_set_new_prev_hash(pool.tip(5));
  ASSERT_TRUE(active);
  const HeaderRules& rules = (*active)->rules;
  for (const std::int64_t ahead : {-5 * 3600, -3 * 3600, 0, 3 * 3600, 5 * 3600}) {
    const auto ours = static_cast<std::uint32_t>(testing::kNtime + ahead);
    for (const std::uint32_t ntime : {testing::kNtime, testing::kNtime + 600, testing::kNtime + 7200}) {
      const Share share{.job_id = 5, .ntime = ntime, .version = rules.version, .extranonce = {}};
      EXPECT_EQ(check_header_fields(rules, share, ours), ShareVerdict::kAccepted) << ahead;
    }
    const Share early{.job_id = 5, .ntime = testing::kNtime - 1, .version = rules.version, .extranonce = {}};
    EXPECT_EQ(check_header_fields(rules, early, ours), ShareVerdict::kInvalidTime) << ahead;
  }
}

TEST(ClientChannel, BitsThatChangeWithoutANewTipVoidAllOtherJobs) {
  const Upstream pool;
  ClientChannel channel = pool.extended();
  for (const std::uint32_t id : {5u, 6u}) {
    ASSERT_TRUE(give(channel, pool.job(id)));
    auto tip = pool.tip(id);
    tip.nbits = id == 5 ? 0x1a0fffff : 0x1d00ffff;
    const auto active = channel.on_set_new_prev_hash(tip);
    ASSERT_TRUE(active);
    EXPECT_EQ((*active)->rules.nbits, tip.nbits);
  }
  EXPECT_EQ(channel.check({.job_id = 5}, testing::kNow.unix_time).verdict, ShareVerdict::kStale);
}

TEST(ClientChannel, SetNewPrevHashVoidsAllOtherJobs) {
  const Upstream pool;
  ClientChannel channel = pool.extended(0);
  for (const std::uint32_t id : {5u, 6u, 7u}) ASSERT_TRUE(give(channel, pool.job(id)));
  ASSERT_TRUE(channel.on_set_new_prev_hash(pool.tip(6)));
  EXPECT_FALSE(channel.on_set_new_prev_hash(pool.tip(7))) << "a future job of the tip before";
  EXPECT_EQ(channel.check({.job_id = 5}, testing::kNow.unix_time).verdict, ShareVerdict::kStale);
  EXPECT_EQ(channel.check({.job_id = 9}, testing::kNow.unix_time).verdict, ShareVerdict::kInvalidJob);
}

TEST(ClientChannel, SetNewPrevHashForAJobNeverSentIsTheServersError) {
  const Upstream pool;
  ClientChannel channel = pool.extended();
  const auto none = channel.on_set_new_prev_hash(pool.tip(5));
  ASSERT_FALSE(none);
  EXPECT_TRUE(none.error().is(Errc::kUnknownJob));
  EXPECT_FALSE(give(channel, pool.job(6, testing::kNtime))) << "active before any tip";
}

TEST(ClientChannel, ListensToItsOwnIdAndItsGroups) {
  ClientChannel channel = Upstream{}.extended();
  EXPECT_TRUE(channel.addressed_by(2));
  EXPECT_TRUE(channel.addressed_by(1));
  EXPECT_FALSE(channel.addressed_by(3));
  channel.on_set_group(3);
  EXPECT_TRUE(channel.addressed_by(3));
  EXPECT_FALSE(channel.addressed_by(1));
}

TEST(ClientChannel, SetTargetIsForLaterAndStillFutureJobs) {
  const Upstream pool;
  ClientChannel channel = pool.extended();
  ASSERT_TRUE(give(channel, pool.job(5)));
  ASSERT_TRUE(channel.on_set_new_prev_hash(pool.tip(5)));
  ASSERT_TRUE(give(channel, pool.job(6)));
  channel.on_set_target(U256(77));
  EXPECT_EQ(channel.find(5)->target, U256::max());
  ASSERT_TRUE(give(channel, pool.job(7, testing::kNtime)));
  EXPECT_EQ(channel.find(7)->target, U256(77));
  ASSERT_TRUE(channel.on_set_new_prev_hash(pool.tip(6, 10)));
  EXPECT_EQ(channel.find(6)->target, U256(77));
}

TEST(ClientChannel, ANewExtranoncePrefixIsForLaterJobsOnly) {
  const Upstream pool;
  ClientChannel channel = pool.extended();
  ASSERT_TRUE(give(channel, pool.job(5)));
  const std::array<std::uint8_t, 3> prefix = {1, 2, 3};
  ASSERT_TRUE(channel.on_set_extranonce_prefix(prefix));
  ASSERT_TRUE(channel.on_set_new_prev_hash(pool.tip(5)));
  EXPECT_THAT(channel.find(5)->prefix(), ::testing::ElementsAre(0xca, 0xfe));
  ASSERT_TRUE(give(channel, pool.job(6, testing::kNtime)));
  EXPECT_THAT(channel.find(6)->prefix(), ::testing::ElementsAre(1, 2, 3));
  const std::array<std::uint8_t, 29> too_long{};
  EXPECT_FALSE(channel.on_set_extranonce_prefix(too_long));
}

TEST(ClientChannel, KeepsABoundedNumberOfJobs) {
  const Upstream pool;
  ClientChannel channel = pool.extended();
  for (std::uint32_t id = 1; id <= 100; ++id) ASSERT_TRUE(give(channel, pool.job(id)));
  EXPECT_FALSE(channel.on_set_new_prev_hash(pool.tip(84)));
  ASSERT_TRUE(channel.on_set_new_prev_hash(pool.tip(85)));
  for (std::uint32_t id = 101; id <= 200; ++id) ASSERT_TRUE(give(channel, pool.job(id, testing::kNtime)));
  EXPECT_EQ(channel.find(150), nullptr);
  EXPECT_NE(channel.find(151), nullptr);
}

TEST(ClientChannel, StandardJobsCarryTheirMerkleRoot) {
  const Upstream pool;
  ClientChannel channel = pool.standard();
  ASSERT_TRUE(channel.on_new_mining_job({.channel_id = 2, .job_id = 1, .version = 2, .merkle_root = testing::hash_of(3)}));
  const auto active = channel.on_set_new_prev_hash(pool.tip(1));
  ASSERT_TRUE(active);
  EXPECT_EQ((*active)->merkle_root({}), testing::hash_of(3));
  ClientChannel extended = pool.extended();
  EXPECT_FALSE(extended.on_new_mining_job({.channel_id = 2, .job_id = 1}));
}

TEST(ClientChannel, AStandardChannelDerivesItsRootFromItsGroupsJob) {
  const Upstream pool;
  ClientChannel channel = pool.standard();
  ASSERT_TRUE(give(channel, pool.job(5)));
  const auto active = channel.on_set_new_prev_hash(pool.tip(5));
  ASSERT_TRUE(active);
  std::vector<std::uint8_t> coinbase = {1, 2, 3, 0xca, 0xfe, 4, 5};
  EXPECT_EQ((*active)->merkle_root({}), bitcoin::merkle_pair(bitcoin::sha256d(coinbase), testing::hash_of(7)));
}

// What SRI's channels_sv2 collected "from a sane message flow" and holds its server channels to (src/server/standard.rs and
// extended.rs, tests): templates, coinbase parts, merkle roots, shares with their hashes.
struct SriVector {
  std::string_view height_push;
  std::uint32_t sequence, locktime;
  std::vector<std::uint8_t> prefix;
  std::vector<std::uint8_t> extranonce;
  std::uint32_t nbits;
  std::string_view prev_hash;  ///< Header order.
  std::uint32_t nonce, ntime;
  double hash_rate;  ///< At one share a minute.
  ShareVerdict verdict;
};

bitcoin::Template sri_template(std::string_view height_push, std::uint32_t sequence, std::uint32_t locktime) {
  bitcoin::Template made;
  made.coinbase_version = 2;
  made.coinbase_script_prefix = *from_hex(height_push);
  made.coinbase_sequence = sequence;
  made.coinbase_locktime = locktime;
  made.coinbase_value_sat = 5'000'000'000;
  made.coinbase_outputs = {{0, *from_hex("6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9")}};
  return made;
}

bitcoin::CoinbaseParts sri_coinbase(const bitcoin::Template& from, std::size_t extranonce_size) {
  const bitcoin::TxOutput payout{5'000'000'000, *from_hex("0014ebe1b7dcc293ccaa0ee743a86f89df8258c208fc")};
  return *bitcoin::build_coinbase(from, {&payout, 1}, "Sv2///", extranonce_size);
}

const std::vector<std::uint8_t> kSriPrefix32 = *from_hex("5374726174756d2056322053524920506f6f6c00000000000000000000000001");
const std::vector<std::uint8_t> kSriPrefix24 = *from_hex("000000000000000000000000000000000000000000000001");
const std::vector<std::uint8_t> kSriExtranonce = {1, 0, 0, 0, 0, 0, 0, 0};

TEST(SriVectors, CoinbasePartsOfTheExtendedJob) {
  const auto parts = sri_coinbase(sri_template("5200", 0xffffffff, 0), 31);
  EXPECT_EQ(to_hex(parts.prefix),
            "0200000001"
            "0000000000000000000000000000000000000000000000000000000000000000"
            "ffffffff"
            "29"
            "5200"
            "06"
            "5376322f2f2f"
            "1f");
  EXPECT_EQ(to_hex(parts.suffix),
            "ffffffff"
            "02"
            "00f2052a01000000"
            "16"
            "0014ebe1b7dcc293ccaa0ee743a86f89df8258c208fc"
            "0000000000000000"
            "26"
            "6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9"
            "00000000");
}

TEST(SriVectors, MerkleRootOfTheStandardJob) {
  const auto parts = sri_coinbase(sri_template("029f0000", 0xfffffffe, 158), 32);
  const ExtendedWork work{parts.prefix, parts.suffix, {}};
  EXPECT_EQ(to_hex(work.merkle_root(kSriPrefix32, {})), "f4affb67aa6f596ff5fda7637ee7aa99ae45fbf30577914c136bd79ba624e4d2");
}

TEST(SriVectors, SharesGetSrisVerdicts) {
  const std::string_view kTipA = "fbaf6a2823577a5a3a334e20caece4249aaece9093c315e0c367d6bd33be1862";
  const std::string_view kTipB =
      "9a7cefe7dd7aa0ada4af57214ad6bf6b492200a2e3102c28214900"
      "0000000000";
  const std::string_view kTipC =
      "17cd48869956dc99e01cd892e478e39dd563a0a3803b8bbe9e3e00000000"
      "0000";
  const std::vector<SriVector> vectors = {
      {"029f0000", 0xfffffffe, 158, kSriPrefix32, {}, 545259519, kTipA, 0, 1745596932, 1, ShareVerdict::kBlock},
      {"029f0000", 0xfffffffe, 158, kSriPrefix32, {}, 453040064, kTipB, 3, 1745596932, 100, ShareVerdict::kTooEasy},
      {"029f0000", 0xfffffffe, 158, kSriPrefix32, {}, 453040064, kTipB, 92092, 1745611105, 1000, ShareVerdict::kAccepted},
      {"5200", 0xffffffff, 0, kSriPrefix24, kSriExtranonce, 545259519, kTipA, 0, 1745596971, 1, ShareVerdict::kBlock},
      {"5200", 0xffffffff, 0, kSriPrefix24, kSriExtranonce, 453040064, kTipB, 0, 1745596971, 100, ShareVerdict::kTooEasy},
      {"5200", 0xffffffff, 0, kSriPrefix24, kSriExtranonce, 453040064, kTipC, 16647, 1745611105, 1000, ShareVerdict::kAccepted},
  };
  for (const SriVector& v : vectors) {
    SCOPED_TRACE(::testing::Message() << v.nonce << " at " << v.ntime);
    const auto parts = sri_coinbase(sri_template(v.height_push, v.sequence, v.locktime), 32);
    ClientChannel channel(
        wire::OpenExtendedMiningChannelSuccess{.request_id = 1,
                                               .channel_id = 1,
                                               .target = bitcoin::target_from_hash_rate(v.hash_rate, 1).to_le(),
                                               .extranonce_size = static_cast<std::uint16_t>(v.extranonce.size()),
                                               .extranonce_prefix = v.prefix,
                                               .group_channel_id = 3});
    const wire::NewExtendedMiningJob job{.channel_id = 1,
                                         .job_id = 1,
                                         .min_ntime = {},
                                         .version = 536870912,
                                         .version_rolling_allowed = true,
                                         .merkle_path = {},
                                         .coinbase_tx_prefix = parts.prefix,
                                         .coinbase_tx_suffix = parts.suffix};
    ASSERT_TRUE(give(channel, job));
    wire::SetNewPrevHash tip{.channel_id = 1, .job_id = 1, .prev_hash = {}, .min_ntime = 1745596910, .nbits = v.nbits};
    ASSERT_TRUE(from_hex(v.prev_hash, tip.prev_hash));
    ASSERT_TRUE(channel.on_set_new_prev_hash(tip));
    Share share{.job_id = 1,
                .sequence_number = 1,
                .nonce = v.nonce,
                .ntime = v.ntime,
                .version = 536870912,
                .extranonce = v.extranonce};
    EXPECT_EQ(channel.check(share, from_u32(v.ntime)).verdict, v.verdict);
    ++share.sequence_number;
    EXPECT_EQ(channel.check(share, from_u32(v.ntime)).verdict, is_accepted(v.verdict) ? ShareVerdict::kDuplicate : v.verdict);
  }
}

}  // namespace
}  // namespace adit::channels
