// `adit ping unix:PATH`: what a Bitcoin node says on its IPC socket.
#pragma once

#include <string>

#include "base/result.h"
#include "base/time.h"

namespace adit::cli {

/// Prints what it hears as far as it gets. Errors: ipc's; of a build without IPC net's kUnsupported.
Result<> ping_node(const std::string& socket_path, unsigned count, Duration deadline);

}  // namespace adit::cli
