#include "net/tcp.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <system_error>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "log/log.h"

namespace adit::net {
namespace {

using asio::ip::tcp;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

/// TcpStream's failure_ after the peer finished cleanly; no errno has this value.
constexpr int kEnded = -1;
constexpr int kBacklog = 4096;
/// Accepts in one turn of the loop; others of the shard go on in between.
constexpr int kAcceptsPerTurn = 64;
constexpr auto kPauseWithoutResources = std::chrono::milliseconds(100);
/// How often a listener logs that it cannot accept.
constexpr auto kAcceptComplaintEvery = std::chrono::seconds(10);

std::string system_text(int error) { return std::system_category().message(error); }

std::string to_text(const tcp::endpoint& endpoint) {
  auto address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  const auto text = address.to_string();
  return (address.is_v6() ? "[" + text + "]" : text) + ":" + std::to_string(endpoint.port());
}

void set_option(int socket, int level, int option, int value) {
  // Each is an improvement and none a need: a kernel that lacks one still carries the bytes.
  (void)::setsockopt(socket, level, option, &value, sizeof value);
}

/// The kernel's tcp_info, of which the C library's header has the beginning; linux/tcp.h, which has all, cannot be included
/// beside it.
struct TcpInfo {
  tcp_info beginning;
  std::uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
  std::uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
};
static_assert(offsetof(TcpInfo, pacing_rate) == 104);

/// Of an open socket; nothing from a kernel that does not say.
std::optional<TcpInfo> info_of(int socket) {
  TcpInfo info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  return info;
}

CarrierFigures figures_of(const TcpInfo& info) {
  const auto& beginning = info.beginning;
  return {.heard = info.segs_in,
          .heard_ago = std::chrono::milliseconds(std::min(beginning.tcpi_last_ack_recv, beginning.tcpi_last_data_recv)),
          .packets_sent = info.data_segs_out,
          .packets_lost = beginning.tcpi_total_retrans,
          .congestion_window = std::uint64_t{beginning.tcpi_snd_cwnd} * beginning.tcpi_snd_mss,
          .mtu = beginning.tcpi_snd_mss};
}

/// Owns a descriptor on its way to another thread.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

Errc code_of_connect(const boost::system::error_code& error) {
  if (error == asio::error::connection_refused) return Errc::kRefused;
  if (error == asio::error::timed_out || error == asio::error::operation_aborted) return Errc::kTimedOut;
  if (error == asio::error::network_unreachable || error == asio::error::host_unreachable || error.value() == EADDRNOTAVAIL ||
      error.value() == EACCES || error.value() == EAFNOSUPPORT) {
    return Errc::kUnreachable;
  }
  return error == asio::error::connection_reset ? Errc::kReset : Errc::kInternal;
}

std::string reason_of_connect(Errc code, const boost::system::error_code& error) {
  switch (code) {
    case Errc::kRefused:
      return "nobody listens there (connection refused)";
    case Errc::kTimedOut:
      return "no answer in time; is the address right, and does a firewall let it through?";
    default:
      return error.message();
  }
}

/// A lookup on its own, so that its caller can stop waiting: getaddrinfo cannot be interrupted.
struct Lookup {
  explicit Lookup(asio::io_context& context) : resolver(context), done(context) {}
  tcp::resolver resolver;
  asio::steady_timer done;
  bool finished = false;
  boost::system::error_code error;
  std::vector<tcp::endpoint> endpoints;
};

asio::awaitable<Result<std::vector<tcp::endpoint>>> resolve(Shard& shard, const TcpConfig& to, Duration deadline) {
  boost::system::error_code no_address;
  if (const auto address = asio::ip::make_address(to.host, no_address); !no_address) {
    co_return std::vector<tcp::endpoint>{{address, to.port}};
  }
  const auto lookup = std::make_shared<Lookup>(shard.context());
  lookup->done.expires_after(deadline);
  lookup->resolver.async_resolve(to.host, std::to_string(to.port), tcp::resolver::numeric_service,
                                 [lookup](const boost::system::error_code& error, const tcp::resolver::results_type& results) {
                                   lookup->finished = true;
                                   lookup->error = error;
                                   for (const auto& entry : results) lookup->endpoints.push_back(entry.endpoint());
                                   lookup->done.cancel();
                                 });
  if (!lookup->finished) co_await lookup->done.async_wait(kAwait);
  if (!lookup->finished)
    co_return fail(Errc::kTimedOut, "the name '" + to.host + "' was not resolved in time; is DNS working here?");
  if (lookup->error || lookup->endpoints.empty()) {
    co_return fail(Errc::kUnreachable, "the host name '" + to.host + "' cannot be resolved (" + lookup->error.message() + ")");
  }
  co_return std::move(lookup->endpoints);
}

}  // namespace

TcpStream::TcpStream(Socket socket, Duration silent_host) : socket_(std::move(socket)) {
  boost::system::error_code ignored;
  peer_ = socket_.remote_endpoint(ignored);
  socket_.native_non_blocking(true, ignored);
  opened_at_ = now_from_system().instant;
  const int fd = socket_.native_handle();
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  // Whole seconds. It is asked early and often, so that single losses mean nothing; the last option decides.
  const auto seconds = static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(silent_host).count());
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, std::max(1, seconds / 5));
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, seconds / 10));
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 10);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, seconds * 1000);
}

