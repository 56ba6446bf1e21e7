// A slow, obvious model of the pool's session, driven by bytes: for the random test beside it and for the fuzzer.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/require_testing.h"
#include "bitcoin/block.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/merkle.h"
#include "channels/channel_testing.h"
#include "mining/server_session.h"
#include "wire/messages.h"

namespace adit::mining::testing {

/// Runs the actions that `script` spells on one session and on the model; aborts where they differ.
///
/// The model is a client that believes what it is sent: it keeps jobs, prefixes, targets and groups from the messages alone,
/// hashes every share itself, and knows from the rules what must come back. On the way it holds the session to what the
/// specification says of the order of messages. About every second hash is a share.
class SessionModel final : public ServerEvents, public CustomJobValidator {
 public:
  explicit SessionModel(Bytes script) : script_(script) {}

  void run() {
    while (!script_.empty() && alive_) step();
    // Nothing accepted is lost: what was not acknowledged yet is at the end, as far as the ledger has it.
    if (alive_) {
      now_.instant += policy_.max_ack_delay;
      alive_ = side_.on_tick(now_, out_).has_value();
      read_answers();
      if (!ledger_fails_) {
        if (session_ != nullptr) session_->finish(out_);
        move_ledger(last_position_);
        for (const auto& [id, channel] : channels_) require(channel.acknowledged == channel.accepted.size());
        for (const auto& [id, channel] : closed_) require(channel.acknowledged == channel.accepted.size());
        require(session_ == nullptr || session_->settled());
      }
    }
    require(shard_.counters().shares_accepted == hashes_.size());
    require(shard_.counters().shares_rejected_total() == rejected_);
    require(shard_.counters().work_sum == work_);
  }

  [[nodiscard]] std::uint64_t accepted() const { return hashes_.size(); }
  [[nodiscard]] std::uint64_t rejected() const { return rejected_; }
  /// How often each refusal came, and each of the rarer actions was taken.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& reached() const { return reached_; }

  bool on_block_found(const ServerSession&, const BlockFound&) override {
    require(false);
    return false;
  }
  channels::LedgerPosition on_share(const ServerSession&, const channels::ShareRecord& share) override {
    require(share.work > channels::Work() && !share.block);
    const ChannelModel& channel = channels_.at(share.channel_id);
    require(share.user_identity == channel.identity);
    require((share.payout == nullptr ? std::nullopt : std::optional(*share.payout)) == channel.payout);
    if (ledger_delays_ || durable_ != last_position_) ++last_position_;
    return positions_[share.sequence_number] = last_position_;
  }
  void on_answers(ServerSession& session, const wire::FrameBuffer& frames) override {
    require(&session == session_);
    for (const wire::FrameView& frame : frames) {
      require(frame.is<wire::SubmitSharesSuccess>());
      read(frame);
    }
  }
  Verdict check(const ServerSession&, const wire::SetCustomMiningJob& message, const Now&) override {
    return {.error_code = message.mining_job_token.empty() ? "invalid-mining-job-token" : "", .block_template = nullptr};
  }

 private:
  struct JobModel {
    std::uint32_t id = 0;
    bool future = false;
    std::uint32_t version = 0;
    std::optional<bitcoin::Hash256> root;  ///< Of a standard job; else the parts.
    std::vector<std::uint8_t> coinbase_prefix, coinbase_suffix;
    std::vector<bitcoin::Hash256> path;
    std::vector<std::uint8_t> extranonce_prefix;  ///< When it was sent.
    bitcoin::U256 target;                         ///< When it became active.
    bitcoin::Hash256 prev_hash{};
    std::uint32_t nbits = 0;
    std::uint32_t min_ntime = 0;
  };
  struct ChannelModel {
    channels::ChannelKind kind;
    std::uint32_t group = 0;
    bool regrouped = false;
    std::string_view identity;
    std::optional<channels::Payout> payout;  ///< Of its own, as a client understands its identity.
    std::vector<std::uint8_t> prefix;
    bitcoin::U256 target;
    bitcoin::U256 max_target;
    float declared = 0;
    std::vector<JobModel> jobs;     ///< Valid ones, oldest first.
    std::set<std::uint32_t> given;  ///< All ids that it ever heard.
    std::optional<wire::SetNewPrevHash> tip;
    std::optional<Instant> twin_at;       ///< When the current job last came again.
    std::vector<std::uint64_t> accepted;  ///< Where the ledger has each share.
    std::size_t acknowledged = 0;
  };
  static constexpr std::string_view kMalformed = "sri/donate/100/bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
  /// As many of the pool's own as of all others together.
  static constexpr std::array<std::string_view, 8> kIdentities = {"m",
                                                                  "m.w",
                                                                  "",
                                                                  "sri/donate/w",
                                                                  kMalformed,
                                                                  "sri/solo/bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080/w",
                                                                  "sri/donate/10/bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
                                                                  "sri/solo/mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn"};
  static constexpr std::uint32_t kPastJobs = 3;
  static constexpr std::size_t kMaxCustomJobs = 5;

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
    alive_ = side_.on_frames(frames, now_, out_).has_value();
  }

