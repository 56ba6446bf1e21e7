// What a share costs the pool from the socket to the answer, beside a bare epoll server that receives as many bytes in the same
// segments, answers with as many and does nothing else, plus the cryptography timed alone.
//
// One client in this process drives both with the same code and the same records: each share is sealed, sent by itself (a
// segment each, TCP_NODELAY) and answered in batches. The pool, the bare server and the client are a process each, the servers
// on one core and the client on another. A server's cost is its process's CPU time, user and system, over the shares that it
// received. The rounds alternate between the two, each ratio is that of one round, and the median counts.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include "base/time.h"
#include "bitcoin/hash.h"
#include "log/log.h"
#include "noise/handshake.h"
#include "roles/load/load.h"
#include "roles/load/meter.h"
#include "roles/load/session.h"
#include "roles/pool/server.h"
#include "template/embedded.h"
#include "timing.h"
#include "wire/messages.h"

namespace {

using namespace adit;
using namespace adit::bench;
using namespace std::chrono_literals;

constexpr int kServerCore = 0;
constexpr int kClientCore = 1;
constexpr std::size_t kConnections = 1000;
constexpr double kPacedPerSecond = 10'000;
constexpr std::size_t kInFlight = 32;  ///< Shares of one connection without an answer.
constexpr Duration kRound = 500ms;
constexpr int kRounds = 15;
/// The sizes on the wire, sealed: a header with its MAC, then the payload with its own.
constexpr std::size_t kShareSize = noise::kSealedHeaderSize + 24 + noise::kMacSize;
constexpr std::size_t kAnswerSize = noise::kSealedHeaderSize + 20 + noise::kMacSize;
constexpr std::size_t kReadSize = std::size_t{64} * 1024;  ///< As much as the pool reads at once.

noise::Secret key(std::uint8_t fill) {
  std::array<std::uint8_t, 32> bytes;
  bytes.fill(fill);
  return noise::Secret(bytes);
}

noise::AuthorityKeyPair authority() { return std::move(*noise::AuthorityKeyPair::from_secret(key(7))); }

void run_on(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  if (::sched_setaffinity(0, sizeof cores, &cores) != 0) broken("this process may not choose its core");
}

int listen_anywhere(std::uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&at), size) != 0 || ::listen(fd, 128) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
    broken("the bare server cannot listen");
  }
  port = ntohs(at.sin_port);
  return fd;
}

void no_delay(int fd) {
  const int on = 1;
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/// The floor: level-triggered, so that a wake costs one recv and nothing else; an answer is as long as the pool's and comes
/// after as many shares, all of one read in one send.
void run_bare_server(int listener, std::size_t batch) {
  struct Peer {
    int fd = -1;
    std::size_t bytes = 0;  ///< Received since the last whole share.
    std::size_t shares = 0;
  };
  std::vector<std::unique_ptr<Peer>> peers;
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event wanted{.events = EPOLLIN, .data = {.ptr = nullptr}};
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &wanted);
  std::vector<char> received(kReadSize);
  std::vector<char> answers(kAnswerSize * (kReadSize / kShareSize + 1));
  for (;;) {
    std::array<epoll_event, 128> events;  // As many as Asio takes at once.
    const int count = ::epoll_wait(epoll, events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      auto* peer = static_cast<Peer*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (peer == nullptr) {
        peers.push_back(
            std::make_unique<Peer>(Peer{.fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)}));
        no_delay(peers.back()->fd);
        wanted.data.ptr = peers.back().get();
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, peers.back()->fd, &wanted);
        continue;
      }
      const auto got = ::recv(peer->fd, received.data(), received.size(), 0);
      if (got <= 0) ::_exit(got == 0 ? 0 : 1);  // The client is done.
      peer->bytes += static_cast<std::size_t>(got);
      peer->shares += peer->bytes / kShareSize;
      peer->bytes %= kShareSize;
      const std::size_t owed = peer->shares / batch * kAnswerSize;
      peer->shares %= batch;
      if (owed != 0 && ::send(peer->fd, answers.data(), owed, MSG_NOSIGNAL) != static_cast<ssize_t>(owed)) ::_exit(1);
    }
  }
}

/// The pool as `adit pool` runs it, with one shard; work on which no share is a block.
void run_pool(std::size_t batch, int port_to) {
  if (!log::configure({.level = log::Level::kError})) broken("no log");
  net::Shards shards(1);
  shards.start();
  templates::EmbeddedSource source({.chain = {.nbits = 0x1d00ffff}, .refresh_every = 24h});
  pool::ServerOptions options;
  options.listen = net::TcpConfig{"127.0.0.1", 0};
  options.authority_secret = key(7);
  // All of them are of one address.
  options.admission.max_unproven_per_source = kConnections;
  options.admission.max_handshakes_per_source = kConnections;
  options.admission.source_costs.amount = 2 * kConnections;
  options.session.channel = {.shares_per_minute = 120, .share_batch_size = static_cast<std::uint32_t>(batch)};
  options.jobs = {.payout_script = {0x51}, .pool_signature = "bench"};
  pool::PoolServer server(shards, source, std::move(options));
  if (const auto started = server.start(); !started) broken(started.error().message().c_str());
  const auto port = server.tcp_port();
  if (::write(port_to, &port, sizeof port) != sizeof port) broken("the client is gone");
  for (;;) ::pause();  // Until the client ends it.
}

