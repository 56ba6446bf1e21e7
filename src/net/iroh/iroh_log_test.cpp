#include "net/iroh/iroh_log.h"

#include <chrono>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "log/log_testing.h"

namespace adit::net {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// audit.md L12: what strangers' packets make iroh say at warn was written without a limit.
TEST(IrohLines, OfWarningsAFewASecondAreWrittenAndTheRestIsCounted) {
  log::test::Captured log;
  IrohLines lines;
  const Instant start{1h};
  for (int i = 0; i < 1000; ++i)
    lines.write(i % 2 == 0 ? 3 : 4, "iroh::magic: a bad packet " + std::to_string(i), start + i * 1us);
  lines.write(3, "iroh::magic: a second later", start + 1s);
  for (int i = 0; i < 20; ++i) lines.write(2, "iroh::endpoint: asked for", start + 1s);
  const auto written = log.lines("iroh.log");
  ASSERT_EQ(written.size(), 5u + 1u + 20u);
  EXPECT_THAT(written.front(), AllOf(HasSubstr("level=warn"), HasSubstr("target=iroh::magic"), HasSubstr("a bad packet 0")));
  EXPECT_THAT(written[1], HasSubstr("level=error"));
  EXPECT_THAT(written[5], HasSubstr("a second later"));
  EXPECT_THAT(written.back(), AllOf(HasSubstr("level=info"), HasSubstr("asked for")));
}

TEST(IrohLines, WhatWasLeftOutIsTold) {
  log::test::Captured log;
  IrohLines lines;
  for (int i = 0; i < 1000; ++i) lines.write(3, "iroh: flood", Instant(1h));
  lines.write(3, "iroh: flood", Instant(1h) + 2s);
  const auto told = log.lines("iroh.more_log");
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told.front(), HasSubstr("count=995"));
}

TEST(IrohLines, ALineWithoutATargetIsWrittenToo) {
  log::test::Captured log;
  IrohLines lines;
  lines.write(99, "words alone", Instant(1h));
  const auto written = log.lines("iroh.log");
  ASSERT_EQ(written.size(), 1u);
  EXPECT_THAT(written.front(), AllOf(HasSubstr("level=error"), HasSubstr("words alone")));
}

}  // namespace
}  // namespace adit::net
