#include "net/tcp.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/fd.h"
#include "log/limited.h"
#include "log/log.h"
#include "net/deadline.h"
#include "net/exact_io.h"
#include "session/proxy_header.h"

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

/// Whom `socket` is connected to; the address of nobody if it no longer is.
tcp::endpoint peer_of(int socket) {
  tcp::endpoint peer;
  auto size = static_cast<socklen_t>(peer.capacity());
  if (::getpeername(socket, peer.data(), &size) != 0) return {};
  peer.resize(size);
  return peer;
}

tcp::endpoint to_endpoint(const session::ProxiedClient& client) {
  if (client.is_v6) return {asio::ip::address_v6(client.address), client.port};
  asio::ip::address_v4::bytes_type v4;
  std::copy_n(client.address.begin(), v4.size(), v4.begin());
  return {asio::ip::address_v4(v4), client.port};
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

std::unique_ptr<TcpStream> TcpStream::over(asio::io_context& context, int fd, Duration silent_host) {
  std::unique_ptr<TcpStream> stream(new TcpStream(context, fd));
  if (!stream->socket_.is_open()) return nullptr;
  stream->peer_ = peer_of(fd);
  stream->opened_at_ = now_from_system().instant;
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  // Whole seconds. It is asked early and often, so that single losses mean nothing; the last option decides.
  const auto seconds = static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(silent_host).count());
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, std::max(1, seconds / 5));
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, seconds / 10));
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 10);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, seconds * 1000);
  return stream;
}

void TcpStream::carry_for(const tcp::endpoint& client) {
  peer_ = client;
  bytes_received_ = 0;
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
  if (!socket_.is_open()) return fail(Errc::kClosed, "closed here");
  if (failure_ != 0) return dead(failure_);
  if (!socket_.may_read()) return fail(Errc::kWouldBlock, {});
  for (;;) {
    const ssize_t count = ::recv(socket_.fd(), into.data(), into.size(), 0);
    if (count > 0) {
      if (static_cast<std::size_t>(count) < into.size()) socket_.read_short();
      bytes_received_ += static_cast<std::uint64_t>(count);
      return static_cast<std::size_t>(count);
    }
    if (count == 0) return dead(kEnded);
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return dead(errno);
    socket_.would_block();
    return fail(Errc::kWouldBlock, {});
  }
}

