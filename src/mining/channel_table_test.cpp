#include "mining/channel_table.h"

#include <gtest/gtest.h>

#include <vector>

namespace adit::mining {
namespace {

class ChannelTableTest : public ::testing::Test {
 protected:
  channels::Channel& add(std::uint32_t id) {
    auto opened = channels::Channel::open({.id = id, .nominal_hash_rate_hps = 1, .max_target = bitcoin::U256::max()}, "m",
                                          std::move(*extranonces_.allocate()), policy_, Instant{});
    return table_.add(std::move(*opened));
  }

  channels::ChannelPolicy policy_;
  channels::ExtranonceAllocator extranonces_{{.server_id = 1}};
  ChannelTable table_;
};

TEST_F(ChannelTableTest, ChannelsStayWhereTheyAreWhateverIsClosed) {
  std::vector<channels::Channel*> at;
  for (std::uint32_t id = 2; id < 102; ++id) at.push_back(&add(id));
  for (std::uint32_t id = 2; id < 102; id += 2) table_.erase(id);
  EXPECT_EQ(table_.size(), 50u);
  EXPECT_TRUE(table_.sorted());
  for (std::uint32_t id = 2; id < 102; ++id) EXPECT_EQ(table_.find(id), id % 2 == 0 ? nullptr : at[id - 2]) << id;
  EXPECT_EQ(table_.find(0), nullptr);
  EXPECT_EQ(table_.find(500), nullptr);
  EXPECT_EQ(extranonces_.live(), 50u) << "what was closed has given its prefix back";
}

TEST_F(ChannelTableTest, GoesOnFromAnyId) {
  for (const std::uint32_t id : {3U, 5U, 9U}) add(id);
  EXPECT_EQ(table_.first_from(0)->id(), 3u);
  EXPECT_EQ(table_.first_from(5)->id(), 5u);
  EXPECT_EQ(table_.first_from(6)->id(), 9u);
  EXPECT_EQ(table_.first_from(10), nullptr);
}

}  // namespace
}  // namespace adit::mining
