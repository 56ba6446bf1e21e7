#include "template/sv2_client.h"

#include <algorithm>
#include <utility>

#include "bitcoin/merkle.h"
#include "bitcoin/tx.h"
#include "ledger/error.h"
#include "session/dispatch.h"
#include "template/sv2_template.h"
#include "wire/messages.h"

namespace adit::templates {
namespace {

// A block that the chain is so far beyond is not in it any more: a reorganisation of two blocks is rare.
constexpr std::uint32_t kSettledAfter = 2;

std::unexpected<Error> broken(const std::string& what) { return fail(session::Errc::kProtocol, what); }

/// The answer's transactions, if they are those of the template.
Result<TemplateSource::Transactions> read_transactions(const wire::RequestTransactionDataSuccess& answer,
                                                       const Template& made) {
  auto list = std::make_shared<std::vector<std::vector<std::uint8_t>>>();
  std::vector<Hash256> ids;
  list->reserve(answer.transaction_list.size());
  ids.reserve(answer.transaction_list.size());
  for (const wire::B0_16M transaction : answer.transaction_list) {
    const auto found = bitcoin::transaction_ids(transaction);
    if (!found) return fail(Errc::kNonsense, "the provider's transaction data: " + found.error().message());
    ids.push_back(found->txid);
    list->emplace_back(transaction.begin(), transaction.end());
  }
  if (bitcoin::merkle_path(ids) != made.merkle_path)
    return fail(Errc::kNonsense, "the provider's transaction data is not that of its template: the merkle paths differ");
  return TemplateSource::Transactions(std::move(list));
}

Error refusal(const wire::RequestTransactionDataError& answer) {
  const std::string_view code = answer.error_code;
  const std::string message = "the provider refuses a template's transactions: " + std::string(code);
  if (code == "stale-template-id") return {Errc::kStaleTemplate, message};
  if (code == "template-id-not-found") return {Errc::kUnknownTemplate, message};
  return {Errc::kRefused, message};
}

}  // namespace

void Sv2Client::begin(std::string provider, const Now& now, wire::FrameBuffer& out) {
  ++session_;
  in_session_ = true;
  provider_ = std::move(provider);
  last_remote_id_.reset();
  tip_.reset();
  futures_.clear();
  asked_ = now.instant;
  // The specification wants the constraints first; a block waits for nothing else.
  out.push(to_message(constraints_));
  std::size_t sent = 0;
  for (auto newest = solutions_.rbegin(); newest != solutions_.rend() && sent < policy_.max_sent_again; ++newest) {
    if (newest->provider != provider_) continue;
    send(*newest, out);
    ++sent;
  }
}

void Sv2Client::end(const Error& why) {
  in_session_ = false;
  calls_.end(why);
  calls_ = session::StratumV2RpcHandler();
  asking_.clear();
  futures_.clear();
  tip_.reset();
}

void Sv2Client::constrain(CoinbaseConstraints constraints, const Now& now, wire::FrameBuffer& out) {
  if (std::exchange(constraints_, constraints) == constraints || !in_session_) return;
  if (!tip_) asked_ = now.instant;
  out.push(to_message(constraints_));
}

Result<void> Sv2Client::on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out) {
  for (const auto& frame : frames) ADIT_CHECK(on_frame(frame, now, out));
  return {};
}

Result<void> Sv2Client::on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out) {
  if (frame.header.extension_type != wire::kCore) return {};
  if (calls_.on_frame(frame, out)) return {};
  ADIT_TRY(const bool handled, (session::dispatch<wire::NewTemplate, wire::SetNewPrevHashTdp>(
                                   frame, [&](const auto& message) { return on(message, now); })));
  if (handled) return {};
  ADIT_TRY(const bool is_late, (session::dispatch<wire::RequestTransactionDataSuccess, wire::RequestTransactionDataError>(
                                   frame, [](const auto&) { return Result<void>(); })));
  if (is_late) return {};  // Its call has ended long ago.
  // A type that a later revision of the protocol may have added is ignored; a known one that is not a provider's is an error.
  if (!wire::with_message_type(frame.header, [](auto) {})) return {};
  return broken(std::string(wire::message_name(frame.header)) + ": not a message that a template provider sends");
}

