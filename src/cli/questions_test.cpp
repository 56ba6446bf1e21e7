#include "cli/questions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/made_config.h"

namespace adit::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const Question kOpen{"--user", "The user identity at the pool", std::nullopt};
const Question kWithDefault{"--listen", "IP:PORT where clients connect", "0.0.0.0:3333"};

TEST(Questions, AnOptionIsTheAnswerAndNothingIsAsked) {
  std::istringstream terminal("other\n");
  std::ostringstream out;
  EXPECT_EQ(answer(kOpen, "farm", &terminal, out).value_or(""), "farm");
  EXPECT_EQ(out.str(), "");
}

TEST(Questions, APersonIsShownTheDefaultAndTakesItByAnEmptyLine) {
  std::istringstream terminal("\n");
  std::ostringstream out;
  EXPECT_EQ(answer(kWithDefault, "", &terminal, out).value_or(""), "0.0.0.0:3333");
  EXPECT_EQ(out.str(), "IP:PORT where clients connect [0.0.0.0:3333]: ");
}

TEST(Questions, WhatHasNoDefaultIsAskedAgainUntilItIsAnswered) {
  std::istringstream terminal("\n  \n  farm \r\n");
  std::ostringstream out;
  EXPECT_EQ(answer(kOpen, "", &terminal, out).value_or(""), "farm");
}

TEST(Questions, AnAnswerThatCannotBeUsedIsAskedForAgainAndAnOptionIsAnError) {
  const Question rate{"--hash-rate", "Hashes per second", "10_000.0", check_hash_rate};
  std::istringstream terminal("fast\n1e12 # much\n 2.5e13\n");
  std::ostringstream out;
  EXPECT_EQ(answer(rate, "", &terminal, out).value_or(""), "2.5e13");
  EXPECT_THAT(out.str(), AllOf(HasSubstr("not \"fast\"\n"), HasSubstr("not \"1e12 # much\"\n")));
  const auto wrong = answer(rate, "fast", &terminal, out);
  ASSERT_FALSE(wrong);
  EXPECT_TRUE(wrong.error().is(MakeErrc::kWrong));
  EXPECT_EQ(answer(rate, "1e12", nullptr, out).value_or(""), "1e12");
}

TEST(Questions, AHashRateIsWhatTomlReadsAsANumberAboveZero) {
  for (const char* good : {"10_000.0", "1e12", "100", "2.5E+13"}) EXPECT_TRUE(check_hash_rate(good)) << good;
  for (const char* bad : {"", "fast", "1 TH", "1e12\n[alerts]", "1e12#", "[1]", "inf", "nan", "-5", "0", ".5", "1e400", "1_"})
    EXPECT_FALSE(check_hash_rate(bad)) << bad;
}

TEST(Questions, WithoutATerminalTheOptionThatIsMissingIsNamed) {
  std::ostringstream out;
  EXPECT_EQ(answer(kWithDefault, "", nullptr, out).value_or(""), "0.0.0.0:3333");
  const auto missing = answer(kOpen, "", nullptr, out);
  ASSERT_FALSE(missing);
  EXPECT_TRUE(missing.error().is(MakeErrc::kMissing));
  EXPECT_THAT(missing.error().message(), HasSubstr("--user is missing: The user identity at the pool"));
  std::istringstream ended;
  EXPECT_FALSE(answer(kOpen, "", &ended, out)) << "a terminal that was closed";
}

}  // namespace
}  // namespace adit::cli
