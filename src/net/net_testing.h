// The transport over real loopback sockets, for its tests: one server that echoes frames, and peers as rude as a test wants.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/admission.h"
#include "net/dial.h"
#include "net/framed.h"
#include "net/handshake.h"
#include "net/shard_testing.h"
#include "net/tcp.h"
#include "noise/handshake.h"
#include "wire/messages.h"

namespace adit::net {

using namespace std::chrono_literals;  // NOLINT(google-global-names-in-headers)
using testing::HasSubstr;

inline noise::AuthorityKeyPair authority_of(std::uint8_t seed) {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(seed);
  return std::move(*noise::AuthorityKeyPair::from_secret(noise::Secret(bytes)));
}

struct EchoOptions {
  AdmissionLimits limits{};
  HandshakeOptions handshake{};
  std::size_t max_queued_bytes = 1 << 20;
  std::chrono::seconds certificate_age{0};  ///< So long ago its certificate was made, for a minute.
};

/// A server that sends each batch back, and remembers how its connections ended.
class EchoServer {
 public:
  explicit EchoServer(Shards& shards, EchoOptions options = {})
      : shards_(shards), options_(options), admission_(options.limits) {
    for (unsigned i = 0; i < shards.size(); ++i) {
      certificates_.push_back(std::make_unique<noise::CertificateSource>(authority_of(7), 3600s, noise::system_random()));
    }
    listener_ = std::move(*TcpListener::bind(shards[0], {"127.0.0.1", 0}));
    listener_->start(shards, [this](Shard& shard, std::unique_ptr<ByteStream> stream) {
      auto token = admission_.admit(stream->metadata().source, now_from_system().instant);
      if (!token) return ended(token.error());
      shard.spawn(serve(shard, std::move(stream), std::move(*token)));
    });
  }

  /// Its connections run on the shards and use it.
  ~EchoServer() {
    listener_->stop();
    shards_.stop(0s);
  }

  [[nodiscard]] std::uint16_t port() const { return listener_->port(); }
  [[nodiscard]] Peer url() const {
    return {.transport = TcpConfig{"127.0.0.1", port()}, .authority = authority_of(7).public_key()};
  }
  [[nodiscard]] TcpListener& listener() { return *listener_; }
  [[nodiscard]] Admission& admission() { return admission_; }

  /// Waits until a connection ended with `code`, at most a minute, and gives its sentence.
  std::string wait_for_end(Errc code) {
    std::unique_lock lock(mutex_);
    std::string found = "no connection ended with " + std::string(error_name(code));
    changed_.wait_for(lock, 1min, [&] {
      for (const auto& error : ends_) {
        if (!error.is(code)) continue;
        found = error.message();
        return true;
      }
      return false;
    });
    return found;
  }

 private:
  asio::awaitable<void> serve(Shard& shard, std::unique_ptr<ByteStream> stream, Admission::Token token) {
    std::unique_ptr<wire::FrameCodec> codec;
    if (options_.certificate_age != 0s) {
      codec = co_await respond_in_the_past(*stream);
    } else {
      auto done = co_await respond(shard, *stream, *certificates_[shard.index()], options_.handshake);
      if (!done) co_return ended(done.error());
      codec = std::move(*done);
    }
    token.established(now_from_system().instant);
    FramedConnection connection(shard, std::move(stream), std::move(codec), {.max_queued_bytes = options_.max_queued_bytes});
    wire::FrameBuffer out;
    for (;;) {
      const auto batch = co_await connection.receive();
      if (!batch) co_return ended(batch.error());
      out.clear();
      for (const auto& frame : *batch) (void)out.push_raw(frame.header, frame.payload);
      connection.send(out);
    }
  }

  asio::awaitable<std::unique_ptr<wire::FrameCodec>> respond_in_the_past(ByteStream& stream) {
    std::array<std::uint8_t, noise::kAct1Size> act1;
    while (!stream.try_read(act1)) (void)co_await stream.wait_readable();
    const auto key = noise::CertifiedKey::make(authority_of(7), now_from_system().unix_time - options_.certificate_age, 60s,
                                               noise::system_random());
    auto answer = noise::Responder::answer(act1, key, noise::system_random(), wire::kMaxPayload);
    (void)stream.try_write(answer->act2);
    co_return std::make_unique<noise::Session>(std::move(answer->session));
  }

  void ended(const Error& error) {
    const std::lock_guard lock(mutex_);
    ends_.push_back(error);
    changed_.notify_all();
  }

  Shards& shards_;
  EchoOptions options_;
  Admission admission_;
  std::vector<std::unique_ptr<noise::CertificateSource>> certificates_;
  std::unique_ptr<TcpListener> listener_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Error> ends_;
};

inline wire::FrameBuffer frame_of(std::size_t size, std::uint8_t fill = 0x5a) {
  wire::FrameBuffer frames;
  const std::vector<std::uint8_t> payload(size, fill);
  EXPECT_TRUE(frames.push_raw({.message_type = 0x42}, payload));
  return frames;
}

/// Sends `frames` (one frame) and waits for the echo; what came back as bytes.
inline asio::awaitable<Result<std::size_t>> echo(NetworkConnection& connection, const wire::FrameBuffer& frames) {
  connection.send(frames);
  const auto batch = co_await connection.receive();
  if (!batch) co_return fail(batch.error());
  if (batch->size() != 1 || !std::ranges::equal((*batch)[0].payload, frames.bytes().subspan(wire::kHeaderSize))) {
    co_return fail(Errc::kInternal, "the echo differs");
  }
  co_return (*batch)[0].payload.size();
}

/// A healthy peer connects, echoes and leaves: "" or what went wrong.
inline std::string healthy(Shard& shard, const Peer& to) {
  return on(shard, [&shard, to]() -> asio::awaitable<std::string> {
    auto connection = co_await dial(shard, to, wire::Protocol::kMining, {});
    if (!connection) co_return connection.error().message();
    const auto back = co_await echo(**connection, frame_of(100));
    co_return back ? "" : back.error().message();
  });
}

inline Result<std::unique_ptr<NetworkConnection>> dial_on(Shard& shard, const Peer& to, DialOptions options = {}) {
  return on(shard, [&shard, to, options]() -> asio::awaitable<Result<std::unique_ptr<NetworkConnection>>> {
    co_return co_await dial(shard, to, wire::Protocol::kMining, options);
  });
}

/// A plain blocking socket: what an abusive peer uses.
class RawPeer {
 public:
  explicit RawPeer(std::uint16_t port, bool connected = true)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), port_(port) {
    timeval limit{.tv_sec = 60, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connected) connect();
  }
  RawPeer(RawPeer&& other) noexcept : fd_(std::exchange(other.fd_, -1)), port_(other.port_) {}
  ~RawPeer() {
    if (fd_ >= 0) ::close(fd_);
  }
  void connect() {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  }
  void write(std::string_view text) {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  /// False once the server has ended the connection.
  bool try_write(std::string_view text) {
    return ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  void shut_down() { ::shutdown(fd_, SHUT_RDWR); }
  /// True if the server ends the connection (cleanly or by reset) within a minute.
  bool is_cut_off() {
    char byte[512];
    ssize_t got = 0;
    while ((got = ::recv(fd_, byte, sizeof byte, 0)) > 0) {
    }
    return got == 0 || errno == ECONNRESET;
  }

 private:
  int fd_;
  std::uint16_t port_;
};

class Net : public testing::Test {
 protected:
  void SetUp() override { shards_.start(); }
  void TearDown() override { shards_.stop(0s); }

  Shards shards_{2};
};

}  // namespace adit::net
