#include "bitcoin/coinbase.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string>

#include "bitcoin/merkle.h"

namespace adit::bitcoin {
namespace {

constexpr std::uint8_t kOpPushData1 = 0x4c;
constexpr std::uint8_t kOpReturn = 0x6a;
constexpr std::size_t kReservedValueSize = 32;

template <class T>
void append_le(std::vector<std::uint8_t>& to, T value) {
  to.resize(to.size() + sizeof value);
  store_le(to.data() + to.size() - sizeof value, value);
}

// Bytes that a push of `size` costs, its opcode included; none for an empty one.
std::size_t push_size(std::size_t size) { return size == 0 ? 0 : size + (size < kOpPushData1 ? 1 : 2); }

void append_push_opcode(std::vector<std::uint8_t>& to, std::size_t size) {
  if (size >= kOpPushData1) to.push_back(kOpPushData1);
  if (size != 0) to.push_back(static_cast<std::uint8_t>(size));
}

}  // namespace

std::vector<std::uint8_t> height_push(std::uint32_t height) {
  if (height == 0) return {0x00};
  if (height <= 16) return {static_cast<std::uint8_t>(0x50 + height)};
  // A script number: little-endian, the highest bit is the sign, so a byte more where that bit is taken.
  const auto size = static_cast<std::uint8_t>(std::bit_width(height) / 8 + 1);
  std::vector<std::uint8_t> push{size};
  for (unsigned i = 0; i < size; ++i) push.push_back(static_cast<std::uint8_t>(std::uint64_t{height} >> (8 * i)));
  return push;
}

std::optional<std::uint32_t> height_at_front(Bytes script) {
  if (script.empty()) return std::nullopt;
  const std::uint8_t first = script[0];
  std::uint64_t height = 0;
  if (first > 0x50 && first <= 0x60) {
    height = first - 0x50u;
  } else if (first <= 5 && script.size() > first) {
    for (std::size_t i = first; i > 0; --i) height = height << 8 | script[i];
  }
  if (height > 0xffffffff) return std::nullopt;
  const auto push = height_push(static_cast<std::uint32_t>(height));
  if (script.size() < push.size() || !std::ranges::equal(push, script.first(push.size()))) return std::nullopt;
  return static_cast<std::uint32_t>(height);
}

std::optional<std::uint32_t> height_of_coinbase(Bytes coinbase) {
  constexpr std::size_t kInputs = 4;
  constexpr std::array<std::uint8_t, 2> kMarkerAndFlag{0, 1};  // BIP144
  const bool has_witness = coinbase.size() > kInputs + 2 && std::ranges::equal(coinbase.subspan(kInputs, 2), kMarkerAndFlag);
  if (has_witness) coinbase = coinbase.subspan(2);
  if (coinbase.size() <= kCoinbaseScriptBegin || coinbase[kInputs] != 1) return std::nullopt;
  const std::size_t size = coinbase[kCoinbaseScriptBegin - 1];
  if (size > kMaxCoinbaseScriptSize) return std::nullopt;
  const Bytes script = coinbase.subspan(kCoinbaseScriptBegin);
  return height_at_front(script.first(std::min(script.size(), size)));
}

std::uint32_t count_sigops(Bytes script) {
  constexpr std::uint8_t kPushData1 = 0x4c;
  constexpr std::uint8_t kPushData4 = 0x4e;
  std::uint32_t count = 0;
  ByteReader reader(script);
  while (reader.left() > 0) {
    const std::uint8_t opcode = reader.u8();
    if (opcode < kPushData1) {
      reader.take(opcode);
    } else if (opcode <= kPushData4) {
      const Bytes size = reader.take(std::size_t{1} << (opcode - kPushData1));
      std::uint64_t pushed = 0;
      for (std::size_t i = 0; i < size.size(); ++i) pushed |= std::uint64_t{size[i]} << 8 * i;
      reader.take(pushed);
    } else if (opcode == 0xac || opcode == 0xad) {
      count += 1;  // OP_CHECKSIG, OP_CHECKSIGVERIFY.
    } else if (opcode == 0xae || opcode == 0xaf) {
      count += 20;  // OP_CHECKMULTISIG, OP_CHECKMULTISIGVERIFY.
    }
    if (!reader.ok()) break;  // A push beyond the end: what follows is none.
  }
  return count;
}

std::size_t max_coinbase_tag_size(const Template& block_template, std::size_t extranonce_size) {
  const std::size_t used = block_template.coinbase_script_prefix.size() + push_size(extranonce_size);
  if (used + 1 >= kMaxCoinbaseScriptSize) return 0;
  const std::size_t left = kMaxCoinbaseScriptSize - used;
  return left <= kOpPushData1 ? left - 1 : std::max<std::size_t>(kOpPushData1 - 1, left - 2);
}

Result<CoinbaseParts> build_coinbase(const Template& block_template, std::span<const TxOutput> payouts, std::string_view tag,
                                     std::size_t extranonce_size) {
  const std::size_t script_size =
      block_template.coinbase_script_prefix.size() + push_size(tag.size()) + push_size(extranonce_size);
  if (script_size > kMaxCoinbaseScriptSize) {
    return fail(Errc::kTooLarge, "the coinbase script would have " + std::to_string(script_size) +
                                     " bytes, of 100 allowed: the pool's signature (" + std::to_string(tag.size()) +
                                     " bytes) may have at most " +
                                     std::to_string(max_coinbase_tag_size(block_template, extranonce_size)));
  }
  std::uint64_t left = block_template.coinbase_value_sat;
  for (const TxOutput& payout : payouts) {
    if (payout.value_sat > left) {
      return fail(Errc::kValue,
                  "the payouts exceed the block's " + std::to_string(block_template.coinbase_value_sat) + " satoshi");
    }
    left -= payout.value_sat;
  }

  std::vector<std::uint8_t> script = block_template.coinbase_script_prefix;
  append_push_opcode(script, tag.size());
  script.insert(script.end(), tag.begin(), tag.end());
  append_push_opcode(script, extranonce_size);
  return split_coinbase(block_template, script, payouts, extranonce_size);
}

void append_coinbase_suffix(std::vector<std::uint8_t>& to, const Template& block_template,
                            std::span<const OutputView> payouts) {
  append_le(to, block_template.coinbase_sequence);
  append_compact_size(to, payouts.size() + block_template.coinbase_outputs.size());
  for (const OutputView& output : payouts) append_output(to, output.value_sat, output.script);
  for (const TxOutput& output : block_template.coinbase_outputs) append_output(to, output);
  append_le(to, block_template.coinbase_locktime);
}

CoinbaseParts split_coinbase(const Template& block_template, Bytes script, std::span<const TxOutput> payouts,
                             std::size_t extranonce_size) {
  CoinbaseParts parts;
  std::vector<std::uint8_t>& prefix = parts.prefix;
  append_le(prefix, block_template.coinbase_version);
  prefix.push_back(1);
  prefix.insert(prefix.end(), 32, 0x00);
  append_le(prefix, std::uint32_t{0xffffffff});
  append_compact_size(prefix, script.size() + extranonce_size);
  prefix.insert(prefix.end(), script.begin(), script.end());

  std::vector<OutputView> views;
  views.reserve(payouts.size());
  for (const TxOutput& output : payouts) views.push_back({.value_sat = output.value_sat, .script = output.script});
  append_coinbase_suffix(parts.suffix, block_template, views);
  return parts;
}

Result<std::vector<std::uint8_t>> add_coinbase_witness(Bytes stripped) {
  ADIT_TRY(const TxLayout layout, transaction_layout(stripped));
  if (layout.size != stripped.size() || layout.has_witness) {
    return fail(Errc::kMalformed, "the coinbase is not one transaction without witness");
  }
  std::vector<std::uint8_t> coinbase(stripped.begin(), stripped.begin() + 4);
  coinbase.insert(coinbase.end(), {0, 1});
  coinbase.insert(coinbase.end(), stripped.begin() + 4, stripped.begin() + layout.locktime);
  coinbase.insert(coinbase.end(), {1, kReservedValueSize});
  coinbase.insert(coinbase.end(), kReservedValueSize, 0x00);
  coinbase.insert(coinbase.end(), stripped.begin() + layout.locktime, stripped.end());
  return coinbase;
}

std::vector<std::uint8_t> witness_commitment_script(std::span<const Hash256> wtxids) {
  std::vector<Hash256> leaves{Hash256{}};
  leaves.insert(leaves.end(), wtxids.begin(), wtxids.end());
  const Hash256 commitment = merkle_pair(merkle_root(leaves), Hash256{});  // sha256d of root and reserved value.
  std::vector<std::uint8_t> script{kOpReturn, 0x24, 0xaa, 0x21, 0xa9, 0xed};
  script.insert(script.end(), commitment.begin(), commitment.end());
  return script;
}

}  // namespace adit::bitcoin
