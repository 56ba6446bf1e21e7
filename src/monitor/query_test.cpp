#include "monitor/query.h"

#include <gtest/gtest.h>

namespace adit::monitor {
namespace {

TEST(Query, HasTheValueOfAName) {
  EXPECT_EQ(query_value("a=1&b=2", "b"), "2");
  EXPECT_EQ(query_value("a=1&b=2", "a"), "1");
  EXPECT_EQ(query_value("ab=1", "b"), std::nullopt);
  EXPECT_EQ(query_value("b", "b"), "");
  EXPECT_EQ(query_value("", "b"), std::nullopt);
  EXPECT_EQ(query_value("b=1&b=2", "b"), "1");
}

TEST(Query, ResolvesPercentSignsAndPluses) {
  EXPECT_EQ(query_value("s=a%20b+c%C3%A9", "s"), "a b c\xc3\xa9");
  // What is no escape stays as it is.
  EXPECT_EQ(query_value("s=100%&t=1", "s"), "100%");
  EXPECT_EQ(query_value("s=%zz%4", "s"), "%zz%4");
}

TEST(Page, IsAsSriHasIt) {
  const auto page = page_of("");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->offset, 0u);
  EXPECT_EQ(page->limit, 25u);
  EXPECT_EQ(page_of("limit=1000")->limit, 100u);
  EXPECT_EQ(page_of("limit=0")->limit, 0u);
  EXPECT_EQ(page_of("offset=18446744073709551615")->offset, UINT64_MAX);
  for (const char* const query : {"offset=-1", "limit=x", "limit=", "offset=1.5", "offset=18446744073709551616"})
    EXPECT_FALSE(page_of(query)) << query;
}

TEST(Page, LiesWithinTheList) {
  const auto range = [](Page page, std::size_t size) { return std::pair(page.first(size), page.last(size)); };
  EXPECT_EQ(range({.offset = 0, .limit = 25}, 3), std::pair(0uz, 3uz));
  EXPECT_EQ(range({.offset = 2, .limit = 2}, 10), std::pair(2uz, 4uz));
  EXPECT_EQ(range({.offset = 9, .limit = 25}, 10), std::pair(9uz, 10uz));
  EXPECT_EQ(range({.offset = 10, .limit = 25}, 10), std::pair(10uz, 10uz));
  EXPECT_EQ(range({.offset = UINT64_MAX, .limit = 100}, 10), std::pair(10uz, 10uz));
  EXPECT_EQ(range({.offset = 5, .limit = 0}, 10), std::pair(5uz, 5uz));
}

}  // namespace
}  // namespace adit::monitor
