#include "declaration/client_session.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "bitcoin/tx.h"
#include "session/dispatch.h"
#include "wire/messages.h"

namespace adit::declaration {

void ClientSession::ask_for_tokens(const Now& now, wire::FrameBuffer& out) {
  while (spare_.size() + asked_.size() < policy_.spare_tokens) {
    const std::uint32_t id = ++last_request_;
    out.push(wire::AllocateMiningJobToken{.user_identifier = std::string_view(user_identity_), .request_id = id});
    asked_.emplace(id, now.instant + policy_.token_deadline);
  }
}

Result<void> ClientSession::on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out) {
  for (const auto& frame : frames) {
    ADIT_CHECK((session::dispatch<wire::AllocateMiningJobTokenSuccess, wire::DeclareMiningJobSuccess,
                                  wire::DeclareMiningJobError, wire::ProvideMissingTransactions>(
        frame, [&](const auto& message) { return on(message, now, out); })));
  }
  return {};
}

Result<void> ClientSession::on_tick(const Now& now, wire::FrameBuffer& out) {
  for (const auto& [id, deadline] : asked_) {
    if (deadline <= now.instant)
      return fail(session::Errc::kTimedOut, "the declarator has not answered AllocateMiningJobToken");
  }
  for (const auto& [id, declared] : declared_) {
    if (declared.deadline <= now.instant)
      return fail(session::Errc::kTimedOut, "the declarator has not answered DeclareMiningJob");
  }
  while (!spare_.empty() && now.instant - spare_.front().since >= policy_.token_lifetime) spare_.pop_front();
  ask_for_tokens(now, out);
  return {};
}

std::optional<SpareToken> ClientSession::take_token(const Now& now, wire::FrameBuffer& out) {
  if (spare_.empty()) return std::nullopt;
  std::optional<SpareToken> token(std::move(spare_.front()));
  spare_.pop_front();
  ask_for_tokens(now, out);
  return token;
}

void ClientSession::renew_tokens(const Now& now, wire::FrameBuffer& out) {
  spare_.clear();
  ask_for_tokens(now, out);
}

bool ClientSession::declare(std::uint64_t job, const SpareToken& token, Declaration declaration, const Now& now,
                            wire::FrameBuffer& out) {
  const std::uint32_t id = ++last_request_;
  const bool fits = out.push(wire::DeclareMiningJob{.request_id = id,
                                                    .mining_job_token = Bytes(token.bytes),
                                                    .version = declaration.version,
                                                    .coinbase_tx_prefix = Bytes(declaration.coinbase_prefix),
                                                    .coinbase_tx_suffix = Bytes(declaration.coinbase_suffix),
                                                    .wtxid_list = *declaration.wtxids,
                                                    .excess_data = {}});
  if (!fits) return false;
  declared_.emplace(
      id, Declared{.job = job, .declaration = std::move(declaration), .deadline = now.instant + policy_.declare_deadline});
  return true;
}

Result<void> ClientSession::on(const wire::AllocateMiningJobTokenSuccess& message, const Now& now, wire::FrameBuffer&) {
  if (asked_.erase(message.request_id) == 0)
    return fail(session::Errc::kProtocol, "the declarator gave a token that was not asked for");
  if (message.coinbase_tx_outputs.size() > policy_.max_outputs_size) {
    return fail(session::Errc::kRefused, "the declarator wants outputs of " +
                                             std::to_string(message.coinbase_tx_outputs.size()) + " bytes in every coinbase");
  }
  auto outputs = bitcoin::parse_counted_outputs(message.coinbase_tx_outputs);
  const bool usable = outputs && !outputs->empty() && !outputs->front().script.empty() &&
                      std::ranges::all_of(*outputs, [](const bitcoin::TxOutput& one) { return one.value_sat == 0; });
  if (!usable)
    return fail(session::Errc::kProtocol, "the declarator's coinbase outputs name no payout, or are worth something");
  // Mostly the same each time: then one copy serves all tokens, and who compares them need not look inside.
  if (!outputs_ || *outputs_ != *outputs)
    outputs_ = std::make_shared<const std::vector<bitcoin::TxOutput>>(std::move(*outputs));
  spare_.push_back(
      {.bytes = {message.mining_job_token.begin(), message.mining_job_token.end()}, .outputs = outputs_, .since = now.instant});
  handler_.on_token();
  return {};
}

Result<void> ClientSession::on(const wire::DeclareMiningJobSuccess& message, const Now&, wire::FrameBuffer&) {
  const auto found = declared_.extract(message.request_id);
  if (found.empty()) return fail(session::Errc::kProtocol, "the declarator accepted a job that was not declared");
  handler_.on_declared(found.mapped().job, message.new_mining_job_token.bytes());
  return {};
}

Result<void> ClientSession::on(const wire::DeclareMiningJobError& message, const Now&, wire::FrameBuffer&) {
  const auto found = declared_.extract(message.request_id);
  if (found.empty()) return fail(session::Errc::kProtocol, "the declarator refused a job that was not declared");
  handler_.on_declare_refused(found.mapped().job, message.error_code.view());
  return {};
}

Result<void> ClientSession::on(const wire::ProvideMissingTransactions& message, const Now&, wire::FrameBuffer& out) {
  const auto found = declared_.find(message.request_id);
  if (found == declared_.end()) return fail(session::Errc::kProtocol, "the declarator asks for transactions of no job");
  Declared& declared = found->second;
  if (++declared.questions > kMostQuestions)
    return fail(session::Errc::kProtocol, "the declarator asks again and again for transactions of one job");
  const auto& transactions = *declared.declaration.transactions;
  std::vector<bool> asked(transactions.size());
  std::vector<wire::B0_16M> list;
  std::size_t bytes = 0;
  for (const std::uint16_t position : message.unknown_tx_position_list) {
    if (position >= transactions.size() || asked[position]) {
      return fail(session::Errc::kProtocol, "the declarator asks for transaction " + std::to_string(position) +
                                                " of a job of " + std::to_string(transactions.size()) +
                                                (position < transactions.size() ? " twice" : ""));
    }
    asked[position] = true;
    list.emplace_back(Bytes(transactions[position]));
    bytes += transactions[position].size();
  }
  if (!out.push(wire::ProvideMissingTransactionsSuccess{.request_id = message.request_id, .transaction_list = list}))
    return fail(session::Errc::kProtocol, "the declarator asks for more transactions than a message carries");
  handler_.on_transactions_sent(declared.job, list.size(), bytes);
  return {};
}

}  // namespace adit::declaration
