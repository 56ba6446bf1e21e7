#include "roles/jd_client/engine.h"

#include <algorithm>
#include <iterator>
#include <ranges>
#include <utility>

#include "base/text.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/tx.h"
#include "channels/client.h"
#include "declaration/coinbase_parts.h"
#include "mining/example_key.h"
#include "session/dispatch.h"
#include "wire/messages.h"

namespace adit::jd_client {
namespace {

constexpr std::uint32_t kOpenRequest = 1;
/// Room in templates that is asked for from the start, so that most declarators' outputs need no other templates.
constexpr std::uint32_t kLeastOutputsSize = 256;
constexpr std::uint32_t kLeastSigops = 20;
/// Outputs, or an extranonce prefix, that change sooner than this are nobody's configuration: each change is another job for
/// all miners.
constexpr Duration kSteady = std::chrono::seconds(1);
constexpr Duration kFirstRetry = std::chrono::milliseconds(100);
constexpr unsigned kMostRetryDoublings = 5;
/// The pool is told of another hash rate when it differs by that much, at most so often.
constexpr double kWorthDeclaring = 1.2;
constexpr Duration kDeclareEvery = std::chrono::seconds(10);
/// Tips of our node that are remembered: more than a day of blocks.
constexpr std::size_t kMostPastTips = 200;

bool is_undecided(WorkState state) {
  return state == WorkState::kWaiting || state == WorkState::kDeclaring || state == WorkState::kSetting;
}

Constraints need_of(std::span<const bitcoin::TxOutput> outputs) {
  Constraints need;
  for (const auto& output : outputs) {
    need.outputs_size += static_cast<std::uint32_t>(bitcoin::output_size(output));
    need.sigops += bitcoin::count_sigops(output.script);
  }
  return need;
}

Constraints max_of(Constraints a, Constraints b) {
  return {.outputs_size = std::max(a.outputs_size, b.outputs_size), .sigops = std::max(a.sigops, b.sigops)};
}

}  // namespace

std::string_view lost_name(LostShares why) {
  switch (why) {
    case LostShares::kRefusedJob:
      return "refused-job";
    case LostShares::kStaleJob:
      return "stale-job";
    case LostShares::kPoolGone:
      return "pool-gone";
    case LostShares::kNoRoom:
      return "no-room";
  }
  return "unknown";
}

Constraints first_constraints(const EngineOptions& options) {
  const bitcoin::TxOutput solo{.value_sat = 0, .script = options.solo_script};
  return max_of({.outputs_size = kLeastOutputsSize, .sigops = kLeastSigops}, need_of({&solo, 1}));
}

Result<TransactionSet> with_ids(std::shared_ptr<const std::vector<std::vector<std::uint8_t>>> transactions) {
  std::vector<bitcoin::Hash256> wtxids;
  wtxids.reserve(transactions->size());
  for (const auto& transaction : *transactions) {
    ADIT_TRY(const auto ids, bitcoin::transaction_ids(transaction));
    wtxids.push_back(ids.wtxid);
  }
  return TransactionSet{.transactions = std::move(transactions),
                        .wtxids = std::make_shared<const std::vector<bitcoin::Hash256>>(std::move(wtxids))};
}

/// The session with a pool.
struct Engine::Pool {
  std::uint64_t session = 0;
  std::size_t candidate = 0;
  std::string user_identity;
  bool regtest_only = false;
  Instant since{};
  std::optional<std::uint32_t> channel_id;  ///< Once it is open.
  std::size_t granted = 0;                  ///< Bytes of extranonce behind the prefix.
  std::vector<std::uint8_t> prefix;
  Instant prefix_at{};  ///< When it changed last.
  bitcoin::U256 target;
  session::StratumV2StreamHandler shares;
  mining::UpstreamAccount account;
  double declared_hps = 0;
  Instant declared_at{};
  std::uint32_t last_request = kOpenRequest;
  std::unique_ptr<declaration::ClientSession> declarator;
  Instant without_declarator_since{};
  /// That the declarator asked for last; outlives its sessions.
  std::shared_ptr<const std::vector<bitcoin::TxOutput>> outputs;
  Instant outputs_at{};                             ///< When they changed last.
  bool trusted = false;                             ///< It has acknowledged a job.
  std::optional<Instant> undecided_since;           ///< It was first asked to decide on a job, and has acknowledged none since.
  std::uint64_t set_tip = 0;                        ///< The newest tip of which a SetCustomMiningJob was sent.
  bool sends_jobs = false;                          ///< It was asked for its own jobs.
  std::optional<channels::ClientChannel> own_jobs;  ///< What it has sent of them. Once the channel is open.
  struct Following {
    Instant since{};
    std::optional<std::uint32_t> job_id;  ///< Of the pool's job that the miners have; absent: none yet.
  };
  std::optional<Following> following;  ///< The miners' work is its own job.
  std::optional<Error> fault;
};

Engine::Engine(EngineOptions options, EngineEvents& events)
    : options_(std::move(options)),
      events_(events),
      factory_({.payout_script = options_.solo_script, .pool_signature = options_.signature, .salt = options_.salt}),
      constraints_(first_constraints(options_)) {}

Engine::~Engine() = default;

// ---- Templates

void Engine::on_template(bitcoin::TemplatePtr block_template, const Now& now) {
  now_ = now;
  const bool new_tip =
      !template_ || template_->prev_hash != block_template->prev_hash || template_->nbits != block_template->nbits;
  if (new_tip) {
    ++tip_;
    tip_at_ = now.instant;
    past_tips_.push_back(block_template->prev_hash);
    if (past_tips_.size() > kMostPastTips) past_tips_.pop_front();
  }
  template_ = std::move(block_template);
  transactions_.reset();
  no_transactions_ = false;
  template_waits_ = false;
  // Beside everything else, so that they are there when a token is.
  if (options_.mode == Mode::kFullTemplate) events_.fetch_transactions(template_);
  make_work();
}

void Engine::on_transactions(std::uint64_t template_id, const Result<TransactionSet>& set, const Now& now) {
  now_ = now;
  const bool newest = template_ && template_->id == template_id;
  if (!set) {
    events_.on_unusable(set.error());
    return lose_undeclared(template_id, newest);
  }
  if (newest) transactions_ = *set;
  for (Work& work : works_) {
    if (work.job->block_template->id == template_id) work.transactions = *set;
  }
  advance_all();
}

void Engine::lose_undeclared(std::uint64_t template_id, bool newest) {
  bool lost_given = false;
  for (Work& work : works_) {
    if (work.state != WorkState::kWaiting || work.job->block_template->id != template_id) continue;
    lost_given = lost_given || work.job->id == last_given_;
    lose(work, LostShares::kStaleJob);
  }
  if (newest) {
    no_transactions_ = true;
    lost_because_ = "our node does not give the transactions of its newest template";
  }
  // What is ours alone is not what the pool is waited for.
  if (pool_ && std::ranges::none_of(works_, [](const Work& work) { return is_undecided(work.state); }))
    pool_->undecided_since.reset();
  if (lost_given) make_work();
}

bool Engine::can_work_for_pool() const {
  return options_.mode != Mode::kSolo && template_ && pool_ && pool_->channel_id && pool_->outputs && !pool_->fault &&
         !no_transactions_;
}

void Engine::make_work() {
  const bool followed = pool_ && pool_->following;
  if (follow_pool()) return;
  if (can_work_for_pool() && pool_->trusted && !followed) {
    const Work* newest = newest_of_pool();
    if (newest != nullptr && newest->given && is_undecided(newest->state)) {
      template_waits_ = true;
      return;
    }
  }
  make_work_now();
}

void Engine::make_work_now() {
  if (can_work_for_pool() && pool_->trusted && make_pool_work()) return;
  make_solo_work();
  try_pool();
}

void Engine::try_pool() {
  if (!can_work_for_pool()) return;
  const Work* newest = newest_of_pool();
  if (newest != nullptr && is_undecided(newest->state) && newest->job->block_template == template_) return;
  if (pool_->trusted && newest != nullptr && newest->state == WorkState::kAcknowledged) return;
  make_pool_work();
}

void Engine::make_solo_work() {
  if (!template_) return;
  const bitcoin::TxOutput payout{.value_sat = template_->coinbase_value_sat, .script = options_.solo_script};
  auto job =
      factory_.make(template_, now_.unix_time, {.payouts = {&payout, 1}, .front = {}, .extranonce_size = extranonce_size()});
  if (!job) return events_.on_unusable(job.error());
  Work work;
  work.job = std::move(*job);
  work.tip = tip_;
  work.made_at = now_.instant;
  give(add(std::move(work)));
}

bool Engine::make_pool_work() {
  if (pool_->regtest_only) {
    if (auto allowed = mining::check_example_key(template_->nbits, template_->height); !allowed) {
      pool_->fault = std::move(allowed.error());
      return false;
    }
  }
  std::vector<bitcoin::TxOutput> payouts = *pool_->outputs;
  payouts.front().value_sat = template_->coinbase_value_sat;
  std::vector<std::uint8_t> front = pool_->prefix;
  front.resize(pool_->prefix.size() + pool_->granted - extranonce_size());
  auto job =
      factory_.make(template_, now_.unix_time, {.payouts = payouts, .front = front, .extranonce_size = extranonce_size()});
  if (!job) {
    pool_->fault = Error(session::Errc::kRefused, "no coinbase can be made for the pool: " + job.error().message());
    return false;
  }
  Work work;
  work.job = std::move(*job);
  work.session = pool_->session;
  work.tip = tip_;
  work.state = WorkState::kWaiting;
  work.made_at = now_.instant;
  work.transactions = transactions_;
  work.outputs = pool_->outputs;
  const auto& prefix = work.job->coinbase.prefix;
  work.script.assign(prefix.begin() + bitcoin::kCoinbaseScriptBegin, prefix.end() - static_cast<std::ptrdiff_t>(front.size()));
  work.front = std::move(front);
  Work& added = add(std::move(work));
  template_waits_ = false;
  if (pool_->trusted) give(added);
  advance(added);
  return true;
}

Engine::Work& Engine::add(Work work) {
  works_.push_back(std::move(work));
  // Every job that the miners' channels still take shares of is here, and beside each of them one of a pool that has yet to
  // acknowledge its first.
  while (works_.size() > 2 * (options_.max_past_jobs + 1)) {
    if (is_undecided(works_.front().state)) lose(works_.front(), LostShares::kStaleJob);
    works_.pop_front();
  }
  return works_.back();
}

void Engine::give(Work& work) {
  const bool is_pools = work.session != 0;
  work.given = true;
  last_given_ = work.job->id;
  ++counters_.jobs;
  if (std::exchange(pool_work_given_, is_pools) != is_pools) {
    if (is_pools) {
      events_.on_pool_work(pool_->candidate);
    } else {
      ++counters_.falls_to_solo;
      events_.on_solo_work(pool_ && pool_->fault ? pool_->fault->message() : lost_because_);
    }
  }
  events_.on_job(work.job);
}

bool Engine::on_newest_tip(const Work& work) const { return work.tip == tip_; }

Engine::Work* Engine::find(std::uint64_t job_id) {
  const auto found = std::ranges::find(works_, job_id, [](const Work& work) { return std::uint64_t{work.job->id}; });
  return found == works_.end() ? nullptr : &*found;
}

Engine::Work* Engine::newest_of_pool() {
  for (Work& work : works_ | std::views::reverse) {
    if (work.session == 0 || work.tip == 0 || !pool_ || work.session != pool_->session) continue;
    return on_newest_tip(work) ? &work : nullptr;
  }
  return nullptr;
}

// ---- The pool's own jobs

std::optional<std::uint32_t> Engine::newer_height(const channels::ClientJob& job) const {
  // One whose time is far ahead would move that of our own jobs on its tip.
  if (job.ntime > std::uint64_t{to_u32(now_.unix_time)} + channels::kMaxClockLead) return std::nullopt;
  if (std::ranges::find(past_tips_, job.rules.prev_hash) != past_tips_.end()) return std::nullopt;
  const auto height = bitcoin::height_of_coinbase(job.work->coinbase_prefix);
  return height && *height > template_->height ? height : std::nullopt;
}

bool Engine::follow_pool() {
  if (!pool_ || !pool_->own_jobs || !template_) return false;
  const channels::ClientJob* theirs = pool_->own_jobs->current();
  const bool may = theirs != nullptr && pool_->trusted && !pool_->fault;
  auto height = may ? newer_height(*theirs) : std::nullopt;
  if (height && pool_->regtest_only && !mining::check_example_key(theirs->rules.nbits, height)) height.reset();
  auto& following = pool_->following;
  // From the first of them on one tip of ours, however often the pool takes its own back or is lost meanwhile.
  const bool at_limit = followed_tip_ == tip_ && now_.instant - followed_since_ >= options_.follow_limit;
  if (!height || at_limit) {
    if (following) events_.on_own_tip(now_.instant - following->since, height.has_value());
    following.reset();
    return false;
  }
  if (std::exchange(followed_tip_, tip_) != tip_) followed_since_ = now_.instant;
  if (!following) {
    following.emplace(now_.instant);
    template_waits_ = false;
    ++counters_.pool_tips_followed;
    events_.on_pool_tip(*height);
  }
  if (std::exchange(following->job_id, theirs->id) == theirs->id) return true;
  Work work;
  work.front.resize(pool_->granted - extranonce_size());
  work.job = factory_.adopt(*theirs, *height, work.front, extranonce_size());
  work.session = pool_->session;
  work.state = WorkState::kAcknowledged;
  work.made_at = now_.instant;
  work.upstream_job = theirs->id;
  work.target = theirs->target;
  give(add(std::move(work)));
  return true;
}

void Engine::look_at_pool_tip() {
  const bool followed = pool_->following.has_value();
  if (!follow_pool() && followed) make_work_now();
}

// ---- From a job to its acknowledgement

void Engine::advance_all() {
  // advance() may make another job, which moves none of the others.
  for (std::size_t i = 0; i < works_.size(); ++i) advance(works_[i]);
}

void Engine::advance(Work& work) {
  if (work.state != WorkState::kWaiting || !pool_ || work.session != pool_->session || now_.instant < work.not_before) return;
  if (!on_newest_tip(work)) return lose(work, LostShares::kStaleJob);
  // Nobody mines on it, and there is a newer one to try.
  if (!work.given && work.job->block_template != template_) return lose(work, LostShares::kStaleJob);
  // Meanwhile no pool takes it: its tip is older than the pool's.
  if (!pool_->declarator || pool_->fault || pool_->following) return;
  if (options_.mode == Mode::kFullTemplate && !work.transactions) return;
  auto token = pool_->declarator->take_token(now_, declarator_output_);
  if (!token) return;
  if (token->outputs != work.outputs && *token->outputs != *work.outputs) {
    // Its coinbase is not what the declarator wants by now.
    lose(work, LostShares::kRefusedJob);
    if (now_.instant - pool_->outputs_at < kSteady) {
      pool_->fault = Error(session::Errc::kRefused, "the declarator wants other outputs again and again");
      return;
    }
    pool_->outputs = token->outputs;
    pool_->outputs_at = now_.instant;
    constrain();
    make_pool_work();
    return;
  }
  if (options_.mode == Mode::kCoinbaseOnly) {
    work.custom_token = std::move(token->bytes);
    return send_custom_job(work);
  }
  const bitcoin::Template& from = *work.job->block_template;
  declaration::DeclaredCoinbase coinbase{.version = from.coinbase_version,
                                         .script = work.script,
                                         .extranonce_size = work.front.size() + extranonce_size(),
                                         .sequence = from.coinbase_sequence,
                                         .outputs = *work.outputs,
                                         .locktime = from.coinbase_locktime,
                                         .has_witness = from.has_witness_commitment};
  coinbase.outputs.front().value_sat = from.coinbase_value_sat;
  std::ranges::copy(from.coinbase_outputs, std::back_inserter(coinbase.outputs));
  auto fields = declaration::coinbase_parts(coinbase);
  const bool sent = pool_->declarator->declare(work.job->id, *token,
                                               {.version = from.version,
                                                .coinbase_prefix = std::move(fields.prefix),
                                                .coinbase_suffix = std::move(fields.suffix),
                                                .wtxids = work.transactions->wtxids,
                                                .transactions = work.transactions->transactions},
                                               now_, declarator_output_);
  if (!sent) {
    pool_->fault = Error(session::Errc::kRefused, "the job is too large to be declared");
    return lose(work, LostShares::kRefusedJob);
  }
  ++counters_.jobs_declared;
  work.state = WorkState::kDeclaring;
  wait_for_decision();
}

void Engine::send_custom_job(Work& work) {
  // A pool takes a custom job's tip for its channel's: an older one would void the jobs on the newer.
  const bool useless = !on_newest_tip(work) && work.waiting.empty();
  if (work.tip < pool_->set_tip || useless) return lose(work, LostShares::kStaleJob);
  const channels::Job& job = *work.job;
  const bitcoin::Template& from = *job.block_template;
  std::vector<bitcoin::TxOutput> outputs = *work.outputs;
  outputs.front().value_sat = from.coinbase_value_sat;
  std::ranges::copy(from.coinbase_outputs, std::back_inserter(outputs));
  const auto counted = declaration::counted_outputs(outputs);
  const bool sent = pool_output_.push(wire::SetCustomMiningJob{.channel_id = *pool_->channel_id,
                                                               .request_id = ++pool_->last_request,
                                                               .mining_job_token = Bytes(work.custom_token),
                                                               .version = from.version,
                                                               .prev_hash = from.prev_hash,
                                                               .min_ntime = job.rules.min_ntime,
                                                               .nbits = from.nbits,
                                                               .coinbase_tx_version = from.coinbase_version,
                                                               .coinbase_prefix = Bytes(work.script),
                                                               .coinbase_tx_input_n_sequence = from.coinbase_sequence,
                                                               .coinbase_tx_outputs = Bytes(counted),
                                                               .coinbase_tx_locktime = from.coinbase_locktime,
                                                               .merkle_path = from.merkle_path});
  if (!sent) {
    pool_->fault = Error(session::Errc::kRefused, "the job is too large to be told to the pool");
    return lose(work, LostShares::kRefusedJob);
  }
  work.request_id = pool_->last_request;
  work.state = WorkState::kSetting;
  wait_for_decision();
  work.deadline = now_.instant + options_.custom_job_deadline;
  pool_->set_tip = work.tip;
}

void Engine::wait_for_decision() {
  if (!pool_->undecided_since) pool_->undecided_since = now_.instant;
}

void Engine::acknowledged(Work& work, std::uint32_t upstream_job) {
  work.state = WorkState::kAcknowledged;
  work.upstream_job = upstream_job;
  work.target = pool_->target;
  last_acknowledge_ = now_.instant - work.made_at;
  ++counters_.jobs_acknowledged;
  events_.on_acknowledged(work.job->id, *last_acknowledge_, work.waiting.size());
  const std::vector<Share> waiting = std::exchange(work.waiting, {});
  waiting_ -= waiting.size();
  for (const Share& share : waiting) {
    if (share.block || share.hash <= work.target) {
      submit(work, share);
    } else {
      ++counters_.shares_local;
    }
  }
  pool_->trusted = true;
  pool_->undecided_since.reset();
  if (pool_->following) return;
  if (work.given) {
    if (template_waits_) make_work();
  } else if (work.job->block_template == template_ && work.job->id > last_given_) {
    give(work);
  } else if (Work* newest = newest_of_pool();
             newest != nullptr && !newest->given && newest->state != WorkState::kLost && newest->job->id > last_given_) {
    give(*newest);
  } else if (can_work_for_pool()) {
    make_pool_work();
  }
}

void Engine::refused(Work& work, std::string_view by, std::string_view error_code) {
  ++counters_.jobs_refused;
  const bool of_token = error_code == "invalid-mining-job-token" && !std::exchange(work.renewed, true);
  const bool of_tip = error_code == "stale-chain-tip" || error_code == "job-not-yet-validated";
  const bool may_be_race = error_code != "jd-not-supported" && (now_.instant - tip_at_ < options_.tip_race || pool_->following);
  const bool old = !on_newest_tip(work);
  const bool stale = old || of_token || of_tip || may_be_race;
  if (stale) ++counters_.jobs_refused_stale;
  events_.on_refused(work.job->id, by, error_code, stale);
  if (old) return lose(work, LostShares::kStaleJob);
  if (!stale) {
    pool_->fault = Error(session::Errc::kRefused, "the " + std::string(by) + " refused our job: " + in_quotes(error_code));
    return lose(work, LostShares::kRefusedJob);
  }
  // It goes on waiting, with its shares: whoever is behind will have caught up, or our node will.
  work.state = WorkState::kWaiting;
  if (of_token) {
    if (pool_->declarator) pool_->declarator->renew_tokens(now_, declarator_output_);
    return;
  }
  work.not_before = now_.instant + kFirstRetry * (1U << std::min(work.tries, kMostRetryDoublings));
  ++work.tries;
}

void Engine::lose(Work& work, LostShares why) {
  work.state = WorkState::kLost;
  const std::size_t count = std::exchange(work.waiting, {}).size();
  waiting_ -= count;
  if (count != 0) count_lost(count, why);
}

void Engine::count_lost(std::size_t count, LostShares why) {
  counters_.shares_lost[static_cast<std::size_t>(why)] += count;
  events_.on_shares_lost(count, why);
}

// ---- The pool

void Engine::on_pool_ready(std::size_t candidate, std::string user_identity, bool regtest_only, const Now& now) {
  now_ = now;
  pool_ = std::make_unique<Pool>();
  pool_->session = ++last_session_;
  pool_->candidate = candidate;
  pool_->user_identity = std::move(user_identity);
  pool_->regtest_only = regtest_only;
  pool_->since = pool_->without_declarator_since = now.instant;
  pool_->declared_hps = std::max(hash_rate_hps_, options_.least_hash_rate_hps);
  pool_->declared_at = now.instant;
  wire::OpenExtendedMiningChannel open;
  open.request_id = kOpenRequest;
  open.user_identity = std::string_view(pool_->user_identity);
  open.nominal_hash_rate = static_cast<float>(pool_->declared_hps);
  open.max_target.fill(0xff);
  open.min_extranonce_size = static_cast<std::uint16_t>(extranonce_size());
  pool_output_.push(open);
}

void Engine::on_adit_extension() {
  if (!pool_ || !options_.follow_pool_tip) return;
  pool_->sends_jobs = true;
  pool_output_.push(wire::FollowPoolTip{});
}

Result<void> Engine::on_pool_frames(std::span<const wire::FrameView> frames, const Now& now) {
  now_ = now;
  for (const auto& frame : frames) {
    ADIT_CHECK((session::dispatch<wire::SubmitSharesSuccess, wire::SubmitSharesError, wire::SetCustomMiningJobSuccess,
                                  wire::SetCustomMiningJobError, wire::NewExtendedMiningJob, wire::SetNewPrevHash,
                                  wire::SetTarget, wire::SetExtranoncePrefix, wire::SetGroupChannel, wire::CloseChannel,
                                  wire::OpenExtendedMiningChannelSuccess, wire::OpenMiningChannelError>(
        frame, [&](const auto& message) { return on(message); })));
  }
  return {};
}

Result<void> Engine::take_prefix(Bytes prefix, std::size_t granted) {
  if (granted < extranonce_size()) {
    return fail(session::Errc::kRefused, "the pool grants " + std::to_string(granted) + " bytes of extranonce, and " +
                                             std::to_string(extranonce_size()) + " are needed");
  }
  if (prefix.size() + granted > declaration::kMaxExtranonceSize) {
    return fail(session::Errc::kProtocol, "the pool gave an extranonce of " + std::to_string(granted) +
                                              " bytes behind a prefix of " + std::to_string(prefix.size()));
  }
  pool_->prefix.assign(prefix.begin(), prefix.end());
  pool_->granted = granted;
  return {};
}

Result<void> Engine::on(const wire::OpenExtendedMiningChannelSuccess& message) {
  if (pool_->channel_id || message.request_id != kOpenRequest)
    return fail(session::Errc::kProtocol, "the pool opened a channel that was not asked for");
  ADIT_CHECK(take_prefix(message.extranonce_prefix, message.extranonce_size));
  pool_->channel_id = message.channel_id;
  pool_->target = bitcoin::U256::from_le(message.target);
  pool_->own_jobs.emplace(message);
  events_.on_upstream_target(pool_->target);
  try_pool();
  return {};
}

Result<void> Engine::on(const wire::OpenMiningChannelError& message) {
  return fail(session::Errc::kRefused,
              "the pool refuses user " + in_quotes(pool_->user_identity) + ": " + in_quotes(message.error_code.view()));
}

Engine::Work* Engine::answered(std::uint32_t request_id) {
  const auto found = std::ranges::find_if(works_, [&](const Work& work) {
    return work.session == pool_->session && work.request_id == request_id && request_id != 0;
  });
  if (found == works_.end()) return nullptr;
  found->request_id = 0;
  return &*found;
}

Result<void> Engine::on(const wire::SetCustomMiningJobSuccess& message) {
  Work* const work = answered(message.request_id);
  if (work == nullptr || message.channel_id != pool_->channel_id)
    return fail(session::Errc::kProtocol, "the pool acknowledged a job that it was not told of");
  if (work->state == WorkState::kSetting) acknowledged(*work, message.job_id);
  return {};
}

Result<void> Engine::on(const wire::SetCustomMiningJobError& message) {
  Work* const work = answered(message.request_id);
  if (work == nullptr) return fail(session::Errc::kProtocol, "the pool refused a job that it was not told of");
  if (work->state != WorkState::kSetting) return {};
  refused(*work, "pool", message.error_code.view());
  go_on_after(*work);
  advance_all();
  return {};
}

Result<void> Engine::on(const wire::SubmitSharesSuccess& message) {
  on_late_answer(message);
  pool_->account.acknowledged += message.new_submits_accepted_count;
  pool_->account.acknowledged_work += message.new_shares_sum;
  pool_->shares.on_answer(message, now_.instant, [](const auto&) {});
  return {};
}

Result<void> Engine::on(const wire::SubmitSharesError& message) {
  on_late_answer(message);
  mining::count_rejection(pool_->account.rejected, message.error_code.view());
  pool_->shares.on_answer(message, now_.instant, [](const auto&) {});
  return {};
}

void Engine::count_rejected(std::string_view code) {
  auto& rejected = counters_.shares_rejected;
  if (!rejected.contains(code) && rejected.size() >= Counters::kMostCodes) code = "other";
  ++rejected[std::string(code)];
  events_.on_share_rejected(code);
}

Result<void> Engine::on(const wire::NewExtendedMiningJob& message) {
  if (!pool_->sends_jobs || !pool_->own_jobs || !pool_->own_jobs->addressed_by(message.channel_id)) return {};
  auto work = channels::copy_work(message);
  if (const auto usable = channels::check_work(*work); !usable) return fail(session::Errc::kProtocol, usable.error().message());
  const auto job = pool_->own_jobs->on_new_extended_mining_job(message, std::move(work));
  if (!job) return fail(session::Errc::kProtocol, job.error().message());
  if (*job != nullptr) look_at_pool_tip();
  return {};
}

Result<void> Engine::on(const wire::SetNewPrevHash& message) {
  if (!pool_->sends_jobs || !pool_->own_jobs || !pool_->own_jobs->addressed_by(message.channel_id)) return {};
  if (const auto job = pool_->own_jobs->on_set_new_prev_hash(message); !job)
    return fail(session::Errc::kProtocol, job.error().message());
  look_at_pool_tip();
  return {};
}

Result<void> Engine::on(const wire::SetTarget& message) {
  if (message.channel_id != pool_->channel_id) return {};
  pool_->target = bitcoin::U256::from_le(message.maximum_target);
  pool_->own_jobs->on_set_target(pool_->target);
  events_.on_upstream_target(pool_->target);
  return {};
}

Result<void> Engine::on(const wire::SetExtranoncePrefix& message) {
  if (message.channel_id != pool_->channel_id) return {};
  if (now_.instant - pool_->prefix_at < kSteady)
    return fail(session::Errc::kRefused, "the pool gives another extranonce prefix again and again");
  ADIT_CHECK(take_prefix(message.extranonce_prefix, pool_->granted));
  if (const auto set = pool_->own_jobs->on_set_extranonce_prefix(message.extranonce_prefix.bytes()); !set)
    return fail(session::Errc::kProtocol, set.error().message());
  pool_->prefix_at = now_.instant;
  // A custom job has the prefix of when the pool sets it, and the miners' coinbase the one of when it was made: what the pool
  // acknowledges from here on has the new one.
  for (Work& work : works_) {
    if (work.session == pool_->session && is_undecided(work.state)) lose(work, LostShares::kStaleJob);
  }
  if (can_work_for_pool() && !pool_->following) make_pool_work();
  return {};
}

Result<void> Engine::on(const wire::SetGroupChannel& message) {
  for (const std::uint32_t member : message.channel_ids) {
    if (pool_->channel_id && member == *pool_->channel_id) pool_->own_jobs->on_set_group(message.group_channel_id);
  }
  return {};
}

Result<void> Engine::on(const wire::CloseChannel& message) {
  if (message.channel_id != pool_->channel_id) return {};
  return fail(session::Errc::kClosed, "the pool closed the channel: " + in_quotes(message.reason_code.view()));
}

session::StratumV2StreamHandler Engine::on_pool_lost(std::string_view why, const Now& now) {
  now_ = now;
  for (Work& work : works_) {
    if (pool_ && work.session == pool_->session) lose(work, LostShares::kPoolGone);
  }
  session::StratumV2StreamHandler shares;
  if (pool_) shares = std::move(pool_->shares);
  pool_.reset();
  lost_because_ = why;
  pool_output_.clear();
  declarator_output_.clear();
  events_.on_upstream_target({});
  if (pool_work_given_) make_solo_work();
  return shares;
}

std::optional<Error> Engine::fault() const { return pool_ ? pool_->fault : std::nullopt; }

void Engine::on_time(const Now& now) {
  now_ = now;
  if (pool_ && pool_->following) look_at_pool_tip();
  advance_all();
}

Result<void> Engine::on_tick(double hash_rate_hps, const Now& now) {
  now_ = now;
  hash_rate_hps_ = hash_rate_hps;
  constrain();
  if (!pool_) return {};
  if (!pool_->channel_id) {
    if (now.instant - pool_->since >= options_.open_deadline)
      return fail(session::Errc::kTimedOut, "the pool has not answered OpenExtendedMiningChannel");
    return {};
  }
  for (const Work& work : works_) {
    if (work.session == pool_->session && work.state == WorkState::kSetting && work.deadline <= now.instant)
      return fail(session::Errc::kTimedOut, "the pool has not answered SetCustomMiningJob");
  }
  if (!pool_->declarator && now.instant - pool_->without_declarator_since >= options_.declarator_patience && !pool_->fault)
    pool_->fault = Error(session::Errc::kRefused, "the pool's declarator is out of reach");
  advance_all();
  if (pool_->undecided_since && now.instant - *pool_->undecided_since >= options_.decision_patience && !pool_->fault) {
    pool_->fault = Error(session::Errc::kRefused, "the pool does not acknowledge our work");
  }
  const double rate = std::max(hash_rate_hps, options_.least_hash_rate_hps);
  const bool differs = rate > pool_->declared_hps * kWorthDeclaring || rate * kWorthDeclaring < pool_->declared_hps;
  if (differs && now.instant - pool_->declared_at >= kDeclareEvery) {
    wire::UpdateChannel update;
    update.channel_id = *pool_->channel_id;
    update.nominal_hash_rate = static_cast<float>(rate);
    update.maximum_target.fill(0xff);
    pool_output_.push(update);
    pool_->declared_hps = rate;
    pool_->declared_at = now.instant;
  }
  return {};
}

void Engine::on_late_answer(const wire::SubmitSharesSuccess& message) {
  counters_.shares_accepted += message.new_submits_accepted_count;
  counters_.work_sum += message.new_shares_sum;
}

void Engine::on_late_answer(const wire::SubmitSharesError& message) { count_rejected(message.error_code.view()); }

// ---- The declarator

void Engine::on_declarator_ready(const Now& now) {
  now_ = now;
  if (!pool_) return;
  pool_->declarator = std::make_unique<declaration::ClientSession>(options_.declarator, pool_->user_identity,
                                                                   static_cast<declaration::ClientHandler&>(*this));
  pool_->declarator->begin(now, declarator_output_);
}

Result<void> Engine::on_declarator_frames(std::span<const wire::FrameView> frames, const Now& now) {
  now_ = now;
  if (!pool_ || !pool_->declarator) return {};
  return pool_->declarator->on_frames(frames, now, declarator_output_);
}

Result<void> Engine::on_declarator_tick(const Now& now) {
  now_ = now;
  if (!pool_ || !pool_->declarator) return {};
  return pool_->declarator->on_tick(now, declarator_output_);
}

void Engine::on_declarator_lost(const Now& now) {
  now_ = now;
  declarator_output_.clear();
  if (!pool_ || !pool_->declarator) return;
  pool_->declarator.reset();
  pool_->without_declarator_since = now.instant;
  for (Work& work : works_) {
    if (work.session == pool_->session && work.state == WorkState::kDeclaring) work.state = WorkState::kWaiting;
  }
}

void Engine::on_token() {
  const bool first = !pool_->outputs;
  if (first) {
    pool_->outputs = pool_->declarator->outputs();
    constrain();
  }
  advance_all();
  if (first) try_pool();
}

void Engine::on_declared(std::uint64_t job, Bytes token) {
  Work* work = find(job);
  if (work == nullptr || work->state != WorkState::kDeclaring || work->session != pool_->session) return;
  work->custom_token.assign(token.begin(), token.end());
  send_custom_job(*work);
  go_on_after(*work);
}

void Engine::on_declare_refused(std::uint64_t job, std::string_view error_code) {
  Work* work = find(job);
  if (work == nullptr || work->state != WorkState::kDeclaring || work->session != pool_->session) return;
  refused(*work, "declarator", error_code);
  go_on_after(*work);
}

void Engine::go_on_after(const Work& work) {
  if (work.state == WorkState::kLost && template_waits_) make_work();
}

void Engine::on_transactions_sent(std::uint64_t, std::size_t count, std::size_t) { counters_.transactions_sent += count; }

void Engine::constrain() {
  Constraints next = first_constraints(options_);
  if (pool_ && pool_->outputs) next = max_of(next, need_of(*pool_->outputs));
  if (std::exchange(constraints_, next) != next) events_.constrain(next);
}

// ---- Shares

void Engine::on_share(const channels::ShareRecord& record, const Now& now) {
  now_ = now;
  if (record.block) ++counters_.blocks_found;
  Work* work = find(record.job->id);
  if (work == nullptr) return count_lost(1, LostShares::kStaleJob);
  if (work->state == WorkState::kSolo) {
    ++counters_.shares_solo;
    return;
  }
  if (record.block) ++counters_.blocks_of_pools;
  if (!pool_ || work->session != pool_->session) return count_lost(1, LostShares::kPoolGone);
  if (record.block && work->tip != 0) push_solution(*work, record);
  Share share{.hash = bitcoin::U256::from_le(record.hash),
              .nonce = record.nonce,
              .ntime = record.ntime,
              .version = record.version,
              .block = record.block};
  std::ranges::copy(record.extranonce.first(extranonce_size()), share.extranonce.begin());
  if (work->state == WorkState::kLost)
    return count_lost(1, on_newest_tip(*work) ? LostShares::kRefusedJob : LostShares::kStaleJob);
  const bool acknowledged = work->state == WorkState::kAcknowledged;
  if (!share.block && share.hash > (acknowledged ? work->target : pool_->target)) {
    ++counters_.shares_local;
    return;
  }
  if (acknowledged) return submit(*work, share);
  keep(*work, share);
}

void Engine::submit(const Work& work, const Share& share) {
  std::array<std::uint8_t, declaration::kMaxExtranonceSize> extranonce{};
  std::copy_n(share.extranonce.begin(), extranonce_size(), extranonce.begin() + (pool_->granted - extranonce_size()));
  const std::uint32_t sequence_number = pool_->shares.submit(*pool_->channel_id, now_.instant);
  pool_output_.push(wire::SubmitSharesExtended{.channel_id = *pool_->channel_id,
                                               .sequence_number = sequence_number,
                                               .job_id = work.upstream_job,
                                               .nonce = share.nonce,
                                               .ntime = share.ntime,
                                               .version = share.version,
                                               .extranonce = Bytes(extranonce).first(pool_->granted)});
  ++counters_.shares_submitted;
  pool_->account.count_submitted(bitcoin::difficulty_from_target(share.hash), bitcoin::difficulty_from_target(work.target),
                                 share.block);
}

void Engine::keep(Work& work, Share share) {
  work.waiting.push_back(share);
  if (++waiting_ > options_.max_waiting_shares) drop_least_work();
}

void Engine::drop_least_work() {
  Work* of = nullptr;
  std::size_t at = 0;
  for (Work& work : works_) {
    for (std::size_t i = 0; i < work.waiting.size(); ++i) {
      if (work.waiting[i].block || (of != nullptr && work.waiting[i].hash <= of->waiting[at].hash)) continue;
      of = &work;
      at = i;
    }
  }
  if (of == nullptr) return;  // Blocks alone: they stay.
  of->waiting.erase(of->waiting.begin() + static_cast<std::ptrdiff_t>(at));
  --waiting_;
  count_lost(1, LostShares::kNoRoom);
}

void Engine::push_solution(const Work& work, const channels::ShareRecord& share) {
  if (options_.mode != Mode::kFullTemplate || !pool_->declarator) return;
  // A job that the declarator knows nothing of yet cannot be put together by it.
  if (work.state == WorkState::kWaiting || work.state == WorkState::kLost) return;
  std::vector<std::uint8_t> extranonce = work.front;
  const Bytes rolled = share.extranonce.first(extranonce_size());
  extranonce.insert(extranonce.end(), rolled.begin(), rolled.end());
  declaration::ClientSession::push_solution({.extranonce = Bytes(extranonce),
                                             .prev_hash = work.job->rules.prev_hash,
                                             .nonce = share.nonce,
                                             .ntime = share.ntime,
                                             .nbits = work.job->rules.nbits,
                                             .version = share.version},
                                            declarator_output_);
  ++counters_.solutions_pushed;
}

EngineStatus Engine::status() const {
  EngineStatus status;
  status.declarator_ready = pool_ && pool_->declarator;
  status.mining_for_pool = pool_work_given_;
  if (pool_ && pool_->channel_id) {
    status.channel = PoolChannel{.id = *pool_->channel_id,
                                 .user_identity = pool_->user_identity,
                                 .declared_hps = pool_->declared_hps,
                                 .target = pool_->target,
                                 .extranonce_prefix = pool_->prefix,
                                 .extranonce_size = pool_->granted,
                                 .account = pool_->account};
  }
  status.waiting_shares = waiting_;
  if (status.declarator_ready) status.spare_tokens = pool_->declarator->spare_tokens();
  if (template_) status.height = template_->height;
  if (const auto given = std::ranges::find(works_, last_given_, [](const Work& work) { return work.job->id; });
      given != works_.end() && given->tip != 0) {
    // As make_pool_work and make_solo_work put them into the coinbase.
    if (given->outputs) {
      status.coinbase = *given->outputs;
    } else {
      status.coinbase = {{.value_sat = 0, .script = options_.solo_script}};
    }
    status.coinbase.front().value_sat = given->job->block_template->coinbase_value_sat;
  }
  status.acknowledge = last_acknowledge_;
  return status;
}

}  // namespace adit::jd_client
