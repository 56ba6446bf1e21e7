#include "declaration/declared_job.h"

#include <array>
#include <utility>

#include "bitcoin/coinbase.h"
#include "bitcoin/merkle.h"
#include "bitcoin/tx.h"

namespace adit::declaration {

std::shared_ptr<const DeclaredTemplate> declare_template(const bitcoin::Template& tip, std::uint32_t version,
                                                         const DeclaredCoinbase& coinbase,
                                                         std::vector<TransactionPtr> transactions) {
  auto made = std::make_shared<DeclaredTemplate>();
  made->version = version;
  made->prev_hash = tip.prev_hash;
  made->nbits = tip.nbits;
  made->min_ntime = tip.min_ntime;
  made->max_ntime = tip.max_ntime;
  made->current_time = tip.current_time;
  made->height = tip.height;
  made->coinbase_version = coinbase.version;
  made->coinbase_script_prefix = coinbase.script;
  made->coinbase_sequence = coinbase.sequence;
  made->coinbase_locktime = coinbase.locktime;
  made->coinbase_outputs = coinbase.outputs;
  made->has_witness_commitment = coinbase.has_witness;
  std::vector<Hash256> txids;
  txids.reserve(transactions.size());
  for (const TransactionPtr& one : transactions) txids.push_back(one->txid);
  made->merkle_path = bitcoin::merkle_path(txids);
  made->declared = std::move(transactions);
  made->extranonce_size = coinbase.extranonce_size;
  return made;
}

std::vector<std::uint8_t> coinbase_with(const DeclaredTemplate& declared, Bytes extranonce) {
  auto parts = bitcoin::split_coinbase(declared, declared.coinbase_script_prefix, {}, extranonce.size());
  std::vector<std::uint8_t> coinbase = std::move(parts.prefix);
  coinbase.insert(coinbase.end(), extranonce.begin(), extranonce.end());
  coinbase.insert(coinbase.end(), parts.suffix.begin(), parts.suffix.end());
  return coinbase;
}

Result<bitcoin::FoundBlock> assemble_block(const DeclaredTemplate& declared, const bitcoin::BlockSolution& solution) {
  std::vector<Bytes> transactions;
  transactions.reserve(declared.declared.size());
  for (const TransactionPtr& one : declared.declared) transactions.emplace_back(one->bytes);
  return bitcoin::assemble_block(declared, solution, transactions);
}

Result<bitcoin::FoundBlock> block_to_check(const DeclaredTemplate& declared) {
  const std::array<std::uint8_t, kMaxExtranonceSize> zeros{};
  const auto extranonce = Bytes(zeros).first(declared.extranonce_size);
  return assemble_block(declared, {.version = declared.version,
                                   .ntime = declared.current_time,
                                   .nonce = 0,
                                   .coinbase = coinbase_with(declared, extranonce)});
}

}  // namespace adit::declaration
