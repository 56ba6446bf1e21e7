#include "net/setup.h"

#include <string_view>
#include <variant>

#include "wire/common_messages.h"

namespace adit::net {

void push_setup_connection(const TransportConfig& to, const ClientSetup& client, wire::FrameBuffer& out) {
  const auto* const tcp = std::get_if<TcpConfig>(&to);
  const std::string_view host = tcp != nullptr ? tcp->host : std::get<IrohConfig>(to).endpoint_id;
  out.push(wire::SetupConnection{.protocol = wire::kMiningProtocol,
                                 .min_version = wire::kProtocolVersion,
                                 .max_version = wire::kProtocolVersion,
                                 .flags = client.flags,
                                 .endpoint_host = host.substr(0, 255),
                                 .endpoint_port = tcp != nullptr ? tcp->port : std::uint16_t{0},
                                 .vendor = "adit",
                                 .hardware_version = client.program,
                                 .firmware = ADIT_VERSION,
                                 .device_id = ""});
}

}  // namespace adit::net
