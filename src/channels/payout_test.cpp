#include "channels/payout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "bitcoin/address.h"
#include "bitcoin/coinbase.h"
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
