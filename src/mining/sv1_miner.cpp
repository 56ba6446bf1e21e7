#include "mining/sv1_miner.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/number.h"
#include "base/utf8.h"
#include "session/first_bytes.h"
#include "sv1/difficulty.h"

namespace adit::mining {

namespace {

constexpr double kMinHashRate = 1e-3;  // With it any hash is a share.
constexpr double kMaxHashRate = 1e21;  // A thousand times the whole network of 2026; beyond it is no number to plan with.
constexpr std::size_t kMaxExtranonce = 32;
/// A peer that has sent a few bytes and no more for so long is silent.
constexpr Duration kSilence = std::chrono::seconds(2);

/// So many times the share rate that is wanted a miner may have at an upstream that takes easier shares than it was asked to.
constexpr double kFloodFactor = 64;

/// A suggested difficulty may move what a miner is taken to have by so much, up or down, from what its shares prove.
constexpr double kSuggestionFactor = 1024;

double clamp_hash_rate(double hash_rate_hps, double min_hash_rate_hps) {
  return std::clamp(hash_rate_hps, std::clamp(min_hash_rate_hps, kMinHashRate, kMaxHashRate), kMaxHashRate);
}

std::string hex_of(std::uint32_t id) {
  std::array<char, 8> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), id, 16).ptr;
  return {text.data(), end};
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

/// A refusal of our own by the name that the same has in Stratum V2.
std::string_view reason_of(sv1::Reject reject) {
  switch (reject) {
    case sv1::Reject::kJobNotFound:
      return "stale-share";
    case sv1::Reject::kDuplicateShare:
      return "duplicate-share";
    case sv1::Reject::kLowDifficulty:
      return "difficulty-too-low";
    case sv1::Reject::kUnauthorized:
      return "unauthorized-worker";
    case sv1::Reject::kNotSubscribed:
      return "not-subscribed";
    case sv1::Reject::kOther:
      break;
  }
  return "invalid-share";
}

}  // namespace

bitcoin::U256 max_target(const Sv1Policy& policy) {
  if (!policy.vardiff) return bitcoin::U256::max();
  return bitcoin::target_from_hash_rate(clamp_hash_rate(policy.min_hash_rate_hps, 0), policy.shares_per_minute);
}

std::string_view worker_part(std::string_view user) {
  const auto dot = user.find('.');
  return dot == std::string_view::npos || dot + 1 == user.size() ? user : user.substr(dot + 1);
}

WorkerIdentity::WorkerIdentity(std::string_view worker, std::uint64_t number) {
  while (!worker.empty()) {
    const auto next = first_code_point(worker);
    const bool plain = next.size != 0 && !is_control(next.value);
    const auto shown = plain ? worker.substr(0, next.size) : std::string_view("?");
    if (size_ + shown.size() > text_.size()) break;
    append(shown);
    worker.remove_prefix(plain ? next.size : 1);
  }
  if (size_ != 0) return;
  append("miner");
  std::array<char, 20> digits{};
  append({digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr});
}

void WorkerIdentity::append(std::string_view more) {
  std::ranges::copy(more, text_.begin() + size_);
  size_ = static_cast<std::uint8_t>(size_ + more.size());
}

double Sv1Channel::hash_rate_hps() const {
  double sum = 0;
  for (const Sv1Miner* miner : members) sum += miner->hash_rate_hps();
  return std::min(sum, kMaxHashRate);
}

Sv1Miner::Sv1Miner(Sv1Owner& owner, Sv1Shared& shared, std::uint64_t number, std::string peer, std::string source)
    : owner_(owner),
      shared_(shared),
      number_(number),
      peer_(std::move(peer)),
      source_(std::move(source)),
      server_(shared.parser, *this, hex_of(static_cast<std::uint32_t>(number))),
      connected_at_(shared.now.instant),
      assumed_hash_rate_(clamp_hash_rate(shared.policy.min_hash_rate_hps, 0)),
      vardiff_(shared.now.instant) {
  server_.allow_version_rolling(shared.version_mask);
}

