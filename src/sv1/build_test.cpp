#include "sv1/build.h"

#include <gtest/gtest.h>

#include "base/hex.h"
#include "sv1/difficulty.h"
#include "sv1/parse.h"

namespace adit::sv1 {
namespace {

TEST(Sv1Build, ANotifyReadsBackAsItself) {
  Notify job;
  job.job_id = "1f\"";
  for (std::size_t i = 0; i < 32; ++i) job.prev_hash[i] = static_cast<std::uint8_t>(i);
  job.coinbase1 = {1, 2, 3};
  job.coinbase2 = {};
  job.merkle_path = {job.prev_hash, {}};
  job.version = 0x20000000;
  job.nbits = 0x207fffff;
  job.ntime = 0x66000000;
  job.clean_jobs = true;
  std::string line;
  append_notify(line, job);
  ASSERT_EQ(line.back(), '\n');
  EXPECT_NE(line.find("\"03020100070605040b0a0908"), std::string::npos) << "the previous hash goes out by words, each reversed";
  Parser parser;
  auto back = parser.from_server(line.substr(0, line.size() - 1));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(std::get<Notify>(*back), job);
}

TEST(Sv1Build, WholeDifficultiesHaveNoFraction) {
  const auto line_of = [](double difficulty) {
    std::string line;
    append_set_difficulty(line, difficulty);
    return line;
  };
  EXPECT_EQ(line_of(512), R"({"id":null,"method":"mining.set_difficulty","params":[512]})"
                          "\n");
  EXPECT_EQ(line_of(1.0 / 1024), R"({"id":null,"method":"mining.set_difficulty","params":[0.0009765625]})"
                                 "\n");
}

TEST(Sv1Build, FirmwareGetsPowersOfTwoFromOneUpAndNeverMoreThanAsked) {
  EXPECT_EQ(difficulty_for_firmware(1), 1);
  EXPECT_EQ(difficulty_for_firmware(1.99), 1);
  EXPECT_EQ(difficulty_for_firmware(2), 2);
  EXPECT_EQ(difficulty_for_firmware(1000), 512);
  EXPECT_EQ(difficulty_for_firmware(1023.9), 512);
  EXPECT_EQ(difficulty_for_firmware(1023.99999), 1024);
  EXPECT_EQ(difficulty_for_firmware(1e12), 549755813888.0);
  EXPECT_EQ(difficulty_for_firmware(0.3), 0.3);
}

TEST(Sv1Build, TextOfAPeerCannotBreakOutOfItsString) {
  std::string line;
  append_error(line, Id(1), Reject::kOther, "a\"b\\c\nd");
  EXPECT_EQ(line, "{\"id\":1,\"result\":null,\"error\":[20,\"a\\\"b\\\\c\\nd\",null]}\n");
}

}  // namespace
}  // namespace adit::sv1
