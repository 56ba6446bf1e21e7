// A peer as a process of its own, for the tests of this folder and for tests/interop: well-behaved or not.
//
//   serve                        prints "ID ADDRESS", echoes every stream until it is ended by a signal
//   talk ID ADDRESS              says each line of its input and prints what comes back, until the input ends
//   mute ID ADDRESS COUNT        keeps COUNT connections whose stream is opened and never written to
//   deaf ID ADDRESS              writes for ever and never reads
//   streams ID ADDRESS COUNT     tries to open COUNT streams at once, a byte in each; prints how many came to be
//   flood ID ADDRESS COUNT FROM  sends the first packet of COUNT handshakes from the address FROM and answers nothing
//
// The abusive ones print one line once they are at it, and go on until they are killed. Before the command: --key N, the
// secret key (32 bytes of N; else one that follows from the process's id).
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "adit_bridge.h"
#include "base/hex.h"
#include "net/iroh/test_support.h"

namespace adit::net::test {
namespace {

constexpr std::string_view kAlpn = "adit-test/1";

[[noreturn]] void give_up(const std::string& why) {
  std::cerr << "adit_iroh_peer: " << why << '\n';
  std::exit(1);  // NOLINT(concurrency-mt-unsafe): nothing of this process is needed any more
}

void until_ended() {
  for (;;) ::pause();
}

// ---- the well-behaved ones: over IrohNodeManager ---------------------------------------------------------------------------

std::unique_ptr<IrohNodeManager> node(Shards& shards, IrohNodeConfig config) {
  auto started = IrohNodeManager::start(shards, std::move(config));
  if (!started) give_up(started.error().message());
  return std::move(*started);
}

void serve(IrohNodeConfig config) {
  // Every thread inherits the mask, so that the signal waits for sigwait.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  Shards shards(1);
  shards.start();
  const auto server = node(shards, std::move(config));
  const auto listening =
      server->listen({std::string(kAlpn)}, Admission({}),
                     [](Shard& shard, Link link, const IrohCarrier::Place&) { shard.spawn(echo(std::move(link.stream))); });
  if (!listening) give_up(listening.error().message());
  std::cout << server->endpoint_id() << ' ' << server->local_addresses().front() << '\n' << std::flush;
  int which = 0;
  (void)::sigwait(&ends, &which);
}

void talk(IrohNodeConfig config, const IrohConfig& to) {
  Shards shards(1);
  shards.start();
  const auto client = node(shards, std::move(config));
  auto stream = run_on(shards[0], dial_stream(*client, shards[0], to, std::chrono::seconds(10)));
  if (!stream) give_up(stream.error().message());
  for (std::string line; std::getline(std::cin, line);) {
    auto heard = run_on(shards[0], say(**stream, line));
    if (!heard) give_up(heard.error().message());
    std::cout << *heard << '\n' << std::flush;
  }
  run_on(shards[0], [](ByteStream& open) -> asio::awaitable<int> {
    open.close(CloseCode::kShutdown);
    co_return 0;
  }(**stream));
  shards.stop(std::chrono::seconds(1));
}

// ---- the abusive ones: on the bridge itself --------------------------------------------------------------------------------

constexpr std::uint32_t kDeadlineMs = 10'000;

/// An endpoint of its own, whose events are taken by polling.
class RawPeer {
 public:
  RawPeer(std::uint8_t key, const IrohConfig& to) : to_(to) {
    if (adit_runtime_start(2) != ADIT_OK || adit_loop_create(65'536, &loop_) != ADIT_OK) give_up("no bridge");
    std::array<std::uint8_t, 32> secret{};
    secret.fill(key);
    const auto bind = view("127.0.0.1:0");
    adit_endpoint_config config{};
    config.secret_key = secret.data();
    config.bind_addrs = &bind;
    config.bind_addr_count = 1;
    config.stream_window = config.receive_window = config.send_window = 1 << 20;
    config.idle_timeout_ms = 30'000;
    config.keep_alive_ms = 5'000;
    if (adit_endpoint_bind(loop_, &config, kDeadlineMs, &endpoint_) != ADIT_OK || done(endpoint_) != ADIT_OK)
      give_up("cannot bind");
  }

  static adit_bytes view(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

  adit_handle begin_dial(const std::string& address, std::uint32_t deadline_ms = kDeadlineMs) {
    std::array<std::uint8_t, 32> id{};
    if (!from_hex(to_.endpoint_id, id)) give_up("no such id");
    const auto addr = view(address), alpn = view(kAlpn);
    adit_dial target{};
    target.endpoint_id = id.data();
    target.addrs = &addr;
    target.addr_count = 1;
    target.alpns = &alpn;
    target.alpn_count = 1;
    adit_handle connection = 0;
    const auto result = adit_connect(endpoint_, loop_, &target, deadline_ms, &connection);
    if (result != ADIT_OK) give_up(bridge_error(result, 0, "cannot dial " + address).message());
    return connection;
  }

  adit_handle open(adit_handle connection) {
    adit_handle stream = 0;
    return adit_stream_open(connection, kDeadlineMs, &stream) == ADIT_OK && done(stream) == ADIT_OK ? stream : 0;
  }

  /// How what began `handle` ended.
  std::int32_t done(adit_handle handle) {
    for (;;) {
      if (const auto known = results_.find(handle); known != results_.end()) return known->second;
      take_events();
    }
  }

  void take_events() {
    pollfd ready{.fd = adit_loop_fd(loop_), .events = POLLIN, .revents = 0};
    (void)::poll(&ready, 1, 1000);
    std::array<adit_event, 256> events;
    const auto count = adit_loop_drain(loop_, events.data(), events.size());
    for (std::int32_t i = 0; i < count; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      if ((event.ready & ADIT_READY_DONE) != 0) results_[event.handle] = event.result;
    }
  }

 private:
  const IrohConfig& to_;
  adit_handle loop_ = 0;
  adit_handle endpoint_ = 0;
  std::map<adit_handle, std::int32_t> results_;
};

[[noreturn]] void mute(RawPeer& peer, const IrohConfig& to, std::size_t count) {
  std::vector<adit_handle> connections;
  for (bool told = false;;) {
    // Those that were cut off come back.
    std::erase_if(connections, [](adit_handle connection) {
      adit_close_reason reason;
      const bool over = adit_connection_close_reason(connection, &reason) == ADIT_OK;
      if (over) (void)adit_release(connection, 0);
      return over;
    });
    while (connections.size() < count) {
      const auto connection = peer.begin_dial(to.addrs.front());
      if (peer.done(connection) != ADIT_OK) {
        (void)adit_release(connection, 0);
        break;
      }
      (void)peer.open(connection);
      connections.push_back(connection);
    }
    if (!std::exchange(told, true)) std::cout << connections.size() << '\n' << std::flush;
    ::usleep(10'000);
  }
}

[[noreturn]] void deaf(RawPeer& peer, const IrohConfig& to) {
  const auto connection = peer.begin_dial(to.addrs.front());
  if (peer.done(connection) != ADIT_OK) give_up("cannot connect");
  const auto stream = peer.open(connection);
  const std::vector<std::uint8_t> block(65'536, 7);
  std::uint64_t written = 0, code = 0;
  for (bool told = false;;) {
    const auto taken = adit_stream_write(stream, block.data(), block.size(), &code);
    if (taken > 0) {
      written += static_cast<std::uint64_t>(taken);
    } else {
      if (taken == ADIT_AGAIN && !std::exchange(told, true)) std::cout << written << '\n' << std::flush;
      ::usleep(1000);
    }
  }
}

[[noreturn]] void streams(RawPeer& peer, const IrohConfig& to, std::size_t count) {
  const auto connection = peer.begin_dial(to.addrs.front());
  if (peer.done(connection) != ADIT_OK) give_up("cannot connect");
  std::vector<adit_handle> begun(count);
  for (auto& stream : begun)
    if (adit_stream_open(connection, 3000, &stream) != ADIT_OK) give_up("cannot begin a stream");
  std::size_t opened = 0;
  std::uint64_t code = 0;
  for (const auto stream : begun) {
    if (peer.done(stream) != ADIT_OK) continue;
    ++opened;
    (void)adit_stream_write(stream, reinterpret_cast<const std::uint8_t*>("x"), 1, &code);
  }
  std::cout << opened << '\n' << std::flush;
  until_ended();
  std::abort();
}

/// A UDP socket on loopback.
int udp(const std::string& host, std::uint16_t port, std::string& address) {
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) give_up("no socket");
  sockaddr_in name{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
  ::inet_pton(AF_INET, host.c_str(), &name.sin_addr);
  socklen_t size = sizeof name;
  if (::bind(socket, reinterpret_cast<sockaddr*>(&name), size) != 0) give_up("cannot bind " + host);
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&name), &size);
  address = host + ":" + std::to_string(ntohs(name.sin_port));
  return socket;
}

/// The first packets are real: iroh sends them to a socket of ours, from which nothing ever comes, and they are passed on from
/// another address. No name of the server is in them, so that server takes them for its own.
[[noreturn]] void flood(RawPeer& peer, const IrohConfig& to, std::size_t count, const std::string& from) {
  std::string trap_address, source_address;
  const int trap = udp("127.0.0.1", 0, trap_address), source = udp(from, 0, source_address);
  const auto colon = to.addrs.front().rfind(':');
  sockaddr_in target{.sin_family = AF_INET, .sin_port = {}, .sin_addr = {}, .sin_zero = {}};
  target.sin_port = htons(static_cast<std::uint16_t>(std::stoul(to.addrs.front().substr(colon + 1))));
  ::inet_pton(AF_INET, to.addrs.front().substr(0, colon).c_str(), &target.sin_addr);

  std::size_t sent = 0;
  std::array<std::uint8_t, 2048> packet;
  std::vector<adit_handle> dials;
  std::set<std::vector<std::uint8_t>> seen;
  while (sent < count) {
    while (dials.size() < 64) dials.push_back(peer.begin_dial(trap_address, 300));
    pollfd ready{.fd = trap, .events = POLLIN, .revents = 0};
    (void)::poll(&ready, 1, 300);
    for (ssize_t size = 0; (size = ::recv(trap, packet.data(), packet.size(), MSG_DONTWAIT)) > 0;) {
      // A long header of type Initial (RFC 9000 §17.2.2); the next one to its connection id would take the first one back.
      const std::size_t id_size = packet[5];
      if (size < 1200 || (packet[0] & 0xf0) != 0xc0 || !seen.emplace(packet.begin() + 6, packet.begin() + 6 + id_size).second)
        continue;
      (void)::sendto(source, packet.data(), static_cast<std::size_t>(size), 0, reinterpret_cast<sockaddr*>(&target),
                     sizeof target);
      ++sent;
    }
    for (const auto dial : dials) (void)adit_release(dial, 1);
    dials.clear();
  }
  std::cout << sent << '\n' << std::flush;
  until_ended();
  std::abort();
}

int run(std::vector<std::string> arguments) {
  // Dies with the test that started it.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto key = static_cast<std::uint8_t>(0x80 | ::getpid());  // the tests' own nodes have small ones
  if (arguments.size() >= 2 && arguments[0] == "--key") {
    key = static_cast<std::uint8_t>(std::stoul(arguments[1]));
    arguments.erase(arguments.begin(), arguments.begin() + 2);
  }
  if (arguments.empty()) give_up("which command?");
  const auto& command = arguments[0];
  if (command == "serve") {
    serve(loopback(key));
    return 0;
  }
  if (arguments.size() < 3) give_up("an id and an address are needed");
  IrohConfig to;
  to.endpoint_id = arguments[1];
  to.addrs = {arguments[2]};
  to.alpn = kAlpn;
  if (command == "talk") {
    talk(loopback(key), to);
    return 0;
  }
  RawPeer peer(key, to);
  const std::size_t count = arguments.size() > 3 ? std::stoul(arguments[3]) : 1;
  if (command == "mute") mute(peer, to, count);
  if (command == "deaf") deaf(peer, to);
  if (command == "streams") streams(peer, to, count);
  if (command == "flood" && arguments.size() > 4) flood(peer, to, count, arguments[4]);
  give_up("no such command: " + command);
}

}  // namespace
}  // namespace adit::net::test

// NOLINTNEXTLINE(bugprone-exception-escape): a tool for tests, whose output the test reads
int main(int count, char** arguments) { return adit::net::test::run({arguments + 1, arguments + count}); }
