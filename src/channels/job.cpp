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
  extranonce = extranonce.first(extranonce_size);
  std::vector<std::uint8_t> bytes;
  bytes.reserve(coinbase.prefix.size() + extranonce.size() + coinbase.suffix.size());
  bytes.insert(bytes.end(), coinbase.prefix.begin(), coinbase.prefix.end());
  bytes.insert(bytes.end(), extranonce.begin(), extranonce.end());
  bytes.insert(bytes.end(), coinbase.suffix.begin(), coinbase.suffix.end());
  return bytes;
}

bitcoin::Hash256 Job::merkle_root(Bytes extranonce) const {
  return bitcoin::fold_merkle_path(coinbase_id(extranonce.first(extranonce_size)), block_template->merkle_path);
}

bitcoin::TwoHashes Job::merkle_roots(Bytes first, Bytes second) const {
  return bitcoin::fold_merkle_paths(coinbase_id(first.first(extranonce_size), second.first(extranonce_size)),
                                    block_template->merkle_path);
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
  const bitcoin::TxOutput payout{.value_sat = block_template->coinbase_value_sat, .script = config_.payout_script};
  return make(std::move(block_template), now, {.payouts = {&payout, 1}, .front = {}});
}

Result<JobPtr> JobFactory::make(bitcoin::TemplatePtr block_template, std::optional<UnixTime> now, const CoinbaseShape& shape) {
  const bitcoin::Template& from = *block_template;
  const auto network_target = bitcoin::target_from_compact(from.nbits);
  if (!network_target) return fail(Errc::kMessage, "template " + std::to_string(from.id) + " has an nbits that is no target");

  const std::string tag = "Sv2/" + config_.pool_signature + "//";
  std::array<std::uint8_t, kSaltSize> salt;
  auto coinbase = bitcoin::build_coinbase(from, shape.payouts, tag, salt.size() + shape.front.size() + shape.extranonce_size);
  if (!coinbase) return fail(Errc::kCoinbase, std::move(coinbase.error()).in("pool_signature").message());

  auto job = std::make_shared<Job>();
  job->rules = {.version = from.version,
                .version_mask = kVersionRollingMask,
                .prev_hash = from.prev_hash,
                .nbits = from.nbits,
                .network_target = *network_target,
                .max_ntime = from.max_ntime,
                .clock_ahead = now && from.current_time > to_u32(*now) ? from.current_time - to_u32(*now) : 0,
                .known_time = std::max(from.current_time, now ? to_u32(*now) : 0)};
  begin(*job);
  store_be(salt.data(), config_.salt + job->id);
  coinbase->prefix.insert(coinbase->prefix.end(), salt.begin(), salt.end());
  coinbase->prefix.insert(coinbase->prefix.end(), shape.front.begin(), shape.front.end());
  std::uint32_t start = from.current_time;
  if (now) start = static_cast<std::uint32_t>(std::min<std::uint64_t>(start, std::uint64_t{to_u32(*now)} + kMaxClockLead));
  start = std::max(from.min_ntime, start);
  if (job->new_tip) tip_ntime_ = start;
  if (job->new_tip || std::exchange(tip_adopted_, false)) tip_min_ntime_ = from.min_ntime;
  job->ntime = std::min(std::max(start, tip_ntime_), from.max_ntime);
  job->rules.min_ntime = tip_min_ntime_;
  job->extranonce_size = shape.extranonce_size;
  job->coinbase = std::move(*coinbase);
  job->block_template = std::move(block_template);
  finish(*job);
  return job;
}

JobPtr JobFactory::adopt(const ClientJob& theirs, std::uint32_t height, Bytes front, std::size_t extranonce_size) {
  auto job = std::make_shared<Job>();
  job->rules = theirs.rules;
  begin(*job);
  if (job->new_tip) {
    tip_ntime_ = theirs.ntime;
    tip_adopted_ = true;
  }
  job->ntime = std::max(theirs.ntime, tip_ntime_);
  job->transactions_known = false;
  job->extranonce_size = extranonce_size;
  job->coinbase = {.prefix = theirs.work->coinbase_prefix, .suffix = theirs.work->coinbase_suffix};
  auto& prefix = job->coinbase.prefix;
  const Bytes of_channel = theirs.prefix();
  prefix.insert(prefix.end(), of_channel.begin(), of_channel.end());
  prefix.insert(prefix.end(), front.begin(), front.end());
  auto described = std::make_shared<bitcoin::Template>();
  described->version = theirs.rules.version;
  described->prev_hash = theirs.rules.prev_hash;
  described->nbits = theirs.rules.nbits;
  described->min_ntime = theirs.rules.min_ntime;
  described->current_time = theirs.ntime;
  described->height = height;
  described->merkle_path = theirs.work->merkle_path;
  job->block_template = std::move(described);
  finish(*job);
  return job;
}

void JobFactory::begin(Job& job) {
  job.id = ++last_id_;
  // SetNewPrevHash alone carries nbits, so other ones (testnet's after twenty minutes) are told like a tip.
  job.new_tip = !std::exchange(has_tip_, true) || job.rules.prev_hash != tip_ || job.rules.nbits != tip_nbits_;
  if (!job.new_tip) return;
  tip_ = job.rules.prev_hash;
  tip_nbits_ = job.rules.nbits;
  tip_adopted_ = false;
}

void JobFactory::finish(Job& job) {
  job.coinbase_id = {job.coinbase.prefix, job.extranonce_size, job.coinbase.suffix};
  job.block_work = Work::of(job.rules.network_target);
  job.push_extended(kGroupChannelId, job.new_tip, job.group_frames);
  if (job.new_tip) job.push_set_new_prev_hash(kGroupChannelId, job.group_frames);
}

JobPtr make_twin(const Job& job, std::uint32_t id) {
  auto twin = std::make_shared<Job>(Job{.id = id,
                                        .block_template = job.block_template,
                                        .transactions_known = job.transactions_known,
                                        .extranonce_size = job.extranonce_size,
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
  twin->coinbase_id = {twin->coinbase.prefix, twin->extranonce_size, twin->coinbase.suffix};
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
