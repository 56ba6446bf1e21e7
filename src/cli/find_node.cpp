#include "cli/find_node.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/fd.h"
#include "config/common.h"
#include "config/source.h"

namespace adit::cli {
namespace {

bool takes_connections(const std::string& socket) {
  sockaddr_un address{};
  if (socket.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket.data(), socket.size());
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return probe.ok() && ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool takes_connections(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const Fd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return probe.ok() && ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool is_there(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0;
}

}  // namespace

std::vector<std::string> usual_node_folders() {
  std::vector<std::string> folders;
  if (const std::string home = config::home_folder(); !home.empty()) {
    folders.push_back(home + "/.bitcoin");
    folders.push_back(home + "/snap/bitcoin-core/common/.bitcoin");
  }
  for (const char* const folder : {"/var/lib/bitcoind", "/var/lib/bitcoin", "/home/bitcoin/.bitcoin", "/data/bitcoin"})
    folders.emplace_back(folder);
  return folders;
}

NodeSearch find_node(std::span<const bitcoin::Network> networks, std::span<const std::string> folders, std::uint16_t rpc_port) {
  NodeSearch search;
  for (const bitcoin::Network network : networks) {
    const std::uint16_t port = rpc_port == 0 ? config::default_rpc_port(network) : rpc_port;
    for (const std::string& base : folders) {
      const std::string folder = config::network_folder(base, network);
      const std::string socket = folder + "/node.sock";
      const std::string cookie = folder + "/.cookie";
      if (takes_connections(socket)) {
        search.found = {.network = network, .socket = socket, .cookie_file = {}};
        return search;
      }
      if (is_there(socket) && ::access(socket.c_str(), W_OK) != 0)
        search.obstacles.push_back(socket + " belongs to another user: let this one into its group");
      if (::access(cookie.c_str(), R_OK) != 0) {
        // A folder that may not be entered hides whether there is one.
        if (errno == EACCES) {
          search.obstacles.push_back(cookie +
                                     " may not be read by this user: run this command as the node's, or start the node "
                                     "with -rpccookieperms=group and let this user into its group");
        }
        continue;
      }
      if (!takes_connections(port)) {
        search.obstacles.push_back(cookie + " is there, but nothing answers on 127.0.0.1:" + std::to_string(port) +
                                   ": start the node, or name the port of its JSON-RPC by --rpc-port");
        continue;
      }
      search.found = {.network = network, .socket = {}, .cookie_file = cookie, .rpc_port = port};
      return search;
    }
  }
  return search;
}

}  // namespace adit::cli