Result<void> Sv2Client::on(const wire::NewTemplate& message, const Now& now) {
  if (last_remote_id_ && message.template_id <= *last_remote_id_) {
    return broken("NewTemplate: template ids must grow, but " + std::to_string(message.template_id) + " came after " +
                  std::to_string(*last_remote_id_));
  }
  last_remote_id_ = message.template_id;
  ADIT_TRY(Template made, read_new_template(message, constraints_));
  if (message.future_template) {
    futures_.emplace(message.template_id, std::move(made));
    if (futures_.size() > policy_.max_futures) futures_.erase(futures_.begin());
    return {};
  }
  if (!tip_) return broken("NewTemplate: not a future template, though no SetNewPrevHash came before it");
  made.prev_hash = tip_->prev_hash;
  made.nbits = tip_->nbits;
  // SV2 07 §7.7: from header_timestamp on. (As SRI; whoever mines may go on with its own clock.)
  made.min_ntime = made.current_time = tip_->min_ntime;
  publish(std::move(made), message.template_id, now);
  return {};
}

Result<void> Sv2Client::on(const wire::SetNewPrevHashTdp& message, const Now& now) {
  auto future = futures_.extract(message.template_id);
  if (future.empty()) {
    return broken("SetNewPrevHash: template " + std::to_string(message.template_id) +
                  " is not one of the future templates that came before it");
  }
  Template& made = future.mapped();
  ADIT_CHECK(set_prev_hash(made, message, now.unix_time));
  futures_.clear();  // SV2 07 §7.3: they were for this tip, or for none.
  tip_ = Tip{.prev_hash = made.prev_hash, .nbits = made.nbits, .min_ntime = made.min_ntime, .since = now.instant};
  const std::uint32_t height = made.height;
  // The work first: all that was on the old tip is stale from here on.
  publish(std::move(made), message.template_id, now);
  see_tip(message.prev_hash, height);
  return {};
}

void Sv2Client::publish(Template made, std::uint64_t remote_id, const Now& now) {
  made.id = events_.next_template_id();
  const bool new_tip = !published_tip_ || made.prev_hash != published_tip_->prev_hash || made.nbits != published_tip_->nbits;
  published_tip_ = tip_;
  const auto shared = std::make_shared<const Template>(std::move(made));
  store_.add(shared, new_tip, now.instant);
  origins_[shared->id] = {provider_, remote_id};
  std::erase_if(origins_, [this](const auto& origin) { return !store_.find(origin.first); });
  events_.on_template(shared, new_tip);
}

/// Settles what that tip decides.
void Sv2Client::see_tip(const Hash256& prev_hash, std::uint32_t height) {
  for (auto at = solutions_.begin(); at != solutions_.end();) {
    if (at->provider == provider_ && at->hash == prev_hash) {
      settle(at, BlockVerdict::kAccepted, "");
    } else if (at->provider == provider_ && height > at->height + kSettledAfter) {
      settle(at, BlockVerdict::kStale, "the chain went on, and the provider never named the block as its tip");
    } else {
      ++at;
    }
  }
}

void Sv2Client::settle(std::deque<Solution>::iterator& at, BlockVerdict verdict, std::string reason) {
  const BlockResult result{at->hash, at->height, verdict, std::move(reason), at->provider};
  at = solutions_.erase(at);
  events_.on_block_result(result);
}

void Sv2Client::send(const Solution& solution, wire::FrameBuffer& out) {
  out.push(wire::SubmitSolution{.template_id = solution.template_id,
                                .version = solution.solved.version,
                                .header_timestamp = solution.solved.ntime,
                                .header_nonce = solution.solved.nonce,
                                .coinbase_tx = solution.solved.coinbase});
}

