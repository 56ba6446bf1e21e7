#include "bitcoin/merkle.h"

namespace adit::bitcoin {
namespace {

// Replaces a level by the one above it. The last of an odd number is paired with itself, as Bitcoin does.
void next_level(std::vector<Hash256>& level) {
  if (level.size() % 2 != 0) level.push_back(level.back());
  for (std::size_t i = 0; i < level.size() / 2; ++i) level[i] = merkle_pair(level[2 * i], level[2 * i + 1]);
  level.resize(level.size() / 2);
}

}  // namespace

Hash256 merkle_root(std::span<const Hash256> leaves) {
  if (leaves.empty()) return {};
  std::vector<Hash256> level(leaves.begin(), leaves.end());
  while (level.size() > 1) next_level(level);
  return level[0];
}

std::vector<Hash256> merkle_path(std::span<const Hash256> others) {
  std::vector<Hash256> path;
  std::vector<Hash256> level{Hash256{}};  // Position 0 stands for the coinbase and what is above it; its value never matters.
  level.insert(level.end(), others.begin(), others.end());
  while (level.size() > 1) {
    path.push_back(level[1]);
    next_level(level);
  }
  return path;
}

Hash256 fold_merkle_path(const Hash256& leaf, std::span<const Hash256> path) {
  Hash256 node = leaf;
  for (const Hash256& sibling : path) node = merkle_pair(node, sibling);
  return node;
}

TwoHashes fold_merkle_paths(const TwoHashes& leaves, std::span<const Hash256> path) {
  TwoHashes nodes = leaves;
  for (const Hash256& sibling : path) nodes = merkle_pairs(nodes, sibling);
  return nodes;
}

}  // namespace adit::bitcoin
