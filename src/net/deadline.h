// A deadline over everything that is done on one stream: a state of a peer never lasts for ever.
#pragma once

#include <memory>

#include <boost/asio/steady_timer.hpp>

#include "base/time.h"
#include "net/byte_stream.h"

namespace adit::net {

/// Closes `stream` (a ByteStream or a NetworkConnection) after `duration` unless destroyed before; whoever waits on it wakes
/// with kClosed and asks passed(). `stream` must outlive it.
class Deadline {
 public:
  template <class Stream>
  Deadline(asio::io_context& context, Stream& stream, Duration duration) : state_(std::make_shared<State>(context, duration)) {
    state_->timer.async_wait([state = state_, &stream](const boost::system::error_code& error) {
      if (error || state->over) return;
      state->passed = true;
      stream.close(CloseCode::kProtocolError);
    });
  }
  ~Deadline() {
    state_->over = true;
    state_->timer.cancel();
  }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  [[nodiscard]] bool passed() const { return state_->passed; }

 private:
  /// Shared with the timer's handler, which may already be on its way when the deadline is dropped.
  struct State {
    State(asio::io_context& context, Duration duration) : timer(context, duration) {}
    asio::steady_timer timer;
    bool over = false;
    bool passed = false;
  };
  std::shared_ptr<State> state_;
};

}  // namespace adit::net
