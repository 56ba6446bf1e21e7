#include "bitcoin/merkle.h"

#include <gtest/gtest.h>

#include "bitcoin/test_data.h"

namespace adit::bitcoin {
namespace {

std::vector<Hash256> some_leaves(std::size_t count) {
  std::vector<Hash256> leaves(count);
  for (std::size_t i = 0; i < count; ++i) leaves[i] = sha256(as_bytes(std::to_string(i)));
  return leaves;
}

TEST(Merkle, RootOfMainnetBlock100000) {
  const std::vector<Hash256> leaves{
      test::hash_of("8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87"),
      test::hash_of("fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4"),
      test::hash_of("6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4"),
      test::hash_of("e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d"),
  };
  const char* root = "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766";
  EXPECT_EQ(to_hex_reversed(merkle_root(leaves)), root);
  EXPECT_EQ(to_hex_reversed(fold_merkle_path(leaves[0], merkle_path(std::span(leaves).subspan(1)))), root);
}

TEST(Merkle, TheCoinbasesPathLeadsToTheRootForEveryNumberOfTransactions) {
  for (std::size_t count = 1; count <= 70; ++count) {
    const auto leaves = some_leaves(count);
    const auto path = merkle_path(std::span(leaves).subspan(1));
    EXPECT_EQ(fold_merkle_path(leaves[0], path), merkle_root(leaves)) << count;
    EXPECT_EQ(path.size(), std::bit_width(count - 1)) << count;
  }
}

TEST(Merkle, OneLeafIsItsOwnRootAndNoLeavesGiveZero) {
  const auto leaves = some_leaves(1);
  EXPECT_EQ(merkle_root(leaves), leaves[0]);
  EXPECT_TRUE(merkle_path({}).empty());
  EXPECT_EQ(merkle_root({}), Hash256{});
}

}  // namespace
}  // namespace adit::bitcoin
