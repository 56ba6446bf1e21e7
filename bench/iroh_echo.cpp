// Echo over iroh on loopback, through the bridge and in pure Rust, by turns against one pure-Rust server: messages of 64 B one
// by one and many at once, and bulk.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "adit_bridge.h"
#include "base/hex.h"

extern char** environ;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMessage = 64;
constexpr int kTurns = 5;
constexpr std::size_t kWarmUp = 300;
constexpr std::size_t kEchoes = 3000;
constexpr std::size_t kDepth = 32;  // Messages under way, where many are.
constexpr std::size_t kManyEchoes = 60000;
constexpr std::size_t kBulk = 48u << 20;
constexpr std::size_t kChunk = 64 * 1024;
constexpr std::uint32_t kDeadlineMs = 10000;

[[noreturn]] void die(std::string_view what, long long result = 0) {
  std::fprintf(stderr, "iroh_echo: %.*s (%lld)\n", static_cast<int>(what.size()), what.data(), result);
  std::exit(1);
}

/// The pure-Rust program, its output on a pipe.
struct Process {
  explicit Process(std::vector<std::string> arguments) {
    std::array<int, 2> in{}, out{};
    if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) die("no pipe");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    arguments.insert(arguments.begin(), ADIT_BRIDGE_ECHO);
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    if (::posix_spawn(&pid, ADIT_BRIDGE_ECHO, &actions, nullptr, argv.data(), environ) != 0)
      die("cannot run " ADIT_BRIDGE_ECHO);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    input = in[1];
    output = out[0];
  }
  /// Its input ends, and so does it.
  ~Process() {
    ::close(input);
    ::close(output);
    ::waitpid(pid, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] std::string line() const {
    std::string text;
    for (char letter = 0; ::read(output, &letter, 1) == 1 && letter != '\n';) text += letter;
    return text;
  }

  pid_t pid = 0;
  int input = -1;
  int output = -1;
};

struct Messages {
  double p50_ns = 0;
  double per_second = 0;
  double cpu_ns = 0;  ///< Of one message, over the client's whole process.
};

double ns(Clock::duration duration) { return std::chrono::duration<double, std::nano>(duration).count(); }

double cpu_ns() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) * 1e9 + static_cast<double>(used.tv_nsec);
}

double quantile(std::vector<double>& values, double fraction) {
  const auto at = static_cast<std::ptrdiff_t>(static_cast<double>(values.size() - 1) * fraction);
  std::ranges::nth_element(values, values.begin() + at);
  return values[static_cast<std::size_t>(at)];
}

/// A client over the bridge, with a loop of its own as a shard has one.
class BridgeClient {
 public:
  BridgeClient(const std::string& id, const std::string& address) {
    check(adit_runtime_start(2), "runtime");
    check(adit_loop_create(16, &loop_), "loop");
    const std::array<std::uint8_t, 32> key{7};
    const auto here = bytes("127.0.0.1:0");
    adit_endpoint_config config{};
    config.secret_key = key.data();
    config.bind_addrs = &here;
    config.bind_addr_count = 1;
    config.max_bidi_streams = 1;
    config.stream_window = 256 * 1024;
    config.receive_window = 512 * 1024;
    config.send_window = 512 * 1024;
    config.idle_timeout_ms = 30000;
    config.keep_alive_ms = 5000;
    check(adit_endpoint_bind(loop_, &config, kDeadlineMs, &endpoint_), "bind");
    wait(endpoint_, ADIT_READY_DONE);

    std::array<std::uint8_t, 32> peer{};
    if (!adit::from_hex(id, peer)) die("no endpoint id: " + id);
    const auto there = bytes(address), alpn = bytes("adit-echo/1");
    adit_dial dial{};
    dial.endpoint_id = peer.data();
    dial.addrs = &there;
    dial.addr_count = 1;
    dial.alpns = &alpn;
    dial.alpn_count = 1;
    check(adit_connect(endpoint_, loop_, &dial, kDeadlineMs, &connection_), "dial");
    wait(connection_, ADIT_READY_DONE);
    check(adit_stream_open(connection_, kDeadlineMs, &stream_), "open");
    wait(stream_, ADIT_READY_DONE);
  }

