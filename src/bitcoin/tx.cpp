#include "bitcoin/tx.h"

#include <algorithm>

namespace adit::bitcoin {
namespace {

constexpr std::size_t kMinInputSize = 32 + 4 + 1 + 4;
constexpr std::size_t kMinOutputSize = 8 + 1;

template <class T>
void append_le(std::vector<std::uint8_t>& to, T value) {
  to.resize(to.size() + sizeof value);
  store_le(to.data() + to.size() - sizeof value, value);
}

void append(std::vector<std::uint8_t>& to, Bytes bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

void append_var_bytes(std::vector<std::uint8_t>& to, Bytes bytes) {
  append_compact_size(to, bytes.size());
  append(to, bytes);
}

std::unexpected<Error> malformed(const char* what) { return fail(Errc::kMalformed, what); }

// False for a count that could not fit what is left, before anything is reserved for it.
bool plausible(const ByteReader& reader, std::uint64_t count, std::size_t smallest) {
  return count <= reader.left() / smallest;
}

Result<std::vector<TxOutput>> read_outputs(ByteReader& reader, std::uint64_t count) {
  if (!plausible(reader, count, kMinOutputSize)) return malformed("a transaction declares more outputs than its bytes hold");
  std::vector<TxOutput> outputs(static_cast<std::size_t>(count));
  for (TxOutput& output : outputs) {
    output.value_sat = reader.u64();
    const Bytes script = reader.var_bytes();
    output.script.assign(script.begin(), script.end());
  }
  if (!reader.ok()) return malformed("a transaction's outputs end early");
  return outputs;
}

}  // namespace

void append_compact_size(std::vector<std::uint8_t>& to, std::uint64_t value) {
  if (value < 0xfd) {
    to.push_back(static_cast<std::uint8_t>(value));
  } else if (value <= 0xffff) {
    to.push_back(0xfd);
    append_le(to, static_cast<std::uint16_t>(value));
  } else if (value <= 0xffffffff) {
    to.push_back(0xfe);
    append_le(to, static_cast<std::uint32_t>(value));
  } else {
    to.push_back(0xff);
    append_le(to, value);
  }
}

std::size_t compact_size_length(std::uint64_t value) {
  return value < 0xfd ? 1 : value <= 0xffff ? 3 : value <= 0xffffffff ? 5 : 9;
}

Bytes ByteReader::take(std::uint64_t count) {
  if (!ok_ || count > left()) {
    ok_ = false;
    return {};
  }
  const Bytes taken = bytes_.subspan(position_, static_cast<std::size_t>(count));
  position_ += taken.size();
  return taken;
}

std::uint8_t ByteReader::u8() {
  const Bytes bytes = take(1);
  return bytes.empty() ? std::uint8_t{0} : bytes[0];
}

std::uint32_t ByteReader::u32() {
  const Bytes bytes = take(4);
  return bytes.empty() ? 0 : load_le<std::uint32_t>(bytes.data());
}

std::uint64_t ByteReader::u64() {
  const Bytes bytes = take(8);
  return bytes.empty() ? 0 : load_le<std::uint64_t>(bytes.data());
}

std::uint64_t ByteReader::compact_size() {
  const std::uint8_t first = u8();
  if (first < 0xfd) return first;
  const std::size_t size = std::size_t{1} << (first - 0xfc);
  const Bytes bytes = take(size);
  if (bytes.empty()) return 0;
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | bytes[i];
  if (compact_size_length(value) != size + 1) ok_ = false;
  return ok_ ? value : 0;
}

void append_output(std::vector<std::uint8_t>& to, std::uint64_t value_sat, Bytes script) {
  append_le(to, value_sat);
  append_var_bytes(to, script);
}

std::size_t output_size(const TxOutput& output) { return 8 + compact_size_length(output.script.size()) + output.script.size(); }

Result<std::vector<TxOutput>> parse_outputs(Bytes bytes, std::uint64_t count) {
  ByteReader reader(bytes);
  auto outputs = read_outputs(reader, count);
  if (outputs && reader.left() != 0) return malformed("bytes follow the last output");
  return outputs;
}

Result<std::vector<TxOutput>> parse_counted_outputs(Bytes bytes) {
  ByteReader reader(bytes);
  const std::uint64_t count = reader.compact_size();
  if (!reader.ok()) return malformed("the count of outputs is missing");
  return parse_outputs(reader.rest(), count);
}

bool Transaction::is_coinbase() const {
  return inputs.size() == 1 && inputs[0].prev_txid == Hash256{} && inputs[0].prev_index == 0xffffffff;
}

Result<Transaction> parse_transaction(ByteReader& reader) {
  ADIT_TRY(const TxLayout layout, transaction_layout(reader.rest()));
  Transaction transaction;
  transaction.version = reader.u32();
  if (layout.has_witness) reader.take(2);
  transaction.inputs.resize(static_cast<std::size_t>(reader.compact_size()));
  for (TxInput& input : transaction.inputs) {
    const Bytes txid = reader.take(32);
    std::copy(txid.begin(), txid.end(), input.prev_txid.begin());
    input.prev_index = reader.u32();
    const Bytes script = reader.var_bytes();
    input.script.assign(script.begin(), script.end());
    input.sequence = reader.u32();
  }
  const std::uint64_t output_count = reader.compact_size();
  ADIT_TRY(transaction.outputs, read_outputs(reader, output_count));
  if (layout.has_witness) {
    for (TxInput& input : transaction.inputs) {
      input.witness.resize(static_cast<std::size_t>(reader.compact_size()));
      for (auto& item : input.witness) {
        const Bytes bytes = reader.var_bytes();
        item.assign(bytes.begin(), bytes.end());
      }
    }
  }
  transaction.locktime = reader.u32();
  if (!reader.ok()) return malformed("a transaction ends early");
  return transaction;
}

Result<Transaction> parse_transaction(Bytes bytes) {
  ByteReader reader(bytes);
  auto transaction = parse_transaction(reader);
  if (transaction && reader.left() != 0) return malformed("bytes follow the transaction");
  return transaction;
}

std::vector<std::uint8_t> serialize(const Transaction& transaction) {
  const bool has_witness = std::any_of(transaction.inputs.begin(), transaction.inputs.end(),
                                       [](const TxInput& input) { return !input.witness.empty(); });
  std::vector<std::uint8_t> bytes;
  append_le(bytes, transaction.version);
  if (has_witness) bytes.insert(bytes.end(), {0, 1});
  append_compact_size(bytes, transaction.inputs.size());
  for (const TxInput& input : transaction.inputs) {
    append(bytes, input.prev_txid);
    append_le(bytes, input.prev_index);
    append_var_bytes(bytes, input.script);
    append_le(bytes, input.sequence);
  }
  append_compact_size(bytes, transaction.outputs.size());
  for (const TxOutput& output : transaction.outputs) append_output(bytes, output);
  if (has_witness) {
    for (const TxInput& input : transaction.inputs) {
      append_compact_size(bytes, input.witness.size());
      for (const auto& item : input.witness) append_var_bytes(bytes, item);
    }
  }
  append_le(bytes, transaction.locktime);
  return bytes;
}

Result<TxLayout> transaction_layout(Bytes bytes) {
  ByteReader reader(bytes);
  TxLayout layout;
  reader.take(4);
  if (reader.left() >= 2 && reader.rest()[0] == 0 && reader.rest()[1] == 1) {  // BIP144: marker and flag.
    layout.has_witness = true;
    reader.take(2);
  }
  layout.body = reader.position();
  const std::uint64_t inputs = reader.compact_size();
  if (inputs == 0) return malformed("a transaction has no inputs");
  if (!plausible(reader, inputs, kMinInputSize)) return malformed("a transaction declares more inputs than its bytes hold");
  for (std::uint64_t i = 0; i < inputs && reader.ok(); ++i) {
    reader.take(32 + 4);
    reader.var_bytes();
    reader.take(4);
  }
  const std::uint64_t outputs = reader.compact_size();
  if (!plausible(reader, outputs, kMinOutputSize)) return malformed("a transaction declares more outputs than its bytes hold");
  for (std::uint64_t i = 0; i < outputs && reader.ok(); ++i) {
    reader.take(8);
    reader.var_bytes();
  }
  layout.witness = reader.position();
  if (layout.has_witness) {
    bool any = false;
    for (std::uint64_t i = 0; i < inputs && reader.ok(); ++i) {
      const std::uint64_t items = reader.compact_size();
      any = any || items != 0;
      if (!plausible(reader, items, 1)) return malformed("a transaction declares more witness items than its bytes hold");
      for (std::uint64_t j = 0; j < items && reader.ok(); ++j) reader.var_bytes();
    }
    if (reader.ok() && !any) return malformed("a transaction is marked as having a witness but has none");
  }
  layout.locktime = reader.position();
  reader.take(4);
  if (!reader.ok()) return malformed("a transaction ends early");
  layout.size = reader.position();
  return layout;
}

Result<TransactionIds> transaction_ids(Bytes bytes) {
  ADIT_TRY(const TxLayout layout, transaction_layout(bytes));
  if (layout.size != bytes.size()) return malformed("bytes follow the transaction");
  TransactionIds ids;
  ids.wtxid = sha256d(bytes);
  ids.txid = layout.has_witness ? sha256d(bytes.first(4), bytes.subspan(layout.body, layout.witness - layout.body),
                                          bytes.subspan(layout.locktime))
                                : ids.wtxid;
  return ids;
}

Result<std::vector<std::uint8_t>> strip_witness(Bytes bytes) {
  ADIT_TRY(const TxLayout layout, transaction_layout(bytes));
  if (layout.size != bytes.size()) return malformed("bytes follow the transaction");
  std::vector<std::uint8_t> stripped(bytes.begin(), bytes.begin() + 4);
  append(stripped, bytes.subspan(layout.body, layout.witness - layout.body));
  append(stripped, bytes.subspan(layout.locktime));
  return stripped;
}

}  // namespace adit::bitcoin
