#include "roles/load/sv1_session.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace adit::load {
namespace {

using namespace std::chrono_literals;

/// A server whose every hash is a share, and whose every second hash is a block.
class LoadSv1Session : public testing::Test {
 protected:
  void SetUp() override {
    session_.start();
    session_.output().clear();
    receive(R"({"id":1,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000"},"error":null})");
    receive(R"({"id":2,"result":[[["mining.notify","1"]],"00aa",4],"error":null})");
    receive(R"({"id":3,"result":true,"error":null})");
    receive(R"({"id":null,"method":"mining.set_difficulty","params":[1e-10]})");
    EXPECT_FALSE(session_.ready());
    notify("a", '1');
  }

  void receive(const std::string& line) {
    ASSERT_TRUE(session_.receive(as_bytes(line + "\n"), {at_, UnixTime{1'700'000'000s}}));
  }
  void notify(const std::string& id, char tip) {
    receive(R"({"id":null,"method":"mining.notify","params":[")" + id + R"(",")" + std::string(64, tip) +
            R"(","01","02",[],"20000000","207fffff","6553f100",true]})");
  }
  /// What was submitted since the last call, a line each.
  std::vector<std::string> submitted() {
    std::vector<std::string> lines;
    std::string text = std::exchange(session_.output(), {});
    for (std::size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1))
      lines.push_back(text.substr(0, end));
    return lines;
  }

  SessionOptions options_{.user = "load", .in_flight = 4};
  Meter meter_;
  Instant at_{};
  Sv1Session session_{options_, meter_, 3};
};

TEST_F(LoadSv1Session, TheFirstWorkIsAnsweredByAShareOfAWorkerOfItsOwn) {
  const auto lines = submitted();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find(R"("method":"mining.submit","params":["load.3","a","00000000","6553f100")"), std::string::npos)
      << lines[0];
  EXPECT_FALSE(session_.ready());
  receive(R"({"id":4,"result":true,"error":null})");
  EXPECT_TRUE(session_.ready());
}

TEST_F(LoadSv1Session, WhatIsNotAnsweredHoldsFurtherSharesBack) {
  EXPECT_EQ(session_.submit(100, at_), 3u) << "the first share waits too";
  EXPECT_EQ(session_.submit(100, at_), 0u);
  at_ += 3ms;
  receive(R"({"id":4,"result":true,"error":null})");
  receive(R"({"id":5,"result":null,"error":[21,"Job not found",null]})");
  receive(R"({"id":99,"result":true,"error":null})");
  EXPECT_EQ(session_.submit(100, at_), 2u);
  EXPECT_EQ(meter_.submitted, 6u);
  EXPECT_EQ(meter_.accepted, 1u);
  EXPECT_EQ(meter_.rejected.at("Job not found"), 1u);
  EXPECT_EQ(meter_.acknowledged.count(), 1u);
  EXPECT_GE(meter_.acknowledged.quantile(0.5), 3ms);
}

TEST_F(LoadSv1Session, OnlyATipAfterTheFirstWorkIsATip) {
  notify("b", '1');
  EXPECT_TRUE(meter_.tips.empty());
  at_ += 1s;
  notify("c", '2');
  ASSERT_EQ(meter_.tips.size(), 1u);
  EXPECT_EQ(meter_.tips[0].heard, (std::vector<Tip::Hearing>{{3, at_}}));
  (void)submitted();
  EXPECT_EQ(session_.submit(1, at_), 1u);
  EXPECT_NE(submitted().at(0).find(R"("c")"), std::string::npos);
}

TEST_F(LoadSv1Session, ATargetOutOfReachIsCountedAndTheMinerListensAllTheSame) {
  Sv1Session hard(options_, meter_, 4);
  hard.start();
  const std::string said = R"({"id":2,"result":[[["mining.notify","1"]],"00aa",4],"error":null}
{"id":3,"result":true,"error":null}
{"id":null,"method":"mining.set_difficulty","params":[1e9]}
{"id":null,"method":"mining.notify","params":["a",")" +
                           std::string(64, '1') +
                           R"(","01","02",[],"20000000","1d00ffff","6553f100",true]}
)";
  ASSERT_TRUE(hard.receive(as_bytes(said), {at_, UnixTime{1'700'000'000s}}));
  EXPECT_TRUE(hard.ready());
  EXPECT_EQ(meter_.not_found, 1u);
}

}  // namespace
}  // namespace adit::load