  template <class M>
  std::optional<M> first_answer() const {
    if (out_.empty()) return std::nullopt;
    const auto message = (*out_.begin()).template as<M>();
    return message ? std::optional<M>(*message) : std::nullopt;
  }

  /// Of a channel, a group, or nothing.
  std::uint32_t some_id() { return byte() % 8; }

  void step() {
    out_.clear();
    // What mostly ends a session is rare, so that most scripts go deep.
    switch (const std::uint8_t action = byte(); action < 2 ? action : 2 + action % 16) {
      case 0:
        set_up();
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
      case 2:
      case 3:
        open(action % 2 == 0 ? channels::ChannelKind::kStandard : channels::ChannelKind::kExtended);
        break;
      case 4:
        close(some_id(), byte() % 2 == 0);
        break;
      case 5:
        update(some_id());
        break;
      case 6:
      case 7:
        new_job();
        break;
      case 8:
        now_.instant += std::chrono::milliseconds(100 * byte());
        alive_ = side_.on_tick(now_, out_).has_value();
        break;
      case 9:
        change_prefix(some_id());
        break;
      case 10:
        regroup(some_id());
        break;
      case 11:
      case 12:
        set_custom_job(some_id());
        break;
      case 13:
        ledger();
        break;
      case 14:
        give_more();
        break;
      default:
        submit();
    }
    if (!set_up_) require(!alive_ || out_.empty());
    read_answers();
  }

  void set_up() {
    const std::uint8_t how = byte();
    const std::uint8_t kind = how % 4;
    const bool expected = !set_up_;
    const std::uint32_t flags = kind == 0 ? wire::kRequiresStandardJobs : kind == 1 ? wire::kRequiresWorkSelection : 0;
    send(wire::SetupConnection{.protocol = 0, .min_version = 2, .max_version = 2, .flags = flags});
    require(alive_ == expected);
    set_up_ = true;
    standard_jobs_ = kind == 0;
    work_selection_ = kind == 1;
    follows_pool_ = work_selection_ && alive_ && (how & 4) != 0;
    if (!follows_pool_) return;
    const std::array<std::uint16_t, 1> adit = {wire::kAditExtension};
    send(wire::RequestExtensions{.request_id = 1, .requested_extensions = adit});
    send(wire::FollowPoolTip{});
    require(alive_);
    ++reached_["FollowPoolTip"];
  }

  /// Every second, third or fourth hash is a share, or each; never with work above what a double tells exactly.
  float some_rate() { return static_cast<float>(byte() % 4) * 0.1F; }
  [[nodiscard]] bitcoin::U256 target_for(float rate, const bitcoin::U256& max_target) const {
    const double assumed = std::max(static_cast<double>(rate), policy_.channel.min_hash_rate_hps);
    return std::min(bitcoin::target_from_hash_rate(assumed, policy_.channel.shares_per_minute), max_target);
  }

  void open(channels::ChannelKind kind) {
    const bool extended = kind == channels::ChannelKind::kExtended;
    const auto most = bitcoin::U256::max();
    const float rate = some_rate();
    const std::string_view identity = kIdentities[byte() % kIdentities.size()];
    if (extended) {
      send(wire::OpenExtendedMiningChannel{.user_identity = identity, .nominal_hash_rate = rate, .max_target = most.to_le()});
    } else {
      send(wire::OpenStandardMiningChannel{.user_identity = identity, .nominal_hash_rate = rate, .max_target = most.to_le()});
    }
    require(alive_ == set_up_);
    if (!alive_) return;
    const bool refused = (extended ? standard_jobs_ : work_selection_) || channels_.size() >= policy_.max_channels ||
                         opened_on_tip_ >= 2 * policy_.max_channels || identity == kMalformed;
    require(first_answer<wire::OpenMiningChannelError>().has_value() == refused);
    if (refused) return;
    ++opened_on_tip_;
    const auto payout = channels::payout_of(identity);
    ChannelModel channel{.kind = kind,
                         .identity = identity,
                         .payout = payout ? std::optional(*payout) : std::nullopt,
                         .target = target_for(rate, most),
                         .max_target = most,
                         .declared = rate};
    const std::uint32_t id = next_id_++;
    const std::uint32_t group = group_for(channel);
    if (extended) {
      const auto opened = first_answer<wire::OpenExtendedMiningChannelSuccess>();
      require(opened && opened->channel_id == id && opened->target == channel.target.to_le());
      require(opened->extranonce_size == channels::kRollableExtranonceSize);
      channel.group = opened->group_channel_id;
      require(channel.group == group);
      set_prefix(channel, opened->extranonce_prefix);
    } else {
      const auto opened = first_answer<wire::OpenStandardMiningChannelSuccess>();
      require(opened && opened->channel_id == id && opened->target == channel.target.to_le());
      channel.group = opened->group_channel_id;
      require(channel.group == group);
      set_prefix(channel, opened->extranonce_prefix);
    }
    channels_[id] = std::move(channel);
  }

