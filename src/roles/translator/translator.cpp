#include "roles/translator/translator.h"

#include <algorithm>
#include <utility>

#include "channels/payout.h"

namespace adit::translator {

namespace {

constexpr std::size_t kMaxErrorCodes = 32;
constexpr std::size_t kMaxExtranonce = 32;
constexpr std::size_t kLocalIndexSize = 2;
constexpr std::uint32_t kRegtestNbits = 0x207fffff;

}  // namespace

std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kProtocol:
      return "protocol";
    case Errc::kRefused:
      return "refused";
    case Errc::kTimedOut:
      return "timed_out";
    case Errc::kConfiguration:
      return "configuration";
  }
  return "unknown";
}

// ---- Miners

Miner& Translator::add_miner(std::string peer, const Now& now) {
  now_ = now;
  const std::uint64_t number = std::exchange(next_number_, next_number_ + options_.number_step);
  auto& miner = miners_[number];
  miner = std::make_unique<Miner>(*this, number, std::move(peer), now);
  return *miner;
}

void Translator::on_miner_bytes(Miner& miner, Bytes bytes, const Now& now) {
  now_ = now;
  if (!miner.ended_.empty()) return;
  const auto received = miner.server_.receive(bytes);
  if (!received) miner.end(received.error().message());
  touch(miner);
}

void Translator::remove_miner(Miner& miner, const Now& now) {
  now_ = now;
  leave(miner, "miner disconnected");
  std::erase(touched_, &miner);
  miners_.erase(miner.number_);
}

std::vector<Miner*> Translator::take_touched() {
  for (Miner* miner : touched_) miner->touched_ = false;
  return std::exchange(touched_, {});
}

void Translator::touch(Miner& miner) {
  if (std::exchange(miner.touched_, true)) return;
  touched_.push_back(&miner);
}

Miner* Translator::by_number(std::uint64_t number) {
  const auto found = miners_.find(number);
  return found == miners_.end() ? nullptr : found->second.get();
}

// ---- Channels

std::optional<std::uint16_t> Translator::take_local_index() {
  if (local_indices_.size() > UINT16_MAX) return std::nullopt;
  // The one not used for longest: its former miner's search is not done again soon.
  while (!local_indices_.insert(++last_local_index_).second) {
  }
  return last_local_index_;
}

void Translator::join(Miner& miner) {
  if (!setup_.ready() || !miner.wants_channel_ || miner.link_ != nullptr || !miner.ended_.empty()) return;
  if (options_.aggregate) {
    const auto index = take_local_index();
    if (!index) return miner.end("too many miners for one channel");
    miner.local_index_ = *index;
    if (shared_ != nullptr) {
      miner.link_ = shared_;
      shared_->members.push_back(&miner);
      shared_->update_due = true;
      if (shared_->channel) miner.on_channel_open();
      return;
    }
  }
  auto link = std::make_unique<UpstreamChannel>();
  link->request_id = next_request_id_++;
  link->open_sent = now_.instant;
  link->index_size = options_.aggregate ? kLocalIndexSize : 0;
  link->members = {&miner};
  miner.link_ = link.get();
  by_request_[link->request_id] = link.get();
  if (options_.aggregate) shared_ = link.get();

  const std::string user = options_.aggregate ? user_identity_ : user_identity_ + ".miner" + std::to_string(miner.number_);
  wire::OpenExtendedMiningChannel message;
  message.request_id = link->request_id;
  message.user_identity = user;
  message.nominal_hash_rate = static_cast<float>(link->hash_rate_hps());
  message.max_target = bitcoin::U256::max().to_le();
  message.min_extranonce_size = static_cast<std::uint16_t>(link->index_size + options_.extranonce2_size);
  UpstreamChannel& opened = *links_.emplace_back(std::move(link));
  if (!output_.push(message)) {
    drop(opened);
    miner.end("user_identity is too long: with '.minerN' behind it, it may have 255 bytes");
  }
}

void Translator::leave(Miner& miner, std::string_view reason) {
  UpstreamChannel* const link = miner.link_;
  if (link == nullptr) return;
  std::erase(link->members, &miner);
  if (options_.aggregate) local_indices_.erase(miner.local_index_);
  miner.forget_channel();
  link->update_due = true;
  if (!link->members.empty()) return;
  if (link->channel) close(link->channel->id(), reason);
  drop(*link);
}

