// The transactions that a declarator knows, so that no client need send them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "bitcoin/hash.h"
#include "bitcoin/tx.h"

namespace adit::declaration {

using bitcoin::Hash256;

/// One transaction, immutable; shared by all shards and by the jobs that have it.
struct KnownTransaction {
  Hash256 wtxid{};
  Hash256 txid{};
  std::uint32_t weight = 0;         ///< BIP141: three times its size without witness, and its size.
  bool is_coinbase = false;         ///< It spends nothing, and may be in no list.
  std::vector<std::uint8_t> bytes;  ///< With its witness.
};
using TransactionPtr = std::shared_ptr<const KnownTransaction>;

/// Errors: bitcoin's kMalformed, if `bytes` are not one transaction.
inline Result<TransactionPtr> read_transaction(Bytes bytes) {
  ADIT_TRY(const bitcoin::TransactionIds ids, bitcoin::transaction_ids(bytes));
  ADIT_TRY(const bitcoin::TxLayout layout, bitcoin::transaction_layout(bytes));
  auto made = std::make_shared<KnownTransaction>();
  made->wtxid = ids.wtxid;
  made->txid = ids.txid;
  const std::size_t witness = layout.has_witness ? layout.locktime - layout.witness + 2 : 0;
  made->weight = static_cast<std::uint32_t>(4 * (bytes.size() - witness) + witness);
  // One input, which spends output 0xffffffff of nothing.
  constexpr std::size_t kOutpoint = 32 + 4;
  const Bytes body = bytes.subspan(layout.body);
  if (body.size() > kOutpoint && body[0] == 1) {
    Hash256 spent;
    std::memcpy(spent.data(), body.data() + 1, spent.size());
    made->is_coinbase = spent == Hash256{} && load_le<std::uint32_t>(body.data() + 33) == 0xffffffff;
  }
  made->bytes.assign(bytes.begin(), bytes.end());
  return TransactionPtr(std::move(made));
}

/// By wtxid, bounded by bytes: what was neither added nor found for long is forgotten first. Each look-up is one of a hash
/// table. Not thread-safe: each shard has its own, of the same transactions.
class KnownTransactions {
 public:
  explicit KnownTransactions(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  void add(TransactionPtr transaction) {
    if (young_.by_wtxid.contains(transaction->wtxid)) return;
    keep(std::move(transaction));
  }

  /// Null: unknown.
  [[nodiscard]] TransactionPtr find(const Hash256& wtxid) {
    if (const auto found = young_.by_wtxid.find(wtxid); found != young_.by_wtxid.end()) return found->second;
    const auto found = old_.by_wtxid.find(wtxid);
    if (found == old_.by_wtxid.end()) return nullptr;
    TransactionPtr transaction = found->second;
    keep(transaction);
    return transaction;
  }

  /// What they take, the table included; what is in both generations counts twice.
  [[nodiscard]] std::size_t bytes() const { return young_.bytes + old_.bytes; }
  [[nodiscard]] std::size_t size() const { return young_.by_wtxid.size() + old_.by_wtxid.size(); }

 private:
  struct FirstBytes {
    std::size_t operator()(const Hash256& hash) const {
      std::size_t first;  // As random as any: what comes in here has passed a node, so nobody fills it with likenesses.
      std::memcpy(&first, hash.data(), sizeof first);
      return first;
    }
  };
  struct Generation {
    std::unordered_map<Hash256, TransactionPtr, FirstBytes> by_wtxid;
    std::size_t bytes = 0;
  };
  static constexpr std::size_t kOverhead = 200;

  /// Two generations of half the bytes each: when the young one is full the old one is dropped.
  void keep(TransactionPtr transaction) {
    const std::size_t size = transaction->bytes.size() + kOverhead;
    if (young_.bytes + size > max_bytes_ / 2) old_ = std::exchange(young_, Generation());
    if (size > max_bytes_ / 2) return;
    young_.bytes += size;
    const Hash256 wtxid = transaction->wtxid;
    young_.by_wtxid.emplace(wtxid, std::move(transaction));
  }

  const std::size_t max_bytes_;
  Generation young_;
  Generation old_;
};

}  // namespace adit::declaration
