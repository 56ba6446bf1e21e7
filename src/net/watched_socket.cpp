#include "net/watched_socket.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/detail/reactor.hpp>
#include <boost/asio/detail/reactor_op.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include "base/fd.h"
#include "base/invariant.h"

namespace adit::net {
namespace {

/// What is watched of each socket. Edge-triggered: an arrival is reported once, with all that holds at that moment.
constexpr std::uint32_t kWatched = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET;
/// With one of these a read that was short is not the last: the end or an error waits behind the bytes, and urgent data cuts a
/// read short.
constexpr std::uint32_t kReadToTheEnd = EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI;
constexpr std::uint32_t kReadable = EPOLLIN | kReadToTheEnd;
constexpr std::uint32_t kWritable = EPOLLOUT | EPOLLHUP | EPOLLERR;
constexpr std::size_t kEventsAtOnce = 128;

}  // namespace

/// The sockets of one loop: a service of its io_context.
///
/// It is registered with Asio's reactor as Asio registers its own signal pipe, which no public function does: as an operation
/// that stays. Waiting for the set by async_wait would cost the epoll_ctl that the set is here to save, once a wake of the
/// loop.
class WatchedSocket::EpollSet final : public asio::execution_context::service {
 public:
  inline static asio::execution_context::id id;

