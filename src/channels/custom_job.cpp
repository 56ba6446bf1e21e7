#include "channels/custom_job.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "bitcoin/coinbase.h"
#include "bitcoin/tx.h"
#include "channels/extranonce.h"

namespace adit::channels {
namespace {

/// Of a block of the largest size: under 2^17 transactions of at least 60 bytes.
constexpr std::size_t kMaxMerkleDepth = 17;

/// The template that the message describes, without transactions.
bitcoin::TemplatePtr describe(const wire::SetCustomMiningJob& message, const Job& tip, std::vector<bitcoin::TxOutput> outputs) {
  auto made = std::make_shared<bitcoin::Template>();
  made->version = message.version;
  made->prev_hash = message.prev_hash;
  made->nbits = message.nbits;
  made->min_ntime = made->current_time = message.min_ntime;
  made->height = tip.block_template->height;
  made->coinbase_version = message.coinbase_tx_version;
  made->coinbase_script_prefix.assign(message.coinbase_prefix.begin(), message.coinbase_prefix.end());
  made->coinbase_sequence = message.coinbase_tx_input_n_sequence;
  made->coinbase_locktime = message.coinbase_tx_locktime;
  made->coinbase_outputs = std::move(outputs);
  for (const wire::U256& node : message.merkle_path) made->merkle_path.push_back(node);
  return made;
}

}  // namespace

std::expected<JobPtr, std::string_view> make_custom_job(const wire::SetCustomMiningJob& message, std::uint32_t id,
                                                        const Job& tip, const bitcoin::TemplatePtr& known, UnixTime now) {
  using Refusal = std::unexpected<std::string_view>;
  if (message.prev_hash != tip.rules.prev_hash) return Refusal("stale-chain-tip");
  if (message.nbits != tip.rules.nbits) return Refusal("invalid-nbits");
  if (message.min_ntime < tip.rules.min_ntime || message.min_ntime > latest_ntime(tip.rules, to_u32(now))) {
    return Refusal("invalid-min-ntime");
  }
  const auto height = bitcoin::height_push(tip.block_template->height);
  const Bytes prefix = message.coinbase_prefix;
  if (prefix.size() + kFullExtranonceSize > bitcoin::kMaxCoinbaseScriptSize || prefix.size() < height.size() ||
      !std::ranges::equal(prefix.first(height.size()), height)) {
    return Refusal("invalid-coinbase-prefix");
  }
  auto outputs = bitcoin::parse_counted_outputs(message.coinbase_tx_outputs);
  if (!outputs || outputs->empty()) return Refusal("invalid-coinbase-tx-outputs");
  if (message.merkle_path.size() > kMaxMerkleDepth ||
      (known != nullptr && !std::ranges::equal(message.merkle_path, known->merkle_path))) {
    return Refusal("invalid-merkle-path");
  }

  auto job = std::make_shared<Job>();
  job->id = id;
  job->transactions_known = known != nullptr;
  const auto described = describe(message, tip, std::move(*outputs));
  // The coinbase is the client's, whatever the template that was declared says.
  job->coinbase = bitcoin::split_coinbase(*described, prefix, {}, kFullExtranonceSize);
  job->coinbase_id = {job->coinbase.prefix, kFullExtranonceSize, job->coinbase.suffix};
  job->ntime = message.min_ntime;
  job->rules = tip.rules;
  job->rules.version = message.version;
  job->rules.min_ntime = message.min_ntime;
  job->block_work = tip.block_work;
  job->block_template = known != nullptr ? known : described;
  return job;
}

}  // namespace adit::channels
