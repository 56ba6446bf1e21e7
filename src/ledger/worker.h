// A thread that does what it is given, one thing after the other.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "base/time.h"

namespace adit::ledger {

/// post() may be called from any thread, also from what runs on this one.
class Worker {
 public:
  Worker() = default;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() { finish(); }

  /// `idle` runs on the thread whenever nothing else is left to do, and again at the moment that it returned; Instant::max():
  /// only after the next post().
  void start(std::function<Instant()> idle = [] { return Instant::max(); }) {
    thread_ = std::thread([this, idle = std::move(idle)] { run(idle); });
  }

  void post(std::function<void()> what) {
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(what));
    }
    changed_.notify_one();
  }

  /// Does what was posted so far, and ends the thread. What is posted later is never done. Not from the thread itself.
  void finish() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void run(const std::function<Instant()>& idle) {
    std::unique_lock lock(mutex_);
    for (;;) {
      while (!queue_.empty()) {
        const std::function<void()> what = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        what();
        lock.lock();
      }
      if (ending_) return;
      lock.unlock();
      const Instant next = idle();
      lock.lock();
      if (!queue_.empty() || ending_) continue;
      if (next == Instant::max()) {
        changed_.wait(lock);
      } else {
        changed_.wait_until(lock, next);
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace adit::ledger