/// A server in a process of its own, on its core; ended with this object.
class Server {
 public:
  enum class Kind { kBare, kPool };
  Server(Kind kind, std::size_t batch) {
    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0) broken("no pipe");
    pid_ = ::fork();  // Before any thread.
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      run_on(kServerCore);
      if (kind == Kind::kPool) run_pool(batch, pipe[1]);
      const int listener = listen_anywhere(port_);
      if (::write(pipe[1], &port_, sizeof port_) != sizeof port_) broken("the client is gone");
      run_bare_server(listener, batch);
    }
    ::close(pipe[1]);
    if (::read(pipe[0], &port_, sizeof port_) != sizeof port_) broken("no port from the server");
    ::close(pipe[0]);
    auto meter = load::ProcessMeter::of(pid_);
    if (!meter) broken("the server's CPU time cannot be read");
    meter_.emplace(*meter);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] Duration cpu() const {
    const auto cpu = meter_->cpu();
    if (!cpu) broken("the server has ended");
    return *cpu;
  }

 private:
  pid_t pid_ = 0;
  std::uint16_t port_ = 0;
  std::optional<load::ProcessMeter> meter_;
};

/// The client: connections to one server, and the shares on them.
class Client {
 public:
  Client(const Server& server, Server::Kind kind, std::size_t batch)
      : kind_(kind), batch_(batch), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    for (std::size_t i = 0; i < kConnections; ++i) open(server.port());
    // Each is somewhere else in its batch, so that as many answers are due in any moment of a round.
    for (std::size_t i = 0; i < kConnections; ++i) {
      for (std::size_t share = 0; share < i % batch; ++share) (void)submit(*peers_[i]);
    }
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() {
    for (const auto& peer : peers_) ::close(peer->fd);
    ::close(epoll_);
  }

  /// As many shares as the server answers, for one round. Returns how many were sent.
  std::uint64_t flood() {
    std::uint64_t sent = 0;
    const auto until = Clock::now() + kRound;
    while (Clock::now() < until) {
      const auto before = sent;
      for (int i = 0; i < 16; ++i) sent += submit(*peers_[next_++ % peers_.size()]) ? 1 : 0;
      full_ = sent != before ? 0 : full_ + 16;
      take_answers(full_ >= peers_.size() ? 10 : 0);
    }
    return sent;
  }

