// For tests of where state is kept: without the variables of the environment that say so.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

namespace adit::config {

class WithoutHome : public testing::Test {
 protected:
  // NOLINTBEGIN(concurrency-mt-unsafe): no other thread runs
  void SetUp() override {
    for (const char* name : kNames) {
      const char* const value = std::getenv(name);
      before_.emplace_back(value == nullptr ? std::optional<std::string>() : value);
      ::unsetenv(name);
    }
  }
  void TearDown() override {
    for (std::size_t i = 0; i < before_.size(); ++i) {
      ::unsetenv(kNames[i]);
      if (before_[i]) ::setenv(kNames[i], before_[i]->c_str(), 1);
    }
  }
  static void set(const char* name, const char* value) { ::setenv(name, value, 1); }
  // NOLINTEND(concurrency-mt-unsafe)

 private:
  static constexpr std::array kNames = {"HOME", "STATE_DIRECTORY", "XDG_STATE_HOME"};
  std::vector<std::optional<std::string>> before_;
};

}  // namespace adit::config
