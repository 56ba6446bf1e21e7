// What miners in the field really send, each conversation as it stands in their firmware's source or in a thread that recorded
// it. %s and %d of a source are filled in; nothing else is changed.
#include <gtest/gtest.h>

#include "sv1/server_testing.h"

namespace adit::sv1 {
namespace {

const std::string kRolling = R"({"version-rolling":true,"version-rolling.mask":"1fffe000"})";

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

// cgminer's util.c: initiate_stratum and auth_stratum read the next lines as the answers to what they sent.
TEST_F(Sv1Server, CgminerGetsNothingBeforeTheAnswersToItsOpening) {
  EXPECT_EQ(say("{\"id\": 0, \"method\": \"mining.configure\", \"params\": [[\"version-rolling\"], "
                "{\"version-rolling.mask\": \"1fffe000\", \"version-rolling.min-bit-count\": 2}]}\n"),
            (Lines{result("0", R"({"version-rolling":true,"version-rolling.mask":"1fffe000"})")}));
  server.allow_version_rolling(0);
  EXPECT_EQ(say("{\"id\": 1, \"method\": \"mining.subscribe\", \"params\": [\"cgminer/4.11.1\"]}\n"),
            Lines{result("1", kSubscribed)});
  EXPECT_EQ(say("{\"id\": 2, \"method\": \"mining.authorize\", \"params\": [\"w\", \"x\"]}\n"),
            (Lines{result("2", "true"), R"({"id":null,"method":"mining.set_version_mask","params":["00000000"]})",
                   kSetDifficulty, "notify"}))
      << "the mask changed meanwhile";
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

// bitaxeorg/ESP-Miner at 5c277131 (main/tasks/stratum_v1_task.c, components/stratum/stratum_api.c): no blanks, and two further
// requests once authorize has its answer.
TEST_F(Sv1Server, BitaxeOf2026SuggestsAfterItIsAuthorized) {
  EXPECT_EQ(say(R"({"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"ffffffff"}]})"
                "\n"
                R"({"id":2,"method":"mining.subscribe","params":["bitaxe/BM1370/v2.14.0"]})"
                "\n"
                R"({"id":3,"method":"mining.authorize","params":["bc1q.bitaxe","x"]})"
                "\n"),
            (Lines{result("1", kRolling), result("2", kSubscribed), result("3", "true"), kSetDifficulty, "notify"}));
  EXPECT_EQ(say(R"({"id":4,"method":"mining.suggest_difficulty","params":[1000]})"
                "\n"
                R"({"id":5,"method":"mining.extranonce.subscribe","params":[]})"
                "\n"),
            (Lines{result("4", "true"), result("5", "true")}));
  EXPECT_EQ(say(R"({"id":6,"method":"mining.submit","params":["bc1q.bitaxe","1","05000000","69c731f9","12530472","01660000"]})"
                "\n"),
            Lines{result("6", "true")});
  EXPECT_EQ(submits.at(0).version_bits, 0x01660000u);
}

// bitaxeorg/ESP-Miner#190 and #80 (logs of 2024): firmware of then reads the next line as the answer to what it sent last, and
// crashes at a notification in its place. So none may come before authorize is answered.
TEST_F(Sv1Server, NoNotificationComesBetweenTheOpeningAnswersOfAnOldBitaxe) {
  EXPECT_EQ(say("{\"id\": 1, \"method\": \"mining.subscribe\", \"params\": [\"bitaxe/BM1368\"]}\n"),
            Lines{result("1", kSubscribed)});
  EXPECT_EQ(say("{\"id\": 2, \"method\": \"mining.configure\", \"params\": [[\"version-rolling\"], {\"version-rolling.mask\": "
                "\"ffffffff\"}]}\n"),
            Lines{result("2", kRolling)});
  EXPECT_EQ(say("{\"id\": 3, \"method\": \"mining.suggest_difficulty\", \"params\": [1000]}\n"), Lines{result("3", "true")});
  EXPECT_EQ(say("{\"id\": 4, \"method\": \"mining.authorize\", \"params\": [\"bc1--.bitaxe\", \"x\"]}\n"),
            (Lines{result("4", "true"), kSetDifficulty, "notify"}));
}

