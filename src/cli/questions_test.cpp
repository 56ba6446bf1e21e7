#include "cli/questions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/made_config.h"

namespace adit::cli {
namespace {

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