  /// Whoever is paid alike is in one group, and nobody else; the first group is used before there is another.
  std::uint32_t group_for(const ChannelModel& channel) {
    if (standard_jobs_) return channels::kGroupChannelId;
    bool first_is_free = true;
    for (const auto& [id, other] : channels_) {
      if (!other.regrouped && other.payout == channel.payout) return other.group;
      if (other.group == channels::kGroupChannelId) first_is_free = false;
    }
    ++reached_["a group for another payout"];
    return first_is_free ? channels::kGroupChannelId : next_id_++;
  }

  /// No two channels have had the same prefix on one tip, and all full extranonces have one size.
  void set_prefix(ChannelModel& channel, Bytes prefix) {
    channel.prefix.assign(prefix.begin(), prefix.end());
    std::vector<std::uint8_t> front = channel.prefix;
    const std::size_t rolled = channel.kind == channels::ChannelKind::kExtended ? channels::kRollableExtranonceSize : 0;
    require(front.size() + rolled == channels::kFullExtranonceSize);
    front.resize(channels::kExtranoncePrefixSize);
    require(prefixes_.insert(front).second);
  }

  [[nodiscard]] bool addresses(std::uint32_t id, std::uint32_t channel_id, const ChannelModel& channel) const {
    return id == channel_id || (!standard_jobs_ && id == channel.group);
  }

  void close(std::uint32_t id, bool by_client) {
    const auto is_addressed = [&](const auto& entry) { return addresses(id, entry.first, entry.second); };
    const bool any = std::ranges::any_of(channels_, is_addressed);
    if (by_client) {
      send(wire::CloseChannel{.channel_id = id, .reason_code = {}});
    } else {
      if (session_ == nullptr) return;
      require(session_->close(id, "", now_, out_).has_value() == any);
    }
    read_answers();  // What was accepted is acknowledged before the channel goes.
    if (!alive_ || !any) return;
    for (const auto& entry : channels_) {
      if (!is_addressed(entry)) continue;
      const ChannelModel& channel = entry.second;
      require(channel.acknowledged == channel.accepted.size() || channel.accepted.back() > durable_);
      closed_.insert(entry);
    }
    std::erase_if(channels_, is_addressed);
    require(session_->channels().size() == channels_.size());
  }

  void update(std::uint32_t id) {
    const float rate = some_rate();
    const auto most = bitcoin::U256::max() >> (byte() % 8 == 0 ? 1 : 0);
    send(wire::UpdateChannel{.channel_id = id, .nominal_hash_rate = rate, .maximum_target = most.to_le()});
    if (!alive_) return;
    const auto found = channels_.find(id);
    require(first_answer<wire::UpdateChannelError>().has_value() == (found == channels_.end()));
    if (found == channels_.end()) return;
    ChannelModel& channel = found->second;
    channel.max_target = most;
    if (rate != channel.declared) {
      channel.declared = rate;
      const auto target = target_for(rate, most);
      const auto set = first_answer<wire::SetTarget>();
      require(set.has_value() == (target != channel.target));
      require(!set || (set->channel_id == id && set->maximum_target == target.to_le()));
    }
  }

