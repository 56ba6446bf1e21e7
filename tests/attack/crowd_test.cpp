// A crowd of thousands of sockets in a process of its own, since a process has no descriptors for both ends of so many; and
// honest miners that come meanwhile. The crowd has many addresses: all of 127.0.0.0/8 is this machine.
#include <sys/wait.h>

#include <array>
#include <csignal>

#include <gtest/gtest.h>

#include "attack/newcomer.h"
#include "base/eventually_testing.h"

namespace adit::attack {
namespace {

/// Silent sockets, opened anew whenever the pool closes one.
class Crowd {
 public:
  static constexpr std::size_t kSockets = 10'000;
  static constexpr std::size_t kAddresses = 40;

  explicit Crowd(std::uint16_t port) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return;
    process_ = ::fork();
    if (process_ == 0) run(port, pipe[1]);
    ::close(pipe[1]);
    char byte = 0;
    ready_ = process_ > 0 && ::read(pipe[0], &byte, 1) == 1;
    ::close(pipe[0]);
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;
  ~Crowd() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }

  /// All of them have been connected once.
  [[nodiscard]] bool ready() const { return ready_; }

 private:
  /// In a process that was forked from one with threads: system calls and nothing else.
  [[noreturn]] static void run(std::uint16_t port, int ready) {
    static std::array<int, kSockets> sockets;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto open = [&](std::size_t i) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in from{};
      from.sin_family = AF_INET;
      from.sin_addr.s_addr = htonl(0x7f4d0001U + static_cast<std::uint32_t>(i % kAddresses));  // 127.77.0.1 and so on
      const int one = 1;
      ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
      if (fd < 0 || ::bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0 ||
          ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
        if (fd >= 0) ::close(fd);
        return -1;
      }
      return fd;
    };
    for (std::size_t i = 0; i < kSockets; ++i) sockets[i] = open(i);
    const char byte = 1;
    if (::write(ready, &byte, 1) != 1) ::_exit(1);
    const pid_t parent = ::getppid();
    while (::getppid() == parent) {
      for (std::size_t i = 0; i < kSockets; ++i) {
        char heard = 0;
        if (sockets[i] >= 0) {
          const auto got = ::recv(sockets[i], &heard, 1, MSG_DONTWAIT);
          if (got > 0 || (got < 0 && errno == EAGAIN)) continue;
          ::close(sockets[i]);
        }
        sockets[i] = open(i);
      }
      ::usleep(50'000);
    }
    ::_exit(0);
  }

  pid_t process_ = -1;
  bool ready_ = false;
};

TEST(CrowdAttack, TenThousandSilentSocketsOfFortyAddressesKeepNoNewcomerOut) {
  Pool pool;
  Miner healthy(pool.server->tcp_port(), authority());
  ASSERT_EQ(healthy.start("healthy", true, kEasy), "");
  ASSERT_EQ(healthy.submit(healthy.mine()), "accepted");
  ASSERT_TRUE(eventually([&] { return pool.server->stats().admission.proven == 1; }));
  const Crowd crowd(pool.server->tcp_port());
  ASSERT_TRUE(crowd.ready());
  // What crowds may have of 8,192 handshakes: all but two reserves of a tenth.
  EXPECT_TRUE(eventually([&] { return pool.server->stats().admission.handshakes >= 6'500; }));
  for (std::uint8_t tip = 2; tip < 12; ++tip) {
    EXPECT_EQ(newcomer_mines(pool, tip, 0, 0x7f580000U + tip), "") << "from an address that was never seen";
    EXPECT_TRUE(hears_tip(healthy, tip));
    EXPECT_EQ(healthy.submit(healthy.mine()), "accepted");
  }
  const auto stats = pool.server->stats();
  // Which of the two depends on how fast they come.
  EXPECT_GE(stats.admission.refused + stats.admission.displaced, Crowd::kSockets - 6'600);
  EXPECT_LE(stats.admission.handshakes, 6'600u);
  EXPECT_EQ(stats.failed_accepts, 0u);
  healthy.peer.close();
}

}  // namespace
}  // namespace adit::attack
