#include "template/chain.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/hex.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/consensus.h"
#include "bitcoin/merkle.h"
#include "bitcoin/u256.h"

namespace adit::templates {
namespace {

using bitcoin::BlockHeader;
using bitcoin::BlockView;
using bitcoin::Transaction;

constexpr std::size_t kMedianSpan = 11;
constexpr std::uint32_t kMaxSecondsAhead = 2 * 60 * 60;
constexpr std::uint32_t kVersion = 0x20000000;
constexpr std::array<std::uint8_t, 6> kCommitmentStart = {0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed};
constexpr std::size_t kCommitmentSize = 38;

ChainBlock genesis() {
  // Bitcoin Core, chainparams.cpp: regtest's.
  BlockHeader header;
  header.version = 1;
  (void)from_hex("3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a", header.merkle_root);
  header.ntime = 1296688602;
  header.nbits = 0x207fffff;
  header.nonce = 2;
  return {0, header.hash(), header.ntime, {}, {}};
}

}  // namespace

Chain::Chain(Options options) : options_(options) {
  options_.kept_blocks = std::max(options_.kept_blocks, kMedianSpan);
  blocks_.push_back(genesis());
}

std::uint64_t Chain::subsidy_sat(std::uint32_t height) {
  return bitcoin::subsidy_sat(height, bitcoin::kRegtestHalvingInterval);
}

bool Chain::add_transaction(std::vector<std::uint8_t> transaction, std::uint64_t fee_sat) {
  const auto ids = bitcoin::transaction_ids(transaction);
  if (!ids || find_offered(ids->wtxid) != nullptr) return false;
  offered_.push_back({std::move(transaction), *ids, fee_sat});
  return true;
}

const Chain::Offered* Chain::find_offered(const Hash256& wtxid) const {
  const auto found = std::find_if(offered_.begin(), offered_.end(), [&](const Offered& one) { return one.ids.wtxid == wtxid; });
  return found == offered_.end() ? nullptr : &*found;
}

std::uint32_t Chain::median_time_past() const {
  std::vector<std::uint32_t> times;
  for (std::size_t i = blocks_.size() - std::min(blocks_.size(), kMedianSpan); i < blocks_.size(); ++i)
    times.push_back(blocks_[i].ntime);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

Template Chain::make_template(UnixTime now) {
  Template made;
  made.id = ++last_template_id_;
  made.version = kVersion;
  made.prev_hash = tip();
  made.nbits = options_.nbits;
  made.min_ntime = median_time_past() + 1;
  made.current_time = std::max(made.min_ntime, to_u32(now));
  made.height = height() + 1;
  made.coinbase_script_prefix = bitcoin::height_push(made.height);
  made.coinbase_value_sat = subsidy_sat(made.height);
  std::vector<Hash256> txids;
  std::vector<Hash256> wtxids;
  for (const Offered& offered : offered_) {
    made.coinbase_value_sat += offered.fee_sat;
    made.transactions.push_back(offered.bytes);
    txids.push_back(offered.ids.txid);
    wtxids.push_back(offered.ids.wtxid);
  }
  made.merkle_path = bitcoin::merkle_path(txids);
  made.coinbase_outputs = {{0, bitcoin::witness_commitment_script(wtxids)}};
  made.has_witness_commitment = true;
  return made;
}

Chain::Judgement Chain::submit(Bytes bytes, UnixTime now) {
  const auto block = bitcoin::parse_block(bytes);
  if (!block) return {BlockVerdict::kRejected, "Block decode failed"};
  const Hash256 hash = block->header.hash();
  const auto known = [&](const Hash256& one) {
    return std::any_of(blocks_.begin(), blocks_.end(), [&](const ChainBlock& kept) { return kept.hash == one; });
  };
  if (known(hash)) return {BlockVerdict::kDuplicate, "duplicate"};
  if (std::string reason = judge(*block, bytes, now); !reason.empty()) return {BlockVerdict::kRejected, std::move(reason)};
  if (block->header.prev_hash != tip()) {
    if (known(block->header.prev_hash)) return {BlockVerdict::kStale, "inconclusive"};
    return {BlockVerdict::kRejected, "prev-blk-not-found"};
  }

  const auto coinbase = bitcoin::parse_transaction(block->transactions[0]);
  blocks_.push_back({height() + 1, hash, block->header.ntime, coinbase->inputs[0].script, coinbase->outputs});
  if (blocks_.size() > options_.kept_blocks) blocks_.pop_front();
  for (std::size_t i = 1; i < block->transactions.size(); ++i) {
    const Hash256 wtxid = sha256d(block->transactions[i]);
    std::erase_if(offered_, [&](const Offered& offered) { return offered.ids.wtxid == wtxid; });
  }
  return {BlockVerdict::kAccepted, ""};
}

std::string Chain::judge(const BlockView& block, Bytes bytes, UnixTime now) const {
  const BlockHeader& header = block.header;
  const auto target = bitcoin::target_from_compact(options_.nbits);
  if (header.nbits == options_.nbits && (!target || !bitcoin::meets_target(header.hash(), *target))) return "high-hash";
  if (header.nbits != options_.nbits) return "bad-diffbits";
  if (header.prev_hash == tip() && header.ntime <= median_time_past()) return "time-too-old";
  if (header.ntime > std::uint64_t{to_u32(now)} + kMaxSecondsAhead) return "time-too-new";
  // BIP34, BIP66 and BIP65 made versions 1 to 3 invalid; a block's version is signed.
  if (static_cast<std::int32_t>(header.version) < 4) return "bad-version";

  std::vector<Hash256> txids;
  std::vector<Hash256> wtxids;
  std::size_t stripped_size = bytes.size();
  bool any_witness = false;
  for (const Bytes transaction : block.transactions) {
    const auto layout = bitcoin::transaction_layout(transaction);
    const auto ids = bitcoin::transaction_ids(transaction);
    txids.push_back(ids->txid);
    wtxids.push_back(ids->wtxid);
    if (layout->has_witness) {
      any_witness = true;
      stripped_size -= 2 + (layout->locktime - layout->witness);
    }
  }
  if (bitcoin::merkle_root(txids) != header.merkle_root) return "bad-txnmrklroot";
  // CVE-2012-2459: a repeated tail gives the same root.
  std::vector<Hash256> sorted = txids;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) return "bad-txns-duplicate";
  if (3 * stripped_size + bytes.size() > bitcoin::kMaxBlockWeight) return "bad-blk-weight";

  const auto coinbase = bitcoin::parse_transaction(block.transactions[0]);
  if (!coinbase->is_coinbase()) return "bad-cb-missing";
  std::uint64_t fees_sat = 0;
  for (std::size_t i = 1; i < block.transactions.size(); ++i) {
    if (bitcoin::parse_transaction(block.transactions[i])->is_coinbase()) return "bad-cb-multiple";
    const Offered* offered = find_offered(wtxids[i]);
    if (offered == nullptr) return "bad-txns-inputs-missingorspent";
    fees_sat += offered->fee_sat;
  }
  // Height and subsidy are those of the tip's next block; a block beside the tip is not judged further.
  if (header.prev_hash == tip()) {
    if (std::string reason = judge_coinbase(*coinbase, fees_sat); !reason.empty()) return reason;
  }
  return judge_witness(*coinbase, wtxids, any_witness);
}

std::string Chain::judge_coinbase(const Transaction& coinbase, std::uint64_t fees_sat) const {
  const std::vector<std::uint8_t>& script = coinbase.inputs[0].script;
  if (script.size() < 2 || script.size() > bitcoin::kMaxCoinbaseScriptSize) return "bad-cb-length";
  const std::vector<std::uint8_t> expected = bitcoin::height_push(height() + 1);
  if (script.size() < expected.size() || !std::equal(expected.begin(), expected.end(), script.begin())) return "bad-cb-height";
  if (coinbase.locktime > height() && coinbase.inputs[0].sequence != 0xffffffff) return "bad-txns-nonfinal";
  std::uint64_t left = subsidy_sat(height() + 1) + fees_sat;
  for (const bitcoin::TxOutput& output : coinbase.outputs) {
    if (output.value_sat > left) return "bad-cb-amount";
    left -= output.value_sat;
  }
  if (coinbase.outputs.empty()) return "bad-txns-vout-empty";
  return "";
}

std::string Chain::judge_witness(const Transaction& coinbase, const std::vector<Hash256>& wtxids, bool any_witness) const {
  // The last output that looks like a commitment counts (BIP141).
  const auto commitment = std::find_if(coinbase.outputs.rbegin(), coinbase.outputs.rend(), [](const bitcoin::TxOutput& output) {
    return output.script.size() >= kCommitmentSize &&
           std::equal(kCommitmentStart.begin(), kCommitmentStart.end(), output.script.begin());
  });
  if (commitment == coinbase.outputs.rend()) return any_witness ? "unexpected-witness" : "";
  const auto& witness = coinbase.inputs[0].witness;
  if (witness.size() != 1 || witness[0].size() != 32) return "bad-witness-nonce-size";
  std::vector<Hash256> leaves = wtxids;
  leaves[0] = Hash256{};
  Hash256 reserved;
  std::copy(witness[0].begin(), witness[0].end(), reserved.begin());
  const Hash256 expected = bitcoin::merkle_pair(bitcoin::merkle_root(leaves), reserved);
  if (!std::equal(expected.begin(), expected.end(), commitment->script.begin() + kCommitmentStart.size()))
    return "bad-witness-merkle-match";
  return "";
}

bool Chain::mine(const std::vector<std::uint8_t>& script, UnixTime now, std::uint64_t max_hashes) {
  const Template work = make_template(now);
  const std::vector<bitcoin::TxOutput> payout{{work.coinbase_value_sat, script}};
  const auto parts = bitcoin::build_coinbase(work, payout, "another miner", 4);
  const auto target = bitcoin::target_from_compact(options_.nbits);
  if (!parts || !target) return false;
  bitcoin::BlockSolution solution;
  solution.version = work.version;
  solution.ntime = work.current_time;
  solution.coinbase = parts->prefix;
  solution.coinbase.insert(solution.coinbase.end(), 4, 0);
  solution.coinbase.insert(solution.coinbase.end(), parts->suffix.begin(), parts->suffix.end());

  BlockHeader header{work.version,      work.prev_hash, bitcoin::fold_merkle_path(sha256d(solution.coinbase), work.merkle_path),
                     work.current_time, work.nbits,     0};
  const auto bytes = header.serialize();
  const bitcoin::HeaderMidstate midstate{std::span(bytes).first<64>()};
  std::array<std::uint8_t, 16> rest;
  std::copy(bytes.begin() + 64, bytes.end(), rest.begin());
  for (std::uint64_t nonce = 0; nonce < max_hashes && nonce <= 0xffffffff; ++nonce) {
    store_le(rest.data() + 12, static_cast<std::uint32_t>(nonce));
    if (!bitcoin::meets_target(midstate.hash(rest), *target)) continue;
    solution.nonce = static_cast<std::uint32_t>(nonce);
    const auto block = bitcoin::assemble_block(work, solution);
    return block && submit(block->bytes, now).verdict == BlockVerdict::kAccepted;
  }
  return false;
}

}  // namespace adit::templates
