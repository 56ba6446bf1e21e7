// The coinbase as DeclareMiningJob carries it: cut in two where the extranonce goes, with its BIP141 fields (SV2 06 §6.4.4).
// What the server reads and the client writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "bitcoin/template.h"
#include "declaration/error.h"

namespace adit::declaration {

/// The largest extranonce: PushSolution carries it as B0_32.
inline constexpr std::size_t kMaxExtranonceSize = 32;

/// A coinbase around an extranonce that is not filled in. Its scriptSig is `script` and then the extranonce, nothing behind.
struct DeclaredCoinbase {
  std::uint32_t version = 2;
  std::vector<std::uint8_t> script;  ///< Of the scriptSig all before the extranonce: the height's push, tags, a push opcode.
  std::size_t extranonce_size = 0;   ///< At most kMaxExtranonceSize.
  std::uint32_t sequence = 0xffffffff;
  std::vector<bitcoin::TxOutput> outputs;  ///< All of them, in order.
  std::uint32_t locktime = 0;
  bool has_witness = false;  ///< It carries the reserved value of 32 zero bytes (BIP141).

  bool operator==(const DeclaredCoinbase&) const = default;
};

/// Reads the two fields. The extranonce's size is what the scriptSig's declared length leaves for it. No length in them is
/// believed before its bytes are there. Errors: kCoinbase: not one coinbase with a scriptSig of 2 to 100 bytes, outputs that
/// are worth more than there is money, a reserved value that is not zero; kCoinbaseInputs.
Result<DeclaredCoinbase> parse_coinbase_parts(Bytes prefix, Bytes suffix);

/// The two fields of DeclareMiningJob.
struct CoinbaseFields {
  std::vector<std::uint8_t> prefix;
  std::vector<std::uint8_t> suffix;
};
/// Writes them: what parse_coinbase_parts reads back as the same. Sizes are the caller's to bound.
CoinbaseFields coinbase_parts(const DeclaredCoinbase& coinbase);

/// All outputs as SetCustomMiningJob.coinbase_tx_outputs has them: with a CompactSize count.
std::vector<std::uint8_t> counted_outputs(const std::vector<bitcoin::TxOutput>& outputs);

}  // namespace adit::declaration
