// Block headers and whole blocks.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "bitcoin/hash.h"
#include "bitcoin/template.h"
#include "bitcoin/tx.h"

namespace adit::bitcoin {

struct BlockHeader {
  std::uint32_t version = 0;
  Hash256 prev_hash{};
  Hash256 merkle_root{};
  std::uint32_t ntime = 0;
  std::uint32_t nbits = 0;
  std::uint32_t nonce = 0;
  bool operator==(const BlockHeader&) const = default;

  [[nodiscard]] std::array<std::uint8_t, kHeaderSize> serialize() const;
  static BlockHeader parse(std::span<const std::uint8_t, kHeaderSize> bytes);
  [[nodiscard]] Hash256 hash() const { return sha256d_header(serialize()); }
};

/// What a miner varied of a template to find its block.
struct BlockSolution {
  std::uint32_t version = 0;
  std::uint32_t ntime = 0;
  std::uint32_t nonce = 0;
  /// The whole coinbase transaction, BIP141-stripped (prefix + extranonce + suffix) or with its witness: complete_coinbase()
  /// makes it what the block carries.
  std::vector<std::uint8_t> coinbase;
};

/// A found block, ready for a node.
struct FoundBlock {
  std::uint64_t template_id = 0;
  std::uint32_t height = 0;
  Hash256 hash{};
  std::vector<std::uint8_t>
      bytes;  ///< Header, transaction count, coinbase with its witness where the template has a commitment, the others.
};

/// The solution's coinbase as a block on that template carries it: with its witness where the template has a commitment,
/// without one where it has none (BIP141). Errors: kMalformed if `coinbase` is not exactly one serialized transaction.
Result<std::vector<std::uint8_t>> complete_coinbase(const Template& block_template, Bytes coinbase);

/// The header of the block. Errors: kMalformed if the coinbase is not exactly one serialized transaction.
Result<BlockHeader> solved_header(const Template& block_template, const BlockSolution& solution);

/// Puts the block together. Whether it proves its work is the caller's to know. Errors: as solved_header.
Result<FoundBlock> assemble_block(const Template& block_template, const BlockSolution& solution);

/// The same where the template's transactions are not in it but given, serialized, in block order.
Result<FoundBlock> assemble_block(const Template& block_template, const BlockSolution& solution,
                                  std::span<const Bytes> transactions);

/// The same where the template's transactions are in `other`: a whole block on the same template with another
/// coinbase. Errors: kMalformed too if `other` is no block, or not one on this template.
Result<FoundBlock> assemble_block(const Template& block_template, const BlockSolution& solution, Bytes other);

/// A block taken apart; the spans point into the bytes that were parsed.
struct BlockView {
  BlockHeader header;
  std::vector<Bytes> transactions;  ///< Serialized, the coinbase first.
};

/// Errors: kMalformed for anything but one whole block with at least one transaction.
Result<BlockView> parse_block(Bytes bytes);

}  // namespace adit::bitcoin
