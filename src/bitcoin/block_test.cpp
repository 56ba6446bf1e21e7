#include "bitcoin/block.h"

#include <gtest/gtest.h>

#include "bitcoin/coinbase.h"
#include "bitcoin/merkle.h"
#include "bitcoin/test_data.h"

namespace adit::bitcoin {
namespace {

using test::bytes_of;

TEST(BlockHeader, GenesisFieldsAndBytes) {
  const auto bytes = bytes_of(test::kGenesisHeader);
  const BlockHeader header = BlockHeader::parse(std::span(bytes).first<80>());
  EXPECT_EQ(header.version, 1u);
  EXPECT_EQ(header.prev_hash, Hash256{});
  EXPECT_EQ(to_hex_reversed(header.merkle_root), test::kGenesisMerkleRoot);
  EXPECT_EQ(header.ntime, 1231006505u);
  EXPECT_EQ(header.nbits, 0x1d00ffffu);
  EXPECT_EQ(header.nonce, 2083236893u);
  EXPECT_EQ(to_hex(header.serialize()), test::kGenesisHeader);
  EXPECT_EQ(to_hex_reversed(header.hash()), test::kGenesisHash);
}

TEST(Block, AssemblesTheGenesisBlock) {
  Template t;
  t.id = 7;
  t.nbits = 0x1d00ffff;
  BlockSolution solution{1, 1231006505, 2083236893, bytes_of(test::kGenesisCoinbase)};
  const auto block = assemble_block(t, solution);
  ASSERT_TRUE(block) << block.error().message();
  EXPECT_EQ(block->template_id, 7u);
  EXPECT_EQ(to_hex_reversed(block->hash), test::kGenesisHash);
  EXPECT_EQ(to_hex(block->bytes), std::string(test::kGenesisHeader) + "01" + std::string(test::kGenesisCoinbase));
}

TEST(Block, CarriesTheOtherTransactionsAndCommitsToThem) {
  Template t;
  t.nbits = 0x207fffff;
  t.height = 20;
  t.coinbase_script_prefix = height_push(t.height);
  t.transactions = {bytes_of(test::kSegwitTransaction)};
  const auto ids = transaction_ids(t.transactions[0]);
  t.merkle_path = merkle_path(std::span(&ids->txid, 1));
  t.coinbase_outputs = {{0, witness_commitment_script(std::span(&ids->wtxid, 1))}};
  t.has_witness_commitment = true;
  const auto parts = build_coinbase(t, {}, "", 2);
  BlockSolution solution{0x20000000, 1, 2, parts->prefix};
  solution.coinbase.insert(solution.coinbase.end(), {0xaa, 0xbb});
  solution.coinbase.insert(solution.coinbase.end(), parts->suffix.begin(), parts->suffix.end());

  const auto assembled = assemble_block(t, solution);
  ASSERT_TRUE(assembled);
  const auto view = parse_block(assembled->bytes);
  ASSERT_TRUE(view) << view.error().message();
  EXPECT_EQ(view->header.hash(), assembled->hash);
  ASSERT_EQ(view->transactions.size(), 2u);
  EXPECT_EQ(to_hex(view->transactions[1]), test::kSegwitTransaction);
  const std::vector<Hash256> leaves{transaction_ids(view->transactions[0])->txid, ids->txid};
  EXPECT_EQ(view->header.merkle_root, merkle_root(leaves));
  EXPECT_TRUE(transaction_layout(view->transactions[0])->has_witness);
}

TEST(Block, TakesTheOtherTransactionsFromAnotherBlockOnTheSameTemplate) {
  Template with;
  with.id = 7;
  with.nbits = 0x207fffff;
  with.height = 20;
  with.coinbase_script_prefix = height_push(with.height);
  with.transactions = {bytes_of(test::kSegwitTransaction), bytes_of(test::kGenesisCoinbase)};
  std::vector<Hash256> ids;
  for (const auto& transaction : with.transactions) ids.push_back(transaction_ids(transaction)->txid);
  with.merkle_path = merkle_path(ids);
  with.has_witness_commitment = true;
  Template without = with;
  without.transactions.clear();
  const auto parts = build_coinbase(with, {}, "", 2);
  const auto solution = [&](std::uint8_t extranonce) {
    BlockSolution made{0x20000000, 1, 2, parts->prefix};
    made.coinbase.insert(made.coinbase.end(), {extranonce, 0});
    made.coinbase.insert(made.coinbase.end(), parts->suffix.begin(), parts->suffix.end());
    return made;
  };
  const auto other = assemble_block(with, solution(1));
  const auto found = assemble_block(without, solution(2), other->bytes);
  ASSERT_TRUE(found) << found.error().message();
  const auto expected = assemble_block(with, solution(2));
  EXPECT_EQ(found->bytes, expected->bytes);
  EXPECT_EQ(found->hash, expected->hash);
  EXPECT_EQ(found->height, 20u);
  EXPECT_EQ(found->template_id, 7u);

  // A block of another template, of another tip, and none.
  Template fewer = with;
  fewer.transactions.pop_back();
  EXPECT_FALSE(assemble_block(without, solution(2), assemble_block(fewer, solution(1))->bytes));
  Template elsewhere = with;
  elsewhere.prev_hash = {1};
  EXPECT_FALSE(assemble_block(without, solution(2), assemble_block(elsewhere, solution(1))->bytes));
  EXPECT_FALSE(assemble_block(without, solution(2), Bytes(other->bytes).first(100)));
}

TEST(Block, ASolutionsCoinbaseMayComeWithItsWitnessOrWithout) {
  for (const bool commitment : {false, true}) {
    Template t;
    t.nbits = 0x207fffff;
    t.height = 20;
    t.coinbase_script_prefix = height_push(t.height);
    t.has_witness_commitment = commitment;
    if (commitment) t.coinbase_outputs = {{0, witness_commitment_script({})}};
    const auto parts = build_coinbase(t, {}, "", 0);
    BlockSolution stripped{0x20000000, 1, 2, parts->prefix};
    stripped.coinbase.insert(stripped.coinbase.end(), parts->suffix.begin(), parts->suffix.end());
    BlockSolution whole = stripped;
    whole.coinbase = *add_coinbase_witness(stripped.coinbase);
    const auto block = assemble_block(t, stripped);
    ASSERT_TRUE(block);
    EXPECT_EQ(assemble_block(t, whole)->bytes, block->bytes);
    EXPECT_EQ(transaction_layout(parse_block(block->bytes)->transactions[0])->has_witness, commitment);
    EXPECT_EQ(solved_header(t, whole)->hash(), block->hash);
    EXPECT_EQ(*complete_coinbase(t, stripped.coinbase), commitment ? whole.coinbase : stripped.coinbase);
    stripped.coinbase.push_back(0);
    EXPECT_FALSE(complete_coinbase(t, stripped.coinbase));
  }
}

TEST(Block, ACoinbaseThatIsNoTransactionIsRefused) {
  EXPECT_FALSE(assemble_block(Template{}, BlockSolution{1, 1, 1, bytes_of("00010203")}));
}

TEST(Block, CutShortOrTooLongIsRefused) {
  const auto bytes = bytes_of(std::string(test::kGenesisHeader) + "01" + std::string(test::kGenesisCoinbase));
  ASSERT_TRUE(parse_block(bytes));
  for (std::size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(parse_block(Bytes(bytes).first(size))) << size;
  auto longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(parse_block(longer));
  auto many = bytes;
  many[80] = 0xfc;
  EXPECT_FALSE(parse_block(many));
  many[80] = 0;
  EXPECT_FALSE(parse_block(many));
}

}  // namespace
}  // namespace adit::bitcoin