TcpStream::~TcpStream() { close(CloseCode::kShutdown); }

std::unexpected<Error> TcpStream::dead(int system_error) {
  failure_ = system_error;
  switch (system_error) {
    case kEnded:
      return fail(Errc::kEndOfStream, "the peer closed the connection");
    case ETIMEDOUT:
      return fail(Errc::kTimedOut, "the peer's host no longer answers");
    case ECONNRESET:
    case EPIPE:
      return fail(Errc::kReset, "the connection was reset");
    default:
      return fail(Errc::kReset, system_text(system_error));
  }
}

Result<std::size_t> TcpStream::try_read(MutableBytes into) {
  if (closed_) return fail(Errc::kClosed, "closed here");
  if (failure_ != 0) return dead(failure_);
  if (std::exchange(drained_, false)) return fail(Errc::kWouldBlock, {});
  for (;;) {
    const ssize_t count = ::recv(socket_.native_handle(), into.data(), into.size(), 0);
    if (count > 0) {
      // A short read emptied the socket: the next try can be answered without asking the kernel, as waiting asks it anyway.
      drained_ = static_cast<std::size_t>(count) < into.size();
      bytes_received_ += static_cast<std::uint64_t>(count);
      return static_cast<std::size_t>(count);
    }
    if (count == 0) return dead(kEnded);
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return fail(Errc::kWouldBlock, {});
    return dead(errno);
  }
}

