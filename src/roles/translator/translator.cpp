#include "roles/translator/translator.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "sv1/difficulty.h"

namespace adit::translator {

namespace {

constexpr double kMinHashRate = 1;
constexpr double kMaxHashRate = 1e21;  // A thousand times the whole network of 2026; beyond it is no number to plan with.
constexpr std::size_t kMaxErrorCodes = 32;
constexpr std::size_t kMaxExtranonce = 32;

double clamp_hash_rate(double hash_rate_hps, double min_hash_rate_hps) {
  return std::clamp(hash_rate_hps, std::clamp(min_hash_rate_hps, kMinHashRate, kMaxHashRate), kMaxHashRate);
}

std::string hex_of(std::uint32_t id) {
  std::array<char, 8> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), id, 16).ptr;
  return {text.data(), end};
}

std::optional<std::uint32_t> id_of_hex(std::string_view text) {
  std::uint32_t id = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), id, 16);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return id;
}

sv1::Reject reject_of(channels::ShareVerdict verdict) {
  using channels::ShareVerdict;
  switch (verdict) {
    case ShareVerdict::kStale:
    case ShareVerdict::kInvalidJob:
      return sv1::Reject::kJobNotFound;
    case ShareVerdict::kDuplicate:
      return sv1::Reject::kDuplicateShare;
    case ShareVerdict::kTooEasy:
      return sv1::Reject::kLowDifficulty;
    default:
      return sv1::Reject::kOther;
  }
}

}  // namespace

std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kProtocol:
      return "protocol";
    case Errc::kRefused:
      return "refused";
    case Errc::kTimedOut:
      return "timed_out";
    case Errc::kReconnect:
      return "reconnect";
  }
  return "unknown";
}

// ---- Miner

Miner::Miner(Translator& owner, std::uint64_t number, std::string peer, const Now& now)
    : owner_(owner),
      number_(number),
      peer_(std::move(peer)),
      server_(owner.parser_, *this, hex_of(static_cast<std::uint32_t>(number))),
      connected_at_(now.instant),
      hash_rate_(clamp_hash_rate(owner.options_.min_hash_rate_hps, 0)),
      vardiff_(now.instant) {
  server_.allow_version_rolling(owner.version_mask_);
}

void Miner::on_subscribe(std::string_view) {
  wants_channel_ = true;
  owner_.open_channel(*this);
}

bool Miner::on_authorize(std::string_view, std::string_view) { return true; }

void Miner::on_suggest_difficulty(double difficulty) {
  if (!owner_.options_.vardiff) return;
  vardiff_.reset(owner_.now_.instant);
  set_hash_rate(bitcoin::hash_rate_from_target(bitcoin::target_from_difficulty(difficulty), owner_.options_.shares_per_minute));
}

void Miner::on_minimum_difficulty(double difficulty) {
  minimum_difficulty_ = difficulty;
  renew_job();
}

void Miner::on_ready() {
  vardiff_.reset(owner_.now_.instant);
  if (const auto* job = channel_ ? channel_->current() : nullptr) notify(*job, true);
}

std::optional<sv1::Reject> Miner::on_submit(const sv1::Submit& submit) {
  const auto reject = judge(submit);
  if (reject) {
    ++shares_rejected_;
    ++owner_.totals_.rejected_local[static_cast<int>(*reject)];
  }
  return reject;
}

