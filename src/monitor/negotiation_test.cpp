#include "monitor/negotiation.h"

#include <gtest/gtest.h>

namespace adit::monitor {
namespace {

TEST(Negotiation, BrowsersGetHtmlAndProgramsJson) {
  // Firefox, and Chromium.
  EXPECT_TRUE(prefers_html("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
  EXPECT_TRUE(prefers_html("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"));
  EXPECT_TRUE(prefers_html("TEXT/HTML"));
  EXPECT_TRUE(prefers_html("text/*"));
  EXPECT_TRUE(prefers_html("application/json;q=0.5, text/html ; q=0.6"));
  // curl, a program's own, and none at all.
  EXPECT_FALSE(prefers_html("*/*"));
  EXPECT_FALSE(prefers_html("application/json"));
  EXPECT_FALSE(prefers_html(""));
  EXPECT_FALSE(prefers_html("text/html, application/json"));
  EXPECT_FALSE(prefers_html("text/html;q=0"));
  EXPECT_FALSE(prefers_html("text/html;q=nonsense"));
}

TEST(Negotiation, GzipIsTakenWhereItIsNamed) {
  EXPECT_TRUE(accepts_gzip("gzip, deflate, br"));
  EXPECT_TRUE(accepts_gzip("*"));
  EXPECT_TRUE(accepts_gzip("br;q=1.0, gzip;q=0.5"));
  EXPECT_FALSE(accepts_gzip("gzip;q=0, *"));
  EXPECT_FALSE(accepts_gzip("br"));
  EXPECT_FALSE(accepts_gzip(""));
}

TEST(Negotiation, EtagsAreComparedWeakly) {
  EXPECT_TRUE(names_etag("\"a\", \"b\"", "\"b\""));
  EXPECT_TRUE(names_etag("W/\"b\"", "\"b\""));
  EXPECT_TRUE(names_etag("*", "\"b\""));
  EXPECT_FALSE(names_etag("\"a\"", "\"b\""));
  EXPECT_FALSE(names_etag("", "\"b\""));
}

}  // namespace
}  // namespace adit::monitor
