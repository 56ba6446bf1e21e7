// A node's answer to getblocktemplate: whatever it is, a template that was made of it gives whole blocks.
#include <boost/json/parse.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/require_testing.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/consensus.h"
#include "bitcoin/merkle.h"
#include "bitcoin/tx.h"
#include "template/block_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace adit;
  if (size == 0) return 0;
  // The first byte says how much the pool puts into its coinbase, and whether the tip's time is known.
  const std::uint8_t how = data[0];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  boost::system::error_code error;
  const auto answer = boost::json::parse(text, error);
  if (error) return 0;
  auto parsed = templates::parse_block_template(
      answer, {.max_additional_size = (how & 0x0fu) * 60'000u, .max_additional_sigops = static_cast<std::uint32_t>(how >> 6)});
  if (!parsed) return 0;
  bitcoin::Template& made = parsed->block_template;
  require(made.height > 0 && made.coinbase_value_sat <= bitcoin::kMaxMoneySat);
  require(made.min_ntime <= made.current_time);
  const auto tip_time = (how & 0x10) != 0 ? std::optional(made.min_ntime - how) : std::nullopt;
  templates::bound_to_min_difficulty(made, tip_time);
  require(made.min_ntime <= made.current_time || made.min_ntime <= made.max_ntime);
  if (parsed->signet_challenge) (void)templates::signet_needs_signature(*parsed->signet_challenge);

  const auto parts = bitcoin::build_coinbase(made, {}, "", 4);
  require(parts.has_value());
  bitcoin::BlockSolution solution{made.version, made.current_time, 7, parts->prefix};
  solution.coinbase.insert(solution.coinbase.end(), {1, 2, 3, 4});
  solution.coinbase.insert(solution.coinbase.end(), parts->suffix.begin(), parts->suffix.end());
  const auto block = bitcoin::assemble_block(made, solution);
  require(block.has_value());
  const auto view = bitcoin::parse_block(block->bytes);
  require(view && view->transactions.size() == made.transactions.size() + 1);
  std::vector<bitcoin::Hash256> txids;
  std::vector<bitcoin::Hash256> wtxids;
  for (const Bytes transaction : view->transactions) {
    const auto ids = bitcoin::transaction_ids(transaction);
    require(ids.has_value());
    txids.push_back(ids->txid);
    if (txids.size() > 1) wtxids.push_back(ids->wtxid);
  }
  require(bitcoin::merkle_root(txids) == view->header.merkle_root);
  require(!made.has_witness_commitment || made.coinbase_outputs.at(0).script == bitcoin::witness_commitment_script(wtxids));
  return 0;
}