std::optional<sv1::Reject> Miner::judge(const sv1::Submit& submit) {
  const auto id = id_of_hex(submit.job_id);
  const auto sent = std::ranges::find_if(sent_jobs_, [&](const SentJob& job) { return id == job.id; });
  if (sent == sent_jobs_.end() || !channel_) return sv1::Reject::kJobNotFound;

  // The upstream may have given more extranonce than the miner rolls: the miner's extranonce1 ends in zeros for the rest.
  std::array<std::uint8_t, kMaxExtranonce> extranonce{};
  const std::size_t size = channel_->extranonce_size();
  std::ranges::copy(submit.extranonce2.bytes(),
                    extranonce.begin() + static_cast<std::ptrdiff_t>(size - submit.extranonce2.size()));

  channels::Share share;
  share.job_id = sent->upstream_id;
  share.sequence_number = sequence_number_;
  share.nonce = submit.nonce;
  share.ntime = submit.ntime;
  share.version = sent->version;
  if (submit.version_bits) {
    const std::uint32_t mask = server_.version_mask();
    share.version = (sent->version & ~mask) | (*submit.version_bits & mask);  // BIP310
  }
  share.extranonce = Bytes(extranonce).first(size);

  const auto checked = channel_->check(share, owner_.now_.unix_time);
  const bool as_told = checked.hash <= sent->target;
  if (channels::is_accepted(checked.verdict)) {
    wire::SubmitSharesExtended message;
    message.channel_id = channel_->id();
    message.sequence_number = sequence_number_++;
    message.job_id = share.job_id;
    message.nonce = share.nonce;
    message.ntime = share.ntime;
    message.version = share.version;
    message.extranonce = share.extranonce;
    owner_.output_.push(message);
    const bool block = checked.verdict == channels::ShareVerdict::kBlock;
    ++owner_.totals_.shares_submitted;
    if (block) ++owner_.totals_.blocks_found;
    if (as_told) vardiff_.on_share(sent->difficulty);  // Else a block that came by luck, beside the share rate.
    owner_.events_.on_share_submitted(*this, block);
    return std::nullopt;
  }
  if (checked.verdict == channels::ShareVerdict::kTooEasy && (as_told || checked.hash <= told_target_)) {
    // Easier than the upstream asks for, but what the miner was told: it counts for vardiff, and goes nowhere.
    switch (local_seen_.insert(checked.hash.limbs()[0])) {
      case channels::SeenShares::Outcome::kNew:
        break;
      case channels::SeenShares::Outcome::kSeen:
        return sv1::Reject::kDuplicateShare;
      case channels::SeenShares::Outcome::kFull:
        return sv1::Reject::kOther;
    }
    ++owner_.totals_.shares_local;
    vardiff_.on_share(as_told ? sent->difficulty : bitcoin::difficulty_from_target(told_target_));
    return std::nullopt;
  }
  return reject_of(checked.verdict);
}

double Miner::difficulty_for(const bitcoin::U256& upstream_target) const {
  // Never harder than the upstream asks for: a share withheld is work unpaid.
  double difficulty = bitcoin::difficulty_from_target(upstream_target);
  if (owner_.options_.vardiff) {
    const auto wanted = bitcoin::target_from_hash_rate(hash_rate_, owner_.options_.shares_per_minute);
    difficulty = std::min(difficulty, bitcoin::difficulty_from_target(wanted));
  }
  difficulty = sv1::difficulty_for_firmware(difficulty);
  return std::max(difficulty, minimum_difficulty_);
}

void Miner::notify(const channels::ClientJob& job, bool clean) {
  if (!server_.ready() || !ended_.empty()) return;
  owner_.touch(*this);

  // BIP310's mask before the job it applies to; then the extranonce and the difficulty, which count from the next notify on.
  server_.allow_version_rolling(job.rules.version_mask & owner_.version_mask_);
  const std::size_t rolled = owner_.options_.extranonce2_size;
  std::array<std::uint8_t, kMaxExtranonce> extranonce1{};
  std::ranges::copy(job.prefix(), extranonce1.begin());
  const std::size_t extranonce1_size = job.prefix().size() + channel_->extranonce_size() - rolled;
  if (!server_.set_extranonce(sv1::Extranonce(Bytes(extranonce1).first(extranonce1_size)), rolled)) {
    end("its extranonce changed and it takes no mining.set_extranonce: it has to subscribe again");
    return;
  }
  const double difficulty = difficulty_for(job.target);
  told_target_ = bitcoin::target_from_difficulty(difficulty);
  server_.set_difficulty(difficulty);

  if (clean) {
    sent_jobs_.clear();
    local_seen_.clear();
  }
  // A job given again must differ in its time, or the miner would repeat the search it did.
  const auto elapsed = std::chrono::duration_cast<std::chrono::seconds>(owner_.now_.instant - job_since_);
  std::uint32_t ntime = job.ntime + static_cast<std::uint32_t>(std::max<std::int64_t>(elapsed.count(), 0));
  for (const SentJob& sent : sent_jobs_) {
    if (sent.upstream_id == job.id) ntime = std::max(ntime, sent.ntime + 1);
  }
  if (sent_jobs_.size() == kMaxSentJobs) sent_jobs_.erase(sent_jobs_.begin());
  sent_jobs_.push_back({++last_job_id_, job.id, ntime, job.rules.version, difficulty, told_target_});

  sv1::Notify notify;
  notify.job_id = hex_of(last_job_id_);
  notify.prev_hash = job.rules.prev_hash;
  notify.coinbase1 = job.work->coinbase_prefix;
  notify.coinbase2 = job.work->coinbase_suffix;
  notify.merkle_path = job.work->merkle_path;
  notify.version = job.rules.version;
  notify.nbits = job.rules.nbits;
  notify.ntime = ntime;
  notify.clean_jobs = clean;
  server_.notify(notify);
  notified_at_ = owner_.now_.instant;
}

