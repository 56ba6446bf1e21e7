// Blocks for tests of what keeps and submits them; they prove no work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bitcoin/block.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/merkle.h"
#include "ledger/block.h"

namespace adit::ledger::testing {

/// A whole block of that height. Blocks of different `n` have different hashes.
inline FoundBlock make_block(std::uint32_t n, std::uint32_t height = 1, std::size_t transactions = 0) {
  bitcoin::Template work;
  work.version = 0x20000000;
  work.nbits = 0x207fffff;
  work.height = height;
  work.coinbase_value_sat = 50;
  work.coinbase_script_prefix = bitcoin::height_push(height);
  std::vector<Hash256> ids;
  for (std::size_t i = 0; i < transactions; ++i) {
    bitcoin::Transaction transaction;
    transaction.inputs.emplace_back();
    transaction.inputs[0].prev_index = static_cast<std::uint32_t>(i);
    transaction.outputs.push_back({1, {0x51}});
    work.transactions.push_back(bitcoin::serialize(transaction));
    ids.push_back(bitcoin::transaction_ids(work.transactions.back())->txid);
  }
  work.merkle_path = bitcoin::merkle_path(ids);
  const std::vector<bitcoin::TxOutput> payout{{50, {0x51}}};
  const auto parts = bitcoin::build_coinbase(work, payout, "/test/", 4);
  bitcoin::BlockSolution solution{.version = work.version, .ntime = 1'800'000'000, .nonce = n, .coinbase = parts->prefix};
  solution.coinbase.insert(solution.coinbase.end(), {1, 2, 3, 4});
  solution.coinbase.insert(solution.coinbase.end(), parts->suffix.begin(), parts->suffix.end());
  return *bitcoin::assemble_block(work, solution);
}

}  // namespace adit::ledger::testing
