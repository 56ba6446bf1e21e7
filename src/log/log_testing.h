// What was logged while a test ran.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "log/log.h"

namespace adit::log::test {

/// Takes the whole process's events into a file until it is destroyed. One at a time.
class Captured {
 public:
  Captured() : path_(testing::TempDir() + "adit-log-" + std::to_string(::getpid())) {
    EXPECT_TRUE(configure({.level = Level::kInfo, .file = path_}));
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  ~Captured() {
    shutdown();
    std::remove(path_.c_str());
  }

  /// The lines of that event. To be called once nothing is logged any more: it ends the taking.
  [[nodiscard]] std::vector<std::string> lines(const std::string& event) {
    shutdown();  // Writes out what waits.
    std::vector<std::string> found;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) {
      if (line.find(" event=" + event + " ") != std::string::npos) found.push_back(line);
    }
    return found;
  }

 private:
  std::string path_;
};

}  // namespace adit::log::test
