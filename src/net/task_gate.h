// Counts what an owner has running on its shard, so that its end can be waited for.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>

#include "base/invariant.h"

namespace adit::net {

/// To be used on one shard's thread. It must outlive its tokens.
class TaskGate {
 public:
  /// One thing that runs. A coroutine keeps one among its locals; whatever ends the coroutine, an abort too, gives it back.
  class [[nodiscard]] Token {
   public:
    explicit Token(TaskGate& gate) : gate_(&gate) { ++gate.running_; }
    Token(Token&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Token& operator=(Token&&) = delete;
    ~Token() {
      if (gate_ != nullptr) gate_->leave();
    }

   private:
    TaskGate* gate_;
  };

  /// Calls `done` once, when nothing runs any more: at once, if that is so now.
  void when_empty(std::function<void()> done) {
    done_ = std::move(done);
    if (running_ == 0) finish();
  }

  [[nodiscard]] std::size_t running() const { return running_; }

 private:
  void leave() {
    ADIT_INVARIANT(running_ != 0);
    if (--running_ == 0) finish();
  }
  void finish() {
    if (done_) std::exchange(done_, nullptr)();
  }

  std::size_t running_ = 0;
  std::function<void()> done_;
};

}  // namespace adit::net
