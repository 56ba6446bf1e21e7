#include "mining/server_session.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>

#include "base/invariant.h"
#include "channels/custom_job.h"
#include "session/dispatch.h"
#include "wire/messages.h"
#include "wire/tlv.h"

namespace adit::mining {
namespace {

using channels::Channel;
using channels::ChannelKind;
using channels::ShareVerdict;

// Error codes as SRI words them (mining_sv2, common_messages_sv2); free text since sv2-spec #194.
constexpr std::string_view kInvalidChannelId = "invalid-channel-id";
constexpr std::string_view kInvalidHashRate = "invalid-nominal-hashrate";
constexpr std::string_view kMaxTargetOutOfRange = "max-target-out-of-range";
constexpr std::string_view kJobDeclarationNotSupported = "jd-not-supported";
constexpr std::string_view kInvalidToken = "invalid-mining-job-token";
constexpr std::string_view kTooManyCustomJobs = "too-many-custom-jobs";

/// What a peer may have refused beyond what it had accepted, even if its source has nothing left: others behind one address
/// must not be cut off by their first mistake.
constexpr std::uint64_t kGrace = 10;

std::unexpected<Error> protocol_error(const wire::FrameView& frame, std::string_view what) {
  return fail(session::Errc::kProtocol, std::string(wire::message_name(frame.header)) + ": " + std::string(what));
}

channels::Share to_share(const auto& message) {
  channels::Share share{.job_id = message.job_id,
                        .sequence_number = message.sequence_number,
                        .nonce = message.nonce,
                        .ntime = message.ntime,
                        .version = message.version,
                        .extranonce = {}};
  if constexpr (requires { message.extranonce; }) share.extranonce = message.extranonce;
  return share;
}

void push_acknowledgement(std::uint32_t channel_id, const channels::Acknowledgement& batch, wire::FrameBuffer& out) {
  out.push(wire::SubmitSharesSuccess{.channel_id = channel_id,
                                     .last_sequence_number = batch.last_sequence_number,
                                     .new_submits_accepted_count = batch.accepted_count,
                                     .new_shares_sum = batch.work_sum.whole()});
}

bool is_plain_text(std::string_view text) {
  return text.size() <= 255 &&
         std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

const channels::Payout* payout_of(const Channel& channel) {
  return channel.payee() == nullptr ? nullptr : &channel.payee()->payout();
}

}  // namespace

std::string_view open_error_code(OpenRefusal refusal) {
  constexpr std::array<std::string_view, kOpenRefusals> kCodes = {"extended-channels-not-supported-for-standard-jobs",
                                                                  "standard-channels-not-supported-for-custom-work",
                                                                  "channel-capacity-exhausted",
                                                                  "min-extranonce-size-too-large",
                                                                  kMaxTargetOutOfRange,
                                                                  "invalid-user-identity",
                                                                  kInvalidHashRate,
                                                                  "no-work"};
  return kCodes[static_cast<std::size_t>(refusal)];
}

std::uint64_t ServerCounters::shares_rejected_total() const {
  return std::accumulate(shares_rejected.begin(), shares_rejected.end(), std::uint64_t{0});
}

ServerShard::~ServerShard() {
  ADIT_INVARIANT(counters_.sessions == 0 && counters_.standard_channels == 0 && counters_.extended_channels == 0);
  ADIT_INVARIANT(waiting_.empty());
  ADIT_INVARIANT(counters_.payouts == 0);
}

void ServerShard::set_job(channels::JobPtr job) {
  if (job->new_tip) extranonces_.on_new_tip();
  jobs_.add(std::move(job));
  job_is_new_ = true;
}

void ServerShard::wait_for_job(ServerSession& session) {
  if (std::exchange(session.waits_for_job_, true)) return;
  session.source_->waiting_for_job.push_back(&session);
  if (!std::exchange(session.source_->in_round, true)) round_.push_back(session.source_);
}

bool ServerShard::give_jobs() {
  const auto give = [this](ServerSession& session, std::size_t& max_channels) {
    out_.clear();
    const bool more = session.give_job(out_, max_channels);
    if (!out_.empty()) events_.on_job(session, out_);
    return more;
  };
  if (std::exchange(job_is_new_, false)) {
    for (ServerSession* session : sessions_) {
      std::size_t none = 0;
      if (give(*session, none)) wait_for_job(*session);
    }
  }
  for (std::size_t left = kJobsPerSlice; left != 0 && !round_.empty();) {
    const auto source = std::move(round_.front());
    round_.pop_front();
    source->in_round = false;
    auto& waiting = source->waiting_for_job;
    std::size_t turn = std::min(left, kJobsPerTurn);
    left -= turn;
    while (turn != 0 && !waiting.empty()) {
      ServerSession& session = *waiting.front();
      waiting.pop_front();
      session.waits_for_job_ = false;
      if (give(session, turn)) wait_for_job(session);
    }
    left += turn;
    if (!waiting.empty() && !std::exchange(source->in_round, true)) round_.push_back(source);
  }
  return !round_.empty();
}

void ServerShard::on_durable(channels::LedgerPosition position) {
  if (position <= durable_) return;
  durable_ = position;
  release();
}

void ServerShard::on_block_kept(const bitcoin::Hash256& hash) {
  bool any = false;
  for (ServerSession* session : waiting_) {
    any = std::erase_if(session->unkept_, [&](const auto& block) { return block.hash == hash; }) != 0 || any;
  }
  if (any) release();
}

std::size_t ServerShard::close_channels(std::size_t at_least, std::string_view reason, const Now& now) {
  std::size_t closed = 0;
  for (ServerSession* session : sessions_) {
    if (closed >= at_least) break;
    out_.clear();
    const std::size_t of_session = session->close_all(reason, now, out_);
    if (of_session == 0) continue;
    closed += of_session;
    events_.on_answers(*session, out_);
  }
  counters_.channels_closed += closed;
  return closed;
}

void ServerShard::release() {
  for (ServerSession* session : waiting_) {
    out_.clear();
    session->release(out_);
    if (!out_.empty()) events_.on_answers(*session, out_);
  }
  std::erase_if(waiting_, [](const ServerSession* session) { return session->waiting_.empty(); });
}

session::ProtocolOffer ServerSession::offer() {
  return {.protocol = wire::Protocol::kMining,
          .supported_flags = wire::kRequiresStandardJobs | wire::kRequiresVersionRolling | wire::kRequiresWorkSelection};
}

ServerSession::ServerSession(ServerShard& shard, std::uint32_t setup_flags, Instant now, std::string_view source)
    : shard_(shard),
      source_(shard.sources_.of(source, now)),
      place_(shard.sessions_.size()),
      without_channel_since_(now),
      last_flush_(now),
      given_job_id_(shard.jobs_.current() == nullptr ? 0 : shard.jobs_.current()->id),
      standard_jobs_((setup_flags & wire::kRequiresStandardJobs) != 0),
      work_selection_((setup_flags & wire::kRequiresWorkSelection) != 0),
      answers_(&source_->memory()) {
  if (grouped()) groups_.push_back(std::make_unique<Group>(Group{.id = channels::kGroupChannelId}));
  ++shard_.counters_.sessions;
  shard_.sessions_.push_back(this);
}

ServerSession::~ServerSession() {
  for (const Channel& channel : channels_.all()) count_channel(channel, -1);
  --shard_.counters_.sessions;
  shard_.sessions_[place_] = shard_.sessions_.back();
  shard_.sessions_[place_]->place_ = place_;
  shard_.sessions_.pop_back();
  if (waits_for_job_) std::erase(source_->waiting_for_job, this);
  if (!waiting_.empty()) std::erase(shard_.waiting_, this);
}

Result<void> ServerSession::on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out) {
  auto handled = handle(frames, now, out);
  if (!handled && handled.error().is(session::Errc::kProtocol)) source_->charge(Source::kBadPayload, now.instant);
  ADIT_INVARIANT(consistent());
  return handled;
}

Result<void> ServerSession::handle(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out) {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const auto two_of = [&]<class Submit>(std::type_identity<Submit>) {
      return i + 1 < frames.size() && frames[i].is<Submit>() && frames[i + 1].is<Submit>();
    };
    if (two_of(std::type_identity<wire::SubmitSharesExtended>())) {
      ADIT_CHECK(on_submits<wire::SubmitSharesExtended>(frames[i], frames[i + 1], now, out));
      ++i;
    } else if (two_of(std::type_identity<wire::SubmitSharesStandard>())) {
      ADIT_CHECK(on_submits<wire::SubmitSharesStandard>(frames[i], frames[i + 1], now, out));
      ++i;
    } else {
      ADIT_CHECK(on_frame(frames[i], now, out));
    }
  }
  return {};
}

