#include "template/ipc_verdict.h"

#include <string>

#include "template/error.h"

namespace adit::templates {
namespace {

using ledger::BlockVerdict;
using ledger::NodeAnswer;

bool is_tip(const ipc::Submitted& answer, const ledger::Hash256& hash) { return answer.tip && answer.tip->hash == hash; }

std::string words(const ipc::Submitted& answer) {
  return answer.detail.empty() ? answer.reason : answer.reason + " (" + answer.detail + ")";
}

}  // namespace

std::optional<NodeAnswer> judge_solution(const ipc::Submitted& answer, const ledger::Hash256& hash) {
  if (is_tip(answer, hash)) return NodeAnswer{BlockVerdict::kAccepted, ""};
  // Bitcoin Core 32 says why. Of a block that it knew it may say no more than that.
  if (answer.accepted || answer.reason.empty() || answer.reason == "duplicate") return std::nullopt;
  auto judged = judge_block(answer, hash);
  if (!judged) return std::nullopt;
  return *std::move(judged);
}

NodeAnswer judge_solution_by_tip(const ipc::Submitted& answer, const ledger::Hash256& hash, std::uint32_t height) {
  if (is_tip(answer, hash)) return {BlockVerdict::kAccepted, ""};
  if (!answer.accepted) return {BlockVerdict::kRejected, "the node refuses it; Bitcoin Core 31.0 does not say why"};
  if (!answer.tip) return {BlockVerdict::kAccepted, ""};
  if (answer.tip->height < height) return {BlockVerdict::kRejected, "the node stored it, and does not build on it"};
  if (answer.tip->height == height) return {BlockVerdict::kStale, "another block of its height is the tip"};
  return {BlockVerdict::kAccepted, ""};  // Of its height came none before it, and there is a block on top of it.
}

Result<NodeAnswer> judge_block(const ipc::Submitted& answer, const ledger::Hash256& hash) {
  if (answer.accepted || is_tip(answer, hash)) return NodeAnswer{BlockVerdict::kAccepted, ""};
  if (answer.reason == "duplicate") return NodeAnswer{BlockVerdict::kDuplicate, words(answer)};
  if (answer.reason == "inconclusive" || answer.reason == "duplicate-inconclusive")
    return NodeAnswer{BlockVerdict::kStale, words(answer)};
  if (answer.reason == "prev-blk-not-found")
    return fail(Errc::kRefused, "the node does not know the block's parent (yet): " + words(answer));
  return NodeAnswer{BlockVerdict::kRejected, words(answer)};
}

NodeAnswer judge_known(std::int64_t confirmations) {
  if (confirmations < 0) return {BlockVerdict::kStale, "duplicate"};
  return {BlockVerdict::kDuplicate, "duplicate"};
}

}  // namespace adit::templates