// The heartbeat of bitaxeorg/ESP-Miner (main/tasks/protocol_coordinator.c, probe_pool_v1; its log in sv2-apps#382): subscribe
// and authorize without configure, and mining.notify must stand in the first thing read. Then it hangs up.
TEST_F(Sv1Server, BitaxesHeartbeatSeesMiningNotify) {
  const std::string probe =
      "{\"id\": 1, \"method\": \"mining.subscribe\", \"params\": [\"bitaxe/BM1370/v2.12.2\"]}\n"
      "{\"id\": 2, \"method\": \"mining.authorize\", \"params\": [\"bc1qwlmnvq9lexszlc2tmm2hgqrv8kwn8xsz6q5ktk\", \"x\"]}\n";
  ASSERT_TRUE(server.receive(as_bytes(probe)));
  EXPECT_NE(server.output().find("\"method\":\"mining.notify\""), std::string::npos);
}

// shufps/qaxe#33 (log of 2026-02-20).
TEST_F(Sv1Server, NerdQaxeSubscribesThenConfiguresThenSuggests) {
  EXPECT_EQ(say("{\"id\": 1, \"method\": \"mining.subscribe\", \"params\": [\"NerdQAxe++/BM1370/v1.0.36\"]}\n"
                "{\"id\": 2, \"method\": \"mining.configure\", \"params\": [[\"version-rolling\"], {\"version-rolling.mask\": "
                "\"1fffe000\"}]}\n"
                "{\"id\": 3, \"method\": \"mining.authorize\", \"params\": [\"username-here\", \"x\"]}\n"
                "{\"id\": 4, \"method\": \"mining.suggest_difficulty\", \"params\": [4000]}\n"
                "{\"id\": 5, \"method\": \"mining.extranonce.subscribe\", \"params\": []}\n"),
            (Lines{result("1", kSubscribed), result("2", kRolling), result("3", "true"), kSetDifficulty, "notify",
                   result("4", "true"), result("5", "true")}));
  EXPECT_EQ(suggested, std::vector<double>{4000});
}

// BitMaker-hub/NerdMiner_v2 at e3a04b7d (src/stratum.cpp): params before id, a suggestion far below 1, and a nonce without its
// leading zeros, so one in sixteen is short (#822).
TEST_F(Sv1Server, NerdMinersShortNonceIsANumber) {
  EXPECT_EQ(say("{\"id\": 1, \"method\": \"mining.subscribe\", \"params\": [\"NerdMinerV2/V1.8.3\"]}\n"),
            Lines{result("1", kSubscribed)});
  EXPECT_EQ(say("{\"params\": [\"bc1qvv469gmw4zz6qa4u4dsezvrlmqcqszwyfzhgwj\", \"x\"], \"id\": 2, \"method\": "
                "\"mining.authorize\"}\n"
                "{\"id\":3,\"method\":\"mining.suggest_difficulty\",\"params\":[0.00015]}\n"),
            (Lines{result("2", "true"), kSetDifficulty, "notify", result("3", "true")}));
  EXPECT_EQ(suggested, std::vector<double>{0.00015});
  EXPECT_EQ(say("{\"id\":4,\"method\":\"mining.submit\",\"params\":[\"bc1qvv469gmw4zz6qa4u4dsezvrlmqcqszwyfzhgwj\",\"1\","
                "\"00000001\",\"647025b5\",\"a9a049c\"]}\n"
                "{\"id\":5,\"method\":\"mining.submit\",\"params\":[\"bc1qvv469gmw4zz6qa4u4dsezvrlmqcqszwyfzhgwj\",\"1\","
                "\"00000001\",\"647025b5\",\"0\"]}\n"),
            (Lines{result("4", "true"), result("5", "true")}));
  EXPECT_EQ(submits.at(0).nonce, 0x0a9a049cu);
  EXPECT_EQ(submits.at(1).nonce, 0u);
}

