// The TCP carrier: streams, listening, dialling.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/result.h"
#include "base/time.h"
#include "net/address_range.h"
#include "net/byte_stream.h"
#include "net/shards.h"
#include "net/transport_config.h"
#include "net/watched_socket.h"

namespace adit::net {

/// How long a peer's host may be silent where nobody says.
inline constexpr Duration kSilentHost = std::chrono::seconds(30);

/// How long a trusted proxy may take to say whose connection it carries. haproxy sends that first, with nothing before it.
inline constexpr Duration kProxyHeaderDeadline = std::chrono::seconds(3);
/// Connections of proxies that have not said it yet, of one listener. More are closed.
inline constexpr std::size_t kMaxUntoldProxied = 4096;

/// A connected TCP socket as a ByteStream: TCP_NODELAY, and cut off (kTimedOut) when the peer's host has been silent for so
/// long, with bytes under way or without: then the kernel asks whether it is there.
class TcpStream final : public ByteStream {
 public:
  /// Takes `socket` over, which is connected and does not block; `context` is its shard's loop. Null if the system has no room
  /// to watch it; it is closed then.
  static std::unique_ptr<TcpStream> over(asio::io_context& context, int socket, Duration silent_host);
  ~TcpStream() override;

  Result<std::size_t> try_read(MutableBytes into) override;
  [[nodiscard]] bool may_read() const override { return failure_ != 0 || socket_.may_read(); }
  Result<std::size_t> try_write(Bytes from) override;
  asio::awaitable<Result<void>> wait_readable() override;
  asio::awaitable<Result<void>> wait_writable() override;
  bool wake_when_readable(const std::shared_ptr<asio::steady_timer>& woken) override;
  void finish() override;
  void close(CloseCode code) override;
  [[nodiscard]] ConnectionMetadata metadata() const override;
  [[nodiscard]] std::optional<CarrierFigures> figures() const override;

  /// Whom the system says it is connected to.
  [[nodiscard]] const asio::ip::tcp::endpoint& peer() const { return peer_; }
  /// A proxy has said whose connection this is: that is the peer from now on, and what has come so far was not the peer's.
  void carry_for(const asio::ip::tcp::endpoint& client);

 private:
  TcpStream(asio::io_context& context, int socket) : socket_(context, socket) {}
  std::unexpected<Error> dead(int system_error);

  WatchedSocket socket_;
  int failure_ = 0;  ///< The system's error that ended the stream; kEnded after a clean end.
  std::uint64_t bytes_received_ = 0;
  std::uint64_t bytes_sent_ = 0;
  asio::ip::tcp::endpoint peer_;
  Instant opened_at_;
  std::optional<CarrierFigures> last_figures_;  ///< When it was closed.
};

/// A listening TCP socket.
class TcpListener {
 public:
  /// Called on the thread of `shard`, where `stream` will live.
  using OnStream = std::function<void(Shard& shard, std::unique_ptr<ByteStream> stream)>;

  /// Listens on `at` (an IP address; port 0: the system's choice). Accepting runs on `home`. `silent_host`: of the streams.
  ///
  /// A peer from one of `trusted_proxies` must begin with a header of the PROXY protocol (session/proxy_header.h), within
  /// kProxyHeaderDeadline; its stream is handed over behind the header, as that of the client which the header names. One that
  /// does not is closed, and logged, at most five times a second and listener. From any other address such a header is nothing
  /// that is understood here. Errors: kAddressInUse (names the port), kConfiguration (no IP address, or none of this machine;
  /// privileged port), kInternal.
  static Result<std::unique_ptr<TcpListener>> bind(Shard& home, const TcpConfig& at, Duration silent_host = kSilentHost,
                                                   std::vector<AddressRange> trusted_proxies = {});

  ~TcpListener();
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;

  /// Accepts from now on; streams go round robin to `shards`. Once. An accept that fails for want of descriptors or memory is
  /// tried again after a pause, never in a loop, and logged at most every ten seconds. `shards` must outlive the listener.
  void start(Shards& shards, OnStream on_stream);

  /// No on_stream call is begun after the home shard has run this. Any thread. Idempotent.
  void stop();

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::string address() const;  ///< "ip:port" as bound.

  /// Accepts that failed for want of a resource. Any thread.
  [[nodiscard]] std::uint64_t failed_accepts() const;

 private:
  struct State;
  explicit TcpListener(std::shared_ptr<State> state);
  static void complain(State& state, int reason);
  static asio::awaitable<void> accept_loop(std::shared_ptr<State> state, Shards& shards,
                                           std::shared_ptr<const OnStream> on_stream);
  static void hand_over(const std::shared_ptr<State>& state, Shard& shard, int descriptor,
                        const std::shared_ptr<const OnStream>& on_stream);
  static asio::awaitable<void> take_proxied(std::shared_ptr<State> state, Shard& shard, std::unique_ptr<TcpStream> given,
                                            std::shared_ptr<const OnStream> on_stream);

  std::shared_ptr<State> state_;  ///< Shared with the accepting task, which may end after the listener.
};

/// Connects to `to` from `shard` (its thread): names are resolved, addresses tried in the resolver's order, all within
/// `deadline`. Errors: kUnreachable (no such host, no route), kRefused, kTimedOut, kInternal. Each sentence names the peer.
asio::awaitable<Result<std::unique_ptr<ByteStream>>> dial_tcp(Shard& shard, TcpConfig to, Duration deadline,
                                                              Duration silent_host = kSilentHost);

}  // namespace adit::net