bool ServerSession::consistent() const {
  const auto& waiting = shard_.waiting_;
  return channels_.sorted() &&
         std::cmp_equal(std::ranges::count_if(channels_.all(), [](const Channel& channel) { return !channel.started(); }),
                        is_given_jobs() ? unstarted_ : channels_.size()) &&
         (std::ranges::find(waiting, this) != waiting.end()) == !waiting_.empty() && (unkept_.empty() || !waiting_.empty()) &&
         std::ranges::all_of(channels_.all(),
                             [this](const Channel& channel) {
                               return std::ranges::count(waiting_, channel.id(), &Waiting::channel_id) ==
                                      (channel.acknowledgement_waits() ? 1 : 0);
                             }) &&
         groups_consistent();
}

bool ServerSession::groups_consistent() const {
  if (!grouped()) return groups_.empty();
  // Nothing is allocated here: that shares allocate nothing is tested where this is checked too.
  return std::ranges::all_of(groups_,
                             [this](const auto& group) {
                               const auto members = std::ranges::count(channels_.all(), group->id, &Channel::group_id);
                               return std::cmp_equal(group->members, members) &&
                                      (members != 0 || group->id == channels::kGroupChannelId);
                             }) &&
         std::ranges::all_of(channels_.all(), [this](const Channel& channel) {
           const Group* group = find_group(channel.group_id());
           return group != nullptr && group->payee == channel.payee();
         });
}

