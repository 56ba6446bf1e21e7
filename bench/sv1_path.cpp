// What a share of an SV1 miner costs the pool that takes it at its own port, beside the translator that takes it and sends it
// on to such a pool; and the memory of a miner at either.
//
// One client drives both with the same code: the same number of connections, each share found anew and sent a line by itself,
// or ten of them in a segment. Whoever is measured has a process and a core of its own; the client has the other core, and the
// pool behind the translator too. A server's cost is its process's CPU time, user and system, over the shares that it answered
// by `true`. The rounds alternate between the two, each ratio is that of one round, and the median counts.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "log/log.h"
#include "mining/sv1_work.h"
#include "roles/load/load.h"
#include "roles/load/meter.h"
#include "roles/pool/server.h"
#include "roles/translator/server.h"
#include "sv1/client.h"
#include "template/embedded.h"
#include "timing.h"

namespace {

using namespace adit;
using namespace adit::bench;
using namespace std::chrono_literals;

constexpr int kServerCore = 0;
constexpr int kClientCore = 1;
constexpr std::size_t kConnections = 1000;
constexpr int kRounds = 15;
constexpr std::size_t kSharesOfRound = 20'000;

noise::Secret key() {
  std::array<std::uint8_t, 32> bytes;
  bytes.fill(7);
  return noise::Secret(bytes);
}

void run_on(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  if (::sched_setaffinity(0, sizeof cores, &cores) != 0) broken("this process may not choose its core");
}

struct Ports {
  std::uint16_t sv1 = 0;
  std::uint16_t sv2 = 0;
};

net::AdmissionLimits of_one_address() {
  net::AdmissionLimits limits;
  limits.max_unproven_per_source = kConnections;
  limits.max_handshakes_per_source = kConnections;
  limits.source_costs.amount = 2 * kConnections;
  return limits;
}

/// Until the client ends it.
[[noreturn]] void serve(const Ports& ports, int ports_to) {
  if (::write(ports_to, &ports, sizeof ports) != sizeof ports) broken("the client is gone");
  for (;;) ::pause();
}

/// The pool as `adit pool` runs it, with one shard; work on which no share is a block, and shares that are found at once.
[[noreturn]] void run_pool(int ports_to) {
  net::Shards shards(1);
  shards.start();
  templates::EmbeddedSource source({.chain = {.nbits = 0x1d00ffff}, .refresh_every = 24h});
  pool::ServerOptions options;
  options.listen = net::TcpConfig{"127.0.0.1", 0};
  options.sv1_listen = net::TcpConfig{"127.0.0.1", 0};
  options.authority_secret = key();
  options.admission = of_one_address();
  options.session.channel = {.shares_per_minute = 6, .share_batch_size = 10};
  options.jobs = {.payout_script = {0x51}, .pool_signature = "bench"};
  pool::PoolServer server(shards, source, std::move(options));
  if (const auto started = server.start(); !started) broken(started.error().message().c_str());
  serve({.sv1 = server.sv1_port(), .sv2 = server.tcp_port()}, ports_to);
}

[[noreturn]] void run_translator(std::uint16_t pool, int ports_to) {
  net::Shards shards(1);
  shards.start();
  translator::ServerOptions options;
  options.listen = {"127.0.0.1", 0};
  options.upstreams = {{.peer = {.transport = net::TcpConfig{"127.0.0.1", pool},
                                 .authority = noise::AuthorityKeyPair::from_secret(key())->public_key()},
                        .user_identity = "bench"}};
  options.admission = of_one_address();
  options.translator.miners.min_hash_rate_hps = 1;
  options.translator.miners.vardiff = false;  // As at the pool: the channel's difficulty.
  options.translator.ration = {.of_source = kConnections, .unproven = kConnections};
  translator::TranslatorServer server(shards, std::move(options));
  if (const auto started = server.start(); !started) broken(started.error().message().c_str());
  serve({.sv1 = server.port()}, ports_to);
}

/// A server in a process of its own, on a core of its own; ended with this object.
class Server {
 public:
  template <class Run>
  Server(int core, Run run) {
    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0) broken("no pipe");
    pid_ = ::fork();  // Before any thread.
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      run_on(core);
      if (!log::configure({.level = log::Level::kError})) broken("no log");
      run(pipe[1]);
    }
    ::close(pipe[1]);
    if (::read(pipe[0], &ports_, sizeof ports_) != sizeof ports_) broken("no port from the server");
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

  [[nodiscard]] const Ports& ports() const { return ports_; }
  [[nodiscard]] Duration cpu() const { return or_broken(meter_->cpu()); }
  [[nodiscard]] double resident_kib() const { return static_cast<double>(or_broken(meter_->resident())) / 1024; }

 private:
  template <class T>
  static T or_broken(const Result<T>& read) {
    if (!read) broken("the server has ended");
    return *read;
  }

  pid_t pid_ = 0;
  Ports ports_;
  std::optional<load::ProcessMeter> meter_;
};

