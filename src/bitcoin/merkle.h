// Merkle trees over transaction ids, and the path by which a coinbase proves its place.
#pragma once

#include <span>
#include <vector>

#include "bitcoin/hash.h"

namespace adit::bitcoin {

/// Zero for no leaves; one leaf is its own root.
Hash256 merkle_root(std::span<const Hash256> leaves);

/// The siblings of leaf 0 from the leaf up, for a tree whose leaves are the coinbase and then `others` in order. Empty for
/// none.
std::vector<Hash256> merkle_path(std::span<const Hash256> others);

/// The root above `leaf` (leaf 0). No allocation.
Hash256 fold_merkle_path(const Hash256& leaf, std::span<const Hash256> path);
/// Of two leaves at once.
TwoHashes fold_merkle_paths(const TwoHashes& leaves, std::span<const Hash256> path);

}  // namespace adit::bitcoin
