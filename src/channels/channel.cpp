#include "channels/channel.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace adit::channels {
namespace {

Result<void> check_hash_rate(double hps) {
  if (!std::isfinite(hps) || hps < 0) return fail(Errc::kHashRate, "nominal_hash_rate must be a finite number of at least 0");
  return {};
}

}  // namespace

Result<Channel> Channel::open(const Config& config, std::string user_identity, ExtranonceLease lease,
                              const ChannelPolicy& policy, Instant now) {
  ADIT_CHECK(check_hash_rate(config.nominal_hash_rate_hps));
  return Channel(config, std::move(user_identity), std::move(lease), policy, now);
}

Channel::Channel(const Config& config, std::string user_identity, ExtranonceLease lease, const ChannelPolicy& policy,
                 Instant now)
    : policy_(&policy),
      id_(config.id),
      kind_(config.kind),
      hash_rate_hps_(0),
      max_target_(config.max_target),
      lease_(std::move(lease)),
      vardiff_(now),
      user_identity_(std::move(user_identity)) {
  std::ranges::copy(lease_.prefix(), extranonce_.begin());
  target_ = target_from(config.nominal_hash_rate_hps);
}

double Channel::best_difficulty() const { return stats_.accepted == 0 ? 0 : bitcoin::difficulty_from_target(best_hash_); }

Bytes Channel::extranonce_prefix() const {
  return Bytes(extranonce_).first(kind_ == ChannelKind::kStandard ? kFullExtranonceSize : kExtranoncePrefixSize);
}

std::array<std::uint8_t, kFullExtranonceSize> Channel::full_extranonce(Bytes extranonce) const {
  auto full = extranonce_;
  if (kind_ == ChannelKind::kExtended) {
    std::copy_n(extranonce.begin(), kRollableExtranonceSize, full.begin() + kExtranoncePrefixSize);
  }
  return full;
}

void Channel::start(const Job& job, wire::FrameBuffer& out) {
  first_job_id_ = job.id;
  if (kind_ == ChannelKind::kStandard) {
    job.push_standard(id_, root_of(job).merkle_root, /*future=*/true, out);
  } else {
    job.push_extended(id_, /*future=*/true, out);
  }
  job.push_set_new_prev_hash(id_, out);
}

void Channel::on_job(const Job& job) {
  if (!job.new_tip) return;
  seen_.clear();
  past_targets_.clear();
}

void Channel::send_job(const Job& job, wire::FrameBuffer& out) {
  on_job(job);
  if (kind_ == ChannelKind::kStandard) {
    job.push_standard(id_, root_of(job).merkle_root, job.new_tip, out);
  } else {
    job.push_extended(id_, job.new_tip, out);
  }
  if (job.new_tip) job.push_set_new_prev_hash(id_, out);
}

const Channel::Target& Channel::target_of(std::uint32_t job_id) const {
  if (job_id >= target_.first_job_id || past_targets_.empty()) return target_;
  const auto found = std::find_if(past_targets_.rbegin(), past_targets_.rend(),
                                  [job_id](const Target& past) { return past.first_job_id <= job_id; });
  return found == past_targets_.rend() ? past_targets_.front() : *found;
}

Channel::Target Channel::target_from(double hash_rate_hps) {
  hash_rate_hps_ = std::max(hash_rate_hps, policy_->min_hash_rate_hps);
  const auto value = std::min(bitcoin::target_from_hash_rate(hash_rate_hps_, policy_->shares_per_minute), max_target_);
  return {.value = value, .difficulty = bitcoin::difficulty_from_target(value), .first_job_id = 0};
}

bool Channel::set_hash_rate(double hash_rate_hps, const JobSet& jobs) {
  Target target = target_from(hash_rate_hps);
  if (target.value == target_.value) return false;
  target.first_job_id = jobs.current() == nullptr ? 0 : jobs.current()->id + 1;
  // Jobs that were already given keep the target they were given with (SV2 05 §5.3.21).
  if (target.first_job_id != target_.first_job_id) {
    past_targets_.push_back(target_);
    if (past_targets_.size() > jobs.max_past_jobs() + 1) past_targets_.erase(past_targets_.begin());
  }
  target_ = target;
  return true;
}

