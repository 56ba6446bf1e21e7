#include "channels/custom_job.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bitcoin/block.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/merkle.h"
#include "bitcoin/tx.h"
#include "channels/channel_testing.h"
#include "channels/extranonce.h"

namespace adit::channels {
namespace {

using testing::kNow;
using testing::kNtime;
using testing::make_template;

class CustomJob : public ::testing::Test {
 protected:
  CustomJob() {
    bitcoin::append_compact_size(outputs_, 1);
    bitcoin::append_output(outputs_, {.value_sat = 5, .script = {0x51}});
    path_.push_back(testing::hash_of(std::uint8_t{9}));
  }

  [[nodiscard]] wire::SetCustomMiningJob message() const {
    return {.channel_id = 2,
            .request_id = 4,
            .version = 0x20000000,
            .prev_hash = tip_->rules.prev_hash,
            .min_ntime = kNtime,
            .nbits = tip_->rules.nbits,
            .coinbase_tx_version = 1,
            .coinbase_prefix = Bytes(prefix_),
            .coinbase_tx_input_n_sequence = 0xfffffffe,
            .coinbase_tx_outputs = Bytes(outputs_),
            .coinbase_tx_locktime = 7,
            .merkle_path = path_};
  }
  [[nodiscard]] std::string_view refusal(const wire::SetCustomMiningJob& message, bitcoin::TemplatePtr known = nullptr) const {
    const auto made = make_custom_job(message, kFirstCustomJobId, *tip_, std::move(known), kNow.unix_time);
    return made ? "" : made.error();
  }

  JobFactory factory_ = testing::make_factory();
  JobPtr tip_ = *factory_.make(make_template(1, 1));
  std::vector<std::uint8_t> prefix_ = bitcoin::height_push(101);
  std::vector<std::uint8_t> outputs_;
  std::vector<bitcoin::Hash256> path_;
};

TEST_F(CustomJob, CoinbaseIsPrefixAndExtranonceThenTheClientsOutputs) {
  prefix_.insert(prefix_.end(), {3, 'j', 'd', 'c'});
  const auto job = make_custom_job(message(), kFirstCustomJobId, *tip_, nullptr, kNow.unix_time);
  ASSERT_TRUE(job);
  EXPECT_EQ((*job)->id, kFirstCustomJobId);
  EXPECT_FALSE((*job)->transactions_known);
  const std::vector<std::uint8_t> extranonce(kFullExtranonceSize, 0x5a);
  const auto bytes = (*job)->coinbase_with(extranonce);
  const auto coinbase = bitcoin::parse_transaction(Bytes(bytes));
  ASSERT_TRUE(coinbase) << coinbase.error().message();
  EXPECT_TRUE(coinbase->is_coinbase());
  EXPECT_EQ(coinbase->version, 1u);
  EXPECT_EQ(coinbase->locktime, 7u);
  EXPECT_EQ(coinbase->inputs[0].sequence, 0xfffffffeu);
  std::vector<std::uint8_t> script = prefix_;
  script.insert(script.end(), extranonce.begin(), extranonce.end());
  EXPECT_EQ(coinbase->inputs[0].script, script);
  ASSERT_EQ(coinbase->outputs.size(), 1u);
  EXPECT_EQ(coinbase->outputs[0].value_sat, 5u);
  EXPECT_EQ((*job)->merkle_root(extranonce), bitcoin::fold_merkle_path(bitcoin::sha256d(bytes), path_));
}

TEST_F(CustomJob, MustBuildOnTheTip) {
  auto other = message();
  other.prev_hash = testing::hash_of(std::uint8_t{77});
  EXPECT_EQ(refusal(other), "stale-chain-tip");
  other = message();
  ++other.nbits;
  EXPECT_EQ(refusal(other), "invalid-nbits");
}

TEST_F(CustomJob, TimeLiesBetweenTheTipsAndTwoHoursAhead) {
  auto other = message();
  other.min_ntime = tip_->rules.min_ntime - 1;
  EXPECT_EQ(refusal(other), "invalid-min-ntime");
  other.min_ntime = to_u32(kNow.unix_time) + kMaxFutureSeconds + 1;
  EXPECT_EQ(refusal(other), "invalid-min-ntime");
  --other.min_ntime;
  EXPECT_EQ(refusal(other), "");
}

TEST_F(CustomJob, ScriptStartsWithThisHeightAndFitsTheCoinbase) {
  prefix_ = bitcoin::height_push(102);
  EXPECT_EQ(refusal(message()), "invalid-coinbase-prefix");
  prefix_ = {};
  EXPECT_EQ(refusal(message()), "invalid-coinbase-prefix");
  prefix_ = bitcoin::height_push(101);
  prefix_.resize(bitcoin::kMaxCoinbaseScriptSize - kFullExtranonceSize);
  EXPECT_EQ(refusal(message()), "");
  prefix_.push_back(0);
  EXPECT_EQ(refusal(message()), "invalid-coinbase-prefix");
}

TEST_F(CustomJob, OutputsMustBeOutputsAndThePathABlocks) {
  const auto good = outputs_;
  for (std::size_t size = 0; size < good.size(); ++size) {
    outputs_ = good;
    outputs_.resize(size);
    EXPECT_EQ(refusal(message()), "invalid-coinbase-tx-outputs") << size;
  }
  outputs_ = {0};
  EXPECT_EQ(refusal(message()), "invalid-coinbase-tx-outputs") << "none";
  outputs_ = good;
  path_.resize(17);
  EXPECT_EQ(refusal(message()), "");
  path_.resize(18);
  EXPECT_EQ(refusal(message()), "invalid-merkle-path");
}

TEST_F(CustomJob, PathIsThatOfTheDeclaredTransactions) {
  auto declared = std::make_shared<bitcoin::Template>(*make_template(1, 1));
  EXPECT_EQ(refusal(message(), declared), "invalid-merkle-path");
  declared->merkle_path = path_;
  const auto job = make_custom_job(message(), kFirstCustomJobId, *tip_, declared, kNow.unix_time);
  ASSERT_TRUE(job);
  EXPECT_TRUE((*job)->transactions_known);
}

}  // namespace
}  // namespace adit::channels
