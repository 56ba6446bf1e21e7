#include "base/hex.h"

#include <gtest/gtest.h>

#include <array>

namespace adit {
namespace {

TEST(Hex, RoundTripsAndIsLowerCase) {
  const std::array<std::uint8_t, 4> bytes{0x00, 0xAB, 0x7f, 0xFF};
  EXPECT_EQ(to_hex(bytes), "00ab7fff");
  EXPECT_EQ(to_hex_reversed(bytes), "ff7fab00");
  EXPECT_EQ(from_hex("00AB7fFF"), std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
}

TEST(Hex, HasTwoDigitsForEachByteWhateverTheSize) {
  for (std::size_t size = 0; size < 300; ++size) {
    const std::vector<std::uint8_t> bytes(size, static_cast<std::uint8_t>(size));
    const std::string text = to_hex(bytes);
    ASSERT_EQ(text.size(), size * 2);
    EXPECT_EQ(from_hex(text), bytes);
  }
}

TEST(Hex, RefusesOddLengthForeignDigitsAndWrongSize) {
  EXPECT_FALSE(from_hex("abc").has_value());
  EXPECT_FALSE(from_hex("0g").has_value());
  EXPECT_FALSE(from_hex("0x11").has_value());
  std::array<std::uint8_t, 2> out{};
  EXPECT_FALSE(from_hex("001122", out));
  EXPECT_TRUE(from_hex("0011", out));
}

}  // namespace
}  // namespace adit
