#include "net/dial.h"

#include <string>
#include <utility>

#include "net/establish.h"
#include "net/tcp.h"

namespace adit::net {
namespace {

asio::awaitable<Result<Link>> open_link(Shard& shard, const TransportConfig& to, wire::Protocol protocol,
                                        const DialOptions& options) {
  if (const auto* tcp = std::get_if<TcpConfig>(&to)) {
    ADIT_CO_TRY(auto stream, co_await dial_tcp(shard, *tcp, options.connect_deadline, options.silent_host));
    co_return Link{.stream = std::move(stream)};
  }
  if (!options.iroh) {
    co_return fail(Errc::kUnsupported,
                   "this program was built or configured without iroh: use a stratum2+tcp:// URL, build with ADIT_IROH=ON, or "
                   "enable [iroh]");
  }
  co_return co_await options.iroh->dial(shard, std::get<IrohConfig>(to), protocol, options.connect_deadline);
}

}  // namespace

asio::awaitable<Result<std::unique_ptr<NetworkConnection>>> dial(Shard& shard, Peer to, wire::Protocol protocol,
                                                                 DialOptions options) {
  if (to.dialect != Dialect::kStratumV2) {
    co_return fail(Errc::kConfiguration, options.name +
                                             " is a Stratum V1 URL; here a Stratum V2 peer is needed "
                                             "(stratum2+tcp:// or stratum2+iroh://)");
  }
  auto link = co_await open_link(shard, to.transport, protocol, options);
  if (!link) co_return fail(std::move(link.error()).in(options.name));
  auto connection = co_await begin_session(shard, *link, to.authority,
                                           {.deadline = options.handshake_deadline,
                                            .max_queued_bytes = options.max_queued_bytes,
                                            .max_payload = options.max_payload});
  if (!connection) co_return fail(std::move(connection.error()).in(options.name));
  co_return connection;
}

}  // namespace adit::net