void Miner::renew_job() {
  if (const auto* job = channel_ ? channel_->current() : nullptr) notify(*job, false);
}

void Miner::set_hash_rate(double hash_rate_hps) {
  hash_rate_ = clamp_hash_rate(hash_rate_hps, owner_.options_.min_hash_rate_hps);
  update_due_ = channel_.has_value() || open_request_.has_value();
  const auto* job = channel_ ? channel_->current() : nullptr;
  if (job != nullptr && bitcoin::target_from_difficulty(difficulty_for(job->target)) != told_target_) notify(*job, false);
}

void Miner::close_channel(std::string_view reason) {
  if (!channel_) return;
  wire::CloseChannel message;
  message.channel_id = channel_->id();
  message.reason_code = reason;
  owner_.output_.push(message);
  forget_channel();
}

void Miner::forget_channel() {
  if (channel_) owner_.by_channel_.erase(channel_->id());
  if (open_request_) owner_.by_request_.erase(*open_request_);
  channel_.reset();
  open_request_.reset();
  sent_jobs_.clear();
  local_seen_.clear();
  sequence_number_ = 0;
  update_due_ = false;
}

void Miner::end(std::string reason) {
  if (!ended_.empty()) return;
  server_.refuse_subscribe(reason);
  ended_ = std::move(reason);
  owner_.touch(*this);
}

void Miner::on_tick() {
  if (!ended_.empty()) return;
  const Instant now = owner_.now_.instant;
  const Options& options = owner_.options_;
  if (!server_.ready()) {
    if (now - connected_at_ >= options.handshake_timeout) {
      end(server_.awaits_subscribe_answer() ? "no pool to work for" : "it did not subscribe and authorize in time");
    }
    return;
  }
  if (!channel_) return;
  if (options.vardiff && !sent_jobs_.empty()) {
    if (const auto corrected = vardiff_.update(now, hash_rate_, clamp_hash_rate(options.min_hash_rate_hps, 0))) {
      set_hash_rate(*corrected);
    }
  }
  if (update_due_ && now - updated_at_ >= std::chrono::seconds(1)) {
    wire::UpdateChannel message;
    message.channel_id = channel_->id();
    message.nominal_hash_rate = static_cast<float>(hash_rate_);
    message.maximum_target = bitcoin::U256::max().to_le();
    owner_.output_.push(message);
    update_due_ = false;
    updated_at_ = now;
  }
  if (options.keepalive > Duration::zero() && now - notified_at_ >= options.keepalive) renew_job();
}

// ---- Translator: miners

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
  miner.close_channel("miner disconnected");
  miner.forget_channel();
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

void Translator::open_channel(Miner& miner) {
  if (upstream_ != UpstreamState::kReady || !miner.wants_channel_ || miner.channel_ || miner.open_request_ ||
      !miner.ended_.empty())
    return;
  const std::string user = user_identity_ + ".miner" + std::to_string(miner.number_);
  wire::OpenExtendedMiningChannel message;
  message.request_id = next_request_id_++;
  message.user_identity = user;
  message.nominal_hash_rate = static_cast<float>(miner.hash_rate_);
  message.max_target = bitcoin::U256::max().to_le();
  message.min_extranonce_size = options_.extranonce2_size;
  if (!output_.push(message)) {
    miner.end("user_identity is too long: with '.minerN' behind it, it may have 255 bytes");
    return;
  }
  miner.open_request_ = message.request_id;
  miner.open_sent_ = now_.instant;
  by_request_[message.request_id] = &miner;
}

// ---- Translator: upstream

void Translator::on_upstream_connected(std::string user_identity, std::string_view host, std::uint16_t port, const Now& now) {
  now_ = now;
  upstream_ = UpstreamState::kSettingUp;
  upstream_since_ = now.instant;
  user_identity_ = std::move(user_identity);
  wire::SetupConnection message;
  message.protocol = wire::kMiningProtocol;
  message.min_version = wire::kProtocolVersion;
  message.max_version = wire::kProtocolVersion;
  message.endpoint_host = host.substr(0, 255);
  message.endpoint_port = port;
  message.vendor = "adit";
  message.hardware_version = "translator";
  output_.push(message);
}