// BitMaker-hub/NerdMiner_v2#763 (log of 2026-02-11): v1.7.0 pads extranonce2 with blanks. No number of zeros is sure to be what
// it hashed: refused, and the miner stays.
TEST_F(Sv1Server, NerdMinersBlankPaddedExtranonceIsRefusedAndTheMinerStays) {
  bring_up();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(
        say(submit(R"("w","1","               1","698d9ae1","1a9a342a")")),
        Lines{
            R"({"id":9,"result":null,"error":[20,"mining.submit: extranonce2: \"               1\" is not hex of whole bytes, at most 32",null]})"});
    EXPECT_EQ(closed, "");
  }
}

// ckolivas/cgminer 4.11.1 (util.c: configure_stratum_mining, initiate_stratum, auth_stratum; cgminer.c: stratum_sthread). A
// connection dialled again names its old session, and expects extranonce2_size from 2 to 16.
TEST_F(Sv1Server, CgminerResumesItsSession) {
  EXPECT_EQ(say("{\"id\": 10, \"method\": \"mining.configure\", \"params\": [[\"version-rolling\"], "
                "{\"version-rolling.mask\": \"ffffffff\"}]}\n"),
            Lines{result("10", kRolling)});
  EXPECT_EQ(say("{\"id\": 11, \"method\": \"mining.subscribe\", \"params\": [\"cgminer/4.11.1\", \"5e55\"]}\n"),
            Lines{result("11", kSubscribed)});
  EXPECT_EQ(say("{\"id\": 12, \"method\": \"mining.authorize\", \"params\": [\"w\", \"x\"]}\n"),
            (Lines{result("12", "true"), kSetDifficulty, "notify"}));
  EXPECT_EQ(say("{\"params\": [\"w\", \"1\", \"00000000\", \"504e86ed\", \"b2957c02\", \"00c00000\"], \"id\": 13, \"method\": "
                "\"mining.submit\"}\n"),
            Lines{result("13", "true")});
  EXPECT_EQ(submits.at(0).version_bits, 0x00c00000u);
}

// luke-jr/bfgminer at 866fd36f (util.c: initiate_stratum, auth_stratum): what it sends with the id null comes before its
// subscribe, and the very next line it reads must be the answer to that. Ids of later requests are words.
TEST_F(Sv1Server, BfgminersRequestsWithoutAnIdAreNotAnswered) {
  const std::string target = "00000000ffff0000000000000000000000000000000000000000000000000000";
  EXPECT_EQ(say("{\"id\": null, \"method\": \"mining.suggest_target\", \"params\": [\"" + target + "\"]}\n"), Lines{});
  EXPECT_EQ(
      say("{\"id\":null,\"method\":\"mining.capabilities\",\"params\":[{\"notify\":[],\"set_difficulty\":{},\"set_goal\":[],"
          "\"malgo\":{\"SHA256d\":{}},\"suggested_target\":\"" +
          target + "\"}]}\n"),
      Lines{});
  EXPECT_EQ(say("{\"id\": 0, \"method\": \"mining.subscribe\", \"params\": [\"bfgminer/5.5.0\"]}\n"),
            Lines{result("0", kSubscribed)});
  EXPECT_EQ(say("{\"id\": \"xnsub\", \"method\": \"mining.extranonce.subscribe\", \"params\": []}"
                "\n{\"id\": \"auth\", \"method\": \"mining.authorize\", \"params\": [\"w\", \"x\"]}\n"
                "{\"id\": null, \"method\": \"mining.suggest_difficulty\", \"params\": [8192]}\n"),
            (Lines{result("\"xnsub\"", "true"), result("\"auth\"", "true"), kSetDifficulty, "notify"}));
  ASSERT_EQ(suggested.size(), 2u);
  EXPECT_NEAR(suggested[0], 1, 1e-6);
  EXPECT_EQ(suggested[1], 8192);
}

