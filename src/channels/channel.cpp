#include "channels/channel.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "sv1/difficulty.h"

namespace adit::channels {
namespace {

/// Shares that prove nothing together, nor in less time.
constexpr std::uint32_t kFewProofs = 4;
constexpr Duration kLeastProof = std::chrono::minutes(1);
/// What was proved that long ago proves nothing of now.
constexpr Duration kProofLasts = std::chrono::minutes(10);

Result<void> check_hash_rate(double hps) {
  if (!std::isfinite(hps) || hps < 0) return fail(Errc::kHashRate, "nominal_hash_rate must be a finite number of at least 0");
  return {};
}

}  // namespace

double ChannelPolicy::least_hash_rate_hps() const {
  constexpr double kHashesPerDifficulty = 4295032833.0;  // 2^256 over the target of difficulty 1.
  return std::max(min_hash_rate_hps, min_difficulty * kHashesPerDifficulty * shares_per_minute / 60);
}

Result<Channel> Channel::open(const Config& config, std::string user_identity, ExtranonceLease lease,
                              const ChannelPolicy& policy, Instant now) {
  ADIT_CHECK(check_hash_rate(config.nominal_hash_rate_hps));
  return Channel(config, std::move(user_identity), std::move(lease), policy, now);
}

Channel::Channel(const Config& config, std::string user_identity, ExtranonceLease lease, const ChannelPolicy& policy,
                 Instant now)
    : policy_(&policy),
      max_shares_per_tip_(static_cast<std::uint32_t>(policy.max_shares_per_tip())),
      id_(config.id),
      kind_(config.kind),
      own_jobs_(config.own_jobs),
      for_sv1_(config.for_sv1),
      declared_hash_rate_hps_(config.nominal_hash_rate_hps),
      max_target_(config.max_target),
      lease_(std::move(lease)),
      payee_(config.payee),
      seen_bytes_(config.budget),
      vardiff_(now),
      user_identity_(std::move(user_identity)) {
  std::ranges::copy(lease_.prefix(), terms_.extranonce.begin());
  terms_.target = target_from(config.nominal_hash_rate_hps);
  terms_.work = Work::of(terms_.target);
}

double Channel::best_difficulty() const { return stats_.accepted == 0 ? 0 : bitcoin::difficulty_from_target(best_hash_); }

Bytes Channel::extranonce_prefix() const {
  const std::size_t rollable = kind_ == ChannelKind::kStandard ? policy_->rollable_extranonce_size : 0;
  return Bytes(terms_.extranonce).first(kExtranoncePrefixSize + rollable);
}

FullExtranonce Channel::full_extranonce(const Terms& terms, Bytes extranonce) const {
  auto full = terms.extranonce;
  if (kind_ == ChannelKind::kExtended) {
    std::copy_n(extranonce.begin(), policy_->rollable_extranonce_size, full.begin() + kExtranoncePrefixSize);
  }
  return full;
}

void Channel::start(const Job& job, wire::FrameBuffer& out) {
  const Job& given = renew(job);
  first_job_id_ = given_job_id_ = given.id;
  given_ = 1;
  if (kind_ == ChannelKind::kStandard) {
    given.push_standard(id_, standard_header_of(given, terms_of(given.id)).merkle_root(), /*future=*/true, out);
  } else {
    given.push_extended(id_, /*future=*/true, out);
  }
  given.push_set_new_prev_hash(id_, out);
}

void Channel::follow(const JobSet& jobs) {
  if (tip_job_id_ == jobs.tip_job_id()) return;
  tip_job_id_ = jobs.tip_job_id();
  seen_.clear(/*release=*/seen_bytes_.crowding() != 0);
  seen_bytes_.set(seen_.bytes());
  past_terms_.clear();
  custom_jobs_.clear();
}

void Channel::send_job(const JobSet& jobs, wire::FrameBuffer& out, wire::FrameBuffer& tips) {
  follow(jobs);
  const Job& job = renew(*jobs.current());
  const bool future = given_job_id_ < jobs.tip_job_id();
  const std::uint32_t steps = job.id - given_job_id_;
  given_ = (steps < 64 ? given_ << steps : 0) | 1;
  given_job_id_ = job.id;
  if (kind_ == ChannelKind::kStandard) {
    job.push_standard(id_, standard_header_of(job, terms_of(job.id)).merkle_root(), future, out);
  } else {
    job.push_extended(id_, future, out);
  }
  if (future) job.push_set_new_prev_hash(id_, tips);
}

bool Channel::was_given(std::uint32_t job_id) const {
  if (!own_jobs_) return true;
  const std::uint32_t back = given_job_id_ - job_id;
  return job_id <= given_job_id_ && (back >= 64 || (given_ >> back & 1) != 0);
}

const Channel::Terms& Channel::terms_of(std::uint32_t job_id) const {
  if (job_id >= terms_.first_job_id || past_terms_.empty()) return terms_;
  const auto found = std::find_if(past_terms_.rbegin(), past_terms_.rend(),
                                  [job_id](const Terms& past) { return past.first_job_id <= job_id; });
  return found == past_terms_.rend() ? past_terms_.front() : *found;
}

std::uint32_t Channel::last_given(const JobSet& jobs) const {
  if (own_jobs_) return given_job_id_;
  if (group_job_id_ != nullptr) return *group_job_id_;
  return jobs.current() == nullptr ? 0 : jobs.current()->id;
}

void Channel::set_terms(Terms terms, const JobSet& jobs) {
  follow(jobs);
  // A job that is due and not sent yet is sent after what the client hears of the change.
  const std::uint32_t given = last_given(jobs);
  terms.first_job_id = given == 0 ? 0 : given + 1;
  // Jobs that were already given keep what they were given with (SV2 05 §5.3.10, §5.3.21).
  if (terms.first_job_id != terms_.first_job_id) {
    past_terms_.push_back(terms_);
    if (past_terms_.size() > jobs.max_past_jobs() + 1) past_terms_.erase(past_terms_.begin());
  }
  terms_ = terms;
}

bitcoin::U256 Channel::target_from(double hash_rate_hps) {
  hash_rate_hps_ = std::max(hash_rate_hps, policy_->least_hash_rate_hps());
  const double shares_per_minute = policy_->shares_per_minute / (1u << crowding_);
  const auto wanted = std::max(bitcoin::target_from_hash_rate(hash_rate_hps_, shares_per_minute), policy_->hardest_target);
  const auto target = std::min(wanted, max_target_);
  if (!for_sv1_) return target;
  return bitcoin::target_from_difficulty(sv1::difficulty_for_firmware(bitcoin::difficulty_from_target(target)));
}

bool Channel::set_hash_rate(double hash_rate_hps, const JobSet& jobs) {
  Terms terms = terms_;
  terms.target = target_from(hash_rate_hps);
  if (terms.target == terms_.target) return false;
  terms.work = Work::of(terms.target);
  set_terms(terms, jobs);
  return true;
}

void Channel::set_prefix(ExtranonceLease lease, const JobSet& jobs) {
  Terms terms = terms_;
  std::ranges::copy(lease.prefix(), terms.extranonce.begin());
  lease_ = std::move(lease);
  set_terms(terms, jobs);
}

void Channel::add_custom_job(JobPtr job, std::size_t max_jobs, const JobSet& jobs) {
  follow(jobs);
  last_custom_job_id_ = job->id;
  if (custom_jobs_.size() >= max_jobs) custom_jobs_.erase(custom_jobs_.begin());
  custom_jobs_.push_back({std::move(job), terms_, {}});
}

void Channel::send_twin(const JobSet& jobs, Instant now, wire::FrameBuffer& out) {
  follow(jobs);
  const Job* current = jobs.current();
  if (!policy_->twins || current == nullptr || !started() || last_given(jobs) != current->id) return;
  if (twin_at_ != Instant() && now - twin_at_ < kTwinEvery) return;
  const Job& job = renew(*current);
  const std::size_t bytes = sizeof(Job) + job.coinbase.prefix.size() + job.coinbase.suffix.size();
  if (!seen_bytes_.may_add(bytes)) return;
  twin_at_ = now;
  add_custom_job(make_twin(job, next_custom_job_id()), kMaxTwins, jobs);
  custom_jobs_.back().bytes = seen_bytes_.beside(bytes);
  const Job& twin = *custom_jobs_.back().job;
  if (kind_ == ChannelKind::kStandard) {
    twin.push_standard(id_, standard_header_of(twin, terms_).merkle_root(), /*future=*/false, out);
  } else {
    twin.push_extended(id_, /*future=*/false, out);
  }
}

Result<bool> Channel::update(double nominal_hash_rate_hps, const bitcoin::U256& max_target, const JobSet& jobs, Instant now) {
  ADIT_CHECK(check_hash_rate(nominal_hash_rate_hps));
  max_target_ = max_target;
  double wanted = hash_rate_hps_;
  if (std::exchange(declared_hash_rate_hps_, nominal_hash_rate_hps) != nominal_hash_rate_hps) {
    measure(now);
    wanted = nominal_hash_rate_hps;
    if (const auto proven = proven_hash_rate_hps(now)) {
      const double least = std::min(hash_rate_hps_, *proven / policy_->max_declared_factor);
      const double most = std::max(hash_rate_hps_, *proven * policy_->max_declared_factor);
      wanted = std::clamp(wanted, least, most);
    }
    vardiff_.restart(now);
  }
  return set_hash_rate(wanted, jobs);
}

void Channel::measure(Instant now) {
  if (measured_.silence(now) > kProofLasts) {
    measured_ = {};
    proofs_ = 0;
  }
  if (unmeasured_ != Work()) measured_.add(std::exchange(unmeasured_, {}), now);
}

std::optional<double> Channel::proven_hash_rate_hps(Instant now) const {
  if (proofs_ < kFewProofs || measured_.age(now) < kLeastProof || measured_.silence(now) > kProofLasts) return std::nullopt;
  return measured_.hps(now);
}

unsigned Channel::crowding() const {
  // What the channel has filled itself slows it down until nothing more comes; what others have, only so far.
  constexpr unsigned kMost = 20;
  std::size_t room = max_shares_per_tip_;
  if (seen_.size() != 0 && !seen_bytes_.may_add(seen_.growth_bytes())) room = std::min(room, seen_.capacity());
  return std::max(seen_bytes_.crowding(), halvings(seen_.size(), room, kMost));
}

bool Channel::adjust(const JobSet& jobs, Instant now) {
  follow(jobs);
  measure(now);
  auto wanted = vardiff_.update(now, hash_rate_hps_, policy_->least_hash_rate_hps(), crowding_);
  // It is lowered at the next tip only, when there is room again.
  const unsigned crowded = crowding();
  if (crowded > crowding_ || (crowded < crowding_ && crowded_at_tip_ != tip_job_id_)) {
    crowding_ = static_cast<std::uint8_t>(crowded);
    crowded_at_tip_ = tip_job_id_;
    if (!wanted) wanted = hash_rate_hps_;
  }
  if (!wanted && terms_.target < std::min(policy_->hardest_target, max_target_)) wanted = hash_rate_hps_;
  const bool changed = wanted && set_hash_rate(*wanted, jobs);
  steady_ = !changed;
  return changed;
}

const Channel::StandardHeader& Channel::standard_header_of(const Job& job, const Terms& terms) {
  auto& [first, second] = standard_headers_;
  if (first.job_id == job.id) return first;
  if (second.job_id == job.id) return second;
  newest_header_ ^= 1U;
  StandardHeader& older = standard_headers_[newest_header_];
  const auto header = share_header(job.rules, {.version = job.rules.version}, job.merkle_root(terms.extranonce));
  older = {.job_id = job.id, .header = header, .midstate = bitcoin::HeaderMidstate(std::span(header).first<64>())};
  return older;
}

bitcoin::Hash256 Channel::StandardHeader::merkle_root() const {
  bitcoin::Hash256 root;
  std::copy_n(header.begin() + 36, root.size(), root.begin());
  return root;
}

JudgedShare Channel::submit(const JobSet& jobs, const Share& share, UnixTime now) {
  PreparedShare prepared;
  prepare(jobs, share, now, prepared);
  hash(prepared);
  judge(prepared, share.sequence_number);
  return prepared.judged;
}

void Channel::prepare(const JobSet& jobs, const Share& share, UnixTime now, PreparedShare& out) {
  follow(jobs);
  out.extended = kind_ == ChannelKind::kExtended;
  ShareVerdict& verdict = out.judged.verdict;
  const Job* job = nullptr;
  const Terms* terms = nullptr;
  if (share.job_id < kFirstCustomJobId) {
    job = jobs.find(share.job_id);
    const bool given =
        started() && share.job_id >= first_job_id_ && share.job_id <= jobs.current()->id && was_given(share.job_id);
    if (job == nullptr || !given) {
      verdict = given ? ShareVerdict::kStale : ShareVerdict::kInvalidJob;
      return;
    }
    terms = &terms_of(job->id);
    if (payee_ != nullptr) job = &payee_->job_of(*job);
  } else {
    const auto found = std::ranges::find(custom_jobs_, share.job_id, [](const CustomJob& custom) { return custom.job->id; });
    if (found == custom_jobs_.end()) {
      verdict = share.job_id <= last_custom_job_id_ ? ShareVerdict::kStale : ShareVerdict::kInvalidJob;
      return;
    }
    job = found->job.get();
    terms = &found->terms;
  }
  if (share.extranonce.size() != extranonce_size()) {
    verdict = ShareVerdict::kBadExtranonceSize;
    return;
  }
  out.judged.job = job;
  verdict = check_header_fields(job->rules, share, to_u32(now));
  if (!is_accepted(verdict)) return;
  out.judged.extranonce = full_extranonce(*terms, share.extranonce);
  out.target = terms->target;
  out.target_work = terms->work;
  if (out.extended) {
    out.header = bitcoin::PaddedHeader(share_header(job->rules, share, bitcoin::Hash256{}));
    return;
  }
  const StandardHeader& standard = standard_header_of(*job, *terms);
  out.header = bitcoin::PaddedHeader(standard.header, share.version, share.ntime, share.nonce);
  out.has_midstate = share.version == job->rules.version;
  if (out.has_midstate) out.midstate = standard.midstate;
}

void hash(PreparedShare& share) {
  if (!is_accepted(share.judged.verdict)) return;
  if (share.extended) share.header.set_merkle_root(share.judged.job->merkle_root(share.judged.extranonce));
  share.judged.hash = share.has_midstate ? share.header.hash(share.midstate) : share.header.hash();
}

void hash(PreparedShare& first, PreparedShare& second) {
  const bool both = is_accepted(first.judged.verdict) && is_accepted(second.judged.verdict);
  if (!both || first.extended != second.extended || (first.extended && first.judged.job != second.judged.job)) {
    hash(first);
    hash(second);
    return;
  }
  if (first.extended) {
    const auto roots = first.judged.job->merkle_roots(first.judged.extranonce, second.judged.extranonce);
    first.header.set_merkle_root(roots[0]);
    second.header.set_merkle_root(roots[1]);
  }
  const auto hashes = first.has_midstate && second.has_midstate
                          ? bitcoin::PaddedHeader::hash(first.header, first.midstate, second.header, second.midstate)
                          : bitcoin::PaddedHeader::hash(first.header, second.header);
  first.judged.hash = hashes[0];
  second.judged.hash = hashes[1];
}

void Channel::judge(PreparedShare& share, std::uint32_t sequence_number) {
  JudgedShare& judged = share.judged;
  if (is_accepted(judged.verdict)) judged.verdict = judge_hash(share);
  if (!is_accepted(judged.verdict)) {
    ++stats_.rejected[static_cast<std::size_t>(judged.verdict)];
    return;
  }
  ++stats_.accepted;
  stats_.work_sum += judged.work;
  ++batch_.accepted_count;
  batch_.last_sequence_number = last_sequence_number_ = sequence_number;
  batch_.work_sum += judged.work;
  if (judged.verdict == ShareVerdict::kBlock) {
    ++stats_.blocks_found;
    block_in_batch_ = true;
  }
  vardiff_.on_share(judged.work.difficulty());
  unmeasured_ += judged.work;
  ++proofs_;
}

ShareVerdict Channel::judge_hash(PreparedShare& share) {
  JudgedShare& judged = share.judged;
  const auto number = bitcoin::U256::from_le(judged.hash);
  const auto verdict = check_work(number, judged.job->rules.network_target, share.target);
  if (!is_accepted(verdict)) return verdict;
  const bool block = verdict == ShareVerdict::kBlock;
  const bool may_grow = !seen_.growth_due() || seen_bytes_.may_add(seen_.growth_bytes());
  switch (seen_.insert(load_le<std::uint64_t>(judged.hash.data()), block, max_shares_per_tip_, may_grow)) {
    case SeenShares::Outcome::kNew:
      if (seen_.bytes() != seen_bytes_.bytes()) seen_bytes_.set(seen_.bytes());
      break;
    case SeenShares::Outcome::kSeen:
      return ShareVerdict::kDuplicate;
    case SeenShares::Outcome::kFull:
      return ShareVerdict::kTooMany;
  }
  // A block at a network easier than the channel is worth what the network asked for.
  judged.work = number <= share.target ? share.target_work : judged.job->block_work;
  best_hash_ = std::min(best_hash_, number);
  return verdict;
}

std::optional<Acknowledgement> Channel::take_acknowledgement(bool flush) {
  const bool due =
      block_in_batch_ || batch_.accepted_count >= policy_->share_batch_size || (flush && batch_.accepted_count != 0);
  if (!due) return std::nullopt;
  block_in_batch_ = false;
  last_batch_accepted_ = batch_.accepted_count;
  last_batch_work_ = batch_.work_sum.whole();
  return std::exchange(batch_, {});
}

}  // namespace adit::channels