void ServerSession::on_extensions(std::span<const std::uint16_t> granted) {
  if (workers_ != nullptr || std::ranges::find(granted, wire::kWorkerTracking) == granted.end()) return;
  workers_ = std::make_unique<channels::WorkerAccounts>(shard_.policy_.max_workers, &source_->memory());
}

Result<void> ServerSession::on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out) {
  // What this end does not know is not for it (SV2 03 §3.4.1).
  if (frame.header.extension_type != wire::kCore) {
    if (frame.is<wire::FollowPoolTip>()) begin_to_give_jobs(out);
    return {};
  }
  if (frame.is<wire::SubmitSharesStandard>()) return on_submit<wire::SubmitSharesStandard>(frame, now, out);
  if (frame.is<wire::SubmitSharesExtended>()) return on_submit<wire::SubmitSharesExtended>(frame, now, out);
  ADIT_TRY(const bool handled,
           (session::dispatch<wire::UpdateChannel, wire::OpenStandardMiningChannel, wire::OpenExtendedMiningChannel,
                              wire::CloseChannel, wire::SetCustomMiningJob>(
               frame, [&](const auto& message) { return on(message, now, out); })));
  if (handled) return {};
  if (frame.is<wire::SetupConnection>()) return protocol_error(frame, "sent twice");
  // A type that a later revision of the protocol may have added is ignored; a known one that is not a client's is an error.
  if (!wire::with_message_type(frame.header, [](auto) {})) return {};
  return protocol_error(frame, "not a message that a client of the mining protocol sends");
}

std::optional<OpenRefusal> ServerSession::refuse_open(ChannelKind kind, const wire::U256& max_target,
                                                      std::size_t min_extranonce_size, const Now& now) {
  if (kind == ChannelKind::kExtended && standard_jobs_) return OpenRefusal::kNoExtendedChannels;
  if (kind == ChannelKind::kStandard && work_selection_) return OpenRefusal::kNoStandardChannels;
  if (shard_.refuses_opens_) return OpenRefusal::kNoWork;
  const ServerPolicy& policy = shard_.policy_;
  const ServerCounters& counters = shard_.counters_;
  const std::uint32_t tip = shard_.jobs_.tip_job_id();
  if (std::exchange(opens_tip_, tip) != tip) opened_on_tip_ = 0;
  if (channels_.size() >= policy.max_channels || opened_on_tip_ >= 2 * policy.max_channels ||
      counters.standard_channels + counters.extended_channels >= policy.max_channels_per_shard ||
      !source_->may_open(tip, now.instant)) {
    return OpenRefusal::kCapacity;
  }
  if (min_extranonce_size > shard_.policy_.channel.rollable_extranonce_size) return OpenRefusal::kMinExtranonce;
  if (max_target == wire::U256{}) return OpenRefusal::kMaxTarget;
  return std::nullopt;
}

template <class Open>
Result<void> ServerSession::on_open(const Open& message, const Now& now, wire::FrameBuffer& out) {
  constexpr bool kExtended = std::is_same_v<Open, wire::OpenExtendedMiningChannel>;
  constexpr auto kKind = kExtended ? ChannelKind::kExtended : ChannelKind::kStandard;
  std::size_t min_extranonce_size = 0;
  if constexpr (kExtended) min_extranonce_size = message.min_extranonce_size;
  const auto refuse = [&](OpenRefusal refusal, std::string_view reason = {}) -> Result<void> {
    out.push(wire::OpenMiningChannelError{.request_id = message.request_id, .error_code = open_error_code(refusal)});
    ++shard_.counters_.opens_refused[static_cast<std::size_t>(refusal)];
    shard_.events_.on_channel_refused(*this, refusal, message.user_identity, reason);
    // Our own bounds are nobody's fault: a proxy must not be cut off for a stranger behind it who used them up.
    const bool is_ours = refusal == OpenRefusal::kCapacity || refusal == OpenRefusal::kNoWork;
    return is_ours ? Result<void>() : charge(now);
  };
  if (const auto refusal = refuse_open(kKind, message.max_target, min_extranonce_size, now)) return refuse(*refusal);
  auto payout = shard_.policy_.payouts.decide(message.user_identity.view());
  if (!payout) return refuse(OpenRefusal::kUserIdentity, payout.error().message());
  std::shared_ptr<channels::Payee> payee;
  if (*payout) payee = shard_.payees_.of(std::move(**payout), source_);
  if (*payout && payee == nullptr) return refuse(OpenRefusal::kCapacity, "its source has too many different payouts");
  auto lease = shard_.extranonces_.allocate();
  if (!lease) return refuse(OpenRefusal::kCapacity);
  auto opened =
      Channel::open({.kind = kKind,
                     .id = next_channel_id_,
                     .nominal_hash_rate_hps = message.nominal_hash_rate,
                     .max_target = bitcoin::U256::from_le(message.max_target),
                     .own_jobs = standard_jobs_,
                     .budget = &source_->memory(),
                     .payee = payee,
                     .for_sv1 = sv1_},
                    std::string(message.user_identity.view()), std::move(*lease), shard_.policy_.channel, now.instant);
  if (!opened) return refuse(OpenRefusal::kHashRate);

  ++next_channel_id_;
  ++opened_on_tip_;
  source_->count_open();
  Channel& channel = channels_.add(std::move(*opened));
  if (grouped()) join(channel, group_for(payee.get(), out));
  count_channel(channel, +1);
  if constexpr (kExtended) {
    out.push(wire::OpenExtendedMiningChannelSuccess{.request_id = message.request_id,
                                                    .channel_id = channel.id(),
                                                    .target = channel.target().to_le(),
                                                    .extranonce_size = static_cast<std::uint16_t>(channel.extranonce_size()),
                                                    .extranonce_prefix = channel.extranonce_prefix(),
                                                    .group_channel_id = channel.group_id()});
  } else {
    out.push(wire::OpenStandardMiningChannelSuccess{.request_id = message.request_id,
                                                    .channel_id = channel.id(),
                                                    .target = channel.target().to_le(),
                                                    .extranonce_prefix = channel.extranonce_prefix(),
                                                    .group_channel_id = channel.group_id()});
  }
  if (const channels::Job* job = shard_.jobs_.current(); is_given_jobs()) {
    if (job != nullptr) {
      channel.start(*job, out);
    } else {
      ++unstarted_;
    }
  }
  shard_.events_.on_channel_opened(*this, channel);
  return {};
}

