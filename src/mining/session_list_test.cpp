// What a server tells of its sessions: everything a monitor shows of a channel, within bounds.
#include "mining/session_list.h"

#include <gtest/gtest.h>

#include <string>

#include "mining/server_session_testing.h"

namespace adit::mining {
namespace {

TEST_F(SessionTest, AListHasWhatAChannelIsAndWhatItsSharesCameTo) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const auto standard = open_standard_on(peer);
  ASSERT_TRUE(peer.send(open_extended()));
  const auto share = standard_share(peer, standard, 5);
  ASSERT_TRUE(peer.send(share));
  const auto list = list_sessions({&peer.session()}, {}, now_.instant);
  ASSERT_EQ(list.listed.size(), 1u);
  const SessionInfo& session = list.listed[0];
  EXPECT_EQ(session.channels_total, 2u);
  EXPECT_EQ(session.extended_channels, 1u);
  EXPECT_DOUBLE_EQ(session.hash_rate_hps, list.hash_rate_hps);
  ASSERT_EQ(session.channels.size(), 2u);
  const auto& first = session.channels[0].id == standard ? session.channels[0] : session.channels[1];
  const auto& second = session.channels[0].id == standard ? session.channels[1] : session.channels[0];
  const channels::Channel& channel = channel_of(peer, standard);
  EXPECT_EQ(first.target, channel.target());
  EXPECT_EQ(first.max_target, bitcoin::U256::from_le(kAnyTarget));
  EXPECT_EQ(first.extranonce_prefix.size(), channels::kFullExtranonceSize);
  EXPECT_EQ(first.extranonce_size, 0u);
  EXPECT_EQ(second.extranonce_prefix.size() + second.extranonce_size, channels::kFullExtranonceSize);
  EXPECT_EQ(first.stats.accepted, 1u);
  EXPECT_EQ(first.last_sequence_number, 5u);
  EXPECT_EQ(second.last_sequence_number, 0u);
  EXPECT_GT(first.best_difficulty, 0);
  EXPECT_EQ(second.best_difficulty, 0);
  EXPECT_EQ(first.shares_per_minute, policy_.channel.shares_per_minute);
  EXPECT_EQ(first.share_batch_size, policy_.channel.share_batch_size);
}

TEST_F(SessionTest, AListIsBoundedAndItsSumsAreOfAll) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  for (int i = 0; i < 5; ++i) open_standard_on(peer);
  const auto list = list_sessions({&peer.session()}, {.channels = 2}, now_.instant);
  ASSERT_EQ(list.listed.size(), 1u);
  EXPECT_EQ(list.listed[0].channels.size(), 2u);
  EXPECT_EQ(list.listed[0].channels_total, 5u);
  EXPECT_DOUBLE_EQ(list.listed[0].hash_rate_hps, 5 * channel_of(peer, 2).hash_rate_hps());
  EXPECT_TRUE(list_sessions({&peer.session()}, {.connections = 0}, now_.instant).listed.empty());
}

}  // namespace
}  // namespace adit::mining