  /// Shares at a steady rate over all connections in turn, what a millisecond is due at once, for one round.
  std::uint64_t pace() {
    const auto begun = Clock::now();
    std::uint64_t sent = 0;
    for (auto tick = begun; tick < begun + kRound; tick += 1ms) {
      for (auto now = Clock::now(); now < tick; now = Clock::now()) {
        take_answers(static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(tick - now).count()));
      }
      const auto due = static_cast<std::uint64_t>(std::chrono::duration<double>(tick - begun).count() * kPacedPerSecond);
      for (; sent < due; ++sent) {
        if (!submit(*peers_[next_++ % peers_.size()])) broken("the server answers too slowly for the pace");
      }
    }
    return sent;
  }

  /// Waits until nothing more comes.
  void settle() {
    for (int quiet = 0; quiet < 5; quiet = take_answers(20) ? 0 : quiet + 1) {
    }
  }

 private:
  struct Peer {
    Peer(int socket, noise::Session secured, const load::SessionOptions& options, load::Meter& meter)
        : fd(socket), noise(std::move(secured)), session(options, meter) {}
    int fd;
    noise::Session noise;
    load::Session session;
    wire::ByteBuffer tail;       ///< Received, not opened.
    std::size_t unanswered = 0;  ///< Of the bare server, which no session counts.
    std::uint32_t sequence = 0;
  };

  void open(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) broken("the server cannot be reached");
    no_delay(fd);
    // To the bare server shares are sealed with keys that nobody else has.
    noise::Session secured(noise::CipherState(key(1)), noise::CipherState(key(2)), wire::kMaxPayload);
    if (kind_ == Server::Kind::kPool) secured = shake_hands(fd);
    auto& peer = *peers_.emplace_back(std::make_unique<Peer>(fd, std::move(secured), options_, meter_));
    if (kind_ == Server::Kind::kPool) {
      out_.clear();
      peer.session.start("127.0.0.1", port, now_from_system(), out_);
      send(peer);
      while (!peer.session.ready()) receive(peer);
    }
    epoll_event wanted{.events = EPOLLIN, .data = {.ptr = &peer}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &wanted);
  }

  static noise::Session shake_hands(int fd) {
    noise::Initiator initiator(authority().public_key(), noise::system_random());
    std::array<std::uint8_t, noise::kAct2Size> act2;
    if (::send(fd, initiator.act1().data(), noise::kAct1Size, MSG_NOSIGNAL) != noise::kAct1Size ||
        ::recv(fd, act2.data(), act2.size(), MSG_WAITALL) != static_cast<ssize_t>(act2.size())) {
      broken("the pool does not shake hands");
    }
    auto session = initiator.read_act2(act2, now_from_system().unix_time, wire::kMaxPayload);
    if (!session) broken(session.error().message().c_str());
    return std::move(*session);
  }

  void send(Peer& peer) {
    if (out_.empty()) return;
    sealed_.clear();
    if (!peer.noise.seal(out_, sealed_)) broken("nothing more can be sealed");
    const auto bytes = sealed_.bytes();
    if (::send(peer.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size())) {
      broken("the server takes nothing more");
    }
  }

  /// One share, a segment by itself. False: too many of that connection have no answer.
  bool submit(Peer& peer) {
    out_.clear();
    if (kind_ == Server::Kind::kPool) {
      if (peer.session.submit(1, now_from_system().instant, out_) == 0) return false;
    } else {
      if (peer.unanswered >= kInFlight) return false;
      ++peer.unanswered;
      std::array<std::uint8_t, bitcoin::kHeaderSize> header{};
      store_le(header.data() + 76, ++peer.sequence);
      keep(bitcoin::sha256d_header(header));  // As long as the search takes on the easiest target.
      out_.push(wire::SubmitSharesStandard{.channel_id = 2, .sequence_number = peer.sequence});
    }
    send(peer);
    return true;
  }

  void receive(Peer& peer) {
    const auto room = peer.tail.extend(kReadSize);
    const auto got = ::recv(peer.fd, room.data(), room.size(), 0);
    if (got <= 0) broken("the server ended a connection");
    peer.tail.shrink(kReadSize - static_cast<std::size_t>(got));
    if (kind_ == Server::Kind::kBare) {
      const auto answers = peer.tail.size() / kAnswerSize;
      peer.tail.consume(answers * kAnswerSize);
      peer.unanswered -= answers * batch_;
    } else {
      frames_.clear();
      const auto used = peer.noise.open(peer.tail.bytes(), frames_);
      if (!used) broken(used.error().message().c_str());
      out_.clear();
      if (const auto handled = peer.session.on_frames(frames_, now_from_system(), out_); !handled)
        broken(handled.error().message().c_str());
      peer.tail.consume(*used);
      send(peer);
      if (!meter_.rejected.empty()) broken("the pool refused shares");
    }
    if (peer.tail.empty()) peer.tail.release();
  }

  bool take_answers(int milliseconds) {
    std::array<epoll_event, 128> events;
    const int count = ::epoll_wait(epoll_, events.data(), events.size(), milliseconds);
    for (int i = 0; i < count; ++i) receive(*static_cast<Peer*>(events[static_cast<std::size_t>(i)].data.ptr));
    if (count > 0) full_ = 0;
    return count > 0;
  }

  Server::Kind kind_;
  std::size_t batch_;
  int epoll_;
  load::SessionOptions options_{.user = "bench", .in_flight = kInFlight};
  load::Meter meter_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::size_t next_ = 0;  ///< The peer whose turn it is, over all rounds.
  std::size_t full_ = 0;  ///< Peers in a row that could take no share.
  wire::FrameBuffer out_;
  wire::ByteBuffer sealed_;
  std::vector<wire::FrameView> frames_;
};

