// Connecting to a node's IPC socket, with an error for each reason why that fails.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "ipc/error.h"

namespace adit::ipc {

/// A socket that is not connected yet: non-blocking, closed on exec. Errors: kSystem.
Result<Fd> make_socket();

/// Connects `socket` to the node that listens at `path`. False: its queue of connections is full, so the caller tries again in
/// a moment. Does not wait. Errors: kPath, kNoSocket, kNotListening, kForbidden, kUnsafe, kSystem.
Result<bool> connect_socket(const Fd& socket, const std::string& path);

}  // namespace adit::ipc
