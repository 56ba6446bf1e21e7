#include "base/text.h"

#include <gtest/gtest.h>

// libstdc++ 14 includes this by itself: an unqualified call with a std::string must stay unambiguous beside std::quoted.
#include <iomanip>

namespace adit {
namespace {

TEST(LowerCase, OfAsciiLettersAndOfNothingElse) { EXPECT_EQ(lower_case("AZaz@[`{09\xc3\x84"), "azaz@[`{09\xc3\x84"); }

TEST(InQuotes, TextStandsBetweenTwoMarks) {
  EXPECT_EQ(in_quotes(""), "''");
  EXPECT_EQ(in_quotes("abc"), "'abc'");
  EXPECT_EQ(in_quotes(std::string("abc"), '`'), "`abc`");
}

TEST(InQuotes, BytesThatAreNotPrintableAsciiAreShownInHexadecimal) {
  EXPECT_EQ(in_quotes(std::string_view("a\0b\n\x7f\xff~ ", 8)), R"('a\x00b\x0a\x7f\xff~ ')");
}

TEST(InQuotes, OfALongTextTheFirstHundredBytesAreShown) {
  EXPECT_EQ(in_quotes(std::string(100, 'x')), "'" + std::string(100, 'x') + "'");
  EXPECT_EQ(in_quotes(std::string(101, 'x')), "'" + std::string(100, 'x') + "...'");
}

TEST(JsonString, WhatBreaksALineIsEscapedAndAnInvalidByteReplaced) {
  std::string out = "[";
  append_json_string(out, "a\"b\\c\n\r\t\x1b\x7f\xc2\x85\xe2\x80\xa8\xff\xc3\xa9");
  EXPECT_EQ(out, R"(["a\"b\\c\n\r\t\u001b\u007f\u0085\u2028\ufffd)"
                 "\xc3\xa9\"");
  out.clear();
  append_json_string(out, "\xff", InvalidByte::kShow);
  EXPECT_EQ(out, R"("\xff")");
}

}  // namespace
}  // namespace adit
