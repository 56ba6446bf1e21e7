#include "sv1/server.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace adit::sv1 {
namespace {

const std::uint8_t kExtranonce1[] = {0xab, 0xcd, 0xef, 0x01};

/// Answers a subscribe at once or when told; keeps what it was asked.
class Sv1Server : public testing::Test, public ServerHandler {
 protected:
  void on_subscribe(std::string_view agent) override {
    agents.emplace_back(agent);
    if (answer_at_once) answer_subscribe();
  }
  bool on_authorize(std::string_view user, std::string_view) override { return user != "banned"; }
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

  void answer_subscribe() { ASSERT_TRUE(server.subscribed(Extranonce(kExtranonce1), 4)); }

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
  bool answer_at_once = true;
  std::optional<Reject> verdict;
  int ready = 0;
  std::string closed;
  std::vector<std::string> agents;
  std::vector<double> suggested;
  double minimum = 0;
  std::vector<Submit> submits;  // Their views are void; numbers count.
};

using Lines = std::vector<std::string>;

const std::string kSubscribed = R"([[["mining.set_difficulty","5e55"],["mining.notify","5e55"]],"abcdef01",4])";
const std::string kSetDifficulty = R"({"id":null,"method":"mining.set_difficulty","params":[512]})";
std::string result(std::string_view id, std::string_view value) {
  return R"({"id":)" + std::string(id) + R"(,"result":)" + std::string(value) + R"(,"error":null})";
}

// bitaxeorg/ESP-Miner#1064 (log of 2025-06-26): everything in one go, and extranonce.subscribe at the end.
TEST_F(Sv1Server, BitaxePipelinesConfigureSubscribeAuthorizeExtranonce) {
  EXPECT_EQ(say("{\"id\": 1, \"method\": \"mining.configure\", \"params\": [[\"version-rolling\"], {\"version-rolling.mask\": "
                "\"ffffffff\"}]}\n"
                "{\"id\": 2, \"method\": \"mining.subscribe\", \"params\": [\"bitaxe/BM1368/v2.9.0b3-24-gdd577d0\"]}\n"
                "{\"id\": 3, \"method\": \"mining.authorize\", \"params\": [\"3user\", \"x\"]}\n"
                "{\"id\": 4, \"method\": \"mining.extranonce.subscribe\", \"params\": []}\n"),
            (Lines{result("1", R"({"version-rolling":true,"version-rolling.mask":"1fffe000"})"), result("2", kSubscribed),
                   result("3", "true"), kSetDifficulty, "notify", result("4", "true")}));
  EXPECT_EQ(agents, Lines{"bitaxe/BM1368/v2.9.0b3-24-gdd577d0"});
}

// bitaxeorg/ESP-Miner before v2.4 (main/tasks/stratum_task.c): subscribe, configure, suggest_difficulty before authorize.
TEST_F(Sv1Server, OldBitaxeSuggestsADifficultyBeforeItAuthorizes) {
  EXPECT_EQ(say("{\"id\": 1, \"method\": \"mining.subscribe\", \"params\": [\"bitaxe/BM1366/v2.1.8\"]}\n"
                "{\"id\": 2, \"method\": \"mining.configure\", \"params\": [[\"version-rolling\"], {\"version-rolling.mask\": "
                "\"ffffffff\"}]}\n"
                "{\"id\": 3, \"method\": \"mining.suggest_difficulty\", \"params\": [1000]}\n"
                "{\"id\": 4, \"method\": \"mining.authorize\", \"params\": [\"bc1q.bitaxe\", \"x\"]}\n"),
            (Lines{result("1", kSubscribed), result("2", R"({"version-rolling":true,"version-rolling.mask":"1fffe000"})"),
                   result("3", "true"), result("4", "true"), kSetDifficulty, "notify"}));
  EXPECT_EQ(suggested, std::vector<double>{1000});
}

// cgminer's util.c: initiate_stratum reads the very next line as the answer to subscribe; the extranonce may take its time.
TEST_F(Sv1Server, CgminerGetsNothingBeforeTheAnswerToItsSubscribe) {
  answer_at_once = false;
  EXPECT_EQ(say("{\"id\": 0, \"method\": \"mining.configure\", \"params\": [[\"version-rolling\"], "
                "{\"version-rolling.mask\": \"1fffe000\", \"version-rolling.min-bit-count\": 2}]}\n"),
            (Lines{result("0", R"({"version-rolling":true,"version-rolling.mask":"1fffe000"})")}));
  EXPECT_EQ(say("{\"id\": 1, \"method\": \"mining.subscribe\", \"params\": [\"cgminer/4.11.1\"]}\n"), Lines{});
  server.allow_version_rolling(0);
  EXPECT_EQ(take(), Lines{});
  answer_subscribe();
  EXPECT_EQ(take(),
            (Lines{result("1", kSubscribed), R"({"id":null,"method":"mining.set_version_mask","params":["00000000"]})"}))
      << "the mask changed meanwhile";
  EXPECT_EQ(say("{\"id\": 2, \"method\": \"mining.authorize\", \"params\": [\"w\", \"x\"]}\n"),
            (Lines{result("2", "true"), kSetDifficulty, "notify"}));
}

// stratum-mining/benchmarking-tool#19: cpuminer without a name; and its session id as the second parameter.
TEST_F(Sv1Server, CpuminerMayHaveAnEmptyWorkerName) {
  EXPECT_EQ(say("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"cpuminer/2.5.1\",\"b6129e1d\"]}\n"
                "{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"\",\"\"]}\n"),
            (Lines{result("1", kSubscribed), result("2", "true"), kSetDifficulty, "notify"}));
  EXPECT_EQ(say(submit(R"("","1","00000000","00000000","00000000")")), Lines{result("9", "true")});
}

// bmminer of the Antminer S9 (decompiled auth_stratum): suggest_difficulty and multi_version follow authorize.
TEST_F(Sv1Server, AntminerAsksForMultiVersion) {
  bring_up();
  EXPECT_EQ(say("{\"id\": 3, \"method\": \"mining.suggest_difficulty\", \"params\": [8192]}\n"
                "{\"id\": 4, \"method\": \"mining.multi_version\", \"params\": [4]}\n"),
            (Lines{result("3", "true"), result("4", "true")}));
}

// luke-jr/bfgminer util.c, stratum_probe_transparency: params come first, the id is a string.
TEST_F(Sv1Server, BfgminerProbesForTransactionsWithAStringId) {
  bring_up();
  EXPECT_EQ(say("{\"params\": [\"1\"], \"id\": \"txlist1\", \"method\": \"mining.get_transactions\"}\n"),
            Lines{R"({"id":"txlist1","result":null,"error":[20,"Not supported.",null]})"});
}

TEST_F(Sv1Server, AuthorizeMayComeBeforeSubscribe) {
  EXPECT_EQ(say("{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"w\"]}\n"), Lines{result("1", "true")});
  EXPECT_EQ(ready, 0);
  EXPECT_EQ(say("{\"id\":2,\"method\":\"mining.subscribe\"}\n"), (Lines{result("2", kSubscribed), kSetDifficulty, "notify"}));
}

TEST_F(Sv1Server, ConfigureMayComeAfterEverythingElse) {
  bring_up();
  EXPECT_EQ(say("{\"id\":5,\"method\":\"mining.configure\",\"params\":[[\"version-rolling\",\"foo\"],{\"version-rolling.mask\":"
                "\"00c00000\"}]}\n"),
            Lines{result("5", R"({"version-rolling":true,"version-rolling.mask":"00c00000","foo":false})")});
  EXPECT_EQ(server.version_mask(), 0x00c00000u);
}

// The first example of BIP310.
TEST_F(Sv1Server, AMinimumDifficultyIsHandedOn) {
  EXPECT_EQ(
      say("{\"method\":\"mining.configure\",\"id\":1,\"params\":[[\"minimum-difficulty\",\"version-rolling\"],"
          "{\"minimum-difficulty.value\":2048,\"version-rolling.mask\":\"1fffe000\",\"version-rolling.min-bit-count\":2}]}\n"),
      Lines{result("1", R"({"version-rolling":true,"version-rolling.mask":"1fffe000","minimum-difficulty":true})")});
  EXPECT_EQ(minimum, 2048);
}

TEST_F(Sv1Server, AMaskWithTooFewBitsIsNotGranted) {
  EXPECT_EQ(say("{\"id\":5,\"method\":\"mining.configure\",\"params\":[[\"version-rolling\"],"
                "{\"version-rolling.mask\":\"00c0001f\",\"version-rolling.min-bit-count\":3}]}\n"),
            Lines{result("5", R"({"version-rolling":false})")});
  EXPECT_EQ(server.version_mask(), 0u);
}

TEST_F(Sv1Server, AnUnknownMethodGetsAnErrorAndTheConnectionGoesOn) {
  bring_up();
  EXPECT_EQ(
      say("{\"id\":8,\"method\":\"eth_submitHashrate\",\"params\":[\"0x1\"]}\n{\"id\":9,\"method\":\"mining.ping\"}\n"),
      (Lines{R"({"id":8,"result":null,"error":[20,"unknown method eth_submitHashrate",null]})", result("9", "\"pong\"")}));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(say("{\"id\":1,\"method\":\"mining.noop\"}\n").size(), 1u);
  EXPECT_EQ(closed, "");
}

TEST_F(Sv1Server, SubmitBeforeAuthorizeIsUnauthorizedAndBeforeSubscribeNotSubscribed) {
  EXPECT_EQ(say(submit(R"("w","1","00000000","00000000","00000000")")),
            Lines{R"({"id":9,"result":null,"error":[24,"authorize first",null]})"});
  say("{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"w\"]}\n");
  EXPECT_EQ(say(submit(R"("w","1","00000000","00000000","00000000")")),
            Lines{R"({"id":9,"result":null,"error":[25,"Not subscribed",null]})"});
  EXPECT_TRUE(submits.empty());
}

TEST_F(Sv1Server, AWorkerThatDidNotAuthorizeIsUnauthorized) {
  bring_up();
  EXPECT_EQ(say(submit(R"("other","1","00000000","00000000","00000000")")),
            Lines{R"({"id":9,"result":null,"error":[24,"Unauthorized worker",null]})"});
  EXPECT_EQ(say("{\"id\":3,\"method\":\"mining.authorize\",\"params\":[\"banned\",\"\"]}\n"),
            Lines{R"({"id":3,"result":null,"error":[24,"Unauthorized worker",null]})"});
  EXPECT_TRUE(submits.empty());
}

TEST_F(Sv1Server, EachVerdictHasItsCode) {
  bring_up();
  const std::pair<Reject, std::string> cases[] = {{Reject::kJobNotFound, R"-([21,"Job not found (=stale)",null])-"},
                                                  {Reject::kDuplicateShare, R"([22,"Duplicate share",null])"},
                                                  {Reject::kLowDifficulty, R"([23,"Low difficulty share",null])"}};
  for (const auto& [code, error] : cases) {
    verdict = code;
    EXPECT_EQ(say(submit(R"("w","1","00000000","00000000","00000000")")),
              Lines{R"({"id":9,"result":null,"error":)" + error + "}"});
  }
  verdict.reset();
  EXPECT_EQ(say(submit(R"("w","1","00000000","00000000","00000000")")), Lines{result("9", "true")});
}

TEST_F(Sv1Server, ExtranonceMustHaveTheSizeGiven) {
  bring_up();
  for (const auto* extranonce2 : {"", "000000", "0000000000"}) {
    const auto answers = say(submit(std::string(R"("w","1",")") + extranonce2 + R"(","00000000","00000000")"));
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_NE(answers[0].find("[20,\"extranonce2 has"), std::string::npos) << answers[0];
  }
  EXPECT_TRUE(submits.empty());
}

TEST_F(Sv1Server, VersionBitsMustLieWithinWhatWasNegotiated) {
  bring_up();
  EXPECT_EQ(say(submit(R"("w","1","00000000","00000000","00000000","00002000")")).at(0),
            R"({"id":9,"result":null,"error":[20,"version bits outside of the negotiated mask",null]})");
  // Bitaxe sends the field always.
  EXPECT_EQ(say(submit(R"("w","1","00000000","00000000","00000000","00000000")")), Lines{result("9", "true")});
  say("{\"id\":5,\"method\":\"mining.configure\",\"params\":[[\"version-rolling\"],{}]}\n");
  EXPECT_EQ(say(submit(R"("w","1","00000000","00000000","00000000","1fffe000")")), Lines{result("9", "true")});
  EXPECT_EQ(
      say(submit(R"("w","1","00000000","00000000","00000000","20000000")")).at(0).find("\"result\":null") != std::string::npos,
      true);
}

TEST_F(Sv1Server, AChangedMaskIsToldToThoseWhoRoll) {
  bring_up();
  server.allow_version_rolling(0);
  EXPECT_EQ(take(), Lines{});
  say("{\"id\":5,\"method\":\"mining.configure\",\"params\":[[\"version-rolling\"],{}]}\n");
  server.allow_version_rolling(kVersionRollingMask);
  EXPECT_EQ(take(), Lines{}) << "the configure came while nothing was allowed: refused, so nothing changes";
  say("{\"id\":5,\"method\":\"mining.configure\",\"params\":[[\"version-rolling\"],{}]}\n");
  server.allow_version_rolling(0);
  EXPECT_EQ(take(), Lines{R"({"id":null,"method":"mining.set_version_mask","params":["00000000"]})"});
}

TEST_F(Sv1Server, ANewExtranonceReachesOnlyThoseWhoCanTakeIt) {
  bring_up();
  const std::uint8_t other[] = {9, 9};
  EXPECT_TRUE(server.set_extranonce(Extranonce(kExtranonce1), 4)) << "unchanged";
  EXPECT_FALSE(server.set_extranonce(Extranonce(other), 4));
  say("{\"id\":4,\"method\":\"mining.extranonce.subscribe\",\"params\":[]}\n");
  EXPECT_TRUE(server.set_extranonce(Extranonce(other), 6));
  EXPECT_EQ(take(), Lines{R"({"id":null,"method":"mining.set_extranonce","params":["0909",6]})"});
  say(submit(R"("w","1","000000000000","00000000","00000000")"));
  EXPECT_EQ(submits.size(), 1u);
}

TEST_F(Sv1Server, ASecondSubscribeIsAnsweredAgain) {
  bring_up();
  EXPECT_EQ(say("{\"id\":7,\"method\":\"mining.subscribe\",\"params\":[]}\n"), Lines{result("7", kSubscribed)});
  EXPECT_EQ(ready, 1);
}

TEST_F(Sv1Server, HalfLinesAreWaitedFor) {
  const std::string line = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\r\n";
  for (std::size_t i = 0; i + 1 < line.size(); ++i) EXPECT_EQ(say(line.substr(i, 1)), Lines{});
  EXPECT_EQ(say("\n"), Lines{result("1", kSubscribed)});
}

TEST_F(Sv1Server, ALineOfAMegabyteIsAnsweredOnceAndCutOff) {
  const auto answers = say(std::string(1 << 20, 'x'));
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_NE(answers[0].find("a line of more than"), std::string::npos);
  EXPECT_EQ(closed, "line_too_long");
}

TEST_F(Sv1Server, AFewBadLinesAreAnsweredManyCutOff) {
  EXPECT_EQ(say("nonsense\n").size(), 1u);
  EXPECT_EQ(say("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[[[[[[[[[[[[]]]]]]]]]]]]}\n"),
            Lines{R"({"id":null,"result":null,"error":[20,"nested too deeply",null]})"});
  EXPECT_EQ(closed, "");
  bring_up();
  for (std::size_t i = 2; i < Server::kMaxMalformed; ++i) {
    EXPECT_EQ(closed, "");
    say("nonsense\n");
  }
  EXPECT_EQ(closed, "abuse");
}

TEST_F(Sv1Server, RequestsBehindAnUnansweredSubscribeAreBounded) {
  answer_at_once = false;
  EXPECT_EQ(say("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n"), Lines{});
  std::string flood;
  for (int i = 0; i < 1000; ++i) flood += "{\"id\":2,\"method\":\"mining.ping\"}\n";
  EXPECT_EQ(say(flood), Lines{});
  EXPECT_EQ(closed, "abuse");
}

TEST_F(Sv1Server, WorkersOfOneConnectionAreBounded) {
  for (std::size_t i = 0; i < Server::kMaxWorkers; ++i) {
    EXPECT_EQ(say("{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"w" + std::to_string(i) + "\"]}\n"),
              Lines{result("1", "true")});
  }
  EXPECT_NE(say("{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"more\"]}\n").at(0).find("too many workers"),
            std::string::npos);
  EXPECT_EQ(say("{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"w0\"]}\n"), Lines{result("1", "true")})
      << "known ones may repeat";
}

}  // namespace
}  // namespace adit::sv1
