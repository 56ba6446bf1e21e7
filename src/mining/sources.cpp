#include "mining/sources.h"

#include <algorithm>
#include <iterator>

namespace adit::mining {

bool Source::may_open(std::uint32_t tip, Instant now) {
  if (tip != opens_tip_ || now - opens_since_ >= kPeriod) {
    opens_tip_ = tip;
    opens_since_ = now;
    opens_ = 0;
    accepted_ = 0;
  }
  return opens_ < policy_.max_opens + accepted_;
}

bool Source::is_forgettable(Instant now) { return costs_.owes_nothing(now) && (opens_ == 0 || now - opens_since_ >= kPeriod); }

std::shared_ptr<Source> Sources::of(std::string_view name, Instant now) {
  if (name.empty()) return std::make_shared<Source>(policy_, memory_, now);
  auto& source = known_[std::string(name)];
  if (source != nullptr) return source;
  source = std::make_shared<Source>(policy_, memory_, now);
  const auto found = source;
  if (known_.size() >= sweep_at_) sweep(now);
  return found;
}

void Sources::sweep(Instant now) {
  std::erase_if(known_, [&](const auto& entry) { return entry.second.use_count() == 1 && entry.second->is_forgettable(now); });
  const auto idle =
      static_cast<std::size_t>(std::ranges::count_if(known_, [](const auto& entry) { return entry.second.use_count() == 1; }));
  std::size_t too_many = idle > kMaxIdle / 2 ? idle - kMaxIdle / 2 : 0;
  std::erase_if(known_, [&](const auto& entry) {
    if (too_many == 0 || entry.second.use_count() != 1) return false;
    --too_many;
    return true;
  });
  sweep_at_ = known_.size() + kMaxIdle / 2;
}

}  // namespace adit::mining
