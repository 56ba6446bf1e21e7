// What `adit relay` is told, by its options or by a file whose keys are those options.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/document.h"
#include "net/iroh/relay_server.h"

namespace adit::cli {

struct RelayOptions {
  net::RelayServerConfig server;
  std::string log_file;
  unsigned threads = 2;
};

/// Reads a file; what it does not name has its default. `is_all`: no option is laid over it, so that relay_faults are among
/// the findings.
config::Loaded<RelayOptions> load_relay(const std::string& file, bool is_all);

/// What does not go together, by the key that is at fault: TLS without its files, address discovery without TLS.
std::vector<std::pair<std::string_view, std::string>> relay_faults(const net::RelayServerConfig& server);

}  // namespace adit::cli
