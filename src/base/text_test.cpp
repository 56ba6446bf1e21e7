#include "base/text.h"

#include <gtest/gtest.h>

// libstdc++ 14 includes this by itself: an unqualified call with a std::string must stay unambiguous beside std::quoted.
#include <iomanip>

namespace adit {
namespace {

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

}  // namespace
}  // namespace adit
