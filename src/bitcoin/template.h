// A block template: what every source of work (embedded chain, node RPC, IPC, SV2 template distribution) produces and every
// channel uses.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bitcoin/hash.h"

namespace adit::bitcoin {

/// One output of a transaction.
struct TxOutput {
  std::uint64_t value_sat = 0;
  std::vector<std::uint8_t> script;
  bool operator==(const TxOutput&) const = default;
};

/// Immutable once published; shared by all shards as std::shared_ptr<const Template>.
struct Template {
  std::uint64_t id = 0;                  ///< Strictly increasing within one source.
  std::uint32_t version = 0;             ///< Block version to start from.
  Hash256 prev_hash{};                   ///< Internal byte order (as in the block header).
  std::uint32_t nbits = 0;               ///< Compact target of the network.
  std::uint32_t min_ntime = 0;           ///< Smallest header time that the network accepts on this tip with these nbits.
  std::uint32_t max_ntime = 0xffffffff;  ///< Largest one with which these nbits hold (testnet's 20 minutes); else no bound.
  std::uint32_t current_time = 0;        ///< Header time that the source proposes, >= min_ntime.
  std::uint32_t height = 0;              ///< Of the block to be found.
  std::uint32_t coinbase_version = 2;
  std::vector<std::uint8_t> coinbase_script_prefix;  ///< Start of the coinbase's scriptSig: the BIP34 height push.
  std::uint32_t coinbase_sequence = 0xffffffff;
  std::uint32_t coinbase_locktime = 0;
  std::uint64_t coinbase_value_sat = 0;    ///< Subsidy plus fees: what the payout outputs share.
  std::vector<TxOutput> coinbase_outputs;  ///< Outputs that must be in the coinbase, value 0 (the BIP141 witness commitment).
  std::vector<Hash256> merkle_path;        ///< Siblings from the coinbase's leaf up.
  std::vector<std::vector<std::uint8_t>> transactions;  ///< All but the coinbase, serialized with witness, in block order.
  bool has_witness_commitment = false;  ///< The coinbase of the assembled block needs the BIP141 reserved value as its witness.
};

using TemplatePtr = std::shared_ptr<const Template>;

}  // namespace adit::bitcoin
