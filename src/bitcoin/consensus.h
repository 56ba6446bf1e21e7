// Numbers that all nodes of a chain agree on.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bitcoin/address.h"

namespace adit::bitcoin {

/// No output, and no sum of outputs, is worth more (MAX_MONEY).
inline constexpr std::uint64_t kMaxMoneySat = 21'000'000ull * 100'000'000ull;

/// BIP141.
inline constexpr std::size_t kMaxBlockWeight = 4'000'000;
/// A transaction has at least 60 bytes without its witness.
inline constexpr std::size_t kLeastTransactionWeight = 4 * 60;
/// No block has more.
inline constexpr std::size_t kMaxBlockTransactions = kMaxBlockWeight / kLeastTransactionWeight;

/// Blocks that have one subsidy: regtest's, and those of all other chains.
inline constexpr std::uint32_t kRegtestHalvingInterval = 150;
inline constexpr std::uint32_t kHalvingInterval = 210'000;
constexpr std::uint32_t halving_interval(Network network) {
  return network == Network::kRegtest ? kRegtestHalvingInterval : kHalvingInterval;
}

/// What the block of that height may pay besides its fees, where the subsidy halves every `halving_interval` blocks.
constexpr std::uint64_t subsidy_sat(std::uint32_t height, std::uint32_t halving_interval) {
  const std::uint32_t halvings = height / halving_interval;
  return halvings < 64 ? 50ull * 100'000'000ull >> halvings : 0;
}

}  // namespace adit::bitcoin