/// Nanoseconds of the cryptography for one share, one at a time on the servers' core: its two AEAD opens, its sha256d, and its
/// part of the two AEAD seals of an answer. The median of short turns counts, of which most are not interrupted on a busy
/// machine.
double crypto_ns(std::size_t batch) {
  constexpr int kTurns = 200;
  constexpr int kShares = 100;
  noise::Session client(noise::CipherState(key(1)), noise::CipherState(key(2)), wire::kMaxPayload);
  noise::CipherState receive(key(1));
  noise::CipherState send(key(2));
  wire::FrameBuffer out;
  wire::ByteBuffer sealed;
  for (std::uint32_t i = 0; i < kTurns * kShares; ++i)
    out.push(wire::SubmitSharesStandard{.channel_id = 2, .sequence_number = i});
  if (!client.seal(out, sealed)) broken("nothing more can be sealed");
  std::array<std::uint8_t, kAnswerSize> answer{};
  std::array<std::uint8_t, bitcoin::kHeaderSize> header{};
  std::uint8_t* at = sealed.bytes().data();
  std::size_t shares = 0;
  std::vector<double> turns;
  run_on(kServerCore);
  for (int turn = 0; turn < kTurns; ++turn) {
    turns.push_back(timed(kShares, [&] {
      if (!receive.open(Bytes(at, noise::kSealedHeaderSize), {}, at)) broken("a header does not open");
      at += noise::kSealedHeaderSize;
      if (!receive.open(Bytes(at, kShareSize - noise::kSealedHeaderSize), {}, at)) broken("a share does not open");
      std::copy_n(at, 24, header.data());
      keep(bitcoin::sha256d_header(header));
      at += kShareSize - noise::kSealedHeaderSize;
      if (++shares % batch != 0) return;
      send.seal(Bytes(answer).first(wire::kHeaderSize), {}, answer.data());
      send.seal(Bytes(answer).subspan(noise::kSealedHeaderSize, 20), {}, answer.data() + noise::kSealedHeaderSize);
    }));
  }
  run_on(kClientCore);
  return median(std::move(turns));
}

struct Figures {
  std::vector<double> pool_us, bare_us, crypto_us, ratios;
};

void report(const char* key, const Figures& figures, bool json) {
  const double pool = median(figures.pool_us);
  const double bare = median(figures.bare_us);
  const double crypto = median(figures.crypto_us);
  const double ratio = median(figures.ratios);
  if (json) {
    std::printf("{\"key\":\"path.%s\",\"value\":%.2f,\"unit\":\"us\",\"ratio\":%.3f}\n", key, pool, ratio);
    std::printf("{\"key\":\"path.%s.floor\",\"value\":%.2f,\"unit\":\"us\",\"ratio\":null}\n", key, bare);
    std::printf("{\"key\":\"path.%s.crypto\",\"value\":%.2f,\"unit\":\"us\",\"ratio\":null}\n", key, crypto);
  } else {
    std::printf("%-12s pool %.2f us, bare server %.2f us + crypto %.2f us, ratio %.3f\n", key, pool, bare, crypto, ratio);
  }
  std::fflush(stdout);
}

/// CPU microseconds of the server for one share of what `run` brings it.
template <class Run>
double cost_us(const Server& server, Client& client, Run run) {
  const auto before = server.cpu();
  const auto shares = run(client);
  client.settle();  // All that was sent has been received; nothing is left for the next round.
  const std::chrono::duration<double, std::micro> cpu = server.cpu() - before;
  return cpu.count() / static_cast<double>(shares);
}

struct Load {
  const char* name;
  std::uint64_t (Client::*bring)();
};

/// Both servers with answers to `batch` shares at once, under each of `loads` in turn.
void compare(std::size_t batch, const std::vector<Load>& loads, bool json) {
  if (loads.empty()) return;
  const Server bare(Server::Kind::kBare, batch);
  const Server pool(Server::Kind::kPool, batch);
  Client to_bare(bare, Server::Kind::kBare, batch);
  Client to_pool(pool, Server::Kind::kPool, batch);
  std::vector<Figures> all(loads.size());
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < loads.size(); ++i) {
      const auto run = [&](Client& client) { return (client.*loads[i].bring)(); };
      auto& figures = all[i];
      figures.bare_us.push_back(cost_us(bare, to_bare, run));
      figures.pool_us.push_back(cost_us(pool, to_pool, run));
      figures.crypto_us.push_back(crypto_ns(batch) / 1e3);
      figures.ratios.push_back(figures.pool_us.back() / (figures.bare_us.back() + figures.crypto_us.back()));
    }
  }
  for (std::size_t i = 0; i < loads.size(); ++i) report(loads[i].name, all[i], json);
}

}  // namespace

int main(int argc, char** argv) {
  bool json = false;
  std::string_view only;
  for (const std::string_view argument : std::span(argv, static_cast<std::size_t>(argc)).subspan(1)) {
    if (argument == "--json") {
      json = true;
    } else {
      only = argument;
    }
  }
  if (std::thread::hardware_concurrency() < 2) {
    std::fprintf(stderr, "share_path: needs two cores, one for the servers and one for the client\n");
    return 0;
  }
  if (const auto allowed = load::allow_connections(2 * kConnections); !allowed) broken(allowed.error().message().c_str());
  (void)::setpriority(PRIO_PROCESS, 0, -10);  // Before whatever else this machine does, where this user may ask for that.
  run_on(kClientCore);
  const auto wanted = [only](std::vector<Load> loads) {
    std::erase_if(loads, [only](const Load& load) { return !only.empty() && only != load.name; });
    return loads;
  };
  compare(10, wanted({{"flood", &Client::flood}, {"paced", &Client::pace}}), json);
  compare(1, wanted({{"paced.each", &Client::pace}}), json);
  return 0;
}
