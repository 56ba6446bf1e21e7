#include "sv1/server.h"

#include <gtest/gtest.h>

#include "sv1/server_testing.h"

namespace adit::sv1 {
namespace {

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
  EXPECT_EQ(refused, (Lines{"other", "banned"}));
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
  say("{\"id\":5,\"method\":\"mining.configure\",\"params\":[[\"version-rolling\"],{\"version-rolling.mask\":\"20000000\"}]}"
      "\n");
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

TEST_F(Sv1Server, ASecondSubscribeIsAnsweredAgain) {
  bring_up();
  EXPECT_EQ(say("{\"id\":7,\"method\":\"mining.subscribe\",\"params\":[]}\n"), Lines{result("7", kSubscribed)});
  EXPECT_EQ(ready, 1);
  EXPECT_EQ(agents.size(), 1u) << "the extranonce stays what it was";
}

TEST_F(Sv1Server, OfWhatAMinerCallsItselfABoundedPartIsKept) {
  say("{\"id\":7,\"method\":\"mining.subscribe\",\"params\":[\"" + std::string(4000, 'x') + "\"]}\n");
  EXPECT_EQ(server.user_agent(), std::string(Server::kMaxUserAgent, 'x'));
}

TEST_F(Sv1Server, ARefusedSubscribeIsAnsweredByItsReasonAndMayBeTriedAgain) {
  refusal = "no pool to work for";
  EXPECT_EQ(say("{\"id\":7,\"method\":\"mining.subscribe\",\"params\":[]}\n"),
            Lines{R"({"id":7,"result":null,"error":[20,"no pool to work for",null]})"});
  EXPECT_EQ(say("{\"id\":8,\"method\":\"mining.authorize\",\"params\":[\"w\"]}\n"), Lines{result("8", "true")});
  EXPECT_EQ(ready, 0);
  refusal.clear();
  say("{\"id\":9,\"method\":\"mining.subscribe\",\"params\":[]}\n");
  EXPECT_EQ(ready, 1);
}

TEST_F(Sv1Server, NothingIsTakenAfterAFailure) {
  std::string lines = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n";
  for (std::size_t i = 0; i < Server::kMaxMalformed; ++i) lines += "nonsense\n";
  lines += "{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"w\"]}\n";
  const auto answers = say(lines);
  EXPECT_EQ(closed, "abuse");
  EXPECT_EQ(answers.size(), 1 + Server::kMaxMalformed);
  EXPECT_EQ(ready, 0);
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

// stratum-proxy#12, #22: a farm's proxy has all its workers on one connection.
TEST_F(Sv1Server, EveryWorkerOfAFarmsProxyWorks) {
  bring_up();
  const auto authorize = [&](const std::string& name) {
    return say("{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"" + name + "\"]}\n");
  };
  const auto share_of = [&](const std::string& name) {
    return say(submit("\"" + name + R"(","1","00000000","00000000","00000000")"));
  };
  for (const int workers : {60, 1000}) {
    for (int i = 0; i < workers; ++i) {
      EXPECT_EQ(authorize("farm.w" + std::to_string(i)), Lines{result("1", "true")});
      EXPECT_EQ(share_of("farm.w" + std::to_string(i)), Lines{result("9", "true")}) << i;
    }
    EXPECT_NE(share_of("farm.other").at(0).find("[24,"), std::string::npos) << "one that did not authorize";
  }
  EXPECT_EQ(refused, (Lines{"farm.other", "farm.other"})) << "and the owner hears of it";
}

TEST_F(Sv1Server, BeyondWhatIsRememberedEveryWorkerWorks) {
  bring_up();
  for (std::size_t i = 0; i < AuthorizedWorkers::kRemembered + 100; ++i) {
    EXPECT_EQ(say("{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"w" + std::to_string(i) + "\"]}\n"),
              Lines{result("1", "true")});
  }
  for (const auto* name : {"w0", "w1023", "w1024", "w1123"}) {
    EXPECT_EQ(say(submit("\"" + std::string(name) + R"(","1","00000000","00000000","00000000")")), Lines{result("9", "true")})
        << name;
  }
}

}  // namespace
}  // namespace adit::sv1