void Sv1Miner::on_bytes(Bytes bytes, const Now& now) {
  shared_.now = now;
  if (!ended_.empty()) return;
  if (!speaks_sv1_) {
    const std::size_t taken = std::min(bytes.size(), session::kFirstBytes - first_.size());
    first_ += as_text(bytes.first(taken));
    first_at_ = now.instant;
    if (!recognize(false)) return;
    bytes = bytes.subspan(taken);
  }
  receive(bytes);
}

void Sv1Miner::receive(Bytes bytes) {
  const auto received = server_.receive(bytes);
  if (!received) end(received.error().message());
  owner_.on_touched(*this);
}

bool Sv1Miner::recognize(bool silent) {
  const auto spoken = session::recognize(as_bytes(first_), silent);
  if (spoken == session::Spoken::kUndecided) return false;
  // Text is answered: a line that is no Stratum V1 gets an error that says so.
  if (spoken != session::Spoken::kSv1 && spoken != session::Spoken::kText) {
    end("it does not speak Stratum V1: it sent " + std::string(session::to_words(spoken)) + "; " +
        std::string(session::advice_at_sv1_port(spoken)));
    return false;
  }
  speaks_sv1_ = true;
  receive(as_bytes(std::exchange(first_, {})));
  return ended_.empty();
}

Result<sv1::Subscription> Sv1Miner::on_subscribe(std::string_view) {
  auto index = owner_.on_subscribe(*this);
  if (!index) {
    end(index.error().message());
    return fail(std::move(index.error()));
  }
  index_ = *index;
  std::array<std::uint8_t, kExtranonce1Size> bytes{};
  store_be(bytes.data(), *index_);
  return sv1::Subscription{.extranonce1 = sv1::Extranonce(bytes), .extranonce2_size = shared_.policy.extranonce2_size};
}

void Sv1Miner::attach(Sv1Channel& channel) {
  link_ = &channel;
  attached_at_ = shared_.now.instant;
  verdicts_ = {};
  if (const auto* job = channel.channel ? channel.channel->current() : nullptr) notify(*job, true);
}

void Sv1Miner::renew_version_mask() { server_.allow_version_rolling(shared_.version_mask); }

bool Sv1Miner::on_authorize(std::string_view user, std::string_view) { return owner_.on_authorize(*this, user); }

void Sv1Miner::on_suggest_difficulty(double difficulty) {
  const double suggested =
      bitcoin::hash_rate_from_target(bitcoin::target_from_difficulty(difficulty), shared_.policy.shares_per_minute);
  if (!shared_.policy.vardiff) return owner_.on_suggest_hash_rate(*this, suggested);
  vardiff_.restart(shared_.now.instant);
  const double known = proven_ ? hash_rate_hps() : clamp_hash_rate(shared_.policy.min_hash_rate_hps, 0);
  assume(std::clamp(suggested, known / kSuggestionFactor, known * kSuggestionFactor));
}

void Sv1Miner::on_minimum_difficulty(double difficulty) {
  minimum_difficulty_ = difficulty;
  renew_job();
}

void Sv1Miner::on_ready() {
  vardiff_.reset(shared_.now.instant);
  workless_since_ = shared_.now.instant;
  owner_.on_ready(*this);
}

std::size_t Sv1Miner::filled() const {
  return channel()->extranonce_size() - kExtranonce1Size - shared_.policy.extranonce2_size;
}

std::optional<sv1::Reject> Sv1Miner::on_submit(const sv1::Submit& submit) {
  const auto reject = judge(submit);
  if (reject) {
    ++shares_rejected_;
    count_reason(reason_of(*reject));
    ++shared_.counters.rejected_local[static_cast<int>(*reject)];
  }
  return reject;
}

