#include "template/chain.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/hex.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/merkle.h"
#include "bitcoin/test_data.h"
#include "bitcoin/u256.h"

namespace adit::templates {
namespace {

using bitcoin::BlockHeader;
using bitcoin::BlockSolution;
using bitcoin::TxOutput;

constexpr UnixTime kNow{std::chrono::seconds(1'800'000'000)};
const std::vector<std::uint8_t> kScript{0x00, 0x14, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};

/// Builds a block on a template and lets a test spoil one thing before the work is done.
class Miner {
 public:
  explicit Miner(Template work) : work_(std::move(work)) {}

  std::function<void(Template&)> spoil_template = [](Template&) {};
  std::function<void(bitcoin::Transaction&)> spoil_coinbase = [](bitcoin::Transaction&) {};
  std::function<void(BlockHeader&)> spoil_header = [](BlockHeader&) {};
  bool witness = true;
  bool prove_work = true;

  std::vector<std::uint8_t> block() {
    spoil_template(work_);
    const std::vector<TxOutput> payout{{work_.coinbase_value_sat, kScript}};
    const auto parts = bitcoin::build_coinbase(work_, payout, "/Adit/", 8);
    std::vector<std::uint8_t> stripped = parts->prefix;
    stripped.insert(stripped.end(), 8, 0x55);
    stripped.insert(stripped.end(), parts->suffix.begin(), parts->suffix.end());
    auto coinbase = *bitcoin::parse_transaction(Bytes(stripped));
    if (witness) coinbase.inputs[0].witness = {std::vector<std::uint8_t>(32, 0)};
    spoil_coinbase(coinbase);
    const std::vector<std::uint8_t> coinbase_bytes = bitcoin::serialize(coinbase);
    const auto ids = bitcoin::transaction_ids(coinbase_bytes);
    BlockHeader header{work_.version,      work_.prev_hash, bitcoin::fold_merkle_path(ids->txid, work_.merkle_path),
                       work_.current_time, work_.nbits,     0};
    spoil_header(header);
    // The right target even where nbits is spoilt: easy enough in every test.
    const auto target = *bitcoin::target_from_compact(0x207fffff);
    while (bitcoin::meets_target(header.hash(), target) != prove_work) ++header.nonce;
    const auto header_bytes = header.serialize();
    std::vector<std::uint8_t> block(header_bytes.begin(), header_bytes.end());
    bitcoin::append_compact_size(block, 1 + work_.transactions.size());
    block.insert(block.end(), coinbase_bytes.begin(), coinbase_bytes.end());
    for (const auto& transaction : work_.transactions) block.insert(block.end(), transaction.begin(), transaction.end());
    return block;
  }

 private:
  Template work_;
};

class ChainRules : public testing::Test {
 protected:
  Chain chain{Chain::Options{}};
  Miner miner() { return Miner(chain.make_template(kNow)); }

  void expect_rejected(Miner& spoilt, const char* reason) {
    const std::uint32_t before = chain.height();
    const auto judgement = chain.submit(spoilt.block(), kNow);
    EXPECT_EQ(judgement.verdict, BlockVerdict::kRejected);
    EXPECT_EQ(judgement.reason, reason);
    EXPECT_EQ(chain.height(), before);
    // The rule was the only thing wrong: without the fault the block is taken.
    Miner good = miner();
    EXPECT_EQ(chain.submit(good.block(), kNow).verdict, BlockVerdict::kAccepted);
  }
};

TEST_F(ChainRules, StartsOnRegtestsGenesisBlock) {
  EXPECT_EQ(to_hex_reversed(chain.tip()), "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206");
  EXPECT_EQ(chain.height(), 0u);
}

TEST_F(ChainRules, AnAssembledBlockOfATemplateIsAcceptedAndBecomesTheTip) {
  for (std::uint32_t height = 1; height <= 40; ++height) {
    const Template work = chain.make_template(kNow);
    EXPECT_EQ(work.height, height);
    EXPECT_EQ(work.prev_hash, chain.tip());
    const std::vector<TxOutput> payout{{work.coinbase_value_sat, kScript}};
    const auto parts = bitcoin::build_coinbase(work, payout, "/Adit/", 4);
    BlockSolution solution{work.version, work.current_time, 0, parts->prefix};
    solution.coinbase.insert(solution.coinbase.end(), {1, 2, 3, 4});
    solution.coinbase.insert(solution.coinbase.end(), parts->suffix.begin(), parts->suffix.end());
    auto block = bitcoin::assemble_block(work, solution);
    while (!bitcoin::meets_target(block->hash, *bitcoin::target_from_compact(work.nbits))) {
      ++solution.nonce;
      block = bitcoin::assemble_block(work, solution);
    }
    const auto judgement = chain.submit(block->bytes, kNow);
    ASSERT_EQ(judgement.verdict, BlockVerdict::kAccepted) << judgement.reason;
    EXPECT_EQ(chain.tip(), block->hash);
    EXPECT_EQ(chain.blocks().back().coinbase_outputs[0], payout[0]);
  }
}

TEST_F(ChainRules, TransactionsThatWereOfferedAreMinedAndTheirFeesPaid) {
  ASSERT_TRUE(chain.add_transaction(bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction), 1'000));
  EXPECT_FALSE(chain.add_transaction(bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction), 1'000));
  EXPECT_FALSE(chain.add_transaction({1, 2, 3}, 0));
  const Template work = chain.make_template(kNow);
  EXPECT_EQ(work.merkle_path.size(), 1u);
  EXPECT_EQ(work.coinbase_value_sat, 50'0000'0000u + 1'000u);
  Miner m(work);
  EXPECT_EQ(chain.submit(m.block(), kNow).reason, "");
  EXPECT_TRUE(chain.make_template(kNow).transactions.empty());
}

TEST_F(ChainRules, TheSubsidyHalvesEvery150Blocks) {
  EXPECT_EQ(Chain::subsidy_sat(149), 50'0000'0000u);
  EXPECT_EQ(Chain::subsidy_sat(150), 25'0000'0000u);
  EXPECT_EQ(Chain::subsidy_sat(150 * 33), 0u);
  EXPECT_EQ(Chain::subsidy_sat(0xffffffff), 0u);
}

TEST_F(ChainRules, WorkMustMeetTheTarget) {
  Miner m = miner();
  m.prove_work = false;
  expect_rejected(m, "high-hash");
}

TEST_F(ChainRules, NbitsMustBeTheChains) {
  Miner m = miner();
  m.spoil_header = [](BlockHeader& header) { header.nbits = 0x2100ffff; };
  expect_rejected(m, "bad-diffbits");
}

TEST_F(ChainRules, ABlockOnAnUnknownParentIsRefused) {
  Miner m = miner();
  m.spoil_header = [](BlockHeader& header) { header.prev_hash[5] ^= 1; };
  expect_rejected(m, "prev-blk-not-found");
}

TEST_F(ChainRules, ABlockBesideTheTipIsStaleAndASecondCopyADuplicate) {
  Miner first = miner();
  Miner second = miner();
  second.spoil_header = [](BlockHeader& header) { header.ntime += 1; };
  const auto block = first.block();
  EXPECT_EQ(chain.submit(block, kNow).verdict, BlockVerdict::kAccepted);
  const auto stale = chain.submit(second.block(), kNow);
  EXPECT_EQ(stale.verdict, BlockVerdict::kStale);
  EXPECT_EQ(stale.reason, "inconclusive");
  EXPECT_EQ(chain.submit(block, kNow).verdict, BlockVerdict::kDuplicate);
  EXPECT_EQ(chain.height(), 1u);
}

TEST_F(ChainRules, TimeMustBeAfterTheMedianOfEleven) {
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(chain.mine(kScript, kNow + std::chrono::seconds(i), 1000));
  const Template work = chain.make_template(kNow);
  EXPECT_EQ(work.min_ntime, to_u32(kNow) + 6 + 1);
  EXPECT_EQ(work.current_time, work.min_ntime);
  Miner m(work);
  m.spoil_header = [](BlockHeader& header) { header.ntime -= 1; };
  expect_rejected(m, "time-too-old");
}

TEST_F(ChainRules, TimeMustNotBeMoreThanTwoHoursAhead) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(chain.mine(kScript, kNow, 1000));
  Miner at_limit = miner();
  at_limit.spoil_header = [](BlockHeader& header) { header.ntime = to_u32(kNow) + 7200; };
  EXPECT_EQ(chain.submit(at_limit.block(), kNow).reason, "");
  Miner m = miner();
  m.spoil_header = [](BlockHeader& header) { header.ntime = to_u32(kNow) + 7201; };
  expect_rejected(m, "time-too-new");
}

TEST_F(ChainRules, VersionsBelowFourAndNegativeOnesAreRefused) {
  for (std::uint32_t version : {1u, 3u, 0x80000000u}) {
    Miner m = miner();
    m.spoil_header = [=](BlockHeader& header) { header.version = version; };
    expect_rejected(m, "bad-version");
  }
}

TEST_F(ChainRules, VersionRollingBitsAreAllowed) {
  Miner m = miner();
  m.spoil_header = [](BlockHeader& header) { header.version |= 0x1fffe000; };
  EXPECT_EQ(chain.submit(m.block(), kNow).verdict, BlockVerdict::kAccepted);
}

TEST_F(ChainRules, TheMerkleRootMustCommitToTheTransactions) {
  Miner m = miner();
  m.spoil_header = [](BlockHeader& header) { header.merkle_root[0] ^= 1; };
  expect_rejected(m, "bad-txnmrklroot");
}

TEST_F(ChainRules, ARepeatedTransactionIsRefusedThoughTheRootIsTheSame) {
  ASSERT_TRUE(chain.add_transaction(bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction), 0));
  auto other = *bitcoin::parse_transaction(bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction));
  other.locktime += 1;
  ASSERT_TRUE(chain.add_transaction(bitcoin::serialize(other), 0));
  Miner m = miner();
  // Three leaves: the last is paired with itself, so repeating it leaves the root as it was.
  m.spoil_template = [](Template& work) { work.transactions.push_back(work.transactions.back()); };
  expect_rejected(m, "bad-txns-duplicate");
}

TEST_F(ChainRules, TheFirstTransactionMustBeACoinbase) {
  Miner m = miner();
  m.spoil_coinbase = [](bitcoin::Transaction& coinbase) { coinbase.inputs[0].prev_index = 0; };
  expect_rejected(m, "bad-cb-missing");
}

TEST_F(ChainRules, NoOtherTransactionMayBeACoinbase) {
  Miner m = miner();
  m.spoil_template = [](Template& work) {
    auto second = bitcoin::test::bytes_of(bitcoin::test::kGenesisCoinbase);
    const auto ids = bitcoin::transaction_ids(second);
    work.transactions = {second};
    work.merkle_path = {ids->txid};
  };
  expect_rejected(m, "bad-cb-multiple");
}

TEST_F(ChainRules, ATransactionThatWasNotOfferedIsRefused) {
  Miner m = miner();
  m.spoil_template = [](Template& work) {
    const auto unknown = bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction);
    work.transactions = {unknown};
    work.merkle_path = {bitcoin::transaction_ids(unknown)->txid};
  };
  expect_rejected(m, "bad-txns-inputs-missingorspent");
}

TEST_F(ChainRules, TheCoinbaseScriptIsTwoTo100Bytes) {
  for (std::size_t size : {1u, 101u}) {
    Miner m = miner();
    m.spoil_coinbase = [=](bitcoin::Transaction& coinbase) { coinbase.inputs[0].script.resize(size, 0x00); };
    expect_rejected(m, "bad-cb-length");
  }
}

TEST_F(ChainRules, TheCoinbaseScriptStartsWithTheHeight) {
  Miner m = miner();
  m.spoil_coinbase = [](bitcoin::Transaction& coinbase) { coinbase.inputs[0].script[0] += 1; };
  expect_rejected(m, "bad-cb-height");
}

TEST_F(ChainRules, TheCoinbasePaysAtMostSubsidyAndFees) {
  Miner less = miner();
  less.spoil_coinbase = [](bitcoin::Transaction& coinbase) { coinbase.outputs[0].value_sat -= 1; };
  EXPECT_EQ(chain.submit(less.block(), kNow).verdict, BlockVerdict::kAccepted);
  Miner more = miner();
  more.spoil_coinbase = [](bitcoin::Transaction& coinbase) { coinbase.outputs[0].value_sat += 1; };
  expect_rejected(more, "bad-cb-amount");
  Miner overflow = miner();
  overflow.spoil_coinbase = [](bitcoin::Transaction& coinbase) { coinbase.outputs.push_back({~0ull, {}}); };
  expect_rejected(overflow, "bad-cb-amount");
}

TEST_F(ChainRules, TheWitnessCommitmentMustFitTheTransactions) {
  Miner m = miner();
  m.spoil_coinbase = [](bitcoin::Transaction& coinbase) { coinbase.outputs.back().script[10] ^= 1; };
  expect_rejected(m, "bad-witness-merkle-match");
}

TEST_F(ChainRules, TheReservedValueIsPartOfTheCommitment) {
  Miner m = miner();
  m.spoil_coinbase = [](bitcoin::Transaction& coinbase) { coinbase.inputs[0].witness[0][31] = 1; };
  expect_rejected(m, "bad-witness-merkle-match");
}

TEST_F(ChainRules, ACommitmentNeedsTheReservedValueAsWitness) {
  Miner without = miner();
  without.witness = false;
  expect_rejected(without, "bad-witness-nonce-size");
  Miner wrong = miner();
  wrong.spoil_coinbase = [](bitcoin::Transaction& coinbase) { coinbase.inputs[0].witness[0].resize(31); };
  expect_rejected(wrong, "bad-witness-nonce-size");
}

TEST_F(ChainRules, AWitnessWithoutCommitmentIsRefusedAndNeitherIsFine) {
  Miner m = miner();
  m.spoil_template = [](Template& work) { work.coinbase_outputs.clear(); };
  expect_rejected(m, "unexpected-witness");
  Miner neither = miner();
  neither.spoil_template = [](Template& work) { work.coinbase_outputs.clear(); };
  neither.witness = false;
  EXPECT_EQ(chain.submit(neither.block(), kNow).verdict, BlockVerdict::kAccepted);
}

TEST_F(ChainRules, BytesThatAreNoBlockAreRefused) {
  EXPECT_EQ(chain.submit({}, kNow).reason, "Block decode failed");
  Miner m = miner();
  auto block = m.block();
  block.pop_back();
  EXPECT_EQ(chain.submit(block, kNow).reason, "Block decode failed");
}

TEST_F(ChainRules, AHarderTargetLetsSharesBeNoBlocks) {
  Chain hard(Chain::Options{.nbits = 0x1d00ffff});
  EXPECT_EQ(hard.make_template(kNow).nbits, 0x1d00ffffu);
  EXPECT_FALSE(hard.mine(kScript, kNow, 1000));
  EXPECT_EQ(hard.height(), 0u);
}

TEST_F(ChainRules, OnlyTheNewestBlocksAreKept) {
  Chain small(Chain::Options{.kept_blocks = 12});
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(small.mine(kScript, kNow, 1000));
  EXPECT_EQ(small.blocks().size(), 12u);
  EXPECT_EQ(small.height(), 30u);
}

}  // namespace
}  // namespace adit::templates
