#include "monitor/families.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "monitor/prometheus_testing.h"

namespace adit::monitor {
namespace {

using test::PrometheusText;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::string text(const Families& families) {
  std::size_t left_out = 0;
  std::string out = families.text(1 << 20, left_out);
  EXPECT_EQ(left_out, 0u);
  return out;
}

TEST(Families, AFamilyIsOneHoweverFarApartItsSamplesAreAdded) {
  Families families;
  families.gauge("adit_connections", "Open connections").add(1, {{"transport", "tcp"}});
  families.counter("adit_shares_total", "Shares").add(7);
  families.gauge("adit_connections", "Open connections").add(2, {{"transport", "iroh"}});
  EXPECT_EQ(text(families),
            "# HELP adit_connections Open connections\n# TYPE adit_connections gauge\n"
            "adit_connections{transport=\"tcp\"} 1\nadit_connections{transport=\"iroh\"} 2\n"
            "# HELP adit_shares_total Shares\n# TYPE adit_shares_total counter\nadit_shares_total 7\n");
  EXPECT_THAT(families.defects(), IsEmpty());
}

TEST(Families, WhatMakesNoSenseIsNamedAndLeftOutAndTheRestIsWritten) {
  Families families;
  families.gauge("adit_a", "a").add(1);
  families.counter("adit_a", "a").add(2);
  families.gauge("adit_a", "another").add(3);
  families.gauge("adit_b_total", "b").add(4);
  families.counter("adit_c", "c").add(5);
  families.gauge("adit d", "d").add(6);
  families.gauge("adit_e", "e").add(7, {{"x", "1"}});
  families.gauge("adit_e", "e").add(8, {{"y", "1"}});
  families.gauge("adit_f", "f").add(9, {{"le ft", "1"}});
  families.histogram("adit_g", "g").add(10);
  families.gauge("adit_h", "h").add(Histogram{.bounds = {}, .counts = {1}});
  families.histogram("adit_i", "i").add(Histogram{.bounds = {1}, .counts = {1}});
  families.gauge("sv2_server_blocks_found_total", "SRI's own name").add(11);
  EXPECT_THAT(families.defects(), SizeIs(10));
  EXPECT_THAT(families.defects(), testing::Contains("adit_a is a gauge and a counter"));
  std::size_t left_out = 0;
  const PrometheusText read(families.text(1 << 20, left_out));
  EXPECT_EQ(read.value("adit_a"), 1);
  EXPECT_EQ(read.value("adit_e{x=\"1\"}"), 7);
  EXPECT_EQ(read.value("sv2_server_blocks_found_total"), 11);
  EXPECT_FALSE(read.value("adit_b_total"));
}

TEST(Families, NoTwoSamplesHaveEqualLabelsAsLookAlikesAreCountedTogether) {
  Families families;
  auto& shares = families.counter("adit_shares_total", "Shares");
  shares.add(1, {{"worker", "rig\xff"}});
  shares.add(2, {{"worker", "rig\xfe"}});
  shares.add(4, {{"worker", "rig\n"}});
  auto& times = families.histogram("adit_seconds", "Times");
  times.add({.bounds = {1}, .counts = {1, 2}, .sum = 9}, {{"worker", "a\x01"}});
  times.add({.bounds = {1}, .counts = {3, 4}, .sum = 1}, {{"worker", "a\x02"}});
  EXPECT_THAT(families.defects(), IsEmpty());
  const PrometheusText read(text(families));
  EXPECT_EQ(read.problem(), "");
  EXPECT_EQ(read.value("adit_shares_total{worker=\"rig\xef\xbf\xbd\"}"), 7);
  EXPECT_EQ(read.value("adit_seconds_bucket{worker=\"a\xef\xbf\xbd\",le=\"1\"}"), 4);
  EXPECT_EQ(read.value("adit_seconds_count{worker=\"a\xef\xbf\xbd\"}"), 10);
  EXPECT_EQ(read.value("adit_seconds_sum{worker=\"a\xef\xbf\xbd\"}"), 10);
}

TEST(Families, AHistogramIsCumulative) {
  Families families;
  families.histogram("adit_rtt_seconds", "Round trips")
      .add({.bounds = {0.1, 1}, .counts = {2, 3, 4}, .sum = 50}, {{"transport", "iroh"}});
  EXPECT_EQ(text(families),
            "# HELP adit_rtt_seconds Round trips\n# TYPE adit_rtt_seconds histogram\n"
            "adit_rtt_seconds_bucket{transport=\"iroh\",le=\"0.1\"} 2\n"
            "adit_rtt_seconds_bucket{transport=\"iroh\",le=\"1\"} 5\n"
            "adit_rtt_seconds_bucket{transport=\"iroh\",le=\"+Inf\"} 9\n"
            "adit_rtt_seconds_sum{transport=\"iroh\"} 50\nadit_rtt_seconds_count{transport=\"iroh\"} 9\n");
  EXPECT_EQ(PrometheusText(text(families)).problem(), "");
}

TEST(Families, ValuesAreExactAndThoseThatAreNotFiniteHaveTheirWords) {
  Families families;
  families.gauge("adit_a", "a").add(1e12 + 1);
  families.gauge("adit_b", "b").add(0.1);
  families.gauge("adit_c", "c").add(std::numeric_limits<double>::infinity());
  families.gauge("adit_d", "d").add(-std::numeric_limits<double>::infinity());
  families.gauge("adit_e", "e").add(std::numeric_limits<double>::quiet_NaN());
  const std::string all = text(families);
  for (const char* line :
       {"\nadit_a 1000000000001\n", "\nadit_b 0.1\n", "\nadit_c +Inf\n", "\nadit_d -Inf\n", "\nadit_e NaN\n"})
    EXPECT_THAT(all, HasSubstr(line));
  EXPECT_EQ(PrometheusText(all).problem(), "");
}

TEST(Families, LabelsCannotForgeALineAndAreCutAtTheLongestNameThereIs) {
  Families families;
  families.gauge("adit_a", "one\nline \\").add(1, {{"name", "a\"} 9\nadit_b 1 \\"}});
  const std::string all = text(families);
  EXPECT_EQ(all,
            "# HELP adit_a one\\nline \\\\\n# TYPE adit_a gauge\nadit_a{name=\"a\\\"} 9\xef\xbf\xbd"
            "adit_b 1 \\\\\"} 1\n");
  EXPECT_EQ(PrometheusText(all).problem(), "");
  EXPECT_EQ(label_value(std::string(300, 'x')), std::string(255, 'x'));
  EXPECT_EQ(label_value("a\xff\x01z"), "a\xef\xbf\xbd\xef\xbf\xbdz");
}

TEST(Families, ATextHasItsBoundAndSaysHowManySamplesItHasNoRoomFor) {
  Families families;
  for (int i = 0; i < 100; ++i) families.gauge("adit_a", "a").add(i, {{"n", std::to_string(i)}});
  families.histogram("adit_b", "b").add({.bounds = {1}, .counts = {1, 1}, .sum = 1});
  families.gauge("adit_c", "c").add(1);
  std::size_t left_out = 0;
  const std::string some = families.text(500, left_out);
  EXPECT_LE(some.size(), 500u);
  EXPECT_GT(some.size(), 400u);
  const PrometheusText read(some);
  EXPECT_EQ(read.problem(), "");
  EXPECT_EQ(read.samples().size() + left_out, 102u);
  EXPECT_EQ(families.size(), 102u);
}

TEST(Families, OthersAreTakenOverUnlessTheyWouldComeTwice) {
  Families role;
  role.gauge("adit_a", "a").add(1, {{"x", "1"}});
  role.gauge("adit_b", "b").add(2);
  Families all;
  all.gauge("adit_a", "a").add(3, {{"x", "2"}});
  all.append(role);
  EXPECT_THAT(all.defects(), IsEmpty());
  const PrometheusText read(text(all));
  EXPECT_EQ(read.problem(), "");
  EXPECT_EQ(read.value("adit_a{x=\"1\"}"), 1);
  EXPECT_EQ(read.value("adit_b"), 2);
  all.append(role);
  EXPECT_THAT(all.defects(), SizeIs(2));
}

// The reader of the tests refuses what a scraper refuses: else its silence would prove nothing.
TEST(PrometheusText, FindsEachRuleThatIsBroken) {
  const std::string head = "# HELP a h\n# TYPE a gauge\n";
  EXPECT_EQ(PrometheusText(head + "a 1\n").problem(), "");
  const std::string histogram = "# HELP h h\n# TYPE h histogram\n";
  const std::string good = "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n";
  EXPECT_EQ(PrometheusText(histogram + good).problem(), "");
  for (const std::string& bad : std::vector<std::string>{
           head + "a 1",
           head + "a{x=\"1\"} 1\na{x=\"1\"} 2\n",
           head + "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\n",
           head + "a{x=\"\\q\"} 1\n",
           head + "a{x=\"1} 1\n",
           head + "a{x=1} 1\n",
           head + "a{1x=\"1\"} 1\n",
           head + "a{} 1\n",
           head + "a  1\n",
           head + "a one\n",
           head + "a 0x1\n",
           head + "a\n",
           head + "b 1\n",
           head + "a{x=\"\xff\"} 1\n",
           head + "\n",
           "a 1\n",
           "# HELP a h\na 1\n",
           "# TYPE a gauge\n# HELP a h\na 1\n",
           head + "a 1\n" + head + "a{x=\"1\"} 2\n",
           head + "a 1\n# HELP b h\n# TYPE b gauge\nb 1\na{x=\"1\"} 2\n",
           "# HELP a h\n# TYPE a counter\na -1\n",
           "# HELP a h\n# TYPE a thing\na 1\n",
           histogram + "h_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
           histogram + "h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n",
           histogram + "h_bucket{le=\"2\"} 1\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n",
           histogram + "h_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 3\n",
           histogram + "h_bucket{le=\"+Inf\"} 2\nh_count 2\n",
           histogram + "h 1\n"}) {
    EXPECT_NE(PrometheusText(bad).problem(), "") << bad;
  }
}

}  // namespace
}  // namespace adit::monitor