Result<void> ServerSession::on(const wire::OpenStandardMiningChannel& message, const Now& now, wire::FrameBuffer& out) {
  return on_open(message, now, out);
}

Result<void> ServerSession::on(const wire::OpenExtendedMiningChannel& message, const Now& now, wire::FrameBuffer& out) {
  return on_open(message, now, out);
}

struct ServerSession::Submission {
  std::uint32_t channel_id = 0;
  channels::Share share;
  Channel* channel = nullptr;  ///< nullptr: there is no such channel of that kind.
  Bytes worker;                ///< The name in its frame, if workers are counted.
  bool extended = false;
  Now now{};  ///< When it came.
  channels::PreparedShare prepared;
};

template <class Submit>
Result<void> ServerSession::begin_submit(const wire::FrameView& frame, const Now& now, Submission& submission) {
  constexpr bool kExtended = std::is_same_v<Submit, wire::SubmitSharesExtended>;
  Bytes fields;  // Of extensions, behind the message's own.
  ADIT_TRY(const Submit message, session::decode<Submit>(frame, kExtended && workers_ != nullptr ? &fields : nullptr));
  if (kExtended && workers_ != nullptr) {
    submission.worker = wire::find_tlv(fields, wire::kWorkerTracking, wire::kUserIdentityField).value_or(Bytes());
  }
  submission.extended = kExtended;
  submission.channel_id = message.channel_id;
  submission.now = now;
  submission.share = to_share(message);
  Channel* channel = channels_.find(message.channel_id);
  if (channel != nullptr && (channel->kind() == ChannelKind::kExtended) == kExtended) {
    submission.channel = channel;
    channel->prepare(shard_.jobs_, submission.share, now.unix_time, submission.prepared);
  } else {
    submission.prepared.judged.verdict = ShareVerdict::kInvalidChannel;
  }
  return {};
}

Result<void> ServerSession::charge(const Now& now) {
  ++refused_;
  if (source_->charge(1, now.instant) || refused_ <= accepted_ + kGrace) return {};
  ++shard_.counters_.sessions_cut_off;
  return fail(session::Errc::kOverloaded, "the peer only costs: " + std::to_string(refused_) +
                                              " of its shares and channels were refused, " + std::to_string(accepted_) +
                                              " shares accepted, and its source has used up what such peers may cost");
}

