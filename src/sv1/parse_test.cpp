#include "sv1/parse.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace adit::sv1 {
namespace {

class Sv1Parse : public testing::Test {
 protected:
  template <class T>
  T call(std::string_view line) {
    auto request = parser_.from_client(line);
    EXPECT_TRUE(request) << line << ": " << request.error().message();
    if (!request || !*request) return {};
    EXPECT_TRUE(std::holds_alternative<T>((*request)->call)) << line;
    const auto* found = std::get_if<T>(&(*request)->call);
    return found ? *found : T{};
  }
  std::string error(std::string_view line) {
    auto request = parser_.from_client(line);
    return request ? "none" : std::string(request.error().name());
  }

  Parser parser_;
};

TEST_F(Sv1Parse, SubmitHexOfEitherCaseGivesTheSameNumbers) {
  const auto lower =
      call<Submit>(R"({"id":4,"method":"mining.submit","params":["w","1a","abcdef01","5f5e100a","deadbeef","0abc0000"]})");
  EXPECT_EQ(lower.ntime, 0x5f5e100au);
  EXPECT_EQ(lower.nonce, 0xdeadbeefu);
  EXPECT_EQ(lower.version_bits, 0x0abc0000u);
  EXPECT_EQ(to_hex(lower.extranonce2.bytes()), "abcdef01");
  const auto upper =
      call<Submit>(R"({"id":4,"method":"mining.submit","params":["w","1a","ABCDEF01","5F5E100A","DEADBEEF","ABC0000"]})");
  EXPECT_EQ(upper.ntime, lower.ntime);
  EXPECT_EQ(upper.nonce, lower.nonce);
  EXPECT_EQ(upper.version_bits, lower.version_bits);
  EXPECT_EQ(upper.extranonce2, lower.extranonce2);
}

TEST_F(Sv1Parse, SubmitWithoutTheSixthFieldHasNoVersionBits) {
  EXPECT_FALSE(call<Submit>(R"({"id":4,"method":"mining.submit","params":["w","1","00","00000000","00000000"]})").version_bits);
  EXPECT_FALSE(
      call<Submit>(R"({"id":4,"method":"mining.submit","params":["w","1","00","00000000","00000000",null]})").version_bits);
}

// para#410, p2poolv2#105; ckpool takes it: proxies write the sixth field whether a miner rolls or not.
TEST_F(Sv1Parse, AnEmptySixthFieldMeansNoVersionBits) {
  const auto empty =
      call<Submit>(R"({"id":4,"method":"mining.submit","params":["w","1","00000001","65000000","00000001",""]})");
  EXPECT_FALSE(empty.version_bits);
  EXPECT_EQ(empty.nonce, 1u);
  EXPECT_EQ(empty.ntime, 0x65000000u);
}

TEST_F(Sv1Parse, EveryFormOfASubmitThatHasOneMeaningIsTaken) {
  const auto usual =
      call<Submit>(R"({"id":4,"method":"mining.submit","params":["7","12","0a00","0000c350","000000ff","00c00000"]})");
  for (const auto* params : {
           R"(["7","12","0x0a00","0x0000C350","0xff","0xc00000"])",      // as Ethereum's miners write hex
           R"([7,12,"0A00",50000,255,12582912])",                        // numbers
           R"(["7","12","0a00","0000c350","ff","c00000",null,"more"])",  // leading zeros absent, more fields
           R"([7,"12","0a00",50000.0,2.55e2,"00C00000"])",               // whole numbers in another way
       }) {
    const auto other = call<Submit>(std::string(R"({"id":4,"method":"mining.submit","params":)") + params + "}");
    EXPECT_EQ(other.user, "7") << params;
    EXPECT_EQ(other.job_id, "12") << params;
    EXPECT_EQ(other.extranonce2, usual.extranonce2) << params;
    EXPECT_EQ(other.ntime, usual.ntime) << params;
    EXPECT_EQ(other.nonce, usual.nonce) << params;
    EXPECT_EQ(other.version_bits, usual.version_bits) << params;
  }
  EXPECT_EQ(call<Submit>(R"({"id":4,"method":"mining.submit","params":[null,"1","00","00000000","0"]})").user, "")
      << "who has no name";
}

// Whoever reads the miner's log learns which parameter it was, and how it was written.
TEST_F(Sv1Parse, AnErrorNamesTheParameterAndTheForm) {
  const std::pair<std::string, std::string> cases[] = {
      {R"(["w","1","00","0000000","00000000"])", R"(ntime: "0000000" is not 8 hex digits)"},
      {R"(["w","1","00","000000000","00000000"])", R"(ntime: "000000000" is not 8 hex digits)"},
      {R"(["w","1","00"," 0000000","00000000"])", R"(ntime: " 0000000" is not 8 hex digits)"},
      {R"(["w","1","00",-1,"00000000"])", "ntime: the number -1 is not 8 hex digits"},
      {R"(["w","1","00",4294967296,"00000000"])", "ntime: the number 4294967296 is not 8 hex digits"},
      {R"(["w","1","00",1.5,"00000000"])", "ntime: the number 1.5 is not 8 hex digits"},
      {R"(["w","1","00","00000000","0000000g"])", R"(nonce: "0000000g" is not 1 to 8 hex digits)"},
      {R"(["w","1","00","00000000",""])", "nonce: an empty text is not 1 to 8 hex digits"},
      {R"(["w","1","00","00000000",null])", "nonce: null is not 1 to 8 hex digits"},
      {R"(["w","1","00","00000000"])", "nonce: missing; wanted: 1 to 8 hex digits"},
      {R"(["w","1","000","00000000","00000000"])", R"(extranonce2: "000" is not hex of whole bytes, at most 32)"},
      {R"(["w","1",7,"00000000","00000000"])", "extranonce2: the number 7 is not hex of whole bytes, at most 32"},
      {R"(["w","1","zz","00000000","00000000"])", R"(extranonce2: "zz" is not hex of whole bytes, at most 32)"},
      {R"(["w","1","00","00000000","00000000","xyz"])", R"(version bits: "xyz" is not 1 to 8 hex digits)"},
      {R"(["w","1","00","00000000","00000000",[]])", "version bits: a list is not 1 to 8 hex digits"},
      {R"(["w","1","00","00000000","00000000","123456789"])", R"(version bits: "123456789" is not 1 to 8 hex digits)"},
      {R"(["w",true,"00","00000000","00000000"])", "job id: true is not the text of a notify"},
      {R"([{},"1","00","00000000","00000000"])", "worker: an object is not a name of at most 512 bytes"},
      {R"([])", "worker: missing; wanted: a name of at most 512 bytes"},
      {R"({"worker":"w"})", "params: an object is not a list"},
  };
  for (const auto& [params, reason] : cases) {
    const auto bad = call<BadParameters>(R"({"id":4,"method":"mining.submit","params":)" + params + "}");
    EXPECT_EQ(bad.method, "mining.submit");
    EXPECT_EQ(bad.reason, reason) << params;
  }
  const auto longest = call<BadParameters>(R"({"id":4,"method":"mining.submit","params":["w","1",")" + std::string(66, '0') +
                                           R"(","00000000","00000000"]})");
  EXPECT_EQ(longest.reason,
            R"(extranonce2: "000000000000000000000000" and 42 characters more is not hex of whole bytes, at most 32)");
  EXPECT_EQ(
      call<BadParameters>("{\"id\":4,\"method\":\"mining.submit\",\"params\":[\"w\",\"1\",\"\xff\xfe\",\"00000000\",\"0\"]}")
          .reason,
      "extranonce2: a text of 2 bytes, not all of them printable is not hex of whole bytes, at most 32");
}