  void new_job() {
    if (byte() % 3 == 0) ++tip_;
    shard_.set_job(*factory_.make(channels::testing::make_template(++job_, tip_, channels::testing::kHardBits, tip_ % 3)));
    if (tip_ != tip_of_jobs_) {
      opened_on_tip_ = 0;
      prefixes_.clear();
      for (const auto& [id, channel] : channels_) {
        prefixes_.emplace(channel.prefix.begin(), channel.prefix.begin() + channels::kExtranoncePrefixSize);
      }
    }
    new_tip_ = tip_ != tip_of_jobs_;
    tip_of_jobs_ = tip_;
    give_more();
    // Nothing but the jobs and, behind those of a slice and in their order, a SetNewPrevHash for each that is a future one.
    std::deque<std::uint32_t> future;
    for (const wire::FrameView& frame : out_) {
      if (const auto tip = frame.as<wire::SetNewPrevHash>()) {
        require(!future.empty() && tip->channel_id == future.front());
        future.pop_front();
      } else {
        require(frame.is<wire::NewMiningJob>() || frame.is<wire::NewExtendedMiningJob>());
        if (is_future(frame)) future.push_back(channel_id_of(frame));
      }
    }
    require(future.empty());
    // Where each channel waits for its turn, the tip holds before the channel hears of it.
    for (auto& [id, channel] : channels_) {
      if (new_tip_ && ((work_selection_ && !follows_pool_) || standard_jobs_)) channel.jobs.clear();
      if (standard_jobs_) std::erase_if(channel.jobs, [&](const JobModel& job) { return job.id + kPastJobs < job_; });
    }
    read_answers();
    if (!more_to_give_) require_all_have_the_job();
  }

  /// Channels that need a job each get it a few at a time.
  void give_more() {
    if (session_ == nullptr || job_ == 0) return;
    const bool due = more_to_give_ || session_job_ != job_;
    session_job_ = job_;
    std::size_t some = standard_jobs_ ? byte() % 3U : SIZE_MAX;
    more_to_give_ = session_->give_job(out_, some);
    require(due || out_.empty());
    if (more_to_give_) ++reached_["a job in slices"];
  }

  void require_all_have_the_job() const {
    for (const auto& [id, channel] : channels_) {
      require((work_selection_ && !follows_pool_) ||
              std::ranges::any_of(channel.jobs, [&](const JobModel& job) { return job.id == job_; }));
    }
  }

  static bool is_future(const wire::FrameView& frame) {
    if (const auto job = frame.as<wire::NewMiningJob>()) return !job->min_ntime.has_value();
    const auto job = frame.as<wire::NewExtendedMiningJob>();
    return job && !job->min_ntime.has_value();
  }

  /// Begins to delay, ends it, makes some or all of it durable, or fails for good.
  void ledger() {
    const std::uint8_t how = byte();
    if (how < 4) ledger_fails_ = true;
    ledger_delays_ = how % 2 == 0;
    if (last_position_ == durable_) return;
    ++reached_["the ledger lags"];
    move_ledger(how % 4 == 3 ? last_position_ : durable_ + how % (last_position_ - durable_ + 1));
  }

  void move_ledger(std::uint64_t position) {
    if (ledger_fails_) return;
    read_answers();
    durable_ = position;
    shard_.on_durable(position);
  }

  void change_prefix(std::uint32_t id) {
    if (!set_up_) return;
    const bool there = channels_.contains(id);
    require(session_->change_prefix(id, out_).has_value() == there);
    const auto set = first_answer<wire::SetExtranoncePrefix>();
    require(set.has_value() == there);
    if (there) {
      ++reached_["SetExtranoncePrefix"];
      require(set->channel_id == id);
      set_prefix(channels_[id], set->extranonce_prefix);
    }
  }

  void regroup(std::uint32_t id) {
    if (!set_up_) return;
    const std::array<std::uint32_t, 1> ids = {id};
    const auto group = session_->regroup(ids, out_);
    if (!group) {
      std::set<std::uint32_t> groups = {channels::kGroupChannelId};
      for (const auto& [channel_id, channel] : channels_) groups.insert(channel.group);
      require(standard_jobs_ || !channels_.contains(id));
      return;
    }
    ++reached_["SetGroupChannel"];
    require(!standard_jobs_ && *group == next_id_);
    ++next_id_;
    const auto set = first_answer<wire::SetGroupChannel>();
    require(set && set->group_channel_id == *group && set->channel_ids.size() == 1 && set->channel_ids[0] == id);
    channels_.at(id).group = *group;
    channels_.at(id).regrouped = true;
  }

