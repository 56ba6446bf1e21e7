// A link between two network namespaces: two TUN devices, and packets carried from one to the other with one-way delay, jitter,
// loss and a rate. For kernels without netem.
//
//   adit_tunlink --delay-ms 50 --loss 0.01 NAMESPACE_A NAMESPACE_B
//
// Makes the device `tunlink` in both (addresses are whoever started it to give), prints "ready", and carries until SIGTERM;
// then prints one line of JSON with the counts of each direction. SIGUSR1 cuts the link, SIGUSR2 mends it. With --trace FILE it
// writes there at its end what became of every packet from A to B, a line each: when it came (monotonic clock, us), its size,
// the port it was for, and when it was due (us), or `lost` or `overflowed`.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

// NOLINTBEGIN(concurrency-mt-unsafe): this program has one thread
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kLongest = 1500;  // The devices' MTU.

struct Options {
  double delay_ms = 0;
  double jitter_ms = 0;       // Added to the delay, uniformly from 0. Packets never overtake each other.
  double loss = 0;            // The share of packets that get lost, 0 to 1, each by itself.
  double megabits_per_s = 0;  // 0: without a limit.
  double queue_ms = 0;        // What would wait longer than this for its turn at that rate is dropped. 0: nothing.
  std::size_t queue = 4096;   // Packets under way in each direction; one more is dropped.
  std::uint64_t seed = 1;
  std::string trace;  // A file for what became of each packet from A to B.
};

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "tunlink: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

/// A TUN device called "tunlink" in that namespace. The calling thread stays in the namespace it entered.
int device_in(const std::string& name) {
  const int space = open(("/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC);
  if (space < 0 || setns(space, CLONE_NEWNET) != 0) give_up("network namespace " + name);
  close(space);
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strcpy(request.ifr_name, "tunlink");
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0) give_up("/dev/net/tun in " + name);
  return fd;
}

/// What became of the packets of one direction.
class Trace {
 public:
  static constexpr std::int64_t kLost = -1;
  static constexpr std::int64_t kOverflowed = -2;

  static std::int64_t us(Clock::time_point at) {
    return std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch()).count();
  }

  void add(Clock::time_point now, const std::byte* bytes, std::size_t size, std::int64_t fate) {
    constexpr std::size_t kPort = 22;  // Behind IPv4's header without options, of UDP and of TCP.
    unsigned port = 0;
    if (size >= kPort + 2) port = static_cast<unsigned>(bytes[kPort]) << 8 | static_cast<unsigned>(bytes[kPort + 1]);
    lines_.push_back({.at = us(now), .size = size, .port = port, .fate = fate});
  }

  void write(const std::string& path) const {
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (file == nullptr) give_up(path);
    for (const Line& line : lines_) {
      std::fprintf(file, "%lld %zu %u ", static_cast<long long>(line.at), line.size, line.port);
      if (line.fate >= 0)
        std::fprintf(file, "%lld\n", static_cast<long long>(line.fate));
      else
        std::fputs(line.fate == kLost ? "lost\n" : "overflowed\n", file);
    }
    if (std::fclose(file) != 0) give_up(path);
  }

 private:
  struct Line {
    std::int64_t at;
    std::size_t size;
    unsigned port;
    std::int64_t fate;  // When it was due, or kLost, or kOverflowed.
  };
  std::vector<Line> lines_;
};

/// One direction: what has arrived waits in a ring until it is due.
class Direction {
 public:
  Direction(const Options& options, std::uint64_t seed, int from, int to, Trace* trace)
      : options_(options), random_(seed), from_(from), to_(to), trace_(trace), ring_(options.queue) {}

  [[nodiscard]] int from() const { return from_; }

  /// Takes all that has arrived.
  void take(Clock::time_point now, bool cut) {
    std::array<std::byte, kLongest> bytes;
    for (ssize_t size; (size = read(from_, bytes.data(), bytes.size())) > 0;) {
      ++arrived_;
      std::int64_t fate = Trace::kLost;
      if (cut || uniform_(random_) < options_.loss) {
        ++lost_;
      } else if (waiting_ == ring_.size() || (options_.queue_ms > 0 && sent_ - now > milliseconds(options_.queue_ms))) {
        ++overflowed_;
        fate = Trace::kOverflowed;
      } else {
        Packet& packet = ring_[(first_ + waiting_++) % ring_.size()];
        packet.due = due(now, static_cast<std::size_t>(size));
        packet.size = static_cast<std::size_t>(size);
        packet.bytes = bytes;
        fate = Trace::us(packet.due);
      }
      if (trace_ != nullptr) trace_->add(now, bytes.data(), static_cast<std::size_t>(size), fate);
    }
  }

  /// Hands over what is due. Returns when the next will be.
  Clock::time_point give(Clock::time_point now, bool cut) {
    for (; waiting_ > 0 && ring_[first_].due <= now; first_ = (first_ + 1) % ring_.size(), --waiting_) {
      const Packet& packet = ring_[first_];
      // A device that is down refuses: as a cut cable.
      if (cut || write(to_, packet.bytes.data(), packet.size) < 0) {
        ++lost_;
      } else {
        ++delivered_;
        bytes_ += packet.size;
      }
    }
    return waiting_ > 0 ? ring_[first_].due : Clock::time_point::max();
  }

