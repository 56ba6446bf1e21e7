#include "net/setup.h"

#include "channels/client.h"

namespace adit::net {

void push_setup_connection(const TransportConfig& to, const ClientSetup& client, wire::FrameBuffer& out) {
  const auto* const tcp = std::get_if<TcpConfig>(&to);
  out.push(tcp ? channels::mining_setup(client.program, tcp->host, tcp->port, client.flags)
               : channels::mining_setup(client.program, std::get<IrohConfig>(to).endpoint_id, 0, client.flags));
}

}  // namespace adit::net