  void set_custom_job(std::uint32_t id) {
    const std::uint8_t how = byte();
    const channels::Job* tip = shard_.jobs().current();
    const auto prefix = bitcoin::height_push(100U + tip_of_jobs_);
    const std::vector<std::uint8_t> outputs = {1, how, 0, 0, 0, 0, 0, 0, 0, 1, 0x51};
    const std::array<std::uint8_t, 1> token = {1};
    wire::SetCustomMiningJob message{.channel_id = id,
                                     .request_id = how,
                                     .mining_job_token = how % 8 == 1 ? Bytes() : Bytes(token),
                                     .version = 0x20000000,
                                     .prev_hash = channels::testing::hash_of(how % 8 == 2 ? std::uint8_t{0xee} : tip_of_jobs_),
                                     .min_ntime = channels::testing::kNtime,
                                     .nbits = channels::testing::kHardBits,
                                     .coinbase_tx_version = 2,
                                     .coinbase_prefix = prefix,
                                     .coinbase_tx_outputs = outputs};
    send(message);
    require(alive_ == set_up_);
    if (!alive_) return;
    std::vector<ChannelModel*> members;
    std::size_t valid = 0;
    std::uint32_t job_id = channels::kFirstCustomJobId;
    for (auto& [channel_id, channel] : channels_) {
      valid += static_cast<std::size_t>(std::ranges::count_if(channel.jobs, is_custom));
      if (channel.kind != channels::ChannelKind::kExtended || !addresses(id, channel_id, channel)) continue;
      members.push_back(&channel);
      if (!channel.given.empty()) job_id = std::max(job_id, *channel.given.rbegin() + 1);
    }
    const std::string_view expected = !work_selection_                          ? "invalid-mining-job-token"
                                      : members.empty()                         ? "invalid-channel-id"
                                      : valid + members.size() > kMaxCustomJobs ? "too-many-custom-jobs"
                                      : tip == nullptr || how % 8 == 2          ? "stale-chain-tip"
                                      : how % 8 == 1                            ? "invalid-mining-job-token"
                                                                                : "";
    if (!expected.empty()) {
      ++reached_[std::string(expected)];
      const auto error = first_answer<wire::SetCustomMiningJobError>();
      require(error && error->error_code == expected && error->request_id == how && error->channel_id == id);
      return;
    }
    ++reached_["SetCustomMiningJob"];
    const auto success = first_answer<wire::SetCustomMiningJobSuccess>();
    require(success && success->channel_id == id && success->request_id == how && success->job_id == job_id);
    for (ChannelModel* channel : members) {
      JobModel job{.id = job_id,
                   .version = message.version,
                   .extranonce_prefix = channel->prefix,
                   .target = channel->target,
                   .prev_hash = message.prev_hash,
                   .nbits = message.nbits,
                   .min_ntime = message.min_ntime};
      const std::vector<std::uint8_t> front = {2, 0, 0, 0, 1};
      job.coinbase_prefix = front;
      job.coinbase_prefix.resize(front.size() + 32);
      job.coinbase_prefix.insert(job.coinbase_prefix.end(), 4, 0xff);
      job.coinbase_prefix.push_back(static_cast<std::uint8_t>(prefix.size() + channels::kFullExtranonceSize));
      job.coinbase_prefix.insert(job.coinbase_prefix.end(), prefix.begin(), prefix.end());
      job.coinbase_suffix = {0, 0, 0, 0};
      job.coinbase_suffix.insert(job.coinbase_suffix.end(), outputs.begin(), outputs.end());
      job.coinbase_suffix.insert(job.coinbase_suffix.end(), 4, 0x00);
      channel->jobs.push_back(std::move(job));
      channel->given.insert(job_id);
      if (static_cast<std::size_t>(std::ranges::count_if(channel->jobs, is_custom)) > kPastJobs + 1) {
        channel->jobs.erase(std::ranges::find_if(channel->jobs, is_custom));
      }
    }
  }

  static bool is_custom(const JobModel& job) { return job.id >= channels::kFirstCustomJobId; }

  /// A share as a script spells it: mostly a good one, few different ones.
  struct Submission {
    std::uint32_t channel_id = 0;
    bool extended = false;
    channels::Share share;
    std::array<std::uint8_t, 20> extranonce{};
  };
  Submission some_share() {
    Submission made;
    made.extranonce[0] = byte() % 4;  // Many duplicates.
    const std::uint8_t which = byte();
    made.channel_id = 2 + which % 5u;
    if (!channels_.empty() && which % 8 != 7)
      made.channel_id = std::next(channels_.begin(), which % std::ssize(channels_))->first;
    const auto found = channels_.find(made.channel_id);
    std::uint8_t how = byte();
    if (how >= 64) how = static_cast<std::uint8_t>(how & 0x12);  // Nothing wrong with most.
    made.extended = how % 16 == 8;
    if (found != channels_.end()) {
      made.extended = made.extended != (found->second.kind == channels::ChannelKind::kExtended);
    }
    channels::Share& share = made.share;
    const std::uint8_t back = byte();
    share.job_id = job_ + 1 - (back < 128 ? 1u : back % 7u);
    if (work_selection_ && (!follows_pool_ || back % 2 == 0)) {
      share.job_id = channels::kFirstCustomJobId + back % 5u;
      if (found != channels_.end() && back < 128 && !found->second.jobs.empty()) share.job_id = found->second.jobs.back().id;
    }
    if (!work_selection_ && found != channels_.end() && back < 64 && !found->second.jobs.empty()) {
      share.job_id = found->second.jobs.back().id;
    }
    share.sequence_number = ++sequence_;
    share.nonce = made.extended ? 1u : made.extranonce[0];
    share.version = 0x20000000 ^ (how & 1 ? 1u << (how >> 1) % 32 : 0);
    share.ntime = channels::testing::kNtime + (how & 2 ? 0u : how >> 4) - (how & 4 ? 1u : 0u);
    share.extranonce = Bytes();
    if (made.extended) {
      const std::size_t size = how / 8 == 4 ? byte() % 21u : channels::kRollableExtranonceSize;
      share.extranonce = Bytes(made.extranonce).first(size);
    }
    return made;
  }

