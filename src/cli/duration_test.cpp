#include "cli/duration.h"

#include <gtest/gtest.h>

namespace adit::cli {
namespace {

using namespace std::chrono_literals;

TEST(Duration, TakesANumberWithItsUnit) {
  EXPECT_EQ(parse_duration("20s").value(), 20s);
  EXPECT_EQ(parse_duration("5m").value(), 5min);
  EXPECT_EQ(parse_duration("1.5h").value(), 90min);
}

TEST(Duration, RefusesWhatIsNoDurationInWordsThatShowOne) {
  for (const char* text : {"", "20", "s", "-5s", "0s", "nans", "infs", "20s ", "20ms", "1e9h"}) {
    const auto parsed = parse_duration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message().find("20s"), std::string::npos);
  }
}

}  // namespace
}  // namespace adit::cli