std::optional<sv1::Reject> Sv1Miner::judge(const sv1::Submit& submit) {
  // Behind the '#' of a job that was given again.
  const auto id = number_from<std::uint32_t>(submit.job_id.substr(submit.job_id.rfind('#') + 1), 16);
  const auto sent = std::ranges::find_if(sent_jobs_, [&](const SentJob& job) { return id == job.id; });
  if (sent == sent_jobs_.end() || channel() == nullptr) {
    if (id && *id != 0 && *id <= left_job_id_) ++shared_.counters.shares_orphaned;
    return sv1::Reject::kJobNotFound;
  }

  std::array<std::uint8_t, kMaxExtranonce> extranonce{};
  store_be(extranonce.data() + filled(), *index_);
  std::ranges::copy(submit.extranonce2.bytes(), extranonce.begin() + static_cast<std::ptrdiff_t>(filled() + kExtranonce1Size));

  channels::Share share;
  share.job_id = sent->upstream_id;
  share.nonce = submit.nonce;
  share.ntime = submit.ntime;
  share.version = sent->version | (submit.version_bits.value_or(0) & sent->version_mask);  // BIP310
  share.extranonce = Bytes(extranonce).first(channel()->extranonce_size());

  const auto checked = link_->channel->check(share, shared_.now.unix_time);
  const bool as_told = checked.hash <= sent->target;
  if (channels::is_accepted(checked.verdict)) {
    const bool block = checked.verdict == channels::ShareVerdict::kBlock;
    ++shared_.counters.shares_submitted;
    ++shares_submitted_;
    if (block) ++shared_.counters.blocks_found;
    link_->account.count_submitted(bitcoin::difficulty_from_target(checked.hash),
                                   bitcoin::difficulty_from_target(link_->channel->find(share.job_id)->target), block);
    if (as_told) credit(sent->difficulty);  // Else a block that came by luck, beside the share rate.
    const auto reject = owner_.on_share(*this, share, submit.user, block);
    if (!reject) count_good(checked.hash);
    return reject;
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
    ++shared_.counters.shares_local;
    ++shares_local_;
    count_good(checked.hash);
    credit(as_told ? sent->difficulty : bitcoin::difficulty_from_target(told_target_));
    return std::nullopt;
  }
  return reject_of(checked.verdict);
}

void Sv1Miner::count_reason(std::string_view error_code) { count_rejection(rejected_, error_code); }

void Sv1Miner::count_good(const bitcoin::U256& hash) {
  best_difficulty_ = std::max(best_difficulty_, bitcoin::difficulty_from_target(hash));
  last_share_at_ = shared_.now.instant;
}

void Sv1Miner::credit(double difficulty) {
  vardiff_.on_share(difficulty);
  work_.on_share(shared_.now.instant, difficulty);
  if (!std::exchange(proven_, true)) owner_.on_proven(*this);
}

double Sv1Miner::difficulty_for(const bitcoin::U256& upstream_target) const {
  // Never harder than the upstream asks for: a share withheld is work unpaid.
  // A target of 0, which no hash meets, has a difficulty that JSON cannot say: the next one is as good.
  double difficulty = bitcoin::difficulty_from_target(std::max(upstream_target, bitcoin::U256(1)));
  if (shared_.policy.vardiff) {
    const double wanted =
        bitcoin::difficulty_from_target(bitcoin::target_from_hash_rate(assumed_hash_rate_, shared_.policy.shares_per_minute));
    // Nor easier by far, which would be a flood.
    difficulty = std::clamp(difficulty, wanted / kFloodFactor, wanted);
  }
  difficulty = sv1::difficulty_for_firmware(difficulty);
  return std::max(difficulty, minimum_difficulty_);
}

