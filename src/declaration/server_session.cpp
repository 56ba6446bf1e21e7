#include "declaration/server_session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/invariant.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/consensus.h"
#include "bitcoin/merkle.h"
#include "bitcoin/u256.h"
#include "session/dispatch.h"
#include "session/error.h"
#include "wire/common_messages.h"
#include "wire/messages.h"

namespace adit::declaration {
namespace {

constexpr std::size_t kWitnessSize = 2 + 1 + 1 + 32;  // Marker, flag and the reserved value of a coinbase.
constexpr Duration kNodePatience = std::chrono::seconds(90);

std::size_t weight_of(const DeclaredCoinbase& coinbase) {
  const auto parts = coinbase_parts(coinbase);
  const std::size_t whole = parts.prefix.size() + coinbase.extranonce_size + parts.suffix.size();
  const std::size_t witness = coinbase.has_witness ? kWitnessSize : 0;
  return 4 * (whole - witness) + witness;
}

bool has_duplicates(std::vector<Hash256> hashes) {
  std::ranges::sort(hashes);
  return std::ranges::adjacent_find(hashes) != hashes.end();
}

/// In the order of their ids, for find_in(). No table of hashes: a client chooses the ids, and could have all of them collide.
std::vector<TransactionPtr> sorted(std::span<const TransactionPtr> transactions) {
  std::vector<TransactionPtr> out(transactions.begin(), transactions.end());
  std::ranges::sort(out, {}, [](const TransactionPtr& one) -> const Hash256& { return one->wtxid; });
  return out;
}

/// Null: it is not there.
TransactionPtr find_in(std::span<const TransactionPtr> sorted, const Hash256& wtxid) {
  const auto found =
      std::ranges::lower_bound(sorted, wtxid, {}, [](const TransactionPtr& one) -> const Hash256& { return one->wtxid; });
  return found == sorted.end() || (*found)->wtxid != wtxid ? nullptr : *found;
}

bool costs(DeclareRefusal refusal) {
  // What a client cannot know, and what is our own.
  return refusal != DeclareRefusal::kStaleTip && refusal != DeclareRefusal::kInternal;
}

}  // namespace

bool RevenuePolicy::is_met(std::span<const bitcoin::TxOutput> outputs, Bytes script, std::uint32_t height) const {
  std::uint64_t revenue = 0;
  std::uint64_t paid = 0;
  for (const bitcoin::TxOutput& output : outputs) {
    // No more than there is money, so that nothing here wraps.
    if (output.value_sat > bitcoin::kMaxMoneySat - revenue) return false;
    revenue += output.value_sat;
    if (std::ranges::equal(output.script, script)) paid += output.value_sat;
  }
  if (halving_interval != 0) revenue = std::max(revenue, bitcoin::subsidy_sat(height, halving_interval));
  return paid != 0 && paid * 100 >= revenue * percent;
}

Result<std::vector<std::uint8_t>> script_to_pay(const channels::PayoutPolicy& payouts, std::string_view user) {
  auto wish = payouts.decide(user);
  if (!wish) return fail(session::Errc::kRefused, wish.error().message());
  if (*wish && (*wish)->pool_percent != 0) {
    return fail(
        session::Errc::kRefused,
        "its user_identifier asks for a block that is shared between two payees, but what a declared job pays goes to one "
        "(SV2 06 §6.4.3): use one that pays the pool alone or the miner alone");
  }
  return *wish ? std::move((*wish)->script) : payouts.pool_script;
}

std::string_view declare_error_code(DeclareRefusal refusal) {
  switch (refusal) {
    case DeclareRefusal::kToken:
      return "invalid-mining-job-token";
    case DeclareRefusal::kCoinbase:
      return "invalid-coinbase-tx";
    case DeclareRefusal::kCoinbaseInput:
      return "invalid-coinbase-tx-input";
    case DeclareRefusal::kCoinbaseOutputs:
      return "invalid-coinbase-tx-outputs";
    case DeclareRefusal::kMissing:
      return "missing-txs";
    case DeclareRefusal::kStaleTip:
      return "stale-chain-tip";
    case DeclareRefusal::kInvalid:
      return "invalid-job";
    case DeclareRefusal::kInternal:
      return "internal-error";
    case DeclareRefusal::kTooMany:
      return "too-many-declarations";
    case DeclareRefusal::kRequestId:
      return "request-id-in-use";
  }
  return "unknown";
}

void add(ServerCounters& sum, const ServerCounters& part) {
  sum.tokens_allocated += part.tokens_allocated;
  sum.jobs_declared += part.jobs_declared;
  sum.jobs_time += part.jobs_time;
  for (std::size_t i = 0; i < kDeclareRefusals; ++i) sum.jobs_refused[i] += part.jobs_refused[i];
  sum.transactions_declared += part.transactions_declared;
  sum.transactions_missing += part.transactions_missing;
  sum.solutions += part.solutions;
  sum.solutions_refused += part.solutions_refused;
  sum.clients += part.clients;
  sum.known_bytes += part.known_bytes;
}

// ---- ServerShard

ServerShard::~ServerShard() { ADIT_INVARIANT(sessions_.empty()); }

ServerSession* ServerShard::find(std::uint64_t session) const {
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? nullptr : found->second;
}

void ServerShard::set_template(bitcoin::TemplatePtr made, const Now& now) {
  tip_ = std::move(made);
  for (const auto& [number, session] : sessions_) session->on_template(now);
}

void ServerShard::on_transactions(std::span<const TransactionPtr> transactions) {
  for (const TransactionPtr& one : transactions) known_.add(one);
}

void ServerShard::on_found(std::uint64_t session, std::uint64_t declaration, std::span<const TransactionPtr> found,
                           const Now& now) {
  if (ServerSession* const client = find(session)) client->on_found(declaration, found, now);
}

void ServerShard::on_checked(std::uint64_t session, std::uint64_t declaration, const CheckAnswer& answer, const Now& now) {
  if (ServerSession* const client = find(session)) client->on_checked(declaration, answer, now);
}

void ServerShard::on_told(std::uint64_t session, std::uint64_t declaration, const Now& now) {
  if (ServerSession* const client = find(session)) client->on_told(declaration, now);
}

ServerCounters ServerShard::counters() const {
  ServerCounters counters = counters_;
  counters.clients = sessions_.size();
  counters.known_bytes = known_.bytes();
  return counters;
}

// ---- ServerSession

ServerSession::ServerSession(ServerShard& shard, std::uint32_t setup_flags, const Now& now)
    : shard_(shard),
      number_(++shard.last_number_),
      coinbase_only_((setup_flags & wire::kDeclareTxData) == 0),
      declares_left_(shard.policy_.declarations, now.instant),
      faults_left_(shard.policy_.faults, now.instant) {
  shard_.sessions_.emplace(number_, this);
}

ServerSession::~ServerSession() {
  shard_.sessions_.erase(number_);
  shard_.tokens_ -= tokens();
  // Its tokens go with it.
  for (const DeclaredJobPtr& job : active_) (void)job->take();
  for (const Declaration& declaration : declarations_) {
    if (declaration.job) (void)declaration.job->take();
  }
}

session::ProtocolOffer ServerSession::offer(const ServerPolicy& policy) {
  session::ProtocolOffer offer{.protocol = wire::Protocol::kJobDeclaration, .supported_flags = wire::kDeclareTxData};
  if (!policy.allow_coinbase_only) {
    offer.required_flags = wire::kDeclareTxData;
    offer.missing_flags_code = "missing-declare-tx-data-flag";
  }
  return offer;
}

Result<void> ServerSession::on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out) {
  for (const auto& frame : frames) {
    ADIT_CHECK(on_frame(frame, now, out));
    ADIT_CHECK(check_cost());
  }
  return {};
}