// pooler/cpuminer at 5f021059 (cpu-miner.c, submit_upstream_work): every share has the id 4.
TEST_F(Sv1Server, CpuminersSharesAllHaveOneId) {
  bring_up();
  const std::string share =
      "{\"method\": \"mining.submit\", \"params\": [\"w\", \"1\", \"00000000\", \"504e86ed\", \"b2957c02\"], \"id\":4}\n";
  EXPECT_EQ(say(share + share), (Lines{result("4", "true"), result("4", "true")}));
}

// benjamin-wilson/public-pool#13: cpuminer-opt (rplant) adds a list to its authorize.
TEST_F(Sv1Server, CpuminerOptAddsAListToItsAuthorize) {
  EXPECT_EQ(
      say("{\"id\": 1, \"method\": \"mining.subscribe\", \"params\": []}\n"
          "{\"id\": 2, \"method\": \"mining.authorize\", \"params\": [\"1Bkg23fU9EnazGw2yyYVwQKHmjq1MRsEx4.TEST\", \"x\", "
          "[\"s2\", \"b\"]]}\n"),
      (Lines{result("1", kSubscribed), result("2", "true"), kSetDifficulty, "notify"}));
  EXPECT_EQ(server.user(), "1Bkg23fU9EnazGw2yyYVwQKHmjq1MRsEx4.TEST");
}

// stratum-mining/stratum#1173 (traffic of 2024-09): btminer hangs up at any key in the answer to configure that it did not ask
// for. (A subscribe names a session of 32 digits.)
TEST_F(Sv1Server, WhatsminerGetsNothingInConfigureThatItDidNotAskFor) {
  EXPECT_EQ(say("{\"id\": 196, \"method\": \"mining.configure\", \"params\": [[\"version-rolling\"], "
                "{\"version-rolling.mask\": \"1fffe000\"}]}\n"),
            Lines{result("196", kRolling)});
  EXPECT_EQ(say("{\"id\": 197, \"method\": \"mining.subscribe\", \"params\": [\"whatsminer/v1.0\", "
                "\"ae6812eb4cd7735a302a8a9dd95cf71f\"]}\n"),
            Lines{result("197", kSubscribed)});
  EXPECT_EQ(agents, Lines{"whatsminer/v1.0"});
}

// benjamin-wilson/public-pool#110 (log of 2025-04-19): a member `ttl` beside the three that a request has, and no password.
TEST_F(Sv1Server, WhatsminerPutsATtlIntoItsAuthorize) {
  EXPECT_EQ(say("{\"id\": 3587155, \"method\": \"mining.subscribe\", \"params\": [\"whatsminer/v1.0\", \"68c53cbf\"]}\n"
                "{\"id\":3587156,\"method\":\"mining.authorize\",\"params\":[\"tb1........888\",\"\"],\"ttl\":2}\n"),
            (Lines{result("3587155", kSubscribed), result("3587156", "true"), kSetDifficulty, "notify"}));
}

// stratum-mining/stratum#505: WhatsMiner starts with mining.suggest_difficulty; whoever answered with an end lost it.
TEST_F(Sv1Server, WhatsminerMayBeginWithASuggestion) {
  EXPECT_EQ(say("{\"id\": 1, \"method\": \"mining.suggest_difficulty\", \"params\": [8192]}\n"), Lines{result("1", "true")});
  EXPECT_EQ(suggested, std::vector<double>{8192});
  bring_up();
}