Result<std::size_t> TcpStream::try_write(Bytes from) {
  if (closed_) return fail(Errc::kClosed, "closed here");
  if (failure_ != 0 && failure_ != kEnded) return dead(failure_);
  for (;;) {
    const ssize_t count = ::send(socket_.native_handle(), from.data(), from.size(), MSG_NOSIGNAL);
    if (count > 0) {
      bytes_sent_ += static_cast<std::uint64_t>(count);
      return static_cast<std::size_t>(count);
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return fail(Errc::kWouldBlock, {});
    return dead(errno);
  }
}

asio::awaitable<Result<void>> TcpStream::wait_readable() {
  if (closed_) co_return fail(Errc::kClosed, "closed here");
  const auto [error] = co_await socket_.async_wait(Socket::wait_read, kAwait);
  if (error) co_return fail(Errc::kClosed, "the wait was cancelled");
  co_return Result<void>();
}

asio::awaitable<Result<void>> TcpStream::wait_writable() {
  if (closed_) co_return fail(Errc::kClosed, "closed here");
  const auto [error] = co_await socket_.async_wait(Socket::wait_write, kAwait);
  if (error) co_return fail(Errc::kClosed, "the wait was cancelled");
  co_return Result<void>();
}

bool TcpStream::wake_when_readable(const std::shared_ptr<asio::steady_timer>& woken) {
  if (closed_) return false;
  if (!waking_) waking_ = std::make_shared<bool>(false);
  if (std::exchange(*waking_, true)) return true;
  socket_.async_wait(Socket::wait_read, [waking = waking_, woken](const boost::system::error_code&) {
    *waking = false;
    woken->cancel();
  });
  return true;
}

void TcpStream::finish() {
  if (closed_) return;
  boost::system::error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void TcpStream::close(CloseCode) {
  if (closed_) return;
  last_figures_ = TcpStream::figures();
  closed_ = true;
  boost::system::error_code ignored;
  socket_.close(ignored);
}

ConnectionMetadata TcpStream::metadata() const {
  ConnectionMetadata metadata;
  metadata.transport = Transport::kTcp;
  metadata.peer = to_text(peer_);
  metadata.source = metadata.peer;
  metadata.path = Path::kDirect;
  metadata.bytes_received = bytes_received_;
  metadata.bytes_sent = bytes_sent_;
  metadata.opened_at = opened_at_;
  metadata.figures = last_figures_;
  if (closed_) return metadata;
  if (const auto info = info_of(const_cast<Socket&>(socket_).native_handle())) {
    if (info->beginning.tcpi_rtt != 0) metadata.path_rtt = std::chrono::microseconds(info->beginning.tcpi_rtt);
    metadata.figures = figures_of(*info);
  }
  return metadata;
}

std::optional<CarrierFigures> TcpStream::figures() const {
  if (closed_) return std::nullopt;
  const auto info = info_of(const_cast<Socket&>(socket_).native_handle());
  return info ? std::optional(figures_of(*info)) : std::nullopt;
}

struct TcpListener::State {
  State(Shard& shard, Duration silence) : home(shard), silent_host(silence), acceptor(shard.context()) {}

  Shard& home;
  const Duration silent_host;
  asio::basic_socket_acceptor<tcp, asio::io_context::executor_type> acceptor;
  tcp::endpoint bound;
  std::atomic<bool> stopped{false};
  std::atomic<std::uint64_t> failed_accepts{0};
  std::optional<Instant> complained_at;  ///< Of failed accepts.
};

Result<std::unique_ptr<TcpListener>> TcpListener::bind(Shard& home, const TcpConfig& at, Duration silent_host) {
  const auto name = (at.host.find(':') != std::string::npos ? "[" + at.host + "]" : at.host) + ":" + std::to_string(at.port);
  boost::system::error_code error;
  const auto address = asio::ip::make_address(at.host == "localhost" ? "127.0.0.1" : at.host, error);
  if (error)
    return fail(Errc::kConfiguration,
                "cannot listen on '" + name + "': the host must be an IP address of this machine, 0.0.0.0 or [::]");

  const tcp::endpoint endpoint(address, at.port);
  auto state = std::make_shared<State>(home, silent_host);
  state->acceptor.open(endpoint.protocol(), error);
  if (!error) state->acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) state->acceptor.bind(endpoint, error);
  if (!error) state->acceptor.listen(kBacklog, error);
  if (!error) state->acceptor.native_non_blocking(true, error);
  if (!error) state->bound = state->acceptor.local_endpoint(error);
  if (error == asio::error::address_in_use) {
    return fail(Errc::kAddressInUse, "cannot listen on " + name + ": port " + std::to_string(at.port) +
                                         " is in use by another program; stop that program or configure another port");
  }
  if (error.value() == EACCES) {
    return fail(Errc::kConfiguration, "cannot listen on " + name + ": ports below 1024 need a privilege; choose a higher port");
  }
  if (error.value() == EADDRNOTAVAIL) {
    return fail(Errc::kConfiguration,
                "cannot listen on " + name + ": this machine has no such address; 0.0.0.0 listens on all it has");
  }
  if (error) return fail(Errc::kInternal, "cannot listen on " + name + ": " + error.message());
  return std::unique_ptr<TcpListener>(new TcpListener(std::move(state)));
}

TcpListener::TcpListener(std::shared_ptr<State> state) : state_(std::move(state)) {}

TcpListener::~TcpListener() { stop(); }

namespace {

/// Gives one accepted socket to its shard.
void hand_over(Shard& shard, Descriptor descriptor, tcp protocol, Duration silent_host,
               const std::shared_ptr<const TcpListener::OnStream>& on_stream) {
  shard.post([&shard, protocol, silent_host, on_stream, descriptor = std::move(descriptor)]() mutable {
    boost::system::error_code error;
    TcpStream::Socket socket(shard.context());
    const int fd = descriptor.release();
    socket.assign(protocol, fd, error);
    if (error) {
      ::close(fd);
      return;
    }
    (*on_stream)(shard, std::make_unique<TcpStream>(std::move(socket), silent_host));
  });
}

}  // namespace

void TcpListener::complain(State& state, int reason) {
  const Instant now = now_from_system().instant;
  if (state.complained_at && now - *state.complained_at < kAcceptComplaintEvery) return;
  state.complained_at = now;
  log::warn("net.accept_failed", {{"address", to_text(state.bound)},
                                  {"failed", state.failed_accepts.load()},
                                  {"error", system_text(reason)},
                                  {"message", reason == EMFILE ? "connections wait until others have ended: raise the limit of "
                                                                 "open files (ulimit -n), or lower max_connections"
                                                               : "connections wait until the system has room for them"}});
}

asio::awaitable<void> TcpListener::accept_loop(std::shared_ptr<State> state, Shards& shards,
                                               std::shared_ptr<const OnStream> on_stream) {
  while (!state->stopped) {
    const auto [error] = co_await state->acceptor.async_wait(asio::socket_base::wait_read, kAwait);
    if (error || state->stopped) break;
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      const int fd = ::accept4(state->acceptor.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        hand_over(shards.next(), Descriptor(fd), state->bound.protocol(), state->silent_host, on_stream);
        continue;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        const int reason = errno;
        ++state->failed_accepts;
        complain(*state, reason);
        co_await sleep_for(kPauseWithoutResources);
        break;
      }
      // Anything else ended that one connection before we took it (ECONNABORTED and the network's errors, accept(2)).
    }
  }
}

