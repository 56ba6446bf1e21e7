#include "cli/service_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <future>
#include <string>
#include <vector>

#include "cli/serve.h"
#include "net/shards.h"

namespace adit::cli {
namespace {

using testing::ElementsAre;

/// The socket of a service manager.
class Manager {
 public:
  explicit Manager(const std::string& name) : descriptor_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name.front() == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(::bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), length), 0) << std::strerror(errno);
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;
  ~Manager() { ::close(descriptor_); }

  /// What has come since the last call, a text for each datagram.
  [[nodiscard]] std::vector<std::string> heard() const {
    std::vector<std::string> all;
    std::array<char, 256> buffer{};
    for (ssize_t got = 0; (got = ::recv(descriptor_, buffer.data(), buffer.size(), 0)) >= 0;)
      all.emplace_back(buffer.data(), static_cast<std::size_t>(got));
    return all;
  }

 private:
  int descriptor_;
};

std::string own_name(const std::string& before) { return before + "adit-manager-" + std::to_string(::getpid()); }

class ServiceManagerTest : public testing::Test {
 protected:
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }
  static void clear() {
    for (const char* const name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }
  static void set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }
};

TEST_F(ServiceManagerTest, StatesAreDatagramsToAPath) {
  const std::string path = own_name(testing::TempDir());
  std::filesystem::remove(path);
  const Manager manager(path);
  set("NOTIFY_SOCKET", path);
  const auto service = ServiceManager::of_environment();
  service.is_ready();
  service.is_alive();
  service.is_stopping();
  EXPECT_THAT(manager.heard(), ElementsAre("READY=1", "WATCHDOG=1", "STOPPING=1"));
  std::filesystem::remove(path);
}

TEST_F(ServiceManagerTest, StatesAreDatagramsToAnAbstractName) {
  const Manager manager(own_name("@"));
  set("NOTIFY_SOCKET", own_name("@"));
  ServiceManager::of_environment().is_ready();
  EXPECT_THAT(manager.heard(), ElementsAre("READY=1"));
}

TEST_F(ServiceManagerTest, NothingIsSentWithoutTheVariable) {
  const auto service = ServiceManager::of_environment();
  EXPECT_EQ(service.beat(), std::nullopt);
  service.is_ready();
  service.is_stopping();
}

TEST_F(ServiceManagerTest, ASocketThatIsNotThereOrNotOneEndsNothing) {
  for (const std::string& name : {own_name(testing::TempDir()) + "-gone", std::string("vsock:2:1"), std::string(200, '/')}) {
    set("NOTIFY_SOCKET", name);
    ServiceManager::of_environment().is_ready();
  }
}

TEST_F(ServiceManagerTest, TheWatchdogIsHeardAtHalfOfWhatItAsksFor) {
  set("NOTIFY_SOCKET", own_name("@"));
  EXPECT_EQ(ServiceManager::of_environment().beat(), std::nullopt);
  set("WATCHDOG_USEC", "30000000");
  EXPECT_EQ(ServiceManager::of_environment().beat(), std::chrono::seconds(15));
  set("WATCHDOG_PID", std::to_string(::getpid()));
  EXPECT_EQ(ServiceManager::of_environment().beat(), std::chrono::seconds(15));
  set("WATCHDOG_PID", std::to_string(::getppid()));
  EXPECT_EQ(ServiceManager::of_environment().beat(), std::nullopt) << "another process is watched";
  set("WATCHDOG_PID", "");
  for (const char* const wrong : {"0", "soon", "-1", "5s"}) {
    set("WATCHDOG_USEC", wrong);
    EXPECT_EQ(ServiceManager::of_environment().beat(), std::nullopt) << wrong;
  }
}

/// Runs a role's loop until `each` has been called so often, and returns what the manager heard meanwhile.
std::vector<std::string> serve_for(const Manager& manager, net::Shards& shards, unsigned turns) {
  wait_serving(&shards, [&turns] { return --turns > 0; });
  return manager.heard();
}

TEST_F(ServiceManagerTest, ARoleIsReadyThenAliveThenStopping) {
  const Manager manager(own_name("@"));
  set("NOTIFY_SOCKET", own_name("@"));
  set("WATCHDOG_USEC", "600000");
  net::Shards shards(2);
  shards.start();
  const auto heard = serve_for(manager, shards, 2);
  ASSERT_GE(heard.size(), 3U);
  EXPECT_EQ(heard.front(), "READY=1");
  EXPECT_EQ(heard[1], "WATCHDOG=1");
  EXPECT_EQ(heard.back(), "STOPPING=1");
}

TEST_F(ServiceManagerTest, WithoutAWatchdogItIsReadyAndStopping) {
  const Manager manager(own_name("@"));
  set("NOTIFY_SOCKET", own_name("@"));
  net::Shards shards(1);
  shards.start();
  EXPECT_THAT(serve_for(manager, shards, 1), ElementsAre("READY=1", "STOPPING=1"));
}

TEST_F(ServiceManagerTest, AShardThatHangsIsNotAlive) {
  const Manager manager(own_name("@"));
  set("NOTIFY_SOCKET", own_name("@"));
  set("WATCHDOG_USEC", "600000");
  net::Shards shards(2);
  shards.start();
  std::promise<void> hangs;
  std::promise<void> go_on;
  shards[1].post([&] {
    hangs.set_value();
    go_on.get_future().wait();
  });
  hangs.get_future().wait();
  // The first beat may come before the shards were ever asked.
  const std::vector<std::string> heard = serve_for(manager, shards, 1);
  EXPECT_LE(std::ranges::count(heard, "WATCHDOG=1"), 1);
  go_on.set_value();
}

TEST_F(ServiceManagerTest, APulseIsFeltAgainOnceTheShardAnswers) {
  net::Shards shards(2);
  Pulse pulse(shards);
  EXPECT_TRUE(pulse.is_felt()) << "never asked";
  EXPECT_FALSE(pulse.is_felt()) << "no shard runs";
  shards.start();
  std::promise<void> answered;
  shards[0].post([&] { answered.set_value(); });
  answered.get_future().wait();
  std::promise<void> also;
  shards[1].post([&] { also.set_value(); });
  also.get_future().wait();
  EXPECT_TRUE(pulse.is_felt());
}

}  // namespace
}  // namespace adit::cli