Result<void> ServerSession::on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out) {
  // What this end does not know is not for it (SV2 03 §3.4.1).
  if (frame.header.extension_type != wire::kCore) return {};
  ADIT_TRY(const bool handled,
           (session::dispatch<wire::DeclareMiningJob, wire::AllocateMiningJobToken, wire::ProvideMissingTransactionsSuccess,
                              wire::PushSolution>(frame, [&](const auto& message) { return on(message, now, out); })));
  if (handled) return {};
  // A type that a later revision of the protocol may have added is ignored; a known one that is not a client's is an error.
  if (!wire::with_message_type(frame.header, [](auto) {})) return {};
  return fail(session::Errc::kProtocol,
              std::string(wire::message_name(frame.header)) + ": not a message that a client of job declaration sends now");
}

Result<void> ServerSession::on(const wire::AllocateMiningJobToken& message, const Now& now, wire::FrameBuffer& out) {
  const ServerPolicy& policy = shard_.policy_;
  auto payee = script_to_pay(policy.payouts, message.user_identifier.view());
  if (!payee) return fail(session::Errc::kRefused, "AllocateMiningJobToken: " + payee.error().message());
  std::vector<std::uint8_t> script = *std::move(payee);
  if (coinbase_only_ && policy.seal != nullptr) {
    // Nothing is kept of it, here or elsewhere: what it costs is its making.
    if (!declares_left_.charge(1, now.instant))
      return fail(session::Errc::kOverloaded, "AllocateMiningJobToken: this connection asks for tokens too often");
    const auto job = make_job(std::string(message.user_identifier.view()), script, now.instant + policy.token_life);
    job->token = shard_.events_.next_token();
    ++shard_.counters_.tokens_allocated;
    answer_token(message.request_id, shown_token(*job, now), script, out);
    return {};
  }
  prune(now.instant);
  const std::size_t before = tokens();
  const bool too_many = tokens() >= policy.max_tokens && coinbase_only_;
  const Token token = shard_.events_.next_token();
  AllocatedTokens::Holder holder{
      .user = std::string(message.user_identifier.view()), .payout_script = script, .expires = now.instant + policy.token_life};
  const bool has_place = shard_.tokens_ < policy.max_tokens_per_shard;
  if (too_many || !has_place || (!coinbase_only_ && !tokens_.add(token, std::move(holder), policy.max_tokens, now.instant))) {
    shard_.tokens_ += tokens() - before;
    return fail(session::Errc::kOverloaded,
                has_place ? "AllocateMiningJobToken: this connection has as many unused tokens as it may have"
                          : "AllocateMiningJobToken: there are as many unused tokens as this declarator keeps");
  }
  ++shard_.counters_.tokens_allocated;
  if (coinbase_only_) {
    // The pool has to know it before the client does.
    Declaration& telling = declarations_.emplace_back();
    telling.state = Declaration::State::kForShards;
    telling.number = ++shard_.last_number_;
    telling.request_id = message.request_id;
    telling.job = make_job(std::string(message.user_identifier.view()), std::move(script), now.instant + policy.token_life);
    telling.job->token = token;
    active_.push_back(telling.job);
    shard_.tokens_ += tokens() - before;
    shard_.events_.tell(number_, telling.number, telling.job, {});
    return {};
  }
  shard_.tokens_ += tokens() - before;
  answer_token(message.request_id, token, script, out);
  return {};
}

