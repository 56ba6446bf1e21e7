// A job that a declarator has said yes to: what a pool pays shares of, and what a block is made of.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/block.h"
#include "bitcoin/template.h"
#include "declaration/coinbase_parts.h"
#include "declaration/known_transactions.h"
#include "declaration/token.h"

namespace adit::declaration {

/// A declared template. Its transactions are shared ones: `transactions` is empty.
struct DeclaredTemplate : bitcoin::Template {
  std::vector<TransactionPtr> declared;  ///< All but the coinbase, in block order.
  std::size_t extranonce_size = 0;       ///< Behind coinbase_script_prefix.
};

/// The template that `coinbase` and `transactions` describe, on the tip of `tip`. Its time is that of `tip`.
std::shared_ptr<const DeclaredTemplate> declare_template(const bitcoin::Template& tip, std::uint32_t version,
                                                         const DeclaredCoinbase& coinbase,
                                                         std::vector<TransactionPtr> transactions);

/// The coinbase with that extranonce, which has the declared size, without witness.
std::vector<std::uint8_t> coinbase_with(const DeclaredTemplate& declared, Bytes extranonce);

/// As bitcoin::assemble_block. Errors: kMalformed if the coinbase is not one transaction.
Result<bitcoin::FoundBlock> assemble_block(const DeclaredTemplate& declared, const bitcoin::BlockSolution& solution);

/// The block that a BlockChecker judges: with an extranonce of zeros, and no work.
Result<bitcoin::FoundBlock> block_to_check(const DeclaredTemplate& declared);

/// Immutable but for being taken; shared by all shards, of which one alone may take it.
struct DeclaredJob {
  Token token{};                            ///< That SetCustomMiningJob has to show.
  std::string user;                         ///< To whom it belongs.
  std::vector<std::uint8_t> payout_script;  ///< Of the output that has to be paid.
  Instant expires;
  std::shared_ptr<const DeclaredTemplate> work;  ///< Null where the client keeps its transactions to itself (06 §6.3.1).

  /// True for one caller alone, on whichever shard.
  [[nodiscard]] bool take() const { return !taken_.exchange(true); }
  [[nodiscard]] bool is_taken() const { return taken_; }

 private:
  mutable std::atomic<bool> taken_{false};
};
using DeclaredJobPtr = std::shared_ptr<const DeclaredJob>;

}  // namespace adit::declaration