Result<void> ServerSession::end_submit(Submission& submission, wire::FrameBuffer& out) {
  const channels::JudgedShare& judged = submission.prepared.judged;
  if (submission.channel != nullptr) submission.channel->judge(submission.prepared, submission.share.sequence_number);
  ServerCounters& counters = shard_.counters_;
  if (channels::is_accepted(judged.verdict)) {
    ++counters.shares_accepted;
    ++accepted_;
    source_->count_accepted();
    counters.work_sum += judged.work;
    channels::WorkerAccounts::Account* worker = nullptr;
    if (workers_ != nullptr && submission.channel->kind() == ChannelKind::kExtended) {
      worker = &workers_->of(submission.worker);
      worker->accept(judged.work, submission.now.instant);
    }
    Channel& channel = *submission.channel;
    const bool block = judged.verdict == ShareVerdict::kBlock;
    const auto position = shard_.events_.on_share(*this, {.user_identity = channel.user_identity(),
                                                          .worker = worker == nullptr ? std::string_view() : worker->name(),
                                                          .channel_id = channel.id(),
                                                          .sequence_number = submission.share.sequence_number,
                                                          .work = judged.work,
                                                          .hash = judged.hash,
                                                          .payout = payout_of(channel),
                                                          .block = block,
                                                          .job = judged.job,
                                                          .extranonce = judged.extranonce,
                                                          .nonce = submission.share.nonce,
                                                          .ntime = submission.share.ntime,
                                                          .version = submission.share.version,
                                                          .time = submission.now.unix_time});
    channel.recorded(position);
    if (block) report_block(channel, submission, position);
    acknowledge(channel, /*flush=*/false, out);
    return {};
  }
  ++counters.shares_rejected[static_cast<std::size_t>(judged.verdict)];
  if (workers_ != nullptr && submission.extended) ++workers_->find(submission.worker).rejected;
  out.push(wire::SubmitSharesError{.channel_id = submission.channel_id,
                                   .sequence_number = submission.share.sequence_number,
                                   .error_code = channels::share_error_code(judged.verdict)});
  // Beyond max_ntime it is other bits that hold, whatever the clocks say.
  if (judged.verdict == ShareVerdict::kInvalidTime && submission.share.ntime <= judged.job->rules.max_ntime) {
    const std::chrono::seconds ahead(std::int64_t{submission.share.ntime} - to_u32(submission.now.unix_time));
    shard_.events_.on_time_refused(*this, ahead, submission.channel->user_identity());
  }
  // Late work is nobody's fault, and what we have no room for is ours.
  if (judged.verdict == ShareVerdict::kStale || judged.verdict == ShareVerdict::kTooMany) return {};
  return charge(submission.now);
}

template <class Submit>
Result<void> ServerSession::on_submit(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out) {
  Submission submission;
  ADIT_CHECK(begin_submit<Submit>(frame, now, submission));
  channels::hash(submission.prepared);
  return end_submit(submission, out);
}

template <class Submit>
Result<void> ServerSession::on_submits(const wire::FrameView& first, const wire::FrameView& second, const Now& now,
                                       wire::FrameBuffer& out) {
  Submission one;
  Submission two;
  ADIT_CHECK(begin_submit<Submit>(first, now, one));
  const auto begun = begin_submit<Submit>(second, now, two);
  if (begun) {
    channels::hash(one.prepared, two.prepared);
  } else {
    channels::hash(one.prepared);
  }
  ADIT_CHECK(end_submit(one, out));
  ADIT_CHECK(begun);
  return end_submit(two, out);
}

void ServerSession::report_block(const Channel& channel, const Submission& submission, channels::LedgerPosition position) {
  const channels::Share& share = submission.share;
  const channels::JudgedShare& judged = submission.prepared.judged;
  ++shard_.counters_.blocks_found;
  // Of the two kinds of jobs on such a connection.
  const bool is_custom = work_selection_ && judged.job->id >= channels::kFirstCustomJobId;
  const BlockFound found{.block_template = judged.job->block_template,
                         .solution = {.version = share.version,
                                      .ntime = share.ntime,
                                      .nonce = share.nonce,
                                      .coinbase = judged.job->coinbase_with(judged.extranonce)},
                         .hash = judged.hash,
                         .channel_id = channel.id(),
                         .user_identity = channel.user_identity(),
                         .payout = is_custom ? nullptr : payout_of(channel),
                         .is_custom = is_custom};
  if (judged.job->transactions_known) {
    if (shard_.events_.on_block_found(*this, found)) {
      unkept_.push_back({judged.hash, channel.id(), position});
      hold_answers();
    }
  } else {
    shard_.events_.on_custom_block_found(*this, found);
  }
}

Result<void> ServerSession::on(const wire::SetCustomMiningJob& message, const Now& now, wire::FrameBuffer& out) {
  const auto refuse = [&](std::string_view code) -> Result<void> {
    out.push(
        wire::SetCustomMiningJobError{.channel_id = message.channel_id, .request_id = message.request_id, .error_code = code});
    return {};
  };
  const ServerPolicy& policy = shard_.policy_;
  if (policy.custom_jobs == nullptr) return refuse(kJobDeclarationNotSupported);
  if (!work_selection_) return refuse(kInvalidToken);  // No token is good on such a connection.

  // Standard channels of a group are passed over (SV2 05 §5.3.18). All others get the job under one id.
  std::uint32_t id = 0;
  std::size_t members = 0;
  std::size_t valid = 0;
  for (Channel& channel : channels_.all()) {
    channel.follow(shard_.jobs_);
    valid += channel.custom_jobs();
    if (channel.kind() != ChannelKind::kExtended || !addresses(message.channel_id, channel)) continue;
    id = std::max(id, channel.next_custom_job_id());
    ++members;
  }
  if (members == 0) return refuse(kInvalidChannelId);
  if (valid + members > policy.max_custom_jobs) return refuse(kTooManyCustomJobs);
  const channels::Job* tip = shard_.jobs_.current();
  if (tip == nullptr) return refuse("stale-chain-tip");
  auto job = channels::make_custom_job(message, id, *tip, nullptr, now.unix_time);
  if (!job) return refuse(job.error());
  const auto verdict = policy.custom_jobs->check(*this, message, now);
  if (!verdict.error_code.empty()) return refuse(verdict.error_code);
  if (verdict.block_template != nullptr) {
    job = channels::make_custom_job(message, id, *tip, verdict.block_template, now.unix_time);
    if (!job) return refuse(job.error());
  }
  for (Channel& channel : channels_.all()) {
    if (channel.kind() != ChannelKind::kExtended || !addresses(message.channel_id, channel)) continue;
    channel.add_custom_job(*job, shard_.jobs_.max_past_jobs() + 1, shard_.jobs_);
  }
  out.push(wire::SetCustomMiningJobSuccess{.channel_id = message.channel_id, .request_id = message.request_id, .job_id = id});
  return {};
}

