#include "roles/load/search.h"

namespace adit::load {

std::optional<std::uint32_t> ShareSearch::next() {
  const bool blocks_only = target_ <= network_target_;
  for (std::uint32_t tries = 0; tries < kMaxTries; ++tries) {
    const std::uint32_t nonce = next_nonce_++;
    store_le(tail_.data() + 12, nonce);
    const auto hash = bitcoin::U256::from_le(midstate_.hash(tail_));
    if (hash <= target_ && (hash > network_target_ || blocks_only)) return nonce;
  }
  return std::nullopt;
}

}  // namespace adit::load
