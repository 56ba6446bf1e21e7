// What it costs a pool that each miner is paid by its own script: how long a new tip takes to the last of many miners, the
// pool's CPU for it, and the pool's memory of a channel, where each has an address of its own beside where all have one.
//
// The pool and its miners are a process each, on a core each; one miner is one connection with one standard channel. The rounds
// alternate between the two, and the median tip of each counts. From the first to the last miner that heard, a tip is told as
// fast as the pool's coinbases and the network allow.
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "log/log.h"
#include "roles/load/load.h"
#include "roles/pool/server.h"
#include "template/embedded.h"
#include "timing.h"

namespace {

using namespace adit;
using namespace adit::bench;
using namespace std::chrono_literals;

constexpr int kPoolCore = 0;
constexpr int kMinersCore = 1;
constexpr std::size_t kMostChannels = 10'000;
constexpr std::size_t kOtherFiles = 200;
constexpr Duration kTipEvery = 1500ms;
constexpr Duration kListen = 9s;
constexpr int kRounds = 2;

noise::Secret authority_secret() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(7);
  return noise::Secret(bytes);
}

void run_on(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  if (::sched_setaffinity(0, sizeof cores, &cores) != 0) broken("this process may not choose its core");
}

/// The pool as `adit pool` runs it, with one shard and a new tip now and then.
[[noreturn]] void run_pool(int port_to) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  run_on(kPoolCore);
  if (!log::configure({.level = log::Level::kError})) broken("no log");
  net::Shards shards(1);
  shards.start();
  templates::EmbeddedSource source({.refresh_every = 24h, .new_tip_every = kTipEvery});
  pool::ServerOptions options;
  options.listen = net::TcpConfig{"127.0.0.1", 0};
  options.authority_secret = authority_secret();
  options.admission.max_connections = 2 * kMostChannels;
  // None of them works, and all of them are of one address.
  options.admission.max_unproven_per_source = 2 * kMostChannels;
  options.admission.max_handshakes_per_source = 2 * kMostChannels;
  options.admission.source_costs.amount = 4 * kMostChannels;
  options.jobs = {.payout_script = std::vector<std::uint8_t>(22, 0x14), .pool_signature = "bench"};
  options.session.payouts = {.pool_script = {}, .solo = true, .network = bitcoin::Network::kRegtest};
  pool::PoolServer server(shards, source, std::move(options));
  if (const auto started = server.start(); !started) broken(started.error().message().c_str());
  const auto port = server.tcp_port();
  if (::write(port_to, &port, sizeof port) != sizeof port) broken("nobody waits for the pool");
  for (;;) ::pause();  // Until it is ended.
}

struct Figures {
  double tip_ms = 0;
  double tip_cpu_us = 0;  ///< Of one channel.
  double memory_kib = 0;  ///< Likewise.
};

/// Miners of a pool that was just started, on this process's shard.
Figures measure(std::uint16_t port, pid_t pool, std::size_t channels, bool own_addresses) {
  net::Shards shards(1);
  shards.start();
  Figures figures;
  {
    load::LoadOptions options;
    options.pool = {.transport = net::TcpConfig{"127.0.0.1", port},
                    .authority = noise::AuthorityKeyPair::from_secret(authority_secret())->public_key()};
    options.connections = channels;
    options.session = {.user = load::address_of(0), .own_address = own_addresses, .nominal_hash_rate_hps = 1e14F};
    options.pid = pool;
    load::Load load(shards, std::move(options));
    const auto opened = load.open();
    if (!opened) broken(opened.error().message().c_str());
    figures.memory_kib = static_cast<double>(opened->pool_memory_bytes.value_or(0)) / 1024 / static_cast<double>(channels);
    if (!load.begin()) broken("the miners do not begin");
    std::this_thread::sleep_for(kListen);
    const auto measured = load.finish();
    if (!measured) broken(measured.error().message().c_str());
    if (measured->lost != 0) broken(("miners were lost: " + measured->last_loss).c_str());
    std::vector<double> spans;
    for (const load::Tip& tip : measured->meter.tips) {
      if (tip.heard.size() != channels) continue;  // The listening began or ended meanwhile.
      const auto [first, last] = std::ranges::minmax(tip.heard, {}, &load::Tip::Hearing::at);
      spans.push_back(std::chrono::duration<double, std::milli>(last.at - first.at).count());
    }
    if (spans.empty()) broken("no tip reached every miner");
    figures.tip_ms = median(std::move(spans));
    figures.tip_cpu_us = std::chrono::duration<double, std::micro>(measured->pool_cpu.value_or(Duration{})).count() /
                         static_cast<double>(measured->meter.tips.size() * channels);
  }
  shards.stop(3s);
  return figures;
}

