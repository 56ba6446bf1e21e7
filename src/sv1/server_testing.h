// A miner's connection as tests speak it: lines in, lines out.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sv1/server.h"

namespace adit::sv1 {

inline constexpr std::uint8_t kExtranonce1[] = {0xab, 0xcd, 0xef, 0x01};

/// Answers a subscribe by an extranonce, or by `refusal`; keeps what it was asked.
class Sv1Server : public testing::Test, public ServerHandler {
 protected:
  Result<Subscription> on_subscribe(std::string_view agent) override {
    agents.emplace_back(agent);
    if (!refusal.empty()) return fail(Errc::kRefused, refusal);
    return Subscription{.extranonce1 = Extranonce(kExtranonce1), .extranonce2_size = 4};
  }
  bool on_authorize(std::string_view user, std::string_view) override { return user != "banned"; }
  void on_worker_refused(std::string_view user) override { refused.emplace_back(user); }
  void on_suggest_difficulty(double difficulty) override { suggested.push_back(difficulty); }
  void on_minimum_difficulty(double difficulty) override { minimum = difficulty; }
  void on_ready() override {
    ++ready;
    server.set_difficulty(512);
    server.notify(Notify{.job_id = "1"});
  }
  std::optional<Reject> on_submit(const Submit& submit) override {
    submits.push_back(submit);
    return verdict;
  }

  /// What the server sends on `lines`, one by one; notifies are cut to their method and job id.
  std::vector<std::string> say(std::string_view lines) {
    const auto received = server.receive(as_bytes(lines));
    closed = received ? "" : std::string(received.error().name());
    return take();
  }
  std::vector<std::string> take() {
    std::vector<std::string> answers;
    std::string_view rest = server.output();
    while (!rest.empty()) {
      const auto end = rest.find('\n');
      std::string line(rest.substr(0, end));
      if (line.find("mining.notify\",\"params") != std::string::npos) line = "notify";
      answers.push_back(line);
      rest.remove_prefix(end + 1);
    }
    server.output().clear();
    return answers;
  }
  /// Subscribed and authorized as "w".
  void bring_up() {
    say("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"w\","
        "\"\"]}\n");
    ASSERT_EQ(ready, 1);
  }
  static std::string submit(std::string_view params) {
    return "{\"id\":9,\"method\":\"mining.submit\",\"params\":[" + std::string(params) + "]}\n";
  }

  Parser parser;
  Server server{parser, *this, "5e55"};
  std::string refusal;
  std::vector<std::string> refused;
  std::optional<Reject> verdict;
  int ready = 0;
  std::string closed;
  std::vector<std::string> agents;
  std::vector<double> suggested;
  double minimum = 0;
  std::vector<Submit> submits;  // Their views are void; numbers count.
};

using Lines = std::vector<std::string>;

inline const std::string kSubscribed = R"([[["mining.set_difficulty","5e55"],["mining.notify","5e55"]],"abcdef01",4])";
inline const std::string kSetDifficulty = R"({"id":null,"method":"mining.set_difficulty","params":[512]})";
inline std::string result(std::string_view id, std::string_view value) {
  return R"({"id":)" + std::string(id) + R"(,"result":)" + std::string(value) + R"(,"error":null})";
}

}  // namespace adit::sv1
