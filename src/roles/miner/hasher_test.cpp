#include "roles/miner/hasher.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/hex.h"

namespace adit::miner {
namespace {

// Block 0 of Bitcoin's main chain: nonce 2083236893, hash 000000000019d6...
HashWork genesis() {
  HashWork work;
  const auto header = from_hex(
      "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a5132"
      "3a9fb8aa"
      "4b1e5e4a29ab5f49ffff001d00000000");
  std::copy(header->begin(), header->end(), work.header.begin());
  work.target_le[26] = 0xff;
  work.target_le[27] = 0xff;
  return work;
}

constexpr std::uint32_t kGenesisNonce = 2083236893;

TEST(Hasher, FindsTheNonceOfTheGenesisBlock) {
  Hasher hasher(genesis());
  EXPECT_EQ(hasher.search(kGenesisNonce - 1000, 2000), kGenesisNonce);
}

TEST(Hasher, ReportsNothingWhereNothingMeetsTheTarget) {
  Hasher hasher(genesis());
  EXPECT_EQ(hasher.search(kGenesisNonce - 1000, 1000), std::nullopt);
  EXPECT_EQ(hasher.search(kGenesisNonce + 1, 1000), std::nullopt);
}

TEST(Hasher, AHashEqualToTheTargetCountsAndOneBelowDoesNot) {
  HashWork work = genesis();
  work.target_le.fill(0);
  auto hash = from_hex("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
  std::reverse_copy(hash->begin(), hash->end(), work.target_le.begin());
  EXPECT_EQ(Hasher(work).search(kGenesisNonce, 1), kGenesisNonce);
  work.target_le[0] -= 1;
  EXPECT_EQ(Hasher(work).search(kGenesisNonce, 1), std::nullopt);
}

TEST(Hasher, WrapsAroundAtTheEndOfTheNonceSpace) {
  HashWork work = genesis();
  work.target_le.fill(0xff);
  EXPECT_EQ(Hasher(work).search(0xffffffffU, 1), 0xffffffffU);
  work = genesis();
  EXPECT_EQ(Hasher(work).search(0xfffffff0U, 32), std::nullopt);
}

}  // namespace
}  // namespace adit::miner
