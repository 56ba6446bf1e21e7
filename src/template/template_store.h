// The templates that a source gave out, by id.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

#include "base/result.h"
#include "base/time.h"
#include "template/source.h"

namespace adit::templates {

/// A template is found as long as somebody holds it: a shard does while one of its jobs is valid. Beyond that the store itself
/// holds the newest ones: a bounded number of the present tip, and those of earlier tips for a while (SRI and sv2-tp: ten
/// seconds). Thread-safe.
class TemplateStore {
 public:
  static constexpr std::size_t kMaxHeld = 8;
  static constexpr Duration kHeldAfterTip = std::chrono::seconds(15);

  /// `new_tip`: the templates before it are stale from now on.
  void add(TemplatePtr added, bool new_tip, Instant now) {
    const std::lock_guard lock(mutex_);
    last_id_ = added->id;
    std::erase_if(known_, [](const auto& one) { return one.second.expired(); });
    known_[added->id] = added;
    if (new_tip) {
      for (Held& held : held_) held.until = std::min(held.until, now + kHeldAfterTip);
    }
    held_.push_back({std::move(added), Instant::max()});
    while (held_.size() > kMaxHeld || held_.front().until <= now) held_.pop_front();
  }

  /// Errors: kUnknownTemplate for an id that was not given out, kStaleTemplate for one that is gone.
  [[nodiscard]] Result<TemplatePtr> find(TemplateId id) const {
    const std::lock_guard lock(mutex_);
    if (const auto known = known_.find(id); known != known_.end()) {
      if (auto held = known->second.lock()) return held;
    }
    const std::string name = "template " + std::to_string(id);
    if (id == 0 || id > last_id_) return fail(Errc::kUnknownTemplate, name + " was never given out");
    return fail(Errc::kStaleTemplate, name + " is not kept any more: its tip is gone");
  }

  /// As TemplateSource::transactions; calls `done` before it returns.
  void transactions(TemplateId id, const std::function<void(Result<TemplateSource::Transactions>)>& done) const {
    auto found = find(id);
    if (!found) return done(fail(std::move(found.error())));
    const auto* const transactions = &(*found)->transactions;
    done(TemplateSource::Transactions(std::move(*found), transactions));
  }

 private:
  struct Held {
    TemplatePtr one;
    Instant until;
  };

  mutable std::mutex mutex_;
  std::map<TemplateId, std::weak_ptr<const Template>> known_;
  std::deque<Held> held_;  ///< Oldest first.
  TemplateId last_id_ = 0;
};

}  // namespace adit::templates