Result<void> ServerSession::on(const wire::UpdateChannel& message, const Now& now, wire::FrameBuffer& out) {
  const auto refuse = [&](std::string_view code) -> Result<void> {
    out.push(wire::UpdateChannelError{.channel_id = message.channel_id, .error_code = code});
    return {};
  };
  Channel* channel = channels_.find(message.channel_id);
  if (channel == nullptr) return refuse(kInvalidChannelId);
  if (message.maximum_target == wire::U256{}) return refuse(kMaxTargetOutOfRange);
  const auto before = channel->target();
  const auto changed =
      channel->update(message.nominal_hash_rate, bitcoin::U256::from_le(message.maximum_target), shard_.jobs_, now.instant);
  if (!changed) return refuse(kInvalidHashRate);
  if (*changed) push_target(*channel, before, now, out);
  return {};
}

void ServerSession::push_target(Channel& channel, const bitcoin::U256& before, const Now& now, wire::FrameBuffer& out) {
  out.push(wire::SetTarget{.channel_id = channel.id(), .maximum_target = channel.target().to_le()});
  if (work_selection_ || (channel.target() <= before && !sv1_)) return;
  channel.send_twin(shard_.jobs_, now.instant, out);
}

Result<void> ServerSession::on(const wire::CloseChannel& message, const Now& now, wire::FrameBuffer& out) {
  close_channels(message.channel_id, now, out);
  return {};
}

bool ServerSession::addresses(std::uint32_t channel_id, const Channel& channel) const {
  return channel.id() == channel_id || (grouped() && channel.group_id() == channel_id);
}

bool ServerSession::close_channels(std::uint32_t channel_id, const Now& now, wire::FrameBuffer& out) {
  if (Channel* channel = channels_.find(channel_id)) {
    close_channel(*channel, out);
  } else {
    const Group* group = grouped() ? find_group(channel_id) : nullptr;
    if (group == nullptr || group->members == 0) return false;
    std::vector<Channel*> members;
    for (Channel& member : channels_.all()) {
      if (member.group_id() == channel_id) members.push_back(&member);
    }
    for (Channel* member : members) close_channel(*member, out);
  }
  if (channels_.empty()) without_channel_since_ = now.instant;
  return true;
}

void ServerSession::close_channel(Channel& channel, wire::FrameBuffer& out) {
  if (const auto last = channel.take_acknowledgement(/*flush=*/true)) push_or_wait(channel.id(), *last, out);
  count_channel(channel, -1);
  if (grouped()) leave_group(channel.group_id());
  if (!channel.started() && is_given_jobs()) --unstarted_;
  channels_.erase(channel.id());
}

std::size_t ServerSession::close_all(std::string_view reason, const Now& now, wire::FrameBuffer& out) {
  std::vector<std::uint32_t> ids;
  ids.reserve(channels_.size());
  for (const Channel& channel : channels_.all()) ids.push_back(channel.id());
  for (const std::uint32_t id : ids) {
    close_channels(id, now, out);
    out.push(wire::CloseChannel{.channel_id = id, .reason_code = reason});
  }
  return ids.size();
}

ServerSession::Group* ServerSession::find_group(std::uint32_t id) const {
  const auto found = std::ranges::lower_bound(groups_, id, {}, &Group::id_of);
  return found == groups_.end() || (*found)->id != id ? nullptr : found->get();
}

ServerSession::Group& ServerSession::group_for(channels::Payee* payee, wire::FrameBuffer& out) {
  const channels::Job* job = is_given_jobs() ? shard_.jobs_.current() : nullptr;
  const auto found = std::ranges::find_if(
      groups_, [&](const auto& group) { return !group->by_role && group->members != 0 && group->payee == payee; });
  if (found != groups_.end()) {
    Group& group = **found;
    // It hears only of jobs that come after the one which the new channel begins with.
    if (job != nullptr && unstarted_ == 0 && group.given_job_id != job->id) give_group(group, *job, out);
    return group;
  }
  Group& first = *groups_.front();
  Group& group = first.members == 0 ? first : add_group(payee, /*by_role=*/false);
  group.payee = payee;
  group.given_job_id = job == nullptr ? 0 : job->id;
  return group;
}

