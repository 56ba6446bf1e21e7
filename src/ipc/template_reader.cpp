#include "ipc/template_reader.h"

#include <algorithm>
#include <string>
#include <utility>

#include "bitcoin/consensus.h"
#include "bitcoin/tx.h"

namespace adit::ipc {
namespace {

// A block has less than 2^20 transactions: 4,000,000 weight units at 240 for each.
constexpr unsigned kMaxMerklePath = 20;
// The push of a height of four bytes; the pool's tags and the extranonce need the rest of the 100 bytes.
constexpr unsigned kMaxScriptPrefix = 8;
constexpr unsigned kMaxRequiredOutputs = 16;

std::unexpected<Error> nonsense(const std::string& what) {
  return fail(Errc::kNonsense, "the node's template makes no sense: " + what);
}

}  // namespace

Result<Hash256> read_hash(capnp::Data::Reader data) {
  Hash256 hash{};
  if (data.size() != hash.size()) return nonsense("a hash of " + std::to_string(data.size()) + " bytes");
  std::ranges::copy(bytes_of(data), hash.begin());
  return hash;
}

Result<bitcoin::BlockHeader> read_header(capnp::Data::Reader data) {
  if (data.size() != bitcoin::kHeaderSize) return nonsense("a header of " + std::to_string(data.size()) + " bytes");
  return bitcoin::BlockHeader::parse(bytes_of(data).first<bitcoin::kHeaderSize>());
}

Result<CoinbaseFields> read_coinbase(schema::CoinbaseTx::Reader coinbase) {
  CoinbaseFields parts;
  parts.version = coinbase.getVersion();
  parts.sequence = coinbase.getSequence();
  parts.lock_time = coinbase.getLockTime();
  const Bytes prefix = bytes_of(coinbase.getScriptSigPrefix());
  if (prefix.empty() || prefix.size() > kMaxScriptPrefix)
    return nonsense("a coinbase's script that begins with " + std::to_string(prefix.size()) + " bytes");
  parts.script_prefix.assign(prefix.begin(), prefix.end());
  const Bytes witness = bytes_of(coinbase.getWitness());
  parts.has_witness = !witness.empty();
  if (parts.has_witness && (witness.size() != 32 || std::ranges::any_of(witness, [](std::uint8_t byte) { return byte != 0; })))
    return nonsense("a coinbase's witness that is not 32 zero bytes");
  const std::int64_t value = coinbase.getBlockRewardRemaining();
  if (value < 0 || static_cast<std::uint64_t>(value) > bitcoin::kMaxMoneySat)
    return nonsense("a reward of " + std::to_string(value) + " sat");
  parts.value_sat = static_cast<std::uint64_t>(value);
  const auto outputs = coinbase.getRequiredOutputs();
  if (outputs.size() > kMaxRequiredOutputs) return nonsense(std::to_string(outputs.size()) + " required outputs");
  for (const auto output : outputs) {
    auto parsed = bitcoin::parse_outputs(bytes_of(output), 1);
    if (!parsed) return nonsense("a required output: " + parsed.error().message());
    parts.required_outputs.push_back(std::move(parsed->front()));
  }
  return parts;
}

Result<std::vector<Hash256>> read_merkle_path(capnp::List<capnp::Data>::Reader path) {
  if (path.size() > kMaxMerklePath) return nonsense("a merkle path of " + std::to_string(path.size()) + " steps");
  std::vector<Hash256> read;
  read.reserve(path.size());
  for (const auto step : path) {
    ADIT_TRY(const Hash256 hash, read_hash(step));
    read.push_back(hash);
  }
  return read;
}

Result<Tip> read_tip(schema::BlockRef::Reader tip) {
  ADIT_TRY(const Hash256 hash, read_hash(tip.getHash()));
  if (tip.getHeight() < 0) return fail(Errc::kNonsense, "the node's tip has the height " + std::to_string(tip.getHeight()));
  return Tip{hash, static_cast<std::uint32_t>(tip.getHeight())};
}

}  // namespace adit::ipc
