#include "template/sv2_server.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/invariant.h"
#include "bitcoin/u256.h"
#include "session/dispatch.h"
#include "wire/messages.h"

namespace adit::templates {
namespace {

// SRI's and sv2-tp's names of errors.
constexpr std::string_view kNotFound = "template-id-not-found";
constexpr std::string_view kStale = "stale-template-id";
// Ours: the specification has no list of them.
constexpr std::string_view kTooManyRequests = "too-many-requests";
constexpr std::string_view kNotAvailable = "transaction-data-not-available";

// BIP323: what miners may change of a header's version.
constexpr std::uint32_t kFreeVersionBits = 0x1fffffe0;
// What a witness commitment is computed with; sv2-tp sends it as excess_data.
constexpr std::array<std::uint8_t, 32> kWitnessReservedValue{};

std::string_view error_code_of(const Error& error) {
  if (error.is(Errc::kStaleTemplate)) return kStale;
  if (error.is(Errc::kUnknownTemplate)) return kNotFound;
  return kNotAvailable;
}

/// Why it is no solution of that template; empty if it is one.
std::string_view fault_of(const Template& made, const BlockSolution& solution) {
  if (((solution.version ^ made.version) & ~kFreeVersionBits) != 0) return "the version has other bits changed than BIP323's";
  if (solution.ntime < made.min_ntime) return "the time is before the template's";
  if (solution.ntime > made.max_ntime) return "the template's bits do not hold at that time";
  if (!bitcoin::complete_coinbase(made, solution.coinbase)) return "the coinbase is no transaction";
  const auto header = bitcoin::solved_header(made, solution);
  if (!header) return "the coinbase is no transaction";
  const auto target = bitcoin::target_from_compact(made.nbits);
  return target && bitcoin::meets_target(header->hash(), *target) ? "" : "its hash does not meet the target";
}

/// The answer with the template's transactions, or the Error that says why there is none.
wire::FrameBuffer transactions_answer(std::uint64_t template_id, bool has_witness_commitment,
                                      const Result<TemplateSource::Transactions>& found, bool& is_success) {
  wire::FrameBuffer out;
  is_success = false;
  std::string_view code = kNotAvailable;
  if (found) {
    std::vector<wire::B0_16M> list;
    list.reserve((*found)->size());
    for (const auto& transaction : **found) list.emplace_back(Bytes(transaction));
    wire::RequestTransactionDataSuccess answer{.template_id = template_id, .excess_data = {}, .transaction_list = list};
    if (has_witness_commitment) answer.excess_data = Bytes(kWitnessReservedValue);
    is_success = out.push(answer);
    if (is_success) return out;
  } else {
    code = error_code_of(found.error());
  }
  out.push(wire::RequestTransactionDataError{.template_id = template_id, .error_code = code});
  return out;
}

}  // namespace

void add(Sv2ServerCounters& sum, const Sv2ServerCounters& part) {
  sum.templates_sent += part.templates_sent;
  sum.transactions_sent += part.transactions_sent;
  sum.transactions_refused += part.transactions_refused;
  sum.solutions += part.solutions;
  sum.solutions_refused += part.solutions_refused;
}

// ---- Sv2ServerShard

void Sv2ServerShard::on_class(std::uint64_t session, std::uint32_t request, const Result<ClassId>& joined) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || found->second->join_request_ != request) {
    if (joined) events_.leave(*joined);
    return;
  }
  Sv2ServerSession& client = *found->second;
  if (!joined) return events_.end(client, joined.error());
  take_out(client);
  client.class_ = *joined;
  Shelf& shelf = shelves_[*joined];
  shelf.clients.push_back(&client);
  client.tip_.reset();  // New constraints are answered by a pair, also where the class has no template yet.
  if (shelf.current != nullptr) give(client, shelf, true);
}

void Sv2ServerShard::take_out(Sv2ServerSession& session) {
  if (!session.class_) return;
  // The class may be gone already: then its shelf is empty, or not there.
  if (const auto shelf = shelves_.find(*session.class_); shelf != shelves_.end()) std::erase(shelf->second.clients, &session);
  events_.leave(*std::exchange(session.class_, std::nullopt));
}