void ServerSession::answer_token(std::uint32_t request_id, Bytes token, Bytes script, wire::FrameBuffer& out) {
  const auto outputs = counted_outputs({{.value_sat = 0, .script = {script.begin(), script.end()}}});
  out.push(wire::AllocateMiningJobTokenSuccess{
      .request_id = request_id, .mining_job_token = token, .coinbase_tx_outputs = Bytes(outputs)});
}

std::vector<std::uint8_t> ServerSession::shown_token(const DeclaredJob& job, const Now& now) const {
  if (shard_.policy_.seal == nullptr) return {job.token.begin(), job.token.end()};
  return shard_.policy_.seal->seal(job, now.unix_time + std::chrono::floor<std::chrono::seconds>(job.expires - now.instant));
}

std::shared_ptr<DeclaredJob> ServerSession::make_job(std::string user, std::vector<std::uint8_t> payout_script,
                                                     Instant expires) {
  auto job = std::make_shared<DeclaredJob>();
  job->user = std::move(user);
  job->payout_script = std::move(payout_script);
  job->expires = expires;
  return job;
}

Result<void> ServerSession::on(const wire::DeclareMiningJob& message, const Now& now, wire::FrameBuffer& out) {
  const auto refuse_it = [&](DeclareRefusal refusal, std::string_view reason = {}) -> Result<void> {
    answer_refusal(message.request_id, refusal, reason, now, out);
    return {};
  };
  const ServerPolicy& policy = shard_.policy_;
  const auto token = token_from(message.mining_job_token);
  auto* const holder = token ? tokens_.find(*token, now.instant) : nullptr;
  if (holder == nullptr || holder->is_declared) return refuse_it(DeclareRefusal::kToken);
  if (std::ranges::find(declarations_, message.request_id, &Declaration::request_id) != declarations_.end())
    return refuse_it(DeclareRefusal::kRequestId, "a declaration with this request id is under way");
  if (declarations_.size() >= policy.max_declarations || !declares_left_.charge(1, now.instant))
    return refuse_it(DeclareRefusal::kTooMany, "wait for the answers to earlier declarations");
  auto coinbase = parse_coinbase_parts(message.coinbase_tx_prefix, message.coinbase_tx_suffix);
  if (!coinbase) {
    const bool is_input = coinbase.error().is(Errc::kCoinbaseInputs);
    return refuse_it(is_input ? DeclareRefusal::kCoinbaseInput : DeclareRefusal::kCoinbase, coinbase.error().message());
  }
  if (message.wtxid_list.size() > bitcoin::kMaxBlockTransactions)
    return refuse_it(DeclareRefusal::kInvalid, "more transactions than a block has room for");
  std::vector<Hash256> wtxids(message.wtxid_list.begin(), message.wtxid_list.end());
  if (has_duplicates(wtxids)) return refuse_it(DeclareRefusal::kInvalid, "a transaction is in the list twice");

  holder->is_declared = true;
  const auto made = declarations_.emplace(declarations_.end());
  made->number = ++shard_.last_number_;
  made->request_id = message.request_id;
  made->since = now.instant;
  made->token = *token;
  made->version = message.version;
  made->coinbase = *std::move(coinbase);
  made->wtxids = std::move(wtxids);
  start(made, now, out);
  return {};
}

