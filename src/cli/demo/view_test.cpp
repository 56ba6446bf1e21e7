#include "cli/demo/view.h"

#include <string>

#include <gtest/gtest.h>

namespace adit::cli {
namespace {

TEST(DemoView, LearnsWhereToConnectFromWhatThePartsLog) {
  DemoView view(false, "iroh");
  view.on_log(Part::kPool, 0,
              R"({"level":"info","event":"pool.listening","transport":"tcp","url":"stratum2+tcp://127.0.0.1:1/K"})");
  EXPECT_EQ(view.pool_url(), "");
  view.on_log(Part::kPool, 0,
              R"({"level":"info","event":"pool.listening","transport":"iroh","url":"stratum2+iroh://ab/K?addr=127.0.0.1:2"})");
  EXPECT_EQ(view.pool_url(), "stratum2+iroh://ab/K?addr=127.0.0.1:2");
  view.on_log(Part::kTranslator, 0, R"({"level":"info","event":"translator.listening","address":"127.0.0.1:7"})");
  EXPECT_EQ(view.translator_address(), "127.0.0.1:7");
}

TEST(DemoView, SummarizesWhatThePoolCountedAndHowItWasReached) {
  DemoView view(false, "iroh");
  EXPECT_FALSE(view.summary().succeeded());
  view.on_log(Part::kPool, 1, R"({"level":"info","event":"pool.tip","height":8})");
  view.on_log(Part::kPool, 1,
              R"({"level":"debug","event":"pool.stats","shares_accepted":12,"shares_rejected":1,"blocks_found":7})");
  view.on_log(
      Part::kTranslator, 1,
      R"({"level":"info","event":"translator.upstream_connected","transport":"iroh","alpn":"adit/sv2/1","lanes":2,"peer":"ab"})");
  EXPECT_TRUE(view.on_log(Part::kTranslator, 1, R"({"level":"debug","event":"translator.path","path":"direct","rtt_us":180})"));
  EXPECT_FALSE(view.on_log(Part::kTranslator, 2, R"({"level":"debug","event":"translator.path","path":"direct","rtt_us":170})"))
      << "an unchanged path is no news";
  EXPECT_TRUE(view.summary().succeeded());
  EXPECT_EQ(
      view.summary().json(),
      R"({"shares_accepted":12,"shares_rejected":1,"blocks_found":7,"height":7,"upstream":{"transport":"iroh","alpn":"adit/sv2/1","lanes":2,"path":"direct","rtt_us":170}})");
  EXPECT_NE(view.closing().find("iroh on 2 lanes (adit/sv2/1), direct path"), std::string::npos) << view.closing();
}

TEST(DemoView, ShowsWhereItsPagesAre) {
  DemoView view(false, "iroh");
  const auto row =
      view.on_log(Part::kTranslator, 0,
                  R"({"level":"info","event":"monitor.listening","address":"127.0.0.1:7","url":"http://127.0.0.1:7/"})");
  ASSERT_TRUE(row);
  EXPECT_NE(row->find("translator  open in a browser: http://127.0.0.1:7/"), std::string::npos) << *row;
}

TEST(DemoView, ShowsTheFirstBlockAndThenCountsEachFewSeconds) {
  DemoView view(false, "iroh");
  const auto stats = [&](double at, int accepted) {
    return view
        .on_log(Part::kPool, at,
                R"({"level":"debug","event":"pool.stats","shares_rejected":0,"blocks_found":1,"shares_accepted":)" +
                    std::to_string(accepted) + "}")
        .has_value();
  };
  const auto block = [&] {
    return view.on_log(Part::kPool, 1, R"({"level":"info","event":"pool.block_found","height":1,"hash":"00"})").has_value();
  };
  EXPECT_TRUE(block());
  EXPECT_FALSE(block());
  EXPECT_TRUE(view.on_log(Part::kPool, 1, R"({"level":"debug","event":"pool.tip","height":1})"));
  EXPECT_FALSE(view.on_log(Part::kPool, 1, R"({"level":"debug","event":"pool.tip","height":2})"));
  EXPECT_EQ(view.summary().height, 1u);
  EXPECT_TRUE(stats(1, 5));
  EXPECT_FALSE(stats(2, 6)) << "so soon";
  EXPECT_TRUE(stats(6, 7));
  EXPECT_FALSE(stats(20, 7)) << "nothing new";
}

TEST(DemoView, ShowsWarningsWholeAndNothingOfDebugItDoesNotKnow) {
  DemoView view(false, "iroh");
  EXPECT_FALSE(view.on_log(Part::kPool, 0, R"({"level":"debug","event":"pool.other","a":1})"));
  const auto row =
      view.on_log(Part::kPool, 0, R"({"ts":"t","level":"warn","event":"pool.trouble","reason":"no \u001b[31m luck"})");
  ASSERT_TRUE(row);
  EXPECT_NE(row->find("pool.trouble  reason=no ?[31m luck"), std::string::npos) << *row;
}

TEST(DemoView, ALineThatIsNoEventIsShownAsItIs) {
  DemoView view(false, "iroh");
  const auto row = view.on_log(Part::kMiner, 1.5, "error: port in use");
  ASSERT_TRUE(row);
  EXPECT_EQ(*row, "   1.5s  miner       error: port in use");
}

}  // namespace
}  // namespace adit::cli