ServerSession::Group& ServerSession::add_group(channels::Payee* payee, bool by_role) {
  // Groups and channels share their ids (SV2 05 §5.2.3).
  groups_.push_back(std::make_unique<Group>(Group{.id = next_channel_id_++, .payee = payee, .by_role = by_role}));
  return *groups_.back();
}

void ServerSession::give_group(Group& group, const channels::Job& job, wire::FrameBuffer& out) {
  if (group.members == 0 || group.given_job_id == job.id) return;
  const bool future = std::exchange(group.given_job_id, job.id) < shard_.jobs_.tip_job_id();
  (group.payee == nullptr ? job : group.payee->renew(job)).push_group(group.id, future, out);
}

void ServerSession::join(Channel& channel, Group& group) {
  ++group.members;
  channel.set_group(group.id, &group.given_job_id);
}

void ServerSession::leave_group(std::uint32_t id) {
  Group* group = find_group(id);
  ADIT_INVARIANT(group != nullptr && group->members != 0);
  if (--group->members != 0) return;
  group->payee = nullptr;
  if (id != channels::kGroupChannelId) groups_.erase(std::ranges::lower_bound(groups_, id, {}, &Group::id_of));
}

Result<void> ServerSession::close(std::uint32_t channel_id, std::string_view reason, const Now& now, wire::FrameBuffer& out) {
  if (!is_plain_text(reason)) return fail(session::Errc::kCannot, "a reason has at most 255 bytes and no control characters");
  if (!close_channels(channel_id, now, out)) {
    return fail(session::Errc::kCannot, "there is no channel " + std::to_string(channel_id));
  }
  out.push(wire::CloseChannel{.channel_id = channel_id, .reason_code = reason});
  return {};
}

Result<void> ServerSession::reconnect(std::string_view host, std::uint16_t port, wire::FrameBuffer& out) {
  if (!is_plain_text(host)) return fail(session::Errc::kCannot, "a host has at most 255 bytes and no control characters");
  out.push(wire::Reconnect{.new_host = host, .new_port = port});
  return {};
}

Result<void> ServerSession::change_prefix(std::uint32_t channel_id, wire::FrameBuffer& out) {
  Channel* channel = channels_.find(channel_id);
  if (channel == nullptr) return fail(session::Errc::kCannot, "there is no channel " + std::to_string(channel_id));
  auto lease = shard_.extranonces_.allocate();
  if (!lease) return fail(session::Errc::kCannot, lease.error().message());
  channel->set_prefix(std::move(*lease), shard_.jobs_);
  out.push(wire::SetExtranoncePrefix{.channel_id = channel_id, .extranonce_prefix = channel->extranonce_prefix()});
  return {};
}

Result<std::uint32_t> ServerSession::regroup(std::span<const std::uint32_t> channel_ids, wire::FrameBuffer& out) {
  if (!grouped()) return fail(session::Errc::kCannot, "a connection that requires standard jobs has no groups");
  const auto made_so = std::ranges::count_if(groups_, [](const auto& group) { return group->by_role; });
  if (std::cmp_greater_equal(made_so + 1, kMaxGroups))
    return fail(session::Errc::kCannot, "the connection has too many groups");
  if (channel_ids.empty() || channel_ids.size() > 0xffff) return fail(session::Errc::kCannot, "a group has 1 to 65535 members");
  for (const std::uint32_t id : channel_ids) {
    const Channel* channel = channels_.find(id);
    if (channel == nullptr) return fail(session::Errc::kCannot, "there is no channel " + std::to_string(id));
    const Channel& first = *channels_.find(channel_ids[0]);
    if (channel->payee() != first.payee()) {
      return fail(session::Errc::kCannot, "channels " + std::to_string(first.id()) + " and " + std::to_string(id) +
                                              " are not paid alike, as those of one group are");
    }
  }
  // What their groups were not given yet they hear of by those, before they leave them.
  on_job(out);
  Group& made = add_group(channels_.find(channel_ids[0])->payee(), /*by_role=*/true);
  const std::uint32_t group = made.id;
  made.given_job_id = given_job_id_;
  for (const std::uint32_t id : channel_ids) {
    Channel& channel = *channels_.find(id);
    if (channel.group_id() == group) continue;  // Named twice.
    leave_group(channel.group_id());
    join(channel, made);
  }
  out.push(wire::SetGroupChannel{.group_channel_id = group, .channel_ids = channel_ids});
  return group;
}

void ServerSession::begin_to_give_jobs(wire::FrameBuffer& out) {
  if (is_given_jobs()) return;
  follows_pool_ = true;
  unstarted_ = channels_.size();
  given_job_id_ = 0;
  on_job(out);
}

