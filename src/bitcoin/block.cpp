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
  return assemble_block(block_template, solution,
                        std::vector<Bytes>(block_template.transactions.begin(), block_template.transactions.end()));
}

Result<FoundBlock> assemble_block(const Template& block_template, const BlockSolution& solution,
                                  std::span<const Bytes> transactions) {
  ADIT_TRY(const BlockHeader header, solved_header(block_template, solution));
  ADIT_TRY(const std::vector<std::uint8_t> coinbase, complete_coinbase(block_template, solution.coinbase));
  const auto head = header.serialize();
  FoundBlock block{.template_id = block_template.id, .height = block_template.height, .hash = header.hash(), .bytes = {}};
  std::size_t size = head.size() + compact_size_length(1 + transactions.size()) + coinbase.size();
  for (const Bytes transaction : transactions) size += transaction.size();
  block.bytes.reserve(size);
  block.bytes.assign(head.begin(), head.end());
  append_compact_size(block.bytes, 1 + transactions.size());
  block.bytes.insert(block.bytes.end(), coinbase.begin(), coinbase.end());
  for (const Bytes transaction : transactions) block.bytes.insert(block.bytes.end(), transaction.begin(), transaction.end());
  return block;
}

Result<FoundBlock> assemble_block(const Template& block_template, const BlockSolution& solution, Bytes other) {
  ADIT_TRY(const BlockView view, parse_block(other));
  const auto transactions = std::span(view.transactions).subspan(1);
  std::vector<Hash256> ids;
  ids.reserve(transactions.size());
  for (const Bytes transaction : transactions) {
    ADIT_TRY(const TransactionIds found, transaction_ids(transaction));
    ids.push_back(found.txid);
  }
  if (view.header.prev_hash != block_template.prev_hash || merkle_path(ids) != block_template.merkle_path)
    return fail(Errc::kMalformed, "the block's transactions are not those of the template");
  return assemble_block(block_template, solution, transactions);
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
