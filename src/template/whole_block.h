// The transactions of a template that come behind it, as a whole block of the node's.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "template/error.h"

namespace adit::templates {

/// Set once, by whoever fetches it; thread-safe.
class WholeBlock {
 public:
  using Bytes = std::shared_ptr<const std::vector<std::uint8_t>>;
  using Done = std::function<void(const Result<Bytes>& block)>;

  /// The block, or why there is none. A second call does nothing.
  void set(Result<Bytes> block) {
    std::vector<Done> waiting;
    {
      const std::lock_guard lock(mutex_);
      if (block_) return;
      block_ = std::move(block);
      waiting.swap(waiting_);
    }
    set_.notify_all();
    for (const Done& done : waiting) done(*block_);  // It does not change any more.
  }

  /// Calls `done` once it is set: at once, or on the thread that sets it.
  void when_set(Done done) {
    {
      const std::lock_guard lock(mutex_);
      if (!block_) {
        waiting_.push_back(std::move(done));
        return;
      }
    }
    done(*block_);
  }

  /// Waits for it. Errors: kTimedOut; what it was set to.
  Result<Bytes> wait(Duration deadline) const {
    std::unique_lock lock(mutex_);
    if (!set_.wait_for(lock, deadline, [this] { return block_.has_value(); }))
      return fail(Errc::kTimedOut, "the node has not given the template's transactions");
    return *block_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable set_;
  std::optional<Result<Bytes>> block_;
  std::vector<Done> waiting_;
};

}  // namespace adit::templates