  ~BridgeClient() {
    adit_connection_close(connection_, 1, {});
    adit_endpoint_close(endpoint_, 3000);
    wait(endpoint_, ADIT_READY_CLOSED);
    adit_runtime_stop(1000);
  }
  BridgeClient(const BridgeClient&) = delete;
  BridgeClient& operator=(const BridgeClient&) = delete;

  /// `count` messages with `depth` of them under way.
  Messages measure(std::size_t count, std::size_t depth) {
    const std::array<std::uint8_t, kMessage> message{};
    std::vector<std::uint8_t> buffer(kChunk);
    std::vector<double> trips;
    trips.reserve(count);
    std::deque<Clock::time_point> under_way;
    std::size_t sent = 0, answered = 0, bytes = 0;
    auto begun = Clock::now();
    double cpu = cpu_ns();
    while (answered < kWarmUp + count) {
      for (; under_way.size() < depth && sent < kWarmUp + count; ++sent) {
        under_way.push_back(Clock::now());
        if (const auto taken = write(message.data(), kMessage); taken != kMessage) die("write");
      }
      for (bytes += read(buffer); bytes >= kMessage; bytes -= kMessage) {
        if (answered >= kWarmUp) trips.push_back(ns(Clock::now() - under_way.front()));
        under_way.pop_front();
        if (++answered == kWarmUp) {
          begun = Clock::now();
          cpu = cpu_ns();
        }
      }
    }
    const double taken = ns(Clock::now() - begun), used = cpu_ns() - cpu;
    const auto n = static_cast<double>(count);
    return {.p50_ns = quantile(trips, 0.5), .per_second = n * 1e9 / taken, .cpu_ns = used / n};
  }

  /// Bytes a second, there and back. How long each call into the bridge took meanwhile goes to `calls`, in nanoseconds.
  double bulk(std::vector<double>& calls) {
    const std::vector<std::uint8_t> chunk(kChunk, 7);
    std::vector<std::uint8_t> buffer(kChunk);
    const auto begun = Clock::now();
    calls_ = &calls;
    // Each direction rests from when it has no more until its event: what does not rest calls again.
    std::uint32_t ready = ADIT_READY_READABLE | ADIT_READY_WRITABLE;
    for (std::size_t sent = 0, have = 0; have < kBulk;) {
      if ((ready & ADIT_READY_WRITABLE) != 0) {
        const auto taken = write(chunk.data(), std::min(kChunk, kBulk - sent));
        sent += taken;
        if (taken == 0 || sent == kBulk) ready &= ~ADIT_READY_WRITABLE;
      }
      if ((ready & ADIT_READY_READABLE) != 0) {
        const auto got = try_read(buffer);
        have += got;
        if (got == 0) ready &= ~ADIT_READY_READABLE;
      }
      if (ready == 0) ready = wait(stream_, sent < kBulk ? ADIT_READY_READABLE | ADIT_READY_WRITABLE : ADIT_READY_READABLE);
    }
    calls_ = nullptr;
    return static_cast<double>(kBulk) * 1e9 / ns(Clock::now() - begun);
  }

 private:
  /// How much of it was taken now.
  std::size_t write(const std::uint8_t* data, std::size_t size) {
    std::uint64_t code = 0;
    const auto begun = Clock::now();
    const auto taken = adit_stream_write(stream_, data, size, &code);
    if (calls_ != nullptr) calls_->push_back(ns(Clock::now() - begun));
    if (taken < 0 && taken != ADIT_AGAIN) die("write", taken);
    return taken < 0 ? 0 : static_cast<std::size_t>(taken);
  }
  std::size_t try_read(std::vector<std::uint8_t>& buffer) {
    std::uint64_t code = 0;
    const auto begun = Clock::now();
    const auto got = adit_stream_read(stream_, buffer.data(), buffer.size(), &code);
    if (calls_ != nullptr) calls_->push_back(ns(Clock::now() - begun));
    if (got <= 0 && got != ADIT_AGAIN) die("read", got);
    return got < 0 ? 0 : static_cast<std::size_t>(got);
  }
  std::size_t read(std::vector<std::uint8_t>& buffer) {
    for (;;) {
      if (const auto got = try_read(buffer); got > 0) return got;
      wait(stream_, ADIT_READY_READABLE);
    }
  }

  static adit_bytes bytes(std::string_view text) { return {adit::as_bytes(text).data(), text.size()}; }
  static void check(std::int32_t result, std::string_view what) {
    if (result != ADIT_OK) die(what, result);
  }

