#include "channels/payout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "bitcoin/address.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/consensus.h"
#include "bitcoin/tx.h"
#include "channels/channel_testing.h"

namespace adit::channels {
namespace {

constexpr std::string_view kAddress = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
constexpr std::size_t kExtranonce = 20;
const std::string kText(kAddress);

std::vector<std::uint8_t> our_script() { return *bitcoin::script_from_address(kAddress, bitcoin::Network::kRegtest); }
const std::vector<std::uint8_t> kPoolScript(22, 0x14);
const std::vector<std::uint8_t> kOpReturn = {0x6a, 1, 2};

/// A coinbase of these outputs, without any of the template's own.
bitcoin::CoinbaseParts coinbase_of(const std::vector<bitcoin::TxOutput>& outputs) {
  bitcoin::Template from = *testing::make_template(1, 1);
  from.coinbase_outputs.clear();
  for (const auto& output : outputs) from.coinbase_value_sat += output.value_sat;
  return *bitcoin::build_coinbase(from, outputs, "tag", kExtranonce);
}

/// "" or what is wrong.
std::string wrong(std::string_view identity, const bitcoin::CoinbaseParts& coinbase) {
  const auto payout = payout_of(identity);
  if (!payout) return payout.error().message();
  const auto checked = check_payout(*payout, coinbase.prefix, kExtranonce, coinbase.suffix);
  if (checked) return {};
  EXPECT_TRUE(checked.error().is(Errc::kPayout));
  return checked.error().message();
}
std::string wrong(std::string_view identity, const std::vector<bitcoin::TxOutput>& outputs) {
  return wrong(identity, coinbase_of(outputs));
}

TEST(Payout, SoloIsTheWholeRewardAndNothingElse) {
  for (const std::string& identity : {"sri/solo/" + kText, "sri/solo/" + kText + "/worker/of/mine"}) {
    EXPECT_EQ(wrong(identity, {{1000, our_script()}}), "");
    EXPECT_EQ(wrong(identity, {{400, our_script()}, {0, kOpReturn}, {600, our_script()}}), "");
    EXPECT_EQ(wrong(identity, {{999, our_script()}, {1, kPoolScript}}), "its coinbase pays us 999 of 1000 sat instead of 1000");
    EXPECT_THAT(wrong(identity, {{1000, kPoolScript}}), ::testing::StartsWith("its coinbase pays us 0 of 1000 sat"));
  }
}

TEST(Payout, ADonationIsThePoolsPercentageRoundedDownAndNoOther) {
  const std::string identity = "sri/donate/33/" + kText + "/worker";
  EXPECT_EQ(wrong(identity, {{33, kPoolScript}, {68, our_script()}}), "") << "33 % of 101 is 33";
  EXPECT_NE(wrong(identity, {{34, kPoolScript}, {67, our_script()}}), "");
  EXPECT_NE(wrong(identity, {{32, kPoolScript}, {69, our_script()}}), "");
}

TEST(Payout, AnAddressAloneLeavesAPoolATenthAtMost) {
  for (const std::string& identity : {kText, kText + ".worker"}) {
    EXPECT_EQ(wrong(identity, {{1001, our_script()}}), "");
    EXPECT_EQ(wrong(identity, {{100, kPoolScript}, {901, our_script()}}), "");
    EXPECT_EQ(wrong(identity, {{101, kPoolScript}, {900, our_script()}}),
              "its coinbase pays us 900 of 1001 sat instead of at least 901");
  }
}

TEST(Payout, AnIdentityThatNamesNoPayoutOfOursIsToldApart) {
  const auto why = [](const std::string& identity) { return wrong(identity, {{1, our_script()}}); };
  EXPECT_THAT(why("account.worker"), ::testing::HasSubstr("names no payout of the miner's own"));
  EXPECT_THAT(why(""), ::testing::HasSubstr("names no payout of the miner's own"));
  for (const auto* all : {"sri/donate", "sri/donate/worker", "sri/donate/5"})
    EXPECT_THAT(why(all), ::testing::HasSubstr("leaves the whole reward to the pool"));
  for (const auto* percent : {"0", "100", "-1", "5.5", "", "256", "5x"})
    EXPECT_THAT(why("sri/donate/" + std::string(percent) + "/" + kText), ::testing::HasSubstr("whole percentage")) << percent;
  for (const auto* solo : {"sri/solo", "sri/solo/", "sri/solo/worker", "sri/donate/5/worker"})
    EXPECT_THAT(why(solo), ::testing::HasSubstr("names no valid address")) << solo;
  EXPECT_THAT(why("sri/all/" + kText), ::testing::HasSubstr("none of SRI's patterns"));
}

TEST(Payout, AddressesOfEveryNetworkAreTaken) {
  for (const auto* address : {"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
                              "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"}) {
    EXPECT_TRUE(payout_of(address)) << address;
  }
  EXPECT_FALSE(script_of_any_network("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5")) << "mistyped";
}

// ---- What a pool grants.

using bitcoin::Network;

PayoutPolicy granting(unsigned fee = 0, std::optional<Network> network = Network::kRegtest) {
  return {.pool_script = kPoolScript, .solo = true, .solo_fee_percent = fee, .network = network};
}

/// "pool", "PERCENT to the pool", or why not.
std::string decided(const PayoutPolicy& policy, const std::string& identity) {
  const auto payout = policy.decide(identity);
  if (!payout) {
    EXPECT_TRUE(payout.error().is(Errc::kPayout));
    return payout.error().message();
  }
  if (!*payout) return "pool";
  EXPECT_EQ((*payout)->script, our_script());
  return std::to_string((*payout)->pool_percent) + " to the pool";
}

TEST(PayoutPolicy, WhereIdentitiesAreNamesEverythingIsThePools) {
  const PayoutPolicy policy{.pool_script = kPoolScript, .by_identity = false};
  for (const std::string& identity : {kText, "sri/solo/" + kText, std::string("sri/solo/nonsense")})
    EXPECT_EQ(*policy.decide(identity), std::nullopt) << identity;
}

TEST(PayoutPolicy, EachPatternIsPaidAsSriPaysIt) {
  const PayoutPolicy policy = granting();
  for (const std::string& solo : {"sri/solo/" + kText, "sri/solo/" + kText + "/rig", "sri/solo/" + kText + "/a.b/c", kText,
                                  kText + ".rig", kText + ".", kText + ".miner1.x"}) {
    EXPECT_EQ(decided(policy, solo), "0 to the pool") << solo;
  }
  EXPECT_EQ(decided(policy, "sri/donate/1/" + kText), "1 to the pool");
  EXPECT_EQ(decided(policy, "sri/donate/99/" + kText + "/rig"), "99 to the pool");
  for (const auto* pool : {"", "alice", "alice.rig", "sri", "sri/donate", "sri/donate/rig", "sri/donate/50", "sri/donate/",
                           "sri/donate/b\xff", "SRI/solo/x", "sri.solo", "m", "0/x", "bc1miner", "1A"}) {
    EXPECT_EQ(decided(policy, pool), "pool") << pool;
  }
}

TEST(PayoutPolicy, WhoeverWantsToBePaidAndCannotBeIsToldWhy) {
  const PayoutPolicy policy = granting();
  std::string mistyped = kText;
  mistyped.back() = '1';
  for (const std::string& identity :
       {mistyped, mistyped + ".rig", "sri/solo/" + mistyped, "sri/donate/5/" + mistyped + "/rig"}) {
    EXPECT_THAT(decided(policy, identity), ::testing::HasSubstr("mistyped: its checksum does not fit")) << identity;
  }
  for (const std::string& identity : {std::string("sri/"), "sri/all/" + kText, "sri//" + kText, std::string("sri/rig")}) {
    EXPECT_THAT(decided(policy, identity), ::testing::HasSubstr("follows none of SRI's patterns")) << identity;
  }
  for (const std::string& percent : {"0", "100", "-1", "+5", "5.5", "", "256", "4294967301", "5x"}) {
    EXPECT_THAT(decided(policy, "sri/donate/" + percent + "/" + kText), ::testing::HasSubstr("whole percentage")) << percent;
  }
  for (const auto* identity : {"sri/solo", "sri/solo/", "sri/solo/rig", "sri/donate/5/", "sri/donate/5/rig"}) {
    EXPECT_THAT(decided(policy, identity), ::testing::HasSubstr("names no valid address")) << identity;
  }
  // Whoever reads them as a name keeps what the miner believes to be his.
  for (const char* behind : {"/rig", "_rig", ":x", " ", "+500"}) {
    EXPECT_THAT(decided(policy, kText + behind), ::testing::HasSubstr("a dot stands before a worker's name")) << behind;
  }
}

TEST(PayoutPolicy, AddressesAreThoseOfTheNetworkOrOfAnyTestNetwork) {
  const std::string mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
  const std::string testnet = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";
  for (const Network network : {Network::kTestnet4, Network::kSignet, Network::kRegtest}) {
    const PayoutPolicy policy = granting(0, network);
    EXPECT_EQ(decided(policy, testnet), "0 to the pool");
    EXPECT_EQ(decided(policy, "sri/solo/" + kText), "0 to the pool");
    for (const std::string& wrong : {mainnet, "sri/solo/" + mainnet, "sri/donate/5/" + mainnet}) {
      EXPECT_THAT(decided(policy, wrong), ::testing::HasSubstr("is for mainnet, but the network is")) << wrong;
    }
  }
  EXPECT_EQ(decided(granting(0, Network::kMainnet), mainnet), "0 to the pool");
  EXPECT_THAT(decided(granting(0, Network::kMainnet), testnet), ::testing::HasSubstr("but the network is mainnet"));
  EXPECT_EQ(decided(granting(0, std::nullopt), mainnet), "0 to the pool");
  EXPECT_EQ(decided(granting(0, std::nullopt), testnet), "0 to the pool");
}

TEST(PayoutPolicy, APoolWithoutSoloKeepsNothingThatSomebodyAskedFor) {
  PayoutPolicy policy = granting();
  policy.solo = false;
  for (const std::string& identity : {kText, "sri/solo/" + kText, "sri/donate/5/" + kText}) {
    EXPECT_THAT(decided(policy, identity), ::testing::HasSubstr("`solo = false`")) << identity;
  }
  EXPECT_EQ(decided(policy, "sri/donate"), "pool");
  EXPECT_EQ(decided(policy, "alice"), "pool");
}

TEST(PayoutPolicy, TheFeeIsTakenOfWhoNamesNoneAndNobodyNamesLess) {
  const PayoutPolicy policy = granting(3);
  EXPECT_EQ(decided(policy, kText + ".rig"), "3 to the pool");
  EXPECT_EQ(decided(policy, "sri/donate/3/" + kText), "3 to the pool");
  EXPECT_EQ(decided(policy, "sri/donate/50/" + kText), "50 to the pool");
  EXPECT_THAT(decided(policy, "sri/donate/2/" + kText), ::testing::HasSubstr("leaves 2 % to the pool, whose fee is 3 %"));
  EXPECT_THAT(decided(policy, "sri/solo/" + kText), ::testing::HasSubstr("leaves 0 % to the pool, whose fee is 3 %"));
}

TEST(PayoutPolicy, AMinerOfThePoolsOwnAddressIsThePool) {
  PayoutPolicy policy = granting();
  policy.pool_script = our_script();
  for (const std::string& identity : {kText, "sri/solo/" + kText, "sri/donate/5/" + kText}) {
    EXPECT_EQ(decided(policy, identity), "pool") << identity;
  }
}

using Paid = std::vector<std::pair<std::uint64_t, std::vector<std::uint8_t>>>;
Paid paid(const PayoutPolicy& policy, const std::optional<Payout>& payout, std::uint64_t value_sat) {
  Paid all;
  const auto outputs = policy.outputs(payout ? &*payout : nullptr, value_sat);
  for (const auto& output : outputs.all())
    all.emplace_back(output.value_sat, std::vector(output.script.begin(), output.script.end()));
  return all;
}

TEST(PayoutPolicy, ThePoolIsPaidFirstAndNoSatoshiIsLost) {
  const PayoutPolicy policy = granting();
  const auto donates = [&](const std::string& percent) { return *policy.decide("sri/donate/" + percent + "/" + kText); };
  EXPECT_EQ(paid(policy, std::nullopt, 1001), (Paid{{1001, kPoolScript}}));
  EXPECT_EQ(paid(policy, *policy.decide(kText), 1001), (Paid{{1001, our_script()}}));
  EXPECT_EQ(paid(policy, donates("33"), 1001), (Paid{{330, kPoolScript}, {671, our_script()}}));
  EXPECT_EQ(paid(policy, donates("99"), bitcoin::kMaxMoneySat),
            (Paid{{bitcoin::kMaxMoneySat / 100 * 99, kPoolScript}, {bitcoin::kMaxMoneySat / 100, our_script()}}));
  EXPECT_EQ(paid(policy, donates("5"), 19), (Paid{{19, our_script()}})) << "an output of nothing is none";
  EXPECT_EQ(paid(policy, donates("5"), 20), (Paid{{1, kPoolScript}, {19, our_script()}})) << "to the satoshi, dust or not";
  EXPECT_EQ(paid(policy, donates("5"), 0), (Paid{{0, our_script()}})) << "a coinbase has an output";
}

TEST(PayoutPolicy, AFeeThatIsDustIsLeftToTheMiner) {
  const PayoutPolicy policy = granting(10);
  EXPECT_EQ(paid(policy, *policy.decide(kText), 5459), (Paid{{5459, our_script()}}));
  EXPECT_EQ(paid(policy, *policy.decide(kText), 5460), (Paid{{546, kPoolScript}, {4914, our_script()}}));
}

// What a pool pays is what a translator of the same identity verifies, for every pattern, fee and value.
TEST(PayoutPolicy, WhatItPaysIsWhatIsVerified) {
  for (unsigned fee = 0; fee <= kMostFeePercent; ++fee) {
    const PayoutPolicy policy = granting(fee);
    for (const std::string& identity : {kText, kText + ".rig", "sri/solo/" + kText, "sri/donate/1/" + kText,
                                        "sri/donate/10/" + kText, "sri/donate/33/" + kText, "sri/donate/99/" + kText}) {
      const auto payout = policy.decide(identity);
      if (!payout) continue;
      for (const std::uint64_t value :
           {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{99}, std::uint64_t{101}, std::uint64_t{545}, std::uint64_t{5459},
            std::uint64_t{54'601}, std::uint64_t{312'500'007}, std::uint64_t{5'000'000'000}}) {
        std::vector<bitcoin::TxOutput> outputs;
        for (const auto& [sat, script] : paid(policy, *payout, value)) outputs.push_back({sat, script});
        outputs.push_back({0, kOpReturn});
        EXPECT_EQ(wrong(identity, outputs), "") << identity << ", fee " << fee << ", " << value << " sat";
      }
    }
  }
}

TEST(PayoutPolicy, TheLargestPayoutIsWhatTemplatesLeaveRoomFor) {
  PayoutPolicy policy = granting(10, std::nullopt);
  const std::vector<std::string> addresses = {
      "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",                                          // P2PKH
      "3P14159f73E4gFr7JterCCQh9QjiTjiZrG",                                          // P2SH
      "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3",              // P2WSH
      "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",  // A witness program of 40 bytes
  };
  std::size_t largest = 0;
  std::uint32_t most = 0;
  for (const std::string& address : addresses) {
    const auto payout = policy.decide(address);
    ASSERT_TRUE(payout && *payout) << address << ": " << payout.error().message();
    std::size_t size = 0;
    std::uint32_t sigops = 0;
    for (const auto& [sat, script] : paid(policy, *payout, 5'000'000'000)) {
      size += bitcoin::output_size({sat, script});
      sigops += bitcoin::count_sigops(script);
    }
    EXPECT_LE(size, policy.max_outputs_size()) << address;
    largest = std::max(largest, size);
    most = std::max(most, sigops);
  }
  EXPECT_EQ(policy.max_outputs_size(), largest) << "no more than is needed";
  EXPECT_EQ(policy.max_sigops(), most);
  policy.solo = false;
  EXPECT_EQ(policy.max_outputs_size(), bitcoin::output_size({0, kPoolScript}));
  EXPECT_EQ(policy.max_sigops(), bitcoin::count_sigops(kPoolScript));
  policy.pool_script = {0xac, 0xae};
  EXPECT_EQ(policy.max_sigops(), 21u) << "the pool's own count";
}

TEST(Payout, WhatIsNoCoinbaseOrPaysNothingIsRefused) {
  const std::string identity = "sri/solo/" + kText;
  EXPECT_NE(wrong(identity, std::vector<bitcoin::TxOutput>{{0, kOpReturn}}), "");
  auto cut = coinbase_of({{1000, our_script()}});
  cut.suffix.pop_back();
  EXPECT_EQ(wrong(identity, cut), "its coinbase is none");
  auto spends = coinbase_of({{1000, our_script()}});
  spends.prefix[5] = 1;  // The txid of its input.
  EXPECT_EQ(wrong(identity, spends), "its coinbase is none");
  auto much = coinbase_of({{1000, our_script()}, {1, kPoolScript}});
  much.suffix[4 + 1 + 6] = 0xff;  // Behind sequence and count: the first output's value.
  EXPECT_EQ(wrong(identity, much), "its coinbase pays more than there is");
}

// Zeros stand for the extranonce while the outputs are looked at; the pool knows what will stand there.
TEST(Payout, AnExtranonceOutsideOfTheScriptCouldBeAnything) {
  const std::string identity = "sri/solo/" + kText;
  const auto honest = coinbase_of({{1000, our_script()}, {0, std::vector<std::uint8_t>(kExtranonce + 5, 0)}});
  std::vector<std::uint8_t> whole = honest.prefix;
  whole.resize(whole.size() + kExtranonce);
  whole.insert(whole.end(), honest.suffix.begin(), honest.suffix.end());
  const auto cut_at = [&](std::size_t at) {
    return bitcoin::CoinbaseParts{.prefix = {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(at)},
                                  .suffix = {whole.begin() + static_cast<std::ptrdiff_t>(at + kExtranonce), whole.end()}};
  };
  EXPECT_EQ(wrong(identity, cut_at(honest.prefix.size())), "");
  EXPECT_EQ(wrong(identity, cut_at(whole.size() - kExtranonce - 4)), "its extranonce is not within the coinbase's script");
  EXPECT_EQ(wrong(identity, cut_at(5)), "its extranonce is not within the coinbase's script") << "in the txid of nothing";
}

}  // namespace
}  // namespace adit::channels