void Sv1Miner::notify(const channels::ClientJob& job, bool clean) {
  if (!server_.ready() || !ended_.empty()) return;
  owner_.on_touched(*this);

  // BIP310's mask before the job it applies to; then the difficulty, which counts from the next notify on.
  const std::uint32_t allowed = job.rules.version_mask & shared_.version_mask;
  server_.allow_version_rolling(allowed);
  const double difficulty = difficulty_for(job.target);
  told_target_ = bitcoin::target_from_difficulty(difficulty);
  server_.set_difficulty(difficulty);

  if (clean) {
    sent_jobs_.clear();
    local_seen_.clear();
  }
  // A job given again must differ in its time, or the miner would repeat the search it did.
  const auto elapsed = std::chrono::duration_cast<std::chrono::seconds>(shared_.now.instant - link_->job_since);
  std::uint32_t ntime = job.ntime + static_cast<std::uint32_t>(std::max<std::int64_t>(elapsed.count(), 0));
  std::string given_before;  // Its id then, with a '#' behind it (as SRI).
  for (const SentJob& sent : sent_jobs_) {
    if (sent.upstream_id != job.id) continue;
    ntime = std::max(ntime, sent.ntime + 1);
    if (given_before.empty()) given_before = hex_of(sent.id) + "#";
  }
  // What may be rolled starts at zero: firmware sets bits (the BM1366's and its successors', in ESP-Miner) or submits the
  // difference (NerdQAxePlus), which is the value only then (frstrtr/c2pool#1393).
  const std::uint32_t version = job.rules.version & ~allowed;
  if (sent_jobs_.size() == kMaxSentJobs) sent_jobs_.erase(sent_jobs_.begin());
  sent_jobs_.push_back({++last_job_id_, job.id, ntime, version, server_.version_mask(), difficulty, told_target_});

  sv1::Notify notify;
  notify.job_id = given_before + hex_of(last_job_id_);
  notify.prev_hash = job.rules.prev_hash;
  notify.coinbase1.reserve(job.work->coinbase_prefix.size() + kMaxExtranonce);
  notify.coinbase1 = job.work->coinbase_prefix;
  notify.coinbase1.insert(notify.coinbase1.end(), job.prefix().begin(), job.prefix().end());
  notify.coinbase1.insert(notify.coinbase1.end(), filled(), 0x00);
  notify.coinbase2 = job.work->coinbase_suffix;
  notify.merkle_path = job.work->merkle_path;
  notify.version = version;
  notify.nbits = job.rules.nbits;
  notify.ntime = ntime;
  notify.clean_jobs = clean;
  server_.notify(notify);
  work_.start(shared_.now.instant);
  notified_at_ = shared_.now.instant;
}

void Sv1Miner::renew_job() {
  if (const auto* job = channel() ? channel()->current() : nullptr) notify(*job, false);
}

void Sv1Miner::assume(double hash_rate_hps) {
  assumed_hash_rate_ = clamp_hash_rate(hash_rate_hps, shared_.policy.min_hash_rate_hps);
  const auto* job = channel() ? channel()->current() : nullptr;
  if (job != nullptr && bitcoin::target_from_difficulty(difficulty_for(job->target)) != told_target_) notify(*job, false);
}

void Sv1Miner::detach() {
  if (channel() != nullptr && channel()->current() != nullptr) workless_since_ = shared_.now.instant;
  link_ = nullptr;
  work_.pause(shared_.now.instant);
  left_job_id_ = last_job_id_;
  sent_jobs_.clear();
  local_seen_.clear();
}

void Sv1Miner::end(std::string reason) {
  if (!ended_.empty()) return;
  ended_ = std::move(reason);
  owner_.on_touched(*this);
}

void Sv1Miner::on_tick() {
  if (!ended_.empty()) return;
  const Instant now = shared_.now.instant;
  const Sv1Policy& policy = shared_.policy;
  if (!speaks_sv1_ && !first_.empty() && now - first_at_ >= kSilence) recognize(true);
  if (!server_.ready()) {
    if (now - connected_at_ >= policy.handshake_timeout) end("it did not subscribe and authorize in time");
    return;
  }
  if (channel() == nullptr || channel()->current() == nullptr) {
    if (now - workless_since_ >= policy.work_timeout) end("no pool to work for");
    return;
  }
  if (policy.vardiff && !sent_jobs_.empty()) {
    const auto corrected = vardiff_.update(now, assumed_hash_rate_, clamp_hash_rate(policy.min_hash_rate_hps, 0));
    steady_ = !corrected;
    if (corrected) assume(*corrected);
  }
  if (policy.keepalive > Duration::zero() && now - notified_at_ >= policy.keepalive) renew_job();
}

}  // namespace adit::mining
