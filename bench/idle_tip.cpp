// How long a new tip takes to the last of 1,000 ordinary miners, with 16 idle connections beside them that have 4,096 channels
// each and want a job of their own for every one, beside without those. The time runs from the moment at which the chain hands
// the tip to the pool.
//
// The pool has a core; the miners have another, and on that, behind everything else, whoever is idle. The rounds alternate
// between the two, and the median of all tips of each counts. The idle ones come from two addresses, since one address may open
// half as many channels within a tip.
#include <fcntl.h>
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
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "attack/peer.h"
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
constexpr std::size_t kMiners = 1000;
constexpr std::size_t kIdle = 16;
constexpr std::size_t kChannels = 4096;
constexpr Duration kTipEvery = 1500ms;
constexpr Duration kListen = 12s;
constexpr int kRounds = 3;

noise::Secret authority_secret() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(7);
  return noise::Secret(bytes);
}
noise::PublicKey authority() { return noise::AuthorityKeyPair::from_secret(authority_secret())->public_key(); }

void run_on(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  if (::sched_setaffinity(0, sizeof cores, &cores) != 0) broken("this process may not choose its core");
}

/// When the chain handed a tip to the pool; goes through a pipe in one piece.
struct Decided {
  bitcoin::Hash256 prev_hash{};
  Instant at{};
};

/// The embedded chain, which tells when.
class Timed final : public templates::TemplateSource {
 public:
  Timed(templates::EmbeddedSource::Options options, int decided_to) : chain_(std::move(options)), decided_to_(decided_to) {}

  Result<> start(templates::SourceEvents events) override {
    auto on_template = std::move(events.on_template);
    events.on_template = [this, on_template](bitcoin::TemplatePtr made, bool new_tip) {
      const Decided decided{.prev_hash = made->prev_hash, .at = now_from_system().instant};
      if (new_tip && ::write(decided_to_, &decided, sizeof decided) != sizeof decided) broken("nobody waits for tips");
      on_template(std::move(made), new_tip);
    };
    return chain_.start(std::move(events));
  }
  Result<> submit(templates::TemplateId id, templates::BlockSolution solution) override {
    return chain_.submit(id, std::move(solution));
  }
  void constrain(templates::CoinbaseConstraints constraints) override { chain_.constrain(std::move(constraints)); }
  void transactions(templates::TemplateId id, std::function<void(Result<Transactions>)> done) override {
    chain_.transactions(id, std::move(done));
  }
  [[nodiscard]] templates::SourceStatus status() const override { return chain_.status(); }
  void stop() override { chain_.stop(); }

 private:
  templates::EmbeddedSource chain_;
  int decided_to_;
};

/// The pool as `adit pool` runs it, with one shard and a new tip now and then.
[[noreturn]] void run_pool(int port_to, int decided_to) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  run_on(kPoolCore);
  if (!log::configure({.level = log::Level::kError})) broken("no log");
  net::Shards shards(1);
  shards.start();
  Timed source({.refresh_every = 24h, .new_tip_every = kTipEvery}, decided_to);
  pool::ServerOptions options;
  options.listen = net::TcpConfig{"127.0.0.1", 0};
  options.authority_secret = authority_secret();
  options.admission.max_unproven_per_source = 2 * kMiners;  // They show no work, and all have one address.
  options.admission.max_handshakes_per_source = 2 * kMiners;
  options.jobs = {.payout_script = std::vector<std::uint8_t>(22, 0x14), .pool_signature = "bench"};
  pool::PoolServer server(shards, source, std::move(options));
  if (const auto started = server.start(); !started) broken(started.error().message().c_str());
  const auto port = server.tcp_port();
  if (::write(port_to, &port, sizeof port) != sizeof port) broken("nobody waits for the pool");
  for (;;) ::pause();  // Until it is ended.
}

/// The idle ones: they read whatever comes, and look at none of it.
[[noreturn]] void run_idle(std::uint16_t port, int ready_to) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  run_on(kMinersCore);
  std::vector<std::unique_ptr<attack::Miner>> idle;
  for (std::size_t i = 0; i < kIdle; ++i) {
    const std::uint32_t from = 0x7f000901U + static_cast<std::uint32_t>(i % 2);  // 127.0.9.1 and .2
    auto& one = *idle.emplace_back(std::make_unique<attack::Miner>(port, authority(), from));
    constexpr float kHard = 1 << 18;
    if (auto problem = one.start("idle", false, kHard, wire::kRequiresStandardJobs); !problem.empty()) broken(problem.c_str());
    wire::U256 easiest;
    easiest.fill(0xff);
    wire::FrameBuffer out;
    for (std::uint32_t id = 1; id < kChannels; ++id) {
      out.push(wire::OpenStandardMiningChannel{
          .request_id = id, .user_identity = std::string_view("idle"), .nominal_hash_rate = kHard, .max_target = easiest});
    }
    if (!one.peer.send_raw(one.peer.seal(out))) broken("an idle connection was ended");
    std::size_t opened = 1;
    const bool all = one.until([&](const attack::Frame& frame) {
      if (frame.header.is<wire::OpenMiningChannelError>()) broken("an idle connection was refused a channel");
      return frame.header.is<wire::OpenStandardMiningChannelSuccess>() && ++opened == kChannels;
    });
    if (!all) broken("an idle connection did not get its channels");
  }
  // From now on they work only where nobody else does.
  constexpr sched_param kNone{};
  if (::sched_setscheduler(0, SCHED_IDLE, &kNone) != 0) broken("this process may not become an idle one");
  std::vector<std::thread> readers;
  readers.reserve(idle.size());
  for (auto& one : idle) {
    readers.emplace_back([&one] {
      (void)one->peer.ends();
      broken("an idle connection was cut off");
    });
  }
  const char byte = 1;
  if (::write(ready_to, &byte, 1) != 1) broken("nobody waits for those that are idle");
  for (;;) ::pause();
}

