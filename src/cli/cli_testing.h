// The program itself, run as a shell runs it, with a folder for its files.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace adit::cli {

namespace fs = std::filesystem;

struct Ran {
  int code = -1;
  std::string output;  // Both streams.
};

class Cli : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "adit-cli-" + std::to_string(::getpid());
    fs::create_directory(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // `arguments` as a shell reads them; `before` goes before the program (environment).
  [[nodiscard]] static Ran adit(const std::string& arguments, const std::string& before = "") {
    return shell(before + " timeout 60 " ADIT_PROGRAM " " + arguments);
  }
  [[nodiscard]] static Ran shell(const std::string& command) {
    Ran ran;
    std::FILE* pipe = ::popen((command + " 2>&1 </dev/null").c_str(), "r");
    if (pipe == nullptr) return ran;
    std::array<char, 4096> buffer{};
    for (std::size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
      ran.output.append(buffer.data(), got);
    const int status = ::pclose(pipe);
    ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return ran;
  }

  [[nodiscard]] std::string write(const std::string& name, std::string_view text) const {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }

  std::string folder_;
};

}  // namespace adit::cli
