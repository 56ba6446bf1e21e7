// Memory of a pool per idle TCP connection with one open standard channel and a job: the growth of the server process alone;
// its miners run in a child process.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <string_view>
#include <vector>

#include "log/log.h"
#include "net/dial.h"
#include "roles/pool/server.h"
#include "template/embedded.h"
#include "wire/messages.h"

namespace {

namespace asio = boost::asio;
using namespace adit;
using namespace std::chrono_literals;

constexpr int kConnections = 2000;

[[noreturn]] void broken(const char* what) {
  std::fprintf(stderr, "idle_memory: %s\n", what);
  std::exit(1);
}

noise::Secret authority_secret() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(7);
  return noise::Secret(bytes);
}

/// Bytes of memory that the process has now (its resident set).
double resident() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  long total = 0;
  long pages = 0;
  if (file == nullptr || std::fscanf(file, "%ld %ld", &total, &pages) != 2) broken("cannot read /proc/self/statm");
  std::fclose(file);
  return static_cast<double>(pages) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// Connects, opens a standard channel, waits for its job and previous hash.
asio::awaitable<std::unique_ptr<net::NetworkConnection>> open(net::Shard& shard, net::Peer pool) {
  auto connection = co_await net::dial(shard, pool, wire::Protocol::kMining, {});
  if (!connection) broken(connection.error().message().c_str());
  wire::FrameBuffer out;
  out.push(wire::SetupConnection{.protocol = std::to_underlying(wire::Protocol::kMining), .min_version = 2, .max_version = 2});
  wire::U256 easiest;
  easiest.fill(0xff);
  out.push(wire::OpenStandardMiningChannel{
      .request_id = 1, .user_identity = std::string_view("bench.rig"), .nominal_hash_rate = 1e14f, .max_target = easiest});
  (*connection)->send(out);
  for (bool ready = false; !ready;) {
    const auto batch = co_await (*connection)->receive();
    if (!batch) broken(batch.error().message().c_str());
    for (const auto& frame : *batch) ready = ready || frame.is<wire::SetNewPrevHash>();
  }
  co_return std::move(*connection);
}

/// The child: holds the connections until `release` ends.
void run_miners(int port_from, int ready_to, int release) {
  std::uint16_t port = 0;
  if (::read(port_from, &port, sizeof port) != sizeof port) broken("no port from the server");
  net::Shards shards(1);
  shards.start();
  std::promise<void> opened;
  std::vector<std::unique_ptr<net::NetworkConnection>> connections;
  const net::Peer pool{.transport = net::TcpConfig{"127.0.0.1", port},
                       .authority = noise::AuthorityKeyPair::from_secret(authority_secret())->public_key()};
  shards[0].post([&] {
    shards[0].spawn([](auto& held, auto& home, auto to, auto& done) -> asio::awaitable<void> {
      for (int i = 0; i < kConnections; ++i) held.push_back(co_await open(home, to));
      done.set_value();
    }(connections, shards[0], pool, opened));
  });
  opened.get_future().wait();
  char byte = 1;
  if (::write(ready_to, &byte, 1) != 1 || ::read(release, &byte, 1) < 0) broken("the server is gone");
  shards.stop(0s);
}

}  // namespace

int main(int argc, char** argv) {
  const bool json = argc > 1 && std::string_view(argv[1]) == "--json";
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < kConnections + 100) broken("too few file descriptors allowed: raise ulimit -n");

  int port_pipe[2];
  int ready_pipe[2];
  int release_pipe[2];
  if (::pipe(port_pipe) != 0 || ::pipe(ready_pipe) != 0 || ::pipe(release_pipe) != 0) broken("no pipe");
  const pid_t child = ::fork();  // before any thread
  if (child == 0) {
    ::close(release_pipe[1]);
    ::close(port_pipe[1]);
    run_miners(port_pipe[0], ready_pipe[1], release_pipe[0]);
    return 0;
  }
  ::close(ready_pipe[1]);
  ::close(release_pipe[0]);

  if (!log::configure({.level = log::Level::kWarn})) broken("no log");
  net::Shards shards(1);
  shards.start();
  templates::EmbeddedSource source{templates::EmbeddedSource::Options{}};
  pool::ServerOptions options;
  options.listen = net::TcpConfig{"127.0.0.1", 0};
  options.authority_secret = authority_secret();
  options.jobs = {.payout_script = {0x51}, .pool_signature = "bench"};
  // None of them works, and all of them are of one address.
  options.admission.max_unproven_per_source = kConnections;
  options.admission.max_handshakes_per_source = kConnections;
  options.admission.source_costs.amount = kConnections + 1;
  pool::PoolServer server(shards, source, std::move(options));
  if (const auto started = server.start(); !started) broken(started.error().message().c_str());

  const double before = resident();
  const auto port = server.tcp_port();
  char ready = 0;
  if (::write(port_pipe[1], &port, sizeof port) != sizeof port) broken("the miners are gone");
  if (::read(ready_pipe[0], &ready, 1) != 1) broken("the miners failed");
  const double after = resident();
  const auto stats = server.stats();
  if (stats.miners.standard_channels != kConnections) broken("not every channel is open");
  ::close(release_pipe[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
  server.stop(2s);
  shards.stop(0s);
  log::shutdown();

  const double kib = (after - before) / 1024 / kConnections;
  if (json) {
    std::printf("{\"key\":\"memory.idle_connection\",\"value\":%.2f,\"unit\":\"KiB\",\"ratio\":null}\n", kib);
  } else {
    std::printf("one idle TCP connection with a standard channel and a job: %.2f KiB\n", kib);
  }
  return 0;
}