void Translator::on_upstream_lost(const Now& now) {
  now_ = now;
  upstream_ = UpstreamState::kNone;
  output_.clear();
  for (auto& [number, miner] : miners_) miner->forget_channel();
  by_channel_.clear();
  by_request_.clear();
  group_jobs_.clear();
}

Result<void> Translator::on_upstream_frames(std::span<const wire::FrameView> frames, const Now& now) {
  now_ = now;
  for (const auto& frame : frames) ADIT_CHECK(on_frame(frame));
  return {};
}

template <class M>
Result<void> Translator::decode_and_handle(const wire::FrameView& frame) {
  auto message = frame.as<M>();
  if (!message) return fail(Errc::kProtocol, std::string(M::kName) + " cannot be read: " + message.error().message());
  return handle(*message);
}

Result<void> Translator::on_frame(const wire::FrameView& frame) {
  if (frame.header.extension_type != wire::kCore) return {};  // No extension was negotiated: ignored (SV2 03 §3.4).
  if (upstream_ != UpstreamState::kReady && !frame.is<wire::SetupConnectionSuccess>() &&
      !frame.is<wire::SetupConnectionError>()) {
    return fail(Errc::kProtocol, "the upstream sent message " + std::to_string(frame.header.message_type) +
                                     " before it answered SetupConnection");
  }
  switch (frame.header.message_type) {
    case wire::SetupConnectionSuccess::kType:
      return decode_and_handle<wire::SetupConnectionSuccess>(frame);
    case wire::SetupConnectionError::kType:
      return decode_and_handle<wire::SetupConnectionError>(frame);
    case wire::OpenExtendedMiningChannelSuccess::kType:
      return decode_and_handle<wire::OpenExtendedMiningChannelSuccess>(frame);
    case wire::OpenMiningChannelError::kType:
      return decode_and_handle<wire::OpenMiningChannelError>(frame);
    case wire::NewExtendedMiningJob::kType:
      return decode_and_handle<wire::NewExtendedMiningJob>(frame);
    case wire::SetNewPrevHash::kType:
      return decode_and_handle<wire::SetNewPrevHash>(frame);
    case wire::SetTarget::kType:
      return decode_and_handle<wire::SetTarget>(frame);
    case wire::SetExtranoncePrefix::kType:
      return decode_and_handle<wire::SetExtranoncePrefix>(frame);
    case wire::SetGroupChannel::kType:
      return decode_and_handle<wire::SetGroupChannel>(frame);
    case wire::CloseChannel::kType:
      return decode_and_handle<wire::CloseChannel>(frame);
    case wire::SubmitSharesSuccess::kType:
      return decode_and_handle<wire::SubmitSharesSuccess>(frame);
    case wire::SubmitSharesError::kType:
      return decode_and_handle<wire::SubmitSharesError>(frame);
    case wire::UpdateChannelError::kType:
      return decode_and_handle<wire::UpdateChannelError>(frame);
    case wire::Reconnect::kType:
      return decode_and_handle<wire::Reconnect>(frame);
    default:
      return {};
  }
}

Result<void> Translator::handle(const wire::SetupConnectionSuccess& message) {
  if (upstream_ == UpstreamState::kReady) return fail(Errc::kProtocol, "the upstream answered SetupConnection twice");
  if (message.used_version != wire::kProtocolVersion) {
    return fail(Errc::kProtocol,
                "the upstream chose protocol version " + std::to_string(message.used_version) + ", which was not offered");
  }
  upstream_ = UpstreamState::kReady;
  version_mask_ = (message.flags & wire::kRequiresFixedVersion) != 0 ? 0 : sv1::kVersionRollingMask;
  events_.on_upstream_ready();
  for (auto& [number, miner] : miners_) {
    miner->server_.allow_version_rolling(version_mask_);
    open_channel(*miner);
    touch(*miner);
  }
  return {};
}

Result<void> Translator::handle(const wire::SetupConnectionError& message) {
  return fail(Errc::kRefused, "the upstream refused the connection: " + std::string(message.error_code.view()) +
                                  " (flags it does not support: " + std::to_string(message.flags) + ")");
}

