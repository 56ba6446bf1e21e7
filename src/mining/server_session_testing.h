// A session as its tests drive it: a client that sends one message a call and keeps the answers.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <cmath>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "channels/channel_testing.h"
#include "channels/client.h"
#include "channels/custom_job.h"
#include "mining/server_session.h"
#include "wire/messages.h"

namespace adit::mining {

using channels::ClientChannel;
using channels::ShareVerdict;
using channels::testing::kHardBits;
using channels::testing::kNtime;
using channels::testing::kRegtestBits;
using channels::testing::make_template;
using std::chrono::seconds;

struct Recorder final : ServerEvents {
  channels::LedgerPosition on_share(const ServerSession&, const channels::ShareRecord& share) override {
    shares.push_back(share);
    shares.back().user_identity = shares.back().worker = {};
    shares.back().payout = nullptr;
    if (keeps_payouts) share_payouts.push_back(share.payout == nullptr ? std::nullopt : std::optional(*share.payout));
    if (last_position) ++*last_position;
    return last_position.value_or(0);
  }
  bool on_block_found(const ServerSession&, const BlockFound& block) override {
    blocks.push_back(block);
    blocks.back().user_identity = {};
    blocks.back().payout = nullptr;
    block_payouts.push_back(block.payout == nullptr ? std::nullopt : std::optional(*block.payout));
    users.emplace_back(block.user_identity);
    return keeps_blocks;
  }
  void on_answers(ServerSession& session, const wire::FrameBuffer& frames) override { answers[&session].append(frames); }
  void on_job(ServerSession& session, const wire::FrameBuffer& frames) override {
    jobs.push_back({&session, {}});
    jobs.back().frames.append(frames);
  }
  void on_channel_refused(const ServerSession&, OpenRefusal refusal, std::string_view user_identity,
                          std::string_view reason) override {
    refused.emplace_back(refusal, user_identity);
    reasons.emplace_back(reason);
  }
  void on_time_refused(const ServerSession&, std::chrono::seconds ahead, std::string_view) override {
    times_refused.push_back(ahead);
  }
  void on_custom_block_found(const ServerSession&, const BlockFound&) override { ++custom_blocks; }
  void on_channel_opened(const ServerSession&, const channels::Channel& channel) override { opened.push_back(channel.id()); }

  std::optional<channels::LedgerPosition> last_position;  ///< Of a ledger, if there is one.
  bool keeps_blocks = false;
  std::vector<channels::ShareRecord> shares;  ///< Without their texts.
  bool keeps_payouts = false;
  std::vector<std::optional<channels::Payout>> share_payouts;  ///< If keeps_payouts.
  std::map<const ServerSession*, wire::FrameBuffer> answers;
  std::vector<BlockFound> blocks;
  std::vector<std::string> users;
  std::vector<std::optional<channels::Payout>> block_payouts;
  std::vector<std::uint32_t> opened;
  struct Given {
    const ServerSession* session;
    wire::FrameBuffer frames;
  };
  std::vector<Given> jobs;  ///< In the order in which they were given.
  std::vector<std::pair<OpenRefusal, std::string>> refused;
  std::vector<std::string> reasons;  ///< Of those.
  std::vector<std::chrono::seconds> times_refused;
  int custom_blocks = 0;
};

/// A client that sends one message a call and keeps the answers.
class Peer {
 public:
  Peer(const session::ServerOptions& options, ServerShard& shard, const Now& now, std::string source = {})
      : now_(now),
        source_(std::move(source)),
        side(options, {}, [&](const session::AcceptedSetup& setup) { return serve(shard, setup); }, now.instant) {}

  template <class M>
  Result<void> send(const M& message) {
    wire::FrameBuffer in;
    EXPECT_TRUE(in.push(message));
    return deliver(in);
  }
  Result<void> deliver(const wire::FrameBuffer& in) {
    out.clear();
    const std::vector<wire::FrameView> frames(in.begin(), in.end());
    return side.on_frames(frames, now_, out);
  }
  Result<void> tick() {
    out.clear();
    return side.on_tick(now_, out);
  }
  void job() {
    out.clear();
    session().on_job(out);
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
    return {.protocol = std::to_underlying(wire::Protocol::kMining), .min_version = 2, .max_version = 2, .flags = flags};
  }

  /// Once it is set up.
  [[nodiscard]] ServerSession& session() const { return *session_; }

 private:
  std::unique_ptr<session::ProtocolServer> serve(ServerShard& shard, const session::AcceptedSetup& setup) {
    auto made = std::make_unique<ServerSession>(shard, setup.flags, now_.instant, source_);
    session_ = made.get();
    return made;
  }

  const Now& now_;
  const std::string source_;
  ServerSession* session_ = nullptr;

 public:
  wire::FrameBuffer out;
  session::ServerSide side;
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
  static const channels::Channel& channel_of(const Peer& peer, std::uint32_t id) { return *peer.session().channel(id); }

  /// What a server offers under policy_ as it is now.
  const session::ServerOptions& options() {
    auto offer = ServerSession::offer();
    offer.supported_extensions = supported_extensions_;
    offer.required_extensions = required_extensions_;
    return all_options_.emplace_back(session::ServerOptions{.offers = {std::move(offer)}});
  }

  Now now_ = channels::testing::kNow;
  std::vector<std::uint16_t> supported_extensions_;
  std::vector<std::uint16_t> required_extensions_;
  std::deque<session::ServerOptions> all_options_;
  ServerPolicy policy_{.channel = {.shares_per_minute = 6, .share_batch_size = 2, .min_hash_rate_hps = 1}};
  Recorder events_;
  channels::JobFactory factory_ = channels::testing::make_factory();
  std::uint64_t templates_ = 0;
  ServerShard shard_{policy_, {.server_id = 1}, events_};
};

}  // namespace adit::mining