TEST_F(Sv1Parse, AWorkersNameMayBeANumberOrAbsent) {
  EXPECT_EQ(call<Authorize>(R"({"id":1,"method":"mining.authorize","params":[17,42]})").user, "17");
  EXPECT_EQ(call<Authorize>(R"({"id":1,"method":"mining.authorize","params":[null,null]})").user, "");
  EXPECT_EQ(call<Authorize>(R"({"id":1,"method":"mining.authorize","params":["w"]})").password, "");
  EXPECT_EQ(call<BadParameters>(R"({"id":1,"method":"mining.authorize"})").reason,
            "worker: missing; wanted: a name of at most 512 bytes");
  EXPECT_EQ(call<BadParameters>(R"({"id":1,"method":"mining.authorize","params":[["w"]]})").reason,
            "worker: a list is not a name of at most 512 bytes");
}

TEST_F(Sv1Parse, DeepNestingAndGarbageAreErrorsNotCrashes) {
  EXPECT_EQ(error(std::string(10000, '[')), "not_json");
  EXPECT_EQ(error(R"({"id":1,"method":"mining.subscribe","params":)" + std::string(9, '[') + std::string(9, ']') + "}"),
            "not_json");
  EXPECT_EQ(error("GET / HTTP/1.1"), "not_json");
  EXPECT_EQ(error(std::string_view("\x16\x03\x01\x02\x00\x01", 6)), "not_json");
  EXPECT_EQ(error("{\"id\":1"), "not_json");
  EXPECT_EQ(error("{} {}"), "not_json");
  EXPECT_EQ(error("[1,2,3]"), "not_sv1");
  EXPECT_EQ(error("7"), "not_sv1");
  EXPECT_EQ(error("{}"), "not_sv1");
  EXPECT_EQ(error(R"({"id":{},"method":"mining.ping"})"), "not_sv1");
  EXPECT_EQ(error(R"({"id":1,"method":5})"), "not_sv1");
  EXPECT_EQ(error(R"({"id":")" + std::string(200, 'i') + R"(","method":"mining.ping"})"), "not_sv1");
}

