// The keys about choosing between carriers: [transport], and `goodbye` of an upstream.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/common.h"

namespace adit::config {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

struct Read {
  upstream::SelectionPolicy policy;
  std::vector<UpstreamSettings> upstreams;
  std::string findings;
};

Read read(std::string_view toml) {
  auto document = Document::parse(toml, "t.toml", "TPROXY", {});
  Read out;
  Table root = document.root();
  out.policy = read_transport(root);
  out.upstreams = read_upstreams(root);
  for (const auto& finding : document.finish()) out.findings += finding.text() + "\n";
  return out;
}

TEST(TransportTable, SaysWhichCarrierComesFirstAndWhenTheNextJoinsTheRace) {
  const auto got = read("[transport]\nprefer = \"iroh\"\nrace_after_ms = 250\n");
  EXPECT_EQ(got.findings, "");
  EXPECT_EQ(got.policy.prefer, upstream::Prefer::kIroh);
  EXPECT_EQ(got.policy.race_after, 250ms);
  EXPECT_EQ(read("[transport]\nprefer = \"tcp\"\n").policy.prefer, upstream::Prefer::kTcp);
  EXPECT_EQ(read("").policy.prefer, upstream::Prefer::kAsListed);
}

TEST(TransportTable, EachFaultNamesItsLineAndTheNearestKey) {
  EXPECT_THAT(read("[transport]\nprefer = \"quic\"\n").findings, HasSubstr("t.toml:2: `prefer` must be \"iroh\" or \"tcp\""));
  EXPECT_THAT(read("[transport]\nrace_after = 5\n").findings, HasSubstr("did you mean `race_after_ms`?"));
  EXPECT_THAT(read("[transport]\nrace_after_ms = 1\n").findings, HasSubstr("t.toml:2"));
  EXPECT_THAT(read("[transport]\nstun_servers = [\"stun.example:3478\"]\n").findings, HasSubstr("external_addrs"));
}

TEST(TransportTable, GoodbyeIsAskedForPerUpstream) {
  const auto got = read(
      "[[upstreams]]\nurl = \"stratum2+tcp://127.0.0.1:3333\"\nuser_identity = \"a\"\ngoodbye = true\n"
      "[[upstreams]]\nurl = \"stratum2+tcp://127.0.0.1:3334\"\nuser_identity = \"a\"\n");
  EXPECT_EQ(got.findings, "");
  ASSERT_EQ(got.upstreams.size(), 2u);
  EXPECT_TRUE(got.upstreams[0].goodbye);
  EXPECT_FALSE(got.upstreams[1].goodbye);
}

}  // namespace
}  // namespace adit::config
