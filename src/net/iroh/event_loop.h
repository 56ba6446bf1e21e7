// The bridge's events on a shard: one of the bridge's loops, whose descriptor Asio waits on.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "adit_bridge.h"
#include "base/result.h"
#include "base/time.h"
#include "log/limited.h"
#include "net/error.h"
#include "net/shards.h"

namespace adit::net {

/// Owns one handle of the bridge; released with kShutdown. Any thread.
class BridgeHandle {
 public:
  BridgeHandle() = default;
  explicit BridgeHandle(adit_handle handle) : handle_(handle) {}
  BridgeHandle(BridgeHandle&& other) noexcept : handle_(other.give_up()) {}
  BridgeHandle& operator=(BridgeHandle&& other) noexcept {
    reset();
    handle_ = other.give_up();
    return *this;
  }
  ~BridgeHandle() { reset(); }

  [[nodiscard]] adit_handle get() const { return handle_; }
  adit_handle give_up() { return std::exchange(handle_, 0); }
  void reset() {
    if (handle_ != 0) adit_release(give_up(), static_cast<std::uint64_t>(CloseCode::kShutdown));
  }

 private:
  adit_handle handle_ = 0;
};

/// What a failure of the bridge means to net, with `what` before the bridge's words about `handle` (0: the last call's).
Error bridge_error(std::int32_t result, adit_handle handle, std::string_view what);

/// Whole milliseconds for the bridge, at least one.
std::uint32_t bridge_ms(Duration duration);

/// Hands the bridge's events to whoever waits for them, on the thread of one shard. Everything but create and stop is for that
/// thread. Kept alive by its own wait until stop() or the end of the shard's io_context.
class EventLoop : public std::enable_shared_from_this<EventLoop> {
 public:
  /// Told of a handle's events. A handle has at most one waiter.
  class Waiter {
   public:
    /// `ready`: ADIT_READY_* bits. Must not destroy, watch or forget any waiter.
    virtual void on_event(std::uint32_t ready, std::int32_t result) = 0;

   protected:
    ~Waiter() = default;
  };

  /// Any thread; `shard` must outlive the loop. Errors: kOverloaded (no descriptor to be had).
  static Result<std::shared_ptr<EventLoop>> create(Shard& shard);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  /// The node is going: from now on every end of a stream is our own doing. Any thread.
  void leave() { leaving_ = true; }
  [[nodiscard]] bool leaving() const { return leaving_; }

  /// Ends the wait and wakes every waiter: there will be no more events. Any thread.
  void stop();

  [[nodiscard]] Shard& shard() const { return shard_; }
  [[nodiscard]] adit_handle handle() const { return loop_.get(); }

  /// A connection's data goes another way than before; any thread may ask how often that was.
  void count_moves(std::uint64_t more) { moves_ += more; }
  [[nodiscard]] std::uint64_t moves() const { return moves_; }

  /// What is logged of that, over all connections of this loop: strangers can make as many as they like.
  [[nodiscard]] log::Limited& moves_log() { return moves_log_; }

  void watch(adit_handle handle, Waiter& waiter) { waiters_[handle] = &waiter; }
  void forget(adit_handle handle) { waiters_.erase(handle); }

  /// The end of what began a handle, awaited by one coroutine. Made on the loop's thread in the turn that began the handle, or
  /// its event may have passed.
  class Done;

  /// Waits for what was begun in this turn to end. The bridge holds the deadline.
  asio::awaitable<std::int32_t> done(adit_handle handle);

 private:
  using Descriptor = asio::posix::basic_stream_descriptor<asio::io_context::executor_type>;

  EventLoop(Shard& shard, BridgeHandle loop, Descriptor descriptor)
      : shard_(shard), loop_(std::move(loop)), descriptor_(std::move(descriptor)) {}
  void wait();
  bool dispatch();

  Shard& shard_;
  BridgeHandle loop_;
  Descriptor descriptor_;  ///< A duplicate: the bridge's own is not ours to close.
  std::unordered_map<adit_handle, Waiter*> waiters_;
  std::atomic<bool> leaving_{false};
  std::atomic<std::uint64_t> moves_{0};
  log::Limited moves_log_{"iroh.more_path_changes"};
};

class EventLoop::Done final : private Waiter {
 public:
  Done(std::shared_ptr<EventLoop> loop, adit_handle handle)
      : loop_(std::move(loop)), handle_(handle), timer_(loop_->shard().context(), asio::steady_timer::time_point::max()) {
    loop_->watch(handle_, *this);
  }
  ~Done() { loop_->forget(handle_); }
  Done(const Done&) = delete;
  Done& operator=(const Done&) = delete;

  asio::awaitable<std::int32_t> wait();

 private:
  void on_event(std::uint32_t ready, std::int32_t result) override;

  std::shared_ptr<EventLoop> loop_;
  adit_handle handle_;
  asio::steady_timer timer_;
  bool done_ = false;
  std::int32_t result_ = 0;
};

}  // namespace adit::net