TEST_F(Sv1Parse, TheParserServesTheNextLineAfterAnError) {
  EXPECT_EQ(error("{\"id\":"), "not_json");
  EXPECT_EQ(call<Authorize>(R"({"id":1,"method":"mining.authorize","params":["a","b"]})").user, "a");
}

TEST_F(Sv1Parse, AResponseOfAMinerIsNoRequest) {
  const auto request = parser_.from_client(R"({"id":1,"result":"cgminer/4.11.1","error":null})");
  ASSERT_TRUE(request);
  EXPECT_FALSE(*request);
}

TEST_F(Sv1Parse, IdsComeBackAsTheyCame) {
  for (const auto* id : {"7", "-1", R"("txlist1")", R"("quo\"te")", "18446744073709551615"}) {
    const auto request = parser_.from_client(std::string(R"({"id":)") + id + R"(,"method":"mining.ping"})");
    ASSERT_TRUE(request && *request);
    EXPECT_EQ((*request)->id->json(), id);
  }
  EXPECT_FALSE((*parser_.from_client(R"({"method":"mining.ping"})"))->id);
  EXPECT_FALSE((*parser_.from_client(R"({"id":null,"method":"mining.ping"})"))->id) << "JSON-RPC 1.0: a notification";
}

TEST_F(Sv1Parse, ConfigureReadsBip310) {
  // The example of BIP310.
  const auto configure = call<Configure>(
      R"({"method":"mining.configure","id":1,"params":[["minimum-difficulty","version-rolling","other"],)"
      R"({"minimum-difficulty.value":2048,"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":2}]})");
  ASSERT_TRUE(configure.version_rolling);
  EXPECT_EQ(configure.version_rolling->mask, 0x1fffe000u);
  EXPECT_EQ(configure.version_rolling->min_bit_count, 2u);
  EXPECT_EQ(configure.minimum_difficulty, 2048);
  EXPECT_EQ(configure.unknown, std::vector<std::string_view>{"other"});
  // Without parameters the mask is all bits.
  EXPECT_EQ(call<Configure>(R"({"id":1,"method":"mining.configure","params":[["version-rolling"]]})").version_rolling->mask,
            0xffffffffu);
  EXPECT_EQ(call<BadParameters>(R"({"id":1,"method":"mining.configure","params":[]})").reason,
            "extensions: missing; wanted: a list of names");
}

TEST_F(Sv1Parse, OptionsOfConfigureAreTakenInEveryFormThatHasOneMeaning) {
  const auto rolling = [&](const std::string& options) {
    const auto configure =
        call<Configure>(R"({"id":1,"method":"mining.configure","params":["version-rolling",)" + options + "]}");
    EXPECT_TRUE(configure.version_rolling) << options;
    return configure.version_rolling.value_or(Configure::VersionRolling{});
  };
  for (const auto* none : {"null", "[]", "{}", R"({"version-rolling.mask":null,"version-rolling.min-bit-count":null})",
                           R"({"version-rolling.mask":"","version-rolling.min-bit-count":""})"}) {
    EXPECT_EQ(rolling(none).mask, 0xffffffffu) << none;
    EXPECT_EQ(rolling(none).min_bit_count, 0u) << none;
  }
  for (const auto* same : {R"({"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":2})",
                           R"({"version-rolling.mask":"0x1FFFE000","version-rolling.min-bit-count":"2"})",
                           R"({"version-rolling.mask":536862720,"version-rolling.min-bit-count":2.0})"}) {
    EXPECT_EQ(rolling(same).mask, 0x1fffe000u) << same;
    EXPECT_EQ(rolling(same).min_bit_count, 2u) << same;
  }
  EXPECT_EQ(call<Configure>(
                R"({"id":1,"method":"mining.configure","params":[["minimum-difficulty"],{"minimum-difficulty.value":"2048"}]})")
                .minimum_difficulty,
            2048);
}