void ServerSession::start(Declarations::iterator declaration, const Now& now, wire::FrameBuffer& out) {
  // Its node may be ahead of ours: then its transactions come while ours catches up.
  if (settle_tip(declaration, now, out)) look_up(declaration, now, out);
}

bool ServerSession::settle_tip(Declarations::iterator declaration, const Now& now, wire::FrameBuffer& out) {
  const bitcoin::TemplatePtr& tip = shard_.tip_;
  if (tip == nullptr) return true;
  const auto height = bitcoin::height_at_front(declaration->coinbase.script);
  if (!height || *height < tip->height) {
    refuse(declaration, DeclareRefusal::kStaleTip, "it is not for the next block's height", now, out);
    return false;
  }
  if (*height > tip->height) return true;
  declaration->tip = tip;
  const auto* const holder = tokens_.find(declaration->token, now.instant);
  ADIT_INVARIANT(holder != nullptr);
  if (!shard_.policy_.revenue.is_met(declaration->coinbase.outputs, holder->payout_script, tip->height)) {
    refuse(declaration, DeclareRefusal::kCoinbaseOutputs, "the output that was allocated is not paid its part", now, out);
    return false;
  }
  return true;
}

void ServerSession::look_up(Declarations::iterator declaration, const Now& now, wire::FrameBuffer& out) {
  const std::vector<Hash256>& wtxids = declaration->wtxids;
  declaration->transactions.resize(wtxids.size());
  for (std::size_t i = 0; i < wtxids.size(); ++i) {
    declaration->transactions[i] = shard_.known_.find(wtxids[i]);
    if (declaration->transactions[i] == nullptr) declaration->unknown.push_back(static_cast<std::uint16_t>(i));
  }
  shard_.counters_.transactions_declared += wtxids.size();
  declaration->missing = declaration->unknown;
  if (declaration->missing.empty() || !shard_.policy_.asks_mempool) return ask_client(declaration, now, out);
  declaration->state = Declaration::State::kForMempool;
  declaration->until = now.instant + shard_.policy_.mempool_patience;
  std::vector<Hash256> unknown;
  unknown.reserve(declaration->unknown.size());
  for (const std::uint16_t place : declaration->unknown) unknown.push_back(wtxids[place]);
  shard_.events_.find(number_, declaration->number, std::move(unknown));
}