// stratum-mining/stratum#455 (log of 2023-03-02): bmminer 2.0.0 takes no answer whose id became a string on the way.
TEST_F(Sv1Server, BmminersIdStaysANumber) {
  EXPECT_EQ(say("{\"id\": 3642, \"method\": \"mining.subscribe\", \"params\": [\"bmminer/2.0.0\", "
                "\"ae6812eb4cd7735a302a8a9dd95cf71f\"]}\n"),
            Lines{result("3642", kSubscribed)});
}

// bitmaintech/bmminer-mix at 7aebcf2c (util.c): subscribe_extranonce waits for its answer, auth_stratum asks for what the pool
// may have, and the client goes on whatever the answers are.
TEST_F(Sv1Server, BmminerAsksForExtranonceAndMultiVersion) {
  EXPECT_EQ(say("{\"id\": 0, \"method\": \"mining.subscribe\", \"params\": [\"bmminer/2.0.0\"]}\n"),
            Lines{result("0", kSubscribed)});
  EXPECT_EQ(say("{\"id\": 1, \"method\": \"mining.extranonce.subscribe\", \"params\": []}\n"), Lines{result("1", "true")});
  EXPECT_EQ(say("{\"id\": 2, \"method\": \"mining.authorize\", \"params\": [\"w\", \"x\"]}\n"
                "{\"id\": 3, \"method\": \"mining.suggest_difficulty\", \"params\": [8192]}\n"
                "{\"id\": 4, \"method\": \"mining.multi_version\", \"params\": [4]}\n"),
            (Lines{result("2", "true"), kSetDifficulty, "notify", result("3", "true"), result("4", "true")}));
  EXPECT_EQ(
      say("{\"params\": [\"w\", \"1\", \"00000000\", \"504e86ed\", \"b2957c02\"], \"id\": 5, \"method\": \"mining.submit\"}\n"),
      Lines{result("5", "true")});
}

// HathorNetwork/hathor-core#61 (traffic of an Antminer with AntPool): the two bits of the S9, asked for as at least two.
TEST_F(Sv1Server, AntminerS9RollsTwoBits) {
  EXPECT_EQ(say("{\"id\": 4, \"method\": \"mining.configure\", \"params\": [[\"version-rolling\"], "
                "{\"version-rolling.min-bit-count\": 2, \"version-rolling.mask\": \"00c00000\"}]}\n"
                "{\"id\": 9, \"method\": \"mining.subscribe\", \"params\": [\"bmminer/2.0.0 rwglr\"]}\n"),
            (Lines{result("4", R"({"version-rolling":true,"version-rolling.mask":"00c00000"})"), result("9", kSubscribed)}));
}

// OCEAN-xyz/datum_gateway#214: an Antminer S21 rented through MiningRigRentals submits rolled bits and never configured. What
// it hashed is in the header, so its bits count.
TEST_F(Sv1Server, RentedAntminersRollWithoutHavingAsked) {
  bring_up();
  EXPECT_EQ(say(submit(R"("w","1","00000000","504e86ed","b2957c02","00c00000")")), Lines{result("9", "true")});
  EXPECT_EQ(submits.at(0).version_bits, 0x00c00000u);
  EXPECT_EQ(server.version_mask(), kVersionRollingMask);
  EXPECT_EQ(say(submit(R"("w","1","00000000","504e86ed","b2957c02","20000000")")).at(0),
            R"({"id":9,"result":null,"error":[20,"version bits outside of the negotiated mask",null]})");
  server.allow_version_rolling(0);
  EXPECT_EQ(server.version_mask(), 0u);
  EXPECT_EQ(take(), Lines{}) << "it would not know a set_version_mask";
}