std::map<bitcoin::Hash256, Instant> read_decided(int from) {
  std::map<bitcoin::Hash256, Instant> all;
  ::fcntl(from, F_SETFL, O_NONBLOCK);
  Decided decided;
  while (::read(from, &decided, sizeof decided) == sizeof decided) all.emplace(decided.prev_hash, decided.at);
  return all;
}

/// Milliseconds from the chain to the last miner, of each tip that every miner heard.
struct Spans {
  std::array<double, 32> ms{};
  std::size_t count = 0;
};

Spans measure(std::uint16_t port, int decided_from) {
  net::Shards shards(1);
  shards.start();
  Spans spans;
  {
    load::LoadOptions options;
    options.pool = {.transport = net::TcpConfig{"127.0.0.1", port}, .authority = authority()};
    options.connections = kMiners;
    options.session = {.user = "ordinary", .nominal_hash_rate_hps = 1e14F};
    load::Load load(shards, std::move(options));
    if (const auto opened = load.open(); !opened) broken(opened.error().message().c_str());
    if (!load.begin()) broken("the miners do not begin");
    std::this_thread::sleep_for(kListen);
    const auto measured = load.finish();
    if (!measured) broken(measured.error().message().c_str());
    if (measured->lost != 0) broken(("miners were lost: " + measured->last_loss).c_str());
    const auto decided = read_decided(decided_from);
    for (const load::Tip& tip : measured->meter.tips) {
      const auto at = decided.find(tip.prev_hash);
      if (tip.heard.size() != kMiners || at == decided.end() || spans.count == spans.ms.size()) continue;
      const auto last = std::ranges::max(tip.heard, {}, &load::Tip::Hearing::at).at;
      spans.ms[spans.count++] = std::chrono::duration<double, std::milli>(last - at->second).count();
    }
    if (spans.count == 0) broken("no tip reached every miner");
  }
  shards.stop(3s);
  return spans;
}

/// One round in processes of its own, so that what one has left over is none of the next one's.
Spans round(bool beside_idle) {
  std::array<int, 2> ports{};
  std::array<int, 2> tips{};
  std::array<int, 2> figures{};
  std::array<int, 2> ready{};
  for (auto* pipe : {&ports, &tips, &figures, &ready}) {
    if (::pipe(pipe->data()) != 0) broken("no pipe");
  }
  const pid_t pool = ::fork();
  if (pool == 0) run_pool(ports[1], tips[1]);
  std::uint16_t port = 0;
  if (::read(ports[0], &port, sizeof port) != sizeof port) broken("no port from the pool");
  std::optional<pid_t> idle;
  if (beside_idle) {
    idle = ::fork();
    if (*idle == 0) run_idle(port, ready[1]);
    ::close(std::exchange(ready[1], -1));
    char byte = 0;
    if (::read(ready[0], &byte, 1) != 1) broken("those that are idle failed");
  }
  const pid_t miners = ::fork();
  if (miners == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    run_on(kMinersCore);
    if (!log::configure({.level = log::Level::kError})) broken("no log");
    const Spans spans = measure(port, tips[0]);
    if (::write(figures[1], &spans, sizeof spans) != sizeof spans) broken("nobody waits for the figures");
    ::_exit(0);
  }
  ::close(std::exchange(figures[1], -1));
  Spans spans;
  if (::read(figures[0], &spans, sizeof spans) != sizeof spans) broken("the miners failed");
  ::waitpid(miners, nullptr, 0);
  if (idle) {
    if (::waitpid(*idle, nullptr, WNOHANG) != 0) broken("those that are idle did not stay");
    ::kill(*idle, SIGKILL);
    ::waitpid(*idle, nullptr, 0);
  }
  ::kill(pool, SIGKILL);
  ::waitpid(pool, nullptr, 0);
  for (auto* pipe : {&ports, &tips, &figures, &ready}) {
    for (const int end : *pipe) {
      if (end >= 0) ::close(end);
    }
  }
  return spans;
}

}  // namespace

int main(int argc, char** argv) {
  const bool json = argc > 1 && std::string_view(argv[1]) == "--json";
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  std::vector<double> with;
  std::vector<double> without;
  for (int i = 0; i < kRounds; ++i) {
    for (const bool beside_idle : {false, true}) {
      const Spans spans = round(beside_idle);
      auto& all = beside_idle ? with : without;
      all.insert(all.end(), spans.ms.begin(), spans.ms.begin() + static_cast<std::ptrdiff_t>(spans.count));
    }
  }
  const std::size_t tips = with.size();
  const double value = median(std::move(with));
  const double beside = median(std::move(without));
  if (json) {
    std::printf("{\"key\":\"idle_tip.last\",\"value\":%.2f,\"unit\":\"ms\",\"ratio\":%.3f}\n", value, value / beside);
    std::printf("{\"key\":\"idle_tip.last.without\",\"value\":%.2f,\"unit\":\"ms\",\"ratio\":null}\n", beside);
  } else {
    std::printf(
        "a tip to the last of %zu miners: %.2f ms beside %zu x %zu idle channels, %.2f ms without, ratio %.3f (%zu tips)\n",
        kMiners, value, kIdle, kChannels, beside, value / beside, tips);
  }
  return 0;
}