void ServerSession::on_found(std::uint64_t number, std::span<const TransactionPtr> found, const Now& now) {
  const auto declaration = find(number);
  if (declaration == declarations_.end() || declaration->state != Declaration::State::kForMempool) return;
  const auto known = sorted(found);
  std::erase_if(declaration->missing, [&](std::uint16_t place) {
    declaration->transactions[place] = find_in(known, declaration->wtxids[place]);
    return declaration->transactions[place] != nullptr;
  });
  wire::FrameBuffer out;
  ask_client(declaration, now, out);
  if (!out.empty()) send_answers(out);
}

void ServerSession::ask_client(Declarations::iterator declaration, const Now& now, wire::FrameBuffer& out) {
  shard_.counters_.transactions_missing += declaration->missing.size();
  if (declaration->missing.empty()) return on_complete(declaration, now, out);
  declaration->state = Declaration::State::kForTransactions;
  declaration->until = now.instant + shard_.policy_.missing_deadline;
  out.push(wire::ProvideMissingTransactions{.request_id = declaration->request_id,
                                            .unknown_tx_position_list = std::span<const std::uint16_t>(declaration->missing)});
}

Result<void> ServerSession::on(const wire::ProvideMissingTransactionsSuccess& message, const Now& now, wire::FrameBuffer& out) {
  const auto declaration = std::ranges::find(declarations_, message.request_id, &Declaration::request_id);
  if (declaration == declarations_.end() || declaration->state != Declaration::State::kForTransactions) {
    charge(now.instant);
    return {};
  }
  const auto refuse_it = [&](DeclareRefusal refusal, std::string_view reason) -> Result<void> {
    refuse(declaration, refusal, reason, now, out);
    return {};
  };
  if (has_moved(*declaration)) return refuse_it(DeclareRefusal::kStaleTip, "there is a new tip");
  std::vector<TransactionPtr> given;
  given.reserve(declaration->missing.size());
  std::size_t weight = 0;
  for (const wire::B0_16M& bytes : message.transaction_list) {
    auto transaction = read_transaction(bytes);
    if (!transaction) continue;  // It will be missing.
    if ((*transaction)->is_coinbase) return refuse_it(DeclareRefusal::kInvalid, "a coinbase is among the transactions");
    if ((weight += (*transaction)->weight) > bitcoin::kMaxBlockWeight)
      return refuse_it(DeclareRefusal::kInvalid, "the transactions outweigh a block");
    given.push_back(*std::move(transaction));
  }
  given = sorted(given);
  std::size_t taken = 0;
  for (const std::uint16_t place : declaration->missing) {
    TransactionPtr& transaction = declaration->transactions[place];
    transaction = find_in(given, declaration->wtxids[place]);
    if (transaction != nullptr) ++taken;
  }
  if (taken != given.size())
    return refuse_it(DeclareRefusal::kInvalid, "a transaction was given that was not asked for, or twice");
  if (taken != declaration->missing.size())
    return refuse_it(DeclareRefusal::kMissing, "transactions that were asked for were not given");
  on_complete(declaration, now, out);
  return {};
}

void ServerSession::on_complete(Declarations::iterator declaration, const Now& now, wire::FrameBuffer& out) {
  if (has_moved(*declaration)) return refuse(declaration, DeclareRefusal::kStaleTip, "there is a new tip", now, out);
  if (declaration->tip == nullptr && !settle_tip(declaration, now, out)) return;
  if (declaration->tip != nullptr) return ask_node(declaration, now, out);
  declaration->state = Declaration::State::kForTip;
  declaration->until = now.instant + shard_.policy_.tip_patience;
}

void ServerSession::ask_node(Declarations::iterator declaration, const Now& now, wire::FrameBuffer& out) {
  std::size_t weight = 4 * (bitcoin::kHeaderSize + bitcoin::compact_size_length(declaration->transactions.size() + 1)) +
                       weight_of(declaration->coinbase);
  for (const TransactionPtr& one : declaration->transactions) weight += one->weight;
  if (weight > bitcoin::kMaxBlockWeight) return refuse(declaration, DeclareRefusal::kInvalid, "it outweighs a block", now, out);
  const auto* const holder = tokens_.find(declaration->token, now.instant);
  ADIT_INVARIANT(holder != nullptr);
  declaration->job = make_job(holder->user, holder->payout_script, Instant::max());
  declaration->job->work =
      declare_template(*declaration->tip, declaration->version, declaration->coinbase, declaration->transactions);
  declaration->state = Declaration::State::kForNode;
  declaration->until = now.instant + kNodePatience;
  shard_.events_.check(*this, declaration->number, declaration->job);
}

