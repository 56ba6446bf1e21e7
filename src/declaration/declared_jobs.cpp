#include "declaration/declared_jobs.h"

#include <algorithm>
#include <utility>

#include "bitcoin/tx.h"
#include "channels/extranonce.h"

namespace adit::declaration {
namespace {

constexpr std::string_view kInvalidToken = "invalid-mining-job-token";

}  // namespace

std::optional<std::string_view> user_of(const mining::ServerSession& session, std::uint32_t channel_id) {
  if (const auto* const channel = session.channel(channel_id)) return channel->user_identity();
  std::optional<std::string_view> user;
  for (const channels::Channel& channel : session.channels()) {
    if (channel.group_id() != channel_id) continue;
    if (user && *user != channel.user_identity()) return std::nullopt;
    user = channel.user_identity();
  }
  return user;
}

void DeclaredJobs::add(DeclaredJobPtr job) {
  const Token token = job->token;
  jobs_.emplace(token, std::move(job));
}

mining::CustomJobValidator::Verdict DeclaredJobs::check(const mining::ServerSession& session,
                                                        const wire::SetCustomMiningJob& message, const Now& now) {
  const auto refuse = [&](std::string_view code) -> Verdict {
    ++counts_.refused;
    return {.error_code = code, .block_template = nullptr};
  };
  const auto token = token_from(message.mining_job_token);
  const auto found = token ? jobs_.find(*token) : jobs_.end();
  if (found == jobs_.end()) return refuse(kInvalidToken);
  const DeclaredJobPtr job = found->second;
  if (now.instant >= job->expires || job->is_taken() || user_of(session, message.channel_id) != job->user)
    return refuse(kInvalidToken);
  if (const auto code = fault_of(*job, message); !code.empty()) return refuse(code);
  if (!job->take()) return refuse(kInvalidToken);  // Another shard was first.
  jobs_.erase(found);
  ++counts_.taken;
  return {.error_code = {}, .block_template = job->work};
}

std::string_view DeclaredJobs::fault_of(const DeclaredJob& job, const wire::SetCustomMiningJob& message) const {
  const auto outputs = bitcoin::parse_counted_outputs(message.coinbase_tx_outputs);
  if (job.work == nullptr) {
    const bool is_met = outputs && revenue_.is_met(*outputs, job.payout_script, height_);
    return is_met ? std::string_view() : "invalid-coinbase-tx-outputs";
  }
  const DeclaredTemplate& work = *job.work;
  if (message.prev_hash != work.prev_hash) return "stale-chain-tip";
  if (message.nbits != work.nbits) return "invalid-nbits";
  if (message.version != work.version) return "invalid-version";
  if (message.coinbase_tx_version != work.coinbase_version) return "invalid-coinbase-tx-version";
  if (!std::ranges::equal(message.coinbase_prefix, work.coinbase_script_prefix) ||
      work.extranonce_size != channels::kFullExtranonceSize)
    return "invalid-coinbase-prefix";
  if (message.coinbase_tx_input_n_sequence != work.coinbase_sequence) return "invalid-coinbase-tx-input-n-sequence";
  if (!outputs || *outputs != work.coinbase_outputs) return "invalid-coinbase-tx-outputs";
  if (message.coinbase_tx_locktime != work.coinbase_locktime) return "invalid-coinbase-tx-locktime";
  if (!std::ranges::equal(message.merkle_path, work.merkle_path)) return "invalid-merkle-path";
  return {};
}

Result<bitcoin::FoundBlock> DeclaredJobs::assemble(const bitcoin::TemplatePtr& declared,
                                                   const bitcoin::BlockSolution& solution) {
  return assemble_block(static_cast<const DeclaredTemplate&>(*declared), solution);
}

void DeclaredJobs::on_tick(Instant now) {
  std::erase_if(jobs_, [&](const auto& one) { return one.second->is_taken() || now >= one.second->expires; });
}

}  // namespace adit::declaration
