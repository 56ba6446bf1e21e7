// A slow, obvious model of the pool's session, driven by bytes: for the random test beside it and for the fuzzer.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "bitcoin/block.h"
#include "channels/channel_testing.h"
#include "roles/pool/session.h"
#include "wire/messages.h"

namespace adit::pool::testing {

/// Runs the actions that `script` spells on one session and on the model; aborts where they differ. Every hash is a share here,
/// so that what decides is the rules.
class SessionModel final : public PoolEvents {
 public:
  explicit SessionModel(Bytes script) : script_(script) {}

  void run() {
    while (!script_.empty() && alive_) step();
    // Nothing accepted is lost: what was not acknowledged yet is at the end.
    if (alive_) {
      now_.instant += policy_.max_ack_delay;
      alive_ = session_.on_tick(now_, out_).has_value();
      read_answers();
      for (const auto& [id, channel] : channels_) require(channel.acknowledged == channel.accepted);
    }
    require(shard_.counters().shares_accepted == accepted_);
    require(shard_.counters().shares_rejected_total() == rejected_);
  }

  [[nodiscard]] std::uint64_t accepted() const { return accepted_; }
  [[nodiscard]] std::uint64_t rejected() const { return rejected_; }

  void on_block_found(const PoolSession&, const BlockFound&) override { std::abort(); }

 private:
  struct ChannelModel {
    channels::ChannelKind kind;
    std::uint32_t first_job;  ///< 0: none yet.
    std::uint32_t accepted = 0;
    std::uint32_t acknowledged = 0;
  };
  struct Key {
    std::uint32_t channel, job, nonce, ntime, version;
    std::vector<std::uint8_t> extranonce;
    auto operator<=>(const Key&) const = default;
  };
  static constexpr std::uint32_t kPastJobs = 3;

  static void require(bool holds) {
    if (!holds) std::abort();
  }

  std::uint8_t byte() {
    if (script_.empty()) return 0;
    const std::uint8_t value = script_[0];
    script_ = script_.subspan(1);
    return value;
  }

  template <class M>
  void send(const M& message) {
    wire::FrameBuffer in;
    require(in.push(message));
    deliver(in);
  }
  void deliver(const wire::FrameBuffer& in) {
    const std::vector<wire::FrameView> frames(in.begin(), in.end());
    alive_ = session_.on_frames(frames, now_, out_).has_value();
  }

  void step() {
    out_.clear();
    // What mostly ends a session is rare, so that most scripts go deep.
    switch (const std::uint8_t action = byte(); action < 2 ? action : 2 + action % 10) {
      case 0: {
        const bool standard_jobs = byte() % 4 == 0;
        const bool expected = !set_up_;
        send(wire::SetupConnection{
            .protocol = 0, .min_version = 2, .max_version = 2, .flags = standard_jobs ? wire::kRequiresStandardJobs : 0});
        require(alive_ == expected);
        set_up_ = true;
        standard_jobs_ = standard_jobs;
        break;
      }
      case 2:
        open(channels::ChannelKind::kStandard);
        break;
      case 3:
        open(channels::ChannelKind::kExtended);
        break;
      case 4: {
        const std::uint32_t id = byte() % 6;
        send(wire::CloseChannel{.channel_id = id, .reason_code = {}});
        read_answers();  // What was accepted is acknowledged before the channel goes.
        if (channels_.contains(id)) require(channels_[id].acknowledged == channels_[id].accepted);
        if (id == channels::kGroupChannelId && !standard_jobs_) channels_.clear();
        channels_.erase(id);
        break;
      }
      case 5: {
        const std::uint32_t id = byte() % 6;
        send(wire::UpdateChannel{
            .channel_id = id, .nominal_hash_rate = static_cast<float>(byte()), .maximum_target = bitcoin::U256::max().to_le()});
        if (alive_) require(answer_is<wire::UpdateChannelError>() == !channels_.contains(id));
        break;
      }
      case 6:
      case 7: {
        if (byte() % 3 == 0) ++tip_;
        shard_.set_job(*factory_.make(channels::testing::make_template(++job_, tip_)));
        if (tip_ != tip_of_jobs_) {
          tip_first_job_ = job_;
          opened_on_tip_ = 0;
        }
        tip_of_jobs_ = tip_;
        session_.on_job(out_);
        for (auto& [id, channel] : channels_) {
          if (channel.first_job == 0) channel.first_job = job_;
        }
        break;
      }
      case 8:
        now_.instant += std::chrono::milliseconds(100 * byte());
        alive_ = session_.on_tick(now_, out_).has_value();
        break;
      case 1: {
        // Anything at all: it may end the session, it may not change what shares are worth.
        wire::FrameBuffer in;
        const std::uint8_t type = byte();
        const std::array<std::uint8_t, 5> payload = {byte(), byte(), byte(), byte(), byte()};
        if (type == wire::CloseChannel::kType) break;
        require(in.push_raw({.extension_type = static_cast<std::uint16_t>(byte() % 3), .message_type = type}, payload));
        deliver(in);
        break;
      }
      default:
        submit();
    }
    if (!set_up_) {
      require(!alive_ || out_.empty());
    }
    read_answers();
  }

  template <class M>
  bool answer_is() const {
    return !out_.empty() && (*out_.begin()).template is<M>();
  }

