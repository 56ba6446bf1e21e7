#include "bitcoin/block.h"

#include <algorithm>

#include "bitcoin/coinbase.h"
#include "bitcoin/merkle.h"

namespace adit::bitcoin {
namespace {

constexpr std::size_t kMinTransactionSize = 4 + 1 + 41 + 1 + 4;

}  // namespace

std::array<std::uint8_t, kHeaderSize> BlockHeader::serialize() const {
  std::array<std::uint8_t, kHeaderSize> bytes;
  store_le(bytes.data(), version);
  std::copy(prev_hash.begin(), prev_hash.end(), bytes.begin() + 4);
  std::copy(merkle_root.begin(), merkle_root.end(), bytes.begin() + 36);
  store_le(bytes.data() + 68, ntime);
  store_le(bytes.data() + 72, nbits);
  store_le(bytes.data() + 76, nonce);
  return bytes;
}

BlockHeader BlockHeader::parse(std::span<const std::uint8_t, kHeaderSize> bytes) {
  BlockHeader header;
  header.version = load_le<std::uint32_t>(bytes.data());
  std::copy_n(bytes.begin() + 4, 32, header.prev_hash.begin());
  std::copy_n(bytes.begin() + 36, 32, header.merkle_root.begin());
  header.ntime = load_le<std::uint32_t>(bytes.data() + 68);
  header.nbits = load_le<std::uint32_t>(bytes.data() + 72);
  header.nonce = load_le<std::uint32_t>(bytes.data() + 76);
  return header;
}

Result<std::vector<std::uint8_t>> complete_coinbase(const Template& block_template, Bytes coinbase) {
  ADIT_TRY(const TxLayout layout, transaction_layout(coinbase));
  if (layout.size != coinbase.size()) return fail(Errc::kMalformed, "bytes follow the coinbase transaction");
  if (layout.has_witness == block_template.has_witness_commitment) return std::vector(coinbase.begin(), coinbase.end());
  return layout.has_witness ? strip_witness(coinbase) : add_coinbase_witness(coinbase);
}

Result<BlockHeader> solved_header(const Template& block_template, const BlockSolution& solution) {
  ADIT_TRY(const TransactionIds ids, transaction_ids(solution.coinbase));
  BlockHeader header;
  header.version = solution.version;
  header.prev_hash = block_template.prev_hash;
  header.merkle_root = fold_merkle_path(ids.txid, block_template.merkle_path);
  header.ntime = solution.ntime;
  header.nbits = block_template.nbits;
  header.nonce = solution.nonce;
  return header;
}

Result<FoundBlock> assemble_block(const Template& block_template, const BlockSolution& solution) {
  ADIT_TRY(const BlockHeader header, solved_header(block_template, solution));
  ADIT_TRY(const std::vector<std::uint8_t> coinbase, complete_coinbase(block_template, solution.coinbase));
  FoundBlock block;
  block.template_id = block_template.id;
  block.height = block_template.height;
  block.hash = header.hash();
  const auto header_bytes = header.serialize();
  std::size_t size = header_bytes.size() + 9 + coinbase.size();
  for (const auto& transaction : block_template.transactions) size += transaction.size();
  block.bytes.reserve(size);
  block.bytes.assign(header_bytes.begin(), header_bytes.end());
  append_compact_size(block.bytes, 1 + block_template.transactions.size());
  block.bytes.insert(block.bytes.end(), coinbase.begin(), coinbase.end());
  for (const auto& transaction : block_template.transactions) {
    block.bytes.insert(block.bytes.end(), transaction.begin(), transaction.end());
  }
  return block;
}

Result<FoundBlock> assemble_block(const Template& block_template, const BlockSolution& solution, Bytes other) {
  ADIT_TRY(const BlockHeader header, solved_header(block_template, solution));
  ADIT_TRY(const std::vector<std::uint8_t> coinbase, complete_coinbase(block_template, solution.coinbase));
  ADIT_TRY(const BlockView view, parse_block(other));
  std::vector<Hash256> ids;
  ids.reserve(view.transactions.size() - 1);
  for (const Bytes transaction : std::span(view.transactions).subspan(1)) {
    ADIT_TRY(const TransactionIds found, transaction_ids(transaction));
    ids.push_back(found.txid);
  }
  if (view.header.prev_hash != block_template.prev_hash || merkle_path(ids) != block_template.merkle_path)
    return fail(Errc::kMalformed, "the block's transactions are not those of the template");
  FoundBlock block;
  block.template_id = block_template.id;
  block.height = block_template.height;
  block.hash = header.hash();
  const auto header_bytes = header.serialize();
  const std::size_t rest = kHeaderSize + compact_size_length(view.transactions.size()) + view.transactions[0].size();
  block.bytes.reserve(other.size() + coinbase.size());
  block.bytes.assign(header_bytes.begin(), header_bytes.end());
  append_compact_size(block.bytes, view.transactions.size());
  block.bytes.insert(block.bytes.end(), coinbase.begin(), coinbase.end());
  block.bytes.insert(block.bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(rest), other.end());
  return block;
}

Result<BlockView> parse_block(Bytes bytes) {
  ByteReader reader(bytes);
  const Bytes header = reader.take(kHeaderSize);
  const std::uint64_t count = reader.compact_size();
  if (!reader.ok() || count == 0 || count > reader.left() / kMinTransactionSize) {
    return fail(Errc::kMalformed, "a block needs a header of 80 bytes and as many transactions as it declares, at least one");
  }
  BlockView block;
  block.header = BlockHeader::parse(header.first<kHeaderSize>());
  block.transactions.reserve(static_cast<std::size_t>(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    ADIT_TRY(const TxLayout layout, transaction_layout(reader.rest()));
    block.transactions.push_back(reader.take(layout.size));
  }
  if (reader.left() != 0) return fail(Errc::kMalformed, "bytes follow the block");
  return block;
}

}  // namespace adit::bitcoin
