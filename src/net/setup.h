// SetupConnection as our clients send it (SV2 03 §3.6.1).
#pragma once

#include <cstdint>
#include <string_view>

#include "net/transport_config.h"
#include "wire/frame.h"

namespace adit::net {

/// What a mining client says of itself.
struct ClientSetup {
  std::string_view program;  ///< Which of ours it is.
  std::uint32_t flags = 0;   ///< REQUIRES_STANDARD_JOBS and the like (SV2 05 §5.3.1).
};

/// Appends SetupConnection for the mining protocol: version 2, who made it and in which version, and no device id. `to` is what
/// was dialled.
void push_setup_connection(const TransportConfig& to, const ClientSetup& client, wire::FrameBuffer& out);

}  // namespace adit::net
