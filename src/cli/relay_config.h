// What `adit relay` is told, by its options or by a file whose keys are those options.
#pragma once

#include <string>

#include "config/document.h"
#include "net/iroh/relay_server.h"

namespace adit::cli {

struct RelayOptions {
  net::RelayServerConfig server;
  std::string log_file;
  unsigned threads = 2;
};

/// Reads a file; what it does not name has its default.
config::Loaded<RelayOptions> load_relay(const std::string& file);

}  // namespace adit::cli