TEST_F(Sv1Parse, OneUnusableOptionOfConfigureTakesNoOtherWithIt) {
  const auto configure = call<Configure>(
      R"({"id":1,"method":"mining.configure","params":[[7,"version-rolling","minimum-difficulty",null,"subscribe-extranonce"],)"
      R"({"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":33,"minimum-difficulty.value":512}]})");
  EXPECT_FALSE(configure.version_rolling);
  EXPECT_EQ(configure.minimum_difficulty, 512);
  EXPECT_TRUE(configure.subscribe_extranonce);
  ASSERT_EQ(configure.unusable.size(), 1u);
  EXPECT_EQ(configure.unusable[0].first, "version-rolling");
  EXPECT_EQ(configure.unusable[0].second, "version-rolling.min-bit-count: the number 33 is not a number of bits, 0 to 32");
  const auto neither = call<Configure>(
      R"({"id":1,"method":"mining.configure","params":[["version-rolling","minimum-difficulty","version-rolling","info"],"1fffe000"]})");
  ASSERT_EQ(neither.unusable.size(), 2u);
  EXPECT_EQ(neither.unusable[0].second, R"(the options: "1fffe000" is not an object)");
  EXPECT_TRUE(neither.info);
  const auto absent = call<Configure>(R"({"id":1,"method":"mining.configure","params":[["minimum-difficulty"]]})");
  ASSERT_EQ(absent.unusable.size(), 1u);
  EXPECT_EQ(absent.unusable[0].second, "minimum-difficulty.value: missing; wanted: a difficulty of 0 or more");
}

TEST_F(Sv1Parse, SuggestionsMustBePositiveNumbers) {
  EXPECT_EQ(call<SuggestDifficulty>(R"({"id":1,"method":"mining.suggest_difficulty","params":[0.0014]})").difficulty, 0.0014);
  EXPECT_EQ(call<SuggestDifficulty>(R"({"id":1,"method":"mining.suggest_difficulty","params":[1000]})").difficulty, 1000);
  EXPECT_EQ(call<SuggestDifficulty>(R"({"id":1,"method":"mining.suggest_difficulty","params":["1000"]})").difficulty, 1000)
      << "text, in the base that its writers use";
  EXPECT_EQ(call<SuggestDifficulty>(R"({"id":1,"method":"mining.suggest_difficulty","params":["0.5",null]})").difficulty, 0.5);
  EXPECT_EQ(call<BadParameters>(R"({"id":1,"method":"mining.suggest_difficulty","params":[0]})").reason,
            "difficulty: the number 0 is not a number above 0");
  EXPECT_EQ(call<BadParameters>(R"({"id":1,"method":"mining.suggest_difficulty","params":["0x10"]})").reason,
            R"(difficulty: "0x10" is not a number above 0)");
  for (const auto* value : {"0", "-1", "null", "\"x\"", "[]", "1e999"}) {
    const auto line = std::string(R"({"id":1,"method":"mining.suggest_difficulty","params":[)") + value + "]}";
    const auto request = parser_.from_client(line);
    if (request) EXPECT_TRUE(std::holds_alternative<BadParameters>((*request)->call)) << value;
  }
  const auto target = call<SuggestTarget>(
      R"({"id":1,"method":"mining.suggest_target","params":["00000000ffff0000000000000000000000000000000000000000000000000000"]})");
  EXPECT_EQ(bitcoin::difficulty_from_target(target.target), 1);
  const auto shorter = call<SuggestTarget>(
      R"({"id":1,"method":"mining.suggest_target","params":["0xFFFF0000000000000000000000000000000000000000000000000000"]})");
  EXPECT_EQ(shorter.target, target.target);
  EXPECT_EQ(call<BadParameters>(R"({"id":1,"method":"mining.suggest_target","params":[1]})").reason,
            "target: the number 1 is not 1 to 64 hex digits");
}