  void open(channels::ChannelKind kind) {
    const bool extended = kind == channels::ChannelKind::kExtended;
    const auto target = bitcoin::U256::max().to_le();
    if (extended) {
      send(wire::OpenExtendedMiningChannel{
          .user_identity = std::string_view("m"), .nominal_hash_rate = 1, .max_target = target});
    } else {
      send(wire::OpenStandardMiningChannel{
          .user_identity = std::string_view("m"), .nominal_hash_rate = 1, .max_target = target});
    }
    require(alive_ == set_up_);
    if (!alive_) return;
    const bool refused =
        (extended && standard_jobs_) || channels_.size() >= policy_.max_channels || opened_on_tip_ >= 2 * policy_.max_channels;
    require(answer_is<wire::OpenMiningChannelError>() == refused);
    if (refused) return;
    ++opened_on_tip_;
    channels_[next_id_++] = {.kind = kind, .first_job = job_};
  }

  void submit() {
    const std::array<std::uint8_t, 20> bytes{static_cast<std::uint8_t>(byte() % 4)};  // Few different shares: many duplicates.
    const bool extended = byte() % 2 == 0;
    std::uint8_t how = byte();
    if (how >= 64) how = static_cast<std::uint8_t>(how & 0x12);  // Nothing wrong with most headers.
    const auto channel_id = static_cast<std::uint32_t>(2 + byte() % 4);
    const std::uint32_t job_id = job_ + 1 - byte() % 7u;
    const std::uint32_t version = 0x20000000 ^ (how & 1 ? 1u << (how >> 3) : 0);
    const std::uint32_t ntime = channels::testing::kNtime + (how & 2 ? 0u : how >> 4) - (how & 4 ? 1u : 0u);
    const std::size_t size = extended ? (byte() % 8 == 0 ? byte() % 21u : channels::kRollableExtranonceSize) : 0;
    const Bytes extranonce = Bytes(bytes).first(size);
    if (extended) {
      send(wire::SubmitSharesExtended{.channel_id = channel_id,
                                      .sequence_number = ++sequence_,
                                      .job_id = job_id,
                                      .nonce = 1,
                                      .ntime = ntime,
                                      .version = version,
                                      .extranonce = extranonce});
    } else {
      send(wire::SubmitSharesStandard{.channel_id = channel_id,
                                      .sequence_number = ++sequence_,
                                      .job_id = job_id,
                                      .nonce = bytes[0],
                                      .ntime = ntime,
                                      .version = version});
    }
    require(alive_ == set_up_);
    if (!alive_) return;
    const std::string_view expected = verdict(extended, {.channel = channel_id,
                                                         .job = job_id,
                                                         .nonce = extended ? 1u : bytes[0],
                                                         .ntime = ntime,
                                                         .version = version,
                                                         .extranonce = {extranonce.begin(), extranonce.end()}});
    if (expected.empty()) {
      ++accepted_;
      ++channels_.at(channel_id).accepted;
      require(!answer_is<wire::SubmitSharesError>());
    } else {
      ++rejected_;
      const auto error = (*out_.begin()).as<wire::SubmitSharesError>();
      require(error && error->error_code == expected && error->sequence_number == sequence_);
    }
  }

  /// The error code that the rules ask for, in their order (sv2-facts: SRI's); "" to accept.
  std::string_view verdict(bool extended, const Key& share) {
    const auto found = channels_.find(share.channel);
    if (found == channels_.end() || (found->second.kind == channels::ChannelKind::kExtended) != extended)
      return "invalid-channel-id";
    const std::uint32_t first = found->second.first_job;
    if (first == 0 || share.job < first || share.job > job_) return "invalid-job-id";
    if (share.job < tip_first_job_ || job_ - share.job > kPastJobs) return "stale-share";
    if (share.extranonce.size() != (extended ? channels::kRollableExtranonceSize : 0)) return "bad-extranonce-size";
    if (share.ntime < channels::testing::kNtime) return "invalid-share";
    if (((share.version ^ 0x20000000) & 0xe000001f) != 0) return "invalid-non-rollable-version-bit";
    if (!seen_.insert(share).second) return "duplicate-share";
    return "";
  }

  /// Every answer decodes, and acknowledgements cover what was accepted, once.
  void read_answers() {
    for (const wire::FrameView& frame : out_) {
      require(wire::message_name(frame.header) != "unknown");
      if (const auto success = frame.as<wire::SubmitSharesSuccess>()) {
        ChannelModel& channel = channels_.at(success->channel_id);
        channel.acknowledged += success->new_submits_accepted_count;
        require(success->new_submits_accepted_count != 0 && channel.acknowledged <= channel.accepted);
      }
    }
    out_.clear();
  }

  Bytes script_;
  Now now_ = channels::testing::kNow;
  SessionPolicy policy_{.channel = {.shares_per_minute = 1e30, .share_batch_size = 3}, .max_channels = 3};
  channels::JobFactory factory_ = channels::testing::make_factory();
  PoolShard shard_{policy_, {}, *this, kPastJobs};
  PoolSession session_{shard_, now_.instant};
  wire::FrameBuffer out_;
  bool alive_ = true;
  bool set_up_ = false;
  bool standard_jobs_ = false;
  std::uint8_t tip_ = 1;
  std::uint8_t tip_of_jobs_ = 0;
  std::uint32_t job_ = 0;
  std::uint32_t tip_first_job_ = 0;
  std::size_t opened_on_tip_ = 0;
  std::uint32_t next_id_ = channels::kFirstChannelId;
  std::uint32_t sequence_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t rejected_ = 0;
  std::map<std::uint32_t, ChannelModel> channels_;
  std::set<Key> seen_;
};

}  // namespace adit::pool::testing