Result<bool> Channel::update(double nominal_hash_rate_hps, const bitcoin::U256& max_target, const JobSet& jobs, Instant now) {
  ADIT_CHECK(check_hash_rate(nominal_hash_rate_hps));
  max_target_ = max_target;
  vardiff_.reset(now);
  return set_hash_rate(nominal_hash_rate_hps, jobs);
}

bool Channel::adjust(const JobSet& jobs, Instant now) {
  const auto corrected = vardiff_.update(now, hash_rate_hps_, policy_->min_hash_rate_hps);
  return corrected && set_hash_rate(*corrected, jobs);
}

const Channel::Root& Channel::root_of(const Job& job) {
  if (roots_[0].job_id == job.id) return roots_[0];
  if (roots_[1].job_id == job.id) return roots_[1];
  Root& root = roots_[roots_[0].job_id < roots_[1].job_id ? 0 : 1];
  root.job_id = job.id;
  root.merkle_root = job.merkle_root(extranonce_);
  Share share;
  share.version = job.rules.version;
  const auto header = share_header(job.rules, share, root.merkle_root);
  root.midstate.emplace(std::span(header).first<64>());
  return root;
}

ShareVerdict Channel::submit(const JobSet& jobs, const Share& share, UnixTime now) {
  const ShareVerdict verdict = judge(jobs, share, now);
  if (!is_accepted(verdict)) {
    ++stats_.rejected[static_cast<std::size_t>(verdict)];
    return verdict;
  }
  const double difficulty = target_of(share.job_id).difficulty;
  ++stats_.accepted;
  stats_.work_sum += difficulty;
  ++batch_.accepted_count;
  batch_.last_sequence_number = share.sequence_number;
  batch_work_ += difficulty;
  if (verdict == ShareVerdict::kBlock) {
    ++stats_.blocks_found;
    block_in_batch_ = true;
  }
  vardiff_.on_share(difficulty);
  return verdict;
}

ShareVerdict Channel::judge(const JobSet& jobs, const Share& share, UnixTime now) {
  const Job* job = jobs.find(share.job_id);
  if (job == nullptr || share.job_id < first_job_id_ || !started()) {
    const bool was_given = started() && share.job_id >= first_job_id_ && share.job_id <= jobs.current()->id;
    return was_given ? ShareVerdict::kStale : ShareVerdict::kInvalidJob;
  }
  if (share.extranonce.size() != extranonce_size()) return ShareVerdict::kBadExtranonceSize;
  ShareVerdict verdict = check_header_fields(job->rules, share, to_u32(now));
  if (!is_accepted(verdict)) return verdict;

  bitcoin::Hash256 hash;
  if (kind_ == ChannelKind::kStandard) {
    const Root& root = root_of(*job);
    const auto header = share_header(job->rules, share, root.merkle_root);
    // The midstate covers the version, so it serves those who do not roll it.
    hash = share.version == job->rules.version ? root.midstate->hash(std::span(header).last<16>())
                                               : bitcoin::sha256d_header(header);
  } else {
    hash = bitcoin::sha256d_header(share_header(job->rules, share, job->merkle_root(full_extranonce(share.extranonce))));
  }

  const auto number = bitcoin::U256::from_le(hash);
  verdict = check_work(number, job->rules.network_target, target_of(job->id).value);
  if (!is_accepted(verdict)) return verdict;
  switch (seen_.insert(load_le<std::uint64_t>(hash.data()), verdict == ShareVerdict::kBlock, policy_->max_shares_per_tip())) {
    case SeenShares::Outcome::kNew:
      break;
    case SeenShares::Outcome::kSeen:
      return ShareVerdict::kDuplicate;
    case SeenShares::Outcome::kFull:
      return ShareVerdict::kTooMany;
  }
  best_hash_ = std::min(best_hash_, number);
  return verdict;
}

std::optional<Acknowledgement> Channel::take_acknowledgement(bool flush) {
  const bool due =
      block_in_batch_ || batch_.accepted_count >= policy_->share_batch_size || (flush && batch_.accepted_count != 0);
  if (!due) return std::nullopt;
  batch_.work_sum = static_cast<std::uint64_t>(std::min(batch_work_, 1.8e19));
  batch_work_ = 0;
  block_in_batch_ = false;
  return std::exchange(batch_, {});
}

}  // namespace adit::channels
