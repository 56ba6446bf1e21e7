// `verify_payout`: an upstream whose jobs do not pay the miner is given up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitcoin/address.h"
#include "bitcoin/coinbase.h"
#include "roles/translator/translator_testing.h"

namespace adit::translator {
namespace {

using testing::HasSubstr;

constexpr std::string_view kAddress = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

class VerifiedPayout : public TranslatorTest {
 protected:
  void begin(bool aggregate = false) {
    make({.miners = {.min_hash_rate_hps = 1e6}, .aggregate = aggregate, .verify_payout = true});
    upstream_connected("sri/solo/" + std::string(kAddress) + "/w");
    ASSERT_TRUE(upstream(wire::SetupConnectionSuccess{.used_version = 2}));
  }
  /// Jobs from now on pay `ours` satoshis to the miner and as many to the pool as are left of a thousand.
  void pays(std::uint64_t ours) {
    bitcoin::Template from;
    from.coinbase_script_prefix = {1, 5};
    from.coinbase_value_sat = 1000;
    const std::vector<bitcoin::TxOutput> outputs = {{ours, *bitcoin::script_from_address(kAddress, bitcoin::Network::kRegtest)},
                                                    {1000 - ours, std::vector<std::uint8_t>(22, 0x14)}};
    auto coinbase = bitcoin::build_coinbase(from, outputs, "tag", 6 + 16);  // As open_success divides it.
    ASSERT_TRUE(coinbase);
    coinbase1 = std::move(coinbase->prefix);
    coinbase2 = std::move(coinbase->suffix);
  }
  /// One job is right, the next one is not.
  void refuses(bool aggregate) {
    begin(aggregate);
    auto& test = connect();
    open_success(2);
    pays(1000);
    first_job(2, 1);
    ASSERT_EQ(test.works.size(), 1u);
    pays(999);
    const auto result = job(aggregate ? 2 : kGroup, 2, 1'700'000'001);
    EXPECT_EQ(code_of(result), "protocol");
    EXPECT_THAT(result.error().message(), HasSubstr("pays us 999 of 1000 sat instead of 1000"));
    EXPECT_EQ(test.works.size(), 1u);
  }
};

TEST_F(VerifiedPayout, AJobThatPaysSomebodyElseReachesNoMinerAndEndsTheUpstream) { refuses(/*aggregate=*/false); }

TEST_F(VerifiedPayout, AlsoWhereAllMinersShareOneChannel) { refuses(/*aggregate=*/true); }

TEST_F(VerifiedPayout, AJobOfTheGroupIsVerifiedForWhoJoinsBehindIt) {
  begin();
  pays(0);
  EXPECT_TRUE(job(kGroup, 9)) << "nobody's yet";
  auto& test = connect();
  open_success(2);
  const auto result = tip(kGroup, 9);
  EXPECT_EQ(code_of(result), "protocol");
  EXPECT_THAT(result.error().message(), HasSubstr("pays us 0 of 1000 sat"));
  EXPECT_TRUE(test.works.empty());
}

TEST_F(VerifiedPayout, WhoDoesNotAskIsNotHeldToIt) {
  upstream_up();
  connect();
  open_success(2);
  EXPECT_TRUE(job(2, 1)) << "a coinbase that is none at all";
}

}  // namespace
}  // namespace adit::translator
