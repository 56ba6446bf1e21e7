// A session as its tests drive it: a client that sends one message a call and keeps the answers.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <cmath>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "channels/channel_testing.h"
#include "channels/client.h"
#include "channels/custom_job.h"
#include "roles/pool/session.h"
#include "wire/messages.h"

namespace adit::pool {

using channels::ClientChannel;
using channels::ShareVerdict;
using channels::testing::kHardBits;
using channels::testing::kNtime;
using channels::testing::kRegtestBits;
using channels::testing::make_template;
using std::chrono::seconds;

struct Recorder final : PoolEvents {
  void on_block_found(const PoolSession&, const BlockFound& block) override {
    blocks.push_back(block);
    blocks.back().user_identity = {};
    users.emplace_back(block.user_identity);
  }
  void on_custom_block_found(const PoolSession&, const BlockFound&) override { ++custom_blocks; }
  void on_channel_opened(const PoolSession&, const channels::Channel& channel) override { opened.push_back(channel.id()); }

  std::vector<BlockFound> blocks;
  std::vector<std::string> users;
  std::vector<std::uint32_t> opened;
  int custom_blocks = 0;
};

/// A client that sends one message a call and keeps the answers.
class Peer {
 public:
  Peer(PoolShard& shard, const Now& now) : now_(now), session(shard, now.instant) {}

  template <class M>
  Result<void> send(const M& message) {
    wire::FrameBuffer in;
    EXPECT_TRUE(in.push(message));
    return deliver(in);
  }
  Result<void> deliver(const wire::FrameBuffer& in) {
    out.clear();
    const std::vector<wire::FrameView> frames(in.begin(), in.end());
    return session.on_frames(frames, now_, out);
  }
  Result<void> tick() {
    out.clear();
    return session.on_tick(now_, out);
  }
  void job() {
    out.clear();
    session.on_job(out);
  }

  [[nodiscard]] std::vector<wire::FrameView> answers() const { return {out.begin(), out.end()}; }
  /// The answer at `index`, which must be an M.
  template <class M>
  M answer(std::size_t index = 0) const {
    const auto frames = answers();
    if (index >= frames.size()) {
      ADD_FAILURE() << "no answer " << index;
      return {};
    }
    const auto message = frames[index].as<M>();
    if (!message) {
      ADD_FAILURE() << wire::to_string(frames[index]);
      return {};
    }
    return *message;
  }

  void set_up(std::uint32_t flags = 0) {
    ASSERT_TRUE(send(setup(flags)));
    EXPECT_EQ(answer<wire::SetupConnectionSuccess>().used_version, 2);
  }
  static wire::SetupConnection setup(std::uint32_t flags = 0) {
    return {.protocol = wire::kMiningProtocol, .min_version = 2, .max_version = 2, .flags = flags};
  }

  const Now& now_;
  wire::FrameBuffer out;
  PoolSession session;
};

inline const wire::U256 kAnyTarget = bitcoin::U256::max().to_le();

inline wire::OpenStandardMiningChannel open_standard(float hash_rate = 1) {
  return {
      .request_id = 7, .user_identity = std::string_view("miner.1"), .nominal_hash_rate = hash_rate, .max_target = kAnyTarget};
}
inline wire::OpenExtendedMiningChannel open_extended(std::uint16_t min_extranonce_size = 4, float hash_rate = 1) {
  return {.request_id = 8,
          .user_identity = std::string_view("miner.2"),
          .nominal_hash_rate = hash_rate,
          .max_target = kAnyTarget,
          .min_extranonce_size = min_extranonce_size};
}

class SessionTest : public ::testing::Test {
 protected:
  void SetUp() override { publish(1); }

  void publish(std::uint8_t tip, std::uint32_t nbits = kHardBits) {
    shard_.set_job(*factory_.make(make_template(++templates_, tip, nbits, 2)));
  }

  /// A share of the current job under that full extranonce that meets `target` but not the network's.
  channels::Share mine(Bytes full_extranonce, const bitcoin::U256& target, std::uint32_t from_nonce) {
    const channels::Job& job = *shard_.jobs().current();
    return channels::testing::mine(
        job, {.job_id = job.id, .nonce = from_nonce, .ntime = kNtime, .version = job.rules.version, .extranonce = {}},
        full_extranonce, target, job.rules.network_target);
  }

  /// Opens a standard channel on `peer` and returns its id; the first job is among the answers.
  std::uint32_t open_standard_on(Peer& peer) {
    EXPECT_TRUE(peer.send(open_standard()));
    return peer.answer<wire::OpenStandardMiningChannelSuccess>().channel_id;
  }
  wire::SubmitSharesStandard standard_share(Peer& peer, std::uint32_t channel_id, std::uint32_t sequence) {
    const auto& channel = channel_of(peer, channel_id);
    const auto share = mine(channel.full_extranonce({}), channel.target(), sequence * 1'000'000);
    return {.channel_id = channel_id,
            .sequence_number = sequence,
            .job_id = share.job_id,
            .nonce = share.nonce,
            .ntime = share.ntime,
            .version = share.version};
  }
  static const channels::Channel& channel_of(const Peer& peer, std::uint32_t id) {
    return *std::ranges::find(peer.session.channels(), id, &channels::Channel::id);
  }

  Now now_ = channels::testing::kNow;
  SessionPolicy policy_{.channel = {.shares_per_minute = 6, .share_batch_size = 2, .min_hash_rate_hps = 1}};
  Recorder events_;
  channels::JobFactory factory_ = channels::testing::make_factory();
  std::uint64_t templates_ = 0;
  PoolShard shard_{policy_, {.server_id = 1}, events_};
};

}  // namespace adit::pool
