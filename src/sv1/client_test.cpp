#include "sv1/client.h"

#include <gtest/gtest.h>

#include "base/hex.h"
#include "sv1/server.h"

namespace adit::sv1 {
namespace {

class Sv1Client : public testing::Test, public ClientHandler {
 protected:
  void on_ready() override { ++ready; }
  void on_work(std::shared_ptr<const Work> work) override { works.push_back(std::move(work)); }
  void on_submit_answer(std::uint64_t id, const RpcError* error) override { answers.emplace_back(id, error ? error->code : 0); }

  std::string hear(std::string_view lines) {
    const auto received = client.receive(as_bytes(lines));
    return received ? "" : std::string(received.error().name()) + ": " + received.error().message();
  }
  std::string said() { return std::exchange(client.output(), {}); }

  Client client{{.user = "w", .password = "x"}, *this};
  int ready = 0;
  std::vector<std::shared_ptr<const Work>> works;
  std::vector<std::pair<std::uint64_t, int>> answers;
};

constexpr std::string_view kConfigured =
    "{\"id\":1,\"error\":null,\"result\":{\"version-rolling\":true,\"version-rolling.mask\":\"1fffe000\"}}\n";
constexpr std::string_view kSubscribed = "{\"id\":2,\"error\":null,\"result\":[[],\"0011\",4]}\n";
constexpr std::string_view kAuthorized = "{\"id\":3,\"error\":null,\"result\":true}\n";

std::string notify(std::string_view id, bool clean) {
  std::string line;
  append_notify(line, Notify{.job_id = std::string(id), .clean_jobs = clean});
  return line;
}

TEST_F(Sv1Client, OpensInOneGo) {
  client.start();
  EXPECT_EQ(said(),
            "{\"id\":1,\"method\":\"mining.configure\",\"params\":[[\"version-rolling\",\"subscribe-extranonce\"],{\"version-"
            "rolling.mask\":\"1fffe000\",\"version-rolling.min-bit-count\":1}]}\n"
            "{\"id\":2,\"method\":\"mining.subscribe\",\"params\":[\"adit\"]}\n"
            "{\"id\":3,\"method\":\"mining.authorize\",\"params\":[\"w\",\"x\"]}\n");
}

TEST_F(Sv1Client, WorkCarriesWhatWasSetBeforeIt) {
  client.start();
  EXPECT_EQ(hear(kConfigured), "");
  EXPECT_EQ(hear(kSubscribed), "");
  EXPECT_EQ(hear(kAuthorized), "");
  EXPECT_EQ(ready, 1);
  EXPECT_EQ(hear("{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[2]}\n" + notify("a", true) +
                 "{\"id\":null,\"method\":\"mining.set_extranonce\",\"params\":[\"ff\",3]}\n"
                 "{\"id\":null,\"method\":\"mining.set_version_mask\",\"params\":[\"00002000\"]}\n" +
                 notify("b", false)),
            "");
  ASSERT_EQ(works.size(), 2u);
  EXPECT_EQ(works[0]->job.job_id, "a");
  EXPECT_TRUE(works[0]->job.clean_jobs);
  EXPECT_EQ(to_hex(works[0]->extranonce1.bytes()), "0011");
  EXPECT_EQ(works[0]->extranonce2_size, 4u);
  EXPECT_EQ(works[0]->target, bitcoin::target_from_difficulty(2));
  EXPECT_EQ(works[0]->version_mask, 0x1fffe000u);
  EXPECT_EQ(to_hex(works[1]->extranonce1.bytes()), "ff");
  EXPECT_EQ(works[1]->extranonce2_size, 3u);
  EXPECT_EQ(works[1]->version_mask, 0x2000u);
}

TEST_F(Sv1Client, AnswersFindTheirSubmit) {
  client.start();
  hear(std::string(kConfigured) + std::string(kSubscribed) + std::string(kAuthorized) + notify("a", true));
  said();
  const std::uint8_t extranonce2[] = {1, 2, 3, 4};
  const auto first = client.submit(*works[0], Extranonce(extranonce2), 0x10, 0x20, 0x2000);
  EXPECT_EQ(
      said(),
      "{\"id\":4,\"method\":\"mining.submit\",\"params\":[\"w\",\"a\",\"01020304\",\"00000010\",\"00000020\",\"00002000\"]}\n");
  const auto second = client.submit(*works[0], Extranonce(extranonce2), 0x10, 0x21, 0);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(hear("{\"id\":5,\"result\":null,\"error\":[23,\"Low difficulty "
                 "share\",null]}\n{\"id\":4,\"result\":true,\"error\":null}\n"),
            "");
  EXPECT_EQ(answers, (std::vector<std::pair<std::uint64_t, int>>{{*second, 23}, {*first, 0}}));
  EXPECT_EQ(hear("{\"id\":4,\"result\":true,\"error\":null}\n"), "") << "an answer to nothing is ignored";
  EXPECT_EQ(answers.size(), 2u);
}

TEST_F(Sv1Client, APoolWithoutConfigureMinesWithoutRolling) {
  client.start();
  EXPECT_EQ(hear("{\"id\":1,\"result\":null,\"error\":[20,\"unknown method\",null]}\n"), "");
  hear(std::string(kSubscribed) + std::string(kAuthorized) + notify("a", true));
  said();
  ASSERT_EQ(works.size(), 1u);
  EXPECT_EQ(works[0]->version_mask, 0u);
  client.submit(*works[0], Extranonce(), 0, 0, 0x2000);
  EXPECT_EQ(said(), "{\"id\":4,\"method\":\"mining.submit\",\"params\":[\"w\",\"a\",\"\",\"00000000\",\"00000000\"]}\n");
}

TEST_F(Sv1Client, ARefusalSaysWhatThePoolSaid) {
  client.start();
  EXPECT_EQ(hear("{\"id\":3,\"result\":null,\"error\":[24,\"who are you\",null]}\n"),
            "refused: mining.authorize refused worker 'w': code 24, who are you");
}

TEST_F(Sv1Client, AReconnectIsNotFollowed) {
  client.start();
  hear(std::string(kSubscribed) + std::string(kAuthorized));
  said();
  EXPECT_EQ(hear("{\"id\":null,\"method\":\"client.reconnect\",\"params\":[\"hijacker.example\",3333,0]}\n"), "");
  EXPECT_EQ(said(), "");
}

TEST_F(Sv1Client, AServerThatSendsGarbageIsAnError) {
  client.start();
  EXPECT_EQ(hear("<html>\n").substr(0, 8), "not_json");
}

TEST_F(Sv1Client, UnansweredSubmitsAreBounded) {
  client.start();
  hear(std::string(kSubscribed) + std::string(kAuthorized) + notify("a", true));
  for (int i = 0; i < 1024; ++i) ASSERT_TRUE(client.submit(*works[0], Extranonce(), 0, 0, 0));
  EXPECT_FALSE(client.submit(*works[0], Extranonce(), 0, 0, 0));
}

/// Our two sides against each other.
class Pool : public ServerHandler {
 public:
  Result<Subscription> on_subscribe(std::string_view) override {
    const std::uint8_t own[] = {0xaa, 0xbb};
    return Subscription{.extranonce1 = Extranonce(own), .extranonce2_size = 2};
  }
  bool on_authorize(std::string_view, std::string_view) override { return true; }
  void on_worker_refused(std::string_view) override {}
  void on_suggest_difficulty(double) override {}
  void on_minimum_difficulty(double) override {}
  void on_ready() override {
    server.set_difficulty(0.25);
    server.notify(Notify{.job_id = "7", .version = 0x20000000});
  }
  std::optional<Reject> on_submit(const Submit& submit) override {
    nonces.push_back(submit.nonce);
    bits.push_back(submit.version_bits.value_or(0));
    return std::nullopt;
  }
  Parser parser;
  Server server{parser, *this, "1"};
  std::vector<std::uint32_t> nonces, bits;
};

TEST_F(Sv1Client, AgreesWithOurServer) {
  Pool pool;
  const auto exchange = [&] {
    ASSERT_TRUE(pool.server.receive(as_bytes(said())));
    ASSERT_EQ(hear(std::exchange(pool.server.output(), {})), "");
  };
  client.start();
  exchange();
  ASSERT_EQ(works.size(), 1u);
  EXPECT_EQ(works[0]->difficulty, 0.25);
  const std::uint8_t extranonce2[] = {0, 1};
  client.submit(*works[0], Extranonce(extranonce2), 1, 0xfeedbeef, 0x4000);
  exchange();
  EXPECT_EQ(pool.nonces, std::vector<std::uint32_t>{0xfeedbeef});
  EXPECT_EQ(pool.bits, std::vector<std::uint32_t>{0x4000});
  EXPECT_EQ(answers.size(), 1u);
}

}  // namespace
}  // namespace adit::sv1
