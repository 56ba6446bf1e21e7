#include "declaration/coinbase_parts.h"

#include <algorithm>
#include <utility>

#include "bitcoin/coinbase.h"
#include "bitcoin/consensus.h"
#include "bitcoin/tx.h"

namespace adit::declaration {
namespace {

constexpr std::uint8_t kMarker = 0;
constexpr std::uint8_t kFlag = 1;
constexpr std::uint32_t kNullIndex = 0xffffffff;
constexpr std::size_t kReservedValueSize = 32;
constexpr std::size_t kMinOutputSize = 8 + 1;

std::unexpected<Error> bad(const char* what) { return fail(Errc::kCoinbase, what); }
std::unexpected<Error> bad_inputs(const char* what) { return fail(Errc::kCoinbaseInputs, what); }

bool all_are(Bytes bytes, std::uint8_t value) {
  return std::ranges::all_of(bytes, [&](std::uint8_t byte) { return byte == value; });
}

template <class T>
void append_le(std::vector<std::uint8_t>& to, T value) {
  to.resize(to.size() + sizeof value);
  store_le(to.data() + to.size() - sizeof value, value);
}

Result<void> read_prefix(Bytes prefix, DeclaredCoinbase& out) {
  bitcoin::ByteReader reader(prefix);
  out.version = reader.u32();
  if (reader.left() >= 2 && reader.rest()[0] == kMarker && reader.rest()[1] == kFlag) {
    out.has_witness = true;
    reader.take(2);
  }
  const std::uint64_t inputs = reader.compact_size();
  if (!reader.ok()) return bad("the coinbase's prefix ends before its input");
  if (inputs != 1) return bad_inputs("a coinbase has one input");
  const Bytes spent = reader.take(sizeof(bitcoin::Hash256));
  const std::uint32_t index = reader.u32();
  const std::uint64_t script_size = reader.compact_size();
  if (!reader.ok()) return bad("the coinbase's prefix ends before its scriptSig");
  if (!all_are(spent, 0) || index != kNullIndex) return bad_inputs("the coinbase's input spends something");
  if (script_size < 2 || script_size > bitcoin::kMaxCoinbaseScriptSize)
    return bad("the coinbase's scriptSig is not 2 to 100 bytes long");
  const Bytes script = reader.rest();
  if (script.size() > script_size) return bad("the coinbase's prefix goes on behind its scriptSig");
  out.extranonce_size = static_cast<std::size_t>(script_size) - script.size();
  if (out.extranonce_size > kMaxExtranonceSize)
    return bad("the coinbase's scriptSig leaves more than 32 bytes to the extranonce");
  out.script.assign(script.begin(), script.end());
  return {};
}

Result<void> read_suffix(Bytes suffix, DeclaredCoinbase& out) {
  bitcoin::ByteReader reader(suffix);
  out.sequence = reader.u32();
  const std::uint64_t count = reader.compact_size();
  if (!reader.ok()) return bad("the coinbase's suffix ends before its outputs");
  if (count == 0) return bad("the coinbase has no output");
  if (count > reader.left() / kMinOutputSize) return bad("the coinbase declares more outputs than its bytes hold");
  out.outputs.resize(static_cast<std::size_t>(count));
  std::uint64_t sum = 0;
  for (bitcoin::TxOutput& output : out.outputs) {
    output.value_sat = reader.u64();
    const Bytes script = reader.var_bytes();
    output.script.assign(script.begin(), script.end());
    if (output.value_sat > bitcoin::kMaxMoneySat || (sum += output.value_sat) > bitcoin::kMaxMoneySat)
      return bad("the coinbase's outputs are worth more than there is money");
  }
  if (!reader.ok()) return bad("the coinbase's outputs end early");
  if (out.has_witness) {
    const std::uint64_t items = reader.compact_size();
    const Bytes reserved = reader.var_bytes();
    if (!reader.ok() || items != 1 || reserved.size() != kReservedValueSize || !all_are(reserved, 0))
      return bad("the coinbase's witness is not the reserved value of 32 zero bytes");
  }
  out.locktime = reader.u32();
  if (!reader.ok() || reader.left() != 0) return bad("the coinbase's suffix does not end with its locktime");
  return {};
}

}  // namespace

Result<DeclaredCoinbase> parse_coinbase_parts(Bytes prefix, Bytes suffix) {
  DeclaredCoinbase coinbase;
  ADIT_CHECK(read_prefix(prefix, coinbase));
  ADIT_CHECK(read_suffix(suffix, coinbase));
  return coinbase;
}

CoinbaseFields coinbase_parts(const DeclaredCoinbase& coinbase) {
  CoinbaseFields parts;
  std::vector<std::uint8_t>& prefix = parts.prefix;
  append_le(prefix, coinbase.version);
  if (coinbase.has_witness) prefix.insert(prefix.end(), {kMarker, kFlag});
  prefix.push_back(1);
  prefix.insert(prefix.end(), sizeof(bitcoin::Hash256), 0);
  append_le(prefix, kNullIndex);
  bitcoin::append_compact_size(prefix, coinbase.script.size() + coinbase.extranonce_size);
  prefix.insert(prefix.end(), coinbase.script.begin(), coinbase.script.end());

  std::vector<std::uint8_t>& suffix = parts.suffix;
  append_le(suffix, coinbase.sequence);
  const auto outputs = counted_outputs(coinbase.outputs);
  suffix.insert(suffix.end(), outputs.begin(), outputs.end());
  if (coinbase.has_witness) {
    suffix.insert(suffix.end(), {1, kReservedValueSize});
    suffix.insert(suffix.end(), kReservedValueSize, 0);
  }
  append_le(suffix, coinbase.locktime);
  return parts;
}

std::vector<std::uint8_t> counted_outputs(const std::vector<bitcoin::TxOutput>& outputs) {
  std::vector<std::uint8_t> bytes;
  bitcoin::append_compact_size(bytes, outputs.size());
  for (const bitcoin::TxOutput& output : outputs) bitcoin::append_output(bytes, output);
  return bytes;
}

}  // namespace adit::declaration