Result<> Sv2Client::submit(TemplateId id, const BlockSolution& solution, const Now& now, wire::FrameBuffer& out) {
  ADIT_TRY(const TemplatePtr made, store_.find(id));
  const auto origin = origins_.find(id);
  if (origin == origins_.end()) return fail(Errc::kStaleTemplate, "template " + std::to_string(id) + " is not kept any more");
  ADIT_TRY(const bitcoin::BlockHeader header, bitcoin::solved_header(*made, solution));
  ADIT_TRY(std::vector<std::uint8_t> coinbase, bitcoin::complete_coinbase(*made, solution.coinbase));
  if (coinbase.size() > wire::B0_64K::kMaxSize)
    return fail(bitcoin::Errc::kTooLarge, "the coinbase does not fit into SubmitSolution: 65,535 bytes");
  const Hash256 hash = header.hash();
  if (std::ranges::find(solutions_, hash, &Solution::hash) != solutions_.end()) return {};
  if (solutions_.size() >= policy_.max_solutions)
    return fail(ledger::Errc::kFull, "too many blocks were sent to template providers whose effect was not seen");
  Sv2Solution taken{.provider = origin->second.provider,
                    .template_id = origin->second.template_id,
                    .hash = hash,
                    .height = made->height,
                    .solved = {solution.version, solution.ntime, solution.nonce, std::move(coinbase)},
                    .found = now.unix_time};
  solutions_.push_back({std::move(taken), now.instant});
  // First to the provider: the disk takes its time.
  if (in_session_ && solutions_.back().provider == provider_) send(solutions_.back(), out);
  events_.on_solution(solutions_.back());
  return {};
}

void Sv2Client::restore(Sv2Solution solution, const Now& now, wire::FrameBuffer& out) {
  const Duration age = std::max<Duration>(now.unix_time - solution.found, Duration::zero());
  const bool is_here = std::ranges::find(solutions_, solution.hash, &Solution::hash) != solutions_.end();
  if (is_here || age >= policy_.solution_patience || solutions_.size() >= policy_.max_solutions) return;
  solutions_.push_back({std::move(solution), now.instant - age});
  if (in_session_ && solutions_.back().provider == provider_) send(solutions_.back(), out);
}

void Sv2Client::transactions(TemplateId id, const Now& now, wire::FrameBuffer& out, Done done) {
  auto made = store_.find(id);
  if (!made) return done(fail(std::move(made.error())));
  const auto origin = origins_.find(id);
  if (origin == origins_.end() || !in_session_ || origin->second.provider != provider_)
    return done(fail(Errc::kUnreachable, "there is no session with the provider of template " + std::to_string(id)));
  const std::uint64_t remote_id = origin->second.template_id;
  auto& waiting = asking_[remote_id];
  waiting.push_back(std::move(done));
  if (waiting.size() > 1) return;
  wire::FrameBuffer request;
  request.push(wire::RequestTransactionData{.template_id = remote_id});
  auto called =
      calls_.call(*request.begin(), now.instant + policy_.transactions_deadline, out,
                  [this, remote_id, one = *made](Result<wire::FrameView> frame) { answer(remote_id, one, std::move(frame)); });
  // Asked for before, in vain: an answer to that may still come.
  if (!called) answer(remote_id, *made, fail(Errc::kTimedOut, "the provider owes an answer for that template"));
}

void Sv2Client::answer(std::uint64_t remote_id, const TemplatePtr& made, Result<wire::FrameView> frame) {
  const auto waiting = asking_.extract(remote_id);
  if (waiting.empty()) return;
  Result<TemplateSource::Transactions> found;
  if (!frame) {
    found = frame.error().is(session::Errc::kTimedOut)
                ? fail(Errc::kTimedOut, "the provider did not give a template's transactions in time")
                : fail(std::move(frame.error()));
  } else if (const auto success = frame->as<wire::RequestTransactionDataSuccess>()) {
    found = read_transactions(*success, *made);
  } else if (const auto error = frame->as<wire::RequestTransactionDataError>()) {
    found = fail(refusal(*error));
  }
  for (const Done& done : waiting.mapped()) done(found);
}

Result<void> Sv2Client::on_tick(const Now& now) {
  calls_.on_tick(now.instant);
  for (auto at = solutions_.begin(); at != solutions_.end();) {
    if (now.instant - at->since >= policy_.solution_patience) {
      settle(at, BlockVerdict::kRejected, "given up: the provider never named the block as its tip");
    } else {
      ++at;
    }
  }
  if (!in_session_ || tip_ || now.instant - asked_ < policy_.first_template_deadline) return {};
  return fail(session::Errc::kTimedOut, "the provider gave no template within " +
                                            std::to_string(policy_.first_template_deadline / std::chrono::seconds(1)) +
                                            " s after CoinbaseOutputConstraints: is its node there?");
}

}  // namespace adit::templates
