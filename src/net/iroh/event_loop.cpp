#include "net/iroh/event_loop.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <limits>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace adit::net {
namespace {

/// Handles of one shard: two for each stream, and what is being opened.
constexpr std::uint32_t kMaxHandles = 1 << 17;
constexpr std::size_t kEventsPerTurn = 128;

Errc code_of(std::int32_t result) {
  switch (result) {
    case ADIT_AGAIN:
      return Errc::kWouldBlock;
    case ADIT_FIN:
      return Errc::kEndOfStream;
    case ADIT_RESET:
    case ADIT_STOPPED:
      return Errc::kReset;
    case ADIT_CLOSED:
    case ADIT_NOT_RUNNING:
      return Errc::kClosed;
    case ADIT_INVALID:
      return Errc::kConfiguration;
    case ADIT_OVERLOADED:
      return Errc::kOverloaded;
    case ADIT_TIMED_OUT:
      return Errc::kTimedOut;
    case ADIT_NO_ROUTE:
    case ADIT_UNREACHABLE:
      return Errc::kUnreachable;
    case ADIT_REFUSED:
      return Errc::kRefused;
    case ADIT_WRONG_PROTOCOL:
      return Errc::kDenied;
    case ADIT_WRONG_PEER:
      return Errc::kHandshake;
    case ADIT_ADDRESS_IN_USE:
      return Errc::kAddressInUse;
    default:  // ADIT_STALE, ADIT_INTERNAL, ADIT_PANIC: a defect
      return Errc::kInternal;
  }
}

/// What to do about it, where the bridge's own words do not say.
std::string_view advice(std::int32_t result) {
  switch (result) {
    case ADIT_NO_ROUTE:
      return "; add ?addr=IP:PORT or ?relay=URL to the upstream's URL, and for a relay set relay in [iroh]";
    case ADIT_UNREACHABLE:
      return "; nobody answered at its addresses: is it running, are the addresses right, does it need a relay?";
    case ADIT_REFUSED:
      return "; the peer takes no connection now";
    case ADIT_WRONG_PROTOCOL:
      return "; the peer does not serve this protocol";
    case ADIT_WRONG_PEER:
      return "; another endpoint id answers at its addresses: check id and addresses";
    case ADIT_ADDRESS_IN_USE:
      return "; choose another port in [iroh], or stop the program that has it";
    default:
      return "";
  }
}

}  // namespace

Error bridge_error(std::int32_t result, adit_handle handle, std::string_view what) {
  std::array<char, 512> words;
  const auto length = adit_error_text(handle, words.data(), words.size());
  std::string message(what);
  if (length > 0) message.append(": ").append(words.data(), std::min(static_cast<std::size_t>(length), words.size()));
  message.append(advice(result));
  return Error(code_of(result), std::move(message));
}

std::uint32_t bridge_ms(Duration duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(ms, 1, std::numeric_limits<std::uint32_t>::max()));
}

Result<std::shared_ptr<EventLoop>> EventLoop::create(Shard& shard) {
  adit_handle loop = 0;
  if (const auto result = adit_loop_create(kMaxHandles, &loop); result != ADIT_OK) {
    return fail(bridge_error(result, 0, "no event loop for iroh"));
  }
  BridgeHandle owned(loop);
  const int duplicate = ::fcntl(adit_loop_fd(loop), F_DUPFD_CLOEXEC, 0);
  if (duplicate < 0) return fail(Errc::kOverloaded, "no descriptor is left for iroh's event loop");
  const auto made =
      std::shared_ptr<EventLoop>(new EventLoop(shard, std::move(owned), Descriptor(shard.context().get_executor(), duplicate)));
  shard.post([made] { made->wait(); });
  return made;
}

void EventLoop::stop() {
  shard_.post([self = shared_from_this()] {
    self->descriptor_.close();
    for (const auto& [handle, waiter] : self->waiters_) {
      waiter->on_event(ADIT_READY_DONE | ADIT_READY_READABLE | ADIT_READY_WRITABLE, ADIT_CLOSED);
    }
  });
}

void EventLoop::wait() {
  descriptor_.async_wait(Descriptor::wait_read, [self = shared_from_this()](const boost::system::error_code& error) {
    if (!error && self->dispatch()) self->wait();
  });
}

/// False once the bridge has stopped.
bool EventLoop::dispatch() {
  std::array<adit_event, kEventsPerTurn> events;
  const auto count = adit_loop_drain(loop_.get(), events.data(), events.size());
  for (std::int32_t i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    if (const auto waiter = waiters_.find(event.handle); waiter != waiters_.end())
      waiter->second->on_event(event.ready, event.result);
  }
  return count >= 0;
}

asio::awaitable<std::int32_t> EventLoop::Done::wait() {
  while (!done_) co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return result_;
}

void EventLoop::Done::on_event(std::uint32_t ready, std::int32_t result) {
  if ((ready & ADIT_READY_DONE) == 0) return;
  done_ = true;
  result_ = result;
  timer_.cancel();
}

asio::awaitable<std::int32_t> EventLoop::done(adit_handle handle) {
  Done done(shared_from_this(), handle);
  co_return co_await done.wait();
}

}  // namespace adit::net
