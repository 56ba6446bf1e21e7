#include "roles/miner/hasher.h"

#include <algorithm>
#include <bit>

namespace adit::miner {
namespace {

// Final padding of a message of `bits` bits whose last block holds `used` bytes of it.
void pad(std::array<std::uint8_t, 64>& block, std::size_t used, std::uint64_t bits) {
  block[used] = 0x80;
  store_be(block.data() + 56, bits);
}

bool not_above(const Sha256State& state, const std::array<std::uint8_t, 32>& target_le) {
  for (std::size_t word = 8; word-- > 0;) {
    const std::uint32_t hash = std::byteswap(state[word]);
    const std::uint32_t target = load_le<std::uint32_t>(target_le.data() + 4 * word);
    if (hash != target) return hash < target;
  }
  return true;
}

}  // namespace

Hasher::Hasher(const HashWork& work)
    : compress_(sha256_implementation().compress),
      midstate_(kSha256InitialState),
      target_le_(work.target_le),
      target_top_(load_le<std::uint32_t>(work.target_le.data() + 28)) {
  compress_(midstate_, work.header.data(), 1);
  std::copy_n(work.header.data() + 64, 16, tail_.data());
  pad(tail_, 16, 80 * 8);
  pad(digest_block_, 32, 32 * 8);
}

std::optional<std::uint32_t> Hasher::search(std::uint32_t first, std::uint32_t count) {
  for (std::uint32_t tried = 0; tried < count; ++tried) {
    const std::uint32_t nonce = first + tried;
    store_le(tail_.data() + 12, nonce);
    Sha256State state = midstate_;
    compress_(state, tail_.data(), 1);
    for (std::size_t word = 0; word < 8; ++word) store_be(digest_block_.data() + 4 * word, state[word]);
    state = kSha256InitialState;
    compress_(state, digest_block_.data(), 1);
    // Nearly every hash is too high by its top word alone.
    if (std::byteswap(state[7]) <= target_top_ && not_above(state, target_le_)) return nonce;
  }
  return std::nullopt;
}

}  // namespace adit::miner