void ServerSession::on_checked(std::uint64_t number, const CheckAnswer& answer, const Now& now) {
  const auto declaration = find(number);
  if (declaration == declarations_.end() || declaration->state != Declaration::State::kForNode) return;
  wire::FrameBuffer out;
  if (answer.verdict == BlockCheck::kFailed) {
    refuse(declaration, DeclareRefusal::kInternal, answer.reason, now, out);
  } else if (!is_current(*declaration) || answer.verdict == BlockCheck::kStale) {
    refuse(declaration, DeclareRefusal::kStaleTip, answer.reason, now, out);
  } else if (answer.verdict == BlockCheck::kInvalid) {
    refuse(declaration, DeclareRefusal::kInvalid, answer.reason, now, out);
  } else {
    std::vector<TransactionPtr> provided;
    provided.reserve(declaration->unknown.size());
    for (const std::uint16_t place : declaration->unknown) provided.push_back(declaration->transactions[place]);
    declaration->state = Declaration::State::kForShards;
    declaration->until = now.instant + kNodePatience;
    declaration->job->token = shard_.events_.next_token();
    declaration->job->expires = now.instant + shard_.policy_.job_life;
    shard_.events_.tell(number_, number, declaration->job, std::move(provided));
    return;
  }
  send_answers(out);
}

void ServerSession::on_told(std::uint64_t number, const Now& now) {
  const auto declaration = find(number);
  if (declaration == declarations_.end() || declaration->state != Declaration::State::kForShards) return;
  wire::FrameBuffer out;
  const DeclaredJobPtr job = declaration->job;
  if (job->work == nullptr) {
    answer_token(declaration->request_id, shown_token(*job, now), job->payout_script, out);
    declarations_.erase(declaration);
    return send_answers(out);
  }
  if (!is_current(*declaration)) {
    refuse(declaration, DeclareRefusal::kStaleTip, "there is a new tip", now, out);
    return send_answers(out);
  }
  const std::size_t before = tokens();
  tokens_.burn(declaration->token);
  shard_.tokens_ += tokens() - before;
  prune(now.instant);
  active_.push_back(job);
  if (active_.size() > shard_.policy_.max_active) {
    (void)active_.front()->take();
    active_.pop_front();
  }
  recent_.push_front(job);
  if (recent_.size() > shard_.policy_.max_recent) recent_.pop_back();
  ++shard_.counters_.jobs_declared;
  ++good_;
  faults_left_.earn(1);
  const Duration took = now.instant - declaration->since;
  shard_.counters_.jobs_time += took;
  shard_.events_.on_declared(*this, *job, declaration->missing.size(), took);
  const auto token = shown_token(*job, now);
  out.push(wire::DeclareMiningJobSuccess{.request_id = declaration->request_id, .new_mining_job_token = Bytes(token)});
  declarations_.erase(declaration);
  send_answers(out);
}

void ServerSession::on_template(const Now& now) {
  wire::FrameBuffer out;
  for (auto next = declarations_.begin(); next != declarations_.end();) {
    const auto declaration = next++;
    if (declaration->state == Declaration::State::kForTip) on_complete(declaration, now, out);
  }
  if (!out.empty()) send_answers(out);
}

Result<void> ServerSession::on(const wire::PushSolution& message, const Now& now, wire::FrameBuffer&) {
  const auto try_job = [&](const DeclaredJobPtr& job) {
    const DeclaredTemplate& work = *job->work;
    if (work.prev_hash != message.prev_hash || work.nbits != message.nbits || work.extranonce_size != message.extranonce.size())
      return false;
    const auto target = bitcoin::target_from_compact(work.nbits);
    bitcoin::BlockSolution solution{.version = message.version,
                                    .ntime = message.ntime,
                                    .nonce = message.nonce,
                                    .coinbase = coinbase_with(work, message.extranonce)};
    const auto header = bitcoin::solved_header(work, solution);
    if (!target || !header) return false;
    const Hash256 hash = header->hash();
    if (!bitcoin::meets_target(hash, *target)) return false;
    ++shard_.counters_.solutions;
    shard_.events_.submit(*this, job, hash, std::move(solution));
    return true;
  };
  // The last declared job first, then recent ones (06 §6.4.9), then those that are not answered yet: a block does not wait.
  for (const DeclaredJobPtr& job : recent_) {
    if (try_job(job)) return {};
  }
  for (const Declaration& declaration : declarations_) {
    if (declaration.job != nullptr && declaration.job->work != nullptr && try_job(declaration.job)) return {};
  }
  ++shard_.counters_.solutions_refused;
  shard_.events_.on_solution_refused(
      *this, recent_.empty() ? "no job was declared on this connection" : "on no recent job of this connection is it a block");
  charge(now.instant);
  return {};
}

