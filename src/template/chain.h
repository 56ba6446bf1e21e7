// A Bitcoin chain on regtest's rules, in memory: it makes templates on its own tip and judges blocks as a node would. An
// engine: no I/O, no clock, one thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/time.h"
#include "bitcoin/block.h"
#include "bitcoin/template.h"
#include "template/source.h"

namespace adit::templates {

/// A block of the chain, as far as somebody may want to look at it.
struct ChainBlock {
  std::uint32_t height = 0;
  Hash256 hash{};
  std::uint32_t ntime = 0;
  std::vector<std::uint8_t> coinbase_script;  ///< scriptSig: height, pool tag, extranonce.
  std::vector<bitcoin::TxOutput> coinbase_outputs;
};

/// Regtest's rules with a fixed target: difficulty never changes, the subsidy halves every 150 blocks, blocks beside the tip
/// are kept out of the chain (there is no reorganisation).
class Chain {
 public:
  struct Options {
    std::uint32_t nbits = 0x207fffff;  ///< Of every block. An easier target than regtest's limit is refused by nobody here.
    std::size_t kept_blocks = 256;     ///< How many of the newest can be looked at; at least 11 are kept for the median time.
  };

  /// The tip is regtest's genesis block. `options.nbits` must stand for a target above 0.
  explicit Chain(Options options);

  /// Offers a transaction to later templates. It spends nothing that this chain knows: it is taken at its word, fee included.
  /// False for bytes that are no transaction, or one that is there already.
  bool add_transaction(std::vector<std::uint8_t> transaction, std::uint64_t fee_sat);

  /// Ids rise by one with each call. ntime starts at `now`, or at the smallest valid one where that is later.
  [[nodiscard]] Template make_template(UnixTime now);

  struct Judgement {
    BlockVerdict verdict = BlockVerdict::kRejected;
    std::string reason;  ///< Bitcoin Core's word: "high-hash", "bad-txnmrklroot", "bad-cb-height", ...; empty when accepted.
  };

  /// Judges a serialized block and, if it is accepted, makes it the tip. `now` bounds the header's time.
  Judgement submit(Bytes block, UnixTime now);

  /// Finds and submits a block on the tip that pays `script`, as another miner would. False if its work was not found within
  /// `max_hashes`: the chain is unchanged.
  bool mine(const std::vector<std::uint8_t>& script, UnixTime now, std::uint64_t max_hashes);

  [[nodiscard]] std::uint32_t height() const { return blocks_.back().height; }
  [[nodiscard]] const Hash256& tip() const { return blocks_.back().hash; }
  /// The newest blocks, oldest first, the tip last; at most kept_blocks.
  [[nodiscard]] const std::deque<ChainBlock>& blocks() const { return blocks_; }

  /// Of a block at that height, without fees: 50 coins, halved every 150 blocks.
  static std::uint64_t subsidy_sat(std::uint32_t height);

 private:
  struct Offered {
    std::vector<std::uint8_t> bytes;
    bitcoin::TransactionIds ids;
    std::uint64_t fee_sat = 0;
  };

  [[nodiscard]] std::uint32_t median_time_past() const;
  [[nodiscard]] std::string judge(const bitcoin::BlockView& block, Bytes bytes, UnixTime now) const;
  [[nodiscard]] std::string judge_coinbase(const bitcoin::Transaction& coinbase, std::uint64_t fees_sat) const;
  [[nodiscard]] std::string judge_witness(const bitcoin::Transaction& coinbase, const std::vector<Hash256>& wtxids,
                                          bool any_witness) const;
  [[nodiscard]] const Offered* find_offered(const Hash256& wtxid) const;

  Options options_;
  std::deque<ChainBlock> blocks_;
  std::vector<Offered> offered_;
  std::uint64_t last_template_id_ = 0;
};

}  // namespace adit::templates
