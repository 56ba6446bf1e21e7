// Transactions as bytes: reading with bounds, ids, and the encodings that coinbase and block assembly need.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "bitcoin/error.h"
#include "bitcoin/hash.h"
#include "bitcoin/template.h"

namespace adit::bitcoin {

/// Bitcoin's variable-length count: 1, 3, 5 or 9 bytes.
void append_compact_size(std::vector<std::uint8_t>& to, std::uint64_t value);
std::size_t compact_size_length(std::uint64_t value);

/// Takes fields off the front of bytes it does not own. After a read beyond the end (or a non-minimal compact size) ok() is
/// false for good and every read gives zero or nothing, so a parser checks once. Declared lengths are compared with what is
/// there first.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : bytes_(bytes) {}

  Bytes take(std::uint64_t count);
  std::uint8_t u8();
  std::uint32_t u32();
  std::uint64_t u64();
  std::uint64_t compact_size();
  /// A compact size, then as many bytes.
  Bytes var_bytes() { return take(compact_size()); }

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t position() const { return position_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - position_; }
  [[nodiscard]] Bytes rest() const { return bytes_.subspan(position_); }

 private:
  Bytes bytes_;
  std::size_t position_ = 0;
  bool ok_ = true;
};

/// value, script size, script. In SV2: coinbase_tx_outputs is a sequence of these.
void append_output(std::vector<std::uint8_t>& to, std::uint64_t value_sat, Bytes script);
inline void append_output(std::vector<std::uint8_t>& to, const TxOutput& output) {
  append_output(to, output.value_sat, output.script);
}
std::size_t output_size(const TxOutput& output);

/// Reads `count` outputs that fill `bytes` exactly. Errors: kMalformed.
Result<std::vector<TxOutput>> parse_outputs(Bytes bytes, std::uint64_t count);

/// Reads a compact size and as many outputs, filling `bytes` exactly (as coinbase_tx_outputs of SV2 job declaration). Errors:
/// kMalformed.
Result<std::vector<TxOutput>> parse_counted_outputs(Bytes bytes);

struct TxInput {
  Hash256 prev_txid{};
  std::uint32_t prev_index = 0;
  std::vector<std::uint8_t> script;
  std::uint32_t sequence = 0xffffffff;
  std::vector<std::vector<std::uint8_t>> witness;
};

struct Transaction {
  std::uint32_t version = 2;
  std::vector<TxInput> inputs;
  std::vector<TxOutput> outputs;
  std::uint32_t locktime = 0;

  /// One input that spends nothing.
  [[nodiscard]] bool is_coinbase() const;
};

/// Reads one transaction off the front of `reader`, with or without witness (BIP144). Errors: kMalformed.
Result<Transaction> parse_transaction(ByteReader& reader);
/// The same of bytes that must hold nothing else.
Result<Transaction> parse_transaction(Bytes bytes);

/// With witness if any input has one.
std::vector<std::uint8_t> serialize(const Transaction& transaction);

/// Where the parts of a serialized transaction lie; found without allocating.
struct TxLayout {
  std::size_t size = 0;      ///< Bytes of the whole transaction.
  bool has_witness = false;  ///< Marker and flag stand at bytes 4 and 5.
  std::size_t body = 4;      ///< Where the input count starts.
  std::size_t witness = 0;   ///< Where the witness starts, and the outputs end.
  std::size_t locktime = 0;  ///< Where the last four bytes start.
};

/// Of the transaction at the front of `bytes`. Errors: kMalformed.
Result<TxLayout> transaction_layout(Bytes bytes);

struct TransactionIds {
  Hash256 txid;   ///< Without witness.
  Hash256 wtxid;  ///< With it; the same where there is none (BIP141).
};

/// `bytes` hold exactly one transaction. Errors: kMalformed.
Result<TransactionIds> transaction_ids(Bytes bytes);

/// The transaction without marker, flag and witness. Errors: kMalformed.
Result<std::vector<std::uint8_t>> strip_witness(Bytes bytes);

}  // namespace adit::bitcoin
