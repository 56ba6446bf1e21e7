#include "roles/translator/translator.h"

#include <algorithm>
#include <utility>

#include "channels/payout.h"
#include "session/dispatch.h"
#include "wire/messages.h"
#include "wire/tlv.h"

namespace adit::translator {

namespace {

constexpr std::size_t kMaxErrorCodes = 32;
constexpr std::size_t kMaxExtranonce = 32;
/// The upstream is told of a hash rate as often, at most; the next is by so much higher or lower, at most; and it must differ
/// from the last by so much, as the rate that shares prove is never exact.
constexpr Duration kDeclareEvery = std::chrono::seconds(10);
constexpr double kDeclareStep = 4;
constexpr double kWorthDeclaring = 1.5;
/// A channel whose miners have found no share for so long has weaker miners than `min_hash_rate_hps` says.
constexpr Duration kWeakAfter = std::chrono::minutes(3);
/// SV2 05 §5.3.3: the code of an upstream that has no channel left.
constexpr std::string_view kCapacityExhausted = "channel-capacity-exhausted";
// Ours: the pool has had no templates for minutes.
constexpr std::string_view kNoWork = "no-work";
/// SV2 05 §5.3.14: the code of a share that came too late for its tip.
constexpr std::string_view kStaleShare = "stale-share";

/// Bytes of extranonce that a channel must give its miners.
std::size_t extranonce_wanted(const Options& options) { return mining::kExtranonce1Size + options.miners.extranonce2_size; }

}  // namespace

// ---- Miners

Miner& Translator::add_miner(std::string peer, const Now& now, std::string source) {
  shared_.now = now;
  const std::uint64_t number = std::exchange(next_number_, next_number_ + options_.number_step);
  auto& miner = miners_[number];
  if (source.empty()) source = peer;
  miner = std::make_unique<Miner>(*this, shared_, number, std::move(peer), std::move(source));
  return *miner;
}

void Translator::remove_miner(Miner& miner, const Now& now) {
  shared_.now = now;
  leave(miner);
  if (miner.index()) {
    indices_[*miner.index()] = false;
    --indices_taken_;
  }
  std::erase(touched_, &miner);
  miners_.erase(miner.number());
}

std::span<Miner* const> Translator::take_touched() {
  handed_out_.clear();
  std::swap(touched_, handed_out_);
  for (Miner* miner : handed_out_) miner->unmark();
  return handed_out_;
}

void Translator::on_touched(Miner& miner) {
  if (!miner.mark()) touched_.push_back(&miner);
}

Miner* Translator::by_number(std::uint64_t number) {
  const auto found = miners_.find(number);
  return found == miners_.end() ? nullptr : found->second.get();
}

// ---- Channels

Result<std::uint16_t> Translator::on_subscribe(Miner&) {
  if (indices_taken_ == kIndices) {
    return fail(session::Errc::kRefused, "all of the " + std::to_string(kIndices) + " extranonces that there are have miners");
  }
  // The one not used for longest: its former miner's search is not done again soon.
  while (indices_[++last_index_]) {
  }
  indices_[last_index_] = true;
  ++indices_taken_;
  return last_index_;
}

void Translator::on_ready(Miner& miner) {
  events_.on_miner_ready(miner);
  join(miner);
}

void Translator::join(Miner& miner) {
  if (agreement_ == nullptr || !miner.wants_channel() || miner.link() != nullptr) return;
  if (common_ != nullptr) return attach(miner, *common_);
  if (!has_ration(miner)) return;
  if (kept_.empty()) {
    if (has_capacity()) open_for(miner);
    return;
  }
  Sv1Channel& link = *kept_.back();
  kept_.pop_back();
  attach(miner, link);
  if (link.channel) events_.on_channel_opened(miner);
}

void Translator::open_for(Miner& miner) {
  auto owned = std::make_unique<Sv1Channel>();
  Sv1Channel& link = *owned;
  link.request_id = next_request_id_++;
  link.open_sent = shared_.now.instant;
  double proven = miner.hash_rate_hps();
  if (options_.aggregate) {
    common_ = &link;
    for (const auto& [number, other] : miners_) {
      if (other.get() != &miner && other->wants_channel()) proven += other->hash_rate_hps();
    }
  }
  link.declared_hps = std::max(proven, options_.miners.min_hash_rate_hps);
  link.declared_at = shared_.now.instant;
  attach(miner, link);
  by_request_[link.request_id] = &link;
  links_.push_back(std::move(owned));

  link.user_identity = upstream_identity(miner);
  wire::OpenExtendedMiningChannel message;
  message.request_id = link.request_id;
  message.user_identity = link.user_identity;
  message.nominal_hash_rate = static_cast<float>(link.declared_hps);
  message.max_target = mining::max_target(options_.miners).to_le();
  link.bounded = options_.miners.vardiff;
  message.min_extranonce_size = static_cast<std::uint16_t>(extranonce_wanted(options_));
  if (!output_.push(message)) {
    drop(link);
    miner.end("user_identity is too long: with \".minerN\" or \".translator-proxy\" behind it, it may have 255 bytes");
  }
}

std::string Translator::upstream_identity(const Miner& miner) const {
  if (user_identity_.starts_with("sri/")) return user_identity_;
  if (options_.aggregate) return user_identity_.substr(0, user_identity_.find('.')) + ".translator-proxy";
  return user_identity_ + ".miner" + std::to_string(miner.number());
}

void Translator::leave(Miner& miner) {
  Sv1Channel* const link = miner.link();
  if (link == nullptr) return;
  std::erase(link->members, &miner);
  detach(miner);
  if (link->members.empty()) keep(*link);
}

void Translator::attach(Miner& miner, Sv1Channel& link) {
  link.members.push_back(&miner);
  count(miner, 1);
  miner.attach(link);
}

void Translator::detach(Miner& miner) {
  if (miner.link() != nullptr) count(miner, -1);
  miner.detach();
}

void Translator::count(const Miner& miner, int by) {
  Source& source = sources_[miner.source()];
  std::size_t& counted = miner.proven() ? source.proven : source.unproven;
  counted += static_cast<std::size_t>(by);
  if (!miner.proven()) unproven_ += static_cast<std::size_t>(by);
  if (source.proven == 0 && source.unproven == 0) sources_.erase(miner.source());
}

void Translator::on_proven(Miner& miner) {
  Source& source = sources_[miner.source()];
  ++source.proven;
  --source.unproven;
  --unproven_;
}

bool Translator::has_ration(const Miner& miner) const {
  if (options_.aggregate || miner.proven()) return true;
  const Ration& ration = options_.ration;
  const auto found = sources_.find(miner.source());
  const Source source = found == sources_.end() ? Source{} : found->second;
  if (unproven_ < ration.unproven) return source.unproven < ration.of_source + source.proven;
  return unproven_ < ration.unproven + ration.reserve && source.unproven < ration.reserve_of_source;
}

void Translator::keep(Sv1Channel& link) {
  link.kept_since = shared_.now.instant;
  const bool room = &link == common_ || kept_.size() < options_.ration.kept;
  if (!link.usable || !room) return close_and_drop(link, "miner disconnected");
  if (&link != common_) kept_.push_back(&link);
}

void Translator::close_and_drop(Sv1Channel& link, std::string_view reason) {
  if (link.channel) close(link.channel->id(), reason);
  drop(link);
}

void Translator::close_kept(const Now& now) {
  // Closing a channel is how the acknowledgement of its shares is had. Where none is due the end of the connection says as
  // much, and SRI's programs, which wait for ever for frames that nobody takes, are sent none while they end too.
  if (shares_.unanswered() == 0) return;
  shared_.now = now;
  const auto kept = std::exchange(kept_, {});
  for (Sv1Channel* link : kept) close_and_drop(*link, "the translator stops");
  if (common_ != nullptr && common_->members.empty()) close_and_drop(*common_, "the translator stops");
}

void Translator::give_waiting_miners_channels() {
  if (agreement_ == nullptr) return;
  const Instant now = shared_.now.instant;
  const Ration& ration = options_.ration;
  if (capacity_ != SIZE_MAX && now - capacity_at_ >= ration.capacity_retry) {
    capacity_ += capacity_step_;
    capacity_step_ *= 2;
    capacity_at_ = now;
  }
  std::size_t waiting = 0;
  for (auto& [number, miner] : miners_) {
    join(*miner);
    if (!miner->wants_channel() || miner->link() != nullptr) continue;
    const auto source = sources_.find(miner->source());
    if (source == sources_.end() || source->second.unproven < ration.reserve_of_source) ++waiting;
  }
  // Those that wait could have the channels of miners that show no work.
  for (auto& [number, miner] : miners_) {
    if (waiting == 0) break;
    if (miner->proven() || miner->channel() == nullptr || now - miner->attached_at() < ration.unproven_time) continue;
    miner->end("it found no share, and others wait for its channel");
    --waiting;
  }
}

void Translator::close(std::uint32_t channel_id, std::string_view reason) {
  wire::CloseChannel message;
  message.channel_id = channel_id;
  message.reason_code = reason;
  output_.push(message);
}

void Translator::drop(Sv1Channel& link) {
  for (Miner* miner : link.members) detach(*miner);
  if (link.channel) {
    by_channel_.erase(link.channel->id());
    shares_.close(link.channel->id());
  }
  by_request_.erase(link.request_id);
  std::erase(kept_, &link);
  if (common_ == &link) common_ = nullptr;
  std::erase_if(links_, [&](const auto& other) { return other.get() == &link; });
}

void Translator::update(Sv1Channel& link) {
  if (!link.channel || shared_.now.instant - link.declared_at < kDeclareEvery) return;
  // Its miners are weaker than the least one was said to be: easier shares than that one's will do.
  const bool weaker =
      link.bounded && !link.members.empty() && link.hash_rate_hps() == 0 && shared_.now.instant - link.open_sent >= kWeakAfter;
  const double least = options_.miners.min_hash_rate_hps;
  double next = std::max(link.hash_rate_hps(), least);
  if (!link.members.empty()) next = std::clamp(next, link.declared_hps / kDeclareStep, link.declared_hps * kDeclareStep);
  if (weaker) {
    link.bounded = false;
  } else if (next < link.declared_hps * kWorthDeclaring && next > link.declared_hps / kWorthDeclaring) {
    return;
  }
  wire::UpdateChannel message;
  message.channel_id = link.channel->id();
  message.nominal_hash_rate = static_cast<float>(next);
  message.maximum_target = (link.bounded ? mining::max_target(options_.miners) : bitcoin::U256::max()).to_le();
  output_.push(message);
  link.declared_hps = next;
  link.declared_at = shared_.now.instant;
}

Sv1Channel* Translator::by_channel(std::uint32_t channel_id) {
  const auto found = by_channel_.find(channel_id);
  return found == by_channel_.end() ? nullptr : found->second;
}

std::vector<Sv1Channel*> Translator::addressed_by(std::uint32_t channel_id) {
  if (Sv1Channel* link = by_channel(channel_id)) return {link};
  std::vector<Sv1Channel*> members;
  for (const auto& link : links_) {
    if (link->channel && link->channel->group_id() == channel_id) members.push_back(link.get());
  }
  if (members.empty()) ++totals_.unknown_channel_messages;
  return members;
}

// ---- The upstream

void Translator::on_upstream_ready(std::string user_identity, const session::Agreement& agreement, const Now& now,
                                   bool regtest_only) {
  shared_.now = now;
  user_identity_ = std::move(user_identity);
  agreement_ = &agreement;
  example_key_.reset();
  if (regtest_only) example_key_.emplace();
  shared_.version_mask = (agreement.flags & wire::kRequiresFixedVersion) != 0 ? 0 : sv1::kVersionRollingMask;
  events_.on_upstream_ready();
  for (auto& [number, miner] : miners_) {
    miner->renew_version_mask();
    join(*miner);
    on_touched(*miner);
  }
}

session::StratumV2StreamHandler Translator::on_upstream_lost(const Now& now) {
  shared_.now = now;
  agreement_ = nullptr;
  output_.clear();
  for (auto& [number, miner] : miners_) detach(*miner);
  links_.clear();
  kept_.clear();
  capacity_ = SIZE_MAX;
  capacity_step_ = 1;
  by_channel_.clear();
  by_request_.clear();
  common_ = nullptr;
  group_jobs_.clear();
  return std::exchange(shares_, {});
}

Result<void> Translator::on_upstream_frames(std::span<const wire::FrameView> frames, const Now& now) {
  shared_.now = now;
  for (const auto& frame : frames) ADIT_CHECK(on_frame(frame));
  return {};
}

Result<void> Translator::on_frame(const wire::FrameView& frame) {
  if (frame.header.extension_type != wire::kCore) {
    ++totals_.unknown_extension_messages;
    return {};
  }
  ADIT_CHECK(
      (session::dispatch<wire::NewExtendedMiningJob, wire::SetNewPrevHash, wire::SubmitSharesSuccess, wire::SubmitSharesError,
                         wire::SetTarget, wire::OpenExtendedMiningChannelSuccess, wire::OpenMiningChannelError,
                         wire::SetExtranoncePrefix, wire::SetGroupChannel, wire::CloseChannel, wire::NewMiningJob>(
          frame, [this](const auto& message) { return handle(message); })));
  return {};
}

std::optional<sv1::Reject> Translator::on_share(Miner& miner, const channels::Share& share, std::string_view worker,
                                                bool block) {
  wire::SubmitSharesExtended message;
  message.channel_id = miner.channel()->id();
  message.sequence_number = shares_.submit(message.channel_id, shared_.now.instant, miner.number());
  message.job_id = share.job_id;
  message.nonce = share.nonce;
  message.ntime = share.ntime;
  message.version = share.version;
  message.extranonce = share.extranonce;
  fields_.clear();
  if (agreement_->has_extension(wire::kWorkerTracking)) {
    const mining::WorkerIdentity identity(mining::worker_part(worker), miner.number());
    wire::append_tlv(fields_, wire::kWorkerTracking, wire::kUserIdentityField, as_bytes(identity.view()));
  }
  output_.push(message, fields_.bytes());
  events_.on_share_submitted(miner, block);
  return std::nullopt;
}

Result<void> Translator::handle(const wire::OpenExtendedMiningChannelSuccess& message) {
  if (by_channel_.contains(message.channel_id)) {
    return fail(session::Errc::kProtocol, "the upstream gave channel id " + std::to_string(message.channel_id) + " twice");
  }
  const auto request = by_request_.extract(message.request_id);
  if (request.empty()) {
    // It was given up while its open was under way.
    close(message.channel_id, "miner disconnected");
    return {};
  }
  Sv1Channel& link = *request.mapped();
  const std::size_t wanted = extranonce_wanted(options_);
  if (message.extranonce_prefix.size() + message.extranonce_size > kMaxExtranonce || message.extranonce_size < wanted) {
    return fail(session::Errc::kProtocol,
                "the upstream gave an extranonce of " + std::to_string(message.extranonce_size) + " bytes behind a prefix of " +
                    std::to_string(message.extranonce_prefix.size()) + "; " + std::to_string(wanted) +
                    " were asked for (2 that tell the miners apart, and downstream_extranonce2_size), "
                    "and 32 is the most for both");
  }
  link.channel.emplace(message);
  by_channel_[message.channel_id] = &link;
  for (const Miner* miner : link.members) events_.on_channel_opened(*miner);
  return {};
}

Result<void> Translator::handle(const wire::OpenMiningChannelError& message) {
  const auto request = by_request_.extract(message.request_id);
  if (request.empty()) return {};
  Sv1Channel& link = *request.mapped();
  const std::string reason = "the upstream refused a channel with " + std::to_string(extranonce_wanted(options_)) +
                             " bytes of extranonce: " + std::string(message.error_code.view());
  const auto members = link.members;
  for (Miner* miner : members) events_.on_channel_refused(*miner, message.error_code.view());
  drop(link);
  // An upstream that takes none of our channels is no upstream; one that takes some refuses this one.
  if (by_channel_.empty()) return fail(session::Errc::kRefused, reason);
  if (message.error_code.view() == kCapacityExhausted || message.error_code.view() == kNoWork) {
    // Its miner waits, as it would gain nothing by another connection.
    capacity_ = by_channel_.size() + by_request_.size();
    capacity_step_ = 1;
    capacity_at_ = shared_.now.instant;
    return {};
  }
  for (Miner* miner : members) miner->end(reason);
  return {};
}

Result<void> Translator::handle(const wire::NewExtendedMiningJob& message) {
  ++totals_.jobs;
  const auto links = addressed_by(message.channel_id);
  const auto work = channels::copy_work(message);
  if (const auto usable = channels::check_work(*work); !usable && !links.empty())
    return fail(session::Errc::kProtocol, "job " + std::to_string(message.job_id) + ": " + usable.error().message());
  if (example_key_) ADIT_CHECK(example_key_->on_job(work->coinbase_prefix));
  if (!links.empty()) ADIT_CHECK(check_payout(*work, *links.front()->channel));
  const bool for_one = by_channel_.contains(message.channel_id);
  for (Sv1Channel* link : links) {
    const auto job = link->channel->on_new_extended_mining_job(message, work);
    if (!job) {
      // A channel that joined its group a moment ago has its own first job on the way.
      if (for_one) return fail(session::Errc::kProtocol, job.error().message());
    } else if (*job != nullptr) {
      link->job_since = shared_.now.instant;
      for (Miner* miner : link->members) miner->notify(**job, false);
    }
  }
  if (!for_one && !message.min_ntime) {
    std::erase_if(group_jobs_,
                  [&](const GroupJob& job) { return job.group_id == message.channel_id && job.job_id == message.job_id; });
    if (group_jobs_.size() == kMaxGroupJobs) group_jobs_.erase(group_jobs_.begin());
    group_jobs_.push_back({message.channel_id, message.job_id, message.version, message.version_rolling_allowed, work});
  }
  events_.on_job(message.job_id, false);
  return {};
}

Result<void> Translator::handle(const wire::NewMiningJob& message) {
  if (by_channel(message.channel_id) == nullptr) return {};
  return fail(session::Errc::kProtocol, "the upstream gave an extended channel a job of a standard one, which has no coinbase");
}

Result<void> Translator::check_payout(const channels::ExtendedWork& work, const channels::ClientChannel& channel) const {
  if (!options_.verify_payout) return {};
  ADIT_TRY(const auto payout, channels::payout_of(user_identity_));
  const std::size_t extranonce_size = channel.extranonce_prefix().size() + channel.extranonce_size();
  const auto paid = channels::check_payout(payout, work.coinbase_prefix, extranonce_size, work.coinbase_suffix);
  if (paid) return {};
  return fail(session::Errc::kProtocol,
              "the upstream gave a job that does not pay " + user_identity_ + ": " + paid.error().message());
}

Result<void> Translator::handle(const wire::SetNewPrevHash& message) {
  if (example_key_) ADIT_CHECK(example_key_->on_tip(message.nbits));
  const bool for_one = by_channel_.contains(message.channel_id);
  bool known = false;
  const auto links = addressed_by(message.channel_id);
  for (Sv1Channel* link : links) {
    auto job = link->channel->on_set_new_prev_hash(message);
    if (!job && job.error().is(channels::Errc::kUnknownJob)) {
      ADIT_TRY(const bool given, give_group_job(*link, message));
      if (given) job = link->channel->on_set_new_prev_hash(message);
    }
    if (job) {
      known = true;
      link->job_since = shared_.now.instant;
      for (Miner* miner : link->members) miner->notify(**job, true);
    } else if (for_one || !job.error().is(channels::Errc::kUnknownJob)) {
      return fail(session::Errc::kProtocol, job.error().message());
    } else {
      link->usable = false;
      for (Miner* miner : link->members) miner->end("its channel was not given the job that its group mines on");
    }
  }
  for (Sv1Channel* link : links) {
    if (!link->usable && link->members.empty()) close_and_drop(*link, "it was not given its group's job");
  }
  if (!links.empty() && !known) {
    return fail(session::Errc::kProtocol,
                "SetNewPrevHash names job " + std::to_string(message.job_id) + ", which no channel of the group was given");
  }
  std::erase_if(group_jobs_, [&](const GroupJob& job) { return job.group_id == message.channel_id; });
  totals_.nbits = message.nbits;
  events_.on_job(message.job_id, true);
  return {};
}

Result<bool> Translator::give_group_job(Sv1Channel& link, const wire::SetNewPrevHash& message) {
  const auto found = std::ranges::find_if(
      group_jobs_, [&](const GroupJob& job) { return job.group_id == message.channel_id && job.job_id == message.job_id; });
  if (found == group_jobs_.end()) return false;
  ADIT_CHECK(check_payout(*found->work, *link.channel));
  wire::NewExtendedMiningJob job;
  job.channel_id = found->group_id;
  job.job_id = found->job_id;
  job.version = found->version;
  job.version_rolling_allowed = found->version_rolling_allowed;
  return link.channel->on_new_extended_mining_job(job, found->work).has_value();
}

Result<void> Translator::handle(const wire::SetTarget& message) {
  const auto target = bitcoin::U256::from_le(message.maximum_target);
  for (Sv1Channel* link : addressed_by(message.channel_id)) link->channel->on_set_target(target);
  return {};
}

Result<void> Translator::handle(const wire::SetExtranoncePrefix& message) {
  Sv1Channel* link = by_channel(message.channel_id);  // Never for groups (SV2 05 §5.3.10).
  if (link == nullptr) {
    ++totals_.unknown_channel_messages;
    return {};
  }
  // For jobs to come: the miners hear of it with the next one.
  if (const auto set = link->channel->on_set_extranonce_prefix(message.extranonce_prefix); !set) {
    return fail(session::Errc::kProtocol, set.error().message());
  }
  return {};
}

Result<void> Translator::handle(const wire::SetGroupChannel& message) {
  for (const std::uint32_t id : message.channel_ids) {
    if (Sv1Channel* link = by_channel(id)) link->channel->on_set_group(message.group_channel_id);
  }
  return {};
}

Result<void> Translator::handle(const wire::CloseChannel& message) {
  const std::string reason = std::string(message.reason_code.view());
  for (Sv1Channel* link : addressed_by(message.channel_id)) {
    // Without the one channel of all miners this upstream takes nothing: another may.
    if (link == common_) return fail(session::Errc::kRefused, "the upstream closed the channel of all miners: " + reason);
    const auto members = link->members;
    drop(*link);
    for (Miner* miner : members) miner->end("the upstream closed its channel: " + reason);
  }
  return {};
}

Result<void> Translator::handle(const wire::SubmitSharesSuccess& message) {
  totals_.shares_accepted += message.new_submits_accepted_count;
  totals_.work_sum += message.new_shares_sum;
  if (Sv1Channel* const link = by_channel(message.channel_id)) {
    link->account.acknowledged += message.new_submits_accepted_count;
    link->account.acknowledged_work += message.new_shares_sum;
  }
  shares_.on_answer(message, shared_.now.instant, [&](const auto& share) {
    if (Miner* const miner = by_number(share.tag)) miner->count_accepted();
  });
  return {};
}

Result<void> Translator::handle(const wire::SubmitSharesError& message) {
  std::string code(message.error_code.view().substr(0, 64));
  auto& rejected = totals_.rejected_upstream;
  if (!rejected.contains(code) && rejected.size() >= kMaxErrorCodes) code = "other";
  ++rejected[code];
  if (Sv1Channel* const link = by_channel(message.channel_id)) mining::count_rejection(link->account.rejected, code);
  Miner* refused = nullptr;
  shares_.on_answer(message, shared_.now.instant, [&](const auto& share) {
    Miner* const miner = by_number(share.tag);
    if (miner == nullptr) return;
    miner->count_rejected(message.error_code.view() == kStaleShare, message.error_code.view());
    events_.on_share_rejected(*miner, message.error_code.view());
    if (miner->verdicts().refuses() && miner->ended().empty()) refused = miner;
  });
  return refused == nullptr ? Result<void>{} : on_refusing(*refused, message.error_code.view());
}

Result<void> Translator::on_refusing(Miner& miner, std::string_view code) {
  const mining::VerdictWindow& verdicts = miner.verdicts();
  const std::string reason = "the upstream refused " + std::to_string(verdicts.refused()) + " of the last " +
                             std::to_string(verdicts.refused() + verdicts.accepted()) +
                             " shares that we judged good and not stale, the last by '" + std::string(code.substr(0, 64)) + "'";
  const bool takes_others = std::ranges::any_of(miners_, [](const auto& other) { return other.second->verdicts().accepts(); });
  if (!takes_others) return fail(session::Errc::kRefused, reason);
  // It takes what others find: this miner alone had better mine elsewhere than be told of good shares.
  if (miner.link() != nullptr) miner.link()->usable = false;
  miner.end(reason);
  return {};
}

Result<void> Translator::on_tick(const Now& now) {
  shared_.now = now;
  for (const auto& [id, link] : by_request_) {
    if (now.instant - link->open_sent >= options_.open_timeout) {
      return fail(session::Errc::kTimedOut, "the upstream did not answer OpenExtendedMiningChannel");
    }
  }
  for (auto& [number, miner] : miners_) miner->on_tick();
  for (const auto& link : links_) update(*link);
  give_waiting_miners_channels();
  const auto is_over = [&](const Sv1Channel* link) { return now.instant - link->kept_since >= options_.ration.keep; };
  while (!kept_.empty() && is_over(kept_.front())) close_and_drop(*kept_.front(), "not needed any more");
  return {};
}

Counters Translator::counters() const {
  Counters counters = totals_;
  static_cast<mining::Sv1Counters&>(counters) = shared_.counters;
  counters.miners = miners_.size();
  counters.channels = by_channel_.size();
  counters.kept_channels = kept_.size();
  for (const auto& link : links_) counters.declared_hps += link->channel ? link->declared_hps : 0;
  for (const auto& [number, miner] : miners_) {
    if (!miner->established()) continue;
    ++counters.ready_miners;
    if (miner->channel() == nullptr) ++counters.waiting_miners;
    counters.hash_rate_hps += miner->hash_rate_hps();
  }
  return counters;
}

}  // namespace adit::translator