  static void push(const Submission& submission, wire::FrameBuffer& in) {
    const channels::Share& share = submission.share;
    if (submission.extended) {
      require(in.push(wire::SubmitSharesExtended{.channel_id = submission.channel_id,
                                                 .sequence_number = share.sequence_number,
                                                 .job_id = share.job_id,
                                                 .nonce = share.nonce,
                                                 .ntime = share.ntime,
                                                 .version = share.version,
                                                 .extranonce = Bytes(submission.extranonce).first(share.extranonce.size())}));
    } else {
      require(in.push(wire::SubmitSharesStandard{.channel_id = submission.channel_id,
                                                 .sequence_number = share.sequence_number,
                                                 .job_id = share.job_id,
                                                 .nonce = share.nonce,
                                                 .ntime = share.ntime,
                                                 .version = share.version}));
    }
  }

  /// One share, or a few that arrive together.
  void submit() {
    std::vector<Submission> shares;
    const std::size_t count = std::array<std::size_t, 4>{1, 1, 2, 5}[byte() % 4];
    wire::FrameBuffer in;
    for (std::size_t i = 0; i < count; ++i) push(shares.emplace_back(some_share()), in);
    deliver(in);
    require(alive_ == set_up_);
    if (!alive_) return;
    std::map<std::uint32_t, std::string> refused;
    for (const wire::FrameView& frame : out_) {
      if (const auto error = frame.as<wire::SubmitSharesError>()) {
        require(refused.emplace(error->sequence_number, error->error_code.view()).second);
      }
    }
    for (Submission& submission : shares) {
      submission.share.extranonce = Bytes(submission.extranonce).first(submission.share.extranonce.size());
      const std::string_view expected = verdict(submission.extended, submission.channel_id, submission.share);
      const auto found = refused.find(submission.share.sequence_number);
      require((found == refused.end() ? "" : found->second) == expected);
      if (expected.empty()) {
        channels_.at(submission.channel_id).accepted.push_back(positions_.at(submission.share.sequence_number));
      } else {
        ++rejected_;
        ++reached_[std::string(expected)];
      }
    }
  }

  /// The error code that the rules ask for, in their order (sv2-facts: SRI's); "" to accept.
  std::string_view verdict(bool extended, std::uint32_t channel_id, const channels::Share& share) {
    const auto found = channels_.find(channel_id);
    if (found == channels_.end() || (found->second.kind == channels::ChannelKind::kExtended) != extended)
      return "invalid-channel-id";
    const ChannelModel& channel = found->second;
    const auto job =
        std::ranges::find_if(channel.jobs, [&](const JobModel& known) { return !known.future && known.id == share.job_id; });
    if (job == channel.jobs.end()) {
      const bool skipped = share.job_id >= channels::kFirstCustomJobId && !channel.given.empty() &&
                           share.job_id < *channel.given.rbegin();  // Another member of its group had that one.
      return channel.given.contains(share.job_id) || skipped ? "stale-share" : "invalid-job-id";
    }
    if (share.extranonce.size() != (extended ? channels::kRollableExtranonceSize : 0)) return "bad-extranonce-size";
    if (share.ntime < tip_ntime(*job)) return "invalid-share";
    if (((share.version ^ job->version) & 0xe000001f) != 0) return "invalid-non-rollable-version-bit";

    bitcoin::BlockHeader header{.version = share.version,
                                .prev_hash = job->prev_hash,
                                .merkle_root = job->root.value_or(bitcoin::Hash256{}),
                                .ntime = share.ntime,
                                .nbits = job->nbits,
                                .nonce = share.nonce};
    if (!job->root) {
      std::vector<std::uint8_t> coinbase = job->coinbase_prefix;
      coinbase.insert(coinbase.end(), job->extranonce_prefix.begin(), job->extranonce_prefix.end());
      coinbase.insert(coinbase.end(), share.extranonce.begin(), share.extranonce.end());
      coinbase.insert(coinbase.end(), job->coinbase_suffix.begin(), job->coinbase_suffix.end());
      header.merkle_root = bitcoin::fold_merkle_path(bitcoin::sha256d(coinbase), job->path);
    }
    const auto hash = header.hash();
    if (bitcoin::U256::from_le(hash) > job->target) return "difficulty-too-low";
    // Never a second time: on no channel, under no job, on no tip.
    if (!hashes_.insert(hash).second) return "duplicate-share";
    work_ += channels::Work::of(job->target);
    return "";
  }