Result<void> Translator::handle(const wire::OpenExtendedMiningChannelSuccess& message) {
  const auto request = by_request_.extract(message.request_id);
  if (request.empty()) {
    // The miner left while its open was under way.
    wire::CloseChannel close;
    close.channel_id = message.channel_id;
    close.reason_code = "miner disconnected";
    output_.push(close);
    return {};
  }
  Miner& miner = *request.mapped();
  miner.open_request_.reset();
  if (by_channel_.contains(message.channel_id)) {
    return fail(Errc::kProtocol, "the upstream gave channel id " + std::to_string(message.channel_id) + " twice");
  }
  if (message.extranonce_prefix.size() + message.extranonce_size > kMaxExtranonce ||
      message.extranonce_size < options_.extranonce2_size) {
    return fail(Errc::kProtocol, "the upstream gave an extranonce of " + std::to_string(message.extranonce_size) +
                                     " bytes behind a prefix of " + std::to_string(message.extranonce_prefix.size()) + "; " +
                                     std::to_string(options_.extranonce2_size) +
                                     " were asked for, and 32 is the most for both");
  }
  miner.channel_.emplace(message);
  by_channel_[message.channel_id] = &miner;
  events_.on_channel_opened(miner);
  if (miner.server_.awaits_subscribe_answer()) {
    std::array<std::uint8_t, kMaxExtranonce> extranonce1{};
    std::ranges::copy(message.extranonce_prefix, extranonce1.begin());
    const std::size_t size = message.extranonce_prefix.size() + message.extranonce_size - options_.extranonce2_size;
    const auto answered = miner.server_.subscribed(sv1::Extranonce(Bytes(extranonce1).first(size)), options_.extranonce2_size);
    if (!answered) miner.end(answered.error().message());
    touch(miner);
  }
  return {};
}

Result<void> Translator::handle(const wire::OpenMiningChannelError& message) {
  const auto request = by_request_.extract(message.request_id);
  if (request.empty()) return {};
  Miner& miner = *request.mapped();
  miner.open_request_.reset();
  events_.on_channel_refused(miner, message.error_code.view());
  const std::string reason = "the upstream refused the channel: " + std::string(message.error_code.view());
  // An upstream that takes none of our channels is no upstream; one that takes some refuses this one.
  if (by_channel_.empty()) return fail(Errc::kRefused, reason);
  miner.end(reason);
  return {};
}

std::vector<Miner*> Translator::addressed_by(std::uint32_t channel_id) {
  if (Miner* miner = by_channel(channel_id)) return {miner};
  std::vector<Miner*> members;
  for (const auto& [id, miner] : by_channel_) {
    if (miner->channel_->group_id() == channel_id) members.push_back(miner);
  }
  if (members.empty()) ++totals_.unknown_channel_messages;
  return members;
}

Miner* Translator::by_channel(std::uint32_t channel_id) {
  const auto found = by_channel_.find(channel_id);
  return found == by_channel_.end() ? nullptr : found->second;
}

