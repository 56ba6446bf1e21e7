#include "ipc/socket.h"

#include "ipc/node.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace adit::ipc {
namespace {

constexpr std::string_view kHowToStart =
    "start Bitcoin Core 31 or later as `bitcoin -m node -ipcbind=unix` (`bitcoind` has no IPC)";

std::string reason(int error) { return std::error_code(error, std::generic_category()).message(); }

std::unexpected<Error> cannot_look(const std::string& path, int error) {
  if (error == EACCES) {
    return fail(Errc::kForbidden,
                "the node's IPC socket " + path +
                    " cannot be reached: this program's user may not enter a folder on the way; run it as the "
                    "node's user, or give its group the right to");
  }
  if (error == ENOENT || error == ENOTDIR) {
    const std::string folder = std::filesystem::path(path).parent_path().string();
    struct stat found{};
    const bool folder_is_there = ::stat(folder.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
    if (!folder_is_there) {
      return fail(Errc::kNoSocket,
                  "there is no folder " + folder +
                      " for the node's IPC socket: is that the node's data directory, and is the network right?");
    }
    return fail(Errc::kNoSocket, "there is no IPC socket " + path + ": " + std::string(kHowToStart));
  }
  return fail(Errc::kSystem, "the node's IPC socket " + path + " cannot be looked at: " + reason(error));
}

/// Whoever may write into the folder could put a socket of its own there and pose as the node.
Result<> check_folder(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const std::string folder = parent.empty() ? "." : parent.string();
  struct stat found{};
  if (::stat(folder.c_str(), &found) != 0) return cannot_look(path, errno);
  if ((found.st_mode & S_IWOTH) != 0) {
    return fail(Errc::kUnsafe, "every user of this machine may write into " + folder + " and so pose as the node at " + path +
                                   ": take that right away (chmod o-w)");
  }
  return {};
}

}  // namespace

std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kNoSocket:
      return "no-socket";
    case Errc::kNotListening:
      return "not-listening";
    case Errc::kForbidden:
      return "forbidden";
    case Errc::kUnsafe:
      return "unsafe";
    case Errc::kPath:
      return "path";
    case Errc::kNotANode:
      return "not-a-node";
    case Errc::kTooOld:
      return "too-old";
    case Errc::kLost:
      return "lost";
    case Errc::kTimedOut:
      return "timed-out";
    case Errc::kNonsense:
      return "nonsense";
    case Errc::kRefused:
      return "refused";
    case Errc::kUnsupported:
      return "unsupported";
    case Errc::kSystem:
      return "system";
  }
  return "unknown";
}

Result<Fd> make_socket() {
  Fd made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.ok()) return fail(Errc::kSystem, "no socket can be made for the node's IPC: " + reason(errno));
  return made;
}

Result<bool> connect_socket(const Fd& socket, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(Errc::kPath, "the path of the node's IPC socket has " + std::to_string(path.size()) +
                                 " bytes, and a socket's may have " + std::to_string(sizeof address.sun_path - 1) +
                                 " at most: " + path +
                                 "; give the node a shorter data directory, or bind it elsewhere by `-ipcbind=unix:PATH`");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) return cannot_look(path, errno);
  if (!S_ISSOCK(found.st_mode))
    return fail(Errc::kPath, path + " is not a socket: name the node's data directory, or its node.sock");
  ADIT_CHECK(check_folder(path));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
  switch (errno) {
    case EAGAIN:
      return false;
    case ECONNREFUSED:
      return fail(Errc::kNotListening,
                  "no node listens at " + path + ": it is not running (the socket was left by an earlier run)");
    case EACCES:
    case EPERM:
      return fail(Errc::kForbidden,
                  "this program's user may not open the node's IPC socket " + path +
                      ": run it as the node's user, or give its group the right to read and write the socket");
    default:
      return errno == ENOENT ? Result<bool>(cannot_look(path, ENOENT))
                             : fail(Errc::kSystem, "the node's IPC socket " + path + " cannot be opened: " + reason(errno));
  }
}

Result<> look_at_socket(const std::string& path) {
  ADIT_TRY(const Fd socket, make_socket());
  if (auto connected = connect_socket(socket, path); !connected) return fail(std::move(connected.error()));
  return {};
}

}  // namespace adit::ipc
