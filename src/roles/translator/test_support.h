// What the translator's tests share: SV1 miners over real sockets, and a pool of our own on the embedded chain.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/eventually_testing.h"
#include "bitcoin/merkle.h"
#include "net/shards.h"
#include "noise/keys.h"
#include "roles/pool/server.h"
#include "roles/translator/upstream_role.h"
#include "sv1/client.h"
#include "template/embedded.h"

namespace adit::translator::test {

using namespace std::chrono_literals;

/// A blocking socket with deadlines.
class Socket {
 public:
  explicit Socket(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ended = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0;
    set_timeout(50ms);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { ::close(fd_); }

  void set_timeout(std::chrono::microseconds timeout) {
    const timeval value{.tv_sec = 0, .tv_usec = timeout.count()};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof value);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value);
  }
  bool say(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  /// What came within the timeout; sets `ended` when the other side closed.
  std::string hear() {
    std::array<char, 16384> buffer;
    const auto count = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (count > 0) return {buffer.data(), static_cast<std::size_t>(count)};
    ended = ended || count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
    return {};
  }

  bool ended = false;

 private:
  int fd_;
};

/// A miner that hashes as much as it must.
class TestMiner : public sv1::ClientHandler {
 public:
  /// `header`: what a proxy before the translator sends first.
  explicit TestMiner(std::uint16_t port, std::string_view header = "") : socket_(port) {
    EXPECT_TRUE(socket_.say(header));
    client_.start();
    pump();
  }
  void on_ready() override {}
  void on_work(std::shared_ptr<const sv1::Work> work) override { works.push_back(std::move(work)); }
  void on_submit_answer(std::uint64_t, const sv1::RpcError* error) override { answers.push_back(error ? error->code : 0); }

  void pump() {
    if (auto out = std::exchange(client_.output(), {}); !out.empty()) socket_.ended |= !socket_.say(out);
    if (const auto in = socket_.hear(); !in.empty()) EXPECT_TRUE(client_.receive(as_bytes(in)));
  }
  bool pump_until(auto holds) {
    const auto until = std::chrono::steady_clock::now() + 1min;
    while (!holds() && !socket_.ended && std::chrono::steady_clock::now() < until) pump();
    return holds();
  }
  bool has_work() {
    return pump_until([&] { return !works.empty(); });
  }

  /// Finds a block for the newest work and submits it; the answer's code, 0 for accepted, -1 for none.
  int find_block() {
    submit(*bitcoin::target_from_compact(works.back()->job.nbits));
    answers.clear();
    pump_until([&] { return !answers.empty(); });
    return answers.empty() ? -1 : answers.back();
  }

  /// Finds a share for the newest work and submits it, without waiting for the answer.
  void submit_share() {
    submit(works.back()->target);
    pump();
  }
  [[nodiscard]] bool ended() const { return socket_.ended; }
  /// How long a pump waits for something to hear.
  void set_patience(std::chrono::microseconds patience) { socket_.set_timeout(patience); }

  std::vector<std::shared_ptr<const sv1::Work>> works;
  std::vector<int> answers;

 private:
  void submit(const bitcoin::U256& target) {
    const auto work = works.back();
    ++tries_;
    const std::array<std::uint8_t, 4> extranonce2{9, 9, static_cast<std::uint8_t>(tries_ >> 8),
                                                  static_cast<std::uint8_t>(tries_)};
    std::vector<std::uint8_t> coinbase = work->job.coinbase1;
    coinbase.insert(coinbase.end(), work->extranonce1.bytes().begin(), work->extranonce1.bytes().end());
    coinbase.insert(coinbase.end(), extranonce2.begin(), extranonce2.end());
    coinbase.insert(coinbase.end(), work->job.coinbase2.begin(), work->job.coinbase2.end());
    const auto root = bitcoin::fold_merkle_path(bitcoin::sha256d(coinbase), work->job.merkle_path);
    std::array<std::uint8_t, 80> header{};
    store_le(header.data(), work->job.version);
    std::ranges::copy(work->job.prev_hash, header.begin() + 4);
    std::ranges::copy(root, header.begin() + 36);
    store_le(header.data() + 68, work->job.ntime);
    store_le(header.data() + 72, work->job.nbits);
    for (std::uint32_t nonce = 0;; ++nonce) {
      store_le(header.data() + 76, nonce);
      if (!bitcoin::meets_target(bitcoin::sha256d_header(header), target)) continue;
      client_.submit(*work, sv1::Extranonce(extranonce2), work->job.ntime, nonce, 0);
      return;
    }
  }

  Socket socket_;
  sv1::Client client_{{.user = "w"}, *this};
  std::uint16_t tries_ = 0;
};

inline noise::AuthorityKeyPair authority() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(5);
  return std::move(*noise::AuthorityKeyPair::from_secret(noise::Secret(bytes)));
}

/// A pool of our own on its own chain.
class Pool {
 public:
  /// `port`: 0 for the system's choice.
  explicit Pool(std::uint16_t server_id, std::uint16_t port = 0) {
    pool::ServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", port};
    options.authority_secret = authority().secret().copy();
    options.jobs.payout_script = {0x51};
    options.jobs.pool_signature = "test";
    options.server_id = server_id;
    server_.emplace(shards_, source_, std::move(options));
    shards_.start();
    EXPECT_TRUE(server_->start());
  }
  ~Pool() { stop(); }
  void stop() {
    if (!server_) return;
    server_->stop(1s);
    server_.reset();
    shards_.stop(1s);
  }
  [[nodiscard]] UpstreamTarget target() const {
    return {.peer = {.transport = net::TcpConfig{"127.0.0.1", server_->tcp_port()}, .authority = authority().public_key()},
            .user_identity = "test"};
  }
  [[nodiscard]] pool::PoolServer& server() { return *server_; }
  [[nodiscard]] std::uint16_t port() const { return server_->tcp_port(); }
  [[nodiscard]] std::uint32_t height() const { return source_.blocks().back().height; }

 private:
  net::Shards shards_{1};
  templates::EmbeddedSource source_{{}};
  std::optional<pool::PoolServer> server_;
};

}  // namespace adit::translator::test