void Sv2ServerShard::keep(Shelf& shelf, Sv2TemplatePtr made) {
  last_id_ = std::max(last_id_, made->id);
  if (first_id_ == 0) first_id_ = made->id;
  shelf.on_tip.push_back(made->id);
  kept_[made->id].one = std::move(made);
  if (shelf.on_tip.size() > policy_.max_kept) {
    kept_.erase(shelf.on_tip.front());
    shelf.on_tip.pop_front();
  }
  // Tips one after the other leave many that are stale: ids grow, so the oldest are first.
  for (auto oldest = kept_.begin(); kept_.size() > 4 * policy_.max_kept && oldest != kept_.end();)
    oldest = oldest->second.until == Instant::max() ? std::next(oldest) : kept_.erase(oldest);
}

void Sv2ServerShard::retire(Shelf& shelf, const Now& now) {
  for (const std::uint64_t id : shelf.on_tip) {
    if (const auto kept = kept_.find(id); kept != kept_.end()) kept->second.until = now.instant + policy_.kept_after_tip;
  }
  shelf.on_tip.clear();
}

void Sv2ServerShard::set_template(ClassId id, Sv2TemplatePtr made, const Now& now) {
  Shelf& shelf = shelves_[id];
  if (shelf.current != nullptr &&
      (shelf.current->made->prev_hash != made->made->prev_hash || shelf.current->made->nbits != made->made->nbits)) {
    retire(shelf, now);
  }
  shelf.current = made;
  keep(shelf, std::move(made));
  for (Sv2ServerSession* const client : shelf.clients) give(*client, shelf, false);
}

void Sv2ServerShard::drop_class(ClassId id, const Now& now) {
  const auto found = shelves_.find(id);
  if (found == shelves_.end()) return;
  ADIT_INVARIANT(found->second.clients.empty());
  retire(found->second, now);
  shelves_.erase(found);
}

void Sv2ServerShard::give(Sv2ServerSession& session, Shelf& shelf, bool as_tip) {
  // Another class may have brought it further: ids grow for each client (SV2 07 §7.2), so the template gets another one.
  if (shelf.current->id <= session.last_template_id_) {
    auto again = encode_template(shelf.current->made, events_.next_id(), shelf.current->source);
    if (!again) return;  // It was encoded before.
    shelf.current = *again;
    keep(shelf, *again);
  }
  const Sv2Template& made = *shelf.current;
  const Sv2ServerSession::Tip tip{made.made->prev_hash, made.made->nbits};
  const bool is_known = session.tip_ == tip && !as_tip;
  session.tip_ = tip;
  session.last_template_id_ = made.id;
  ++counters_.templates_sent;
  events_.send(session, is_known ? made.as_update : made.as_tip);
}

Sv2TemplatePtr Sv2ServerShard::find(std::uint64_t template_id, std::string_view& why) const {
  if (const auto kept = kept_.find(template_id); kept != kept_.end()) return kept->second.one;
  why = first_id_ != 0 && template_id >= first_id_ && template_id <= last_id_ ? kStale : kNotFound;
  return nullptr;
}

void Sv2ServerShard::on_transactions(std::uint64_t template_id, const Result<TemplateSource::Transactions>& found) {
  const auto fetching = fetching_.extract(template_id);
  if (fetching.empty()) return;
  const auto kept = kept_.find(template_id);
  const bool has_commitment = kept != kept_.end() && kept->second.one->made->has_witness_commitment;
  bool is_success = false;
  const wire::FrameBuffer answer = transactions_answer(template_id, has_commitment, found, is_success);
  for (const std::uint64_t number : fetching.mapped()) {
    const auto client = sessions_.find(number);
    if (client == sessions_.end()) continue;
    Sv2ServerSession& session = *client->second;
    --session.requests_;
    ++(is_success ? counters_.transactions_sent : counters_.transactions_refused);
    events_.send(session, answer);
    if (session.settled()) events_.settled(session);
  }
}

void Sv2ServerShard::on_tick(const Now& now) {
  std::erase_if(kept_, [&](const auto& kept) { return kept.second.until <= now.instant; });
}

// ---- Sv2ServerSession

bool Sv2ServerSession::Allowance::take(Instant now) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - at_);
  if (seconds.count() > 0) {
    left_ = static_cast<std::uint32_t>(std::min<std::int64_t>(burst_, left_ + seconds.count()));
    at_ += seconds;
  }
  if (left_ == 0) return false;
  --left_;
  return true;
}