Result<std::size_t> TcpStream::try_write(Bytes from) {
  if (!socket_.is_open()) return fail(Errc::kClosed, "closed here");
  if (failure_ != 0 && failure_ != kEnded) return dead(failure_);
  for (;;) {
    const ssize_t count = ::send(socket_.fd(), from.data(), from.size(), MSG_NOSIGNAL);
    if (count >= 0) {
      bytes_sent_ += static_cast<std::uint64_t>(count);
      return static_cast<std::size_t>(count);
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return fail(Errc::kWouldBlock, {});
    return dead(errno);
  }
}

namespace {

asio::awaitable<Result<void>> closed_here() { co_return fail(Errc::kClosed, "closed here"); }

}  // namespace

asio::awaitable<Result<void>> TcpStream::wait_readable() { return socket_.is_open() ? socket_.wait_readable() : closed_here(); }

asio::awaitable<Result<void>> TcpStream::wait_writable() { return socket_.is_open() ? socket_.wait_writable() : closed_here(); }

bool TcpStream::wake_when_readable(const std::shared_ptr<asio::steady_timer>& woken) {
  return socket_.is_open() && socket_.wake_when_readable(woken);
}

void TcpStream::finish() {
  if (socket_.is_open()) (void)::shutdown(socket_.fd(), SHUT_WR);
}

void TcpStream::close(CloseCode) {
  if (!socket_.is_open()) return;
  last_figures_ = TcpStream::figures();
  socket_.close();
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
  if (!socket_.is_open()) return metadata;
  if (const auto info = info_of(socket_.fd())) {
    if (info->beginning.tcpi_rtt != 0) metadata.path_rtt = std::chrono::microseconds(info->beginning.tcpi_rtt);
    metadata.figures = figures_of(*info);
  }
  return metadata;
}

std::optional<CarrierFigures> TcpStream::figures() const {
  if (!socket_.is_open()) return std::nullopt;
  const auto info = info_of(socket_.fd());
  return info ? std::optional(figures_of(*info)) : std::nullopt;
}

struct TcpListener::State {
  State(Shard& shard, Duration silence, std::vector<AddressRange> proxies)
      : home(shard), silent_host(silence), acceptor(shard.context()), trusted_proxies(std::move(proxies)) {}

  [[nodiscard]] bool trusts(const asio::ip::address& peer) const {
    return std::ranges::any_of(trusted_proxies, [&](const AddressRange& range) { return range.contains(peer); });
  }
  /// A stream in `untold`, as long as it lives.
  class Untold {
   public:
    Untold(State& in, TcpStream& stream, Shard& shard) : state_(in), stream_(stream) {
      const std::lock_guard lock(state_.mutex);
      state_.untold.emplace(&stream_, &shard);
      in_bounds_ = state_.untold.size() <= kMaxUntoldProxied;
    }
    ~Untold() {
      const std::lock_guard lock(state_.mutex);
      state_.untold.erase(&stream_);
    }
    Untold(const Untold&) = delete;
    Untold& operator=(const Untold&) = delete;
    [[nodiscard]] bool in_bounds() const { return in_bounds_; }

   private:
    State& state_;
    TcpStream& stream_;
    bool in_bounds_;
  };
  void refuse(const tcp::endpoint& proxy, std::string_view why) {
    const std::lock_guard lock(mutex);
    refusals.write_at(now_from_system().instant, log::Level::kWarn, "net.proxied_refused",
                      {{"address", to_text(bound)}, {"proxy", to_text(proxy)}, {"message", why}});
  }

  Shard& home;
  const Duration silent_host;
  asio::basic_socket_acceptor<tcp, asio::io_context::executor_type> acceptor;
  tcp::endpoint bound;
  std::atomic<bool> stopped{false};
  std::atomic<std::uint64_t> failed_accepts{0};
  std::optional<Instant> complained_at;  ///< Of failed accepts.

  const std::vector<AddressRange> trusted_proxies;
  std::mutex mutex;                     ///< Guards what follows.
  std::map<TcpStream*, Shard*> untold;  ///< Streams of proxies that have not said whose they are. Each ends on its shard.
  log::Limited refusals{"net.more_proxied_refused"};
};

Result<std::unique_ptr<TcpListener>> TcpListener::bind(Shard& home, const TcpConfig& at, Duration silent_host,
                                                       std::vector<AddressRange> trusted_proxies) {
  const auto name = (at.host.find(':') != std::string::npos ? "[" + at.host + "]" : at.host) + ":" + std::to_string(at.port);
  boost::system::error_code error;
  const auto address = asio::ip::make_address(at.host == "localhost" ? "127.0.0.1" : at.host, error);
  if (error)
    return fail(Errc::kConfiguration,
                "cannot listen on '" + name + "': the host must be an IP address of this machine, 0.0.0.0 or [::]");

  const tcp::endpoint endpoint(address, at.port);
  auto state = std::make_shared<State>(home, silent_host, std::move(trusted_proxies));
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

// NOLINTNEXTLINE(bugprone-exception-escape): only memory running out
TcpListener::~TcpListener() { stop(); }

namespace {

/// Whose connection the proxy at the other end carries; nothing: its own. `size` counts the bytes that came.
/// Errors: what ends the connection, in a sentence.
asio::awaitable<Result<std::optional<tcp::endpoint>>> read_client(Shard& shard, TcpStream& stream, std::size_t& size) {
  const Deadline deadline(shard.context(), stream, kProxyHeaderDeadline);
  std::array<std::uint8_t, session::kMaxProxyHeader> bytes;
  for (;;) {
    ADIT_CO_TRY(const auto header, session::read_proxy_header(Bytes(bytes).first(size)));
    if (header.missing == 0) {
      if (!header.client) co_return std::optional<tcp::endpoint>();
      co_return std::optional(to_endpoint(*header.client));
    }
    std::size_t got = 0;
    auto read = co_await read_exactly(stream, MutableBytes(bytes).subspan(size, header.missing), got);
    size += got;
    if (read) continue;
    const std::string came = std::to_string(size) + " bytes of a PROXY protocol header came";
    if (deadline.passed())
      co_return fail(Errc::kTimedOut, "the proxy did not say in time whose connection it carries: " + came);
    co_return fail(std::move(read.error()).in(came));
  }
}

}  // namespace

/// Gives one accepted socket to its shard.
void TcpListener::hand_over(const std::shared_ptr<State>& state, Shard& shard, int descriptor,
                            const std::shared_ptr<const OnStream>& on_stream) {
  shard.post([state, &shard, on_stream, owned = Fd(descriptor)]() mutable {
    auto stream = TcpStream::over(shard.context(), owned.release(), state->silent_host);
    if (!stream) return;
    if (!state->trusts(stream->peer().address())) return (*on_stream)(shard, std::move(stream));
    shard.spawn(take_proxied(state, shard, std::move(stream), on_stream));
  });
}

/// A stream from a trusted proxy, which says whose it is before all else.
asio::awaitable<void> TcpListener::take_proxied(std::shared_ptr<State> state, Shard& shard, std::unique_ptr<TcpStream> given,
                                                std::shared_ptr<const OnStream> on_stream) {
  auto stream = std::move(given);
  const auto proxy = stream->peer();
  {
    const State::Untold untold(*state, *stream, shard);
    if (!untold.in_bounds()) {
      co_return state->refuse(proxy, "the bound of connections of proxies that have not said whose they are (" +
                                         std::to_string(kMaxUntoldProxied) + ") reached");
    }
    std::size_t came = 0;
    const auto client = co_await read_client(shard, *stream, came);
    if (state->stopped) co_return;
    if (!client && came == 0 && !client.error().is(Errc::kTimedOut)) {
      // A proxy's own look whether the port answers.
      co_return log::debug("net.proxied_probed", {{"address", to_text(state->bound)}, {"proxy", to_text(proxy)}});
    }
    if (!client) co_return state->refuse(proxy, client.error().message());
    stream->carry_for(client->value_or(proxy));
  }
  (*on_stream)(shard, std::move(stream));
}

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
        hand_over(state, shards.next(), fd, on_stream);
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
  const std::lock_guard lock(state_->mutex);
  for (const auto& [stream, shard] : state_->untold) {
    shard->post([state = state_, one = stream] {
      const std::lock_guard held(state->mutex);
      if (state->untold.contains(one)) one->close(CloseCode::kShutdown);
    });
  }
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
    asio::basic_stream_socket<tcp, asio::io_context::executor_type> socket(shard.context());
    auto [error] = co_await socket.async_connect(endpoints[i], asio::cancel_after(std::max(left, Duration::zero()), kAwait));
    if (!error) socket.native_non_blocking(true, error);
    if (!error) {
      if (const int fd = socket.release(error); !error) {
        auto stream = TcpStream::over(shard.context(), fd, silent_host);
        if (stream) co_return std::move(stream);
        error = asio::error::no_memory;
      }
    }
    code = code_of_connect(error);
    problem += (problem.empty() ? "" : "; ") + to_text(endpoints[i]) + ": " + reason_of_connect(code, error);
  }
  co_return fail(code, "cannot connect to " + problem);
}

}  // namespace adit::net