void Translator::close(std::uint32_t channel_id, std::string_view reason) {
  wire::CloseChannel message;
  message.channel_id = channel_id;
  message.reason_code = reason;
  output_.push(message);
}

void Translator::drop(UpstreamChannel& link) {
  for (Miner* miner : link.members) {
    if (options_.aggregate) local_indices_.erase(miner->local_index_);
    miner->forget_channel();
  }
  if (link.channel) {
    by_channel_.erase(link.channel->id());
    shares_.close(link.channel->id());
  }
  by_request_.erase(link.request_id);
  if (shared_ == &link) shared_ = nullptr;
  std::erase_if(links_, [&](const auto& other) { return other.get() == &link; });
}

void Translator::update(UpstreamChannel& link) {
  if (!link.channel || !link.update_due || now_.instant - link.updated_at < std::chrono::seconds(1)) return;
  wire::UpdateChannel message;
  message.channel_id = link.channel->id();
  message.nominal_hash_rate = static_cast<float>(link.hash_rate_hps());
  message.maximum_target = bitcoin::U256::max().to_le();
  output_.push(message);
  link.update_due = false;
  link.updated_at = now_.instant;
}

UpstreamChannel* Translator::by_channel(std::uint32_t channel_id) {
  const auto found = by_channel_.find(channel_id);
  return found == by_channel_.end() ? nullptr : found->second;
}

std::vector<UpstreamChannel*> Translator::addressed_by(std::uint32_t channel_id) {
  if (UpstreamChannel* link = by_channel(channel_id)) return {link};
  std::vector<UpstreamChannel*> members;
  for (const auto& link : links_) {
    if (link->channel && link->channel->group_id() == channel_id) members.push_back(link.get());
  }
  if (members.empty()) ++totals_.unknown_channel_messages;
  return members;
}

// ---- The upstream

void Translator::on_upstream_connected(std::string user_identity, const Now& now, bool regtest_only) {
  now_ = now;
  user_identity_ = std::move(user_identity);
  regtest_only_ = regtest_only;
  setup_.begin(now);
}

net::StratumV2StreamHandler Translator::on_upstream_lost(const Now& now) {
  now_ = now;
  setup_.reset();
  output_.clear();
  for (auto& [number, miner] : miners_) miner->forget_channel();
  links_.clear();
  by_channel_.clear();
  by_request_.clear();
  shared_ = nullptr;
  local_indices_.clear();
  group_jobs_.clear();
  return std::exchange(shares_, {});
}

Result<void> Translator::on_upstream_frames(std::span<const wire::FrameView> frames, const Now& now) {
  now_ = now;
  for (const auto& frame : frames) ADIT_CHECK(on_frame(frame));
  return {};
}

template <class... Messages>
Result<void> Translator::dispatch(const wire::FrameView& frame) {
  Result<void> result;
  const auto try_one = [&]<class M>(const M*) {
    if (!frame.is<M>()) return false;
    if (const auto message = frame.as<M>()) {
      result = handle(*message);
    } else {
      result = fail(Errc::kProtocol, std::string(M::kName) + " cannot be read: " + message.error().message());
    }
    return true;
  };
  (try_one(static_cast<const Messages*>(nullptr)) || ...);
  return result;
}

Result<void> Translator::on_frame(const wire::FrameView& frame) {
  const bool was_ready = setup_.ready();
  ADIT_TRY(const bool was_setup, setup_.on_frame(frame, now_, output_));
  if (!was_ready && setup_.ready()) become_ready();
  if (was_setup) return {};
  if (frame.header.extension_type != wire::kCore) {
    ++totals_.unknown_extension_messages;
    return {};
  }
  return dispatch<wire::NewExtendedMiningJob, wire::SetNewPrevHash, wire::SubmitSharesSuccess, wire::SubmitSharesError,
                  wire::SetTarget, wire::OpenExtendedMiningChannelSuccess, wire::OpenMiningChannelError,
                  wire::SetExtranoncePrefix, wire::SetGroupChannel, wire::CloseChannel, wire::ChannelEndpointChanged>(frame);
}

void Translator::become_ready() {
  version_mask_ = (setup_.flags() & wire::kRequiresFixedVersion) != 0 ? 0 : sv1::kVersionRollingMask;
  events_.on_upstream_ready();
  for (auto& [number, miner] : miners_) {
    miner->server_.allow_version_rolling(version_mask_);
    join(*miner);
    touch(*miner);
  }
}

