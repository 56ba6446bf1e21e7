// Errors of a node's IPC socket; each value says what its holder should do next.
#pragma once

#include <string_view>

namespace adit::ipc {

enum class Errc {
  kNoSocket,      ///< There is no socket at the path: start the node with `-ipcbind=unix`, or fix the path.
  kNotListening,  ///< The socket is there and no program listens on it: the node is not running. Tried again with backoff.
  kForbidden,     ///< This program's user may not open the socket: fix the rights of the node's folder.
  kUnsafe,        ///< Any user of the machine could put a socket there: fix the rights of the folder.
  kPath,          ///< The path is too long for a socket, or is not that of a socket: fix the configuration.
  kNotANode,      ///< What listens does not speak Bitcoin Core's IPC: fix the path.
  kTooOld,        ///< The node speaks the interface of Bitcoin Core 30: a newer release is needed.
  kLost,          ///< The connection broke, or was not there: connect again with backoff.
  kTimedOut,      ///< The node did not answer within the call's deadline: connect again with backoff.
  kNonsense,      ///< The answer cannot be what it claims to be: connect again with backoff, and report it.
  kRefused,       ///< The node answered with an exception; the message has its text.
  kUnsupported,   ///< This release of the node has no such method.
  kSystem,        ///< This machine is out of descriptors or memory: tried again with backoff.
};

constexpr std::string_view error_layer(Errc) { return "ipc"; }
std::string_view error_name(Errc code);

}  // namespace adit::ipc
