// Something that is done again and again on a shard.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include <boost/asio/steady_timer.hpp>

#include "base/time.h"
#include "net/shards.h"

namespace adit::net {

/// Calls `each` on the shard's loop, first after one `period`, until it is stopped or destroyed; a call that comes late delays
/// those behind it. `each` may stop or destroy the ticker. All on the shard's thread.
class Ticker {
 public:
  Ticker(Shard& shard, Duration period, std::function<void()> each)
      : state_(std::make_shared<State>(shard.context(), period, std::move(each))) {
    next(state_);
  }
  ~Ticker() { stop(); }
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  void stop() {
    state_->stopped = true;
    state_->timer.cancel();
  }

 private:
  /// Shared with the timer's handler, which may already be on its way when the ticker is stopped.
  struct State {
    State(asio::io_context& context, Duration each_time, std::function<void()> what)
        : timer(context), period(each_time), each(std::move(what)) {}
    asio::steady_timer timer;
    Duration period;
    std::function<void()> each;
    bool stopped = false;
  };
  static void next(const std::shared_ptr<State>& state) {
    state->timer.expires_after(state->period);
    state->timer.async_wait([state](const boost::system::error_code& error) {
      if (error || state->stopped) return;
      state->each();
      if (!state->stopped) next(state);
    });
  }

  std::shared_ptr<State> state_;
};

}  // namespace adit::net