bool ServerSession::give_job(wire::FrameBuffer& out, std::size_t& max_channels) {
  const channels::Job* job = shard_.jobs_.current();
  if (job == nullptr || !is_given_jobs()) return false;
  if (std::exchange(given_job_id_, job->id) != job->id) {
    if (!grouped()) {
      left_to_give_ = channels_.size();
    } else if (unstarted_ != 0) {
      // Without a job before this one every channel begins with it.
      for (Channel& channel : channels_.all()) {
        if (!channel.started()) channel.start(*job, out);
      }
      for (const auto& group : groups_) group->given_job_id = job->id;
      unstarted_ = 0;
    } else {
      left_to_give_ = groups_.size() <= kGroupsAtOnce ? 0 : groups_.size();
      for (const auto& group : groups_ | std::views::take(kGroupsAtOnce)) give_group(*group, *job, out);
    }
  }
  if (grouped()) return give_groups(*job, out, max_channels);
  // All jobs of a slice, then what makes them current (as SRI): in one write that costs nothing.
  wire::FrameBuffer& tips = shard_.tips_;
  tips.clear();
  while (left_to_give_ != 0 && max_channels != 0) {
    Channel* channel = channels_.first_from(next_to_give_);
    if (channel == nullptr) channel = channels_.first_from(0);
    if (channel == nullptr) left_to_give_ = 0;
    if (channel == nullptr) break;
    --left_to_give_;
    next_to_give_ = channel->id() + 1;
    if (channel->given_job_id() == job->id) continue;
    --max_channels;
    if (channel->started()) {
      channel->send_job(shard_.jobs_, out, tips);
    } else {
      channel->start(*job, out);
      --unstarted_;
    }
  }
  out.append(tips);
  return left_to_give_ != 0;
}

bool ServerSession::give_groups(const channels::Job& job, wire::FrameBuffer& out, std::size_t& max_groups) {
  while (left_to_give_ != 0 && max_groups != 0) {
    auto at = std::ranges::lower_bound(groups_, next_to_give_, {}, &Group::id_of);
    if (at == groups_.end()) at = groups_.begin();
    Group& group = **at;
    --left_to_give_;
    next_to_give_ = group.id + 1;
    if (group.members == 0 || group.given_job_id == job.id) continue;
    --max_groups;
    give_group(group, job, out);
  }
  return left_to_give_ != 0;
}

void ServerSession::finish(wire::FrameBuffer& out) {
  finishing_ = true;
  for (Channel& channel : channels_.all()) acknowledge(channel, /*flush=*/true, out);
}

void ServerSession::acknowledge(Channel& channel, bool flush, wire::FrameBuffer& out) {
  if (channel.acknowledgement_waits()) return;
  const auto batch = channel.take_acknowledgement(flush);
  if (!batch) return;
  channel.set_acknowledgement_waits(!push_or_wait(channel.id(), *batch, out));
}

bool ServerSession::push_or_wait(std::uint32_t channel_id, const channels::Acknowledgement& batch, wire::FrameBuffer& out) {
  if (may_acknowledge(channel_id, batch.position)) {
    push_acknowledgement(channel_id, batch, out);
    return true;
  }
  if (waiting_.empty()) shard_.waiting_.push_back(this);
  waiting_.push_back({channel_id, batch});
  hold_answers();
  return false;
}

bool ServerSession::may_acknowledge(std::uint32_t channel_id, channels::LedgerPosition position) const {
  return position <= shard_.durable_ && std::ranges::none_of(unkept_, [&](const UnkeptBlock& block) {
           return block.channel_id == channel_id && block.position <= position;
         });
}

void ServerSession::release(wire::FrameBuffer& out) {
  const std::size_t count = waiting_.size();  // What its channels begin to wait for now comes behind.
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Waiting next = waiting_[i];
    if (!may_acknowledge(next.channel_id, next.batch.position)) {
      waiting_[kept++] = next;
      continue;
    }
    push_acknowledgement(next.channel_id, next.batch, out);
    if (Channel* channel = channels_.find(next.channel_id)) {
      channel->set_acknowledgement_waits(false);
      acknowledge(*channel, finishing_, out);
    }
  }
  const auto first = waiting_.begin();
  waiting_.erase(first + static_cast<std::ptrdiff_t>(kept), first + static_cast<std::ptrdiff_t>(count));
  hold_answers();
}

void ServerSession::hold_answers() { answers_.set(waiting_.size() * sizeof(Waiting) + unkept_.size() * sizeof(UnkeptBlock)); }

Result<void> ServerSession::on_tick(const Now& now, wire::FrameBuffer& out) {
  const ServerPolicy& policy = shard_.policy_;
  if (channels_.empty() && now.instant - without_channel_since_ >= policy.channel_timeout) {
    return fail(session::Errc::kIdle, "no channel opened within the time allowed");
  }
  const bool flush = now.instant - last_flush_ >= policy.max_ack_delay;
  if (flush) last_flush_ = now.instant;
  for (Channel& channel : channels_.all()) {
    if (flush) acknowledge(channel, /*flush=*/true, out);
    const auto before = channel.target();
    if (channel.started() && channel.adjust(shard_.jobs_, now.instant)) push_target(channel, before, now, out);
  }
  return {};
}

void ServerSession::count_channel(const Channel& channel, int by) {
  auto& count =
      channel.kind() == ChannelKind::kStandard ? shard_.counters_.standard_channels : shard_.counters_.extended_channels;
  count += static_cast<std::size_t>(by);
}

}  // namespace adit::mining