Result<void> ServerSession::on_tick(const Now& now, wire::FrameBuffer& out) {
  prune(now.instant);
  for (auto next = declarations_.begin(); next != declarations_.end();) {
    const auto declaration = next++;
    if (now.instant < declaration->until) continue;
    switch (declaration->state) {
      case Declaration::State::kForTip:
        refuse(declaration, DeclareRefusal::kStaleTip, "the tip that it is for is not known here", now, out);
        break;
      case Declaration::State::kForMempool:
        ask_client(declaration, now, out);
        break;
      case Declaration::State::kForTransactions:
        refuse(declaration, has_moved(*declaration) ? DeclareRefusal::kStaleTip : DeclareRefusal::kMissing,
               "the transactions that were asked for did not come", now, out);
        break;
      case Declaration::State::kForNode:
        refuse(declaration, DeclareRefusal::kInternal, "the node did not answer in time", now, out);
        break;
      case Declaration::State::kForShards:
        refuse(declaration, DeclareRefusal::kInternal, "the pool did not take the job in time", now, out);
        break;
    }
  }
  return check_cost();
}

ServerSession::Declarations::iterator ServerSession::find(std::uint64_t declaration) {
  return std::ranges::find(declarations_, declaration, &Declaration::number);
}

bool ServerSession::is_current(const Declaration& declaration) const {
  return shard_.tip_ != nullptr && declaration.tip != nullptr && shard_.tip_->prev_hash == declaration.tip->prev_hash &&
         shard_.tip_->nbits == declaration.tip->nbits;
}

bool ServerSession::has_moved(const Declaration& declaration) const {
  return declaration.tip != nullptr && !is_current(declaration);
}

void ServerSession::refuse(Declarations::iterator declaration, DeclareRefusal refusal, std::string_view reason, const Now& now,
                           wire::FrameBuffer& out) {
  tokens_.give_back(declaration->token);
  if (declaration->job != nullptr) (void)declaration->job->take();  // Some shards may have heard of it.
  const std::uint32_t request_id = declaration->request_id;
  // `reason` may be the declaration's own.
  answer_refusal(request_id, refusal, reason, now, out);
  declarations_.erase(declaration);
}

void ServerSession::answer_refusal(std::uint32_t request_id, DeclareRefusal refusal, std::string_view reason, const Now& now,
                                   wire::FrameBuffer& out) {
  ++shard_.counters_.jobs_refused[static_cast<std::size_t>(refusal)];
  shard_.events_.on_refused(*this, refusal, reason);
  out.push(wire::DeclareMiningJobError{
      .request_id = request_id, .error_code = declare_error_code(refusal), .error_details = as_bytes(reason)});
  if (costs(refusal)) charge(now.instant);
}

void ServerSession::send_answers(const wire::FrameBuffer& out) {
  shard_.events_.send(*this, out);
  if (settled()) shard_.events_.settled(*this);
}

void ServerSession::charge(Instant now) {
  if (!faults_left_.charge(1, now)) only_costs_ = true;
}

Result<void> ServerSession::check_cost() const {
  if (!only_costs_) return {};
  return fail(session::Errc::kOverloaded, "job declaration: too much of what this client sent was refused");
}

void ServerSession::prune(Instant now) {
  const std::size_t before = tokens();
  tokens_.prune(now);
  std::erase_if(active_, [&](const DeclaredJobPtr& job) { return job->is_taken() || now >= job->expires; });
  shard_.tokens_ += tokens() - before;
}

}  // namespace adit::declaration