  /// The least ntime of shares: the tip's, whatever the job itself begins with; a custom job's own.
  static std::uint32_t tip_ntime(const JobModel& job) { return job.min_ntime; }

  void read_answers() {
    for (const wire::FrameView& frame : out_) {
      // The job comes again right behind the target, or not at all.
      const auto job_id = job_id_of(frame);
      const bool twin = job_id && *job_id >= channels::kFirstCustomJobId;
      require(twin == (twin_for_ != 0));
      if (twin) {
        ++reached_["a job again"];
        require(channel_id_of(frame) == std::exchange(twin_for_, 0));
      }
      read(frame);
    }
    require(twin_for_ == 0);
    out_.clear();
  }

  static std::optional<std::uint32_t> job_id_of(const wire::FrameView& frame) {
    if (const auto standard = frame.as<wire::NewMiningJob>()) return standard->job_id;
    const auto extended = frame.as<wire::NewExtendedMiningJob>();
    return extended ? std::optional(extended->job_id) : std::nullopt;
  }
  static std::uint32_t channel_id_of(const wire::FrameView& frame) {
    const auto standard = frame.as<wire::NewMiningJob>();
    return standard ? standard->channel_id : frame.as<wire::NewExtendedMiningJob>()->channel_id;
  }

  /// Whether the current job is due once more on the channel, whose target became easier.
  bool twin_is_due(ChannelModel& channel) const {
    const bool has_job = std::ranges::any_of(channel.jobs, [&](const JobModel& job) { return job.id == job_; });
    if (work_selection_ || !has_job) return false;
    if (channel.twin_at && now_.instant - *channel.twin_at < channels::Channel::kTwinEvery) return false;
    channel.twin_at = now_.instant;
    return true;
  }

  void read(const wire::FrameView& frame) {
    require(wire::message_name(frame.header) != "unknown");
    if (const auto success = frame.as<wire::SubmitSharesSuccess>()) {
      const auto found = channels_.find(success->channel_id);
      ChannelModel& channel = found == channels_.end() ? closed_.at(success->channel_id) : found->second;
      channel.acknowledged += success->new_submits_accepted_count;
      require(success->new_submits_accepted_count != 0 && channel.acknowledged <= channel.accepted.size());
      require(channel.accepted[channel.acknowledged - 1] <= durable_);  // Never ahead of the ledger.
    } else if (const auto standard = frame.as<wire::NewMiningJob>()) {
      ChannelModel& channel = channels_.at(standard->channel_id);
      require(channel.kind == channels::ChannelKind::kStandard);
      give(channel, {.id = standard->job_id, .version = standard->version, .root = standard->merkle_root}, standard->min_ntime);
    } else if (const auto job = frame.as<wire::NewExtendedMiningJob>()) {
      for_each(job->channel_id, [&](ChannelModel& channel) {
        JobModel made{.id = job->job_id, .version = job->version};
        made.coinbase_prefix.assign(job->coinbase_tx_prefix.begin(), job->coinbase_tx_prefix.end());
        made.coinbase_suffix.assign(job->coinbase_tx_suffix.begin(), job->coinbase_tx_suffix.end());
        for (const wire::U256& node : job->merkle_path) made.path.push_back(node);
        const channels::Payout all_to_pool{.script = policy_.payouts.pool_script};
        require(channels::check_payout(channel.payout.value_or(all_to_pool), made.coinbase_prefix,
                                       channels::kFullExtranonceSize, made.coinbase_suffix)
                    .has_value());
        give(channel, std::move(made), job->min_ntime);
      });
    } else if (const auto tip = frame.as<wire::SetNewPrevHash>()) {
      for_each(tip->channel_id, [&](ChannelModel& channel) { activate(channel, *tip); });
    } else if (const auto target = frame.as<wire::SetTarget>()) {
      ChannelModel& channel = channels_.at(target->channel_id);
      const auto before = std::exchange(channel.target, bitcoin::U256::from_le(target->maximum_target));
      require(channel.target <= channel.max_target);
      if (channel.target > before && twin_is_due(channel)) twin_for_ = target->channel_id;
    }
  }

