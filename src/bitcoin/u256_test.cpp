#include "bitcoin/u256.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "bitcoin/test_data.h"

namespace adit::bitcoin {
namespace {

U256 number(std::string_view hex) {
  std::string digits(64 - hex.size(), '0');
  digits += hex;
  return U256::from_le(test::hash_of(digits));
}

TEST(U256, ArithmeticAgreesWithPythonsIntegers) {
  struct Row {
    const char *a, *b, *quotient, *sum, *difference;
  };
  constexpr Row kRows[] = {
      {"9e2feb89414c343c1027c4d1c386bbc4cd613e30d8f16adf91b7584a2265b1f5", "f8e510617311d8a3c2ce6f447ed4d57b",
       "a2b3f5d3ca7c6525e20a10a335e20404", "9e2feb89414c343c1027c4d1c386bbc5c6464e924c0343835485c78ea13a8770",
       "9e2feb89414c343c1027c4d1c386bbc3d47c2dcf65df923bcee8e905a390dc7a"},
      {"e4b06ce60741c7a87ce42c8218072e8c35bf992dc9e9c616612e7696a6cecc1b", "3b63ca828dd5f4b3b2",
       "3d9c3f8b4101303d8f398ba73117fc172c5d0df11b071a0", "e4b06ce60741c7a87ce42c8218072e8c35bf992dc9e9c651c4f8f9247cc37fcd",
       "e4b06ce60741c7a87ce42c8218072e8c35bf992dc9e9c5dafd63f408d0da1869"},
      {"c47204e52db2221a58008a05a6c4647159c324c9859b810e76", "731a2b8f1ff1fd42a29755d4c13a902931cd447e35b8b6d8fe", "1",
       "1378c30744da41f5cfa97dfda67fef49a8b906947bb5437e774", "5157d9560dc024d7b5693430e589d44827f5e04b4fe2ca3578"},
      {"78360a25025b413f8a9a021ea648a7dd06839eb905b6e6e307d4bedc51431193",
       "876f3787b9d179e06c0fd4f5f8130c4237730edfafbd67f9619699cfe1988ad9", "0",
       "ffa541acbc2cbb1ff6a9d7149e5bb41f3df6ad98b5744edc696b58ac32db9c6c",
       "f0c6d29d4889c75f1e8a2d28ae359b9acf108fd955f97ee9a63e250c6faa86ba"},
      {"bbab6c398d88348a7eed8d14f06d3fef701966a0c381e88f38c0c8fd8712b8bc", "6",
       "1f473cb442415e17152797837d678aa7e8043bc575eafc17decacc2a412dc974",
       "bbab6c398d88348a7eed8d14f06d3fef701966a0c381e88f38c0c8fd8712b8c2",
       "bbab6c398d88348a7eed8d14f06d3fef701966a0c381e88f38c0c8fd8712b8b6"},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(number(row.a) / number(row.b), number(row.quotient));
    EXPECT_EQ(number(row.a) + number(row.b), number(row.sum));
    EXPECT_EQ(number(row.a) - number(row.b), number(row.difference));
  }
  EXPECT_EQ(U256(7) / U256(), U256::max());
}

TEST(U256, ComparesByTheMostSignificantBytesOfALittleEndianHash) {
  Hash256 small{};
  small[0] = 0xff;
  Hash256 large{};
  large[31] = 0x01;
  EXPECT_LT(U256::from_le(small), U256::from_le(large));
  EXPECT_TRUE(meets_target(small, U256::from_le(large)));
  EXPECT_TRUE(meets_target(large, U256::from_le(large)));
  EXPECT_FALSE(meets_target(large, U256::from_le(small)));
  EXPECT_EQ(U256::from_le(large).to_le(), large);
  EXPECT_EQ(U256::from_le(large).to_hex(), "01" + std::string(62, '0'));
}

TEST(U256, ShiftsAcrossLimbsAndOutOfTheNumber) {
  EXPECT_EQ(U256(1) << 200 >> 200, U256(1));
  EXPECT_EQ((U256(0x8000000000000001) << 1).limbs(), (std::array<std::uint64_t, 4>{2, 1, 0, 0}));
  EXPECT_EQ(U256::max() << 256, U256());
  EXPECT_EQ(U256::max() >> 255, U256(1));
  EXPECT_EQ(U256(5) << 0, U256(5));
}

TEST(U256, DoublesRoundDownAndSaturate) {
  EXPECT_EQ(U256::from_double(1e3), U256(1000));
  EXPECT_EQ(U256::from_double(2.99), U256(2));
  EXPECT_EQ(U256::from_double(0x1p200), U256(1) << 200);
  EXPECT_EQ(U256::from_double(0x1p256), U256::max());
  EXPECT_EQ(U256::from_double(std::numeric_limits<double>::infinity()), U256::max());
  for (double none : {0.0, -1.0, std::nan(""), 0.5}) EXPECT_EQ(U256::from_double(none), U256());
  EXPECT_DOUBLE_EQ((U256(1) << 200).to_double(), 0x1p200);
}

// Bitcoin Core, src/test/arith_uint256_tests.cpp.
TEST(Compact, AgreesWithBitcoinCoresVectors) {
  for (std::uint32_t zero : {0x00000000u, 0x00123456u, 0x01003456u, 0x02000056u, 0x03000000u, 0x04000000u, 0x00923456u,
                             0x01803456u, 0x02800056u, 0x03800000u, 0x04800000u}) {
    EXPECT_EQ(target_from_compact(zero), U256()) << std::hex << zero;
  }
  struct Row {
    std::uint32_t nbits;
    const char* target;
    std::uint32_t back;
  };
  for (const Row& row :
       {Row{0x01123456, "12", 0x01120000}, Row{0x02123456, "1234", 0x02123400}, Row{0x03123456, "123456", 0x03123456},
        Row{0x04123456, "12345600", 0x04123456}, Row{0x05009234, "92340000", 0x05009234},
        Row{0x20123456, "1234560000000000000000000000000000000000000000000000000000000000", 0x20123456},
        Row{0x02008000, "80", 0x02008000}}) {
    EXPECT_EQ(target_from_compact(row.nbits), number(row.target)) << std::hex << row.nbits;
    EXPECT_EQ(compact_from_target(number(row.target)), row.back) << row.target;
  }
  for (std::uint32_t refused : {0x01fedcbau, 0x04923456u, 0xff123456u, 0x23000001u, 0x22000100u, 0x21010000u}) {
    EXPECT_FALSE(target_from_compact(refused)) << std::hex << refused;
  }
  EXPECT_EQ(compact_from_target(U256()), 0u);
}

TEST(Compact, RegtestAndMainnetLimitsAreWhatNodesUse) {
  EXPECT_EQ(target_from_compact(0x207fffff), number("7fffff0000000000000000000000000000000000000000000000000000000000"));
  EXPECT_EQ(target_from_compact(0x1d00ffff), number("00000000ffff0000000000000000000000000000000000000000000000000000"));
}

TEST(Difficulty, OfRealBlocks) {
  EXPECT_DOUBLE_EQ(difficulty_from_target(*target_from_compact(0x1d00ffff)), 1.0);
  EXPECT_NEAR(difficulty_from_target(*target_from_compact(0x1a44b9f2)), 244112.48777433642, 1e-6);
  EXPECT_TRUE(std::isinf(difficulty_from_target(U256())));
}

TEST(Difficulty, AndTargetAreInverse) {
  for (double difficulty : {1e-9, 0.001, 1.0, 2.0, 65536.0, 1e14}) {
    EXPECT_NEAR(difficulty_from_target(target_from_difficulty(difficulty)) / difficulty, 1.0, 1e-12);
  }
  EXPECT_EQ(target_from_difficulty(1), *target_from_compact(0x1d00ffff));
  for (double none : {0.0, -3.0, std::nan(""), 1e-300}) EXPECT_EQ(target_from_difficulty(none), U256::max());
  EXPECT_EQ(target_from_difficulty(std::numeric_limits<double>::infinity()), U256());
}

TEST(HashRate, TargetsAreThoseOfSris) {
  // (2^256 - 1 - hs) / (hs + 1), computed with Python's integers.
  EXPECT_EQ(target_from_hash_rate(1e13, 6), number("2d09370d4256b73ff9e7dfb16785f7724e8cbabbaac90ae0eae8c"));
  EXPECT_EQ(target_from_hash_rate(5e14, 6), number("e69594bec44dd4603a43ea14e0f915b23194107999cf8e1536c"));
  EXPECT_EQ(target_from_hash_rate(7e6, 10), number("6642d9000dd7966d90dfa99daeb7366e97114ebf3234d8bfc364c542dc"));
  EXPECT_EQ(target_from_hash_rate(0.01, 6), U256::max());
  EXPECT_EQ(target_from_hash_rate(1, 60), number("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"));
}

TEST(HashRate, GarbageGivesTheEasiestTargetAndNeverTraps) {
  const double inf = std::numeric_limits<double>::infinity();
  for (double bad : {0.0, -1.0, std::nan(""), inf, -inf}) {
    EXPECT_EQ(target_from_hash_rate(bad, 6), U256::max());
    EXPECT_EQ(target_from_hash_rate(1e12, bad), U256::max());
    EXPECT_EQ(hash_rate_from_target(U256(1), bad), 0);
  }
  EXPECT_GT(target_from_hash_rate(1e300, 6), U256());
  EXPECT_GT(target_from_hash_rate(1e300, 1e-300), U256());
}

TEST(HashRate, FromItsTargetComesBack) {
  for (double rate : {1e3, 7e6, 1e13, 3e20}) {
    EXPECT_NEAR(hash_rate_from_target(target_from_hash_rate(rate, 6), 6) / rate, 1.0, 1e-3);
  }
}

TEST(Work, OfOneShareIsTwoToThe256OverTargetPlusOne) {
  EXPECT_DOUBLE_EQ(expected_hashes(*target_from_compact(0x1d00ffff)), 0x1p256 / (65535.0 * 0x1p208));
  EXPECT_DOUBLE_EQ(expected_hashes(U256::max()), 1.0);
}

}  // namespace
}  // namespace adit::bitcoin