  explicit EpollSet(asio::io_context& context)
      : asio::execution_context::service(context),
        context_(context),
        reactor_(asio::use_service<asio::detail::reactor>(context)),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll_.ok()) fail_by(errno, "epoll_create1");
    reactor_.init_task();
    const int error =
        reactor_.register_internal_descriptor(asio::detail::reactor::read_op, epoll_.get(), registration_, &ready_);
    if (error != 0) {
      leave_reactor();
      fail_by(error, "epoll_ctl");
    }
  }

  /// False: the kernel has no room for one more.
  bool add(WatchedSocket& socket) {
    epoll_event wanted{.events = kWatched, .data = {.ptr = &socket}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.fd_, &wanted) != 0) return false;
    socket.next_ = sockets_;
    if (sockets_) sockets_->previous_ = &socket;
    sockets_ = &socket;
    return true;
  }

  void remove(WatchedSocket& socket) {
    // Not left to close(): a descriptor that another process has inherited would go on being reported.
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.fd_, nullptr);
    (socket.previous_ ? socket.previous_->next_ : sockets_) = socket.next_;
    if (socket.next_) socket.next_->previous_ = socket.previous_;
    // What was fetched together with the event that is being handled may name it.
    if (dispatched_ == &socket) dispatched_ = nullptr;
    for (auto& event : fetched_) {
      if (event.data.ptr == &socket) event.data.ptr = nullptr;
    }
  }

  void watch_writing(WatchedSocket& socket, bool wanted) {
    if (std::exchange(socket.watches_writing_, wanted) == wanted) return;
    epoll_event event{.events = kWatched | (wanted ? EPOLLOUT : 0U), .data = {.ptr = &socket}};
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket.fd_, &event);
  }

  /// Suspends a coroutine until it is taken out of `waiter` and resumed. With `ready` it need not wait: it is resumed from the
  /// loop, soon.
  asio::awaitable<Result<void>> wait(std::optional<Waiter>& waiter, bool ready) {
    Token token;
    return asio::async_initiate<Token, Signature>(
        [this, &waiter, ready](Waiter waits) {
          ADIT_INVARIANT(!waiter);
          if (ready) {
            return asio::post(context_, [taken = std::move(waits)]() mutable { std::move(taken)(Result<void>()); });
          }
          if (auto slot = asio::get_associated_cancellation_slot(waits); slot.is_connected()) {
            slot.assign([this, &waiter, over = false](asio::cancellation_type) mutable {
              if (!std::exchange(over, true)) cancel(waiter);  // The socket may be gone when it is called again.
            });
          }
          waiter.emplace(std::move(waits));
        },
        token);
  }

  /// Resumes who waits, with kClosed and from the loop.
  void cancel(std::optional<Waiter>& waiter) {
    if (!waiter) return;
    asio::post(context_, [taken = take(waiter)]() mutable {
      std::move(taken)(Result<void>(fail(Errc::kClosed, "the wait was cancelled")));
    });
  }

 private:
  /// Asio's loop performs it when the set has something to report, and keeps it.
  struct Ready final : asio::detail::reactor_op {
    explicit Ready(EpollSet& in) : reactor_op({}, &Ready::perform_now, &Ready::complete_never), set(in) {}
    static status perform_now(reactor_op* base) {
      static_cast<Ready*>(base)->set.dispatch();
      return not_done;
    }
    static void complete_never(void*, asio::detail::operation*, const boost::system::error_code&, std::size_t) {}
    EpollSet& set;
  };

  /// Who still waits is a coroutine, which is destroyed while every service stands.
  void shutdown() override {
    leave_reactor();
    std::vector<Waiter> waiting;
    for (auto* socket = sockets_; socket; socket = socket->next_) {
      for (auto* const waiter : {&socket->reader_, &socket->writer_}) {
        if (*waiter) waiting.push_back(take(*waiter));
      }
    }
  }

  /// As Asio's services fail that cannot be made.
  [[noreturn]] static void fail_by(int error, const char* call) {
    throw boost::system::system_error({error, boost::system::system_category()}, call);
  }

  void leave_reactor() {
    reactor_.deregister_internal_descriptor(epoll_.get(), registration_);
    reactor_.cleanup_descriptor_data(registration_);
  }

  static Waiter take(std::optional<Waiter>& waiter) {
    Waiter taken = std::move(*waiter);
    waiter.reset();
    return taken;
  }

  void dispatch() {
    std::array<epoll_event, kEventsAtOnce> events;
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), 0);
    if (count <= 0) return;
    fetched_ = std::span(events).first(static_cast<std::size_t>(count));
    for (const auto& event : fetched_) __builtin_prefetch(event.data.ptr);
    while (!fetched_.empty()) {
      const auto event = fetched_.front();
      fetched_ = fetched_.subspan(1);
      if (event.data.ptr) on_event(*static_cast<WatchedSocket*>(event.data.ptr), event.events);
    }
    // There may be more, of which the loop heard together with these; what else it has to do comes first.
    if (count == static_cast<int>(kEventsAtOnce)) asio::post(context_, [this] { dispatch(); });
  }

  void on_event(WatchedSocket& socket, std::uint32_t events) {
    if ((events & kReadToTheEnd) != 0) socket.read_to_the_end_ = true;
    if ((events & kReadable) != 0) {
      socket.may_read_ = true;
      if (socket.woken_) std::exchange(socket.woken_, nullptr)->cancel();
    }
    if ((events & kWritable) != 0) {
      if (socket.writer_) {
        dispatched_ = &socket;
        take(socket.writer_)(Result<void>());
        if (!std::exchange(dispatched_, nullptr)) return;  // It was closed, and may be gone.
      } else {
        watch_writing(socket, false);
      }
    }
    if (socket.may_read_ && socket.reader_) take(socket.reader_)(Result<void>());
  }

  asio::io_context& context_;
  asio::detail::reactor& reactor_;
  asio::detail::reactor::per_descriptor_data registration_{};
  Ready ready_{*this};
  Fd epoll_;
  WatchedSocket* sockets_ = nullptr;
  std::span<epoll_event> fetched_;       ///< Events that are still to be handled.
  WatchedSocket* dispatched_ = nullptr;  ///< The socket whose event is being handled; null once it is closed.
};

void WatchedSocket::prepare(asio::io_context& context) { (void)asio::use_service<EpollSet>(context); }

WatchedSocket::WatchedSocket(asio::io_context& context, int fd) : set_(asio::use_service<EpollSet>(context)), fd_(fd) {
  if (!set_.add(*this)) ::close(std::exchange(fd_, -1));
}

asio::awaitable<Result<void>> WatchedSocket::wait_readable() { return set_.wait(reader_, may_read_); }

asio::awaitable<Result<void>> WatchedSocket::wait_writable() {
  set_.watch_writing(*this, true);
  return set_.wait(writer_, false);
}

bool WatchedSocket::wake_when_readable(const std::shared_ptr<asio::steady_timer>& woken) {
  if (may_read_) return false;
  woken_ = woken;
  return true;
}

void WatchedSocket::close() {
  if (fd_ < 0) return;
  set_.remove(*this);
  ::close(std::exchange(fd_, -1));
  for (auto* const waiter : {&reader_, &writer_}) {
    if (!*waiter) continue;
    asio::get_associated_cancellation_slot(**waiter).clear();  // It names the socket.
    set_.cancel(*waiter);
  }
  if (woken_) std::exchange(woken_, nullptr)->cancel();
}

}  // namespace adit::net
