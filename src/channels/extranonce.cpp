#include "channels/extranonce.h"

#include <algorithm>

#include "base/invariant.h"

namespace adit::channels {
namespace {

constexpr std::uint32_t kTipsToRest = 2;

}  // namespace

std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kExtranonceExhausted:
      return "extranonce-exhausted";
    case Errc::kCoinbase:
      return "coinbase";
    case Errc::kHashRate:
      return "hash-rate";
    case Errc::kUnknownJob:
      return "unknown-job";
    case Errc::kPayout:
      return "payout";
    case Errc::kMessage:
      return "message";
  }
  return "unknown";
}

ExtranonceAllocator::ExtranonceAllocator(const Config& config) : config_(config) {
  config_.capacity = std::clamp(config_.capacity, std::uint64_t{1}, kMaxCapacity);
}

Result<ExtranonceLease> ExtranonceAllocator::allocate() {
  std::uint32_t index = 0;
  if (!resting_.empty() && tips_ - resting_.front().since_tip >= kTipsToRest) {
    index = resting_.front().index;
    resting_.pop_front();
  } else if (started_ < config_.capacity) {
    index = static_cast<std::uint32_t>((config_.first_index + started_++) % config_.capacity);
  } else {
    return fail(Errc::kExtranonceExhausted, "all " + std::to_string(config_.capacity) + " extranonce prefixes of shard " +
                                                std::to_string(config_.shard) + " are in use or resting until the next blocks");
  }
  ++live_;
  return ExtranonceLease(this, prefix_of(index));
}

ExtranoncePrefix ExtranonceAllocator::prefix_of(std::uint32_t index) const {
  ExtranoncePrefix prefix{};
  store_be(prefix.data(), config_.server_id);
  store_be(prefix.data() + 2, config_.shard);
  store_be(prefix.data() + 4, index);
  return prefix;
}

void ExtranonceAllocator::give_back(const ExtranoncePrefix& prefix) {
  ADIT_INVARIANT(live_ != 0);
  --live_;
  resting_.push_back({load_be<std::uint32_t>(prefix.data() + 4), tips_});
}

}  // namespace adit::channels