Result<void> Translator::handle(const wire::NewExtendedMiningJob& message) {
  ++totals_.jobs;
  const auto work = channels::copy_work(message);
  const bool for_one = by_channel_.contains(message.channel_id);
  for (Miner* miner : addressed_by(message.channel_id)) {
    const auto job = miner->channel_->on_new_extended_mining_job(message, work);
    if (!job) {
      // A channel that joined its group a moment ago has its own first job on the way.
      if (for_one) return fail(Errc::kProtocol, job.error().message());
    } else if (*job != nullptr) {
      miner->job_since_ = now_.instant;
      miner->notify(**job, false);
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

Result<void> Translator::handle(const wire::SetNewPrevHash& message) {
  const bool for_one = by_channel_.contains(message.channel_id);
  bool known = false;
  const auto members = addressed_by(message.channel_id);
  for (Miner* miner : members) {
    auto job = miner->channel_->on_set_new_prev_hash(message);
    if (!job && job.error().is(channels::Errc::kUnknownJob) && give_group_job(*miner, message)) {
      job = miner->channel_->on_set_new_prev_hash(message);
    }
    if (job) {
      known = true;
      miner->job_since_ = now_.instant;
      miner->notify(**job, true);
    } else if (for_one || !job.error().is(channels::Errc::kUnknownJob)) {
      return fail(Errc::kProtocol, job.error().message());
    } else {
      miner->end("its channel was not given the job that its group mines on");
    }
  }
  if (!members.empty() && !known) {
    return fail(Errc::kProtocol,
                "SetNewPrevHash names job " + std::to_string(message.job_id) + ", which no channel of the group was given");
  }
  std::erase_if(group_jobs_, [&](const GroupJob& job) { return job.group_id == message.channel_id; });
  events_.on_job(message.job_id, true);
  return {};
}

bool Translator::give_group_job(Miner& miner, const wire::SetNewPrevHash& message) {
  const auto found = std::ranges::find_if(
      group_jobs_, [&](const GroupJob& job) { return job.group_id == message.channel_id && job.job_id == message.job_id; });
  if (found == group_jobs_.end()) return false;
  wire::NewExtendedMiningJob job;
  job.channel_id = found->group_id;
  job.job_id = found->job_id;
  job.version = found->version;
  job.version_rolling_allowed = found->version_rolling_allowed;
  return miner.channel_->on_new_extended_mining_job(job, found->work).has_value();
}

Result<void> Translator::handle(const wire::SetTarget& message) {
  const auto target = bitcoin::U256::from_le(message.maximum_target);
  for (Miner* miner : addressed_by(message.channel_id)) miner->channel_->on_set_target(target);
  return {};
}

Result<void> Translator::handle(const wire::SetExtranoncePrefix& message) {
  Miner* miner = by_channel(message.channel_id);  // Never for groups (SV2 05 §5.3.10).
  if (miner == nullptr) {
    ++totals_.unknown_channel_messages;
    return {};
  }
  if (message.extranonce_prefix.size() + miner->channel_->extranonce_size() > kMaxExtranonce) {
    return fail(Errc::kProtocol, "SetExtranoncePrefix makes an extranonce of over 32 bytes");
  }
  // For jobs to come: the miner hears of it with the next one.
  ADIT_CHECK(miner->channel_->on_set_extranonce_prefix(message.extranonce_prefix));
  return {};
}

Result<void> Translator::handle(const wire::SetGroupChannel& message) {
  for (const std::uint32_t id : message.channel_ids) {
    if (Miner* miner = by_channel(id)) miner->channel_->on_set_group(message.group_channel_id);
  }
  return {};
}

Result<void> Translator::handle(const wire::CloseChannel& message) {
  for (Miner* miner : addressed_by(message.channel_id)) {
    miner->forget_channel();
    miner->end("the upstream closed its channel: " + std::string(message.reason_code.view()));
  }
  return {};
}

Result<void> Translator::handle(const wire::SubmitSharesSuccess& message) {
  totals_.shares_accepted += message.new_submits_accepted_count;
  totals_.work_sum += message.new_shares_sum;
  if (Miner* miner = by_channel(message.channel_id)) miner->shares_accepted_ += message.new_submits_accepted_count;
  return {};
}

Result<void> Translator::handle(const wire::SubmitSharesError& message) {
  std::string code(message.error_code.view().substr(0, 64));
  auto& rejected = totals_.rejected_upstream;
  if (!rejected.contains(code) && rejected.size() >= kMaxErrorCodes) code = "other";
  ++rejected[code];
  if (Miner* miner = by_channel(message.channel_id)) {
    ++miner->shares_rejected_;
    events_.on_share_rejected(*miner, message.error_code.view());
  }
  return {};
}

Result<void> Translator::handle(const wire::UpdateChannelError&) { return {}; }

Result<void> Translator::handle(const wire::Reconnect& message) {
  // Only ever to an upstream that is configured: a Reconnect elsewhere is what hijackers send.
  return fail(Errc::kReconnect, message.new_host.empty()
                                    ? "the upstream asked for a new connection"
                                    : "the upstream asked to be reached elsewhere: a configured upstream is dialled instead");
}

Result<void> Translator::on_tick(const Now& now) {
  now_ = now;
  if (upstream_ == UpstreamState::kSettingUp && now.instant - upstream_since_ >= options_.setup_timeout) {
    return fail(Errc::kTimedOut, "the upstream did not answer SetupConnection");
  }
  for (auto& [number, miner] : miners_) {
    if (miner->open_request_ && now.instant - miner->open_sent_ >= options_.open_timeout) {
      return fail(Errc::kTimedOut, "the upstream did not answer OpenExtendedMiningChannel");
    }
    miner->on_tick();
  }
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
