#include "base/require_testing.h"

#include <gtest/gtest.h>

#include <string>

namespace adit {
namespace {

TEST(RequireDeathTest, WhatDoesNotHoldEndsTheProcessAndNamesFileAndLine) {
  require(true);
  const std::string line = std::to_string(__LINE__ + 1);
  EXPECT_DEATH(require(false), "require_test\\.cpp:" + line + ": ");
}

}  // namespace
}  // namespace adit
