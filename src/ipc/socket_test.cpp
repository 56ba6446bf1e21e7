#include "ipc/socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include "base/temporary_folder_testing.h"

namespace adit::ipc {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class IpcSocket : public testing::Test {
 protected:
  std::string path(const std::string& name = "node.sock") const { return (folder_.path() / name).string(); }

  static Result<bool> connect(const std::string& path) {
    auto socket = make_socket();
    return connect_socket(*socket, path);
  }
  /// The error of connecting, as "name: message".
  static std::string error(const std::string& path) {
    const auto connected = connect(path);
    return connected ? "none" : std::string(connected.error().name()) + ": " + connected.error().message();
  }

  Fd listen(const std::string& at, int backlog = 5) const {
    Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, at.data(), at.size());
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener.get(), backlog), 0);
    return listener;
  }

  TemporaryFolder folder_;
};

TEST_F(IpcSocket, ConnectsToAProgramThatListens) {
  const Fd listener = listen(path());
  EXPECT_TRUE(connect(path()).value());
}

TEST_F(IpcSocket, AMissingFolderAsksForTheDataDirectory) {
  EXPECT_THAT(error(path("regtest/node.sock")),
              AllOf(HasSubstr("no-socket: "), HasSubstr(path("regtest")), HasSubstr("data directory")));
}

TEST_F(IpcSocket, AMissingSocketTellsHowToStartTheNode) {
  EXPECT_THAT(error(path()), AllOf(HasSubstr("no-socket: "), HasSubstr(path()), HasSubstr("-ipcbind=unix"),
                                   HasSubstr("`bitcoind` has no IPC")));
}

TEST_F(IpcSocket, ASocketThatAnEarlierRunLeftIsToldFromAMissingOne) {
  {
    const Fd listener = listen(path());
  }
  EXPECT_THAT(error(path()), AllOf(HasSubstr("not-listening: "), HasSubstr(path()), HasSubstr("not running")));
}

TEST_F(IpcSocket, AFileIsNoSocket) {
  std::ofstream(path()) << "not a socket";
  EXPECT_THAT(error(path()), AllOf(HasSubstr("path: "), HasSubstr("is not a socket")));
}

TEST_F(IpcSocket, APathThatIsTooLongNamesTheLimit) {
  EXPECT_THAT(error(path(std::string(108, 'x'))),
              AllOf(HasSubstr("path: "), HasSubstr("107"), HasSubstr("-ipcbind=unix:PATH")));
}

TEST_F(IpcSocket, ThePathOf107BytesIsTaken) {
  const std::string longest = path(std::string(107 - path("").size(), 'x'));
  ASSERT_EQ(longest.size(), 107U);
  const Fd listener = listen(longest);
  EXPECT_TRUE(connect(longest).value());
}

TEST_F(IpcSocket, AFolderThatAnyUserMayWriteIntoIsRefused) {
  const Fd listener = listen(path());
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0777), 0);
  EXPECT_THAT(error(path()), AllOf(HasSubstr("unsafe: "), HasSubstr(folder_.path().string()), HasSubstr("chmod o-w")));
}

TEST_F(IpcSocket, ASocketOfAnotherUserIsForbidden) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be another user";
  const Fd listener = listen(path());
  ASSERT_EQ(::chmod(path().c_str(), 0700), 0);
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
  ASSERT_EQ(::seteuid(65534), 0);
  const std::string socket_error = error(path());
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_THAT(socket_error, AllOf(HasSubstr("forbidden: "), HasSubstr(path()), HasSubstr("run it as the node's user")));
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0700), 0);
  ASSERT_EQ(::seteuid(65534), 0);
  const std::string folder_error = error(path());
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_THAT(folder_error, AllOf(HasSubstr("forbidden: "), HasSubstr("may not enter a folder")));
}

TEST_F(IpcSocket, AFullQueueIsNoError) {
  const Fd listener = listen(path(), 0);
  std::vector<Fd> sockets;
  std::optional<bool> last;
  while (last.value_or(true) && sockets.size() < 16) {
    sockets.push_back(std::move(*make_socket()));
    last = connect_socket(sockets.back(), path()).value();
  }
  EXPECT_EQ(last, false);
}

}  // namespace
}  // namespace adit::ipc
