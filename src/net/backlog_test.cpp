#include "net/backlog.h"

#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace adit::net {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A connection that writes its name down when it is cut off.
class Connection final : public Backlog::Queue {
 public:
  Connection(std::vector<std::string>& cut, std::string name) : cut_(cut), name_(std::move(name)) {}

  std::string reason;

 private:
  void cut_off(std::string why) override {
    reason = std::move(why);
    cut_.push_back(name_);
  }

  std::vector<std::string>& cut_;
  std::string name_;
};

class BacklogTest : public testing::Test {
 protected:
  Connection& join(const std::string& source) {
    connections_.push_back(std::make_unique<Connection>(cut_, std::to_string(connections_.size())));
    connections_.back()->join(backlog_, source);
    return *connections_.back();
  }

  Backlog backlog_{BacklogBounds{.per_source = 1000, .in_all = 3000}};
  std::vector<std::string> cut_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

TEST_F(BacklogTest, OneConnectionAloneMayHaveAllThatItsSourceMay) {
  auto& alone = join("192.0.2.1");
  for (const std::size_t bytes : {1u, 500u, 1000u, 999u, 1000u}) alone.report(bytes);
  EXPECT_THAT(cut_, IsEmpty());
  EXPECT_EQ(backlog_.counts().bytes, 1000u);
  alone.report(0, true);
  EXPECT_EQ(backlog_.counts().bytes, 0u);
}

TEST_F(BacklogTest, OfASourceThatIsAboveItsBoundTheOneThatTookNothingForLongestIsCutOff) {
  auto& first = join("192.0.2.1");
  auto& second = join("192.0.2.1");
  auto& third = join("192.0.2.1");
  first.report(400);
  second.report(400);
  first.report(350, /*moved=*/true);  // It reads, however slowly.
  third.report(300);
  EXPECT_THAT(cut_, ElementsAre("1"));
  EXPECT_THAT(second.reason, HasSubstr("does not read"));
  EXPECT_THAT(second.reason, HasSubstr("400 bytes waited for it and 650 for others"));
  EXPECT_THAT(second.reason, HasSubstr("1000"));
  EXPECT_EQ(backlog_.counts().bytes, 650u);
  EXPECT_EQ(backlog_.counts().cut, 1u);
}

TEST_F(BacklogTest, WhoeverKeepsLittleWaitingIsNotCutOffForItsNeighbours) {
  auto& honest = join("2001:db8::/64");
  honest.report(10);  // The longest without a byte taken: a link that fails for a moment.
  for (int i = 0; i < 20; ++i) join("2001:db8::/64").report(300);
  EXPECT_EQ(cut_.size(), 17u) << "10 + 3 x 300 remain";
  EXPECT_EQ(honest.reason, "");
  EXPECT_EQ(cut_.front(), "1") << "the oldest of them first";
}

TEST_F(BacklogTest, AnotherSourceLosesNothingByIt) {
  auto& other = join("192.0.2.2");
  other.report(1000);
  for (int i = 0; i < 10; ++i) join("192.0.2.1").report(500);
  EXPECT_EQ(cut_.size(), 8u);
  EXPECT_EQ(other.reason, "");
}

TEST_F(BacklogTest, OfManySourcesTogetherTheLargestGivesWay) {
  auto& newcomer = join("192.0.2.200");
  newcomer.report(20);
  for (int source = 0; source < 3; ++source) join("192.0.2." + std::to_string(source)).report(900);
  EXPECT_THAT(cut_, IsEmpty());
  join("192.0.2.100").report(400);
  EXPECT_EQ(cut_.size(), 1u);
  EXPECT_EQ(cut_.front(), "1") << "no source within a factor of two of it came earlier";
  EXPECT_THAT(connections_[1]->reason, HasSubstr("all peers may be 3000"));
  newcomer.report(40);
  EXPECT_EQ(newcomer.reason, "") << "it is small, whatever the others do";
}

TEST_F(BacklogTest, TheOneWhoseBytesAreTooManyMayBeTheOneThatGoes) {
  auto& first = join("192.0.2.1");
  auto& second = join("192.0.2.1");
  first.report(100);
  second.report(950);
  EXPECT_THAT(cut_, ElementsAre("1"));
  second.report(2000);  // It has left: that is no news of it.
  second.report(0);
  EXPECT_EQ(backlog_.counts().bytes, 100u);
}

TEST_F(BacklogTest, NothingIsKeptOfWhoHasLeft) {
  auto& first = join("192.0.2.1");
  auto& second = join("192.0.2.1");
  first.report(10);
  first.leave();
  first.leave();
  EXPECT_EQ(backlog_.counts().sources, 1u);
  second.leave();
  EXPECT_EQ(backlog_.counts().sources, 0u);
  EXPECT_EQ(backlog_.counts().bytes, 0u);
}

TEST(BacklogBoundsTest, FourConnectionsAtTheirOwnBoundAreWithinIt) {
  for (const std::size_t own : {std::size_t{256} << 10, std::size_t{2} << 20, std::size_t{40} << 20}) {
    const auto bounds = BacklogBounds::above(own);
    EXPECT_GE(bounds.per_source, 4 * own);
    EXPECT_GE(bounds.in_all, 8 * bounds.per_source);
  }
  EXPECT_EQ(BacklogBounds::above(2u << 20).per_source, 16u << 20);
}

// Against a model that adds everything up anew: whatever peers do, no sum is above its bound, and nobody is cut off who keeps
// less waiting than the average of its source.
TEST(BacklogModel, NoSumIsEverAboveItsBoundWhateverPeersDo) {
  std::mt19937 random(20261130);
  const auto below = [&random](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
  std::vector<std::string> cut;
  Backlog backlog({.per_source = 5000, .in_all = 20'000});
  struct Modelled {
    std::unique_ptr<Connection> connection;
    std::size_t source;
    std::size_t bytes = 0;
  };
  std::vector<Modelled> all;
  for (std::size_t i = 0; i < 60; ++i) {
    all.push_back({.connection = std::make_unique<Connection>(cut, std::to_string(i)), .source = i % 7});
    all.back().connection->join(backlog, std::to_string(all.back().source));
  }
  for (int step = 0; step < 20'000; ++step) {
    const auto at = below(all.size());
    auto& one = all[at];
    const bool reads = below(3) == 0;
    const std::size_t bytes = reads ? below(one.bytes + 1) : one.bytes + below(1000);
    std::array<std::size_t, 7> before{};
    std::array<std::size_t, 7> waiting{};
    for (const auto& other : all) {
      const auto held = &other == &one ? bytes : other.bytes;
      before[other.source] += held;
      waiting[other.source] += held != 0 ? 1 : 0;
    }
    one.bytes = bytes;
    cut.clear();
    one.connection->report(bytes, reads);
    for (const auto& name : cut) {
      auto& gone = all[std::stoul(name)];
      ASSERT_GE(gone.bytes * waiting[gone.source], before[gone.source]) << "at step " << step;
      before[gone.source] -= gone.bytes;
      --waiting[gone.source];
      gone.bytes = 0;
      gone.connection = std::make_unique<Connection>(cut, name);  // It comes back.
      gone.connection->join(backlog, std::to_string(gone.source));
    }
    std::array<std::size_t, 7> sums{};
    std::size_t in_all = 0;
    for (const auto& other : all) {
      sums[other.source] += other.bytes;
      in_all += other.bytes;
    }
    for (const auto sum : sums) ASSERT_LE(sum, 5000u) << "at step " << step;
    ASSERT_LE(in_all, 20'000u) << "at step " << step;
    ASSERT_EQ(backlog.counts().bytes, in_all) << "at step " << step;
  }
  EXPECT_GT(backlog.counts().cut, 1000u);
}

}  // namespace
}  // namespace adit::net
