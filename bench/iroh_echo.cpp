// 64 B echo over iroh on loopback, through the bridge and in pure Rust, by turns against one pure-Rust server.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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
constexpr int kWarmUp = 300;
constexpr int kEchoes = 3000;
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

  /// The median round trip, in nanoseconds.
  double measure() {
    std::array<std::uint8_t, kMessage> message{};
    std::vector<double> trips;
    trips.reserve(kEchoes);
    for (int round = 0; round < kWarmUp + kEchoes; ++round) {
      const auto begun = Clock::now();
      std::uint64_t code = 0;
      if (const auto taken = adit_stream_write(stream_, message.data(), message.size(), &code); taken != kMessage)
        die("write", taken);
      for (std::size_t have = 0; have < kMessage;) {
        const auto got = adit_stream_read(stream_, message.data() + have, kMessage - have, &code);
        if (got > 0) {
          have += static_cast<std::size_t>(got);
        } else if (got == ADIT_AGAIN) {
          wait(stream_, ADIT_READY_READABLE);
        } else {
          die("read", got);
        }
      }
      if (round >= kWarmUp) trips.push_back(std::chrono::duration<double, std::nano>(Clock::now() - begun).count());
    }
    std::ranges::nth_element(trips, trips.begin() + kEchoes / 2);
    return trips[kEchoes / 2];
  }

 private:
  static adit_bytes bytes(std::string_view text) { return {adit::as_bytes(text).data(), text.size()}; }
  static void check(std::int32_t result, std::string_view what) {
    if (result != ADIT_OK) die(what, result);
  }

  void wait(adit_handle handle, std::uint32_t bit) const {
    for (;;) {
      adit_event event;
      while (adit_loop_drain(loop_, &event, 1) == 1) {
        if (event.handle != handle || (event.ready & bit) == 0) continue;
        check(event.result, "operation");
        return;
      }
      pollfd ready{.fd = adit_loop_fd(loop_), .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, static_cast<int>(kDeadlineMs)) != 1) die("nothing happened in time");
    }
  }

  adit_handle loop_ = 0;
  adit_handle endpoint_ = 0;
  adit_handle connection_ = 0;
  adit_handle stream_ = 0;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const bool json = argc > 1 && std::string_view(argv[1]) == "--json";
  const Process server({"serve"});
  const auto where = server.line();
  const auto id = where.substr(0, where.find(' ')), address = where.substr(where.find(' ') + 1);

  std::vector<double> bridge, rust;
  {
    BridgeClient client(id, address);
    for (int turn = 0; turn < kTurns; ++turn) {
      bridge.push_back(client.measure());
      rust.push_back(std::atof(Process({"measure", id, address, std::to_string(kEchoes)}).line().c_str()));
      if (rust.back() <= 0) die("the pure-Rust client measured nothing");
    }
  }
  const double through = median(bridge) / 1000, pure = median(rust) / 1000;
  if (json) {
    std::printf(R"({"key": "iroh.echo.p50", "value": %.1f, "unit": "us", "ratio": %.3f})"
                "\n",
                through, through / pure);
    std::printf(R"({"key": "iroh.echo.p50.rust", "value": %.1f, "unit": "us", "ratio": null})"
                "\n",
                pure);
  } else {
    std::printf("64 B echo, p50: %.1f us through the bridge, %.1f us in pure Rust, ratio %.2f\n", through, pure,
                through / pure);
  }
  return 0;
}