// The notify of slushpool's Stratum manual (the protocol's first description).
constexpr std::string_view kNotify =
    R"({"params": ["bf", "4d16b6f85af6e2198f44ae2a6de67f78487ae5611b77c6c0440b921e00000000",)"
    R"("01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff20020862062f503253482f04b8864e5008",)"
    R"("072f736c7573682f000000000100f2052a010000001976a914d23fcdf86f7e756a64a7a9688ef9903327048ed988ac00000000", [],)"
    R"("00000002", "1c2ac4af", "504e86b9", false], "id": null, "method": "mining.notify"})";

TEST_F(Sv1Parse, NotifyTurnsThePreviousHashIntoInternalOrder) {
  auto message = parser_.from_server(kNotify);
  ASSERT_TRUE(message);
  const auto& job = std::get<Notify>(*message);
  EXPECT_EQ(job.job_id, "bf");
  EXPECT_EQ(to_hex_reversed(job.prev_hash), "00000000440b921e1b77c6c0487ae5616de67f788f44ae2a5af6e2194d16b6f8");
  EXPECT_EQ(job.version, 2u);
  EXPECT_EQ(job.nbits, 0x1c2ac4afu);
  EXPECT_EQ(job.ntime, 0x504e86b9u);
  EXPECT_FALSE(job.clean_jobs);
  EXPECT_EQ(job.coinbase1.size(), 58u);
}

TEST_F(Sv1Parse, AnswersOfPoolsAreReadInTheirKinds) {
  // bitaxeorg/ESP-Miner#1064: NiceHash's answers.
  auto configured =
      parser_.from_server(R"({"id":1,"error":null,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000"}})");
  ASSERT_TRUE(configured);
  EXPECT_EQ(std::get<ConfigureResult>(std::get<Response>(*configured).result).version_mask, 0x1fffe000u);
  auto subscribed = parser_.from_server(
      R"({"id":2,"error":null,"result":[[["mining.set_difficulty","6351117f64"],["mining.notify","6351117f64"]],"6351117f64",3]})");
  ASSERT_TRUE(subscribed);
  const auto& subscription = std::get<SubscribeResult>(std::get<Response>(*subscribed).result);
  EXPECT_EQ(to_hex(subscription.extranonce1.bytes()), "6351117f64");
  EXPECT_EQ(subscription.extranonce2_size, 3u);
  auto refused = parser_.from_server(R"({"id":9,"result":null,"error":[23,"Low difficulty share",null]})");
  ASSERT_TRUE(refused);
  EXPECT_EQ(std::get<Response>(*refused).error->code, 23);
  EXPECT_EQ(std::get<Response>(*refused).error->message, "Low difficulty share");
}

TEST_F(Sv1Parse, PoolsMayWriteNumbersAsTextToo) {
  const auto difficulty = parser_.from_server(R"({"id":null,"method":"mining.set_difficulty","params":["512"]})");
  ASSERT_TRUE(difficulty);
  EXPECT_EQ(std::get<SetDifficulty>(*difficulty).difficulty, 512);
  const auto extranonce = parser_.from_server(R"({"id":null,"method":"mining.set_extranonce","params":["0xab","4"]})");
  ASSERT_TRUE(extranonce);
  EXPECT_EQ(std::get<SetExtranonce>(*extranonce).extranonce2_size, 4u);
  std::string line(kNotify);
  line.replace(line.find("false"), 5, "1");
  line.replace(line.find("\"bf\""), 4, "17");
  const auto notify = parser_.from_server(line);
  ASSERT_TRUE(notify);
  EXPECT_TRUE(std::get<Notify>(*notify).clean_jobs);
  EXPECT_EQ(std::get<Notify>(*notify).job_id, "17");
}

TEST_F(Sv1Parse, AHostilePoolCannotHandInWhatAMinerCannotHold) {
  EXPECT_FALSE(parser_.from_server(R"({"id":null,"method":"mining.set_extranonce","params":["00",32]})"));
  EXPECT_FALSE(parser_.from_server(R"({"id":null,"method":"mining.set_difficulty","params":[0]})"));
  EXPECT_FALSE(parser_.from_server(R"({"id":null,"method":"mining.notify","params":["1"]})"));
  const auto oversized = parser_.from_server(R"({"id":2,"error":null,"result":[[],"00112233",4000000000]})");
  ASSERT_TRUE(oversized);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(std::get<Response>(*oversized).result));
}

}  // namespace
}  // namespace adit::sv1
