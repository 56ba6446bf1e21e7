#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace adit {
namespace {

std::string encoded(std::uint32_t value) {
  const auto byte = [](std::uint32_t bits) { return static_cast<char>(bits); };
  if (value < 0x80) return {byte(value)};
  if (value < 0x800) return {byte(0xc0 | value >> 6), byte(0x80 | (value & 0x3f))};
  if (value < 0x10000) return {byte(0xe0 | value >> 12), byte(0x80 | (value >> 6 & 0x3f)), byte(0x80 | (value & 0x3f))};
  return {byte(0xf0 | value >> 18), byte(0x80 | (value >> 12 & 0x3f)), byte(0x80 | (value >> 6 & 0x3f)),
          byte(0x80 | (value & 0x3f))};
}

TEST(Utf8, EveryCodePointIsReadFromItsBytesAndFromNoFewer) {
  for (std::uint32_t value = 0; value <= 0x110010; ++value) {
    const auto bytes = encoded(value);
    const bool valid = value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
    const auto read = first_code_point(bytes + "x");
    ASSERT_EQ(read.size, valid ? bytes.size() : 0) << value;
    if (valid) ASSERT_EQ(read.value, value);
    if (bytes.size() > 1) ASSERT_EQ(first_code_point(std::string_view(bytes).substr(0, bytes.size() - 1)).size, 0u) << value;
  }
}

TEST(Utf8, LongFormsStrayBytesAndNothingAreNoCodePoint) {
  for (const std::string_view text : {"\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\x80", "\xbf",
                                      "\xf8\x88\x80\x80\x80", "\xff", "\xc2\x20", "\xe2\x82\xc0", ""}) {
    EXPECT_EQ(first_code_point(text).size, 0u);
  }
}

}  // namespace
}  // namespace adit
