#include "noise/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <new>

#include "base/base58.h"
#include "noise/test_support.h"

namespace adit::noise {
namespace {

using test::array;
using test::bytes;

TEST(Keys, PublicKeyTextIsThatOfTheSpecification) {  // SV2 04 §4.7.1
  PublicKey key;
  key.x = {118, 99, 112, 0,   151, 156, 28, 17, 175, 12,  48, 11,  205, 140, 127, 228,
           134, 16, 252, 233, 185, 193, 30, 61, 174, 227, 90, 224, 176, 138, 116, 85};
  EXPECT_EQ(to_text(key), "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh");
  const auto parsed = parse_public_key("9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh");
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(*parsed, key);
}

TEST(Keys, SrisPublishedExampleKeysBelongTogether) {
  auto secret = parse_secret_key("mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n");
  ASSERT_TRUE(secret) << secret.error().message();
  EXPECT_EQ(to_text(*secret), "mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n");
  const auto pair = AuthorityKeyPair::from_secret(std::move(*secret));
  ASSERT_TRUE(pair);
  EXPECT_EQ(to_text(pair->public_key()), "9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72");
}

TEST(Keys, ATextThatIsNoKeySaysWhy) {
  const auto expect_error = [](const auto& result, std::string_view part) {
    ASSERT_FALSE(result);
    EXPECT_TRUE(result.error().is(Errc::kBadKey));
    EXPECT_THAT(result.error().message(), testing::HasSubstr(std::string(part)));
  };
  expect_error(parse_public_key("9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH73"), "base58check");
  expect_error(parse_public_key(""), "base58check");
  expect_error(parse_public_key("mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n"), "is it the secret key?");
  expect_error(parse_secret_key("9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72"), "is it the public key?");
  expect_error(parse_secret_key("mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2m"), "base58check");
  auto prefixed = bytes(
      "0200"
      "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9");
  expect_error(parse_public_key(base58check_encode(prefixed)), "1, 0 and 32 bytes");
  prefixed = bytes(
      "0100"
      "eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34");  // BIP340 vector 5
  expect_error(parse_public_key(base58check_encode(prefixed)), "no point");
  expect_error(parse_secret_key(base58check_encode(std::vector<std::uint8_t>(32))), "zero or too large");
}

TEST(Keys, AnErrorNeverRepeatsASecret) {
  const std::string text = "mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2m";
  EXPECT_THAT(parse_secret_key(text).error().message(), testing::Not(testing::HasSubstr("mkDL")));
}

TEST(Keys, ASecretKeyOutsideTheGroupIsRefused) {
  EXPECT_FALSE(AuthorityKeyPair::from_secret(Secret()));
  EXPECT_FALSE(
      AuthorityKeyPair::from_secret(Secret(array<32>("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"))));
  EXPECT_TRUE(
      AuthorityKeyPair::from_secret(Secret(array<32>("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140"))));
}

TEST(Keys, GenerationDrawsAgainWhileTheBytesAreNoKey) {
  int draws = 0;
  const RandomSource random = [&](MutableBytes out) {
    std::ranges::fill(out, ++draws == 1 ? std::uint8_t{0xff} : std::uint8_t{7});
  };
  const auto pair = EllSwiftKeyPair::generate(random);
  EXPECT_EQ(draws, 3);
  EXPECT_EQ(pair.secret.data()[0], 7);
}

TEST(Keys, TheSystemsRandomnessDiffersEachTime) {
  const RandomSource random = system_random();
  EXPECT_NE(to_text(AuthorityKeyPair::generate(random).public_key()), to_text(AuthorityKeyPair::generate(random).public_key()));
}

TEST(Keys, ASecretIsErasedWhereItWasMovedFromAndOnDestruction) {
  Secret first(array<32>("0101010101010101010101010101010101010101010101010101010101010101"));
  Secret second(std::move(first));
  EXPECT_EQ(to_hex(first.bytes()), std::string(64, '0'));  // NOLINT(bugprone-use-after-move): that it is empty is the point
  EXPECT_EQ(second.data()[31], 1);
  first = std::move(second);
  EXPECT_EQ(to_hex(second.bytes()), std::string(64, '0'));  // NOLINT(bugprone-use-after-move)

  alignas(Secret) std::uint8_t memory[sizeof(Secret)];
  auto* secret = new (memory) Secret(std::move(first));
  EXPECT_EQ(memory[0], 1);
  secret->~Secret();
  const volatile std::uint8_t* after = memory;
  for (std::size_t i = 0; i < Secret::kSize; ++i) EXPECT_EQ(after[i], 0);
}

}  // namespace
}  // namespace adit::noise