  void print() const {
    std::printf(R"({"arrived": %llu, "delivered": %llu, "lost": %llu, "overflowed": %llu, "waiting": %zu, "bytes": %llu})",
                static_cast<unsigned long long>(arrived_), static_cast<unsigned long long>(delivered_),
                static_cast<unsigned long long>(lost_), static_cast<unsigned long long>(overflowed_), waiting_,
                static_cast<unsigned long long>(bytes_));
  }

 private:
  struct Packet {
    Clock::time_point due;
    std::size_t size = 0;
    std::array<std::byte, kLongest> bytes;
  };

  static Clock::duration milliseconds(double ms) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::milli>(ms));
  }

  Clock::time_point due(Clock::time_point now, std::size_t size) {
    sent_ = std::max(sent_, now);
    if (options_.megabits_per_s > 0) sent_ += milliseconds(static_cast<double>(size) * 8 / 1000 / options_.megabits_per_s);
    last_due_ = std::max(last_due_, sent_ + milliseconds(options_.delay_ms + options_.jitter_ms * uniform_(random_)));
    return last_due_;
  }

  const Options& options_;
  std::mt19937_64 random_;
  std::uniform_real_distribution<double> uniform_{0, 1};
  int from_;
  int to_;
  Trace* trace_;  // Or none.
  std::vector<Packet> ring_;
  std::size_t first_ = 0;
  std::size_t waiting_ = 0;
  Clock::time_point sent_;  // When the last packet's last bit left.
  Clock::time_point last_due_;
  std::uint64_t arrived_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t overflowed_ = 0;
  std::uint64_t bytes_ = 0;
};

volatile std::sig_atomic_t g_cut = 0;
volatile std::sig_atomic_t g_end = 0;

void on_signal(int signal) {
  if (signal == SIGUSR1) g_cut = 1;
  if (signal == SIGUSR2) g_cut = 0;
  if (signal == SIGTERM || signal == SIGINT) g_end = 1;
}

void carry(Direction& there, Direction& back) {
  // Signals arrive in ppoll only: none is missed between a look at the flags and the wait.
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  for (const int signal : {SIGUSR1, SIGUSR2, SIGTERM, SIGINT}) {
    sigaddset(&blocked, signal);
    struct sigaction action{};
    action.sa_handler = on_signal;
    sigaction(signal, &action, nullptr);
  }
  sigprocmask(SIG_BLOCK, &blocked, &before);
  std::puts("ready");
  std::fflush(stdout);
  while (g_end == 0) {
    const Clock::time_point now = Clock::now();
    const bool cut = g_cut != 0;
    there.take(now, cut);
    back.take(now, cut);
    const Clock::time_point next = std::min(there.give(now, cut), back.give(now, cut));
    std::array<pollfd, 2> wait{pollfd{there.from(), POLLIN, 0}, pollfd{back.from(), POLLIN, 0}};
    timespec timeout{};
    if (next != Clock::time_point::max()) {
      const auto left = std::max<std::int64_t>(0, (next - Clock::now()) / std::chrono::nanoseconds(1));
      timeout = {static_cast<std::time_t>(left / 1'000'000'000), static_cast<long>(left % 1'000'000'000)};
    }
    ppoll(wait.data(), wait.size(), next == Clock::time_point::max() ? nullptr : &timeout, &before);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  int at = 1;
  for (; at + 1 < argc && std::string_view(argv[at]).starts_with("--"); at += 2) {
    const std::string_view name = argv[at];
    const double value = std::atof(argv[at + 1]);
    if (name == "--trace") {
      options.trace = argv[at + 1];
      continue;
    }
    if (name == "--delay-ms")
      options.delay_ms = value;
    else if (name == "--jitter-ms")
      options.jitter_ms = value;
    else if (name == "--loss")
      options.loss = value;
    else if (name == "--mbit")
      options.megabits_per_s = value;
    else if (name == "--queue-ms")
      options.queue_ms = value;
    else if (name == "--queue")
      options.queue = static_cast<std::size_t>(value);
    else if (name == "--seed")
      options.seed = static_cast<std::uint64_t>(value);
    else
      break;
  }
  if (argc - at != 2 || options.queue == 0) {
    std::fputs(
        "usage: adit_tunlink [--delay-ms N] [--jitter-ms N] [--loss SHARE] [--mbit N] [--queue-ms N] [--queue PACKETS] "
        "[--seed N] [--trace FILE] NAMESPACE_A NAMESPACE_B\n",
        stderr);
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int a = device_in(argv[at]);
  const int b = device_in(argv[at + 1]);
  Trace trace;
  Direction there(options, options.seed, a, b, options.trace.empty() ? nullptr : &trace);
  Direction back(options, options.seed + 1, b, a, nullptr);
  carry(there, back);
  if (!options.trace.empty()) trace.write(options.trace);
  std::printf("{\"there\": ");
  there.print();
  std::printf(", \"back\": ");
  back.print();
  std::printf("}\n");
  return 0;
}
// NOLINTEND(concurrency-mt-unsafe)