Result<void> Translator::handle(const wire::OpenExtendedMiningChannelSuccess& message) {
  if (by_channel_.contains(message.channel_id)) {
    return fail(Errc::kProtocol, "the upstream gave channel id " + std::to_string(message.channel_id) + " twice");
  }
  const auto request = by_request_.extract(message.request_id);
  if (request.empty()) {
    // The miner left while its open was under way.
    close(message.channel_id, "miner disconnected");
    return {};
  }
  UpstreamChannel& link = *request.mapped();
  const std::size_t wanted = link.index_size + options_.extranonce2_size;
  if (message.extranonce_prefix.size() + message.extranonce_size > kMaxExtranonce || message.extranonce_size < wanted) {
    return fail(Errc::kProtocol, "the upstream gave an extranonce of " + std::to_string(message.extranonce_size) +
                                     " bytes behind a prefix of " + std::to_string(message.extranonce_prefix.size()) + "; " +
                                     std::to_string(wanted) + " were asked for, and 32 is the most for both");
  }
  link.channel.emplace(message);
  by_channel_[message.channel_id] = &link;
  const auto members = link.members;
  for (Miner* miner : members) {
    events_.on_channel_opened(*miner);
    miner->on_channel_open();
  }
  return {};
}

Result<void> Translator::handle(const wire::OpenMiningChannelError& message) {
  const auto request = by_request_.extract(message.request_id);
  if (request.empty()) return {};
  UpstreamChannel& link = *request.mapped();
  const std::string reason = "the upstream refused the channel: " + std::string(message.error_code.view());
  const auto members = link.members;
  for (Miner* miner : members) events_.on_channel_refused(*miner, message.error_code.view());
  drop(link);
  // An upstream that takes none of our channels is no upstream; one that takes some refuses this one.
  if (by_channel_.empty()) return fail(Errc::kRefused, reason);
  for (Miner* miner : members) miner->end(reason);
  return {};
}