  /// Waits for any of these bits, and returns those that came.
  std::uint32_t wait(adit_handle handle, std::uint32_t bits) const {
    for (;;) {
      adit_event event;
      while (adit_loop_drain(loop_, &event, 1) == 1) {
        if (event.handle != handle || (event.ready & bits) == 0) continue;
        check(event.result, "operation");
        return event.ready & bits;
      }
      pollfd ready{.fd = adit_loop_fd(loop_), .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, static_cast<int>(kDeadlineMs)) != 1) die("nothing happened in time");
    }
  }

  adit_handle loop_ = 0;
  adit_handle endpoint_ = 0;
  adit_handle connection_ = 0;
  adit_handle stream_ = 0;
  std::vector<double>* calls_ = nullptr;
};

/// What was measured by turns, one figure a turn.
struct Row {
  const char* key;
  const char* unit;
  double scale;  ///< From what was measured to `unit`.
  std::vector<double> bridge;
  std::vector<double> rust;  ///< Empty: there is nothing beside it.

  void print(bool json) {
    const double ours = quantile(bridge, 0.5) * scale;
    if (rust.empty()) return print(json, "", ours, -1);
    const double theirs = quantile(rust, 0.5) * scale;
    print(json, "", ours, ours / theirs);
    print(json, ".rust", theirs, -1);
  }

 private:
  void print(bool json, const char* whose, double value, double ratio) const {
    if (!json) {
      std::printf("%s%s: %.2f %s%s\n", key, whose, value, unit, ratio < 0 ? "" : (", ratio " + std::to_string(ratio)).c_str());
    } else {
      const auto beside = ratio < 0 ? std::string("null") : std::to_string(ratio);
      std::printf(R"({"key": "%s%s", "value": %.2f, "unit": "%s", "ratio": %s})"
                  "\n",
                  key, whose, value, unit, beside.c_str());
    }
  }
};

/// What the pure-Rust client measured.
Messages rust_messages(const std::string& id, const std::string& address, std::size_t count, std::size_t depth) {
  const auto line = Process({"measure", id, address, std::to_string(count), std::to_string(depth)}).line();
  Messages measured;
  if (std::sscanf(line.c_str(), "%lf %lf %lf", &measured.p50_ns, &measured.per_second, &measured.cpu_ns) != 3)
    die("the pure-Rust client measured nothing");
  return measured;
}

}  // namespace

int main(int argc, char** argv) {
  const bool json = argc > 1 && std::string_view(argv[1]) == "--json";
  const Process server({"serve"});
  const auto where = server.line();
  const auto id = where.substr(0, where.find(' ')), address = where.substr(where.find(' ') + 1);

  Row single{"iroh.echo.p50", "us", 1e-3, {}, {}};
  Row many{"iroh.echo.many", "/s", 1, {}, {}};
  Row cpu{"iroh.echo.cpu", "us", 1e-3, {}, {}};
  Row bulk{"iroh.echo.bulk", "MB/s", 1e-6, {}, {}};
  Row call{"iroh.call.p99_9", "us", 1e-3, {}, {}};
  {
    BridgeClient client(id, address);
    for (int turn = 0; turn < kTurns; ++turn) {
      single.bridge.push_back(client.measure(kEchoes, 1).p50_ns);
      single.rust.push_back(rust_messages(id, address, kEchoes, 1).p50_ns);
      const auto ours = client.measure(kManyEchoes, kDepth), theirs = rust_messages(id, address, kManyEchoes, kDepth);
      many.bridge.push_back(ours.per_second);
      many.rust.push_back(theirs.per_second);
      cpu.bridge.push_back(ours.cpu_ns);
      cpu.rust.push_back(theirs.cpu_ns);
      std::vector<double> calls;
      bulk.bridge.push_back(client.bulk(calls));
      bulk.rust.push_back(std::atof(Process({"bulk", id, address, std::to_string(kBulk)}).line().c_str()));
      if (bulk.rust.back() <= 0) die("the pure-Rust client measured nothing");
      call.bridge.push_back(quantile(calls, 0.999));
    }
  }
  for (Row* row : {&single, &many, &cpu, &bulk, &call}) row->print(json);
  return 0;
}
