// The coinbase transaction: built around the extranonce that miners vary, and completed with its witness for the block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bitcoin/template.h"
#include "bitcoin/tx.h"

namespace adit::bitcoin {

/// Consensus: a coinbase's scriptSig is 2 to 100 bytes.
inline constexpr std::size_t kMaxCoinbaseScriptSize = 100;

/// The push of the block's height that starts a coinbase's scriptSig (BIP34), minimal as Bitcoin Core requires it: 1..16 are
/// one opcode.
std::vector<std::uint8_t> height_push(std::uint32_t height);

/// The height whose push is at the front of `script`, whatever follows it. Nullopt: there is none that is minimal.
std::optional<std::uint32_t> height_at_front(Bytes script);

/// Where the scriptSig of a coinbase without marker and flag begins: behind the version, the number of inputs, the outpoint,
/// and the size of the script, which is one byte as there are at most 100.
inline constexpr std::size_t kCoinbaseScriptBegin = 4 + 1 + 36 + 1;

/// The height that the script of a coinbase begins with (BIP34). `coinbase`: with or without its witness, whole or cut off
/// anywhere behind the height, as the prefix of a job is. Nullopt: it has not one input, or its script begins with no minimal
/// push of a height.
std::optional<std::uint32_t> height_of_coinbase(Bytes coinbase);

/// A coinbase without marker, flag and witness, split where the extranonce goes. prefix + extranonce + suffix is what is hashed
/// to the coinbase's txid, and what NewExtendedMiningJob carries (BIP141-stripped, SV2 05 §5.3.16).
struct CoinbaseParts {
  std::vector<std::uint8_t> prefix;
  std::vector<std::uint8_t> suffix;
};

/// The signature operations in an output's script, as a block counts them against its limit (Bitcoin Core's GetSigOpCount,
/// inaccurate): twenty for each opcode of multisig.
std::uint32_t count_sigops(Bytes script);

/// Bytes left for the tag beside the template's own prefix and an extranonce of that size; both with their push opcodes.
std::size_t max_coinbase_tag_size(const Template& block_template, std::size_t extranonce_size);

/// scriptSig = template's prefix, push of `tag` (left out when empty), push of `extranonce_size` bytes. Outputs = `payouts`,
/// then the template's. `extranonce_size` is the full size, prefix of the channel included: at most 32 (SV2 05). Errors:
/// kTooLarge when scriptSig would exceed 100 bytes; kValue when the payouts exceed the template's coinbase value.
Result<CoinbaseParts> build_coinbase(const Template& block_template, std::span<const TxOutput> payouts, std::string_view tag,
                                     std::size_t extranonce_size);

/// An output whose script somebody else holds.
struct OutputView {
  std::uint64_t value_sat = 0;
  Bytes script;
};

/// Appends what follows the scriptSig of a coinbase: its sequence, `payouts` and then the template's outputs, its locktime.
void append_coinbase_suffix(std::vector<std::uint8_t>& to, const Template& block_template, std::span<const OutputView> payouts);

/// The same around a scriptSig that is `script` and then the extranonce, nothing between; who calls it bounds their sizes.
CoinbaseParts split_coinbase(const Template& block_template, Bytes script, std::span<const TxOutput> payouts,
                             std::size_t extranonce_size);

/// The coinbase as the block carries it: marker, flag and the reserved value of 32 zero bytes (BIP141) put into the stripped
/// serialization. Errors: kMalformed if `stripped` is none.
Result<std::vector<std::uint8_t>> add_coinbase_witness(Bytes stripped);

/// The script of the witness commitment output (BIP141): OP_RETURN, 36 bytes, aa21a9ed, then
/// sha256d(root of the wtxids with the coinbase's taken as zero, reserved value of zeros). `wtxids` are those of all other
/// transactions.
std::vector<std::uint8_t> witness_commitment_script(std::span<const Hash256> wtxids);

}  // namespace adit::bitcoin