Result<void> Translator::handle(const wire::NewExtendedMiningJob& message) {
  ++totals_.jobs;
  const auto links = addressed_by(message.channel_id);
  const auto work = channels::copy_work(message);
  if (!links.empty()) ADIT_CHECK(check_payout(*work, *links.front()->channel));
  const bool for_one = by_channel_.contains(message.channel_id);
  for (UpstreamChannel* link : links) {
    const auto job = link->channel->on_new_extended_mining_job(message, work);
    if (!job) {
      // A channel that joined its group a moment ago has its own first job on the way.
      if (for_one) return fail(Errc::kProtocol, job.error().message());
    } else if (*job != nullptr) {
      link->job_since = now_.instant;
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

Result<void> Translator::check_payout(const channels::ExtendedWork& work, const channels::ClientChannel& channel) const {
  if (!options_.verify_payout) return {};
  ADIT_TRY(const auto payout, channels::payout_of(user_identity_));
  const std::size_t extranonce_size = channel.extranonce_prefix().size() + channel.extranonce_size();
  const auto paid = channels::check_payout(payout, work.coinbase_prefix, extranonce_size, work.coinbase_suffix);
  if (paid) return {};
  return fail(Errc::kProtocol, "the upstream gave a job that does not pay " + user_identity_ + ": " + paid.error().message());
}

Result<void> Translator::handle(const wire::SetNewPrevHash& message) {
  if (regtest_only_ && message.nbits != kRegtestNbits) {
    return fail(
        Errc::kConfiguration,
        "this upstream mines on a network that is not regtest under SRI's published example authority key, whose secret "
        "everybody has, so anybody can pose as it: nothing is mined for it; ask the pool for its own key and put that into "
        "authority_pubkey (or the URL), then start again");
  }
  const bool for_one = by_channel_.contains(message.channel_id);
  bool known = false;
  const auto links = addressed_by(message.channel_id);
  for (UpstreamChannel* link : links) {
    auto job = link->channel->on_set_new_prev_hash(message);
    if (!job && job.error().is(channels::Errc::kUnknownJob)) {
      ADIT_TRY(const bool given, give_group_job(*link, message));
      if (given) job = link->channel->on_set_new_prev_hash(message);
    }
    if (job) {
      known = true;
      link->job_since = now_.instant;
      for (Miner* miner : link->members) miner->notify(**job, true);
    } else if (for_one || !job.error().is(channels::Errc::kUnknownJob)) {
      return fail(Errc::kProtocol, job.error().message());
    } else {
      for (Miner* miner : link->members) miner->end("its channel was not given the job that its group mines on");
    }
  }
  if (!links.empty() && !known) {
    return fail(Errc::kProtocol,
                "SetNewPrevHash names job " + std::to_string(message.job_id) + ", which no channel of the group was given");
  }
  std::erase_if(group_jobs_, [&](const GroupJob& job) { return job.group_id == message.channel_id; });
  events_.on_job(message.job_id, true);
  return {};
}

Result<bool> Translator::give_group_job(UpstreamChannel& link, const wire::SetNewPrevHash& message) {
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
  for (UpstreamChannel* link : addressed_by(message.channel_id)) link->channel->on_set_target(target);
  return {};
}

Result<void> Translator::handle(const wire::SetExtranoncePrefix& message) {
  UpstreamChannel* link = by_channel(message.channel_id);  // Never for groups (SV2 05 §5.3.10).
  if (link == nullptr) {
    ++totals_.unknown_channel_messages;
    return {};
  }
  // For jobs to come: the miners hear of it with the next one.
  if (const auto set = link->channel->on_set_extranonce_prefix(message.extranonce_prefix); !set) {
    return fail(Errc::kProtocol, set.error().message());
  }
  return {};
}

Result<void> Translator::handle(const wire::SetGroupChannel& message) {
  for (const std::uint32_t id : message.channel_ids) {
    if (UpstreamChannel* link = by_channel(id)) link->channel->on_set_group(message.group_channel_id);
  }
  return {};
}

Result<void> Translator::handle(const wire::CloseChannel& message) {
  const std::string reason = std::string(message.reason_code.view());
  for (UpstreamChannel* link : addressed_by(message.channel_id)) {
    // Without the one channel of all miners this upstream takes nothing: another may.
    if (link == shared_) return fail(Errc::kRefused, "the upstream closed the channel of all miners: " + reason);
    const auto members = link->members;
    drop(*link);
    for (Miner* miner : members) miner->end("the upstream closed its channel: " + reason);
  }
  return {};
}

Result<void> Translator::handle(const wire::SubmitSharesSuccess& message) {
  totals_.shares_accepted += message.new_submits_accepted_count;
  totals_.work_sum += message.new_shares_sum;
  shares_.on_answer(message, now_.instant, [&](const auto& share) {
    if (Miner* const miner = by_number(share.tag)) ++miner->shares_accepted_;
  });
  return {};
}

Result<void> Translator::handle(const wire::SubmitSharesError& message) {
  std::string code(message.error_code.view().substr(0, 64));
  auto& rejected = totals_.rejected_upstream;
  if (!rejected.contains(code) && rejected.size() >= kMaxErrorCodes) code = "other";
  ++rejected[code];
  shares_.on_answer(message, now_.instant, [&](const auto& share) {
    Miner* const miner = by_number(share.tag);
    if (miner == nullptr) return;
    ++miner->shares_rejected_;
    events_.on_share_rejected(*miner, message.error_code.view());
  });
  return {};
}

Result<void> Translator::handle(const wire::ChannelEndpointChanged&) {
  setup_.renegotiate(output_);
  return {};
}

Result<void> Translator::on_tick(const Now& now) {
  now_ = now;
  const bool was_ready = setup_.ready();
  ADIT_CHECK(setup_.on_tick(now));
  if (!was_ready && setup_.ready()) become_ready();
  for (const auto& [id, link] : by_request_) {
    if (now.instant - link->open_sent >= options_.open_timeout) {
      return fail(Errc::kTimedOut, "the upstream did not answer OpenExtendedMiningChannel");
    }
  }
  for (auto& [number, miner] : miners_) miner->on_tick();
  for (const auto& link : links_) update(*link);
  return {};
}

Counters Translator::counters() const {
  Counters counters = totals_;
  counters.miners = miners_.size();
  counters.channels = by_channel_.size();
  for (const auto& [number, miner] : miners_) {
    if (!miner->server_.ready()) continue;
    ++counters.ready_miners;
    counters.hash_rate_hps += miner->hash_rate_;
  }
  return counters;
}

}  // namespace adit::translator
