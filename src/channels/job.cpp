#include "channels/job.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"
#include "base/invariant.h"
#include "bitcoin/merkle.h"
#include "channels/error.h"
#include "channels/extranonce.h"
#include "wire/messages.h"

namespace adit::channels {
namespace {

/// What makes each job's coinbase another one: the last bytes before the extranonce.
constexpr std::size_t kSaltSize = 8;

}  // namespace

std::vector<std::uint8_t> Job::coinbase_with(Bytes extranonce) const {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(coinbase.prefix.size() + extranonce.size() + coinbase.suffix.size());
  bytes.insert(bytes.end(), coinbase.prefix.begin(), coinbase.prefix.end());
  bytes.insert(bytes.end(), extranonce.begin(), extranonce.end());
  bytes.insert(bytes.end(), coinbase.suffix.begin(), coinbase.suffix.end());
  return bytes;
}

bitcoin::Hash256 Job::merkle_root(Bytes extranonce) const {
  return bitcoin::fold_merkle_path(coinbase_id(extranonce), block_template->merkle_path);
}

bitcoin::TwoHashes Job::merkle_roots(Bytes first, Bytes second) const {
  return bitcoin::fold_merkle_paths(coinbase_id(first, second), block_template->merkle_path);
}

void Job::push_standard(std::uint32_t channel_id, const bitcoin::Hash256& merkle_root, bool future,
                        wire::FrameBuffer& out) const {
  out.push(wire::NewMiningJob{.channel_id = channel_id,
                              .job_id = id,
                              .min_ntime = future ? std::nullopt : std::optional(ntime),
                              .version = rules.version,
                              .merkle_root = merkle_root});
}

void Job::push_extended(std::uint32_t channel_id, bool future, wire::FrameBuffer& out) const {
  out.push(wire::NewExtendedMiningJob{.channel_id = channel_id,
                                      .job_id = id,
                                      .min_ntime = future ? std::nullopt : std::optional(ntime),
                                      .version = rules.version,
                                      .version_rolling_allowed = rules.version_mask != 0,
                                      .merkle_path = block_template->merkle_path,
                                      .coinbase_tx_prefix = Bytes(coinbase.prefix),
                                      .coinbase_tx_suffix = Bytes(coinbase.suffix)});
}

void Job::push_set_new_prev_hash(std::uint32_t channel_id, wire::FrameBuffer& out) const {
  out.push(wire::SetNewPrevHash{
      .channel_id = channel_id, .job_id = id, .prev_hash = rules.prev_hash, .min_ntime = ntime, .nbits = rules.nbits});
}

void Job::push_group(std::uint32_t group_id, bool future, wire::FrameBuffer& out) const {
  if (group_id == kGroupChannelId && future == new_tip && !group_frames.empty()) return out.append(group_frames);
  push_extended(group_id, future, out);
  if (future) push_set_new_prev_hash(group_id, out);
}

Result<JobPtr> JobFactory::make(bitcoin::TemplatePtr block_template, std::optional<UnixTime> now) {
  const bitcoin::Template& from = *block_template;
  const auto network_target = bitcoin::target_from_compact(from.nbits);
  if (!network_target) return fail(Errc::kMessage, "template " + std::to_string(from.id) + " has an nbits that is no target");

  const bitcoin::TxOutput payout{.value_sat = from.coinbase_value_sat, .script = config_.payout_script};
  const std::string tag = "Sv2/" + config_.pool_signature + "//";
  std::array<std::uint8_t, kSaltSize> salt;
  auto coinbase = bitcoin::build_coinbase(from, {&payout, 1}, tag, salt.size() + kFullExtranonceSize);
  if (!coinbase) return fail(Errc::kCoinbase, std::move(coinbase.error()).in("pool_signature").message());

  auto job = std::make_shared<Job>();
  job->id = ++last_id_;
  store_be(salt.data(), config_.salt + job->id);
  coinbase->prefix.insert(coinbase->prefix.end(), salt.begin(), salt.end());
  // SetNewPrevHash alone carries nbits, so other ones (testnet's after twenty minutes) are told like a tip.
  job->new_tip = !std::exchange(has_tip_, true) || from.prev_hash != tip_ || from.nbits != tip_nbits_;
  std::uint32_t start = from.current_time;
  if (now) start = static_cast<std::uint32_t>(std::min<std::uint64_t>(start, std::uint64_t{to_u32(*now)} + kMaxClockLead));
  start = std::max(from.min_ntime, start);
  if (job->new_tip) {
    tip_ = from.prev_hash;
    tip_nbits_ = from.nbits;
    tip_min_ntime_ = from.min_ntime;
    tip_ntime_ = start;
  }
  job->ntime = std::min(std::max(start, tip_ntime_), from.max_ntime);
  job->coinbase = std::move(*coinbase);
  job->coinbase_id = {job->coinbase.prefix, kFullExtranonceSize, job->coinbase.suffix};
  job->block_work = Work::of(*network_target);
  job->rules = {.version = from.version,
                .version_mask = kVersionRollingMask,
                .prev_hash = from.prev_hash,
                .nbits = from.nbits,
                .network_target = *network_target,
                .min_ntime = tip_min_ntime_,
                .max_ntime = from.max_ntime,
                .clock_ahead = now && from.current_time > to_u32(*now) ? from.current_time - to_u32(*now) : 0,
                .known_time = std::max(from.current_time, now ? to_u32(*now) : 0)};
  job->block_template = std::move(block_template);
  job->push_extended(kGroupChannelId, job->new_tip, job->group_frames);
  if (job->new_tip) job->push_set_new_prev_hash(kGroupChannelId, job->group_frames);
  return job;
}

JobPtr make_twin(const Job& job, std::uint32_t id) {
  auto twin = std::make_shared<Job>(Job{.id = id,
                                        .block_template = job.block_template,
                                        .transactions_known = job.transactions_known,
                                        .coinbase = job.coinbase,
                                        .coinbase_id = {},
                                        .new_tip = false,
                                        .ntime = job.ntime,
                                        .rules = job.rules,
                                        .block_work = job.block_work,
                                        .group_frames = {}});
  // A factory's numbers are its salt and ids below 2^31, so it gives none of them this one.
  ADIT_INVARIANT(twin->coinbase.prefix.size() > kSaltSize);
  std::uint8_t* salt = twin->coinbase.prefix.data() + twin->coinbase.prefix.size() - kSaltSize;
  store_be(salt, load_be<std::uint64_t>(salt) + (std::uint64_t{id} << 32U));
  twin->coinbase_id = {twin->coinbase.prefix, kFullExtranonceSize, twin->coinbase.suffix};
  return twin;
}

void JobSet::add(JobPtr job) {
  if (job->new_tip) {
    std::ranges::fill(slots_, nullptr);
    tip_job_id_ = job->id;
  }
  slots_[job->id % slots_.size()] = job;
  current_ = std::move(job);
}

}  // namespace adit::channels