Sv2ServerSession::Sv2ServerSession(Sv2ServerShard& shard, const Now& now)
    : shard_(shard),
      number_(++shard.last_session_),
      since_(now.instant),
      requests_allowed_(shard.policy_.request_burst, now.instant),
      constraints_allowed_(shard.policy_.constraints_burst, now.instant),
      faults_allowed_(shard.policy_.fault_burst, now.instant) {
  shard_.sessions_.emplace(number_, this);
}

Sv2ServerSession::~Sv2ServerSession() {
  shard_.sessions_.erase(number_);
  shard_.take_out(*this);
}

Result<void> Sv2ServerSession::on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out) {
  for (const auto& frame : frames) ADIT_CHECK(on_frame(frame, now, out));
  return {};
}

Result<void> Sv2ServerSession::on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out) {
  // What this end does not know is not for it (SV2 03 §3.4.1).
  if (frame.header.extension_type != wire::kCore) return {};
  if (frame.is<wire::CoinbaseOutputConstraints>()) return on_constraints(frame, now);
  ADIT_TRY(const bool handled, (session::dispatch<wire::RequestTransactionData, wire::SubmitSolution>(
                                   frame, [&](const auto& message) { return on(message, now, out); })));
  if (handled) return {};
  // A type that a later revision of the protocol may have added is ignored; a known one that is not a client's is an error.
  if (!wire::with_message_type(frame.header, [](auto) {})) return {};
  return fail(session::Errc::kProtocol, std::string(wire::message_name(frame.header)) +
                                            ": not a message that a client of template distribution sends now");
}

Result<void> Sv2ServerSession::on_constraints(const wire::FrameView& frame, const Now& now) {
  ADIT_TRY(const CoinbaseConstraints asked, read_constraints(frame));
  if (!constraints_allowed_.take(now.instant)) {
    return fail(session::Errc::kOverloaded,
                "CoinbaseOutputConstraints came too often: templates are built anew for each change");
  }
  constraints_ = asked;
  shard_.events_.join(number_, ++join_request_, asked);
  return {};
}

Result<void> Sv2ServerSession::on(const wire::RequestTransactionData& message, const Now& now, wire::FrameBuffer& out) {
  std::string_view why;
  const Sv2TemplatePtr wanted = shard_.find(message.template_id, why);
  if (wanted != nullptr && (requests_ >= shard_.policy_.max_requests || !requests_allowed_.take(now.instant)))
    why = kTooManyRequests;
  if (!why.empty()) {
    ++shard_.counters_.transactions_refused;
    out.push(wire::RequestTransactionDataError{.template_id = message.template_id, .error_code = why});
    return {};
  }
  ++requests_;
  auto& waiting = shard_.fetching_[message.template_id];
  waiting.push_back(number_);
  if (waiting.size() == 1) shard_.events_.fetch(wanted);
  return {};
}

Result<void> Sv2ServerSession::on(const wire::SubmitSolution& message, const Now& now, wire::FrameBuffer&) {
  BlockSolution solution{.version = message.version,
                         .ntime = message.header_timestamp,
                         .nonce = message.header_nonce,
                         .coinbase = {message.coinbase_tx.begin(), message.coinbase_tx.end()}};
  std::string_view why;
  const Sv2TemplatePtr solved = shard_.find(message.template_id, why);
  if (solved != nullptr) why = fault_of(*solved->made, solution);
  if (why.empty()) {
    ++shard_.counters_.solutions;
    ++solutions_;
    shard_.events_.submit(*this, solved, std::move(solution));
    return {};
  }
  ++shard_.counters_.solutions_refused;
  shard_.events_.solution_refused(*this, message.template_id, why);
  if (faults_allowed_.take(now.instant)) return {};
  return fail(session::Errc::kProtocol, "SubmitSolution: too many that solve nothing; the last: " + std::string(why));
}

Result<void> Sv2ServerSession::on_tick(const Now& now, wire::FrameBuffer&) {
  if (constraints_ || now.instant - since_ < shard_.policy_.constraints_deadline) return {};
  return fail(session::Errc::kIdle, "no CoinbaseOutputConstraints within the time allowed");
}

}  // namespace adit::templates
