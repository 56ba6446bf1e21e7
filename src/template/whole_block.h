// The transactions of a template that come behind it.
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

/// Set once, by whoever fetches it; thread-safe. T is cheap to copy.
template <class T>
class Fetched {
 public:
  using Done = std::function<void(const Result<T>& value)>;

  /// What was fetched, or why there is none. A second call does nothing.
  void set(Result<T> value) {
    std::vector<Done> waiting;
    {
      const std::lock_guard lock(mutex_);
      if (value_) return;
      value_ = std::move(value);
      waiting.swap(waiting_);
    }
    set_.notify_all();
    for (const Done& done : waiting) done(*value_);  // It does not change any more.
  }

  /// Calls `done` once it is set: at once, or on the thread that sets it.
  void when_set(Done done) {
    {
      const std::lock_guard lock(mutex_);
      if (!value_) {
        waiting_.push_back(std::move(done));
        return;
      }
    }
    done(*value_);
  }

  /// Waits for it. Errors: kTimedOut; what it was set to.
  Result<T> wait(Duration deadline) const {
    std::unique_lock lock(mutex_);
    if (!set_.wait_for(lock, deadline, [this] { return value_.has_value(); }))
      return fail(Errc::kTimedOut, "the node has not given the template's transactions");
    return *value_;
  }

  /// It is set, and there is none.
  [[nodiscard]] bool is_error() const {
    const std::lock_guard lock(mutex_);
    return value_ && !*value_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable set_;
  std::optional<Result<T>> value_;
  std::vector<Done> waiting_;
};

/// As a whole block of the node's.
struct WholeBlock : Fetched<std::shared_ptr<const std::vector<std::uint8_t>>> {
  using Bytes = std::shared_ptr<const std::vector<std::uint8_t>>;
};

}  // namespace adit::templates