/// One SV1 miner over a blocking socket.
class Miner final : sv1::ClientHandler {
 public:
  Miner(std::uint16_t port, std::uint32_t number)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), client_({.user = "bench." + std::to_string(number)}, *this) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) broken("the server cannot be reached");
    const int on = 1;
    (void)::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    client_.start();
    send();
    while (work_ == nullptr) receive();
  }
  Miner(const Miner&) = delete;
  Miner& operator=(const Miner&) = delete;
  ~Miner() { ::close(fd_); }

  /// Finds so many shares and sends them in one segment.
  void submit(int shares) {
    for (int i = 0; i < shares; ++i) find();
    send();
  }
  /// Until all are answered.
  void settle() {
    while (waits_ != 0) receive();
  }

 private:
  void on_ready() override {}
  void on_work(std::shared_ptr<const sv1::Work> work) override {
    work_ = std::move(work);
    header_ = mining::header_of(*work_, sv1::Extranonce(kExtranonce2));
  }
  void on_submit_answer(std::uint64_t, const sv1::RpcError* error) override {
    if (error != nullptr) broken(("a share was refused: " + error->message).c_str());
    --waits_;
  }
  void find() {
    do {
      store_le(header_.data() + 76, ++nonce_);
    } while (!bitcoin::meets_target(bitcoin::sha256d_header(header_), work_->target));
    if (!client_.submit(*work_, sv1::Extranonce(kExtranonce2), work_->job.ntime, nonce_, 0)) broken("too many wait");
    ++waits_;
  }
  void send() {
    auto& out = client_.output();
    if (::send(fd_, out.data(), out.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(out.size()))
      broken("the server takes nothing");
    out.clear();
  }
  void receive() {
    std::array<std::uint8_t, 16384> bytes;
    const auto got = ::recv(fd_, bytes.data(), bytes.size(), 0);
    if (got <= 0) broken("the server ended a connection");
    if (const auto heard = client_.receive(Bytes(bytes).first(static_cast<std::size_t>(got))); !heard)
      broken(heard.error().message().c_str());
    send();
  }

  static constexpr std::array<std::uint8_t, 4> kExtranonce2{1, 2, 3, 4};
  int fd_;
  sv1::Client client_;
  std::shared_ptr<const sv1::Work> work_;
  std::array<std::uint8_t, bitcoin::kHeaderSize> header_{};
  std::uint32_t nonce_ = 0;
  std::size_t waits_ = 0;
};

using Miners = std::vector<std::unique_ptr<Miner>>;

Miners connect(std::uint16_t port) {
  Miners miners;
  for (std::uint32_t i = 0; i < kConnections; ++i) miners.push_back(std::make_unique<Miner>(port, i));
  return miners;
}

/// CPU microseconds of the server for one share, of segments with so many each.
double cost_us(const Server& server, const Miners& miners, int together) {
  const auto before = server.cpu();
  std::size_t shares = 0;
  for (std::size_t next = 0; shares < kSharesOfRound; ++next) {
    miners[next % miners.size()]->submit(together);
    shares += static_cast<std::size_t>(together);
  }
  for (const auto& miner : miners) miner->settle();
  const std::chrono::duration<double, std::micro> cpu = server.cpu() - before;
  return cpu.count() / static_cast<double>(shares);
}

void print(const std::string& key, double value, const char* unit, std::optional<double> ratio, bool json) {
  const std::string of = ratio ? std::to_string(*ratio) : "null";
  if (json) {
    std::printf("{\"key\":\"sv1.%s\",\"value\":%.2f,\"unit\":\"%s\",\"ratio\":%s}\n", key.c_str(), value, unit, of.c_str());
  } else {
    std::printf("%-24s %8.2f %-4s ratio %s\n", key.c_str(), value, unit, of.c_str());
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const bool json = argc > 1 && std::string_view(argv[1]) == "--json";
  if (std::thread::hardware_concurrency() < 2) {
    std::fprintf(stderr, "sv1_path: needs two cores, one for the servers and one for the client\n");
    return 0;
  }
  if (const auto allowed = load::allow_connections(3 * kConnections); !allowed) broken(allowed.error().message().c_str());
  (void)::setpriority(PRIO_PROCESS, 0, -10);  // Before whatever else this machine does, where this user may ask for that.
  run_on(kClientCore);
  const Server behind(kClientCore, run_pool);
  const Server pool(kServerCore, run_pool);
  const Server translator(kServerCore, [&](int to) { run_translator(behind.ports().sv2, to); });
  double pool_kib = pool.resident_kib();
  double translator_kib = translator.resident_kib();
  const Miners at_pool = connect(pool.ports().sv1);
  const Miners at_translator = connect(translator.ports().sv1);
  pool_kib = (pool.resident_kib() - pool_kib) / kConnections;
  translator_kib = (translator.resident_kib() - translator_kib) / kConnections;

  for (const auto& [name, together] : {std::pair("share", 1), std::pair("share.ten", 10)}) {
    std::vector<double> pools, translators, ratios;
    for (int round = 0; round < rounds(kRounds); ++round) {
      pools.push_back(cost_us(pool, at_pool, together));
      translators.push_back(cost_us(translator, at_translator, together));
      ratios.push_back(pools.back() / translators.back());
    }
    print(name, median(pools), "us", median(ratios), json);
    print(std::string(name) + ".translator", median(translators), "us", std::nullopt, json);
  }
  print("memory", pool_kib, "KiB", pool_kib / translator_kib, json);
  print("memory.translator", translator_kib, "KiB", std::nullopt, json);
  return 0;
}
