#include "base/base58.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace adit {
namespace {

struct Vector {
  const char* hex;
  const char* text;
};

// Bitcoin Core, src/test/data/base58_encode_decode.json.
constexpr Vector kVectors[] = {
    {"", ""},
    {"61", "2g"},
    {"626262", "a3gV"},
    {"636363", "aPEr"},
    {"73696d706c792061206c6f6e6720737472696e67", "2cFupjhnEsSn59qHXstmK2ffpLv2"},
    {"00eb15231dfceb60925886b67d065299925915aeb172c06647", "1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L"},
    {"516b6fcd0f", "ABnLTmg"},
    {"bf4f89001e670274dd", "3SEo3LWLoPntC"},
    {"572e4794", "3EFU7m"},
    {"ecac89cad93923c02321", "EJDM8drfXA6uyA"},
    {"10c8511e", "Rt5zm"},
    {"00000000000000000000", "1111111111"},
};

TEST(Base58, AgreesWithBitcoinCoresVectorsBothWays) {
  for (const Vector& vector : kVectors) {
    const auto bytes = from_hex(vector.hex);
    ASSERT_TRUE(bytes.has_value());
    EXPECT_EQ(base58_encode(*bytes), vector.text);
    EXPECT_EQ(base58_decode(vector.text, 64), bytes) << vector.text;
  }
}

TEST(Base58, RefusesCharactersOutsideTheAlphabet) {
  for (const char* text : {"0", "O", "I", "l", " 2g", "2g ", "2g\n", "\xc3\xa9"}) EXPECT_FALSE(base58_decode(text, 64)) << text;
}

TEST(Base58, RefusesMoreBytesThanAllowed) {
  EXPECT_TRUE(base58_decode("2cFupjhnEsSn59qHXstmK2ffpLv2", 20));
  EXPECT_FALSE(base58_decode("2cFupjhnEsSn59qHXstmK2ffpLv2", 19));
  EXPECT_TRUE(base58_decode("1111111111", 10));
  EXPECT_FALSE(base58_decode("1111111111", 9));
  EXPECT_FALSE(base58_decode(std::string(1 << 20, 'z'), 64));
}

TEST(Base58Check, ReadsTheGenesisAddressAndTheSpecificationsAuthorityKey) {
  const auto address = base58check_decode("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", 21);
  ASSERT_TRUE(address);
  EXPECT_EQ(to_hex(*address), "0062e907b15cbf27d5425399ebf6f0fb50ebb88f18");
  EXPECT_EQ(base58check_encode(*address), "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa");

  // SV2 04 §4.7.1.
  const auto key = base58check_decode("9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh", 34);
  ASSERT_TRUE(key);
  ASSERT_EQ(key->size(), 34u);
  EXPECT_EQ((*key)[0], 1);
  EXPECT_EQ((*key)[1], 0);
}

TEST(Base58Check, AnyChangedCharacterIsRefused) {
  const std::string good = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = bad[i] == 'x' ? 'y' : 'x';
    EXPECT_FALSE(base58check_decode(bad, 64)) << bad;
  }
  EXPECT_FALSE(base58check_decode("", 64));
  EXPECT_FALSE(base58check_decode("2g", 64));
}

}  // namespace
}  // namespace adit