void TcpListener::start(Shards& shards, OnStream on_stream) {
  state_->home.post([state = state_, &shards, callback = std::make_shared<const OnStream>(std::move(on_stream))] {
    if (!state->stopped) state->home.spawn(accept_loop(state, shards, callback));
  });
}

void TcpListener::stop() {
  if (state_->stopped.exchange(true)) return;
  state_->home.post([state = state_] {
    boost::system::error_code ignored;
    state->acceptor.close(ignored);
  });
}

std::uint16_t TcpListener::port() const { return state_->bound.port(); }
std::string TcpListener::address() const { return to_text(state_->bound); }
std::uint64_t TcpListener::failed_accepts() const { return state_->failed_accepts; }

asio::awaitable<Result<std::unique_ptr<ByteStream>>> dial_tcp(Shard& shard, TcpConfig to, Duration deadline,
                                                              Duration silent_host) {
  const auto until = now_from_system().instant + deadline;
  ADIT_CO_TRY(const auto endpoints, co_await resolve(shard, to, deadline));
  std::string problem;
  Errc code = Errc::kUnreachable;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    // What is left is shared out, so that a first address that swallows packets leaves time for the next.
    const auto left = (until - now_from_system().instant) / static_cast<Duration::rep>(endpoints.size() - i);
    TcpStream::Socket socket(shard.context());
    const auto [error] =
        co_await socket.async_connect(endpoints[i], asio::cancel_after(std::max(left, Duration::zero()), kAwait));
    if (!error) co_return std::make_unique<TcpStream>(std::move(socket), silent_host);
    code = code_of_connect(error);
    problem += (problem.empty() ? "" : "; ") + to_text(endpoints[i]) + ": " + reason_of_connect(code, error);
  }
  co_return fail(code, "cannot connect to " + problem);
}

}  // namespace adit::net