// braiins/braiins at 3c1a16f9 (open/protocols/stratum/src/test_utils/v1.rs): ids from 0, all sixteen bits, and a subscribe with
// nulls between what it says.
TEST_F(Sv1Server, BraiinsOsSubscribesWithNulls) {
  EXPECT_EQ(
      say(R"({"id":0,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":16}]})"
          "\n"
          R"({"id":1,"method":"mining.subscribe","params":["Braiins OS 2019-06-05",null,"stratum.slushpool.com:3333",null]})"
          "\n"
          R"({"id":2,"method":"mining.authorize","params":["braiins.worker0",""]})"
          "\n"),
      (Lines{result("0", kRolling), result("1", kSubscribed), result("2", "true"), kSetDifficulty, "notify"}));
  EXPECT_EQ(
      say(R"({"id":3,"method":"mining.submit","params":["braiins.worker0","ahoj","00000000","5d10bc0a","0443c37b","00000000"]})"
          "\n"),
      Lines{result("3", "true")});
}

// nicehash/Specifications (NiceHash_extranonce_subscribe_extension.txt): how the extension answers. Its verifier wants
// extranonce2_size of 4 or more (Stratehm/stratum-proxy#63).
TEST_F(Sv1Server, NicehashAsksForTheExtranonceExtension) {
  bring_up();
  EXPECT_EQ(say("{\"id\": 3, \"method\": \"mining.extranonce.subscribe\", \"params\": []}\n"), Lines{result("3", "true")});
}

// para#410, p2poolv2#105: proxies that write the sixth field empty.
TEST_F(Sv1Server, AnEmptySixthParameterIsAShareWithoutVersionBits) {
  bring_up();
  EXPECT_EQ(say(submit(R"("w","1","00000001","65000000","00000001","")")), Lines{result("9", "true")});
  ASSERT_EQ(submits.size(), 1u);
  EXPECT_FALSE(submits[0].version_bits);
}

// BIP310: of each extension by itself, true, false or the reason.
TEST_F(Sv1Server, OneUnusableOptionOfConfigureIsAnsweredByItsReasonAndTheOthersAreGranted) {
  EXPECT_EQ(
      say(R"({"id":1,"method":"mining.configure","params":[["version-rolling","minimum-difficulty"],{"version-rolling.mask":"1fffe000","minimum-difficulty.value":"x"}]})"
          "\n"),
      Lines{result(
          "1",
          R"({"version-rolling":true,"version-rolling.mask":"1fffe000","minimum-difficulty":"minimum-difficulty.value: \"x\" is not a difficulty of 0 or more"})")});
  EXPECT_EQ(minimum, 0);
  EXPECT_EQ(server.version_mask(), kVersionRollingMask);
}

// LuxorLabs/hashrateindex-api-python-client#6: the whole opening in one packet, which that pool answers by lot. Here each gets
// its answer, in order.
TEST_F(Sv1Server, AnOpeningInOnePacketIsAnsweredInOrder) {
  EXPECT_EQ(
      say(R"({"id":1,"method":"mining.configure","params":[["version-rolling","minimum-difficulty","subscribe-extranonce"],{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":16,"minimum-difficulty.value":150000}]})"
          "\n"
          R"({"id":2,"method":"mining.subscribe","params":[]})"
          "\n"
          R"({"id":3,"method":"mining.authorize","params":["sustainhash.firmware","x"]})"
          "\n"),
      (Lines{
          result(
              "1",
              R"({"version-rolling":true,"version-rolling.mask":"1fffe000","minimum-difficulty":true,"subscribe-extranonce":true})"),
          result("2", kSubscribed), result("3", "true"), kSetDifficulty, "notify"}));
  EXPECT_EQ(minimum, 150000);
}

// Stratehm/stratum-proxy#97: cpuminer given us as its HTTP proxy. Told what is wrong, a line each.
TEST_F(Sv1Server, AnHttpRequestIsToldThatItIsNoStratum) {
  const auto answers = say("CONNECT x11.eu.nicehash.com:3336 HTTP/1.1\r\n\r\n");
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_NE(answers[0].find("not JSON"), std::string::npos);
  EXPECT_EQ(closed, "");
}

}  // namespace
}  // namespace adit::sv1