/// One round in processes of its own, so that what one has left over is none of the next one's.
Figures round(std::size_t channels, bool own_addresses) {
  int port_pipe[2];
  int figures_pipe[2];
  if (::pipe(port_pipe) != 0 || ::pipe(figures_pipe) != 0) broken("no pipe");
  const pid_t pool = ::fork();
  if (pool == 0) run_pool(port_pipe[1]);
  std::uint16_t port = 0;
  if (::read(port_pipe[0], &port, sizeof port) != sizeof port) broken("no port from the pool");
  const pid_t miners = ::fork();
  if (miners == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    run_on(kMinersCore);
    if (!log::configure({.level = log::Level::kError})) broken("no log");
    const Figures figures = measure(port, pool, channels, own_addresses);
    if (::write(figures_pipe[1], &figures, sizeof figures) != sizeof figures) broken("nobody waits for the figures");
    ::_exit(0);
  }
  for (const int end : {port_pipe[0], port_pipe[1], figures_pipe[1]}) ::close(end);
  Figures figures;
  if (::read(figures_pipe[0], &figures, sizeof figures) != sizeof figures) broken("the miners failed");
  ::close(figures_pipe[0]);
  ::waitpid(miners, nullptr, 0);
  ::kill(pool, SIGKILL);
  ::waitpid(pool, nullptr, 0);
  return figures;
}

double median_of(const std::vector<Figures>& all, double Figures::* figure) {
  std::vector<double> values;
  for (const Figures& figures : all) values.push_back(figures.*figure);
  return median(std::move(values));
}

}  // namespace

int main(int argc, char** argv) {
  const bool json = argc > 1 && std::string_view(argv[1]) == "--json";
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < 2 * kOtherFiles) broken("too few file descriptors allowed: raise ulimit -n");
  const std::size_t channels = std::min<std::size_t>(kMostChannels, files.rlim_cur - kOtherFiles);

  std::vector<Figures> one;
  std::vector<Figures> own;
  for (int i = 0; i < kRounds; ++i) {
    one.push_back(round(channels, false));
    own.push_back(round(channels, true));
  }
  const auto report = [&](const char* key, double value, const char* unit, double beside) {
    if (json) {
      std::printf("{\"key\":\"payouts.%s\",\"value\":%.2f,\"unit\":\"%s\",\"ratio\":%.3f}\n", key, value, unit, value / beside);
      std::printf("{\"key\":\"payouts.%s.one\",\"value\":%.2f,\"unit\":\"%s\",\"ratio\":null}\n", key, beside, unit);
    } else {
      std::printf("%s: %.2f %s on %zu addresses, %.2f %s on one, ratio %.3f\n", key, value, unit, channels, beside, unit,
                  value / beside);
    }
  };
  report("tip", median_of(own, &Figures::tip_ms), "ms", median_of(one, &Figures::tip_ms));
  report("tip_cpu", median_of(own, &Figures::tip_cpu_us), "us", median_of(one, &Figures::tip_cpu_us));
  const double more = median_of(own, &Figures::memory_kib) - median_of(one, &Figures::memory_kib);
  if (json) {
    std::printf("{\"key\":\"payouts.memory\",\"value\":%.2f,\"unit\":\"KiB\",\"ratio\":null}\n", more);
  } else {
    std::printf("memory of a channel for its own address: %.2f KiB more\n", more);
  }
  return 0;
}
