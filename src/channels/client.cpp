#include "channels/client.h"

#include <algorithm>
#include <utility>

#include "bitcoin/merkle.h"

namespace adit::channels {
namespace {

constexpr std::size_t kMaxExtranonceSize = 32;
/// SRI's MAX_FUTURE_JOBS and, on the client's side, past jobs.
constexpr std::size_t kMaxFutureJobs = 16;
constexpr std::size_t kMaxActiveJobs = 50;
/// Parts of a coinbase transaction, in bytes.
constexpr std::ptrdiff_t kVersionSize = 4;
constexpr std::ptrdiff_t kLockTimeSize = 4;
constexpr std::ptrdiff_t kWitnessSize = 1 + 1 + 32;
constexpr std::size_t kMaxStaleIds = kMaxFutureJobs + kMaxActiveJobs;

bool has_marker(const ExtendedWork& work) {
  return work.coinbase_prefix.size() >= kVersionSize + 2 && work.coinbase_prefix[kVersionSize] == 0;
}

void drop_oldest(std::vector<ClientJob>& jobs, bool future, std::size_t keep) {
  const auto is_kind = [future](const ClientJob& job) { return job.future == future; };
  if (static_cast<std::size_t>(std::ranges::count_if(jobs, is_kind)) > keep) jobs.erase(std::ranges::find_if(jobs, is_kind));
}

}  // namespace

bitcoin::Hash256 ExtendedWork::merkle_root(Bytes extranonce_prefix, Bytes extranonce) const {
  std::array<std::uint8_t, kMaxExtranonceSize> full;
  const std::size_t head = std::min(extranonce_prefix.size(), full.size());
  const std::size_t tail = std::min(extranonce.size(), full.size() - head);
  std::copy_n(extranonce_prefix.begin(), head, full.begin());
  std::copy_n(extranonce.begin(), tail, full.begin() + static_cast<std::ptrdiff_t>(head));
  return bitcoin::fold_merkle_path(bitcoin::sha256d(coinbase_prefix, Bytes(full).first(head + tail), coinbase_suffix),
                                   merkle_path);
}

std::shared_ptr<const ExtendedWork> copy_work(const wire::NewExtendedMiningJob& message) {
  auto work = std::make_shared<ExtendedWork>();
  auto& prefix = work->coinbase_prefix;
  auto& suffix = work->coinbase_suffix;
  prefix.assign(message.coinbase_tx_prefix.begin(), message.coinbase_tx_prefix.end());
  suffix.assign(message.coinbase_tx_suffix.begin(), message.coinbase_tx_suffix.end());
  // A coinbase has one input, so the byte behind its version is 1; 0 is the marker of a witness, with the flag 1 behind it. The
  // witness is one item of 32 bytes, and the lock time follows.
  if (has_marker(*work) && prefix[kVersionSize + 1] == 1 && suffix.size() >= kWitnessSize + kLockTimeSize &&
      suffix[suffix.size() - kLockTimeSize - kWitnessSize] == 1 &&
      suffix[suffix.size() - kLockTimeSize - kWitnessSize + 1] == 32) {
    prefix.erase(prefix.begin() + kVersionSize, prefix.begin() + kVersionSize + 2);
    suffix.erase(suffix.end() - kLockTimeSize - kWitnessSize, suffix.end() - kLockTimeSize);
  }
  work->merkle_path.reserve(message.merkle_path.size());
  for (const wire::U256& node : message.merkle_path) work->merkle_path.push_back(node);
  return work;
}

Result<void> check_work(const ExtendedWork& work) {
  if (!has_marker(work)) return {};
  return fail(Errc::kMessage, "the coinbase has no input, or a witness that is not one value of 32 bytes");
}

ClientChannel::ClientChannel(std::uint32_t id, std::uint32_t group_id, const wire::U256& target, Bytes prefix,
                             std::size_t extranonce_size)
    : id_(id), group_id_(group_id), target_(bitcoin::U256::from_le(target)) {
  extranonce_prefix_size_ = static_cast<std::uint8_t>(std::min(prefix.size(), kMaxExtranonceSize));
  std::copy_n(prefix.begin(), extranonce_prefix_size_, extranonce_prefix_.begin());
  extranonce_size_ = static_cast<std::uint8_t>(std::min(extranonce_size, kMaxExtranonceSize - extranonce_prefix_size_));
}

ClientChannel::ClientChannel(const wire::OpenStandardMiningChannelSuccess& opened)
    : ClientChannel(opened.channel_id, opened.group_channel_id, opened.target, opened.extranonce_prefix, 0) {}

ClientChannel::ClientChannel(const wire::OpenExtendedMiningChannelSuccess& opened)
    : ClientChannel(opened.channel_id, opened.group_channel_id, opened.target, opened.extranonce_prefix,
                    opened.extranonce_size) {
  extended_ = true;
}

Result<const ClientJob*> ClientChannel::on_new_mining_job(const wire::NewMiningJob& message) {
  if (extended_) return fail(Errc::kMessage, "NewMiningJob on an extended channel");
  ClientJob job;
  job.id = message.job_id;
  job.rules.version = message.version;
  job.standard_merkle_root = message.merkle_root;
  return add(std::move(job), message.min_ntime);
}

Result<const ClientJob*> ClientChannel::on_new_extended_mining_job(const wire::NewExtendedMiningJob& message,
                                                                   std::shared_ptr<const ExtendedWork> work) {
  ClientJob job;
  job.id = message.job_id;
  job.rules.version = message.version;
  job.rules.version_mask = message.version_rolling_allowed ? kVersionRollingMask : 0;
  job.work = std::move(work);
  job.extranonce_prefix = extranonce_prefix_;
  job.extranonce_prefix_size = extranonce_prefix_size_;
  return add(std::move(job), message.min_ntime);
}

Result<const ClientJob*> ClientChannel::add(ClientJob job, std::optional<std::uint32_t> min_ntime) {
  std::erase_if(jobs_, [&](const ClientJob& known) { return known.id == job.id; });
  std::erase(stale_jobs_, job.id);
  job.future = !min_ntime.has_value();
  if (!job.future) {
    if (!has_tip_) return fail(Errc::kMessage, "the server sent an active job before any SetNewPrevHash");
    job.ntime = *min_ntime;
    job.target = target_;
    job.rules.prev_hash = tip_.prev_hash;
    job.rules.nbits = tip_.nbits;
    job.rules.network_target = tip_.network_target;
    job.rules.min_ntime = tip_.min_ntime;
    // By the server's clock: ours, or the miner's behind us, may be the one that is wrong.
    job.rules.known_time = job.ntime;
  }
  const bool future = job.future;
  jobs_.push_back(std::move(job));
  drop_oldest(jobs_, future, future ? kMaxFutureJobs : kMaxActiveJobs);
  return future ? nullptr : &jobs_.back();
}

Result<const ClientJob*> ClientChannel::on_set_new_prev_hash(const wire::SetNewPrevHash& message) {
  const auto found = std::ranges::find_if(jobs_, [&](const ClientJob& job) { return job.future && job.id == message.job_id; });
  if (found == jobs_.end()) {
    return fail(Errc::kUnknownJob, "SetNewPrevHash names job " + std::to_string(message.job_id) +
                                       ", which is no future job of channel " + std::to_string(id_));
  }
  const auto network_target = bitcoin::target_from_compact(message.nbits);
  if (!network_target) return fail(Errc::kMessage, "SetNewPrevHash with an nbits that is no target");

  ClientJob job = std::move(*found);
  stale_jobs_.clear();
  for (const ClientJob& other : jobs_) {
    if (other.id != job.id && stale_jobs_.size() < kMaxStaleIds) stale_jobs_.push_back(other.id);
  }
  jobs_.clear();
  seen_.clear();
  has_tip_ = true;
  tip_.prev_hash = message.prev_hash;
  tip_.nbits = message.nbits;
  tip_.network_target = *network_target;
  tip_.min_ntime = message.min_ntime;
  return add(std::move(job), message.min_ntime);
}

Result<void> ClientChannel::on_set_extranonce_prefix(Bytes prefix) {
  if (prefix.size() + extranonce_size_ > kMaxExtranonceSize) {
    return fail(Errc::kMessage, "SetExtranoncePrefix makes an extranonce of over 32 bytes");
  }
  extranonce_prefix_size_ = static_cast<std::uint8_t>(prefix.size());
  std::ranges::copy(prefix, extranonce_prefix_.begin());
  return {};
}

const ClientJob* ClientChannel::current() const {
  const auto found = std::find_if(jobs_.rbegin(), jobs_.rend(), [](const ClientJob& job) { return !job.future; });
  return found == jobs_.rend() ? nullptr : &*found;
}

const ClientJob* ClientChannel::find(std::uint32_t job_id) const {
  const auto found = std::ranges::find_if(jobs_, [job_id](const ClientJob& job) { return !job.future && job.id == job_id; });
  return found == jobs_.end() ? nullptr : &*found;
}

CheckedShare ClientChannel::check(const Share& share, UnixTime now) {
  const ClientJob* job = find(share.job_id);
  if (job == nullptr) {
    return {
        std::ranges::find(stale_jobs_, share.job_id) != stale_jobs_.end() ? ShareVerdict::kStale : ShareVerdict::kInvalidJob,
        {}};
  }
  if (share.extranonce.size() != extranonce_size_) return {ShareVerdict::kBadExtranonceSize, {}};
  ShareVerdict verdict = check_header_fields(job->rules, share, to_u32(now));
  if (!is_accepted(verdict)) return {verdict, {}};

  const auto hash = bitcoin::sha256d_header(share_header(job->rules, share, job->merkle_root(share.extranonce)));
  const auto number = bitcoin::U256::from_le(hash);
  verdict = check_work(number, job->rules.network_target, job->target);
  if (is_accepted(verdict)) {
    switch (seen_.insert(load_le<std::uint64_t>(hash.data()))) {
      case SeenShares::Outcome::kNew:
        break;
      case SeenShares::Outcome::kSeen:
        verdict = ShareVerdict::kDuplicate;
        break;
      case SeenShares::Outcome::kFull:
        verdict = ShareVerdict::kTooMany;
        break;
    }
  }
  return {verdict, number};
}

}  // namespace adit::channels