  /// A message to that id reaches a channel, or the members of a group, and somebody at least.
  template <class Do>
  void for_each(std::uint32_t id, Do what) {
    bool reached = false;
    for (auto& [channel_id, channel] : channels_) {
      if (!addresses(id, channel_id, channel)) continue;
      reached = true;
      what(channel);
    }
    require(reached);
  }

  void give(ChannelModel& channel, JobModel job, std::optional<std::uint32_t> min_ntime) {
    require(channel.given.insert(job.id).second);  // No id twice (SV2 05 §5.3.15).
    job.extranonce_prefix = channel.prefix;
    job.future = !min_ntime.has_value();
    if (!job.future) {
      require(channel.tip.has_value());  // The first is a future one (SV2 05 §5.3.15).
      job.target = channel.target;
      job.prev_hash = channel.tip->prev_hash;
      job.nbits = channel.tip->nbits;
      job.min_ntime = channel.tip->min_ntime;
      require(*min_ntime >= job.min_ntime);
    }
    const bool twin = is_custom(job);
    const auto same_kind = [twin](const JobModel& known) { return is_custom(known) == twin; };
    channel.jobs.push_back(std::move(job));
    if (std::cmp_greater(std::ranges::count_if(channel.jobs, same_kind), twin ? channels::Channel::kMaxTwins : kPastJobs + 1)) {
      channel.jobs.erase(std::ranges::find_if(channel.jobs, same_kind));
    }
  }

  void activate(ChannelModel& channel, const wire::SetNewPrevHash& tip) {
    // Only for a job that was sent as a future one (sv2-spec #209); all others are void.
    std::erase_if(channel.jobs, [&](const JobModel& job) { return job.id != tip.job_id; });
    require(channel.jobs.size() == 1 && channel.jobs[0].future);
    channel.tip = tip;
    JobModel& job = channel.jobs[0];
    job.future = false;
    job.target = channel.target;
    job.prev_hash = tip.prev_hash;
    job.nbits = tip.nbits;
    job.min_ntime = tip.min_ntime;
  }

  Bytes script_;
  Now now_ = channels::testing::kNow;
  ServerPolicy policy_{
      .channel = {.shares_per_minute = 6,
                  .share_batch_size = 3,
                  .min_hash_rate_hps = 0.1,
                  .max_declared_factor = 1e300},  // What was measured is for other tests.
      .payouts = {.pool_script = {0x00, 0x14, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20},
                  .solo = true},
      .max_channels = 3,
      .source = {.allowance = 1 << 30},
      .custom_jobs = this,
      .max_custom_jobs = kMaxCustomJobs};
  channels::JobFactory factory_ = channels::testing::make_factory();
  ServerShard shard_{policy_, {}, *this, kPastJobs};
  ServerSession* session_ = nullptr;  ///< Once it is set up.
  session::ServerOptions options_{.offers = {ServerSession::offer()}};
  session::ServerSide side_{options_,
                            {},
                            [this](const session::AcceptedSetup& setup) {
                              auto made = std::make_unique<ServerSession>(shard_, setup.flags, now_.instant);
                              session_ = made.get();
                              return made;
                            },
                            now_.instant};
  wire::FrameBuffer out_;
  bool alive_ = true;
  bool set_up_ = false;
  bool standard_jobs_ = false;
  bool work_selection_ = false;
  bool follows_pool_ = false;  ///< And is given the pool's jobs all the same.
  bool new_tip_ = false;
  bool more_to_give_ = false;
  std::uint32_t twin_for_ = 0;     ///< The channel to which the current job is due once more; 0: to none.
  std::uint32_t session_job_ = 0;  ///< The job that the session has begun to give.
  std::uint8_t tip_ = 1;
  std::uint8_t tip_of_jobs_ = 0;
  std::uint32_t job_ = 0;
  std::size_t opened_on_tip_ = 0;
  std::uint32_t next_id_ = channels::kFirstChannelId;
  std::uint32_t sequence_ = 0;
  std::uint64_t rejected_ = 0;
  std::map<std::string, std::uint64_t> reached_;
  bool ledger_delays_ = false;
  bool ledger_fails_ = false;
  std::uint64_t last_position_ = 0;
  std::uint64_t durable_ = 0;
  std::map<std::uint32_t, std::uint64_t> positions_;  ///< Where the ledger has shares, by their numbers.
  std::map<std::uint32_t, ChannelModel> channels_;
  std::map<std::uint32_t, ChannelModel> closed_;
  std::set<std::vector<std::uint8_t>> prefixes_;  ///< Used on this tip.
  std::set<bitcoin::Hash256> hashes_;             ///< Of all accepted shares.
  channels::Work work_;
};

}  // namespace adit::mining::testing
